//! Credential policies, as operators change them.

use std::fmt;

use attestation::x509::issuing::KeyType;
use model::limits::{CREDENTIAL_POLICIES_MAX, EARLIER_ISSUERS_MAX, ISSUED_VALIDITY_DAYS};
use model::{PolicyName, Timestamp};

use super::{CredentialPolicy, EarlierCa, IssuingCa};
use crate::possession::Rewrite;

/// Days that a certificate is valid where nothing is said. Source: `az iot adr ns policy create`.
const VALIDITY_DAYS_DEFAULT: u32 = 30;

/// What a change says of a policy; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Days that a certificate is valid.
    pub validity_days: Option<u32>,
    /// The kinds of keys that certificates are issued for.
    pub key_types: Option<Vec<KeyType>>,
}

/// Why a change of policies is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A policy of this name is there already.
    Exists,
    /// There is no policy of this name.
    Missing,
    /// There are as many policies as there may be.
    TooMany,
    /// The days are out of bounds.
    ValidityDays,
    /// No kind of key is left.
    NoKeyType,
    /// As many earlier CAs as may be are trusted still.
    TooManyEarlier,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the credential policy exists already"),
            Self::Missing => f.write_str("there is no such credential policy"),
            Self::TooMany => write!(f, "there are {CREDENTIAL_POLICIES_MAX} credential policies"),
            Self::ValidityDays => {
                let (first, last) = (ISSUED_VALIDITY_DAYS.start(), ISSUED_VALIDITY_DAYS.end());
                write!(f, "validityDays: is not in {first}..={last}")
            }
            Self::NoKeyType => f.write_str("keyTypes: name one at least"),
            Self::TooManyEarlier => write!(
                f,
                "the policy trusts {EARLIER_ISSUERS_MAX} earlier issuing CAs already: wait for one \
                 to end, or revoke"
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// Adds a policy, at the end.
///
/// # Errors
/// [`Refused`].
pub fn create(
    policies: &mut Vec<CredentialPolicy>,
    name: &PolicyName,
    change: &PolicyChange,
    issuer: IssuingCa,
    Rewrite { etag, now }: Rewrite,
) -> Result<(), Refused> {
    if policies.iter().any(|policy| policy.name == *name) {
        return Err(Refused::Exists);
    }
    if policies.len() >= CREDENTIAL_POLICIES_MAX {
        return Err(Refused::TooMany);
    }
    let mut policy = CredentialPolicy {
        name: name.clone(),
        validity_days: VALIDITY_DAYS_DEFAULT,
        key_types: KeyType::ALL.to_vec(),
        issuer: Some(issuer),
        earlier: Vec::new(),
        revoked: None,
        etag,
        created: now,
        updated: now,
    };
    apply(&mut policy, change)?;
    policies.push(policy);
    Ok(())
}

/// Changes what a policy says; certificates that are out stay as they are.
///
/// # Errors
/// [`Refused`].
pub fn update(
    policies: &mut [CredentialPolicy],
    name: &PolicyName,
    change: &PolicyChange,
    rewrite: Rewrite,
) -> Result<(), Refused> {
    let policy = find(policies, name)?;
    apply(policy, change)?;
    stamp(policy, rewrite);
    Ok(())
}

/// Replaces a policy's issuing CA; what the earlier one has issued is good until it ends.
///
/// # Errors
/// [`Refused`].
pub fn renew(
    policies: &mut [CredentialPolicy],
    name: &PolicyName,
    issuer: IssuingCa,
    rewrite: Rewrite,
) -> Result<(), Refused> {
    let policy = find(policies, name)?;
    policy.earlier.retain(|earlier| !is_over(earlier, rewrite.now));
    if let Some(before) = policy.issuer.take() {
        policy.earlier.push(EarlierCa { not_after: before.not_after(), id: before.id });
    }
    if policy.earlier.len() > EARLIER_ISSUERS_MAX {
        return Err(Refused::TooManyEarlier);
    }
    policy.issuer = Some(issuer);
    stamp(policy, rewrite);
    Ok(())
}

/// Revokes a policy's issuing CA and all earlier ones; `issuer` signs from then on.
///
/// # Errors
/// [`Refused::Missing`].
pub fn revoke(
    policies: &mut [CredentialPolicy],
    name: &PolicyName,
    issuer: Option<IssuingCa>,
    rewrite: Rewrite,
) -> Result<(), Refused> {
    let policy = find(policies, name)?;
    policy.issuer = issuer;
    policy.earlier.clear();
    policy.revoked = Some(rewrite.now);
    stamp(policy, rewrite);
    Ok(())
}

/// Removes a policy, and with it what its CAs have issued.
///
/// # Errors
/// [`Refused::Missing`].
pub fn delete(policies: &mut Vec<CredentialPolicy>, name: &PolicyName) -> Result<(), Refused> {
    find(policies, name)?;
    policies.retain(|policy| policy.name != *name);
    Ok(())
}

fn find<'p>(
    policies: &'p mut [CredentialPolicy],
    name: &PolicyName,
) -> Result<&'p mut CredentialPolicy, Refused> {
    policies.iter_mut().find(|policy| policy.name == *name).ok_or(Refused::Missing)
}

fn apply(policy: &mut CredentialPolicy, change: &PolicyChange) -> Result<(), Refused> {
    if let Some(days) = change.validity_days {
        if !ISSUED_VALIDITY_DAYS.contains(&days) {
            return Err(Refused::ValidityDays);
        }
        policy.validity_days = days;
    }
    if let Some(kinds) = &change.key_types {
        if kinds.is_empty() {
            return Err(Refused::NoKeyType);
        }
        policy.key_types = KeyType::ALL.iter().copied().filter(|k| kinds.contains(k)).collect();
    }
    Ok(())
}

fn stamp(policy: &mut CredentialPolicy, Rewrite { etag, now }: Rewrite) {
    policy.etag = etag;
    policy.updated = now;
}

fn is_over(earlier: &EarlierCa, now: Timestamp) -> bool {
    earlier.not_after < now
}
