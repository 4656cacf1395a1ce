//! What a first start makes: one provisioning service and its linked hubs.

use anyhow::{Context, Result};
use model::ServiceName;
use service::{Call, DpsRequest, HubRequest, LinkRequest, Service};

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

/// Makes the provisioning service and the hubs unless there are any.
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
    service
        .put_dps(&call, &dps, DpsRequest::default())
        .await
        .with_context(|| format!("can not make the provisioning service {dps}"))?;
    for name in &wanted.hubs {
        let name = named(name)?;
        let hub = service
            .put_hub(&call, &name, HubRequest::default())
            .await
            .with_context(|| format!("can not make the hub {name}"))?;
        let link = LinkRequest::default();
        service
            .put_link(&call, &dps, &hub.host, &link)
            .await
            .with_context(|| format!("can not link the hub {name}"))?;
    }
    Ok(Start::First)
}
