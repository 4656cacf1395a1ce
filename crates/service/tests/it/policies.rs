//! Shared access policies: a key that is gone opens nothing once the call has returned (K-06, K-07).

use attestation::SymmetricKey;
use attestation::access::change::{KeyWish, PolicyChange, Renewal};
use attestation::access::{self, Denied, Policy};
use attestation::sas::{self, SasToken};
use hub::permit::Evidence;
use model::{IfMatch, PolicyName, ServiceName, Timestamp};
use provisioning::instance::Right;
use service::access::sessions::Closing;
use service::{ApiError, ConnectError, Connecting};

use crate::world::{World, call, device_id, host, key, keyed};

const HUB: &str = "hub1.localhost";

fn named(text: &str) -> PolicyName {
    PolicyName::parse(text).unwrap()
}

fn said<R: Clone>(rights: &[R], primary: KeyWish) -> PolicyChange<R> {
    PolicyChange { rights: Some(rights.to_vec()), primary, secondary: KeyWish::Keep }
}

fn token(w: &World, resource: &str, policy: &str, key: &SymmetricKey) -> SasToken {
    let expires = Timestamp::from_unix_seconds(w.service.now().unix_seconds() + 3600);
    SasToken::parse(&sas::create(resource, key, expires, Some(policy))).unwrap()
}

/// What a token of this policy and key may do with enrollments, as the directory is now.
fn reads(w: &World, policy: &str, key: &SymmetricKey) -> Result<(), Denied> {
    let directory = w.service.directory();
    let dps = directory.dps(&w.dps).unwrap();
    let resource = dps.host.as_str();
    let granted = |rights: &[Right]| provisioning::instance::grants(rights, Right::EnrollmentRead);
    let token = token(w, resource, policy, key);
    access::authorize(&dps.policies, &token, resource, granted, w.service.now()).map(drop)
}

async fn reader(w: &World) -> Policy<Right> {
    let change = said(&[Right::EnrollmentRead], KeyWish::Use(key(7)));
    let (name, absent) = (named("reader"), IfMatch::Absent);
    w.service.put_dps_policy(&call(), &w.dps, &name, &change, &absent).await.unwrap()
}

#[tokio::test]
async fn k_06_a_new_policys_keys_open_what_its_rights_say() {
    let w = World::new().await;
    let made = reader(&w).await;
    assert_eq!(reads(&w, "reader", &key(7)), Ok(()));
    assert_eq!(reads(&w, "READER", &made.secondary), Ok(()));
    let change = said(&[Right::ServiceConfig], KeyWish::Keep);
    let name = named("reader");
    let again = w.service.put_dps_policy(&call(), &w.dps, &name, &change, &IfMatch::Absent).await;
    assert!(matches!(again, Err(ApiError::AlreadyExists)));
    w.service.put_dps_policy(&call(), &w.dps, &name, &change, &IfMatch::Any).await.unwrap();
    assert_eq!(reads(&w, "reader", &key(7)), Err(Denied::Right));
}

#[tokio::test]
async fn k_07_a_renewed_or_deleted_policys_key_is_refused_at_once() {
    let w = World::new().await;
    let (name, made) = (named("reader"), reader(&w).await);
    let renew = |which| {
        let (service, dps, name) = (&w.service, &w.dps, &name);
        async move { service.renew_dps_policy(&call(), dps, name, which).await.unwrap() }
    };
    let renewed = renew(Renewal::Primary).await;
    assert_eq!(reads(&w, "reader", &key(7)), Err(Denied::Signature));
    assert_eq!(reads(&w, "reader", &renewed.primary), Ok(()));
    assert_eq!(reads(&w, "reader", &made.secondary), Ok(()), "the other key stays");
    let swapped = renew(Renewal::Swap).await;
    assert!(swapped.primary.same_as(&made.secondary));
    w.service.delete_dps_policy(&call(), &w.dps, &name).await.unwrap();
    assert_eq!(reads(&w, "reader", &made.secondary), Err(Denied::UnknownPolicy));
    let again = w.service.delete_dps_policy(&call(), &w.dps, &name).await;
    assert!(matches!(again, Err(ApiError::NotFound)));
}

#[tokio::test]
async fn a_policy_has_no_version_and_one_that_is_not_there_is_not_changed() {
    let w = World::new().await;
    let change = said(&[Right::EnrollmentRead], KeyWish::Keep);
    let put = async |name: &str, demand: IfMatch| {
        w.service.put_dps_policy(&call(), &w.dps, &named(name), &change, &demand).await
    };
    assert!(matches!(put("none", IfMatch::Any).await, Err(ApiError::NotFound)));
    let etag = IfMatch::parse(Some("\"x\""));
    assert!(matches!(put("none", etag).await, Err(ApiError::PreconditionFailed)));
}

#[tokio::test]
async fn d_24_whoever_is_connected_by_a_policy_is_out_when_its_key_is() {
    let w = World::new().await;
    let mut json = keyed(1);
    json["allocationPolicy"] = "static".into();
    json["iotHubs"] = serde_json::json!([HUB]);
    w.put("dev", &json).await;
    w.outcome("dev", &w.token("dev", &key(1))).await;
    let hub = ServiceName::parse("hub1").unwrap();
    let name = named("gateway");
    let change = said(&[hub::instance::Right::DeviceConnect], KeyWish::Use(key(9)));
    let absent = IfMatch::Absent;
    w.service.put_hub_policy(&call(), &hub, &name, &change, &absent).await.unwrap();
    let connecting = || Connecting {
        hub: host(HUB),
        named: host(HUB),
        device_id: device_id("dev"),
        from: "127.0.0.1".parse().unwrap(),
        evidence: Evidence::Sas(token(&w, HUB, "gateway", &key(9))),
    };
    let (session, _) = w.service.connect(connecting()).await.unwrap();
    let driver = tokio::spawn(async move { session.closing().await });
    w.service.renew_hub_policy(&call(), &hub, &name, Renewal::Secondary).await.unwrap();
    assert_eq!(w.service.sessions().count(), 1, "its own key is as it was");
    w.service.renew_hub_policy(&call(), &hub, &name, Renewal::Primary).await.unwrap();
    assert_eq!(w.service.sessions().count(), 0);
    assert_eq!(driver.await.unwrap(), Closing::Denied);
    assert!(matches!(w.service.connect(connecting()).await, Err(ConnectError::Denied(_))));
    w.service.delete_hub_policy(&call(), &hub, &name).await.unwrap();
    assert!(matches!(w.service.connect(connecting()).await, Err(ConnectError::Denied(_))));
}
