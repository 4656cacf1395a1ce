//! Orders of operators to provision devices anew, each at its next registration.

use std::sync::Arc;

use model::{EnrollmentGroupId, RegistrationId, ServiceName, limits};
use provisioning::enrollment::{Entry, EntryId, Group};
use provisioning::registration::Registration;
use provisioning::reprovision::{DeviceData, Order, standing};
use provisioning::view::Versioned;
use store::{Commit, Condition, Write};

use crate::{ApiError, Call, Fault, Service, environment};

/// What an operator says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprovision {
    /// Provision anew. Said again while the same order stands, it changes nothing.
    Order(DeviceData),
    /// Leave it; what was followed already stays.
    Withdraw,
}

impl Reprovision {
    const fn action(self, of_group: bool) -> &'static str {
        match (self, of_group) {
            (Self::Order(DeviceData::Migrate), false) => "registration.reprovision.migrate",
            (Self::Order(DeviceData::Reset), false) => "registration.reprovision.reset",
            (Self::Withdraw, false) => "registration.reprovision.withdraw",
            (Self::Order(DeviceData::Migrate), true) => "enrollmentGroup.reprovision.migrate",
            (Self::Order(DeviceData::Reset), true) => "enrollmentGroup.reprovision.reset",
            (Self::Withdraw, true) => "enrollmentGroup.reprovision.withdraw",
        }
    }
}

impl Service {
    /// The order that the device of a record has yet to follow, its group's included.
    ///
    /// # Errors
    /// [`ApiError::Fault`].
    pub async fn order_of(
        &self,
        dps: &ServiceName,
        record: &Registration,
    ) -> Result<Option<Order>, ApiError> {
        let group = match &record.owner.id {
            EntryId::Group(id) => self.store.group(dps, id).await?,
            EntryId::Individual(_) => None,
        };
        Ok(standing(record, group.as_ref().map(|row| Entry::Group(&row.value))))
    }

    /// Orders one device to be provisioned anew, or takes its order back.
    ///
    /// # Errors
    /// [`ApiError::NotFound`]; `Invalid` for a device that was never assigned.
    pub async fn reprovision_registration(
        &self,
        call: &Call,
        dps: &ServiceName,
        id: &RegistrationId,
        said: Reprovision,
    ) -> Result<Registration, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let Versioned { value: mut record, revision } =
                self.store.registration(dps, id).await?.ok_or(ApiError::NotFound)?;
            if record.assignment.is_none() && said != Reprovision::Withdraw {
                return Err(ApiError::Invalid(
                    "the device was never assigned: its next registration allocates it anyway"
                        .to_owned(),
                ));
            }
            let Some(order) = self.changed(record.reprovision, said) else { return Ok(record) };
            record.reprovision = order;
            record.etag = environment::etag(self.entropy.as_ref());
            let subject = format!("{dps}/{id}");
            let commit = Commit {
                conditions: vec![Condition::Registration {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: Some(revision),
                }],
                writes: vec![Write::Registration(dps.clone(), Arc::new(record.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, said.action(false), &subject)],
            };
            if self.apply(commit).await? {
                return Ok(record);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Orders the devices that a group has by now to be provisioned anew, or takes the order back:
    /// one write, however many they are.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn reprovision_group(
        &self,
        call: &Call,
        dps: &ServiceName,
        id: &EnrollmentGroupId,
        said: Reprovision,
    ) -> Result<Group, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let Versioned { value: mut group, revision } =
                self.store.group(dps, id).await?.ok_or(ApiError::NotFound)?;
            let Some(order) = self.changed(group.reprovision, said) else { return Ok(group) };
            group.reprovision = order;
            group.stamp = self.stamp(Some(&group.stamp));
            let subject = format!("{dps}/{id}");
            let commit = Commit {
                conditions: vec![Condition::Group {
                    dps: dps.clone(),
                    id: id.clone(),
                    at: Some(revision),
                }],
                writes: vec![Write::Group(dps.clone(), Box::new(group.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, said.action(true), &subject)],
            };
            if self.apply(commit).await? {
                return Ok(group);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// What takes the place of an order; none where nothing changes.
    fn changed(&self, present: Option<Order>, said: Reprovision) -> Option<Option<Order>> {
        match (said, present) {
            (Reprovision::Order(data), Some(present)) if present.device_data == data => None,
            (Reprovision::Order(device_data), _) => {
                Some(Some(Order { device_data, ordered: self.now() }))
            }
            (Reprovision::Withdraw, None) => None,
            (Reprovision::Withdraw, Some(_)) => Some(None),
        }
    }
}
