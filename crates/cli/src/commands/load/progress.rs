//! How a load goes on: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::state::Counts;

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// Shown on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    bytes: u64,
    begun: Instant,
    before: u64,
    told: Instant,
}

impl Progress {
    /// Begins, for a file of so many bytes of which so many entries were done before.
    pub(super) fn begin(bytes: u64, before: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(bytes);
            let style = "{bar:30} {percent:>3}% {msg}, {elapsed} gone, {eta} to go";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self { bar, bytes, begun: now, before, told: now }
    }

    /// So many bytes are done with.
    pub(super) fn at(&mut self, bytes: u64, counts: &Counts) {
        let text = || {
            let seconds = self.begun.elapsed().as_secs().max(1);
            let rate = counts.all().saturating_sub(self.before) / seconds;
            format!("{} entries, {} refused, {rate}/s", counts.all(), counts.refused)
        };
        match &self.bar {
            Some(bar) => {
                bar.set_position(bytes);
                bar.set_message(text());
            }
            None if self.told.elapsed() >= EVERY => {
                let percent = bytes.saturating_mul(100) / self.bytes.max(1);
                eprintln!("{percent}% {}", text());
                self.told = Instant::now();
            }
            None => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// How long it took.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}
