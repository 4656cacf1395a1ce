//! Device identities of a hub.

use serde_json::{Value, json};

use super::{HUB_LOGIN, page, reply, run};
use crate::failure::Kind;

fn device() -> Value {
    json!({
        "deviceId": "d", "generationId": "637", "etag": "NzI3", "connectionState": "Disconnected",
        "status": "enabled", "statusReason": null, "connectionStateUpdatedTime": "0001",
        "statusUpdatedTime": "0001", "lastActivityTime": "0001", "cloudToDeviceMessageCount": 0,
        "authentication": {"type": "sas", "symmetricKey": {"primaryKey": "P", "secondaryKey": "S"},
            "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null}},
        "capabilities": {"iotEdge": false},
    })
}

async fn created(given: &[&str]) -> Value {
    let words = ["iot", "hub", "device-identity", "create", "-l", HUB_LOGIN, "-d", "d"];
    let ran = run(&[&words, given].concat(), vec![reply(200, &device())]).await.ok();
    assert_eq!(ran.lines(), ["PUT /devices/d?api-version=2021-04-12"]);
    assert_eq!(ran.header(0, "if-match"), None);
    ran.body(0)
}

#[tokio::test]
async fn devices_are_created_by_each_method() {
    assert_eq!(
        created(&[]).await,
        json!({"deviceId": "d", "status": "enabled", "capabilities": {"iotEdge": false},
            "authentication": {"type": "sas", "symmetricKey": {}}})
    );
    let body = created(&["--pk", "P", "--sk", "S", "--status", "disabled", "--star", "why"]).await;
    assert_eq!(
        body["authentication"]["symmetricKey"],
        json!({"primaryKey": "P", "secondaryKey": "S"})
    );
    assert_eq!((&body["status"], &body["statusReason"]), (&json!("disabled"), &json!("why")));
    let body = created(&["--am", "x509_thumbprint", "--ptp", "AB"]).await;
    assert_eq!(
        body["authentication"],
        json!({"type": "selfSigned",
            "x509Thumbprint": {"primaryThumbprint": "AB", "secondaryThumbprint": null}})
    );
    let body = created(&["--am", "x509_ca"]).await;
    assert_eq!(body["authentication"], json!({"type": "certificateAuthority"}));
}

#[tokio::test]
async fn a_self_signed_certificate_is_made_for_a_thumbprint() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let body = created(&["--am", "x509_thumbprint", "--valid-days", "10", "--od", out]).await;
    let thumbprint = body["authentication"]["x509Thumbprint"]["primaryThumbprint"].as_str();
    assert_eq!(thumbprint.unwrap().len(), 64);
    assert!(dir.path().join("d-cert.pem").exists());
    assert!(dir.path().join("d-cert.key.pem").exists());
}

#[tokio::test]
async fn status_and_set_disable_a_device_alike() {
    for given in [["--set", "status=disabled"], ["--status", "disabled"]] {
        let words = ["iot", "hub", "device-identity", "update", "-l", HUB_LOGIN, "-d", "d"];
        let replies = vec![reply(200, &device()), reply(200, &device())];
        let ran = run(&[&words[..], &given].concat(), replies).await.ok();
        assert_eq!(
            ran.lines(),
            ["GET /devices/d?api-version=2021-04-12", "PUT /devices/d?api-version=2021-04-12"]
        );
        assert_eq!(ran.header(1, "if-match"), Some("*"));
        let mut expected = device();
        for served in [
            "generationId",
            "connectionState",
            "connectionStateUpdatedTime",
            "statusUpdatedTime",
            "lastActivityTime",
            "cloudToDeviceMessageCount",
        ] {
            expected.as_object_mut().unwrap().remove(served);
        }
        expected["status"] = json!("disabled");
        assert_eq!(ran.body(1), expected);
    }
}

#[tokio::test]
async fn keys_are_renewed_and_swapped() {
    let words = ["iot", "hub", "device-identity", "renew-key", "-l", HUB_LOGIN, "-d", "d", "--kt"];
    let replies = || vec![reply(200, &device()), reply(200, &device())];
    let ran = run(&[&words[..], &["swap"]].concat(), replies()).await.ok();
    let keys = &ran.body(1)["authentication"]["symmetricKey"];
    assert_eq!(keys, &json!({"primaryKey": "S", "secondaryKey": "P"}));
    let ran = run(&[&words[..], &["primary"]].concat(), replies()).await.ok();
    let keys = &ran.body(1)["authentication"]["symmetricKey"];
    assert_eq!(keys["secondaryKey"], "S");
    assert_eq!(keys["primaryKey"].as_str().unwrap().len(), 44);
}

#[tokio::test]
async fn what_was_renewed_is_told_though_a_later_device_is_not_there() {
    let words = ["iot", "hub", "device-identity", "renew-key", "-l", HUB_LOGIN, "-d", "a", "b"];
    let words = [&words[..], &["--kt", "primary", "-o", "json"]].concat();
    let replies = vec![reply(200, &device()), reply(200, &device()), reply(404, &json!({}))];
    let ran = run(&words, replies).await;
    assert_eq!(ran.failure().0, Kind::NotFound);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), json!([device()]));
    let several = [&words[..], &["--etag", "T"]].concat();
    assert_eq!(run(&several, Vec::new()).await.failure().0, Kind::Usage);
}

#[tokio::test]
async fn one_key_is_changed_and_the_other_stays() {
    let words =
        ["iot", "hub", "device-identity", "update", "-l", HUB_LOGIN, "-d", "d", "--sk", "N"];
    let ran = run(&words, vec![reply(200, &device()), reply(200, &device())]).await.ok();
    let keys = &ran.body(1)["authentication"]["symmetricKey"];
    assert_eq!(keys, &json!({"primaryKey": "P", "secondaryKey": "N"}));
}

#[tokio::test]
async fn s_62_delete_prints_nothing_and_a_wrong_id_is_not_found() {
    let words =
        ["iot", "hub", "device-identity", "delete", "-l", HUB_LOGIN, "-d", "sensor-thl-002"];
    let ran = run(&words, vec![reply(204, &Value::Null)]).await.ok();
    assert_eq!(ran.lines(), ["DELETE /devices/sensor-thl-002?api-version=2021-04-12"]);
    assert_eq!(ran.header(0, "if-match"), Some("*"));
    assert_eq!(ran.out, "");
    let body = json!({"Message": "ErrorCode:DeviceNotFound;sensor-thl-002",
        "ExceptionMessage": "Tracking ID:0af3-G:12-TimeStamp:07/07/2021 20:45:26"});
    let ran = run(&words, vec![reply(404, &body)]).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::NotFound);
    assert!(text.contains("(DeviceNotFound) [tracking id 0af3]\nhint: `muster iot hub"), "{text}");
}

#[tokio::test]
async fn devices_are_listed_by_query_in_pages() {
    let words = ["iot", "hub", "device-identity", "list", "-l", HUB_LOGIN, "--ee"];
    let replies = vec![page(&json!([{"deviceId": "a"}]), Some("T")), page(&json!([]), None)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.lines(), vec!["POST /devices/query?api-version=2021-04-12"; 2]);
    assert_eq!(
        ran.body(0),
        json!({"query": "select * from devices where capabilities.iotEdge = true"})
    );
    assert_eq!(ran.header(0, "x-ms-max-item-count"), Some("1000"));
    assert_eq!(ran.header(1, "x-ms-continuation"), Some("T"));
}

#[tokio::test]
async fn a_devices_connection_string_is_its_own() {
    let words = [
        "iot",
        "hub",
        "device-identity",
        "connection-string",
        "show",
        "-l",
        HUB_LOGIN,
        "-d",
        "d",
        "--kt",
        "secondary",
    ];
    let ran = run(&words, vec![reply(200, &device())]).await.ok();
    assert_eq!(ran.out, "HostName=hub1.localhost;DeviceId=d;SharedAccessKey=S\n");
}
