use std::fmt::Write as _;
use std::path::Path;

use model::{HostName, PolicyName, ServiceName, Timestamp};
use provisioning::issuance::PolicyChange;
use service::access::sessions::Closing;
use service::observe::{
    Attestation, CommitOutcome, DeliveryOutcome, RegistrationOutcome, SignInOutcome, VerdictKind,
};
use service::{Attesting, Holder};

use service::{Call, IssuerRequest};

use super::names::{ALL, Words};
use super::*;
use crate::tests::{KEY, World};
use crate::tls::{CertificateKind, CertificateStatus, KeyKind, Shown};

/// Everything that can be counted, once.
fn everything(metrics: &Metrics) {
    let dps = &ServiceName::parse("dps").unwrap();
    let hub = &HostName::parse("hub1.localhost").unwrap();
    let took = Duration::from_millis(3);
    for &status in Attestation::ALL {
        for &protocol in Protocol::ALL {
            metrics.observe(&Observed::Attestation { dps, protocol, status });
        }
    }
    for &status in RegistrationOutcome::ALL {
        let hub = Some(hub).filter(|_| status == RegistrationOutcome::Assigned);
        metrics.observe(&Observed::Registration { dps, hub, status });
    }
    for &verdict in VerdictKind::ALL {
        metrics.observe(&Observed::Verdict { dps, verdict });
    }
    metrics.observe(&Observed::CertificateIssued { dps });
    metrics.observe(&Observed::RefusalUnrecorded { dps });
    metrics.observe(&Observed::Assignment { dps, hub });
    for &status in SignInOutcome::ALL {
        metrics.observe(&Observed::SignIn { hub, status });
    }
    for &why in Closing::ALL {
        metrics.observe(&Observed::SessionClosed { why });
    }
    metrics.observe(&Observed::Withdrawal { took });
    for &status in TelemetryOutcome::ALL {
        metrics.observe(&Observed::Telemetry { hub, status, bytes: 7 });
    }
    for &outcome in CommitOutcome::ALL {
        metrics.observe(&Observed::Commit { outcome, took });
    }
    for &outcome in DeliveryOutcome::ALL {
        metrics.observe(&Observed::EventDelivery { outcome, age: took });
    }
    metrics.observe(&Observed::EventsDropped { count: 2 });
    for &operation in Operation::ALL {
        metrics.request(operation, Protocol::Https, Outcome::Answered, took);
    }
    for &outcome in Outcome::ALL {
        metrics.request(Operation::Unknown, Protocol::Https, outcome, took);
    }
}

/// A certificate of each kind, with each kind of key.
fn every_certificate(status: &CertificateStatus) {
    let name = "dps.example.com".to_owned();
    let end = Timestamp::from_unix_seconds(1_893_456_000);
    let ends = CertificateKind::ALL
        .iter()
        .flat_map(|&kind| KeyKind::ALL.iter().map(move |&key| (kind, key)));
    status.stand(ends.map(|(kind, key)| (Shown { kind, name: name.clone(), key }, end)), 2);
    status.count_replaced();
    let dps = ServiceName::parse("dps").unwrap();
    let attesting =
        |&holder: &Holder| Attesting { dps: dps.clone(), holder, name: "root".to_owned() };
    status.attest(Holder::ALL.iter().map(|holder| (attesting(holder), end)));
}

/// A credential policy, whose CA ends some day.
async fn issuing_ca(world: &World) {
    let call = Call {
        actor: "test".to_owned(),
        tracking_id: "t".to_owned(),
        protocol: "test",
        from: None,
    };
    let dps = ServiceName::parse("dps").unwrap();
    let name = PolicyName::parse("fleet").unwrap();
    let (change, own) = (PolicyChange::default(), IssuerRequest::Own(None));
    let service = &world.gateway.service;
    service.create_credential_policy(&call, &dps, &name, &change, &own).await.unwrap();
}

#[tokio::test]
async fn certificates_tell_when_they_end_and_how_many_are_faulty() {
    let world = World::new().await;
    every_certificate(&world.certificates);
    let text = world.metrics().await;
    let ends = "muster_tls_certificate_expiry_timestamp_seconds";
    let own = format!(r#"{ends}{{certificate="own",host="dps.example.com",key="rsa"}}"#);
    let of_ca = concat!(
        "muster_dps_certificate_expiry_timestamp_seconds",
        r#"{dps="dps",holder="ca",name="root"}"#
    );
    for (series, expected) in [
        (own.as_str(), "1893456000"),
        (of_ca, "1893456000"),
        ("muster_tls_certificates_faulty", "2"),
        ("muster_tls_certificate_replacements_total", "1"),
    ] {
        assert_eq!(value(&text, series).as_deref(), Some(expected), "{series} in\n{text}");
    }
}

/// The series without their values, in order; of a histogram its count alone.
fn series(text: &str) -> String {
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("# HELP") && *line != "# EOF")
        .map(|line| match line.starts_with('#') {
            true => line,
            false => line.rsplit_once(' ').unwrap().0,
        })
        .filter(|line| !line.contains("_bucket{") && !line.contains("_seconds_sum"))
        .collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

#[tokio::test]
async fn the_surface_is_the_one_that_dashboards_were_made_for() {
    let world = World::new().await;
    everything(&world.gateway.metrics);
    every_certificate(&world.certificates);
    issuing_ca(&world).await;
    let found = series(&world.metrics().await);
    let expected = include_str!("tests/surface.txt");
    if found != expected {
        let at = std::env::temp_dir().join("muster-metrics-surface.txt");
        std::fs::write(&at, &found).unwrap();
        panic!("the names or labels changed; what they are now is in {}", at.display());
    }
}

#[tokio::test]
async fn every_described_metric_is_shown_as_it_is_described() {
    let world = World::new().await;
    everything(&world.gateway.metrics);
    every_certificate(&world.certificates);
    issuing_ca(&world).await;
    let text = world.metrics().await;
    for metric in ALL {
        let family = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let line = format!("# TYPE {family} {}\n", metric.kind.as_str());
        assert!(text.contains(&line), "{line}");
        let sample = match metric.kind {
            names::Kind::Counter | names::Kind::Gauge => metric.name.to_owned(),
            names::Kind::Histogram => format!("{}_count", metric.name),
        };
        let own = text.lines().find(|line| {
            line.strip_prefix(&sample).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        let own = own.unwrap_or_else(|| panic!("no series of {}", metric.name));
        let labels: Vec<&str> = match own.split_once('{') {
            Some((_, labels)) => {
                labels.split(',').map(|label| label.split_once('=').unwrap().0).collect()
            }
            None => Vec::new(),
        };
        assert_eq!(labels, metric.labels, "{}", metric.name);
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len());
}

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = String::new();
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit);
        writeln!(rows, "| `{name}` | {kind} | {unit} | {labels} | {} |", metric.meaning).unwrap();
    }
    let found: String = text.lines().filter(|line| line.starts_with("| `muster_")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    );
    assert_eq!(found, rows, "docs/metrics.md should have these rows:\n{rows}");
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<String> {
    let line =
        text.lines().find(|line| line.strip_prefix(series).is_some_and(|v| v.starts_with(' ')))?;
    Some(line.rsplit_once(' ')?.1.to_owned())
}

#[tokio::test]
async fn counts_move_as_devices_register_and_are_refused() {
    let world = World::new().await;
    world.enroll("canary-1").await;
    let attempts = "muster_dps_attestation_attempts_total";
    let succeeded = format!(r#"{attempts}{{dps="dps",status="succeeded",protocol="https"}}"#);
    let failed = format!(r#"{attempts}{{dps="dps",status="failed",protocol="https"}}"#);
    assert_eq!(value(&world.metrics().await, &succeeded), None);
    let accepted = world.register("canary-1", KEY).await;
    assert!(accepted.starts_with("HTTP/1.1 202 "), "{accepted}");
    let text = world.metrics().await;
    let one = Some("1".to_owned());
    for series in [
        succeeded.as_str(),
        r#"muster_dps_registration_attempts_total{dps="dps",hub="hub1.localhost",status="assigned"}"#,
        r#"muster_dps_device_assignments_total{dps="dps",hub="hub1.localhost"}"#,
        r#"muster_dps_verdicts_total{dps="dps",verdict="assign"}"#,
        r#"muster_requests_total{operation="register",protocol="https",outcome="answered"}"#,
        r#"muster_request_duration_seconds_count{operation="register",protocol="https"}"#,
    ] {
        assert_eq!(value(&text, series), one, "{series} in\n{text}");
    }
    assert_eq!(value(&text, &failed), None);
    let other = "b3RoZXIta2V5LW9mLWEtdGVzdC0wMTIzNDU2Nzg5MDE=";
    let refused = world.register("canary-1", other).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let text = world.metrics().await;
    for series in [
        succeeded.as_str(),
        failed.as_str(),
        r#"muster_dps_registration_attempts_total{dps="dps",hub="",status="rejected"}"#,
        r#"muster_dps_verdicts_total{dps="dps",verdict="stranger"}"#,
        r#"muster_requests_total{operation="register",protocol="https",outcome="refused"}"#,
    ] {
        assert_eq!(value(&text, series), one, "{series} in\n{text}");
    }
}

#[tokio::test]
async fn no_metric_carries_a_device() {
    let world = World::new().await;
    for id in ["canary:0.7_x", "CANARY-upper", "canary-\u{6f}dd:id"] {
        world.enroll(id).await;
        assert!(world.register(id, KEY).await.starts_with("HTTP/1.1 202 "));
    }
    world.register("canary-stranger", KEY).await;
    world.call("GET", "/canary/registrations/canary", None, "").await;
    world.call("CANARY", "/canary", None, "canary").await;
    let text = world.metrics().await;
    assert!(text.contains("muster_dps_device_assignments_total"), "{text}");
    assert!(!text.to_lowercase().contains("canary"), "{text}");
}
