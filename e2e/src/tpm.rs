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

/// What a TPM test needs beside a server: the Debian packages `swtpm` and `tpm2-tools`.
pub(crate) fn missing() -> Option<&'static str> {
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    ["swtpm", "tpm2_createek"].into_iter().find(missing)
}

/// A TPM with an endorsement key; the SDK makes its storage root key. It ends when dropped.
#[derive(Debug)]
pub struct Tpm {
    process: Child,
    directory: PathBuf,
}

impl Tpm {
    /// A new one, with an endorsement key of this kind, `rsa` or `ecc`.
    pub fn start(world: &World, name: &str, endorsement_key: &str) -> Self {
        let directory = world.dir().join(name);
        fs::create_dir_all(directory.join("state")).unwrap();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate", "dir=state"])
            .args(["--server", "type=unixio,path=tpm", "--ctrl", "type=unixio,path=tpm.ctrl"])
            .args(["--flags", "not-need-init,startup-clear"])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Self { process, directory };
        let began = Instant::now();
        while !tpm.tool("tpm2_getrandom", &["1", "-o", "random"]) {
            assert!(began.elapsed() < STARTS_WITHIN, "swtpm does not start");
            thread::sleep(Duration::from_millis(20));
        }
        let kind = ["-c", ENDORSEMENT_KEY, "-G", endorsement_key, "-u", "ek"];
        assert!(tpm.tool("tpm2_createek", &kind));
        tpm
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
