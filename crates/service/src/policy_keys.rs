//! The keys of shared access policies, where an operator brings them along.

use attestation::SymmetricKey;
use attestation::access::Policy;
use hub::instance::Hub;
use model::{PolicyName, ServiceName, limits};
use provisioning::instance::Dps;
use store::{ChangeScope, Commit, Condition, Write};

use crate::{ApiError, Call, Fault, Service};

/// Keys for one shared access policy; an absent one stays as it is.
#[derive(Clone, Debug)]
pub struct PolicyKeys {
    /// The policy, one that the service has.
    pub policy: PolicyName,
    /// Its first key.
    pub primary: Option<SymmetricKey>,
    /// Its second key.
    pub secondary: Option<SymmetricKey>,
}

impl PolicyKeys {
    fn put_into<R>(&self, policies: &mut [Policy<R>]) -> Result<(), ApiError> {
        let names: Vec<_> = policies.iter().map(|policy| policy.name.to_string()).collect();
        let Some(found) = policies.iter_mut().find(|policy| policy.name == self.policy) else {
            return Err(ApiError::Invalid(format!(
                "there is no policy {}; there is {}",
                self.policy,
                names.join(", ")
            )));
        };
        if let Some(primary) = &self.primary {
            found.primary = primary.clone();
        }
        if let Some(secondary) = &self.secondary {
            found.secondary = secondary.clone();
        }
        Ok(())
    }
}

impl Service {
    /// Replaces the keys of a provisioning service's policy.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service; `Invalid` for a policy that it does not have.
    pub async fn put_dps_keys(
        &self,
        call: &Call,
        name: &ServiceName,
        keys: &PolicyKeys,
    ) -> Result<Dps, ApiError> {
        self.change_dps(call, name, "dps.keys", |dps| keys.put_into(&mut dps.policies)).await
    }

    /// Replaces the keys of a hub's policy; sessions that rested on the old ones end first.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the hub; `Invalid` for a policy that it does not have.
    pub async fn put_hub_keys(
        &self,
        call: &Call,
        name: &ServiceName,
        keys: &PolicyKeys,
    ) -> Result<Hub, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let row = self.hub(name).await?;
            let mut hub = row.value;
            keys.put_into(&mut hub.policies)?;
            let commit = Commit {
                conditions: vec![Condition::Hub { name: name.clone(), at: Some(row.revision) }],
                writes: vec![Write::Hub(Box::new(hub.clone()))],
                changes: vec![ChangeScope::Directory, ChangeScope::Hub { hub: hub.host.clone() }],
                audit: vec![self.audit(call, "hub.keys", name.as_str())],
            };
            if self.apply(commit).await? {
                return Ok(hub);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }
}
