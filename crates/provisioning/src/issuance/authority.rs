//! CAs: made, brought along, and used.

use std::fmt;
use std::time::Duration;

use attestation::x509::issuing::{Draft, IssueError, KeyType, PrivateKey, Role, issue};
use attestation::x509::{Certificate, SignatureError, ValidityError};
use model::{PolicyName, ServiceName, Timestamp, limits};

use super::{Issued, IssuingCa, Order, RootCa};

const DAY: Duration = Duration::from_secs(86_400);
/// How long a root is valid. Source: ours.
const ROOT_LIFE: Duration = DAY.saturating_mul(7_300);
/// How long an issuing CA is valid. Source: ours; a root has to outlive it.
const ISSUING_LIFE: Duration = DAY.saturating_mul(1_095);
/// How far back the validity of a CA begins, for devices whose clocks are slow.
const CA_BACKDATED: Duration = DAY;
/// The key of CAs that are made. Source: `dps-device-api` §7, P-384.
const ROOT_KEY: KeyType = KeyType::P384;
/// CA certificates that are brought along: with a device's own they are one path.
const IMPORTED_MAX: usize = limits::CHAIN_DEPTH_MAX - 1;
/// Characters of a policy's name in its CA's. Source: RFC 5280 §A.1, 64 for all of a common name.
const NAME_CHARS_MAX: usize = 32;

/// What nobody knew before, for a CA or a certificate that is made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The serial number.
    pub serial: [u8; 16],
    /// [`IssuingCa::id`].
    pub id: String,
    /// The time.
    pub now: Timestamp,
}

/// Why a CA can not be brought along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// There is no certificate.
    Nothing,
    /// There are more certificates than a chain may have.
    TooMany,
    /// This one, counted from 1, is not a CA's.
    NotCa(usize),
    /// This one's key may not sign certificates.
    KeyUsage(usize),
    /// This one allows no such chain below it.
    PathLength(usize),
    /// This one is not valid now.
    Validity(usize, ValidityError),
    /// This one demands what is not understood.
    UnknownExtension(usize),
    /// The next one is not its issuer.
    NotIssuedByNext(usize),
    /// The next one's key did not sign it.
    Signature(usize, SignatureError),
    /// The last one is not signed by itself.
    NoRoot,
    /// The private key is not that of the first certificate.
    OtherKey,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("there is no certificate"),
            Self::TooMany => write!(f, "there are over {IMPORTED_MAX} certificates"),
            Self::NotCa(at) => {
                write!(f, "certificate {at} is not a CA certificate (CA:TRUE is missing)")
            }
            Self::KeyUsage(at) => {
                write!(f, "the key of certificate {at} may not sign certificates")
            }
            Self::PathLength(at) => write!(f, "the path length of certificate {at} is passed"),
            Self::Validity(at, because) => write!(f, "certificate {at} {because}"),
            Self::UnknownExtension(at) => {
                write!(f, "certificate {at} has a critical extension that is not understood")
            }
            Self::NotIssuedByNext(at) => {
                write!(f, "certificate {at} is not issued by the one that follows")
            }
            Self::Signature(at, because) => write!(f, "certificate {at}: {because}"),
            Self::NoRoot => f.write_str(
                "the last certificate is not a root: send the whole chain, the issuing CA first",
            ),
            Self::OtherKey => f.write_str("the key is not that of the first certificate"),
        }
    }
}

impl std::error::Error for ImportError {}

/// Makes an instance's root.
///
/// # Errors
/// [`IssueError`] when the cryptographic library fails.
pub fn make_root(dps: &ServiceName, made: &Made) -> Result<RootCa, IssueError> {
    let key = PrivateKey::generate(ROOT_KEY).map_err(IssueError::Key)?;
    let spki = key.spki_der().map_err(IssueError::Key)?;
    let draft = Draft {
        serial: made.serial,
        subject: &named(dps.as_str(), "device root", made),
        spki: &spki,
        not_before: made.now.minus(CA_BACKDATED),
        not_after: made.now.plus(ROOT_LIFE),
        role: Role::Root,
    };
    Ok(RootCa { certificate: issue(&draft, None, &key)?, key })
}

/// Whether a root would end before an issuing CA that is made now.
pub fn root_is_short(root: &RootCa, now: Timestamp) -> bool {
    root.certificate.not_after() < now.plus(ISSUING_LIFE)
}

/// Makes a policy's issuing CA below a root.
///
/// # Errors
/// [`IssueError`]; RSA keys are not made.
pub fn make_issuing(
    root: &RootCa,
    policy: &PolicyName,
    kind: KeyType,
    made: &Made,
) -> Result<IssuingCa, IssueError> {
    let key = PrivateKey::generate(kind).map_err(IssueError::Key)?;
    let spki = key.spki_der().map_err(IssueError::Key)?;
    let draft = Draft {
        serial: made.serial,
        subject: &named(policy.as_str(), "issuing CA", made),
        spki: &spki,
        not_before: made.now.minus(CA_BACKDATED).max(root.certificate.not_before()),
        not_after: made.now.plus(ISSUING_LIFE).min(root.certificate.not_after()),
        role: Role::Issuing,
    };
    let certificate = issue(&draft, Some(&root.certificate), &root.key)?;
    let above = vec![root.certificate.clone()];
    Ok(IssuingCa { id: made.id.clone(), certificate, above, key, imported: false })
}

/// Checks a CA that an operator brings along: the issuing certificate, those above it, its key.
///
/// # Errors
/// [`ImportError`].
pub fn imported(
    certificates: &[Certificate],
    key: &PrivateKey,
    id: &str,
    now: Timestamp,
) -> Result<IssuingCa, ImportError> {
    let (certificate, above) = certificates.split_first().ok_or(ImportError::Nothing)?;
    if certificates.len() > IMPORTED_MAX {
        return Err(ImportError::TooMany);
    }
    for (below, ca) in certificates.iter().enumerate() {
        let at = below + 1;
        if !ca.is_ca() {
            return Err(ImportError::NotCa(at));
        }
        if !ca.key_cert_sign() {
            return Err(ImportError::KeyUsage(at));
        }
        if ca.path_len().is_some_and(|len| usize::try_from(len).is_ok_and(|len| len < below)) {
            return Err(ImportError::PathLength(at));
        }
        if ca.has_unknown_critical_extension() || ca.has_name_constraints() {
            return Err(ImportError::UnknownExtension(at));
        }
        ca.is_valid_at(now).map_err(|because| ImportError::Validity(at, because))?;
        let issuer = certificates.get(at).unwrap_or(ca);
        if ca.issuer_raw() != issuer.subject_raw() {
            let is_last = at == certificates.len();
            return Err(if is_last {
                ImportError::NoRoot
            } else {
                ImportError::NotIssuedByNext(at)
            });
        }
        ca.verify_signed_by(issuer).map_err(|because| ImportError::Signature(at, because))?;
    }
    if key.spki_der().ok().as_deref() != Some(certificate.spki_der()) {
        return Err(ImportError::OtherKey);
    }
    Ok(IssuingCa {
        id: id.to_owned(),
        certificate: certificate.clone(),
        above: above.to_vec(),
        key: key.clone(),
        imported: true,
    })
}

/// Signs the certificate that was ordered.
///
/// # Errors
/// [`IssueError`] when the cryptographic library fails.
pub fn issued(order: &Order, ca: &IssuingCa, serial: [u8; 16]) -> Result<Issued, IssueError> {
    let draft = Draft {
        serial,
        subject: order.subject.as_str(),
        spki: order.request.spki_der(),
        not_before: order.not_before,
        not_after: order.not_after,
        role: Role::Device,
    };
    let leaf = issue(&draft, Some(&ca.certificate), &ca.key)?;
    let chain = [leaf, ca.certificate.clone()].into_iter().chain(ca.above.iter().cloned());
    Ok(Issued {
        request: order.request.hash(),
        policy: order.policy.clone(),
        issuer: ca.id.clone(),
        chain: chain.collect(),
    })
}

/// A name that no other CA has, so that none is taken for another.
fn named(of: &str, what: &str, made: &Made) -> String {
    let of: String = of.chars().take(NAME_CHARS_MAX).collect();
    let [a, b, c, d, ..] = made.serial;
    format!("{of} {what} {a:02x}{b:02x}{c:02x}{d:02x}")
}
