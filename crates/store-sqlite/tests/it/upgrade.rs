//! A data directory of every earlier schema, opened by this program: `tests/upgrade` has one of
//! each, as the program of its time wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use events::Queued;
use model::{DeviceId, RegistrationId};
use provisioning::enrollment::IndividualAttestation;
use serde::Serialize;
use serde_json::Value;
use store::{Commit, Deliveries, Devices, Enrollments, Events, Instances};
use store::{Registrations, Store, Write};
use store_sqlite::{OpenError, Options, Sqlite};

use crate::scratch::Scratch;

/// More than any dump has of anything.
const ALL: usize = 1_000;

fn dumps() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut dumps: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|kind| kind == "sql")).collect();
    assert!(!dumps.is_empty());
    dumps.sort();
    dumps
}

/// A directory with the database of a dump.
fn restored(dump: &Path) -> Scratch {
    let scratch = Scratch::new();
    scratch.connection().execute_batch(&fs::read_to_string(dump).unwrap()).unwrap();
    scratch
}

/// The documents that the dump has, by table and key.
struct Dumped {
    file: PathBuf,
    documents: BTreeMap<(String, String), Value>,
}

impl Dumped {
    fn read(file: &Path, scratch: &Scratch) -> Self {
        let connection = scratch.connection();
        let mut documents = BTreeMap::new();
        for (table, key) in [
            ("dps", "name"),
            ("ca_certificate", "dps || '/' || key"),
            ("enrollment_group", "dps || '/' || key"),
            ("individual", "dps || '/' || key"),
            ("registration", "dps || '/' || key"),
            ("hub", "host"),
            ("device", "hub || '/' || id"),
            ("twin", "hub || '/' || id"),
        ] {
            let sql = format!("SELECT {key}, doc FROM {table}");
            let mut statement = connection.prepare(&sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let text: String = row.get(1).unwrap();
                let mut document: Value = serde_json::from_str(&text).unwrap();
                // A record had its chain twice; that of its explanation is left.
                if table == "registration"
                    && let Some(chain) = document.as_object_mut().unwrap().remove("chain")
                {
                    assert_eq!(chain, document["explanation"]["chain"]);
                }
                documents.insert((table.to_owned(), row.get(0).unwrap()), document);
            }
        }
        Self { file: file.to_owned(), documents }
    }

    /// The value is the document of this row, which is crossed off.
    #[track_caller]
    fn is(&mut self, table: &str, key: &str, value: &impl Serialize) {
        let found = self.documents.remove(&(table.to_owned(), key.to_owned()));
        let document = found.unwrap_or_else(|| panic!("the dump has no {key} in {table}"));
        let value = serde_json::to_value(value).unwrap();
        assert!(holds(&document, &value), "{table} {key}: {document:#}\nbecame {value:#}");
    }

    fn keys(&self, table: &str, under: &str) -> Vec<String> {
        let of = |(found, key): &(String, String)| {
            let rest = key.strip_prefix(under)?.strip_prefix('/')?;
            (found == table).then(|| rest.to_owned())
        };
        self.documents.keys().filter_map(of).collect()
    }
}

/// Whether everything of the old document is in the new one, which may have more members.
fn holds(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().all(|(key, value)| new.get(key).is_some_and(|found| holds(value, found)))
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| holds(old, new))
        }
        (old, new) => old == new,
    }
}

async fn every_row_reads_back(store: &Sqlite, dumped: &mut Dumped) {
    for dps in store.all_dps().await.unwrap() {
        let name = &dps.value.name;
        dumped.is("dps", name.as_str(), &dps.value);
        let instance = store.instance(name).await.unwrap().unwrap();
        for group in &instance.groups {
            let id = &group.value.id;
            dumped.is("enrollment_group", &format!("{name}/{}", id.key()), &group.value);
            assert!(store.group(name, id).await.unwrap().is_some());
        }
        for ca in &instance.ca_certificates {
            dumped.is("ca_certificate", &format!("{name}/{}", ca.value.name.key()), &ca.value);
        }
        let views = store.individual_views(name, None, ALL).await.unwrap().views;
        let entries: Vec<_> = views.into_iter().map(|view| view.individual).collect();
        let count = u64::try_from(entries.len()).unwrap();
        assert_eq!(store.individual_count(name).await.unwrap(), count);
        for entry in entries {
            let id = entry.value.registration_id.key();
            dumped.is("individual", &format!("{name}/{id}"), &entry.value);
            if let IndividualAttestation::ClientCertificates(slots) = &entry.value.attestation {
                for leaf in [&slots.primary, &slots.secondary].into_iter().flatten() {
                    let found = store.individuals_by_leaf(name, &leaf.content_hash()).await;
                    assert_eq!(
                        found.unwrap()[0].value.registration_id,
                        entry.value.registration_id
                    );
                }
            }
        }
        for key in dumped.keys("registration", name.as_str()) {
            let id = RegistrationId::parse(&key).unwrap();
            let view = store.registration_view(name, &id, None).await.unwrap().unwrap();
            let record = view.registration.unwrap();
            dumped.is("registration", &format!("{name}/{key}"), &record.value);
        }
    }
    for hub in store.all_hubs().await.unwrap() {
        let host = &hub.value.host;
        dumped.is("hub", host.as_str(), &hub.value);
        let listed = store.devices(host, None, ALL).await.unwrap().rows.len();
        let ids = dumped.keys("device", host.as_str());
        assert_eq!(listed, ids.len());
        for key in ids {
            let id = DeviceId::parse(&key).unwrap();
            let view = store.device(host, &id).await.unwrap().unwrap();
            dumped.is("device", &format!("{host}/{key}"), &view.device.value);
            dumped.is("twin", &format!("{host}/{key}"), &view.twin.value);
        }
    }
    for row in store.subscriptions().await.unwrap() {
        let name = &row.value.name;
        let waiting = store.deliveries(name, Deliveries::Waiting, 0, ALL).await.unwrap();
        let subject = |row: &Queued| row.delivery.event.subject.clone();
        let subjects: BTreeSet<_> = waiting.iter().map(subject).collect();
        let firsts = store.first_deliveries(name, ALL).await.unwrap();
        assert_eq!(firsts.iter().map(subject).collect::<BTreeSet<_>>(), subjects);
    }
    let left: Vec<_> = dumped.documents.keys().collect();
    assert!(left.is_empty(), "{}: nobody reads {left:?}", dumped.file.display());
}

#[tokio::test]
async fn every_row_of_every_earlier_schema_reads_back_and_can_be_written() {
    for dump in dumps() {
        let scratch = restored(&dump);
        let mut dumped = Dumped::read(&dump, &scratch);
        let changes = scratch.query("SELECT count(*) FROM change");
        let store = scratch.open(Options::default());
        every_row_reads_back(&store, &mut dumped).await;
        let seen = store.changes_after(0, ALL).await.unwrap();
        assert_eq!(i64::try_from(seen.len()).unwrap(), changes);
        let dps = store.all_dps().await.unwrap().remove(0).value;
        let writes = vec![Write::Dps(Box::new(dps))];
        store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
        drop(store);
        let mut again = Dumped::read(&dump, &scratch);
        every_row_reads_back(&scratch.open(Options::default()), &mut again).await;
    }
}

#[tokio::test]
async fn a_data_directory_of_a_newer_program_is_refused_and_left_alone() {
    let scratch = restored(&dumps()[0]);
    scratch.connection().execute_batch("UPDATE schema_version SET version = 9000").unwrap();
    let error = Sqlite::open(&scratch.database(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::TooNew { found: 9000, .. }), "{error}");
    assert!(error.to_string().contains("written by a newer program"), "{error}");
    assert_eq!(scratch.query("SELECT version FROM schema_version"), 9000);
}
