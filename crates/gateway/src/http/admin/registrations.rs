//! Orders to provision devices anew, and records that deleted groups left behind.

use dialect::rest::admin::{self, OrphanedJson, PurgedJson, RegistrationsRoute};
use dialect::rest::error::{Missing, WireError};
use model::{EnrollmentGroupId, RegistrationId, ServiceName};
use service::{ApiError, Call, Reprovision};

use super::super::{Asked, Reply};
use super::one;
use crate::{Gateway, faults};

pub(super) async fn answer(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    route: RegistrationsRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let ordered = || match admin::order_body(&asked.body) {
        Ok(device_data) => Ok(Reprovision::Order(device_data)),
        Err(fault) => Err(faults::dps(&fault)),
    };
    match route {
        RegistrationsRoute::Group(id) => {
            let group = own.group(dps, &id).await.map_err(of_group)?;
            let registrations = own.registration_count(dps, &id).await.map_err(of_group)?;
            let name = group.id.as_str();
            Ok(one(&admin::group_registrations_json(name, registrations, group.reprovision)))
        }
        RegistrationsRoute::OrderGroup(id) => group(gateway, call, dps, &id, ordered()?).await,
        RegistrationsRoute::WithdrawGroup(id) => {
            group(gateway, call, dps, &id, Reprovision::Withdraw).await
        }
        RegistrationsRoute::Order(id) => record(gateway, call, dps, &id, ordered()?).await,
        RegistrationsRoute::Withdraw(id) => {
            record(gateway, call, dps, &id, Reprovision::Withdraw).await
        }
        RegistrationsRoute::Orphaned => {
            let after = admin::after(&asked.query);
            let found = own.orphaned(dps, after.as_deref(), admin::ORPHANED_PAGE).await;
            let found = found.map_err(of_service)?;
            let groups = found.rows.iter();
            let groups = groups.map(|of| admin::orphaned_json(of.group.as_str(), of.registrations));
            Ok(one(&OrphanedJson::of(groups.collect(), found.next)))
        }
        RegistrationsRoute::Purge(id) => {
            let purged = own.purge_orphaned(call, dps, &id).await.map_err(of_service)?;
            Ok(one(&PurgedJson { deleted: purged.deleted, more: purged.more }))
        }
    }
}

async fn group(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    id: &EnrollmentGroupId,
    said: Reprovision,
) -> Result<Reply, WireError> {
    let group = gateway.service.reprovision_group(call, dps, id, said).await.map_err(of_group)?;
    Ok(match said {
        Reprovision::Order(_) => {
            one(&admin::reprovision_json(group.id.as_str(), group.reprovision))
        }
        Reprovision::Withdraw => Reply::empty(204),
    })
}

async fn record(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    id: &RegistrationId,
    said: Reprovision,
) -> Result<Reply, WireError> {
    let record = gateway.service.reprovision_registration(call, dps, id, said).await;
    let record = record.map_err(|error| faults::dps_api(&error, Missing::Registration))?;
    Ok(match said {
        Reprovision::Order(_) => {
            one(&admin::reprovision_json(record.registration_id.as_str(), record.reprovision))
        }
        Reprovision::Withdraw => Reply::empty(204),
    })
}

fn of_group(error: ApiError) -> WireError {
    faults::dps_api(&error, Missing::Enrollment)
}

fn of_service(error: ApiError) -> WireError {
    faults::dps_api(&error, Missing::ProvisioningService)
}
