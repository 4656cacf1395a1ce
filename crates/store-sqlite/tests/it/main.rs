//! Tests of the store on SQLite.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is shared by tests is as much a test"
)]

mod basics;
mod broken;
mod child;
mod crash;
mod full;
mod groups;
mod model;
mod plans;
mod scratch;
mod snapshots;
mod upgrade;
mod work;

mod suite {
    store::suite!(crate::scratch::Fresh::new());
}
