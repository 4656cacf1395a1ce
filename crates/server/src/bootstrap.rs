//! What a first start makes: one provisioning service and its linked hubs.

use anyhow::{Context, Result};
use model::ServiceName;
use service::{Call, Service};

use crate::config::FirstStart;

/// Whether this start found everything or made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The data directory was empty.
    First,
    /// The data directory was empty, and a fixture says what was made.
    Fixture,
    /// What an earlier start made is there.
    Again,
}

/// Makes the provisioning service and the hubs, in one commit, unless there are any.
pub(crate) async fn bootstrap(service: &Service, wanted: &FirstStart) -> Result<Start> {
    let directory = service.directory();
    if !directory.dps.is_empty() || !directory.hubs.is_empty() {
        return Ok(Start::Again);
    }
    let call = Call {
        actor: "first start".to_owned(),
        tracking_id: service.tracking_id(),
        protocol: "start",
        from: None,
    };
    let named = |name: &str| {
        ServiceName::parse(name).map_err(|error| anyhow::anyhow!("first_start: {name:?} {error}"))
    };
    let dps = named(&wanted.dps)?;
    let hubs = wanted.hubs.iter().map(|hub| named(hub)).collect::<Result<Vec<_>>>()?;
    service
        .first_start(&call, &dps, &hubs)
        .await
        .with_context(|| format!("can not make the provisioning service {dps} and its hubs"))?;
    Ok(Start::First)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::telemetry::memory::Memory as Telemetry;
    use store_sqlite::{Options, Sqlite};

    use super::*;
    use crate::environment::{SystemClock, SystemEntropy};

    /// A start that is cut off has made all or nothing.
    #[tokio::test]
    async fn a_first_start_is_one_commit() {
        let dir = std::env::temp_dir().join(format!("muster-first-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let store = Arc::new(Sqlite::open(&dir.join("control.db"), Options::default()).unwrap());
        let entropy = Arc::new(SystemEntropy::default());
        let service =
            Service::open(store, Arc::new(Telemetry::new()), Arc::new(SystemClock), entropy);
        let service = service.await.unwrap();
        let hubs = vec!["hub1".to_owned(), "hub2".to_owned()];
        let wanted = FirstStart { dps: "dps".to_owned(), hubs };
        assert_eq!(bootstrap(&service, &wanted).await.unwrap(), Start::First);
        assert_eq!(service.store_work().unwrap().commits, 1);
        let directory = service.directory();
        let [dps] = directory.dps.as_slice() else { panic!("{:?}", directory.dps) };
        let linked: Vec<_> = dps.linked_hubs.iter().map(|link| link.host.as_str()).collect();
        assert_eq!(linked, ["hub1.localhost", "hub2.localhost"]);
        assert_eq!(directory.hubs.len(), 2);
        assert_eq!(bootstrap(&service, &wanted).await.unwrap(), Start::Again);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
