//! `muster iot dps enrollment load`: individual enrollments from a file, however many.

mod csv;
mod progress;
mod record;
mod report;
mod send;
mod state;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::task::JoinHandle;

use super::common::DpsArgs;
use crate::Session;
use crate::failure::{Failure, Result};
use progress::Progress;
use record::{Bad, FileFormat, Record, Records};
use report::{Refused, Report};
use send::{Chunk, Done, Sender};
use state::{Counts, State};

/// Chunks under way at once: one is read, one is judged, one is written, one waits.
const CHUNKS_UNDER_WAY_MAX: usize = 4;
/// How long a server may take to come back: a restart with a long recovery, in seconds.
const DEFAULT_PATIENCE_S: u64 = 300;

/// What is done about an entry that is there and differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OnExisting {
    /// The line is refused.
    #[default]
    Fail,
    /// The present entry stays.
    Skip,
    /// The line's entry takes its place.
    Replace,
}

impl OnExisting {
    const fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Replace => "replace",
        }
    }
}

/// Load individual enrollments from a file.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The file: CSV with a header, or JSON lines.
    #[arg(long, short = 'f', value_name = "FILE")]
    file: PathBuf,
    /// Form of the file; by its name when not given.
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// What to do about an entry that is there and differs.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_existing: OnExisting,
    /// Where refused lines are reported, as JSON lines [default: FILE.refused.jsonl].
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Go on where an earlier load of this file stopped.
    #[arg(long)]
    resume: bool,
    /// How long a server that does not answer is waited for, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_PATIENCE_S)]
    patience: u64,
    #[command(flatten)]
    dps: DpsArgs,
}

/// A part of the file that is under way, and where the load is when it is done.
struct Part {
    done: JoinHandle<Result<Done>>,
    /// Lines that were not sent, since the file itself has them wrong.
    bad: Vec<Refused>,
    records: u64,
    digest: String,
    bytes: u64,
}

impl Load {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let format = self.format.map_or_else(|| FileFormat::of(&self.file), Ok)?;
        let service = self.dps.service(session).await?;
        let state_path = State::path(&self.file);
        let mut records = Records::open(&self.file, format)?;
        let mut ids = Ids::default();
        let earlier = match self.resume {
            true => State::read(&state_path, service.place())?,
            false => None,
        };
        let report = self.report.clone().unwrap_or_else(|| Report::path(&self.file));
        let (state, report) = match earlier {
            Some(state) => {
                pass_over(&mut records, &mut ids, &state, &self.file)?;
                eprintln!("going on behind {} entries", state.records);
                let report = Report::resume(report, state.report_bytes)?;
                (state, report)
            }
            None => (State::of(service.place()), Report::begin(report)?),
        };
        let sender = Sender {
            path: format!("/muster/v1/enrollments/load?existing={}", self.on_existing.word()),
            service,
            patience: Duration::from_secs(self.patience),
            answered: Arc::new(AtomicBool::new(state.records > 0)),
        };
        let progress = Progress::begin(records.bytes(), state.counts.all());
        let mut loading = Loading { state, state_path: Some(state_path), report, progress };
        let interrupted = tokio::signal::ctrl_c();
        let ended = until(interrupted, loading.run(&mut records, &mut ids, &sender)).await;
        loading.progress.end();
        let counts = loading.state.counts;
        if let Err(failure) = ended {
            let done = loading.state.records;
            return Err(failure.hint_instead(format!(
                "{done} entries are done with; give --resume to go on behind them"
            )));
        }
        loading.forget();
        let seconds = (loading.progress.seconds() * 1000.0).round() / 1000.0;
        let told = json!({
            "entries": counts.all(), "created": counts.created, "replaced": counts.replaced,
            "unchanged": counts.unchanged, "skipped": counts.skipped, "refused": counts.refused,
            "seconds": seconds,
        });
        session.output.thing(&told, &["entries", "created", "replaced", "unchanged", "skipped"])?;
        match counts.refused {
            0 => Ok(()),
            refused => {
                let place = loading.report.place().display();
                let all = counts.all();
                Err(Failure::new(format!("{refused} of {all} entries were refused"))
                    .hint(format!("{place} says which lines and why; the others are loaded")))
            }
        }
    }
}

/// Loads, unless somebody stops it: what is done with until then is known.
async fn until(
    interrupted: impl Future<Output = std::io::Result<()>>,
    load: impl Future<Output = Result>,
) -> Result {
    tokio::select! {
        biased;
        Ok(()) = interrupted => Err(Failure::new("the load was interrupted")),
        ended = load => ended,
    }
}

/// A load under way.
struct Loading {
    state: State,
    /// None where it can not be written.
    state_path: Option<PathBuf>,
    report: Report,
    progress: Progress,
}

impl Loading {
    async fn run(&mut self, records: &mut Records, ids: &mut Ids, sender: &Sender) -> Result {
        let mut under_way: VecDeque<Part> = VecDeque::new();
        let ended = loop {
            if under_way.len() >= CHUNKS_UNDER_WAY_MAX
                && let Some(part) = under_way.pop_front()
                && let Err(failure) = self.settle(part).await
            {
                break Err(failure);
            }
            match part(records, ids, sender) {
                Ok(Some(part)) => under_way.push_back(part),
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        let mut ended = ended;
        for part in under_way {
            // Behind a failure nothing is acknowledged any more: the state is of a whole beginning.
            match ended {
                Ok(()) => ended = self.settle(part).await,
                Err(_) => part.done.abort(),
            }
        }
        ended
    }

    /// Waits for a part, and notes what became of it.
    async fn settle(&mut self, part: Part) -> Result {
        let done = part.done.await;
        let done = done.map_err(|error| Failure::new(format!("a load stopped: {error}")))??;
        let mut refused = done.refused;
        let counts = &mut self.state.counts;
        counts.refused += u64::try_from(part.bad.len()).unwrap_or_default();
        refused.extend(part.bad);
        refused.sort_by_key(|refused| refused.line);
        add(counts, &done.counts);
        self.report.add(&refused)?;
        self.state.records = part.records;
        self.state.digest = part.digest;
        self.state.report_bytes = self.report.bytes();
        self.progress.at(part.bytes, &self.state.counts);
        if let Some(path) = &self.state_path
            && let Err(failure) = self.state.write(path)
        {
            eprintln!("this load can not be resumed: {}", failure.what());
            self.state_path = None;
        }
        Ok(())
    }

    /// Removes the state of a load that is done.
    fn forget(&self) {
        if let Some(path) = &self.state_path {
            // There is none after an empty file.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn add(counts: &mut Counts, more: &Counts) {
    counts.created += more.created;
    counts.replaced += more.replaced;
    counts.unchanged += more.unchanged;
    counts.skipped += more.skipped;
    counts.refused += more.refused;
}

/// Reads the next part and sends it; none at the end of the file.
fn part(records: &mut Records, ids: &mut Ids, sender: &Sender) -> Result<Option<Part>> {
    let mut chunk = Chunk::default();
    let mut bad = Vec::new();
    while chunk.has_room() && bad.len() < send::CHUNK_LINES_MAX {
        let Some(Record { line, entry }) = records.next()? else { break };
        let refused = match entry {
            Ok(entry) if ids.is_new(&entry.id) => {
                chunk.push(line, &entry.json);
                continue;
            }
            Ok(entry) => Bad::new(&entry.id, "registrationId is on an earlier line, too"),
            Err(bad) => bad,
        };
        let Bad { id, code, message } = refused;
        bad.push(Refused { line, registration_id: id, error_code: code, message });
    }
    if chunk.lines.is_empty() && bad.is_empty() {
        return Ok(None);
    }
    let (count, digest, bytes) = (records.count(), records.digest(), records.read());
    let done = tokio::spawn(sender.clone().send(chunk));
    Ok(Some(Part { done, bad, records: count, digest, bytes }))
}

/// Reads what an earlier load has done with, and sees that it is the same.
fn pass_over(records: &mut Records, ids: &mut Ids, state: &State, file: &Path) -> Result {
    while records.count() < state.records {
        match records.next()? {
            Some(Record { entry: Ok(entry), .. }) => {
                ids.is_new(&entry.id);
            }
            Some(Record { entry: Err(_), .. }) => {}
            None => break,
        }
    }
    match records.count() == state.records && records.digest() == state.digest {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} is not what it was when the load stopped",
            file.display()
        ))
        .hint("load it without --resume: what is there already stays as it is")),
    }
}

/// The ids that were read. Of each only a hash is kept, 8 bytes: two ids of a million share one
/// with a probability of 1 in 30 million, and the second is reported.
#[derive(Default)]
struct Ids {
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Ids {
    fn is_new(&mut self, id: &str) -> bool {
        self.seen.insert(self.hasher.hash_one(id.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn an_interrupted_load_says_so() {
        let told = until(ready(Ok(())), pending()).await.unwrap_err();
        assert_eq!(told.what(), "the load was interrupted");
        assert!(until(pending(), ready(Ok(()))).await.is_ok());
        let deaf = std::io::Error::other("no signals here");
        assert!(until(ready(Err(deaf)), ready(Ok(()))).await.is_ok());
    }
}
