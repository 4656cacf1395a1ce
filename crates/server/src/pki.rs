//! The development CA, and the server certificates that it signs as hosts come.
//!
//! The CA's key and the RSA key are kept in the data directory, or nowhere ([`Keys`]); server
//! certificates are made in memory when a client first asks for a host, one name each, so that a
//! new service's certificate is there at once.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result};
use gateway::tls::{CertifiedPair, KeyKind, ServerCertificates};
use model::{HostName, Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512,
    PublicKeyData, RsaKeySize, SanType,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use service::{Clock, Service};

use crate::files;

/// The CA's common name.
const CA_NAME: &str = "Muster development CA";
/// How long the CA is valid, in days.
const CA_DAYS: i64 = 3650;
/// How long a server certificate is valid, in days; clients refuse longer ones than 398.
const SERVER_DAYS: i64 = 90;
/// A server certificate is made anew when it has fewer days left; so is the CA's own, at a start.
const SERVER_DAYS_LEFT_MIN: i64 = 30;
/// How far back validity begins, for clients whose clocks are slow.
const BACKDATED_SECONDS: i64 = 86_400;
const DAY_SECONDS: i64 = 86_400;

/// The development CA and what it has signed.
pub(crate) struct DevelopmentCa {
    issuer: Issuer<'static, KeyPair>,
    ca: attestation::x509::Certificate,
    ecdsa: KeyPair,
    rsa_file: Option<PathBuf>,
    rsa: OnceLock<Option<KeyPair>>,
    made: Mutex<HashMap<String, Made>>,
    service: OnceLock<Arc<Service>>,
    clock: Arc<dyn Clock>,
    origin: Origin,
}

/// Where a CA is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An earlier start has left it.
    Found,
    /// This start has put it there.
    Made,
}

struct Made {
    pair: Arc<CertifiedPair>,
    renew_at: Timestamp,
}

/// Where the private keys are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// In the directory, for the next start.
    InFiles,
    /// In memory alone; the directory gets `ca.pem`.
    InMemory,
}

/// A CA that an operator brings along: certificate and key, checked to belong together.
#[derive(Debug)]
pub(crate) struct GivenCa {
    certificate_pem: String,
    key_pem: Secret<String>,
}

impl GivenCa {
    /// Checks a certificate and its key, both in PEM.
    ///
    /// # Errors
    /// A sentence that names the part that is wrong.
    pub(crate) fn parse(certificate: &str, key: &str) -> Result<Self, String> {
        let read = attestation::x509::Certificate::from_upload(certificate.as_bytes())
            .map_err(|error| format!("certificate: {error}"))?;
        if !read.is_ca() {
            return Err("certificate: is not a CA certificate (CA:TRUE is missing)".to_owned());
        }
        let pair = KeyPair::from_pem(key)
            .map_err(|_| "key: is not an unencrypted private key in PEM".to_owned())?;
        if pair.subject_public_key_info() != read.spki_der() {
            return Err("key: is not the key of the certificate".to_owned());
        }
        Ok(Self { certificate_pem: certificate.to_owned(), key_pem: Secret::new(key.to_owned()) })
    }
}

impl DevelopmentCa {
    /// Reads the CA from the directory, or puts it there: the one that is given, else a new one.
    pub(crate) fn open(
        dir: &Path,
        keys: Keys,
        given: Option<&GivenCa>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        files::private_dir(dir)?;
        let certificate_file = dir.join("ca.pem");
        let key_file = dir.join("ca.key.pem");
        let there = certificate_file.exists() && key_file.exists();
        let origin = match keys == Keys::InFiles && there {
            true => Origin::Found,
            false => Origin::Made,
        };
        let (pem, key) = if origin == Origin::Found {
            let read = |file: &Path| {
                fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))
            };
            (read(&certificate_file)?, read(&key_file)?)
        } else {
            let (pem, key) = match given {
                Some(given) => (given.certificate_pem.clone(), given.key_pem.expose().clone()),
                None => make_ca(clock.now())?,
            };
            if keys == Keys::InFiles {
                files::write_private(&key_file, key.as_bytes())?;
            }
            files::write_public(&certificate_file, pem.as_bytes())?;
            (pem, key)
        };
        let key = KeyPair::from_pem(&key)
            .with_context(|| format!("{} is not a key", key_file.display()))?;
        let pem = match renewed(&pem, &key, clock.now())? {
            Some(fresh) => {
                files::write_public(&certificate_file, fresh.as_bytes())?;
                tracing::warn!(
                    "the development CA was near its end and is renewed with the same key: \
                     give {} to whoever trusts it",
                    certificate_file.display()
                );
                fresh
            }
            None => pem,
        };
        let issuer = Issuer::from_ca_cert_pem(&pem, key)
            .with_context(|| format!("{} is not a CA certificate", certificate_file.display()))?;
        let ca = attestation::x509::Certificate::from_upload(pem.as_bytes())
            .map_err(|error| anyhow::anyhow!("{}: {error}", certificate_file.display()))?;
        Ok(Self {
            issuer,
            ca,
            ecdsa: KeyPair::generate().context("can not make a key")?,
            rsa_file: (keys == Keys::InFiles).then(|| dir.join("server-rsa.key.pem")),
            rsa: OnceLock::new(),
            made: Mutex::default(),
            service: OnceLock::new(),
            clock,
            origin,
        })
    }

    /// From now on, certificates are made for the hosts of this service's directory.
    pub(crate) fn serve(&self, service: Arc<Service>) {
        // A second call would be a fault of ours without consequence: the service is the same.
        let _ = self.service.set(service);
    }

    /// Whether it was there already.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// The last second in which the CA is valid.
    pub(crate) fn ends(&self) -> Timestamp {
        self.ca.not_after()
    }

    /// The CA's certificate, as PEM text.
    pub(crate) fn pem(&self) -> String {
        self.ca.to_pem()
    }

    /// The kind of the CA's key.
    pub(crate) fn key_kind(&self) -> KeyKind {
        let rsa = [&PKCS_RSA_SHA256, &PKCS_RSA_SHA384, &PKCS_RSA_SHA512];
        match rsa.contains(&self.issuer.key().algorithm()) {
            true => KeyKind::Rsa,
            false => KeyKind::Ecdsa,
        }
    }

    /// The RSA key, for clients without ECDSA; made once, on the first call.
    pub(crate) fn rsa(&self) -> Option<&KeyPair> {
        let made = self.rsa.get_or_init(|| match rsa_key(self.rsa_file.as_deref()) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "there is no RSA server key");
                None
            }
        });
        made.as_ref()
    }

    fn pair(&self, host: &str) -> Result<CertifiedPair> {
        let ecdsa = Some(Arc::new(self.certified(host, &self.ecdsa)?));
        // Not waited for: making an RSA key takes longer than starting the server.
        let rsa = match self.rsa.get().and_then(Option::as_ref) {
            Some(key) => Some(Arc::new(self.certified(host, key)?)),
            None => None,
        };
        Ok(CertifiedPair { ecdsa, rsa })
    }

    fn certified(&self, host: &str, key: &KeyPair) -> Result<CertifiedKey> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(host.try_into()?)];
        params.distinguished_name = named(host);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        valid(&mut params, self.clock.now(), SERVER_DAYS)?;
        let leaf = params.signed_by(key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![leaf.der().clone(), CertificateDer::from(self.ca.der().to_vec())];
        Ok(CertifiedKey::new(chain, any_supported_type(&private)?))
    }

    /// The name to certify: one of the directory's, else the alias (never what a stranger says).
    fn certifiable(&self, sni: Option<&str>) -> String {
        let known = sni.and_then(|name| HostName::parse(name).ok()).filter(|host| {
            self.service.get().is_some_and(|service| service.directory().endpoint(host).is_some())
        });
        known.map_or_else(|| "localhost".to_owned(), |host| host.to_string())
    }
}

impl ServerCertificates for DevelopmentCa {
    fn for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedPair>> {
        let host = self.certifiable(sni);
        let mut made = match self.made.lock() {
            Ok(made) => made,
            Err(poisoned) => poisoned.into_inner(),
        };
        let now = self.clock.now();
        let has_rsa = self.rsa.get().is_some_and(Option::is_some);
        let whole = |pair: &CertifiedPair| pair.rsa.is_some() || !has_rsa;
        let good = |found: &&Made| now < found.renew_at && whole(&found.pair);
        if let Some(found) = made.get(&host).filter(good) {
            return Some(Arc::clone(&found.pair));
        }
        match self.pair(&host) {
            Ok(pair) => {
                let pair = Arc::new(pair);
                let left = SERVER_DAYS.saturating_sub(SERVER_DAYS_LEFT_MIN);
                let seconds = u64::try_from(left * DAY_SECONDS).unwrap_or_default();
                let renew_at = now.plus(std::time::Duration::from_secs(seconds));
                made.insert(host, Made { pair: Arc::clone(&pair), renew_at });
                Some(pair)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(host.name = host, error, "no server certificate could be made");
                None
            }
        }
    }

    fn rsa_for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.rsa()?;
        self.for_name(sni)?.rsa.clone()
    }
}

/// A new CA: its certificate and its key, in PEM.
fn make_ca(now: Timestamp) -> Result<(String, String)> {
    let key = KeyPair::generate().context("can not make a key")?;
    Ok((ca_certificate(&key, now)?, key.serialize_pem()))
}

fn ca_certificate(key: &KeyPair, now: Timestamp) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, CA_DAYS)?;
    Ok(params.self_signed(key)?.pem())
}

/// A new certificate for a CA of ours that is near its end; one that was given is its giver's.
///
/// Name and key stay, so that server certificates hold against the old one as well.
fn renewed(pem: &str, key: &KeyPair, now: Timestamp) -> Result<Option<String>> {
    let Ok(ca) = attestation::x509::Certificate::from_upload(pem.as_bytes()) else {
        return Ok(None);
    };
    let is_ours = ca.is_self_issued() && ca.common_name() == Ok(CA_NAME);
    let left = ca.not_after().unix_seconds() - now.unix_seconds();
    match is_ours && left < SERVER_DAYS_LEFT_MIN * DAY_SECONDS {
        true => ca_certificate(key, now).map(Some),
        false => Ok(None),
    }
}

fn rsa_key(file: Option<&Path>) -> Result<KeyPair> {
    if let Some(file) = file.filter(|file| file.exists()) {
        let pem = fs::read_to_string(file)?;
        return Ok(KeyPair::from_pem(&pem)?);
    }
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    if let Some(file) = file {
        files::write_private(file, key.serialize_pem().as_bytes())?;
    }
    Ok(key)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn valid(params: &mut CertificateParams, now: Timestamp, days: i64) -> Result<()> {
    let at = |seconds: i64| {
        let text = Timestamp::from_unix_seconds(seconds).to_string();
        let number = |range: std::ops::Range<usize>| -> Result<i32> {
            Ok(text.get(range).context("a timestamp has its digits")?.parse()?)
        };
        let month = u8::try_from(number(5..7)?)?;
        let day = u8::try_from(number(8..10)?)?;
        Ok::<_, anyhow::Error>(rcgen::date_time_ymd(number(0..4)?, month, day))
    };
    params.not_before = at(now.unix_seconds() - BACKDATED_SECONDS)?;
    params.not_after = at(now.unix_seconds() + days * DAY_SECONDS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    /// The CA as a start finds it so many days after the first.
    fn open(dir: &Path, days: i64, given: Option<&GivenCa>) -> DevelopmentCa {
        DevelopmentCa::open(dir, Keys::InFiles, given, Arc::new(At(day(days)))).unwrap()
    }

    fn day(days: i64) -> Timestamp {
        Timestamp::from_unix_seconds((20_000 + days) * DAY_SECONDS)
    }

    /// A directory that is removed when it is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("muster-pki-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_development_ca_is_renewed_at_a_start_near_its_end_and_its_key_stays() {
        let scratch = Scratch::new("renewed");
        let first = open(&scratch.0, 0, None).ca;
        let last = CA_DAYS - SERVER_DAYS_LEFT_MIN;
        assert_eq!(open(&scratch.0, last, None).ca, first, "30 days are enough");
        let renewed = open(&scratch.0, last + 1, None);
        assert_ne!(renewed.ca, first);
        assert_eq!(renewed.ends(), day(last + 1 + CA_DAYS));
        // Whoever trusts the old one takes the server's certificate until the old one ends.
        let shown = renewed.for_name(None).unwrap().ecdsa.clone().unwrap();
        let leaf = attestation::x509::Certificate::from_der(&shown.cert[0]).unwrap();
        for ca in [&first, &renewed.ca] {
            leaf.verify_signed_by(ca).unwrap();
            assert_eq!(leaf.issuer_raw(), ca.subject_raw());
        }
        assert_eq!(open(&scratch.0, CA_DAYS, None).ca, renewed.ca, "it is kept");
    }

    #[test]
    fn a_given_ca_is_left_to_its_giver() {
        let scratch = Scratch::new("given");
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("the giver's");
        valid(&mut params, day(0), 10).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let given = GivenCa::parse(&pem, &key.serialize_pem()).unwrap();
        let first = open(&scratch.0, 0, Some(&given));
        assert_eq!(open(&scratch.0, 9, None).ca, first.ca);
        assert_eq!(first.ends(), day(10));
    }

    #[test]
    fn a_server_certificate_is_made_anew_while_the_server_runs() {
        let scratch = Scratch::new("server");
        let mut ca = open(&scratch.0, 0, None);
        let shown = |ca: &DevelopmentCa| ca.for_name(None).unwrap().ecdsa.clone().unwrap();
        let first = shown(&ca);
        ca.clock = Arc::new(At(day(SERVER_DAYS - SERVER_DAYS_LEFT_MIN - 1)));
        assert!(Arc::ptr_eq(&shown(&ca), &first));
        ca.clock = Arc::new(At(day(SERVER_DAYS - SERVER_DAYS_LEFT_MIN)));
        assert!(!Arc::ptr_eq(&shown(&ca), &first));
    }
}
