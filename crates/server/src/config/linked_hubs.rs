//! Linked hubs that live elsewhere: whom the server believes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Linked hubs that live elsewhere, as the operator wants them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LinkedHubs {
    /// PEM certificates that such a hub may show or be signed by, beside those of the machine.
    pub(crate) ca_file: Option<PathBuf>,
}
