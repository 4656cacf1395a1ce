//! The HTTP APIs as clients call them.

mod form;
mod query;
mod registry;
mod twins;
