//! Certificates issued while registering (`dps-device-api` §7, `dps-service-api` A-12).
//!
//! A credential policy holds an issuing CA and says what it issues. An enrollment names a policy;
//! a device that it lets in may send a certificate signing request and gets a certificate, which
//! it shows to its hub. Such a certificate is good only as long as the CA that issued it is one of
//! its policy's: a CA that is revoked takes all its certificates along.

mod authority;
mod order;
mod policy;

use attestation::x509::Certificate;
use attestation::x509::issuing::{KeyType, PrivateKey};
use model::{Etag, PolicyName, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

pub use authority::{ImportError, Made, imported, issued, make_issuing, make_root, root_is_short};
pub use order::{CsrFault, Issue, NotIssued, Order, order, withdrawn};
pub use policy::{PolicyChange, Refused, create, delete, renew, revoke, update};

/// What an instance issues certificates by.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issuance {
    /// The instance's own root, made for the first policy without a CA of the operator's.
    pub root: Option<RootCa>,
    /// The policies, oldest first.
    pub policies: Vec<CredentialPolicy>,
}

/// A root that signs issuing CAs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RootCa {
    /// Its certificate.
    pub certificate: Certificate,
    /// Its key.
    pub key: PrivateKey,
}

/// Says which certificates are issued, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialPolicy {
    /// Its name in the instance, which enrollments refer to.
    pub name: PolicyName,
    /// Days that a certificate is valid, within `ISSUED_VALIDITY_DAYS`.
    pub validity_days: u32,
    /// The kinds of keys that certificates are issued for; never empty.
    pub key_types: Vec<KeyType>,
    /// The CA that signs; none while an operator's is revoked and not replaced.
    pub issuer: Option<IssuingCa>,
    /// CAs that signed before: what they have issued is good until it ends.
    pub earlier: Vec<EarlierCa>,
    /// When a CA of it was revoked last.
    pub revoked: Option<Timestamp>,
    /// Changes at every write.
    pub etag: Etag,
    /// When it was made.
    pub created: Timestamp,
    /// When it was written last.
    pub updated: Timestamp,
}

/// A CA that signs devices' certificates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuingCa {
    /// Tells it from every other one, and from itself revoked and brought back.
    pub id: String,
    /// Its certificate.
    pub certificate: Certificate,
    /// The certificates above it, each the issuer of the one before, the root last; empty for a
    /// root.
    pub above: Vec<Certificate>,
    /// Its key.
    pub key: PrivateKey,
    /// Whether an operator brought it along; else it is below the instance's own root.
    pub imported: bool,
}

/// A CA that signed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierCa {
    /// [`IssuingCa::id`].
    pub id: String,
    /// When it ends, and with it all that it issued.
    pub not_after: Timestamp,
}

/// A certificate that was issued, as a record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// SHA-256 of the request that it answers.
    pub request: Sha256,
    /// The policy.
    pub policy: PolicyName,
    /// [`IssuingCa::id`] of the CA that signed it.
    pub issuer: String,
    /// Leaf, CAs, root: each the issuer of the one before.
    pub chain: Vec<Certificate>,
}

impl Issued {
    /// The device's own certificate.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.chain.first()
    }
}

impl Issuance {
    /// The policy of this name, in either case.
    pub fn policy(&self, name: &str) -> Option<&CredentialPolicy> {
        self.policies.iter().find(|policy| policy.name.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether what this CA has issued is good: it signs, or was replaced without being revoked.
    pub fn is_live(&self, issuer: &str) -> bool {
        self.policies.iter().any(|policy| {
            let current = policy.issuer.iter().map(|ca| ca.id.as_str());
            current.chain(policy.earlier.iter().map(|ca| ca.id.as_str())).any(|id| id == issuer)
        })
    }

    /// Every CA certificate that is in use: of the root and of the policies.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        let issuers = self.policies.iter().filter_map(|policy| policy.issuer.as_ref());
        let root = self.root.iter().map(|root| &root.certificate);
        root.chain(issuers.map(|issuer| &issuer.certificate))
    }
}

impl IssuingCa {
    /// When the first of it and of those above it ends.
    pub fn not_after(&self) -> Timestamp {
        let above = self.above.iter().map(Certificate::not_after);
        above.fold(self.certificate.not_after(), Timestamp::min)
    }
}
