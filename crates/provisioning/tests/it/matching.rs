//! Which entry decides, and what it says (M-01 to M-29, D-01 to D-07).

use attestation::x509::Certificate;
use provisioning::enrollment::{
    GroupAttestation, IndividualAttestation, ProvisioningStatus, Slots,
};
use provisioning::view::Evidence;

use crate::world::{
    Ca, World, chain, key, keys, rewritten, root, self_signed, token, token_until, word,
};

/// root R -> intermediate A -> leaf; R verified.
struct Line {
    world: World,
    r: Ca,
    a: Ca,
    leaf: Certificate,
}

fn line() -> Line {
    let r = root("R");
    let a = r.intermediate("A");
    let leaf = a.leaf("sensor-thl-002");
    let mut world = World::new();
    world.verified(&r);
    Line { world, r, a, leaf }
}

impl Line {
    fn evidence(&self) -> Evidence {
        chain(&[&self.leaf, &self.a.certificate])
    }

    fn verdict(&self) -> String {
        self.world.verdict("sensor-thl-002", &self.evidence())
    }
}

#[test]
fn m_17_s_09_x509_leaf_provisions_through_an_individual_enrollment() {
    let leaf = self_signed("dev-1");
    let mut world = World::new();
    world.pinned("dev-1", &leaf);
    assert_eq!(world.verdict("dev-1", &chain(&[&leaf])), "assigned by dev-1");
}

/// The hub is told the thumbprint of what was shown: it must be the one that was enrolled.
#[test]
fn m_17_a_pinned_certificate_is_admitted_by_its_very_bytes() {
    let leaf = self_signed("dev-1");
    let mut world = World::new();
    world.pinned("dev-1", &leaf);
    assert_eq!(world.verdict("dev-1", &chain(&[&rewritten(&leaf)])), "401");
}

#[test]
fn m_21_secondary_certificate_and_keys_are_equally_valid() {
    let (old, new) = (self_signed("dev-1"), self_signed("dev-1"));
    let mut world = World::new();
    let slots = Slots { primary: Some(old), secondary: Some(new.clone()) };
    world.individual("dev-1", IndividualAttestation::ClientCertificates(slots));
    assert_eq!(world.verdict("dev-1", &chain(&[&new])), "assigned by dev-1");
    world.keyed("dev-2", keys(1));
    assert_eq!(world.verdict("dev-2", &token("dev-2", &keys(1).secondary)), "assigned by dev-2");
    world.group("g", GroupAttestation::SymmetricKey(keys(2)));
    let derived = keys(2).secondary.derive("dev-3");
    assert_eq!(world.verdict("dev-3", &token("dev-3", &derived)), "assigned by g");
}

#[test]
fn s_12_deleted_individual_falls_back_to_the_enabled_group() {
    let mut l = line();
    l.world.signing("group", &l.a);
    l.world.pinned("sensor-thl-002", &l.leaf);
    assert_eq!(l.verdict(), "assigned by sensor-thl-002");
    l.world.remove("sensor-thl-002");
    assert_eq!(l.verdict(), "assigned by group");
    l.world.disable("group");
    assert_eq!(l.verdict(), "disabled by group");
    l.world.remove("group");
    assert_eq!(l.verdict(), "401");
}

#[test]
fn s_13_disabled_individual_beats_enabled_group() {
    let mut l = line();
    l.world.signing("R", &l.r);
    l.world.signing("A", &l.a);
    l.world.pinned("sensor-thl-002", &l.leaf);
    l.world.disable("sensor-thl-002");
    assert_eq!(l.verdict(), "disabled by sensor-thl-002");
}

#[test]
fn s_47_disabled_individual_prevents_whatever_groups_are_enabled() {
    let mut l = line();
    l.world.signing("R", &l.r);
    l.world.keyed("sensor-thl-002", keys(9));
    l.world.disable("sensor-thl-002");
    assert_eq!(l.verdict(), "disabled by sensor-thl-002");
}

#[test]
fn m_01_s_65_individual_is_found_before_any_group() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("sensor-thl-002", &l.leaf);
    assert_eq!(l.verdict(), "assigned by sensor-thl-002");
}

#[test]
fn s_14_group_holds_a_root_or_an_intermediate() {
    let r = root("R");
    let a = r.intermediate("A");
    let b = a.intermediate("B");
    let leaf = b.leaf("deep");
    let evidence = chain(&[&leaf, &b.certificate, &a.certificate]);
    for ca in [&r, &a, &b] {
        let mut world = World::new();
        world.verified(&r);
        world.signing("g", ca);
        assert_eq!(world.verdict("deep", &evidence), "assigned by g");
    }
}

#[test]
fn s_18_disabled_group_refuses_its_members() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.disable("A");
    assert_eq!(l.verdict(), "disabled by A");
}

#[test]
fn s_c2_m_08_m_09_nearest_group_decides() {
    let mut l = line();
    l.world.signing("R", &l.r);
    l.world.signing("A", &l.a);
    assert_eq!(l.verdict(), "assigned by A");
    l.world.disable("A");
    assert_eq!(l.verdict(), "disabled by A");
    l.world.remove("A");
    assert_eq!(l.verdict(), "assigned by R");
    l.world.signing("A", &l.a);
    l.world.disable("R");
    assert_eq!(l.verdict(), "assigned by A");
    l.world.remove("A");
    assert_eq!(l.verdict(), "disabled by R");
    l.world.remove("R");
    assert_eq!(l.verdict(), "401");
}

#[test]
fn m_10_s_19_deleted_group_falls_back_to_the_nearer_of_two_higher_ones() {
    let r = root("R");
    let a = r.intermediate("A");
    let b = a.intermediate("B");
    let leaf = b.leaf("deep");
    let evidence = chain(&[&leaf, &b.certificate, &a.certificate]);
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    world.signing("A", &a);
    world.signing("B", &b);
    world.remove("B");
    assert_eq!(world.verdict("deep", &evidence), "assigned by A");
    world.disable("A");
    assert_eq!(world.verdict("deep", &evidence), "disabled by A");
}

#[test]
fn s_44_deleted_group_lets_a_root_group_take_over() {
    let mut l = line();
    l.world.signing("R", &l.r);
    assert_eq!(l.verdict(), "assigned by R");
}

#[test]
fn s_05_siblings_under_other_intermediates_keep_working() {
    let r = root("R");
    let (a, b) = (r.intermediate("A"), r.intermediate("B"));
    let (under_a, under_b) = (a.leaf("one"), b.leaf("two"));
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    world.signing("A", &a);
    world.disable("A");
    assert_eq!(world.verdict("one", &chain(&[&under_a, &a.certificate])), "disabled by A");
    assert_eq!(world.verdict("two", &chain(&[&under_b, &b.certificate])), "assigned by R");
}

#[test]
fn s_40_disallowed_certificate_stops_everything_below_it() {
    let r = root("R");
    let (bad, healthy) = (r.intermediate("bad"), r.intermediate("healthy"));
    let sub = bad.intermediate("sub");
    let (below, other) = (sub.leaf("below"), healthy.leaf("other"));
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    world.signing("bad", &bad);
    world.disable("bad");
    let evidence = chain(&[&below, &sub.certificate, &bad.certificate]);
    assert_eq!(world.verdict("below", &evidence), "disabled by bad");
    assert_eq!(world.verdict("other", &chain(&[&other, &healthy.certificate])), "assigned by R");
}

#[test]
fn s_25_s_58_disabled_entry_with_the_leaf_blocks_one_device() {
    let mut l = line();
    let other = l.a.leaf("sensor-thl-001");
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    assert_eq!(l.verdict(), "disabled by disallow-002");
    let evidence = chain(&[&other, &l.a.certificate]);
    assert_eq!(l.world.verdict("sensor-thl-001", &evidence), "assigned by A");
}

#[test]
fn s_26_no_certificate_block_by_a_key_entry_of_the_same_id() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.keyed("SENSOR-THL-002", keys(7));
    l.world.disable("SENSOR-THL-002");
    assert_eq!(l.verdict(), "disabled by SENSOR-THL-002");
}

#[test]
fn m_07_s_27_deleting_the_blocking_entry_lets_the_group_in_again() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    l.world.remove("disallow-002");
    assert_eq!(l.verdict(), "assigned by A");
}

#[test]
fn s_28_a_hundred_other_members_are_let_in() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    for number in 0..100 {
        let name = format!("other-{number}");
        let leaf = l.a.leaf(&name);
        assert_eq!(l.world.verdict(&name, &chain(&[&leaf, &l.a.certificate])), "assigned by A");
    }
}

#[test]
fn m_04_s_55_block_is_by_identity_whatever_the_attestation_type() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(3)));
    world.pinned("dev-1", &self_signed("dev-1"));
    world.disable("dev-1");
    let derived = key(3).derive("dev-1");
    assert_eq!(world.verdict("dev-1", &token("dev-1", &derived)), "disabled by dev-1");
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.individual(
        "sensor-thl-002",
        IndividualAttestation::Tpm { endorsement_key: "AToA".to_owned(), storage_root_key: None },
    );
    l.world.disable("sensor-thl-002");
    assert_eq!(l.verdict(), "disabled by sensor-thl-002");
}

#[test]
fn d_03_a_stranger_learns_nothing_of_a_blocking_entry() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.keyed("sensor-thl-002", keys(7));
    l.world.disable("sensor-thl-002");
    let stranger = self_signed("sensor-thl-002");
    assert_eq!(l.world.verdict("sensor-thl-002", &chain(&[&stranger])), "401");
    let wrong = token("sensor-thl-002", &key(99));
    assert_eq!(l.world.verdict("sensor-thl-002", &wrong), "401");
    assert_eq!(l.world.verdict("sensor-thl-002", &Evidence::None), "401");
}

#[test]
fn m_03_s_66_entry_matches_by_thumbprint_in_either_slot() {
    let mut l = line();
    l.world.signing("A", &l.a);
    let slots = Slots { primary: Some(self_signed("x")), secondary: Some(l.leaf.clone()) };
    l.world.individual("disallow-002", IndividualAttestation::ClientCertificates(slots));
    l.world.disable("disallow-002");
    assert_eq!(l.verdict(), "disabled by disallow-002");
}

#[test]
fn s_66_a_rewritten_signature_does_not_slip_past_the_block() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    let same = rewritten(&l.leaf);
    assert_ne!(same.thumbprint(), l.leaf.thumbprint());
    assert_eq!(same.verify_signed_by(&l.a.certificate), Ok(()));
    l.leaf = same;
    assert_eq!(l.verdict(), "disabled by disallow-002");
}

#[test]
fn s_66_reissued_leaf_is_not_matched_by_thumbprint() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    l.leaf = l.a.leaf("sensor-thl-002");
    assert_eq!(l.verdict(), "assigned by A");
}

#[test]
fn m_06_s_64_s_67_enabled_entry_found_by_leaf_lets_the_device_in_under_its_own_name() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    assert_eq!(l.verdict(), "assigned by disallow-002");
    let decision = l.world.decision("sensor-thl-002", &l.evidence());
    assert_eq!(decision.explanation.registration_id.as_str(), "sensor-thl-002");
    let provisioning::decide::Verdict::Assign(place) = decision.verdict else { panic!() };
    assert_eq!(place.to.device_id.as_str(), "sensor-thl-002");
}

#[test]
fn d_02_disabled_entry_by_leaf_blocks_beside_an_enabled_one_by_id() {
    let mut l = line();
    l.world.keyed("other", keys(1));
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    let slots = Slots { primary: Some(self_signed("y")), secondary: None };
    l.world.individual("sensor-thl-002", IndividualAttestation::ClientCertificates(slots));
    assert_eq!(l.verdict(), "disabled by disallow-002");
}

#[test]
fn m_05_enabled_entry_by_id_that_does_not_verify_ends_the_search() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.keyed("sensor-thl-002", keys(7));
    assert_eq!(l.verdict(), "401");
}

#[test]
fn m_02_s_46_common_name_is_the_registration_id() {
    let mut l = line();
    l.world.signing("A", &l.a);
    assert_eq!(l.world.verdict("SENSOR-THL-002", &l.evidence()), "assigned by A");
    assert_eq!(l.world.verdict("another", &l.evidence()), "401");
    let odd = l.a.leaf("a:b.c_d");
    let evidence = chain(&[&odd, &l.a.certificate]);
    assert_eq!(l.world.verdict("a:b.c_d", &evidence), "assigned by A");
    let nameless = l.a.nameless_leaf();
    let evidence = chain(&[&nameless, &l.a.certificate]);
    assert_eq!(l.world.verdict("nobody", &evidence), "401");
}

#[test]
fn s_45_missing_intermediate_is_refused() {
    let r = root("R");
    let a = r.intermediate("A");
    let leaf = a.leaf("dev");
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    assert_eq!(world.verdict("dev", &chain(&[&leaf])), "401");
    assert_eq!(world.verdict("dev", &chain(&[&leaf, &a.certificate])), "assigned by R");
}

#[test]
fn m_12_unverified_root_refuses() {
    let r = root("R");
    let a = r.intermediate("A");
    let leaf = a.leaf("dev");
    let evidence = chain(&[&leaf, &a.certificate, &r.certificate]);
    let mut world = World::new();
    world.signing("A", &a);
    assert_eq!(world.verdict("dev", &evidence), "401");
    world.ca(&r, false);
    assert_eq!(world.verdict("dev", &evidence), "401");
    world.verified(&r);
    assert_eq!(world.verdict("dev", &evidence), "assigned by A");
}

#[test]
fn m_13_s_97_s_98_root_works_as_signing_certificate_and_as_reference() {
    let l = line();
    for attestation in [
        GroupAttestation::SigningCertificates(Slots {
            primary: Some(l.r.certificate.clone()),
            secondary: None,
        }),
        GroupAttestation::CaReferences(Slots {
            primary: Some(l.world.cas[0].name.clone()),
            secondary: None,
        }),
    ] {
        let mut world = World::new();
        world.verified(&l.r);
        world.group("g", attestation.clone());
        assert_eq!(world.verdict("sensor-thl-002", &l.evidence()), "assigned by g");
        world.cas[0].verified = false;
        assert_eq!(world.verdict("sensor-thl-002", &l.evidence()), "401");
    }
}

#[test]
fn c_09_d_07_deleted_ca_certificate_matches_nothing_any_more() {
    let mut l = line();
    let name = l.world.cas[0].name.clone();
    let slots = Slots { primary: Some(name), secondary: None };
    l.world.group("g", GroupAttestation::CaReferences(slots));
    assert_eq!(l.verdict(), "assigned by g");
    l.world.cas.clear();
    assert_eq!(l.verdict(), "401");
}

#[test]
fn m_16_expired_leaf_is_refused_pinned_or_chained() {
    let l = line();
    let expired = l.a.expired_leaf("dev");
    let mut world = World::new();
    world.verified(&l.r);
    world.signing("A", &l.a);
    assert_eq!(world.verdict("dev", &chain(&[&expired, &l.a.certificate])), "401");
    world.pinned("dev", &expired);
    assert_eq!(world.verdict("dev", &chain(&[&expired])), "401");
}

#[test]
fn m_18_m_20_derived_key_of_a_group_lets_in_and_the_group_key_itself_does_not() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(3)));
    assert_eq!(world.verdict("Dev-1", &token("Dev-1", &key(3).derive("Dev-1"))), "assigned by g");
    assert_eq!(world.verdict("dev-1", &token("dev-1", &key(3))), "401");
    let others = token("dev-1", &key(3).derive("dev-2"));
    assert_eq!(world.verdict("dev-1", &others), "401");
}

#[test]
fn m_19_key_derived_from_the_lower_case_id_is_good() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(3)));
    let evidence = token("Dev-1", &key(3).derive("dev-1"));
    assert_eq!(world.verdict("Dev-1", &evidence), "assigned by g");
}

#[test]
fn m_22_oldest_of_two_groups_with_one_key_decides() {
    let mut world = World::new();
    world.group("old", GroupAttestation::SymmetricKey(keys(3)));
    world.group("new", GroupAttestation::SymmetricKey(keys(3)));
    let evidence = token("dev", &key(3).derive("dev"));
    assert_eq!(world.verdict("dev", &evidence), "assigned by old");
}

#[test]
fn m_23_s_42_disabled_symmetric_group_concludes_disabled() {
    let mut world = World::new();
    world.group("g", GroupAttestation::SymmetricKey(keys(3)));
    world.disable("g");
    let evidence = token("dev", &key(3).derive("dev"));
    assert_eq!(world.verdict("dev", &evidence), "disabled by g");
    assert_eq!(world.verdict("dev", &token("dev", &key(4))), "401");
}

#[test]
fn m_26_unknown_symmetric_device_is_a_stranger() {
    assert_eq!(World::new().verdict("dev", &token("dev", &key(1))), "401");
}

#[test]
fn s_03_m_27_enabling_again_restores_access_every_time() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    let evidence = token("dev", &key(1));
    for _ in 0..3 {
        world.settings("dev").provisioning_status = ProvisioningStatus::Disabled;
        assert_eq!(world.verdict("dev", &evidence), "disabled by dev");
        world.enable("dev");
        assert_eq!(world.verdict("dev", &evidence), "assigned by dev");
    }
}

#[test]
fn s_04_deleted_entry_gives_no_access() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.remove("dev");
    assert_eq!(world.verdict("dev", &token("dev", &key(1))), "401");
}

#[test]
fn s_32_replaced_key_revokes_the_old_one() {
    let mut world = World::new();
    world.keyed("dev", keys(1));
    world.remove("dev");
    world.keyed("dev", keys(2));
    assert_eq!(world.verdict("dev", &token("dev", &key(1))), "401");
    assert_eq!(world.verdict("dev", &token("dev", &key(2))), "assigned by dev");
}

#[test]
fn token_of_another_device_or_time_is_refused() {
    use model::Timestamp;
    let mut world = World::new();
    world.keyed("dev", keys(1));
    assert_eq!(world.verdict("dev", &token("dev2", &key(1))), "401");
    assert_eq!(world.verdict("dev", &token("de", &key(1))), "401");
    let long_ago = Timestamp::from_unix_seconds(1);
    assert_eq!(world.verdict("dev", &token_until("dev", &key(1), long_ago)), "401");
    let far = Timestamp::from_unix_seconds(i64::MAX);
    assert_eq!(world.verdict("dev", &token_until("dev", &key(1), far)), "assigned by dev");
}

#[test]
fn s_c3_five_devices_one_disabled_group_one_disabled_individual() {
    let r = root("R");
    let (a, b) = (r.intermediate("A"), r.intermediate("B"));
    let names = ["d1", "d2", "d3", "d4", "d5"];
    let leaves: Vec<_> =
        names.iter().enumerate().map(|(n, name)| if n < 3 { &a } else { &b }.leaf(name)).collect();
    let evidence =
        |n: usize| chain(&[&leaves[n], if n < 3 { &a.certificate } else { &b.certificate }]);
    let mut world = World::new();
    world.verified(&r);
    world.signing("R", &r);
    let all = |world: &World| -> Vec<String> {
        (0..5).map(|n| world.verdict(names[n], &evidence(n))).collect()
    };
    assert!(all(&world).iter().all(|verdict| verdict == "assigned by R"));
    world.signing("B", &b);
    world.disable("B");
    world.pinned("no-d3", &leaves[2]);
    world.disable("no-d3");
    assert_eq!(
        all(&world),
        ["assigned by R", "assigned by R", "disabled by no-d3", "disabled by B", "disabled by B"]
    );
}

#[test]
fn same_key_in_another_certificate_is_the_same_authority() {
    // R2 cross-signs A's key under A's name: the disabled group for A must see through it.
    let mut l = line();
    l.world.signing("R", &l.r);
    l.world.signing("A", &l.a);
    l.world.disable("A");
    assert_eq!(l.verdict(), "disabled by A");
    let alone = chain(&[&l.leaf]);
    assert_eq!(l.world.verdict("sensor-thl-002", &alone), "disabled by A");
}

#[test]
fn explanation_names_the_candidates_in_order_and_the_rule() {
    let mut l = line();
    l.world.signing("A", &l.a);
    l.world.pinned("disallow-002", &l.leaf);
    l.world.disable("disallow-002");
    let decision = l.world.decision("sensor-thl-002", &l.evidence());
    assert_eq!(word(&decision.verdict), "disabled by disallow-002");
    let told = format!("{:?}", decision.explanation.steps);
    assert!(told.contains("disallow-002") && told.contains("D-02"), "{told}");
    assert_eq!(decision.explanation.chain[0].thumbprint, l.leaf.thumbprint());
}
