//! What rests on a CA certificate (C-07, D-07).

use provisioning::dependents::{Dependence, Dependent, dependents};
use provisioning::enrollment::{GroupAttestation, Slots};
use provisioning::view::Evidence;

use crate::world::{Ca, NOW, World, keys, root};

fn of(world: &World, ca: usize) -> Vec<(String, Dependence, bool)> {
    let view = world.view("dev", &Evidence::None);
    let told = |one: Dependent| (one.group.to_string(), one.by, one.other_slot_holds);
    dependents(&view.instance, &world.cas[ca].name, NOW).into_iter().map(told).collect()
}

fn signing(world: &mut World, name: &str, primary: &Ca, secondary: Option<&Ca>) {
    let slots = Slots {
        primary: Some(primary.certificate.clone()),
        secondary: secondary.map(|ca| ca.certificate.clone()),
    };
    world.group(name, GroupAttestation::SigningCertificates(slots));
}

#[test]
fn c_07_references_and_chains_rest_on_a_ca() {
    let (old, new) = (root("old"), root("new"));
    let (below_old, below_new) = (old.intermediate("A"), new.intermediate("B"));
    let mut world = World::new();
    world.verified(&old);
    world.verified(&new);
    let name = |at: usize| Some(world.cas[at].name.clone());
    let one = Slots { primary: name(0), secondary: None };
    let both = Slots { primary: name(1), secondary: name(0) };
    world.group("one", GroupAttestation::CaReferences(one));
    world.group("both", GroupAttestation::CaReferences(both));
    signing(&mut world, "root", &old, None);
    signing(&mut world, "below", &below_old, Some(&below_new));
    signing(&mut world, "other", &below_new, None);
    world.group("keys", GroupAttestation::SymmetricKey(keys(1)));
    let owned = |name: &str, by, holds| (name.to_owned(), by, holds);
    assert_eq!(
        of(&world, 0),
        [
            owned("one", Dependence::Reference, false),
            owned("both", Dependence::Reference, true),
            owned("root", Dependence::Chain, false),
            owned("below", Dependence::Chain, true),
        ]
    );
    world.cas[1].verified = false;
    assert_eq!(of(&world, 0)[1], owned("both", Dependence::Reference, false), "it attests nothing");
}

#[test]
fn c_07_a_chain_that_ends_at_another_ca_rests_on_neither_alone() {
    let r = root("R");
    let a = r.intermediate("A");
    let mut world = World::new();
    world.verified(&r);
    world.verified(&a);
    signing(&mut world, "g", &a, None);
    assert_eq!(of(&world, 0), []);
    assert_eq!(of(&world, 1), []);
    world.cas.remove(0);
    assert_eq!(of(&world, 0), [("g".to_owned(), Dependence::Chain, false)]);
}
