//! The executable model of a store: one mutex, everything in memory.
//!
//! Made to be plainly right: a commit is applied to a copy, which takes the original's place when
//! nothing stood against it.

mod rows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use events::{Queued, Subscription};
use hub::identity::{Device, DeviceStatus};
use hub::instance::Hub;
use model::{
    DeviceId, EnrollmentGroupId, HostName, RegistrationId, ServiceName, Sha256, SubscriptionName,
};
use provisioning::enrollment::{EntryId, Group, Individual};
use provisioning::instance::Dps;
use provisioning::registration::Registration;
use provisioning::remote::{Job, job_key};
use provisioning::view::{InstanceView, RegistrationView, Versioned};

use crate::commit::{AuditLine, Commit, Committed, Counted};
use crate::error::{CommitError, StoreError};
use crate::traits::{
    Change, Deliveries, DeliveryCount, DeviceCount, DeviceView, Devices, Enrollments, Events,
    IndividualView, Instances, Jobs, Orphaned, Page, Registrations, Store, Views,
};
use rows::{Instance, Rows};

/// A store that lasts as long as the process.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rows: Rows,
    changes: Vec<Change>,
    audit: Vec<AuditLine>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that was ever written to the audit trail, oldest first.
    pub fn audit_lines(&self) -> Vec<AuditLine> {
        self.kept().audit.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owned<T: Clone>(row: &Arc<Versioned<T>>) -> Versioned<T> {
    row.as_ref().clone()
}

/// Of rows in the order of their keys, those after a key, at most `limit`.
fn page<'r, T: Clone + 'r>(
    rows: impl Iterator<Item = (&'r str, &'r Arc<Versioned<T>>)>,
    after: Option<&str>,
    limit: usize,
) -> Page<T> {
    let mut rows = rows.filter(|(key, _)| after.is_none_or(|after| *key > after));
    let mut page = Page { rows: Vec::new(), next: None };
    let mut last = None;
    for (key, row) in rows.by_ref().take(limit) {
        page.rows.push(owned(row));
        last = Some(key);
    }
    if rows.next().is_some() {
        page.next = last.map(str::to_owned);
    }
    page
}

#[async_trait]
impl Instances for Memory {
    async fn all_dps(&self) -> Result<Vec<Versioned<Dps>>, StoreError> {
        let row = |found: &Instance| Versioned {
            value: found.view.dps.clone(),
            revision: found.view.generation,
        };
        Ok(self.kept().rows.instances.values().map(row).collect())
    }

    async fn all_hubs(&self) -> Result<Vec<Versioned<Hub>>, StoreError> {
        Ok(self.kept().rows.hubs.values().map(owned).collect())
    }

    async fn instance(&self, dps: &ServiceName) -> Result<Option<Arc<InstanceView>>, StoreError> {
        Ok(self.kept().rows.instances.get(dps).map(|found| Arc::clone(&found.view)))
    }
}

#[async_trait]
impl Enrollments for Memory {
    async fn individual(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Individual>>, StoreError> {
        let kept = self.kept();
        let instance = kept.rows.instances.get(dps);
        Ok(instance.and_then(|found| found.individuals.get(id)).map(owned))
    }

    async fn individuals_by_leaf(
        &self,
        dps: &ServiceName,
        thumbprint: &Sha256,
    ) -> Result<Vec<Versioned<Individual>>, StoreError> {
        let kept = self.kept();
        let instance = kept.rows.instances.get(dps);
        Ok(instance.map(|found| found.by_leaf(thumbprint)).unwrap_or_default())
    }

    async fn individual_views(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<IndividualView>, StoreError> {
        let kept = self.kept();
        let instance = kept.rows.instances.get(dps);
        let rows = instance.into_iter().flat_map(|found| &found.individuals);
        let page = page(rows.map(|(id, row)| (id.key(), row)), after, limit);
        let record = |id: &RegistrationId| instance?.registrations.get(id).map(owned);
        let view = |individual: Versioned<Individual>| IndividualView {
            registration: record(&individual.value.registration_id),
            individual,
        };
        Ok(Views { views: page.rows.into_iter().map(view).collect(), next: page.next })
    }

    async fn individual_count(&self, dps: &ServiceName) -> Result<u64, StoreError> {
        let kept = self.kept();
        let found = kept.rows.instances.get(dps);
        Ok(found.map_or(0, |found| found.count(Counted::Individuals)))
    }

    async fn group(
        &self,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
    ) -> Result<Option<Versioned<Group>>, StoreError> {
        let kept = self.kept();
        Ok(kept.rows.instances.get(dps).and_then(|found| found.group(id)).cloned())
    }
}

#[async_trait]
impl Registrations for Memory {
    async fn registration_view(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
        leaf: Option<&Sha256>,
    ) -> Result<Option<RegistrationView>, StoreError> {
        let kept = self.kept();
        Ok(kept.rows.instances.get(dps).map(|found| RegistrationView {
            instance: Arc::clone(&found.view),
            individual_by_id: found.individuals.get(id).map(owned),
            individuals_by_leaf: leaf.map(|leaf| found.by_leaf(leaf)).unwrap_or_default(),
            registration: found.registrations.get(id).map(owned),
            registrations_counted: found.count(Counted::Registrations),
            registrations_deleted: found.registrations_deleted,
        }))
    }

    async fn registration_count(&self, dps: &ServiceName) -> Result<u64, StoreError> {
        let kept = self.kept();
        let found = kept.rows.instances.get(dps);
        Ok(found.map_or(0, |found| found.count(Counted::Registrations)))
    }

    async fn registration(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Registration>>, StoreError> {
        let kept = self.kept();
        let instance = kept.rows.instances.get(dps);
        Ok(instance.and_then(|found| found.registrations.get(id)).map(owned))
    }

    async fn registrations_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Registration>, StoreError> {
        let kept = self.kept();
        let owner = EntryId::Group(group.clone());
        let rows = kept.rows.instances.get(dps).into_iter().flat_map(|found| &found.registrations);
        let rows = rows.filter(|(_, row)| row.value.owner.id == owner);
        Ok(page(rows.map(|(id, row)| (id.key(), row)), after, limit))
    }

    async fn registration_count_of_group(
        &self,
        dps: &ServiceName,
        group: &EnrollmentGroupId,
    ) -> Result<u64, StoreError> {
        let kept = self.kept();
        let owner = EntryId::Group(group.clone());
        let rows = kept.rows.instances.get(dps).into_iter().flat_map(|found| &found.registrations);
        let count = rows.filter(|(_, row)| row.value.owner.id == owner).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn orphaned(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<Orphaned>, StoreError> {
        let kept = self.kept();
        let mut found: BTreeMap<String, Orphaned> = BTreeMap::new();
        if let Some(instance) = kept.rows.instances.get(dps) {
            for row in instance.registrations.values() {
                let EntryId::Group(group) = &row.value.owner.id else { continue };
                if instance.group(group).is_none() {
                    let first = || Orphaned { group: group.clone(), registrations: 0 };
                    let of_group = found.entry(group.key().to_owned()).or_insert_with(first);
                    of_group.registrations += 1;
                }
            }
        }
        let mut rest =
            found.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let (mut views, mut last) = (Vec::new(), None);
        for (key, view) in rest.by_ref().take(limit) {
            views.push(view);
            last = Some(key);
        }
        Ok(Views { views, next: last.filter(|_| rest.next().is_some()) })
    }
}

#[async_trait]
impl Jobs for Memory {
    async fn job(
        &self,
        dps: &ServiceName,
        id: &RegistrationId,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        Ok(self.kept().rows.jobs.get(&job_key(dps, id)).map(owned))
    }

    async fn jobs(
        &self,
        dps: Option<&ServiceName>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Job>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.jobs.iter();
        let rows = rows.filter(|(_, row)| dps.is_none_or(|dps| row.value.dps == *dps));
        Ok(page(rows.map(|(key, row)| (key.as_str(), row)), after, limit))
    }
}

#[async_trait]
impl Devices for Memory {
    async fn device(
        &self,
        hub: &HostName,
        id: &DeviceId,
    ) -> Result<Option<DeviceView>, StoreError> {
        let kept = self.kept();
        let key = (hub.clone(), id.clone());
        let device = kept.rows.devices.get(&key).map(owned);
        let twin = kept.rows.twins.get(&key).map(owned);
        Ok(device.zip(twin).map(|(device, twin)| DeviceView { device, twin }))
    }

    async fn devices(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Device>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.devices.iter().filter(|((host, _), _)| host == hub);
        Ok(page(rows.map(|((_, id), row)| (id.as_str(), row)), after, limit))
    }

    async fn device_views(
        &self,
        hub: &HostName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Views<DeviceView>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.devices.iter();
        let whole = rows.filter(|(key, _)| key.0 == *hub && kept.rows.twins.contains_key(key));
        let page = page(whole.map(|((_, id), row)| (id.as_str(), row)), after, limit);
        let view = |device: Versioned<Device>| {
            let key = (hub.clone(), device.value.device_id.clone());
            kept.rows.twins.get(&key).map(owned).map(|twin| DeviceView { device, twin })
        };
        Ok(Views { views: page.rows.into_iter().filter_map(view).collect(), next: page.next })
    }

    async fn device_count(&self, hub: &HostName) -> Result<DeviceCount, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.devices.iter().filter(|((host, _), _)| host == hub);
        let mut count = DeviceCount::default();
        for (_, row) in rows {
            count.total += 1;
            count.disabled += u64::from(row.value.status == DeviceStatus::Disabled);
        }
        Ok(count)
    }
}

#[async_trait]
impl Events for Memory {
    async fn subscriptions(&self) -> Result<Vec<Versioned<Subscription>>, StoreError> {
        Ok(self.kept().rows.subscriptions.values().map(owned).collect())
    }

    async fn deliveries(
        &self,
        subscription: &SubscriptionName,
        which: Deliveries,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.deliveries.iter().filter(|(number, delivery)| {
            let of_kind = match which {
                Deliveries::Waiting => delivery.dead.is_none(),
                Deliveries::Dead => delivery.dead.is_some(),
            };
            **number > after && delivery.subscription == *subscription && of_kind
        });
        let queued = |(number, delivery): (&u64, &Arc<events::Delivery>)| Queued {
            number: *number,
            delivery: delivery.as_ref().clone(),
        };
        Ok(rows.take(limit).map(queued).collect())
    }

    async fn delivery_count(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<DeliveryCount, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.deliveries.values();
        let mut count = DeliveryCount::default();
        for delivery in rows.filter(|delivery| delivery.subscription == *subscription) {
            match delivery.dead {
                Some(_) => count.dead += 1,
                None => count.waiting += 1,
            }
        }
        Ok(count)
    }
}

#[async_trait]
impl Store for Memory {
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let mut kept = self.kept();
        for condition in commit.conditions {
            if !kept.rows.holds(&condition) {
                return Err(CommitError::Conflict(condition));
            }
        }
        let mut rows = kept.rows.clone();
        for write in &commit.writes {
            rows.write(write).map_err(CommitError::Conflict)?;
        }
        kept.rows = rows;
        kept.audit.extend(commit.audit);
        let mut seq = 0;
        for scope in commit.changes {
            seq = kept.changes.last().map_or(0, |change| change.seq) + 1;
            kept.changes.push(Change { seq, scope });
        }
        Ok(Committed { seq })
    }

    async fn changes_after(&self, seq: u64, limit: usize) -> Result<Vec<Change>, StoreError> {
        let kept = self.kept();
        let changes = kept.changes.iter().filter(|change| change.seq > seq);
        Ok(changes.take(limit).cloned().collect())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    crate::suite!(Box::new(Memory::new()));
}
