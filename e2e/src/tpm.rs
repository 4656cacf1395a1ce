//! Software TPMs, as devices have them.

use crate::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where the SDKs expect the endorsement key.
const ENDORSEMENT_KEY: &str = "0x81010001";
/// Far above what a busy machine needs to start a process.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What a TPM test needs beside a server: the Debian packages `swtpm`, `swtpm-tools` and
/// `tpm2-tools`.
pub(crate) fn missing() -> Option<&'static str> {
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    ["swtpm", "swtpm_setup", "tpm2_createek"].into_iter().find(missing)
}

/// A TPM with an endorsement key; the SDK makes its storage root key. It ends when dropped.
#[derive(Debug)]
pub struct Tpm {
    process: Child,
    directory: PathBuf,
    certificates: &'static [&'static str],
}

/// A maker of TPMs, with a root and an issuing CA of its own.
#[derive(Debug)]
pub struct TpmMaker {
    directory: PathBuf,
}

/// Files of [`TpmMaker`]: what `swtpm_localca` makes, and what it is told.
const ROOT: &str = "swtpm-localca-rootca-cert.pem";
const ISSUER: &str = "issuer.pem";
const SETUP: &str = "setup.conf";

impl TpmMaker {
    /// A new one.
    pub fn new(world: &World, name: &str) -> Self {
        let directory = world.dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let at = |file: &str| directory.join(file).display().to_string();
        let local = [
            format!("statedir = {}", directory.display()),
            format!("signingkey = {}", at("signkey.pem")),
            format!("issuercert = {}", at(ISSUER)),
            format!("certserial = {}", at("serial")),
        ];
        fs::write(directory.join("ca.conf"), local.join("\n")).unwrap();
        fs::write(directory.join("ca.options"), "--platform-manufacturer e2e\n").unwrap();
        let setup = [
            "create_certs_tool = /usr/bin/swtpm_localca".to_owned(),
            format!("create_certs_tool_config = {}", at("ca.conf")),
            format!("create_certs_tool_options = {}", at("ca.options")),
        ];
        fs::write(directory.join(SETUP), setup.join("\n")).unwrap();
        Self { directory }
    }

    /// A TPM of its make, which shows its RSA endorsement certificate and the issuer's.
    pub fn tpm(&self, world: &World, name: &str) -> Tpm {
        let directory = world.dir().join(name);
        fs::create_dir_all(directory.join("state")).unwrap();
        let mut setup = Command::new("swtpm_setup");
        setup.args(["--tpm2", "--tpmstate", "state", "--create-ek-cert"]);
        setup.args(["--write-ek-cert-files", ".", "--config"]).arg(self.directory.join(SETUP));
        let done = setup.current_dir(&directory).stdin(Stdio::null()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        let issuer = fs::read_to_string(self.directory.join(ISSUER)).unwrap();
        let der = STANDARD.decode(pem_body(&issuer)).unwrap();
        fs::write(directory.join("issuer.crt"), der).unwrap();
        let tpm = Tpm::running(directory, &["ek-rsa2048.crt", "issuer.crt"]);
        assert!(tpm.tool("tpm2_readpublic", &["-c", ENDORSEMENT_KEY, "-f", "tss", "-o", "ek"]));
        tpm
    }

    /// The file of its root certificate, once it has made a TPM.
    pub fn root(&self) -> PathBuf {
        self.directory.join(ROOT)
    }
}

/// What stands between the lines of the one PEM block of a text.
fn pem_body(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("-----BEGIN"));
    lines.skip(1).take_while(|line| !line.starts_with("-----")).collect()
}

impl Tpm {
    /// A new one, with an endorsement key of this kind, `rsa` or `ecc`.
    pub fn start(world: &World, name: &str, endorsement_key: &str) -> Self {
        let directory = world.dir().join(name);
        fs::create_dir_all(directory.join("state")).unwrap();
        let tpm = Self::running(directory, &[]);
        let kind = ["-c", ENDORSEMENT_KEY, "-G", endorsement_key, "-u", "ek"];
        assert!(tpm.tool("tpm2_createek", &kind));
        tpm
    }

    fn running(directory: PathBuf, certificates: &'static [&'static str]) -> Self {
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=state"])
            .args(["--server", "type=unixio,path=tpm", "--ctrl", "type=unixio,path=tpm.ctrl"])
            .args(["--flags", "not-need-init,startup-clear"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Self { process, directory, certificates };
        let began = Instant::now();
        while !tpm.tool("tpm2_getrandom", &["1", "-o", "random"]) {
            assert!(began.elapsed() < STARTS_WITHIN, "swtpm does not start");
            thread::sleep(Duration::from_millis(20));
        }
        tpm
    }

    /// What SDKs name it: base32 of the SHA-256 of its endorsement key, by the coreutils.
    pub fn registration_id(&self) -> String {
        let script = "set -o pipefail; sha256sum ek | cut -d' ' -f1 | tr a-f A-F | \
                      basenc --base16 -d | base32 -w0 | tr -d = | tr A-Z a-z";
        let mut command = Command::new("bash");
        let done = command.args(["-c", script]).current_dir(&self.directory).output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    }

    /// The same TPM where its device shows no certificate, as a standard client.
    #[must_use]
    pub fn without_certificates(mut self) -> Self {
        self.certificates = &[];
        self
    }

    /// Files of the certificates that its device shows, by the names that they have in its folder.
    pub(crate) fn certificates(&self) -> &'static [&'static str] {
        self.certificates
    }

    /// The endorsement key, as an enrollment holds it.
    pub fn endorsement_key(&self) -> String {
        STANDARD.encode(fs::read(self.directory.join("ek")).unwrap())
    }

    /// Where its socket is, by the name that [`Tpm::SOCKET`] says; a path may be too long for one.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The name of its socket.
    pub(crate) const SOCKET: &str = "tpm";

    fn tool(&self, tool: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(tool);
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.env("TPM2TOOLS_TCTI", format!("swtpm:path={}", Self::SOCKET));
        command.output().unwrap().status.success()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
