//! TPMs: known by their individual enrollments, or by their makers; believed once they have signed.

use attestation::sas::SasToken;
use attestation::tpm::{Challenge, EndorsementKey};
use attestation::x509::{Certificate, StoredCa};
use model::RegistrationId;

use super::{Admission, Judge, TokenExpiry};
use crate::enrollment::{Certified, Entry, Group, Mechanism};
use crate::explain::{Disbelief, Step};
use crate::registration::{ChainMember, TpmRegistration};
use crate::view::{RegistrationView, TpmEvidence};

impl<'v> Judge<'_, 'v> {
    /// M-24: the enrolled endorsement key, and an answer.
    pub(super) fn tpm(&mut self, enrolled: &str, shown: &TpmEvidence) -> Result<(), Disbelief> {
        let enrolled = EndorsementKey::from_base64(enrolled);
        if enrolled.as_ref() != Ok(&shown.endorsement_key) {
            return Err(Disbelief::EndorsementKey);
        }
        self.answers(shown)
    }

    /// D-25: a token that the TPM alone can have signed.
    fn answers(&mut self, shown: &TpmEvidence) -> Result<(), Disbelief> {
        let secret = self.view.instance.dps.challenge_secret.as_ref();
        let token = shown.token.as_ref().filter(|token| self.own_token(token).is_ok());
        let (Some(secret), Some(token)) = (secret, token) else {
            return Err(Disbelief::Unanswered);
        };
        self.answered = match self.expiry {
            TokenExpiry::Judged => {
                with_challenge(self.registration_id, shown, self.view, |challenge| {
                    challenge.answered(secret, token, self.now)
                })
            }
            // The commit that began the operation has consumed the challenge, and kept its key.
            TokenExpiry::JudgedAt(_) => self.given(token).map(|given| given.challenge_key.clone()),
        };
        self.answered.is_some().then_some(()).ok_or(Disbelief::Unanswered)
    }

    /// What the record keeps of the TPM that signed the token; nothing when it registers, for
    /// which the challenge is used up.
    pub(super) fn given(&self, token: &SasToken) -> Option<&'v TpmRegistration> {
        let given = self.view.registration.as_ref()?.value.tpm.as_ref()?;
        let polls = self.expiry != TokenExpiry::Judged;
        (polls && token.is_signed_by(&given.challenge_key)).then_some(given)
    }

    /// A TPM polls with the token that it registered with, and shows nothing else; it must be the
    /// enrolled one still.
    pub(super) fn tpm_polls(&self, enrolled: &str, token: &SasToken) -> Result<(), Disbelief> {
        if self.expiry == TokenExpiry::Judged {
            return Err(Disbelief::OtherMechanism { wanted: Mechanism::Tpm });
        }
        let given = self.given(token).ok_or(Disbelief::Signature)?;
        match EndorsementKey::from_base64(enrolled).map(|key| key.name().digest()) {
            Ok(enrolled) if enrolled == given.endorsement_key => Ok(()),
            Ok(_) | Err(_) => Err(Disbelief::EndorsementKey),
        }
    }

    /// A TPM without an enrollment of its own: its maker vouches for its key, the nearest group
    /// above decides (D-05), once it has answered (D-03).
    pub(super) fn tpm_group(&mut self, shown: &TpmEvidence) -> Admission<'v> {
        let group = self.endorsed(shown).and_then(|()| self.group_of_chain());
        let group = match group {
            Ok(group) => Entry::Group(group),
            Err(because) => return Admission::Stranger(because),
        };
        match self.answers(shown) {
            Ok(()) => self.enabled(group, "D-05"),
            Err(because) => {
                let entry = group.reference();
                self.steps.push(Step::Disbelieved { entry, because: because.clone() });
                Admission::Stranger(because)
            }
        }
    }

    /// What costs little is asked first: the certificate is for this key, and the key for this
    /// registration id, so that no TPM takes the name of another.
    fn endorsed(&self, shown: &TpmEvidence) -> Result<(), Disbelief> {
        let certificate = shown.certificates.first().filter(|_| self.has_makers());
        let certificate = certificate.ok_or(Disbelief::EndorsementKey)?;
        let key = &shown.endorsement_key;
        let amiss = |because: String| Err(Disbelief::EndorsementCertificate { because });
        if !key.is_of_template() {
            return amiss("the endorsement key is not of the TCG's template".to_owned());
        }
        let own = key.registration_id();
        if self.registration_id.key() != own {
            return amiss(format!("a TPM of this endorsement key registers as {own} alone"));
        }
        key.is_certified_by(certificate).or_else(|because| amiss(because.to_string()))
    }

    fn has_makers(&self) -> bool {
        let groups = &self.view.instance.groups;
        groups.iter().any(|found| is_of_makers(&found.value))
    }

    /// The certificates by which chains of endorsement certificates are judged: they end at what a
    /// group names, since nobody but the operator says which makers are trusted.
    pub(super) fn makers(&self) -> Vec<StoredCa> {
        let stored = |certificate: &Certificate, verified| StoredCa {
            certificate: certificate.clone(),
            verified,
        };
        let instance = &self.view.instance;
        let groups = instance.groups.iter().map(|found| &found.value);
        let named = groups.flat_map(|group| self.authorities(group));
        let others = instance.ca_certificates.iter().map(|found| &found.value.certificate);
        named.map(|ca| stored(ca, true)).chain(others.map(|ca| stored(ca, false))).collect()
    }

    /// A TPM polls without its certificates: by the chain as it was judged, D-05 is asked again.
    pub(super) fn tpm_group_polls(&mut self) -> Admission<'v> {
        let record = self.view.registration.as_ref().map(|found| &found.value);
        let path = record.map(|record| record.explanation.chain.as_slice()).unwrap_or_default();
        match self.nearest_group(path, is_same) {
            Ok(group) => self.enabled(Entry::Group(group), "D-05"),
            Err(because) => Admission::Stranger(because),
        }
    }
}

fn is_of_makers(group: &Group) -> bool {
    group.attestation.certifies() == Some(Certified::EndorsementKey)
}

/// Whether a certificate speaks for the same authority as a member of a chain, see
/// [`attestation::x509::same_authority`].
fn is_same(certificate: &Certificate, member: &ChainMember) -> bool {
    certificate.public_key_hash() == member.public_key
        && certificate.subject_text() == member.subject
}

/// Calls with what a TPM's challenge is bound to (D-25): the record's etag among it, so that the
/// commit which writes the record consumes the challenge; where there is none, how many there were,
/// so that a deletion does not bring one back that was consumed.
pub(crate) fn with_challenge<T>(
    registration_id: &RegistrationId,
    shown: &TpmEvidence,
    view: &RegistrationView,
    call: impl FnOnce(&Challenge<'_>) -> T,
) -> T {
    let after = match &view.registration {
        Some(found) => format!("etag {}", found.value.etag.as_str()),
        None => format!("deleted {}", view.registrations_deleted),
    };
    call(&Challenge {
        id_scope: &view.instance.dps.id_scope,
        registration_id,
        endorsement_key: &shown.endorsement_key.name(),
        storage_root_key: &shown.storage_root_key.name(),
        after: &after,
    })
}
