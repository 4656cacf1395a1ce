//! Resource logs, as Azure Monitor documents them.

use e2e::{Credential, HUB1, HubDevice, Provisioning, Sdk, Server, derived_key, world};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long a line may take to be written, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The line that has all of these, once it is there.
fn line(file: &std::path::Path, wanted: &[(&str, &str)]) -> Value {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        // The last one may be half-written.
        let lines: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let holds = |line: &&Value| {
            wanted.iter().all(|(member, value)| match line[*member].as_str() {
                Some(found) if *member == "properties" => found.contains(value),
                Some(found) => found == *value,
                None => false,
            })
        };
        if let Some(found) = lines.iter().find(holds) {
            return found.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{wanted:?} in\n{text}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn s_33_s_13_what_devices_and_operators_do_is_logged_as_documented() {
    world(|world| {
        let file = world.dir().join("resource.jsonl");
        let server =
            Server::start_with(world, &format!("[diagnostics]\nsink = \"{}\"\n", file.display()));
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
        let primary = keys["primaryKey"].as_str().unwrap();
        let put = [("category", "ServiceOperations"), ("operationName", "Upsert")];
        let put = line(&file, &put);
        assert_eq!(put["resultType"], "Success");
        assert_eq!(put["level"], "Information");
        assert_eq!(put["callerIpAddress"], "127.0.0.XXX");
        assert_eq!(put["identity"]["keyName"], "provisioningserviceowner");
        let resource = put["resourceId"].as_str().unwrap();
        assert!(resource.ends_with("/MICROSOFT.DEVICES/PROVISIONINGSERVICES/DPS"), "{resource}");
        let properties: Value = serde_json::from_str(put["properties"].as_str().unwrap()).unwrap();
        let expected = json!({"id": "meters", "type": "EnrollmentGroup", "protocol": "Http"});
        assert_eq!(properties, expected);

        let (key, wrong) = (derived_key(primary, "meter-1"), derived_key(primary, "other"));
        let provisioning = Provisioning::new(world, &server);
        provisioning
            .register(Sdk::PythonMqtt, "meter-1", Credential::Key(&key))
            .assert_assigned(HUB1, "meter-1");
        let of_device = [("category", "DeviceOperations"), ("operationName", "AttestationAttempt")];
        let good = line(&file, &[&of_device[..], &[("resultType", "Success")]].concat());
        let properties = good["properties"].as_str().unwrap();
        assert!(properties.contains(r#""id":"meter-1""#), "{properties}");
        assert!(properties.contains(r#""protocol":"Mqtt""#), "{properties}");
        provisioning
            .register(Sdk::PythonMqtt, "meter-2", Credential::Key(&wrong))
            .assert_unauthorized();
        let bad = line(&file, &[&of_device[..], &[("resultType", "ClientError")]].concat());
        assert_eq!(bad["resultSignature"], "401");
        // The id is the one that the device was told: it leads to the story.
        let id = bad["correlationId"].as_str().unwrap();
        let told = server.muster(&format!("explain {id}")).to_string();
        assert!(told.contains("meter-2"), "{told}");

        let credential = Credential::Key(&key);
        let device = HubDevice::start(world, &server, Sdk::PythonMqtt, HUB1, "meter-1", credential);
        device.ready();
        let at_hub = |operation| {
            [("category", "Connections"), ("operationName", operation), ("properties", "meter-1")]
        };
        let connected = line(&file, &at_hub("deviceConnect"));
        assert_eq!(connected["resultType"], "Success");
        drop(device);
        line(&file, &at_hub("deviceDisconnect"));
        let stranger = HubDevice::start(
            world,
            &server,
            Sdk::PythonMqtt,
            HUB1,
            "meter-1",
            Credential::Key(&wrong),
        );
        stranger.refused();
        let refused = [&at_hub("deviceConnect")[..], &[("resultType", "ClientError")]].concat();
        line(&file, &refused);
        let text = fs::read_to_string(&file).unwrap();
        for secret in [primary, key.as_str(), wrong.as_str(), "sig=", "SharedAccessSignature"] {
            assert!(!text.contains(secret), "a secret is in\n{text}");
        }
    });
}
