//! From where a service may be called (S-75): a rule reaches whoever is connected.

use attestation::network::{Action, IpFilterRule, PublicNetworkAccess, Target};
use attestation::sas::{self, SasToken};
use hub::permit::{Denied, Evidence};
use model::{ServiceName, Timestamp};
use provisioning::view::RegistrationRequest;
use serde_json::json;
use service::access::sessions::Closing;
use service::{
    ApiError, Call, ConnectError, Connecting, DpsRequest, HubRequest, NetworkRequest, RegisterError,
};

use crate::world::{World, call, device_id, host, id, key, keyed};

const HUB: &str = "hub1.localhost";

fn from(address: &str) -> Call {
    Call { from: Some(address.parse().unwrap()), ..call() }
}

pub fn reject(mask: &str, target: Target) -> NetworkRequest {
    let (name, mask) = ("no".to_owned(), mask.parse().unwrap());
    let rule = IpFilterRule { name, action: Action::Reject, mask, target };
    NetworkRequest { rules: Some(vec![rule]), ..NetworkRequest::default() }
}

fn connecting(w: &World, address: &str) -> Connecting {
    let expires = Timestamp::from_unix_seconds(w.service.now().unix_seconds() + 3600);
    let text = sas::create(&format!("{HUB}/devices/dev"), &key(1), expires, None);
    Connecting {
        hub: host(HUB),
        named: host(HUB),
        device_id: device_id("dev"),
        from: address.parse().unwrap(),
        evidence: Evidence::Sas(SasToken::parse(&text).unwrap()),
    }
}

async fn put_hub(w: &World, network: NetworkRequest) {
    let name = ServiceName::parse("hub1").unwrap();
    let request = HubRequest { network, ..HubRequest::default() };
    w.service.put_hub(&call(), &name, request).await.unwrap();
}

#[tokio::test]
async fn s_75_a_rule_ends_the_sessions_that_it_refuses_before_the_call_returns() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = json!([HUB]);
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let (session, _) = w.service.connect(connecting(&w, "203.0.113.7")).await.unwrap();
    let driver = tokio::spawn(async move { session.closing().await });
    put_hub(&w, reject("203.0.113.7", Target::ServiceApi)).await;
    put_hub(&w, reject("203.0.113.8", Target::All)).await;
    assert_eq!(w.service.sessions().count(), 1, "neither rule is about it");
    put_hub(&w, reject("203.0.113.0/24", Target::DeviceApi)).await;
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    let refused = w.service.connect(connecting(&w, "::ffff:203.0.113.7")).await;
    assert!(matches!(refused, Err(ConnectError::Denied(Denied::Network(_)))));
    let (session, _) = w.service.connect(connecting(&w, "198.51.100.1")).await.unwrap();
    let driver = tokio::spawn(async move { session.closing().await });
    let public = Some(PublicNetworkAccess::Disabled);
    put_hub(&w, NetworkRequest { public, ..NetworkRequest::default() }).await;
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    assert!(w.service.connect(connecting(&w, "10.0.0.1")).await.is_ok());
}

#[tokio::test]
async fn s_75_a_device_does_not_register_from_where_it_may_not_come() {
    let w = World::new().await;
    w.put("dev", &keyed(1)).await;
    let request = RegistrationRequest {
        registration_id: id("dev"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: None,
    };
    let network = reject("203.0.113.0/24", Target::DeviceApi);
    let request_network = DpsRequest { network, ..DpsRequest::default() };
    w.service.put_dps(&call(), &w.dps, request_network).await.unwrap();
    let evidence = w.token("dev", &key(1));
    let (refused, other) = (from("203.0.113.7"), from("198.51.100.1"));
    let registered = w.service.register(&refused, &w.dps, &request, &evidence).await;
    assert!(matches!(registered, Err(RegisterError::Network(_))));
    assert!(w.record("dev").await.is_none());
    w.service.register(&other, &w.dps, &request, &evidence).await.unwrap();
    assert!(w.record("dev").await.is_some());
}

#[tokio::test]
async fn s_75_nobody_shuts_themselves_out_unasked() {
    let w = World::new().await;
    let here = from("203.0.113.7");
    let put =
        |network| w.service.put_dps(&here, &w.dps, DpsRequest { network, ..DpsRequest::default() });
    put(reject("0.0.0.0/0", Target::DeviceApi)).await.unwrap();
    let shut = put(reject("0.0.0.0/0", Target::All)).await.unwrap_err();
    assert!(shut.to_string().ends_with("rule no (Reject 0.0.0.0/0) refuses 203.0.113.7"), "{shut}");
    let disabled =
        NetworkRequest { public: Some(PublicNetworkAccess::Disabled), ..NetworkRequest::default() };
    assert!(matches!(put(disabled.clone()).await, Err(ApiError::ShutsOut(_))));
    let made = put(NetworkRequest { force: true, ..disabled.clone() }).await.unwrap();
    assert_eq!(made.network.public, PublicNetworkAccess::Disabled);
    assert_eq!(made.network.rules.len(), 1, "rules that nothing is said of stay");
    // Who is out already is not held up.
    put(reject("203.0.113.0/24", Target::All)).await.unwrap();
    let name = ServiceName::parse("hub1").unwrap();
    let request = HubRequest { network: disabled, ..HubRequest::default() };
    let shut = w.service.put_hub(&here, &name, request).await;
    assert!(matches!(shut, Err(ApiError::ShutsOut(_))));
}

#[tokio::test(start_paused = true)]
async fn i9_a_rule_returns_after_the_write_that_is_under_way() {
    let w = World::new().await;
    let acting = w.service.acting().await;
    let mut ruling = Box::pin(put_hub(&w, reject("203.0.113.7", Target::ServiceApi)));
    let early = tokio::time::timeout(std::time::Duration::from_secs(60), &mut ruling).await;
    assert!(early.is_err(), "a write is under way that the rule would refuse");
    drop(acting);
    ruling.await;
}
