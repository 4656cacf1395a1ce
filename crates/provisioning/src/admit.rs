//! Find, appraise, enabled: the first three stages of the order of D-03.

mod tpm;

use attestation::SymmetricKey;
use attestation::sas::SasToken;
use attestation::x509::{
    Certificate, Chain, ChainError, Dates, StoredCa, build_chain, same_authority,
};
use model::{RegistrationId, Timestamp};

use crate::enrollment::{
    Certified, Entry, Group, GroupAttestation, Individual, IndividualAttestation, KeyPair,
    Mechanism, Slots,
};
use crate::explain::{Disbelief, FoundBy, Step};
use crate::instance::{CaCertificate, ExpiryException};
use crate::registration::ChainMember;
use crate::view::{Evidence, InstanceView, RegistrationView};

pub(crate) use tpm::with_challenge;

/// The wire resource that a device's token must be made for.
pub fn token_resource(view: &InstanceView, registration_id: &RegistrationId) -> String {
    format!("{}/registrations/{}", view.dps.id_scope, registration_id)
}

/// What the first three stages found.
#[derive(Clone, Debug)]
pub enum Admission<'v> {
    /// The evidence holds and the deciding entry lets devices in.
    Admitted(Entry<'v>),
    /// The evidence holds and the deciding entry does not let devices in.
    Blocked(Entry<'v>),
    /// The evidence holds against nothing that would decide.
    Stranger(Disbelief),
}

/// The judgment of one piece of evidence, with its story.
#[derive(Debug)]
pub struct Appraisal<'v> {
    /// What came of it.
    pub admission: Admission<'v>,
    /// The chain as judged; empty without one.
    pub chain: Vec<ChainMember>,
    /// What was considered, in order.
    pub steps: Vec<Step>,
    /// The challenge's key that a TPM signed with; none without a TPM that did.
    pub answered: Option<SymmetricKey>,
}

/// Whether an expired token is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenExpiry {
    /// No: a device registers.
    Judged,
    /// If it was good then: a device asks for what is recorded. iot-identity-service polls with a
    /// token of 30 seconds, which was good when the operation started. Source: `dps-device-api`
    /// §3.3.
    JudgedAt(Timestamp),
}

/// Judges what a device showed against every entry that has a say (settled D-01 to D-03, D-05).
pub fn admit<'v>(
    registration_id: &RegistrationId,
    evidence: &Evidence,
    view: &'v RegistrationView,
    expiry: TokenExpiry,
    now: Timestamp,
) -> Appraisal<'v> {
    let mut judge = Judge::new(registration_id, evidence, view, expiry, now);
    let admission = judge.judge();
    Appraisal { admission, chain: judge.members(), steps: judge.steps, answered: judge.answered }
}

/// Judges as [`admit`] does, for who needs no story.
pub fn admission<'v>(
    registration_id: &RegistrationId,
    evidence: &Evidence,
    view: &'v RegistrationView,
    expiry: TokenExpiry,
    now: Timestamp,
) -> Admission<'v> {
    Judge::new(registration_id, evidence, view, expiry, now).judge()
}

/// Everything that the stages share.
struct Judge<'a, 'v> {
    registration_id: &'a RegistrationId,
    evidence: &'a Evidence,
    view: &'v RegistrationView,
    expiry: TokenExpiry,
    chain: Option<Result<Chain, ChainError>>,
    /// Why the chain does not hold, where it is let pass for an entry with an exception alone.
    excepted: Option<ChainError>,
    answered: Option<SymmetricKey>,
    now: Timestamp,
    steps: Vec<Step>,
}

impl<'a, 'v> Judge<'a, 'v> {
    fn new(
        registration_id: &'a RegistrationId,
        evidence: &'a Evidence,
        view: &'v RegistrationView,
        expiry: TokenExpiry,
        now: Timestamp,
    ) -> Self {
        Self {
            registration_id,
            evidence,
            view,
            expiry,
            chain: None,
            excepted: None,
            answered: None,
            now,
            steps: Vec::new(),
        }
    }

    fn judge(&mut self) -> Admission<'v> {
        match self.own_name() {
            Ok(()) => self.admission(),
            Err(disbelief) => Admission::Stranger(disbelief),
        }
    }

    /// What every entry asks for: a leaf whose CN is the claim, or an unexpired token that was
    /// made for it.
    fn own_name(&self) -> Result<(), Disbelief> {
        match self.evidence {
            Evidence::None => Err(Disbelief::NoEvidence),
            Evidence::X509(presented) => common_name_is(presented.first(), self.registration_id),
            Evidence::Sas(token) => self.own_token(token),
            // A stale token is no fault of its TPM's: the next challenge is told to its entry.
            Evidence::Tpm(_) => Ok(()),
        }
    }

    fn own_token(&self, token: &SasToken) -> Result<(), Disbelief> {
        if !token.is_for(&token_resource(&self.view.instance, self.registration_id)) {
            return Err(Disbelief::TokenResource);
        }
        let at = match self.expiry {
            TokenExpiry::Judged => self.now,
            TokenExpiry::JudgedAt(start) => start,
        };
        match token.is_expired(at) {
            true => Err(Disbelief::TokenExpired { expires: token.expires() }),
            false => Ok(()),
        }
    }

    /// D-02: any disabled individual blocks; else the one by id decides alone; else the one by
    /// leaf; else groups. An endorsement key names no device, as the CN of a leaf does: an
    /// individual that holds it and has another id blocks, and never decides.
    fn admission(&mut self) -> Admission<'v> {
        let view = self.view;
        let by_id = view.individual_by_id.as_ref().map(|found| &found.value);
        let is_leaf = matches!(self.evidence, Evidence::X509(_));
        let by_claim = view.individuals_by_leaf.iter().map(|found| &found.value).filter(|found| {
            by_id.is_none_or(|by_id| by_id.registration_id != found.registration_id)
                && (is_leaf || !found.settings.is_enabled())
        });
        let by = if is_leaf { FoundBy::LeafCertificate } else { FoundBy::EndorsementKey };
        let candidates: Vec<(&'v Individual, FoundBy)> = by_id
            .map(|found| (found, FoundBy::RegistrationId))
            .into_iter()
            .chain(by_claim.map(|found| (found, by)))
            .collect();
        for (entry, by) in &candidates {
            self.considered(Entry::Individual(entry), *by);
        }
        if let Some((blocking, _)) = candidates.iter().find(|(e, _)| !e.settings.is_enabled()) {
            return self.blocked(blocking, &candidates);
        }
        match candidates.first() {
            Some((entry, _)) => match self.individual(entry) {
                Ok(()) => self.decides(Entry::Individual(entry), "D-02"),
                Err(because) => Admission::Stranger(because),
            },
            None => self.group(),
        }
    }

    /// D-03: whoever can not prove possession learns nothing of a blocking entry. The evidence
    /// must hold against a candidate, or against the group that would have let the device in.
    fn blocked(
        &mut self,
        blocking: &'v Individual,
        candidates: &[(&'v Individual, FoundBy)],
    ) -> Admission<'v> {
        let mut first = None;
        for (entry, _) in candidates {
            match self.individual(entry) {
                Ok(()) => return self.refuses(Entry::Individual(blocking), "D-02"),
                Err(because) => first = first.or(Some(because)),
            }
        }
        match self.group() {
            Admission::Admitted(_) | Admission::Blocked(_) => {
                self.refuses(Entry::Individual(blocking), "D-02")
            }
            // Once it has answered, it is one that the group would have let in.
            Admission::Stranger(Disbelief::Unanswered) => {
                Admission::Stranger(Disbelief::Unanswered)
            }
            Admission::Stranger(because) => Admission::Stranger(first.unwrap_or(because)),
        }
    }

    /// Appraises the evidence against one individual enrollment.
    fn individual(&mut self, entry: &'v Individual) -> Result<(), Disbelief> {
        let found = match (&entry.attestation, self.evidence) {
            (IndividualAttestation::ClientCertificates(slots), Evidence::X509(presented)) => {
                self.pinned(Entry::Individual(entry), slots, presented.first())
            }
            (IndividualAttestation::CaReferences(names), Evidence::X509(_)) => {
                self.chain().and_then(|chain| {
                    let named = self.named_cas(names);
                    match chain
                        .path
                        .iter()
                        .skip(1)
                        .any(|c| named.iter().any(|n| same_authority(n, c)))
                    {
                        true => self.excepts(Entry::Individual(entry)),
                        false => Err(Disbelief::NotInChain),
                    }
                })
            }
            (IndividualAttestation::SymmetricKey(keys), Evidence::Sas(token)) => {
                signed(token, keys).then_some(()).ok_or(Disbelief::Signature)
            }
            (IndividualAttestation::Tpm { endorsement_key, .. }, Evidence::Tpm(tpm)) => {
                self.tpm(endorsement_key, tpm)
            }
            (IndividualAttestation::Tpm { endorsement_key, .. }, Evidence::Sas(token)) => {
                self.tpm_polls(endorsement_key, token)
            }
            (
                attestation,
                Evidence::None | Evidence::X509(_) | Evidence::Sas(_) | Evidence::Tpm(_),
            ) => Err(Disbelief::OtherMechanism { wanted: attestation.mechanism() }),
        };
        let entry = Entry::Individual(entry).reference();
        self.steps.push(match &found {
            Ok(()) => Step::Believed { entry },
            Err(because) => Step::Disbelieved { entry, because: because.clone() },
        });
        found
    }

    fn group(&mut self) -> Admission<'v> {
        match self.evidence {
            Evidence::None => Admission::Stranger(Disbelief::NoEvidence),
            Evidence::X509(_) => match self.group_of_chain() {
                Ok(group) => self.enabled(Entry::Group(group), "D-05"),
                Err(because) => Admission::Stranger(because),
            },
            Evidence::Sas(token) => match self.given(token) {
                Some(_) => self.tpm_group_polls(),
                None => self.symmetric_group(token),
            },
            Evidence::Tpm(shown) => self.tpm_group(shown),
        }
    }

    fn group_of_chain(&mut self) -> Result<&'v Group, Disbelief> {
        let chain = self.chain()?;
        let group = self.nearest_group(&chain.path, same_authority)?;
        self.excepts(Entry::Group(group))?;
        Ok(group)
    }

    /// D-05: from the leaf's issuer upward, the first certificate with an entry decides.
    fn nearest_group<T>(
        &mut self,
        path: &[T],
        is_same: impl Fn(&Certificate, &T) -> bool,
    ) -> Result<&'v Group, Disbelief> {
        let view = self.view;
        for member in path.iter().skip(1) {
            let here: Vec<&'v Group> = view
                .instance
                .groups
                .iter()
                .map(|group| &group.value)
                .filter(|group| self.authorities(group).iter().any(|ca| is_same(ca, member)))
                .collect();
            for group in &here {
                self.considered(Entry::Group(group), FoundBy::SigningCertificate);
            }
            // One certificate belongs to one entry (M-15); should two name the same key all the
            // same, a disabled one wins.
            let deciding =
                here.iter().find(|group| !group.settings.is_enabled()).or_else(|| here.first());
            if let Some(group) = deciding {
                return Ok(group);
            }
        }
        Err(Disbelief::NotInChain)
    }

    /// M-18, M-22: the oldest group whose key derives the device's key decides.
    fn symmetric_group(&mut self, token: &SasToken) -> Admission<'v> {
        let shown = self.registration_id.as_str();
        let key = self.registration_id.key();
        let view = self.view;
        for group in view.instance.groups.iter().map(|group| &group.value) {
            let GroupAttestation::SymmetricKey(keys) = &group.attestation else { continue };
            let derived = |id: &str| {
                token.is_signed_by(&keys.primary.derive(id))
                    || token.is_signed_by(&keys.secondary.derive(id))
            };
            if derived(shown) || (key != shown && derived(key)) {
                self.considered(Entry::Group(group), FoundBy::DerivedKey);
                return self.enabled(Entry::Group(group), "M-18");
            }
        }
        Admission::Stranger(Disbelief::Signature)
    }

    fn enabled(&mut self, entry: Entry<'v>, rule: &str) -> Admission<'v> {
        self.steps.push(Step::Believed { entry: entry.reference() });
        match entry.settings().is_enabled() {
            true => self.decides(entry, rule),
            false => self.refuses(entry, rule),
        }
    }

    fn decides(&mut self, entry: Entry<'v>, rule: &str) -> Admission<'v> {
        self.steps.push(Step::Decides { entry: entry.reference(), rule: rule.to_owned() });
        Admission::Admitted(entry)
    }

    fn refuses(&mut self, entry: Entry<'v>, rule: &str) -> Admission<'v> {
        self.steps.push(Step::Decides { entry: entry.reference(), rule: rule.to_owned() });
        Admission::Blocked(entry)
    }

    fn considered(&mut self, entry: Entry<'_>, by: FoundBy) {
        self.steps.push(Step::Considered {
            entry: entry.reference(),
            by,
            enabled: entry.settings().is_enabled(),
        });
    }

    /// The CA certificates by which a group knows evidence of the kind that is shown.
    fn authorities(&self, group: &'v Group) -> Vec<&'v Certificate> {
        let wanted = match self.evidence {
            Evidence::X509(_) => Certified::DeviceKey,
            // A TPM polls with a token alone.
            Evidence::Tpm(_) | Evidence::Sas(_) => Certified::EndorsementKey,
            Evidence::None => return Vec::new(),
        };
        match &group.attestation {
            attestation if attestation.certifies() != Some(wanted) => Vec::new(),
            GroupAttestation::SigningCertificates(slots)
            | GroupAttestation::MakerCertificates(slots) => slots.iter().collect(),
            GroupAttestation::CaReferences(names) | GroupAttestation::MakerReferences(names) => {
                self.named_cas(names)
            }
            GroupAttestation::SymmetricKey(_) => Vec::new(),
        }
    }

    /// The verified CA certificates that an entry refers to (V-25: an unverified one attests
    /// nothing).
    fn named_cas(&self, names: &Slots<model::CertificateName>) -> Vec<&'v Certificate> {
        let stored: &'v [_] = &self.view.instance.ca_certificates;
        stored
            .iter()
            .map(|found| &found.value)
            .filter(|ca| ca.verified && names.iter().any(|name| *name == ca.name))
            .map(|ca| &ca.certificate)
            .collect()
    }

    const fn expired_hold(&self) -> Dates {
        Dates { now: self.now, expired_hold: true }
    }

    /// The operator's exception for an entry, while it lasts.
    fn exception(&self, entry: Entry<'_>) -> Option<&'v ExpiryException> {
        let entry = entry.reference();
        let exceptions = &self.view.instance.dps.expiry_exceptions;
        exceptions.iter().find(|one| one.entry == entry && one.holds_at(self.now))
    }

    /// A chain that holds but for its expiry is good for an entry with an exception alone.
    fn excepts(&mut self, entry: Entry<'v>) -> Result<(), Disbelief> {
        let Some(because) = self.excepted.as_ref() else { return Ok(()) };
        let (refused, because) = (disbelief(because), because.to_string());
        self.excused(entry, because).ok_or(refused)
    }

    fn excused(&mut self, entry: Entry<'v>, because: String) -> Option<()> {
        let until = self.exception(entry)?.until;
        self.steps.push(Step::ExpiryExcused { entry: entry.reference(), because, until });
        Some(())
    }

    /// Whether the leaf is one of the entry's certificates, byte by byte, and in time. Entries that
    /// block are found by its content, which no rewritten signature changes.
    fn pinned(
        &mut self,
        entry: Entry<'v>,
        slots: &Slots<Certificate>,
        leaf: Option<&Certificate>,
    ) -> Result<(), Disbelief> {
        let leaf = leaf.ok_or(Disbelief::NoEvidence)?;
        if !slots.iter().any(|slot| slot.thumbprint() == leaf.thumbprint()) {
            return Err(Disbelief::OtherCertificate);
        }
        let Err(fault) = Dates::from(self.now).kept_by(leaf) else { return Ok(()) };
        let because = fault.to_string();
        let excused = self.expired_hold().kept_by(leaf).ok();
        excused
            .and_then(|()| self.excused(entry, because.clone()))
            .ok_or(Disbelief::Chain { because })
    }

    /// The presented chain, judged once.
    fn chain(&mut self) -> Result<Chain, Disbelief> {
        let presented = match self.evidence {
            Evidence::X509(presented) => presented,
            Evidence::Tpm(shown) => &shown.certificates,
            Evidence::None | Evidence::Sas(_) => {
                return Err(Disbelief::OtherMechanism { wanted: Mechanism::X509 });
            }
        };
        if self.chain.is_none() {
            let stored = match self.evidence {
                Evidence::Tpm(_) => self.makers(),
                Evidence::X509(_) | Evidence::None | Evidence::Sas(_) => {
                    stored_cas(&self.view.instance)
                }
            };
            let mut judged = build_chain(presented, &stored, self.now);
            if let Err(because) = &judged
                && self.view.instance.dps.expiry_exceptions.iter().any(|e| e.holds_at(self.now))
                && let Ok(chain) = build_chain(presented, &stored, self.expired_hold())
            {
                self.excepted = Some(because.clone());
                judged = Ok(chain);
            }
            self.steps.push(match &judged {
                Ok(chain) => Step::ChainHolds {
                    anchor: chain
                        .path
                        .get(chain.anchor)
                        .map(|ca| ca.subject_text().to_owned())
                        .unwrap_or_default(),
                },
                Err(error) => Step::ChainRefused { because: error.to_string() },
            });
            self.chain = Some(judged);
        }
        match &self.chain {
            Some(Ok(chain)) => Ok(chain.clone()),
            Some(Err(error)) => Err(disbelief(error)),
            None => Err(Disbelief::NoEvidence),
        }
    }

    /// The chain as judged, or what was presented where no chain was needed (D-08).
    fn members(&self) -> Vec<ChainMember> {
        let certificates: &[Certificate] = match (&self.chain, self.evidence) {
            (Some(Ok(chain)), _) => &chain.path,
            (_, Evidence::X509(presented)) => presented,
            (_, Evidence::None | Evidence::Sas(_) | Evidence::Tpm(_)) => &[],
        };
        certificates.iter().map(ChainMember::of).collect()
    }
}

impl ChainMember {
    /// What is kept of a certificate (D-08).
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            thumbprint: certificate.thumbprint(),
            public_key: certificate.public_key_hash(),
            subject: certificate.subject_text().to_owned(),
            serial: certificate.serial_hex(),
        }
    }
}

/// The certificates that complete a chain: the instance's CAs, and the groups' own (D-06, M-12).
pub(crate) fn stored_cas(instance: &InstanceView) -> Vec<StoredCa> {
    let own = instance.ca_certificates.iter().map(|found| &found.value).map(
        |CaCertificate { certificate, verified, .. }| StoredCa {
            certificate: certificate.clone(),
            verified: *verified,
        },
    );
    let enrolled = instance.groups.iter().flat_map(|group| match &group.value.attestation {
        GroupAttestation::SigningCertificates(slots) => slots.iter().cloned().collect(),
        GroupAttestation::CaReferences(_)
        | GroupAttestation::SymmetricKey(_)
        // Makers of TPMs have no part in chains of devices.
        | GroupAttestation::MakerCertificates(_)
        | GroupAttestation::MakerReferences(_) => Vec::new(),
    });
    own.chain(enrolled.map(|certificate| StoredCa { certificate, verified: false })).collect()
}

/// Whether it is the chain that is bad, or a CA certificate that is not there.
fn disbelief(error: &ChainError) -> Disbelief {
    let because = error.to_string();
    match error {
        ChainError::IssuerMissing { .. }
        | ChainError::IssuerKeyDiffers { .. }
        | ChainError::NoVerifiedCa { .. } => Disbelief::CaMissing { because },
        ChainError::NothingPresented
        | ChainError::TooManyCertificates { .. }
        | ChainError::NotYetValid { .. }
        | ChainError::Expired { .. }
        | ChainError::UnknownCriticalExtension { .. }
        | ChainError::NameConstraints { .. }
        | ChainError::NotCa { .. }
        | ChainError::KeyUsage { .. }
        | ChainError::Purpose { .. }
        | ChainError::PathLength { .. }
        | ChainError::UnsupportedSignature { .. }
        | ChainError::BadSignature { .. }
        | ChainError::Loop { .. }
        | ChainError::TooDeep
        | ChainError::TooMuchWork => Disbelief::Chain { because },
    }
}

fn common_name_is(
    leaf: Option<&Certificate>,
    registration_id: &RegistrationId,
) -> Result<(), Disbelief> {
    let leaf = leaf.ok_or(Disbelief::NoEvidence)?;
    let because = match leaf.common_name() {
        Ok(name) if name.eq_ignore_ascii_case(registration_id.as_str()) => return Ok(()),
        Ok(name) => format!("the certificate is for {name:?}, not for {registration_id}"),
        Err(fault) => fault.to_string(),
    };
    Err(Disbelief::CommonName { because })
}

fn signed(token: &SasToken, keys: &KeyPair) -> bool {
    // Both are tried always, so that the time taken does not tell which key it was.
    token.is_signed_by(&keys.primary) | token.is_signed_by(&keys.secondary)
}
