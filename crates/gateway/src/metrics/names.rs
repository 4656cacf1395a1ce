//! The names, labels and meanings of all metrics; nothing else spells one.
//!
//! Labels are words of closed enums, and names of provisioning services and their credential
//! policies, of hubs and of the server's own certificates, which operators make few of. A [`Value`] can be made of nothing else, so none carries a device.

use std::borrow::Cow;
use std::fmt;

use model::{HostName, PolicyName, ServiceName};
use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use service::Holder;
use service::access::sessions::Closing;
use service::observe::{
    Attestation, CommitOutcome, DeliveryOutcome, Protocol, RegistrationOutcome, SignInOutcome,
    TelemetryOutcome, VerdictKind,
};

use super::operation::{Handshake, Operation, Outcome};
use crate::listener::Throttled;
use crate::tls::{CertificateKind, KeyKind};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often which size was seen; has `_bucket`, `_count` and `_sum`.
    Histogram,
}

impl Kind {
    /// The word in the documentation and in the exposition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    pub(super) const fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

/// A metric, as it is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The whole name, `_total` of a counter and the unit included.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What is counted or measured, in the plural; it is a part of the name where it is a unit of
    /// OpenMetrics.
    pub unit: &'static str,
    /// The labels, in their order.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

impl Described {
    /// The unit, if it is one of OpenMetrics.
    pub(super) fn open_metrics_unit(&self) -> Option<&'static Unit> {
        match self.unit {
            "seconds" => Some(&Unit::Seconds),
            "bytes" => Some(&Unit::Bytes),
            _ => None,
        }
    }

    /// The name without what the encoder adds: the unit, then `_total`.
    pub(super) fn stem(&self) -> &'static str {
        let name = match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        };
        match self.open_metrics_unit() {
            Some(_) => {
                let stem = name.strip_suffix(self.unit).unwrap_or(name);
                stem.strip_suffix('_').unwrap_or(stem)
            }
            None => name,
        }
    }

    /// The labels with their values.
    pub(super) fn with<const N: usize>(&self, values: [Value; N]) -> Labels {
        self.labels.iter().copied().zip(values).collect()
    }
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Described {
    Described { name, kind: Kind::Counter, unit, labels, meaning }
}

const fn seconds(
    name: &'static str,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Described {
    Described { name, kind: Kind::Histogram, unit: "seconds", labels, meaning }
}

const CERTIFICATE: &str = "certificate";
const DPS: &str = "dps";
const HOLDER: &str = "holder";
const HOST: &str = "host";
const HUB: &str = "hub";
const KEY: &str = "key";
const NAME: &str = "name";
const OPERATION: &str = "operation";
const OUTCOME: &str = "outcome";
const POLICY: &str = "policy";
const PROTOCOL: &str = "protocol";
const REASON: &str = "reason";
const STATUS: &str = "status";
const VERDICT: &str = "verdict";

/// Azure's `AttestationAttempts`.
pub const ATTESTATION_ATTEMPTS: Described = counter(
    "muster_dps_attestation_attempts_total",
    "attempts",
    &[DPS, STATUS, PROTOCOL],
    "Devices that showed their evidence to register (Azure: AttestationAttempts)",
);
/// Azure's `DeviceAssignments`.
pub const DEVICE_ASSIGNMENTS: Described = counter(
    "muster_dps_device_assignments_total",
    "assignments",
    &[DPS, HUB],
    "Devices sent to a hub, for the first time, anew or to another one (Azure: DeviceAssignments)",
);
/// Azure's `RegistrationAttempts`.
pub const REGISTRATION_ATTEMPTS: Described = counter(
    "muster_dps_registration_attempts_total",
    "attempts",
    &[DPS, HUB, STATUS],
    "Registrations that were answered; hub is empty unless assigned (Azure: RegistrationAttempts)",
);
/// What the rules decided.
pub const VERDICTS: Described = counter(
    "muster_dps_verdicts_total",
    "verdicts",
    &[DPS, VERDICT],
    "What the rules decided about registrations",
);
/// Certificates that devices were given.
pub const CERTIFICATES_ISSUED: Described = counter(
    "muster_dps_certificates_issued_total",
    "certificates",
    &[DPS],
    "Certificates that were issued to registering devices",
);

/// Refusals that were not written down.
pub const REFUSALS_UNRECORDED: Described = counter(
    "muster_dps_refusals_unrecorded_total",
    "refusals",
    &[DPS],
    "Refusals by a disabled entry that were told and not written down, since too many came",
);
/// Devices that sign in to a hub.
pub const SIGN_INS: Described = counter(
    "muster_hub_sign_ins_total",
    "attempts",
    &[HUB, STATUS],
    "Devices that tried to sign in to a hub",
);
/// Sessions of devices on hubs.
pub const SESSIONS: Described = Described {
    name: "muster_hub_sessions",
    kind: Kind::Gauge,
    unit: "sessions",
    labels: &[],
    meaning: "Live sessions of devices on hubs",
};
/// Sessions that were told to end.
pub const SESSIONS_CLOSED: Described = counter(
    "muster_hub_sessions_closed_total",
    "sessions",
    &[REASON],
    "Sessions that were told to end",
);
/// How long a withdrawal takes.
pub const KILL_LATENCY: Described = seconds(
    "muster_hub_kill_latency_seconds",
    &[],
    "From a change's commit until no session that it denies can act; changes that end none are left out",
);
/// Messages of devices.
pub const TELEMETRY_MESSAGES: Described = counter(
    "muster_hub_telemetry_messages_total",
    "messages",
    &[HUB, STATUS],
    "Messages that devices sent to a hub",
);
/// Bytes of such messages.
pub const TELEMETRY_BYTES: Described = counter(
    "muster_hub_telemetry_bytes_total",
    "bytes",
    &[HUB],
    "Payload of the messages that were kept",
);
/// All calls.
pub const REQUESTS: Described = counter(
    "muster_requests_total",
    "requests",
    &[OPERATION, PROTOCOL, OUTCOME],
    "Calls that were answered, over HTTPS and MQTT",
);
/// How long they take.
pub const REQUEST_DURATION: Described = seconds(
    "muster_request_duration_seconds",
    &[OPERATION, PROTOCOL],
    "From a call's head or packet until its answer is ready; a message's until it is durable",
);
/// Commits that the service asked for.
pub const STORE_COMMITS: Described =
    counter("muster_store_commits_total", "commits", &[OUTCOME], "Commits that the store answered");
/// How long they take.
pub const STORE_COMMIT_DURATION: Described = seconds(
    "muster_store_commit_duration_seconds",
    &[],
    "From handing a commit to the store until its answer, waiting and fsync included",
);
/// Commits that the store's writer applied.
pub const STORE_APPLIED: Described = counter(
    "muster_store_applied_commits_total",
    "commits",
    &[],
    "Commits that the store's writer applied, readiness checks included",
);
/// Transactions that these shared.
pub const STORE_TRANSACTIONS: Described = counter(
    "muster_store_transactions_total",
    "transactions",
    &[],
    "Transactions that applied commits shared, one fsync each; applied commits over these is the group's size",
);
/// Tries to deliver events.
pub const EVENT_DELIVERIES: Described = counter(
    "muster_event_deliveries_total",
    "tries",
    &[OUTCOME],
    "Tries to deliver a lifecycle event to a subscription",
);
/// How long events were on their way.
pub const EVENT_LATENCY: Described = seconds(
    "muster_event_latency_seconds",
    &[],
    "From an event until its receiver has it, tries and pauses included (Azure: EventGridLatency)",
);
/// Events for which there was no room.
pub const EVENTS_DROPPED: Described = counter(
    "muster_events_dropped_total",
    "events",
    &[],
    "Lifecycle events that a subscription never hears of, since there was no room for them",
);
/// Events on their way.
pub const EVENTS_WAITING: Described = Described {
    name: "muster_events_waiting",
    kind: Kind::Gauge,
    unit: "events",
    labels: &[],
    meaning: "Lifecycle events that are still to be delivered, once for each subscription",
};
/// Events that were given up.
pub const DEAD_LETTERS: Described = Described {
    name: "muster_events_dead_letters",
    kind: Kind::Gauge,
    unit: "events",
    labels: &[],
    meaning: "Lifecycle events that were given up and wait for an operator",
};
/// Lines of resource logs for which there was no room.
pub const DIAGNOSTICS_DROPPED: Described = counter(
    "muster_diagnostics_dropped_total",
    "lines",
    &[],
    "Lines of resource logs that were dropped, since their sink is too slow",
);
/// Connections.
pub const CONNECTIONS: Described = counter(
    "muster_connections_accepted_total",
    "connections",
    &[],
    "TCP connections accepted on the TLS ports",
);
/// Failures to accept.
pub const ACCEPT_ERRORS: Described = counter(
    "muster_connections_accept_errors_total",
    "errors",
    &[],
    "Failures to accept, such as a lack of file descriptors",
);
/// Connections that met the limit.
pub const CONNECTIONS_WAITED: Described = counter(
    "muster_connections_waited_total",
    "connections",
    &[],
    "Accepted connections that had to wait for room",
);
/// Connections of refused addresses.
pub const THROTTLED: Described = counter(
    "muster_connections_throttled_total",
    "connections",
    &[OUTCOME],
    "Connections that had to wait since devices of their address were refused, or were dropped since too many of it came",
);
/// Handlers that panicked.
pub const PANICS: Described = counter(
    "muster_connections_panicked_total",
    "connections",
    &[],
    "Connections whose handler panicked; each is a bug",
);
/// Handshakes.
pub const HANDSHAKES: Described =
    counter("muster_tls_handshakes_total", "handshakes", &[OUTCOME], "TLS handshakes that ended");
/// How long they take.
pub const HANDSHAKE_DURATION: Described = seconds(
    "muster_tls_handshake_duration_seconds",
    &[],
    "From a connection's acceptance to the end of its handshake, completed ones only",
);
/// When certificates end.
pub const CERTIFICATE_EXPIRY: Described = Described {
    name: "muster_tls_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[CERTIFICATE, HOST, KEY],
    meaning: "When a certificate ends that the server shows or signs with, in Unix time",
};
/// When the certificates end that devices attest by.
pub const DPS_CERTIFICATE_EXPIRY: Described = Described {
    name: "muster_dps_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[DPS, HOLDER, NAME],
    meaning: "When a certificate ends that devices attest by, in Unix time",
};

/// When issuing CAs end.
pub const ISSUING_CA_EXPIRY: Described = Described {
    name: "muster_dps_issuing_ca_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    labels: &[DPS, POLICY],
    meaning: "When a credential policy's issuing CA ends, in Unix time",
};
/// Certificates that were replaced.
pub const CERTIFICATE_REPLACEMENTS: Described = counter(
    "muster_tls_certificate_replacements_total",
    "certificates",
    &[],
    "Own certificates that were replaced while the server ran",
);
/// Certificates whose files have a fault.
pub const CERTIFICATES_FAULTY: Described = Described {
    name: "muster_tls_certificates_faulty",
    kind: Kind::Gauge,
    unit: "certificates",
    labels: &[],
    meaning: "Own certificates whose files have a fault now; the last good ones are shown",
};

/// Every metric.
pub const ALL: [Described; 36] = [
    ATTESTATION_ATTEMPTS,
    DEVICE_ASSIGNMENTS,
    REGISTRATION_ATTEMPTS,
    VERDICTS,
    CERTIFICATES_ISSUED,
    REFUSALS_UNRECORDED,
    SIGN_INS,
    SESSIONS,
    SESSIONS_CLOSED,
    KILL_LATENCY,
    TELEMETRY_MESSAGES,
    TELEMETRY_BYTES,
    REQUESTS,
    REQUEST_DURATION,
    STORE_COMMITS,
    STORE_COMMIT_DURATION,
    STORE_APPLIED,
    STORE_TRANSACTIONS,
    EVENT_DELIVERIES,
    EVENT_LATENCY,
    EVENTS_DROPPED,
    EVENTS_WAITING,
    DEAD_LETTERS,
    DIAGNOSTICS_DROPPED,
    CONNECTIONS,
    ACCEPT_ERRORS,
    CONNECTIONS_WAITED,
    THROTTLED,
    PANICS,
    HANDSHAKES,
    HANDSHAKE_DURATION,
    CERTIFICATE_EXPIRY,
    DPS_CERTIFICATE_EXPIRY,
    ISSUING_CA_EXPIRY,
    CERTIFICATE_REPLACEMENTS,
    CERTIFICATES_FAULTY,
];

/// A set of labels.
pub(super) type Labels = Vec<(&'static str, Value)>;

/// A label's value: a word of a closed enum, or the name of a service or a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Value(Cow<'static, str>);

impl Value {
    /// The name of what an operator gave to the server or uploaded.
    pub(super) fn of_certificate(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

impl EncodeLabelValue for Value {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

impl From<&PolicyName> for Value {
    fn from(name: &PolicyName) -> Self {
        Self(Cow::Owned(name.to_string()))
    }
}

impl From<&ServiceName> for Value {
    fn from(name: &ServiceName) -> Self {
        Self(Cow::Owned(name.to_string()))
    }
}

impl From<&HostName> for Value {
    fn from(host: &HostName) -> Self {
        Self(Cow::Owned(host.to_string()))
    }
}

impl From<Option<&HostName>> for Value {
    fn from(host: Option<&HostName>) -> Self {
        host.map_or(Self(Cow::Borrowed("")), Self::from)
    }
}

/// An enum whose words are all known, for the test of the surface.
#[cfg(test)]
pub(super) trait Words: Sized + 'static {
    /// All of them.
    const ALL: &[Self];
}

/// An enum whose every value is one word.
pub(super) trait Word {
    /// The word.
    fn word(self) -> &'static str;
}

/// The words of a closed enum.
macro_rules! words {
    ($name:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        #[cfg(test)]
        impl Words for $name {
            const ALL: &[Self] = &[$(<$name>::$variant),+];
        }

        impl Word for $name {
            fn word(self) -> &'static str {
                match self {
                    $(<$name>::$variant => $word,)+
                }
            }
        }

        impl From<$name> for Value {
            fn from(word: $name) -> Self {
                Self(Cow::Borrowed(word.word()))
            }
        }
    };
}

words!(Protocol { Mqtt => "mqtt", MqttWebSocket => "mqtt-ws", Https => "https", Other => "other" });
words!(Attestation {
    Succeeded => "succeeded",
    Failed => "failed",
    Blocked => "blocked",
    Challenged => "challenged",
});
words!(RegistrationOutcome {
    Assigned => "assigned",
    Failed => "failed",
    Disabled => "disabled",
    Rejected => "rejected",
    Error => "error",
});
words!(VerdictKind {
    Assign => "assign",
    Keep => "keep",
    Consult => "consult",
    Disabled => "disabled",
    Failed => "failed",
    Stranger => "stranger",
    QuotaReached => "quota_reached",
    BadRequest => "bad_request",
    Challenge => "challenge",
});
words!(SignInOutcome {
    Granted => "granted",
    Denied => "denied",
    Overtaken => "overtaken",
    Error => "error",
});
words!(TelemetryOutcome { Kept => "kept", Full => "full", Busy => "busy", Error => "error" });
words!(CommitOutcome {
    Committed => "committed",
    Conflict => "conflict",
    Full => "full",
    Busy => "busy",
    Error => "error",
});
words!(DeliveryOutcome { Delivered => "delivered", Retried => "retried", Dead => "dead" });
words!(Closing { Denied => "denied", TakenOver => "taken_over" });
words!(Outcome { Answered => "answered", Refused => "refused", Error => "error" });
words!(Handshake { Completed => "completed", Failed => "failed", TimedOut => "timed_out" });
words!(Throttled { Waited => "waited", Dropped => "dropped" });
words!(CertificateKind { Own => "own", DevelopmentCa => "development_ca" });
words!(Holder { Ca => "ca", Group => "group" });
words!(KeyKind { Ecdsa => "ecdsa", Rsa => "rsa" });
words!(Operation {
    Register => "register",
    Poll => "poll",
    Lookup => "lookup",
    Enrollments => "enrollments",
    EnrollmentGroups => "enrollment_groups",
    Registrations => "registrations",
    Bulk => "bulk",
    Devices => "devices",
    Twins => "twins",
    DeviceQuery => "device_query",
    AdminDps => "admin_dps",
    AdminCertificates => "admin_certificates",
    AdminCredentials => "admin_credentials",
    AdminHubs => "admin_hubs",
    AdminRegistrations => "admin_registrations",
    AdminExplanations => "admin_explanations",
    AdminEvents => "admin_events",
    OpenApi => "openapi",
    WebSocket => "websocket",
    SignIn => "sign_in",
    Telemetry => "telemetry",
    TwinGet => "twin_get",
    TwinReport => "twin_report",
    MethodResponse => "method_response",
    Unknown => "unknown",
});
