//! `AttestationMechanism`, both ways.

use ::attestation::x509::Certificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{CertificateName, Secret, Timestamp};
use provisioning::draft::{AttestationDraft, CertificateDraft, KeysDraft, TpmDraft, X509Draft};
use provisioning::enrollment::{
    Certified, GroupAttestation, IndividualAttestation, KeyPair, Mechanism, Slots,
};
use serde::{Deserialize, Serialize};

use super::{Keys, word};
use crate::json::{Object, object};
use crate::rest::error::ApiFault;

/// What must be shown, as written into JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationJson<'a> {
    r#type: Mechanism,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<TpmJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<X509Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<KeysJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TpmJson<'a> {
    endorsement_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_root_key: Option<&'a str>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct X509Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificates: Option<SlotsJson<CertificateJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_certificates: Option<SlotsJson<CertificateJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_references: Option<SlotsJson<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certifies: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SlotsJson<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary: Option<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeysJson {
    primary_key: String,
    secondary_key: String,
}

/// A certificate slot: what the service says of it, never the certificate.
#[derive(Serialize)]
struct CertificateJson<'a> {
    info: InfoJson<'a>,
}

/// A certificate that a device showed, whole (W-02).
#[derive(Serialize)]
pub(crate) struct ShownCertificateJson<'a> {
    certificate: String,
    #[serde(flatten)]
    described: CertificateJson<'a>,
}

impl<'a> ShownCertificateJson<'a> {
    /// The certificate as base64 of its DER, and what is said of it.
    pub(crate) fn of(certificate: &'a Certificate) -> Self {
        Self { certificate: STANDARD.encode(certificate.der()), described: info(certificate) }
    }
}

/// `X509CertificateInfo`; C# and Java demand every member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InfoJson<'a> {
    subject_name: &'a str,
    sha1_thumbprint: String,
    sha256_thumbprint: String,
    issuer_name: &'a str,
    not_before_utc: Timestamp,
    not_after_utc: Timestamp,
    serial_number: String,
    version: u32,
}

impl<'a> AttestationJson<'a> {
    /// An individual's attestation.
    pub fn of_individual(attestation: &'a IndividualAttestation, keys: Keys) -> Self {
        let bare = Self::bare(attestation.mechanism());
        match attestation {
            IndividualAttestation::ClientCertificates(slots) => bare.with(X509Json {
                client_certificates: Some(certificates(slots)),
                ..X509Json::default()
            }),
            IndividualAttestation::CaReferences(names) => bare
                .with(X509Json { ca_references: Some(references(names)), ..X509Json::default() }),
            IndividualAttestation::SymmetricKey(pair) => bare.with_keys(pair, keys),
            IndividualAttestation::Tpm { endorsement_key, storage_root_key } => Self {
                tpm: Some(TpmJson {
                    endorsement_key,
                    storage_root_key: storage_root_key.as_deref(),
                }),
                ..bare
            },
        }
    }

    /// A group's attestation.
    pub fn of_group(attestation: &'a GroupAttestation, keys: Keys) -> Self {
        let bare = Self::bare(attestation.mechanism());
        match attestation {
            GroupAttestation::SigningCertificates(slots) => bare.with(X509Json {
                signing_certificates: Some(certificates(slots)),
                ..X509Json::default()
            }),
            GroupAttestation::CaReferences(names) => bare
                .with(X509Json { ca_references: Some(references(names)), ..X509Json::default() }),
            GroupAttestation::MakerCertificates(slots) => bare.with(X509Json {
                signing_certificates: Some(certificates(slots)),
                certifies: Some(ENDORSEMENT_KEY),
                ..X509Json::default()
            }),
            GroupAttestation::MakerReferences(names) => bare.with(X509Json {
                ca_references: Some(references(names)),
                certifies: Some(ENDORSEMENT_KEY),
                ..X509Json::default()
            }),
            GroupAttestation::SymmetricKey(pair) => bare.with_keys(pair, keys),
        }
    }

    const fn bare(r#type: Mechanism) -> Self {
        Self { r#type, tpm: None, x509: None, symmetric_key: None }
    }

    fn with(self, x509: X509Json<'a>) -> Self {
        Self { x509: Some(x509), ..self }
    }

    fn with_keys(self, pair: &KeyPair, keys: Keys) -> Self {
        let symmetric_key = match keys {
            Keys::Written => Some(KeysJson {
                primary_key: pair.primary.to_base64(),
                secondary_key: pair.secondary.to_base64(),
            }),
            Keys::Withheld | Keys::WithheldAll => None,
        };
        Self { symmetric_key, ..self }
    }
}

fn certificates(slots: &Slots<Certificate>) -> SlotsJson<CertificateJson<'_>> {
    SlotsJson {
        primary: slots.primary.as_ref().map(info),
        secondary: slots.secondary.as_ref().map(info),
    }
}

fn references(names: &Slots<CertificateName>) -> SlotsJson<&str> {
    SlotsJson {
        primary: names.primary.as_ref().map(CertificateName::as_str),
        secondary: names.secondary.as_ref().map(CertificateName::as_str),
    }
}

fn info(certificate: &Certificate) -> CertificateJson<'_> {
    CertificateJson {
        info: InfoJson {
            subject_name: certificate.subject_text(),
            sha1_thumbprint: certificate.sha1_thumbprint().to_string(),
            sha256_thumbprint: certificate.thumbprint().to_string(),
            issuer_name: certificate.issuer_text(),
            not_before_utc: certificate.not_before(),
            not_after_utc: certificate.not_after(),
            serial_number: certificate.serial_hex(),
            version: certificate.version(),
        },
    }
}

/// What must be shown, as read from JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttestationRead {
    r#type: Option<String>,
    #[serde(default, deserialize_with = "object")]
    tpm: Option<TpmRead>,
    #[serde(default, deserialize_with = "object")]
    x509: Option<X509Read>,
    #[serde(default, deserialize_with = "object")]
    symmetric_key: Option<KeysRead>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TpmRead {
    endorsement_key: Option<String>,
    storage_root_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct X509Read {
    #[serde(default, deserialize_with = "object")]
    client_certificates: Option<SlotsRead<Object<CertificateRead>>>,
    #[serde(default, deserialize_with = "object")]
    signing_certificates: Option<SlotsRead<Object<CertificateRead>>>,
    #[serde(default, deserialize_with = "object")]
    ca_references: Option<SlotsRead<String>>,
    certifies: Option<String>,
}

#[derive(Deserialize)]
struct SlotsRead<T> {
    primary: Option<T>,
    secondary: Option<T>,
}

#[derive(Deserialize)]
struct CertificateRead {
    certificate: Option<String>,
    #[serde(default, deserialize_with = "object")]
    info: Option<InfoRead>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfoRead {
    sha256_thumbprint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeysRead {
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

const TYPES: &[&str] = &["tpm", "x509", "symmetricKey"];

/// What the certificates below a group's CAs are for, in a member of ours that standard clients
/// pass over; written for TPMs alone. See `docs/decisions/0007`.
const CERTIFIES: &[&str] = &["deviceKey", ENDORSEMENT_KEY];
const ENDORSEMENT_KEY: &str = "endorsementKey";

/// Sorts what was read by its meaning.
pub(super) fn draft(read: Option<AttestationRead>) -> Result<AttestationDraft, ApiFault> {
    let read = read.ok_or(ApiFault::MissingMember { member: "attestation" })?;
    let given = read.r#type.ok_or(ApiFault::MissingMember { member: "attestation.type" })?;
    let values = [Mechanism::Tpm, Mechanism::X509, Mechanism::SymmetricKey];
    Ok(AttestationDraft {
        mechanism: word("attestation.type", &given, TYPES, &values)?,
        tpm: read.tpm.map(|tpm| TpmDraft {
            endorsement_key: tpm.endorsement_key,
            storage_root_key: tpm.storage_root_key,
        }),
        x509: read.x509.map(x509).transpose()?,
        symmetric_key: read.symmetric_key.map(|keys| KeysDraft {
            primary: keys.primary_key.map(Secret::new),
            secondary: keys.secondary_key.map(Secret::new),
        }),
    })
}

fn x509(read: X509Read) -> Result<X509Draft, ApiFault> {
    let values = [Certified::DeviceKey, Certified::EndorsementKey];
    let certifies =
        read.certifies.map(|given| word("attestation.x509.certifies", &given, CERTIFIES, &values));
    Ok(X509Draft {
        client_certificates: read.client_certificates.map(slots),
        signing_certificates: read.signing_certificates.map(slots),
        ca_references: read
            .ca_references
            .map(|names| Slots { primary: names.primary, secondary: names.secondary }),
        certifies: certifies.transpose()?,
    })
}

fn slots(read: SlotsRead<Object<CertificateRead>>) -> Slots<CertificateDraft> {
    let slot = |read: Option<Object<CertificateRead>>| {
        let Object(CertificateRead { certificate, info }) = read?;
        match (certificate.filter(|text| !text.is_empty()), info) {
            (Some(certificate), _) => Some(CertificateDraft::Uploaded(certificate.into_bytes())),
            (None, Some(info)) => Some(CertificateDraft::Kept {
                thumbprint: info.sha256_thumbprint.unwrap_or_default(),
            }),
            (None, None) => None,
        }
    };
    Slots { primary: slot(read.primary), secondary: slot(read.secondary) }
}
