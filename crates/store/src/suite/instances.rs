//! Instances and hubs, and what goes with them.

use std::sync::Arc;

use model::VerificationCode;
use provisioning::instance::CaCertificate;

use super::fixtures::{
    assigned, ca_certificate, cert_name, certificate, device, did, dps, gid, group, group_ref,
    host, hub, individual_x509, rid, service, twin,
};
use super::{json, write};
use crate::{Store, Write};

/// Instances and hubs come in the order of their names; an instance's revision is its generation.
pub async fn instances_and_hubs_come_by_name(store: &dyn Store) {
    assert!(store.all_dps().await.unwrap().is_empty());
    assert!(store.all_hubs().await.unwrap().is_empty());
    for name in ["bbb", "ccc", "aaa"] {
        write(
            store,
            vec![
                Write::Dps(Box::new(dps(name))),
                Write::Hub(Box::new(hub(name, &format!("{name}.localhost")))),
            ],
        )
        .await;
    }
    write(store, vec![Write::Group(service("bbb"), Box::new(group("g", 1)))]).await;
    let all = store.all_dps().await.unwrap();
    let names: Vec<_> = all.iter().map(|row| row.value.name.as_str()).collect();
    assert_eq!(names, ["aaa", "bbb", "ccc"]);
    for row in &all {
        let view = store.instance(&row.value.name).await.unwrap().unwrap();
        assert_eq!(row.revision, view.generation);
        assert_eq!(json(&row.value), json(&view.dps));
    }
    let hubs = store.all_hubs().await.unwrap();
    let names: Vec<_> = hubs.iter().map(|row| row.value.name.as_str()).collect();
    assert_eq!(names, ["aaa", "bbb", "ccc"]);
}

/// An instance that is not there has no view, and nothing in it.
pub async fn unknown_instance_is_none(store: &dyn Store) {
    let name = service("dps-a");
    assert!(store.instance(&name).await.unwrap().is_none());
    assert!(store.registration_view(&name, &rid("r"), None).await.unwrap().is_none());
    assert!(store.individual(&name, &rid("r")).await.unwrap().is_none());
    assert!(store.registration(&name, &rid("r")).await.unwrap().is_none());
    assert!(store.group(&name, &gid("g")).await.unwrap().is_none());
    assert_eq!(store.individual_count(&name).await.unwrap(), 0);
    assert!(store.individual_views(&name, None, 10).await.unwrap().views.is_empty());
    let thumbprint = certificate(0).content_hash();
    assert!(store.individuals_by_leaf(&name, &thumbprint).await.unwrap().is_empty());
    let page = store.registrations_of_group(&name, &gid("g"), None, 10).await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none());
    let page = store.devices(&host("hub-a.localhost"), None, 10).await.unwrap();
    assert!(page.rows.is_empty() && page.next.is_none());
}

/// Readers of one generation share one parsed view.
pub async fn view_of_an_instance_is_shared_until_it_changes(store: &dyn Store) {
    let name = service("dps-a");
    let write_group = || Write::Group(service("dps-a"), Box::new(group("g", 1)));
    write(store, vec![Write::Dps(Box::new(dps("dps-a"))), write_group()]).await;
    let first = store.instance(&name).await.unwrap().unwrap();
    let second = store.instance(&name).await.unwrap().unwrap();
    let third = store.registration_view(&name, &rid("r"), None).await.unwrap().unwrap().instance;
    assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &third));
    write(store, vec![write_group()]).await;
    let changed = store.instance(&name).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&first, &changed));
    assert_ne!(first.generation, changed.generation);
}

/// Every write to what is shared gives a generation that was never there before.
pub async fn generation_changes_with_every_shared_write(store: &dyn Store) {
    let name = service("dps-a");
    let writes = [
        Write::Dps(Box::new(dps("dps-a"))),
        Write::Group(name.clone(), Box::new(group("g", 1))),
        Write::CaCertificate(name.clone(), Box::new(ca_certificate("c", 1))),
        Write::DeleteGroup(name.clone(), gid("G")),
        Write::DeleteCaCertificate(name.clone(), cert_name("C")),
        Write::Dps(Box::new(dps("dps-a"))),
        Write::DeleteDps(name.clone()),
        Write::Dps(Box::new(dps("dps-a"))),
    ];
    let mut seen = Vec::new();
    for change in writes {
        write(store, vec![change]).await;
        let Some(view) = store.instance(&name).await.unwrap() else { continue };
        assert!(!seen.contains(&view.generation), "{:?} came twice", view.generation);
        seen.push(view.generation);
    }
    assert_eq!(seen.len(), 7);
}

/// Oldest first; of the same age, by id without case.
pub async fn groups_and_certificates_come_oldest_first(store: &dyn Store) {
    let name = service("dps-a");
    let mut writes = vec![Write::Dps(Box::new(dps("dps-a")))];
    for (id, created) in [("b", 2), ("z", 1), ("C", 2), ("a", 2), ("y", 3)] {
        writes.push(Write::Group(name.clone(), Box::new(group(id, created))));
        writes.push(Write::CaCertificate(name.clone(), Box::new(ca_certificate(id, created))));
    }
    write(store, writes).await;
    let view = store.instance(&name).await.unwrap().unwrap();
    let groups: Vec<_> = view.groups.iter().map(|row| row.value.id.as_str()).collect();
    assert_eq!(groups, ["z", "a", "b", "C", "y"]);
    let names: Vec<_> = view.ca_certificates.iter().map(|row| row.value.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "b", "C", "y"]);
    write(store, vec![Write::Group(name.clone(), Box::new(group("A", 9)))]).await;
    let view = store.instance(&name).await.unwrap().unwrap();
    let groups: Vec<_> = view.groups.iter().map(|row| row.value.id.as_str()).collect();
    assert_eq!(groups, ["z", "b", "C", "y", "A"]);
    let found = store.group(&name, &gid("a")).await.unwrap().unwrap();
    assert_eq!(found.value.id.as_str(), "A");
    assert_eq!(found.revision, view.groups[4].revision);
}

/// Nothing of a deleted instance is there when one of the same name is made; others stay.
pub async fn deleted_instance_takes_all_that_it_held_along(store: &dyn Store) {
    for name in ["dps-a", "dps-b"] {
        write(
            store,
            vec![
                Write::Dps(Box::new(dps(name))),
                Write::Group(service(name), Box::new(group("g", 1))),
                Write::CaCertificate(service(name), Box::new(ca_certificate("c", 1))),
                Write::Individual(service(name), Box::new(individual_x509("i", 1, Some(0), None))),
                Write::Registration(service(name), Arc::new(assigned("r", group_ref("g", 1)))),
            ],
        )
        .await;
    }
    let name = service("dps-a");
    write(store, vec![Write::DeleteDps(name.clone())]).await;
    unknown_instance_is_none(store).await;
    write(store, vec![Write::Dps(Box::new(dps("dps-a")))]).await;
    let leaf = certificate(0).content_hash();
    for (name, count) in [("dps-a", 0), ("dps-b", 1)] {
        let name = service(name);
        let view = store.registration_view(&name, &rid("r"), Some(&leaf)).await.unwrap().unwrap();
        assert_eq!(view.instance.groups.len(), count);
        assert_eq!(view.instance.ca_certificates.len(), count);
        assert_eq!(view.individuals_by_leaf.len(), count);
        assert_eq!(usize::from(view.registration.is_some()), count);
        assert_eq!(usize::try_from(view.registrations_counted), Ok(count));
        let individuals = store.individual_count(&name).await.unwrap();
        assert_eq!(usize::try_from(individuals), Ok(count));
        let page = store.registrations_of_group(&name, &gid("g"), None, 10).await.unwrap();
        assert_eq!(page.rows.len(), count);
    }
}

fn device_and_twin(hub_host: &str) -> Vec<Write> {
    vec![
        Write::Device(host(hub_host), Box::new(device("d"))),
        Write::Twin(host(hub_host), did("d"), Box::new(twin())),
    ]
}

/// Nothing of a deleted hub is there when one of the same name is made; others stay.
pub async fn deleted_hub_takes_its_identities_along(store: &dyn Store) {
    for name in ["hub-a", "hub-b"] {
        let hub_host = format!("{name}.localhost");
        write(store, vec![Write::Hub(Box::new(hub(name, &hub_host)))]).await;
        write(store, device_and_twin(&hub_host)).await;
    }
    write(store, vec![Write::DeleteHub(service("hub-a"))]).await;
    let names: Vec<_> =
        store.all_hubs().await.unwrap().into_iter().map(|row| row.value.name).collect();
    assert_eq!(names, [service("hub-b")]);
    write(store, vec![Write::Hub(Box::new(hub("hub-a", "hub-a.localhost")))]).await;
    for (name, count) in [("hub-a.localhost", 0), ("hub-b.localhost", 1)] {
        let page = store.devices(&host(name), None, 10).await.unwrap();
        assert_eq!(page.rows.len(), count);
        let found = store.device(&host(name), &did("d")).await.unwrap();
        assert_eq!(usize::from(found.is_some()), count);
    }
    // The twin is gone as well: an identity that is made again does not inherit it.
    write(store, vec![Write::Device(host("hub-a.localhost"), Box::new(device("d")))]).await;
    assert!(store.device(&host("hub-a.localhost"), &did("d")).await.unwrap().is_none());
}

/// Identities belong to the hub, not to the name of its host.
pub async fn hub_that_changes_its_host_keeps_its_identities(store: &dyn Store) {
    let (old, new) = (host("old.localhost"), host("new.localhost"));
    write(store, vec![Write::Hub(Box::new(hub("hub-a", "old.localhost")))]).await;
    write(store, device_and_twin("old.localhost")).await;
    let before = store.device(&old, &did("d")).await.unwrap().unwrap();
    write(store, vec![Write::Hub(Box::new(hub("hub-a", "new.localhost")))]).await;
    assert!(store.device(&old, &did("d")).await.unwrap().is_none());
    let after = store.device(&new, &did("d")).await.unwrap().unwrap();
    assert_eq!(after.device.revision, before.device.revision);
    assert_eq!(after.twin.revision, before.twin.revision);
    assert_eq!(store.devices(&new, None, 10).await.unwrap().rows.len(), 1);
    write(store, vec![Write::DeleteHub(service("hub-a"))]).await;
    assert!(store.device(&new, &did("d")).await.unwrap().is_none());
}

/// A CA certificate comes back as it was written, with the code that waits for its proof.
pub async fn certificate_comes_back_with_its_code(store: &dyn Store) {
    let name = service("dps-a");
    let code = VerificationCode::from_random([7; 24]);
    let waiting =
        CaCertificate { verified: false, code: Some(code), ..ca_certificate("waiting", 1) };
    let write_one = |ca: &CaCertificate| Write::CaCertificate(name.clone(), Box::new(ca.clone()));
    let writes = [&waiting, &ca_certificate("verified", 2)].map(write_one);
    write(store, [vec![Write::Dps(Box::new(dps("dps-a")))], writes.into()].concat()).await;
    let view = store.instance(&name).await.unwrap().unwrap();
    let found: Vec<_> = view.ca_certificates.iter().map(|row| json(&row.value)).collect();
    assert_eq!(found, [json(&waiting), json(&ca_certificate("verified", 2))]);
    assert_eq!(view.ca_certificates[0].value.code, waiting.code);
    assert_eq!(view.ca_certificates[1].value.code, None);
}
