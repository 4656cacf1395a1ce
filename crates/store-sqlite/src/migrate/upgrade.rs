//! From every earlier schema to this program's: the frozen dumps of `tests/upgrade`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{MIGRATIONS, apply, migrate, version};

/// The dumps, each with the number of its schema.
fn dumps() -> BTreeMap<u32, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let dump = |file: PathBuf| {
        let number = file.file_stem()?.to_str()?.parse().ok()?;
        let is_sql = file.extension().is_some_and(|extension| extension == "sql");
        is_sql.then(|| (number, fs::read_to_string(&file).unwrap()))
    };
    files.filter_map(dump).collect()
}

fn loaded(dump: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(dump).unwrap();
    // As the writer's connection; the dump switches it off.
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection
}

/// The schema as it is meant: a table that was altered keeps its text, but not its spaces.
fn schema(connection: &Connection) -> Vec<(String, String, String)> {
    let plain = |sql: Option<String>| {
        let sql = sql.unwrap_or_default().replace('"', "");
        let words: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        words.replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    };
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, plain(row.get(2)?))))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Every row of every table.
fn rows(connection: &Connection) -> BTreeMap<String, Vec<Vec<Value>>> {
    let tables = schema(connection).into_iter().filter(|(kind, ..)| kind == "table");
    let all = tables.map(|(_, table, _)| {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
        let read = read.unwrap().collect::<Result<Vec<Vec<Value>>, _>>().unwrap();
        (table, read)
    });
    all.collect()
}

fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap()
}

#[test]
fn every_earlier_schema_has_a_frozen_dump_with_a_row_in_each_table() {
    let dumps = dumps();
    for number in 1..newest() {
        assert!(
            dumps.contains_key(&number),
            "there is a migration {:04} and no dump of what it begins with: run \
             tests/upgrade/freeze.sh with the program before it, as tests/upgrade/{number:04}.sql",
            number + 1
        );
    }
    for (number, dump) in &dumps {
        assert!((1..=newest()).contains(number), "{number:04}.sql is of no schema");
        let connection = loaded(dump);
        assert_eq!(version(&connection).unwrap(), *number, "{number:04}.sql");
        for (table, rows) in rows(&connection) {
            assert!(!rows.is_empty(), "{number:04}.sql has no row in {table}");
        }
    }
}

#[test]
fn a_database_of_every_earlier_schema_gets_the_schema_of_a_fresh_one() {
    let mut fresh = Connection::open_in_memory().unwrap();
    migrate(&mut fresh).unwrap();
    for (number, dump) in dumps() {
        let mut connection = loaded(&dump);
        migrate(&mut connection).unwrap();
        assert_eq!(version(&connection).unwrap(), newest());
        assert_eq!(schema(&connection), schema(&fresh), "from {number:04}.sql");
        let faults: i64 = connection
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(faults, 0, "from {number:04}.sql");
    }
}

/// Changes everything that it can before it fails.
const BROKEN: &str = "CREATE TABLE half (x INTEGER) STRICT;
    UPDATE dps SET doc = '{}'; DELETE FROM audit; UPDATE meta SET revision = 0;
    SELECT * FROM nowhere;";

#[test]
fn a_migration_that_fails_leaves_what_the_one_before_it_made() {
    for (number, dump) in dumps() {
        for done in number..=newest() {
            let before = usize::try_from(done).unwrap();
            let (mut connection, mut expected) = (loaded(&dump), loaded(&dump));
            apply(&mut expected, &MIGRATIONS[..before]).unwrap();
            let steps: Vec<&str> = MIGRATIONS[..before].iter().copied().chain([BROKEN]).collect();
            assert!(apply(&mut connection, &steps).is_err());
            assert_eq!(version(&connection).unwrap(), done);
            assert_eq!(schema(&connection), schema(&expected));
            assert_eq!(rows(&connection), rows(&expected));
        }
    }
}

/// A directory that is removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_migration_that_is_cut_off_by_a_crash_has_not_begun() {
    let dir = std::env::temp_dir().join(format!("muster-upgrade-{}", std::process::id()));
    let scratch = Scratch(dir);
    for (number, dump) in dumps() {
        let (live, copy) = (scratch.0.join("live"), scratch.0.join("copy"));
        let _ = fs::remove_dir_all(&scratch.0);
        fs::create_dir_all(&live).unwrap();
        fs::create_dir_all(&copy).unwrap();
        let connection = Connection::open(live.join("control.db")).unwrap();
        connection.execute_batch(&dump).unwrap();
        let before = rows(&connection);
        // So little memory that the half-done work is written to the log before it is committed.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA cache_size = 2; PRAGMA cache_spill = 1;",
            )
            .unwrap();
        let step = MIGRATIONS.get(usize::try_from(number).unwrap()).copied().unwrap_or_default();
        connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM schema_version;").unwrap();
        connection.execute_batch(step).unwrap();
        connection
            .execute_batch("UPDATE audit SET line = hex(zeroblob(9000)); DELETE FROM twin;")
            .unwrap();
        // What a crash leaves: the files as they are now, without the memory of who wrote them.
        for name in ["control.db", "control.db-wal"] {
            fs::copy(live.join(name), copy.join(name)).unwrap();
        }
        assert!(fs::metadata(copy.join("control.db-wal")).unwrap().len() > 100_000);
        let mut found = Connection::open(copy.join("control.db")).unwrap();
        assert_eq!(version(&found).unwrap(), number);
        assert_eq!(rows(&found), before);
        migrate(&mut found).unwrap();
        assert_eq!(version(&found).unwrap(), newest());
    }
}
