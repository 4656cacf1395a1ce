//! Loads: many entries at once, each as a PUT would be, and safe to repeat.

use provisioning::draft::DraftError;
use provisioning::enrollment::ProvisioningStatus::{Disabled, Enabled};
use provisioning::load::OnExisting::{self, Fail, Replace, Skip};
use provisioning::quota::QuotaChange;
use serde_json::{Value, json};
use service::{ApiError, DpsRequest, Loaded};

use crate::seeds::ENDORSEMENT_KEY;
use crate::world::{World, call, group, id, individual, keyed, self_signed};

impl World {
    /// Loads entries; what became of each, in a word or a refusal's text.
    async fn load(&self, entries: &[(&str, Value)], existing: OnExisting) -> Vec<String> {
        let drafts: Vec<_> = entries.iter().map(|(name, json)| individual(name, json)).collect();
        let (call, may) = (call(), || true);
        let loaded = self.service.load_individuals(&call, &self.dps, &drafts, existing, may).await;
        let word = |loaded: Loaded| match loaded {
            Loaded::Refused(ApiError::Draft(
                DraftError::CertificateInUse { by } | DraftError::EndorsementKeyInUse { by },
            )) => format!("in use by {by}"),
            Loaded::Refused(error) => error.to_string(),
            Loaded::Created
            | Loaded::Replaced
            | Loaded::Unchanged
            | Loaded::Skipped
            | Loaded::Exists => format!("{loaded:?}").to_lowercase(),
        };
        loaded.unwrap().into_iter().map(word).collect()
    }

    async fn etag(&self, name: &str) -> String {
        let (entry, _) = self.service.individual(&self.dps, &id(name)).await.unwrap();
        entry.stamp.etag.as_str().to_owned()
    }

    async fn status_of(&self, name: &str) -> provisioning::enrollment::ProvisioningStatus {
        let (entry, _) = self.service.individual(&self.dps, &id(name)).await.unwrap();
        entry.settings.provisioning_status
    }
}

#[tokio::test]
async fn b_05_a_load_that_is_repeated_changes_nothing() {
    let w = World::new().await;
    // Keys that the service makes, keys that are given, and more than one commit takes.
    let mut entries: Vec<(String, Value)> = (0..700)
        .map(|at| (format!("dev-{at}"), json!({"attestation": {"type": "symmetricKey"}})))
        .collect();
    entries.push(("given".to_owned(), keyed(1)));
    let entries: Vec<_> =
        entries.iter().map(|(name, json)| (name.as_str(), json.clone())).collect();
    let all = |word: &str| vec![word.to_owned(); entries.len()];
    assert_eq!(w.load(&entries, Fail).await, all("created"));
    let etags = (w.etag("dev-0").await, w.etag("dev-650").await, w.etag("given").await);
    for existing in [Fail, Skip, Replace] {
        assert_eq!(w.load(&entries, existing).await, all("unchanged"));
    }
    assert_eq!(etags, (w.etag("dev-0").await, w.etag("dev-650").await, w.etag("given").await));
}

#[tokio::test]
async fn a_21_what_is_there_and_differs_is_kept_replaced_or_an_error() {
    let w = World::new().await;
    w.put("a", &keyed(1)).await;
    let mut other = keyed(1);
    other["deviceId"] = "other".into();
    let entries = [("a", other), ("b", keyed(2))];
    assert_eq!(w.load(&entries, Fail).await, ["exists", "created"]);
    assert_eq!(w.load(&entries, Skip).await, ["skipped", "unchanged"]);
    let before = w.etag("a").await;
    assert_eq!(w.load(&entries, Replace).await, ["replaced", "unchanged"]);
    assert_ne!(before, w.etag("a").await);
    // Another mechanism is a fault only of one that would take its place (V-28).
    let tpm = [("a", json!({"attestation": {"type": "tpm", "tpm": {"endorsementKey": "AAAA"}}}))];
    assert_eq!(w.load(&tpm, Skip).await, ["skipped"]);
    assert_eq!(w.load(&tpm, Fail).await, ["exists"]);
    assert!(w.load(&tpm, Replace).await[0].contains("delete"), "{:?}", w.load(&tpm, Replace).await);
}

#[tokio::test]
async fn s_13_a_load_enables_nothing_that_it_does_not_name_as_enabled() {
    let w = World::new().await;
    w.put("a", &keyed(1)).await;
    w.status("a", 1, Disabled).await;
    let mut silent = keyed(1);
    assert_eq!(w.load(&[("a", silent.clone())], Replace).await, ["unchanged"]);
    silent["deviceId"] = "other".into();
    assert_eq!(w.load(&[("a", silent.clone())], Replace).await, ["replaced"]);
    assert_eq!(w.status_of("a").await, Disabled);
    silent["provisioningStatus"] = "enabled".into();
    assert_eq!(w.load(&[("a", silent.clone())], Fail).await, ["exists"]);
    assert_eq!(w.load(&[("a", silent)], Replace).await, ["replaced"]);
    assert_eq!(w.status_of("a").await, Enabled);
}

#[tokio::test]
async fn an_id_that_is_twice_in_a_load_is_judged_by_what_the_first_became() {
    let w = World::new().await;
    let entries = [("a", keyed(1)), ("A", keyed(2)), ("b", keyed(3)), ("b", keyed(3))];
    assert_eq!(w.load(&entries, Fail).await, ["created", "exists", "created", "unchanged"]);
    assert_eq!(w.load(&entries[..2], Replace).await[1], "replaced");
}

#[tokio::test]
async fn v_12_a_certificate_in_two_entries_of_a_load_is_refused_once() {
    let w = World::new().await;
    let pinned = |pem: &str| {
        json!({"attestation": {"type": "x509", "x509":
            {"clientCertificates": {"primary": {"certificate": pem}}}}})
    };
    let (one, two, signing) = (self_signed("one"), self_signed("two"), self_signed("signing"));
    w.put("old", &pinned(&two)).await;
    let of_group = json!({"attestation": {"type": "x509", "x509":
        {"signingCertificates": {"primary": {"certificate": signing}}}}});
    w.service
        .put_group(&call(), &w.dps, &group("g", &of_group), &model::IfMatch::Absent)
        .await
        .unwrap();
    let entries = [
        ("a", pinned(&one)),
        ("b", pinned(&one)),
        ("c", pinned(&two)),
        ("d", pinned(&signing)),
        ("old", pinned(&two)),
    ];
    let told = w.load(&entries, Replace).await;
    assert_eq!(
        told,
        [
            "created",
            "in use by individual enrollment a",
            "in use by individual enrollment old",
            "in use by enrollment group g",
            "unchanged"
        ]
    );
    assert!(w.service.individual(&w.dps, &id("b")).await.is_err());
    // The certificate is its own, also when the entry is written again.
    let mut moved = pinned(&one);
    moved["deviceId"] = "other".into();
    assert_eq!(w.load(&[("a", moved)], Replace).await, ["replaced"]);
}

#[tokio::test]
async fn v_30_an_endorsement_key_in_two_entries_of_a_load_is_refused_once() {
    let w = World::new().await;
    let tpm = json!({"attestation": {"type": "tpm", "tpm": {"endorsementKey": ENDORSEMENT_KEY}}});
    let entries = [("a", tpm.clone()), ("b", tpm)];
    let told = ["created", "in use by individual enrollment a"];
    assert_eq!(w.load(&entries, Replace).await, told);
    assert_eq!(w.load(&entries[1..], Replace).await, told[1..]);
}

#[tokio::test]
async fn a_load_keeps_the_quota_also_beside_another() {
    // A store that has others wait for an answer, as memory does not.
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("load-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let options = store_sqlite::Options::default();
    let store = store_sqlite::Sqlite::open(&dir.join("control.db"), options).unwrap();
    let w = World::over(std::sync::Arc::new(store)).await;
    let quota = QuotaChange { individual_enrollments: Some(1_000), ..QuotaChange::default() };
    let request = DpsRequest { quota, ..DpsRequest::default() };
    w.service.put_dps(&call(), &w.dps, request).await.unwrap();
    let begin = std::sync::Arc::new(tokio::sync::Barrier::new(4));
    let load = |name: &str| {
        let json = json!({"attestation": {"type": "symmetricKey"}});
        let drafts: Vec<_> =
            (0..500).map(|at| individual(&format!("{name}-{at}"), &json)).collect();
        let (service, dps, begin) = (w.service.clone(), w.dps.clone(), begin.clone());
        tokio::spawn(async move {
            begin.wait().await;
            let (call, may) = (call(), || true);
            let loaded = service.load_individuals(&call, &dps, &drafts, Fail, may).await.unwrap();
            loaded.iter().filter(|loaded| matches!(loaded, Loaded::Created)).count()
        })
    };
    let mut created = 0;
    for load in [load("a"), load("b"), load("c"), load("d")] {
        created += load.await.unwrap();
    }
    assert_eq!(created, 1_000);
    assert_eq!(
        w.load(&[("d", keyed(1))], Fail).await,
        ["there are 1000 individual enrollments already"]
    );
    drop(w);
    std::fs::remove_dir_all(dir).unwrap();
}
