//! Devices at their hub that speak for others, say too much, or have just been shut out.

use crate::hostile::{Hostile, MQTT, connack, response, suback};
use e2e::mqtt::{Connect, Sent, publish};
use e2e::{HUB1, HUB2, Rest, Wire, in_seconds, sas_token, world};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(2);
const NOT_AUTHORIZED: u8 = 5;
const TWIN: &str = "$iothub/twin/GET/?$rid=1";
const TWIN_RESPONSES: &str = "$iothub/twin/res/#";
/// `limits::TELEMETRY_MESSAGE_BYTES_MAX`.
const TELEMETRY_MAX: usize = 256 * 1024;

fn token_of(hub: &str, id: &str, key: &str) -> String {
    sas_token(&format!("{hub}%2Fdevices%2F{id}"), key, in_seconds(600), None)
}

/// A CONNECT at the first hub; what it is answered with.
fn try_connect(scene: &Hostile, id: &str, token: Option<&str>) -> (Wire, Option<u8>) {
    let mut wire = scene.tls.connect(HUB1, MQTT);
    let username = format!("{HUB1}/{id}/?api-version=2021-04-12");
    let connect = Connect { client_id: id, username: Some(&username), password: token, will: None };
    let code = connack(&mut wire, connect);
    (wire, code)
}

/// A device of the group, connected to its hub by its own key.
#[track_caller]
fn connected(scene: &Hostile, id: &str) -> Wire {
    let token = token_of(HUB1, id, &scene.key(id));
    let (wire, code) = try_connect(scene, id, Some(&token));
    assert_eq!(code, Some(0), "{id} connects");
    wire
}

/// It is served: what it sends is acknowledged.
#[track_caller]
fn assert_serves(wire: &mut Wire, id: &str) {
    let topic = format!("devices/{id}/messages/events/");
    wire.send(&publish(&topic, b"{}", Sent::AtLeastOnce(9)));
    let acknowledged = wire.packet().expect("a PUBACK");
    assert_eq!((acknowledged.header, &acknowledged.body[..]), (0x40, &[0, 9][..]));
}

/// The server is unharmed, and the witness works at its hub.
#[track_caller]
fn assert_unharmed(scene: &Hostile) {
    assert_serves(&mut connected(scene, "witness"), "witness");
    scene.assert_unharmed();
}

#[test]
fn a_message_on_another_devices_topic_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        scene.assert_registers("meter-2");
        for topic in [
            "devices/meter-2/messages/events/",
            "devices/witnessX/messages/events/",
            "devices/witness%2Fx/messages/events/",
            "devices/witness/../meter-2/messages/events/",
            "devices//messages/events/",
            "devices/witness/modules/m/messages/events/",
            "devices/witness/messages/eventsX",
            "devices/witness/messages/devicebound/",
            "DEVICES/witness/messages/events/",
            "$iothub/twin/PATCH/properties/desired/?$rid=1",
            "$iothub/methods/POST/x/?$rid=1",
            "$dps/registrations/PUT/iotdps-register/?$rid=1",
            "a",
        ] {
            let mut wire = connected(&scene, "witness");
            wire.send(&publish(topic, b"{}", Sent::AtLeastOnce(1)));
            println!("{topic}");
            wire.assert_closed_within(AT_ONCE);
        }
        let mut wire = connected(&scene, "witness");
        for filter in [
            "#",
            "devices/#",
            "devices/+/messages/devicebound/#",
            "devices/meter-2/messages/devicebound/#",
            "$iothub/#",
            "$dps/registrations/res/#",
        ] {
            assert_eq!(suback(&mut wire, filter, 1), 0x80, "{filter}");
        }
        assert_serves(&mut wire, "witness");
        assert_unharmed(&scene);
    });
}

#[test]
fn a_token_that_is_not_the_devices_own_is_answered_by_5() {
    world(|world| {
        let scene = Hostile::new(world);
        scene.assert_registers("meter-2");
        let (mine, theirs) = (scene.key("witness"), scene.key("meter-2"));
        let hub = scene.server.hub("hub1");
        let (_, policy, policy_key) = hub.owner();
        let (_, _, dps_key) = scene.dps.owner();
        let signed = |sr: &str, key: &str| sas_token(sr, key, in_seconds(600), None);
        for token in [
            token_of(HUB1, "meter-2", &theirs),
            token_of(HUB1, "witness", &theirs),
            token_of(HUB1, "witness", &scene.group_key),
            token_of(HUB1, "witness", policy_key),
            token_of(HUB1, "witness", dps_key),
            token_of(HUB2, "witness", &mine),
            signed("hub1.localhost%2Fdevices%2Fwitnes", &mine),
            signed("hub1.localhost%2Fdevices%2Fwitness2", &mine),
            signed("hub1.localhost.evil%2Fdevices%2Fwitness", &mine),
            signed("hub1.localhos%2Fdevices%2Fwitness", &mine),
            signed("hub1.localhost%2Fdevices%2FWITNESS", &mine),
            signed("hub1.localhost%2Fdevices%2Fwitness%2Fmodules%2Fm", &mine),
            sas_token("hub1.localhost%2Fdevices%2Fwitness", &mine, in_seconds(-600), None),
            sas_token("hub1.localhost", &mine, in_seconds(600), Some(policy)),
            sas_token("hub1.localhost", &mine, in_seconds(600), Some("nobody")),
            sas_token("hub2.localhost", policy_key, in_seconds(600), Some(policy)),
            scene.token("witness"),
            "x".to_owned(),
        ] {
            let (mut wire, code) = try_connect(&scene, "witness", Some(&token));
            assert_eq!(code, Some(NOT_AUTHORIZED), "{token}");
            wire.assert_closed_within(AT_ONCE);
        }
        let (_, code) = try_connect(&scene, "witness", None);
        assert_eq!(code, Some(NOT_AUTHORIZED));
        assert_unharmed(&scene);
    });
}

#[test]
fn an_unknown_device_and_a_module_are_answered_by_5() {
    world(|world| {
        let scene = Hostile::new(world);
        for id in ["nobody", "Witness", "witness/module"] {
            let token = token_of(HUB1, id, &scene.key("witness"));
            let (_, code) = try_connect(&scene, id, Some(&token));
            assert_eq!(code, Some(NOT_AUTHORIZED), "{id}");
        }
        assert_unharmed(&scene);
    });
}

#[test]
fn telemetry_over_the_bound_ends_the_connection_unacknowledged() {
    world(|world| {
        let scene = Hostile::new(world);
        let topic = "devices/witness/messages/events/";
        let mut wire = connected(&scene, "witness");
        wire.send(&publish(topic, &vec![b'x'; TELEMETRY_MAX - 1024], Sent::AtLeastOnce(1)));
        assert_eq!(wire.packet().expect("a PUBACK").header, 0x40);
        for bytes in [TELEMETRY_MAX + 1, 300 * 1024, 8 * 1024 * 1024] {
            let mut wire = connected(&scene, "witness");
            let sent = wire.try_send(&publish(topic, &vec![b'x'; bytes], Sent::AtLeastOnce(1)));
            println!("{bytes}: {sent:?}");
            wire.assert_closed_within(AT_ONCE);
        }
        // The names and values of properties count.
        let long = format!("{topic}a={}", "x".repeat(60_000));
        let mut wire = connected(&scene, "witness");
        let body = vec![b'x'; TELEMETRY_MAX - 1024];
        let sent = wire.try_send(&publish(&long, &body, Sent::AtLeastOnce(1)));
        println!("properties: {sent:?}");
        wire.assert_closed_within(AT_ONCE);
        assert_unharmed(&scene);
    });
}

#[test]
fn twin_reports_that_are_no_objects_are_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = connected(&scene, "witness");
        assert_eq!(suback(&mut wire, TWIN_RESPONSES, 0), 0);
        wire.send(&publish(TWIN, b"", Sent::AtMostOnce));
        let (status, before) = response(&mut wire);
        assert_eq!(status, 200, "{before}");
        let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        let large = json!({"a": "x".repeat(64 * 1024)}).to_string();
        let key = json!({("k".repeat(5_000)): 1}).to_string();
        for body in ["", "{", "[]", "7", "null", &deep, &large, &key, "{\"$version\":9}"] {
            let topic = "$iothub/twin/PATCH/properties/reported/?$rid=1";
            wire.send(&publish(topic, body.as_bytes(), Sent::AtMostOnce));
            let (status, refused) = response(&mut wire);
            println!("{body:.30}: {status} {refused}");
            assert!(matches!(status, 400 | 413), "{body:.30}: {status} {refused}");
        }
        wire.send(&publish(TWIN, b"", Sent::AtMostOnce));
        assert_eq!(response(&mut wire), (200, before));
        assert_unharmed(&scene);
    });
}

/// An identity as its operator reads it, changed, and written back.
fn rewrite(hub: &Rest, id: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("/devices/{id}");
    let mut identity = hub.get(&path).expect(200);
    change(&mut identity);
    hub.put_if_match(&path, "*", &identity).expect(200);
}

/// What an operator does to a device at its hub.
type Withdrawal = fn(&Rest, &str);

#[test]
fn a_live_session_is_at_its_end_before_the_operators_call_returns() {
    world(|world| {
        let scene = Hostile::new(world);
        let hub = scene.server.hub("hub1");
        let withdrawals: [(&str, Withdrawal); 3] = [
            ("disabled", |hub, id| {
                rewrite(hub, id, |identity| identity["status"] = json!("disabled"));
            }),
            ("rekeyed", |hub, id| {
                let keys = json!({"primaryKey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                    "secondaryKey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="});
                rewrite(hub, id, |identity| identity["authentication"]["symmetricKey"] = keys);
            }),
            ("deleted", |hub, id| {
                hub.delete_if_match(&format!("/devices/{id}"), "*").expect(204);
            }),
        ];
        for (name, withdraw) in withdrawals {
            for round in 0..5 {
                let id = format!("{name}-{round}");
                scene.assert_registers(&id);
                let (mut one, mut two) = (connected(&scene, &id), connected(&scene, "witness"));
                assert_serves(&mut one, &id);
                let begun = Instant::now();
                withdraw(&hub, &id);
                one.assert_closed_already();
                println!("{id}: closed before {:?}", begun.elapsed());
                assert_serves(&mut two, "witness");
                let token = token_of(HUB1, &id, &scene.key(&id));
                let (_, code) = try_connect(&scene, &id, Some(&token));
                assert_eq!(code, Some(NOT_AUTHORIZED), "{id}");
            }
        }
        assert_unharmed(&scene);
    });
}

/// The same while the device sends without a pause, and reads nothing.
#[test]
fn a_device_that_floods_is_at_its_end_too() {
    world(|world| {
        let scene = Hostile::new(world);
        let hub = scene.server.hub("hub1");
        scene.assert_registers("loud");
        let mut wire = connected(&scene, "loud");
        let flood = thread::spawn(move || {
            let topic = "devices/loud/messages/events/";
            let many = publish(topic, &[b'x'; 1024], Sent::AtLeastOnce(1)).repeat(50);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                if wire.try_send(&many).is_err() {
                    return true;
                }
            }
            false
        });
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        rewrite(&hub, "loud", |identity| identity["status"] = json!("disabled"));
        println!("disabled in {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let returned = Instant::now();
        assert!(flood.join().unwrap(), "it still sends");
        assert!(returned.elapsed() < Duration::from_secs(1), "{:?}", returned.elapsed());
        assert_unharmed(&scene);
    });
}

#[test]
fn operators_tokens_of_one_hub_are_nothing_at_another() {
    world(|world| {
        let scene = Hostile::new(world);
        let hub = scene.server.hub("hub1");
        let (_, policy, key) = hub.owner();
        for resource in ["hub2.localhost", "hub1.localhost.evil", "hub1.localhos", "dps.localhost"]
        {
            let token = sas_token(resource, key, in_seconds(600), Some(policy));
            let mut wire = scene.tls.connect(HUB1, 443);
            let head = "GET /devices/witness?api-version=2021-04-12 HTTP/1.1";
            wire.send(
                format!("{head}\r\nHost: {HUB1}\r\nAuthorization: {token}\r\n\r\n").as_bytes(),
            );
            let reply = wire.reply().expect("an answer");
            assert_eq!(reply.status, 401, "{resource}: {}", reply.body);
            assert!(!reply.body.to_string().contains("generationId"), "{}", reply.body);
        }
        assert_unharmed(&scene);
    });
}
