//! The executable model of a store: one mutex, everything in memory.
//!
//! Made to be plainly right: a commit is applied to a copy, which takes the original's place when
//! nothing stood against it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hub::identity::Device;
use hub::instance::Hub;
use hub::twin::Twin;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, HostName, RegistrationId, Revision, ServiceName,
    Sha256,
};
use provisioning::enrollment::{EntryId, Group, Individual, IndividualAttestation};
use provisioning::instance::{CaCertificate, Dps};
use provisioning::registration::Registration;
use provisioning::view::{InstanceView, RegistrationView, Versioned};

use crate::commit::{AuditLine, Commit, Committed, Condition, RefusedBound, Write};
use crate::error::{CommitError, StoreError};
use crate::traits::{
    Change, DeviceView, Devices, Enrollments, Instances, Page, Registrations, Store,
};

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

/// Rows by key; shared, so that a copy of the map copies no document.
type Table<K, T> = BTreeMap<K, Arc<Versioned<T>>>;

#[derive(Clone, Debug, Default)]
struct Rows {
    /// The revision that was given last.
    revision: u64,
    instances: BTreeMap<ServiceName, Instance>,
    hubs: Table<ServiceName, Hub>,
    devices: Table<(HostName, DeviceId), Device>,
    twins: Table<(HostName, DeviceId), Twin>,
}

#[derive(Clone, Debug)]
struct Instance {
    /// Groups and certificates are in here as well, since all four change together.
    view: Arc<InstanceView>,
    individuals: Table<RegistrationId, Individual>,
    registrations: Table<RegistrationId, Registration>,
}

impl Rows {
    const fn next_revision(&mut self) -> Revision {
        self.revision += 1;
        Revision(self.revision)
    }

    fn next_row<T>(&mut self, value: &T) -> Arc<Versioned<T>>
    where
        T: Clone,
    {
        Arc::new(Versioned { value: value.clone(), revision: self.next_revision() })
    }

    fn holds(&self, condition: &Condition) -> bool {
        let instance = |dps: &ServiceName| self.instances.get(dps);
        match condition {
            Condition::Individual { dps, id, at } => {
                instance(dps).and_then(|found| revision(&found.individuals, id)) == *at
            }
            Condition::IndividualsByLeaf { dps, thumbprint, at } => {
                let found = instance(dps).map(|found| found.by_leaf(thumbprint));
                let found = found.unwrap_or_default();
                found.iter().map(|row| row.revision).eq(at.iter().copied())
            }
            Condition::Instance { dps, generation } => {
                instance(dps).map(|found| found.view.generation) == *generation
            }
            Condition::Group { dps, id, at } => {
                instance(dps).and_then(|found| found.group(id)).map(|row| row.revision) == *at
            }
            Condition::CaCertificate { dps, name, at } => {
                let found = instance(dps).and_then(|found| found.ca_certificate(name));
                found.map(|row| row.revision) == *at
            }
            Condition::Registration { dps, id, at } => {
                instance(dps).and_then(|found| revision(&found.registrations, id)) == *at
            }
            Condition::Hub { name, at } => revision(&self.hubs, name) == *at,
            Condition::Device { hub, id, at } => {
                revision(&self.devices, &(hub.clone(), id.clone())) == *at
            }
            Condition::Twin { hub, id, at } => {
                revision(&self.twins, &(hub.clone(), id.clone())) == *at
            }
        }
    }

    /// Writes one row, or says what stands against it.
    fn write(&mut self, write: &Write) -> Result<(), Condition> {
        match write {
            Write::Dps(value) => self.write_dps(value),
            Write::DeleteDps(name) => {
                self.instances.remove(name);
            }
            Write::CaCertificate(dps, value) => {
                let row = self.next_row(value.as_ref());
                self.renew(dps, |view| put_ca_certificate(view, &row))?;
            }
            Write::DeleteCaCertificate(dps, name) => {
                let found = self.instances.get(dps).and_then(|found| found.ca_certificate(name));
                if found.is_some() {
                    self.renew(dps, |view| {
                        view.ca_certificates.retain(|row| row.value.name != *name);
                    })?;
                }
            }
            Write::Individual(dps, value) => {
                let row = self.next_row(value.as_ref());
                let instance = self.instance_mut(dps)?;
                instance.individuals.insert(value.registration_id.clone(), row);
            }
            Write::DeleteIndividual(dps, id) => {
                if let Some(instance) = self.instances.get_mut(dps) {
                    instance.individuals.remove(id);
                }
            }
            Write::Group(dps, value) => {
                let row = self.next_row(value.as_ref());
                self.renew(dps, |view| put_group(view, &row))?;
            }
            Write::DeleteGroup(dps, id) => {
                if self.instances.get(dps).and_then(|found| found.group(id)).is_some() {
                    self.renew(dps, |view| view.groups.retain(|row| row.value.id != *id))?;
                }
            }
            Write::Registration(dps, value) => {
                let row = self.next_row(value.as_ref());
                let instance = self.instance_mut(dps)?;
                instance.registrations.insert(value.registration_id.clone(), row);
            }
            Write::DeleteRegistration(dps, id) => {
                if let Some(instance) = self.instances.get_mut(dps) {
                    instance.registrations.remove(id);
                }
            }
            Write::DeleteRegistrationsOwnedBy(dps, owner) => {
                if let Some(instance) = self.instances.get_mut(dps) {
                    instance.registrations.retain(|_, row| row.value.owner != *owner);
                }
            }
            Write::BoundRefused(bound) => {
                if let Some(instance) = self.instances.get_mut(&bound.dps) {
                    instance.bound_refused(bound);
                }
            }
            Write::Hub(value) => self.write_hub(value)?,
            Write::DeleteHub(name) => self.delete_hub(name),
            Write::Device(hub, value) => self.write_device(hub, value)?,
            Write::DeleteDevice(hub, id) => {
                let key = (hub.clone(), id.clone());
                self.devices.remove(&key);
                self.twins.remove(&key);
            }
            Write::Twin(hub, id, value) => self.write_twin(hub, id, value)?,
        }
        Ok(())
    }

    fn instance_mut(&mut self, dps: &ServiceName) -> Result<&mut Instance, Condition> {
        let absent = || Condition::Instance { dps: dps.clone(), generation: None };
        self.instances.get_mut(dps).ok_or_else(absent)
    }

    /// Changes what all registrations of an instance share, under a new generation.
    fn renew(
        &mut self,
        dps: &ServiceName,
        change: impl FnOnce(&mut InstanceView),
    ) -> Result<(), Condition> {
        let generation = self.next_revision();
        let instance = self.instance_mut(dps)?;
        let mut view = InstanceView {
            dps: instance.view.dps.clone(),
            groups: instance.view.groups.clone(),
            ca_certificates: instance.view.ca_certificates.clone(),
            generation,
        };
        change(&mut view);
        instance.view = Arc::new(view);
        Ok(())
    }

    fn write_dps(&mut self, value: &Dps) {
        let renewed = self.renew(&value.name, |view| view.dps = value.clone());
        if renewed.is_err() {
            let view = InstanceView {
                dps: value.clone(),
                groups: Vec::new(),
                ca_certificates: Vec::new(),
                generation: self.next_revision(),
            };
            let instance = Instance {
                view: Arc::new(view),
                individuals: BTreeMap::new(),
                registrations: BTreeMap::new(),
            };
            self.instances.insert(value.name.clone(), instance);
        }
    }

    fn write_hub(&mut self, value: &Hub) -> Result<(), Condition> {
        let row = self.next_row(value);
        let other = self
            .hubs
            .iter()
            .find(|(name, row)| **name != value.name && row.value.host == value.host);
        if let Some((name, row)) = other {
            return Err(Condition::Hub { name: name.clone(), at: Some(row.revision) });
        }
        if let Some(before) = self.hubs.insert(value.name.clone(), row) {
            rename(&mut self.devices, &before.value.host, &value.host);
            rename(&mut self.twins, &before.value.host, &value.host);
        }
        Ok(())
    }

    fn delete_hub(&mut self, name: &ServiceName) {
        if let Some(hub) = self.hubs.remove(name) {
            self.devices.retain(|(host, _), _| *host != hub.value.host);
            self.twins.retain(|(host, _), _| *host != hub.value.host);
        }
    }

    fn write_device(&mut self, hub: &HostName, value: &Device) -> Result<(), Condition> {
        let row = self.next_row(value);
        let id = value.device_id.clone();
        if !self.hubs.values().any(|row| row.value.host == *hub) {
            return Err(Condition::Device { hub: hub.clone(), id, at: None });
        }
        self.devices.insert((hub.clone(), id), row);
        Ok(())
    }

    fn write_twin(&mut self, hub: &HostName, id: &DeviceId, value: &Twin) -> Result<(), Condition> {
        let row = self.next_row(value);
        let key = (hub.clone(), id.clone());
        if !self.devices.contains_key(&key) {
            return Err(Condition::Device { hub: hub.clone(), id: id.clone(), at: None });
        }
        self.twins.insert(key, row);
        Ok(())
    }
}

impl Instance {
    fn group(&self, id: &EnrollmentGroupId) -> Option<&Versioned<Group>> {
        self.view.groups.iter().find(|row| row.value.id == *id)
    }

    fn ca_certificate(&self, name: &CertificateName) -> Option<&Versioned<CaCertificate>> {
        self.view.ca_certificates.iter().find(|row| row.value.name == *name)
    }

    /// Oldest first; of the same age, by id.
    fn by_leaf(&self, thumbprint: &Sha256) -> Vec<Versioned<Individual>> {
        let holds = |individual: &Individual| match &individual.attestation {
            IndividualAttestation::ClientCertificates(slots) => {
                slots.iter().any(|certificate| certificate.content_hash() == *thumbprint)
            }
            IndividualAttestation::CaReferences(_)
            | IndividualAttestation::SymmetricKey(_)
            | IndividualAttestation::Tpm { .. } => false,
        };
        let rows = self.individuals.values().filter(|row| holds(&row.value));
        let mut found: Vec<_> = rows.map(|row| row.as_ref().clone()).collect();
        // The sort is stable, and the rows come in the order of their ids.
        found.sort_by_key(|row| row.value.stamp.created);
        found
    }

    fn bound_refused(&mut self, bound: &RefusedBound) {
        let refused = |row: &Registration| !row.counts() && row.owner == bound.owner;
        let rows = self.registrations.iter().filter(|(_, row)| refused(&row.value));
        let mut found: Vec<_> = rows.map(|(id, row)| (row.value.updated, id.clone())).collect();
        found.sort();
        let surplus = found.len().saturating_sub(bound.keep);
        for (_, id) in found.into_iter().take(surplus) {
            self.registrations.remove(&id);
        }
    }

    fn counted(&self) -> u64 {
        let rows = self.registrations.values().filter(|row| row.value.counts());
        u64::try_from(rows.count()).unwrap_or(u64::MAX)
    }
}

fn revision<K: Ord, T>(table: &Table<K, T>, key: &K) -> Option<Revision> {
    table.get(key).map(|row| row.revision)
}

fn owned<T: Clone>(row: &Arc<Versioned<T>>) -> Versioned<T> {
    row.as_ref().clone()
}

fn put_group(view: &mut InstanceView, row: &Versioned<Group>) {
    view.groups.retain(|other| other.value.id != row.value.id);
    view.groups.push(row.clone());
    view.groups.sort_by(|a, b| {
        let age = |row: &Versioned<Group>| (row.value.stamp.created, row.value.id.clone());
        age(a).cmp(&age(b))
    });
}

fn put_ca_certificate(view: &mut InstanceView, row: &Versioned<CaCertificate>) {
    view.ca_certificates.retain(|other| other.value.name != row.value.name);
    view.ca_certificates.push(row.clone());
    view.ca_certificates.sort_by(|a, b| {
        let age = |row: &Versioned<CaCertificate>| (row.value.created, row.value.name.clone());
        age(a).cmp(&age(b))
    });
}

fn rename<T>(table: &mut Table<(HostName, DeviceId), T>, from: &HostName, to: &HostName) {
    let rows = std::mem::take(table).into_iter();
    let renamed = rows.map(|((host, id), row)| {
        let host = if host == *from { to.clone() } else { host };
        ((host, id), row)
    });
    *table = renamed.collect();
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

    async fn individuals(
        &self,
        dps: &ServiceName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Individual>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.instances.get(dps).into_iter().flat_map(|found| &found.individuals);
        Ok(page(rows.map(|(id, row)| (id.key(), row)), after, limit))
    }

    async fn individual_count(&self, dps: &ServiceName) -> Result<u64, StoreError> {
        let kept = self.kept();
        let count = kept.rows.instances.get(dps).map_or(0, |found| found.individuals.len());
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
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
            registrations_counted: found.counted(),
        }))
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
