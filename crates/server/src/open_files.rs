//! How many files this process may have open, and so how many connections it can hold.

use model::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not connections: the store, telemetry, listeners, the log; with room to spare.
const OTHER_FILES: usize = 256;

/// Raises the soft limit to the hard one, and gives the connections that fit.
///
/// Many systems start a process with a soft limit of 1,024, which a thousand idle clients would
/// use up; then nobody could connect.
pub(crate) fn connections_max() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit { current: maximum, maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit on open files can not be raised");
        }
    }
    let files = match getrlimit(Resource::Nofile).current {
        Some(files) => usize::try_from(files).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let connections = within(files);
    if connections < limits::CONNECTIONS_MAX {
        tracing::info!(files, connections, "the limit on open files bounds the connections");
    }
    connections
}

/// The connections that fit into so many files; a few in any case.
fn within(files: usize) -> usize {
    files.saturating_sub(OTHER_FILES).clamp(OTHER_FILES, limits::CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(within(1024), 768);
        assert_eq!(within(usize::MAX), limits::CONNECTIONS_MAX);
        assert_eq!(within(10), OTHER_FILES);
    }
}
