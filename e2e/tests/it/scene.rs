//! What most scenarios begin with: a server, its APIs, and a trusted root.

use e2e::{
    Authority, Credential, DeviceCertificate, HUB1, Outcome, Pki, Provisioning, Rest, Sdk, Server,
    Tpm, World,
};
use serde_json::{Value, json};

pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) server: Server,
    pub(crate) dps: Rest,
    pub(crate) hub: Rest,
    pub(crate) pki: Pki,
    /// A CA that the service holds as verified, named `root`.
    pub(crate) root: Authority,
    provisioning: Provisioning<'a>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let server = Server::start(world);
        let pki = Pki::new(world);
        let root = pki.root("root");
        server.trust("root", &root.file);
        let provisioning = Provisioning::new(world, &server);
        let (dps, hub) = (server.dps(), server.hub("hub1"));
        Self { world, server, dps, hub, pki, root, provisioning }
    }

    /// Registers a device that has a symmetric key.
    pub(crate) fn register_by_key(&self, sdk: Sdk, id: &str, key: &str) -> Outcome {
        self.provisioning.register(sdk, id, Credential::Key(key))
    }

    /// Registers a device that has a TPM.
    pub(crate) fn register_by_tpm(&self, id: &str, tpm: &Tpm) -> Outcome {
        self.provisioning.register(Sdk::NodeHttp, id, Credential::Tpm(tpm))
    }

    /// Registers a device that has a certificate.
    pub(crate) fn register(&self, sdk: Sdk, id: &str, certificate: &DeviceCertificate) -> Outcome {
        self.provisioning.register(sdk, id, Credential::Certificate(certificate))
    }

    pub(crate) fn put_group(&self, id: &str, attestation: &Value, status: &str) -> Value {
        let group = group(id, attestation, status);
        self.dps.put(&format!("/enrollmentGroups/{id}"), &group).expect(200)
    }

    pub(crate) fn put_individual(&self, id: &str, attestation: &Value, status: &str) -> Value {
        let individual = individual(id, attestation, status);
        self.dps.put(&format!("/enrollments/{id}"), &individual).expect(200)
    }

    /// Reads an entry, changes its status alone, and writes it back by its etag.
    pub(crate) fn set_status(&self, path: &str, status: &str) {
        let mut entry = self.dps.get(path).expect(200);
        entry["provisioningStatus"] = json!(status);
        let etag = entry["etag"].as_str().unwrap().to_owned();
        self.dps.put_if_match(path, &etag, &entry).expect(200);
    }

    pub(crate) fn delete(&self, path: &str) {
        self.dps.delete(path).expect(204);
    }

    pub(crate) fn delete_identity(&self, device_id: &str) {
        self.hub.delete_if_match(&format!("/devices/{device_id}"), "*").expect(204);
    }

    /// The registration ids of the records that a group owns, sorted.
    pub(crate) fn records_of(&self, group: &str) -> Vec<String> {
        let path = format!("/registrations/{group}/query");
        let records = self.dps.post(&path, &json!({"query": "SELECT *"})).expect(200);
        registration_ids(&records)
    }
}

/// The registration ids of a page of records, sorted.
pub(crate) fn registration_ids(records: &Value) -> Vec<String> {
    let id = |record: &Value| record["registrationId"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = records.as_array().unwrap().iter().map(id).collect();
    ids.sort();
    ids
}

/// A group whose devices all go to the first hub.
pub(crate) fn group(id: &str, attestation: &Value, status: &str) -> Value {
    json!({
        "enrollmentGroupId": id,
        "attestation": attestation,
        "provisioningStatus": status,
        "allocationPolicy": "static",
        "iotHubs": [HUB1],
        "initialTwin": {"tags": {"group": id}, "properties": {"desired": {"interval": 30}}},
    })
}

/// An individual enrollment whose device goes to the first hub.
pub(crate) fn individual(id: &str, attestation: &Value, status: &str) -> Value {
    json!({
        "registrationId": id,
        "attestation": attestation,
        "provisioningStatus": status,
        "allocationPolicy": "static",
        "iotHubs": [HUB1],
    })
}

/// The attestation of a group below this authority.
pub(crate) fn signed_by(authority: &Authority) -> Value {
    x509("signingCertificates", &json!({"certificate": authority.pem}))
}

/// The attestation of a group below an uploaded CA certificate.
pub(crate) fn signed_by_uploaded(name: &str) -> Value {
    x509("caReferences", &json!(name))
}

/// The attestation of the one device that has this certificate.
pub(crate) fn is(certificate: &DeviceCertificate) -> Value {
    x509("clientCertificates", &json!({"certificate": certificate.pem}))
}

/// A symmetric key's attestation, with keys that the service makes.
pub(crate) fn generated_keys() -> Value {
    json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": "", "secondaryKey": ""}})
}

/// The keys in the answer to a PUT, primary and secondary.
pub(crate) fn keys(entry: &Value) -> (&str, &str) {
    let keys = &entry["attestation"]["symmetricKey"];
    (keys["primaryKey"].as_str().unwrap(), keys["secondaryKey"].as_str().unwrap())
}

fn x509(kind: &str, primary: &Value) -> Value {
    json!({"type": "x509", "x509": {kind: {"primary": primary}}})
}
