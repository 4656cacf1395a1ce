//! Shared access policies, for administrators.

use dialect::rest::admin::{PolicyRoute, key_json, policy_body, renew_body};
use dialect::rest::error::{ApiFault, Missing, WireError};
use model::{IfMatch, ServiceName};
use service::{ApiError, Call};

use super::super::{Asked, Reply};
use super::one;
use crate::{Gateway, faults};

pub(super) async fn of_dps(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    route: PolicyRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    match route {
        PolicyRoute::Get(name) => {
            let row = own.dps(dps).await.map_err(failed)?;
            let found = row.value.policies.iter().find(|policy| policy.name == name);
            found.map(|policy| one(&key_json(policy))).ok_or_else(|| failed(ApiError::NotFound))
        }
        PolicyRoute::Put(name) => {
            let change = policy_body(&asked.body).map_err(wrong)?;
            let put = own.put_dps_policy(call, dps, &name, &change, &demand(asked)?).await;
            Ok(one(&key_json(&put.map_err(failed)?)))
        }
        PolicyRoute::Delete(name) => deleted(own.delete_dps_policy(call, dps, &name).await),
        PolicyRoute::Renew(name) => {
            let renewal = renew_body(&asked.body).map_err(wrong)?;
            let renewed = own.renew_dps_policy(call, dps, &name, renewal).await;
            Ok(one(&key_json(&renewed.map_err(failed)?)))
        }
    }
}

pub(super) async fn of_hub(
    gateway: &Gateway,
    call: &Call,
    hub: &ServiceName,
    route: PolicyRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    match route {
        PolicyRoute::Get(name) => {
            let row = own.hub(hub).await.map_err(failed)?;
            let found = row.value.policies.iter().find(|policy| policy.name == name);
            found.map(|policy| one(&key_json(policy))).ok_or_else(|| failed(ApiError::NotFound))
        }
        PolicyRoute::Put(name) => {
            let change = policy_body(&asked.body).map_err(wrong)?;
            let put = own.put_hub_policy(call, hub, &name, &change, &demand(asked)?).await;
            Ok(one(&key_json(&put.map_err(failed)?)))
        }
        PolicyRoute::Delete(name) => deleted(own.delete_hub_policy(call, hub, &name).await),
        PolicyRoute::Renew(name) => {
            let renewal = renew_body(&asked.body).map_err(wrong)?;
            let renewed = own.renew_hub_policy(call, hub, &name, renewal).await;
            Ok(one(&key_json(&renewed.map_err(failed)?)))
        }
    }
}

fn demand(asked: &Asked) -> Result<IfMatch, WireError> {
    Ok(IfMatch::parse(asked.if_match().map_err(wrong)?))
}

fn deleted(done: Result<(), ApiError>) -> Result<Reply, WireError> {
    done.map_err(failed).map(|()| Reply::empty(204))
}

fn wrong(fault: ApiFault) -> WireError {
    faults::dps(&fault)
}

fn failed(error: ApiError) -> WireError {
    faults::dps_api(&error, Missing::Policy)
}
