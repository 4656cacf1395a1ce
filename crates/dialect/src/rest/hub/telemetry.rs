//! Telemetry over HTTP. Source: `iot-hub` §9; Node SDK `device/transport/http/src/http.ts`.

use model::DeviceId;

use crate::mqtt::hub::Properties;
use crate::rest::error::ApiFault;
use crate::rest::segments;

/// Headers that stand for system properties, and the name of each in a property bag.
const SYSTEM_HEADERS: &[(&str, &str)] = &[
    ("iothub-messageid", "$.mid"),
    ("iothub-correlationid", "$.cid"),
    ("iothub-userid", "$.uid"),
    ("iothub-expiry", "$.exp"),
    ("iothub-contenttype", "$.ct"),
    ("iothub-contentencoding", "$.ce"),
    ("iothub-creationtimeutc", "$.ctime"),
    ("dt-subject", "$.sub"),
];

/// How the header of an application property begins.
const APPLICATION_PREFIX: &str = "iothub-app-";

/// The sender, where a call is `POST /devices/{id}/messages/events`; none for any other call.
pub fn sender(method: &str, path: &str) -> Option<Result<DeviceId, ApiFault>> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    match parts.as_slice() {
        [devices, id, messages, events]
            if is(devices, "devices") && is(messages, "messages") && is(events, "events") =>
        {
            Some(match method {
                "POST" => {
                    DeviceId::parse(id).map_err(|because| ApiFault::Id { of: "device", because })
                }
                _ => Err(ApiFault::MethodNotAllowed),
            })
        }
        _ => None,
    }
}

/// The properties of a message, from the headers' names (in lower case) and values.
pub fn properties<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> Properties {
    let mut found = Properties::default();
    for (name, value) in headers {
        let system = SYSTEM_HEADERS.iter().find(|(header, _)| *header == name);
        if let Some((_, key)) = system {
            found.system.push(((*key).to_owned(), value.to_owned()));
        } else if let Some(key) = name.strip_prefix(APPLICATION_PREFIX) {
            found.application.push((key.to_owned(), Some(value.to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_names_the_sender() {
        let of = |method, path| sender(method, path).map(|id| id.map(|id| id.to_string()));
        assert_eq!(of("POST", "/devices/a%3Ab/messages/events"), Some(Ok("a:b".to_owned())));
        assert_eq!(of("GET", "/devices/a/messages/events"), Some(Err(ApiFault::MethodNotAllowed)));
        assert_eq!(of("POST", "/devices/a/messages/devicebound"), None);
        assert_eq!(of("POST", "/devices/a"), None);
    }

    #[test]
    fn headers_become_properties() {
        let headers = [
            ("iothub-messageid", "m1"),
            ("iothub-app-room", "7"),
            ("authorization", "secret"),
            ("iothub-contenttype", "application/json"),
        ];
        let found = properties(headers.into_iter());
        let system = [("$.mid", "m1"), ("$.ct", "application/json")];
        let system = system.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(found.system, system);
        assert_eq!(found.application, [("room".to_owned(), Some("7".to_owned()))]);
    }
}
