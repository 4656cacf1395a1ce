//! An operator's exception for certificates that have expired (M-16).

use model::Timestamp;
use provisioning::enrollment::{GroupAttestation, Slots};
use provisioning::explain::Step;
use provisioning::instance::ExpiryException;
use provisioning::view::Evidence;

use crate::world::{Ca, NOW, World, chain, root, self_signed};

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)
}

/// Until an instant, the devices of the entry may show what has expired.
fn except(world: &mut World, name: &str, until: Timestamp) {
    let entry = world.reference(name);
    let reason = "left in the store room".to_owned();
    world.dps.expiry_exceptions.push(ExpiryException { entry, until, reason });
}

/// R, which is verified, and A below it, with a group of its own; a leaf of A's has expired.
fn expired() -> (World, Ca, Ca, Evidence) {
    let r = root("R");
    let a = r.intermediate("A");
    let evidence = chain(&[&a.expired_leaf("dev"), &a.certificate]);
    let mut world = World::new();
    world.verified(&r);
    world.signing("A", &a);
    (world, r, a, evidence)
}

#[test]
fn m_16_an_exception_lets_expired_certificates_of_its_group_pass_until_it_ends() {
    let (mut world, .., evidence) = expired();
    assert_eq!(world.verdict("dev", &evidence), "401");
    except(&mut world, "A", NOW);
    assert_eq!(world.verdict("dev", &evidence), "401", "it has ended");
    except(&mut world, "A", later(1));
    assert_eq!(world.verdict("dev", &evidence), "assigned by A");
    let told = world.decision("dev", &evidence).explanation.steps;
    let excused = |step: &Step| {
        matches!(step, Step::ExpiryExcused { because, until, .. }
        if because.contains("has expired") && *until == later(1))
    };
    assert!(told.iter().any(excused), "{told:?}");
    world.disable("A");
    assert_eq!(world.verdict("dev", &evidence), "disabled by A");
}

#[test]
fn m_16_an_exception_is_for_its_entry_alone() {
    let (mut world, r, a, evidence) = expired();
    world.signing("R", &r);
    except(&mut world, "R", later(60));
    assert_eq!(world.verdict("dev", &evidence), "401", "the nearer group decides");
    world.remove("A");
    assert_eq!(world.verdict("dev", &evidence), "assigned by R");
    world.signing("A", &a);
    except(&mut world, "A", later(60));
    world.remove("A");
    world.remove("R");
    world.signing("A", &a);
    assert_eq!(world.verdict("dev", &evidence), "401", "an entry made anew is another");
}

#[test]
fn m_16_an_exception_excuses_nothing_but_expiry() {
    let (mut world, r, a, _) = expired();
    except(&mut world, "A", later(60));
    let early = chain(&[&a.future_leaf("dev"), &a.certificate]);
    assert_eq!(world.verdict("dev", &early), "401", "not valid yet");
    let strange = root("R").intermediate("A");
    let forged = chain(&[&strange.expired_leaf("dev"), &a.certificate]);
    assert_eq!(world.verdict("dev", &forged), "401", "another key's signature");
    world.cas.clear();
    let (_, _) = (r, &world);
    let evidence = chain(&[&a.expired_leaf("dev"), &a.certificate]);
    assert_eq!(world.verdict("dev", &evidence), "401", "no verified CA");
}

#[test]
fn m_16_an_exception_is_for_a_pinned_leaf_as_well() {
    let leaf = root("R").expired_leaf("dev");
    let mut world = World::new();
    world.pinned("dev", &leaf);
    world.pinned("other", &self_signed("other"));
    except(&mut world, "other", later(60));
    assert_eq!(world.verdict("dev", &chain(&[&leaf])), "401");
    except(&mut world, "dev", later(60));
    assert_eq!(world.verdict("dev", &chain(&[&leaf])), "assigned by dev");
    world.disable("dev");
    assert_eq!(world.verdict("dev", &chain(&[&leaf])), "disabled by dev");
}

#[test]
fn c_10_both_slots_of_a_group_admit_while_its_ca_is_rolled() {
    let (old, new) = (root("R"), root("R"));
    let mut world = World::new();
    world.verified(&old);
    let of = |ca: &Ca| chain(&[&ca.leaf("dev")]);
    let names = |world: &World, at: &[usize]| {
        let name = |at: usize| world.cas[at].name.clone();
        let slots = Slots { primary: Some(name(at[0])), secondary: at.get(1).map(|at| name(*at)) };
        GroupAttestation::CaReferences(slots)
    };
    let attestation = names(&world, &[0]);
    world.group("g", attestation);
    assert_eq!(world.verdict("dev", &of(&old)), "assigned by g");
    assert_eq!(world.verdict("dev", &of(&new)), "401");
    // The new CA beside the old one: devices of both are let in.
    world.verified(&new);
    world.groups[0].attestation = names(&world, &[0, 1]);
    assert_eq!(world.verdict("dev", &of(&old)), "assigned by g");
    assert_eq!(world.verdict("dev", &of(&new)), "assigned by g");
    // The old one is taken out, and with it whoever has not rolled.
    world.groups[0].attestation = names(&world, &[1]);
    assert_eq!(world.verdict("dev", &of(&old)), "401");
    assert_eq!(world.verdict("dev", &of(&new)), "assigned by g");
}

#[test]
fn m_14_both_signing_certificates_of_a_group_count() {
    let (old, new) = (root("old"), root("new"));
    let mut world = World::new();
    world.verified(&old);
    world.verified(&new);
    let slot = |ca: &Ca| Some(ca.certificate.clone());
    let slots = Slots { primary: slot(&old), secondary: slot(&new) };
    world.group("g", GroupAttestation::SigningCertificates(slots));
    for ca in [&old, &new] {
        assert_eq!(world.verdict("dev", &chain(&[&ca.leaf("dev")])), "assigned by g");
    }
}
