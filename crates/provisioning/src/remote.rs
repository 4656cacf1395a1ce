//! Hubs that live elsewhere: what has to be done in their registries, step by step.
//!
//! A registration whose device goes to such a hub, or comes from one, is a [`Job`]. It is durable
//! before the first write there, and it goes by what it finds, not by what it remembers having
//! done: [`next`] looks at the job and at what was read, and names the one step to take. So a job
//! that was cut off anywhere is taken up by asking again.
//!
//! Nothing is called here. Whoever takes the steps tells what a call came to as a [`Miss`], and
//! [`course`] says whether to look again, to wait, or to give up.

mod machine;
#[cfg(test)]
mod tests;

use attestation::SymmetricKey;
use model::{DeviceId, HostName, RegistrationId, Revision, ServiceName, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::allocation::custom::Consulted;
use crate::decide::{Conclusion, Decision, HubCredential, Placement, Verdict};
use crate::explain::{Outcome, Step as Explained};
use crate::instance::{Dps, RemoteHub};
use crate::registration::{Assigned, Failure, FailureKind};
use crate::view::{Evidence, RegistrationRequest};

pub use machine::{Course, Seen, Step, course, next};

/// A registration that has something to do on hubs that live elsewhere. One registration id has
/// one at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The instance.
    pub dps: ServiceName,
    /// The registration's operation.
    pub operation_id: String,
    /// What the device asked for.
    pub request: RegistrationRequest,
    /// What it showed: judged again after the writes, as of the time of its call.
    pub evidence: Evidence,
    /// What a webhook had answered.
    pub consulted: Option<Consulted>,
    /// What was decided.
    pub place: Placement,
    /// The keys that were made for a TPM, and the first one wrapped for it.
    pub made: Option<MadeKeys>,
    /// The registry that the device goes to; none where that is a hub of this server.
    pub to: Option<RemoteHub>,
    /// The registry that it comes from; none where that is a hub of this server, or nothing.
    pub from: Option<RemoteHub>,
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    pub begun: Timestamp,
}

/// Keys that the service made for a TPM.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MadeKeys {
    /// The key that the device is given.
    pub primary: SymmetricKey,
    /// The other one.
    pub secondary: SymmetricKey,
    /// Base64 of the first, wrapped for the TPM.
    pub wrapped: Option<String>,
}

/// How far a job is. A phase is durable before its first write elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Nothing is written.
    Begun,
    /// The identity is being written.
    Writing {
        /// What was there before.
        before: Option<Box<Found>>,
        /// What is left behind.
        left: Option<Box<Left>>,
    },
    /// The device is assigned; the identity that it left behind is to go.
    Leaving {
        /// As it was left.
        left: Box<Found>,
    },
    /// The registration came to something else: what was written is taken back.
    Undoing {
        /// What was there before.
        before: Option<Box<Found>>,
        /// What was left behind, which the written twin may be a copy of.
        left: Option<Box<Left>>,
    },
}

/// An identity with its twin, as a hub that lives elsewhere tells it. Its `Debug` leaves the
/// document out, which has keys.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The identity's etag.
    pub etag: String,
    /// The identity as it was told, so that it can be put back.
    pub document: Map<String, Value>,
    /// What a device has to show.
    #[serde(skip)]
    pub shows: Shows,
    /// The reason, where the hub's operator has disabled it.
    pub disabled: Option<Disabled>,
    /// Whether it is an IoT Edge device.
    pub iot_edge: bool,
    /// Its twin.
    pub twin: FoundTwin,
}

/// That an identity may not connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Words of the operator's.
    pub reason: Option<String>,
}

/// What an identity elsewhere has to show, as far as it is compared.
#[derive(Clone, Debug, Default)]
pub enum Shows {
    /// Tokens of one of two keys.
    Sas(SymmetricKey, SymmetricKey),
    /// One of two certificates.
    Certificates(Sha256, Sha256),
    /// Something else.
    #[default]
    Other,
}

/// A twin elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundTwin {
    /// Its etag.
    pub etag: String,
    /// Its tags.
    pub tags: Map<String, Value>,
    /// Its desired properties, without metadata.
    pub desired: Map<String, Value>,
    /// Its reported properties, without metadata.
    pub reported: Map<String, Value>,
}

/// An identity that is left behind, wherever it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// That it may not connect.
    pub disabled: Option<Disabled>,
    /// Its twin.
    pub twin: FoundTwin,
    /// Its revision, on a hub of this server: a twin that changes meanwhile is copied again.
    pub revision: Option<u64>,
    /// The whole, on a hub elsewhere.
    pub found: Option<Found>,
}

/// A call to a registry, about one identity.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    /// Reads it with its twin.
    Read,
    /// Makes it with its twin, in one; it must not be there.
    Create(New<'a>),
    /// Writes what the device shows, and leaves the rest as it was read.
    Update {
        /// As it was read.
        found: &'a Found,
        /// What the device will show.
        credential: Credential<'a>,
        /// Whether it is an IoT Edge device.
        iot_edge: bool,
        /// That it may not connect.
        disabled: Option<&'a Disabled>,
    },
    /// Puts an earlier identity back.
    Restore {
        /// What it was.
        found: &'a Found,
        /// What it is, by its etag.
        etag: &'a str,
        /// That it may not connect, though it might have before.
        disabled: Option<&'a Disabled>,
    },
    /// Replaces tags and desired properties.
    SetTwin {
        /// The tags.
        tags: &'a Map<String, Value>,
        /// The desired properties.
        desired: &'a Map<String, Value>,
        /// The etag of the twin that was read.
        etag: &'a str,
    },
    /// Removes it with its twin.
    Remove {
        /// As it was read.
        etag: &'a str,
    },
}

/// An identity to make.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// What the device will show.
    pub credential: Credential<'a>,
    /// Whether it is an IoT Edge device.
    pub iot_edge: bool,
    /// That it may not connect, as where it comes from (D-14).
    pub disabled: Option<&'a Disabled>,
    /// Its first twin.
    pub twin: TwinContent<'a>,
}

/// What a twin shall hold.
#[derive(Clone, Copy, Debug)]
pub struct TwinContent<'a> {
    /// The tags.
    pub tags: &'a Map<String, Value>,
    /// The desired properties.
    pub desired: &'a Map<String, Value>,
    /// The reported properties, of a twin that is taken along.
    pub reported: Option<&'a Map<String, Value>>,
}

/// What a device will show to a hub elsewhere.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// Tokens of one of two keys.
    Sas(&'a SymmetricKey, &'a SymmetricKey),
    /// This leaf certificate.
    SelfSigned(&'a Sha256),
}

/// Why a call to a registry came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// There was no answer, or not the whole of it: the call may have been carried out.
    Unreachable(String),
    /// The hub is busy, throttles or fails: 429 and 5xx.
    Busy(String),
    /// The hub does not believe us: a key that was changed there, or one without the rights.
    Unauthorized(String),
    /// There is no such identity.
    Absent,
    /// There is one already.
    Exists,
    /// It is not as it was read.
    Changed,
    /// The hub refuses what is asked; another try would come to the same.
    Refused(String),
}

impl Miss {
    /// Whether the hub does not answer just now, whomever it is asked about.
    pub const fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy(_) => true,
            Self::Unauthorized(_)
            | Self::Absent
            | Self::Exists
            | Self::Changed
            | Self::Refused(_) => false,
        }
    }
}

impl Found {
    /// Whether the device could connect with what it will show.
    pub fn has(&self, credential: Credential<'_>) -> bool {
        match (&self.shows, credential) {
            (Shows::Sas(a, b), Credential::Sas(c, d)) => a.same_as(c) & b.same_as(d),
            (Shows::Certificates(a, b), Credential::SelfSigned(c)) => a == c && b == c,
            (Shows::Sas(..) | Shows::Certificates(..) | Shows::Other, _) => false,
        }
    }

    /// Whether a device has to show the same to both.
    fn asks_for_the_same_as(&self, other: &Self) -> bool {
        let authentication = |found: &Self| found.document.get("authentication").cloned();
        authentication(self) == authentication(other)
    }

    /// Whether this is known to be an identity that was made anew since the other was read: keys
    /// that are derived from an enrollment are the same again then.
    fn was_made_again_since(&self, other: &Self) -> bool {
        let generation = |found: &Self| found.document.get("generationId").cloned();
        let (now, then) = (generation(self), generation(other));
        now.is_some() && then.is_some() && now != then
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("etag", &self.etag).finish_non_exhaustive()
    }
}

impl PartialEq for Shows {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sas(a, b), Self::Sas(c, d)) => a.same_as(c) & b.same_as(d),
            (Self::Certificates(a, b), Self::Certificates(c, d)) => a == c && b == d,
            (Self::Other, Self::Other) => true,
            (Self::Sas(..) | Self::Certificates(..) | Self::Other, _) => false,
        }
    }
}

impl From<Found> for Left {
    fn from(found: Found) -> Self {
        let (disabled, twin) = (found.disabled.clone(), found.twin.clone());
        Self { disabled, twin, revision: None, found: Some(found) }
    }
}

impl Left {
    /// The revision of its twin, on a hub of this server.
    pub fn revision(&self) -> Option<Revision> {
        self.revision.map(Revision)
    }
}

/// The key of a registration's job: jobs are in the order of instances, then of lower-case ids.
/// The names of instances have no slash.
pub fn job_key(dps: &ServiceName, id: &RegistrationId) -> String {
    format!("{dps}/{}", id.key())
}

impl Job {
    /// Its key among all jobs.
    pub fn key(&self) -> String {
        job_key(&self.dps, &self.request.registration_id)
    }

    /// What the device will show; none for a TPM whose keys were not made.
    pub fn credential(&self) -> Option<Credential<'_>> {
        Some(match &self.place.credential {
            HubCredential::Sas { primary, secondary } => Credential::Sas(primary, secondary),
            HubCredential::SelfSigned { thumbprint } => Credential::SelfSigned(thumbprint),
            HubCredential::Wrapped => {
                let made = self.made.as_ref()?;
                Credential::Sas(&made.primary, &made.secondary)
            }
            // No job is begun for one.
            HubCredential::Issued(_) => return None,
        })
    }

    /// The registries that are still to be called in its phase.
    pub fn registries(&self) -> impl Iterator<Item = &RemoteHub> {
        let (to, from) = match self.phase {
            Phase::Begun | Phase::Writing { .. } => (self.to.as_ref(), self.from.as_ref()),
            Phase::Leaving { .. } => (None, self.from.as_ref()),
            Phase::Undoing { .. } => (self.to.as_ref(), None),
        };
        to.into_iter().chain(from)
    }

    /// Whether it still works toward an assignment.
    pub const fn is_active(&self) -> bool {
        match self.phase {
            Phase::Begun | Phase::Writing { .. } => true,
            Phase::Leaving { .. } | Phase::Undoing { .. } => false,
        }
    }

    /// Whether a decision of now is the one that this job was begun by.
    pub fn is_for(&self, place: &Placement) -> bool {
        let Placement {
            entry,
            to,
            substatus,
            credential,
            twin,
            initial_tags,
            initial_desired,
            iot_edge,
            payload,
            from,
        } = &self.place;
        let same_credential = match (credential, &place.credential) {
            (
                HubCredential::Sas { primary: a, secondary: b },
                HubCredential::Sas { primary: c, secondary: d },
            ) => a.same_as(c) & b.same_as(d),
            (
                HubCredential::SelfSigned { thumbprint: a },
                HubCredential::SelfSigned { thumbprint: b },
            ) => a == b,
            (HubCredential::Wrapped, HubCredential::Wrapped) => true,
            (HubCredential::Issued(a), HubCredential::Issued(b)) => a == b,
            (
                HubCredential::Sas { .. }
                | HubCredential::SelfSigned { .. }
                | HubCredential::Issued(_)
                | HubCredential::Wrapped,
                _,
            ) => false,
        };
        same_credential
            && *entry == place.entry
            && *to == place.to
            && *substatus == place.substatus
            && *twin == place.twin
            && *initial_tags == place.initial_tags
            && *initial_desired == place.initial_desired
            && *iot_edge == place.iot_edge
            && *payload == place.payload
            && *from == place.from
    }

    /// The phase that takes back what this one may have written; none where nothing is written.
    pub fn undone(&self) -> Option<Phase> {
        match &self.phase {
            Phase::Writing { before, left } => {
                Some(Phase::Undoing { before: before.clone(), left: left.clone() })
            }
            Phase::Begun | Phase::Leaving { .. } | Phase::Undoing { .. } => None,
        }
    }

    /// The phase after the assignment; none where nothing is left behind elsewhere.
    pub fn assigned(&self) -> Option<Phase> {
        let Phase::Writing { left: Some(left), .. } = &self.phase else { return None };
        let left = left.found.clone().map(Box::new)?;
        Some(Phase::Leaving { left })
    }

    /// What is left behind.
    pub fn left(&self) -> Option<&Left> {
        match &self.phase {
            Phase::Writing { left, .. } | Phase::Undoing { left, .. } => left.as_deref(),
            Phase::Begun | Phase::Leaving { .. } => None,
        }
    }
}

/// The registries that a placement has to do with: that of the hub that the device goes to, and
/// that of the one it comes from.
pub fn registries(dps: &Dps, place: &Placement) -> (Option<RemoteHub>, Option<RemoteHub>) {
    let of = |at: &Assigned| dps.remote(&at.hub).cloned();
    (of(&place.to), place.from.as_ref().and_then(of))
}

/// The decision of an attempt whose device could not be provisioned elsewhere: what would have
/// been an assignment is a failure (L-13).
#[must_use]
pub fn failed(mut decision: Decision, failure: &Failure) -> Decision {
    if let Verdict::Assign(place) | Verdict::Keep(place) = &decision.verdict {
        let entry = place.entry.clone();
        decision.explanation.outcome = Outcome::Failed { kind: failure.kind };
        decision.verdict =
            Verdict::Conclude(Conclusion::Failed { entry, failure: failure.clone() });
    }
    decision
}

/// Notes in a decision's story what was done elsewhere.
pub fn noted(decision: &mut Decision, hub: &HostName, result: &str) {
    let (hub, result) = (hub.clone(), result.to_owned());
    decision.explanation.steps.push(Explained::Provisioned { hub, result });
}

/// Why a device could not be provisioned elsewhere, in words for the operator.
pub fn because(miss: &Miss) -> String {
    match miss {
        Miss::Unreachable(text) => format!("it can not be reached: {text}"),
        Miss::Busy(text) => format!("it is busy: {text}"),
        Miss::Unauthorized(text) => format!(
            "it refuses the key of its connection string, which may have been changed there, or \
             lack RegistryWrite or ServiceConnect: {text}"
        ),
        Miss::Absent => "the identity keeps vanishing".to_owned(),
        Miss::Exists | Miss::Changed => "the identity keeps changing".to_owned(),
        Miss::Refused(text) => format!("it refuses the identity: {text}"),
    }
}

/// The failure that a device reads (L-13); the hub's words are the operator's to see.
pub fn failure(miss: &Miss) -> Failure {
    let message = match miss {
        Miss::Unauthorized(_) => "The IoT hub refuses the provisioning service",
        Miss::Unreachable(_) | Miss::Busy(_) => "The IoT hub does not answer",
        Miss::Absent | Miss::Exists | Miss::Changed | Miss::Refused(_) => {
            "The IoT hub refuses the device"
        }
    };
    Failure { kind: FailureKind::HubRefused, message: message.to_owned() }
}

/// The id of a device elsewhere, for a step's call.
pub fn device_id(job: &Job, side: Side) -> Option<&DeviceId> {
    match side {
        Side::To => Some(&job.place.to.device_id),
        Side::From => job.place.from.as_ref().map(|from| &from.device_id),
    }
}

/// Which of a job's two hubs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that the device goes to.
    To,
    /// The one that it comes from.
    From,
}
