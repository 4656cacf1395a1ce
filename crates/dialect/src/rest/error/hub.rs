//! Refusals of a hub.

use ::hub::draft::DraftError;
use ::hub::permit;
use attestation::{access, bearer as tokens};

use super::{ADDRESS_REFUSED, ApiFault, Code, Missing, RETRY_AFTER_S, WireError, bearer};

const BAD_REQUEST: Code = Code(400, 400_000, "GenericBadRequest");
const API_VERSION: Code = Code(400, 400_001, "InvalidProtocolVersion");
const INVALID: Code = Code(400, 400_004, "ArgumentInvalid");
const NULL: Code = Code(400, 400_005, "ArgumentNull");
const FORMAT: Code = Code(400, 400_006, "IotHubFormatError");
const TWICE: Code = Code(400, 400_011, "DeviceDefinedMultipleTimes");
const SCOPE: Code = Code(400, 400_028, "InvalidDeviceScope");
const UNAUTHORIZED_ACCESS: Code = Code(401, 401_002, "IotHubUnauthorizedAccess");
const UNAUTHORIZED: Code = Code(401, 401_003, "IotHubUnauthorized");
const QUOTA: Code = Code(403, 403_002, "IotHubQuotaExceeded");
const FORBIDDEN: Code = Code(403, 403_000, "GenericForbidden");
const ADDRESS: Code = Code(403, ADDRESS_REFUSED, "IpAddressRejected");
const NOT_FOUND: Code = Code(404, 404_000, "GenericNotFound");
const HUB_NOT_FOUND: Code = Code(404, 404_000, "IotHubNotFound");
const DEVICE_NOT_FOUND: Code = Code(404, 404_001, "DeviceNotFound");
const METHOD: Code = Code(405, 405_000, "GenericMethodNotAllowed");
const EXISTS: Code = Code(409, 409_001, "DeviceAlreadyExists");
const CONFLICT: Code = Code(409, 409_000, "GenericConflict");
const PRECONDITION: Code = Code(412, 412_001, "PreconditionFailed");
const TOO_LARGE: Code = Code(413, 413_001, "MessageTooLarge");
const MEDIA_TYPE: Code = Code(415, 415_000, "GenericUnsupportedMediaType");
const THROTTLED: Code = Code(429, 429_001, "ThrottlingException");
const INTERNAL: Code = Code(500, 500_001, "ServerError");
const UNAVAILABLE: Code = Code(503, 503_001, "ServiceUnavailable");
const BUSY: Code = Code(503, 503_005, "ServerBusy");

/// Everything that a hub can refuse with.
#[derive(Clone, Copy, Debug)]
pub enum HubFault<'a> {
    /// A device identity breaks a rule.
    Draft(&'a DraftError),
    /// A device may not connect.
    Permit(&'a permit::Denied),
    /// A shared access policy's token gives no access.
    Access(access::Denied),
    /// A bearer's token gives no access.
    Bearer(&'a tokens::Denied),
    /// All else.
    Api(&'a ApiFault),
}

impl<'a> From<&'a DraftError> for HubFault<'a> {
    fn from(fault: &'a DraftError) -> Self {
        Self::Draft(fault)
    }
}
impl<'a> From<&'a permit::Denied> for HubFault<'a> {
    fn from(fault: &'a permit::Denied) -> Self {
        Self::Permit(fault)
    }
}
impl From<access::Denied> for HubFault<'_> {
    fn from(fault: access::Denied) -> Self {
        Self::Access(fault)
    }
}
impl<'a> From<&'a tokens::Denied> for HubFault<'a> {
    fn from(fault: &'a tokens::Denied) -> Self {
        Self::Bearer(fault)
    }
}
impl<'a> From<&'a ApiFault> for HubFault<'a> {
    fn from(fault: &'a ApiFault) -> Self {
        Self::Api(fault)
    }
}

/// A hub's answer to everything that it refuses, on every protocol.
pub fn hub<'a>(fault: impl Into<HubFault<'a>>) -> WireError {
    match fault.into() {
        HubFault::Draft(fault) => draft(fault),
        HubFault::Permit(fault) => permit(fault),
        HubFault::Access(fault) => access(fault),
        HubFault::Bearer(fault) => bearer(fault, UNAUTHORIZED_ACCESS, FORBIDDEN),
        HubFault::Api(fault) => api(fault),
    }
}

fn draft(fault: &DraftError) -> WireError {
    let code = match fault {
        DraftError::DeviceScope => SCOPE,
        DraftError::OtherId { .. }
        | DraftError::StatusReason
        | DraftError::OneKey
        | DraftError::SymmetricKey(_)
        | DraftError::NoThumbprint
        | DraftError::Thumbprint(_)
        | DraftError::ThumbprintLengths => INVALID,
    };
    code.says(fault.to_string())
}

/// A device is told that it may not come from where it does, or that it is not authorized, and no
/// more: neither that it is unknown nor that it is disabled.
fn permit(fault: &permit::Denied) -> WireError {
    match fault {
        permit::Denied::Policy(fault) => access(*fault),
        permit::Denied::Network(because) => api(&ApiFault::Address(because.to_string())),
        permit::Denied::UnknownDevice
        | permit::Denied::DeviceDisabled
        | permit::Denied::NoEvidence
        | permit::Denied::OtherMechanism
        | permit::Denied::Signature
        | permit::Denied::TokenExpired
        | permit::Denied::TokenResource
        | permit::Denied::OtherCertificate
        | permit::Denied::IssuerRevoked
        | permit::Denied::CertificateValidity
        | permit::Denied::OtherGeneration => UNAUTHORIZED.says("Unauthorized").because(fault),
    }
}

/// A hub answers a missing right as it answers a bad token. Source: `iot-hub` §1.2.
fn access(fault: access::Denied) -> WireError {
    match fault {
        access::Denied::UnknownPolicy
        | access::Denied::Signature
        | access::Denied::Expired
        | access::Denied::Resource
        | access::Denied::Right => UNAUTHORIZED_ACCESS.says("Unauthorized").because(fault),
    }
}

fn api(fault: &ApiFault) -> WireError {
    match fault {
        ApiFault::NotFound(missing) => not_found(missing),
        ApiFault::AlreadyExists => EXISTS.says("Conflict"),
        ApiFault::PreconditionFailed => {
            PRECONDITION.says("Precondition failed: the version did not match")
        }
        ApiFault::Throttled { retry_after } => {
            THROTTLED.says_later("Operations are being throttled for this hub", *retry_after)
        }
        ApiFault::MethodNotAllowed => METHOD.says("Method not allowed"),
        ApiFault::UnsupportedMediaType => MEDIA_TYPE.says("Content-Type is not application/json"),
        ApiFault::BodyTooLarge { .. } => TOO_LARGE.says(fault.to_string()),
        ApiFault::Malformed { .. } => FORMAT.says(fault.to_string()),
        ApiFault::MissingMember { .. } => NULL.says(fault.to_string()),
        ApiFault::MissingApiVersion | ApiFault::UnknownApiVersion { .. } => {
            API_VERSION.says(fault.to_string())
        }
        ApiFault::TooDeep { .. }
        | ApiFault::Header { .. }
        | ApiFault::OtherRegistration
        | ApiFault::BulkSize { .. } => BAD_REQUEST.says(fault.to_string()),
        ApiFault::UnknownWord { .. } | ApiFault::Id { .. } | ApiFault::Invalid(_) => {
            INVALID.says(fault.to_string())
        }
        ApiFault::DefinedTwice => TWICE.says(fault.to_string()),
        ApiFault::CertificateInUse { .. } => CONFLICT.says(fault.to_string()),
        ApiFault::QuotaReached { .. } => QUOTA.says(fault.to_string()),
        ApiFault::Address(_) => ADDRESS.says(fault.to_string()),
        ApiFault::ShutsOut(_) => CONFLICT.says(fault.to_string()),
        ApiFault::Unauthorized | ApiFault::Forbidden => UNAUTHORIZED_ACCESS.says("Unauthorized"),
        ApiFault::StoreFull => UNAVAILABLE.says_later(fault.to_string(), RETRY_AFTER_S),
        ApiFault::Busy => BUSY.says_later(fault.to_string(), RETRY_AFTER_S),
        ApiFault::Internal => INTERNAL.says(fault.to_string()),
    }
}

fn not_found(missing: &Missing) -> WireError {
    match missing {
        Missing::Device { id } => DEVICE_NOT_FOUND.says(id.as_str()),
        Missing::Hub | Missing::ProvisioningService => HUB_NOT_FOUND.says("IoT hub not found"),
        Missing::Policy => NOT_FOUND.says("Shared access policy not found"),
        Missing::Subscription => NOT_FOUND.says("Event subscription not found"),
        Missing::DeadLetter => NOT_FOUND.says("Dead letter not found"),
        Missing::ExpiryException => NOT_FOUND.says("Expiry exception not found"),
        Missing::CredentialPolicy => NOT_FOUND.says("Credential policy not found"),
        Missing::Path => NOT_FOUND.says("There is nothing at this address"),
        Missing::Enrollment => NOT_FOUND.says("Enrollment not found"),
        Missing::Registration => NOT_FOUND.says("Registration not found"),
        Missing::Operation => NOT_FOUND.says("Operation not found"),
        Missing::CaCertificate => NOT_FOUND.says("CA certificate not found"),
    }
}
