//! Provisioning services and hubs, made and changed.

use model::ServiceName;
use service::{ApiError, DpsRequest, HubRequest};

use crate::world::{World, call, host};

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

/// Whether it was refused because of the host.
fn is_taken<T: std::fmt::Debug>(made: Result<T, ApiError>) -> bool {
    matches!(made, Err(ApiError::Invalid(because)) if because.contains("is taken"))
}

#[tokio::test]
async fn a_hub_does_not_take_the_host_of_a_provisioning_service_of_its_name() {
    let w = World::new().await;
    let made = w.service.put_hub(&call(), &name("dps"), HubRequest::default()).await;
    assert!(is_taken(made));
    let elsewhere = HubRequest { host: Some(host("dps-hub.localhost")), ..HubRequest::default() };
    w.service.put_hub(&call(), &name("dps"), elsewhere).await.unwrap();
    w.service.put_dps(&call(), &name("dps"), DpsRequest::default()).await.unwrap();
}

#[tokio::test]
async fn a_provisioning_service_does_not_take_the_host_of_a_hub_of_its_name() {
    let w = World::new().await;
    let made = w.service.put_dps(&call(), &name("hub1"), DpsRequest::default()).await;
    assert!(is_taken(made));
    let moved = DpsRequest { host: Some(host("hub1.localhost")), ..DpsRequest::default() };
    assert!(is_taken(w.service.put_dps(&call(), &name("dps"), moved).await));
}
