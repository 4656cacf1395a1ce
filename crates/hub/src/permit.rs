//! Who may connect: one check, at connect and again at every change (invariant I6).

use core::fmt;
use core::net::IpAddr;

use attestation::access::{self, Policy};
use attestation::network::{Api, Network, NetworkAccess, Refused};
use attestation::sas::SasToken;
use attestation::x509::Certificate;
use model::{DeviceId, HostName, PolicyName, Sha256, Timestamp, limits};

use crate::identity::{Authentication, Device, DeviceStatus, Thumbprint};
use crate::instance::{Right, grants};

/// What a connecting device showed; not yet believed.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// Neither a certificate nor a token.
    None,
    /// The leaf certificate, whose private key TLS has proven.
    X509(Box<Certificate>),
    /// A SAS token.
    Sas(SasToken),
}

/// What a session rests on: the identity and the hub's policies, as stored now.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// The hub's host name.
    pub host: &'a HostName,
    /// The identity; none where there is none.
    pub device: Option<&'a Device>,
    /// The hub's policies.
    pub policies: &'a [Policy<Right>],
    /// From where the hub may be called.
    pub network: &'a NetworkAccess,
    /// The server's private networks.
    pub private: &'a [Network],
    /// Certificates of the identity's whose issuer was revoked.
    pub withdrawn: &'a [Sha256],
}

/// A yes: which credential it rests on and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The credential that was used (D-24).
    pub credential: Credential,
    /// Tells this identity from a later one of the same id.
    pub generation_id: i64,
    /// When the evidence itself expires.
    pub until: Timestamp,
}

/// The credential that a permit rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token signed with the identity's own key.
    DeviceKey,
    /// A certificate of the identity's.
    Certificate,
    /// A token of a policy of the hub.
    Policy(PolicyName),
}

/// A no, with its reason; the device is told only that it is not authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It may not come from this address.
    Network(Refused),
    /// No such identity.
    UnknownDevice,
    /// The identity is disabled.
    DeviceDisabled,
    /// Neither a certificate nor a token was shown.
    NoEvidence,
    /// The identity is known by evidence of another kind.
    OtherMechanism,
    /// Neither key of the identity made the token's signature.
    Signature,
    /// The token has expired.
    TokenExpired,
    /// The token was made for another resource.
    TokenResource,
    /// The certificate is not one of the identity's.
    OtherCertificate,
    /// The certificate is not valid now.
    CertificateValidity,
    /// The CA that issued the certificate was revoked.
    IssuerRevoked,
    /// A policy's token was shown, and it does not hold.
    Policy(access::Denied),
    /// The identity was made anew since the session began.
    OtherGeneration,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network(because) => return because.fmt(f),
            Self::Policy(because) => return because.fmt(f),
            Self::UnknownDevice => "there is no such identity",
            Self::DeviceDisabled => "the identity is disabled",
            Self::NoEvidence => "neither a token nor a certificate was shown that can be read",
            Self::OtherMechanism => "the identity is known by evidence of another kind",
            Self::Signature => "neither key of the identity made the token's signature",
            Self::TokenExpired => "the token has expired",
            Self::TokenResource => "the token was made for another resource",
            Self::OtherCertificate => "the certificate is none of the identity's",
            Self::CertificateValidity => "the certificate is not valid now",
            Self::IssuerRevoked => "the CA that issued the certificate was revoked",
            Self::OtherGeneration => "the identity was made anew",
        })
    }
}

/// Judges whether a device may be connected now, from where it is.
///
/// # Errors
/// [`Denied`] with the first reason, the address before all else, the evidence before the status:
/// who can not prove possession learns nothing of the identity.
pub fn permit(
    authority: Authority<'_>,
    device_id: &DeviceId,
    from: IpAddr,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<Permit, Denied> {
    authority.network.admit(from, Api::Device, authority.private).map_err(Denied::Network)?;
    let device = authority.device.ok_or(Denied::UnknownDevice)?;
    let (credential, until) = match evidence {
        Evidence::None => return Err(Denied::NoEvidence),
        Evidence::Sas(token) if token.key_name().is_some() => {
            let policy = by_policy(authority, device_id, token, now)?;
            (Credential::Policy(policy), token_end(token))
        }
        Evidence::Sas(token) => {
            by_device_key(authority, device, token, now)?;
            (Credential::DeviceKey, token_end(token))
        }
        Evidence::X509(leaf) => {
            by_certificate(authority, device, leaf, now)?;
            (Credential::Certificate, leaf.not_after())
        }
    };
    match device.status {
        DeviceStatus::Enabled => {
            Ok(Permit { credential, generation_id: device.generation_id, until })
        }
        DeviceStatus::Disabled => Err(Denied::DeviceDisabled),
    }
}

fn by_policy(
    authority: Authority<'_>,
    device_id: &DeviceId,
    token: &SasToken,
    now: Timestamp,
) -> Result<PolicyName, Denied> {
    let resource = device_resource(authority.host, device_id);
    let connect = |rights: &[Right]| grants(rights, Right::DeviceConnect);
    access::authorize(authority.policies, token, &resource, connect, now)
        .map(|policy| policy.name.clone())
        .map_err(Denied::Policy)
}

fn by_device_key(
    authority: Authority<'_>,
    device: &Device,
    token: &SasToken,
    now: Timestamp,
) -> Result<(), Denied> {
    let Authentication::Sas { primary, secondary } = &device.authentication else {
        return Err(Denied::OtherMechanism);
    };
    if !(token.is_signed_by(primary) | token.is_signed_by(secondary)) {
        return Err(Denied::Signature);
    }
    if token.is_expired(now) {
        return Err(Denied::TokenExpired);
    }
    match token.covers(&device_resource(authority.host, &device.device_id)) {
        true => Ok(()),
        false => Err(Denied::TokenResource),
    }
}

fn by_certificate(
    authority: Authority<'_>,
    device: &Device,
    leaf: &Certificate,
    now: Timestamp,
) -> Result<(), Denied> {
    let Authentication::SelfSigned { primary, secondary } = &device.authentication else {
        return Err(Denied::OtherMechanism);
    };
    let is_leaf = |known: &Thumbprint| match known {
        Thumbprint::Sha1(hash) => *hash == leaf.sha1_thumbprint(),
        Thumbprint::Sha256(hash) => *hash == leaf.thumbprint(),
    };
    if !primary.iter().chain(secondary.iter()).any(is_leaf) {
        return Err(Denied::OtherCertificate);
    }
    if authority.withdrawn.contains(&leaf.thumbprint()) {
        return Err(Denied::IssuerRevoked);
    }
    leaf.is_valid_at(now).map_err(|_| Denied::CertificateValidity)
}

fn device_resource(host: &HostName, device_id: &DeviceId) -> String {
    format!("{host}/devices/{device_id}")
}

/// When a token is no longer taken: its expiry, and the skew that clocks are granted.
fn token_end(token: &SasToken) -> Timestamp {
    token.expires().plus(limits::SAS_CLOCK_SKEW)
}
