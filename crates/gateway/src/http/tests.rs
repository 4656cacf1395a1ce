//! The service API as an operator's client calls it.

mod query;
mod registry;
mod twins;
