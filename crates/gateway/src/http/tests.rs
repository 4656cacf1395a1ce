//! The HTTP APIs as clients call them.

mod bearer;
mod bulk;
mod etags;
mod form;
mod names;
mod network;
mod paths;
mod query;
mod registry;
mod rights;
mod storms;
mod twins;
mod withdrawn;
