//! The server under test, and its command line.

use crate::{Rest, World, sdk};
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, thread};

/// Names the binary to test; unset, the harness builds it.
pub(crate) const BINARY: &str = "MUSTER_BIN";

/// How long the server may take until its ports answer.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end after SIGTERM.
const STOP: Duration = Duration::from_secs(30);
/// How often a condition of another process is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The ports that every SDK knows.
const PORTS: [u16; 2] = [443, 8883];

/// One `muster serve` on a data folder of its own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Option<Child>,
    data: PathBuf,
    log: PathBuf,
    config: Option<PathBuf>,
    address: &'static str,
    fixture: Option<PathBuf>,
}

impl Server {
    /// Starts a server on the world's data folder, new or left by another.
    ///
    /// # Panics
    ///
    /// When its ports don't answer in time; with its log.
    pub fn start(world: &World) -> Self {
        let data = world.dir().join("data");
        let log = world.dir().join("server.log");
        let mut server = Self::of(data, log);
        server.start_again();
        server
    }

    /// Starts another server beside the first, at the address of [`crate::FAR`], which begins with
    /// a fixture of this text. Its command line is not to be used: it would reach the first one.
    pub fn start_elsewhere(world: &World, fixture: &str) -> Self {
        let file = world.dir().join("far.fixture.toml");
        fs::write(&file, fixture).unwrap();
        let mut server = Self::of(world.dir().join("far"), world.dir().join("far.log"));
        server.address = "127.0.0.2";
        server.fixture = Some(file);
        server.start_again();
        server.fixture = None;
        server
    }

    const fn of(data: PathBuf, log: PathBuf) -> Self {
        Self { process: None, data, log, config: None, address: "127.0.0.1", fixture: None }
    }

    /// Starts a new server with a configuration file of this text.
    pub fn start_with(world: &World, config: &str) -> Self {
        let file = world.dir().join("muster.toml");
        fs::write(&file, config).unwrap();
        let (data, log) = (world.dir().join("data"), world.dir().join("server.log"));
        let mut server = Self::of(data, log);
        server.config = Some(file);
        server.start_again();
        server
    }

    /// Starts it again on the same data folder, after [`Server::kill`] or [`Server::stop`].
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env::var_os(BINARY).unwrap());
        command.arg("serve").arg("--data-dir").arg(&self.data).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        if self.address != "127.0.0.1" {
            command.args(["--listen", self.address, "--monitoring", "off"]);
        }
        if let Some(fixture) = &self.fixture {
            command.arg("--fixture").arg(fixture);
        }
        self.process = Some(command.spawn().unwrap());
        let answers = || PORTS.iter().all(|port| TcpStream::connect((self.address, *port)).is_ok());
        let started = Instant::now();
        while !(self.data.join("admin.json").exists() && answers()) {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(started.elapsed() < START, "the server didn't answer in {START:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the server runs");
        let id = process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let asked = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if asked.elapsed() > STOP {
                self.process = Some(process);
                panic!("the server didn't end in {STOP:?}");
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The memory that it holds now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.process.as_ref().expect("the server runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    /// The CA that the server's own certificates come from, a PEM file.
    pub fn ca(&self) -> PathBuf {
        PathBuf::from(self.admin()["ca"].as_str().unwrap())
    }

    /// What the server wrote for the operator of its machine: `url`, `ca`, `connectionString`.
    pub fn admin(&self) -> Value {
        serde_json::from_slice(&fs::read(self.data.join("admin.json")).unwrap()).unwrap()
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A `muster` command that must succeed: `server.muster("iot dps show --dps-name dps")`.
    ///
    /// Words are parted at spaces; its JSON output is returned, `Null` for none.
    #[track_caller]
    pub fn muster(&self, words: &str) -> Value {
        let words: Vec<&str> = words.split(' ').collect();
        let output = self.muster_command(&words).output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("muster {}: {}\n{out}{err}", words.join(" "), output.status);
        assert!(output.status.success(), "muster {}: {}: {err}", words.join(" "), output.status);
        if out.trim().is_empty() { Value::Null } else { serde_json::from_str(&out).unwrap() }
    }

    /// A `muster` command about this server, with JSON output, not yet run.
    pub fn muster_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env::var_os(BINARY).unwrap());
        command.args(words).args(["--output", "json"]);
        command.env("MUSTER_DATA_DIR", &self.data).stdin(Stdio::null());
        command
    }

    /// Uploads a CA certificate that is trusted at once.
    pub fn trust(&self, name: &str, certificate: &Path) {
        self.muster(&format!(
            "iot dps certificate create --dps-name dps --certificate-name {name} --path {} \
             --verified true",
            certificate.display()
        ));
    }

    /// The id scope of the provisioning service.
    pub fn id_scope(&self) -> String {
        let shown = self.muster("iot dps show --dps-name dps");
        shown["properties"]["idScope"].as_str().unwrap().to_owned()
    }

    /// The provisioning service's API.
    pub fn dps(&self) -> Rest {
        let shown = self.muster("iot dps connection-string show --dps-name dps");
        Rest::new(shown["connectionString"].as_str().unwrap(), &self.ca(), "2021-10-01")
    }

    /// A hub's service API; `name` as in the command line: `hub1`.
    pub fn hub(&self, name: &str) -> Rest {
        let shown = self.muster(&format!("iot hub connection-string show --hub-name {name}"));
        Rest::new(shown["connectionString"].as_str().unwrap(), &self.ca(), "2021-04-12")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        if thread::panicking() {
            println!("the server's log:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The binary under test, built if need be.
pub(crate) fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| env::var_os(BINARY).map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    // Of the whole workspace, as the tests were built, so that cargo finds the same dependencies.
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--workspace", "--bin", "muster", "--target-dir"])
        .arg(sdk::target())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the server doesn't build:\n{errors}");
    sdk::target().join("debug/muster")
}
