//! Operators' requests that nobody should send, with good tokens.

use crate::hostile::{HTTPS, Hostile, ask, assert_refusal};
use crate::hostile_pki::{Made, ca, named};
use crate::scene::{generated_keys, group, individual};
use e2e::{DPS, world};
use serde_json::{Value, json};
use std::fs;

const INVALID: u32 = 400_004;
const BAD_REQUEST: u32 = 400_000;
const UNAUTHORIZED: u32 = 401_000;
const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
/// What no body may exceed at the provisioning service, in bytes.
const BODY_MAX: usize = 96 * 1024;

fn signing(certificate: &str) -> Value {
    json!({"type": "x509", "x509": {"signingCertificates": {"primary": {"certificate": certificate}}}})
}

fn client(certificate: &str) -> Value {
    json!({"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": certificate}}}})
}

/// Both kinds of entry refuse what is given for a certificate, and make nothing of it.
#[track_caller]
fn assert_no_certificate(scene: &Hostile, given: &str) {
    let refused = scene.dps.put("/enrollmentGroups/g", &group("g", &signing(given), "enabled"));
    assert_refusal(refused.status, &refused.body, INVALID);
    let refused = scene.dps.put("/enrollments/i", &individual("i", &client(given), "enabled"));
    assert_refusal(refused.status, &refused.body, INVALID);
    assert_eq!(scene.dps.get("/enrollmentGroups/g").status, 404);
    assert_eq!(scene.dps.get("/enrollments/i").status, 404);
}

#[test]
fn v_13_an_upload_that_is_no_certificate_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let good = Made::alone(ca("a")).certificate.pem();
        for given in [
            "",
            "hello",
            "\u{0}",
            "MIIB",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            &good[..good.len() / 2],
            &good.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
            &"A".repeat(60_000),
            &good.replacen("MII", "MIB", 1),
        ] {
            assert_no_certificate(&scene, given);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn v_13_a_private_key_is_refused_and_never_said_again() {
    world(|world| {
        let scene = Hostile::new(world);
        let made = Made::alone(ca("a"));
        let key = made.key.serialize_pem();
        let both = format!("{}{key}", made.certificate.pem());
        for given in [&key, &both] {
            assert_no_certificate(&scene, given);
            let put = group("g", &signing(given), "enabled");
            let refused = scene.dps.put("/enrollmentGroups/g", &put);
            let secret = key.lines().nth(1).unwrap();
            assert!(!refused.body.to_string().contains(secret), "{}", refused.body);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_leaf_is_refused_as_a_ca_and_lets_nobody_in_as_a_groups() {
    world(|world| {
        let scene = Hostile::new(world);
        let root = Made::alone(ca("root"));
        let leaf = Made::below(&root, named(&["sensor-1"]));
        let (root_file, leaf_file) = (world.dir().join("root.pem"), world.dir().join("leaf.pem"));
        fs::write(&root_file, root.certificate.pem()).unwrap();
        fs::write(&leaf_file, leaf.certificate.pem()).unwrap();
        scene.server.trust("root", &root_file);
        let upload = format!(
            "iot dps certificate create --dps-name dps --certificate-name leaf --path {} \
             --verified true",
            leaf_file.display()
        );
        let words: Vec<_> = upload.split(' ').collect();
        let refused = scene.server.muster_command(&words).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("CA"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        // A group takes it, as Azure's does; what it signed is not believed.
        let put = group("g", &signing(&leaf.certificate.pem()), "enabled");
        scene.dps.put("/enrollmentGroups/g", &put).expect(200);
        let device = Made::below(&leaf, named(&["sensor-2"]));
        let tls = device.tls(&scene.ca, &[leaf.der(), root.der()]);
        scene.assert_refused(&tls, "sensor-2", None, 401_002);
        scene.assert_unharmed();
    });
}

#[test]
fn json_of_a_hundred_thousand_levels_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let levels = 100_000;
        // Within the bound of a body, then beyond it: refused for the one or the other.
        for (open, close, levels) in
            [("[", "]", 40_000), ("{\"a\":", "}", 15_000), ("[", "]", levels)]
        {
            let body = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            for path in ["/enrollmentGroups/g", "/enrollments/i"] {
                let target = format!("{path}?api-version=2021-10-01");
                let reply = scene.operate("PUT", &target, &[JSON], body.as_bytes());
                assert_refusal(reply.status, &reply.body, BAD_REQUEST);
            }
        }
        let twin = json!({"tags": {"a": nested(1_000)}});
        let mut deep = group("g", &generated_keys(), "enabled");
        deep["initialTwin"] = twin;
        let target = "/enrollmentGroups/g?api-version=2021-10-01";
        let reply = scene.operate("PUT", target, &[JSON], deep.to_string().as_bytes());
        assert_refusal(reply.status, &reply.body, BAD_REQUEST);
        assert_eq!(scene.dps.get("/enrollmentGroups/g").status, 404);
        // A hub takes bodies that are large enough for all the levels.
        let hub = scene.server.hub("hub1");
        let refused = hub.put("/devices/d", &json!({"deviceId": "d", "x": nested(1_000)}));
        assert_eq!(refused.status, 400, "{}", refused.body);
        scene.assert_unharmed();
    });
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[test]
fn v_27_a_body_that_is_too_large_is_refused_unread() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut large = group("g", &generated_keys(), "enabled");
        large["padding"] = json!("x".repeat(BODY_MAX));
        let target = "/enrollmentGroups/g?api-version=2021-10-01";
        let reply = scene.operate("PUT", target, &[JSON], large.to_string().as_bytes());
        assert_refusal(reply.status, &reply.body, BAD_REQUEST);
        // A client that sends it to its end before it listens sees the answer all the same.
        let megabytes = vec![b' '; 3 << 20];
        for _ in 0..10 {
            let reply = scene.operate("PUT", target, &[JSON], &megabytes);
            assert_refusal(reply.status, &reply.body, BAD_REQUEST);
        }
        // So does a stranger, whose body is not looked at.
        let reply = ask(&scene.tls, "PUT", target, &[JSON], &megabytes).expect("an answer");
        assert_refusal(reply.status, &reply.body, UNAUTHORIZED);
        // One that is announced and never comes is refused at the announcement.
        let stranger = format!("PUT {target} HTTP/1.1\r\nHost: {DPS}\r\n");
        let announced = format!("{stranger}Authorization: {}\r\n", scene.owner_token());
        for (head, length, code) in
            [(&announced, 67_108_864, BAD_REQUEST), (&stranger, 2, UNAUTHORIZED)]
        {
            let mut wire = scene.tls.connect(DPS, HTTPS);
            wire.send(format!("{head}Content-Length: {length}\r\n\r\n").as_bytes());
            let refused = wire.reply().expect("an answer before the body");
            assert_refusal(refused.status, &refused.body, code);
        }
        // So is one of unknown length, once it is too long.
        let mut wire = scene.tls.connect(DPS, HTTPS);
        wire.send(format!("{announced}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        let chunk = [&b"1000\r\n"[..], &[b' '; 0x1000], b"\r\n"].concat();
        let sent = (0..16_384).take_while(|_| wire.try_send(&chunk).is_ok()).count();
        assert!(sent < 4_096, "the server took {sent} chunks");
        assert_eq!(scene.dps.get("/enrollmentGroups/g").status, 404);
        scene.assert_unharmed();
    });
}

#[test]
fn a_14_another_content_type_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let body = group("g", &generated_keys(), "enabled").to_string();
        let target = "/enrollmentGroups/g?api-version=2021-10-01";
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "json"]
        {
            let reply = scene.operate("PUT", target, &[("Content-Type", kind)], body.as_bytes());
            assert_refusal(reply.status, &reply.body, 415_000);
        }
        assert_eq!(scene.dps.get("/enrollmentGroups/g").status, 404);
        scene.assert_unharmed();
    });
}

#[test]
fn what_is_not_json_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        for body in [
            &b""[..],
            b"null",
            b"[]",
            b"17",
            b"{",
            b"{\"attestation\":",
            b"\xff\xfe{}",
            b"{\"enrollmentGroupId\":\"\xc3\x28\"}",
            b"{}{}",
            b"{\"provisioningStatus\":\"enabled\",\"provisioningStatus\":\"disabled\"}",
            b"{\"attestation\":{\"type\":\"none\"}}",
        ] {
            let target = "/enrollmentGroups/g?api-version=2021-10-01";
            let reply = scene.operate("PUT", target, &[JSON], body);
            assert_eq!(reply.status, 400, "{}", reply.body);
            assert_refusal(reply.status, &reply.body, code_of(&reply.body));
        }
        assert_eq!(scene.dps.get("/enrollmentGroups/g").status, 404);
        scene.assert_unharmed();
    });
}

fn code_of(body: &Value) -> u32 {
    u32::try_from(body["errorCode"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_10_a_missing_or_unknown_api_version_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        for query in [
            "",
            "?",
            "?api-version",
            "?api-version=",
            "?api-version=1",
            "?api-version=latest",
            "?api-version=2021-13-01",
            "?api-version=2021-10-01%00",
            "?api-version=2021-10-01;--",
            "?version=2021-10-01",
        ] {
            let reply = scene.operate("GET", &format!("/enrollmentGroups/fleet{query}"), &[], b"");
            assert_refusal(reply.status, &reply.body, 400_001);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn v_01_hostile_ids_are_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let long = "a".repeat(129);
        let very_long = "a".repeat(8_000);
        for id in [
            "%00",
            "a%00",
            "a%2fb",
            "a%2Fb",
            "..",
            "%2e%2e",
            "%2e%2e%2fenrollments",
            "a%20b",
            "a%0d%0aX-Injected:1",
            "%c3%a9",
            "%e2%80%ae",
            "%F0%9F%92%A5",
            "%ff",
            "a%25",
            "a%27%20OR%201=1--",
            &long,
            &very_long,
        ] {
            for (collection, body) in [
                ("enrollmentGroups", group(id, &generated_keys(), "enabled")),
                ("enrollments", individual(id, &generated_keys(), "enabled")),
            ] {
                let target = format!("/{collection}/{id}?api-version=2021-10-01");
                let body = body.to_string();
                let reply = scene.operate("PUT", &target, &[JSON], body.as_bytes());
                println!("{target}: {} {}", reply.status, reply.body);
                assert!(matches!(reply.status, 400 | 404 | 405), "{target}: {}", reply.body);
                assert_refusal(reply.status, &reply.body, code_of(&reply.body));
                assert!(reply.header("x-injected").is_none());
                let reply = scene.operate("GET", &target, &[], b"");
                assert!(matches!(reply.status, 400 | 404 | 405), "{target}: {}", reply.body);
            }
        }
        let query = json!({"query": "SELECT * FROM enrollmentGroups"});
        let groups = scene.dps.post("/enrollmentGroups/query", &query).expect(200);
        assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
        scene.assert_unharmed();
    });
}

#[test]
fn a_24_a_stale_etag_changes_nothing() {
    world(|world| {
        let scene = Hostile::new(world);
        let first = group("g", &generated_keys(), "enabled");
        let path = "/enrollmentGroups/g";
        let stale = scene.dps.put(path, &first).expect(200)["etag"].as_str().unwrap().to_owned();
        let mut entry = scene.dps.get(path).expect(200);
        entry["provisioningStatus"] = json!("disabled");
        let now = scene.dps.put_if_match(path, &stale, &entry).expect(200);
        assert_ne!(now["etag"], stale.as_str());
        let before = scene.dps.get(path).expect(200);
        for etag in [stale.as_str(), "\"AAAAAAAAAAA=\"", "W/\"x\"", "x", "\""] {
            entry["provisioningStatus"] = json!("enabled");
            let refused = scene.dps.put_if_match(path, etag, &entry);
            assert_refusal(refused.status, &refused.body, 412_001);
            let refused = scene.dps.delete_if_match(path, etag);
            assert_refusal(refused.status, &refused.body, 412_001);
        }
        // A demand that can't be read is a demand all the same.
        for etag in ["\u{1f4a5}", "\u{e9}"] {
            let refused = scene.dps.delete_if_match(path, etag);
            assert_refusal(refused.status, &refused.body, BAD_REQUEST);
        }
        assert_eq!(scene.dps.get(path).expect(200), before);
        scene.assert_unharmed();
    });
}
