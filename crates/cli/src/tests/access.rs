//! Bearer tokens, IP filter rules and the public-network switch.

use serde_json::{Value, json};

use super::{HUB_LOGIN, LOGIN, reply, run, run_as, run_in};
use crate::failure::Kind;

fn one_dps(rules: &Value) -> Value {
    json!({"value": [{"name": "dps1", "properties": {
        "idScope": "0ne00000001", "allocationPolicy": "Hashed",
        "serviceOperationsHostName": "dps1.localhost",
        "publicNetworkAccess": "Enabled", "ipFilterRules": rules}}]})
}

fn rule(name: &str) -> Value {
    json!({"filterName": name, "action": "Reject", "ipMask": "10.0.0.0/8", "target": "all"})
}

#[tokio::test]
async fn a_token_is_shown_in_place_of_a_key() {
    let words = ["iot", "dps", "enrollment", "list"];
    let replies = || vec![reply(200, &one_dps(&json!([]))), reply(200, &json!([]))];
    let ran = run_as(Some("t0ken\n"), &words, replies()).await.ok();
    // No key is asked for: the token opens the service itself.
    assert_eq!(ran.lines().len(), 2);
    for at in 0..2 {
        assert_eq!(ran.header(at, "authorization"), Some("Bearer t0ken"));
    }
    assert_eq!(ran.asked[1].0.host, "dps1.localhost");
    let words = ["iot", "dps", "show", "--auth-type", "key"];
    let ran = run_as(Some("t0ken"), &words, replies()).await.ok();
    assert!(ran.header(0, "authorization").unwrap().starts_with("SharedAccessSignature "));
    let words = ["iot", "dps", "show", "--auth-type", "login"];
    let (kind, text) = run(&words, Vec::new()).await.failure();
    assert_eq!(kind, Kind::Usage);
    assert!(text.contains("MUSTER_TOKEN"), "{text}");
    let ran = run_as(Some("two words"), &["iot", "dps", "show"], Vec::new()).await;
    assert_eq!(ran.failure().0, Kind::Usage);
}

#[tokio::test]
async fn a_services_connection_string_is_not_the_administrations() {
    let dps = json!({"errorCode": 404_000, "message": "There is nothing at this address."});
    let hub = json!({"Message": "ErrorCode:GenericNotFound;There is nothing at this address"});
    for (words, login, said) in [
        (&["iot", "dps", "list"][..], LOGIN, &dps),
        (&["iot", "dps", "region", "list"], LOGIN, &dps),
        (&["explain", "dev"], LOGIN, &dps),
        (&["iot", "hub", "list"], HUB_LOGIN, &hub),
    ] {
        let words = [words, &["--login", login]].concat();
        let (kind, text) = run(&words, vec![reply(404, said)]).await.failure();
        assert_eq!(kind, Kind::Usage, "{words:?}: {text}");
        assert!(text.contains(" is a service of a server, not its administration"), "{text}");
        assert!(
            text.contains("hint: --login of this command wants the connectionString"),
            "{text}"
        );
    }
    let missing = json!({"errorCode": 404_000, "message": "CA certificate not found."});
    let words = ["iot", "dps", "list", "--login", LOGIN];
    assert_eq!(run(&words, vec![reply(404, &missing)]).await.failure().0, Kind::NotFound);
}

#[tokio::test]
async fn a_role_that_is_not_enough_is_told_from_a_policy() {
    let refused = json!({"errorCode": 403_001, "message": "The role is not enough."});
    let mut reply = reply(403, &refused);
    let words = ["iot", "dps", "list"];
    let (_, text) = run_as(Some("t0ken"), &words, vec![reply.clone()]).await.failure();
    assert!(text.contains("hint: the policy lacks the right for this, or a quota"), "{text}");
    let challenge = "Bearer error=\"insufficient_scope\"".to_owned();
    reply.headers.push(("www-authenticate".to_owned(), challenge));
    let (_, text) = run_as(Some("t0ken"), &words, vec![reply]).await.failure();
    assert!(text.contains("hint: the token's role is not enough"), "{text}");
}

#[tokio::test]
async fn a_token_is_read_of_a_file_and_sent_to_a_named_host() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "of-file\n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let login = "HostName=dps.example:8443";
    let words =
        ["iot", "dps", "enrollment", "list", "--login", login, "--token-file", file.as_str()];
    let ran = run_in(tempfile::tempdir().unwrap(), &words, vec![reply(200, &json!([]))]).await.ok();
    assert_eq!(ran.header(0, "authorization"), Some("Bearer of-file"));
    assert_eq!((ran.asked[0].0.host.as_str(), ran.asked[0].0.port), ("dps.example", 8443));
    let words = ["iot", "dps", "enrollment", "list", "--login", LOGIN, "--token-file", &file];
    let ran = run(&words, vec![reply(401, &Value::Null)]).await;
    assert_eq!(ran.header(0, "authorization"), Some("Bearer of-file"));
    let (_, text) = ran.failure();
    assert!(text.contains("hint: the token has expired, is for another audience"), "{text}");
}

#[tokio::test]
async fn s_75_rules_are_added_in_their_place_and_removed() {
    let there = json!([rule("a"), rule("b")]);
    let put = |rules: &Value| reply(200, &one_dps(rules)["value"][0]);
    let add = ["iot", "dps", "ip-filter-rule", "add", "--filter-name", "new", "--action", "ACCEPT"];
    let mask = ["--ip-mask", "fd00::/8", "--target", "deviceapi"];
    let new = json!({"filterName": "new", "action": "Accept", "ipMask": "fd00::/8",
                     "target": "deviceApi"});
    for (more, rules) in [
        (&[][..], json!([rule("a"), rule("b"), new])),
        (&["--position", "2", "--yes"], json!([rule("a"), new, rule("b")])),
        (&["--position", "99"], json!([rule("a"), rule("b"), new])),
    ] {
        let words = [&add[..], &mask, more].concat();
        let ran = run(&words, vec![reply(200, &one_dps(&there)), put(&rules)]).await.ok();
        assert_eq!(ran.body(1), json!({"properties": {"ipFilterRules": rules}}));
        let force = if more.contains(&"--yes") { "?force=true&" } else { "?" };
        let line = format!("PUT /muster/v1/dps/dps1{force}api-version=2026-11-01");
        assert_eq!(ran.lines()[1], line);
        assert!(ran.out.contains("fd00::/8"), "{}", ran.out);
    }
    let words = ["iot", "dps", "ip-filter-rule", "remove", "--filter-name", "a"];
    let ran = run(&words, vec![reply(200, &one_dps(&there)), put(&json!([]))]).await.ok();
    assert_eq!(ran.body(1), json!({"properties": {"ipFilterRules": [rule("b")]}}));
    let words = ["iot", "dps", "ip-filter-rule", "remove", "--filter-name", "c"];
    let ran = run(&words, vec![reply(200, &one_dps(&there))]).await;
    assert_eq!(ran.failure().0, Kind::NotFound);
    let words = ["iot", "dps", "ip-filter-rule", "list", "-o", "tsv", "--query", "[].filterName"];
    let ran = run(&words, vec![reply(200, &one_dps(&there))]).await.ok();
    assert_eq!(ran.out, "a\nb\n");
}

/// The first try is overtaken by another operator's, whose rule is in the second one as well.
#[tokio::test]
async fn two_rules_added_at_once_are_both_there() {
    let of = |etag: &str, rules: &Value| {
        let mut all = one_dps(rules);
        all["value"][0]["etag"] = etag.into();
        all
    };
    let words = ["iot", "dps", "ip-filter-rule", "add", "--filter-name", "new", "--action"];
    let words = [&words[..], &["REJECT", "--ip-mask", "10.0.0.0/8"]].concat();
    let (before, meanwhile) = (json!([rule("a")]), json!([rule("a"), rule("theirs")]));
    let overtaken = reply(412, &json!({"errorCode": 412_000, "message": "it was changed"}));
    let ran = vec![
        reply(200, &of("e1", &before)),
        overtaken,
        reply(200, &of("e2", &meanwhile)),
        reply(200, &of("e3", &meanwhile)["value"][0]),
    ];
    let ran = run(&words, ran).await.ok();
    assert_eq!(ran.header(1, "if-match"), Some("\"e1\""));
    assert_eq!(ran.header(3, "if-match"), Some("\"e2\""));
    let rules = &ran.body(3)["properties"]["ipFilterRules"];
    let names: Vec<_> = rules.as_array().unwrap().iter().map(|rule| &rule["filterName"]).collect();
    assert_eq!(names, ["a", "theirs", "new"]);
}

#[tokio::test]
async fn s_75_who_would_be_shut_out_is_told_how_to_do_it_all_the_same() {
    let hubs = json!({"value": [{"name": "hub1", "properties": {"hostName": "hub1.localhost"}}]});
    let words = ["iot", "hub", "update", "--public-network-access", "disabled"];
    let told = json!({"errorCode": 409_203, "message": "It would shut out its caller."});
    let ran = run(&words, vec![reply(200, &hubs), reply(409, &told)]).await;
    assert_eq!(ran.body(1), json!({"properties": {"publicNetworkAccess": "Disabled"}}));
    let (_, text) = ran.failure();
    assert!(text.contains("hint: give --yes to do it all the same"), "{text}");
    let words = ["iot", "dps", "update", "--public-network-access", "Disabled", "--yes"];
    let one = one_dps(&json!([rule("a")]));
    let ran = run(&words, vec![reply(200, &one), reply(200, &one["value"][0])]).await.ok();
    assert!(ran.lines()[1].contains("?force=true&"));
    let body = ran.body(1);
    assert_eq!(body["properties"]["publicNetworkAccess"], "Disabled");
    assert_eq!(body["properties"]["ipFilterRules"], json!([rule("a")]));
    let refused = json!({"errorCode": 403_100, "message": "The IP filter rule a refuses you."});
    let words = ["iot", "dps", "enrollment", "list", "--login", LOGIN];
    let (_, text) = run(&words, vec![reply(403, &refused)]).await.failure();
    assert!(text.contains("hint: call from an address that is let in"), "{text}");
}
