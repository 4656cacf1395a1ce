//! A copy of a store while it is in use.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::connection;
use crate::error::OpenError;
use crate::options::BUSY_TIMEOUT;

/// Copies the store in `database` into a new file, for its owner's eyes only.
///
/// The copy is of one moment, whole, and has no log beside it. The store may be open in another
/// process, which goes on writing meanwhile; it may not be open in this one.
///
/// # Errors
/// [`OpenError`]: what the file system or SQLite refused.
pub fn backup(database: &Path, into: &Path) -> Result<(), OpenError> {
    connection::create(into)?;
    copy(database, into).map_err(OpenError::database("copying the database"))
}

fn copy(database: &Path, into: &Path) -> rusqlite::Result<()> {
    // Not read-only: without the writer's process the log's index must be made anew.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute("VACUUM INTO ?1", [into.to_string_lossy()])?;
    Ok(())
}
