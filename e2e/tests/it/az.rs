//! The Azure command line as the operator's tool and as a device, by connection string alone.

use crate::operator::Operator;
use crate::s_c1::exercise;
use crate::scene::{Scene, generated_keys, keys, signed_by};
use e2e::{
    Authority, Az, Credential, DeviceCertificate, HUB1, HubDevice, Sdk, az_world, derived_key,
};
use serde_json::{Value, json};
use std::time::Duration;

/// A key that an operator brings along, base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[test]
fn deprovisioning_one_device_of_a_group_by_az() {
    az_world(|world| exercise(world, Sdk::PythonMqtt, ByAz::new));
}

struct ByAz<'a>(Az<'a>);

impl<'a> ByAz<'a> {
    fn new(scene: &Scene<'a>) -> Self {
        Self(Az::new(scene.world, &scene.server))
    }
}

impl Operator for ByAz<'_> {
    fn create_group(&mut self, _: &Scene<'_>, id: &str, signer: &Authority) {
        let group = format!(
            "iot dps enrollment-group create --eid {id} --certificate-path {} \
             --allocation-policy static --iot-hubs {HUB1}",
            signer.file.display()
        );
        self.0.dps(&group).unwrap();
    }

    fn create_disabled(&mut self, _: &Scene<'_>, id: &str, device: &DeviceCertificate) {
        let block = format!(
            "iot dps enrollment create --enrollment-id {id} --attestation-type x509 \
             --certificate-path {} --provisioning-status disabled \
             --allocation-policy static --iot-hubs {HUB1}",
            device.file.display()
        );
        let created = self.0.dps(&block).unwrap();
        assert_eq!(created["provisioningStatus"], "disabled");
    }

    fn set_status(&mut self, _: &Scene<'_>, id: &str, status: &str) {
        let update = format!(
            "iot dps enrollment update --enrollment-id {id} --provisioning-status {status}"
        );
        assert_eq!(self.0.dps(&update).unwrap()["provisioningStatus"], status);
    }

    fn delete_entry(&mut self, _: &Scene<'_>, id: &str) {
        let delete = format!("iot dps enrollment delete --enrollment-id {id}");
        assert_eq!(self.0.dps(&delete).unwrap(), Value::Null);
    }

    fn delete_identity(&mut self, _: &Scene<'_>, device_id: &str) {
        let delete = format!("iot hub device-identity delete --device-id {device_id}");
        assert_eq!(self.0.hub(&delete).unwrap(), Value::Null);
    }
}

#[test]
fn az_keeps_individual_enrollments() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let entry = az.dps("iot dps enrollment create --eid meter-1 --at symmetricKey").unwrap();
        let (primary, secondary) = keys(&entry);
        assert_ne!(primary, secondary, "the service made both");
        let again = az.dps("iot dps enrollment create --eid meter-1 --at symmetricKey");
        assert!(again.unwrap_err().contains("409201"));
        let entry = az
            .dps(&format!(
                "iot dps enrollment create --eid meter-2 --at symmetricKey --pk {KEY} --sk {KEY} \
                 --device-id Meter-Two --props {{\"interval\":30}} --tags {{\"floor\":2}} \
                 --ap static --ih {HUB1} --rp never --edge-enabled --info {{\"made\":\"here\"}}"
            ))
            .unwrap();
        assert_eq!(keys(&entry), (KEY, KEY));
        assert_eq!(entry["deviceId"], "Meter-Two");
        assert_eq!(entry["initialTwin"]["properties"]["desired"]["interval"], 30);
        assert_eq!(entry["initialTwin"]["tags"]["floor"], 2);
        assert_eq!(entry["iotHubs"], json!([HUB1]));
        assert_eq!(entry["reprovisionPolicy"]["updateHubAssignment"], false);
        assert_eq!(entry["capabilities"]["iotEdge"], true);
        assert_eq!(entry["optionalDeviceInformation"]["made"], "here");

        let shown = az.dps("iot dps enrollment show --eid meter-1").unwrap();
        assert_eq!(shown["attestation"], json!({"type": "symmetricKey"}), "keys are asked for");
        let shown = az.dps("iot dps enrollment show --eid meter-1 --show-keys").unwrap();
        assert_eq!(keys(&shown), (primary, secondary));
        let stale = "iot dps enrollment update --eid meter-1 --ps disabled --etag \"stale\"";
        assert!(az.dps(stale).unwrap_err().contains("412001"));
        let changed = az.dps("iot dps enrollment update --eid meter-1 --ps disabled").unwrap();
        assert_eq!(changed["provisioningStatus"], "disabled");
        assert_eq!(keys(&changed), (primary, secondary), "an update keeps the keys");

        assert_eq!(
            names(&az.dps("iot dps enrollment list").unwrap(), "registrationId"),
            ["meter-1", "meter-2"]
        );
        let first = az.dps("iot dps enrollment list --top 1").unwrap();
        assert_eq!(names(&first, "registrationId"), ["meter-1"]);
        az.dps("iot dps enrollment delete --eid meter-1").unwrap();
        let gone = az.dps("iot dps enrollment show --eid meter-1").unwrap_err();
        assert!(gone.contains("404201"), "{gone}");
    });
}

#[test]
fn az_keeps_enrollment_groups() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let signer = scene.root.intermediate("sensors-ca");
        let path = signer.file.display();
        let group =
            az.dps(&format!("iot dps enrollment-group create --eid sensors --cp {path}")).unwrap();
        let primary = &group["attestation"]["x509"]["signingCertificates"]["primary"];
        assert_eq!(primary["info"]["subjectName"], "CN=sensors-ca");
        let group = az.dps("iot dps enrollment-group create --eid vouched --ca-name root").unwrap();
        assert_eq!(group["attestation"]["x509"]["caReferences"]["primary"], "root");
        let group = az.dps("iot dps enrollment-group create --eid meters").unwrap();
        let shown = az.dps("iot dps enrollment-group show --eid meters --show-keys").unwrap();
        assert_eq!(keys(&shown), keys(&group));

        let update = "iot dps enrollment-group update --eid vouched --ps disabled --rp never";
        let changed = az.dps(update).unwrap();
        assert_eq!(changed["provisioningStatus"], "disabled");
        assert_eq!(changed["reprovisionPolicy"]["migrateDeviceData"], false);
        let listed = az.dps("iot dps enrollment-group list").unwrap();
        assert_eq!(names(&listed, "enrollmentGroupId"), ["meters", "sensors", "vouched"]);
        az.dps("iot dps enrollment-group delete --eid vouched").unwrap();
        let gone = az.dps("iot dps enrollment-group show --eid vouched").unwrap_err();
        assert!(gone.contains("404201"), "{gone}");

        let key = keys(&group).0;
        let compute = "iot dps enrollment-group compute-device-key";
        let computed = az.offline(&format!("{compute} --key {key} --rid meter-7")).unwrap();
        assert_eq!(computed, derived_key(key, "meter-7"));
    });
}

#[test]
fn az_registers_devices_and_keeps_their_records() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let meter = scene.put_individual("meter-1", &generated_keys(), "enabled");
        let key = keys(&meter).0;
        assigned(&az.register(&format!("--rid meter-1 --key {key}")).unwrap(), "meter-1");
        assigned(&az.register_by_login("--rid meter-1").unwrap(), "meter-1");
        let wrong = az.register(&format!("--rid meter-1 --key {KEY}")).unwrap_err();
        assert!(wrong.contains("Unauthorized"), "{wrong}");
        az.dps("iot dps enrollment update --eid meter-1 --ps disabled").unwrap();
        let refused = az.register(&format!("--rid meter-1 --key {key}")).unwrap_err();
        assert!(refused.contains("disabled"), "{refused}");
        let record = az.dps("iot dps enrollment registration show --eid meter-1").unwrap();
        assert_eq!(record["status"], "disabled");
        az.dps("iot dps enrollment registration delete --eid meter-1").unwrap();
        let gone = az.dps("iot dps enrollment registration show --eid meter-1").unwrap_err();
        assert!(gone.contains("404202"), "{gone}");

        let group = scene.put_group("locks", &generated_keys(), "enabled");
        let key = keys(&group).0;
        let by_group_key = format!("--rid lock-1 --key {key} --ck --gid locks");
        assigned(&az.register(&by_group_key).unwrap(), "lock-1");
        let derived = derived_key(key, "lock-2");
        assigned(&az.register(&format!("--rid lock-2 --key {derived}")).unwrap(), "lock-2");
        let records = "iot dps enrollment-group registration";
        let listed = az.dps(&format!("{records} list --eid locks")).unwrap();
        assert_eq!(names(&listed, "registrationId"), ["lock-1", "lock-2"]);
        let shown = az.dps(&format!("{records} show --rid lock-1")).unwrap();
        assert_eq!((&shown["status"], &shown["assignedHub"]), (&json!("assigned"), &json!(HUB1)));
        az.dps(&format!("{records} delete --rid lock-1")).unwrap();
        let listed = az.dps(&format!("{records} list --eid locks")).unwrap();
        assert_eq!(names(&listed, "registrationId"), ["lock-2"]);
    });
}

#[test]
fn az_registers_a_device_by_its_certificate() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let intermediate = scene.root.intermediate("sensors-ca");
        let device = intermediate.device("sensor-thl-001");
        scene.put_group("sensors", &signed_by(&intermediate), "enabled");
        let (chain, key) = (device.chain.display(), device.key.display());
        let register = format!("--rid sensor-thl-001 --cp {chain} --kp {key}");
        assigned(&az.register(&register).unwrap(), "sensor-thl-001");
        scene.set_status("/enrollmentGroups/sensors", "disabled");
        assert!(az.register(&register).unwrap_err().contains("disabled"));
    });
}

#[test]
fn az_keeps_device_identities() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let identity = "iot hub device-identity";
        let made = az.hub(&format!("{identity} create -d d1")).unwrap();
        let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
        let twice = az.hub(&format!("{identity} create -d d1")).unwrap_err();
        assert!(twice.contains("DeviceAlreadyExists"), "{twice}");
        let thumbprint = "0123456789012345678901234567890123456789";
        let by_thumbprint = format!("{identity} create -d d2 --am x509_thumbprint");
        let made =
            az.hub(&format!("{by_thumbprint} --ptp {thumbprint} --stp {thumbprint}")).unwrap();
        assert_eq!(made["authentication"]["type"], "selfSigned");
        assert_eq!(made["authentication"]["x509Thumbprint"]["primaryThumbprint"], thumbprint);

        let listed = az.hub(&format!("{identity} list")).unwrap();
        assert_eq!(names(&listed, "deviceId"), ["d1", "d2"]);
        assert_eq!(listed[1]["authenticationType"], "selfSigned");
        let shown = az.hub(&format!("{identity} show -d d1")).unwrap();
        assert_eq!(shown["authentication"]["symmetricKey"]["primaryKey"], key);
        let show = format!("{identity} connection-string show -d d1");
        assert_eq!(
            az.hub(&show).unwrap()["connectionString"],
            format!("HostName={HUB1};DeviceId=d1;SharedAccessKey={key}")
        );
        let twin = az.hub("iot hub device-twin show -d d1").unwrap();
        assert_eq!((&twin["deviceId"], &twin["status"]), (&json!("d1"), &json!("enabled")));
        assert_eq!(twin["properties"]["desired"]["$version"], 1);

        let missing = az.hub(&format!("{identity} show -d d3")).unwrap_err();
        assert!(missing.contains("DeviceNotFound"), "{missing}");
        az.hub(&format!("{identity} delete -d d2")).unwrap();
        let missing = az.hub(&format!("{identity} delete -d d2")).unwrap_err();
        assert!(missing.contains("DeviceNotFound"), "{missing}");
    });
}

#[test]
fn az_ends_a_live_session_by_disabling_or_deleting_the_identity() {
    az_world(|world| {
        let scene = Scene::new(world);
        let az = Az::new(world, &scene.server);
        let identity = "iot hub device-identity";
        let made = az.hub(&format!("{identity} create -d d1")).unwrap();
        let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
        let credential = Credential::Key(key);
        let start =
            || HubDevice::start(world, &scene.server, Sdk::PythonMqtt, HUB1, "d1", credential);
        for (end, again) in [
            (format!("{identity} update -d d1 --status disabled --star lost"), true),
            (format!("{identity} delete -d d1"), false),
        ] {
            let mut connected = start();
            connected.ready();
            az.hub(&end).unwrap();
            connected.assert_disconnected_within(Duration::from_secs(10));
            start().refused();
            if again {
                let shown = az.hub(&format!("{identity} show -d d1")).unwrap();
                assert_eq!(shown["statusReason"], "lost");
                az.hub(&format!("{identity} update -d d1 --set status=enabled")).unwrap();
            }
        }
    });
}

/// A member of each value of a list, sorted.
fn names<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    let name = |value: &'a Value| value[member].as_str().unwrap();
    let mut names: Vec<&str> = list.as_array().unwrap().iter().map(name).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn assigned(registered: &Value, id: &str) {
    assert_eq!(registered["status"], "assigned", "{registered}");
    assert_eq!(registered["registrationState"]["deviceId"], id, "{registered}");
    assert_eq!(registered["registrationState"]["assignedHub"], HUB1, "{registered}");
}
