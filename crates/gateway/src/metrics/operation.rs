//! What is asked of the gateway, in classes that are counted.

use std::sync::OnceLock;

use service::Call;

use dialect::rest::error::WireError;
use hyper::StatusCode;

/// The class of a call: a REST route's, or an MQTT operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A device registers.
    Register,
    /// A device polls.
    Poll,
    /// A device asks what its record says.
    Lookup,
    /// Individual enrollments.
    Enrollments,
    /// Enrollment groups.
    EnrollmentGroups,
    /// Registration records.
    Registrations,
    /// Several enrollments in one call.
    Bulk,
    /// Device identities.
    Devices,
    /// Twins, as operators see them.
    Twins,
    /// The query that lists identities.
    DeviceQuery,
    /// The administration of provisioning services and links.
    AdminDps,
    /// That of CA certificates.
    AdminCertificates,
    /// That of credential policies.
    AdminCredentials,
    /// That of hubs.
    AdminHubs,
    /// That of registration records: orders to reprovision, orphans.
    AdminRegistrations,
    /// Explanations of attempts.
    AdminExplanations,
    /// Event subscriptions and dead letters.
    AdminEvents,
    /// The description of an API.
    OpenApi,
    /// A WebSocket's handshake.
    WebSocket,
    /// A CONNECT.
    SignIn,
    /// A device's message.
    Telemetry,
    /// A device reads its twin.
    TwinGet,
    /// A device reports properties.
    TwinReport,
    /// A device answers a direct method.
    MethodResponse,
    /// A path, host or topic of no meaning.
    Unknown,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for was done.
    Answered,
    /// It was not, for a reason of the caller's.
    Refused,
    /// It was not, for a reason of ours.
    Error,
}

impl Outcome {
    /// The class of a status.
    pub(crate) fn of(status: u16) -> Self {
        match StatusCode::from_u16(status) {
            Ok(status) if status.is_server_error() => Self::Error,
            Ok(status) if status.is_client_error() => Self::Refused,
            Ok(_) | Err(_) => Self::Answered,
        }
    }

    /// The class of an answer.
    pub(crate) fn of_answer<T>(answer: &Result<T, WireError>) -> Self {
        answer.as_ref().map_or_else(|error| Self::of(error.status), |_| Self::Answered)
    }
}

/// What came of a TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// There is a connection.
    Completed,
    /// It broke off.
    Failed,
    /// It was cut at its deadline.
    TimedOut,
}

/// What becomes known of a call on its way: its class once its route is read, and who it is by once
/// its token was judged.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    operation: OnceLock<Operation>,
    actor: OnceLock<String>,
}

impl Noted {
    /// Notes the class; the first one counts.
    pub(crate) fn note(&self, operation: Operation) {
        // A second note is of the same call, and tells nothing new.
        let _ = self.operation.set(operation);
    }

    /// The class that was noted.
    pub(crate) fn operation(&self) -> Operation {
        self.operation.get().copied().unwrap_or(Operation::Unknown)
    }

    /// Notes who calls; the first one counts.
    pub(crate) fn sign(&self, actor: &str) {
        // As above.
        let _ = self.actor.set(actor.to_owned());
    }

    /// The call by whom it is, as far as that is known.
    pub(crate) fn signed(&self, call: &Call) -> Call {
        match self.actor.get() {
            Some(actor) => Call { actor: actor.clone(), ..call.clone() },
            None => call.clone(),
        }
    }
}
