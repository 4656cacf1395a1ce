//! Loads of individual enrollments: many lines, each answered by itself.

use std::sync::{Arc, OnceLock};

use dialect::json::utf8_json;
use dialect::rest::error::{ApiFault, Missing, WireError};
use dialect::rest::service::load::{self, Line, LineResult, LoadJson};
use model::ServiceName;
use provisioning::instance::Right;
use provisioning::load::OnExisting;
use service::{Call, Loaded};

use super::api::Api;
use super::{Asked, Reply, operator};
use crate::metrics::Operation;
use crate::{Gateway, faults, log};

/// Notes what a call is.
pub(super) fn note(dps: &ServiceName, asked: &Asked) {
    log::provisioning_service(dps);
    if load::route(&asked.method, &asked.path, &asked.query).is_ok() {
        asked.note(Operation::Bulk);
    }
}

/// Judges a call by its head.
pub(super) fn judge(
    gateway: &Gateway,
    dps: &ServiceName,
    asked: &Asked,
) -> Result<(OnExisting, Call), WireError> {
    let route = load::route(&asked.method, &asked.path, &asked.query);
    let existing = route.map_err(|fault| faults::dps(&fault))?;
    let caller = operator::authorize(gateway, dps, asked, Right::EnrollmentWrite)?;
    Ok((existing, caller.call))
}

/// Answers an operator who loads enrollments.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    dps: &ServiceName,
    asked: Asked,
) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::dps(&fault);
    let (existing, call) = judge(gateway, dps, &asked)?;
    let version = asked.api_version().map_err(fault)?;
    load::media_type(asked.header("content-type")).map_err(fault)?;
    let lines = load::lines(&asked.body, &version).map_err(fault)?;
    let mut drafts = Vec::with_capacity(lines.len());
    let mut read = Vec::with_capacity(lines.len());
    for Line { number, id, asked } in lines {
        let refused = match asked {
            Ok(draft) => {
                drafts.push(draft);
                None
            }
            Err(fault) => Some(LineResult::Refused(faults::dps(&fault))),
        };
        read.push((number, id, refused));
    }
    let (api, ended) = (Api::Loads(dps.clone()), OnceLock::new());
    let may = || match api.judge(gateway, &asked) {
        Ok(()) => true,
        Err(error) => ended.set(LineResult::Refused(error)).is_err(),
    };
    let loading = gateway.service.load_individuals(&call, dps, &drafts, existing, may);
    let mut loaded = loading
        .await
        .map_err(|error| faults::dps_api(&error, Missing::ProvisioningService))?
        .into_iter();
    let results: Vec<(usize, String, LineResult)> = read
        .into_iter()
        .filter_map(|(number, id, refused)| {
            let answered = refused.or_else(|| loaded.next().map(result));
            // What was left when the caller no longer might.
            let result = answered.or_else(|| ended.get().cloned())?;
            Some((number, id, result))
        })
        .collect();
    let lines = results.iter().map(|(number, id, result)| load::line_json(*number, id, result));
    Ok(Reply::json(200, utf8_json(&LoadJson { lines: lines.collect() })))
}

fn result(loaded: Loaded) -> LineResult {
    match loaded {
        Loaded::Created => LineResult::Created,
        Loaded::Replaced => LineResult::Replaced,
        Loaded::Unchanged => LineResult::Unchanged,
        Loaded::Skipped => LineResult::Skipped,
        Loaded::Exists => LineResult::Refused(load::exists()),
        Loaded::Refused(error) => LineResult::Refused(faults::dps_api(&error, Missing::Enrollment)),
    }
}
