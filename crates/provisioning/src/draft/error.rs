//! The rules that a draft can break, each with what, where and how to mend it.

use std::fmt;

use attestation::tpm::PublicError;
use model::IdError;

use crate::enrollment::{EntryId, Mechanism};

/// A primary or a secondary credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// One of the members of an X.509 attestation, as the wire names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X509Member {
    /// Leaf certificates.
    ClientCertificates,
    /// CA certificates of the group's own.
    SigningCertificates,
    /// Names of CA certificates of the instance.
    CaReferences,
}

impl fmt::Display for X509Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCertificates => "attestation.x509.clientCertificates",
            Self::SigningCertificates => "attestation.x509.signingCertificates",
            Self::CaReferences => "attestation.x509.caReferences",
        })
    }
}

/// Why a draft makes no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftError {
    /// V-05: the document is for another id than the one addressed.
    OtherId {
        /// The id of the address.
        addressed: String,
        /// The id of the document.
        named: String,
    },
    /// V-03: the device id is none.
    DeviceId {
        /// As sent.
        given: String,
        /// What is wrong.
        because: IdError,
    },
    /// V-06: the member that describes the mechanism is missing.
    AttestationMissing(Mechanism),
    /// V-06: there is a member of another mechanism as well.
    AttestationOfOther {
        /// The mechanism that the document names.
        mechanism: Mechanism,
        /// The mechanism whose member is there too.
        other: Mechanism,
    },
    /// V-06: not exactly one X.509 member.
    X509Members {
        /// How many.
        given: usize,
    },
    /// V-07: a TPM can not attest a group.
    TpmGroup,
    /// An individual's TPM is known by its endorsement key, not by its maker.
    MakersOfIndividual,
    /// V-28, for what a group's CAs certify.
    CertifiesChanged,
    /// V-08: an individual has no signing certificates.
    SigningCertificatesOfIndividual,
    /// V-09: a group has no client certificates.
    ClientCertificatesOfGroup,
    /// V-10: neither slot holds anything.
    NoCertificate(X509Member),
    /// V-13: the slot holds no certificate.
    Certificate {
        /// Of which member.
        member: X509Member,
        /// Which slot.
        slot: Slot,
        /// What is wrong, in words.
        because: String,
    },
    /// the slot describes a certificate that is not stored.
    UnknownCertificate {
        /// Of which member.
        member: X509Member,
        /// Which slot.
        slot: Slot,
    },
    /// V-12: the certificate belongs to another entry.
    CertificateInUse {
        /// The entry that has it.
        by: EntryId,
    },
    /// V-25: there is no CA certificate of that name.
    UnknownCa {
        /// Which slot.
        slot: Slot,
        /// As sent.
        name: String,
    },
    /// V-15: the key is no base64, or of a length out of bounds.
    SymmetricKey {
        /// Which slot.
        slot: Slot,
    },
    /// The endorsement key is missing, or not one whose TPM can be challenged.
    EndorsementKey {
        /// What is wrong with it.
        because: PublicError,
    },
    /// The storage root key is no base64.
    StorageRootKey,
    /// V-30: the endorsement key belongs to another entry.
    EndorsementKeyInUse {
        /// The entry that has it.
        by: EntryId,
    },
    /// V-28: the mechanism of an entry can not be changed.
    MechanismChanged {
        /// What it is.
        from: Mechanism,
        /// What was asked for.
        to: Mechanism,
    },
    /// V-18: a custom allocation lacks its definition, or one of the definition's texts.
    CustomAllocationMissing {
        /// The member that is missing.
        member: &'static str,
    },
    /// V-24: the webhook's address is no absolute https address.
    WebhookUrl,
    /// V-24: the webhook's version is none, or too old.
    WebhookApiVersion,
    /// V-20: hubs are named, but not how to choose among them.
    HubsWithoutPolicy,
    /// V-22: a static allocation has one hub at the most.
    StaticWithSeveralHubs {
        /// How many.
        given: usize,
    },
    /// V-23: the hub is not linked.
    HubNotLinked {
        /// As sent.
        hub: String,
    },
}

/// The mechanism as the wire names it.
const fn word(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::X509 => "x509",
        Mechanism::SymmetricKey => "symmetricKey",
        Mechanism::Tpm => "tpm",
    }
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherId { addressed, named } => write!(
                f,
                "The document is for {named:?}, but the address is for {addressed:?}: make them \
                 the same"
            ),
            Self::DeviceId { given, because } => write!(f, "deviceId {given:?} {because}"),
            Self::AttestationMissing(mechanism) => {
                let word = word(*mechanism);
                write!(f, "attestation.type is {word}, but attestation.{word} is missing: add it")
            }
            Self::AttestationOfOther { mechanism, other } => write!(
                f,
                "attestation.type is {}, but attestation.{} is there: remove it",
                word(*mechanism),
                word(*other)
            ),
            Self::X509Members { given } => write!(
                f,
                "attestation.x509 has {given} of clientCertificates, signingCertificates and \
                 caReferences: give exactly one"
            ),
            Self::TpmGroup => f.write_str(
                "attestation.type tpm is for individual enrollments only: use x509 or symmetricKey, \
                 or x509 with certifies endorsementKey for TPMs of certain makers",
            ),
            Self::MakersOfIndividual => f.write_str(
                "attestation.x509.certifies endorsementKey is for enrollment groups only: use \
                 attestation.type tpm with the endorsement key",
            ),
            Self::CertifiesChanged => f.write_str(
                "attestation.x509.certifies can not change: delete the enrollment group and create \
                 it anew",
            ),
            Self::SigningCertificatesOfIndividual => f.write_str(
                "attestation.x509.signingCertificates is for enrollment groups only: use \
                 clientCertificates or caReferences",
            ),
            Self::ClientCertificatesOfGroup => f.write_str(
                "attestation.x509.clientCertificates is for individual enrollments only: use \
                 signingCertificates or caReferences",
            ),
            Self::NoCertificate(member) => {
                write!(f, "{member} is empty: give a primary or a secondary")
            }
            Self::Certificate { member, slot, because } => {
                write!(f, "{member}.{slot}.certificate is no certificate: {because}")
            }
            Self::UnknownCertificate { member, slot } => write!(
                f,
                "{member}.{slot} has no certificate, and its info is of none that this entry \
                 holds: send the certificate"
            ),
            Self::CertificateInUse { by } => write!(
                f,
                "The certificate is in use by {by}: a certificate belongs to one enrollment only"
            ),
            Self::UnknownCa { slot, name } => write!(
                f,
                "attestation.x509.caReferences.{slot} names {name:?}, which is no CA certificate \
                 of this provisioning service: add the certificate first"
            ),
            Self::SymmetricKey { slot } => write!(
                f,
                "attestation.symmetricKey.{slot}Key is not base64 of 16 to 64 bytes: correct it, \
                 or leave it out to have one generated"
            ),
            Self::EndorsementKey { because } => write!(
                f,
                "attestation.tpm.endorsementKey {because}: give base64 of the TPM2B_PUBLIC of an \
                 endorsement key, RSA 2048 or ECC P-256"
            ),
            Self::StorageRootKey => f.write_str(
                "attestation.tpm.storageRootKey is not base64 of a TPM2B_PUBLIC: correct it or \
                 leave it out",
            ),
            Self::EndorsementKeyInUse { by } => write!(f, "The endorsement key is in use by {by}"),
            Self::MechanismChanged { from, to } => write!(
                f,
                "attestation.type is {} and can not become {}: delete the enrollment and create \
                 it anew",
                word(*from),
                word(*to)
            ),
            Self::CustomAllocationMissing { member } => {
                write!(f, "allocationPolicy is custom, but {member} is missing: add it")
            }
            Self::WebhookUrl => f.write_str(
                "customAllocationDefinition.webhookUrl is not an absolute https address: correct it",
            ),
            Self::WebhookApiVersion => f.write_str(
                "customAllocationDefinition.apiVersion is not a version from 2018-09-01-preview \
                 on: correct it",
            ),
            Self::HubsWithoutPolicy => f.write_str(
                "iotHubs is given without allocationPolicy: add hashed, geoLatency, static or \
                 custom",
            ),
            Self::StaticWithSeveralHubs { given } => write!(
                f,
                "allocationPolicy is static, but iotHubs has {given} hubs: give one only"
            ),
            Self::HubNotLinked { hub } => {
                write!(f, "{hub:?} is not linked to this provisioning service: link the hub first")
            }
        }
    }
}

impl std::error::Error for DraftError {}
