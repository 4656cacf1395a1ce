//! A directory for one test's store, on the disk that the build is on.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use store_sqlite::{Options, Sqlite};

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("store-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("control.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("control.db-wal")
    }

    /// A connection beside the store.
    pub(crate) fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.database()).unwrap()
    }

    pub(crate) fn query(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn text(&self, sql: &str) -> String {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn open(&self, options: Options) -> Sqlite {
        Sqlite::open(&self.database(), options).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store with its directory.
#[derive(Debug)]
pub(crate) struct Fresh {
    // The store first: it closes before its directory goes.
    store: Sqlite,
    _scratch: Scratch,
}

impl Fresh {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        Self { store: scratch.open(Options::default()), _scratch: scratch }
    }
}

impl Deref for Fresh {
    type Target = Sqlite;
    fn deref(&self) -> &Sqlite {
        &self.store
    }
}
