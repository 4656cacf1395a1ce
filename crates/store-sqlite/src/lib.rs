//! The store on SQLite: one writer, grouped commits.
//!
//! What it is: [`Sqlite`], an implementation of [`store::Store`] over one database file. A thread
//! owns the one connection that writes: it takes every commit that waits, at most 512, applies
//! each, commits once and then answers. Views are of one read transaction each: a few rows are read
//! on the thread that asks for them, with one of a few read-only connections; what may be long, by
//! threads with such connections of their own. Another thread carries pages from the
//! log to the database, so that no commit waits for it.
//!
//! What it is not: rules, or telemetry, which has files of its own.
//!
//! Invariants: what was answered is on the disk. A conflict or a failure takes back its own commit
//! only. Without room commits answer `Full`, whatever was answered stays, and the store goes on.
//! After any other failure to write or sync no write is taken again until the process restarts:
//! nobody knows what the disk holds. One process has the file open. All SQL of an aggregate is in
//! the file of its name.

mod apply;
mod backup;
mod changes;
mod checkpointer;
mod connection;
mod devices;
mod enrollments;
mod error;
mod events;
mod hubs;
mod instances;
mod jobs;
mod migrate;
mod options;
mod readers;
mod records;
mod registrations;
mod sql;
mod writer;

use std::path::Path;
use std::sync::Arc;

use ::events::{Queued, Subscription};
use async_trait::async_trait;
use model::SubscriptionName;
use provisioning::view::Versioned;
use store::{
    Change, Commit, CommitError, Committed, Deliveries, DeliveryCount, Events, Store, StoreError,
    StoreWork,
};

pub use backup::backup;
pub use error::OpenError;
pub use options::Options;

use connection::Lock;
use error::Fault;
use readers::{Readers, Snapshot};
use writer::Writer;

/// A store in one SQLite database file.
///
/// Dropping it waits until every commit that was queued is on the disk, then folds the log into
/// the database file.
#[derive(Debug)]
pub struct Sqlite {
    // Readers first, so that the writer is the last to close and leaves no log behind.
    readers: Readers,
    writer: Writer,
    // Last: nobody else may open the store before all is closed.
    _lock: Lock,
}

impl Sqlite {
    /// Opens the store in a file, which is made, for its owner's eyes only, where there is none.
    ///
    /// The directory must exist. The schema is brought up to date.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where the store is open already; [`OpenError::TooNew`] where a newer
    /// program wrote it; else what the file system or SQLite refused.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let lock = Lock::take(path)?;
        connection::create(path)?;
        let mut connection = connection::writer(path, &options)?;
        migrate::migrate(&mut connection)?;
        let late_records = Arc::default();
        let readers = Readers::start(path, &options, &late_records)?;
        let writer = Writer::start(connection, path, &options, late_records)?;
        Ok(Self { readers, writer, _lock: lock })
    }

    /// Reads a few rows by their keys.
    async fn read_few<T: Send + 'static>(
        &self,
        during: &'static str,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read_few(during, work).await
    }

    /// Reads what may be long.
    async fn read<T: Send + 'static>(
        &self,
        during: &'static str,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(during, work).await
    }
}

#[async_trait]
impl Events for Sqlite {
    async fn subscriptions(&self) -> Result<Vec<Versioned<Subscription>>, StoreError> {
        self.read("subscriptions", |snapshot| events::subscriptions(snapshot.connection)).await
    }

    async fn deliveries(
        &self,
        subscription: &SubscriptionName,
        which: Deliveries,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let name = subscription.clone();
        self.read("deliveries", move |snapshot| {
            events::deliveries(snapshot.connection, &name, which, after, limit)
        })
        .await
    }

    async fn first_deliveries(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let name = subscription.clone();
        self.read("deliveries", move |snapshot| {
            events::first_deliveries(snapshot.connection, &name, limit)
        })
        .await
    }

    async fn delivery_count(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<DeliveryCount, StoreError> {
        let name = subscription.clone();
        let work =
            move |snapshot: &Snapshot<'_>| events::delivery_count(snapshot.connection, &name);
        self.read("number of deliveries", work).await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.writer.commit(commit).await
    }

    async fn changes_after(&self, seq: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        self.read("changes", move |snapshot| changes::after(snapshot.connection, seq, limit)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let during = "whether it can be written to";
        self.read(during, |snapshot| Ok(migrate::version(snapshot.connection)?)).await?;
        // An empty commit writes the counters again: a real write, through the real queue.
        match self.writer.commit(Commit::default()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError { during, source: Box::new(error) }),
        }
    }

    fn work(&self) -> Option<StoreWork> {
        Some(self.writer.work())
    }
}
