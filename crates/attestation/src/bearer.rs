//! Bearer tokens of an issuer that the operator trusts: who it is, and in which role.
//!
//! A token is a JSON Web Token (RFC 7519) in the compact form of a JSON Web Signature (RFC 7515),
//! as OpenID Connect issuers make it. Which algorithm is used is the token's to say and ours to
//! allow; which key, the issuer's alone: what a token's header brings along is never looked at
//! (RFC 8725 §3).

mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::Duration;

use model::{ServiceName, Timestamp};
use serde_json::Value;

pub use keys::{KeySet, KeySetError};

use token::Token;

/// What a role may do. Source: Azure's built-in roles *… Data Reader* and *… Data Contributor*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads what is no secret.
    Reader,
    /// Reads and writes, the keys of devices and enrollments included.
    Contributor,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It tells no secret and changes nothing.
    Read,
    /// It changes something, or tells the keys of devices and enrollments.
    Write,
    /// It tells or changes keys of shared access policies: no role has that, or a token of an
    /// hour could be turned into a key without end.
    Own,
}

impl Role {
    /// Whether the role is enough.
    pub const fn grants(self, needed: Access) -> bool {
        match (self, needed) {
            (Self::Reader | Self::Contributor, Access::Read)
            | (Self::Contributor, Access::Write) => true,
            (Self::Reader, Access::Write) | (Self::Reader | Self::Contributor, Access::Own) => {
                false
            }
        }
    }
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// A provisioning service.
    Dps(&'a ServiceName),
    /// A hub.
    Hub(&'a ServiceName),
    /// The administration.
    Admin,
}

/// Where a role holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// At every provisioning service.
    EveryDps,
    /// At every hub.
    EveryHub,
    /// At one provisioning service.
    Dps(ServiceName),
    /// At one hub.
    Hub(ServiceName),
    /// At the administration.
    Admin,
}

impl Scope {
    fn covers(&self, service: Service<'_>) -> bool {
        match (self, service) {
            (Self::EveryDps, Service::Dps(_))
            | (Self::EveryHub, Service::Hub(_))
            | (Self::Admin, Service::Admin) => true,
            (Self::Dps(named), Service::Dps(asked)) | (Self::Hub(named), Service::Hub(asked)) => {
                named == asked
            }
            (
                Self::EveryDps | Self::EveryHub | Self::Dps(_) | Self::Hub(_) | Self::Admin,
                Service::Dps(_) | Service::Hub(_) | Service::Admin,
            ) => false,
        }
    }
}

/// Whom of an issuer's subjects a role is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The claim that is looked at: a member's name, or a JSON pointer (RFC 6901) that begins
    /// with `/`.
    pub claim: String,
    /// The values of which one is enough.
    pub values: Vec<String>,
    /// The role.
    pub role: Role,
    /// Where it holds; everywhere where none is named.
    pub scopes: Vec<Scope>,
}

impl Grant {
    fn is_for(&self, claims: &Value) -> bool {
        let claim = match self.claim.starts_with('/') {
            true => claims.pointer(&self.claim),
            false => claims.get(&self.claim),
        };
        let wanted = |text: &str| self.values.iter().any(|value| value == text);
        match claim {
            // RFC 6749 §3.3: scopes are one text with spaces between; names of roles have spaces.
            Some(Value::String(text)) if matches!(self.claim.as_str(), "scp" | "scope") => {
                text.split(' ').any(wanted)
            }
            Some(Value::String(text)) => wanted(text),
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).any(wanted),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                false
            }
        }
    }
}

/// An issuer that the operator trusts.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// The `aud` of which a token must have one.
    pub audiences: Vec<String>,
    /// How far its clock may be off.
    pub clock_skew: Duration,
    /// Who may do what.
    pub grants: Vec<Grant>,
    /// What it signs with; none while they are not known.
    pub keys: Arc<KeySet>,
}

/// Why a token gives no access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is longer than [`model::limits::BEARER_BYTES_MAX`].
    TooLong,
    /// It is no token, or demands what is not understood (`crit`).
    Malformed,
    /// It is signed by none of the algorithms that are believed, or by none at all.
    Algorithm,
    /// Nobody trusts its issuer.
    UnknownIssuer,
    /// The issuer has no such key, as far as is known.
    UnknownKey {
        /// The issuer.
        issuer: String,
    },
    /// The issuer did not make its signature.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It was made for somebody else.
    Audience,
    /// It says of nobody whose it is, or of somebody who can not be written down.
    Subject,
    /// It is good, but gives no role that is enough here.
    Right,
}

impl Denied {
    /// What the bearer is told; nothing of what was not signed by a trusted issuer.
    pub const fn told(&self) -> Option<&'static str> {
        match self {
            Self::TooLong
            | Self::Malformed
            | Self::Algorithm
            | Self::UnknownIssuer
            | Self::UnknownKey { .. }
            | Self::Signature => None,
            Self::Expired => Some("The token has expired"),
            Self::NotYetValid => Some("The token is not valid yet"),
            Self::Audience => Some("The token is for another audience"),
            Self::Subject => Some("The token names no subject"),
            Self::Right => Some("The token gives no role that may do this"),
        }
    }
}

/// Judges a token by the issuers that are trusted; gives the bearer's name and role.
///
/// The signature is checked before anything else is told of the token, and it is judged anew at
/// every call: who is no longer trusted is refused by the next one.
///
/// # Errors
/// The first [`Denied`].
pub fn authorize(
    issuers: &[Issuer],
    text: &str,
    service: Service<'_>,
    needed: Access,
    now: Timestamp,
) -> Result<Bearer, Denied> {
    let token = Token::parse(text)?;
    let named = token.claims.get("iss").and_then(Value::as_str).ok_or(Denied::Malformed)?;
    let issuer = issuers.iter().find(|known| known.issuer == named).ok_or(Denied::UnknownIssuer)?;
    let signed = issuer
        .keys
        .verify(&token)
        .ok_or_else(|| Denied::UnknownKey { issuer: issuer.issuer.clone() })?;
    if !signed {
        return Err(Denied::Signature);
    }
    on_time(&token.claims, issuer.clock_skew, now)?;
    if !is_for(&token.claims, &issuer.audiences) {
        return Err(Denied::Audience);
    }
    let subject = subject(&token.claims).ok_or(Denied::Subject)?;
    let roles = issuer.grants.iter().filter(|grant| {
        let covers = grant.scopes.is_empty() || grant.scopes.iter().any(|one| one.covers(service));
        covers && grant.is_for(&token.claims)
    });
    match roles.map(|grant| grant.role).max().filter(|role| role.grants(needed)) {
        Some(role) => Ok(Bearer { name: format!("{subject} of {}", issuer.issuer), role }),
        None => Err(Denied::Right),
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Subject and issuer, for the audit trail.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// RFC 7519 §4.1.4 and §4.1.5; a token without an end is not believed.
fn on_time(claims: &Value, skew: Duration, now: Timestamp) -> Result<(), Denied> {
    let skew = i64::try_from(skew.as_secs()).unwrap_or(i64::MAX);
    let now = now.unix_seconds();
    let end = numeric_date(claims.get("exp")).ok_or(Denied::Expired)?;
    if now >= end.saturating_add(skew) {
        return Err(Denied::Expired);
    }
    match claims.get("nbf") {
        None => Ok(()),
        Some(begin) => match numeric_date(Some(begin)) {
            Some(begin) if now.saturating_add(skew) >= begin => Ok(()),
            Some(_) | None => Err(Denied::NotYetValid),
        },
    }
}

/// Whole seconds; a fraction is cut off.
fn numeric_date(value: Option<&Value>) -> Option<i64> {
    let Value::Number(number) = value? else { return None };
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    // Beyond this a date is as far away as any other, and `f64` has no whole seconds any more.
    let text = format!("{:.0}", number.as_f64()?.floor().clamp(-9e15, 9e15));
    text.parse().ok()
}

/// RFC 7519 §4.1.3: one text, or several.
fn is_for(claims: &Value, audiences: &[String]) -> bool {
    let ours = |text: &str| audiences.iter().any(|audience| audience == text);
    match claims.get("aud") {
        Some(Value::String(one)) => ours(one),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(ours),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

/// OpenID Connect Core §2: at most 255 ASCII characters; here any text of that length that can
/// stand in a line of the audit trail.
fn subject(claims: &Value) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fits = (1..=model::limits::SUBJECT_CHARS_MAX).contains(&subject.chars().count());
    (fits && !subject.chars().any(char::is_control)).then_some(subject)
}
