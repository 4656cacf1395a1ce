//! The HTTP APIs: paths, bodies, headers, errors.

pub mod admin;
pub mod device;
pub mod error;
pub mod event;
pub mod hub;
pub mod issuer;
pub mod monitoring;
pub mod openapi;
pub mod query;
pub mod registry;
pub mod resource;
pub mod resource_log;
pub mod service;
pub mod webhook;

use crate::percent;
use error::ApiFault;

/// The media type of every body. Source: `dps-service-api` §1.5.
pub const JSON: &str = "application/json; charset=utf-8";

/// The segments of a path, each decoded once; an empty one at the end is dropped.
fn segments(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(|segment| percent::decoded(segment).into_owned()).collect()
}

/// The methods that an address may have.
const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"];

/// The methods that an address has, for the `Allow` header of a refusal; `route` reads the
/// address with a method. Source: RFC 9110 section 15.5.6, which demands the header.
pub fn allowed<T>(route: impl Fn(&str) -> Result<T, ApiFault>) -> String {
    let has = |method: &&str| !matches!(route(method), Err(ApiFault::MethodNotAllowed));
    METHODS.into_iter().filter(has).collect::<Vec<_>>().join(", ")
}
