//! One scratch directory, its servers and its commands.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A directory that is removed when it is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("server-{}-{number}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, text).unwrap();
        file
    }

    /// A command on the data directory `data`; nothing of the caller's environment counts.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.current_dir(&self.0).env_clear().env("TMPDIR", &self.0).stdin(Stdio::null());
        command.env("MUSTER_DATA_DIR", self.path("data")).args(words.split(' '));
        command
    }

    pub(crate) fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// A command that must succeed; its JSON.
    #[track_caller]
    pub(crate) fn json(&self, words: &str) -> Value {
        let output = self.run(&format!("{words} --output json"));
        assert!(output.status.success(), "{words}: {}", error_of(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts a server with ports from the system, and waits until it answers.
    #[track_caller]
    pub(crate) fn serve(&self, words: &str) -> Server {
        let log = File::create(self.path("server.log")).unwrap();
        let mut command = self.command(&format!("serve --https-port 0 --mqtt-port 0{words}"));
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let server = Server(child);
        let ready = self.run("wait-ready --timeout 30");
        assert!(ready.status.success(), "{}\n{}", error_of(&ready), self.log());
        server
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server; killed when dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.0.wait().unwrap().success());
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
