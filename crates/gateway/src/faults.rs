//! The service's errors, as the dialect knows them. No status is written here.

use dialect::rest::error::{self, ApiFault, DpsFault, HubFault, Missing, WireError};
use service::{ApiError, ConnectError, Fault, PollError, RegisterError, TelemetryError};

/// A fault of the call itself, at a provisioning service.
pub(crate) fn dps(fault: &ApiFault) -> WireError {
    error::dps(DpsFault::Api(fault))
}

/// A fault of the call itself, at a hub.
pub(crate) fn hub(fault: &ApiFault) -> WireError {
    error::hub(HubFault::Api(fault))
}

/// A register call that was not accepted.
pub(crate) fn register(fault: &RegisterError) -> WireError {
    match fault {
        RegisterError::UnknownService => dps(&ApiFault::NotFound(Missing::ProvisioningService)),
        RegisterError::Rejected(rejection, mechanism) => {
            error::dps(DpsFault::Rejected(rejection, *mechanism))
        }
        // Whoever can be challenged is told so by its driver; others can not have shown a TPM.
        RegisterError::Challenge { .. } => dps(&ApiFault::Unauthorized),
        RegisterError::Network(because) => dps(&ApiFault::Address(because.to_string())),
        RegisterError::Fault(fault) => dps(&own(fault)),
    }
}

/// A poll or a look-up that tells nothing.
pub(crate) fn poll(fault: &PollError) -> WireError {
    match fault {
        PollError::UnknownService => dps(&ApiFault::NotFound(Missing::ProvisioningService)),
        PollError::Stranger(mechanism) => error::dps(DpsFault::Stranger(*mechanism)),
        PollError::UnknownOperation => dps(&ApiFault::NotFound(Missing::Operation)),
        PollError::UnknownRegistration => dps(&ApiFault::NotFound(Missing::Registration)),
        PollError::Fault(fault) => dps(&own(fault)),
    }
}

/// An operator's call at a provisioning service; `missing` is what was addressed.
pub(crate) fn dps_api(fault: &ApiError, missing: Missing) -> WireError {
    match fault {
        ApiError::Draft(fault) => error::dps(fault),
        ApiError::NotFound
        | ApiError::AlreadyExists
        | ApiError::PreconditionFailed
        | ApiError::DeviceDraft(_)
        | ApiError::Twin(_)
        | ApiError::Invalid(_)
        | ApiError::QuotaReached { .. }
        | ApiError::ShutsOut(_)
        | ApiError::Fault(_) => dps(&api(fault, missing)),
    }
}

/// An operator's or a device's call at a hub; `missing` is what was addressed.
pub(crate) fn hub_api(fault: &ApiError, missing: Missing) -> WireError {
    match fault {
        ApiError::DeviceDraft(fault) => error::hub(fault),
        ApiError::NotFound
        | ApiError::AlreadyExists
        | ApiError::PreconditionFailed
        | ApiError::Draft(_)
        | ApiError::Twin(_)
        | ApiError::Invalid(_)
        | ApiError::QuotaReached { .. }
        | ApiError::ShutsOut(_)
        | ApiError::Fault(_) => hub(&api(fault, missing)),
    }
}

fn api(fault: &ApiError, missing: Missing) -> ApiFault {
    match fault {
        ApiError::NotFound => ApiFault::NotFound(missing),
        ApiError::AlreadyExists => ApiFault::AlreadyExists,
        ApiError::PreconditionFailed => ApiFault::PreconditionFailed,
        ApiError::Draft(fault) => ApiFault::Invalid(fault.to_string()),
        ApiError::DeviceDraft(fault) => ApiFault::Invalid(fault.to_string()),
        ApiError::Twin(fault) => ApiFault::Invalid(fault.to_string()),
        ApiError::Invalid(because) => ApiFault::Invalid(because.clone()),
        ApiError::QuotaReached { what, max } => ApiFault::QuotaReached { what, max: *max },
        ApiError::ShutsOut(because) => ApiFault::ShutsOut(because.to_string()),
        ApiError::Fault(fault) => own(fault),
    }
}

/// A sign-in that was refused.
pub(crate) fn connect(fault: &ConnectError) -> WireError {
    match fault {
        ConnectError::UnknownHub => hub(&ApiFault::NotFound(Missing::Hub)),
        ConnectError::Denied(denied) => error::hub(denied),
        ConnectError::Closed(_) => hub(&ApiFault::Unauthorized)
            .because("a change or a newer connection of the device came in between"),
        ConnectError::Fault(fault) => hub(&own(fault)),
    }
}

/// A message that was not kept.
pub(crate) fn telemetry(fault: &TelemetryError) -> WireError {
    hub(&match fault {
        TelemetryError::Full => ApiFault::StoreFull,
        TelemetryError::Busy => ApiFault::Busy,
        TelemetryError::Unavailable(_) => ApiFault::Internal,
    })
}

/// What we failed at; the log has the whole of it.
fn own(fault: &Fault) -> ApiFault {
    match fault {
        Fault::Full => ApiFault::StoreFull,
        Fault::Busy | Fault::Contended => ApiFault::Busy,
        Fault::Unavailable(source) => {
            let error = std::error::Error::source(source).map(ToString::to_string);
            tracing::error!(error, "{source}");
            ApiFault::Internal
        }
        Fault::Seal(source) => {
            tracing::error!("a key could not be wrapped for a TPM: {source}");
            ApiFault::Internal
        }
        Fault::Issue(source) => {
            tracing::error!("a certificate could not be signed: {source}");
            ApiFault::Internal
        }
    }
}
