//! The port.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use events::{Queued, Subscription};
use hub::identity::Device;
use hub::instance::Hub;
use hub::twin::Twin;
use model::{
    DeviceId, EnrollmentGroupId, HostName, RegistrationId, ServiceName, Sha256, SubscriptionName,
    limits,
};
use provisioning::enrollment::{Group, Individual};
use provisioning::instance::Dps;
use provisioning::registration::Registration;
use provisioning::remote::Job;
use provisioning::view::{InstanceView, RegistrationView, Versioned};

use crate::commit::{ChangeScope, Commit, Committed};
use crate::error::{CommitError, StoreError};

/// Rows in the order of their keys, and where to go on.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most as many as were asked for.
    pub rows: Vec<Versioned<T>>,
    /// The key of the last row where more may follow.
    pub next: Option<String>,
}

/// A device identity with its twin.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// The identity.
    pub device: Versioned<Device>,
    /// Its twin.
    pub twin: Versioned<Twin>,
}

/// An individual enrollment with the record of its id.
#[derive(Clone, Debug)]
pub struct IndividualView {
    /// The entry.
    pub individual: Versioned<Individual>,
    /// The record, whoever owns it.
    pub registration: Option<Versioned<Registration>>,
}

/// Views in the order of their keys, and where to go on.
#[derive(Clone, Debug)]
pub struct Views<V> {
    /// At most as many as were asked for.
    pub views: Vec<V>,
    /// The key of the last view where more may follow.
    pub next: Option<String>,
}

/// What a deleted enrollment group left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphaned {
    /// The id that no group has any more, as it was spelled.
    pub group: EnrollmentGroupId,
    /// How many records it owns, never-assigned ones included.
    pub registrations: u64,
}

/// How many identities a hub has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCount {
    /// All of them.
    pub total: u64,
    /// Those that may not connect.
    pub disabled: u64,
}

/// A change that live sessions must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Gapless, in the order of commits.
    pub seq: u64,
    /// What changed.
    pub scope: ChangeScope,
}

/// Instances and hubs.
#[async_trait]
pub trait Instances: Send + Sync {
    /// All provisioning services, by name.
    async fn all_dps(&self) -> Result<Vec<Versioned<Dps>>, StoreError>;
    /// All hubs, by name.
    async fn all_hubs(&self) -> Result<Vec<Versioned<Hub>>, StoreError>;
    /// One instance with its groups and CA certificates; none where there is no such instance.
    ///
    /// The answer is of one snapshot, and the same `Arc` as long as the generation is the same.
    async fn instance(&self, dps: &ServiceName) -> Result<Option<Arc<InstanceView>>, StoreError>;
}

/// Enrollments.
#[async_trait]
pub trait Enrollments: Send + Sync {
    /// One individual enrollment.
    async fn individual(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Individual>>, StoreError>;
    /// Individual enrollments that hold this certificate in any slot, or this endorsement key,
    /// oldest first; of the same age, by id. `thumbprint` is one of
    /// [`claims_of`](provisioning::draft::claims_of) them.
    async fn individuals_by_leaf(
        &self,
        dps: &ServiceName,
        thumbprint: &Sha256,
    ) -> Result<Vec<Versioned<Individual>>, StoreError>;
    /// The individual enrollments of these ids, in their order, as far as they are there.
    async fn individuals_of(
        &self,
        dps: &ServiceName,
        ids: &[RegistrationId],
    ) -> Result<Vec<Option<Versioned<Individual>>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.individual(dps, id).await?);
        }
        Ok(found)
    }
    /// For each of these claims what [`Enrollments::individuals_by_leaf`] gives.
    async fn individuals_by_leaves(
        &self,
        dps: &ServiceName,
        thumbprints: &[Sha256],
    ) -> Result<Vec<Vec<Versioned<Individual>>>, StoreError> {
        let mut found = Vec::with_capacity(thumbprints.len());
        for thumbprint in thumbprints {
            found.push(self.individuals_by_leaf(dps, thumbprint).await?);
        }
        Ok(found)
    }
    /// Individual enrollments in the order of their lower-case ids, after a key, each with the
    /// record of its id, of one snapshot.
    async fn individual_views(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<IndividualView>, StoreError>;
    /// How many individual enrollments there are.
    async fn individual_count(&self, dps: &ServiceName) -> Result<u64, StoreError>;
    /// One group.
    async fn group(
        &self,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
    ) -> Result<Option<Versioned<Group>>, StoreError>;
}

/// Registration records.
#[async_trait]
pub trait Registrations: Send + Sync {
    /// All that one registration is decided by, of one snapshot; none where there is no such
    /// instance. `leaf` is the presented leaf's `content_hash`.
    async fn registration_view(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
        leaf: Option<&Sha256>,
    ) -> Result<Option<RegistrationView>, StoreError>;
    /// How many records count toward the quota (D-11).
    async fn registration_count(&self, dps: &ServiceName) -> Result<u64, StoreError>;
    /// One record.
    async fn registration(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Registration>>, StoreError>;
    /// The records that a group of this id owns or owned, in the order of their lower-case ids,
    /// after a key (Q-05: orphans included, whatever the group's incarnation).
    async fn registrations_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Registration>, StoreError>;
    /// How many records a group of this id owns or owned, whatever its incarnation.
    async fn registration_count_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
    ) -> Result<u64, StoreError>;
    /// The ids that own records as groups though no group has them, in the order of the lower-case
    /// ids, after a key.
    async fn orphaned(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<Orphaned>, StoreError>;
}

/// Jobs on hubs that live elsewhere.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// The job of a registration.
    async fn job(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Job>>, StoreError>;
    /// The jobs of all instances or of one, in the order of their
    /// [keys](provisioning::remote::job_key), after a key.
    async fn jobs(
        &self,
        dps: Option<&ServiceName>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Job>, StoreError>;
}

/// Device identities and twins.
#[async_trait]
pub trait Devices: Send + Sync {
    /// One identity with its twin, of one snapshot; none where either is missing, so that a commit
    /// that makes an identity writes its twin as well.
    async fn device(&self, hub: &HostName, id: &DeviceId)
    -> Result<Option<DeviceView>, StoreError>;
    /// Identities in the order of their ids, after a key.
    async fn devices(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Device>, StoreError>;
    /// Identities with their twins in the order of their ids, after a key, of one snapshot.
    async fn device_views(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<DeviceView>, StoreError>;
    /// How many identities there are; it may look at each.
    async fn device_count(&self, hub: &HostName) -> Result<DeviceCount, StoreError>;
}

/// Which of what is queued for an event subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliveries {
    /// What is still to be tried.
    Waiting,
    /// What was given up.
    Dead,
}

/// How much is queued for an event subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCount {
    /// What is still to be tried.
    pub waiting: u64,
    /// What was given up.
    pub dead: u64,
}

/// Event subscriptions and what is on its way to them.
#[async_trait]
pub trait Events: Send + Sync {
    /// All subscriptions, by name.
    async fn subscriptions(&self) -> Result<Vec<Versioned<Subscription>>, StoreError>;
    /// What is queued for a subscription, behind a number, in the order of the numbers, which is
    /// that of the commits.
    async fn deliveries(
        &self,
        subscription: &SubscriptionName,
        which: Deliveries,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError>;
    /// Of each subject the first event that waits for a subscription, in the order in which they
    /// are due: what happened to one is told in its order, and holds up no other.
    async fn first_deliveries(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let (mut firsts, mut subjects, mut after) = (Vec::new(), HashSet::new(), 0);
        loop {
            let (which, window) = (Deliveries::Waiting, limits::EVENTS_LOOKED_AT);
            let page = self.deliveries(subscription, which, after, window).await?;
            let Some(last) = page.last() else { break };
            after = last.number;
            firsts.extend(page.into_iter().filter(|row| {
                let event = &row.delivery.event;
                subjects.insert((event.source.clone(), event.subject.clone()))
            }));
        }
        firsts.sort_by_key(|row| (row.delivery.due, row.number));
        firsts.truncate(limit);
        Ok(firsts)
    }
    /// How much is queued for a subscription; it may look at each.
    async fn delivery_count(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<DeliveryCount, StoreError>;
}

/// How much a store's writer has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreWork {
    /// Commits that were applied.
    pub commits: u64,
    /// Transactions that they shared: each is one fsync.
    pub transactions: u64,
}

/// A whole store.
#[async_trait]
pub trait Store: Instances + Enrollments + Registrations + Jobs + Devices + Events {
    /// Applies a commit: durable when this returns `Ok`.
    ///
    /// Once this was called the commit may be applied, though the caller goes away.
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError>;
    /// Changes after a sequence number, in order, at most `limit`.
    async fn changes_after(&self, seq: u64, limit: usize) -> Result<Vec<Change>, StoreError>;
    /// Whether the store answers and can be written to.
    async fn check(&self) -> Result<(), StoreError>;
    /// How much its writer has done; none where nothing is grouped.
    fn work(&self) -> Option<StoreWork> {
        None
    }
}
