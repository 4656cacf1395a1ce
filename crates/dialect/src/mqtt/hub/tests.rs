use ::hub::twin::Twin;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rest::error::hub;
use crate::samples::{NOW, TRACKING, device_id, text, value};

fn sign_in<'a>(client_id: &'a str, username: &'a str) -> SignIn<'a> {
    SignIn { client_id, username: Some(username), credential: Credential::Shown }
}

fn device(id: &str) -> Claim {
    Claim {
        host: HostName::parse("hub1.localhost").unwrap(),
        device_id: device_id(id),
        module_id: None,
        api_version: None,
        client_type: None,
        model_id: None,
    }
}

fn module(id: &str, module: &str) -> Claim {
    Claim { module_id: Some(device_id(module)), ..device(id) }
}

#[test]
fn user_names_of_every_sdk_are_read() {
    let check = |client_id: &str, rest: &str, version: Option<&str>, client_type: Option<&str>| {
        let username = format!("hub1.localhost/{client_id}{rest}");
        let claim = claim(sign_in(client_id, &username)).unwrap();
        assert_eq!(claim.host.as_str(), "hub1.localhost");
        assert_eq!(claim.device_id.as_str(), client_id);
        assert_eq!(claim.api_version.as_ref().map(ApiVersion::as_str), version, "{username}");
        assert_eq!(claim.client_type.as_deref(), client_type);
        claim.model_id
    };
    // Python, Node, C and C#, then older ones.
    check(
        "dev-sym-1",
        "/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0%28x%29",
        Some("2019-10-01"),
        Some("azure-iot-device-iothub-py/2.14.0(x)"),
    );
    check(
        "dev-1",
        "/?DeviceClientType=azure-iot-device%2F1.18.4%20(node)&api-version=2021-04-12",
        Some("2021-04-12"),
        Some("azure-iot-device/1.18.4 (node)"),
    );
    let model =
        check("d", "/?api-version=2020-09-30&model-id=dtmi%3aa%3b1", Some("2020-09-30"), None);
    assert_eq!(model.as_deref(), Some("dtmi:a;1"));
    check("d", "?api-version=2016-11-14", Some("2016-11-14"), None);
    check("d", "/api-version=2016-11-14", Some("2016-11-14"), None);
    check("d", "/", None, None);
    check("d", "", None, None);
    check("D:1.+%_#*?!(),=@$'-", "/?api-version=2021-04-12", Some("2021-04-12"), None);
    check("what?api-version=1", "/?api-version=2021-04-12", Some("2021-04-12"), None);
}

#[test]
fn a_module_signs_in_with_both_ids() {
    let username = "hub1.localhost:8883/edge-1/$edgeAgent/?api-version=2021-04-12";
    let claim = claim(sign_in("edge-1/$edgeAgent", username)).unwrap();
    assert_eq!(claim.host.as_str(), "hub1.localhost");
    assert_eq!(claim.device_id.as_str(), "edge-1");
    assert_eq!(claim.module_id, Some(device_id("$edgeAgent")));
}

#[test]
fn refusals_have_their_return_codes() {
    let check = |client_id: &str, username: Option<&str>, credential, code: u8| {
        let refusal = claim(SignIn { client_id, username, credential }).unwrap_err();
        assert_eq!(refusal.return_code(), code, "{client_id} {username:?}");
    };
    let good = "hub1.localhost/dev-1/?api-version=2021-04-12";
    check("dev-2", Some(good), Credential::Shown, 2);
    check("dev", Some(good), Credential::Shown, 2);
    check("dev-1/m", Some(good), Credential::Shown, 2);
    // Ids are compared with case.
    check("Dev-1", Some(good), Credential::Shown, 2);
    check("", Some(good), Credential::Shown, 2);
    check("d/m/x", Some("hub1.localhost/d/m/x/?api-version=2021-04-12"), Credential::Shown, 2);
    // A device can not sign in under a module's user name.
    check("dev-1", Some("hub1.localhost/dev-1/m/?api-version=2021-04-12"), Credential::Shown, 2);
    check("dev-1", Some("hub1.localhost/dev-1/m"), Credential::Shown, 2);
    check("dev-1", Some(good), Credential::Missing, 5);
    for unreadable in [
        None,
        Some(""),
        Some("hub1.localhost"),
        Some("/dev-1/?api-version=2021-04-12"),
        Some("hub 1/dev-1/?api-version=2021-04-12"),
        Some("hub1.localhost/dev-1/?api-version=latest"),
    ] {
        check("dev-1", unreadable, Credential::Shown, 4);
    }
}

fn bag(system: &[(&str, &str)], application: &[(&str, Option<&str>)]) -> Properties {
    let own = |text: &str| text.to_owned();
    Properties {
        system: system.iter().map(|(key, value)| (own(key), own(value))).collect(),
        application: application.iter().map(|(key, value)| (own(key), value.map(own))).collect(),
    }
}

/// The rows of `iot-hub` §7.4, and what SDKs sent in `clients` §5.
#[test]
fn property_bags_are_decoded() {
    let cases = [
        ("", bag(&[], &[])),
        ("/", bag(&[], &[])),
        ("//", bag(&[], &[])),
        ("a=1&b=2", bag(&[], &[("a", Some("1")), ("b", Some("2"))])),
        ("a=1&b=2/", bag(&[], &[("a", Some("1")), ("b", Some("2"))])),
        ("null&empty=", bag(&[], &[("null", None), ("empty", Some(""))])),
        ("a=1&a=2", bag(&[], &[("a", Some("1")), ("a", Some("2"))])),
        ("k%20%26=v%3Dw%2Fx+y", bag(&[], &[("k &", Some("v=w/x+y"))])),
        ("a=b=c", bag(&[], &[("a", Some("b=c"))])),
        ("bad=%zz&half=%4", bag(&[], &[("bad", Some("%zz")), ("half", Some("%4"))])),
        ("%FF=1", bag(&[], &[("%FF", Some("1"))])),
        ("=x", bag(&[], &[("", Some("x"))])),
        (
            "/%24.mid=mid-1&%24.cid=cid-1&%24.ct=application%2Fjson&%24.ce=utf-8&p=v%201",
            bag(
                &[
                    ("$.mid", "mid-1"),
                    ("$.cid", "cid-1"),
                    ("$.ct", "application/json"),
                    ("$.ce", "utf-8"),
                ],
                &[("p", Some("v 1"))],
            ),
        ),
        (
            "$.to=x&$.on&$x=1&iothub-ack=full",
            bag(&[("$.to", "x"), ("$.on", "")], &[("$x", Some("1")), ("iothub-ack", Some("full"))]),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(properties(text), expected, "{text}");
    }
}

#[test]
fn how_a_message_came_is_told_to_its_readers() {
    let mut properties = properties("a=1");
    properties.mark(Mark::Retain);
    properties.mark(Mark::Will);
    assert_eq!(
        properties,
        bag(
            &[],
            &[
                ("a", Some("1")),
                ("mqtt-retain", Some("true")),
                ("iothub-MessageType", Some("Will"))
            ]
        )
    );
}

#[test]
fn topics_are_read() {
    let telemetry = |properties| Operation::Telemetry(properties);
    let rid = || "1f2e".to_owned();
    let cases = [
        ("devices/dev-1/messages/events/", telemetry(bag(&[], &[]))),
        ("devices/dev-1/messages/events", telemetry(bag(&[], &[]))),
        ("devices/dev-1/messages/events//", telemetry(bag(&[], &[]))),
        ("devices/dev%2D1/messages/events/a=1/", telemetry(bag(&[], &[("a", Some("1"))]))),
        ("$iothub/twin/GET/?$rid=1f2e", Operation::TwinGet { rid: rid() }),
        ("$iothub/twin/GET/?$rid=", Operation::TwinGet { rid: String::new() }),
        ("$iothub/twin/PATCH/properties/reported/?$rid=1f2e", Operation::TwinReport { rid: rid() }),
        (
            "$iothub/twin/PATCH/properties/reported/?$rid=1f2e&$version=3",
            Operation::TwinReport { rid: rid() },
        ),
        (
            "$iothub/methods/res/200/?$rid=1f2e",
            Operation::MethodResponse { status: 200, rid: rid() },
        ),
        ("$iothub/methods/res/-7/?$rid=1f2e", Operation::MethodResponse { status: -7, rid: rid() }),
        ("$iothub/methods/res/x/?$rid=1", Operation::Unknown),
        ("$iothub/methods/res/99999999999/?$rid=1", Operation::Unknown),
        ("$iothub/twin/PATCH/properties/desired/?$rid=1", Operation::Unknown),
        ("$iothub/twin/res/200/?$rid=1", Operation::Unknown),
        ("devices/dev-1/messages/devicebound/", Operation::Unknown),
        ("devices/dev-1/messages/eventsx", Operation::Unknown),
        // Another device's, a module's, and one of another case.
        ("devices/dev-2/messages/events/", Operation::Unknown),
        ("devices/dev-1/modules/m/messages/events/", Operation::Unknown),
        ("devices/DEV-1/messages/events/", Operation::Unknown),
        ("devices/dev-1", Operation::Unknown),
        ("messages/events/", Operation::Unknown),
        ("", Operation::Unknown),
    ];
    for (topic, expected) in cases {
        assert_eq!(operation(topic, &device("dev-1")), expected, "{topic}");
    }
    let own = module("edge-1", "m1");
    assert_eq!(
        operation("devices/edge-1/modules/m1/messages/events/a", &own),
        telemetry(bag(&[], &[("a", None)]))
    );
    for other in ["devices/edge-1/messages/events/", "devices/edge-1/modules/m2/messages/events/"] {
        assert_eq!(operation(other, &own), Operation::Unknown, "{other}");
    }
}

#[test]
fn a_device_id_that_looks_encoded_is_itself() {
    let topic = "devices/a%2Db/messages/events/";
    assert!(matches!(operation(topic, &device("a%2Db")), Operation::Telemetry(_)));
    assert!(matches!(operation(topic, &device("a-b")), Operation::Telemetry(_)));
    assert_eq!(operation(topic, &device("a%252Db")), Operation::Unknown);
}

#[test]
fn filters_are_known_by_their_beginning() {
    let check = |filter: &str, claim: &Claim, expected: Option<Subscription>| {
        assert_eq!(subscription(filter, claim), expected, "{filter}");
        let code = expected.map_or(0x80, |_| 1);
        assert_eq!(grant(filter, 2, claim).return_code(), code);
    };
    let (own, inner) = (device("dev-1"), module("dev-1", "m1"));
    for claim in [&own, &inner] {
        check("$iothub/twin/res/#", claim, Some(Subscription::TwinResponses));
        check("$iothub/twin/res/+/x", claim, Some(Subscription::TwinResponses));
        check("$iothub/twin/PATCH/properties/desired/#", claim, Some(Subscription::DesiredChanges));
        check("$iothub/methods/POST/#", claim, Some(Subscription::Methods));
        check("$iothub/methods/POST", claim, Some(Subscription::Methods));
        for other in ["#", "$iothub/#", "$iothub/twin/#", "$iothub/twin/resx", "+/+/+", ""] {
            check(other, claim, None);
        }
    }
    check("devices/dev-1/messages/devicebound/#", &own, Some(Subscription::CloudToDevice));
    check("devices/dev-2/messages/devicebound/#", &own, None);
    check("devices/+/messages/devicebound/#", &own, None);
    check("devices/dev-1/modules/m1/messages/devicebound/#", &own, None);
    check("devices/dev-1/inputs/#", &own, None);
    check(
        "devices/dev-1/modules/m1/messages/devicebound/#",
        &inner,
        Some(Subscription::CloudToDevice),
    );
    check("devices/dev-1/modules/m1/inputs/#", &inner, Some(Subscription::Inputs));
    check("devices/dev-1/messages/devicebound/#", &inner, None);
    assert_eq!(grant("$iothub/twin/res/#", 0, &own), Grant::AtMostOnce);
}

#[test]
fn twin_answers_are_what_sdks_search_for() {
    let own = Twin::initial(Map::new(), json!({"site": "Zürich"}).as_object().unwrap(), NOW);
    let message = twin("7", &own);
    assert_eq!(message.topic, "$iothub/twin/res/200/?$rid=7");
    assert_eq!(
        text(&message.payload),
        r#"{"desired":{"$version":1,"site":"Z\u00fcrich"},"reported":{"$version":1}}"#
    );
    let message = report_taken("7", 2);
    assert_eq!(message.topic, "$iothub/twin/res/204/?$rid=7&$version=2");
    assert!(message.payload.is_empty());
    let message = twin_refusal("7", &hub(&ApiFault::Throttled { retry_after: 5 }), TRACKING, NOW);
    assert_eq!(message.topic, "$iothub/twin/res/429/?$rid=7");
    assert_eq!(value(&message.payload)["errorCode"], 429_001);
    assert_eq!(value(&message.payload)["trackingId"], TRACKING);
}

#[test]
fn reports_are_json_objects() {
    assert_eq!(
        reported(br#"{"a":{"b":null},"c":[1]}"#).map(Value::Object),
        Ok(json!({"a": {"b": null}, "c": [1]}))
    );
    for bad in [&b""[..], b" ", b"[]", b"7", b"null", b"{", b"{\"a\":1}x"] {
        let fault = reported(bad).unwrap_err();
        assert_eq!(hub(&fault).status, 400);
    }
}

#[test]
fn every_truncation_is_read_or_refused() {
    let topic = "devices/dev-1/messages/events/%24.mid=%C3%A4&k%20=v%2F&null&empty=";
    for at in 0..=topic.len() {
        let _ = operation(&topic[..at], &device("dev-1"));
        let _ = subscription(&topic[..at], &device("dev-1"));
        let _ = properties(&topic[at..]);
    }
    let username = "hub1.localhost/dev-1/?api-version=2021-04-12&DeviceClientType=%C3%A4";
    for at in 0..=username.len() {
        let _ = claim(sign_in("dev-1", &username[..at]));
    }
}

proptest! {
    #[test]
    fn bags_round_trip(
        pairs in prop::collection::vec((any::<String>(), any::<Option<String>>()), 0..8)
    ) {
        // A nameless pair without a value is no pair.
        let pairs: Vec<_> =
            pairs.into_iter().filter(|(key, value)| !key.is_empty() || value.is_some()).collect();
        let text: Vec<_> = pairs
            .iter()
            .map(|(key, value)| match value {
                Some(value) => format!("{}={}", percent::encoded(key), percent::encoded(value)),
                None => percent::encoded(key),
            })
            .collect();
        let found = properties(&text.join("&"));
        let (system, application): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(key, _)| key.starts_with("$."));
        prop_assert_eq!(found.application, application);
        let system: Vec<_> =
            system.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
        prop_assert_eq!(found.system, system);
    }

    #[test]
    fn no_topic_panics(topic in any::<String>(), bag in "[%$.=&/+a-f0-9ä]{0,60}") {
        let _ = operation(&topic, &device("dev-1"));
        let _ = operation(&format!("devices/dev-1/messages/events/{bag}"), &device("dev-1"));
        let _ = subscription(&topic, &module("dev-1", "m"));
    }

    #[test]
    fn no_user_name_panics(username in any::<String>(), client_id in any::<String>()) {
        let _ = claim(sign_in(&client_id, &username));
    }

    #[test]
    fn a_claim_is_the_client_id(
        rest in "h/[a-d/?=&$%-]{0,30}",
        client_id in "[a-d/?=$%-]{1,6}",
    ) {
        if let Ok(claim) = claim(sign_in(&client_id, &rest)) {
            let module = claim.module_id.map(|id| format!("/{id}")).unwrap_or_default();
            prop_assert_eq!(format!("{}{module}", claim.device_id), client_id);
        }
    }
}
