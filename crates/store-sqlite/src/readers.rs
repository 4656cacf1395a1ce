//! Connections that read, each used by one blocking thread at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use store::StoreError;
use tokio::sync::Semaphore;

use crate::connection;
use crate::error::{Fault, OpenError};
use crate::instances::InstanceCache;
use crate::options::Options;

/// One read transaction: everything that is read through it is of one moment.
#[derive(Debug)]
pub(crate) struct Snapshot<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) instances: &'c InstanceCache,
}

/// The connections that read.
#[derive(Debug)]
pub(crate) struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    instances: InstanceCache,
}

impl Readers {
    pub(crate) fn open(database: &Path, options: &Options) -> Result<Arc<Self>, OpenError> {
        let idle: Vec<Connection> = (0..options.readers.get())
            .map(|_| connection::reader(database))
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Self {
            permits: Arc::new(Semaphore::new(idle.len())),
            idle: Mutex::new(idle),
            instances: InstanceCache::default(),
        }))
    }

    /// Runs `work` on a snapshot, away from the threads that serve connections.
    ///
    /// When the caller goes away, the work still ends and gives its connection back.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        during: &'static str,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = |_| Fault::Stopped("the pool of readers").during(during);
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(stopped)?;
        let readers = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.snapshot(work)
        });
        match task.await {
            Ok(outcome) => outcome.map_err(|fault| fault.during(during)),
            Err(source) => Err(StoreError { during, source: Box::new(source) }),
        }
    }

    fn snapshot<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Some(connection) = self.idle().pop() else {
            return Err(Fault::Stopped("the pool of readers"));
        };
        let lent = Lent { readers: self, connection: Some(connection) };
        let Some(connection) = &lent.connection else {
            return Err(Fault::Stopped("the pool of readers"));
        };
        let transaction = connection.unchecked_transaction()?;
        let outcome = work(&Snapshot { connection: &transaction, instances: &self.instances });
        transaction.finish()?;
        outcome
    }

    /// Closes what is idle, and what is lent when it comes back.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that comes back however its use ends.
struct Lent<'r> {
    readers: &'r Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self.readers.idle();
        if !self.readers.permits.is_closed() {
            idle.extend(self.connection.take());
        }
    }
}
