//! The keys of shared access policies, where an operator brings them along.

use attestation::SymmetricKey;
use attestation::access::Policy;
use hub::instance::Hub;
use model::{PolicyName, ServiceName};
use provisioning::instance::Dps;

use crate::{ApiError, Call, Service};

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
        let _alone = self.changing_policies().await;
        let audited = ("dps.keys", name.as_str());
        self.change_dps(call, name, audited, |dps| keys.put_into(&mut dps.policies)).await
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
        let _alone = self.changing_policies().await;
        let audited = ("hub.keys", name.as_str());
        self.change_hub(call, name, audited, |hub| keys.put_into(&mut hub.policies)).await
    }
}
