//! TPMs as nobody should show them, and answers that are none, over HTTPS.

use crate::hostile::{Hostile, ask, assert_refusal};
use crate::scene::individual;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::{Reply, SoftTpm, in_seconds, sas_token, world};
use serde_json::{Value, json};
use std::thread;

const INVALID: u32 = 400_004;
const IN_USE: u32 = 409_202;
const UNKNOWN: u32 = 404_201;

/// An endorsement key on an RSA modulus of the broken generator of CVE-2017-15361: the published
/// one of `crocs-muni/roca`, `mod03.txt`.
const ROCA: &str = "\
    AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEAnc10IOQgwnCmgGDr\
    i1qnRXqfZkj4b6/tJ3XMH3muli8eY/G55RxV+epv3HMy6bAFjJ/y6x/ImFUCnPaq/iHmif6zisn/sS8c43G7XQ6armQWGrzn\
    S0JEv2jx7bRBH3VqCXyJKcFHQCReo1X4My0ao2u1DH3LRQXajeAuTlPTj43wYJfadSTfDfk9tI6sjMSvLToWJX6ysq3Ka6Rk\
    5ZdPqSVQ0xsbq/Fh52ktALhuPdiG7KtKv74aj4zCY/9K9VzbRfQkmlGTkl9emD12LwtoAJQ+sCZ7CPQu0xHOH1yG6svIzk08\
    t6L+4e9WQUI6HPQRTl7PUANKYKQSUjr55vSqEQ==";

fn tpm_entry(id: &str, endorsement_key: &str) -> Value {
    individual(id, &json!({"type": "tpm", "tpm": {"endorsementKey": endorsement_key}}), "enabled")
}

fn keys(tpm: &SoftTpm) -> Value {
    let [endorsement_key, storage_root_key] = tpm.keys();
    json!({"endorsementKey": endorsement_key, "storageRootKey": storage_root_key})
}

impl Hostile {
    fn register_tpm(&self, id: &str, tpm: &Value, token: Option<&str>) -> Reply {
        let target = format!("/{}/registrations/{id}/register?api-version=2021-06-01", self.scope);
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(token.map(|token| ("Authorization", token)));
        let body = json!({"registrationId": id, "tpm": tpm}).to_string();
        ask(&self.tls, "PUT", &target, &headers, body.as_bytes()).expect("an answer")
    }

    fn enroll_tpm(&self, id: &str, tpm: &SoftTpm) {
        let [endorsement_key, _] = tpm.keys();
        self.dps.put(&format!("/enrollments/{id}"), &tpm_entry(id, &endorsement_key)).expect(200);
    }

    /// The token by which the TPM answers a challenge of its own.
    #[track_caller]
    fn answer(&self, id: &str, tpm: &SoftTpm) -> String {
        self.answer_of(id, tpm, &self.register_tpm(id, &keys(tpm), None))
    }

    #[track_caller]
    fn answer_of(&self, id: &str, tpm: &SoftTpm, challenge: &Reply) -> String {
        assert!(is_challenge(challenge), "{}", challenge.body);
        let key = tpm.take_in(challenge.body["authenticationKey"].as_str().unwrap());
        sas_token(&self.resource(id), &key, in_seconds(600), Some("registration"))
    }
}

fn is_challenge(reply: &Reply) -> bool {
    reply.status == 401 && reply.body["authenticationKey"].is_string()
}

#[test]
fn m_24_keys_that_are_cut_short_broken_or_weak_are_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let tpm = SoftTpm::generate();
        let [good, storage_root_key] = tpm.keys();
        let area = STANDARD.decode(&good).unwrap();
        let mut bad: Vec<String> = [0, 1, 2, 10, 46, area.len() - 34, area.len() - 1]
            .map(|length| STANDARD.encode(&area[..length]))
            .into();
        bad.push(STANDARD.encode([area.as_slice(), &[0]].concat()));
        let off_the_curve = area
            .iter()
            .enumerate()
            .map(|(at, byte)| if at == area.len() - 1 { byte ^ 1 } else { *byte });
        bad.push(STANDARD.encode(off_the_curve.collect::<Vec<_>>()));
        bad.extend([ROCA.to_owned(), "?".to_owned(), good.repeat(20)]);
        for key in &bad {
            let entry = tpm_entry("tpm", key);
            let refused = scene.dps.put("/enrollments/tpm", &entry);
            assert_refusal(refused.status, &refused.body, INVALID);
            for shown in [
                json!({"endorsementKey": key, "storageRootKey": storage_root_key}),
                json!({"endorsementKey": good, "storageRootKey": key}),
            ] {
                let refused = scene.register_tpm("tpm", &shown, None);
                assert_refusal(refused.status, &refused.body, INVALID);
            }
        }
        let mut shown = keys(&tpm);
        for certificates in [json!(["?"]), json!([""]), json!([good]), json!(vec![good; 17])] {
            shown["endorsementCertificates"] = certificates;
            let refused = scene.register_tpm("tpm", &shown, None);
            assert_refusal(refused.status, &refused.body, INVALID);
        }
        scene.assert_no_record("tpm");
        scene.assert_unharmed();
    });
}

#[test]
fn v_30_an_endorsement_key_in_two_enrollments_is_409() {
    world(|world| {
        let scene = Hostile::new(world);
        let tpm = SoftTpm::generate();
        scene.enroll_tpm("one", &tpm);
        let [endorsement_key, _] = tpm.keys();
        let refused = scene.dps.put("/enrollments/two", &tpm_entry("two", &endorsement_key));
        assert_refusal(refused.status, &refused.body, IN_USE);
        scene.dps.delete("/enrollments/one").expect(204);
        scene.enroll_tpm("two", &tpm);
    });
}

#[test]
fn d_25_what_answers_no_live_challenge_of_the_very_tpm_registers_nothing() {
    world(|world| {
        let scene = Hostile::new(world);
        let (tpm, other) = (SoftTpm::generate(), SoftTpm::generate());
        let unknown = scene.register_tpm("tpm", &keys(&tpm), None);
        assert_refusal(unknown.status, &unknown.body, UNKNOWN);
        scene.enroll_tpm("tpm", &tpm);
        scene.enroll_tpm("other", &other);
        // Another endorsement key: it is not even challenged.
        let unknown = scene.register_tpm("tpm", &keys(&other), None);
        assert_refusal(unknown.status, &unknown.body, UNKNOWN);

        let answer = scene.answer("tpm", &tpm);
        // The challenge of one registration id, of one storage root key.
        let elsewhere = scene.answer("other", &other);
        assert!(is_challenge(&scene.register_tpm("tpm", &keys(&tpm), Some(&elsewhere))));
        let tpm = tpm.cleared();
        assert!(is_challenge(&scene.register_tpm("tpm", &keys(&tpm), Some(&answer))));
        // Without the TPM the challenge itself is worth nothing.
        let challenge = scene.register_tpm("tpm", &keys(&tpm), None);
        let wrapped = challenge.body["authenticationKey"].as_str().unwrap();
        let guessed = STANDARD.encode(&STANDARD.decode(wrapped).unwrap()[..32]);
        let forged = sas_token(&scene.resource("tpm"), &guessed, in_seconds(600), None);
        assert!(is_challenge(&scene.register_tpm("tpm", &keys(&tpm), Some(&forged))));
        scene.assert_no_record("tpm");

        // M-24: a cleared TPM is the same TPM. Its answer is good once.
        let answer = scene.answer_of("tpm", &tpm, &challenge);
        scene.register_tpm("tpm", &keys(&tpm), Some(&answer)).expect(202);
        assert!(is_challenge(&scene.register_tpm("tpm", &keys(&tpm), Some(&answer))), "replayed");
    });
}

#[test]
fn d_25_of_many_calls_with_one_answer_one_registers() {
    world(|world| {
        let scene = Hostile::new(world);
        let tpm = SoftTpm::generate();
        scene.enroll_tpm("tpm", &tpm);
        let answer = scene.answer("tpm", &tpm);
        let replies: Vec<Reply> = thread::scope(|scope| {
            let call = || scene.register_tpm("tpm", &keys(&tpm), Some(&answer));
            let calls: Vec<_> = (0..16).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let accepted = replies.iter().filter(|reply| reply.status == 202).count();
        let challenged = replies.iter().filter(|reply| is_challenge(reply)).count();
        assert_eq!((accepted, challenged), (1, 15));
        scene.assert_unharmed();
    });
}
