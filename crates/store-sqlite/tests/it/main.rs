//! Tests of the store on SQLite.

mod basics;
mod model;
mod scratch;

mod suite {
    store::suite!(crate::scratch::Fresh::new());
}
