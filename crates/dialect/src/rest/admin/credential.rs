//! The root and the credential policies of a provisioning service, under `dps/{name}/credential`.
//!
//! Azure has them on a namespace of its Device Registry (`az iot adr ns`); the words are theirs.

use attestation::x509::Certificate;
use attestation::x509::issuing::{KeyType, PrivateKey};
use model::{PolicyName, ServiceName, Timestamp};
use provisioning::issuance::{CredentialPolicy, Issuance, PolicyChange};
use serde::{Deserialize, Serialize};

use super::{Body, ResourceJson};
use crate::json::{Object, object, read};
use crate::rest::error::{ApiFault, Missing};
use crate::rest::service::word;

/// What is addressed below `credential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialRoute {
    /// `GET`: the root
    Root,
    /// `GET policies`
    List,
    /// `GET policies/{policy}`
    Get(PolicyName),
    /// `PUT policies/{policy}`; with `If-Match` it changes the one that is there
    Put(PolicyName),
    /// `DELETE policies/{policy}`
    Delete(PolicyName),
    /// `POST policies/{policy}/renewIssuer`
    Renew(PolicyName),
    /// `POST policies/{policy}/revokeIssuer`
    Revoke(PolicyName),
}

/// Reads a method and what follows `credential`.
pub(super) fn route(method: &str, rest: &[&str]) -> Result<CredentialRoute, ApiFault> {
    let name = |text: &str| {
        PolicyName::parse(text).map_err(|because| ApiFault::Id { of: "credential policy", because })
    };
    Ok(match (method, rest) {
        ("GET", []) => CredentialRoute::Root,
        ("GET", ["policies"]) => CredentialRoute::List,
        ("GET", ["policies", text]) => CredentialRoute::Get(name(text)?),
        ("PUT", ["policies", text]) => CredentialRoute::Put(name(text)?),
        ("DELETE", ["policies", text]) => CredentialRoute::Delete(name(text)?),
        ("POST", ["policies", text, "renewIssuer"]) => CredentialRoute::Renew(name(text)?),
        ("POST", ["policies", text, "revokeIssuer"]) => CredentialRoute::Revoke(name(text)?),
        (
            _,
            [] | ["policies"] | ["policies", _] | ["policies", _, "renewIssuer" | "revokeIssuer"],
        ) => {
            return Err(ApiFault::MethodNotAllowed);
        }
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// A CA certificate.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CaJson<'a> {
    subject: &'a str,
    expiry: Timestamp,
    thumbprint: String,
    certificate: String,
}

/// Properties of a provisioning service's root.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialProperties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<CaJson<'a>>,
}

/// Properties of a credential policy; of its CA, never the key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialPolicyProperties<'a> {
    validity_days: u32,
    key_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<IssuerJson<'a>>,
    earlier_issuers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IssuerJson<'a> {
    imported: bool,
    #[serde(flatten)]
    ca: CaJson<'a>,
    chain: String,
}

/// The root of a provisioning service, if there is one yet.
pub fn credential_json<'a>(
    dps: &'a ServiceName,
    issuance: &'a Issuance,
) -> ResourceJson<'a, CredentialProperties<'a>> {
    ResourceJson {
        name: dps.as_str(),
        etag: None,
        properties: CredentialProperties {
            root: issuance.root.as_ref().map(|root| ca_json(&root.certificate)),
        },
    }
}

/// A credential policy as a resource.
pub fn credential_policy_json(
    policy: &CredentialPolicy,
) -> ResourceJson<'_, CredentialPolicyProperties<'_>> {
    let issuer = policy.issuer.as_ref().map(|issuer| IssuerJson {
        imported: issuer.imported,
        ca: ca_json(&issuer.certificate),
        chain: std::iter::once(&issuer.certificate)
            .chain(&issuer.above)
            .map(Certificate::to_pem)
            .collect(),
    });
    ResourceJson {
        name: policy.name.as_str(),
        etag: Some(policy.etag.clone()),
        properties: CredentialPolicyProperties {
            validity_days: policy.validity_days,
            key_types: policy.key_types.iter().map(|kind| kind.word()).collect(),
            issuer,
            earlier_issuers: policy.earlier.len(),
            revoked: policy.revoked,
            created: policy.created,
            updated: policy.updated,
        },
    }
}

fn ca_json(certificate: &Certificate) -> CaJson<'_> {
    CaJson {
        subject: certificate.subject_text(),
        expiry: certificate.not_after(),
        thumbprint: certificate.sha1_thumbprint().to_string(),
        certificate: certificate.to_pem(),
    }
}

/// Which CA is to sign.
#[derive(Clone, Debug)]
pub enum IssuerBody {
    /// One that is made.
    Own(Option<KeyType>),
    /// One of the operator's: the issuing CA, those above it, the root; and its key.
    Given(Vec<Certificate>, PrivateKey),
}

/// What may be said of a credential policy.
#[derive(Clone, Debug)]
pub struct CredentialBody {
    /// What it issues.
    pub change: PolicyChange,
    /// What it issues by, if anything is said of that.
    pub issuer: Option<IssuerBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    validity_days: Option<u32>,
    key_types: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object")]
    issuer: Option<Issuer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issuer {
    key_type: Option<String>,
    certificate: Option<String>,
    private_key: Option<String>,
}

/// Reads the body of `PUT …/credential/policies/{policy}`; it may be empty.
///
/// # Errors
/// [`ApiFault`].
pub fn credential_body(body: &[u8]) -> Result<CredentialBody, ApiFault> {
    if body.trim_ascii().is_empty() {
        return Ok(CredentialBody { change: PolicyChange::default(), issuer: None });
    }
    let Body { properties: Object(Properties { validity_days, key_types, issuer }) } = read(body)?;
    let key_types = key_types
        .map(|words| words.iter().map(|given| key_type("keyTypes", given)).collect())
        .transpose()?;
    let issuer = issuer.map(issuer_of).transpose()?;
    Ok(CredentialBody { change: PolicyChange { validity_days, key_types }, issuer })
}

/// Reads the body of `POST …/renewIssuer`; an empty one has a CA made.
///
/// # Errors
/// [`ApiFault`].
pub fn issuer_body(body: &[u8]) -> Result<IssuerBody, ApiFault> {
    match body.trim_ascii().is_empty() {
        true => Ok(IssuerBody::Own(None)),
        false => issuer_of(read(body)?),
    }
}

fn issuer_of(
    Issuer { key_type: kind, certificate, private_key }: Issuer,
) -> Result<IssuerBody, ApiFault> {
    match (certificate, private_key) {
        (None, None) => {
            let kind = kind.map(|given| key_type("keyType", &given)).transpose()?;
            Ok(IssuerBody::Own(kind))
        }
        (Some(_), None) => Err(ApiFault::MissingMember { member: "issuer.privateKey" }),
        (None, Some(_)) => Err(ApiFault::MissingMember { member: "issuer.certificate" }),
        (Some(certificate), Some(key)) => {
            let certificates = Certificate::chain_from_pem(certificate.as_bytes())
                .map_err(|because| ApiFault::Invalid(format!("issuer.certificate: {because}")))?;
            let key = PrivateKey::from_pem(&key)
                .map_err(|because| ApiFault::Invalid(format!("issuer.privateKey: {because}")))?;
            Ok(IssuerBody::Given(certificates, key))
        }
    }
}

fn key_type(member: &'static str, given: &str) -> Result<KeyType, ApiFault> {
    word(member, given, KeyType::WORDS, KeyType::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_policies_have_their_addresses() {
        let name = PolicyName::parse("p").unwrap();
        for (method, rest, expected) in [
            ("GET", &[][..], Ok(CredentialRoute::Root)),
            ("GET", &["policies"], Ok(CredentialRoute::List)),
            ("GET", &["policies", "p"], Ok(CredentialRoute::Get(name.clone()))),
            ("PUT", &["policies", "p"], Ok(CredentialRoute::Put(name.clone()))),
            ("DELETE", &["policies", "p"], Ok(CredentialRoute::Delete(name.clone()))),
            ("POST", &["policies", "p", "renewIssuer"], Ok(CredentialRoute::Renew(name.clone()))),
            ("POST", &["policies", "p", "revokeIssuer"], Ok(CredentialRoute::Revoke(name))),
            ("GET", &["policies", "p", "revokeIssuer"], Err(ApiFault::MethodNotAllowed)),
            ("POST", &[], Err(ApiFault::MethodNotAllowed)),
            ("GET", &["other"], Err(ApiFault::NotFound(Missing::Path))),
        ] {
            assert_eq!(route(method, rest), expected, "{method} {rest:?}");
        }
    }

    #[test]
    fn a_policy_body_names_known_keys_and_a_whole_issuer() {
        let body = br#"{"properties": {"validityDays": 7, "keyTypes": ["p-256", "RSA"]}}"#;
        let read = credential_body(body).unwrap();
        assert_eq!(read.change.validity_days, Some(7));
        assert_eq!(read.change.key_types, Some(vec![KeyType::P256, KeyType::Rsa]));
        assert!(read.issuer.is_none());
        let fault = |body: &str| credential_body(body.as_bytes()).unwrap_err().to_string();
        assert!(fault(r#"{"properties": {"keyTypes": ["Ed25519"]}}"#).contains("P-384"));
        assert!(
            fault(r#"{"properties": {"issuer": {"certificate": "x"}}}"#).contains("privateKey")
        );
        let bad = r#"{"properties": {"issuer": {"certificate": "x", "privateKey": "y"}}}"#;
        assert!(fault(bad).starts_with("issuer.certificate: "));
        assert!(matches!(issuer_body(b""), Ok(IssuerBody::Own(None))));
        let own = issuer_body(br#"{"keyType": "P-256"}"#);
        assert!(matches!(own, Ok(IssuerBody::Own(Some(KeyType::P256)))));
    }
}
