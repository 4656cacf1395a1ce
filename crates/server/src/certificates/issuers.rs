//! Issuing CAs of provisioning services: their ends are said as those of the server's own.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Sha256, Timestamp};
use service::{Clock, Directory, Service};
use tokio_util::sync::CancellationToken;

use super::expiry::{self, Stage};
use super::{POLL_INTERVAL, say_end};

/// What was said of each CA, by its thumbprint.
type Told = HashMap<Sha256, Stage>;

/// Looks at the dates every [`POLL_INTERVAL`].
pub(crate) async fn watch(
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut told = Told::new();
    loop {
        for (what, ends, stage) in due(&service.directory(), clock.now(), &mut told) {
            say_end(&what, ends, stage, clock.now());
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

/// What is to be said; what is gone is forgotten.
fn due(directory: &Directory, now: Timestamp, told: &mut Told) -> Vec<(String, Timestamp, Stage)> {
    let mut known = Told::new();
    let mut said = Vec::new();
    for dps in &directory.dps {
        for ca in dps.issuance.certificates() {
            let before = told.get(&ca.thumbprint()).copied().unwrap_or(Stage::Far);
            let stage = expiry::due(ca.not_after(), now, before);
            known.insert(ca.thumbprint(), stage.unwrap_or(before));
            if let Some(stage) = stage {
                let what = format!("the CA {} of {}", ca.subject_text(), dps.name);
                said.push((what, ca.not_after(), stage));
            }
        }
    }
    *told = known;
    said
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{IfMatch, PolicyName, ServiceName};
    use provisioning::issuance::PolicyChange;
    use service::{Call, DpsRequest, IssuerRequest};

    use super::*;
    use crate::environment::{SystemClock, SystemEntropy};

    #[tokio::test]
    async fn an_issuing_cas_end_is_said_once_and_a_new_one_is_another() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn service::Entropy> = Arc::new(SystemEntropy::default());
        let service = crate::fixture::apply::in_memory(&clock, &entropy).await.unwrap();
        let call =
            Call { actor: "test".into(), tracking_id: "t".into(), protocol: "test", from: None };
        let dps = ServiceName::parse("dps").unwrap();
        service.put_dps(&call, &dps, DpsRequest::default()).await.unwrap();
        let (policy, own) = (PolicyName::parse("fleet").unwrap(), IssuerRequest::Own(None));
        let change = PolicyChange::default();
        let made = service.create_credential_policy(&call, &dps, &policy, &change, &own).await;
        let ends = made.unwrap().issuer.unwrap().certificate.not_after();

        let mut told = Told::new();
        let at = |days: u64| ends.minus(Duration::from_secs(days * 86_400));
        let directory = service.directory();
        assert!(due(&directory, at(100), &mut told).is_empty());
        let said = due(&directory, at(20), &mut told);
        assert_eq!(said.len(), 1, "the root lasts longer");
        assert!(said[0].0.starts_with("the CA CN=fleet issuing CA "), "{said:?}");
        assert!(due(&directory, at(19), &mut told).is_empty());
        assert_eq!(due(&directory, at(5), &mut told).len(), 1);
        let any = IfMatch::Any;
        service.renew_issuer(&call, &dps, &policy, &own, &any).await.unwrap();
        assert_eq!(due(&service.directory(), at(5), &mut told).len(), 1);
        assert_eq!(told.len(), 2);
    }
}
