//! Shared access policies of provisioning services and hubs, as operators change them.
//!
//! A key that was replaced, or whose policy is gone, opens nothing once the call has returned: the
//! directory is read anew, a hub's sessions that rested on it end first, and what an operator was
//! allowed to write by it is written by then.

use attestation::access::Policy;
use attestation::access::change::{self, FreshKeys, PolicyChange, Refused, Renewal};
use hub::instance::Right as HubRight;
use model::{IfMatch, PolicyName, ServiceName};
use provisioning::instance::Right as DpsRight;
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use crate::{ApiError, Call, Service, environment};

impl Service {
    /// What an operator's write holds from before it is judged until it is done: no change of
    /// policies returns in between, so that none returns before a write that rested on the old
    /// ones (I9). To be held for one write alone, as others wait for it.
    pub async fn acting(&self) -> RwLockReadGuard<'_, ()> {
        self.acting.read().await
    }

    /// What a change of policies holds.
    pub(crate) async fn changing_policies(&self) -> RwLockWriteGuard<'_, ()> {
        self.acting.write().await
    }

    /// What a change of the rules for addresses, or a deletion, waits for once it is in force: the
    /// writes that were judged before.
    pub(crate) async fn earlier_writes_done(&self) {
        drop(self.acting.write().await);
    }

    /// Creates a policy of a provisioning service, or with a demand changes the one that is there.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_dps_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        change: &PolicyChange<DpsRight>,
        if_match: &IfMatch,
    ) -> Result<Policy<DpsRight>, ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{dps}/{name}");
        let changed = self
            .change_dps(call, dps, ("dps.policy.put", &subject), |dps| {
                self.put(&mut dps.policies, name, change, if_match)
            })
            .await?;
        named(&changed.policies, name)
    }

    /// Renews the keys of a provisioning service's policy.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn renew_dps_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
        renewal: Renewal,
    ) -> Result<Policy<DpsRight>, ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{dps}/{name}");
        let changed = self
            .change_dps(call, dps, ("dps.policy.renew", &subject), |dps| {
                change::renew(&mut dps.policies, name, renewal, self.fresh_keys()).map_err(refused)
            })
            .await?;
        named(&changed.policies, name)
    }

    /// Deletes a policy of a provisioning service.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn delete_dps_policy(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &PolicyName,
    ) -> Result<(), ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{dps}/{name}");
        self.change_dps(call, dps, ("dps.policy.delete", &subject), |dps| {
            change::remove(&mut dps.policies, name).map_err(refused)
        })
        .await
        .map(drop)
    }

    /// Creates a policy of a hub, or with a demand changes the one that is there.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_hub_policy(
        &self,
        call: &Call,
        hub: &ServiceName,
        name: &PolicyName,
        change: &PolicyChange<HubRight>,
        if_match: &IfMatch,
    ) -> Result<Policy<HubRight>, ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{hub}/{name}");
        let changed = self
            .change_hub(call, hub, ("hub.policy.put", &subject), |hub| {
                self.put(&mut hub.policies, name, change, if_match)
            })
            .await?;
        named(&changed.policies, name)
    }

    /// Renews the keys of a hub's policy.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn renew_hub_policy(
        &self,
        call: &Call,
        hub: &ServiceName,
        name: &PolicyName,
        renewal: Renewal,
    ) -> Result<Policy<HubRight>, ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{hub}/{name}");
        let changed = self
            .change_hub(call, hub, ("hub.policy.renew", &subject), |hub| {
                change::renew(&mut hub.policies, name, renewal, self.fresh_keys()).map_err(refused)
            })
            .await?;
        named(&changed.policies, name)
    }

    /// Deletes a policy of a hub.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn delete_hub_policy(
        &self,
        call: &Call,
        hub: &ServiceName,
        name: &PolicyName,
    ) -> Result<(), ApiError> {
        let _alone = self.changing_policies().await;
        let subject = format!("{hub}/{name}");
        self.change_hub(call, hub, ("hub.policy.delete", &subject), |hub| {
            change::remove(&mut hub.policies, name).map_err(refused)
        })
        .await
        .map(drop)
    }

    /// As with enrollments: without a demand a policy is created, with one it is changed. Policies
    /// have no etag of their own, so that only `*` can hold.
    fn put<R: Clone + PartialEq>(
        &self,
        policies: &mut Vec<Policy<R>>,
        name: &PolicyName,
        wanted: &PolicyChange<R>,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        let fresh = self.fresh_keys();
        match if_match {
            IfMatch::Absent => change::create(policies, name, wanted, fresh),
            IfMatch::Any => change::update(policies, name, wanted, &fresh),
            IfMatch::Etag(_) => return Err(ApiError::PreconditionFailed),
        }
        .map_err(refused)
    }

    fn fresh_keys(&self) -> FreshKeys {
        FreshKeys {
            primary: environment::key::<32>(self.entropy.as_ref()),
            secondary: environment::key::<32>(self.entropy.as_ref()),
        }
    }
}

fn named<R: Clone>(policies: &[Policy<R>], name: &PolicyName) -> Result<Policy<R>, ApiError> {
    policies.iter().find(|policy| policy.name == *name).cloned().ok_or(ApiError::NotFound)
}

fn refused(because: Refused) -> ApiError {
    match because {
        Refused::Exists => ApiError::AlreadyExists,
        Refused::Missing => ApiError::NotFound,
        Refused::NoRights => ApiError::Invalid(because.to_string()),
        Refused::TooMany => ApiError::QuotaReached {
            what: "shared access policies",
            max: u64::try_from(model::limits::ACCESS_POLICIES_MAX).unwrap_or(u64::MAX),
        },
    }
}
