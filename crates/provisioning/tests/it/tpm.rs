//! TPMs: enrolled singly, known by their endorsement key, believed once they have signed (M-24,
//! M-25, D-03, D-25, S-09 to S-11, S-C7).

use attestation::SymmetricKey;
use attestation::sas::{self, SasToken};
use attestation::tpm::{CHALLENGE_SLOT, EndorsementKey, StorageRootKey};
use model::{Etag, Timestamp};
use provisioning::decide::{HubCredential, PollVerdict, Verdict, decide, poll};
use provisioning::enrollment::{GroupAttestation, IndividualAttestation, Mechanism};
use provisioning::explain::Outcome;
use provisioning::view::{Evidence, RegistrationRequest, TpmEvidence};

use crate::world::{NOW, SCOPE, World, id, key, keys, token, word};

/// Of Microsoft's samples.
const KEY: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAxsj2gUScTk1U\
    juioeTlfGYZrrimExB+bScH75adUMRIi2UOMxG1kw4y+9RW/IVoMl4e620VxZad0ARX2gUqVjYO7KPVt3dyKhZS3dkcv\
    fBisBhP1XH9B33VqHG9SHnbnQXdBUaCgKAfxome8UmBKfe+naTsE5fkvjb/do3/dD6l4sGBwFCnKRdln4XpM03zLpoHF\
    ao8zOwt8l/uP3qUIxmCYv9A7m69Ms+5/pCkTu/rK4mRDsfhZ0QLfbzVI6zQFOKF/rwsfBtFeWlWtcuJMKlXdD8TXWElT\
    zgh7JS4qhFzreL0c1mI0GCj+Aws0usZh7dLIVPnlgZcBhgy1SSDQMQ==";
/// Another one, on NIST P-256, of a swtpm.
pub const OTHER_KEY: &str = "\
    AHoAIwALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAADABAAIG+2sdIMXNBvnVj2\
    R8C6ixQwa6n5PyjyF8slBFnQ21wUACDLGoYcnR01BHJC5LNXlcr+lf4qvvRvw52kj6VmZM1rGA==";

fn shown(endorsement_key: &str, token: Option<SasToken>) -> Evidence {
    Evidence::Tpm(Box::new(TpmEvidence {
        endorsement_key: EndorsementKey::from_base64(endorsement_key).unwrap(),
        storage_root_key: StorageRootKey::from_base64(OTHER_KEY).unwrap(),
        certificates: Vec::new(),
        token,
    }))
}

pub fn signed_for(resource: &str, key: &SymmetricKey, expires: Timestamp) -> SasToken {
    let resource = format!("{SCOPE}/registrations/{resource}");
    SasToken::parse(&sas::create(&resource, key, expires, Some("registration"))).unwrap()
}

fn signed(key: &SymmetricKey) -> SasToken {
    signed_for("tpm", key, Timestamp::from_unix_seconds(NOW.unix_seconds() + 3600))
}

/// An instance with the TPM's own enrollment, `tpm`.
fn world() -> World {
    let mut world = World::new();
    let endorsement_key = KEY.to_owned();
    let attestation = IndividualAttestation::Tpm { endorsement_key, storage_root_key: None };
    world.individual("tpm", attestation);
    world
}

/// The key of the challenge that an unsigned call gets.
fn challenged(world: &World) -> SymmetricKey {
    match world.decision("tpm", &shown(KEY, None)).verdict {
        Verdict::Challenge(key) => key,
        other => panic!("{}", word(&other)),
    }
}

fn answer(world: &World) -> Evidence {
    shown(KEY, Some(signed(&challenged(world))))
}

fn polled(world: &World, evidence: &Evidence) -> PollVerdict {
    polled_as(world, "tpm", evidence)
}

pub fn polled_as(world: &World, name: &str, evidence: &Evidence) -> PollVerdict {
    let view = world.view(name, evidence);
    let record = view.registration.as_ref().unwrap().value.clone();
    poll(&id(name), &record.operation_id, evidence, &view, &record, NOW)
}

#[test]
fn m_24_s_09_a_tpm_that_answers_is_assigned_by_its_individual_enrollment() {
    let mut world = world();
    let first = world.decision("tpm", &shown(KEY, None));
    assert_eq!(word(&first.verdict), "challenge");
    assert_eq!(first.explanation.outcome, Outcome::Challenged);
    assert!(first.answered.is_none());

    let evidence = answer(&world);
    let Verdict::Assign(place) = world.register("tpm", &evidence) else { panic!() };
    assert!(matches!(place.credential, HubCredential::Wrapped));
    assert_eq!(world.record.as_ref().unwrap().mechanism, Mechanism::Tpm);
}

#[test]
fn d_25_another_node_judges_the_answer_and_the_slot_bounds_it() {
    let world = world();
    let evidence = answer(&world);
    let request = RegistrationRequest {
        registration_id: id("tpm"),
        api_version: "2021-06-01".to_owned(),
        payload: None,
        csr: None,
        from: None,
    };
    let verdict = |at: Timestamp| {
        word(&decide(&request, &evidence, &world.view("tpm", &evidence), at).verdict)
    };
    assert_eq!(verdict(NOW.plus(CHALLENGE_SLOT)), "assigned by tpm");
    assert_eq!(verdict(NOW.plus(CHALLENGE_SLOT * 2)), "challenge");
}

#[test]
fn d_25_a_commit_consumes_the_challenge_but_for_polls() {
    let mut world = world();
    let key = challenged(&world);
    let evidence = answer(&world);
    assert_eq!(word(&world.register("tpm", &evidence)), "assigned by tpm");
    // The same token registers no second time: the TPM is challenged anew.
    assert_eq!(world.verdict("tpm", &evidence), "challenge");
    assert!(!challenged(&world).same_as(&key));
    // It polls with the token alone, as SDKs do over HTTPS.
    let token = Evidence::Sas(signed(&key));
    assert_eq!(polled(&world, &token), PollVerdict::Stored);
    assert_eq!(world.verdict("tpm", &token), "401");
    assert_eq!(polled(&world, &Evidence::Sas(signed(&challenged(&world)))), PollVerdict::Stranger);
    assert_eq!(polled(&world, &Evidence::None), PollVerdict::Stranger);

    // Each commit leaves another etag, and so another challenge.
    world.record.as_mut().unwrap().etag = Etag::new("next");
    let next = challenged(&world);
    assert_eq!(world.verdict("tpm", &shown(KEY, Some(signed(&next)))), "assigned by tpm");
}

#[test]
fn d_25_a_deleted_record_does_not_bring_its_challenge_back() {
    let mut world = world();
    let evidence = answer(&world);
    assert_eq!(word(&world.register("tpm", &evidence)), "assigned by tpm");
    world.forget();
    assert_eq!(world.verdict("tpm", &evidence), "challenge");
    assert_eq!(world.verdict("tpm", &answer(&world)), "assigned by tpm");
}

#[test]
fn a_token_that_is_no_answer_is_challenged_anew() {
    let world = world();
    let key = challenged(&world);
    let past = Timestamp::from_unix_seconds(NOW.unix_seconds() - 3600);
    let future = Timestamp::from_unix_seconds(NOW.unix_seconds() + 3600);
    for token in [
        signed(&crate::world::key(9)),
        signed_for("other", &key, future),
        signed_for("tpm", &key, past),
    ] {
        assert_eq!(world.verdict("tpm", &shown(KEY, Some(token))), "challenge");
    }
}

/// M-24: any storage root key will do, but the one that was challenged is the one that answers.
#[test]
fn d_25_an_answer_for_another_storage_root_key_is_none() {
    let world = world();
    let with_storage_key = |storage_root_key: &str, token: Option<SasToken>| {
        let Evidence::Tpm(shown) = shown(KEY, token) else { panic!() };
        let storage_root_key = StorageRootKey::from_base64(storage_root_key).unwrap();
        Evidence::Tpm(Box::new(TpmEvidence { storage_root_key, ..*shown }))
    };
    let answered = signed(&challenged(&world));
    assert_eq!(
        world.verdict("tpm", &with_storage_key(OTHER_KEY, Some(answered.clone()))),
        "assigned by tpm"
    );
    assert_eq!(world.verdict("tpm", &with_storage_key(KEY, Some(answered))), "challenge");
    let Verdict::Challenge(other) = world.decision("tpm", &with_storage_key(KEY, None)).verdict
    else {
        panic!()
    };
    assert!(!other.same_as(&challenged(&world)));
    assert_eq!(
        world.verdict("tpm", &with_storage_key(KEY, Some(signed(&other)))),
        "assigned by tpm"
    );
    assert_eq!(
        world.verdict("tpm", &with_storage_key(OTHER_KEY, Some(signed(&other)))),
        "challenge"
    );
}

#[test]
fn m_25_without_its_own_enrollment_a_tpm_is_refused_unchallenged() {
    let mut world = world();
    assert_eq!(world.verdict("unknown", &shown(KEY, None)), "401");
    assert_eq!(world.verdict("tpm", &shown(OTHER_KEY, None)), "401", "another endorsement key");
    // S-09, S-10: deleted, and no group picks it up.
    let evidence = answer(&world);
    world.remove("tpm");
    world.group("g", GroupAttestation::SymmetricKey(keys(3)));
    assert_eq!(world.verdict("tpm", &evidence), "401");
    world.keyed("keyed", keys(4));
    assert_eq!(world.verdict("keyed", &shown(KEY, None)), "401");
}

#[test]
fn d_03_s_11_who_has_not_answered_learns_nothing_of_a_disabled_enrollment() {
    let mut world = world();
    let enrolled = answer(&world);
    world.register("tpm", &enrolled);
    let polls =
        Evidence::Sas(signed(&world.record.as_ref().unwrap().tpm.as_ref().unwrap().challenge_key));
    world.disable("tpm");
    assert_eq!(world.verdict("tpm", &shown(KEY, None)), "challenge");
    assert_eq!(world.verdict("tpm", &shown(OTHER_KEY, None)), "401");
    let answered = world.decision("tpm", &answer(&world));
    assert_eq!(word(&answered.verdict), "disabled by tpm");
    assert!(answered.answered.is_some(), "its record is polled with this key");
    assert_eq!(polled(&world, &polls), PollVerdict::Disabled, "D-13");
    world.enable("tpm");
    assert_eq!(world.verdict("tpm", &answer(&world)), "assigned by tpm");
}

/// As with a symmetric key that is replaced: what was enrolled is enrolled no more.
#[test]
fn d_13_a_tpm_that_another_has_replaced_polls_nothing() {
    let mut world = world();
    let key = challenged(&world);
    let evidence = answer(&world);
    world.register("tpm", &evidence);
    let polls = Evidence::Sas(signed(&key));
    assert_eq!(polled(&world, &polls), PollVerdict::Stored);
    let endorsement_key = OTHER_KEY.to_owned();
    world.individuals[0].attestation =
        IndividualAttestation::Tpm { endorsement_key, storage_root_key: None };
    assert_eq!(polled(&world, &polls), PollVerdict::Stranger);
}

#[test]
fn other_evidence_does_not_open_a_tpms_enrollment() {
    let world = world();
    assert_eq!(world.verdict("tpm", &Evidence::None), "401");
    assert_eq!(world.verdict("tpm", &token("tpm", &key(1))), "401");
    assert_eq!(world.verdict("tpm", &Evidence::Sas(signed(&challenged(&world)))), "401");
}

#[test]
fn without_a_secret_nothing_is_challenged() {
    let mut world = world();
    let evidence = answer(&world);
    world.dps.challenge_secret = None;
    assert_eq!(world.verdict("tpm", &evidence), "401");
    world.dps.challenge_secret = Some(key(251));
    assert_eq!(world.verdict("tpm", &evidence), "challenge", "another secret");
}
