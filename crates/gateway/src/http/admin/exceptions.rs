//! Exceptions for expired certificates, for administrators.

use dialect::rest::admin::{ExceptionRoute, exception_body, exception_json};
use dialect::rest::error::{Missing, WireError};
use model::ServiceName;
use service::{ApiError, Call};

use super::super::{Asked, Reply};
use super::{list, one};
use crate::{Gateway, faults};

pub(super) async fn answer(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    route: ExceptionRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let failed = |error: ApiError| faults::dps_api(&error, Missing::Enrollment);
    match route {
        ExceptionRoute::List => {
            let all = own.expiry_exceptions(dps).await;
            let all = all.map_err(|error| faults::dps_api(&error, Missing::ProvisioningService))?;
            Ok(list(all.iter().map(exception_json).collect::<Vec<_>>()))
        }
        ExceptionRoute::Put(entry) => {
            let body = exception_body(&asked.body).map_err(|fault| faults::dps(&fault))?;
            let put = own.put_expiry_exception(call, dps, &entry, body.until, &body.reason).await;
            Ok(one(&exception_json(&put.map_err(failed)?)))
        }
        ExceptionRoute::Delete(entry) => {
            let ended = own.delete_expiry_exception(call, dps, &entry).await;
            let failed = |error| faults::dps_api(&error, Missing::ExpiryException);
            ended.map_err(failed).map(|()| Reply::empty(204))
        }
    }
}
