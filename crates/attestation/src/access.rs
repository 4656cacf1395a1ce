//! Shared access policies: who may do what with a service, shown by a SAS token.

pub mod change;

use std::fmt;

use model::{PolicyName, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct};

use crate::SymmetricKey;
use crate::sas::SasToken;

/// A shared access policy: a name, its rights and its two keys.
///
/// `R` is the service's own list of rights. Source: `dps-service-api` K-09, `iot-hub` §1.2.
#[derive(Clone, Debug)]
pub struct Policy<R> {
    /// The policy's name, `skn` of a token.
    pub name: PolicyName,
    /// What a bearer may do.
    pub rights: Vec<R>,
    /// Signs tokens.
    pub primary: SymmetricKey,
    /// Signs tokens as well, so that the other key can be replaced.
    pub secondary: SymmetricKey,
}

/// Why a token gives no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The token names no policy of this service (K-07).
    UnknownPolicy,
    /// Neither key of the policy made the signature (K-07).
    Signature,
    /// The token's expiry has passed (K-05).
    Expired,
    /// The token was made for another resource (K-02, K-04).
    Resource,
    /// The token is good, but its policy lacks the right (K-08).
    Right,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPolicy => "the token names no policy that is there",
            Self::Signature => "neither key of the policy made the token's signature",
            Self::Expired => "the token has expired",
            Self::Resource => "the token was made for another resource",
            Self::Right => "the token's policy lacks the right",
        })
    }
}

/// Judges a token against the policies of one service; gives the policy that it was made with.
///
/// `resource` is the host name, then the path that is asked for; `grants` says whether a policy's
/// rights are enough. The signature is checked before anything is told about the token.
///
/// # Errors
/// The first [`Denied`] in the order unknown policy, signature, expiry, resource, right.
pub fn authorize<'p, R>(
    policies: &'p [Policy<R>],
    token: &SasToken,
    resource: &str,
    grants: impl Fn(&[R]) -> bool,
    now: Timestamp,
) -> Result<&'p Policy<R>, Denied> {
    let named = token.key_name().ok_or(Denied::UnknownPolicy)?;
    let policy = policies
        .iter()
        .find(|policy| policy.name.as_str().eq_ignore_ascii_case(named))
        .ok_or(Denied::UnknownPolicy)?;
    if !token.is_signed_by(&policy.primary) && !token.is_signed_by(&policy.secondary) {
        return Err(Denied::Signature);
    }
    if token.is_expired(now) {
        return Err(Denied::Expired);
    }
    if !token.covers(resource) {
        return Err(Denied::Resource);
    }
    if !grants(&policy.rights) {
        return Err(Denied::Right);
    }
    Ok(policy)
}

impl<R: Serialize> Serialize for Policy<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Policy", 4)?;
        document.serialize_field("name", &self.name)?;
        document.serialize_field("rights", &self.rights)?;
        document.serialize_field("primary", &self.primary)?;
        document.serialize_field("secondary", &self.secondary)?;
        document.end()
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Policy<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<R>(std::marker::PhantomData<R>);
        impl<'de, R: Deserialize<'de>> de::Visitor<'de> for Fields<R> {
            type Value = Policy<R>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shared access policy")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Policy<R>, A::Error> {
                let (mut name, mut rights, mut primary, mut secondary) = (None, None, None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "name" => name = Some(map.next_value()?),
                        "rights" => rights = Some(map.next_value()?),
                        "primary" => primary = Some(map.next_value()?),
                        "secondary" => secondary = Some(map.next_value()?),
                        _ => {
                            map.next_value::<de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(Policy {
                    name: name.ok_or_else(|| de::Error::missing_field("name"))?,
                    rights: rights.ok_or_else(|| de::Error::missing_field("rights"))?,
                    primary: primary.ok_or_else(|| de::Error::missing_field("primary"))?,
                    secondary: secondary.ok_or_else(|| de::Error::missing_field("secondary"))?,
                })
            }
        }
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}
