//! The files of a store, and how a connection to them is set up.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::options::{
    BUSY_TIMEOUT, MMAP_BYTES, Options, PAGE_BYTES, READER_CACHE_KIB, STATEMENTS_CACHED_MAX,
    WRITER_CACHE_KIB,
};

/// Says that this process alone has the store open, until it is dropped or the process ends.
///
/// Sessions are closed by the process that made a change: with two on one file, a device that one
/// disabled would go on talking to the other.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(database: &Path) -> Result<Self, OpenError> {
        let path = beside(database, "-lock");
        let fault = |source| OpenError::File { path: path.clone(), source };
        let file = private().create(true).truncate(false).open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: database.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that this one is about to start holds the file as well
        // until it becomes another program.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store stays locked");
        }
    }
}

/// Makes the database's file, for its owner's eyes only, where there is none.
///
/// The file may not be open elsewhere in this process: closing a second handle would drop
/// SQLite's locks. [`Lock`] sees to that. SQLite gives its other files the mode of this one.
pub(crate) fn create(database: &Path) -> Result<(), OpenError> {
    let fault = |source| OpenError::File { path: database.to_path_buf(), source };
    match private().create_new(true).open(database) {
        Ok(file) => file.sync_all().map_err(fault)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(fault(error)),
    }
    let directory = match database.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    // The name of the file must survive power loss as well as what is in it.
    if cfg!(unix) {
        File::open(directory).and_then(|dir| dir.sync_all()).map_err(fault)
    } else {
        Ok(())
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path of a file that belongs to the database: its name with a suffix.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

const ANY_THREAD_AT_A_TIME: OpenFlags = OpenFlags::SQLITE_OPEN_NO_MUTEX;

/// Opens the connection that writes.
pub(crate) fn writer(database: &Path, options: &Options) -> Result<Connection, OpenError> {
    open_writer(database, options).map_err(OpenError::database("opening the writer's connection"))
}

fn open_writer(database: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | ANY_THREAD_AT_A_TIME;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS a plain fsync leaves the data in the drive's cache; elsewhere this does nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update(None, "max_page_count", pages.get())?;
    }
    keep_statements(&connection)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(crate) fn reader(database: &Path) -> Result<Connection, OpenError> {
    open_reader(database).map_err(OpenError::database("opening a reader's connection"))
}

fn open_reader(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | ANY_THREAD_AT_A_TIME;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// Prepares each statement once.
///
/// Unless told not to, SQLite plans some statements anew whenever a parameter is bound: the look-up
/// by certificate was, at each registration and each poll.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
    Ok(())
}

/// Opens the connection that carries pages from the log to the database.
pub(crate) fn checkpointer(database: &Path) -> Result<Connection, OpenError> {
    open_checkpointer(database)
        .map_err(OpenError::database("opening the checkpointer's connection"))
}

fn open_checkpointer(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | ANY_THREAD_AT_A_TIME;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// How thorough a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpoint {
    /// Carries over what no reader stands in the way of; waits for nobody.
    Passive,
    /// Carries over everything, so that the next commit begins the log anew.
    Restart,
    /// The same, and gives the log's room back to the file system.
    Truncate,
}

/// What came of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checkpointed {
    /// As much as was asked for.
    Done,
    /// Less, since a reader or another checkpoint stood in the way.
    Hindered,
}

/// Carries pages from the log to the database.
pub(crate) fn checkpoint(
    connection: &Connection,
    how: Checkpoint,
) -> rusqlite::Result<Checkpointed> {
    let sql = match how {
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let hindered: bool = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(if hindered { Checkpointed::Hindered } else { Checkpointed::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma(connection: &Connection, name: &str) -> String {
        let value: rusqlite::types::Value =
            connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        if let rusqlite::types::Value::Text(text) = value {
            return text;
        }
        rusqlite::types::FromSql::column_result((&value).into())
            .map(|n: i64| n.to_string())
            .unwrap()
    }

    /// No test can cut the power: that a commit is synced rests on these words.
    #[test]
    fn connections_are_set_up_as_measured() {
        let name = format!("store-connection-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("control.db");
        create(&path).unwrap();
        let writing = writer(&path, &Options::default()).unwrap();
        assert_eq!(pragma(&writing, "journal_mode"), "wal");
        assert_eq!(pragma(&writing, "synchronous"), "2");
        assert_eq!(pragma(&writing, "fullfsync"), "1");
        assert_eq!(pragma(&writing, "wal_autocheckpoint"), "0");
        assert_eq!(pragma(&writing, "foreign_keys"), "1");
        assert_eq!(pragma(&writing, "page_size"), PAGE_BYTES.to_string());
        let reading = reader(&path).unwrap();
        assert!(reading.execute_batch("CREATE TABLE t (x)").is_err());
        let carrying = checkpointer(&path).unwrap();
        assert_eq!(pragma(&carrying, "wal_autocheckpoint"), "0");
        assert_eq!(pragma(&carrying, "synchronous"), "2");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
