//! Tests of the store on SQLite.

mod basics;
mod scratch;
