//! One commit that touches every kind of row of a device, and how to see that it is whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::suite::fixtures::{
    assigned, at, device, did, dps, host, hub, individual, individual_ref, rid, service, twin,
};
use store::{AuditLine, ChangeScope, Commit, Devices, Enrollments, Registrations, Store, Write};
use store_sqlite::Sqlite;

pub(crate) const DPS: &str = "dps-a";
pub(crate) const HUB: &str = "hub-a.localhost";

/// The instance and the hub that all else belongs to.
pub(crate) async fn begin(store: &Sqlite) {
    let writes = vec![Write::Dps(Box::new(dps(DPS))), Write::Hub(Box::new(hub("hub-a", HUB)))];
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap();
}

/// A commit of seven rows: entry, record, identity, twin, change, audit line, and the count.
pub(crate) fn provision(id: &str) -> Commit {
    let record = assigned(id, individual_ref(id, 1));
    Commit {
        conditions: Vec::new(),
        writes: vec![
            Write::Individual(service(DPS), Box::new(individual(id, 1))),
            Write::Registration(service(DPS), Arc::new(record)),
            Write::Device(host(HUB), Box::new(device(id))),
            Write::Twin(host(HUB), did(id), Box::new(twin())),
        ],
        changes: vec![ChangeScope::Directory],
        audit: vec![AuditLine {
            at: at(0),
            actor: "device".to_owned(),
            action: "registration.assign".to_owned(),
            subject: id.to_owned(),
            tracking_id: "t".to_owned(),
        }],
    }
}

/// All ids there are; fails where one of them is there by half.
pub(crate) async fn whole_ids(store: &Sqlite) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.individual_views(&service(DPS), after.as_deref(), 500).await.unwrap();
        for view in page.views {
            let id = view.individual.value.registration_id;
            assert!(view.registration.is_some(), "{id} has no record");
            let device = store.device(&host(HUB), &did(id.as_str())).await.unwrap();
            assert!(device.is_some(), "{id} has no identity");
            ids.insert(id.as_str().to_owned());
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let count = u64::try_from(ids.len()).unwrap();
    assert_eq!(store.individual_count(&service(DPS)).await.unwrap(), count);
    let view = store.registration_view(&service(DPS), &rid("none"), None).await.unwrap();
    assert_eq!(view.unwrap().registrations_counted, count);
    let devices = store.devices(&host(HUB), None, usize::MAX).await.unwrap();
    assert_eq!(devices.rows.len(), ids.len());
    let changes = store.changes_after(0, usize::MAX).await.unwrap();
    let numbers: Vec<u64> = changes.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
    ids
}
