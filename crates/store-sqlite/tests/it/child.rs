//! This test binary, run again as a process that may die.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DATABASE: &str = "STORE_TEST_DATABASE";
const ROUND: &str = "STORE_TEST_ROUND";

/// What the parent told this process; nothing where it is not a child.
#[expect(clippy::disallowed_methods, reason = "a parent can tell a test nothing in another way")]
pub(crate) fn told() -> Option<(PathBuf, String)> {
    let database = std::env::var(DATABASE).ok()?;
    let round = std::env::var(ROUND).ok()?;
    Some((PathBuf::from(database), round))
}

/// This binary, to run one ignored test in; `before` is what a shell does first.
pub(crate) fn command(test: &str, database: &Path, round: &str, before: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{before} exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(ROUND, round)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}
