//! `muster wait-ready`: for scripts that start a server and go on when it answers.

use std::time::Duration;

use clap::Args;

use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind};

/// How long to wait between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the last look may take, though the time is over.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// Wait until the server of the data directory answers; exit code 1 if it does not in time.
#[derive(Debug, Args)]
pub struct WaitReady {
    /// Seconds to wait at the most, 0 to 3600; 0 looks once.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3600))]
    timeout: u32,
}

impl WaitReady {
    pub(crate) async fn run(self, session: &Session) -> Result {
        let limit = Duration::from_secs(u64::from(self.timeout));
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            // Read anew each time: the server writes the file when its ports are bound.
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let last = match tokio::time::timeout(left.max(LOOK_MIN), answers(session)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new("the server takes connections and does not answer"),
            };
            if tokio::time::Instant::now() + LOOK_AGAIN > deadline {
                let (what, timeout) = (last.what(), self.timeout);
                let failure = Failure::new(format!("no answer within {timeout} s: {what}"));
                return Err(failure.hint(last.next().unwrap_or(
                    "does `muster serve` run with this --data-dir (or MUSTER_DATA_DIR)? its log \
                     says why it stopped",
                )));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Whether the administration answers, by TLS and with a key that it knows.
async fn answers(session: &Session) -> Result {
    Admin::find(session, None)?.all(Kind::Dps).await.map(|_| ())
}
