//! Shared access policies, under `dps/{name}/policies` and `hubs/{name}/policies`.
//!
//! A policy is written in the form in which `listkeys` shows it.

use ::hub::instance::Right as HubRight;
use attestation::SymmetricKey;
use attestation::access::Policy;
use attestation::access::change::{KeyWish, PolicyChange, Renewal};
use model::PolicyName;
use provisioning::instance::Right as DpsRight;
use serde::{Deserialize, Serialize};

use crate::json::read;
use crate::rest::error::{ApiFault, Missing};
use crate::rest::service::word;

/// One policy of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRoute {
    /// `GET {policy}`
    Get(PolicyName),
    /// `PUT {policy}`; with `If-Match: *` it changes the one that is there
    Put(PolicyName),
    /// `DELETE {policy}`
    Delete(PolicyName),
    /// `POST {policy}/renew`
    Renew(PolicyName),
}

/// Reads a method and what follows `policies`.
pub(super) fn route(method: &str, rest: &[&str]) -> Result<PolicyRoute, ApiFault> {
    let name = |text: &str| {
        PolicyName::parse(text).map_err(|because| ApiFault::Id { of: "policy", because })
    };
    Ok(match (method, rest) {
        ("GET", [text]) => PolicyRoute::Get(name(text)?),
        ("PUT", [text]) => PolicyRoute::Put(name(text)?),
        ("DELETE", [text]) => PolicyRoute::Delete(name(text)?),
        ("POST", [text, "renew"]) => PolicyRoute::Renew(name(text)?),
        (_, [_] | [_, "renew"]) => return Err(ApiFault::MethodNotAllowed),
        (_, _) => return Err(ApiFault::NotFound(Missing::Path)),
    })
}

/// A right's name on the wire.
pub trait RightName: Copy + 'static {
    /// Every right.
    const ALL: &'static [Self];
    /// Every right's name, in the same order.
    const WORDS: &'static [&'static str];
    /// As the `rights` of a policy spell it.
    fn word(self) -> &'static str;
}

impl RightName for DpsRight {
    const ALL: &'static [Self] = &[
        Self::ServiceConfig,
        Self::EnrollmentRead,
        Self::EnrollmentWrite,
        Self::DeviceConnect,
        Self::RegistrationStatusRead,
        Self::RegistrationStatusWrite,
    ];
    const WORDS: &'static [&'static str] = &[
        "ServiceConfig",
        "EnrollmentRead",
        "EnrollmentWrite",
        "DeviceConnect",
        "RegistrationStatusRead",
        "RegistrationStatusWrite",
    ];
    fn word(self) -> &'static str {
        match self {
            Self::ServiceConfig => "ServiceConfig",
            Self::EnrollmentRead => "EnrollmentRead",
            Self::EnrollmentWrite => "EnrollmentWrite",
            Self::DeviceConnect => "DeviceConnect",
            Self::RegistrationStatusRead => "RegistrationStatusRead",
            Self::RegistrationStatusWrite => "RegistrationStatusWrite",
        }
    }
}

impl RightName for HubRight {
    const ALL: &'static [Self] =
        &[Self::RegistryRead, Self::RegistryWrite, Self::ServiceConnect, Self::DeviceConnect];
    const WORDS: &'static [&'static str] =
        &["RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"];
    fn word(self) -> &'static str {
        match self {
            Self::RegistryRead => "RegistryRead",
            Self::RegistryWrite => "RegistryWrite",
            Self::ServiceConnect => "ServiceConnect",
            Self::DeviceConnect => "DeviceConnect",
        }
    }
}

/// A shared access policy with its keys.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyJson<'a> {
    key_name: &'a str,
    primary_key: String,
    secondary_key: String,
    rights: String,
}

/// A policy with its keys; the text is a secret.
pub fn key_json<R: RightName>(policy: &Policy<R>) -> KeyJson<'_> {
    let rights: Vec<_> = policy.rights.iter().map(|right| right.word()).collect();
    KeyJson {
        key_name: policy.name.as_str(),
        primary_key: policy.primary.to_base64(),
        secondary_key: policy.secondary.to_base64(),
        rights: rights.join(", "),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    rights: Option<String>,
    primary_key: Option<String>,
    secondary_key: Option<String>,
}

/// Reads the body of `PUT …/policies/{policy}`: what it does not name stays, an empty key is made
/// anew. Source: `az iot dps policy update`, K-10.
///
/// # Errors
/// [`ApiFault`].
pub fn policy_body<R: RightName>(body: &[u8]) -> Result<PolicyChange<R>, ApiFault> {
    let Body { rights, primary_key, secondary_key } = read(body)?;
    Ok(PolicyChange {
        rights: rights.as_deref().map(read_rights).transpose()?,
        primary: wish("primaryKey", primary_key)?,
        secondary: wish("secondaryKey", secondary_key)?,
    })
}

fn read_rights<R: RightName>(text: &str) -> Result<Vec<R>, ApiFault> {
    let words = text.split(',').map(str::trim).filter(|given| !given.is_empty());
    words.map(|given| word("rights", given, R::WORDS, R::ALL)).collect()
}

fn wish(member: &'static str, key: Option<String>) -> Result<KeyWish, ApiFault> {
    match key.as_deref() {
        None => Ok(KeyWish::Keep),
        Some("") => Ok(KeyWish::Generate),
        Some(text) => SymmetricKey::from_base64(text)
            .map(KeyWish::Use)
            .map_err(|because| ApiFault::Invalid(format!("{member}: {because}"))),
    }
}

/// Reads the body of `POST …/policies/{policy}/renew`.
///
/// # Errors
/// [`ApiFault`].
pub fn renew_body(body: &[u8]) -> Result<Renewal, ApiFault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        renew_key: String,
    }
    let Body { renew_key } = read(body)?;
    word(
        "renewKey",
        &renew_key,
        &["primary", "secondary", "swap"],
        &[Renewal::Primary, Renewal::Secondary, Renewal::Swap],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_10_rights_are_read_as_they_are_written() {
        fn check<R: RightName + PartialEq + std::fmt::Debug>() {
            let words: Vec<_> = R::ALL.iter().map(|right| right.word()).collect();
            assert_eq!(words, R::WORDS);
            let body = format!(r#"{{"rights": "{}"}}"#, words.join(", "));
            let change: PolicyChange<R> = policy_body(body.as_bytes()).unwrap();
            assert_eq!(change.rights.as_deref(), Some(R::ALL));
        }
        check::<DpsRight>();
        check::<HubRight>();
        let body = br#"{"rights": "enrollmentread"}"#;
        let change: PolicyChange<DpsRight> = policy_body(body).unwrap();
        assert_eq!(change.rights, Some(vec![DpsRight::EnrollmentRead]));
        let fault = policy_body::<HubRight>(body).unwrap_err();
        assert!(fault.to_string().contains("RegistryWrite"), "{fault}");
    }

    #[test]
    fn a_key_is_kept_made_anew_or_given() {
        let body = br#"{"primaryKey": "", "secondaryKey": "AAECAwQFBgcICQoLDA0ODw=="}"#;
        let change: PolicyChange<HubRight> = policy_body(body).unwrap();
        assert!(matches!(change.primary, KeyWish::Generate));
        assert!(matches!(change.secondary, KeyWish::Use(_)));
        let change: PolicyChange<HubRight> = policy_body(b"{}").unwrap();
        assert!(matches!(change.primary, KeyWish::Keep) && change.rights.is_none());
        let fault = policy_body::<HubRight>(br#"{"primaryKey": "c2hvcnQ="}"#).unwrap_err();
        assert_eq!(fault.to_string(), "primaryKey: is not 16 to 64 bytes long");
    }

    #[test]
    fn keys_to_renew_are_named() {
        assert_eq!(renew_body(br#"{"renewKey": "Swap"}"#), Ok(Renewal::Swap));
        assert!(renew_body(br#"{"renewKey": "both"}"#).is_err());
    }

    #[test]
    fn policies_have_their_addresses() {
        let name = PolicyName::parse("p").unwrap();
        for (method, rest, expected) in [
            ("GET", &["p"][..], Ok(PolicyRoute::Get(name.clone()))),
            ("PUT", &["p"], Ok(PolicyRoute::Put(name.clone()))),
            ("DELETE", &["p"], Ok(PolicyRoute::Delete(name.clone()))),
            ("POST", &["p", "renew"], Ok(PolicyRoute::Renew(name))),
            ("POST", &["p"], Err(ApiFault::MethodNotAllowed)),
            ("GET", &["p", "renew"], Err(ApiFault::MethodNotAllowed)),
            ("GET", &[], Err(ApiFault::NotFound(Missing::Path))),
        ] {
            assert_eq!(route(method, rest), expected, "{method} {rest:?}");
        }
    }
}
