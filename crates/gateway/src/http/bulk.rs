//! Bulk operations of the service API: each item by itself, in order (B-01 to B-05).

use dialect::api_version::ApiVersion;
use dialect::json::utf8_json;
use dialect::rest::error::{Missing, WireError};
use dialect::rest::service::bulk::{Bulk, BulkOf, Item, groups, individuals, result};
use model::ServiceName;
use service::{ApiError, Call};

use super::{Asked, Reply};
use crate::{Gateway, faults};

/// Does what a bulk of individual enrollments asks for.
pub(super) async fn of_individuals(
    gateway: &Gateway,
    dps: &ServiceName,
    call: &Call,
    asked: &Asked,
    version: &ApiVersion,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let mut failed = Vec::new();
    match individuals(&asked.body, version).map_err(|fault| faults::dps(&fault))? {
        Bulk::Put(items) => {
            for Item { id, if_match, asked } in items {
                let done = match asked {
                    Ok(draft) => done(own.put_individual(call, dps, &draft, &if_match).await),
                    Err(fault) => Err(faults::dps(&fault)),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
        Bulk::Delete(items) => {
            for Item { id, if_match, asked } in items {
                let done = match asked {
                    Ok(parsed) => done(own.delete_individual(call, dps, &parsed, &if_match).await),
                    Err(fault) => Err(faults::dps(&fault)),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
    }
    Ok(reply(BulkOf::Individuals, &failed))
}

/// Does what a bulk of enrollment groups asks for.
pub(super) async fn of_groups(
    gateway: &Gateway,
    dps: &ServiceName,
    call: &Call,
    asked: &Asked,
    version: &ApiVersion,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let mut failed = Vec::new();
    match groups(&asked.body, version).map_err(|fault| faults::dps(&fault))? {
        Bulk::Put(items) => {
            for Item { id, if_match, asked } in items {
                let done = match asked {
                    Ok(draft) => done(own.put_group(call, dps, &draft, &if_match).await),
                    Err(fault) => Err(faults::dps(&fault)),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
        Bulk::Delete(items) => {
            for Item { id, if_match, asked } in items {
                let done = match asked {
                    Ok(parsed) => done(own.delete_group(call, dps, &parsed, &if_match).await),
                    Err(fault) => Err(faults::dps(&fault)),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
    }
    Ok(reply(BulkOf::Groups, &failed))
}

fn done<T>(result: Result<T, ApiError>) -> Result<(), WireError> {
    result.map(drop).map_err(|error| faults::dps_api(&error, Missing::Enrollment))
}

fn reply(of: BulkOf, failed: &[(String, WireError)]) -> Reply {
    let failed = failed.iter().map(|(id, error)| (id.as_str(), error));
    Reply::json(200, utf8_json(&result(of, failed)))
}
