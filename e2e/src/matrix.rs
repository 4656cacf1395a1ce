//! What was seen to work with which client: `docs/compatibility.md`, written by what ran.
//!
//! The harness notes each thing that a client did in the test's world. When the test passes, its
//! notes go to `<target>/e2e/matrix/<test>.jsonl`; a test that fails leaves none. The example
//! `matrix` makes the page of all notes.

use crate::{World, sdk};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In a world's folder: the notes of its test, one JSON object a line.
const NOTES: &str = "matrix.jsonl";

/// What a client is used for; each is a table of the page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Register,
    Hub,
    Service,
    Replay,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Hub => "hub",
            Self::Service => "service",
            Self::Replay => "replay",
        }
    }
}

/// A client, as the tables tell them apart.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) transport: &'static str,
    pub(crate) credential: &'static str,
}

impl Client {
    /// A Node package of the pinned list.
    pub(crate) fn node(package: &str, transport: &'static str, credential: &'static str) -> Self {
        let list = fs::read(sdk::sources().join("node/package.json")).unwrap();
        let list: Value = serde_json::from_slice(&list).unwrap();
        let version = list["dependencies"][package].as_str().unwrap().to_owned();
        Self { name: format!("{package} (Node)"), version, transport, credential }
    }

    /// A Python package of the pinned list.
    pub(crate) fn python(package: &str, transport: &'static str, credential: &'static str) -> Self {
        let list = fs::read_to_string(sdk::sources().join("python/requirements.txt")).unwrap();
        let version = list
            .lines()
            .find_map(|line| line.strip_prefix(package)?.strip_prefix("=="))
            .unwrap_or_else(|| panic!("{package} isn't in the list"))
            .to_owned();
        Self { name: format!("{package} (Python)"), version, transport, credential }
    }
}

/// Takes the notes about one client in one world.
#[derive(Debug)]
pub(crate) struct Notes {
    file: PathBuf,
    purpose: Purpose,
    client: Client,
}

impl Notes {
    pub(crate) fn new(world: &World, purpose: Purpose, client: Client) -> Self {
        Self { file: world.dir().join(NOTES), purpose, client }
    }

    /// Notes what came of a call; of devices, `call` is empty and `seen` says what they did.
    pub(crate) fn saw(&self, call: &str, seen: &str) {
        let note = json!({
            "for": self.purpose.name(),
            "client": self.client.name,
            "version": self.client.version,
            "transport": self.client.transport,
            "credential": self.client.credential,
            "call": call,
            "seen": seen,
        });
        let mut file = File::options().create(true).append(true).open(&self.file).unwrap();
        // In one write, as a test's threads may note at the same time.
        file.write_all(format!("{note}\n").as_bytes()).unwrap();
    }
}

/// Drops what an earlier run of this test noted.
pub(crate) fn forget(test: &str) {
    let _ = fs::remove_file(kept(test));
}

/// Keeps the notes of a test that passed in the world of this folder.
pub(crate) fn keep(test: &str, world: &Path) {
    let notes = fs::read_to_string(world.join(NOTES)).unwrap_or_default();
    if notes.is_empty() {
        return;
    }
    let today = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().unwrap().stdout;
    let today = String::from_utf8(today).unwrap();
    let once: BTreeSet<&str> = notes.lines().collect();
    let mut text = String::new();
    for line in once {
        let mut note: Value = serde_json::from_str(line).unwrap();
        note["test"] = json!(test);
        note["date"] = json!(today.trim());
        writeln!(text, "{note}").unwrap();
    }
    fs::create_dir_all(folder()).unwrap();
    fs::write(kept(test), text).unwrap();
}

fn folder() -> PathBuf {
    sdk::folder().join("matrix")
}

fn kept(test: &str) -> PathBuf {
    folder().join(test.replace("::", "-")).with_extension("jsonl")
}

/// The rows of one table: what tells them apart, and what was seen.
type Rows = BTreeMap<Vec<String>, Row>;

#[derive(Debug, Default)]
struct Row {
    seen: BTreeSet<String>,
    tests: BTreeSet<String>,
    last: String,
}

/// The page, of all notes that are kept.
///
/// # Panics
///
/// When there are none.
pub fn compatibility() -> String {
    let mut notes: Vec<Value> = Vec::new();
    for file in fs::read_dir(folder()).expect("the end-to-end tests have run").flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        notes.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    let mut page = String::from(INTRODUCTION);
    for (purpose, title, columns, text) in TABLES {
        let rows = rows(&notes, purpose, columns);
        let names: Vec<String> = columns.iter().map(|column| capital(column)).collect();
        write!(page, "\n## {title}\n\n{text}\n\n").unwrap();
        writeln!(page, "| {} | Seen | Tests | Last |", names.join(" | ")).unwrap();
        writeln!(page, "|{}", "---|".repeat(columns.len() + 3)).unwrap();
        for (key, Row { seen, tests, last }) in rows {
            let seen = seen.into_iter().collect::<Vec<_>>().join(", ");
            let tests = tests.len();
            writeln!(page, "| {} | {seen} | {tests} | {last} |", key.join(" | ")).unwrap();
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Compatibility

Unmodified clients, and what each was seen to do with Muster in the end-to-end tests.
This page is written by what ran, and never by hand:

```sh
rm -rf target/e2e/matrix && cargo test -p e2e && cargo run -p e2e --example matrix
```

*Tests* is in how many tests; *Last* is the day of the last one, in UTC.
A test that fails counts for nothing here.
The rows of `az` are there when an `az` with the azure-iot extension was found: \
in `MUSTER_AZ`, or on the path.
";

/// For each table: the purpose, the title, the columns that tell rows apart, the text.
const TABLES: [(&str, &str, &[&str], &str); 4] = [
    (
        "register",
        "Registering with the provisioning service",
        &["client", "version", "transport", "credential"],
        "*disabled* and *unauthorized* are refusals that the client understood as such.",
    ),
    (
        "hub",
        "Devices at their hub",
        &["client", "version", "transport", "credential"],
        "Refusals and disconnections are those that the tests ask for.",
    ),
    (
        "service",
        "Operators' clients",
        &["client", "version", "call"],
        "All over HTTPS with shared access policies, but *compute-device-key*, which asks nobody.\n\
         *refused* is an error that the tests ask for; a call that is never *done* is of what \
         Muster does not have: modules, methods, jobs, configurations.",
    ),
    (
        "replay",
        "Operators' clients that were not run",
        &["client", "version", "call"],
        "What these send was written down from their sources, sent over TLS, and each answer held \
         against what the same source demands of it.\n\
         The vectors are in `e2e/vectors/service`, each with its repository, commit and file.",
    ),
];

fn rows(notes: &[Value], purpose: &str, columns: &[&str]) -> Rows {
    let text = |note: &Value, member: &str| note[member].as_str().unwrap().to_owned();
    let mut rows = Rows::new();
    for note in notes.iter().filter(|note| note["for"] == purpose) {
        let key = columns.iter().map(|column| text(note, column)).collect();
        let row = rows.entry(key).or_default();
        row.seen.insert(text(note, "seen"));
        row.tests.insert(text(note, "test"));
        row.last = row.last.clone().max(text(note, "date"));
    }
    rows
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
