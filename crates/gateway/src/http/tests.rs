//! The service API as an operator's client calls it.

mod query;
