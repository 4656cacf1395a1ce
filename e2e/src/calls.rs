//! Calls of a service client that runs in a program of the harness.

use crate::matrix::Notes;
use crate::process::Conversation;
use serde_json::Value;

/// A running service client: a line asks, a line answers.
#[derive(Debug)]
pub(crate) struct Calls {
    program: Conversation,
    notes: Notes,
}

impl Calls {
    pub(crate) fn new(program: Conversation, notes: Notes) -> Self {
        Self { program, notes }
    }

    /// Sends a request, and notes what came of this method.
    ///
    /// # Errors
    ///
    /// The SDK's error: `{"type", "message", "status_code"}`.
    pub(crate) fn ask(&mut self, method: &str, request: Vec<Value>) -> Result<Value, Value> {
        self.program.tell(&Value::from(request).to_string());
        let answer = self.program.hear();
        let seen = if answer.get("error").is_some() { "refused" } else { "done" };
        self.notes.saw(method, seen);
        answer.get("error").map_or_else(|| Ok(answer["ok"].clone()), |error| Err(error.clone()))
    }
}
