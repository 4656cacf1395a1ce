//! The life of a fleet's CA certificates: rolled, deleted, expired.

use crate::scene::{Scene, signed_by};
use e2e::{HUB1, Sdk, world};

const EXCEPTION: &str = "iot dps expiry-exception";

#[test]
fn m_16_an_exception_lets_expired_devices_in_and_its_end_shuts_them_out_with_python_and_node() {
    world(|world| {
        let scene = Scene::new(world);
        let line = scene.root.intermediate("line-1");
        let device = line.expired_device("sensor-1");
        scene.put_group("line-1", &signed_by(&line), "enabled");
        scene.register(Sdk::PythonMqtt, "sensor-1", &device).assert_unauthorized();

        let server = &scene.server;
        let made = "create --dps-name dps --group-id line-1 --days 7 --reason left-in-store";
        server.muster(&format!("{EXCEPTION} {made}"));
        let listed = server.muster(&format!("{EXCEPTION} list --dps-name dps"));
        assert_eq!(listed[0]["enrollmentGroupId"], "line-1");
        for sdk in [Sdk::PythonMqtt, Sdk::NodeHttp] {
            scene.register(sdk, "sensor-1", &device).assert_assigned(HUB1, "sensor-1");
        }
        let told = server.muster("explain sensor-1").to_string();
        assert!(told.contains("expiryExcused"), "{told}");

        scene.set_status("/enrollmentGroups/line-1", "disabled");
        scene.register(Sdk::PythonMqtt, "sensor-1", &device).assert_disabled();
        scene.set_status("/enrollmentGroups/line-1", "enabled");
        server.muster(&format!("{EXCEPTION} delete --dps-name dps --group-id line-1"));
        scene.register(Sdk::PythonMqtt, "sensor-1", &device).assert_unauthorized();
    });
}

#[test]
fn c_10_c_07_r_13_a_ca_is_rolled_and_the_old_one_deleted_under_a_python_device() {
    world(|world| {
        let scene = Scene::new(world);
        let next = scene.pki.root("root-2030");
        let (server, group) = (&scene.server, "--dps-name dps --enrollment-id line-1");
        let update = |what: &str| {
            server.muster(&format!("iot dps enrollment-group update {group} {what}"));
        };
        server.muster(&format!("iot dps enrollment-group create {group} --ca-name root"));
        let (old, new) = (scene.root.device("sensor-1"), next.device("sensor-1"));
        let register = |device| scene.register(Sdk::PythonMqtt, "sensor-1", device);
        register(&old).assert_assigned(HUB1, "sensor-1");
        server.trust("root-2030", &next.file);
        register(&new).assert_unauthorized();

        update("--secondary-ca-name root-2030");
        register(&old).assert_assigned(HUB1, "sensor-1");
        register(&new).assert_assigned(HUB1, "sensor-1");
        assert_eq!(scene.records_of("line-1"), ["sensor-1"], "the record stays the same one");

        let certificate = |verb| format!("iot dps certificate {verb} --dps-name dps --name root");
        let touched = server.muster(&certificate("dependents"));
        assert_eq!(touched[0]["enrollmentGroupId"], "line-1");
        assert_eq!(touched[0]["otherSlotHolds"], true);
        server.muster(&format!("{} --yes", certificate("delete")));
        register(&old).assert_unauthorized();
        register(&new).assert_assigned(HUB1, "sensor-1");
        update("--ca-name root-2030 --remove-secondary-certificate");
        register(&new).assert_assigned(HUB1, "sensor-1");
        assert_eq!(
            server.muster(&certificate("dependents").replace("root", "root-2030"))[0]["by"],
            "reference"
        );
    });
}
