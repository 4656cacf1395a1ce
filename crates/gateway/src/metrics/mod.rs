//! What is counted and measured, and how it is shown to a monitoring system.
//!
//! `service` tells what happens through [`service::observe::Observer`], the drivers through
//! [`Metrics`]; everything is kept in memory and starts at zero with the process.

mod exposition;
pub mod names;
mod operation;
#[cfg(test)]
mod tests;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use service::observe::{DeliveryOutcome, Observed, Observer, Protocol, TelemetryOutcome};

use crate::diagnostics::{self, Diagnostics};

pub use exposition::{Exposition, Readings};
pub(crate) use operation::{Noted, Operation, Outcome};

use names::{Labels, Value, Word};

/// The upper bounds of all histograms of durations, in seconds.
pub(crate) const BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

type Counters = Family<Labels, Counter>;

/// A histogram of durations.
#[derive(Clone, Debug)]
pub(crate) struct Durations(pub(crate) Histogram);

impl Default for Durations {
    fn default() -> Self {
        Self(Histogram::new(BUCKETS))
    }
}

impl Durations {
    pub(crate) fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// What is counted as it happens.
#[derive(Debug)]
pub struct Metrics {
    attestation_attempts: Counters,
    device_assignments: Counters,
    registration_attempts: Counters,
    verdicts: Counters,
    certificates_issued: Counters,
    refusals_unrecorded: Counters,
    sign_ins: Counters,
    sessions_closed: Counters,
    kill_latency: Durations,
    telemetry_messages: Counters,
    telemetry_bytes: Counters,
    requests: Counters,
    request_durations: Family<Labels, Histogram, fn() -> Histogram>,
    store_commits: Counters,
    store_commit_durations: Durations,
    event_deliveries: Counters,
    event_latency: Durations,
    events_dropped: Counter,
    diagnostics: Option<Diagnostics>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attestation_attempts: Family::default(),
            device_assignments: Family::default(),
            registration_attempts: Family::default(),
            verdicts: Family::default(),
            certificates_issued: Family::default(),
            refusals_unrecorded: Family::default(),
            sign_ins: Family::default(),
            sessions_closed: Family::default(),
            kill_latency: Durations::default(),
            telemetry_messages: Family::default(),
            telemetry_bytes: Family::default(),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(|| Durations::default().0),
            store_commits: Family::default(),
            store_commit_durations: Durations::default(),
            event_deliveries: Family::default(),
            event_latency: Durations::default(),
            events_dropped: Counter::default(),
            diagnostics: None,
        }
    }
}

impl Metrics {
    /// These, with resource logs that are kept.
    #[must_use]
    pub fn with_diagnostics(self, diagnostics: Diagnostics) -> Self {
        Self { diagnostics: Some(diagnostics), ..self }
    }

    /// Who keeps resource logs.
    pub(crate) const fn diagnostics(&self) -> Option<&Diagnostics> {
        self.diagnostics.as_ref()
    }

    /// Counts the present call and how long it took, and says in its span what it was.
    pub(crate) fn request(
        &self,
        operation: Operation,
        protocol: Protocol,
        outcome: Outcome,
        took: Duration,
    ) {
        crate::log::counted(operation.word(), outcome.word());
        diagnostics::counted(operation, outcome, took);
        let labels = [operation.into(), protocol.into(), outcome.into()];
        count(&self.requests, &names::REQUESTS, labels);
        let labels = names::REQUEST_DURATION.with([operation.into(), protocol.into()]);
        self.request_durations.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

fn count<const N: usize>(counters: &Counters, metric: &names::Described, values: [Value; N]) {
    counters.get_or_create(&metric.with(values)).inc();
}

impl Observer for Metrics {
    fn observe(&self, observed: &Observed<'_>) {
        match *observed {
            Observed::Attestation { dps, protocol, status } => {
                let values = [dps.into(), status.into(), protocol.into()];
                count(&self.attestation_attempts, &names::ATTESTATION_ATTEMPTS, values);
            }
            Observed::Registration { dps, hub, status } => {
                let values = [dps.into(), hub.into(), status.into()];
                count(&self.registration_attempts, &names::REGISTRATION_ATTEMPTS, values);
            }
            Observed::Verdict { dps, verdict } => {
                count(&self.verdicts, &names::VERDICTS, [dps.into(), verdict.into()]);
            }
            Observed::CertificateIssued { dps } => {
                count(&self.certificates_issued, &names::CERTIFICATES_ISSUED, [dps.into()]);
            }
            Observed::RefusalUnrecorded { dps } => {
                count(&self.refusals_unrecorded, &names::REFUSALS_UNRECORDED, [dps.into()]);
            }
            Observed::Assignment { dps, hub } => {
                let values = [dps.into(), hub.into()];
                count(&self.device_assignments, &names::DEVICE_ASSIGNMENTS, values);
            }
            Observed::SignIn { hub, status } => {
                count(&self.sign_ins, &names::SIGN_INS, [hub.into(), status.into()]);
            }
            Observed::SessionClosed { why } => {
                count(&self.sessions_closed, &names::SESSIONS_CLOSED, [why.into()]);
            }
            Observed::Withdrawal { took } => self.kill_latency.observe(took),
            Observed::Telemetry { hub, status, bytes } => {
                let values = [hub.into(), status.into()];
                count(&self.telemetry_messages, &names::TELEMETRY_MESSAGES, values);
                if status == TelemetryOutcome::Kept {
                    let labels = names::TELEMETRY_BYTES.with([hub.into()]);
                    self.telemetry_bytes.get_or_create(&labels).inc_by(bytes);
                }
            }
            Observed::Commit { outcome, took } => {
                count(&self.store_commits, &names::STORE_COMMITS, [outcome.into()]);
                self.store_commit_durations.observe(took);
            }
            Observed::EventDelivery { outcome, age } => {
                count(&self.event_deliveries, &names::EVENT_DELIVERIES, [outcome.into()]);
                if outcome == DeliveryOutcome::Delivered {
                    self.event_latency.observe(age);
                }
            }
            Observed::EventsDropped { count } => {
                self.events_dropped.inc_by(count);
            }
        }
    }
}
