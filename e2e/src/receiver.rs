//! A receiver of lifecycle events, as a program of its own that verifies what it gets.

use crate::pki::ServerCertificate;
use crate::process::Conversation;
use crate::sdk::sources;
use crate::world::World;
use serde_json::{Value, json};
use std::path::Path;

/// How long an event may take on a busy machine, pauses between tries included.
const PATIENCE_S: u32 = 60;

/// A running receiver on `localhost`; it takes everything until it is told otherwise.
#[derive(Debug)]
pub struct Receiver {
    program: Conversation,
    port: u64,
}

impl Receiver {
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(world: &World, certificate: &ServerCertificate, secret: &str) -> Self {
        // What it trusts does not matter: it calls nobody.
        let mut command = world.python(Path::new("/dev/null"));
        command.arg(sources().join("python/receiver.py")).arg("--secret").arg(secret);
        command.arg("--cert").arg(&certificate.chain).arg("--key-file").arg(&certificate.key);
        let program = Conversation::start(command, "receiver");
        let port = program.hear()["port"].as_u64().unwrap();
        Self { program, port }
    }

    /// Where it is, with a secret in the query.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/events?code=s3cret", self.port)
    }

    /// Changes what it answers: `status` of events, the `consent` of `OPTIONS`.
    pub fn answers(&mut self, answers: &Value) {
        self.program.tell(&answers.to_string());
        assert_eq!(self.program.hear()["told"], true);
    }

    /// What it has taken, once that is so much.
    pub fn taken(&mut self, count: usize) -> Vec<Value> {
        self.notes("taken", count)
    }

    /// What it was sent and refused, once that is so much.
    pub fn refused(&mut self, count: usize) -> Vec<Value> {
        self.notes("refused", count)
    }

    fn notes(&mut self, of: &str, count: usize) -> Vec<Value> {
        let asked = json!({"of": of, "count": count, "seconds": PATIENCE_S});
        self.program.tell(&asked.to_string());
        let told = self.program.hear();
        let notes = told["notes"].as_array().unwrap().clone();
        assert!(notes.len() >= count, "{count} {of} are wanted: {told}");
        notes
    }
}
