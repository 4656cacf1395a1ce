//! The keys of an issuer that is asked for them.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use attestation::bearer::KeySet;
use model::limits;
use rustls::ClientConfig;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fetch;

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Where its discovery document says; the issuer, an https address.
    Discovery(String),
    /// At this https address.
    Keys(String),
}

/// How often an issuer is asked, and how long its answer counts.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// From one fetch to the next.
    pub refresh: Duration,
    /// The least time between two, whatever is asked of us: tokens that name unknown keys are
    /// anybody's to make.
    pub pause: Duration,
    /// From the last good answer until no key is believed any more.
    pub kept: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            refresh: limits::JWKS_REFRESH,
            pause: limits::JWKS_PAUSE,
            kept: limits::JWKS_KEPT_MAX,
        }
    }
}

/// An issuer's keys, kept fresh beside all calls until this is dropped.
pub struct Remote {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    issuer: String,
    tls: Arc<ClientConfig>,
    location: Location,
    rhythm: Rhythm,
    known: Mutex<Option<(Arc<KeySet>, Instant)>>,
    wanted: Notify,
}

impl Remote {
    /// Begins to fetch; must be called within a runtime.
    pub fn start(issuer: &str, location: Location, tls: Arc<ClientConfig>, rhythm: Rhythm) -> Self {
        let shared = Arc::new(Shared {
            issuer: issuer.to_owned(),
            tls,
            location,
            rhythm,
            known: Mutex::default(),
            wanted: Notify::new(),
        });
        let task = tokio::spawn(Arc::clone(&shared).keep());
        Self { shared, task }
    }

    /// The keys as they are known; none before the first answer, and none that are too old.
    pub fn keys(&self) -> Arc<KeySet> {
        match &*self.shared.known() {
            Some((keys, at)) if at.elapsed() < self.shared.rhythm.kept => Arc::clone(keys),
            Some(_) | None => Arc::default(),
        }
    }

    /// Asks for a fetch as soon as one may be made; it is not waited for.
    pub fn want(&self) {
        self.shared.wanted.notify_one();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Option<(Arc<KeySet>, Instant)>> {
        match self.known.lock() {
            Ok(known) => known,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    async fn keep(self: Arc<Self>) {
        let (mut failing, mut empty) = (false, false);
        loop {
            let fetching = timeout(limits::JWKS_TIMEOUT, fetch::keys(&self.tls, &self.location));
            let fetched = fetching.await.unwrap_or_else(|_| Err("it took too long".to_owned()));
            let failed = fetched.is_err();
            match fetched {
                Ok(keys) => {
                    let (was_empty, is_known) = (empty, !keys.is_empty());
                    empty = !is_known;
                    *self.known() = Some((Arc::new(keys), Instant::now()));
                    if empty && !was_empty {
                        tracing::warn!(
                            issuer = self.issuer,
                            "the issuer publishes no key: no token of it is believed"
                        );
                    }
                    if is_known && (failing || was_empty) {
                        tracing::info!(issuer = self.issuer, "the issuer's keys are known again");
                    }
                }
                Err(error) if failing => {
                    tracing::debug!(issuer = self.issuer, error, "still no keys of the issuer");
                }
                Err(error) => tracing::warn!(
                    issuer = self.issuer,
                    error,
                    "the issuer's keys can not be fetched; those that are known count for {:?}",
                    self.rhythm.kept
                ),
            }
            failing = failed;
            sleep(self.rhythm.pause).await;
            if !failing {
                let rest = self.rhythm.refresh.saturating_sub(self.rhythm.pause);
                // Whichever comes first, the next fetch is due.
                let _ = timeout(rest, self.wanted.notified()).await;
            }
        }
    }
}
