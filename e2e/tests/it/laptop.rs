//! A laptop without a hosts file: everything by `localhost`.

use e2e::{Credential, HubDevice, Sdk, Server, derived_key, world};
use serde_json::json;

#[test]
fn the_only_hub_and_the_provisioning_service_answer_to_localhost() {
    world(|world| {
        let server = Server::start_with(world, "[first_start]\nhubs = [\"hub1\"]\n");
        server.muster("iot hub device-identity create --hub-name hub1 --device-id meter-1");
        let identity = server.hub("hub1").get("/devices/meter-1").expect(200);
        let key = identity["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
        let credential = || Credential::Key(key);
        let mut device =
            HubDevice::start(world, &server, Sdk::PythonMqtt, "localhost", "meter-1", credential());
        device.ready();
        assert_eq!(device.twin()["desired"]["$version"], 1);
        device.send(&json!({"level": 7}));
        let other = derived_key(key, "meter-1");
        let stranger = HubDevice::start(
            world,
            &server,
            Sdk::PythonMqtt,
            "localhost",
            "meter-1",
            Credential::Key(&other),
        );
        assert!(!stranger.refused().is_empty());
    });
}
