//! A child process that speaks JSON, one value a line.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long one answer of a child may take; the slowest is a registration with its polls.
const ANSWER: Duration = Duration::from_secs(60);

/// A running child, killed when dropped.
#[derive(Debug)]
pub(crate) struct Conversation {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    name: String,
}

impl Conversation {
    pub(crate) fn start(mut command: Command, name: impl Into<String>) -> Self {
        let name = name.into();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        Self { child, input, lines, name }
    }

    /// Writes one line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.input.flush().unwrap();
    }

    /// The next value.
    pub(crate) fn hear(&self) -> Value {
        self.hear_within(ANSWER)
    }

    /// The next value, if the child says one in time.
    pub(crate) fn hear_within(&self, limit: Duration) -> Value {
        let line = self.lines.recv_timeout(limit).unwrap_or_else(|why| match why {
            RecvTimeoutError::Timeout => panic!("{}: no answer in {limit:?}", self.name),
            RecvTimeoutError::Disconnected => panic!("{}: ended without an answer", self.name),
        });
        println!("{}: {line}", self.name);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name))
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
