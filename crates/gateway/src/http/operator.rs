//! The service API of the provisioning service.

use std::sync::Arc;

use attestation::bearer::{self, Access, Role};
use dialect::json::utf8_json;
use dialect::rest::error::{ApiFault, Missing, WireError};
use dialect::rest::service::attestation::AttestationJson;
use dialect::rest::service::{Keys, Route, enrollment, group, media_type, registration, route};
use model::{IfMatch, ServiceName};
use provisioning::instance::{Right, grants};
use service::ApiError;

use super::access::{self, Caller, Guard};
use super::{Asked, Reply, bulk, search};
use crate::metrics::Operation;
use crate::{Gateway, faults, log};

/// Whether a path is the service API's, and not a device's.
pub(super) fn is_service_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["enrollments", "enrollmentgroups", "registrations"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

/// The right that a call needs (§1.2).
const fn needs(route: &Route) -> Right {
    match route {
        Route::GetIndividual(_)
        | Route::QueryIndividuals
        | Route::GetGroup(_)
        | Route::QueryGroups => Right::EnrollmentRead,
        Route::PutIndividual(_)
        | Route::DeleteIndividual(_)
        | Route::IndividualMechanism(_)
        | Route::BulkIndividuals
        | Route::PutGroup(_)
        | Route::DeleteGroup(_)
        | Route::GroupMechanism(_)
        | Route::BulkGroups => Right::EnrollmentWrite,
        Route::GetRegistration(_) | Route::QueryRegistrations(_) => Right::RegistrationStatusRead,
        Route::DeleteRegistration(_) => Right::RegistrationStatusWrite,
    }
}

const fn operation(route: &Route) -> Operation {
    match route {
        Route::GetIndividual(_)
        | Route::PutIndividual(_)
        | Route::DeleteIndividual(_)
        | Route::QueryIndividuals
        | Route::IndividualMechanism(_) => Operation::Enrollments,
        Route::GetGroup(_)
        | Route::PutGroup(_)
        | Route::DeleteGroup(_)
        | Route::QueryGroups
        | Route::GroupMechanism(_) => Operation::EnrollmentGroups,
        Route::GetRegistration(_) | Route::DeleteRegistration(_) | Route::QueryRegistrations(_) => {
            Operation::Registrations
        }
        Route::BulkIndividuals | Route::BulkGroups => Operation::Bulk,
    }
}

/// Notes what a call is.
pub(super) fn note(dps: &ServiceName, asked: &Asked) {
    log::provisioning_service(dps);
    if let Ok(route) = route(&asked.method, &asked.path) {
        asked.note(operation(&route));
    }
}

/// Judges a call by its head.
pub(super) fn judge(
    gateway: &Gateway,
    dps: &ServiceName,
    asked: &Asked,
) -> Result<(Route, Caller), WireError> {
    let route = route(&asked.method, &asked.path).map_err(|fault| faults::dps(&fault))?;
    let caller = authorize(gateway, dps, asked, needs(&route))?;
    Ok((route, caller))
}

/// Answers an operator.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    dps: &ServiceName,
    asked: Asked,
) -> Result<Reply, WireError> {
    let fault = |fault: ApiFault| faults::dps(&fault);
    let (route, Caller { call, role }) = judge(gateway, dps, &asked)?;
    let keys = withheld(role);
    let version = asked.api_version().map_err(fault)?;
    media_type(asked.header("content-type"), &asked.body).map_err(fault)?;
    let if_match = IfMatch::parse(asked.if_match().map_err(fault)?);
    let own = &gateway.service;
    let enrollment_fault = |error: ApiError| faults::dps_api(&error, Missing::Enrollment);
    let record_fault = |error: ApiError| faults::dps_api(&error, Missing::Registration);
    match route {
        Route::GetIndividual(id) => {
            let (entry, record) = own.individual(dps, &id).await.map_err(enrollment_fault)?;
            let json = enrollment::json(&entry, record.as_ref(), keys);
            Ok(Reply::json(200, utf8_json(&json)))
        }
        Route::PutIndividual(id) => {
            let draft = enrollment::draft(&id, &asked.body, &version).map_err(fault)?;
            let put = own.put_individual(&call, dps, &draft, &if_match).await;
            let entry = put.map_err(enrollment_fault)?;
            Ok(Reply::json(200, utf8_json(&enrollment::json(&entry, None, Keys::Written))))
        }
        Route::DeleteIndividual(id) => {
            let deleted = own.delete_individual(&call, dps, &id, &if_match).await;
            deleted.map_err(enrollment_fault).map(|()| Reply::empty(204))
        }
        Route::QueryIndividuals => search::individuals(gateway, dps, &asked, keys).await,
        Route::IndividualMechanism(id) => {
            let (entry, _) = own.individual(dps, &id).await.map_err(enrollment_fault)?;
            let json = AttestationJson::of_individual(&entry.attestation, Keys::Written);
            Ok(Reply::json(200, utf8_json(&json)))
        }
        Route::GetGroup(id) => {
            let entry = own.group(dps, &id).await.map_err(enrollment_fault)?;
            Ok(Reply::json(200, utf8_json(&group::json(&entry, keys))))
        }
        Route::PutGroup(id) => {
            let draft = group::draft(&id, &asked.body, &version).map_err(fault)?;
            let put = own.put_group(&call, dps, &draft, &if_match).await;
            let entry = put.map_err(enrollment_fault)?;
            Ok(Reply::json(200, utf8_json(&group::json(&entry, Keys::Written))))
        }
        Route::DeleteGroup(id) => {
            let deleted = own.delete_group(&call, dps, &id, &if_match).await;
            deleted.map_err(enrollment_fault).map(|()| Reply::empty(204))
        }
        Route::QueryGroups => search::groups(gateway, dps, &asked, keys).await,
        Route::GroupMechanism(id) => {
            let entry = own.group(dps, &id).await.map_err(enrollment_fault)?;
            let json = AttestationJson::of_group(&entry.attestation, Keys::Written);
            Ok(Reply::json(200, utf8_json(&json)))
        }
        Route::GetRegistration(id) => {
            let record = own.registration(dps, &id).await.map_err(record_fault)?;
            let order = own.order_of(dps, &record).await.map_err(record_fault)?;
            Ok(Reply::json(200, utf8_json(&registration::json(&record, order))))
        }
        Route::DeleteRegistration(id) => {
            let deleted = own.delete_registration(&call, dps, &id, &if_match).await;
            deleted.map_err(record_fault).map(|()| Reply::empty(204))
        }
        Route::QueryRegistrations(id) => search::registrations(gateway, dps, &id, &asked).await,
        Route::BulkIndividuals => bulk::of_individuals(gateway, dps, &call, &asked, &version).await,
        Route::BulkGroups => bulk::of_groups(gateway, dps, &call, &asked, &version).await,
    }
}

/// What a caller who reads is not told: a reader nothing that may be a secret.
const fn withheld(role: Option<Role>) -> Keys {
    match role {
        Some(Role::Reader) => Keys::WithheldAll,
        Some(Role::Contributor) | None => Keys::Withheld,
    }
}

/// Judges the caller.
pub(super) fn authorize(
    gateway: &Gateway,
    dps: &ServiceName,
    asked: &Asked,
    needed: Right,
) -> Result<Caller, WireError> {
    let directory = gateway.service.directory();
    let guard = Guard {
        at: bearer::Service::Dps(dps),
        policies: directory.dps(dps).map(|dps| dps.policies.as_slice()).unwrap_or_default(),
        needed: match needed {
            Right::EnrollmentRead | Right::RegistrationStatusRead => Access::Read,
            Right::ServiceConfig
            | Right::EnrollmentWrite
            | Right::DeviceConnect
            | Right::RegistrationStatusWrite => Access::Write,
        },
    };
    access::authorize(gateway, asked, &guard, |rights| grants(rights, needed))
        .map_err(|refusal| refusal.dps(gateway))
}
