//! A laptop without a hosts file: everything by `localhost`.

use e2e::{Credential, HubDevice, Provisioning, Sdk, Server, derived_key, world};
use serde_json::json;

const LOCALHOST: &str = "localhost";

#[test]
fn the_only_hub_and_the_provisioning_service_answer_to_localhost() {
    world(|world| {
        let server = Server::start_with(world, "[first_start]\nhubs = [\"hub1\"]\n");
        let group = server.dps().put(
            "/enrollmentGroups/meters",
            &json!({
                "enrollmentGroupId": "meters",
                "attestation": {"type": "symmetricKey", "symmetricKey": {}},
            }),
        );
        let keys = group.expect(200)["attestation"]["symmetricKey"].clone();
        let key = derived_key(keys["primaryKey"].as_str().unwrap(), "meter-1");
        let provisioning = Provisioning::new(world, &server).by(LOCALHOST);
        for sdk in [Sdk::PythonMqtt, Sdk::NodeHttp] {
            let outcome = provisioning.register(sdk, "meter-1", Credential::Key(&key));
            outcome.assert_assigned(LOCALHOST, "meter-1");
        }
        let by_name = Provisioning::new(world, &server);
        let outcome = by_name.register(Sdk::PythonMqtt, "meter-1", Credential::Key(&key));
        outcome.assert_assigned(e2e::HUB1, "meter-1");
        let device = |key| {
            let credential = Credential::Key(key);
            HubDevice::start(world, &server, Sdk::PythonMqtt, LOCALHOST, "meter-1", credential)
        };
        let mut meter = device(&key);
        meter.ready();
        assert_eq!(meter.twin()["desired"]["$version"], 1);
        meter.send(&json!({"level": 7}));
        let other = derived_key(&key, "meter-1");
        assert!(!device(&other).refused().is_empty());
    });
}
