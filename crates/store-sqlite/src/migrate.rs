//! Numbered migrations, forward only.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::OpenError;

/// The migrations in order; the number of each is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_jobs_events.sql"),
    include_str!("../migrations/0003_deleted_registrations.sql"),
    include_str!("../migrations/0004_first_deliveries.sql"),
];

/// Brings the schema to the newest version that this program knows.
///
/// # Errors
/// [`OpenError::TooNew`] where a newer program was here before; SQLite's own errors.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    apply(connection, MIGRATIONS)
}

fn apply(connection: &mut Connection, migrations: &[&str]) -> Result<(), OpenError> {
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found = version(connection).map_err(OpenError::database("reading the schema version"))?;
    if found > known {
        return Err(OpenError::TooNew { found, known });
    }
    for (number, sql) in (1_u32..).zip(migrations) {
        if number > found {
            step(connection, number, sql).map_err(OpenError::database("migrating the schema"))?;
        }
    }
    Ok(())
}

/// The version of the schema; 0 where there is none.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    let exists = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'")?
        .exists([])?;
    if !exists {
        return Ok(0);
    }
    connection
        .query_row("SELECT version FROM schema_version", [], |row| row.get(0))
        .optional()
        .map(|version| version.unwrap_or(0))
}

fn step(connection: &mut Connection, number: u32, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT;
         DELETE FROM schema_version;",
    )?;
    transaction.execute_batch(sql)?;
    transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [number])?;
    transaction.commit()
}

#[cfg(test)]
mod upgrade;

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> Vec<(String, String, Option<String>)> {
        connection
            .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn migrating_step_by_step_gives_the_schema_of_a_fresh_database() {
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh).unwrap();
        let mut stepped = Connection::open_in_memory().unwrap();
        for count in 1..=MIGRATIONS.len() {
            apply(&mut stepped, &MIGRATIONS[..count]).unwrap();
            assert_eq!(version(&stepped).unwrap(), u32::try_from(count).unwrap());
        }
        assert_eq!(schema(&stepped), schema(&fresh));
    }

    #[test]
    fn migrating_again_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let before = schema(&connection);
        migrate(&mut connection).unwrap();
        assert_eq!(schema(&connection), before);
    }

    #[test]
    fn a_failed_migration_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = ["CREATE TABLE a (x);", "CREATE TABLE b (x); CREATE TABLE a (x);"];
        assert!(apply(&mut connection, &broken).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(!schema(&connection).iter().any(|(_, name, _)| name == "b"));
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("UPDATE schema_version SET version = 99", []).unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(matches!(error, OpenError::TooNew { found: 99, .. }));
        assert!(error.to_string().contains("newer program"), "{error}");
    }
}
