//! One chunk of a load, sent until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::record::RECORD_BYTES_MAX;
use super::report::Refused;
use super::state::Counts;
use crate::failure::{Failure, Result};
use crate::service::Service;

/// Entries of a chunk; the service takes no more at once.
pub(super) const CHUNK_LINES_MAX: usize = 1_000;
/// Bytes of a chunk past which no entry is added: with the longest, the service takes it still.
const CHUNK_BYTES_FULL: usize = 1024 * 1024 - RECORD_BYTES_MAX - 1;
/// The first wait before a chunk is sent again; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_millis(250);
/// The longest wait before a chunk is sent again.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Lines that are sent at once.
#[derive(Default)]
pub(super) struct Chunk {
    /// The lines, each with its end.
    pub(super) text: Vec<u8>,
    /// Where each is in the file.
    pub(super) lines: Vec<u64>,
}

impl Chunk {
    /// Whether another line fits, however long.
    pub(super) const fn has_room(&self) -> bool {
        self.lines.len() < CHUNK_LINES_MAX && self.text.len() < CHUNK_BYTES_FULL
    }

    /// Adds a line.
    pub(super) fn push(&mut self, line: u64, json: &[u8]) {
        self.lines.push(line);
        self.text.extend_from_slice(json);
        self.text.push(b'\n');
    }
}

/// What became of a chunk.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) counts: Counts,
    pub(super) refused: Vec<Refused>,
}

/// Where chunks go.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) service: Service,
    pub(super) path: String,
    /// How long a service that does not answer is waited for.
    pub(super) patience: Duration,
    /// Whether it has answered at all: before, a failure is one of the command.
    pub(super) answered: Arc<AtomicBool>,
}

#[derive(Deserialize)]
struct Answer {
    lines: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    registration_id: String,
    result: String,
    error_code: Option<u32>,
    message: Option<String>,
}

/// What came of one attempt.
enum Attempt {
    Answered(Vec<u8>),
    /// It may go better later.
    Again(Failure),
    Refused(Failure),
}

impl Sender {
    /// Sends a chunk until it is answered. To send it twice is safe.
    pub(super) async fn send(self, chunk: Chunk) -> Result<Done> {
        if chunk.lines.is_empty() {
            return Ok(Done::default());
        }
        let begun = Instant::now();
        let mut wait = WAIT_FIRST;
        loop {
            match self.attempt(&chunk).await {
                Attempt::Answered(body) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return read(&body, &chunk.lines);
                }
                Attempt::Again(failure)
                    if self.answered.load(Ordering::Relaxed)
                        && begun.elapsed() + wait < self.patience =>
                {
                    if wait == WAIT_FIRST {
                        eprintln!("waiting for the server: {}", failure.what());
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                Attempt::Again(failure) | Attempt::Refused(failure) => return Err(failure),
            }
        }
    }

    async fn attempt(&self, chunk: &Chunk) -> Attempt {
        let sent = self.service.post_lines(&self.path, chunk.text.clone()).await;
        let reply = match sent {
            Ok(reply) => reply,
            Err(failure) => return Attempt::Again(failure),
        };
        if reply.is_success() {
            return Attempt::Answered(reply.body);
        }
        let failure = Failure::refused("load enrollments", self.service.place(), &reply);
        match reply.status {
            429 | 500..=599 => Attempt::Again(failure),
            404 | 405 => {
                Attempt::Refused(failure.hint_instead("the server knows no loads: is it older?"))
            }
            _ => Attempt::Refused(failure),
        }
    }
}

/// Reads what became of each line.
fn read(body: &[u8], lines: &[u64]) -> Result<Done> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| Failure::new(format!("the answer to a load is not one: {error}")))?;
    if answer.lines.len() != lines.len() {
        return Err(Failure::new(format!(
            "the answer to a load of {} lines is about {}",
            lines.len(),
            answer.lines.len()
        )));
    }
    let mut done = Done::default();
    for (number, line) in lines.iter().zip(answer.lines) {
        let counts = &mut done.counts;
        match line.result.as_str() {
            "created" => counts.created += 1,
            "replaced" => counts.replaced += 1,
            "unchanged" => counts.unchanged += 1,
            "skipped" => counts.skipped += 1,
            _ => {
                counts.refused += 1;
                done.refused.push(Refused {
                    line: *number,
                    registration_id: line.registration_id,
                    error_code: line.error_code.unwrap_or_default(),
                    message: line.message.unwrap_or_default(),
                });
            }
        }
    }
    Ok(done)
}
