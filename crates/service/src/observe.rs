//! What happens, told to whoever counts it.
//!
//! Nothing here knows of metrics: an [`Observer`] is told closed words, names of services, counts
//! and durations. It is never told a device, a key, a token or a payload.

use std::time::Duration;

use model::{HostName, ServiceName};
use provisioning::decide::{Conclusion, Rejection, Verdict};
use store::{Commit, CommitError, Committed};
use tokio::time::Instant;
use tracing::Instrument;

use crate::access::sessions::Closing;
use crate::register::{Attempted, Claim, Turn};
use crate::{ConnectError, RegisterError, Service, TelemetryError};

/// Is told what happens; must not wait.
pub trait Observer: Send + Sync {
    /// Something has happened.
    fn observe(&self, observed: &Observed<'_>);
}

/// Nobody looks.
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _observed: &Observed<'_>) {}
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<'a> {
    /// A device has shown its evidence to a provisioning service, for a registration.
    Attestation {
        /// The instance.
        dps: &'a ServiceName,
        /// How the device came.
        protocol: Protocol,
        /// What came of it.
        status: Attestation,
    },
    /// A registration was answered.
    Registration {
        /// The instance.
        dps: &'a ServiceName,
        /// The hub, for an assigned device.
        hub: Option<&'a HostName>,
        /// What came of it.
        status: RegistrationOutcome,
    },
    /// The rules have decided about a registration, and it stands.
    Verdict {
        /// The instance.
        dps: &'a ServiceName,
        /// What they have decided.
        verdict: VerdictKind,
    },
    /// A device was refused as ever, and that was not written down: too many came.
    RefusalUnrecorded {
        /// The instance.
        dps: &'a ServiceName,
    },
    /// A device was sent to a hub: for the first time, to another one, or anew.
    Assignment {
        /// The instance.
        dps: &'a ServiceName,
        /// The hub.
        hub: &'a HostName,
    },
    /// A certificate was issued to a device, and its record is durable.
    CertificateIssued {
        /// The instance.
        dps: &'a ServiceName,
    },
    /// A device has tried to sign in to a hub that exists.
    SignIn {
        /// The hub.
        hub: &'a HostName,
        /// What came of it.
        status: SignInOutcome,
    },
    /// A live session was told to end.
    SessionClosed {
        /// Why.
        why: Closing,
    },
    /// A change that is committed has ended the sessions that it denies.
    Withdrawal {
        /// From the commit's return until no session that it denies could act any more.
        took: Duration,
    },
    /// A device's message was kept or refused.
    Telemetry {
        /// The hub.
        hub: &'a HostName,
        /// What came of it.
        status: TelemetryOutcome,
        /// Bytes of the payload.
        bytes: u64,
    },
    /// The store has answered a commit.
    Commit {
        /// What came of it.
        outcome: CommitOutcome,
        /// How long it took, the wait for its turn included.
        took: Duration,
    },
    /// An event was sent to a subscription.
    EventDelivery {
        /// What came of it.
        outcome: DeliveryOutcome,
        /// How long ago it has happened.
        age: Duration,
    },
    /// Events found no room, and are told to nobody.
    EventsDropped {
        /// How many, each once for every subscription.
        count: u64,
    },
}

/// What came of one try to deliver an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Delivered,
    /// It is tried again.
    Retried,
    /// It is a dead letter now.
    Dead,
}

/// How a device came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT over TLS.
    Mqtt,
    /// MQTT over WebSockets.
    MqttWebSocket,
    /// HTTPS.
    Https,
    /// Anything else, such as a test.
    Other,
}

impl Protocol {
    /// The protocol of a call.
    pub fn of(name: &str) -> Self {
        match name {
            "mqtt" => Self::Mqtt,
            "mqtt-ws" => Self::MqttWebSocket,
            "https" => Self::Https,
            _ => Self::Other,
        }
    }
}

/// What came of the evidence of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// It holds.
    Succeeded,
    /// It holds against nothing.
    Failed,
    /// A disabled entry blocks the device, whatever it shows.
    Blocked,
    /// A TPM has yet to prove itself.
    Challenged,
}

impl Attestation {
    /// What a verdict says of the evidence.
    pub(crate) const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Reject(Rejection::Stranger { .. }) => Self::Failed,
            Verdict::Conclude(Conclusion::Disabled { .. }) => Self::Blocked,
            Verdict::Challenge(_) => Self::Challenged,
            Verdict::Assign(_)
            | Verdict::Keep(_)
            | Verdict::Consult(_)
            | Verdict::Conclude(Conclusion::Failed { .. })
            | Verdict::Reject(Rejection::QuotaReached { .. } | Rejection::Csr(_)) => {
                Self::Succeeded
            }
        }
    }
}

/// What came of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationOutcome {
    /// The device is on a hub.
    Assigned,
    /// It was let in, and something else went wrong.
    Failed,
    /// A disabled entry refuses it.
    Disabled,
    /// The call was refused, and no record was written.
    Rejected,
    /// We failed.
    Error,
}

/// What the rules have decided about a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictKind {
    /// Send the device to a hub.
    Assign,
    /// Leave it where it is.
    Keep,
    /// Ask a webhook, then decide again.
    Consult,
    /// A disabled entry refuses it.
    Disabled,
    /// Let in, but it can not be placed.
    Failed,
    /// The evidence holds against nothing.
    Stranger,
    /// There is no room for a new record.
    QuotaReached,
    /// The certificate that it asks for can not be had so.
    BadRequest,
    /// The TPM has to sign first.
    Challenge,
}

impl VerdictKind {
    /// The kind of a verdict.
    pub(crate) const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Assign(_) => Self::Assign,
            Verdict::Keep(_) => Self::Keep,
            Verdict::Consult(_) => Self::Consult,
            Verdict::Conclude(Conclusion::Disabled { .. }) => Self::Disabled,
            Verdict::Conclude(Conclusion::Failed { .. }) => Self::Failed,
            Verdict::Reject(Rejection::Stranger { .. }) => Self::Stranger,
            Verdict::Reject(Rejection::QuotaReached { .. }) => Self::QuotaReached,
            Verdict::Reject(Rejection::Csr(_)) => Self::BadRequest,
            Verdict::Challenge(_) => Self::Challenge,
        }
    }
}

/// What came of a sign-in to a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// There is a session.
    Granted,
    /// The rules refuse it.
    Denied,
    /// A change or a newer connection came in between.
    Overtaken,
    /// We failed.
    Error,
}

impl SignInOutcome {
    /// The outcome of a refusal.
    pub(crate) const fn of(error: &ConnectError) -> Self {
        match error {
            ConnectError::UnknownHub | ConnectError::Denied(_) => Self::Denied,
            ConnectError::Closed(_) => Self::Overtaken,
            ConnectError::Fault(_) => Self::Error,
        }
    }
}

/// What came of a device's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryOutcome {
    /// It is durable.
    Kept,
    /// The disk is full.
    Full,
    /// Too many are waiting.
    Busy,
    /// The log is away or broken.
    Error,
}

impl TelemetryOutcome {
    /// The outcome of an append.
    pub(crate) const fn of<T>(appended: &Result<T, TelemetryError>) -> Self {
        match appended {
            Ok(_) => Self::Kept,
            Err(TelemetryError::Full) => Self::Full,
            Err(TelemetryError::Busy) => Self::Busy,
            Err(TelemetryError::Unavailable(_)) => Self::Error,
        }
    }
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is durable.
    Committed,
    /// A row that it rests on has changed; the call decides again.
    Conflict,
    /// The disk is full.
    Full,
    /// Too many are waiting.
    Busy,
    /// The store is away or broken.
    Error,
}

impl CommitOutcome {
    /// The outcome of a commit.
    pub(crate) const fn of<T>(committed: &Result<T, CommitError>) -> Self {
        match committed {
            Ok(_) => Self::Committed,
            Err(CommitError::Conflict(_)) => Self::Conflict,
            Err(CommitError::Full) => Self::Full,
            Err(CommitError::Busy) => Self::Busy,
            Err(CommitError::Unavailable(_)) => Self::Error,
        }
    }
}

/// What the latest decision about a registration was, as far as it is counted.
pub(crate) struct Decided {
    attestation: Attestation,
    verdict: VerdictKind,
    hub: Option<HostName>,
}

impl Decided {
    /// What is counted of a verdict.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        let hub = match verdict {
            Verdict::Assign(place) | Verdict::Keep(place) => Some(place.to.hub.clone()),
            Verdict::Consult(_)
            | Verdict::Conclude(_)
            | Verdict::Challenge(_)
            | Verdict::Reject(_) => None,
        };
        Self { attestation: Attestation::of(verdict), verdict: VerdictKind::of(verdict), hub }
    }

    /// None of a challenge, and none while a webhook is asked: the registration is yet to come.
    const fn outcome(&self) -> Option<RegistrationOutcome> {
        Some(match self.verdict {
            VerdictKind::Assign | VerdictKind::Keep => RegistrationOutcome::Assigned,
            VerdictKind::Disabled => RegistrationOutcome::Disabled,
            VerdictKind::Failed => RegistrationOutcome::Failed,
            VerdictKind::Stranger | VerdictKind::QuotaReached | VerdictKind::BadRequest => {
                RegistrationOutcome::Rejected
            }
            VerdictKind::Challenge | VerdictKind::Consult => return None,
        })
    }
}

impl Service {
    /// Tells what came of an attempt, by the last decision about it: a device that waits for a
    /// webhook is attested once, and has registered once that has answered.
    pub(crate) fn tell(
        &self,
        claim: Claim<'_>,
        turn: Turn<'_>,
        attempted: &Result<Attempted, RegisterError>,
        decided: Option<Decided>,
    ) {
        let dps = claim.dps;
        let tell = |observed: Observed<'_>| self.observer.observe(&observed);
        let decided = match attempted {
            Err(RegisterError::UnknownService | RegisterError::Network(_))
            | Ok(Attempted::Asks(..) | Attempted::Overtaken) => return,
            Err(RegisterError::Fault(_)) => None,
            Err(RegisterError::Rejected(..) | RegisterError::Challenge { .. })
            | Ok(Attempted::Concluded { .. } | Attempted::Begun { .. }) => decided,
        };
        let Some(decided) = decided else {
            let status = RegistrationOutcome::Error;
            return tell(Observed::Registration { dps, hub: None, status });
        };
        // An assignment to a hub elsewhere has only begun.
        let is_begun = matches!(attempted, Ok(Attempted::Begun { .. }));
        let outcome = decided.outcome().filter(|_| !is_begun);
        let Decided { attestation, verdict, hub } = &decided;
        let (hub, protocol) = (hub.as_ref(), Protocol::of(claim.call.protocol));
        if matches!(turn, Turn::First) {
            tell(Observed::Attestation { dps, protocol, status: *attestation });
        }
        if is_begun && *verdict != VerdictKind::Consult {
            return;
        }
        tell(Observed::Verdict { dps, verdict: *verdict });
        if let Some(status) = outcome {
            tell(Observed::Registration { dps, hub, status });
        }
        if let (VerdictKind::Assign, Some(hub)) = (verdict, hub) {
            tell(Observed::Assignment { dps, hub });
        }
    }

    /// Hands a commit to the store with the events that tell of it, and tells how long that took.
    pub(crate) async fn commit(&self, mut commit: Commit) -> Result<Committed, CommitError> {
        let added = self.announce(&mut commit).await?;
        let started = Instant::now();
        let span = tracing::debug_span!("commit", outcome = tracing::field::Empty);
        let committed = self.store.commit(commit).instrument(span.clone()).await;
        let outcome = CommitOutcome::of(&committed);
        span.record("outcome", tracing::field::debug(outcome));
        drop(span);
        self.observer.observe(&Observed::Commit { outcome, took: started.elapsed() });
        if committed.is_ok() {
            added.committed();
        }
        committed
    }
}
