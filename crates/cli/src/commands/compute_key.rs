//! `compute-device-key`: a device's key, derived from its group's.

use attestation::SymmetricKey;
use clap::Args;

use super::common::DpsArgs;
use super::enrollment_group::GROUP;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::output::{at, cell};

/// Derives a device's key; with `--key` no server is asked.
#[derive(Debug, Args)]
pub(crate) struct ComputeDeviceKey {
    /// Registration id of the device, in the very spelling that it will use.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// The group's key, base64; nothing is asked of a server then.
    #[arg(long, visible_alias = "symmetric-key", value_name = "KEY")]
    key: Option<String>,
    /// Id of the enrollment group whose primary key is read.
    #[arg(
        long,
        visible_aliases = ["gid", "enrollment-group-id", "enrollment-id", "eid"],
        required_unless_present = "key",
        value_name = "ID"
    )]
    group_id: Option<String>,
    #[command(flatten)]
    dps: DpsArgs,
}

impl ComputeDeviceKey {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let key = match (&self.key, &self.group_id) {
            (Some(key), _) => key.clone(),
            (None, Some(group)) => {
                let service = self.dps.service(session).await?;
                group_key(&service, group).await?
            }
            (None, None) => return Err(Failure::usage("give --key or --group-id")),
        };
        session.output.text(&derive(&key, &self.registration_id)?)
    }
}

/// A group's primary key.
pub(crate) async fn group_key(service: &crate::service::Service, group: &str) -> Result<String> {
    let mechanism = GROUP.mechanism(service, group).await?;
    at(&mechanism, &["symmetricKey", "primaryKey"]).as_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(format!(
            "enrollment group '{group}' has no symmetric key: it attests by {}",
            cell(at(&mechanism, &["type"]))
        ))
        .hint("its devices prove themselves by certificates; give --cp and --kp")
    })
}

/// The key of one device of a group. Source: `dps-device-api` §6.3.
pub(crate) fn derive(group_key: &str, registration_id: &str) -> Result<String> {
    let key = SymmetricKey::from_base64(group_key)
        .map_err(|error| Failure::usage(format!("the group's key {error}")))?;
    Ok(key.derive(registration_id).to_base64())
}

#[cfg(test)]
mod tests {
    use super::derive;

    #[test]
    fn device_keys_are_those_of_the_documentation() {
        let group = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
        let id = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
        assert_eq!(derive(group, id).unwrap(), "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
        let group = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        assert_eq!(derive(group, "Dev-1").unwrap(), "GkFHJHrTwJ7AfqTb3UTgwGK11Zu6L2tOjMLnOl+M2w4=");
        assert_eq!(derive(group, "dev-1").unwrap(), "uPrGCZtSCJ9Nt+iY0r7te47dbsu7OCYEU9tz7kQloUs=");
    }

    #[test]
    fn a_key_that_is_none_is_named_so() {
        let told = derive("not a key", "d").unwrap_err().to_string();
        assert!(told.starts_with("error: the group's key is not base64"), "{told}");
    }
}
