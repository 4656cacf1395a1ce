use super::*;
use crate::samples::{device_id, key, text, value};

fn call_of(body: &Request) -> Value {
    value(body.body.as_ref().unwrap())
}

fn device_json() -> Value {
    json!({
        "deviceId": "d 1", "generationId": "638", "etag": "NzI3ODk0ODYz",
        "connectionState": "Disconnected", "status": "enabled", "statusReason": null,
        "authentication": {"type": "sas", "symmetricKey": {
            "primaryKey": key(1).to_base64(), "secondaryKey": key(2).to_base64()},
            "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null}},
        "capabilities": {"iotEdge": true}, "deviceScope": "ms-azure-iot-edge://d-1",
    })
}

fn twin_json() -> Value {
    json!({
        "deviceId": "d 1", "etag": "AAAAAAAAAAE=", "version": 2, "tags": {"site": "a"},
        "properties": {
            "desired": {"rate": 5, "$metadata": {"$lastUpdated": "x"}, "$version": 1},
            "reported": {"y": 3, "$metadata": {"$lastUpdated": "x"}, "$version": 4},
        },
    })
}

fn read() -> Found {
    let identity = device(200, &utf8_json(&device_json())).unwrap().unwrap();
    found(identity, 200, &utf8_json(&twin_json())).unwrap().unwrap()
}

#[test]
fn an_identity_is_read_with_its_twin() {
    let found = read();
    assert_eq!(found.etag, "NzI3ODk0ODYz");
    assert!(found.has(Credential::Sas(&key(1), &key(2))));
    assert!(!found.has(Credential::Sas(&key(2), &key(1))));
    assert!(found.iot_edge && found.disabled.is_none());
    assert_eq!(json!(found.twin.tags), json!({"site": "a"}));
    assert_eq!(json!(found.twin.desired), json!({"rate": 5}));
    assert_eq!(json!(found.twin.reported), json!({"y": 3}));
    assert_eq!(found.twin.etag, "AAAAAAAAAAE=");
    let shown = format!("{found:?}");
    assert!(!shown.contains(&key(1).to_base64()), "{shown}");
}

#[test]
fn a_certificate_is_compared_in_any_case() {
    let thumbprint = Sha256([0xAB; 32]);
    let mut identity = device_json();
    identity["authentication"] = json!({"type": "selfSigned", "x509Thumbprint": {
        "primaryThumbprint": thumbprint.to_string().to_lowercase(),
        "secondaryThumbprint": thumbprint.to_string().to_uppercase()}});
    let identity = device(200, &utf8_json(&identity)).unwrap().unwrap();
    let found = found(identity, 200, &utf8_json(&twin_json())).unwrap().unwrap();
    assert!(found.has(Credential::SelfSigned(&thumbprint)));
}

#[test]
fn an_identity_is_made_with_its_twin_in_one_call() {
    let (a, b) = (key(1), key(2));
    let [tags, desired, reported] = [json!({"site": "a"}), json!({"rate": 5}), json!({"y": 3})]
        .map(|section| section.as_object().unwrap().clone());
    let twin = TwinContent { tags: &tags, desired: &desired, reported: Some(&reported) };
    let disabled = Disabled { reason: Some("lost".to_owned()) };
    let new = New {
        credential: Credential::Sas(&a, &b),
        iot_edge: false,
        disabled: Some(&disabled),
        twin,
    };
    let asked = request(&device_id("d-1"), &Call::Create(new));
    assert_eq!((asked.method, asked.path.as_str()), ("POST", "/devices?api-version=2021-04-12"));
    assert_eq!(
        call_of(&asked),
        json!([{
            "id": "d-1", "importMode": "create", "status": "disabled", "statusReason": "lost",
            "authentication": {"type": "sas", "symmetricKey": {
                "primaryKey": a.to_base64(), "secondaryKey": b.to_base64()}},
            "capabilities": {"iotEdge": false}, "tags": {"site": "a"},
            "properties": {"desired": {"rate": 5}, "reported": {"y": 3}},
        }])
    );
    // It is what a Muster's hub reads.
    let items = crate::rest::hub::bulk(asked.body.as_ref().unwrap()).unwrap();
    let Ok(crate::rest::hub::Operation::Put(_, _, twin)) = &items[0].asked else {
        panic!("{items:?}")
    };
    assert_eq!(twin.reported.as_ref(), Some(&reported));
}

#[test]
fn an_update_changes_what_the_device_shows_and_nothing_else() {
    let (found, a, b) = (read(), key(3), key(4));
    let call = Call::Update {
        found: &found,
        credential: Credential::Sas(&a, &b),
        iot_edge: true,
        disabled: None,
    };
    let asked = request(&device_id("d:1"), &call);
    assert_eq!(asked.path, "/devices/d%3A1?api-version=2021-04-12");
    assert_eq!(asked.if_match.as_deref(), Some("\"NzI3ODk0ODYz\""));
    let body = call_of(&asked);
    assert_eq!(body["authentication"]["symmetricKey"]["primaryKey"], a.to_base64());
    assert_eq!(
        (&body["status"], &body["deviceScope"]),
        (&json!("enabled"), &json!("ms-azure-iot-edge://d-1"))
    );
    assert!(body.get("generationId").is_none() && body.get("etag").is_none(), "{body}");
    let restore = |disabled| Call::Restore { found: &found, etag: "e2", disabled };
    let back = request(&device_id("d-1"), &restore(None));
    assert_eq!(back.if_match.as_deref(), Some("\"e2\""));
    assert_eq!(call_of(&back)["authentication"], device_json()["authentication"]);
    assert_eq!(call_of(&back)["status"], "enabled");
    let lost = Disabled { reason: Some("lost".to_owned()) };
    let back = call_of(&request(&device_id("d-1"), &restore(Some(&lost))));
    assert_eq!((&back["status"], &back["statusReason"]), (&json!("disabled"), &json!("lost")));
}

#[test]
fn a_twin_is_replaced_and_an_identity_removed_as_they_were_read() {
    let empty = Map::new();
    let call = Call::SetTwin { tags: &empty, desired: &empty, etag: "AAAAAAAAAAE=" };
    let asked = request(&device_id("d-1"), &call);
    assert_eq!((asked.method, asked.path.as_str()), ("PUT", "/twins/d-1?api-version=2021-04-12"));
    assert_eq!(asked.if_match.as_deref(), Some("\"AAAAAAAAAAE=\""));
    assert_eq!(call_of(&asked), json!({"tags": {}, "properties": {"desired": {}}}));
    let asked = request(&device_id("d-1"), &Call::Remove { etag: "e" });
    assert_eq!((asked.method, asked.body), ("DELETE", None));
}

fn told(status: u16, message: &str) -> Result<(), Miss> {
    let body = utf8_json(&json!({"Message": message, "ExceptionMessage": "Tracking ID:x"}));
    written(&Call::Remove { etag: "e" }, status, &body)
}

#[test]
fn l_13_every_refusal_has_its_kind() {
    assert_eq!(told(204, ""), Ok(()));
    assert!(matches!(
        told(401, "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"),
        Err(Miss::Unauthorized(text)) if text.contains("IotHubUnauthorizedAccess")
    ));
    assert_eq!(told(404, "ErrorCode:DeviceNotFound;d"), Err(Miss::Absent));
    assert!(matches!(told(404, "ErrorCode:IotHubNotFound;h"), Err(Miss::Refused(_))));
    assert_eq!(told(409, "ErrorCode:DeviceAlreadyExists;x"), Err(Miss::Exists));
    assert_eq!(told(412, "ErrorCode:PreconditionFailed;x"), Err(Miss::Changed));
    assert!(matches!(told(429, "ErrorCode:ThrottlingException;x"), Err(Miss::Busy(_))));
    assert!(matches!(told(503, "ErrorCode:ServerBusy;x"), Err(Miss::Busy(_))));
    assert!(matches!(told(403, "ErrorCode:IotHubQuotaExceeded;x"), Err(Miss::Refused(_))));
    assert!(matches!(written(&Call::Remove { etag: "e" }, 500, b"<html>"), Err(Miss::Busy(_))));
    let long = told(400, &"x".repeat(9000));
    assert!(matches!(long, Err(Miss::Refused(text)) if text.len() == TEXT_CHARS_MAX));
}

#[test]
fn a_bulk_tells_of_its_one_item() {
    let empty = Map::new();
    let own = key(1);
    let new = New {
        credential: Credential::Sas(&own, &own),
        iot_edge: false,
        disabled: None,
        twin: TwinContent { tags: &empty, desired: &empty, reported: None },
    };
    let create = Call::Create(new);
    let of = |status, body: &Value| written(&create, status, &utf8_json(body));
    let failed = |code: Value| {
        of(
            400,
            &json!({"isSuccessful": false, "errors": [
            {"deviceId": "d", "errorCode": code, "errorStatus": "why", "moduleId": null}]}),
        )
    };
    assert_eq!(of(200, &json!({"isSuccessful": true, "errors": [], "warnings": []})), Ok(()));
    assert_eq!(failed(json!("DeviceAlreadyExists")), Err(Miss::Exists));
    assert_eq!(failed(json!(409_001)), Err(Miss::Exists));
    assert!(matches!(failed(json!("ThrottlingException")), Err(Miss::Busy(_))));
    assert!(
        matches!(failed(json!("ArgumentInvalid")), Err(Miss::Refused(text)) if text.contains("why"))
    );
    assert!(matches!(of(200, &json!({})), Err(Miss::Refused(_))));
    assert!(matches!(of(401, &json!({"Message": "ErrorCode:x;y"})), Err(Miss::Unauthorized(_))));
}

#[test]
fn an_answer_that_is_no_identity_is_none() {
    assert!(matches!(device(200, b"[]"), Err(Miss::Refused(_))));
    assert!(matches!(device(200, b"{"), Err(Miss::Refused(_))));
    assert_eq!(device(404, b"{}"), Ok(None));
    let bare = Map::new();
    assert!(matches!(found(bare, 200, b"{}"), Err(Miss::Refused(_))));
    assert!(!text(&utf8_json(&device_json())).is_empty());
}
