//! Enrollments as code: from files to requests.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{KEY, Ran, page, reply, run};
use crate::failure::Kind;
use crate::transport::Reply;

const GROUP: &str = "
dps:
  - name: dps
    enrollment_groups:
      - enrollmentGroupId: fleet
        attestation: {type: symmetricKey}
        allocationPolicy: hashed
";

fn group(more: &Value) -> Value {
    let mut group = json!({"enrollmentGroupId": "fleet", "etag": "\"e1\"",
        "attestation": {"type": "symmetricKey"}, "allocationPolicy": "hashed",
        "provisioningStatus": "enabled", "capabilities": {"iotEdge": false},
        "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": true}});
    for (name, value) in more.as_object().unwrap() {
        group[name] = value.clone();
    }
    group
}

/// The answers by which the service is found.
fn found() -> Vec<Reply> {
    let all = json!({"value": [
        {"name": "dps", "properties": {"serviceOperationsHostName": "dps.localhost"}}]});
    let keys = json!({"value": [{"keyName": "provisioningserviceowner", "primaryKey": KEY,
        "rights": "all"}]});
    vec![reply(200, &all), reply(200, &keys)]
}

async fn with(text: &str, command: &[&str], replies: Vec<Reply>) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("fleet.yaml");
    std::fs::write(&file, text).unwrap();
    let mut words = command.to_vec();
    words.extend(["-f", file.to_str().unwrap()]);
    run(&words, found().into_iter().chain(replies).collect()).await
}

#[tokio::test]
async fn a_plan_reads_and_writes_nothing() {
    let served = group(&json!({"allocationPolicy": "static", "iotHubs": ["hub1.localhost"]}));
    let ran = with(GROUP, &["plan"], vec![page(&json!([served]), None)]).await.ok();
    assert_eq!(ran.lines()[2..], ["POST /enrollmentGroups/query?api-version=2021-10-01"]);
    assert_eq!(
        ran.out,
        "dps:\n  ~ enrollment group 'fleet'\n      allocationPolicy: \"static\" -> \"hashed\"\n\
         \u{20}     iotHubs: [\"hub1.localhost\"] -> (none)\n\
         \u{20} 0 to create, 1 to change, 0 to delete, 0 as they are to be\n"
    );
}

#[tokio::test]
async fn a_plan_that_can_not_be_carried_out_says_so() {
    let text = format!("{GROUP}        iotHubs: [hub1]\n");
    let hubs = json!({"value": [{"name": "hub1", "properties": {"hostName": "hub1.localhost"}}]});
    let links = json!({"value": [{"name": "hub1.localhost"}]});
    let replies = vec![reply(200, &hubs), reply(200, &links), page(&json!([]), None)];
    let ran = with(&text, &["apply", "--dry-run"], replies).await;
    let told = ran.failure().1;
    assert!(told.contains("nothing was done, 1 can not be: "), "{told}");
    assert!(told.contains("iotHubs: 'hub1' is no host: give hub1.localhost"), "{told}");
}

#[tokio::test]
async fn drift_is_told_by_the_exit_code() {
    for command in [vec!["plan", "--detailed-exitcode"], vec!["apply", "--check"]] {
        let ran = with(GROUP, &command, vec![page(&json!([]), None)]).await;
        assert_eq!(ran.failure().0, Kind::Differs);
        assert_eq!(ran.asked.len(), 3, "a check writes nothing");
        let ran = with(GROUP, &command, vec![page(&json!([group(&json!({}))]), None)]).await;
        assert!(ran.done.is_ok());
    }
}

#[tokio::test]
async fn a_24_a_change_rests_on_what_was_planned_and_is_planned_again() {
    let (one, two) = (
        group(&json!({"allocationPolicy": "static", "iotHubs": ["hub1.localhost"]})),
        group(&json!({"allocationPolicy": "geoLatency", "etag": "\"e2\""})),
    );
    let overtaken = reply(412, &json!({"errorCode": 412_001, "message": "Precondition failed."}));
    let replies = vec![
        page(&json!([one]), None),
        overtaken,
        page(&json!([two]), None),
        reply(200, &group(&json!({}))),
    ];
    let ran = with(GROUP, &["apply"], replies).await.ok();
    assert_eq!(ran.header(3, "if-match"), Some("\"e1\""));
    assert_eq!(ran.header(5, "if-match"), Some("\"e2\""));
    assert_eq!(ran.body(5)["allocationPolicy"], "hashed");
    assert_eq!(ran.body(5)["provisioningStatus"], "enabled");
    assert_eq!(ran.body(5).get("etag"), None);
}

#[tokio::test]
async fn s_13_to_enable_again_must_be_said_and_agreed_to() {
    let text = format!("{GROUP}        provisioningStatus: enabled\n");
    let shut = || page(&json!([group(&json!({"provisioningStatus": "disabled"}))]), None);
    let ran = with(&text, &["apply"], vec![shut()]).await;
    assert!(ran.failure().1.contains("give --yes"), "{}", ran.failure().1);
    assert_eq!(ran.asked.len(), 3);
    assert!(ran.out.contains("! enrollment group 'fleet' LETS DEVICES IN AGAIN"), "{}", ran.out);
    let ran = with(&text, &["apply", "--yes"], vec![shut(), reply(200, &json!({}))]).await.ok();
    assert_eq!(ran.body(3)["provisioningStatus"], "enabled");
    // Whom an operator shuts out while the plan is carried out, stays out.
    let changed = || page(&json!([group(&json!({"allocationPolicy": "static"}))]), None);
    let overtaken = reply(412, &json!({"errorCode": 412_001, "message": "Precondition failed."}));
    let ran = with(&text, &["apply", "--yes"], vec![changed(), overtaken, shut()]).await;
    assert!(ran.failure().1.contains("was changed meanwhile"), "{}", ran.failure().1);
    assert_eq!(ran.asked.len(), 5);
}

#[tokio::test]
async fn pruning_is_asked_for_and_bounded() {
    let mut old = group(&json!({"etag": "\"o\""}));
    old["enrollmentGroupId"] = "old".into();
    let served = || page(&json!([group(&json!({})), old]), None);
    let ran = with(GROUP, &["apply"], vec![served()]).await.ok();
    assert_eq!(ran.asked.len(), 3);
    let ran = with(GROUP, &["apply", "--prune"], vec![served()]).await;
    let told = ran.failure().1;
    assert!(told.contains("nothing was done: 1 to delete or to enable again, such as"), "{told}");
    assert!(!told.contains("Go on?"), "{told}");
    let ran = with(GROUP, &["apply", "--prune", "--prune-max", "0", "-y"], vec![served()]).await;
    assert!(ran.failure().1.contains("more than 0 would be deleted"), "{}", ran.failure().1);
    let ran = with(GROUP, &["apply", "--prune", "--keep", "OL*"], vec![served()]).await.ok();
    assert_eq!(ran.asked.len(), 3);
    let replies = vec![served(), reply(204, &Value::Null)];
    let ran = with(GROUP, &["apply", "--prune", "-y"], replies).await.ok();
    assert_eq!(ran.lines()[3..], ["DELETE /enrollmentGroups/old?api-version=2021-10-01"]);
    assert_eq!(ran.header(3, "if-match"), Some("\"o\""));
}

#[tokio::test]
async fn v_12_a_certificate_may_move_from_an_entry_that_goes() {
    let mut old = group(&json!({"etag": "\"o\""}));
    old["enrollmentGroupId"] = "old".into();
    let in_use = || reply(409, &json!({"errorCode": 409_202, "message": "in use"}));
    let gone = || reply(204, &Value::Null);
    let served = || page(&json!([old]), None);
    let replies = vec![served(), in_use(), gone(), reply(200, &group(&json!({})))];
    let ran = with(GROUP, &["apply", "--prune", "-y"], replies).await.ok();
    let last: Vec<_> = ran.asked[3..].iter().map(|(_, asked)| asked.method.as_str()).collect();
    assert_eq!(last, ["PUT", "DELETE", "PUT"]);
    let replies = vec![served(), in_use(), gone(), in_use()];
    let ran = with(GROUP, &["apply", "--prune", "-y"], replies).await;
    assert!(ran.failure().1.contains("409202"), "{}", ran.failure().1);
}

#[tokio::test]
async fn apply_of_a_weight_keeps_the_latencies() {
    let link = |file: &str| format!("dps: [{{name: dps, linked_hubs: [{{name: hub1, {file}}}]}}]");
    let replies = || {
        let hubs =
            json!({"value": [{"name": "hub1", "properties": {"hostName": "hub1.localhost"}}]});
        let links = json!({"value": [{"name": "hub1.localhost", "allocationWeight": 1,
            "applyAllocationPolicy": true, "latencies": {"North": 80, "south": 4}}]});
        vec![reply(200, &hubs), reply(200, &links), reply(200, &json!({}))]
    };
    let ran = with(&link("allocation_weight: 3"), &["apply"], replies()).await.ok();
    assert_eq!(ran.body(4)["allocationWeight"], 3);
    assert_eq!(ran.body(4)["latencies"], Value::Null);
    assert!(!ran.out.contains("latencies"), "{}", ran.out);
    let ran = with(&link("latencies: {north: 70}"), &["apply"], replies()).await.ok();
    assert_eq!(ran.body(4)["latencies"], json!({"north": 70}));
    assert!(ran.out.contains("latencies.north: 80 -> 70\n"), "{}", ran.out);
    assert!(ran.out.contains("latencies.south: 4 -> (none)\n"), "{}", ran.out);
    let ran = with(&link("latencies: {nor/th: 1, south: 60001}"), &["apply"], vec![]).await;
    let told = ran.failure().1;
    assert!(told.contains("fleet.yaml:1: latencies.nor/th: has the character '/'"), "{told}");
    assert!(told.contains("fleet.yaml:1: latencies.south: is over 60000 milliseconds"), "{told}");
}

#[tokio::test]
async fn a_file_with_faults_asks_the_server_nothing() {
    let ran = with("dps: [{name: dps, enrolments: []}]", &["apply"], vec![]).await;
    let told = ran.failure().1;
    assert!(told.contains("fleet.yaml:1: dps.enrolments: there is no such key"), "{told}");
    assert!(told.starts_with("error: nothing was done: there is a fault:\n"), "{told}");
    assert!(ran.asked.is_empty());
}
