//! One test, alone with its own network, mounts and processes.

use crate::{Az, matrix, sdk, server, tpm};
use std::any::type_name_of_val;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;
use std::{env, fs, io, process, thread};

/// Set, to the world's folder, in the process that runs a test's body.
const WORLD: &str = "MUSTER_E2E_WORLD";

/// How long one test's body may take; a test that hangs is killed with all it started.
const DEADLINE: Duration = Duration::from_secs(120);

/// The same with `az`, of which each call loads thousands of Python files.
const AZ_DEADLINE: Duration = Duration::from_secs(300);

/// Printed by the inner run; without it no test matched the name and nothing was tested.
const ENTERED: &str = "world entered:";

/// Prepares the namespaces and runs the command line that follows, as their first process.
///
/// As many files may be open as the machine allows: some tests are floods.
/// The shell stays: it reaps what the test leaves, and its end kills everything inside.
const ENTER: &str = r#"exec 2>&1
ulimit -S -n "$(ulimit -H -n)"
ip link set lo up && mount --bind "$1/hosts" /etc/hosts || exit 125
shift
"$@""#;

const HOSTS: &str = "127.0.0.1 localhost dps.localhost hub1.localhost hub2.localhost muster.localhost\n\
     127.0.0.2 far.localhost\n";

/// What a test's body is handed: a folder, and the clients' interpreters.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    sdks: sdk::Sdks,
}

impl World {
    /// A folder for this test alone, removed when it passes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Python with the SDK, trusting this CA alone.
    pub fn python(&self, ca: &Path) -> Command {
        self.sdks.python(ca)
    }

    /// Node with the SDKs, trusting this CA alone.
    pub fn node(&self, ca: &Path) -> Command {
        self.sdks.node(ca)
    }

    /// Schemathesis, set up by the harness's file, trusting this CA alone.
    pub fn schemathesis(&self, ca: &Path) -> Command {
        let sources = sdk::sources().join("schemathesis");
        let mut command = sdk::client(&sdk::folder().join("schemathesis/bin/schemathesis"), ca);
        command.env("SCHEMATHESIS_HOOKS", sources.join("hooks.py")).current_dir(&self.dir);
        command.arg("--config-file").arg(sources.join("schemathesis.toml"));
        command
    }

    /// A Python program of the harness.
    pub(crate) fn python_program(&self, name: &str, ca: &Path) -> Command {
        let mut command = self.python(ca);
        command.arg(sdk::sources().join("python").join(name));
        command
    }

    /// A Node program of the harness.
    pub(crate) fn node_program(&self, name: &str, ca: &Path) -> Command {
        let mut command = self.node(ca);
        command.arg(sdk::sources().join("node").join(name));
        command
    }
}

/// Runs `body` in a world of its own, with a server binary built and ready to start.
///
/// To be called from a `#[test]` with a closure written in that test: the closure's path names
/// the test to run again inside.
///
/// # Panics
///
/// When the body fails or outlives its deadline; with its output.
pub fn world(body: impl FnOnce(&World)) {
    run(body, Needs::Server);
}

/// Runs `body` in a world of its own, for what needs no server.
///
/// # Panics
///
/// As [`world`].
pub fn bare_world(body: impl FnOnce(&World)) {
    run(body, Needs::NoServer);
}

/// Runs `body` as [`world`] does, where an `az` with the azure-iot extension is found.
///
/// Elsewhere the test says `skipped: …` aloud, on continuous integration too: `az` is large, and
/// what it sends is also sent by clients that every run has.
///
/// # Panics
///
/// As [`world`].
pub fn az_world(body: impl FnOnce(&World)) {
    run(body, Needs::ServerAndAz);
}

/// Runs `body` as [`world`] does, where software TPMs can be had.
///
/// # Panics
///
/// As [`world`].
pub fn tpm_world(body: impl FnOnce(&World)) {
    run(body, Needs::ServerAndTpm);
}

/// Runs `body` as [`world`] does, with Schemathesis installed, and until `deadline`.
///
/// # Panics
///
/// As [`world`].
pub fn schemathesis_world(deadline: Duration, body: impl FnOnce(&World)) {
    run(body, Needs::ServerAndSchemathesis(deadline));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Server,
    NoServer,
    ServerAndAz,
    ServerAndTpm,
    ServerAndSchemathesis(Duration),
}

impl Needs {
    const fn deadline(self) -> Duration {
        match self {
            Self::Server | Self::NoServer | Self::ServerAndTpm => DEADLINE,
            Self::ServerAndAz => AZ_DEADLINE,
            Self::ServerAndSchemathesis(deadline) => deadline,
        }
    }
}

fn run<F: FnOnce(&World)>(body: F, needs: Needs) {
    if let Some(dir) = env::var_os(WORLD) {
        println!("{ENTERED} {}", dir.display());
        body(&World { dir: dir.into(), sdks: sdk::Sdks::installed() });
        return;
    }
    let test = test_name(&body);
    let able = match (able(), tpm::missing()) {
        (Ok(()), Some(tool)) if needs == Needs::ServerAndTpm => Err(format!("no {tool}")),
        (able, _) => able,
    };
    if let Err(why) = able {
        assert!(env::var("CI").as_deref() != Ok("true"), "{test} cannot run here: {why}");
        // Written past the test runner's capture: a test that didn't run says so.
        let _ = writeln!(io::stderr(), "skipped: {test}: {why}");
        return;
    }
    if needs == Needs::ServerAndAz && Az::versions().is_none() {
        let _ = writeln!(io::stderr(), "skipped: no az with the azure-iot extension: {test}");
        return;
    }
    sdk::Sdks::install();
    if matches!(needs, Needs::ServerAndSchemathesis(_)) {
        sdk::Sdks::install_schemathesis();
    }
    matrix::forget(&test);
    let mut inner = inner_command(&test);
    if needs != Needs::NoServer {
        inner.env(server::BINARY, server::binary());
    }
    let dir = fresh_dir(&test);
    inner.env(WORLD, &dir).arg(&dir).arg(env::current_exe().unwrap());
    inner.args(["--exact", &test, "--nocapture", "--test-threads=1"]);
    finish(&test, &dir, inner, needs.deadline());
}

/// `unshare …`, up to the arguments that [`ENTER`] takes.
fn inner_command(test: &str) -> Command {
    // The inner run ends with this thread, however this thread ends.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]).args(namespaces());
    command.args(["sh", "-c", ENTER, test]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

fn finish(test: &str, dir: &Path, mut inner: Command, deadline: Duration) {
    let mut child = inner.spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let (sender, output) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let (text, in_time) = match output.recv_timeout(deadline) {
        Ok(text) => (text, true),
        Err(_) => {
            child.kill().unwrap();
            (output.recv().unwrap(), false)
        }
    };
    let status = child.wait().unwrap();
    print!("{text}");
    assert!(in_time, "{test} was killed: not done in {deadline:?}; its folder: {}", dir.display());
    assert!(
        status.success(),
        "{test} failed inside its world, above; its folder: {}",
        dir.display()
    );
    assert!(text.contains(ENTERED), "no test is named {test}: write the closure in the #[test]");
    matrix::keep(test, dir);
    fs::remove_dir_all(dir).unwrap();
}

/// The path of the test that wrote `body`, as the test runner knows it.
fn test_name<F>(body: &F) -> String {
    let path = type_name_of_val(body).trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, inside)| inside).to_owned()
}

fn fresh_dir(test: &str) -> PathBuf {
    let name = format!("{}-{}", test.replace("::", "-"), process::id());
    let dir = sdk::folder().join("worlds").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("hosts"), HOSTS).unwrap();
    dir
}

/// The namespaces of a world; one who isn't root becomes root of a namespace of users first.
fn namespaces() -> Vec<&'static str> {
    let mut flags =
        vec!["--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"];
    let uid = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !uid.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        flags.extend(["--user", "--map-root-user"]);
    }
    flags
}

/// Whether this machine can make worlds, tried once; if not, why.
fn able() -> Result<(), String> {
    static ABLE: OnceLock<Result<(), String>> = OnceLock::new();
    let attempt = || {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare"]).args(namespaces());
        command.args(["sh", "-ec", "ip link set lo up; mount --bind /etc/hosts /etc/hosts"]);
        match command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!(
                "no namespaces ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => Err(format!("setpriv, unshare: {error}")),
        }
    };
    ABLE.get_or_init(attempt).clone()
}
