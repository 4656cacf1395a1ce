//! `muster ca`: certificates to practice with, made here and nowhere else; and the proof of
//! possession that a service asks of a CA.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde_json::json;

use crate::Session;
use crate::failure::{Failure, Result};

/// Certificates are valid a little before they are made: clocks of devices run late.
const BACKDATED: Duration = Duration::from_secs(3600);
const DAY_SECONDS: u64 = 86_400;
/// Length of a serial number: positive, and unpredictable. Source: RFC 5280 §4.1.2.2.
const SERIAL_BYTES: usize = 16;

/// Make certificates to practice with.
#[derive(Debug, Args)]
pub struct Ca {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a root CA: OUT.pem and OUT.key.pem.
    Root {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        life: CaLife,
    },
    /// Make an intermediate CA: OUT.pem, OUT.chain.pem and OUT.key.pem.
    Intermediate {
        #[command(flatten)]
        what: What,
        /// The CA that signs it: the --out of the command that made it.
        #[arg(long, value_name = "CA")]
        issuer: PathBuf,
        #[command(flatten)]
        life: CaLife,
    },
    /// Make a device's certificate: OUT.pem, OUT.chain.pem (what the device shows) and OUT.key.pem.
    Leaf {
        #[command(flatten)]
        what: What,
        /// The CA that signs it; self-signed when not given.
        #[arg(long, value_name = "CA")]
        issuer: Option<PathBuf>,
        /// How many days it is valid.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Prove that a CA's key is at hand: OUT.pem, for `muster iot dps certificate verify`.
    Proof {
        /// The code that `muster iot dps certificate generate-verification-code` printed.
        #[arg(long)]
        code: String,
        /// The CA whose certificate is to be verified: the --out of the command that made it.
        #[arg(long, value_name = "CA")]
        issuer: PathBuf,
        /// Where to write, without the ending.
        #[arg(long, value_name = "PATH")]
        out: PathBuf,
        /// Overwrite the file.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
struct What {
    /// Common name; of a leaf, the device's registration id.
    #[arg(long)]
    name: String,
    /// Where to write, without the endings.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// Kind of the key.
    #[arg(long, value_enum, ignore_case = true, default_value = "p256")]
    key_type: KeyType,
    /// Overwrite files.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct CaLife {
    /// How many days it is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA of 2048 bits.
    Rsa2048,
    /// Ed25519.
    Ed25519,
}

/// What a certificate may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Authority,
    Device,
    /// Shows a name and does nothing: nobody keeps its key.
    Proof,
}

/// What was written, and where.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    subject: String,
    certificate: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    sha256_thumbprint: String,
}

/// A CA, read from its files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Itself and those above it, but no root, as PEM.
    chain: String,
}

impl Ca {
    pub(crate) fn run(self, session: &mut Session) -> Result {
        let now = (session.clock)();
        let made = match &self.verb {
            Verb::Root { what, life } => what.make(Role::Authority, None, life.days, now)?,
            Verb::Intermediate { what, issuer, life } => {
                let issuer = Authority::read(issuer)?;
                what.make(Role::Authority, Some(&issuer), life.days, now)?
            }
            Verb::Leaf { what, issuer, days } => {
                let issuer = issuer.as_deref().map(Authority::read).transpose()?;
                what.make(Role::Device, issuer.as_ref(), *days, now)?
            }
            Verb::Proof { code, issuer, out, force } => {
                prove(code, &Authority::read(issuer)?, out, *force, now)?
            }
        };
        session.output.thing(&json!(made), &["subject", "certificate", "chain", "key"])
    }
}

impl What {
    fn make(
        &self,
        role: Role,
        issuer: Option<&Authority>,
        days: u32,
        now: Timestamp,
    ) -> Result<Made> {
        let (key, params) = (self.key_type.generate()?, params(&self.name, role, days, now)?);
        let certificate = match issuer {
            Some(authority) => params.signed_by(&key, &authority.issuer),
            None => params.self_signed(&key),
        };
        let certificate = certificate.map_err(|error| unmade(&error))?;
        let pem = certificate.pem();
        let chain = issuer.map(|authority| format!("{pem}{}", authority.chain));
        // A self-signed leaf is its own chain; a root is in nobody's.
        let chain = chain.or_else(|| (role == Role::Device).then(|| pem.clone()));
        let paths = [".pem", ".chain.pem", ".key.pem"].map(|ending| with_ending(&self.out, ending));
        let [pem_path, chain_path, key_path] = &paths;
        if !self.force {
            refuse_existing(&paths)?;
        }
        write_file(key_path, &key.serialize_pem(), Secrecy::OwnerOnly)?;
        write_file(pem_path, &pem, Secrecy::Public)?;
        let has_chain = chain.is_some();
        if let Some(chain) = chain {
            write_file(chain_path, &chain, Secrecy::Public)?;
        }
        Ok(Made {
            subject: format!("CN={}", self.name),
            certificate: pem_path.clone(),
            chain: has_chain.then(|| chain_path.clone()),
            key: Some(key_path.clone()),
            sha256_thumbprint: thumbprint(certificate.der()),
        })
    }
}

/// A certificate of one day with the code as its name, signed by the CA (C-01).
fn prove(code: &str, ca: &Authority, out: &Path, force: bool, now: Timestamp) -> Result<Made> {
    let (key, params) = (KeyType::P256.generate()?, params(code, Role::Proof, 1, now)?);
    let certificate = params.signed_by(&key, &ca.issuer).map_err(|error| unmade(&error))?;
    let path = with_ending(out, ".pem");
    if !force {
        refuse_existing(std::slice::from_ref(&path))?;
    }
    write_file(&path, &certificate.pem(), Secrecy::Public)?;
    Ok(Made {
        subject: format!("CN={code}"),
        certificate: path,
        chain: None,
        key: None,
        sha256_thumbprint: thumbprint(certificate.der()),
    })
}

impl KeyType {
    fn generate(self) -> Result<KeyPair> {
        match self {
            Self::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            Self::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        }
        .map_err(|error| unmade(&error))
    }
}

impl Authority {
    /// Reads what `muster ca` wrote under that name.
    fn read(out: &Path) -> Result<Self> {
        let read = |ending: &str| {
            let path = with_ending(out, ending);
            std::fs::read_to_string(&path).map_err(|error| {
                Failure::file("read", &path, &error)
                    .hint("--issuer is the --out of `muster ca root` or `muster ca intermediate`")
            })
        };
        let key = read(".key.pem")?;
        let certificate = read(".pem")?;
        let key = KeyPair::from_pem(&key).map_err(|error| unmade(&error))?;
        // By its extensions, as the service judges it: openssl's roots have no key usage.
        let may_sign = attestation::x509::Certificate::from_upload(certificate.as_bytes())
            .is_ok_and(|parsed| parsed.is_ca() && parsed.key_cert_sign());
        if !may_sign {
            return Err(Failure::usage(format!("{}.pem may not sign certificates", out.display()))
                .hint("make a CA with `muster ca intermediate`"));
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key).map_err(|error| unmade(&error))?;
        // A root has no chain file: devices do not show it.
        let chain_path = with_ending(out, ".chain.pem");
        let chain = if chain_path.exists() { read(".chain.pem")? } else { String::new() };
        Ok(Self { issuer, chain })
    }
}

/// A self-signed certificate of a device, as `az` makes one; gives its SHA-256 thumbprint.
pub(crate) fn self_signed_device(
    device_id: &str,
    dir: &Path,
    days: u32,
    now: Timestamp,
) -> Result<String> {
    let stem = dir.join(format!("{}-cert", device_id.replace(['/', '\\'], "_")));
    let what = What {
        name: device_id.to_owned(),
        out: stem.clone(),
        key_type: KeyType::P256,
        force: false,
    };
    let made = what.make(Role::Device, None, days, now)?;
    eprintln!("note: wrote {0}.pem, its chain and its key {0}.key.pem", stem.display());
    Ok(made.sha256_thumbprint)
}

fn params(name: &str, role: Role, days: u32, now: Timestamp) -> Result<CertificateParams> {
    if name.is_empty() || name.chars().count() > 64 {
        return Err(Failure::usage("a common name has 1 to 64 characters"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = [0; SERIAL_BYTES];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| Failure::new("the system has no randomness"))?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = now.since(Timestamp::from_unix_seconds(0));
    let since_epoch = Duration::from_secs(since_epoch.as_secs());
    params.not_before = epoch + since_epoch.saturating_sub(BACKDATED);
    params.not_after = epoch + since_epoch + Duration::from_secs(u64::from(days) * DAY_SECONDS);
    match role {
        Role::Authority => {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        Role::Device => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        Role::Proof => params.is_ca = IsCa::ExplicitNoCa,
    }
    Ok(params)
}

/// The ending after the whole name: `sensor.1` becomes `sensor.1.pem`.
fn with_ending(out: &Path, ending: &str) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn refuse_existing(paths: &[PathBuf]) -> Result {
    match paths.iter().find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => Err(Failure::new(format!("{} exists already", path.display()))
            .hint("choose another --out, or overwrite with --force")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    OwnerOnly,
}

/// Written anew each time, so that an old file's looser mode does not stay.
fn write_file(path: &Path, text: &str, secrecy: Secrecy) -> Result {
    let written = || {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if secrecy == Secrecy::OwnerOnly {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        options.open(path)?.write_all(text.as_bytes())
    };
    written().map_err(|error| Failure::file("write", path, &error))
}

fn thumbprint(der: &CertificateDer<'_>) -> String {
    attestation::sha256(der).0.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unmade(error: &rcgen::Error) -> Failure {
    Failure::new(format!("can not make the certificate: {error}"))
}

#[cfg(test)]
mod tests;
