//! From where a call may come (S-75), as the wire says it.

use std::sync::Arc;

use attestation::network::{Action, IpFilterRule, NetworkAccess, PublicNetworkAccess, Target};
use model::{PolicyName, ServiceName};
use service::{DpsRequest, HubRequest, NetworkRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::AdminRight;
use crate::tests::operator::{DPS, HUB};
use crate::tests::{KEY, World, call};

const STRANGER: &str = "203.0.113.7:4000";
const OFFICE: &str = "198.51.100.1:4000";

fn rules(target: Target) -> NetworkRequest {
    let rule = |name: &str, action, mask: &str| IpFilterRule {
        name: name.to_owned(),
        action,
        mask: mask.parse().unwrap(),
        target,
    };
    let rules = vec![
        rule("office", Action::Accept, "198.51.100.0/24"),
        rule("rest", Action::Reject, "0.0.0.0/0"),
    ];
    NetworkRequest { rules: Some(rules), ..NetworkRequest::default() }
}

async fn put(world: &World, network: NetworkRequest) {
    let (dps, hub) = (ServiceName::parse("dps").unwrap(), ServiceName::parse("hub1").unwrap());
    let own = &world.gateway.service;
    let request = DpsRequest { network: network.clone(), ..DpsRequest::default() };
    own.put_dps(&call(), &dps, request).await.unwrap();
    let request = HubRequest { network, ..HubRequest::default() };
    own.put_hub(&call(), &hub, request).await.unwrap();
}

const WHY: &str = "The IP filter rule rest (Reject 0.0.0.0/0) refuses 203.0.113.7.";

#[tokio::test]
async fn s_75_a_refused_operator_is_told_by_which_rule_and_from_where() {
    let mut world = World::new().await;
    world.enroll("dev").await;
    put(&world, rules(Target::ServiceApi)).await;
    world.from = STRANGER.parse().unwrap();
    let refused = world.operate(DPS, "GET /enrollments/dev", &[], "").await;
    assert_eq!(refused.header("x-ms-error-code"), Some("403100"));
    assert_eq!(refused.expect(403)["message"], WHY);
    let load = "POST /muster/v1/enrollments/load";
    world.operate(DPS, load, &[], "").await.expect(403);
    let refused = world.operate(HUB, "GET /devices/dev", &[], "").await;
    assert_eq!(refused.header("iothub-errorcode"), Some("IpAddressRejected"));
    assert_eq!(refused.expect(403)["Message"], format!("ErrorCode:IpAddressRejected;{WHY}"));
    // The rules are about operators: devices come from everywhere.
    assert!(world.register("dev", KEY).await.starts_with("HTTP/1.1 202"));
    world.from = OFFICE.parse().unwrap();
    world.operate(DPS, "GET /enrollments/dev", &[], "").await.expect(200);
    world.operate(HUB, "GET /devices", &[], "").await.expect(200);
}

#[tokio::test]
async fn s_75_a_refused_device_neither_registers_nor_sends() {
    let mut world = World::new().await;
    world.enroll("dev").await;
    assert!(world.register("dev", KEY).await.starts_with("HTTP/1.1 202"));
    put(&world, rules(Target::DeviceApi)).await;
    world.from = STRANGER.parse().unwrap();
    let registered = world.register("dev", KEY).await;
    assert!(registered.starts_with("HTTP/1.1 403") && registered.contains(WHY), "{registered}");
    let token = world.device_token("dev", KEY);
    let sent = [("Authorization", token.as_str())];
    let send = "POST /devices/dev/messages/events";
    let refused = world.ask(HUB, send, &sent, "{}").await;
    assert_eq!(refused.header("iothub-errorcode"), Some("IpAddressRejected"));
    assert_eq!(refused.status, 403);
    world.operate(DPS, "GET /enrollments/dev", &[], "").await.expect(200);
    world.from = OFFICE.parse().unwrap();
    assert!(world.register("dev", KEY).await.starts_with("HTTP/1.1 202"));
}

#[tokio::test]
async fn s_75_without_public_access_private_networks_are_let_in() {
    let mut world = World::new().await;
    let public = Some(PublicNetworkAccess::Disabled);
    put(&world, NetworkRequest { public, ..NetworkRequest::default() }).await;
    for (from, status) in [
        ("10.1.2.3:1", 404),
        ("127.0.0.1:1", 404),
        ("[fd00::7]:1", 404),
        ("[::ffff:192.168.1.1]:1", 404),
        (STRANGER, 403),
        ("[2001:db8::1]:1", 403),
    ] {
        world.from = from.parse().unwrap();
        let answered = world.operate(DPS, "GET /enrollments/x", &[], "").await;
        assert_eq!(answered.status, status, "{from} {}", answered.body);
    }
}

/// What is there and what is not is nobody's business who may not come.
#[tokio::test]
async fn s_75_a_refused_address_is_told_403_on_every_path() {
    let (mut world, token) = administered().await;
    world.enroll("dev").await;
    put(&world, rules(Target::All)).await;
    world.from = STRANGER.parse().unwrap();
    let known = format!("PUT /{}/registrations/dev/register", world.scope());
    let (unknown, alias) = ("PUT /0ne00000000/registrations/dev/register", "localhost");
    for (host, paths) in [
        (DPS, ["GET /enrollments/dev", "PATCH /enrollments/dev", known.as_str(), unknown]),
        (DPS, ["POST /muster/v1/enrollments/load", "GET /muster/v1/enrollments/load", "GET /", ""]),
        (alias, [known.as_str(), unknown, "GET /nothing", "PATCH /devices"]),
        (HUB, ["GET /devices", "PATCH /devices", "GET /nothing", "PUT /devices/d/messages/events"]),
        ("muster.localhost", ["GET /muster/v1/dps", "PATCH /muster/v1/dps", "GET /nothing", ""]),
    ] {
        let all = paths.into_iter().filter(|path| !path.is_empty());
        for path in all.chain(["GET /openapi.json", "PUT /openapi.json"]) {
            for credential in ["", token.as_str()] {
                let shown = [("Authorization", credential)];
                let refused = world.ask(host, path, &shown, "").await;
                let told = refused.body.to_string();
                assert!(told.contains("refuses 203.0.113.7"), "{host} {path}: {told}");
                refused.expect(403);
            }
        }
    }
}

/// The client announces a body and sends none of it.
#[tokio::test(start_paused = true)]
async fn s_75_a_body_is_not_read_of_whom_a_rule_or_a_missing_token_refuses() {
    let mut world = World::new().await;
    put(&world, rules(Target::ServiceApi)).await;
    let ask = async |world: &World, host: &str, request: &str, token: &str| {
        let head = format!(
            "{request}?api-version=2021-10-01 HTTP/1.1\r\nHost: {host}\r\n\
             Connection: close\r\nContent-Length: 90000\r\nAuthorization: {token}\r\n\r\n"
        );
        let response = world.exchange(host, head.as_bytes()).await;
        response.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let owned = [
        (DPS, "POST /muster/v1/enrollments/load"),
        (DPS, "POST /enrollments"),
        (HUB, "POST /devices"),
    ];
    for (host, request) in owned {
        let token = world.owner(host);
        world.from = OFFICE.parse().unwrap();
        assert_eq!(ask(&world, host, request, "").await, 401, "{request}");
        assert_eq!(ask(&world, host, request, &token).await, 400, "its time is over: {request}");
        world.from = STRANGER.parse().unwrap();
        assert_eq!(ask(&world, host, request, &token).await, 403, "{request}");
    }
    let admin = ask(&world, "muster.localhost", "PUT /muster/v1/dps/dps", "").await;
    assert_eq!(admin, 401);
    for (request, status) in [
        ("PUT /0ne00000000/registrations/dev/register", 404),
        ("PATCH /0ne00000000/registrations/dev/register", 405),
        ("PUT /nothing", 404),
    ] {
        assert_eq!(ask(&world, DPS, request, "").await, status, "{request}");
    }
}

#[tokio::test]
async fn i9_a_body_that_was_long_in_coming_carries_no_old_yes() {
    let world = World::new().await;
    let token = world.owner(HUB);
    let body = r#"{"deviceId": "late"}"#;
    let head = format!(
        "PUT /devices/late?api-version=2021-04-12 HTTP/1.1\r\nHost: {HUB}\r\n\
         Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\
         Authorization: {token}\r\n\r\n",
        body.len()
    );
    let (mut client, serving) = world.connect(HUB);
    let asking = async {
        client.write_all(head.as_bytes()).await.unwrap();
        let mut goes_on = [0; 25];
        client.read_exact(&mut goes_on).await.unwrap();
        assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (hub, owner) = (ServiceName::parse("hub1"), PolicyName::parse("iothubowner"));
        let own = &world.gateway.service;
        own.delete_hub_policy(&call(), &hub.unwrap(), &owner.unwrap()).await.unwrap();
        client.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (answer, ()) = tokio::join!(asking, serving);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let hub = model::HostName::parse(HUB).unwrap();
    assert_eq!(world.gateway.service.device_count(&hub).await.unwrap().total, 0);
}

/// A world whose administration takes one policy, from the office alone.
async fn administered() -> (World, String) {
    let mut world = World::new().await;
    let key = attestation::SymmetricKey::from_base64(KEY).unwrap();
    let policy = attestation::access::Policy {
        name: PolicyName::parse("owner").unwrap(),
        rights: vec![AdminRight::All],
        primary: key.clone(),
        secondary: key.clone(),
    };
    let gateway = Arc::get_mut(&mut world.gateway).unwrap();
    gateway.admin_policies.push(policy);
    let NetworkRequest { rules, .. } = rules(Target::All);
    gateway.admin_network = NetworkAccess { rules: rules.unwrap(), ..NetworkAccess::default() };
    let expires = world.gateway.service.now().unix_seconds() + 3600;
    let expires = model::Timestamp::from_unix_seconds(expires);
    let token = attestation::sas::create("muster.localhost", &key, expires, Some("owner"));
    (world, token)
}

#[tokio::test]
async fn s_75_the_administration_is_reached_from_its_networks_and_from_the_server_itself() {
    let (mut world, token) = administered().await;
    let signed = [("Authorization", token.as_str())];
    for (from, status) in [
        (OFFICE, 200),
        (STRANGER, 403),
        ("127.0.0.1:1", 200),
        ("[::1]:1", 200),
        ("[::ffff:127.0.0.1]:1", 200),
        ("10.0.0.1:1", 403),
    ] {
        world.from = from.parse().unwrap();
        let answered = world.ask("muster.localhost", "GET /muster/v1/dps", &signed, "").await;
        assert_eq!(answered.status, status, "{from} {}", answered.body);
    }
}

/// What was read before somebody else wrote is not written over theirs.
#[tokio::test]
async fn s_75_rules_that_were_changed_meanwhile_are_not_written_over() {
    let (mut world, token) = administered().await;
    world.from = OFFICE.parse().unwrap();
    let owner = ("Authorization", token.as_str());
    let all = "/muster/v1/dps/dps/linked-hubs";
    let links = world.ask("muster.localhost", &format!("GET {all}"), &[owner], "").await;
    let link = links.expect(200)["value"][0].clone();
    let link = (format!("{all}/{}", link["name"].as_str().unwrap()), link["etag"].clone());
    let mut things = vec![(link.0, link.1, r#"{"allocationWeight": 9}"#)];
    let rules = r#"{"properties": {"ipFilterRules": [{"filterName": "a", "action": "Accept",
        "ipMask": "198.51.100.0/24", "target": "all"}]}}"#;
    for path in ["/muster/v1/hubs/hub1", "/muster/v1/dps/dps"] {
        let read = world.ask("muster.localhost", &format!("GET {path}"), &[owner], "").await;
        things.push((path.to_owned(), read.expect(200)["etag"].clone(), rules));
    }
    for (path, etag, body) in things {
        let etag = etag.as_str().unwrap().to_owned();
        let headers = [owner, ("If-Match", etag.as_str())];
        if !path.ends_with("/dps") {
            let put = format!("PUT {path}");
            world.ask("muster.localhost", &put, &headers, body).await.expect(200);
            world.ask("muster.localhost", &put, &headers, body).await.expect(412);
        }
        let stale = [owner, ("If-Match", "\"stale\"")];
        let delete = format!("DELETE {path}");
        world.ask("muster.localhost", &delete, &stale, "").await.expect(412);
    }
    // The links are part of what was read of it.
    let read = world.ask("muster.localhost", "GET /muster/v1/dps/dps", &[owner], "").await;
    let etag = read.expect(200)["etag"].as_str().unwrap().to_owned();
    let headers = [owner, ("If-Match", etag.as_str())];
    let put = "PUT /muster/v1/dps/dps";
    world.ask("muster.localhost", put, &headers, rules).await.expect(200);
    world.ask("muster.localhost", put, &headers, rules).await.expect(412);
}

#[tokio::test]
async fn s_75_rules_are_put_shown_and_forced() {
    let (mut world, token) = administered().await;
    world.from = OFFICE.parse().unwrap();
    let signed = [("Authorization", token.as_str())];
    let body = r#"{"properties": {"ipFilterRules": [
        {"filterName": "all", "action": "Reject", "ipMask": "0.0.0.0/0", "target": "all"}]}}"#;
    let admin = "muster.localhost";
    for service in ["dps/dps", "hubs/hub1"] {
        let put = format!("PUT /muster/v1/{service}?api-version=2026-11-01");
        let refused = world.ask(admin, &put, &signed, body).await.expect(409);
        assert_eq!(refused["errorCode"], 409_203);
        let told = refused["message"].as_str().unwrap();
        assert!(told.contains("rule all (Reject 0.0.0.0/0) refuses 198.51.100.1"), "{told}");
        let put = format!("{put}&force=true");
        world.ask(admin, &put, &signed, body).await.expect(200);
        let show = format!("GET /muster/v1/{service}");
        let shown = world.ask(admin, &show, &signed, "").await.expect(200);
        assert_eq!(shown["properties"]["publicNetworkAccess"], "Enabled");
        assert_eq!(shown["properties"]["ipFilterRules"][0]["ipMask"], "0.0.0.0/0");
        // The administration has rules of its own: what was shut is opened again.
        let open = r#"{"properties": {"ipFilterRules": []}}"#;
        let opened = world.ask(admin, &put, &signed, open).await.expect(200);
        assert_eq!(opened["properties"]["ipFilterRules"].as_array().unwrap().len(), 0);
    }
}
