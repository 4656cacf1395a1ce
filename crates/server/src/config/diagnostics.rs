//! Which resource logs are kept, and where.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Resource logs as the operator wants them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Diagnostics {
    /// A file, or `stdout`; none: nothing is kept.
    pub(crate) sink: Option<PathBuf>,
    /// These categories alone; none: all of them.
    pub(crate) categories: Option<Vec<String>>,
}
