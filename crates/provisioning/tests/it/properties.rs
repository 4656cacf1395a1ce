//! What holds for all inputs.

use proptest::prelude::*;
use provisioning::decide::Verdict;
use provisioning::enrollment::{GroupAttestation, IndividualAttestation, Slots};
use provisioning::view::Evidence;

use crate::world::{Ca, World, chain, key, keys, root, self_signed, token, word};

/// One entry of a random instance.
#[derive(Clone, Copy, Debug)]
enum Item {
    Pinned { other_name: bool },
    Keyed { right_key: bool },
    RootGroup,
    IntermediateGroup,
    KeyGroup { right_key: bool },
    Tpm,
}

fn items() -> impl Strategy<Value = Vec<(Item, bool)>> {
    let item = prop_oneof![
        any::<bool>().prop_map(|other_name| Item::Pinned { other_name }),
        any::<bool>().prop_map(|right_key| Item::Keyed { right_key }),
        Just(Item::RootGroup),
        Just(Item::IntermediateGroup),
        any::<bool>().prop_map(|right_key| Item::KeyGroup { right_key }),
        Just(Item::Tpm),
    ];
    proptest::collection::vec((item, any::<bool>()), 0..6)
}

/// Certificates are made once; random instances are made of them.
struct Cast {
    r: Ca,
    a: Ca,
    leaf: attestation::x509::Certificate,
    stranger: attestation::x509::Certificate,
}

fn cast() -> &'static Cast {
    static CAST: std::sync::OnceLock<Cast> = std::sync::OnceLock::new();
    CAST.get_or_init(|| {
        let r = root("R");
        let a = r.intermediate("A");
        let leaf = a.leaf("dev");
        Cast { r, a, leaf, stranger: self_signed("dev") }
    })
}

/// The instance, and the names of its entries in order.
fn instance(items: &[(Item, bool)], verified: bool) -> (World, Vec<String>) {
    let cast = cast();
    let mut world = World::new();
    world.ca(&cast.r, verified);
    let mut names = Vec::new();
    let mut own_id_taken = false;
    let mut taken = std::collections::BTreeSet::new();
    for (number, (item, enabled)) in items.iter().enumerate() {
        let needs_own_id =
            matches!(item, Item::Pinned { other_name: false } | Item::Keyed { .. } | Item::Tpm);
        let slot = match item {
            Item::Pinned { .. } => "leaf",
            Item::RootGroup => "root",
            Item::IntermediateGroup => "intermediate",
            Item::Keyed { .. } | Item::KeyGroup { .. } | Item::Tpm => "",
        };
        // V-12: a certificate belongs to one entry; an id to one individual.
        if (needs_own_id && own_id_taken) || (!slot.is_empty() && !taken.insert(slot)) {
            continue;
        }
        own_id_taken |= needs_own_id;
        let name = if needs_own_id { "dev".to_owned() } else { format!("e{number}") };
        match item {
            Item::Pinned { .. } => world.pinned(&name, &cast.leaf),
            Item::Keyed { right_key } => world.keyed(&name, keys(if *right_key { 1 } else { 8 })),
            Item::RootGroup => world.signing(&name, &cast.r),
            Item::IntermediateGroup => world.signing(&name, &cast.a),
            Item::KeyGroup { right_key } => {
                let seed = if *right_key { 2 } else { 9 };
                world.group(&name, GroupAttestation::SymmetricKey(keys(seed)));
            }
            Item::Tpm => world.individual(
                &name,
                IndividualAttestation::Tpm {
                    endorsement_key: "AToA".to_owned(),
                    storage_root_key: None,
                },
            ),
        }
        if !enabled {
            world.disable(&name);
        }
        names.push(name);
    }
    (world, names)
}

fn evidences() -> Vec<Evidence> {
    let cast = cast();
    vec![
        Evidence::None,
        chain(&[&cast.leaf, &cast.a.certificate]),
        chain(&[&cast.leaf]),
        chain(&[&cast.stranger]),
        token("dev", &key(1)),
        token("dev", &key(2).derive("dev")),
        token("dev", &key(77)),
    ]
}

fn is_assent(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Assign(_) | Verdict::Keep(_))
}

proptest! {
    #[test]
    fn no_input_assigns_from_a_disabled_entry(items in items(), verified: bool) {
        let (world, _) = instance(&items, verified);
        for evidence in evidences() {
            let verdict = world.decision("dev", &evidence).verdict;
            if let Verdict::Assign(place) | Verdict::Keep(place) = &verdict {
                let enabled = world
                    .individuals.iter().map(|e| (e.registration_id.as_str(), &e.settings))
                    .chain(world.groups.iter().map(|g| (g.id.as_str(), &g.settings)))
                    .any(|(name, settings)| word(&verdict).ends_with(&format!(" {name}"))
                        && settings.is_enabled());
                prop_assert!(enabled, "{:?}", place.entry);
            }
        }
    }

    #[test]
    fn disabling_an_entry_never_turns_a_refusal_into_an_assent(items in items(), verified: bool) {
        let (world, names) = instance(&items, verified);
        for evidence in evidences() {
            if is_assent(&world.decision("dev", &evidence).verdict) {
                continue;
            }
            for name in &names {
                let (mut stricter, _) = instance(&items, verified);
                stricter.disable(name);
                prop_assert!(!is_assent(&stricter.decision("dev", &evidence).verdict));
            }
        }
    }

    #[test]
    fn adding_a_disabled_entry_never_turns_a_refusal_into_an_assent(
        items in items(), verified: bool, kind in 0..3,
    ) {
        let (mut world, _) = instance(&items, verified);
        let before: Vec<bool> = evidences()
            .iter().map(|e| is_assent(&world.decision("dev", e).verdict)).collect();
        match kind {
            0 if !world.individuals.iter().any(|e| e.registration_id.as_str() == "dev") => {
                world.keyed("dev", keys(50));
                world.disable("dev");
            }
            1 => {
                let slots = Slots { primary: Some(cast().leaf.clone()), secondary: None };
                world.individual("block", IndividualAttestation::ClientCertificates(slots));
                world.disable("block");
            }
            _ => {
                world.group("block", GroupAttestation::SymmetricKey(keys(50)));
                world.disable("block");
            }
        }
        for (evidence, before) in evidences().iter().zip(before) {
            prop_assert!(before || !is_assent(&world.decision("dev", evidence).verdict));
        }
    }

    #[test]
    fn a_strangers_certificate_changes_no_record(items in items(), verified: bool) {
        let (world, _) = instance(&items, verified);
        let verdict = world.decision("dev", &chain(&[&cast().stranger])).verdict;
        prop_assert!(matches!(verdict, Verdict::Reject(_)), "{:?}", verdict);
        let none = world.decision("dev", &Evidence::None).verdict;
        prop_assert!(matches!(none, Verdict::Reject(_)), "{:?}", none);
    }

    #[test]
    fn the_same_input_gives_the_same_verdict(items in items(), verified: bool) {
        let (world, _) = instance(&items, verified);
        for evidence in evidences() {
            let first = world.decision("dev", &evidence);
            let second = world.decision("dev", &evidence);
            prop_assert_eq!(word(&first.verdict), word(&second.verdict));
            prop_assert_eq!(first.explanation, second.explanation);
        }
    }
}
