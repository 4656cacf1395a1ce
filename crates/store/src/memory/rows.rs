//! The model's rows: what holds, and what a write does to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::{Delivery, Subscription};
use hub::identity::Device;
use hub::instance::Hub;
use hub::twin::Twin;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, HostName, RegistrationId, Revision, ServiceName,
    Sha256, SubscriptionName,
};
use provisioning::draft::claims_of;
use provisioning::enrollment::{Group, Individual};
use provisioning::instance::{CaCertificate, Dps};
use provisioning::registration::Registration;
use provisioning::remote::{Job, job_key};
use provisioning::view::{InstanceView, Versioned};

use crate::commit::{Condition, Counted, RefusedBound, Write};

/// Rows by key; shared, so that a copy of the map copies no document.
pub(super) type Table<K, T> = BTreeMap<K, Arc<Versioned<T>>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// The revision that was given last.
    revision: u64,
    pub(super) instances: BTreeMap<ServiceName, Instance>,
    pub(super) jobs: Table<String, Job>,
    pub(super) hubs: Table<ServiceName, Hub>,
    pub(super) devices: Table<(HostName, DeviceId), Device>,
    pub(super) twins: Table<(HostName, DeviceId), Twin>,
    pub(super) subscriptions: Table<SubscriptionName, Subscription>,
    /// By number; shared, as the rows are.
    pub(super) deliveries: BTreeMap<u64, Arc<Delivery>>,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Groups and certificates are in here as well, since all four change together.
    pub(super) view: Arc<InstanceView>,
    pub(super) individuals: Table<RegistrationId, Individual>,
    pub(super) registrations: Table<RegistrationId, Registration>,
    /// How many there were and are not any more.
    pub(super) registrations_deleted: u64,
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

    pub(super) fn holds(&self, condition: &Condition) -> bool {
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
            Condition::AtMost { dps, of, count } => {
                instance(dps).map_or(0, |found| found.count(*of)) <= *count
            }
            Condition::Unclaimed(claim) => {
                !self.instances.values().any(|found| claim.is_of_dps(&found.view.dps))
                    && !self.hubs.values().any(|hub| claim.is_of_hub(&hub.value))
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
            Condition::Job { dps, id, at } => revision(&self.jobs, &job_key(dps, id)) == *at,
            Condition::Hub { name, at } => revision(&self.hubs, name) == *at,
            Condition::Device { hub, id, at } => {
                revision(&self.devices, &(hub.clone(), id.clone())) == *at
            }
            Condition::Twin { hub, id, at } => {
                revision(&self.twins, &(hub.clone(), id.clone())) == *at
            }
            Condition::Subscription { name, at } => revision(&self.subscriptions, name) == *at,
        }
    }

    /// Writes one row, or says what stands against it.
    pub(super) fn write(&mut self, write: &Write) -> Result<(), Condition> {
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
                    instance.keep_registrations(|row| row.registration_id != *id);
                }
            }
            Write::DeleteRegistrationsOwnedBy(dps, owner) => {
                if let Some(instance) = self.instances.get_mut(dps) {
                    instance.keep_registrations(|row| row.owner != *owner);
                }
            }
            Write::BoundRefused(bound) => {
                if let Some(instance) = self.instances.get_mut(&bound.dps) {
                    instance.bound_refused(bound);
                }
            }
            Write::Job(value) => {
                let row = self.next_row(value.as_ref());
                self.jobs.insert(value.key(), row);
            }
            Write::DeleteJob(dps, id) => {
                self.jobs.remove(&job_key(dps, id));
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
            Write::Subscription(value) => {
                let row = self.next_row(value.as_ref());
                self.subscriptions.insert(value.name.clone(), row);
            }
            Write::DeleteSubscription(name) => {
                self.subscriptions.remove(name);
                self.deliveries.retain(|_, delivery| delivery.subscription != *name);
            }
            Write::Delivery(value) => {
                let Revision(number) = self.next_revision();
                if self.subscriptions.contains_key(&value.subscription) {
                    self.deliveries.insert(number, Arc::new(value.as_ref().clone()));
                }
            }
            Write::Redelivery(number, value) => {
                if let Some(delivery) = self.deliveries.get_mut(number) {
                    *delivery = Arc::new(value.as_ref().clone());
                }
            }
            Write::DeleteDelivery(number) => {
                self.deliveries.remove(number);
            }
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
                registrations_deleted: 0,
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
    pub(super) fn group(&self, id: &EnrollmentGroupId) -> Option<&Versioned<Group>> {
        self.view.groups.iter().find(|row| row.value.id == *id)
    }

    fn ca_certificate(&self, name: &CertificateName) -> Option<&Versioned<CaCertificate>> {
        self.view.ca_certificates.iter().find(|row| row.value.name == *name)
    }

    /// Oldest first; of the same age, by id.
    pub(super) fn by_leaf(&self, thumbprint: &Sha256) -> Vec<Versioned<Individual>> {
        let rows = self.individuals.values();
        let rows = rows.filter(|row| claims_of(&row.value).contains(thumbprint));
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
        found.truncate(surplus);
        self.keep_registrations(|row| !found.iter().any(|(_, id)| *id == row.registration_id));
    }

    fn keep_registrations(&mut self, keep: impl Fn(&Registration) -> bool) {
        let before = self.registrations.len();
        self.registrations.retain(|_, row| keep(&row.value));
        let deleted = before - self.registrations.len();
        self.registrations_deleted += u64::try_from(deleted).unwrap_or(u64::MAX);
    }

    pub(super) fn count(&self, of: Counted) -> u64 {
        let count = match of {
            Counted::Individuals => self.individuals.len(),
            Counted::Registrations => {
                self.registrations.values().filter(|row| row.value.counts()).count()
            }
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

fn revision<K: Ord, T>(table: &Table<K, T>, key: &K) -> Option<Revision> {
    table.get(key).map(|row| row.revision)
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
