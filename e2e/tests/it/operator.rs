//! The tools with which an operator deprovisions devices: each must do the same.

use crate::scene::{Scene, generated_keys, group, individual, is, signed_by};
use e2e::{Authority, DeviceCertificate, NodeClient, PythonClient};
use serde_json::{Value, json};

/// The steps of the exercise "deprovision one device of a group", by any tool.
pub(crate) trait Operator {
    fn create_group(&mut self, scene: &Scene<'_>, id: &str, signer: &Authority);
    fn create_disabled(&mut self, scene: &Scene<'_>, id: &str, device: &DeviceCertificate);
    fn set_status(&mut self, scene: &Scene<'_>, id: &str, status: &str);
    fn delete_entry(&mut self, scene: &Scene<'_>, id: &str);
    fn delete_identity(&mut self, scene: &Scene<'_>, device_id: &str);
}

/// The steps of the exercises with a group of symmetric keys and with a whole group.
pub(crate) trait GroupOperator: Operator {
    /// The group as the service answers it, its keys included.
    fn create_key_group(&mut self, scene: &Scene<'_>, id: &str) -> Value;
    fn create_disabled_key(&mut self, scene: &Scene<'_>, id: &str);
    fn disable_group(&mut self, scene: &Scene<'_>, id: &str);
    /// The records that the group owns, in pages of two.
    fn records(&mut self, scene: &Scene<'_>, group: &str) -> Vec<Vec<Value>>;
    fn delete_record(&mut self, scene: &Scene<'_>, id: &str);
    fn delete_group(&mut self, scene: &Scene<'_>, id: &str);
    /// The status of an answer that says nothing of this group.
    fn missing_group(&mut self, scene: &Scene<'_>, id: &str) -> u64;
}

/// Plain HTTPS requests.
pub(crate) struct ByRest;

impl Operator for ByRest {
    fn create_group(&mut self, scene: &Scene<'_>, id: &str, signer: &Authority) {
        scene.put_group(id, &signed_by(signer), "enabled");
    }

    fn create_disabled(&mut self, scene: &Scene<'_>, id: &str, device: &DeviceCertificate) {
        scene.put_individual(id, &is(device), "disabled");
    }

    fn set_status(&mut self, scene: &Scene<'_>, id: &str, status: &str) {
        scene.set_status(&format!("/enrollments/{id}"), status);
    }

    fn delete_entry(&mut self, scene: &Scene<'_>, id: &str) {
        scene.delete(&format!("/enrollments/{id}"));
    }

    fn delete_identity(&mut self, scene: &Scene<'_>, device_id: &str) {
        scene.delete_identity(device_id);
    }
}

impl GroupOperator for ByRest {
    fn create_key_group(&mut self, scene: &Scene<'_>, id: &str) -> Value {
        scene.put_group(id, &generated_keys(), "enabled")
    }

    fn create_disabled_key(&mut self, scene: &Scene<'_>, id: &str) {
        scene.put_individual(id, &generated_keys(), "disabled");
    }

    fn disable_group(&mut self, scene: &Scene<'_>, id: &str) {
        scene.set_status(&format!("/enrollmentGroups/{id}"), "disabled");
    }

    fn records(&mut self, scene: &Scene<'_>, group: &str) -> Vec<Vec<Value>> {
        let path = format!("/registrations/{group}/query");
        let ask = json!({"query": "SELECT * FROM enrollmentGroups"});
        let (mut pages, mut more) = (Vec::new(), None);
        loop {
            let mut headers = vec![("x-ms-max-item-count", "2")];
            headers.extend(more.as_deref().map(|token| ("x-ms-continuation", token)));
            let page = scene.dps.call("POST", &path, &headers, Some(&ask));
            assert_eq!(page.header("x-ms-item-type"), Some("DeviceRegistration"));
            more = page.header("x-ms-continuation").map(str::to_owned);
            pages.push(page.expect(200).as_array().unwrap().clone());
            if more.is_none() {
                return pages;
            }
        }
    }

    fn delete_record(&mut self, scene: &Scene<'_>, id: &str) {
        scene.delete(&format!("/registrations/{id}"));
    }

    fn delete_group(&mut self, scene: &Scene<'_>, id: &str) {
        scene.delete(&format!("/enrollmentGroups/{id}"));
    }

    fn missing_group(&mut self, scene: &Scene<'_>, id: &str) -> u64 {
        scene.dps.get(&format!("/enrollmentGroups/{id}")).status.into()
    }
}

/// The Node service SDKs.
pub(crate) struct ByNode {
    service: NodeClient,
    registry: NodeClient,
}

impl ByNode {
    pub(crate) fn new(scene: &Scene<'_>) -> Self {
        Self {
            service: NodeClient::provisioning_service(scene.world, &scene.server),
            registry: NodeClient::registry(scene.world, &scene.server, "hub1"),
        }
    }

    fn put_individual(&mut self, enrollment: Value) {
        self.service.call("createOrUpdateIndividualEnrollment", &[enrollment]);
    }
}

impl Operator for ByNode {
    fn create_group(&mut self, _: &Scene<'_>, id: &str, signer: &Authority) {
        let group = group(id, &signed_by(signer), "enabled");
        self.service.call("createOrUpdateEnrollmentGroup", &[group]);
    }

    fn create_disabled(&mut self, _: &Scene<'_>, id: &str, device: &DeviceCertificate) {
        self.put_individual(individual(id, &is(device), "disabled"));
    }

    fn set_status(&mut self, _: &Scene<'_>, id: &str, status: &str) {
        let mut enrollment = self.service.call("getIndividualEnrollment", &[json!(id)]);
        enrollment["provisioningStatus"] = json!(status);
        self.put_individual(enrollment);
    }

    fn delete_entry(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("deleteIndividualEnrollment", &[json!(id)]);
    }

    fn delete_identity(&mut self, _: &Scene<'_>, device_id: &str) {
        self.registry.call("delete", &[json!(device_id)]);
    }
}

impl GroupOperator for ByNode {
    fn create_key_group(&mut self, _: &Scene<'_>, id: &str) -> Value {
        let group = group(id, &generated_keys(), "enabled");
        self.service.call("createOrUpdateEnrollmentGroup", &[group])
    }

    fn create_disabled_key(&mut self, _: &Scene<'_>, id: &str) {
        self.put_individual(individual(id, &generated_keys(), "disabled"));
    }

    fn disable_group(&mut self, _: &Scene<'_>, id: &str) {
        let mut group = self.service.call("getEnrollmentGroup", &[json!(id)]);
        group["provisioningStatus"] = json!("disabled");
        self.service.call("createOrUpdateEnrollmentGroup", &[group]);
    }

    fn records(&mut self, _: &Scene<'_>, group: &str) -> Vec<Vec<Value>> {
        let which = [json!("registration"), json!(2), json!(group)];
        let pages = self.service.call("query", &which);
        pages.as_array().unwrap().iter().map(|page| page.as_array().unwrap().clone()).collect()
    }

    fn delete_record(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("deleteDeviceRegistrationState", &[json!(id)]);
    }

    fn delete_group(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("deleteEnrollmentGroup", &[json!(id)]);
    }

    fn missing_group(&mut self, _: &Scene<'_>, id: &str) -> u64 {
        let error = self.service.try_call("getEnrollmentGroup", &[json!(id)]).unwrap_err();
        error["status_code"].as_u64().unwrap()
    }
}

/// The Python service SDKs.
pub(crate) struct ByPython {
    service: PythonClient,
    registry: PythonClient,
}

impl ByPython {
    pub(crate) fn new(scene: &Scene<'_>) -> Self {
        Self {
            service: PythonClient::provisioning(scene.world, &scene.server),
            registry: PythonClient::registry(scene.world, &scene.server, "hub1"),
        }
    }

    fn put(&mut self, of: &str, id: &str, entry: Value) -> Value {
        self.service.call(&format!("{of}.create_or_update"), &[json!(id), entry])
    }

    /// Reads an entry, changes its status alone, and writes it back by its etag.
    fn put_status(&mut self, of: &str, id: &str, status: &str) {
        let mut entry = self.service.call(&format!("{of}.get"), &[json!(id)]);
        entry["provisioningStatus"] = json!(status);
        let condition = json!({"options": {"if_match": entry["etag"]}});
        let put = format!("{of}.create_or_update");
        self.service.call(&put, &[json!(id), entry, condition]);
    }
}

impl Operator for ByPython {
    fn create_group(&mut self, _: &Scene<'_>, id: &str, signer: &Authority) {
        self.put("enrollment_group", id, group(id, &signed_by(signer), "enabled"));
    }

    fn create_disabled(&mut self, _: &Scene<'_>, id: &str, device: &DeviceCertificate) {
        self.put("enrollment", id, individual(id, &is(device), "disabled"));
    }

    fn set_status(&mut self, _: &Scene<'_>, id: &str, status: &str) {
        self.put_status("enrollment", id, status);
    }

    fn delete_entry(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("enrollment.delete", &[json!(id)]);
    }

    fn delete_identity(&mut self, _: &Scene<'_>, device_id: &str) {
        self.registry.call("delete_device", &[json!(device_id)]);
    }
}

impl GroupOperator for ByPython {
    fn create_key_group(&mut self, _: &Scene<'_>, id: &str) -> Value {
        self.put("enrollment_group", id, group(id, &generated_keys(), "enabled"))
    }

    fn create_disabled_key(&mut self, _: &Scene<'_>, id: &str) {
        self.put("enrollment", id, individual(id, &generated_keys(), "disabled"));
    }

    fn disable_group(&mut self, _: &Scene<'_>, id: &str) {
        self.put_status("enrollment_group", id, "disabled");
    }

    fn records(&mut self, _: &Scene<'_>, group: &str) -> Vec<Vec<Value>> {
        let which = [json!(group), json!({"options": {"top": 2}})];
        self.service.pages("device_registration_state.query", &which)
    }

    fn delete_record(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("device_registration_state.delete", &[json!(id)]);
    }

    fn delete_group(&mut self, _: &Scene<'_>, id: &str) {
        self.service.call("enrollment_group.delete", &[json!(id)]);
    }

    fn missing_group(&mut self, _: &Scene<'_>, id: &str) -> u64 {
        let error = self.service.try_call("enrollment_group.get", &[json!(id)]).unwrap_err();
        error["status_code"].as_u64().unwrap()
    }
}

/// Muster's own command line.
pub(crate) struct ByCommandLine;

impl Operator for ByCommandLine {
    fn create_group(&mut self, scene: &Scene<'_>, id: &str, signer: &Authority) {
        scene.server.muster(&format!(
            "iot dps enrollment-group create --dps-name dps --enrollment-id {id} \
             --certificate-path {} --allocation-policy static --iot-hubs hub1.localhost",
            signer.file.display()
        ));
    }

    fn create_disabled(&mut self, scene: &Scene<'_>, id: &str, device: &DeviceCertificate) {
        scene.server.muster(&format!(
            "iot dps enrollment create --dps-name dps --enrollment-id {id} \
             --attestation-type x509 --certificate-path {} --provisioning-status disabled \
             --allocation-policy static --iot-hubs hub1.localhost",
            device.file.display()
        ));
    }

    fn set_status(&mut self, scene: &Scene<'_>, id: &str, status: &str) {
        scene.server.muster(&format!(
            "iot dps enrollment update --dps-name dps --enrollment-id {id} \
             --provisioning-status {status}"
        ));
    }

    fn delete_entry(&mut self, scene: &Scene<'_>, id: &str) {
        let command = format!("iot dps enrollment delete --dps-name dps --enrollment-id {id}");
        scene.server.muster(&command);
    }

    fn delete_identity(&mut self, scene: &Scene<'_>, device_id: &str) {
        scene.server.muster(&format!(
            "iot hub device-identity delete --hub-name hub1 --device-id {device_id}"
        ));
    }
}
