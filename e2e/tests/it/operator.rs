//! The tools with which an operator deprovisions one device: each must do the same.

use crate::scene::{Scene, group, individual, is, signed_by};
use e2e::{Authority, DeviceCertificate, NodeClient};
use serde_json::{Value, json};

/// The steps of the exercise "deprovision one device of a group", by any tool.
pub(crate) trait Operator {
    fn create_group(&mut self, scene: &Scene<'_>, id: &str, signer: &Authority);
    fn create_disabled(&mut self, scene: &Scene<'_>, id: &str, device: &DeviceCertificate);
    fn set_status(&mut self, scene: &Scene<'_>, id: &str, status: &str);
    fn delete_entry(&mut self, scene: &Scene<'_>, id: &str);
    fn delete_identity(&mut self, scene: &Scene<'_>, device_id: &str);
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
