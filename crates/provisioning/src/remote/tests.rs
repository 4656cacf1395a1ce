use std::time::Duration;

use attestation::SymmetricKey;
use model::EnrollmentGroupId;
use serde_json::json;

use super::*;
use crate::decide::TwinPlan;
use crate::enrollment::{EntryId, EntryRef};
use crate::registration::Substatus;

fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn hub(name: &str) -> RemoteHub {
    let policy = model::PolicyName::parse("p").unwrap();
    RemoteHub { authority: name.to_owned(), policy, key: key(9) }
}

fn at(hub: &str) -> Assigned {
    Assigned { hub: HostName::parse(hub).unwrap(), device_id: DeviceId::parse("dev").unwrap() }
}

/// A job that goes to `far.test`, and comes from here.
fn job(phase: Phase, from: Option<&str>, twin: TwinPlan) -> Job {
    let group = EnrollmentGroupId::parse("g").unwrap();
    Job {
        dps: ServiceName::parse("dps").unwrap(),
        operation_id: "5.op".to_owned(),
        request: RegistrationRequest {
            registration_id: RegistrationId::parse("dev").unwrap(),
            api_version: "2021-06-01".to_owned(),
            csr: None,
            payload: None,
            from: None,
        },
        evidence: Evidence::None,
        consulted: None,
        place: Placement {
            entry: EntryRef { id: EntryId::Group(group), created: Timestamp::ZERO },
            to: at("far.test"),
            substatus: Substatus::InitialAssignment,
            credential: HubCredential::Sas { primary: key(1), secondary: key(2) },
            twin,
            initial_tags: object(json!({"site": "a"})),
            initial_desired: Map::new(),
            iot_edge: None,
            payload: None,
            from: from.map(at),
        },
        made: None,
        to: Some(hub("far.test")),
        from: from.map(hub),
        phase,
        begun: Timestamp::ZERO,
    }
}

fn found(etag: &str, seed: u8) -> Found {
    let keys = (key(seed), key(seed + 1));
    Found {
        etag: etag.to_owned(),
        document: object(json!({"authentication": {"keys": seed}})),
        shows: Shows::Sas(keys.0, keys.1),
        disabled: None,
        iot_edge: false,
        twin: FoundTwin { tags: object(json!({"site": "a"})), ..FoundTwin::default() },
    }
}

fn writing(before: Option<Found>) -> Phase {
    Phase::Writing { before: before.map(Box::new), left: None }
}

fn undoing(before: Option<Found>) -> Phase {
    Phase::Undoing { before: before.map(Box::new), left: None }
}

fn seen(to: Option<Option<Found>>) -> Seen {
    Seen { to, ..Seen::default() }
}

fn step(phase: Phase, to: Option<Option<Found>>) -> String {
    let (job, seen) = (job(phase, None, TwinPlan::KeepOrInitial), seen(to));
    word(&next(&job, &seen)).to_owned()
}

fn word(step: &Step<'_>) -> &'static str {
    match step {
        Step::Look => "look",
        Step::LookBack => "look back",
        Step::Enter(Phase::Writing { before: None, .. }) => "enter writing of a new one",
        Step::Enter(Phase::Writing { before: Some(_), .. }) => "enter writing over",
        Step::Enter(_) => "enter",
        Step::Write(Side::To, Call::Create(_)) => "create",
        Step::Write(Side::To, Call::Update { .. }) => "update",
        Step::Write(Side::To, Call::Restore { .. }) => "restore",
        Step::Write(Side::To, Call::SetTwin { .. }) => "set the twin",
        Step::Write(Side::To, Call::Remove { .. }) => "remove",
        Step::Write(Side::From, Call::Remove { .. }) => "remove the old one",
        Step::Write(..) => "another write",
        Step::Conclude => "conclude",
        Step::Finish => "finish",
    }
}

#[test]
fn nothing_is_written_before_what_was_there_is_durable() {
    assert_eq!(step(Phase::Begun, None), "look");
    assert_eq!(step(Phase::Begun, Some(None)), "enter writing of a new one");
    assert_eq!(step(Phase::Begun, Some(Some(found("1", 50)))), "enter writing over");
}

#[test]
fn an_identity_is_made_once_and_then_concluded() {
    assert_eq!(step(writing(None), None), "look");
    assert_eq!(step(writing(None), Some(None)), "create");
    assert_eq!(step(writing(None), Some(Some(found("1", 1)))), "conclude");
    let mut bare = found("1", 1);
    bare.twin = FoundTwin::default();
    assert_eq!(step(writing(None), Some(Some(bare))), "set the twin");
    // Somebody else's: it is what was there before, from now on.
    assert_eq!(step(writing(None), Some(Some(found("1", 50)))), "enter writing over");
}

#[test]
fn an_identity_that_is_there_is_written_over_by_its_etag() {
    let before = || Some(found("1", 50));
    assert_eq!(step(writing(before()), Some(before())), "update");
    assert_eq!(step(writing(before()), Some(Some(found("2", 1)))), "conclude");
    assert_eq!(step(writing(before()), Some(Some(found("2", 60)))), "enter writing over");
    assert_eq!(step(writing(before()), Some(None)), "enter writing of a new one");
}

#[test]
fn what_is_undone_is_what_this_job_did() {
    assert_eq!(step(undoing(None), None), "look");
    assert_eq!(step(undoing(None), Some(None)), "finish");
    assert_eq!(step(undoing(None), Some(Some(found("1", 1)))), "remove");
    assert_eq!(step(undoing(None), Some(Some(found("1", 50)))), "finish");
    let before = || Some(found("1", 50));
    assert_eq!(step(undoing(before()), Some(Some(found("2", 1)))), "restore");
    assert_eq!(step(undoing(before()), Some(before())), "finish");
    assert_eq!(step(undoing(before()), Some(Some(found("2", 60)))), "finish");
    assert_eq!(step(undoing(before()), Some(None)), "finish");
}

/// a twin that was reset is put back, unless somebody has written it since.
#[test]
fn r_22_a_twin_that_was_reset_is_undone_as_well() {
    let mut before = found("1", 50);
    before.twin.tags = object(json!({"site": "mine"}));
    let job = job(undoing(Some(before)), None, TwinPlan::Reset);
    let after = |tags: Value| {
        let mut there = found("3", 50);
        there.twin.tags = object(tags);
        seen(Some(Some(there)))
    };
    assert_eq!(word(&next(&job, &after(json!({"site": "a"})))), "set the twin");
    assert_eq!(word(&next(&job, &after(json!({"site": "new"})))), "finish");
}

#[test]
fn r_26_the_old_identity_goes_unless_it_is_anothers_by_now() {
    let left = found("1", 1);
    let job =
        job(Phase::Leaving { left: Box::new(left.clone()) }, Some("old.test"), TwinPlan::Migrate);
    let of = |from: Option<Option<Found>>| {
        let from = from.map(|found| found.map(Left::from));
        word(&next(&job, &Seen { from, ..Seen::default() })).to_owned()
    };
    assert_eq!(of(None), "look back");
    assert_eq!(of(Some(Some(left))), "remove the old one");
    assert_eq!(of(Some(Some(found("9", 60)))), "finish");
    assert_eq!(of(Some(None)), "finish");
}

/// A server that begins from an older backup meets identities that were made since, with the keys
/// that their enrollment derives once more.
#[test]
fn a_leaving_job_spares_an_identity_that_was_made_again() {
    let generation = |id: &str, mut found: Found| {
        found.document.insert("generationId".to_owned(), id.into());
        found
    };
    let left = || generation("638", found("1", 1));
    let job = job(Phase::Leaving { left: Box::new(left()) }, Some("old.test"), TwinPlan::Migrate);
    let of = |from: Found| {
        let seen = Seen { from: Some(Some(Left::from(from))), ..Seen::default() };
        word(&next(&job, &seen)).to_owned()
    };
    assert_eq!(of(generation("639", found("7", 1))), "finish");
    assert_eq!(of(generation("638", found("7", 1))), "remove the old one");
    // A hub that tells of no generations.
    assert_eq!(of(found("7", 1)), "remove the old one");
    // What was put over an identity is not put over the one that came after it.
    let before = || generation("638", found("1", 50));
    let again = generation("639", found("2", 1));
    assert_eq!(step(undoing(Some(before())), Some(Some(again))), "finish");
    let ours = generation("638", found("2", 1));
    assert_eq!(step(undoing(Some(before())), Some(Some(ours))), "restore");
}

#[test]
fn a_twin_that_is_taken_along_is_read_first() {
    let job = job(Phase::Begun, Some("old.test"), TwinPlan::Migrate);
    assert_eq!(word(&next(&job, &Seen::default())), "look back");
    let from = Some(Some(Left::from(found("1", 1))));
    let seen = Seen { from, to: Some(None), ..Seen::default() };
    let Step::Enter(Phase::Writing { left: Some(left), .. }) = next(&job, &seen) else {
        panic!("it is durable before the first write")
    };
    assert_eq!(left.twin.tags, object(json!({"site": "a"})));
}

#[test]
fn silence_is_waited_out_and_a_refusal_is_not() {
    let patience = Duration::from_secs(30);
    let of =
        |miss: &Miss, misses, since| course(miss, misses, Duration::from_secs(since), patience);
    let lost = Miss::Unreachable(String::new());
    assert_eq!(of(&lost, 1, 0), Course::After(Duration::from_millis(250)));
    assert_eq!(of(&lost, 90, 20), Course::After(Duration::from_secs(5)));
    assert_eq!(of(&lost, 90, 28), Course::GiveUp);
    assert_eq!(of(&Miss::Busy(String::new()), 2, 0), Course::After(Duration::from_millis(500)));
    for miss in [Miss::Absent, Miss::Exists, Miss::Changed] {
        assert_eq!(of(&miss, 1, 0), Course::Again);
        assert_eq!(of(&miss, 99, 0), Course::GiveUp);
    }
    assert_eq!(of(&Miss::Unauthorized(String::new()), 1, 0), Course::GiveUp);
    assert_eq!(of(&Miss::Refused(String::new()), 1, 0), Course::GiveUp);
}

#[test]
fn a_decision_of_now_is_the_jobs_only_while_all_of_it_is() {
    let job = job(Phase::Begun, None, TwinPlan::KeepOrInitial);
    assert!(job.is_for(&job.place.clone()));
    let entry = EntryRef { created: Timestamp::from_unix_seconds(5), ..job.place.entry.clone() };
    let other = |change: &dyn Fn(&mut Placement)| {
        let mut place = job.place.clone();
        change(&mut place);
        place
    };
    for place in [
        other(&|place| place.entry = entry.clone()),
        other(&|place| place.to = at("other.test")),
        other(&|place| place.from = Some(at("old.test"))),
        other(&|place| place.twin = TwinPlan::Reset),
        other(&|place| place.iot_edge = Some(true)),
        other(&|place| place.initial_tags = Map::new()),
        other(&|place| place.credential = HubCredential::Wrapped),
        other(&|place| {
            place.credential = HubCredential::Sas { primary: key(3), secondary: key(2) };
        }),
    ] {
        assert!(!job.is_for(&place), "{place:?}");
    }
}
