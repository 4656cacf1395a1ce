//! Whether a registering device gets a certificate, and which.

use std::fmt;
use std::time::Duration;

use attestation::x509::issuing::{KeyType, SigningRequest};
use model::{PolicyName, RegistrationId, Timestamp, limits};
use serde::{Deserialize, Serialize};

use super::{CredentialPolicy, Issued};
use crate::enrollment::Settings;
use crate::instance::Dps;
use crate::registration::{Failure, FailureKind, Registration, RegistrationStatus};
use crate::view::RegistrationRequest;

const DAY: Duration = Duration::from_secs(86_400);
/// How far back the validity of a certificate begins, for hubs and devices whose clocks differ.
const BACKDATED: Duration = limits::SAS_CLOCK_SKEW;

/// What the device gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Issue {
    /// A certificate that is yet to be signed.
    Fresh(Order),
    /// The one that it was given for the same request.
    Again(Issued),
}

/// A certificate to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The policy.
    pub policy: PolicyName,
    /// The request, whose signature holds.
    pub request: SigningRequest,
    /// Whom it is for.
    pub subject: RegistrationId,
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
}

/// What is wrong with a call that asks for a certificate; nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CsrFault {
    /// The enrollment names no credential policy.
    NoPolicy,
    /// The subject's common name is missing, ambiguous, or not the registration id.
    CommonName {
        /// What is wrong, in words.
        because: String,
    },
    /// It asks for the certificate of a CA.
    WantsCa,
    /// The policy issues nothing for such a key.
    Key {
        /// Its kind; none for one that is never taken.
        found: Option<KeyType>,
        /// The kinds that the policy takes.
        allowed: Vec<KeyType>,
    },
    /// The key that it is for has not signed it.
    Signature {
        /// What is wrong, in words.
        because: String,
    },
}

impl fmt::Display for CsrFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => {
                f.write_str("csr: the enrollment has no credential policy to issue certificates by")
            }
            Self::CommonName { because } => write!(f, "csr: {because}"),
            Self::WantsCa => f.write_str("csr: asks for a CA certificate"),
            Self::Key { found, allowed } => {
                let allowed: Vec<&str> = allowed.iter().map(|kind| kind.word()).collect();
                let found = found.map_or("of another kind or size, or weak", KeyType::word);
                write!(f, "csr: the key is {found}; the policy takes {}", allowed.join(", "))
            }
            Self::Signature { because } => {
                write!(f, "csr: is not signed with the key that it is for: {because}")
            }
        }
    }
}

impl std::error::Error for CsrFault {}

/// Why no certificate is issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// The call is at fault.
    Call(CsrFault),
    /// The operator has something to do; the record says so.
    Record(Failure),
}

/// What a device that was let in gets for its request; none without one.
///
/// The same request gets the same certificate until half of its life is over, so that a call that
/// is repeated issues nothing twice; a fresh request renews.
///
/// # Errors
/// [`NotIssued`].
pub fn order(
    request: &RegistrationRequest,
    settings: &Settings,
    dps: &Dps,
    record: Option<&Registration>,
    now: Timestamp,
) -> Result<Option<Issue>, NotIssued> {
    let Some(csr) = &request.csr else { return Ok(None) };
    let named = settings.credential_policy_name.as_deref().filter(|name| !name.is_empty());
    let named = named.ok_or(NotIssued::Call(CsrFault::NoPolicy))?;
    let policy = dps.issuance.policy(named);
    let policy =
        policy.ok_or_else(|| failed("the enrollment's credential policy does not exist"))?;
    check(csr, &request.registration_id, policy).map_err(NotIssued::Call)?;
    let issuer = policy.issuer.as_ref();
    let issuer = issuer.ok_or_else(|| failed("the credential policy's issuing CA was revoked"))?;
    let validities = std::iter::once(&issuer.certificate).chain(&issuer.above);
    if validities.into_iter().any(|ca| ca.is_valid_at(now).is_err()) {
        return Err(failed("the credential policy's issuing CA is not valid now"));
    }
    let given = record.and_then(|record| record.issued.as_ref()).filter(|given| {
        given.request == csr.hash()
            && given.policy == policy.name
            && given.issuer == issuer.id
            && given.leaf().is_some_and(|leaf| {
                now.since(leaf.not_before()) < leaf.not_after().since(leaf.not_before()) / 2
            })
    });
    if let Some(given) = given {
        return Ok(Some(Issue::Again(given.clone())));
    }
    Ok(Some(Issue::Fresh(Order {
        policy: policy.name.clone(),
        request: csr.clone(),
        subject: request.registration_id.clone(),
        not_before: now.minus(BACKDATED).max(issuer.certificate.not_before()),
        not_after: now.plus(DAY * policy.validity_days).min(issuer.not_after()),
    })))
}

/// The request itself; its signature last, as that alone costs anything.
fn check(
    csr: &SigningRequest,
    registration_id: &RegistrationId,
    policy: &CredentialPolicy,
) -> Result<(), CsrFault> {
    if csr.wants_ca() {
        return Err(CsrFault::WantsCa);
    }
    let because = match csr.common_name() {
        Ok(name) if name.eq_ignore_ascii_case(registration_id.as_str()) => None,
        Ok(name) => {
            let name: String = name.chars().take(limits::ID_CHARS_MAX).collect();
            Some(format!("is for {name:?}, not for {registration_id}"))
        }
        Err(fault) => Some(fault.to_string()),
    };
    if let Some(because) = because {
        return Err(CsrFault::CommonName { because });
    }
    let found = csr.key_type();
    if !found.is_some_and(|found| policy.key_types.contains(&found)) {
        return Err(CsrFault::Key { found, allowed: policy.key_types.clone() });
    }
    csr.verify().map_err(|because| CsrFault::Signature { because: because.to_string() })
}

/// What a poll tells of a record whose certificate's issuer was revoked since: no call hands out a
/// certificate of a CA whose revocation has returned.
pub fn withdrawn(record: &Registration, dps: &Dps) -> Option<Failure> {
    let assigned = record.status == RegistrationStatus::Assigned;
    let issued = record.issued.as_ref().filter(|_| assigned)?;
    (!dps.issuance.is_live(&issued.issuer)).then(|| Failure {
        kind: FailureKind::Issuance,
        message: "The CA that issued the certificate was revoked: register again".to_owned(),
    })
}

fn failed(because: &str) -> NotIssued {
    NotIssued::Record(Failure {
        kind: FailureKind::Issuance,
        message: format!("No certificate could be issued: {because}"),
    })
}
