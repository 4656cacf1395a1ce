//! Custom allocation (L-07, L-14, W-01, W-03 to W-07).

use attestation::SymmetricKey;
use model::{Etag, Timestamp};
use provisioning::allocation::custom::{Answer, Consulted, NoAnswer, Question};
use provisioning::decide::{Conclusion, Decision, Placement, Verdict, decide_further};
use provisioning::enrollment::{AllocationPolicy, CustomAllocation, ReprovisionPolicy};
use provisioning::explain::{Outcome, Step};
use provisioning::registration::{Failure, FailureKind};
use provisioning::view::{Evidence, RegistrationRequest};
use serde_json::{Value, json};

use crate::world::{NOW, World, host, id, key, keys, token, token_until};

fn custom() -> World {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    let settings = world.settings("dev");
    settings.allocation_policy = Some(AllocationPolicy::Custom);
    settings.custom_allocation = Some(CustomAllocation {
        webhook_url: "https://a.test/choose?code=secret".to_owned(),
        api_version: "2021-10-01".to_owned(),
    });
    settings.initial_twin = json!({"tags": {"of": "entry"}}).as_object().cloned();
    world
}

fn signed(key: &SymmetricKey) -> Evidence {
    token("dev", key)
}

/// What is asked first; any other verdict fails the test.
fn asked(world: &World) -> Question {
    match world.decision("dev", &signed(&key(1))).verdict {
        Verdict::Consult(question) => question,
        other => panic!("not asked: {other:?}"),
    }
}

fn answer(hub: &str) -> Answer {
    Answer { hub: hub.to_owned(), initial_twin: None, payload: None }
}

fn further(world: &World, consulted: Option<&Consulted>) -> Decision {
    let evidence = signed(&key(1));
    let request = RegistrationRequest {
        registration_id: id("dev"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: None,
    };
    decide_further(&request, &evidence, &world.view("dev", &evidence), consulted, NOW, NOW)
}

fn told(world: &World, question: Question, answer: Result<Answer, NoAnswer>) -> Decision {
    further(world, Some(&Consulted { question, answer }))
}

fn placed(decision: Decision) -> Placement {
    match decision.verdict {
        Verdict::Assign(place) | Verdict::Keep(place) => place,
        other => panic!("not placed: {other:?}"),
    }
}

fn failed(decision: Decision) -> Failure {
    match decision.verdict {
        Verdict::Conclude(Conclusion::Failed { failure, .. }) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

fn tags(place: &Placement) -> Value {
    Value::Object(place.initial_tags.clone())
}

#[test]
fn l_07_the_webhook_is_asked_and_its_hub_taken() {
    let world = custom();
    let question = asked(&world);
    assert_eq!(question.linked_hubs, [host("hub1.localhost"), host("hub2.localhost")]);
    assert_eq!(question.current, None);
    assert_eq!(world.decision("dev", &signed(&key(1))).explanation.outcome, Outcome::Consulting);
    let decision = told(&world, question, Ok(answer("HUB2.localhost")));
    let consulted = decision.explanation.steps.iter().find_map(|step| match step {
        Step::Consulted { webhook, answer } => Some((webhook.as_str(), answer.as_str())),
        _ => None,
    });
    // W-10: the address's query may be a secret.
    assert_eq!(consulted, Some(("https://a.test/choose", "hub2.localhost")));
    let place = placed(decision);
    assert_eq!(place.to.hub, host("hub2.localhost"));
    assert_eq!(tags(&place), json!({"of": "entry"}));
}

#[test]
fn l_02_the_webhook_is_offered_only_hubs_that_take_part() {
    let mut world = custom();
    world.dps.linked_hubs[0].apply_allocation_policy = false;
    let question = asked(&world);
    assert_eq!(question.linked_hubs, [host("hub2.localhost")]);
    let failure = failed(told(&world, question, Ok(answer("hub1.localhost"))));
    assert_eq!(failure.kind, FailureKind::CustomAllocation);
}

#[test]
fn w_06_any_other_hub_and_no_answer_fail_without_a_word_of_the_cause() {
    let world = custom();
    for chosen in ["elsewhere.test", "", "hub1", "hub1.localhost/x"] {
        let failure = failed(told(&world, asked(&world), Ok(answer(chosen))));
        assert_eq!(failure.kind, FailureKind::CustomAllocation, "{chosen}");
        assert_eq!(failure.message, "Custom allocation failed", "{chosen}");
    }
    let none = NoAnswer { status: Some(503), because: "it is at 10.0.0.1".to_owned() };
    let decision = told(&world, asked(&world), Err(none));
    let heard = |step: &Step| match step {
        Step::Consulted { answer, .. } => answer == "it is at 10.0.0.1",
        _ => false,
    };
    assert!(decision.explanation.steps.iter().any(heard));
    assert_eq!(failed(decision).message, "Custom allocation failed with status code: 503");
}

#[test]
fn w_03_w_04_the_webhooks_twin_goes_before_the_entrys_and_its_payload_along() {
    let world = custom();
    let twin = json!({"tags": {"of": "webhook"}, "properties": {"desired": {"a": 1}}});
    let answer = Answer {
        hub: "hub1.localhost".to_owned(),
        initial_twin: twin.as_object().cloned(),
        payload: Some(json!({"b": 2})),
    };
    let place = placed(told(&world, asked(&world), Ok(answer)));
    assert_eq!(tags(&place), json!({"of": "webhook"}));
    assert_eq!(Value::Object(place.initial_desired.clone()), json!({"a": 1}));
    assert_eq!(place.payload, Some(json!({"b": 2})));
}

/// A registered device, on hub1.
fn assigned() -> World {
    let mut world = custom();
    let settings = world.settings("dev");
    settings.allocation_policy = Some(AllocationPolicy::Static);
    settings.iot_hubs = vec![host("hub1.localhost")];
    world.register("dev", &signed(&key(1)));
    let settings = world.settings("dev");
    settings.allocation_policy = Some(AllocationPolicy::Custom);
    settings.iot_hubs = Vec::new();
    world
}

#[test]
fn w_01_a_device_that_is_somewhere_is_told_of() {
    let question = asked(&assigned());
    assert_eq!(question.current.unwrap().hub, host("hub1.localhost"));
    assert_eq!(question.linked_hubs.len(), 2);
}

#[test]
fn w_07_l_14_a_device_that_stays_is_asked_about_with_its_hub_alone() {
    let mut world = assigned();
    world.settings("dev").reprovision_policy =
        Some(ReprovisionPolicy { update_hub_assignment: false, migrate_device_data: false });
    let question = asked(&world);
    assert_eq!(question.linked_hubs, [host("hub1.localhost")]);
    let answer = Answer { payload: Some(json!({"n": 1})), ..answer("hub1.localhost") };
    let decision = told(&world, question.clone(), Ok(answer));
    assert!(matches!(decision.verdict, Verdict::Keep(_)), "{:?}", decision.verdict);
    assert_eq!(placed(decision).payload, Some(json!({"n": 1})));
    let away = Answer { payload: None, ..self::answer("hub2.localhost") };
    assert_eq!(failed(told(&world, question, Ok(away))).kind, FailureKind::CustomAllocation);
}

#[test]
fn an_answer_to_another_question_counts_for_nothing() {
    let mut world = custom();
    let question = asked(&world);
    world.individuals[0].stamp.etag = Etag::new("changed");
    let decision = told(&world, question.clone(), Ok(answer("hub1.localhost")));
    assert!(matches!(decision.verdict, Verdict::Consult(_)), "{:?}", decision.verdict);
    // A hub that was unlinked meanwhile is not offered any more.
    let mut world = custom();
    world.dps.linked_hubs.remove(0);
    let decision = told(&world, question, Ok(answer("hub1.localhost")));
    assert!(matches!(decision.verdict, Verdict::Consult(_)), "{:?}", decision.verdict);
}

#[test]
fn s_13_a_disable_while_the_webhook_is_asked_wins() {
    let mut world = custom();
    let question = asked(&world);
    world.disable("dev");
    let decision = told(&world, question.clone(), Ok(answer("hub1.localhost")));
    let disabled = matches!(decision.verdict, Verdict::Conclude(Conclusion::Disabled { .. }));
    assert!(disabled, "{:?}", decision.verdict);
    world.remove("dev");
    let decision = told(&world, question, Ok(answer("hub1.localhost")));
    assert!(matches!(decision.verdict, Verdict::Reject(_)), "{:?}", decision.verdict);
}

#[test]
fn a_token_that_ends_while_the_webhook_is_asked_was_good() {
    let world = custom();
    let until = Timestamp::from_unix_seconds(NOW.unix_seconds() + 5);
    let evidence = token_until("dev", &key(1), until);
    let request = RegistrationRequest {
        registration_id: id("dev"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: None,
    };
    let consulted = Consulted { question: asked(&world), answer: Ok(answer("hub1.localhost")) };
    let later = Timestamp::from_unix_seconds(NOW.unix_seconds() + 20);
    let view = world.view("dev", &evidence);
    let decision = decide_further(&request, &evidence, &view, Some(&consulted), NOW, later);
    assert_eq!(placed(decision).to.hub, host("hub1.localhost"));
}

#[test]
fn another_policy_asks_nobody_whatever_is_told() {
    let mut world = custom();
    let question = asked(&world);
    let settings = world.settings("dev");
    settings.allocation_policy = Some(AllocationPolicy::Static);
    settings.iot_hubs = vec![host("hub2.localhost")];
    let told = placed(told(&world, question, Ok(answer("hub1.localhost"))));
    assert_eq!(told.to.hub, host("hub2.localhost"));
    assert_eq!(told.payload, None);
}
