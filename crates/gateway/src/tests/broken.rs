//! A store that is empty, and broken when it is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use events::{Queued, Subscription};
use hub::identity::Device;
use hub::instance::Hub;
use model::{
    DeviceId, EnrollmentGroupId, HostName, RegistrationId, ServiceName, Sha256, SubscriptionName,
};
use provisioning::enrollment::{Group, Individual};
use provisioning::instance::Dps;
use provisioning::registration::Registration;
use provisioning::remote::Job;
use provisioning::view::{InstanceView, RegistrationView, Versioned};
use store::{
    Change, Commit, CommitError, Committed, Deliveries, DeliveryCount, DeviceCount, DeviceView,
    Devices, Enrollments, Events, IndividualView, Instances, Jobs, Orphaned, Page, Registrations,
    Store, StoreError, Views,
};

/// Fails at everything while the flag is up.
pub(crate) struct Broken(pub(super) Arc<AtomicBool>);

impl Broken {
    fn answer<T>(&self, value: T) -> Result<T, StoreError> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(StoreError { during: "a test", source: "the disk is gone".into() }),
            false => Ok(value),
        }
    }

    fn page<T>(&self) -> Result<Page<T>, StoreError> {
        self.answer(Page { rows: Vec::new(), next: None })
    }
}

#[async_trait]
impl Instances for Broken {
    async fn all_dps(&self) -> Result<Vec<Versioned<Dps>>, StoreError> {
        self.answer(Vec::new())
    }

    async fn all_hubs(&self) -> Result<Vec<Versioned<Hub>>, StoreError> {
        self.answer(Vec::new())
    }

    async fn instance(&self, _: &ServiceName) -> Result<Option<Arc<InstanceView>>, StoreError> {
        self.answer(None)
    }
}

#[async_trait]
impl Enrollments for Broken {
    async fn individual(
        &self,
        _: &ServiceName,
        _: &RegistrationId,
    ) -> Result<Option<Versioned<Individual>>, StoreError> {
        self.answer(None)
    }

    async fn individuals_by_leaf(
        &self,
        _: &ServiceName,
        _: &Sha256,
    ) -> Result<Vec<Versioned<Individual>>, StoreError> {
        self.answer(Vec::new())
    }

    async fn individual_views(
        &self,
        _: &ServiceName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Views<IndividualView>, StoreError> {
        self.answer(Views { views: Vec::new(), next: None })
    }

    async fn individual_count(&self, _: &ServiceName) -> Result<u64, StoreError> {
        self.answer(0)
    }

    async fn group(
        &self,
        _: &ServiceName,
        _: &EnrollmentGroupId,
    ) -> Result<Option<Versioned<Group>>, StoreError> {
        self.answer(None)
    }
}

#[async_trait]
impl Registrations for Broken {
    async fn registration_view(
        &self,
        _: &ServiceName,
        _: &RegistrationId,
        _: Option<&Sha256>,
    ) -> Result<Option<RegistrationView>, StoreError> {
        self.answer(None)
    }

    async fn registration_count(&self, _: &ServiceName) -> Result<u64, StoreError> {
        self.answer(0)
    }

    async fn registration(
        &self,
        _: &ServiceName,
        _: &RegistrationId,
    ) -> Result<Option<Versioned<Registration>>, StoreError> {
        self.answer(None)
    }

    async fn registrations_of_group(
        &self,
        _: &ServiceName,
        _: &EnrollmentGroupId,
        _: Option<&str>,
        _: usize,
    ) -> Result<Page<Registration>, StoreError> {
        self.page()
    }

    async fn registration_count_of_group(
        &self,
        _: &ServiceName,
        _: &EnrollmentGroupId,
    ) -> Result<u64, StoreError> {
        self.answer(0)
    }

    async fn orphaned(
        &self,
        _: &ServiceName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Views<Orphaned>, StoreError> {
        self.answer(Views { views: Vec::new(), next: None })
    }
}

#[async_trait]
impl Jobs for Broken {
    async fn job(
        &self,
        _: &ServiceName,
        _: &RegistrationId,
    ) -> Result<Option<Versioned<Job>>, StoreError> {
        self.answer(None)
    }

    async fn jobs(
        &self,
        _: Option<&ServiceName>,
        _: Option<&str>,
        _: usize,
    ) -> Result<Page<Job>, StoreError> {
        self.page()
    }
}

#[async_trait]
impl Devices for Broken {
    async fn device(&self, _: &HostName, _: &DeviceId) -> Result<Option<DeviceView>, StoreError> {
        self.answer(None)
    }

    async fn devices(
        &self,
        _: &HostName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Page<Device>, StoreError> {
        self.page()
    }

    async fn device_views(
        &self,
        _: &HostName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Views<DeviceView>, StoreError> {
        self.answer(Views { views: Vec::new(), next: None })
    }

    async fn device_count(&self, _: &HostName) -> Result<DeviceCount, StoreError> {
        self.answer(DeviceCount::default())
    }
}

#[async_trait]
impl Events for Broken {
    async fn subscriptions(&self) -> Result<Vec<Versioned<Subscription>>, StoreError> {
        self.answer(Vec::new())
    }

    async fn deliveries(
        &self,
        _: &SubscriptionName,
        _: Deliveries,
        _: u64,
        _: usize,
    ) -> Result<Vec<Queued>, StoreError> {
        self.answer(Vec::new())
    }

    async fn delivery_count(&self, _: &SubscriptionName) -> Result<DeliveryCount, StoreError> {
        self.answer(DeliveryCount::default())
    }
}

#[async_trait]
impl Store for Broken {
    async fn commit(&self, _: Commit) -> Result<Committed, CommitError> {
        self.answer(Committed { seq: 0 }).map_err(CommitError::Unavailable)
    }

    async fn changes_after(&self, _: u64, _: usize) -> Result<Vec<Change>, StoreError> {
        self.answer(Vec::new())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.answer(())
    }
}
