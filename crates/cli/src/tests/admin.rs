//! Services as such: the administration API.

use serde_json::{Value, json};

use super::{HUB_LOGIN, KEY, LOGIN, reply, run, run_in};
use crate::failure::Kind;

fn one_dps() -> Value {
    json!({"value": [{"name": "dps1", "etag": "e1", "properties": {
        "idScope": "0ne00000001", "state": "Active", "allocationPolicy": "Hashed",
        "serviceOperationsHostName": "dps1.localhost",
        "deviceProvisioningHostName": "dps1.localhost"}}]})
}

#[tokio::test]
async fn without_a_server_the_next_step_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir, &["iot", "dps", "list"], Vec::new()).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::Failed);
    assert!(text.contains("no server is known here: there is no "), "{text}");
    assert!(text.contains("hint: start one with `muster serve`, or name its data"), "{text}");
    assert!(text.contains("--login"), "{text}");
}

#[tokio::test]
async fn a_wrong_name_lists_the_right_ones() {
    let words = ["iot", "dps", "enrollment", "list", "--dps-name", "dps2"];
    let ran = run(&words, vec![reply(200, &one_dps())]).await;
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::NotFound);
    assert!(text.ends_with("hint: this server has: dps1"), "{text}");
    let ran = run(&["iot", "hub", "show"], vec![reply(200, &json!({"value": []}))]).await;
    assert!(ran.failure().1.contains("hint: make one with `muster iot hub create --name NAME`"));
    let two = json!({"value": [{"name": "a", "properties": {}}, {"name": "b", "properties": {}}]});
    let ran = run(&["iot", "dps", "show"], vec![reply(200, &two)]).await;
    assert!(ran.failure().1.contains("hint: name one with --dps-name: a, b"));
}

#[tokio::test]
async fn the_only_service_needs_no_name() {
    let ran = run(&["iot", "dps", "show"], vec![reply(200, &one_dps())]).await.ok();
    assert_eq!(
        ran.out,
        "\
name                                   dps1
properties.idScope                     0ne00000001
properties.serviceOperationsHostName   dps1.localhost
properties.deviceProvisioningHostName  dps1.localhost
etag                                   e1
properties.allocationPolicy            Hashed
properties.state                       Active
"
    );
    let (target, _) = &ran.asked[0];
    assert_eq!((target.host.as_str(), target.port), ("muster.localhost", 8443));
    assert!(ran.header(0, "authorization").unwrap().contains("sr=muster.localhost&"));
}

#[tokio::test]
async fn a_query_takes_the_scope_out_of_the_answer() {
    let words = ["iot", "dps", "show", "--query", "properties.idScope", "--output", "tsv"];
    let ran = run(&words, vec![reply(200, &one_dps())]).await.ok();
    assert_eq!(ran.out, "0ne00000001\n");
    let words = ["iot", "dps", "list", "--query", "[].name", "-o", "YAML"];
    let ran = run(&words, vec![reply(200, &one_dps())]).await.ok();
    assert_eq!(ran.out, "- dps1\n");
}

#[tokio::test]
async fn a_service_is_created_and_deleted() {
    let words = ["iot", "dps", "create", "--name", "dps1", "-g", "rg", "-l", "here"];
    let ran = run(&words, vec![reply(200, &json!({"name": "dps1"}))]).await.ok();
    assert_eq!(ran.lines(), ["PUT /muster/v1/dps/dps1?api-version=2026-11-01"]);
    assert_eq!(ran.body(0), json!({"properties": {}}));
    let words = ["iot", "dps", "delete", "-n", "dps1", "--yes"];
    let ran = run(&words, vec![reply(200, &one_dps()), reply(204, &Value::Null)]).await.ok();
    assert_eq!(ran.lines()[1], "DELETE /muster/v1/dps/dps1?api-version=2026-11-01");
    assert_eq!(ran.out, "");
    let words = ["iot", "hub", "create", "-n", "hub1", "--host-name", "h.example"];
    let ran = run(&words, vec![reply(200, &json!({"name": "hub1"}))]).await.ok();
    assert_eq!(ran.lines(), ["PUT /muster/v1/hubs/hub1?api-version=2026-11-01"]);
    assert_eq!(ran.body(0), json!({"properties": {"hostName": "h.example"}}));
}

#[tokio::test]
async fn update_sets_a_property() {
    let words =
        ["iot", "dps", "update", "-n", "dps1", "--set", "properties.allocationPolicy=Static"];
    let ran = run(&words, vec![reply(200, &one_dps()), reply(200, &json!({}))]).await.ok();
    assert_eq!(ran.header(1, "if-match"), Some("\"e1\""));
    assert_eq!(
        ran.body(1),
        json!({"properties": {"allocationPolicy": "Static", "hostName": "dps1.localhost",
            "idScope": "0ne00000001"}})
    );
    let words =
        ["iot", "dps", "update", "-n", "dps1", "--set", "properties.allocationPolicy=Static"];
    let ran = run(&[&words[..], &["tags.site=a"]].concat(), vec![reply(200, &one_dps())]).await;
    let (kind, text) = ran.failure();
    assert_eq!((kind, ran.asked.len()), (Kind::Usage, 1), "nothing is changed by half");
    assert!(text.contains("hint: what can be is properties.serviceOperationsHostName"), "{text}");
}

#[tokio::test]
async fn s_30_limits_are_shown_with_their_use_and_set() {
    let limits = json!({"value": [
        {"name": "registrations", "limit": 1_000_000, "used": 3},
        {"name": "caCertificates", "limit": 25, "used": 0},
    ]});
    let words = ["iot", "dps", "show-limits", "-n", "dps1"];
    let replies = || vec![reply(200, &one_dps()), reply(200, &limits)];
    let ran = run(&words, replies()).await.ok();
    assert_eq!(ran.lines()[1], "GET /muster/v1/dps/dps1/limits?api-version=2026-11-01");
    assert_eq!(
        ran.out,
        "\
Name            Limit    Used
------------------------------
registrations   1000000  3
caCertificates  25       0
"
    );
    let ran = run(&[&words[..], &["-o", "json"]].concat(), replies()).await.ok();
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), limits["value"]);
    let mut present = one_dps();
    present["value"][0]["properties"]["quota"] = json!({"registrations": 10, "linkedHubs": 50});
    let words = ["iot", "dps", "update", "-n", "dps1", "--set", "properties.quota.registrations=5"];
    let ran = run(&words, vec![reply(200, &present), reply(200, &json!({}))]).await.ok();
    assert_eq!(ran.body(1)["properties"]["quota"], json!({"registrations": 5, "linkedHubs": 50}));
}

#[tokio::test]
async fn connection_strings_are_printed_bare() {
    let keys = json!({"value": [
        {"keyName": "provisioningserviceowner", "primaryKey": KEY, "secondaryKey": "S"},
        {"keyName": "reader", "primaryKey": "R", "secondaryKey": "R2"},
    ]});
    let replies = || vec![reply(200, &one_dps()), reply(200, &keys)];
    let show = ["iot", "dps", "connection-string", "show", "--dps-name", "dps1"];
    let ran = run(&show, replies()).await.ok();
    assert_eq!(
        ran.out,
        format!(
            "HostName=dps1.localhost:8443;SharedAccessKeyName=provisioningserviceowner;\
             SharedAccessKey={KEY}\n"
        )
    );
    let words = [&show[..], &["--pn", "reader", "--kt", "secondary", "-o", "json"]].concat();
    let ran = run(&words, replies()).await.ok();
    let out: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        out["connectionString"],
        "HostName=dps1.localhost:8443;SharedAccessKeyName=reader;SharedAccessKey=R2"
    );
    let ran = run(&[&show[..], &["--all"]].concat(), replies()).await.ok();
    assert_eq!(ran.out.lines().count(), 2);
    let ran = run(&[&show[..], &["--pn", "nobody"]].concat(), replies()).await;
    assert!(ran.failure().1.contains("hint: there are: provisioningserviceowner, reader"));
}

#[tokio::test]
async fn certificates_are_uploaded_listed_and_deleted() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("ca.pem");
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n").unwrap();
    let path = path.to_str().unwrap();
    let words = [
        "iot",
        "dps",
        "certificate",
        "create",
        "--dps-name",
        "dps1",
        "--name",
        "root",
        "--path",
        path,
        "--verified",
        "true",
    ];
    let ran = run(&words, vec![reply(200, &one_dps()), reply(200, &json!({"name": "root"}))]).await;
    let ran = ran.ok();
    assert_eq!(ran.lines()[1], "PUT /muster/v1/dps/dps1/certificates/root?api-version=2026-11-01");
    assert_eq!(
        ran.body(1),
        json!({"properties": {"isVerified": true,
            "certificate": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"}})
    );
    let list = json!({"value": [{"name": "root", "properties": {"subject": "CN=Root",
        "isVerified": true, "expiry": "2036", "thumbprint": "AB"}}]});
    let words = ["iot", "dps", "certificate", "list", "--dps-name", "dps1"];
    let ran = run(&words, vec![reply(200, &one_dps()), reply(200, &list)]).await.ok();
    assert!(ran.out.ends_with("root  true      CN=Root  2036     AB\n"), "{}", ran.out);
    let words = ["iot", "dps", "certificate", "delete", "--dps-name", "dps1", "-n", "root"];
    let none = json!({"value": []});
    let replies = vec![reply(200, &one_dps()), reply(200, &none), reply(204, &Value::Null)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.header(2, "if-match"), Some("*"));
}

#[tokio::test]
async fn d_07_c_07_a_deletion_is_previewed_and_a_preview_that_fails_is_no_reason_to_wait() {
    let groups = json!({"value": [{"enrollmentGroupId": "g", "provisioningStatus": "enabled",
        "by": "reference", "otherSlotHolds": false}]});
    let certificate = |verb: &'static str| {
        ["iot", "dps", "certificate", verb, "--dps-name", "dps1", "-n", "root"]
    };
    let replies = vec![reply(200, &one_dps()), reply(200, &groups)];
    let ran = run(&certificate("dependents"), replies).await.ok();
    let path = "GET /muster/v1/dps/dps1/certificates/root/dependents?api-version=2026-11-01";
    assert_eq!(ran.lines()[1], path);
    assert!(ran.out.ends_with("g                 enabled  reference       false\n"), "{}", ran.out);
    for preview in [reply(200, &groups), reply(500, &json!({"message": "no"}))] {
        let replies = vec![reply(200, &one_dps()), preview, reply(204, &Value::Null)];
        let ran = run(&certificate("delete"), replies).await.ok();
        assert_eq!(ran.lines()[1], path);
        assert!(ran.lines()[2].starts_with("DELETE /muster/v1/dps/dps1/certificates/root"));
        assert_eq!(ran.out, "");
    }
}

#[tokio::test]
async fn an_expiry_exception_is_made_listed_and_ended() {
    let exception =
        |verb: &'static str| vec!["iot", "dps", "expiry-exception", verb, "--dps-name", "dps1"];
    let made = json!({"enrollmentGroupId": "g", "until": "2030-01-31T00:00:00Z", "reason": "late"});
    let until = ["--group-id", "g", "--until", "2030-01-31T00:00:00Z", "--reason", "late"];
    let words = [&exception("create")[..], &until].concat();
    let ran = run(&words, vec![reply(200, &one_dps()), reply(200, &made)]).await.ok();
    let path = "/muster/v1/dps/dps1/expiry-exceptions";
    let version = "?api-version=2026-11-01";
    assert_eq!(ran.lines()[1], format!("PUT {path}/enrollmentGroups/g{version}"));
    assert_eq!(ran.body(1)["reason"], "late");
    assert!(ran.body(1)["until"].as_str().unwrap().starts_with("2030-01-31T00:00:00"));
    let list = json!({"value": [made]});
    let ran = run(&exception("list"), vec![reply(200, &one_dps()), reply(200, &list)]).await.ok();
    assert!(ran.out.contains("g                 2030-01-31T00:00:00Z  late"), "{}", ran.out);
    let words = [&exception("delete")[..], &["--enrollment-id", "dev", "--yes"]].concat();
    let ran = run(&words, vec![reply(200, &one_dps()), reply(204, &Value::Null)]).await.ok();
    assert_eq!(ran.lines()[1], format!("DELETE {path}/enrollments/dev{version}"));
}

#[tokio::test]
async fn policies_are_listed_without_their_keys() {
    let keys = json!({"value": [{"keyName": "reader", "primaryKey": "SECRET", "rights": "A, B"}]});
    let hubs = json!({"value": [{"name": "hub1", "properties": {"hostName": "hub1.localhost"}}]});
    let words = ["iot", "hub", "policy", "list", "--hub-name", "hub1.localhost"];
    let ran = run(&words, vec![reply(200, &hubs), reply(200, &keys)]).await.ok();
    assert_eq!(ran.lines()[1], "GET /muster/v1/hubs/hub1/listkeys?api-version=2026-11-01");
    assert_eq!(ran.out, "Policy  Rights\n---------------\nreader  A, B\n");
}

#[tokio::test]
async fn a_policy_is_created_changed_renewed_and_deleted() {
    let policy = json!({"keyName": "p", "rights": "EnrollmentRead", "primaryKey": "A",
        "secondaryKey": "B"});
    let replies = || vec![reply(200, &one_dps()), reply(200, &policy)];
    let words = ["iot", "dps", "policy", "create", "-n", "dps1", "--pn", "p"];
    let rights = ["-r", "EnrollmentRead", "registrationstatusread", "--query", "primaryKey"];
    let ran = run(&[&words[..], &rights[..]].concat(), replies()).await.ok();
    assert_eq!(ran.lines()[1], "PUT /muster/v1/dps/dps1/policies/p?api-version=2026-11-01");
    assert_eq!(ran.body(1), json!({"rights": "EnrollmentRead, RegistrationStatusRead"}));
    assert_eq!((ran.header(1, "if-match"), ran.out.as_str()), (None, "A\n"));
    let words = ["iot", "dps", "policy", "update", "--pn", "p", "--primary-key", ""];
    let ran = run(&words, replies()).await.ok();
    assert_eq!(ran.header(1, "if-match"), Some("*"));
    assert_eq!(ran.body(1), json!({"primaryKey": ""}));
    let words = ["iot", "dps", "policy", "update", "--pn", "p"];
    assert_eq!(run(&words, Vec::new()).await.failure().0, Kind::Usage);
    let words = ["iot", "dps", "policy", "renew-key", "--pn", "p", "--rk", "Swap"];
    let ran = run(&words, replies()).await.ok();
    assert!(ran.lines()[1].starts_with("POST /muster/v1/dps/dps1/policies/p/renew?"));
    assert_eq!(ran.body(1), json!({"renewKey": "swap"}));
    let hubs = json!({"value": [{"name": "hub1", "properties": {"hostName": "hub1.localhost"}}]});
    let words = ["iot", "hub", "policy", "delete", "--hub-name", "hub1", "-n", "p"];
    let replies =
        vec![reply(200, &hubs), reply(200, &json!({"value": []})), reply(404, &json!({}))];
    let ran = run(&words, replies).await;
    assert_eq!(ran.lines()[2], "DELETE /muster/v1/hubs/hub1/policies/p?api-version=2026-11-01");
    let (kind, text) = ran.failure();
    assert_eq!(kind, Kind::NotFound);
    assert!(text.ends_with("hint: `muster iot hub policy list` shows what there is"), "{text}");
}

#[tokio::test]
async fn a_certificate_is_vouched_for_without_its_file() {
    let present = json!({"name": "root", "etag": "t", "properties": {"certificate": "MIIB",
        "isVerified": false}});
    let words = ["iot", "dps", "certificate", "update", "--dps-name", "dps1", "-n", "root", "-v"];
    let replies = vec![reply(200, &one_dps()), reply(200, &present), reply(200, &present)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.header(2, "if-match"), Some("\"t\""));
    assert_eq!(ran.body(2), json!({"properties": {"certificate": "MIIB", "isVerified": true}}));
}

#[tokio::test]
async fn c_06_a_new_body_says_nothing_of_trust_unless_it_is_asked_to() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "NEW").unwrap();
    let present = json!({"name": "root", "etag": "t", "properties": {"certificate": "MIIB",
        "isVerified": true}});
    let path = file.path().to_str().unwrap();
    let words = ["iot", "dps", "certificate", "update", "-n", "root", "--etag", "u", "-p", path];
    let replies = vec![reply(200, &one_dps()), reply(200, &present), reply(200, &present)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(ran.header(2, "if-match"), Some("\"u\""));
    assert_eq!(ran.body(2), json!({"properties": {"certificate": "NEW"}}));
}

#[tokio::test]
async fn c_01_a_code_is_made_and_its_proof_is_sent() {
    let waiting = json!({"name": "root", "properties": {"verificationCode": "0A1B"}});
    let words = ["iot", "dps", "certificate", "generate-verification-code", "-n", "root"];
    let query = ["--query", "properties.verificationCode", "-o", "tsv"];
    let replies = vec![reply(200, &one_dps()), reply(200, &waiting)];
    let ran = run(&[&words[..], &query[..]].concat(), replies).await.ok();
    let path = "/muster/v1/dps/dps1/certificates/root";
    assert_eq!(
        ran.lines()[1],
        format!("POST {path}/generateVerificationCode?api-version=2026-11-01")
    );
    assert_eq!((ran.header(1, "if-match"), ran.out.as_str()), (Some("*"), "0A1B\n"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "PROOF\n").unwrap();
    let proof = file.path().to_str().unwrap();
    let words = ["iot", "dps", "certificate", "verify", "-n", "root", "-e", "t", "-p", proof];
    let refused = json!({"errorCode": 400004, "message": "certificate: no"});
    let ran = run(&words, vec![reply(200, &one_dps()), reply(400, &refused)]).await;
    assert_eq!(ran.lines()[1], format!("POST {path}/verify?api-version=2026-11-01"));
    assert_eq!(ran.header(1, "if-match"), Some("\"t\""));
    assert_eq!(ran.body(1), json!({"certificate": "PROOF"}));
    assert_eq!(ran.failure().0, Kind::Failed);
}

#[tokio::test]
async fn hubs_are_linked_and_changed() {
    let words = [
        "iot",
        "dps",
        "linked-hub",
        "create",
        "--dps-name",
        "dps1",
        "--connection-string",
        "HostName=hub1.localhost;SharedAccessKeyName=p;SharedAccessKey=AAECAwQFBgcICQoLDA0ODw==",
        "--allocation-weight",
        "7",
    ];
    let list = json!({"value": [{"name": "hub1.localhost", "allocationWeight": 7,
        "applyAllocationPolicy": true}]});
    let replies = vec![reply(200, &one_dps()), reply(200, &json!({})), reply(200, &list)];
    let ran = run(&words, replies).await.ok();
    assert_eq!(
        ran.lines()[1],
        "PUT /muster/v1/dps/dps1/linked-hubs/hub1.localhost?api-version=2026-11-01"
    );
    assert_eq!(ran.body(1), json!({"allocationWeight": 7, "connectionString": words[7]}));
    assert!(ran.out.contains("hub1.localhost  7       true"), "{}", ran.out);
    let words = [
        "iot",
        "dps",
        "linked-hub",
        "update",
        "--dps-name",
        "dps1",
        "--linked-hub",
        "HUB1",
        "--apply-allocation-policy",
        "false",
    ];
    let answers = [one_dps(), list.clone(), json!({}), list];
    let ran = run(&words, answers.iter().map(|body| reply(200, body)).collect()).await.ok();
    assert_eq!(ran.body(2), json!({"applyAllocationPolicy": false}));
}

#[tokio::test]
async fn relinking_keeps_weight_and_latencies() {
    let words = ["iot", "dps", "linked-hub", "create", "--connection-string", HUB_LOGIN];
    let list = json!({"value": [{"name": "hub1.localhost", "latencies": {"north": 80}}]});
    let answers = [one_dps(), json!({}), list.clone()];
    let ran = run(&words, answers.iter().map(|body| reply(200, body)).collect()).await.ok();
    assert_eq!(ran.body(1), json!({"connectionString": HUB_LOGIN}));
    let words = [&words[..], &["--latency", "south=4"]].concat();
    let answers = [one_dps(), list.clone(), json!({}), list];
    let ran = run(&words, answers.iter().map(|body| reply(200, body)).collect()).await.ok();
    assert_eq!(ran.body(2)["latencies"], json!({"north": 80, "south": 4}));
}

#[tokio::test]
async fn an_explanation_is_told_or_printed() {
    let attempts = json!({"value": [
        {"trackingId": "t2", "dps": "dps1", "protocol": "mqtt", "at": "2026-01-02T00:00:00Z",
         "explanation": {"registrationId": "r", "mechanism": null, "chain": [], "steps": [],
            "outcome": {"rejected": {"because": "neither a certificate nor a token was shown"}}}},
        {"trackingId": "t1", "explanation": {"registrationId": "r"}},
    ]});
    let ran = run(&["explain", "r"], vec![reply(200, &attempts)]).await.ok();
    assert_eq!(ran.lines(), ["GET /muster/v1/explanations/r?api-version=2026-11-01"]);
    assert_eq!(
        ran.out,
        "\
r at 2026-01-02T00:00:00Z, on dps1, by mqtt
  outcome:     refused: neither a certificate nor a token was shown
  evidence:    none
  tracking id: t2
"
    );
    let ran = run(&["explain", "r", "--all", "-o", "json"], vec![reply(200, &attempts)]).await.ok();
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), attempts["value"]);
    let ran = run(&["explain", "x", "-l", LOGIN], vec![reply(200, &json!({"value": []}))]).await;
    assert_eq!(ran.failure().0, Kind::NotFound);
}
