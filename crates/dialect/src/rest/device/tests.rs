use attestation::SymmetricKey;
use provisioning::enrollment::EntryId;
use provisioning::registration::TpmRegistration;
use serde_json::json;

use super::*;
use crate::rest::error::dps;
use crate::samples::{
    ENDORSEMENT_KEY, OPERATION, certificate, group_entry, id, individual_entry, issued, record,
    text, value,
};

fn address() -> Address {
    Address { id_scope: IdScope::parse("0ne00ABCDEF").unwrap(), registration_id: id("dev-1") }
}

fn preview() -> ApiVersion {
    ApiVersion::parse("2025-07-01-preview").unwrap()
}

#[test]
fn routes_are_read() {
    let base = "/0ne00ABCDEF/registrations/dev-1";
    let cases = [
        ("PUT", format!("{base}/register"), Ok(Route::Register(address()))),
        ("PUT", format!("{base}/Register/"), Ok(Route::Register(address()))),
        ("PUT", format!("{base}/register?api-version=2019-03-31"), Ok(Route::Register(address()))),
        (
            "PUT",
            "/0ne00abcdef/registrations/DEV%2d1/register".into(),
            Ok(Route::Register(address())),
        ),
        (
            "GET",
            format!("{base}/operations/{OPERATION}"),
            Ok(Route::Poll(address(), OPERATION.to_owned())),
        ),
        ("GET", format!("{base}/operations/a%2Fb"), Ok(Route::Poll(address(), "a/b".to_owned()))),
        ("POST", base.to_owned(), Ok(Route::Lookup(address()))),
        ("GET", base.to_owned(), Err(405)),
        ("POST", format!("{base}/register"), Err(405)),
        ("PUT", format!("{base}/operations/{OPERATION}"), Err(405)),
        ("GET", format!("{base}/operations"), Err(404)),
        ("PUT", format!("{base}/other"), Err(404)),
        ("PUT", "/0ne00ABCDEF/registrations".into(), Err(404)),
        ("PUT", "/0ne00ABCDEF/devices/dev-1/register".into(), Err(404)),
        ("GET", "/".into(), Err(404)),
        ("GET", String::new(), Err(404)),
        ("PUT", "/0ne00ABCDEF/registrations/dev%201/register".into(), Err(400)),
        ("PUT", "/0ne.00/registrations/dev-1/register".into(), Err(400)),
    ];
    for (method, path, expected) in cases {
        let found = route(method, &path).map_err(|fault| dps(&fault).status);
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn register_bodies_of_every_sdk_are_read() {
    let check = |body: &str, payload: Option<Value>| {
        let found = register_body(&id("dev-1"), &preview(), body.as_bytes()).unwrap();
        assert_eq!(found, RegisterBody { payload, tpm: None, csr: None }, "{body}");
    };
    // C#, Node's poll, C and Node, Python, Java, C# with a payload.
    check("", None);
    check(" ", None);
    check(r#"{"registrationId":"dev-1"}"#, None);
    check(r#"{"payload": null, "registrationId": "dev-1"}"#, None);
    check(r#"{"registrationId":"DEV-1","payload":"{\"a\":1}"}"#, Some(json!("{\"a\":1}")));
    check(r#"{"payload":{"a":[1]}}"#, Some(json!({"a": [1]})));
    check(r#"{"payload":7,"unknown":{"x":1}}"#, Some(json!(7)));
    check("{}", None);
    check(r#"{"registrationId":null}"#, None);
}

#[test]
fn a_tpm_is_read_with_the_body() {
    let body =
        br#"{"registrationId":"dev-1","tpm":{"endorsementKey":"AToA","storageRootKey":"ARoA"}}"#;
    let tpm = register_body(&id("dev-1"), &preview(), body).unwrap().tpm.unwrap();
    assert_eq!(tpm.endorsement_key, "AToA");
    assert_eq!(tpm.storage_root_key.as_deref(), Some("ARoA"));
}

#[test]
fn the_keys_of_a_tpm_are_both_there_and_both_keys() {
    let keys = |endorsement_key: &str, storage_root_key: Option<&str>| {
        let body = TpmBody {
            endorsement_key: endorsement_key.to_owned(),
            storage_root_key: storage_root_key.map(str::to_owned),
            endorsement_certificates: None,
        };
        body.keys().map(|_| ()).map_err(|fault| {
            let error = dps(&fault);
            (error.status, error.message)
        })
    };
    // Any storage key will do as a storage root key.
    assert_eq!(keys(ENDORSEMENT_KEY, Some(ENDORSEMENT_KEY)), Ok(()));
    for (endorsement_key, storage_root_key, named) in [
        ("AToA", Some(ENDORSEMENT_KEY), "tpm.endorsementKey is cut short"),
        (ENDORSEMENT_KEY, Some("?"), "tpm.storageRootKey is not base64"),
        (ENDORSEMENT_KEY, None, "tpm.storageRootKey"),
    ] {
        let (status, message) = keys(endorsement_key, storage_root_key).unwrap_err();
        assert_eq!(status, 400);
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn endorsement_certificates_are_read_where_they_are_shown() {
    let shown = |certificates: Value| {
        let tpm = json!({"endorsementKey": "AToA", "endorsementCertificates": certificates});
        let body = serde_json::to_vec(&json!({ "tpm": tpm })).unwrap();
        let tpm = register_body(&id("dev-1"), &preview(), &body).unwrap().tpm.unwrap();
        tpm.certificates().map_err(|fault| dps(&fault).message)
    };
    assert_eq!(shown(Value::Null).unwrap(), []);
    assert_eq!(shown(json!([])).unwrap(), []);
    let (leaf, _) = certificate("tpm");
    let text = STANDARD.encode(leaf.der());
    assert_eq!(shown(json!([text, text])).unwrap(), [leaf.clone(), leaf.clone()]);
    let cut = STANDARD.encode(&leaf.der()[..leaf.der().len() - 1]);
    for (bad, named) in [
        (json!(["?"]), "tpm.endorsementCertificates are not base64"),
        (json!([text, ""]), "tpm.endorsementCertificates"),
        (json!([cut]), "tpm.endorsementCertificates"),
        (json!(vec![text; 17]), "tpm.endorsementCertificates are more than 16"),
    ] {
        let message = shown(bad).unwrap_err();
        assert!(message.contains(named), "{message}");
    }
}

const CSR: &str = include_str!("csr.txt");

fn said(fault: &ApiFault) -> String {
    let error = dps(fault);
    format!("{} {}", error.code, error.message)
}

#[test]
fn a_12_a_signing_request_is_read_since_the_version_that_has_it() {
    let body = json!({"registrationId": "dev-1", "csr": CSR.trim()}).to_string();
    let read = |version: &str| {
        let version = ApiVersion::parse(version).unwrap();
        register_body(&id("dev-1"), &version, body.as_bytes()).unwrap().csr
    };
    let csr = read("2025-07-01-preview").unwrap();
    assert_eq!((csr.common_name(), csr.verify()), (Ok("dev-1"), Ok(())));
    assert!(read("2026-11-01").is_some());
    assert_eq!(read("2021-10-01"), None, "a member that nobody knows");
}

#[test]
fn a_12_a_bad_signing_request_is_400_and_says_what_is_wrong() {
    let told = |csr: &str| {
        let body = json!({"csr": csr}).to_string();
        said(&register_body(&id("dev-1"), &preview(), body.as_bytes()).unwrap_err())
    };
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{CSR}-----END");
    assert_eq!(told(&pem), "400004 csr: is not base64 of DER, without PEM's lines");
    let frame = "400004 csr: is not a PKCS #10 certificate signing request: its frame is malformed";
    for bad in ["", "AAAA", "MAA=", &CSR[..200]] {
        assert_eq!(told(bad), frame, "{bad:.8}");
    }
    assert_eq!(told(&"A".repeat(12_000)), "400004 csr: is longer than 8192 bytes");
    let body = br#"{"csr": 7}"#;
    let fault = register_body(&id("dev-1"), &preview(), body).unwrap_err();
    assert!(said(&fault).starts_with("400000 "), "{fault:?}");
}

#[test]
fn a_12_a_look_up_takes_no_signing_request_and_tells_no_chain() {
    let body = json!({"csr": CSR.trim()}).to_string();
    let read = |version: &str, body: &str| {
        let version = ApiVersion::parse(version).unwrap();
        lookup_body(&id("dev-1"), &version, body.as_bytes()).map_err(|fault| dps(&fault).status)
    };
    assert_eq!(read("2025-07-01-preview", &body), Err(400));
    assert_eq!(read("2021-10-01", &body), Ok(()));
    assert_eq!(read("2025-07-01-preview", "{}"), Ok(()));
    assert_eq!(read("2025-07-01-preview", r#"{"registrationId": "other"}"#), Err(400));

    let mut record =
        record(RegistrationStatus::Assigned, individual_entry(), Mechanism::SymmetricKey);
    record.issued = Some(issued());
    let shown = Shown::AsStored;
    let state = |answer: Answer| value(&answer.body);
    let polled = state(polled(&record, OPERATION, &id("dev-1"), shown));
    let chain = polled["registrationState"]["issuedCertificateChain"].as_array().unwrap().clone();
    let expected: Vec<_> = issued()
        .chain
        .iter()
        .map(|certificate| json!(STANDARD.encode(certificate.der())))
        .collect();
    assert_eq!(chain.len(), expected.len());
    let found = state(looked_up(&record, &id("dev-1"), shown));
    assert_eq!(found["issuedCertificateChain"], Value::Null);
}

#[test]
fn a_12_a_refused_device_is_told_no_chain() {
    for (status, shown) in [
        (RegistrationStatus::Failed, Shown::AsStored),
        (RegistrationStatus::Assigned, Shown::AsDisabled),
        (RegistrationStatus::Assigning, Shown::AsStored),
    ] {
        let mut record = record(status, individual_entry(), Mechanism::SymmetricKey);
        record.issued = Some(issued());
        let told = value(&polled(&record, OPERATION, &id("dev-1"), shown).body);
        assert_eq!(told["registrationState"]["issuedCertificateChain"], Value::Null, "{status:?}");
    }
}

/// C wants `authenticationKey` and `keyName`, Node a 401, and nobody a `status`.
#[test]
fn a_challenge_is_401_with_a_key() {
    let answer = challenged(&[0, 54, 255]);
    assert_eq!((answer.status, answer.retry_after), (401, None));
    assert_eq!(
        text(&answer.body),
        r#"{"message":"Authorization required.","authenticationKey":"ADb/","keyName":"registration"}"#
    );
}

#[test]
fn an_assigned_tpm_gets_its_hub_key_and_a_refused_one_does_not() {
    let told = |status, shown| {
        let challenge_key = SymmetricKey::from_bytes(vec![7; 32]).unwrap();
        let authentication_key = Some("ADb/".to_owned());
        let mut record = record(status, individual_entry(), Mechanism::Tpm);
        record.tpm = Some(TpmRegistration {
            endorsement_key: attestation::sha256(b"name"),
            challenge_key,
            authentication_key,
        });
        value(&polled(&record, OPERATION, &id("dev-1"), shown).body)["registrationState"]["tpm"]
            .take()
    };
    assert_eq!(
        told(RegistrationStatus::Assigned, Shown::AsStored),
        json!({"authenticationKey": "ADb/"})
    );
    assert_eq!(told(RegistrationStatus::Assigned, Shown::AsDisabled), Value::Null);
    assert_eq!(told(RegistrationStatus::Failed, Shown::AsStored), Value::Null);
}

#[test]
fn bad_register_bodies_are_refused_with_400() {
    let deep = format!("{{\"payload\":{}{}}}", "[".repeat(40), "]".repeat(40));
    let cases = [
        (r#"{"registrationId":"dev-2"}"#, 400_000),
        (r#"{"registrationId":""}"#, 400_000),
        (r#"{"registrationId":7}"#, 400_000),
        ("{", 400_000),
        ("[]", 400_000),
        ("\u{1}", 400_000),
        (deep.as_str(), 400_000),
    ];
    for (body, code) in cases {
        let fault = register_body(&id("dev-1"), &preview(), body.as_bytes()).unwrap_err();
        let error = dps(&fault);
        assert_eq!((error.status, error.code), (400, code), "{body}");
    }
}

fn polled_text(
    status: RegistrationStatus,
    entry: EntryId,
    mechanism: Mechanism,
    shown: Shown,
) -> (u16, Option<u32>, String) {
    let answer = polled(&record(status, entry, mechanism), OPERATION, &id("DEV-1"), shown);
    (answer.status, answer.retry_after, text(&answer.body))
}

/// The shapes of `dps-device-api` §11.7, in the order of members that was observed.
#[test]
fn polls_have_the_shapes_of_the_real_service() {
    let check = |status, entry, mechanism, expected: (u16, Option<u32>, &str)| {
        let (code, retry_after, body) = polled_text(status, entry, mechanism, Shown::AsStored);
        let state = body
            .strip_prefix(&format!(r#"{{"operationId":"{OPERATION}","status":"#))
            .unwrap_or_else(|| panic!("{body}"));
        assert_eq!((code, retry_after, state), expected);
    };
    let assigning =
        r#""assigning","registrationState":{"registrationId":"DEV-1","status":"assigning"}}"#;
    for status in [RegistrationStatus::Assigning, RegistrationStatus::Unassigned] {
        check(status, group_entry(), Mechanism::X509, (202, Some(2), assigning));
    }
    let tail = concat!(
        r#""registrationId":"DEV-1","createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","#,
        r#""assignedHub":"hub1.localhost","deviceId":"dev-1","status":"assigned","#,
        r#""substatus":"initialAssignment","#,
        r#""lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\""}}"#
    );
    for (entry, mechanism, head) in [
        (individual_entry(), Mechanism::SymmetricKey, ""),
        (individual_entry(), Mechanism::X509, r#""x509":{},"#),
        (individual_entry(), Mechanism::Tpm, ""),
        (
            group_entry(),
            Mechanism::SymmetricKey,
            r#""symmetricKey":{"enrollmentGroupId":"group-1"},"#,
        ),
        (group_entry(), Mechanism::X509, r#""x509":{"enrollmentGroupId":"group-1"},"#),
    ] {
        let body = format!(r#""assigned","registrationState":{{{head}{tail}"#);
        check(RegistrationStatus::Assigned, entry, mechanism, (200, None, &body));
    }
    let failed = concat!(
        r#""failed","registrationState":{"registrationId":"DEV-1","#,
        r#""createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","status":"failed","#,
        r#""errorCode":400207,"errorMessage":"Custom allocation failed with status code: 400","#,
        r#""lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\""}}"#
    );
    check(RegistrationStatus::Failed, group_entry(), Mechanism::X509, (200, None, failed));
    check(RegistrationStatus::Disabled, group_entry(), Mechanism::X509, (200, None, DISABLED));
}

const DISABLED: &str = concat!(
    r#""disabled","registrationState":{"registrationId":"DEV-1","#,
    r#""createdDateTimeUtc":"2022-07-05T21:27:16.8123235Z","status":"disabled","#,
    r#""lastUpdatedDateTimeUtc":"2030-01-01T00:00:00.0000000Z","etag":"\"e-1\""}}"#
);

#[test]
fn d_13_a_stored_assignment_is_not_handed_out_after_a_disable() {
    for status in [
        RegistrationStatus::Unassigned,
        RegistrationStatus::Assigning,
        RegistrationStatus::Assigned,
        RegistrationStatus::Failed,
        RegistrationStatus::Disabled,
    ] {
        let (code, retry_after, body) =
            polled_text(status, group_entry(), Mechanism::X509, Shown::AsDisabled);
        assert_eq!((code, retry_after), (200, None));
        assert!(body.ends_with(DISABLED), "{status:?} {body}");
    }
}

#[test]
fn d_10_a_refused_device_is_told_neither_hub_nor_device_id() {
    for status in [RegistrationStatus::Failed, RegistrationStatus::Disabled] {
        let record = record(status, group_entry(), Mechanism::SymmetricKey);
        assert!(record.assignment.is_some());
        for shown in [Shown::AsStored, Shown::AsDisabled] {
            for answer in [
                polled(&record, OPERATION, &id("dev-1"), shown),
                looked_up(&record, &id("dev-1"), shown),
            ] {
                let body = text(&answer.body);
                assert!(!body.contains("hub1") && !body.contains("deviceId"), "{body}");
            }
        }
    }
}

#[test]
fn the_group_that_is_told_is_the_owner() {
    let owned = record(RegistrationStatus::Assigned, group_entry(), Mechanism::X509);
    let by = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509).owner;
    let record = Registration { decided_by: by, ..owned };
    let answer = looked_up(&record, &id("dev-1"), Shown::AsStored);
    assert_eq!(value(&answer.body)["x509"], json!({"enrollmentGroupId": "group-1"}));
}

#[test]
fn a_look_up_is_not_wrapped() {
    let record = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
    let answer = looked_up(&record, &id("dev-1"), Shown::AsStored);
    assert_eq!((answer.status, answer.retry_after), (200, None));
    assert_eq!(value(&answer.body)["assignedHub"], "hub1.localhost");
    assert!(value(&answer.body).get("operationId").is_none());
}

#[test]
fn a_payload_is_an_object_or_absent() {
    let mut record = record(RegistrationStatus::Assigned, group_entry(), Mechanism::SymmetricKey);
    for (payload, expected) in [
        (Some(json!({"k": "grün"})), json!({"k": "grün"})),
        (Some(json!("text")), Value::Null),
        (Some(json!([1])), Value::Null),
        (None, Value::Null),
    ] {
        record.payload = payload;
        let answer = polled(&record, OPERATION, &id("dev-1"), Shown::AsStored);
        assert!(answer.body.is_ascii());
        assert_eq!(value(&answer.body)["registrationState"]["payload"], expected);
    }
}

#[test]
fn waiting_answers_carry_their_headers() {
    let accepted = accepted(OPERATION);
    assert_eq!((accepted.status, accepted.retry_after), (202, Some(RETRY_AFTER_S)));
    assert_eq!(
        accepted.headers("https://dps.localhost/x/register"),
        [
            ("Retry-After", "2".to_owned()),
            ("Location", "https://dps.localhost/x/register".to_owned()),
        ]
    );
    let record = record(RegistrationStatus::Assigned, individual_entry(), Mechanism::X509);
    let answer = polled(&record, OPERATION, &id("dev-1"), Shown::AsStored);
    assert!(answer.headers("https://dps.localhost/x").is_empty());
}

#[test]
fn java_takes_no_other_wait() {
    assert!((2..=5).contains(&RETRY_AFTER_S));
}
