//! Devices that register with a certificate signing request, which no SDK sends yet.

use crate::device::Credential;
use crate::process::Conversation;
use crate::{DPS, DeviceCertificate, Server, World};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// How such a device registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Mqtt,
    Http,
}

/// What a device was told.
#[derive(Debug)]
pub struct Certified {
    /// `status`, `state`, `certificates` (how many), `told` (the last body).
    pub answer: Value,
    files: PathBuf,
}

/// Registers devices that ask one server for certificates.
#[derive(Debug)]
pub struct Certifying<'a> {
    world: &'a World,
    ca: PathBuf,
    id_scope: String,
}

impl<'a> Certifying<'a> {
    pub fn new(world: &'a World, server: &Server) -> Self {
        Self { world, ca: server.ca(), id_scope: server.id_scope() }
    }

    /// Registers with a fresh key and a request for it.
    pub fn register(&self, transport: Transport, id: &str, by: Credential<'_>) -> Certified {
        self.run(transport, id, by, &[])
    }

    /// Registers with more words on the program's command line.
    pub fn run(
        &self,
        transport: Transport,
        id: &str,
        by: Credential<'_>,
        more: &[&str],
    ) -> Certified {
        let mut command = self.world.python_program("certified.py", &self.ca);
        let transport = match transport {
            Transport::Mqtt => "mqtt",
            Transport::Http => "http",
        };
        let folder = self.world.dir().join("certified");
        fs::create_dir_all(&folder).unwrap();
        let count = fs::read_dir(&folder).unwrap().count();
        let files = folder.join(format!("{id}-{count}"));
        command.args(["--host", DPS, "--id-scope", &self.id_scope, "--registration-id", id]);
        command.args(["--transport", transport]).arg("--ca").arg(&self.ca);
        command.arg("--out").arg(&files).args(more);
        by.give(&mut command);
        let answer = Conversation::start(command, format!("certified {id}")).hear();
        Certified { answer, files }
    }
}

impl Certified {
    /// The certificate that the device was given, with its key.
    #[track_caller]
    pub fn certificate(&self) -> DeviceCertificate {
        assert_eq!(self.answer["state"]["status"], "assigned", "{}", self.answer);
        let file = self.file("leaf");
        DeviceCertificate {
            pem: fs::read_to_string(&file).unwrap(),
            file,
            chain: self.file("chain"),
            key: self.file("key"),
        }
    }

    /// The root of its chain, as PEM.
    pub fn root(&self) -> PathBuf {
        self.file("root")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.files.with_extension(kind)
    }
}
