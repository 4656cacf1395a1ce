//! The vocabulary of a change.

use std::sync::Arc;

use events::{Delivery, Subscription};
use hub::identity::Device;
use hub::instance::Hub;
use hub::twin::Twin;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, HostName, IdScope, RegistrationId, Revision,
    ServiceName, Sha256, SubscriptionName, Timestamp,
};
use provisioning::enrollment::{EntryRef, Group, Individual};
use provisioning::instance::{CaCertificate, Dps};
use provisioning::registration::Registration;
use provisioning::remote::Job;
use serde::{Deserialize, Serialize};

/// A change: applied as one, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What it rests on.
    pub conditions: Vec<Condition>,
    /// What it writes, in order.
    pub writes: Vec<Write>,
    /// What live sessions must hear of (D-32).
    pub changes: Vec<ChangeScope>,
    /// Who did what.
    pub audit: Vec<AuditLine>,
}

/// What a commit rests on: rows, their absence (`None`: there is no such row), or a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The individual enrollment of this id.
    Individual {
        /// The instance.
        dps: ServiceName,
        /// The entry.
        id: RegistrationId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// All individual enrollments that hold this certificate in any slot, or this endorsement
    /// key, in the order of age.
    IndividualsByLeaf {
        /// The instance.
        dps: ServiceName,
        /// The certificate's `content_hash`, or the digest of the key's Name.
        thumbprint: Sha256,
        /// Their revisions as read.
        at: Vec<Revision>,
    },
    /// That there is room for what the commit adds: a quota is kept by the commit itself, since
    /// others may have added to the count after it was read.
    AtMost {
        /// The instance; one that is not there has none of anything.
        dps: ServiceName,
        /// What is counted.
        of: Counted,
        /// How many there may be before the commit's own writes.
        count: u64,
    },
    /// That nobody has this yet.
    Unclaimed(Claim),
    /// The instance with all its groups and CA certificates.
    Instance {
        /// The instance.
        dps: ServiceName,
        /// Its generation as read; `None`: no such instance.
        generation: Option<Revision>,
    },
    /// The enrollment group of this id.
    Group {
        /// The instance.
        dps: ServiceName,
        /// The entry.
        id: EnrollmentGroupId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The CA certificate of this name.
    CaCertificate {
        /// The instance.
        dps: ServiceName,
        /// Its name.
        name: CertificateName,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The registration record of this id.
    Registration {
        /// The instance.
        dps: ServiceName,
        /// The record.
        id: RegistrationId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The job of the registration of this id.
    Job {
        /// The instance.
        dps: ServiceName,
        /// The registration.
        id: RegistrationId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The hub of this name.
    Hub {
        /// The hub.
        name: ServiceName,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The device identity of this id (its twin is a row of its own).
    Device {
        /// The hub.
        hub: HostName,
        /// The identity.
        id: DeviceId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The twin of this device.
    Twin {
        /// The hub.
        hub: HostName,
        /// The identity.
        id: DeviceId,
        /// Its revision as read.
        at: Option<Revision>,
    },
    /// The event subscription of this name.
    Subscription {
        /// Its name.
        name: SubscriptionName,
        /// Its revision as read.
        at: Option<Revision>,
    },
}

/// What one service alone can have: devices tell services apart by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A host: of a provisioning service, of a hub, or of a hub elsewhere that is linked.
    Host(HostName),
    /// The id scope of a provisioning service.
    Scope(IdScope),
}

impl Claim {
    /// Whether a provisioning service, or one of its links, has it.
    pub fn is_of_dps(&self, dps: &Dps) -> bool {
        match self {
            Self::Host(host) => dps.host == *host || dps.remote(host).is_some(),
            Self::Scope(scope) => dps.id_scope == *scope,
        }
    }

    /// Whether a hub has it.
    pub fn is_of_hub(&self, hub: &Hub) -> bool {
        match self {
            Self::Host(host) => hub.host == *host,
            Self::Scope(_) => false,
        }
    }
}

/// What a store counts, so that a commit can rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Individual enrollments.
    Individuals,
    /// Registration records that count toward the quota (D-11).
    Registrations,
}

/// One row written or removed. A row that a delete does not find is no error.
///
/// Every row but a job needs what it belongs to: an entry or record its instance, an identity a hub of that
/// host, a twin its identity; and no two hubs have one host. A write that would break this is a
/// conflict: as if the commit rested on the instance or the identity, which is reported absent,
/// or on the absence of the other hub, which is reported as it is.
#[derive(Clone, Debug)]
pub enum Write {
    /// Writes an instance.
    Dps(Box<Dps>),
    /// Removes an instance with all that it holds.
    DeleteDps(ServiceName),
    /// Writes a CA certificate.
    CaCertificate(ServiceName, Box<CaCertificate>),
    /// Removes a CA certificate.
    DeleteCaCertificate(ServiceName, CertificateName),
    /// Writes an individual enrollment.
    Individual(ServiceName, Box<Individual>),
    /// Removes an individual enrollment; its records are separate writes (D-12).
    DeleteIndividual(ServiceName, RegistrationId),
    /// Writes an enrollment group.
    Group(ServiceName, Box<Group>),
    /// Removes an enrollment group; its records stay (D-12).
    DeleteGroup(ServiceName, EnrollmentGroupId),
    /// Writes a registration record.
    Registration(ServiceName, Arc<Registration>),
    /// Removes a registration record.
    DeleteRegistration(ServiceName, RegistrationId),
    /// Removes every record that this individual enrollment owns (D-12).
    DeleteRegistrationsOwnedBy(ServiceName, EntryRef),
    /// Removes the oldest never-assigned records of an entry beyond a bound (D-11).
    BoundRefused(RefusedBound),
    /// Writes a job. It outlives its record and its instance: it has something to take back
    /// elsewhere.
    Job(Box<Job>),
    /// Removes a job.
    DeleteJob(ServiceName, RegistrationId),
    /// Writes a hub. Its identities follow it when its host changes.
    Hub(Box<Hub>),
    /// Removes a hub with all that it holds.
    DeleteHub(ServiceName),
    /// Writes a device identity.
    Device(HostName, Box<Device>),
    /// Removes a device identity and its twin.
    DeleteDevice(HostName, DeviceId),
    /// Writes a twin.
    Twin(HostName, DeviceId, Box<Twin>),
    /// Writes an event subscription.
    Subscription(Box<Subscription>),
    /// Removes an event subscription with all that waits for it.
    DeleteSubscription(SubscriptionName),
    /// Queues an event for a subscription, under the next number; for one that is gone, nothing.
    Delivery(Box<Delivery>),
    /// Replaces what is queued under a number, if it still is.
    Redelivery(u64, Box<Delivery>),
    /// Removes what is queued under a number.
    DeleteDelivery(u64),
}

/// How many never-assigned, refused records of one entry may stay: those written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedBound {
    /// The instance.
    pub dps: ServiceName,
    /// The entry that owns the records.
    pub owner: EntryRef,
    /// How many stay.
    pub keep: usize,
}

/// What live sessions must hear of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeScope {
    /// One device identity.
    Device {
        /// The hub.
        hub: HostName,
        /// The identity.
        device_id: DeviceId,
    },
    /// A hub: its policies, or its being there.
    Hub {
        /// The hub.
        hub: HostName,
    },
    /// The set of instances and hubs, by which hosts are told apart.
    Directory,
}

/// Who did what, written in the same commit as what it records (I7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditLine {
    /// When.
    pub at: Timestamp,
    /// The policy or device that acted.
    pub actor: String,
    /// What was done, such as `enrollment.put`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The call's tracking id.
    pub tracking_id: String,
}

/// A commit that was applied and will survive power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The sequence number of its last change row; 0 where it had none.
    pub seq: u64,
}
