//! Shared access policies (`dps-service-api` §2, `iot-hub` §1.2).

use std::sync::Arc;

use attestation::access::Policy;
use attestation::{SymmetricKey, sas};
use hub::instance::{Hub, Right as HubRight};
use model::{PolicyName, Timestamp};
use provisioning::instance::{Dps, Right};
use serde_json::json;
use store::memory::Memory;
use store::suite::fixtures;
use store::{Commit, Store, Write};

use crate::tests::World;
use crate::tests::operator::{DPS, HUB};

fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

fn policies<R: Copy + std::fmt::Debug>(rights: &[R]) -> Vec<Policy<R>> {
    let policy = |right: &R| Policy {
        name: PolicyName::parse(&format!("{right:?}")).unwrap(),
        rights: vec![*right],
        primary: key(1),
        secondary: key(2),
    };
    rights.iter().map(policy).collect()
}

const RIGHTS: [Right; 6] = [
    Right::ServiceConfig,
    Right::EnrollmentRead,
    Right::EnrollmentWrite,
    Right::DeviceConnect,
    Right::RegistrationStatusRead,
    Right::RegistrationStatusWrite,
];

const HUB_RIGHTS: [HubRight; 4] = [
    HubRight::RegistryRead,
    HubRight::RegistryWrite,
    HubRight::ServiceConnect,
    HubRight::DeviceConnect,
];

/// A provisioning service and a hub with one policy for each right, called as the right is.
async fn world() -> World {
    let store = Arc::new(Memory::new());
    let dps = Dps { policies: policies(&RIGHTS), ..fixtures::dps("dps") };
    let hub = Hub { policies: policies(&HUB_RIGHTS), ..fixtures::hub("hub1", HUB) };
    let writes = vec![Write::Dps(Box::new(dps)), Write::Hub(Box::new(hub))];
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
    World::over(store).await
}

fn token(world: &World, host: &str, policy: &str, seed: u8) -> String {
    let expires = world.gateway.service.now().unix_seconds() + 3600;
    sas::create(host, &key(seed), Timestamp::from_unix_seconds(expires), Some(policy))
}

async fn status(world: &World, host: &str, request: &str, token: &str) -> u16 {
    world.ask(host, request, &[("Authorization", token)], "").await.status
}

#[tokio::test]
async fn k_08_k_10_k_11_each_route_needs_its_right_and_a_write_implies_its_read() {
    use Right::{
        DeviceConnect, EnrollmentRead, EnrollmentWrite, RegistrationStatusRead,
        RegistrationStatusWrite,
    };
    let world = world().await;
    let mut routes: Vec<(String, Vec<Right>)> = Vec::new();
    for kind in ["enrollments", "enrollmentGroups"] {
        for request in ["GET /{}/x", "POST /{}/query"] {
            routes.push((request.replace("{}", kind), vec![EnrollmentRead, EnrollmentWrite]));
        }
        for request in ["PUT /{}/x", "DELETE /{}/x", "POST /{}/x/attestationmechanism", "POST /{}"]
        {
            routes.push((request.replace("{}", kind), vec![EnrollmentWrite]));
        }
    }
    let reads = vec![RegistrationStatusRead, RegistrationStatusWrite, DeviceConnect];
    routes.push(("GET /registrations/x".to_owned(), reads.clone()));
    routes.push(("POST /registrations/x/query".to_owned(), reads));
    let writes = vec![RegistrationStatusWrite, DeviceConnect];
    routes.push(("DELETE /registrations/x".to_owned(), writes));
    assert_eq!(routes.len(), 15);
    for (request, enough) in routes {
        for right in RIGHTS {
            let token = token(&world, DPS, &format!("{right:?}"), 1);
            let answered = status(&world, DPS, &request, &token).await;
            let allowed = enough.contains(&right);
            assert_eq!(answered != 403, allowed, "{request} by {right:?}: {answered}");
        }
    }
}

#[tokio::test]
async fn each_route_of_a_hub_needs_its_right_and_lacks_it_by_401() {
    use HubRight::{DeviceConnect, RegistryRead, RegistryWrite, ServiceConnect};
    let world = world().await;
    for (request, enough) in [
        ("GET /devices", vec![RegistryRead, RegistryWrite]),
        ("GET /devices/x", vec![RegistryRead, RegistryWrite]),
        ("GET /statistics/devices", vec![RegistryRead, RegistryWrite]),
        ("GET /statistics/service", vec![RegistryRead, RegistryWrite]),
        ("PUT /devices/x", vec![RegistryWrite]),
        ("DELETE /devices/x", vec![RegistryWrite]),
        ("POST /devices", vec![RegistryWrite]),
        ("GET /twins/x", vec![ServiceConnect]),
        ("PATCH /twins/x", vec![ServiceConnect]),
        ("PUT /twins/x", vec![ServiceConnect]),
        ("POST /devices/query", vec![ServiceConnect, RegistryRead, RegistryWrite]),
        ("POST /devices/x/messages/events", vec![DeviceConnect]),
    ] {
        for right in HUB_RIGHTS {
            let token = token(&world, HUB, &format!("{right:?}"), 1);
            let answered = status(&world, HUB, request, &token).await;
            // A device that is not there is answered as one that may not.
            let allowed = enough.contains(&right) && right != DeviceConnect;
            assert_eq!(answered != 401, allowed, "{request} by {right:?}: {answered}");
        }
    }
}

#[tokio::test]
async fn k_01_k_06_fields_may_be_in_any_order_and_either_key_signs() {
    let world = world().await;
    for seed in [1, 2] {
        let token = token(&world, DPS, "EnrollmentRead", seed);
        let fields: Vec<&str> =
            token.strip_prefix("SharedAccessSignature ").unwrap().split('&').collect();
        assert_eq!(fields.len(), 4);
        for start in 0..4 {
            let turned: Vec<&str> = (0..4).map(|i| fields[(start + i) % 4]).collect();
            let token = format!("SharedAccessSignature {}", turned.join("&"));
            assert_eq!(status(&world, DPS, "GET /enrollments/x", &token).await, 404, "{token}");
        }
    }
    let forged = token(&world, DPS, "EnrollmentRead", 3);
    let refused = world.ask(DPS, "GET /enrollments/x", &[("Authorization", &forged)], "").await;
    assert_eq!(refused.expect(401)["errorCode"], 401_002, "K-07");
}

#[tokio::test]
async fn k_09_k_12_the_owner_of_a_new_service_may_do_everything() {
    let world = World::new().await;
    let directory = world.gateway.service.directory();
    let policies = &directory.dps.first().unwrap().policies;
    assert_eq!(policies.first().unwrap().name.as_str(), "provisioningserviceowner");
    let rights = &policies.first().unwrap().rights;
    assert!(rights.contains(&Right::ServiceConfig) && rights.contains(&Right::EnrollmentWrite));
    world.enroll("dev").await;
    for (request, expected) in [
        ("GET /enrollments/dev", 200),
        ("POST /enrollments/dev/attestationmechanism", 200),
        ("POST /registrations/g/query", 200),
        ("DELETE /registrations/dev", 404),
        ("DELETE /enrollments/dev", 204),
    ] {
        world.operate(DPS, request, &[], "").await.expect(expected);
    }
}

/// One of the owner's tokens for one hostile name after another.
#[tokio::test]
async fn k_07_a_hostile_policy_name_is_an_unknown_policy() {
    let world = world().await;
    for name in ["", "%00", "..", "EnrollmentRead%00", "x%0d%0ay", &"a".repeat(2_000), "é", "*"] {
        let good = token(&world, DPS, "EnrollmentRead", 1);
        let token = good.replace("skn=EnrollmentRead", &format!("skn={name}"));
        let refused = world.ask(DPS, "GET /enrollments/x", &[("Authorization", &token)], "").await;
        assert!(refused.body["errorCode"].is_u64(), "{name}");
        assert_eq!(refused.status, 401, "{name}: {}", refused.body);
    }
    let body = json!({}).to_string();
    world.ask(DPS, "POST /enrollments/query", &[], &body).await.expect(401);
}
