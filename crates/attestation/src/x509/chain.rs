//! Chains from a leaf up to a verified CA, and as far beyond as certificates are known.
//!
//! The search climbs from issuer to issuer and steps back where a branch fails. Its cost is
//! bounded by the number of signatures checked and of steps taken, whatever is presented.
//! Source: RFC 5280 §6.1; `dps-device-api` §6.2; `dps-service-api` M-08, M-12; settled D-05, D-06.

use model::Timestamp;
use model::limits::{CHAIN_DEPTH_MAX, CHAIN_PRESENTED_MAX, CHAIN_SIGNATURES_MAX};

use super::certificate::Certificate;
use super::chain_error::ChainError;
use super::error::{SignatureError, ValidityError};

/// Certificates stood on during one search. Each step looks once at everything that is known, so
/// this bounds what signatures do not: branches over edges that were checked before.
const STEPS_MAX: usize = 128;

/// The name without any part. RFC 5280 §4.1.2.4 demands a name of issuers: this one would make
/// all the nameless each other's issuers.
const EMPTY_NAME: &[u8] = &[0x30, 0];

/// A certificate that completes chains which devices present without it.
///
/// How many there are is bounded by the instance's quotas of CA certificates and groups.
#[derive(Clone, Debug)]
pub struct StoredCa {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether its owner's possession of the key is proved: a chain may end here. False for
    /// unverified CA certificates and for the signing certificates of enrollment groups.
    pub verified: bool,
}

/// A chain that holds.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The leaf first, each certificate's issuer next, up to the topmost that is known; at most
    /// [`CHAIN_DEPTH_MAX`]. Every link's signature and every certificate's dates are checked.
    pub path: Vec<Certificate>,
    /// The place in `path` of the verified CA nearest to the leaf; never 0.
    pub anchor: usize,
}

/// By which clock the dates of a chain's certificates are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The instant.
    pub now: Timestamp,
    /// Whether a certificate may have expired: an operator's exception, never the rule. One that
    /// is not valid yet is refused all the same.
    pub expired_hold: bool,
}

/// Every certificate must be valid at the instant.
impl From<Timestamp> for Dates {
    fn from(now: Timestamp) -> Self {
        Self { now, expired_hold: false }
    }
}

impl Dates {
    /// Whether a certificate's own dates are kept.
    ///
    /// # Errors
    /// Both of [`ValidityError`].
    pub fn kept_by(self, certificate: &Certificate) -> Result<(), ValidityError> {
        match certificate.is_valid_at(self.now) {
            Err(ValidityError::Expired { .. }) if self.expired_hold => Ok(()),
            judged => judged,
        }
    }
}

/// Whether two certificates speak for the same authority: the same subject and public key.
///
/// A CA certificate that was renewed, or is signed by several CAs, stays one authority.
pub fn same_authority(a: &Certificate, b: &Certificate) -> bool {
    a.subject_raw() == b.subject_raw() && a.spki_der() == b.spki_der()
}

/// Builds the chain of the first presented certificate, the leaf, from the others and the stored.
///
/// The rest of `presented` may be in any order and hold extras. Issuers are found by name and key
/// identifier: what is both stored and presented first, then verified CAs, other stored
/// certificates, and presented ones.
///
/// - Every link's signature is checked; SHA-1 and RSA below 2048 bits are not believed.
/// - Every certificate must keep its `dates`, the verified CA and what is above it included.
/// - No critical extension may be unknown, on the leaf neither.
/// - An issuer must have a name, be CA:TRUE, may sign certificates, is not critically for other
///   purposes than clients, keeps its path length (self-issued ones and the leaf are not counted)
///   and has no name constraints, critical or not, as none are enforced.
///   An X.509 v1 or v2 certificate can not say any of this: it is an issuer only if it is itself a
///   verified CA, which its operator vouches for.
/// - The leaf may be CA:TRUE, v1, of any key usage and extended key usage. It is never its own
///   verified CA: a CA certificate presented as a leaf is judged by what is above it.
/// - Below the verified CA everything must hold. Above it the path ends, without an error, where
///   the next certificate is unknown or does not hold.
///
/// # Errors
/// [`ChainError`]: where several branches fail, that of the branch which came furthest, and there
/// of the issuer which did sign before those which did not.
pub fn build_chain(
    presented: &[Certificate],
    stored: &[StoredCa],
    dates: impl Into<Dates>,
) -> Result<Chain, ChainError> {
    let dates = dates.into();
    let (leaf, others) = presented.split_first().ok_or(ChainError::NothingPresented)?;
    if presented.len() > CHAIN_PRESENTED_MAX {
        return Err(ChainError::TooManyCertificates { presented: presented.len() });
    }
    holds(leaf, dates)?;
    let mut search = Search {
        others,
        stored,
        dates,
        path: vec![leaf],
        checked: Vec::new(),
        steps: 0,
        refusal: unknown_issuer(leaf),
    };
    let anchor = match search.climb() {
        Ok(Some(anchor)) => anchor,
        Ok(None) => return Err(search.refusal.1),
        Err(Exhausted) => return Err(ChainError::TooMuchWork),
    };
    search.extend();
    Ok(Chain { path: search.path.into_iter().cloned().collect(), anchor })
}

/// The search for a path; `path` is where it stands.
struct Search<'a> {
    others: &'a [Certificate],
    stored: &'a [StoredCa],
    dates: Dates,
    path: Vec<&'a Certificate>,
    checked: Vec<CheckedLink<'a>>,
    steps: usize,
    refusal: (Weight, ChainError),
}

/// A signature that was checked; another certificate of the same key is not checked again.
struct CheckedLink<'a> {
    child: &'a Certificate,
    issuer_spki: &'a [u8],
    outcome: Result<(), SignatureError>,
}

/// A certificate whose subject is the issuer that was looked for.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    certificate: &'a Certificate,
    verified: bool,
}

/// What was found when issuers were looked for.
#[derive(Default)]
struct Found<'a> {
    candidates: Vec<Candidate<'a>>,
    other_keys: usize,
    below: usize,
}

/// The bounds on work are reached.
struct Exhausted;

/// How much a refusal explains: how far up it is, then how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    depth: usize,
    grade: Grade,
}

/// From the least to the most telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    /// No issuer is known.
    Unknown,
    /// A namesake of the issuer is not the signer, or was not asked.
    Namesake,
    /// The chain is whole but not trusted.
    Untrusted,
    /// The signer itself does not hold.
    Signer,
}

impl<'a> Search<'a> {
    /// Climbs from the top of the path to a verified CA, which is then the top; gives its place.
    /// Otherwise the path is as before.
    fn climb(&mut self) -> Result<Option<usize>, Exhausted> {
        let Some(child) = self.path.last().copied() else {
            return Ok(None);
        };
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Exhausted);
        }
        let found = self.issuers_of(child);
        self.note_dead_end(child, &found);
        let mut flawed = Vec::new();
        for candidate in found.candidates {
            if let Err(flaw) = self.may_issue(candidate) {
                flawed.push((candidate, flaw));
                continue;
            }
            if let Err(error) = self.signed_by(child, candidate.certificate)? {
                self.note_signature(child, candidate.certificate, error);
                continue;
            }
            self.path.push(candidate.certificate);
            if candidate.verified {
                return Ok(Some(self.path.len() - 1));
            }
            if let Some(anchor) = self.climb()? {
                return Ok(Some(anchor));
            }
            self.path.pop();
        }
        self.note_flawed(child, flawed);
        Ok(None)
    }

    /// Goes on upward from the verified CA while issuers are known and hold.
    fn extend(&mut self) {
        while let Some(child) = self.path.last().copied() {
            let found = self.issuers_of(child);
            let next = found.candidates.into_iter().find(|candidate| {
                self.may_issue(*candidate).is_ok()
                    && matches!(self.signed_by(child, candidate.certificate), Ok(Ok(())))
            });
            match next {
                Some(issuer) => self.path.push(issuer.certificate),
                None => return,
            }
        }
    }

    /// Everything known that could have issued this certificate, the likeliest first, then the
    /// most trusted.
    fn issuers_of(&self, child: &Certificate) -> Found<'a> {
        let verified = self.stored.iter().filter(|ca| ca.verified);
        let unverified = self.stored.iter().filter(|ca| !ca.verified);
        // Namesakes of other lines do not use up the signatures that may be checked.
        let also_presented = |ca: &&StoredCa| {
            ca.certificate.subject_raw() == child.issuer_raw()
                && self.others.contains(&ca.certificate)
        };
        let everything = verified
            .clone()
            .filter(also_presented)
            .chain(unverified.clone().filter(also_presented))
            .chain(verified)
            .chain(unverified)
            .map(|ca| Candidate { certificate: &ca.certificate, verified: ca.verified })
            .chain(
                self.others.iter().map(|other| Candidate { certificate: other, verified: false }),
            );
        let mut found = Found::default();
        if child.issuer_raw() == EMPTY_NAME {
            return found;
        }
        for candidate in everything {
            let issuer = candidate.certificate;
            if issuer.subject_raw() != child.issuer_raw() {
                continue;
            }
            if self.path.iter().any(|below| same_authority(below, issuer)) {
                found.below += 1;
            } else if !key_ids_agree(child, issuer) {
                found.other_keys += 1;
            } else if found.candidates.iter().all(|known| known.certificate != issuer) {
                found.candidates.push(candidate);
            }
        }
        found
    }

    /// Whether a candidate may stand on top of the path; says nothing about its signature.
    fn may_issue(&self, candidate: Candidate<'_>) -> Result<(), ChainError> {
        let issuer = candidate.certificate;
        let subject = || shown(issuer.subject_text());
        if self.path.len() >= CHAIN_DEPTH_MAX {
            return Err(ChainError::TooDeep);
        }
        let vouched_for = issuer.version() < 3 && candidate.verified;
        if !issuer.is_ca() && !vouched_for {
            return Err(ChainError::NotCa { subject: subject() });
        }
        if !issuer.key_cert_sign() {
            return Err(ChainError::KeyUsage { subject: subject() });
        }
        if issuer.is_for_others() {
            return Err(ChainError::Purpose { subject: subject() });
        }
        if issuer.has_name_constraints() {
            return Err(ChainError::NameConstraints { subject: subject() });
        }
        holds(issuer, self.dates)?;
        let below = self.path.iter().skip(1).filter(|ca| !ca.is_self_issued()).count();
        match issuer.path_len() {
            Some(allowed) if usize::try_from(allowed).is_ok_and(|allowed| below > allowed) => {
                Err(ChainError::PathLength { subject: subject(), allowed })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn signed_by(
        &mut self,
        child: &'a Certificate,
        issuer: &'a Certificate,
    ) -> Result<Result<(), SignatureError>, Exhausted> {
        if let Err(error) = child.could_be_signed_by(issuer) {
            return Ok(Err(error));
        }
        let issuer_spki = issuer.spki_der();
        let known =
            self.checked.iter().find(|link| link.child == child && link.issuer_spki == issuer_spki);
        if let Some(link) = known {
            return Ok(link.outcome.clone());
        }
        if self.checked.len() >= CHAIN_SIGNATURES_MAX {
            return Err(Exhausted);
        }
        let outcome = child.verify_signed_by(issuer);
        self.checked.push(CheckedLink { child, issuer_spki, outcome: outcome.clone() });
        Ok(outcome)
    }

    fn note_dead_end(&mut self, child: &Certificate, found: &Found<'_>) {
        let subject = || shown(child.subject_text());
        let issuer = || shown(child.issuer_text());
        if child.is_self_issued() && child.issuer_raw() != EMPTY_NAME {
            self.note(Grade::Untrusted, ChainError::NoVerifiedCa { topmost: subject() });
        } else if !found.candidates.is_empty() {
            // What is wrong with them is noted one by one.
        } else if found.below > 0 {
            self.note(Grade::Unknown, ChainError::Loop { subject: subject() });
        } else if found.other_keys > 0 {
            let error = ChainError::IssuerKeyDiffers { subject: subject(), issuer: issuer() };
            self.note(Grade::Unknown, error);
        } else {
            let error = ChainError::IssuerMissing { subject: subject(), issuer: issuer() };
            self.note(Grade::Unknown, error);
        }
    }

    fn note_signature(&mut self, child: &Certificate, issuer: &Certificate, error: SignatureError) {
        let subject = shown(child.subject_text());
        match error {
            SignatureError::UnsupportedAlgorithm { oid } => {
                self.note(Grade::Signer, ChainError::UnsupportedSignature { subject, oid });
            }
            SignatureError::OtherKeyKind | SignatureError::Invalid => {
                let issuer = shown(issuer.subject_text());
                self.note(Grade::Namesake, ChainError::BadSignature { subject, issuer });
            }
        }
    }

    /// Among issuers that do not hold, the one that did sign tells most.
    fn note_flawed(&mut self, child: &'a Certificate, flawed: Vec<(Candidate<'a>, ChainError)>) {
        for (candidate, flaw) in flawed {
            match self.signed_by(child, candidate.certificate) {
                Ok(Ok(())) => self.note(Grade::Signer, flaw),
                Ok(Err(error)) => self.note_signature(child, candidate.certificate, error),
                Err(Exhausted) => self.note(Grade::Namesake, flaw),
            }
        }
    }

    /// Keeps the weightiest refusal, and of equals the first.
    fn note(&mut self, grade: Grade, error: ChainError) {
        let weight = Weight { depth: self.path.len(), grade };
        if self.refusal.0 < weight {
            self.refusal = (weight, error);
        }
    }
}

/// The refusal to start with: nothing is known above the leaf.
fn unknown_issuer(leaf: &Certificate) -> (Weight, ChainError) {
    let error = ChainError::IssuerMissing {
        subject: shown(leaf.subject_text()),
        issuer: shown(leaf.issuer_text()),
    };
    (Weight { depth: 0, grade: Grade::Unknown }, error)
}

/// What every certificate of a chain must keep.
fn holds(certificate: &Certificate, dates: Dates) -> Result<(), ChainError> {
    let subject = || shown(certificate.subject_text());
    if let Some(oid) = certificate.unknown_critical_extension() {
        let oid = oid.to_owned();
        return Err(ChainError::UnknownCriticalExtension { subject: subject(), oid });
    }
    dates.kept_by(certificate).map_err(|error| match error {
        ValidityError::NotYetValid { not_before } => {
            ChainError::NotYetValid { subject: subject(), not_before }
        }
        ValidityError::Expired { not_after } => {
            ChainError::Expired { subject: subject(), not_after }
        }
    })
}

/// Whether the key that the child asks for is the issuer's, as far as both say.
fn key_ids_agree(child: &Certificate, issuer: &Certificate) -> bool {
    match (child.authority_key_id(), issuer.subject_key_id()) {
        (Some(wanted), Some(own)) => wanted == own,
        (Some(_) | None, None) | (None, Some(_)) => true,
    }
}

/// A name for an explanation.
fn shown(name: &str) -> String {
    String::from(if name.is_empty() { "(no name)" } else { name })
}
