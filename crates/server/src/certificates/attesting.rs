//! Says when certificates end that devices attest by, as they are uploaded and not files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway::tls::CertificateStatus;
use model::Timestamp;
use service::{Attesting, Clock, Holder, Service};
use tokio_util::sync::CancellationToken;

use super::expiry::{self, Stage};

/// How often the store is asked: a new upload is in the metrics no later than this.
const INTERVAL: Duration = Duration::from_secs(60);

/// What was said of each certificate. One that was replaced under its name is another.
type Told = BTreeMap<(Attesting, Timestamp), Stage>;

/// Looks at once, and again until the server ends.
pub(crate) async fn watch(
    service: Arc<Service>,
    status: Arc<CertificateStatus>,
    clock: Arc<dyn Clock>,
    ended: CancellationToken,
) {
    let mut told = Told::new();
    loop {
        match service.attesting().await {
            Ok(all) => {
                status.attest(all.iter().cloned());
                let (said, warnings) = due(&told, &all, clock.now());
                told = said;
                for (text, ends) in warnings {
                    tracing::warn!(dps.certificate.until = %ends, "{text}");
                }
            }
            Err(error) => tracing::debug!(%error, "the CA certificates could not be looked at"),
        }
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// What is to be said now, and what will then have been said.
fn due(
    told: &Told,
    all: &[(Attesting, Timestamp)],
    now: Timestamp,
) -> (Told, Vec<(String, Timestamp)>) {
    let mut warnings = Vec::new();
    let said = all.iter().map(|certificate| {
        let (attesting, ends) = certificate;
        let before = told.get(certificate).copied().unwrap_or(Stage::Far);
        let stage = expiry::due(*ends, now, before);
        warnings.extend(stage.map(|stage| (warning(attesting, *ends, stage, now), *ends)));
        (certificate.clone(), stage.unwrap_or(before))
    });
    (said.collect(), warnings)
}

fn warning(attesting: &Attesting, ends: Timestamp, stage: Stage, now: Timestamp) -> String {
    let Attesting { dps, holder, name } = attesting;
    let what = match holder {
        Holder::Ca => format!("CA certificate '{name}' of '{dps}'"),
        Holder::Group => format!("the signing certificate of enrollment group '{name}' of '{dps}'"),
    };
    match stage {
        Stage::Over => format!("{what} has ended at {ends}; no device attests by it"),
        Stage::Far | Stage::Within(_) => {
            let days = expiry::days_left(ends, now);
            format!(
                "{what} ends at {ends}, {days} days from now; put its successor into the free slot"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::ServiceName;

    const DAY: i64 = 86_400;

    fn certificate(name: &str, end_day: i64) -> (Attesting, Timestamp) {
        let dps = ServiceName::parse("dps").unwrap();
        let attesting = Attesting { dps, holder: Holder::Ca, name: name.to_owned() };
        (attesting, Timestamp::from_unix_seconds(end_day * DAY))
    }

    #[test]
    fn each_certificate_is_warned_of_at_each_stage_once() {
        let mut told = Told::new();
        let mut look = |all: &[(Attesting, Timestamp)], day: i64| {
            let now = Timestamp::from_unix_seconds(day * DAY);
            let (said, warnings) = due(&told, all, now);
            told = said;
            warnings.into_iter().map(|(text, _)| text).collect::<Vec<_>>()
        };
        let (root, next) = (certificate("root", 100), certificate("next", 1000));
        let both = [root, next];
        assert!(look(&both, 60).is_empty());
        let said = look(&both, 90);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("CA certificate 'root' of 'dps' ends at 1970"), "{}", said[0]);
        assert!(said[0].contains("10 days from now"), "{}", said[0]);
        assert!(look(&both, 90).is_empty());
        assert!(look(&both, 101)[0].contains("has ended"));
        assert!(look(&both, 200).is_empty());
        assert_eq!(look(&[certificate("root", 210)], 200).len(), 1, "a new one is another");
    }
}
