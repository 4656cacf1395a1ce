//! Certificates issued while registering: from the specification's call to a hub's telemetry.
//!
//! The registering device is the harness's own, as no SDK sends a signing request yet; what it is
//! given is shown to the hub by unmodified SDKs.

use crate::scene::{Scene, generated_keys, group, individual, keys, signed_by};
use e2e::{
    Certified, Certifying, Credential, DeviceCertificate, HUB1, HubDevice, Sdk, Transport,
    derived_key, world,
};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const POLICY: &str = "iot dps credential policy";
/// How long a device's program may take to see that it was disconnected.
const SEEN: Duration = Duration::from_secs(30);

fn policy(scene: &Scene<'_>, verb: &str, more: &str) -> Value {
    scene.server.muster(&format!("{POLICY} {verb} --dps-name dps --policy-name fleet{more}"))
}

fn certified_by_fleet(mut entry: Value) -> Value {
    entry["credentialPolicyName"] = json!("fleet");
    entry
}

/// A group of this attestation, of the policy `fleet`; gives it as stored.
fn put_group(scene: &Scene<'_>, id: &str, attestation: &Value) -> Value {
    let body = certified_by_fleet(group(id, attestation, "enabled"));
    scene.dps.put(&format!("/enrollmentGroups/{id}"), &body).expect(200)
}

/// Telemetry with the certificate; the device stays connected.
fn connected(scene: &Scene<'_>, sdk: Sdk, id: &str, shown: &DeviceCertificate) -> HubDevice {
    let credential = Credential::Certificate(shown);
    let mut device = HubDevice::start(scene.world, &scene.server, sdk, HUB1, id, credential);
    device.ready();
    device.send(&json!({"from": id}));
    device
}

fn refused(scene: &Scene<'_>, sdk: Sdk, id: &str, shown: &DeviceCertificate) {
    let credential = Credential::Certificate(shown);
    HubDevice::start(scene.world, &scene.server, sdk, HUB1, id, credential).refused();
}

/// OpenSSL believes the leaf as a TLS client, by what the device was given alone.
fn holds_by_openssl(certified: &Certified) {
    let certificate = certified.certificate();
    let judged = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"])
        .arg(certified.root())
        .arg("-untrusted")
        .args([&certificate.chain, &certificate.file])
        .output()
        .unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

#[test]
fn a_12_devices_are_given_certificates_renew_them_and_lose_them_when_revoked() {
    world(|world| {
        let scene = Scene::new(world);
        policy(&scene, "create", " --cert-validity-days 7");
        let stored = put_group(&scene, "keyed", &generated_keys());
        let key = derived_key(keys(&stored).0, "by-key");
        put_group(&scene, "signed", &signed_by(&scene.root));
        let onboarding = scene.root.device("by-cert");
        let certifying = Certifying::new(world, &scene.server);

        let by_key = certifying.register(Transport::Mqtt, "by-key", Credential::Key(&key));
        let by_cert = Credential::Certificate(&onboarding);
        let by_cert = certifying.register(Transport::Http, "by-cert", by_cert);
        for certified in [&by_key, &by_cert] {
            assert_eq!(certified.answer["certificates"], 3, "{}", certified.answer);
            assert_eq!(certified.answer["state"]["assignedHub"], HUB1);
            holds_by_openssl(certified);
        }
        // A look-up refuses a request, and tells no chain.
        assert_eq!(by_cert.answer["state"]["lookUp"], json!([400, 200, false]));
        let first = by_key.certificate();
        let python = connected(&scene, Sdk::PythonMqtt, "by-key", &first);
        let mut node = connected(&scene, Sdk::NodeMqtt, "by-cert", &by_cert.certificate());
        // What let it in at the provisioning service is nothing to the hub.
        refused(&scene, Sdk::PythonMqtt, "by-cert", &onboarding);

        // registering again renews; the session of the certificate before goes on.
        let second = certifying.register(Transport::Http, "by-key", Credential::Key(&key));
        let second = second.certificate();
        let identity = scene.hub.get("/devices/by-key").expect(200);
        let thumbprints = &identity["authentication"]["x509Thumbprint"];
        assert_ne!(thumbprints["primaryThumbprint"], thumbprints["secondaryThumbprint"]);
        let mut python = python;
        python.send(&json!({"still": true}));
        drop(python);
        let mut python = connected(&scene, Sdk::PythonMqtt, "by-key", &second);

        policy(&scene, "revoke-issuer", " --yes");
        python.assert_disconnected_within(SEEN);
        node.assert_disconnected_within(SEEN);
        for shown in [&first, &second] {
            refused(&scene, Sdk::PythonMqtt, "by-key", shown);
        }
        refused(&scene, Sdk::NodeMqtt, "by-cert", &by_cert.certificate());

        let third = certifying.register(Transport::Mqtt, "by-key", Credential::Key(&key));
        holds_by_openssl(&third);
        connected(&scene, Sdk::PythonMqtt, "by-key", &third.certificate());
        refused(&scene, Sdk::PythonMqtt, "by-key", &second);
    });
}

#[test]
fn a_12_a_kill_loses_no_certificate() {
    world(|world| {
        let mut scene = Scene::new(world);
        policy(&scene, "create", "");
        let entry = certified_by_fleet(individual("dev", &generated_keys(), "enabled"));
        let stored = scene.dps.put("/enrollments/dev", &entry).expect(200);
        let key = keys(&stored).0.to_owned();
        let certifying = Certifying::new(world, &scene.server);
        let certified = certifying.register(Transport::Mqtt, "dev", Credential::Key(&key));
        scene.server.kill();
        scene.server.start_again();
        connected(&scene, Sdk::PythonMqtt, "dev", &certified.certificate());
        policy(&scene, "revoke-issuer", " --yes");
        scene.server.kill();
        scene.server.start_again();
        refused(&scene, Sdk::PythonMqtt, "dev", &certified.certificate());
    });
}

#[test]
fn a_12_bad_requests_are_400_and_leave_no_record() {
    world(|world| {
        let scene = Scene::new(world);
        policy(&scene, "create", " --key-types P-384");
        let entry = certified_by_fleet(individual("dev", &generated_keys(), "enabled"));
        let stored = scene.dps.put("/enrollments/dev", &entry).expect(200);
        let key = keys(&stored).0.to_owned();
        let certifying = Certifying::new(world, &scene.server);
        let told = |transport, more: &[&str]| {
            let found = certifying.run(transport, "dev", Credential::Key(&key), more);
            let told = &found.answer["told"];
            (found.answer["status"].clone(), told["errorCode"].clone(), told["message"].to_string())
        };
        let huge = "A".repeat(20_000);
        for transport in [Transport::Mqtt, Transport::Http] {
            for (more, named) in [
                (&["--subject", "other"][..], "is for \\\"other\\\", not for dev"),
                (&["--csr", "bm8gcmVxdWVzdA=="], "its frame is malformed"),
                (&["--csr=-----BEGIN"], "is not base64"),
                (&["--csr", &huge], "is longer than"),
            ] {
                let (status, code, message) = told(transport, more);
                assert_eq!((status, code), (json!(400), json!(400_004)), "{message}");
                assert!(message.contains(named), "{message}");
            }
        }
        assert_eq!(scene.dps.get("/registrations/dev").status, 404);
        assert_eq!(scene.hub.get("/devices/dev").status, 404);

        // An entry without a policy; a stranger is told nothing of the request.
        let bare = scene.put_individual("bare", &generated_keys(), "enabled");
        let bare = keys(&bare).0.to_owned();
        let found = certifying.register(Transport::Http, "bare", Credential::Key(&bare));
        assert_eq!(found.answer["told"]["errorCode"], 400_004, "{}", found.answer);
        let found = certifying.register(Transport::Http, "dev", Credential::Key(&bare));
        assert_eq!(found.answer["told"]["errorCode"], 401_000, "{}", found.answer);

        // A policy that is gone is the operator's matter: the record says so.
        policy(&scene, "delete", " --yes");
        let found = certifying.register(Transport::Mqtt, "dev", Credential::Key(&key));
        assert_eq!(found.answer["state"]["status"], "failed", "{}", found.answer);
        assert_eq!(found.answer["state"]["errorCode"], 400_210, "{}", found.answer);
        assert_eq!(scene.hub.get("/devices/dev").status, 404);
    });
}

#[test]
fn a_12_an_operators_own_ca_issues() {
    world(|world| {
        let scene = Scene::new(world);
        let dir = world.dir();
        let made = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let made = Command::new("openssl").current_dir(dir).args(words).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        made(
            "req -x509 -newkey rsa:2048 -nodes -keyout factory.key -out factory.pem -days 30 \
             -subj /CN=factory -addext keyUsage=critical,keyCertSign,cRLSign",
        );
        let (chain, key) = (dir.join("factory.pem"), dir.join("factory.key"));
        let given = format!(" --issuer-path {} --issuer-key {}", chain.display(), key.display());
        let shown = policy(&scene, "create", &given);
        assert!(!shown.to_string().contains("PRIVATE"), "{shown}");
        let entry = certified_by_fleet(individual("dev", &generated_keys(), "enabled"));
        let stored = scene.dps.put("/enrollments/dev", &entry).expect(200);
        let key = keys(&stored).0.to_owned();
        let certifying = Certifying::new(world, &scene.server);
        let certified = certifying.register(Transport::Http, "dev", Credential::Key(&key));
        assert_eq!(certified.answer["certificates"], 2, "{}", certified.answer);
        holds_by_openssl(&certified);
        connected(&scene, Sdk::PythonMqtt, "dev", &certified.certificate());
    });
}
