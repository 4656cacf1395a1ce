//! Device identities and their twins.

use hub::identity::DeviceStatus;
use serde_json::json as value;

use super::fixtures::{device, did, host, hub, twin};
use super::{json, write};
use crate::{DeviceCount, DeviceView, Store, Write};

async fn begin(store: &dyn Store) {
    write(store, vec![Write::Hub(Box::new(hub("hub-a", "hub-a.localhost")))]).await;
}

fn put(id: &str) -> Write {
    Write::Device(host("hub-a.localhost"), Box::new(device(id)))
}

fn put_twin(id: &str) -> Write {
    Write::Twin(host("hub-a.localhost"), did(id), Box::new(twin()))
}

async fn read(store: &dyn Store, id: &str) -> Option<DeviceView> {
    store.device(&host("hub-a.localhost"), &did(id)).await.unwrap()
}

/// `A` and `a` are two devices.
pub async fn ids_of_devices_are_told_apart_by_case(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("A"), put_twin("A"), put("a"), put_twin("a")]).await;
    let (upper, lower) = (read(store, "A").await.unwrap(), read(store, "a").await.unwrap());
    assert_eq!(upper.device.value.device_id.as_str(), "A");
    assert_eq!(lower.device.value.device_id.as_str(), "a");
    write(store, vec![Write::DeleteDevice(host("hub-a.localhost"), did("A"))]).await;
    assert!(read(store, "A").await.is_none());
    assert!(read(store, "a").await.is_some());
}

/// Writing one leaves the other's revision.
pub async fn identity_and_twin_have_revisions_of_their_own(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("d"), put_twin("d")]).await;
    let first = read(store, "d").await.unwrap();
    write(store, vec![put("d")]).await;
    let second = read(store, "d").await.unwrap();
    assert_ne!(second.device.revision, first.device.revision);
    assert_eq!(second.twin.revision, first.twin.revision);
    write(store, vec![put_twin("d")]).await;
    let third = read(store, "d").await.unwrap();
    assert_eq!(third.device.revision, second.device.revision);
    assert_ne!(third.twin.revision, second.twin.revision);
    assert_eq!(json(&third.device.value), json(&device("d")));
    assert_eq!(third.twin.value, twin());
}

/// An identity whose twin was never written can not be shown with it, though it is listed.
pub async fn identity_is_shown_with_its_twin_only(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("d")]).await;
    assert!(read(store, "d").await.is_none());
    assert_eq!(store.devices(&host("hub-a.localhost"), None, 10).await.unwrap().rows.len(), 1);
}

/// An identity that is made again does not find its old twin.
pub async fn removed_identity_takes_its_twin_along(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("d"), put_twin("d")]).await;
    write(store, vec![Write::DeleteDevice(host("hub-a.localhost"), did("d"))]).await;
    assert!(read(store, "d").await.is_none());
    write(store, vec![put("d")]).await;
    assert!(read(store, "d").await.is_none());
}

/// In the order of their ids, upper case before lower, of one hub.
pub async fn devices_are_paged_in_the_order_of_their_ids(store: &dyn Store) {
    begin(store).await;
    write(store, vec![Write::Hub(Box::new(hub("hub-b", "hub-b.localhost")))]).await;
    write(store, ["b", "B", "a", "c$"].map(put).into()).await;
    write(store, vec![Write::Device(host("hub-b.localhost"), Box::new(device("aa")))]).await;
    let page = async |after: Option<&str>| {
        let page = store.devices(&host("hub-a.localhost"), after, 2).await.unwrap();
        let ids: Vec<_> =
            page.rows.iter().map(|row| row.value.device_id.as_str().to_owned()).collect();
        (ids.join(" "), page.next)
    };
    assert_eq!(page(None).await, ("B a".to_owned(), Some("a".to_owned())));
    write(store, vec![Write::DeleteDevice(host("hub-a.localhost"), did("a"))]).await;
    assert_eq!(page(Some("a")).await, ("b c$".to_owned(), None));
}

/// Only what has both is a view; pages are as those of identities alone.
pub async fn views_are_of_identities_that_have_a_twin(store: &dyn Store) {
    begin(store).await;
    write(store, vec![put("a"), put_twin("a"), put("b"), put("c"), put_twin("c")]).await;
    write(store, vec![put("d"), put_twin("d")]).await;
    let page = async |after: Option<&str>, limit: usize| {
        let found = store.device_views(&host("hub-a.localhost"), after, limit).await.unwrap();
        let ids: Vec<_> = found
            .views
            .iter()
            .map(|view| view.device.value.device_id.as_str().to_owned())
            .collect();
        assert!(found.views.iter().all(|view| view.twin.value == twin()));
        (ids.join(" "), found.next)
    };
    assert_eq!(page(None, 2).await, ("a c".to_owned(), Some("c".to_owned())));
    assert_eq!(page(Some("c"), 2).await, ("d".to_owned(), None));
    assert_eq!(page(None, 3).await.1, None);
    let elsewhere = store.device_views(&host("hub-b.localhost"), None, 2).await.unwrap();
    assert!(elsewhere.views.is_empty());
}

/// Of one hub, twin or no twin.
pub async fn identities_are_counted_by_status(store: &dyn Store) {
    begin(store).await;
    write(store, vec![Write::Hub(Box::new(hub("hub-b", "hub-b.localhost")))]).await;
    let mut disabled = device("off");
    disabled.status = DeviceStatus::Disabled;
    write(store, vec![put("a"), put("b"), put_twin("b")]).await;
    write(store, vec![Write::Device(host("hub-a.localhost"), Box::new(disabled.clone()))]).await;
    write(store, vec![Write::Device(host("hub-b.localhost"), Box::new(disabled))]).await;
    let count = store.device_count(&host("hub-a.localhost")).await.unwrap();
    assert_eq!(count, DeviceCount { total: 3, disabled: 1 });
    let none = store.device_count(&host("hub-c.localhost")).await.unwrap();
    assert_eq!(none, DeviceCount::default());
}

/// A number that a device reported is the same number when it is read.
pub async fn twin_comes_back_to_the_last_digit(store: &dyn Store) {
    begin(store).await;
    let mut written = twin();
    let reported = value!({
        "temperature": 0.1 + 0.2,
        "tiny": 5e-324,
        "huge": 1.797_693_134_862_315_7e308,
        "awkward": 122.416_294_033_786_58,
        "count": u64::MAX,
        "text": "\u{1F600} \\ \" \u{7}",
    });
    written.reported.values = reported.as_object().cloned().unwrap();
    let hub_host = host("hub-a.localhost");
    write(store, vec![put("d"), Write::Twin(hub_host, did("d"), Box::new(written.clone()))]).await;
    assert_eq!(read(store, "d").await.unwrap().twin.value, written);
}
