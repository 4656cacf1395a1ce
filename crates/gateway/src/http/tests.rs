//! The HTTP APIs as clients call them.

mod bulk;
mod etags;
mod form;
mod names;
mod paths;
mod query;
mod registry;
mod rights;
mod twins;
