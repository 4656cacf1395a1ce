//! Retry storms: how much work refused devices may make.

use model::limits;
use serde::{Deserialize, Serialize};

/// Bounds on what refused devices cost, in the whole server; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Storms {
    /// Connections that are served in a second, of all addresses whose devices were refused.
    pub(crate) connections_per_second: u32,
    /// Refusals that each provisioning service writes down in a second.
    pub(crate) records_per_second: u32,
}

impl Default for Storms {
    fn default() -> Self {
        Self {
            connections_per_second: limits::REFUSED_CONNECTIONS_PER_SECOND,
            records_per_second: limits::REFUSED_RECORDS_PER_SECOND,
        }
    }
}
