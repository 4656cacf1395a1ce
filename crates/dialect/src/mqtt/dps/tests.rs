use proptest::prelude::*;
use provisioning::decide::Rejection;
use provisioning::enrollment::Mechanism;
use provisioning::explain::Disbelief;

use super::*;
use crate::mqtt::{Addressee, addressee};
use crate::rest::device;
use crate::rest::error::{ApiFault, DpsFault, dps};
use crate::samples::{NOW, OPERATION, TRACKING, id, text, value};

fn sign_in<'a>(client_id: &'a str, username: &'a str) -> SignIn<'a> {
    SignIn { client_id, username: Some(username), credential: Credential::Shown }
}

/// The user names of all SDKs, as `dps-device-api` §4.1 and `clients` §5 have them.
#[test]
fn user_names_of_every_sdk_are_read() {
    let python = "azure-iot-device-provisioning-py%2F2.14.0%28python%203.11%29";
    let check = |client_version: &str, expected: &str| {
        let username = format!(
            "0ne00ABCDEF/registrations/dev-sym-1/api-version=2019-03-31&ClientVersion={client_version}"
        );
        let claim = claim(sign_in("dev-sym-1", &username)).unwrap();
        assert_eq!(claim.id_scope.as_str(), "0ne00ABCDEF");
        assert_eq!(claim.registration_id.as_str(), "dev-sym-1");
        assert_eq!(claim.api_version.as_str(), "2019-03-31");
        assert_eq!(claim.client_version.as_deref(), Some(expected));
        claim.is_java()
    };
    assert!(!check(python, "azure-iot-device-provisioning-py/2.14.0(python 3.11)"));
    assert!(!check("azure-iot-provisioning-device%2F1.9.1", "azure-iot-provisioning-device/1.9.1"));
    assert!(!check("1.15.0", "1.15.0"));
    assert!(check("2019-03-31", "2019-03-31"));
    let csharp = "Microsoft.Azure.Devices.Provisioning.Client/1.19.0 (.NET 6; Linux; X64)";
    assert!(!check(csharp, csharp));
}

#[test]
fn user_names_may_differ_in_small_things() {
    for username in [
        "0ne00ABCDEF/registrations/Dev-1/api-version=2021-06-01",
        "0NE00abcdef/Registrations/dev-1/clientVersion=x&Api-Version=2021-06-01&other=1",
        "0ne00ABCDEF/registrations/dev%2D1/?api-version=2021-06-01",
    ] {
        let claim = claim(sign_in("dev-1", username)).unwrap();
        assert_eq!(claim.registration_id, id("dev-1"));
        assert_eq!(claim.id_scope, IdScope::parse("0ne00ABCDEF").unwrap());
    }
}

#[test]
fn refusals_have_their_return_codes() {
    let check = |client_id: &str, username: Option<&str>, credential, code: u8| {
        let refusal = claim(SignIn { client_id, username, credential }).unwrap_err();
        assert_eq!(refusal.return_code(), code, "{client_id} {username:?}");
    };
    let good = "0ne00ABCDEF/registrations/dev-1/api-version=2021-06-01";
    check("dev-2", Some(good), Credential::Shown, 2);
    check("", Some(good), Credential::Shown, 2);
    check("dev-1", Some(good), Credential::Missing, 5);
    for unreadable in [
        None,
        Some(""),
        Some("0ne00ABCDEF"),
        Some("0ne00ABCDEF/registrations/dev-1"),
        Some("0ne00ABCDEF/registrations/dev-1/"),
        Some("0ne00ABCDEF/registrations/dev-1/api-version="),
        Some("0ne00ABCDEF/registrations/dev-1/api-version=latest"),
        Some("0ne00ABCDEF/registrations//api-version=2021-06-01"),
        Some("0ne00ABCDEF/registrations/dev 1/api-version=2021-06-01"),
        Some("0ne00ABCDEF/devices/dev-1/api-version=2021-06-01"),
        Some("/registrations/dev-1/api-version=2021-06-01"),
        Some("0ne-00/registrations/dev-1/api-version=2021-06-01"),
    ] {
        check("dev-1", unreadable, Credential::Shown, 4);
    }
    assert_eq!(Refusal::ProtocolLevel.return_code(), 1);
    assert_eq!(Refusal::Unavailable.return_code(), 3);
}

#[test]
fn user_names_tell_whom_they_are_for() {
    let dps = |scope: &str| Some(Addressee::ProvisioningService { id_scope: scope.to_owned() });
    let hub = |host: &str| Some(Addressee::Hub { host: host.to_owned() });
    let cases = [
        ("0ne00ABCDEF/registrations/d/api-version=2019-03-31", dps("0ne00ABCDEF")),
        ("0ne00ABCDEF/Registrations/d", dps("0ne00ABCDEF")),
        ("hub1.localhost/registrations/?api-version=2019-10-01", hub("hub1.localhost")),
        ("hub1.localhost/dev-1/?api-version=2019-10-01", hub("hub1.localhost")),
        ("hub1.localhost/dev-1", hub("hub1.localhost")),
        ("anything", None),
        ("", None),
    ];
    for (username, expected) in cases {
        assert_eq!(addressee(username), expected, "{username}");
    }
}

fn register(rid: &str) -> Option<Operation> {
    Some(Operation::Register { rid: rid.to_owned() })
}

fn poll(rid: &str, operation_id: &str) -> Option<Operation> {
    Some(Operation::Poll { rid: rid.to_owned(), operation_id: operation_id.to_owned() })
}

#[test]
fn topics_of_every_sdk_are_read() {
    let put = "$dps/registrations/PUT/iotdps-register";
    let get = "$dps/registrations/GET/iotdps-get-operationstatus";
    let guid = "3226c2f7-3d30-425c-b83b-0c34335f8220";
    let cases = [
        (format!("{put}/?$rid=1"), register("1")),
        (format!("{put}/?$rid={guid}"), register(guid)),
        (format!("{put}/?%24rid=1"), register("1")),
        (format!("{put}/?$rid=a%20b"), register("a%20b")),
        (format!("{put}?$rid=1"), register("1")),
        // The dollar sign was forgotten: an empty id is echoed.
        (format!("{put}/?rid=1"), register("")),
        (format!("{put}/"), register("")),
        (put.to_owned(), register("")),
        (format!("{get}/?$rid=2&operationId={OPERATION}"), poll("2", OPERATION)),
        (format!("{get}/?operationId={OPERATION}&$rid=2"), poll("2", OPERATION)),
        (format!("{get}/?$rid=2&operationId=5%2E31"), poll("2", "5.31")),
        (format!("{get}/?$rid=2"), poll("2", "")),
        (format!("{get}x/?$rid=2"), None),
        (format!("{put}/x?$rid=2"), None),
        (format!("{put}/?$rid={}", "a".repeat(1025)), None),
        ("$dps/registrations/res/200/?$rid=1".to_owned(), None),
        ("$dps/registrations/PUT/".to_owned(), None),
        ("devices/dev-1/messages/events/".to_owned(), None),
        (String::new(), None),
    ];
    for (topic, expected) in cases {
        assert_eq!(operation(&topic), expected, "{topic}");
    }
}

/// The vectors of `dps-device-api` §11.5.
#[test]
fn response_topics_are_what_sdks_search_for() {
    let guid = "3226c2f7-3d30-425c-b83b-0c34335f8220";
    let cases = [
        (202, "1", Some(3), "$dps/registrations/res/202/?$rid=1&retry-after=3"),
        (429, "1", None, "$dps/registrations/res/429/?$rid=1"),
        (401, guid, None, "$dps/registrations/res/401/?$rid=3226c2f7-3d30-425c-b83b-0c34335f8220"),
        (200, "3", None, "$dps/registrations/res/200/?$rid=3"),
        // Observed for a device that had left the dollar sign out.
        (202, "", Some(3), "$dps/registrations/res/202/?$rid=&retry-after=3"),
    ];
    for (status, rid, retry_after, topic) in cases {
        assert_eq!(response_topic(status, rid, retry_after), topic);
    }
}

#[test]
fn one_filter_is_granted_at_qos_1_at_the_most() {
    assert_eq!(grant("$dps/registrations/res/#", 0).return_code(), 0);
    assert_eq!(grant("$dps/registrations/res/#", 1).return_code(), 1);
    assert_eq!(grant("$dps/registrations/res/#", 2).return_code(), 1);
    for other in ["#", "$dps/#", "$dps/registrations/#", "$dps/registrations/res/+/#", "+/+", ""] {
        assert_eq!(grant(other, 1).return_code(), 0x80, "{other}");
    }
}

#[test]
fn an_accepted_registration_is_answered_with_202_and_a_wait() {
    let message = response("1", device::accepted(OPERATION));
    assert_eq!(message.topic, "$dps/registrations/res/202/?$rid=1&retry-after=2");
    assert_eq!(
        text(&message.payload),
        format!(r#"{{"operationId":"{OPERATION}","status":"assigning"}}"#)
    );
}

#[test]
fn a_stranger_is_answered_with_401_and_json() {
    let rejection = Rejection::Stranger { because: Disbelief::Signature };
    let error = dps(DpsFault::Rejected(&rejection, Some(Mechanism::SymmetricKey)));
    let message = refusal("7", &error, TRACKING, NOW);
    assert_eq!(message.topic, "$dps/registrations/res/401/?$rid=7");
    assert_eq!(
        value(&message.payload),
        serde_json::json!({
            "errorCode": 401_000,
            "trackingId": TRACKING,
            "message": "Unauthorized",
            "timestampUtc": "2030-01-01T00:00:00.0000000Z",
        })
    );
}

#[test]
fn throttling_carries_its_wait_in_the_topic() {
    let error = dps(&ApiFault::Throttled { retry_after: 5 });
    let message = refusal("7", &error, TRACKING, NOW);
    assert_eq!(message.topic, "$dps/registrations/res/429/?$rid=7&retry-after=5");
    assert_eq!(value(&message.payload)["errorCode"], 429_001);
}

#[test]
fn every_truncation_of_a_topic_or_user_name_is_read_or_refused() {
    let topic = format!(
        "$dps/registrations/GET/iotdps-get-operationstatus/?%24rid=2&operationId={OPERATION}"
    );
    let username = "0ne00ABCDEF/registrations/dev-1/api-version=2021-06-01&ClientVersion=%C3%A4";
    for at in 0..=topic.len() {
        let _ = operation(&topic[..at]);
    }
    for at in 0..=username.len() {
        let _ = claim(sign_in("dev-1", &username[..at]));
    }
}

proptest! {
    #[test]
    fn no_user_name_panics(username in any::<String>(), client_id in any::<String>()) {
        let _ = claim(sign_in(&client_id, &username));
        let _ = addressee(&username);
    }

    #[test]
    fn a_claim_is_the_client_id(
        rest in "[0-9a-z]{0,4}/registrations/[A-Za-z0-9._:-]{1,9}/[a-z=&%0-9-]{0,40}",
        client_id in "[A-Za-z0-9._:-]{1,9}",
    ) {
        if let Ok(claim) = claim(sign_in(&client_id, &rest)) {
            prop_assert_eq!(claim.registration_id, id(&client_id));
        }
    }

    #[test]
    fn user_names_round_trip(
        name in "[A-Za-z0-9][A-Za-z0-9._:-]{0,20}[A-Za-z0-9]",
        version in any::<String>(),
    ) {
        let encoded = percent::encoded(&version);
        let username = format!(
            "0ne00ABCDEF/registrations/{name}/api-version=2021-10-01&ClientVersion={encoded}"
        );
        let claim = claim(sign_in(&name, &username)).unwrap();
        prop_assert_eq!(claim.registration_id.as_str(), name);
        prop_assert_eq!(claim.client_version, Some(version));
    }

    #[test]
    fn no_topic_panics(
        topic in any::<String>(),
        query in r"\$dps/registrations/(PUT|GET)/iotdps-[a-z-]{1,22}/\?[$%a-zA-Z0-9=&+]{0,60}",
    ) {
        let _ = operation(&topic);
        let _ = operation(&query);
    }

    #[test]
    fn request_ids_are_echoed_byte_for_byte(rid in "[!-%'-.0-~]{0,40}") {
        let topic = format!("$dps/registrations/PUT/iotdps-register/?$rid={rid}");
        let found = operation(&topic).unwrap();
        prop_assert_eq!(found.rid(), rid);
    }
}
