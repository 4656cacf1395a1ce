//! All metrics as one text.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Metric, Registry};
use service::{Attesting, Service};

use super::Metrics;
use super::names::{self, Described, Value};
use super::operation::Handshake;
use crate::listener::{Counters, Throttled};
use crate::tls::CertificateStatus;

/// What others count, and is read when it is asked for.
pub struct Readings {
    /// Whose live sessions and commits are counted.
    pub service: Arc<Service>,
    /// What the listeners count.
    pub listeners: Arc<Counters>,
    /// When the certificates that the server shows end.
    pub certificates: Arc<CertificateStatus>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// Everything that is counted, ready to be written.
#[derive(Debug)]
pub struct Exposition(Registry);

impl Exposition {
    /// All metrics: those of `metrics`, and those that are read from their owners.
    pub fn new(metrics: &Metrics, readings: Readings) -> Self {
        let mut registry = Registry::default();
        let mut register = Register(&mut registry);
        register.add(&names::ATTESTATION_ATTEMPTS, metrics.attestation_attempts.clone());
        register.add(&names::DEVICE_ASSIGNMENTS, metrics.device_assignments.clone());
        register.add(&names::REGISTRATION_ATTEMPTS, metrics.registration_attempts.clone());
        register.add(&names::VERDICTS, metrics.verdicts.clone());
        register.add(&names::CERTIFICATES_ISSUED, metrics.certificates_issued.clone());
        register.add(&names::REFUSALS_UNRECORDED, metrics.refusals_unrecorded.clone());
        register.add(&names::SIGN_INS, metrics.sign_ins.clone());
        register.add(&names::SESSIONS_CLOSED, metrics.sessions_closed.clone());
        register.add(&names::KILL_LATENCY, metrics.kill_latency.0.clone());
        register.add(&names::TELEMETRY_MESSAGES, metrics.telemetry_messages.clone());
        register.add(&names::TELEMETRY_BYTES, metrics.telemetry_bytes.clone());
        register.add(&names::REQUESTS, metrics.requests.clone());
        register.add(&names::REQUEST_DURATION, metrics.request_durations.clone());
        register.add(&names::STORE_COMMITS, metrics.store_commits.clone());
        register.add(&names::STORE_COMMIT_DURATION, metrics.store_commit_durations.0.clone());
        register.add(&names::EVENT_DELIVERIES, metrics.event_deliveries.clone());
        register.add(&names::EVENT_LATENCY, metrics.event_latency.0.clone());
        register.add(&names::EVENTS_DROPPED, metrics.events_dropped.clone());
        let dropped = metrics.diagnostics().map(|kept| kept.dropped.clone()).unwrap_or_default();
        register.add(&names::DIAGNOSTICS_DROPPED, dropped);
        let handshakes = readings.listeners.handshake_durations();
        register.add(&names::HANDSHAKE_DURATION, handshakes.0.clone());
        registry.register_collector(Box::new(readings));
        Self(registry)
    }

    /// The text form of OpenMetrics 1.0.
    ///
    /// # Errors
    /// What the encoder refuses.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}

struct Register<'a>(&'a mut Registry);

impl Register<'_> {
    fn add(&mut self, described: &Described, metric: impl Metric) {
        match described.open_metrics_unit() {
            Some(unit) => {
                let (stem, meaning) = (described.stem(), described.meaning);
                self.0.register_with_unit(stem, meaning, unit.clone(), metric);
            }
            None => self.0.register(described.stem(), described.meaning, metric),
        }
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.listeners.read();
        let store = self.service.store_work().unwrap_or_default();
        let sessions = i64::try_from(self.service.sessions().count()).unwrap_or(i64::MAX);
        ConstGauge::new(sessions).encode(begin(&mut encoder, &names::SESSIONS)?)?;
        let events = self.service.deliveries_kept();
        for (described, value) in
            [(&names::EVENTS_WAITING, events.waiting), (&names::DEAD_LETTERS, events.dead)]
        {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(begin(&mut encoder, described)?)?;
        }
        for (described, value) in [
            (&names::STORE_APPLIED, store.commits),
            (&names::STORE_TRANSACTIONS, store.transactions),
            (&names::CONNECTIONS, counts.accepted),
            (&names::ACCEPT_ERRORS, counts.accept_errors),
            (&names::CONNECTIONS_WAITED, counts.waited_for_room),
            (&names::PANICS, counts.handlers_panicked),
            (&names::CERTIFICATE_REPLACEMENTS, self.certificates.replaced()),
        ] {
            ConstCounter::new(value).encode(begin(&mut encoder, described)?)?;
        }
        let mut handshakes = begin(&mut encoder, &names::HANDSHAKES)?;
        for (outcome, value) in [
            (Handshake::Completed, counts.handshakes_completed),
            (Handshake::Failed, counts.handshakes_failed),
            (Handshake::TimedOut, counts.handshakes_timed_out),
        ] {
            let labels = names::HANDSHAKES.with([outcome.into()]);
            ConstCounter::new(value).encode(handshakes.encode_family(&labels)?)?;
        }
        let mut throttled = begin(&mut encoder, &names::THROTTLED)?;
        for (outcome, value) in [
            (Throttled::Waited, counts.throttled_waited),
            (Throttled::Dropped, counts.throttled_dropped),
        ] {
            let labels = names::THROTTLED.with([outcome.into()]);
            ConstCounter::new(value).encode(throttled.encode_family(&labels)?)?;
        }
        let faulty = i64::try_from(self.certificates.faulty()).unwrap_or(i64::MAX);
        ConstGauge::new(faulty).encode(begin(&mut encoder, &names::CERTIFICATES_FAULTY)?)?;
        let mut ends = begin(&mut encoder, &names::CERTIFICATE_EXPIRY)?;
        for (shown, end) in self.certificates.ends() {
            let labels = [shown.kind.into(), Value::of_certificate(&shown.name), shown.key.into()];
            let labels = names::CERTIFICATE_EXPIRY.with(labels);
            ConstGauge::new(end.unix_seconds()).encode(ends.encode_family(&labels)?)?;
        }
        let mut ends = begin(&mut encoder, &names::DPS_CERTIFICATE_EXPIRY)?;
        for (attesting, end) in self.certificates.attesting() {
            let Attesting { dps, holder, name } = &attesting;
            let labels = [dps.into(), (*holder).into(), Value::of_certificate(name)];
            let labels = names::DPS_CERTIFICATE_EXPIRY.with(labels);
            ConstGauge::new(end.unix_seconds()).encode(ends.encode_family(&labels)?)?;
        }
        let directory = self.service.directory();
        let mut ends = begin(&mut encoder, &names::ISSUING_CA_EXPIRY)?;
        for dps in &directory.dps {
            for policy in &dps.issuance.policies {
                let Some(issuer) = &policy.issuer else { continue };
                let labels = [(&dps.name).into(), (&policy.name).into()];
                let labels = names::ISSUING_CA_EXPIRY.with(labels);
                let end = issuer.not_after().unix_seconds();
                ConstGauge::new(end).encode(ends.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn begin<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    described: &'a Described,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = described.kind.metric_type();
    let unit = described.open_metrics_unit();
    encoder.encode_descriptor(described.stem(), described.meaning, unit, kind)
}
