//! The server that is measured: the release binary, as its users run it.

use crate::process::Process;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Names the binary to measure; unset, the release profile's is built.
const BINARY: &str = "MUSTER_BIN";
/// How long a start may take: one that reads ten million rows would take longer.
const START: Duration = Duration::from_secs(120);
/// How often the log is looked at again during a start.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// `muster serve` on ports of the system's choice; killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) https_port: u16,
    pub(crate) mqtt_port: u16,
    monitoring: String,
    /// The CA that its certificates come from.
    pub(crate) ca: PathBuf,
    /// From the start of the process until its ports took connections.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts one on a data directory; with a fixture where that is empty.
    pub(crate) fn start(data: &Path, fixture: Option<&Path>) -> Self {
        Self::start_by(data, fixture, None)
    }

    /// As [`Server::start`], by a configuration file.
    pub(crate) fn start_by(data: &Path, fixture: Option<&Path>, config: Option<&Path>) -> Self {
        let log = data.with_extension("log");
        let _ = fs::remove_file(&log);
        let mut command = Command::new(binary());
        command.arg("serve").arg("--data-dir").arg(data);
        command.args(["--listen", "127.0.0.1", "--https-port", "0", "--mqtt-port", "0"]);
        command.args(["--monitoring", "127.0.0.1:0"]);
        if let Some(fixture) = fixture {
            command.arg("--fixture").arg(fixture);
        }
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let begun = Instant::now();
        let mut process = Process::start(command, &log);
        let said = || fs::read_to_string(&log).unwrap_or_default();
        while !said().contains("listening") {
            assert!(process.runs(), "the server ended:\n{}", said());
            assert!(begun.elapsed() < START, "no start in {START:?}:\n{}", said());
            thread::sleep(LOOK_AGAIN);
        }
        let started_in = begun.elapsed();
        let banner = process.lines().next().expect("a banner");
        let (https_port, mqtt_port) =
            (number_after(&banner, "WebSockets on "), number_after(&banner, "MQTT on "));
        let said = said();
        let (_, behind) = said.split_once("monitoring on http://").expect("a monitoring port");
        let monitoring = behind.split(':').take(2).collect::<Vec<_>>().join(":");
        Self { process, https_port, mqtt_port, monitoring, ca: data.join("pki/ca.pem"), started_in }
    }

    /// What it has counted since its start, by the series as it is written.
    pub(crate) fn metrics(&self) -> HashMap<String, f64> {
        let mut tcp = TcpStream::connect(&self.monitoring).unwrap();
        let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        tcp.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        tcp.read_to_string(&mut text).unwrap();
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.trim().parse().ok()?))
        };
        text.lines().filter_map(value).collect()
    }
}

fn number_after(text: &str, words: &str) -> u16 {
    let (_, behind) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text:?}"));
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// The binary to measure.
pub(crate) fn binary() -> PathBuf {
    env::var_os(BINARY).map_or_else(|| target().join("release/muster"), PathBuf::from)
}

/// Builds the binary, unless another one is named.
pub(crate) fn build() {
    if env::var_os(BINARY).is_some() {
        return;
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--bin", "muster", "--target-dir"])
        .arg(target())
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()
        .unwrap();
    assert!(status.success(), "the server doesn't build");
}

/// The target folder that this program was built into.
pub(crate) fn target() -> PathBuf {
    // <target>/<profile>/deps/<binary>
    env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// What the server begins with, beside the root certificate of its devices.
pub(crate) struct Scene<'a> {
    /// The devices' root, in the fixture's folder.
    pub(crate) root: &'a str,
    /// The key of the symmetric-key group, base64.
    pub(crate) group_key: &'a str,
}

/// The id scope of the scene's provisioning service.
pub(crate) const ID_SCOPE: &str = "0ne00BE7C40";
/// The provisioning service's name in commands and in the store.
pub(crate) const DPS_NAME: &str = "dps";

impl Scene<'_> {
    /// As a fixture's text: one hub, one group of each kind.
    pub(crate) fn fixture(&self) -> String {
        let mut text = format!(
            "[[hubs]]\nname = \"hub1\"\n\n[[dps]]\nname = \"{DPS_NAME}\"\nid_scope = \"{ID_SCOPE}\"\n\n"
        );
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "[[dps.certificates]]\nname = \"root\"\ncertificate = \"{}\"\n\n\
             [[dps.enrollment_groups]]\nenrollmentGroupId = \"by-certificate\"\n\
             attestation = {{ type = \"x509\", x509 = {{ caReferences = {{ primary = \"root\" }} }} }}\n\n\
             [[dps.enrollment_groups]]\nenrollmentGroupId = \"by-key\"\n\
             attestation = {{ type = \"symmetricKey\", symmetricKey = {{ primaryKey = \"{1}\", \
             secondaryKey = \"{1}\" }} }}\n",
            self.root, self.group_key
        );
        text
    }
}
