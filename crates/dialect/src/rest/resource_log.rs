//! Resource logs: one JSON object a line, with the categories and fields that Azure Monitor
//! documents for provisioning services and hubs.
//!
//! Source: `articles/iot-dps/monitor-iot-dps-reference.md`,
//! `articles/iot-hub/monitor-iot-hub-reference.md`, and Azure Monitor's common schema of resource
//! logs for the spelling of what both have.

use core::net::IpAddr;
use std::time::Duration;

use model::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::segments;

/// What stands where Azure names a region.
const LOCATION: &str = "local";

/// A category of resource logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// What devices ask of a provisioning service.
    DeviceOperations,
    /// What operators ask of a provisioning service.
    ServiceOperations,
    /// Devices that sign in to a hub, are refused, or go.
    Connections,
    /// Calls of a hub's registry that fail.
    DeviceIdentityOperations,
    /// Twins, as operators read and write them.
    C2DTwinOperations,
    /// Twins, as devices read and report.
    D2CTwinOperations,
    /// Queries over a hub's devices.
    TwinQueries,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DeviceOperations,
        Self::ServiceOperations,
        Self::Connections,
        Self::DeviceIdentityOperations,
        Self::C2DTwinOperations,
        Self::D2CTwinOperations,
        Self::TwinQueries,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceOperations => "DeviceOperations",
            Self::ServiceOperations => "ServiceOperations",
            Self::Connections => "Connections",
            Self::DeviceIdentityOperations => "DeviceIdentityOperations",
            Self::C2DTwinOperations => "C2DTwinOperations",
            Self::D2CTwinOperations => "D2CTwinOperations",
            Self::TwinQueries => "TwinQueries",
        }
    }

    /// The category of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// Whether what succeeds is left out, as on the real hub.
    const fn is_of_errors(self) -> bool {
        matches!(self, Self::DeviceIdentityOperations)
    }

    /// Whether it is a provisioning service's.
    const fn is_of_dps(self) -> bool {
        matches!(self, Self::DeviceOperations | Self::ServiceOperations)
    }
}

/// Something that is logged.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// When it ended.
    pub time: Timestamp,
    /// The resource id of the service.
    pub resource_id: String,
    /// The category.
    pub category: Category,
    /// What was done.
    pub operation: &'a str,
    /// The protocol version that the caller speaks, where it says one.
    pub version: Option<&'a str>,
    /// How long it took; none for what has no length.
    pub took: Option<Duration>,
    /// What came of it.
    pub result: Result<(), Failed<'a>>,
    /// Where the caller is.
    pub caller: Option<IpAddr>,
    /// The id that the caller was told.
    pub tracking_id: &'a str,
    /// The shared access policy of an operator.
    pub policy: Option<&'a str>,
    /// The kind of thing, such as `IndividualEnrollment`; at a provisioning service.
    pub kind: &'a str,
    /// The thing: a registration, entry or device id.
    pub id: Option<&'a str>,
    /// `mqtt`, `mqtt-ws` or `https`.
    pub protocol: &'a str,
}

/// What went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The HTTP status that it has, or would have.
    pub status: u16,
    /// A sentence.
    pub message: &'a str,
}

impl Failed<'_> {
    /// A CONNECT that was refused before any rule looked at it.
    pub const UNAUTHORIZED: Self = Self { status: 401, message: "Unauthorized" };
    /// A failure of ours that is told nowhere.
    pub const INTERNAL: Self = Self { status: 500, message: "Internal error" };
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordJson<'a> {
    time: Timestamp,
    resource_id: &'a str,
    operation_name: &'a str,
    operation_version: &'a str,
    category: &'static str,
    result_type: &'static str,
    result_signature: String,
    result_description: String,
    duration_ms: String,
    caller_ip_address: String,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityJson<'a>>,
    level: &'static str,
    location: &'static str,
    /// JSON in a text, as it is documented.
    properties: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdentityJson<'a> {
    key_name: &'a str,
}

/// The line of a record, its end included; none where the category leaves it out.
pub fn line(record: &Record<'_>) -> Option<Vec<u8>> {
    if record.category.is_of_errors() && record.result.is_ok() {
        return None;
    }
    let caller = record.caller.map(masked).unwrap_or_default();
    let failed = record.result.err();
    let json = RecordJson {
        time: record.time,
        resource_id: &record.resource_id,
        operation_name: record.operation,
        operation_version: record.version.unwrap_or_default(),
        category: record.category.name(),
        result_type: match failed {
            None => "Success",
            Some(Failed { status: 400..=499, .. }) => "ClientError",
            Some(_) => "Failure",
        },
        result_signature: failed.map(|failed| failed.status.to_string()).unwrap_or_default(),
        result_description: described(record, failed, &caller),
        duration_ms: record.took.map(|took| took.as_millis().to_string()).unwrap_or_default(),
        caller_ip_address: caller.clone(),
        correlation_id: record.tracking_id,
        identity: record.policy.map(|key_name| IdentityJson { key_name }),
        level: if failed.is_some() { "Error" } else { "Information" },
        location: LOCATION,
        properties: Value::Object(properties(record, caller)).to_string(),
    };
    let mut line = crate::json::utf8_json(&json);
    line.push(b'\n');
    Some(line)
}

/// What failed; a sentence that names the caller's address names it as the line does.
fn described(record: &Record<'_>, failed: Option<Failed<'_>>, caller: &str) -> String {
    let message = failed.map(|failed| failed.message).unwrap_or_default();
    match record.caller {
        Some(address) => message.replace(&address.to_canonical().to_string(), caller),
        None => message.to_owned(),
    }
}

fn properties(record: &Record<'_>, caller: String) -> Map<String, Value> {
    let protocol = match record.protocol {
        "https" => "Http",
        "mqtt" => "Mqtt",
        "mqtt-ws" => "MqttWs",
        _ => "",
    };
    let mut members = Map::new();
    let mut put = |name: &str, value: &str| members.insert(name.to_owned(), value.into());
    if record.category.is_of_dps() {
        put("id", record.id.unwrap_or_default());
        put("type", record.kind);
        put("protocol", protocol);
        return members;
    }
    put("deviceId", record.id.unwrap_or_default());
    put("protocol", protocol);
    put("maskedIpAddress", &caller);
    if let Some(version) = record.version {
        put("sdkVersion", version);
    }
    if let Err(failed) = record.result {
        put("statusCode", &failed.status.to_string());
    }
    members
}

/// An address without its last part, as the documented samples have it.
fn masked(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.XXX")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}:XXX")
        }
    }
}

/// The `operationName` of an operator's call: `Get`, `Upsert`, `Delete`, `Query`, or `Bulk`.
pub fn service_operation(method: &str, path: &str) -> &'static str {
    let last = segments(path).pop().unwrap_or_default();
    match method {
        "PUT" => "Upsert",
        "DELETE" => "Delete",
        "POST" if last.eq_ignore_ascii_case("query") => "Query",
        "POST" if last.eq_ignore_ascii_case("attestationmechanism") => "Get",
        "POST" => "Bulk",
        _ => "Get",
    }
}

/// The `operationName` of a call of a hub.
pub fn hub_operation(method: &str) -> &'static str {
    match method {
        "PUT" | "PATCH" | "POST" => "update",
        "DELETE" => "delete",
        _ => "read",
    }
}

/// The id in the address of an operator's call: what follows the collection.
pub fn addressed_id(path: &str) -> Option<String> {
    let word = segments(path).into_iter().nth(1)?;
    (!word.is_empty() && !word.eq_ignore_ascii_case("query")).then_some(word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::samples::{NOW, TRACKING, value};

    fn record(category: Category) -> Record<'static> {
        Record {
            time: NOW,
            resource_id: "/SUBSCRIPTIONS/x".to_owned(),
            category,
            operation: "AttestationAttempt",
            version: Some("2019-03-31"),
            took: Some(Duration::from_micros(226_700)),
            result: Ok(()),
            caller: Some("24.18.226.17".parse().unwrap()),
            tracking_id: TRACKING,
            policy: None,
            kind: "Registration",
            id: Some("my-device-1"),
            protocol: "mqtt",
        }
    }

    /// Names, cases and values of the samples in `monitor-iot-dps-reference.md`, "Schemas".
    #[test]
    fn an_attestation_is_logged_as_documented() {
        let line = line(&record(Category::DeviceOperations)).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let told = value(&line);
        for (member, expected) in [
            ("category", "DeviceOperations"),
            ("operationName", "AttestationAttempt"),
            ("operationVersion", "2019-03-31"),
            ("resultType", "Success"),
            ("resultSignature", ""),
            ("resultDescription", ""),
            ("durationMs", "226"),
            ("callerIpAddress", "24.18.226.XXX"),
            ("correlationId", TRACKING),
            ("level", "Information"),
            ("resourceId", "/SUBSCRIPTIONS/x"),
        ] {
            assert_eq!(told[member], expected, "{member}");
        }
        assert_eq!(told["time"], NOW.to_string());
        let properties: Value = serde_json::from_str(told["properties"].as_str().unwrap()).unwrap();
        let expected = json!({"id": "my-device-1", "type": "Registration", "protocol": "Mqtt"});
        assert_eq!(properties, expected);
    }

    #[test]
    fn a_failure_says_whose_it_is() {
        for (status, kind) in [(401, "ClientError"), (429, "ClientError"), (503, "Failure")] {
            let result = Err(Failed { status, message: "no" });
            let told = value(
                &line(&Record { result, ..record(Category::DeviceIdentityOperations) }).unwrap(),
            );
            assert_eq!(told["resultType"], kind);
            assert_eq!(told["resultSignature"], status.to_string());
            assert_eq!(told["resultDescription"], "no");
            assert_eq!(told["level"], "Error");
            let properties = told["properties"].as_str().unwrap();
            assert!(properties.contains(&format!(r#""statusCode":"{status}""#)), "{properties}");
            assert!(properties.contains(r#""maskedIpAddress":"24.18.226.XXX""#), "{properties}");
        }
        assert!(line(&record(Category::DeviceIdentityOperations)).is_none());
    }

    #[test]
    fn a_refused_address_is_not_told_by_the_sentence_about_it() {
        for (caller, message, told) in [
            ("203.0.113.7", "rule r (Reject 0.0.0.0/0) refuses 203.0.113.7.", "203.0.113.XXX"),
            ("203.0.113.7", "rule r (Reject 203.0.113.7/32) refuses it.", "203.0.113.XXX"),
            ("::ffff:203.0.113.7", "203.0.113.7 is in no private network", "203.0.113.XXX"),
            ("2001:db8:1:2::7", "refuses 2001:db8:1:2::7", "2001:db8:1:2:XXX"),
        ] {
            let caller = caller.parse::<IpAddr>().unwrap();
            let result = Err(Failed { status: 403, message });
            let refused =
                Record { caller: Some(caller), result, ..record(Category::DeviceOperations) };
            let line = String::from_utf8(line(&refused).unwrap()).unwrap();
            assert!(line.contains(told), "{line}");
            assert!(!line.contains(&caller.to_canonical().to_string()), "{line}");
        }
    }

    #[test]
    fn addresses_lose_what_tells_one_device_from_another() {
        for (address, expected) in [
            ("10.1.2.3", "10.1.2.XXX"),
            ("::ffff:10.1.2.3", "10.1.2.XXX"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:XXX"),
        ] {
            assert_eq!(masked(address.parse().unwrap()), expected);
        }
    }

    #[test]
    fn calls_of_operators_have_the_documented_names() {
        for (method, path, name, id) in [
            ("GET", "/enrollments/dev-1", "Get", Some("dev-1")),
            ("PUT", "/enrollments/dev%3A1", "Upsert", Some("dev:1")),
            ("DELETE", "/enrollmentGroups/g", "Delete", Some("g")),
            ("POST", "/enrollments/query", "Query", None),
            ("POST", "/enrollments/dev-1/attestationmechanism", "Get", Some("dev-1")),
            ("POST", "/enrollments", "Bulk", None),
        ] {
            assert_eq!(service_operation(method, path), name, "{method} {path}");
            assert_eq!(addressed_id(path).as_deref(), id, "{path}");
        }
        for category in Category::ALL {
            assert_eq!(Category::parse(category.name()), Some(category));
        }
    }
}
