//! The SDKs under test, installed once under the target folder from pinned lists.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where the interpreters with their packages, and the device programs, are.
#[derive(Debug)]
pub(crate) struct Sdks {
    python: PathBuf,
    node_modules: PathBuf,
}

impl Sdks {
    /// The SDKs, as [`Sdks::install`] left them.
    pub(crate) fn installed() -> Self {
        Self {
            python: folder().join("python/bin/python"),
            node_modules: folder().join("node/node_modules"),
        }
    }

    /// Installs what isn't there yet; one process at a time, the others wait.
    pub(crate) fn install() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            fs::create_dir_all(folder()).unwrap();
            let lock = File::create(folder().join("lock")).unwrap();
            lock.lock().unwrap();
            install("python", &["requirements.txt"], install_python);
            install("node", &["package.json", "package-lock.json", ".npmrc"], install_node);
        });
    }

    /// Installs Schemathesis, if it isn't there yet, apart from the SDKs: it would be of other
    /// versions of what they need.
    pub(crate) fn install_schemathesis() {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            fs::create_dir_all(folder()).unwrap();
            let lock = File::create(folder().join("lock")).unwrap();
            lock.lock().unwrap();
            install("schemathesis", &["requirements.txt"], install_python);
        });
    }

    /// Python with its SDK, and nothing of this process's environment.
    pub(crate) fn python(&self, ca: &Path) -> Command {
        client(&self.python, ca)
    }

    /// Node with its SDKs, and nothing of this process's environment.
    pub(crate) fn node(&self, ca: &Path) -> Command {
        let mut command = client(Path::new("node"), ca);
        command.env("NODE_PATH", &self.node_modules);
        command
    }
}

/// The harness's folder in the target folder that this test binary was built into.
pub(crate) fn folder() -> PathBuf {
    target().join("e2e")
}

/// The target folder that this test binary was built into.
pub(crate) fn target() -> PathBuf {
    // <target>/<profile>/deps/<binary>
    env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// The harness's own folder in the source tree.
pub(crate) fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A client that trusts the one CA alone, however the machine sets up its own trust.
pub(crate) fn client(program: &Path, ca: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.env("LANG", "C.UTF-8").env("HOME", folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    for trust in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
        command.env(trust, ca);
    }
    command
}

/// Calls `steps` on a fresh folder, unless one made from the same lists is there.
fn install(name: &str, lists: &[&str], steps: fn(&Path)) {
    let (from, to) = (sources().join(name), folder().join(name));
    let wanted: String =
        lists.iter().map(|list| fs::read_to_string(from.join(list)).unwrap()).collect();
    let stamp = to.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return;
    }
    if to.exists() {
        fs::remove_dir_all(&to).unwrap();
    }
    fs::create_dir_all(&to).unwrap();
    for list in lists {
        fs::copy(from.join(list), to.join(list)).unwrap();
    }
    steps(&to);
    fs::write(stamp, wanted).unwrap();
}

fn install_python(to: &Path) {
    step(Command::new("python3").args(["-m", "venv"]).arg(to));
    let requirements = to.join("requirements.txt");
    step(
        Command::new(to.join("bin/python"))
            .args(["-m", "pip", "install", "--no-deps", "--no-input", "--quiet", "--requirement"])
            .arg(requirements),
    );
}

fn install_node(to: &Path) {
    // Without scripts: one package would compile for hardware that no test has.
    step(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(to),
    );
}

fn step(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{}: {error}", command.get_program().display());
    });
    let arguments: Vec<OsString> = command.get_args().map(ToOwned::to_owned).collect();
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{}{}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
