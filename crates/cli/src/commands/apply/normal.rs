//! Entries in a form in which two of them can be compared: what means the same is the same.

use std::collections::BTreeMap;

use attestation::x509::Certificate;
use serde_json::{Map, Value, json};

/// Every member that is not the default, by its path. No secret is among them.
pub(super) type Normal = BTreeMap<Vec<String>, Value>;

/// Members that the service gives, or that are compared apart.
const APART: [&str; 6] = [
    "etag",
    "registrationState",
    "createdDateTimeUtc",
    "lastUpdatedDateTimeUtc",
    "registrationId",
    "enrollmentGroupId",
];

/// An enrollment of either kind, as a file or the service has it.
pub(super) fn entry(members: &Map<String, Value>) -> Normal {
    let mut normal = Normal::new();
    for (name, value) in members.iter().filter(|(name, _)| !APART.contains(&name.as_str())) {
        let path = vec![name.clone()];
        match (name.as_str(), value) {
            ("attestation", Value::Object(members)) => attestation(members, &mut normal),
            ("initialTwin" | "optionalDeviceInformation", value) => free(path, value, &mut normal),
            ("iotHubs", Value::Array(hubs)) => {
                let mut hubs: Vec<String> = hubs.iter().map(lower).collect();
                hubs.sort();
                hubs.dedup();
                if !hubs.is_empty() {
                    normal.insert(path, hubs.into());
                }
            }
            ("iotHubHostName", Value::String(host)) if !host.is_empty() => {
                normal.insert(path, host.to_ascii_lowercase().into());
            }
            (_, value) => leaves(path, value, &mut normal),
        }
    }
    for (path, default) in [
        (["capabilities", "iotEdge"], false),
        (["reprovisionPolicy", "updateHubAssignment"], true),
        (["reprovisionPolicy", "migrateDeviceData"], true),
    ] {
        let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        normal.entry(path).or_insert_with(|| default.into());
    }
    normal
}

/// A CA certificate of the instance.
pub(super) fn certificate(text: &str, verified: bool) -> Normal {
    Normal::from([
        (vec!["certificate".to_owned()], thumbprint(text)),
        (vec!["verified".to_owned()], verified.into()),
    ])
}

fn attestation(members: &Map<String, Value>, normal: &mut Normal) {
    for (name, value) in members {
        match (name.as_str(), value) {
            // Keys are compared apart, and never shown.
            ("symmetricKey", _) => {}
            ("x509", Value::Object(members)) => {
                for (member, slots) in members {
                    if let Value::String(word) = slots {
                        let path = ["attestation", "x509", member];
                        let path = path.iter().map(|step| (*step).to_owned()).collect();
                        normal.insert(path, word.as_str().into());
                    }
                    for (slot, value) in slots.as_object().into_iter().flatten() {
                        let path = ["attestation", "x509", member, slot];
                        let path = path.iter().map(|step| (*step).to_owned()).collect();
                        let shown = slot_of(value);
                        if !shown.is_null() {
                            normal.insert(path, shown);
                        }
                    }
                }
            }
            (_, value) => leaves(vec!["attestation".to_owned(), name.clone()], value, normal),
        }
    }
}

/// A slot: the certificate's thumbprint, or a reference's name.
fn slot_of(value: &Value) -> Value {
    match value {
        Value::String(name) if name.is_empty() => Value::Null,
        Value::String(name) => name.to_ascii_lowercase().into(),
        Value::Object(slot) => match slot.get("certificate").and_then(Value::as_str) {
            Some(text) => thumbprint(text),
            None => lower(value.pointer("/info/sha256Thumbprint").unwrap_or(&Value::Null)).into(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Value::Null,
    }
}

fn thumbprint(text: &str) -> Value {
    match Certificate::from_upload(text.as_bytes()) {
        Ok(certificate) => certificate.thumbprint().to_string().to_ascii_lowercase().into(),
        Err(_) => Value::Null,
    }
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_ascii_lowercase()
}

/// The leaves under a path; nothing and an empty text are absent.
fn leaves(path: Vec<String>, value: &Value, normal: &mut Normal) {
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Object(members) => {
            for (name, value) in members {
                leaves(below(&path, name), value, normal);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            normal.insert(path, value.clone());
        }
    }
}

/// The leaves of free JSON: what is empty counts, but for the frame of a twin.
fn free(path: Vec<String>, value: &Value, normal: &mut Normal) {
    let steps: Vec<&str> = path.iter().map(String::as_str).collect();
    let is_frame = matches!(
        steps.as_slice(),
        ["initialTwin" | "optionalDeviceInformation"]
            | ["initialTwin", "tags" | "properties"]
            | ["initialTwin", "properties", "desired"]
    );
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                free(below(&path, name), value, normal);
            }
        }
        Value::Object(_) | Value::Null if is_frame => {}
        Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_) => {
            normal.insert(path, value.clone());
        }
    }
}

fn below(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

/// A linked hub.
pub(super) fn link(members: &Map<String, Value>) -> Normal {
    let defaults = [("allocation_weight", json!(1)), ("apply_allocation_policy", json!(true))];
    let told = defaults.map(|(name, default)| {
        (vec![name.to_owned()], members.get(name).cloned().unwrap_or(default))
    });
    let latencies = members.get("latencies").and_then(Value::as_object).into_iter().flatten();
    let latencies = latencies.map(|(region, milliseconds)| {
        (vec!["latencies".to_owned(), region.to_ascii_lowercase()], milliseconds.clone())
    });
    told.into_iter().chain(latencies).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(value: Value) -> Normal {
        let Value::Object(members) = value else { panic!("no object") };
        entry(&members)
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let written =
            normal(json!({"registrationId": "a", "attestation": {"type": "symmetricKey"},
            "iotHubs": ["HUB2.localhost", "hub1.localhost"]}));
        let served = normal(json!({"registrationId": "a", "etag": "\"x\"", "deviceId": "",
            "attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": "secret"}},
            "capabilities": {"iotEdge": false}, "optionalDeviceInformation": {},
            "initialTwin": {"tags": {}, "properties": {"desired": {}}},
            "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": true},
            "iotHubs": ["hub1.localhost", "hub2.localhost"],
            "createdDateTimeUtc": "2026-01-01T00:00:00Z"}));
        assert_eq!(written, served);
        assert!(!format!("{served:?}").contains("secret"));
    }

    #[test]
    fn what_differs_in_a_twin_is_seen() {
        let twin = |tags: Value| normal(json!({"initialTwin": {"tags": tags}}));
        assert_ne!(twin(json!({"a": {}})), twin(json!({})));
        assert_ne!(twin(json!({"a": null})), twin(json!({})));
        assert_ne!(twin(json!({"a.b": 1})), twin(json!({"a": {"b": 1}})));
        assert_ne!(twin(json!({"a": [1, 2]})), twin(json!({"a": [2, 1]})));
    }
}
