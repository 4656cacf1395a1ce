//! The query language that operators ask a provisioning service and a hub in.
//!
//! What it is: a text becomes a [`Query`] or a [`QueryError`] ([`parse`]), and a query is asked of
//! rows, which are the JSON documents that the REST API shows ([`Query::keeps`],
//! [`Query::project`], [`Aggregation`]).
//!
//! What it is not: routes, pages, storage. Which collection a text may name is its caller's to say.
//!
//! Invariants: no I/O, no clock, no randomness, no `async`. Parsing is total: any text gives a
//! query or an error, never a panic, and the nesting that it builds is bounded. A comparison of
//! what is not there, or of values of two types, is neither true nor false, and so is its
//! negation: the row is left out.
//!
//! Source: `dps-service-api` Q-01, `iot-hub` §13.2.

mod aggregate;
mod error;
mod evaluate;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;
mod token;

pub use aggregate::{Aggregation, GROUPS_MAX};
pub use error::QueryError;
pub use parse::{NESTING_MAX, TEXT_BYTES_MAX, parse};
pub use syntax::{
    Comparison, Expression, From, Function, Item, Operand, Path, Query, Select, What,
};
