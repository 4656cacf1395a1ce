//! When the server's certificates end, and whether their files are sound: for monitoring.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use model::Timestamp;
use service::Attesting;

/// What a certificate is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateKind {
    /// One that the operator gave to the server.
    Own,
    /// The CA that signs for all other names.
    DevelopmentCa,
}

/// The kind of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// On one of the curves P-256, P-384 and P-521.
    Ecdsa,
    /// RSA.
    Rsa,
}

/// Which certificate it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// What it is to the server.
    pub kind: CertificateKind,
    /// The first name that it is shown for, such as `dps.example.com` or `*.example.com`; empty
    /// for a CA.
    pub name: String,
    /// The kind of its key.
    pub key: KeyKind,
}

/// How the server's certificates stand; whoever reads and replaces them tells it.
#[derive(Debug, Default)]
pub struct CertificateStatus(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    ends: BTreeMap<Shown, Timestamp>,
    attesting: BTreeMap<Attesting, Timestamp>,
    faulty: usize,
    replaced: u64,
}

impl CertificateStatus {
    /// The certificates in use, each with the last second in which it is valid, and how many have
    /// files with a fault.
    pub fn stand(&self, ends: impl IntoIterator<Item = (Shown, Timestamp)>, faulty: usize) {
        let mut standing = self.lock();
        standing.ends = ends.into_iter().collect();
        standing.faulty = faulty;
    }

    /// The certificates that devices attest by, each with the last second in which it is valid.
    pub fn attest(&self, ends: impl IntoIterator<Item = (Attesting, Timestamp)>) {
        self.lock().attesting = ends.into_iter().collect();
    }

    /// One more was replaced.
    pub fn count_replaced(&self) {
        let mut standing = self.lock();
        standing.replaced = standing.replaced.saturating_add(1);
    }

    pub(crate) fn ends(&self) -> BTreeMap<Shown, Timestamp> {
        self.lock().ends.clone()
    }

    pub(crate) fn attesting(&self) -> BTreeMap<Attesting, Timestamp> {
        self.lock().attesting.clone()
    }

    pub(crate) fn faulty(&self) -> usize {
        self.lock().faulty
    }

    pub(crate) fn replaced(&self) -> u64 {
        self.lock().replaced
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        match self.0.lock() {
            Ok(standing) => standing,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
