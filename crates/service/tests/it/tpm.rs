//! A TPM's way through the store: challenged, assigned, and its challenge consumed (D-25).

use std::sync::Arc;

use attestation::SymmetricKey;
use attestation::tpm::{CHALLENGE_SLOT, Challenge, EndorsementKey, StorageRootKey};
use hub::identity::Authentication;
use model::{IfMatch, Timestamp};
use provisioning::enrollment::{Mechanism, ProvisioningStatus};
use provisioning::registration::RegistrationStatus;
use provisioning::view::{Evidence, TpmEvidence};
use serde_json::json;
use service::{PollError, Polled, RegisterError};

use crate::far::{Far, Fate, Line, link};
use crate::seeds::ENDORSEMENT_KEY;
use crate::world::{Outside, World, call, id};

fn endorsement_key() -> EndorsementKey {
    EndorsementKey::from_base64(ENDORSEMENT_KEY).unwrap()
}

/// More than a commit is tried again.
const CALLERS: usize = 16;

/// Any storage key will do.
fn storage_root_key() -> StorageRootKey {
    StorageRootKey::from_base64(ENDORSEMENT_KEY).unwrap()
}

pub fn enrollment() -> serde_json::Value {
    json!({"attestation": {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}}})
}

async fn world() -> World {
    let w = World::new().await;
    w.put("tpm", &enrollment()).await;
    w
}

impl World {
    /// What the TPM shows, signed or not.
    pub fn shown(&self, key: Option<&SymmetricKey>) -> Evidence {
        let token = key.map(|key| match self.token("tpm", key) {
            Evidence::Sas(token) => token,
            other => panic!("{other:?}"),
        });
        Evidence::Tpm(Box::new(TpmEvidence {
            endorsement_key: endorsement_key(),
            storage_root_key: storage_root_key(),
            certificates: Vec::new(),
            token,
        }))
    }

    async fn secret(&self) -> Option<SymmetricKey> {
        self.service.dps(&self.dps).await.unwrap().value.challenge_secret
    }

    /// Is challenged, and unwraps the key as no other than the TPM could.
    pub async fn challenged(&self) -> SymmetricKey {
        match self.register("tpm", &self.shown(None)).await {
            Err(RegisterError::Challenge { authentication_key }) => {
                assert!(authentication_key.len() > 700, "{}", authentication_key.len());
            }
            other => panic!("{other:?}"),
        }
        let dps = self.service.dps(&self.dps).await.unwrap().value;
        let view = self.store.registration_view(&self.dps, &id("tpm"), None).await;
        let view = view.unwrap().unwrap();
        let after = match view.registration {
            Some(found) => format!("etag {}", found.value.etag.as_str()),
            None => format!("deleted {}", view.registrations_deleted),
        };
        let challenge = Challenge {
            id_scope: &dps.id_scope,
            registration_id: &id("tpm"),
            endorsement_key: &endorsement_key().name(),
            storage_root_key: &storage_root_key().name(),
            after: &after,
        };
        challenge.key(&dps.challenge_secret.unwrap(), self.service_now())
    }

    fn service_now(&self) -> Timestamp {
        service::Clock::now(&*self.clock)
    }

    /// The keys of the hub identity.
    async fn hub_keys(&self) -> (SymmetricKey, SymmetricKey) {
        match self.device("tpm").await.unwrap().device.value.authentication {
            Authentication::Sas { primary, secondary } => (primary, secondary),
            other => panic!("{other:?}"),
        }
    }
}

fn is_challenge<T>(answered: &Result<T, RegisterError>) -> bool {
    matches!(answered, Err(RegisterError::Challenge { .. }))
}

#[tokio::test]
async fn m_24_a_tpm_that_signs_is_assigned_and_polls_its_wrapped_hub_key() {
    let w = world().await;
    assert!(w.secret().await.is_none());
    let key = w.challenged().await;
    let secret = w.secret().await.unwrap();
    let accepted = w.register("tpm", &w.shown(Some(&key))).await.unwrap();
    assert!(w.secret().await.unwrap().same_as(&secret), "one secret, for ever");

    let polls = w.token("tpm", &key);
    let Polled::Record(record) = w.poll("tpm", &accepted.operation_id, &polls).await.unwrap()
    else {
        panic!("disabled")
    };
    assert_eq!((record.status, record.mechanism), (RegistrationStatus::Assigned, Mechanism::Tpm));
    assert!(record.tpm.unwrap().authentication_key.is_some());
    let (primary, secondary) = w.hub_keys().await;
    assert!(!primary.same_as(&secondary) && !primary.same_as(&key));
    let stranger = w.poll("tpm", &accepted.operation_id, &w.token("tpm", &secret)).await;
    assert!(matches!(stranger, Err(PollError::Stranger(_))));
}

#[tokio::test]
async fn d_25_of_many_with_one_answer_one_registers() {
    let w = world().await;
    let key = w.challenged().await;
    let evidence = w.shown(Some(&key));
    let calls = (0..8).map(|_| {
        let (service, dps, evidence) = (w.service.clone(), w.dps.clone(), evidence.clone());
        tokio::spawn(async move {
            let request = provisioning::view::RegistrationRequest {
                registration_id: id("tpm"),
                api_version: "2021-06-01".to_owned(),
                payload: None,
                csr: None,
                from: None,
            };
            service.register(&call(), &dps, &request, &evidence).await
        })
    });
    let calls: Vec<_> = calls.collect();
    let (mut accepted, mut challenged) = (0, 0);
    for call in calls {
        let answered = call.await.unwrap();
        accepted += usize::from(answered.is_ok());
        challenged += usize::from(is_challenge(&answered));
    }
    assert_eq!((accepted, challenged), (1, 7));
}

#[tokio::test]
async fn d_25_neither_deregistration_nor_a_new_enrollment_brings_a_challenge_back() {
    let w = world().await;
    let evidence = w.shown(Some(&w.challenged().await));
    assert!(w.register("tpm", &evidence).await.is_ok());
    w.service.delete_registration(&call(), &w.dps, &id("tpm"), &IfMatch::Absent).await.unwrap();
    assert!(is_challenge(&w.register("tpm", &evidence).await));
    let evidence = w.shown(Some(&w.challenged().await));
    assert!(w.register("tpm", &evidence).await.is_ok());
    w.delete("tpm").await;
    w.put("tpm", &enrollment()).await;
    assert!(is_challenge(&w.register("tpm", &evidence).await));
}

/// The first of an instance, when the secret of all challenges has yet to be made.
#[tokio::test]
async fn d_25_the_first_tpms_may_come_at_once() {
    let w = world().await;
    w.clock.gather(CALLERS);
    let call = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(w.register("tpm", &w.shown(None)))
    };
    // The clock is looked at first when the secret is written, by all of them.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(answers.iter().all(is_challenge), "{answers:?}");
}

/// Whoever else asks for challenges, any number of them, takes none from the TPM; its answer to
/// one uses up all.
#[tokio::test]
async fn d_25_challenges_at_once_are_all_good_until_one_is_answered() {
    let w = world().await;
    let first = w.challenged().await;
    for _ in 0..20 {
        w.challenged().await;
    }
    let second = w.challenged().await;
    assert!(w.register("tpm", &w.shown(Some(&first))).await.is_ok());
    for key in [&first, &second] {
        assert!(is_challenge(&w.register("tpm", &w.shown(Some(key))).await), "replayed");
    }
    assert!(w.register("tpm", &w.shown(Some(&w.challenged().await))).await.is_ok());
}

#[tokio::test]
async fn d_25_an_answer_that_comes_too_late_is_challenged_anew() {
    let w = world().await;
    let key = w.challenged().await;
    w.clock.advance(2 * CHALLENGE_SLOT.as_secs().cast_signed());
    assert!(is_challenge(&w.register("tpm", &w.shown(Some(&key))).await));
    assert!(w.record("tpm").await.is_none(), "nothing is written");
}

#[tokio::test]
async fn a_tpm_gets_a_fresh_hub_key_at_each_registration() {
    let w = world().await;
    w.register("tpm", &w.shown(Some(&w.challenged().await))).await.unwrap();
    let (first, _) = w.hub_keys().await;
    w.register("tpm", &w.shown(Some(&w.challenged().await))).await.unwrap();
    assert!(!w.hub_keys().await.0.same_as(&first));
}

#[tokio::test]
async fn s_10_s_11_a_tpm_is_disabled_enabled_and_deleted() {
    let w = world().await;
    let key = w.challenged().await;
    let accepted = w.register("tpm", &w.shown(Some(&key))).await.unwrap();
    let mut disabled = enrollment();
    disabled["provisioningStatus"] = json!(ProvisioningStatus::Disabled);
    w.replace("tpm", &disabled).await;
    let polled = w.poll("tpm", &accepted.operation_id, &w.token("tpm", &key)).await;
    assert!(matches!(polled, Ok(Polled::Disabled(_))), "D-13");
    // Again and again: each answer is recorded, or its poll would be a stranger's.
    for _ in 0..2 {
        let key = w.challenged().await;
        let accepted = w.register("tpm", &w.shown(Some(&key))).await.unwrap();
        let polled = w.poll("tpm", &accepted.operation_id, &w.token("tpm", &key)).await.unwrap();
        assert!(matches!(polled, Polled::Disabled(_)));
    }
    w.replace("tpm", &enrollment()).await;
    w.register("tpm", &w.shown(Some(&w.challenged().await))).await.unwrap();

    w.delete("tpm").await;
    let refused = w.register("tpm", &w.shown(None)).await;
    assert!(matches!(refused, Err(RegisterError::Rejected(_, Some(Mechanism::Tpm)))));
}

/// What a TPM has shown is kept with the job: its poll could not show it again.
#[tokio::test]
async fn d_25_a_tpm_goes_to_a_hub_elsewhere_also_after_a_crash() {
    const FAR: &str = "far.example.com";
    for fate in [Fate::Held, Fate::HeldAfter] {
        let far: Arc<Far> = Arc::default();
        let line = Line::with(&far, 1, fate);
        let w = World::calling(line.clone()).await;
        link(&w, FAR, 9).await;
        let mut entry = enrollment();
        entry["allocationPolicy"] = "static".into();
        entry["iotHubs"] = json!([FAR]);
        w.put("tpm", &entry).await;
        let key = w.challenged().await;
        let accepted = w.register("tpm", &w.shown(Some(&key))).await.unwrap();
        line.waits.notified().await;
        let w = w.anew(Outside { webhooks: None, registries: Some(Line::new(&far)) }).await;
        w.service.sweep().await.unwrap();
        let polls = w.token("tpm", &key);
        let Polled::Record(record) = w.poll("tpm", &accepted.operation_id, &polls).await.unwrap()
        else {
            panic!("disabled")
        };
        assert_eq!(record.status, RegistrationStatus::Assigned);
        assert!(record.tpm.unwrap().authentication_key.is_some());
        let shows = far.found(FAR, "tpm").unwrap().shows;
        assert!(matches!(shows, provisioning::remote::Shows::Sas(..)));
    }
}
