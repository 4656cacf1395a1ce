//! What a commit makes true, read off its writes and what was there before.

use std::collections::HashMap;

use events::{EntryChange, Existence, Happened};
use hub::twin::Twin;
use model::{DeviceId, EnrollmentGroupId, HostName, RegistrationId, ServiceName, Timestamp};
use provisioning::enrollment::{Entry, EntryId};
use provisioning::registration::{Registration, RegistrationStatus};
use store::{Commit, Condition, DeviceView, StoreError, Write};

use crate::{Directory, Service};

/// What was there before a write, as far as an event depends on it.
#[derive(Debug)]
pub(super) enum Before {
    /// No event depends on it.
    NotAsked,
    /// Nothing.
    Absent,
    /// Something.
    Present,
    /// The same outcome of the same operation: an operator has written, and no registration.
    Same,
    /// An entry that let devices in, or not.
    Entry { enabled: bool },
    /// An identity with its twin.
    Device(Box<DeviceView>),
}

/// A row that a commit writes, for what it says of it in its conditions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Row<'c> {
    Individual(&'c ServiceName, &'c RegistrationId),
    Group(&'c ServiceName, &'c EnrollmentGroupId),
    Registration(&'c ServiceName, &'c RegistrationId),
    Device(&'c HostName, &'c DeviceId),
}

/// Whether the rows that a commit rests on are there.
fn rested_on(commit: &Commit) -> HashMap<Row<'_>, bool> {
    let row = |condition| match condition {
        &Condition::Individual { ref dps, ref id, at } => {
            Some((Row::Individual(dps, id), at.is_some()))
        }
        &Condition::Group { ref dps, ref id, at } => Some((Row::Group(dps, id), at.is_some())),
        &Condition::Registration { ref dps, ref id, at } => {
            Some((Row::Registration(dps, id), at.is_some()))
        }
        &Condition::Device { ref hub, ref id, at } => Some((Row::Device(hub, id), at.is_some())),
        Condition::IndividualsByLeaf { .. }
        | Condition::AtMost { .. }
        | Condition::Unclaimed(_)
        | Condition::Job { .. }
        | Condition::Instance { .. }
        | Condition::CaCertificate { .. }
        | Condition::Hub { .. }
        | Condition::Twin { .. }
        | Condition::Subscription { .. } => None,
    };
    commit.conditions.iter().filter_map(row).collect()
}

impl Service {
    /// What was there before each write of a commit; read again only where the commit itself does
    /// not say that there was nothing. Whatever changes meanwhile is a conflict of the commit.
    pub(super) async fn before(&self, commit: &Commit) -> Result<Vec<Before>, StoreError> {
        let rested_on = rested_on(commit);
        let mut all = Vec::with_capacity(commit.writes.len());
        for write in &commit.writes {
            all.push(self.before_write(write, &rested_on).await?);
        }
        Ok(all)
    }

    async fn before_write(
        &self,
        write: &Write,
        rested_on: &HashMap<Row<'_>, bool>,
    ) -> Result<Before, StoreError> {
        let there = |row| rested_on.get(&row).copied();
        let present = |is: bool| if is { Before::Present } else { Before::Absent };
        let entry = |enabled: Option<bool>| match enabled {
            Some(enabled) => Before::Entry { enabled },
            None => Before::Absent,
        };
        let device = |view: Option<DeviceView>| match view {
            Some(view) => Before::Device(Box::new(view)),
            None => Before::Absent,
        };
        Ok(match write {
            Write::Individual(dps, value) => {
                let id = &value.registration_id;
                match there(Row::Individual(dps, id)) {
                    Some(false) => Before::Absent,
                    Some(true) | None => {
                        let row = self.store.individual(dps, id).await?;
                        entry(row.map(|row| row.value.settings.is_enabled()))
                    }
                }
            }
            Write::Group(dps, value) => match there(Row::Group(dps, &value.id)) {
                Some(false) => Before::Absent,
                Some(true) | None => {
                    let row = self.store.group(dps, &value.id).await?;
                    entry(row.map(|row| row.value.settings.is_enabled()))
                }
            },
            Write::DeleteIndividual(dps, id) => match there(Row::Individual(dps, id)) {
                Some(there) => present(there),
                None => present(self.store.individual(dps, id).await?.is_some()),
            },
            Write::DeleteGroup(dps, id) => match there(Row::Group(dps, id)) {
                Some(there) => present(there),
                None => present(self.store.group(dps, id).await?.is_some()),
            },
            Write::DeleteRegistration(dps, id) => match there(Row::Registration(dps, id)) {
                Some(there) => present(there),
                None => present(self.store.registration(dps, id).await?.is_some()),
            },
            Write::Device(hub, value) => match there(Row::Device(hub, &value.device_id)) {
                Some(there) => present(there),
                None => present(self.store.device(hub, &value.device_id).await?.is_some()),
            },
            Write::DeleteDevice(hub, id) => device(self.store.device(hub, id).await?),
            Write::Registration(dps, value) if has_ended(value.status) => {
                let id = &value.registration_id;
                let row = match there(Row::Registration(dps, id)) {
                    Some(false) => None,
                    Some(true) | None => self.store.registration(dps, id).await?,
                };
                let is_same = |old: &Registration| {
                    old.operation_id == value.operation_id
                        && old.updated == value.updated
                        && old.status == value.status
                };
                match row {
                    Some(row) if is_same(&row.value) => Before::Same,
                    row => present(row.is_some()),
                }
            }
            Write::Dps(_)
            | Write::DeleteDps(_)
            | Write::CaCertificate(..)
            | Write::DeleteCaCertificate(..)
            | Write::Registration(..)
            | Write::DeleteRegistrationsOwnedBy(..)
            | Write::BoundRefused(_)
            | Write::Hub(_)
            | Write::DeleteHub(_)
            | Write::Twin(..)
            | Write::Job(_)
            | Write::DeleteJob(..)
            | Write::Subscription(_)
            | Write::DeleteSubscription(_)
            | Write::Delivery(_)
            | Write::Redelivery(..)
            | Write::DeleteDelivery(_) => Before::NotAsked,
        })
    }
}

/// Tells of everything that a commit makes true, in the order of its writes.
pub(super) fn happened(
    commit: &Commit,
    before: &[Before],
    directory: &Directory,
    now: Timestamp,
    mut tell: impl FnMut(Happened<'_>),
) {
    let blank = Twin::new(now);
    let mut twins = HashMap::new();
    for write in &commit.writes {
        if let Write::Twin(hub, id, twin) = write {
            twins.insert((hub, id), twin.as_ref());
        }
    }
    let hub_of = |host: &HostName| directory.hub(host).map(|hub| hub.name.clone());
    for (write, before) in commit.writes.iter().zip(before) {
        match (write, before) {
            (Write::Device(host, device), Before::Absent) => {
                let Some(hub) = &hub_of(host) else { continue };
                let twin = twins.get(&(host, &device.device_id)).copied().unwrap_or(&blank);
                tell(Happened::Device { existence: Existence::Began, hub, device, twin });
            }
            (Write::DeleteDevice(host, _), Before::Device(view)) => {
                let Some(hub) = &hub_of(host) else { continue };
                let (device, twin) = (&view.device.value, &view.twin.value);
                tell(Happened::Device { existence: Existence::Ended, hub, device, twin });
            }
            (Write::Registration(..), Before::Same) => {}
            (Write::Registration(dps, record), _) if has_ended(record.status) => {
                tell(Happened::Registered { dps, record });
            }
            (Write::DeleteRegistration(dps, id), Before::Present) => {
                tell(Happened::RegistrationDeleted { dps, id });
            }
            (Write::Individual(dps, value), before) => {
                let entry = Entry::Individual(value);
                tell(Happened::Entry { dps, change: change(before, entry), entry });
            }
            (Write::Group(dps, value), before) => {
                let entry = Entry::Group(value);
                tell(Happened::Entry { dps, change: change(before, entry), entry });
            }
            (Write::DeleteIndividual(dps, id), Before::Present) => {
                tell(Happened::EntryDeleted { dps, id: &EntryId::Individual(id.clone()) });
            }
            (Write::DeleteGroup(dps, id), Before::Present) => {
                tell(Happened::EntryDeleted { dps, id: &EntryId::Group(id.clone()) });
            }
            (_, _) => {}
        }
    }
}

const fn has_ended(status: RegistrationStatus) -> bool {
    match status {
        RegistrationStatus::Assigned
        | RegistrationStatus::Failed
        | RegistrationStatus::Disabled => true,
        RegistrationStatus::Unassigned | RegistrationStatus::Assigning => false,
    }
}

fn change(before: &Before, entry: Entry<'_>) -> EntryChange {
    let was_enabled = match before {
        Before::Entry { enabled } => Some(*enabled),
        Before::NotAsked | Before::Absent | Before::Present | Before::Same | Before::Device(_) => {
            None
        }
    };
    EntryChange::of(was_enabled, entry.settings().is_enabled())
}
