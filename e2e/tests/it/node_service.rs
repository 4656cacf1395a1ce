//! Every call of Node's provisioning service client, in both of its forms where both work.

use crate::fleet::Fleet;
use crate::scene::{
    Scene, generated_keys, group, individual, is, keys, signed_by, signed_by_uploaded,
};
use e2e::{NodeClient, world};
use serde_json::{Value, json};

/// Keys that an operator brings along, base64.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

const PUT_INDIVIDUAL: &str = "createOrUpdateIndividualEnrollment";
const PUT_GROUP: &str = "createOrUpdateEnrollmentGroup";

#[test]
fn node_keeps_individual_enrollments() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::provisioning_service(world, &scene.server);

        // An id with all its punctuation travels percent-encoded.
        let id = "lot:7.meter_1-a";
        let made = node.call(PUT_INDIVIDUAL, &[individual(id, &generated_keys(), "enabled")]);
        let (primary, secondary) = keys(&made);
        assert_ne!(primary, secondary, "the service made both (V-16)");
        let given = json!({"type": "symmetricKey",
                           "symmetricKey": {"primaryKey": KEY, "secondaryKey": OTHER_KEY}});
        let meter = node.promise(PUT_INDIVIDUAL, &[individual("meter-2", &given, "enabled")]);
        assert_eq!(keys(&meter), (KEY, OTHER_KEY));
        let again = node.try_call(PUT_INDIVIDUAL, &[individual(id, &given, "enabled")]);
        refused(&again, "DeviceAlreadyExistsError", 409);

        let read = node.promise("getIndividualEnrollment", &[json!(id)]);
        assert_eq!(read["attestation"], json!({"type": "symmetricKey"}), "keys are asked for");
        assert_eq!(read["etag"], made["etag"]);
        let mechanism = "getIndividualEnrollmentAttestationMechanism";
        assert_eq!(node.call(mechanism, &[json!(id)]), made["attestation"]);
        assert_eq!(node.promise(mechanism, &[json!(id)]), made["attestation"]);

        // An object with an etag is an update on that condition alone.
        let mut update = read.clone();
        update["provisioningStatus"] = json!("disabled");
        let updated = node.call(PUT_INDIVIDUAL, std::slice::from_ref(&update));
        assert_eq!(updated["provisioningStatus"], "disabled");
        assert_ne!(updated["etag"], read["etag"]);
        refused(&node.try_promise(PUT_INDIVIDUAL, &[update]), "InvalidEtagError", 412);
        assert_eq!(node.call(mechanism, &[json!(id)]), made["attestation"], "it keeps its keys");

        let device = scene.root.device("sensor-1");
        let spare = scene.root.device("sensor-1");
        let mut sensor = individual("sensor-1", &is(&device), "enabled");
        sensor["attestation"]["x509"]["clientCertificates"]["secondary"] =
            json!({"certificate": spare.pem});
        sensor["deviceId"] = json!("Sensor-One");
        sensor["optionalDeviceInformation"] = json!({"made": "here"});
        let sensor = node.call(PUT_INDIVIDUAL, &[sensor]);
        for slot in ["primary", "secondary"] {
            whole_certificate(&sensor["attestation"]["x509"]["clientCertificates"][slot]);
        }
        // What is read can be written back, without the certificates themselves.
        let mut read = node.call("getIndividualEnrollment", &[json!("sensor-1")]);
        read["deviceId"] = json!("Sensor-Two");
        let written = node.promise(PUT_INDIVIDUAL, &[read]);
        assert_eq!(written["deviceId"], "Sensor-Two");
        assert_eq!(written["attestation"], sensor["attestation"]);
        let shown = node.call(mechanism, &[json!("sensor-1")]);
        whole_certificate(&shown["x509"]["clientCertificates"]["primary"]);

        let delete = "deleteIndividualEnrollment";
        let stale = node.try_call(delete, &[json!("sensor-1"), sensor["etag"].clone()]);
        refused(&stale, "InvalidEtagError", 412);
        node.call(delete, &[json!("sensor-1"), written["etag"].clone()]);
        let mut stale = meter.clone();
        stale["etag"] = json!("\"stale\"");
        refused(&node.try_promise(delete, &[stale]), "InvalidEtagError", 412);
        node.call(delete, &[meter]);
        node.promise(delete, &[json!(id)]);
        for id in [id, "meter-2", "sensor-1"] {
            let gone = node.try_promise("getIndividualEnrollment", &[json!(id)]);
            refused(&gone, "Error", 404);
        }
        refused(&node.try_call(mechanism, &[json!(id)]), "Error", 404);
        refused(&node.try_call(delete, &[json!(id)]), "Error", 404);
    });
}

#[test]
fn node_keeps_enrollment_groups() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::provisioning_service(world, &scene.server);
        let mechanism = "getEnrollmentGroupAttestationMechanism";

        let meters = node.promise(PUT_GROUP, &[group("meters", &generated_keys(), "enabled")]);
        let read = node.call("getEnrollmentGroup", &[json!("meters")]);
        assert_eq!(read["attestation"], json!({"type": "symmetricKey"}), "keys are asked for");
        assert_eq!(node.call(mechanism, &[json!("meters")]), meters["attestation"]);
        assert_eq!(node.promise(mechanism, &[json!("meters")]), meters["attestation"]);

        let (old, new) = (scene.root.intermediate("locks-ca"), scene.root.intermediate("locks-2"));
        let mut locks = group("locks", &signed_by(&old), "enabled");
        locks["attestation"]["x509"]["signingCertificates"]["secondary"] =
            json!({"certificate": new.pem});
        let locks = node.call(PUT_GROUP, &[locks]);
        for slot in ["primary", "secondary"] {
            whole_certificate(&locks["attestation"]["x509"]["signingCertificates"][slot]);
        }
        assert_eq!(node.call(mechanism, &[json!("locks")]), locks["attestation"]);
        let vouched = group("vouched", &signed_by_uploaded("root"), "enabled");
        let vouched = node.call(PUT_GROUP, &[vouched]);
        assert_eq!(vouched["attestation"]["x509"]["caReferences"]["primary"], "root");

        let again = node.try_promise(PUT_GROUP, &[group("locks", &signed_by(&old), "enabled")]);
        refused(&again, "DeviceAlreadyExistsError", 409);
        // A read group goes back as it came, and one slot is dropped.
        let mut read = node.promise("getEnrollmentGroup", &[json!("locks")]);
        let slots = &mut read["attestation"]["x509"]["signingCertificates"];
        *slots = json!({"primary": slots["secondary"]});
        read["provisioningStatus"] = json!("disabled");
        let updated = node.promise(PUT_GROUP, std::slice::from_ref(&read));
        let slots = &updated["attestation"]["x509"]["signingCertificates"];
        assert_eq!(slots["primary"]["info"]["subjectName"], "CN=locks-2");
        assert!(slots.get("secondary").is_none(), "{slots}");
        refused(&node.try_call(PUT_GROUP, &[read]), "InvalidEtagError", 412);
        // Groups have no TPM (V-07).
        let tpm = json!({"type": "tpm", "tpm": {"endorsementKey": KEY}});
        refused(&node.try_call(PUT_GROUP, &[group("t", &tpm, "enabled")]), "ArgumentError", 400);

        let delete = "deleteEnrollmentGroup";
        refused(&node.try_call(delete, &[locks]), "InvalidEtagError", 412);
        node.call(delete, &[updated]);
        node.promise(delete, &[json!("meters"), meters["etag"].clone()]);
        node.call(delete, &[json!("vouched")]);
        assert_eq!(node.call("query", &[json!("group"), json!(10)]), json!([[]]));
        for (method, argument) in [
            (delete, vouched),
            ("getEnrollmentGroup", json!("meters")),
            (mechanism, json!("locks")),
        ] {
            refused(&node.try_promise(method, &[argument]), "Error", 404);
        }
    });
}

#[test]
fn node_runs_bulks_and_reads_pages() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::provisioning_service(world, &scene.server);
        let bulk = "runBulkEnrollmentOperation";
        let ids: Vec<String> = (1..=5).map(|n| format!("meter-{n}")).collect();
        let meters: Vec<Value> =
            ids.iter().map(|id| individual(id, &generated_keys(), "enabled")).collect();
        let made = node.call(bulk, &[json!({"mode": "create", "enrollments": meters})]);
        assert_eq!(made, json!({"isSuccessful": true, "errors": []}));

        // Three pages; each token but the last leads a query of its own to the next page.
        let pages = node.call("query", &[json!("individual"), json!(2)]);
        let pages = pages.as_array().unwrap();
        assert_eq!(pages.iter().map(|page| ids_of(page).len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(pages.iter().flat_map(ids_of).collect::<Vec<_>>(), ids);
        let mut token = Value::Null;
        for page in pages {
            let read = node.call("page", &[json!("individual"), token, json!(2)]);
            assert_eq!(&read["page"], page);
            token = read["token"].clone();
        }
        assert_eq!(token, Value::Null, "nothing follows the last page");

        // What one item breaks does not keep the others back (B-03).
        let update = json!([
            individual("meter-1", &generated_keys(), "disabled"),
            individual("meter-9", &generated_keys(), "disabled")
        ]);
        let updated = node.call(bulk, &[json!({"mode": "update", "enrollments": update})]);
        let wanted = [("meter-9", 404_201)];
        assert_eq!(errors_of(&updated), wanted);
        let changed = node.call("getIndividualEnrollment", &[json!("meter-1")]);
        assert_eq!(changed["provisioningStatus"], "disabled");
        let mut stale = node.call("getIndividualEnrollment", &[json!("meter-2")]);
        stale["etag"] = json!("\"stale\"");
        let mode = json!({"mode": "updateIfMatchETag", "enrollments": [changed, stale]});
        assert_eq!(errors_of(&node.call(bulk, &[mode])), [("meter-2", 412_001)]);
        let many: Vec<Value> = (0..11)
            .map(|n| individual(&format!("lot-{n}"), &generated_keys(), "enabled"))
            .collect();
        let many = node.try_call(bulk, &[json!({"mode": "create", "enrollments": many})]);
        refused(&many, "ArgumentError", 400);
        let all: Vec<Value> = ids.iter().map(|id| json!({"registrationId": id})).collect();
        let deleted = node.call(bulk, &[json!({"mode": "delete", "enrollments": all})]);
        assert_eq!(deleted["isSuccessful"], true);
        assert_eq!(node.call("query", &[json!("individual"), json!(2)]), json!([[]]));
    });
}

#[test]
fn node_keeps_registration_records() {
    world(|world| {
        let scene = Scene::new(world);
        let mut node = NodeClient::provisioning_service(world, &scene.server);
        let fleet = Fleet::new(&scene.server);
        let mut wire = fleet.connect().unwrap();
        let ids = ["truck-1", "truck-2", "truck-3"];
        for id in ids {
            fleet.register(&mut wire, id).unwrap().unwrap();
        }
        let pages = node.call("query", &[json!("registration"), json!(2), json!("fleet")]);
        let pages = pages.as_array().unwrap();
        assert_eq!(pages.iter().flat_map(ids_of).collect::<Vec<_>>(), ids);
        let first = [json!("registration"), Value::Null, json!(2), json!("fleet")];
        let first = node.call("page", &first);
        assert_eq!(first["page"], pages[0]);
        let next = [json!("registration"), first["token"].clone(), json!(2), json!("fleet")];
        assert_eq!(node.call("page", &next)["page"], pages[1]);

        let get = "getDeviceRegistrationState";
        let state = node.call(get, &[json!("truck-1")]);
        assert_eq!(state["status"], "assigned");
        assert_eq!(state, node.promise(get, &[json!("truck-1")]));
        assert_eq!(state, pages[0][0]);
        let delete = "deleteDeviceRegistrationState";
        let stale = node.try_call(delete, &[json!("truck-1"), json!("\"stale\"")]);
        refused(&stale, "InvalidEtagError", 412);
        node.call(delete, &[json!("truck-1"), state["etag"].clone()]);
        node.promise(delete, &[pages[0][1].clone()]);
        node.promise(delete, &[json!("truck-3")]);
        let none = node.call("query", &[json!("registration"), json!(2), json!("fleet")]);
        assert_eq!(none, json!([[]]));
        refused(&node.try_promise(get, &[json!("truck-1")]), "Error", 404);
        refused(&node.try_call(delete, &[json!("truck-1")]), "Error", 404);
    });
}

/// The SDK's own error for this status.
#[track_caller]
pub(crate) fn refused(answer: &Result<Value, Value>, kind: &str, status: u16) {
    let error = answer.as_ref().unwrap_err();
    assert_eq!((&error["type"], &error["status_code"]), (&json!(kind), &json!(status)), "{error}");
}

/// A slot tells all eight facts of its certificate (§1.8).
#[track_caller]
fn whole_certificate(slot: &Value) {
    let info = slot["info"].as_object().unwrap();
    for fact in [
        "subjectName",
        "sha1Thumbprint",
        "sha256Thumbprint",
        "issuerName",
        "notBeforeUtc",
        "notAfterUtc",
        "serialNumber",
    ] {
        assert!(info[fact].as_str().is_some_and(|text| !text.is_empty()), "{fact}: {info:?}");
    }
    assert_eq!(info["version"], 3);
}

fn ids_of(page: &Value) -> Vec<&str> {
    page.as_array().unwrap().iter().map(|row| row["registrationId"].as_str().unwrap()).collect()
}

/// The items that a bulk left undone, with their codes.
#[track_caller]
fn errors_of(result: &Value) -> Vec<(&str, u64)> {
    assert_eq!(result["isSuccessful"], false, "{result}");
    let errors = result["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|item| (item["registrationId"].as_str().unwrap(), item["errorCode"].as_u64().unwrap()))
        .collect()
}
