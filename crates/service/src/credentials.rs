//! Credential policies of a provisioning service, as operators change them.
//!
//! A CA that was revoked, or whose policy is gone, vouches for nothing once the call has returned:
//! no register call and no poll hands out a certificate of it, no device signs in to a hub with
//! one, and the sessions that rested on one have ended.

use attestation::x509::Certificate;
use attestation::x509::issuing::{KeyType, PrivateKey};
use model::{IfMatch, PolicyName, ServiceName};
use provisioning::instance::Dps;
use provisioning::issuance::{
    self, CredentialPolicy, Issuance, IssuingCa, Made, PolicyChange, Refused, RootCa,
};
use provisioning::possession::Rewrite;
use store::ChangeScope;

use crate::instances::demanded;
use crate::{ApiError, Call, Service, environment};

/// The key of an issuing CA that is made, where nothing is said. Source: `dps-device-api` §7.
const KEY_TYPE_DEFAULT: KeyType = KeyType::P384;

/// Which CA a policy issues by.
#[derive(Clone, Debug)]
pub enum IssuerRequest {
    /// One that is made below the instance's own root; of the present key's kind, else P-384.
    Own(Option<KeyType>),
    /// One of the operator's.
    Given {
        /// The issuing CA, those above it, the root.
        certificates: Vec<Certificate>,
        /// The issuing CA's key.
        key: PrivateKey,
    },
}

impl Service {
    /// What a provisioning service issues certificates by.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service.
    pub async fn issuance(&self, dps: &ServiceName) -> Result<Issuance, ApiError> {
        Ok(self.dps(dps).await?.value.issuance)
    }

    /// One credential policy.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn credential_policy(
        &self,
        dps: &ServiceName,
        name: &PolicyName,
    ) -> Result<CredentialPolicy, ApiError> {
        let issuance = self.issuance(dps).await?;
        issuance.policy(name.as_str()).cloned().ok_or(ApiError::NotFound)
    }

    /// Creates a credential policy with its CA.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn create_credential_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        change: &PolicyChange,
        issuer: &IssuerRequest,
    ) -> Result<CredentialPolicy, ApiError> {
        let subject = format!("{dps}/{name}");
        let audited = ("credential-policy.create", subject.as_str());
        let changed = self
            .change_dps(call, dps, audited, |dps| {
                let ca = self.ca(dps, name, issuer)?;
                let policies = &mut dps.issuance.policies;
                issuance::create(policies, name, change, ca, self.rewrite()).map_err(refused)
            })
            .await?;
        named(&changed, name)
    }

    /// Changes what a credential policy says; certificates that are out stay as they are.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn update_credential_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        change: &PolicyChange,
        if_match: &IfMatch,
    ) -> Result<CredentialPolicy, ApiError> {
        let subject = format!("{dps}/{name}");
        let audited = ("credential-policy.update", subject.as_str());
        let changed = self
            .change_dps(call, dps, audited, |dps| {
                matches(&dps.issuance, name, if_match)?;
                let policies = &mut dps.issuance.policies;
                issuance::update(policies, name, change, self.rewrite()).map_err(refused)
            })
            .await?;
        named(&changed, name)
    }

    /// Replaces a policy's issuing CA, without a word against the one before.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn renew_issuer(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        issuer: &IssuerRequest,
        if_match: &IfMatch,
    ) -> Result<CredentialPolicy, ApiError> {
        let subject = format!("{dps}/{name}");
        let audited = ("credential-policy.renew-issuer", subject.as_str());
        let changed = self
            .change_dps(call, dps, audited, |dps| {
                matches(&dps.issuance, name, if_match)?;
                let ca = self.ca(dps, name, issuer)?;
                let policies = &mut dps.issuance.policies;
                issuance::renew(policies, name, ca, self.rewrite()).map_err(refused)
            })
            .await?;
        named(&changed, name)
    }

    /// Revokes a policy's issuing CA and all before it. One of the instance's own is made anew at
    /// once; one of the operator's has to be brought along anew.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke_issuer(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        if_match: &IfMatch,
    ) -> Result<CredentialPolicy, ApiError> {
        let subject = format!("{dps}/{name}");
        let audited = ("credential-policy.revoke-issuer", subject.as_str());
        let changed = self
            .change_dps_beyond(call, dps, audited, self.every_hub(), |dps| {
                matches(&dps.issuance, name, if_match)?;
                let present = dps.issuance.policy(name.as_str());
                let is_own = present
                    .and_then(|policy| policy.issuer.as_ref())
                    .is_some_and(|issuer| !issuer.imported);
                let own = IssuerRequest::Own(None);
                let fresh = is_own.then(|| self.ca(dps, name, &own)).transpose()?;
                let policies = &mut dps.issuance.policies;
                issuance::revoke(policies, name, fresh, self.rewrite()).map_err(refused)
            })
            .await?;
        named(&changed, name)
    }

    /// Deletes a credential policy; what it has issued is refused, as if it were revoked.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_credential_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        let subject = format!("{dps}/{name}");
        let audited = ("credential-policy.delete", subject.as_str());
        self.change_dps_beyond(call, dps, audited, self.every_hub(), |dps| {
            matches(&dps.issuance, name, if_match)?;
            issuance::delete(&mut dps.issuance.policies, name).map_err(refused)
        })
        .await
        .map(drop)
    }

    /// Every hub: which of them has devices with certificates of an issuer is known to none.
    pub(crate) fn every_hub(&self) -> Vec<ChangeScope> {
        let directory = self.directory();
        directory.hubs.iter().map(|hub| ChangeScope::Hub { hub: hub.host.clone() }).collect()
    }

    fn ca(
        &self,
        dps: &mut Dps,
        policy: &PolicyName,
        request: &IssuerRequest,
    ) -> Result<IssuingCa, ApiError> {
        let made = self.made();
        let wanted = match request {
            IssuerRequest::Own(wanted) => *wanted,
            IssuerRequest::Given { certificates, key } => {
                return issuance::imported(certificates, key, &made.id, made.now)
                    .map_err(|because| ApiError::Invalid(format!("issuer: {because}")));
            }
        };
        if wanted == Some(KeyType::Rsa) {
            return Err(ApiError::Invalid(
                "issuer.keyType: RSA keys are not made here; bring an RSA CA along".to_owned(),
            ));
        }
        let present = dps.issuance.policy(policy.as_str()).and_then(|found| found.issuer.as_ref());
        let present = present.and_then(|issuer| issuer.key.kind().ok());
        let present = present.filter(|kind| *kind != KeyType::Rsa);
        let kind = wanted.or(present).unwrap_or(KEY_TYPE_DEFAULT);
        let root = self.root(dps)?;
        Ok(issuance::make_issuing(root, policy, kind, &made)?)
    }

    /// The instance's own root, made where there is none that lasts.
    fn root<'d>(&self, dps: &'d mut Dps) -> Result<&'d RootCa, ApiError> {
        let made = self.made();
        let lasting = dps.issuance.root.take();
        let lasting = lasting.filter(|root| !issuance::root_is_short(root, made.now));
        let root = match lasting {
            Some(root) => root,
            None => issuance::make_root(&dps.name, &made)?,
        };
        Ok(dps.issuance.root.insert(root))
    }

    fn made(&self) -> Made {
        let entropy = self.entropy.as_ref();
        Made {
            serial: environment::serial(entropy),
            id: environment::guid(entropy),
            now: self.now(),
        }
    }

    fn rewrite(&self) -> Rewrite {
        Rewrite { etag: environment::etag(self.entropy.as_ref()), now: self.now() }
    }
}

fn matches(issuance: &Issuance, name: &PolicyName, if_match: &IfMatch) -> Result<(), ApiError> {
    let present = issuance.policy(name.as_str()).ok_or(ApiError::NotFound)?;
    demanded(if_match, Some(&present.etag))
}

fn named(dps: &Dps, name: &PolicyName) -> Result<CredentialPolicy, ApiError> {
    dps.issuance.policy(name.as_str()).cloned().ok_or(ApiError::NotFound)
}

fn refused(because: Refused) -> ApiError {
    match because {
        Refused::Exists => ApiError::AlreadyExists,
        Refused::Missing => ApiError::NotFound,
        Refused::ValidityDays | Refused::NoKeyType | Refused::TooManyEarlier => {
            ApiError::Invalid(because.to_string())
        }
        Refused::TooMany => ApiError::QuotaReached {
            what: "credential policies",
            max: u64::try_from(model::limits::CREDENTIAL_POLICIES_MAX).unwrap_or(u64::MAX),
        },
    }
}
