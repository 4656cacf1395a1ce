//! A custom allocation webhook of an operator's, as a program of its own.

use crate::pki::ServerCertificate;
use crate::process::Conversation;
use crate::sdk::sources;
use crate::world::World;
use serde_json::{Value, json};
use std::path::Path;

/// A running webhook on `localhost`; it answers with 500 until it is told otherwise.
#[derive(Debug)]
pub struct Webhook {
    program: Conversation,
    port: u64,
}

impl Webhook {
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(world: &World, certificate: &ServerCertificate) -> Self {
        // What it trusts does not matter: it calls nobody.
        let mut command = world.python(Path::new("/dev/null"));
        command.arg(sources().join("python/webhook.py"));
        command.arg("--cert").arg(&certificate.chain).arg("--key-file").arg(&certificate.key);
        let program = Conversation::start(command, "webhook");
        let port = program.hear()["port"].as_u64().unwrap();
        Self { program, port }
    }

    /// Where it is, with a secret in the query as functions in the cloud have it.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/choose?code=secret", self.port)
    }

    /// What it answers from now on.
    pub fn answers(&mut self, status: u16, body: &Value) {
        self.program.tell(&json!({"status": status, "body": body}).to_string());
        assert_eq!(self.program.hear()["told"], true);
    }

    /// The next request, once it has come: `path`, `asked`, `signed`.
    pub fn asked(&self) -> Value {
        self.program.hear()
    }
}
