//! Event subscriptions and dead letters: the administration API.

use serde_json::{Value, json};

use super::{reply, run};
use crate::failure::Kind;

fn dead(id: &str) -> Value {
    json!({
        "id": id, "deadLetterReason": "TimeToLiveExceeded", "deliveryAttempts": 3,
        "lastDeliveryOutcome": "it answered with status 503",
        "event": {"type": "Microsoft.Devices.DeviceCreated", "subject": "devices/d",
            "time": "2026-01-01T00:00:00.0000000Z"},
    })
}

#[tokio::test]
async fn a_subscription_is_made_as_it_is_asked_for() {
    let words = [
        "event",
        "subscription",
        "create",
        "--name",
        "ops",
        "--endpoint",
        "https://ops.test/h",
        "--included-event-types",
        "Microsoft.Devices.DeviceCreated",
        "--services",
        "hub1",
        "dps",
        "--subject-begins-with",
        "devices/",
        "--max-delivery-attempts",
        "3",
        "--validation",
        "CloudEvents",
    ];
    let ran = run(&words, vec![reply(200, &json!({"name": "ops"}))]).await.ok();
    let line = "PUT /muster/v1/event-subscriptions/ops?api-version=2026-11-01";
    assert_eq!(ran.lines(), [line]);
    let expected = json!({"properties": {
        "destination": {"endpointType": "WebHook", "properties":
            {"endpointUrl": "https://ops.test/h", "validation": "cloudEvents"}},
        "filter": {"includedEventTypes": ["Microsoft.Devices.DeviceCreated"],
            "services": ["hub1", "dps"], "subjectBeginsWith": "devices/", "subjectEndsWith": null},
        "retryPolicy": {"maxDeliveryAttempts": 3},
    }});
    assert_eq!(ran.body(0), expected);
}

#[tokio::test]
async fn a_test_that_does_not_arrive_is_a_failure() {
    let words = ["event", "subscription", "test", "-n", "ops"];
    let ran = run(&words, vec![reply(200, &json!({"delivered": true}))]).await.ok();
    let line = "POST /muster/v1/event-subscriptions/ops/test?api-version=2026-11-01";
    assert_eq!(ran.lines(), [line]);
    let down = json!({"delivered": false, "outcome": "it answered with status 503"});
    let (kind, text) = run(&words, vec![reply(200, &down)]).await.failure();
    assert_eq!(kind, Kind::Failed);
    assert!(text.contains("did not reach 'ops': it answered with status 503"), "{text}");
}

#[tokio::test]
async fn dead_letters_are_listed_to_the_last_page() {
    let words = ["event", "dead-letter", "list", "--subscription-name", "ops"];
    let pages = vec![
        reply(200, &json!({"value": [dead("4")], "next": "4"})),
        reply(200, &json!({"value": [dead("9")]})),
    ];
    let ran = run(&words, pages).await.ok();
    let of = "GET /muster/v1/event-subscriptions/ops/dead-letters";
    let lines =
        [format!("{of}?api-version=2026-11-01"), format!("{of}?after=4&api-version=2026-11-01")];
    assert_eq!(ran.lines(), lines);
    for part in ["devices/d", "TimeToLiveExceeded", "it answered with status 503"] {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
}

#[tokio::test]
async fn one_dead_letter_or_all_of_them_are_retried_or_purged() {
    let of = "/muster/v1/event-subscriptions/ops/dead-letters";
    for (words, line) in [
        ("retry --all", format!("POST {of}/retry")),
        ("retry --id 7", format!("POST {of}/7/retry")),
        ("purge --all --yes", format!("DELETE {of}")),
        ("purge --id 7 --yes", format!("DELETE {of}/7")),
        ("show --id 7", format!("GET {of}/7")),
    ] {
        let words = format!("event dead-letter {words} --sn ops");
        let words: Vec<&str> = words.split(' ').collect();
        let ran = run(&words, vec![reply(200, &json!({"count": 1}))]).await.ok();
        assert_eq!(ran.lines(), [format!("{line}?api-version=2026-11-01")]);
    }
    for words in ["retry", "retry --id 7 --all", "purge"] {
        let words = format!("event dead-letter {words} --sn ops");
        let words: Vec<&str> = words.split(' ').collect();
        assert!(super::parse(&words).is_err(), "{words:?}");
    }
}
