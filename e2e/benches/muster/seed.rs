//! Stores with very many enrollments, written through the store's own interface and kept.

use crate::server::{DPS_NAME, Scene, Server};
use attestation::SymmetricKey;
use attestation::x509::Certificate;
use model::{Etag, RegistrationId, ServiceName, Timestamp};
use provisioning::enrollment::{
    Individual, IndividualAttestation, KeyPair, Settings, Slots, Stamp,
};
use rcgen::{CertificateParams, SerialNumber};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{Commit, Store, Write};
use store_sqlite::{Options, Sqlite};

/// One enrollment in so many is by certificate, the others by key.
pub(crate) const CERTIFICATE_EVERY: u64 = 10;
/// Enrollments of one commit.
const COMMIT_ENROLLMENTS: u64 = 1_000;
/// Commits that wait for the writer, so that it is never idle.
const COMMITS_AT_ONCE: usize = 8;
/// Written when a store is whole.
const WHOLE: &str = "whole";
/// The part of the template's serial number that is found again in its bytes.
const SERIAL: [u8; 16] = *b"\x55muster-serial\xaa\xbb";

/// The enrollments of a store, by number.
pub(crate) struct Enrollments {
    template: Vec<u8>,
    serial_at: usize,
}

impl Enrollments {
    /// As the stores below `dir` hold them: the template is kept with them.
    pub(crate) fn new_in(dir: &Path) -> Self {
        let file = dir.join("template.der");
        if !file.exists() {
            fs::write(&file, Self::make_template()).unwrap();
        }
        let template = fs::read(file).unwrap();
        let serial_at = template.windows(SERIAL.len()).position(|part| part == SERIAL).unwrap();
        Self { template, serial_at }
    }

    fn make_template() -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    pub(crate) fn id(number: u64) -> RegistrationId {
        RegistrationId::parse(&format!("unit-{number:08}")).unwrap()
    }

    pub(crate) fn key(number: u64) -> SymmetricKey {
        SymmetricKey::from_bytes(number.to_be_bytes().repeat(4)).unwrap()
    }

    pub(crate) fn is_by_certificate(number: u64) -> bool {
        number.is_multiple_of(CERTIFICATE_EVERY)
    }

    /// A certificate that nobody issued, of the size of a real one and with a hash of its own.
    pub(crate) fn certificate(&self, number: u64) -> Certificate {
        let mut der = self.template.clone();
        let tail = self.serial_at + SERIAL.len() - 8;
        der[tail..tail + 8].copy_from_slice(&number.to_be_bytes());
        Certificate::from_der(&der).unwrap()
    }

    fn individual(&self, number: u64) -> Individual {
        let attestation = if Self::is_by_certificate(number) {
            let primary = Some(self.certificate(number));
            IndividualAttestation::ClientCertificates(Slots { primary, secondary: None })
        } else {
            let key = Self::key(number);
            IndividualAttestation::SymmetricKey(KeyPair { primary: key.clone(), secondary: key })
        };
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        Individual {
            registration_id: Self::id(number),
            device_id: None,
            attestation,
            settings: Settings::default(),
            optional_device_information: None,
            stamp: Stamp { etag: Etag::new("seeded"), created: now, updated: now },
        }
    }
}

/// A store that was made or found.
pub(crate) struct Seeded {
    pub(crate) data: PathBuf,
    /// How long it took to write; none if it was found.
    pub(crate) took: Option<Duration>,
}

/// A data directory with so many enrollments, below `dir`.
pub(crate) fn seeded(dir: &Path, enrollments: &Enrollments, count: u64) -> Seeded {
    let data = dir.join(format!("data-{count}"));
    if data.join(WHOLE).exists() {
        return Seeded { data, took: None };
    }
    if data.exists() {
        fs::remove_dir_all(&data).unwrap();
    }
    e2e::Pki::in_dir(dir.join("pki")).root("root");
    let scene = Scene { root: "pki/root.pem", group_key: crate::registrations::GROUP_KEY };
    let fixture = dir.join("fixture.toml");
    fs::write(&fixture, scene.fixture()).unwrap();
    Server::start(&data, Some(&fixture)).process.stop();
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(write(&data.join("control.db"), enrollments, count));
    fs::write(data.join(WHOLE), "").unwrap();
    Seeded { data, took: Some(begun.elapsed()) }
}

async fn write(database: &Path, enrollments: &Enrollments, count: u64) {
    let store = std::sync::Arc::new(Sqlite::open(database, Options::default()).unwrap());
    let dps = ServiceName::parse(DPS_NAME).unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    let mut first = 0;
    while first < count {
        let end = count.min(first + COMMIT_ENROLLMENTS);
        let writes = (first..end)
            .map(|number| Write::Individual(dps.clone(), Box::new(enrollments.individual(number))));
        let commit = Commit { writes: writes.collect(), ..Commit::default() };
        if waiting.len() >= COMMITS_AT_ONCE {
            waiting.join_next().await.unwrap().unwrap();
        }
        let store = std::sync::Arc::clone(&store);
        waiting.spawn(async move { store.commit(commit).await.map(|_| ()).unwrap() });
        first = end;
    }
    waiting.join_all().await;
}
