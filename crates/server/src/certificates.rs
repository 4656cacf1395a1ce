//! The server's own certificates: which one is shown for which name, from which files.
//!
//! What it is: the files of the configuration, read and judged ([`read`]), shown by name, and
//! looked at again while the server runs ([`watch`]). The development CA stands in for every
//! name that no own certificate has.
//!
//! Invariants: a handshake is answered from memory. A replacement with a fault changes nothing
//! that is shown. No private key outlives the certificate that it belongs to.

pub(crate) mod attesting;
mod expiry;
pub(crate) mod issuers;
pub(crate) mod read;
mod watched;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use gateway::tls::{
    CertificateKind, CertificateStatus, CertifiedPair, KeyKind, ServerCertificates, Shown,
};
use model::{HostName, Sha256, Timestamp};
use rustls::sign::CertifiedKey;
use service::Clock;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::config::tls::{CertificateFiles, Tls};
use crate::environment::SystemClock;
use crate::files;
use crate::pki::DevelopmentCa;
use expiry::Stage;
use read::{Name, Own};
pub(crate) use watched::Look;
use watched::{News, Watched};

/// How often the files are looked at again. They are read whole and compared, so that every way
/// of replacing them is seen, on every file system.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of a chain's or key's file that are read; real ones stay under 16 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// What the CLI on this machine believes, beside `ca.pem`: it and the top of each own chain.
pub(crate) const TRUSTED: &str = "trusted.pem";

/// A certificate's files as they are now.
struct Held {
    chain: Result<String, String>,
    key: Result<String, String>,
    /// Of both, or of what keeps them from being read.
    hash: Sha256,
}

impl Held {
    fn of(from: &CertificateFiles) -> Self {
        let (chain, key) = (content(&from.chain), content(&from.key));
        let hash = |part: &Result<String, String>| match part {
            Ok(text) | Err(text) => attestation::sha256(text.as_bytes()),
        };
        let hash = attestation::sha256(&[hash(&chain).0, hash(&key).0].concat());
        Self { chain, key, hash }
    }

    fn read(&self, hosts: &[HostName], now: Timestamp) -> Result<Own, Vec<String>> {
        match (&self.chain, &self.key) {
            (Ok(chain), Ok(key)) => read::read(chain, key, hosts, now),
            (chain, key) => Err([("chain", chain), ("key", key)]
                .into_iter()
                .filter_map(|(name, part)| Some(format!("{name}: {}", part.as_ref().err()?)))
                .collect()),
        }
    }
}

fn content(file: &Path) -> Result<String, String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) => {
            Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", file.display()))
        }
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Whether everybody on the machine can read a key.
fn is_open(key: &Path) -> bool {
    fs::metadata(key).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

/// The certificates of the configuration, read and judged, each with what is odd about it.
pub(crate) struct Loaded {
    watched: Vec<Watched>,
    /// What is no fault, and should be known.
    pub(crate) warnings: Vec<String>,
}

/// Reads all certificates.
///
/// # Errors
/// Every fault of every one, each with its key in the configuration.
pub(crate) fn load(all: &[CertificateFiles], now: Timestamp) -> Result<Loaded, Vec<String>> {
    let (mut faults, mut warnings, mut watched) = (Vec::new(), Vec::new(), Vec::new());
    let mut names: HashMap<(Name, KeyKind), String> = HashMap::new();
    for (at, from) in (0_usize..).zip(all) {
        let at = format!("tls.certificates[{at}]");
        let held = Held::of(from);
        if is_open(&from.key) {
            let key = from.key.display();
            warnings.push(format!("{at}.key: everybody on this machine can read {key}; chmod 600"));
        }
        match held.read(&from.hosts, now) {
            Ok(own) => {
                warnings.extend(own.warnings.iter().map(|warning| format!("{at}.{warning}")));
                for name in &own.names {
                    if let Some(other) = names.insert((name.clone(), own.key), at.clone()) {
                        faults.push(format!(
                            "{at}: {other} is for {name} as well, with a key of the same kind; \
                             list the hosts of each"
                        ));
                    }
                }
                watched.push(Watched::new(own, held.hash));
            }
            Err(found) => faults.extend(found.into_iter().map(|fault| format!("{at}.{fault}"))),
        }
    }
    if faults.is_empty() { Ok(Loaded { watched, warnings }) } else { Err(faults) }
}

/// Every fault of the certificates that a configuration names, as they are now.
pub(crate) fn faults(tls: &Tls) -> Vec<String> {
    load(&tls.certificates, SystemClock.now()).err().unwrap_or_default()
}

/// What is shown for which name.
#[derive(Debug, Default)]
struct Table {
    hosts: HashMap<HostName, Arc<CertifiedPair>>,
    below: HashMap<HostName, Arc<CertifiedPair>>,
}

impl Table {
    /// Of two with the same name and kind of key the first is shown.
    fn new<'a>(all: impl Iterator<Item = &'a Arc<Own>>) -> Self {
        let mut pairs: HashMap<Name, CertifiedPair> = HashMap::new();
        for own in all {
            for name in &own.names {
                let pair = pairs.entry(name.clone()).or_default();
                half(pair, own.key).get_or_insert_with(|| Arc::clone(&own.certified));
            }
        }
        let mut table = Self::default();
        for (name, pair) in pairs {
            let (map, key) = match name {
                Name::Host(host) => (&mut table.hosts, host),
                Name::Below(domain) => (&mut table.below, domain),
            };
            map.insert(key, Arc::new(pair));
        }
        table
    }

    fn pair(&self, host: &HostName) -> Option<&Arc<CertifiedPair>> {
        self.hosts.get(host).or_else(|| {
            let (_, domain) = host.as_str().split_once('.')?;
            self.below.get(&HostName::parse(domain).ok()?)
        })
    }
}

const fn half(pair: &mut CertifiedPair, key: KeyKind) -> &mut Option<Arc<CertifiedKey>> {
    match key {
        KeyKind::Ecdsa => &mut pair.ecdsa,
        KeyKind::Rsa => &mut pair.rsa,
    }
}

/// The own certificates, and the development CA for all other names.
pub(crate) struct Certificates {
    files: Vec<CertificateFiles>,
    watched: Mutex<Vec<Watched>>,
    table: RwLock<Arc<Table>>,
    development: Arc<DevelopmentCa>,
    development_told: Mutex<Stage>,
    /// What clients on this machine believe; none without own certificates.
    trusted: Option<PathBuf>,
    status: Arc<CertificateStatus>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Shows what was loaded from these files.
    ///
    /// # Errors
    /// Where [`TRUSTED`] can not be written into `dir`.
    pub(crate) fn new(
        files: &[CertificateFiles],
        loaded: Loaded,
        development: Arc<DevelopmentCa>,
        dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let table = Table::new(loaded.watched.iter().map(Watched::own));
        let own = Self {
            files: files.to_vec(),
            trusted: (!files.is_empty()).then(|| dir.join(TRUSTED)),
            watched: Mutex::new(loaded.watched),
            table: RwLock::new(Arc::new(table)),
            development,
            development_told: Mutex::new(Stage::Far),
            status: Arc::default(),
            clock,
        };
        own.write_trusted(&lock(&own.watched))?;
        own.look(Look::Poll);
        Ok(own)
    }

    /// The file of CA certificates that a client on this machine needs.
    pub(crate) fn trusted(&self) -> Option<&Path> {
        self.trusted.as_deref()
    }

    /// For monitoring.
    pub(crate) fn status(&self) -> Arc<CertificateStatus> {
        Arc::clone(&self.status)
    }

    /// A line for a person about each own certificate.
    pub(crate) fn lines(&self) -> Vec<String> {
        let now = self.clock.now();
        let line = |own: &Arc<Own>| {
            let days = expiry::days_left(own.ends, now);
            let until = own.ends.to_string();
            let date = until.split('T').next().unwrap_or_default();
            format!("{} ({}), until {date}, {days} days", listed(own), word(own.key))
        };
        lock(&self.watched).iter().map(Watched::own).map(line).collect()
    }

    /// Looks at the files and the dates; says what is new.
    pub(crate) fn look(&self, look: Look) {
        let now = self.clock.now();
        let mut all = lock(&self.watched);
        let mut replaced = false;
        for (watched, from) in all.iter_mut().zip(&self.files) {
            let held = Held::of(from);
            let news = watched.look(held.hash, || held.read(&from.hosts, now), look);
            replaced |= matches!(news, Some(News::Replaced));
            self.say(news, watched, from);
            if let Some(stage) = expiry::due(watched.own().ends, now, watched.told) {
                watched.told = stage;
                let own = watched.own();
                say_end(&format!("the certificate of {}", listed(own)), own.ends, stage, now);
            }
        }
        if replaced {
            let table = Arc::new(Table::new(all.iter().map(Watched::own)));
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
            if let Err(error) = self.write_trusted(&all) {
                tracing::error!(error = format!("{error:#}"), "the CLI may not trust the server");
            }
        }
        let mut told = lock(&self.development_told);
        if let Some(stage) = expiry::due(self.development.ends(), now, *told) {
            *told = stage;
            say_end("the development CA", self.development.ends(), stage, now);
        }
        self.stand(&all);
    }

    fn say(&self, news: Option<News>, watched: &Watched, from: &CertificateFiles) {
        let own = watched.own();
        let (names, chain) = (listed(own), from.chain.display());
        match news {
            None => {}
            Some(News::Replaced) => {
                self.status.count_replaced();
                let thumbprint = own.thumbprint;
                tracing::info!(
                    tls.chain = %chain, tls.thumbprint = %thumbprint, tls.until = %own.ends,
                    "the certificate of {names} was replaced; new connections are shown it"
                );
                for warning in &own.warnings {
                    tracing::warn!(tls.chain = %chain, "{warning}");
                }
            }
            Some(News::Refused(faults)) => tracing::error!(
                tls.chain = %chain, tls.until = %own.ends,
                "the certificate of {names} was NOT replaced, and the one before is shown on: {}",
                faults.join("; ")
            ),
            Some(News::Mended) => {
                tracing::info!(tls.chain = %chain, "the files of {names} hold what is shown");
            }
        }
    }

    fn stand(&self, all: &[Watched]) {
        let own = all.iter().map(|watched| {
            let own = watched.own();
            let name = own.names.first().map(Name::to_string).unwrap_or_default();
            (Shown { kind: CertificateKind::Own, name, key: own.key }, own.ends)
        });
        let ca = Shown {
            kind: CertificateKind::DevelopmentCa,
            name: String::new(),
            key: self.development.key_kind(),
        };
        let faulty = all.iter().filter(|watched| watched.is_faulty()).count();
        self.status.stand(own.chain([(ca, self.development.ends())]), faulty);
    }

    fn write_trusted(&self, all: &[Watched]) -> Result<()> {
        let Some(file) = &self.trusted else { return Ok(()) };
        let mut text = self.development.pem();
        text.extend(all.iter().map(|watched| watched.own().topmost.as_str()));
        files::write_public(file, text.as_bytes())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listed(own: &Own) -> String {
    own.names.iter().map(Name::to_string).collect::<Vec<_>>().join(", ")
}

const fn word(key: KeyKind) -> &'static str {
    match key {
        KeyKind::Ecdsa => "ECDSA",
        KeyKind::Rsa => "RSA",
    }
}

fn say_end(what: &str, ends: Timestamp, stage: Stage, now: Timestamp) {
    let days = expiry::days_left(ends, now);
    match stage {
        Stage::Far => {}
        Stage::Within(_) => {
            tracing::warn!(tls.until = %ends, "{what} ends at {ends}, {days} days from now");
        }
        Stage::Over => {
            tracing::error!(tls.until = %ends, "{what} has ended at {ends}; clients refuse it");
        }
    }
}

impl ServerCertificates for Certificates {
    fn for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedPair>> {
        self.own_pair(sni).or_else(|| self.development.for_name(sni))
    }

    fn rsa_for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        match self.own_pair(sni) {
            // Whoever believes the own certificate's issuer does not believe the development CA.
            Some(_) => None,
            None => self.development.rsa_for_name(sni),
        }
    }
}

impl Certificates {
    fn own_pair(&self, sni: Option<&str>) -> Option<Arc<CertifiedPair>> {
        let host = HostName::parse(sni?).ok()?;
        let table = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        table.pair(&host).cloned()
    }
}

/// Looks at the files every [`POLL_INTERVAL`], and at once when `asked` comes.
pub(crate) async fn watch(
    certificates: Arc<Certificates>,
    mut asked: Option<Signal>,
    shutdown: CancellationToken,
) {
    loop {
        let hangup = async {
            match &mut asked {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        let look = tokio::select! {
            () = shutdown.cancelled() => return,
            _ = hangup => Look::Asked,
            () = tokio::time::sleep(POLL_INTERVAL) => Look::Poll,
        };
        let certificates = Arc::clone(&certificates);
        if let Err(error) = tokio::task::spawn_blocking(move || certificates.look(look)).await {
            tracing::error!(%error, "the certificates' files could not be looked at");
        }
    }
}

#[cfg(test)]
mod tests;
