//! Enrollments and their records, request by request.

use serde_json::{Value, json};

use super::{KEY, LOGIN, page, reply, run};
use crate::failure::Kind;
use crate::transport::{HostHeader, Trust};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn z_01_create_sends_what_az_sends() {
    let files = tempfile::tempdir().unwrap();
    let pem = file(&files, "leaf.pem", PEM.as_bytes());
    let words = [
        "iot",
        "dps",
        "enrollment",
        "create",
        "--login",
        LOGIN,
        "--enrollment-id",
        "disallow-002",
        "--attestation-type",
        "x509",
        "--certificate-path",
        &pem,
        "--provisioning-status",
        "disabled",
    ];
    let answer = json!({"registrationId": "disallow-002", "provisioningStatus": "disabled"});
    let ran = run(&words, vec![reply(200, &answer)]).await.ok();
    assert_eq!(ran.lines(), ["PUT /enrollments/disallow-002?api-version=2021-10-01"]);
    assert_eq!(ran.header(0, "if-match"), None);
    assert_eq!(
        ran.body(0),
        json!({
            "registrationId": "disallow-002",
            "attestation": {"type": "x509", "x509": {"clientCertificates":
                {"primary": {"certificate": PEM.trim_end()}}}},
            "capabilities": {"iotEdge": false},
            "initialTwin": {"tags": {}, "properties": {"desired": {}}},
            "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": true},
            "provisioningStatus": "disabled",
            "optionalDeviceInformation": {},
        })
    );
    assert_eq!(ran.out, "registrationId      disallow-002\nprovisioningStatus  disabled\n");
    let target = &ran.asked[0].0;
    assert_eq!((target.host.as_str(), target.port), ("dps.localhost", 443));
    assert_eq!(target.host_header, HostHeader::WithPort);
    let token = ran.header(0, "authorization").unwrap();
    assert!(token.starts_with("SharedAccessSignature sr=dps.localhost&sig="), "{token}");
    assert!(token.ends_with("&se=1893456000&skn=provisioningserviceowner"), "{token}");
}

#[tokio::test]
async fn by_name_the_service_is_found_through_the_administration() {
    let all = json!({"value": [
        {"name": "other", "properties": {"serviceOperationsHostName": "other.localhost"}},
        {"name": "my-dps", "properties": {"serviceOperationsHostName": "dps.localhost"}},
    ]});
    let keys = json!({"value": [
        {"keyName": "reader", "primaryKey": KEY, "rights": "EnrollmentRead"},
        {"keyName": "mine", "primaryKey": KEY, "rights": "ServiceConfig, EnrollmentWrite"},
    ]});
    let words = ["iot", "dps", "enrollment", "delete", "--dps-name", "my-dps", "--eid", "a:b"];
    let replies = vec![reply(200, &all), reply(200, &keys), reply(204, &Value::Null)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(
        ran.lines(),
        [
            "GET /muster/v1/dps?api-version=2026-11-01",
            "GET /muster/v1/dps/my-dps/listkeys?api-version=2026-11-01",
            "DELETE /enrollments/a%3Ab?api-version=2021-10-01",
        ]
    );
    assert_eq!(ran.header(2, "if-match"), Some("*"));
    assert!(ran.header(2, "authorization").unwrap().contains("sr=dps.localhost&"));
    assert!(ran.header(2, "authorization").unwrap().ends_with("&skn=mine"));
    let target = &ran.asked[2].0;
    assert_eq!((target.host.as_str(), target.port), ("dps.localhost", 8443));
    assert_eq!(target.address.as_deref(), Some("muster.localhost"));
    assert_eq!(target.trust, Trust::Only("/tmp/ca.pem".into()));
    assert_eq!(ran.out, "", "a deletion prints nothing");
}

#[tokio::test]
async fn z_02_update_reads_edits_and_writes_back() {
    let read = json!({
        "registrationId": "e",
        "attestation": {"type": "x509", "x509": {"clientCertificates":
            {"primary": {"info": {"serialNumber": "01"}}, "secondary": {"info": {"serialNumber": "02"}}}}},
        "registrationState": {"status": "assigned"},
        "createdDateTimeUtc": "2026-01-01T00:00:00Z",
        "lastUpdatedDateTimeUtc": "2026-01-01T00:00:00Z",
        "etag": "\"1\"",
        "provisioningStatus": "disabled",
    });
    let words = [
        "iot",
        "dps",
        "enrollment",
        "update",
        "-l",
        LOGIN,
        "--eid",
        "e",
        "--ps",
        "enabled",
        "--rc",
        "--device-id",
        "d",
    ];
    let ran = run(&words, vec![reply(200, &read), reply(200, &read)]).await.ok();
    assert_eq!(
        ran.lines(),
        ["GET /enrollments/e?api-version=2021-10-01", "PUT /enrollments/e?api-version=2021-10-01"]
    );
    assert_eq!(ran.header(1, "if-match"), Some("*"));
    assert_eq!(
        ran.body(1),
        json!({
            "registrationId": "e",
            "deviceId": "d",
            "attestation": {"type": "x509", "x509": {"clientCertificates":
                {"secondary": {"info": {"serialNumber": "02"}}}}},
            "etag": "\"1\"",
            "provisioningStatus": "enabled",
        })
    );
}

#[tokio::test]
async fn update_of_keys_starts_from_the_present_ones() {
    let read = json!({"registrationId": "e", "attestation": {"type": "symmetricKey"}});
    let keys = json!({"type": "symmetricKey",
        "symmetricKey": {"primaryKey": "old1", "secondaryKey": "old2"}});
    let words = [
        "iot",
        "dps",
        "enrollment",
        "update",
        "-l",
        LOGIN,
        "--eid",
        "e",
        "--pk",
        "new1",
        "--etag",
        "7",
    ];
    let ran = run(&words, vec![reply(200, &read), reply(200, &keys), reply(200, &read)]).await.ok();
    assert_eq!(ran.lines()[1], "POST /enrollments/e/attestationmechanism?api-version=2021-10-01");
    assert_eq!(ran.request(1).body, None);
    assert_eq!(ran.header(2, "if-match"), Some("\"7\""));
    assert_eq!(
        ran.body(2)["attestation"],
        json!({"type": "symmetricKey",
            "symmetricKey": {"primaryKey": "new1", "secondaryKey": "old2"}})
    );
}

#[tokio::test]
async fn z_06_a_list_is_paged_until_top() {
    let words = ["iot", "dps", "enrollment", "list", "-l", LOGIN, "--top", "3", "-o", "json"];
    let first = json!([{"registrationId": "a"}, {"registrationId": "b"}]);
    let second = json!([{"registrationId": "c"}, {"registrationId": "d"}]);
    let ran = run(&words, vec![page(&first, Some("T")), page(&second, Some("U"))]).await.ok();
    assert_eq!(ran.lines(), vec!["POST /enrollments/query?api-version=2021-10-01"; 2]);
    assert_eq!(ran.body(0), json!({"query": "SELECT *"}));
    assert_eq!(ran.header(0, "x-ms-max-item-count"), Some("3"));
    assert_eq!(ran.header(0, "x-ms-continuation"), None);
    assert_eq!(ran.header(1, "x-ms-max-item-count"), Some("1"));
    assert_eq!(ran.header(1, "x-ms-continuation"), Some("T"));
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        out,
        json!([{"registrationId": "a"}, {"registrationId": "b"}, {"registrationId": "c"}])
    );
}

#[tokio::test]
async fn a_groups_registrations_are_asked_without_a_body() {
    let words =
        ["iot", "dps", "enrollment-group", "registration", "list", "-l", LOGIN, "--gid", "g"];
    let records = json!([
        {"registrationId": "r1", "status": "assigned", "assignedHub": "hub1.localhost",
         "deviceId": "r1", "substatus": "initialAssignment", "lastUpdatedDateTimeUtc": "2026"},
        {"registrationId": "r2", "status": "failed", "errorMessage": "no hub"},
    ]);
    let ran = run(&words, vec![page(&records, None)]).await.ok();
    assert_eq!(ran.lines(), ["POST /registrations/g/query?api-version=2021-10-01"]);
    assert_eq!(ran.request(0).body, None);
    assert_eq!(
        ran.out,
        "\
Registration id  Status    Hub             Device id  Detail             Updated
---------------------------------------------------------------------------------
r1               assigned  hub1.localhost  r1         initialAssignment  2026
r2               failed                               no hub
"
    );
}

#[tokio::test]
async fn a_group_without_registrations_is_looked_for() {
    let words =
        ["iot", "dps", "enrollment-group", "registration", "list", "-l", LOGIN, "--gid", "nosuch"];
    let missing = json!({"errorCode": 404_201, "message": "Enrollment not found."});
    let ran = run(&words, vec![page(&json!([]), None), reply(404, &missing)]).await.ok();
    assert_eq!(ran.lines()[1], "GET /enrollmentGroups/nosuch?api-version=2021-10-01");
}

#[tokio::test]
async fn groups_attest_by_key_certificate_or_ca_name() {
    let files = tempfile::tempdir().unwrap();
    let der = file(&files, "int.cer", &[0x30, 0x82, 0xff, 0xfe]);
    for (given, attestation) in [
        (vec![], json!({"type": "symmetricKey", "symmetricKey": {}})),
        (
            vec!["--cp", &der],
            json!({"type": "x509", "x509": {"signingCertificates":
                {"primary": {"certificate": "MIL//g=="}}}}),
        ),
        (
            vec!["--cn", "root", "--scn", "root2"],
            json!({"type": "x509", "x509": {"caReferences":
                {"primary": "root", "secondary": "root2"}}}),
        ),
        (
            vec!["--cn", "maker", "--certifies", "endorsementKey"],
            json!({"type": "x509", "x509": {"caReferences": {"primary": "maker"},
                "certifies": "endorsementKey"}}),
        ),
    ] {
        let mut words = vec!["iot", "dps", "enrollment-group", "create", "-l", LOGIN, "--gid", "g"];
        words.extend(given);
        let ran = run(&words, vec![reply(200, &json!({}))]).await.ok();
        assert_eq!(ran.lines(), ["PUT /enrollmentGroups/g?api-version=2021-10-01"]);
        assert_eq!(ran.body(0)["enrollmentGroupId"], "g");
        assert_eq!(ran.body(0)["attestation"], attestation);
    }
}

#[tokio::test]
async fn a_group_changes_from_certificate_to_ca_name() {
    let read = json!({"enrollmentGroupId": "g", "attestation": {"type": "x509", "x509":
        {"signingCertificates": {"primary": {"info": {}}}, "caReferences": null}}});
    let words =
        ["iot", "dps", "enrollment-group", "update", "-l", LOGIN, "--gid", "g", "--cn", "root"];
    let ran = run(&words, vec![reply(200, &read), reply(200, &read)]).await.ok();
    assert_eq!(ran.body(1)["attestation"]["x509"], json!({"caReferences": {"primary": "root"}}));
}

#[tokio::test]
async fn z_04_and_other_contradictions_are_refused_here() {
    let enrollment = ["iot", "dps", "enrollment", "create", "-l", LOGIN, "--eid", "e"];
    for (given, told) in [
        (vec!["--at", "symmetricKey", "--ih", "h"], "--iot-hubs needs --allocation-policy"),
        (vec!["--at", "symmetricKey", "--ap", "static"], "static allocation wants one hub, 0"),
        (
            vec!["--at", "symmetricKey", "--ap", "static", "--ih", "a b"],
            "static allocation wants one hub, 2",
        ),
        (
            vec!["--at", "symmetricKey", "--ap", "custom", "--wh", "https://w"],
            "custom allocation wants a webhook",
        ),
        (vec!["--at", "x509"], "attestation type x509 wants --certificate-path"),
        (vec!["--at", "tpm"], "attestation type tpm wants --endorsement-key"),
        (vec!["--at", "tpm", "--ek", "E", "--pk", "K"], "symmetric keys do not go with"),
        (vec!["--at", "symmetricKey", "--tags", "[1]"], "--initial-twin-tags is JSON, but not"),
        (vec!["--at", "symmetricKey", "--props", "{a"], "--initial-twin-properties is neither"),
    ] {
        let words: Vec<&str> = enrollment.iter().copied().chain(given).collect();
        let ran = run(&words, Vec::new()).await;
        let (kind, text) = ran.failure();
        assert_eq!(kind, Kind::Usage, "{text}");
        assert!(text.contains(told), "{text}");
        assert!(ran.asked.is_empty());
    }
}

#[tokio::test]
async fn settings_reach_the_body() {
    let words = [
        "iot",
        "dps",
        "enrollment",
        "create",
        "-l",
        LOGIN,
        "--eid",
        "e",
        "--at",
        "symmetricKey",
        "--ap",
        "custom",
        "--wh",
        "https://w",
        "--av",
        "2021-10-01",
        "--ih",
        "h1",
        "h2",
        "--tags",
        r#"{"a":1}"#,
        "--props",
        r#"{"b":[2]}"#,
        "--rp",
        "reprovisionandresetdata",
        "--ee",
    ];
    let ran = run(&words, vec![reply(200, &json!({}))]).await.ok();
    let body = ran.body(0);
    assert_eq!(body["allocationPolicy"], "custom");
    assert_eq!(body["iotHubs"], json!(["h1", "h2"]));
    assert_eq!(
        body["customAllocationDefinition"],
        json!({"webhookUrl": "https://w", "apiVersion": "2021-10-01"})
    );
    assert_eq!(
        body["initialTwin"],
        json!({"tags": {"a": 1}, "properties": {"desired": {"b": [2]}}})
    );
    assert_eq!(
        body["reprovisionPolicy"],
        json!({"updateHubAssignment": true, "migrateDeviceData": false})
    );
    assert_eq!(body["capabilities"], json!({"iotEdge": true}));
}

#[tokio::test]
async fn keys_are_shown_when_asked() {
    let read = json!({"registrationId": "e", "attestation": {"type": "symmetricKey"}});
    let keys = json!({"type": "symmetricKey", "symmetricKey": {"primaryKey": "p"}});
    let words =
        ["iot", "dps", "enrollment", "show", "-l", LOGIN, "--eid", "e", "--keys", "-o", "json"];
    let ran = run(&words, vec![reply(200, &read), reply(200, &keys)]).await.ok();
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(out["attestation"], keys);
}

#[tokio::test]
async fn what_is_not_there_is_told_with_the_next_step() {
    let body =
        json!({"errorCode": 404201, "trackingId": "t-1", "message": "Enrollment not found."});
    let words = ["iot", "dps", "enrollment", "show", "-l", LOGIN, "--eid", "e"];
    let ran = run(&words, vec![reply(404, &body)]).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::NotFound);
    assert_eq!(
        text,
        "error: can not read enrollment 'e' at dps.localhost: Enrollment not found. (404201) \
         [tracking id t-1]\nhint: `muster iot dps enrollment list` shows what there is"
    );
    let ran = run(
        &["iot", "dps", "enrollment", "update", "-l", LOGIN, "--eid", "e", "--rc"],
        vec![reply(
            200,
            &json!({"attestation": {"type": "x509",
                "x509": {"clientCertificates": {"primary": {"info": {}}}}}}),
        )],
    )
    .await;
    assert!(ran.failure().1.contains("an entry can not be without any certificate"));
}

#[tokio::test]
async fn a_private_key_never_leaves() {
    let files = tempfile::tempdir().unwrap();
    let key = file(&files, "k.pem", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    let words = [
        "iot",
        "dps",
        "enrollment",
        "create",
        "-l",
        LOGIN,
        "--eid",
        "e",
        "--at",
        "x509",
        "--cp",
        &key,
    ];
    let ran = run(&words, Vec::new()).await;
    assert!(ran.failure().1.contains("holds a private key"));
    assert!(ran.asked.is_empty());
}
