//! Webhooks: whom the server believes, what it signs with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Webhooks as the operator wants them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webhooks {
    /// PEM certificates that webhooks may show or be signed by; none: those of the machine.
    pub(crate) ca_file: Option<PathBuf>,
    /// A file with the secret that requests are signed with, `whsec_` and base64; none: unsigned.
    pub(crate) signing_key_file: Option<PathBuf>,
    /// Whether a webhook may be at an address that is not of the public Internet.
    pub(crate) private_addresses: bool,
}
