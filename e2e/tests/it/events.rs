//! Lifecycle events reach a receiver that verifies them, sooner or later.

use e2e::{
    Credential, HUB1, HubDevice, Pki, Provisioning, Receiver, Sdk, Server, World, derived_key,
    world,
};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// The specification's own example secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn started(world: &World) -> (Server, Receiver) {
    let pki = Pki::new(world);
    let root = pki.root("events-root");
    let receiver = Receiver::start(world, &root.server(&["localhost"]), SECRET);
    let secret = world.dir().join("webhook-secret");
    fs::write(&secret, SECRET).unwrap();
    let config = format!(
        "[webhooks]\nca_file = \"{}\"\nsigning_key_file = \"{}\"\nprivate_addresses = true\n",
        root.file.display(),
        secret.display()
    );
    (Server::start_with(world, &config), receiver)
}

fn subscribe(server: &Server, receiver: &Receiver, more: &str) -> Value {
    let words =
        format!("event subscription create --name ops --endpoint {} {more}", receiver.url());
    server.muster(words.trim())
}

/// Every one is signed, and is told by what it is.
fn assert_genuine(notes: &[Value]) {
    for note in notes {
        assert_eq!(note["verified"], true, "{note}");
        assert_eq!(note["isItsOwnId"], true, "{note}");
        assert_eq!(note["contentType"], "application/cloudevents+json; charset=utf-8");
        assert_eq!(note["origin"], "muster.localhost");
        assert_eq!(note["event"]["specversion"], "1.0");
    }
}

fn kinds(notes: &[Value]) -> Vec<&str> {
    notes.iter().map(|note| note["event"]["type"].as_str().unwrap()).collect()
}

fn find<'n>(notes: &'n [Value], kind: &str) -> &'n Value {
    let found = notes.iter().find(|note| note["event"]["type"] == kind);
    &found.unwrap_or_else(|| panic!("{kind} in {:?}", kinds(notes)))["event"]
}

fn group(server: &Server) -> String {
    let group = server.dps().put(
        "/enrollmentGroups/meters",
        &json!({
            "enrollmentGroupId": "meters",
            "attestation": {"type": "symmetricKey", "symmetricKey": {}},
            "allocationPolicy": "static",
            "iotHubs": [HUB1],
        }),
    );
    let keys = group.expect(200)["attestation"]["symmetricKey"].clone();
    keys["primaryKey"].as_str().unwrap().to_owned()
}

#[test]
fn s_33_a_device_that_registers_and_connects_is_told_of() {
    world(|world| {
        let (server, mut receiver) = started(world);
        let key = derived_key(&group(&server), "meter-1");
        let made = subscribe(&server, &receiver, "--validation cloudEvents");
        assert!(!made.to_string().contains("s3cret"), "{made}");
        let register = || {
            let credential = Credential::Key(&key);
            Provisioning::new(world, &server).register(Sdk::PythonMqtt, "meter-1", credential)
        };
        register().assert_assigned(HUB1, "meter-1");
        let notes = receiver.taken(2);
        assert_genuine(&notes);
        let created = find(&notes, "Microsoft.Devices.DeviceCreated");
        assert_eq!(created["subject"], "devices/meter-1");
        assert_eq!(created["data"]["hubName"], "hub1");
        assert_eq!(created["data"]["twin"]["deviceId"], "meter-1");
        assert!(!created.to_string().contains(&key), "{created}");
        let assigned = find(&notes, "Muster.Provisioning.RegistrationAssigned");
        assert_eq!(assigned["data"]["registrationState"]["assignedHub"], HUB1);
        assert_eq!(assigned["data"]["enrollment"], json!({"type": "group", "id": "meters"}));

        let device = HubDevice::start(
            world,
            &server,
            Sdk::PythonMqtt,
            HUB1,
            "meter-1",
            Credential::Key(&key),
        );
        device.ready();
        let notes = receiver.taken(3);
        let connected = find(&notes, "Microsoft.Devices.DeviceConnected").clone();
        drop(device);
        let notes = receiver.taken(4);
        assert_genuine(&notes);
        let gone = find(&notes, "Microsoft.Devices.DeviceDisconnected");
        let number = |event: &Value| {
            let info = &event["data"]["deviceConnectionStateEventInfo"];
            info["sequenceNumber"].as_str().unwrap().to_owned()
        };
        assert!(number(&connected) < number(gone));

        // S-42, S-18: the group is disabled, and whoever comes then is refused.
        let mut entry = server.dps().get("/enrollmentGroups/meters").expect(200);
        entry["provisioningStatus"] = json!("disabled");
        server.dps().put_if_match("/enrollmentGroups/meters", "*", &entry).expect(200);
        register().assert_disabled();
        let notes = receiver.taken(6);
        assert_genuine(&notes);
        let disabled = find(&notes, "Muster.Provisioning.EnrollmentDisabled");
        assert_eq!(disabled["subject"], "enrollmentGroups/meters");
        let refused = find(&notes, "Muster.Provisioning.RegistrationRefused");
        assert_eq!(refused["data"]["registrationState"]["status"], "disabled");
        let told = server.muster("event subscription test --name ops");
        assert_eq!(told["delivered"], true);
        assert_genuine(&receiver.taken(7));
        assert_eq!(server.hub("hub1").delete("/devices/meter-1").status, 204);
        let notes = receiver.taken(8);
        let deleted = find(&notes, "Microsoft.Devices.DeviceDeleted");
        assert_eq!(deleted["data"]["deviceId"], "meter-1");
    });
}

#[test]
fn what_a_receiver_does_not_take_is_retried_and_ends_as_a_dead_letter_that_can_be_retried() {
    world(|world| {
        let (server, mut receiver) = started(world);
        receiver.answers(&json!({"consent": "other.example"}));
        let words = ["event", "subscription", "create", "--name", "ops", "--endpoint"];
        let url = receiver.url();
        let words = [&words[..], &[url.as_str(), "--validation", "cloudEvents"]].concat();
        let refused = server.muster_command(&words).output().unwrap();
        assert!(!refused.status.success());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains("does not consent") && !told.contains("s3cret"), "{told}");

        let only = "--max-delivery-attempts 2 --included-event-types \
                    Muster.Provisioning.EnrollmentCreated";
        subscribe(&server, &receiver, only);
        receiver.answers(&json!({"status": 503}));
        group(&server);
        // The second try comes ten seconds after the first.
        let tries = receiver.refused(2);
        assert_genuine(&tries);
        assert_eq!(tries[0]["event"], tries[1]["event"]);
        let list = || server.muster("event dead-letter list --subscription-name ops");
        let begun = Instant::now();
        while list().as_array().unwrap().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "it is no dead letter");
            thread::sleep(Duration::from_millis(200));
        }
        let dead = list()[0].clone();
        assert_eq!(dead["deadLetterReason"], "MaxDeliveryAttemptsExceeded", "{dead}");
        assert_eq!(dead["lastDeliveryOutcome"], "it answered with status 503");
        assert_eq!(dead["event"], tries[0]["event"]);
        receiver.answers(&json!({"status": 200}));
        let done = server.muster("event dead-letter retry --subscription-name ops --all");
        assert_eq!(done["count"], 1);
        let taken = receiver.taken(1);
        assert_genuine(&taken);
        assert_eq!(taken[0]["event"], tries[0]["event"]);
        let begun = Instant::now();
        let show = || server.muster("event subscription show --name ops")["properties"].clone();
        while show()["waiting"] != 0 {
            assert!(begun.elapsed() < PATIENCE, "{}", show());
            thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(show()["deadLetters"], 0);
    });
}

#[test]
fn events_of_a_server_that_is_killed_are_sent_when_it_is_back() {
    world(|world| {
        let (mut server, mut receiver) = started(world);
        subscribe(&server, &receiver, "");
        receiver.answers(&json!({"status": 503}));
        for number in 0..20 {
            let id = format!("dev-{number}");
            let entry = json!({
                "registrationId": id,
                "attestation": {"type": "symmetricKey", "symmetricKey": {}},
            });
            server.dps().put(&format!("/enrollments/{id}"), &entry).expect(200);
        }
        server.kill();
        receiver.answers(&json!({"status": 200}));
        server.start_again();
        let notes = receiver.taken(20);
        assert_genuine(&notes);
        let subjects: Vec<_> = notes.iter().map(|note| note["event"]["subject"].clone()).collect();
        for number in 0..20 {
            assert!(subjects.contains(&json!(format!("enrollments/dev-{number}"))), "{number}");
        }
    });
}
