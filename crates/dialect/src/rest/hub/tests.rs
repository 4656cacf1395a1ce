use ::hub::draft::{AuthenticationKind, device as rules};
use ::hub::identity::{Authentication, Device, DeviceStatus, Thumbprint};
use ::hub::twin::Twin;
use attestation::SymmetricKey;
use model::{Sha256, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::json::utf8_json;
use crate::rest::error::hub as wire;
use crate::samples::{device_id, key, text, value};

const CREATED: Timestamp = Timestamp::from_unix_seconds(1_625_690_724);

fn sas() -> Authentication {
    Authentication::Sas { primary: key(1), secondary: key(2) }
}

fn device(authentication: Authentication) -> Device {
    let created = Timestamp::parse("2021-07-07T20:45:24.0648717Z").unwrap();
    Device { version: 727_894_863, ..Device::new(device_id("d1"), authentication, created) }
}

const KEYS: &str = concat!(
    r#""symmetricKey":{"primaryKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","#,
    r#""secondaryKey":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}"#
);

/// The exchange of `iot-hub` §2.5, byte for byte but for the keys.
#[test]
fn a_created_device_is_written_as_the_real_hub_does() {
    let device = device(sas());
    let body = text(&utf8_json(&json(&device, Presence::default(), Telling::Created)));
    let expected = format!(
        concat!(
            r#"{{"deviceId":"d1","generationId":"637612875240648717","etag":"NzI3ODk0ODYz","#,
            r#""connectionState":"Disconnected","status":"enabled","statusReason":null,"#,
            r#""connectionStateUpdatedTime":"0001-01-01T00:00:00","#,
            r#""statusUpdatedTime":"0001-01-01T00:00:00","#,
            r#""lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,"#,
            r#""authentication":{{{},"x509Thumbprint":{{"primaryThumbprint":null,"#,
            r#""secondaryThumbprint":null}},"type":"sas"}},"capabilities":{{"iotEdge":false}}}}"#
        ),
        KEYS
    );
    assert_eq!(body, expected);
    assert_eq!(etag_header(device.version), ("ETag", "\"NzI3ODk0ODYz\"".to_owned()));
}

#[test]
fn zero_times_have_a_z_but_in_the_answer_to_a_creation() {
    let device = device(sas());
    let body = value(&utf8_json(&json(&device, Presence::default(), Telling::Known)));
    assert_eq!(body["lastActivityTime"], "0001-01-01T00:00:00Z");
    let presence = Presence {
        state: ConnectionState::Connected,
        state_updated: CREATED,
        last_activity: CREATED,
        cloud_to_device_messages: 3,
    };
    for telling in [Telling::Created, Telling::Known] {
        let body = value(&utf8_json(&json(&device, presence, telling)));
        assert_eq!(body["lastActivityTime"], "2021-07-07T20:45:24.0000000Z");
        assert_eq!(body["connectionState"], "Connected");
        assert_eq!(body["cloudToDeviceMessageCount"], 3);
    }
}

#[test]
fn every_authentication_is_written_by_its_type() {
    let sha256 = Thumbprint::Sha256(Sha256([0xAB; 32]));
    let none = json!({"primaryKey": null, "secondaryKey": null});
    let cases = [
        (
            Authentication::SelfSigned { primary: Some(sha256), secondary: None },
            json!({
                "symmetricKey": none,
                "x509Thumbprint": {
                    "primaryThumbprint": "AB".repeat(32),
                    "secondaryThumbprint": null,
                },
                "type": "selfSigned",
            }),
        ),
        (
            Authentication::CertificateAuthority,
            json!({
                "symmetricKey": none,
                "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
                "type": "certificateAuthority",
            }),
        ),
        (
            Authentication::None,
            json!({
                "symmetricKey": none,
                "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
                "type": "none",
            }),
        ),
    ];
    for (authentication, expected) in cases {
        let device = device(authentication);
        let body = value(&utf8_json(&json(&device, Presence::default(), Telling::Known)));
        assert_eq!(body["authentication"], expected);
    }
}

#[test]
fn edge_members_are_written_where_they_apply() {
    let edge = Device {
        iot_edge: true,
        device_scope: Some("ms-azure-iot-edge://d1-1".to_owned()),
        parent_scopes: vec!["ms-azure-iot-edge://p-1".to_owned()],
        ..device(sas())
    };
    let body = value(&utf8_json(&json(&edge, Presence::default(), Telling::Known)));
    assert_eq!(body["capabilities"], json!({"iotEdge": true}));
    assert_eq!(body["deviceScope"], "ms-azure-iot-edge://d1-1");
    assert_eq!(body["parentScopes"], json!(["ms-azure-iot-edge://p-1"]));
    let plain = device(sas());
    let body = value(&utf8_json(&json(&plain, Presence::default(), Telling::Known)));
    assert!(body.get("deviceScope").is_none() && body.get("parentScopes").is_none());
}

#[test]
fn a_list_is_an_array() {
    let devices = [device(sas()), device(sas())];
    let rows: Vec<_> =
        devices.iter().map(|d| json(d, Presence::default(), Telling::Known)).collect();
    assert_eq!(value(&utf8_json(&rows)).as_array().map(Vec::len), Some(2));
    let none: [DeviceJson<'_>; 0] = [];
    assert_eq!(text(&utf8_json(&none)), "[]");
}

/// The example of `iot-hub` §4.1, byte for byte.
#[test]
fn a_new_twin_is_written_as_the_real_hub_does() {
    let device = device(sas());
    let at = Timestamp::parse("2021-07-07T20:45:24.0648717Z").unwrap();
    let own = Twin::new(at);
    let body = text(&utf8_json(&twin(&device, &own, Presence::default())));
    let expected = concat!(
        r#"{"deviceId":"d1","etag":"AAAAAAAAAAE=","deviceEtag":"NzI3ODk0ODYz","#,
        r#""status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z","#,
        r#""connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","#,
        r#""cloudToDeviceMessageCount":0,"authenticationType":"sas","#,
        r#""x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"version":2,"#,
        r#""properties":{"desired":{"$metadata":{"$lastUpdated":"2021-07-07T20:45:24.0648717Z"},"#,
        r#""$version":1},"reported":{"$metadata":{"$lastUpdated":"2021-07-07T20:45:24.0648717Z"},"#,
        r#""$version":1}},"capabilities":{"iotEdge":false}}"#
    );
    assert_eq!(body, expected);
}

#[test]
fn a_twin_is_written_with_tags_and_values() {
    let device = Device { status: DeviceStatus::Disabled, ..device(sas()) };
    let object = |value: Value| value.as_object().unwrap().clone();
    let mut own = Twin::initial(object(json!({"site": 1})), &object(json!({"p": 2})), CREATED);
    own.report(&object(json!({"r": 3})), CREATED);
    let body = value(&utf8_json(&twin(&device, &own, Presence::default())));
    assert_eq!(body["tags"], json!({"site": 1}));
    assert_eq!(body["status"], "disabled");
    assert_eq!(body["properties"]["desired"]["p"], 2);
    assert_eq!(body["properties"]["desired"]["$version"], 1);
    assert_eq!(body["properties"]["reported"]["r"], 3);
    assert_eq!(body["properties"]["reported"]["$version"], 2);
    assert!(body["properties"]["reported"]["$metadata"]["r"]["$lastUpdated"].is_string());
    assert_eq!(body["version"], 3);
}

#[test]
fn routes_are_read() {
    let id = || device_id("d1");
    let cases = [
        ("GET", "/devices", Ok(Route::ListDevices)),
        ("GET", "/devices/?top=10&api-version=2021-04-12", Ok(Route::ListDevices)),
        ("POST", "/devices/query?api-version=2021-04-12", Ok(Route::QueryDevices)),
        ("GET", "/devices/d1", Ok(Route::GetDevice(id()))),
        ("PUT", "/Devices/d1/", Ok(Route::PutDevice(id()))),
        ("DELETE", "/devices/d1", Ok(Route::DeleteDevice(id()))),
        ("GET", "/twins/d1", Ok(Route::GetTwin(id()))),
        ("GET", "/devices/a%23b%3F", Ok(Route::GetDevice(device_id("a#b?")))),
        ("GET", "/devices/a%252Db", Ok(Route::GetDevice(device_id("a%2Db")))),
        ("GET", "/devices/query", Ok(Route::GetDevice(device_id("query")))),
        ("PATCH", "/devices/d1", Err(405_000)),
        ("DELETE", "/devices", Err(405_000)),
        ("DELETE", "/twins/d1", Err(405_000)),
        ("GET", "/devices/a%20b", Err(400_004)),
        ("GET", "/twins", Err(404_000)),
        ("GET", "/devices/d1/x/y", Err(404_000)),
        ("GET", "/other", Err(404_000)),
    ];
    for (method, path, expected) in cases {
        let found = route(method, path).map_err(|fault| wire(&fault).code);
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn counts_are_bounded() {
    for (query, expected) in [
        (None, Some(1000)),
        (Some("api-version=2021-04-12"), Some(1000)),
        (Some("top="), Some(1000)),
        (Some("top=10"), Some(10)),
        (Some("api-version=x&top=1000"), Some(1000)),
        (Some("top=0"), None),
        (Some("top=1001"), None),
        (Some("top=-1"), None),
        (Some("top=x"), None),
    ] {
        assert_eq!(top(query).ok(), expected, "{query:?}");
    }
}

#[test]
fn etags_are_versions_in_base64() {
    assert_eq!(etag(727_894_863), "NzI3ODk0ODYz");
    assert_eq!(etag(1), "MQ==");
    let version = IfMatch::Etag(Etag::new("727894863"));
    for header in ["NzI3ODk0ODYz", "\"NzI3ODk0ODYz\"", " \"NzI3ODk0ODYz\" "] {
        assert_eq!(if_match(Some(header)), version, "{header}");
    }
    for any in ["*", "\"*\""] {
        assert_eq!(if_match(Some(any)), IfMatch::Any);
    }
    for absent in [None, Some(""), Some("\"\"")] {
        assert_eq!(if_match(absent), IfMatch::Absent);
    }
    // Not base64, or not of digits.
    for other in ["stale", "AAAAAAAAAAE="] {
        assert_eq!(if_match(Some(other)), IfMatch::Etag(Etag::new(other)));
    }
}

fn put(body: &Value) -> Device {
    let draft = draft(&device_id("d1"), body.to_string().as_bytes()).unwrap();
    let mut keys = || SymmetricKey::from_bytes(vec![9; 32]).unwrap();
    rules(&draft, None, &mut keys, CREATED).unwrap()
}

/// `clients` §9 and `iot-hub` §2.4: what "generate the keys" looks like.
#[test]
fn keys_are_generated_for_every_client() {
    for body in [
        json!({"deviceId": "d1"}),
        json!({"deviceId": "d1", "authentication": {"type": "sas", "symmetricKey": {}}}),
        json!({
            "deviceId": "d1",
            "status": "Enabled",
            "statusReason": null,
            "authentication": {"symmetricKey": {"primaryKey": "", "secondaryKey": ""}},
        }),
        json!({
            "deviceId": "d1",
            "etag": "x",
            "connectionState": "Disconnected",
            "authentication": {
                "type": "SAS",
                "symmetricKey": {"primaryKey": null, "secondaryKey": null},
                "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null},
            },
            "capabilities": {"iotEdge": false},
        }),
    ] {
        let device = put(&body);
        let Authentication::Sas { primary, .. } = device.authentication else { panic!("{body}") };
        assert_eq!(primary.to_base64(), key(9).to_base64());
        assert_eq!(device.status, DeviceStatus::Enabled);
    }
}

#[test]
fn every_member_of_a_body_is_read() {
    let read = draft(
        &device_id("d1"),
        json!({
            "deviceId": "d1",
            "status": "disabled",
            "statusReason": "lost",
            "authentication": {
                "type": "selfSigned",
                "x509Thumbprint": {"primaryThumbprint": "ab", "secondaryThumbprint": "cd"},
            },
            "capabilities": {"iotEdge": true},
            "deviceScope": "ms-azure-iot-edge://p-1",
            "parentScopes": ["ms-azure-iot-edge://p-1"],
        })
        .to_string()
        .as_bytes(),
    )
    .unwrap();
    assert_eq!(read.named.as_deref(), Some("d1"));
    assert_eq!(read.status, Some(DeviceStatus::Disabled));
    assert_eq!(read.status_reason.as_deref(), Some("lost"));
    assert_eq!(read.iot_edge, Some(true));
    assert_eq!(read.device_scope.as_deref(), Some("ms-azure-iot-edge://p-1"));
    assert_eq!(read.parent_scopes.len(), 1);
    let authentication = read.authentication.unwrap();
    assert_eq!(authentication.kind, Some(AuthenticationKind::SelfSigned));
    assert_eq!(authentication.primary_thumbprint.as_deref(), Some("ab"));
    assert_eq!(authentication.secondary_thumbprint.as_deref(), Some("cd"));
}

#[test]
fn bad_bodies_are_refused() {
    for (body, code) in [
        ("", 400_006),
        ("[]", 400_006),
        (r#"{"status":7}"#, 400_006),
        (r#"{"status":"off"}"#, 400_004),
        (r#"{"authentication":{"type":"password"}}"#, 400_004),
    ] {
        let fault = draft(&device_id("d1"), body.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(wire(&fault).code, code, "{body}");
    }
}

/// Whatever is read can be sent back unchanged, and changes nothing but the version.
#[test]
fn what_get_gives_can_be_put_back() {
    let sha256 = Thumbprint::Sha256(Sha256([0xAB; 32]));
    let mut never = || -> SymmetricKey { panic!("no key is to be generated") };
    for authentication in [
        sas(),
        Authentication::SelfSigned { primary: None, secondary: Some(sha256) },
        Authentication::CertificateAuthority,
        Authentication::None,
    ] {
        let old = Device { status: DeviceStatus::Disabled, ..device(authentication) };
        let body = utf8_json(&json(&old, Presence::default(), Telling::Known));
        let draft = draft(&device_id("d1"), &body).unwrap();
        let new = rules(&draft, Some(&old), &mut never, CREATED).unwrap();
        assert_eq!(new.version, old.version + 1);
        let again = Device { version: old.version, ..new };
        assert_eq!(
            value(&utf8_json(&json(&again, Presence::default(), Telling::Known))),
            value(&body)
        );
    }
}

/// Node spells an item's etag as it read it; to miss it would be to overwrite unconditionally.
#[test]
fn an_items_etag_is_read_in_either_spelling() {
    for member in ["eTag", "etag"] {
        let body = json!([{"id": "d1", "importMode": "DeleteIfMatchETag", member: "\"NQ==\""}]);
        let items = bulk(body.to_string().as_bytes()).unwrap();
        let Ok(Operation::Delete(_, demand)) = &items[0].asked else { panic!("{items:?}") };
        assert_eq!(*demand, IfMatch::Etag(Etag::new("5")), "{member}");
    }
}
