//! Bulk operations: each item by itself, in order (`dps-service-api` B-01 to B-05, `iot-hub` §6.3).
//!
//! Each is judged by itself as well: where the caller's credential is withdrawn, what is left of the
//! bulk is refused (I9).

use ::hub::twin::How;
use dialect::api_version::ApiVersion;
use dialect::json::utf8_json;
use dialect::rest::error::{ApiFault, Missing, WireError};
use dialect::rest::hub as registry;
use dialect::rest::service::bulk::{Bulk, BulkOf, Item, groups, individuals, result};
use model::{HostName, ServiceName};
use service::{ApiError, Call, Demand};

use super::api::Api;
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
    let (own, api) = (&gateway.service, Api::Operators(dps.clone()));
    let mut failed = Vec::new();
    match individuals(&asked.body, version).map_err(|fault| faults::dps(&fault))? {
        Bulk::Put(items) => {
            for Item { id, if_match, asked: wanted } in items {
                let _acting = own.acting().await;
                let done = match still(gateway, &api, asked, wanted) {
                    Ok(draft) => done(own.put_individual(call, dps, &draft, &if_match).await),
                    Err(error) => Err(error),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
        Bulk::Delete(items) => {
            for Item { id, if_match, asked: wanted } in items {
                let _acting = own.acting().await;
                let done = match still(gateway, &api, asked, wanted) {
                    Ok(parsed) => done(own.delete_individual(call, dps, &parsed, &if_match).await),
                    Err(error) => Err(error),
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
    let (own, api) = (&gateway.service, Api::Operators(dps.clone()));
    let mut failed = Vec::new();
    match groups(&asked.body, version).map_err(|fault| faults::dps(&fault))? {
        Bulk::Put(items) => {
            for Item { id, if_match, asked: wanted } in items {
                let _acting = own.acting().await;
                let done = match still(gateway, &api, asked, wanted) {
                    Ok(draft) => done(own.put_group(call, dps, &draft, &if_match).await),
                    Err(error) => Err(error),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
        Bulk::Delete(items) => {
            for Item { id, if_match, asked: wanted } in items {
                let _acting = own.acting().await;
                let done = match still(gateway, &api, asked, wanted) {
                    Ok(parsed) => done(own.delete_group(call, dps, &parsed, &if_match).await),
                    Err(error) => Err(error),
                };
                failed.extend(done.err().map(|error| (id, error)));
            }
        }
    }
    Ok(reply(BulkOf::Groups, &failed))
}

/// Does what a bulk of device identities asks for.
pub(super) async fn of_devices(
    gateway: &Gateway,
    host: &HostName,
    call: &Call,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let items = registry::bulk(&asked.body).map_err(|fault| faults::hub(&fault))?;
    let (mut failed, api) = (Vec::new(), Api::Hub(host.clone()));
    for registry::Item { id, mode, asked: wanted } in items {
        let _acting = gateway.service.acting().await;
        let done = match still(gateway, &api, asked, wanted) {
            Ok(operation) => of_device(gateway, host, call, operation)
                .await
                .map_err(|error| faults::hub_api(&error, Missing::Device { id: id.clone() })),
            Err(error) => Err(error),
        };
        failed.extend(done.err().map(|error| (id, mode, error)));
    }
    let failed = failed.iter().map(|(id, mode, error)| (id.as_str(), *mode, error));
    let result = registry::BulkResult::of(failed);
    let (status, headers) = result.head();
    Ok(Reply::json(status, utf8_json(&result)).with(headers))
}

async fn of_device(
    gateway: &Gateway,
    hub: &HostName,
    call: &Call,
    operation: registry::Operation,
) -> Result<(), ApiError> {
    let own = &gateway.service;
    match operation {
        registry::Operation::Put(draft, if_match, twin) => {
            own.write_device(call, hub, &draft, &Demand::Put(if_match), &twin).await.map(drop)
        }
        registry::Operation::Upsert(draft, if_match, twin) => {
            own.write_device(call, hub, &draft, &Demand::Upsert(if_match), &twin).await.map(drop)
        }
        registry::Operation::Delete(id, if_match) => {
            own.delete_device(call, hub, &id, &if_match).await
        }
        registry::Operation::Twin(id, update, if_match) => {
            own.put_twin(call, hub, &id, &update, How::Merge, &if_match).await.map(drop)
        }
    }
}

/// What an item asks for, if the caller still may.
fn still<T>(
    gateway: &Gateway,
    api: &Api,
    asked: &Asked,
    wanted: Result<T, ApiFault>,
) -> Result<T, WireError> {
    api.judge(gateway, asked)?;
    wanted.map_err(|fault| api.fault(&fault))
}

fn done<T>(result: Result<T, ApiError>) -> Result<(), WireError> {
    result.map(drop).map_err(|error| faults::dps_api(&error, Missing::Enrollment))
}

fn reply(of: BulkOf, failed: &[(String, WireError)]) -> Reply {
    let failed = failed.iter().map(|(id, error)| (id.as_str(), error));
    Reply::json(200, utf8_json(&result(of, failed)))
}
