//! The administration's key: a file that the CLI on this machine reads.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use attestation::SymmetricKey;
use attestation::access::Policy;
use gateway::AdminRight;
use model::PolicyName;
use serde::{Deserialize, Serialize};
use service::Entropy;

use crate::files;

/// The file's name in the data directory.
pub(crate) const FILE: &str = "admin.json";
/// The one policy of the administration.
const POLICY: &str = "musterowner";
/// The host that the CLI speaks to.
const HOST: &str = "muster.localhost";

/// What the file holds: everything that the CLI needs. Mode 0600.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminFile {
    url: String,
    ca: PathBuf,
    connection_string: String,
}

/// Reads the administration's policy, or makes one.
pub(crate) fn policy(data_dir: &Path, entropy: &dyn Entropy) -> Result<Policy<AdminRight>> {
    let file = data_dir.join(FILE);
    let primary = match fs::read_to_string(&file) {
        Ok(text) => key_in(&text).with_context(|| {
            format!("{} has no key; delete it to get a new one", file.display())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh(entropy)?,
        Err(error) => {
            return Err(error).with_context(|| format!("can not read {}", file.display()));
        }
    };
    let name = PolicyName::parse(POLICY).context("the administration's policy has a name")?;
    Ok(Policy { name, rights: vec![AdminRight::All], primary, secondary: fresh(entropy)? })
}

/// Writes the file for the port that was bound.
pub(crate) fn write(
    data_dir: &Path,
    policy: &Policy<AdminRight>,
    ca: &Path,
    https_port: u16,
) -> Result<()> {
    let ca = fs::canonicalize(ca).with_context(|| format!("can not find {}", ca.display()))?;
    let content = AdminFile {
        url: format!("https://{HOST}:{https_port}"),
        ca,
        connection_string: format!(
            "HostName={HOST};SharedAccessKeyName={};SharedAccessKey={}",
            policy.name,
            policy.primary.to_base64()
        ),
    };
    let text = serde_json::to_string_pretty(&content)?;
    files::write_private(&data_dir.join(FILE), text.as_bytes())
}

fn fresh(entropy: &dyn Entropy) -> Result<SymmetricKey> {
    let mut bytes = vec![0_u8; 32];
    entropy.fill(&mut bytes);
    SymmetricKey::from_bytes(bytes).map_err(|error| anyhow::anyhow!("{error}"))
}

fn key_in(text: &str) -> Option<SymmetricKey> {
    let content: AdminFile = serde_json::from_str(text).ok()?;
    let (_, key) = content.connection_string.split_once("SharedAccessKey=")?;
    SymmetricKey::from_base64(key).ok()
}
