//! The nearest hub (L-05), and where a device would go.

use e2e::{Credential, HUB1, HUB2, Provisioning, Sdk, Server, derived_key, world};
use serde_json::{Value, json};

fn steps(told: &Value) -> String {
    told["explanation"]["steps"].to_string()
}

#[test]
fn l_05_devices_go_to_the_nearest_hub_and_the_operator_is_told_beforehand() {
    world(|world| {
        let server = Server::start(world);
        let group = server.dps().put(
            "/enrollmentGroups/meters",
            &json!({
                "enrollmentGroupId": "meters",
                "attestation": {"type": "symmetricKey", "symmetricKey": {}},
                "initialTwin": {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}},
            }),
        );
        let keys = group.expect(200)["attestation"]["symmetricKey"].clone();
        let key = derived_key(keys["primaryKey"].as_str().unwrap(), "meter-1");
        for words in [
            "iot dps update --allocation-policy GeoLatency",
            "iot dps region create --region here --network 127.0.0.0/8 ::1/128",
            "iot dps region create --region there --network 10.0.0.0/8",
            "iot dps linked-hub update --linked-hub hub1 --latency here=80 there=5",
            "iot dps linked-hub update --linked-hub hub2 --latency here=20",
        ] {
            server.muster(words);
        }
        let shown = server.muster("iot dps linked-hub show --linked-hub hub1");
        assert_eq!(shown["latencies"], json!({"here": 80, "there": 5}), "{shown}");
        let test = |from: &str| {
            server.muster(&format!(
                "iot dps allocation test --registration-id meter-1 --group-id meters --address {from}"
            ))
        };
        let (near, far) = (test("127.0.0.1"), test("10.9.9.9"));
        assert_eq!(near["explanation"]["outcome"]["assigned"]["hub"], HUB2, "{near}");
        assert_eq!(far["explanation"]["outcome"]["assigned"]["hub"], HUB1, "{far}");
        assert!(steps(&far).contains(r#""region":"there""#), "{far}");
        assert_eq!(server.dps().get("/registrations/meter-1").status, 404, "nothing is written");

        let provisioning = Provisioning::new(world, &server);
        let register = |sdk| provisioning.register(sdk, "meter-1", Credential::Key(&key));
        register(Sdk::PythonMqtt).assert_assigned(HUB2, "meter-1");
        let told = server.muster("explain meter-1").to_string();
        assert!(told.contains(r#""milliseconds":20"#), "{told}");

        // The map changes: the next registration follows it, with the twin.
        server.muster("iot dps linked-hub update --linked-hub hub1 --latency here=3");
        register(Sdk::NodeHttp).assert_assigned(HUB1, "meter-1");
        assert_eq!(server.hub("hub2").get("/devices/meter-1").status, 404);
        assert_eq!(server.hub("hub1").get("/twins/meter-1").expect(200)["tags"], json!({"a": 1}));
        server.muster("iot dps region delete --region here --yes");
        let regions = server.muster("iot dps region list");
        assert_eq!(regions, json!([{"name": "there", "networks": ["10.0.0.0/8"]}]));
    });
}
