//! Refusals of the provisioning service.

use attestation::{access, bearer as tokens};
use provisioning::decide::Rejection;
use provisioning::draft::DraftError;
use provisioning::enrollment::Mechanism;
use provisioning::explain::Disbelief;

use super::{ADDRESS_REFUSED, ApiFault, Code, Missing, RETRY_AFTER_S, WireError, bearer};

const BAD_REQUEST: Code = Code(400, 400_000, "GenericBadRequest");
const API_VERSION: Code = Code(400, 400_001, "InvalidProtocolVersion");
const INVALID: Code = Code(400, 400_004, "ArgumentInvalid");
/// Source: none `[U]`; the class is that of the specification, "bad CSR".
const CSR: Code = INVALID;
const UNAUTHORIZED: Code = Code(401, 401_000, "GenericUnauthorized");
const NOT_ATTESTED: Code = Code(401, 401_002, "IotHubUnauthorizedAccess");
const FORBIDDEN: Code = Code(403, 403_001, "GenericForbidden");
const ADDRESS: Code = Code(403, ADDRESS_REFUSED, "IpAddressRejected");
const NOT_FOUND: Code = Code(404, 404_000, "GenericNotFound");
const DEVICE_NOT_FOUND: Code = Code(404, 404_001, "DeviceNotFound");
const ENROLLMENT_NOT_FOUND: Code = Code(404, 404_201, "EnrollmentNotFound");
const REGISTRATION_NOT_FOUND: Code = Code(404, 404_202, "RegistrationNotFound");
const OPERATION_NOT_FOUND: Code = Code(404, 404_203, "OperationNotFound");
const METHOD: Code = Code(405, 405_000, "GenericMethodNotAllowed");
const EXISTS: Code = Code(409, 409_201, "EnrollmentAlreadyExists");
const IN_USE: Code = Code(409, 409_202, "CredentialInUse");
/// Ours.
const SHUTS_OUT: Code = Code(409, 409_203, "CallerShutOut");
const PRECONDITION: Code = Code(412, 412_001, "PreconditionFailed");
const MEDIA_TYPE: Code = Code(415, 415_000, "GenericUnsupportedMediaType");
const THROTTLED: Code = Code(429, 429_001, "ThrottlingException");
const INTERNAL: Code = Code(500, 500_001, "ServerError");
const UNAVAILABLE: Code = Code(503, 503_001, "ServiceUnavailable");
const BUSY: Code = Code(503, 503_005, "ServerBusy");

/// Everything that the provisioning service can refuse with.
#[derive(Clone, Copy, Debug)]
pub enum DpsFault<'a> {
    /// A registration was refused; beside it, what kind of evidence was shown.
    Rejected(&'a Rejection, Option<Mechanism>),
    /// A poll by one who is not the device; beside it, what kind of evidence was shown.
    Stranger(Option<Mechanism>),
    /// An enrollment breaks a rule.
    Draft(&'a DraftError),
    /// A shared access policy's token gives no access.
    Access(access::Denied),
    /// A bearer's token gives no access.
    Bearer(&'a tokens::Denied),
    /// All else.
    Api(&'a ApiFault),
}

impl<'a> From<&'a DraftError> for DpsFault<'a> {
    fn from(fault: &'a DraftError) -> Self {
        Self::Draft(fault)
    }
}
impl From<access::Denied> for DpsFault<'_> {
    fn from(fault: access::Denied) -> Self {
        Self::Access(fault)
    }
}
impl<'a> From<&'a tokens::Denied> for DpsFault<'a> {
    fn from(fault: &'a tokens::Denied) -> Self {
        Self::Bearer(fault)
    }
}
impl<'a> From<&'a ApiFault> for DpsFault<'a> {
    fn from(fault: &'a ApiFault) -> Self {
        Self::Api(fault)
    }
}

/// The provisioning service's answer to everything that it refuses, on every protocol.
pub fn dps<'a>(fault: impl Into<DpsFault<'a>>) -> WireError {
    match fault.into() {
        DpsFault::Rejected(Rejection::Stranger { because }, shown) => {
            stranger(shown, Some(because))
        }
        DpsFault::Rejected(Rejection::QuotaReached { registrations_max }, _) => {
            FORBIDDEN.says(format!(
                "The provisioning service holds its maximum of {registrations_max} registrations."
            ))
        }
        DpsFault::Rejected(Rejection::Csr(fault), _) => CSR.says(format!("{fault}.")),
        DpsFault::Stranger(shown) => stranger(shown, None),
        DpsFault::Draft(fault) => draft(fault),
        DpsFault::Access(fault) => access(fault),
        DpsFault::Bearer(fault) => bearer(fault, NOT_ATTESTED, FORBIDDEN),
        DpsFault::Api(fault) => api(fault),
    }
}

/// What a device is told that was not believed: the class of its evidence, and for certificates
/// whether the chain or the enrollment is at fault. It is never told which entries exist.
///
/// Source: `dps-device-api` §2.4 and §10.
fn stranger(shown: Option<Mechanism>, because: Option<&Disbelief>) -> WireError {
    match shown {
        Some(Mechanism::X509) => NOT_ATTESTED.says(match because {
            Some(Disbelief::NotInChain | Disbelief::CaMissing { .. }) => {
                "CA certificate not found."
            }
            Some(
                Disbelief::NoEvidence
                | Disbelief::OtherMechanism { .. }
                | Disbelief::OtherCertificate
                | Disbelief::Chain { .. }
                | Disbelief::CommonName { .. }
                | Disbelief::Signature
                | Disbelief::TokenExpired { .. }
                | Disbelief::TokenResource
                | Disbelief::EndorsementKey
                | Disbelief::EndorsementCertificate { .. }
                | Disbelief::Unanswered,
            )
            | None => "Invalid certificate.",
        }),
        // M-25: a TPM is public until it is challenged, and there is no challenge without an entry.
        Some(Mechanism::Tpm) if because != Some(&Disbelief::Unanswered) => {
            not_found(&Missing::Enrollment)
        }
        Some(Mechanism::SymmetricKey | Mechanism::Tpm) | None => UNAUTHORIZED.says("Unauthorized"),
    }
}

fn draft(fault: &DraftError) -> WireError {
    let code = match fault {
        DraftError::CertificateInUse { .. } | DraftError::EndorsementKeyInUse { .. } => IN_USE,
        DraftError::OtherId { .. }
        | DraftError::DeviceId { .. }
        | DraftError::AttestationMissing(_)
        | DraftError::AttestationOfOther { .. }
        | DraftError::X509Members { .. }
        | DraftError::TpmGroup
        | DraftError::MakersOfIndividual
        | DraftError::CertifiesChanged
        | DraftError::SigningCertificatesOfIndividual
        | DraftError::ClientCertificatesOfGroup
        | DraftError::NoCertificate(_)
        | DraftError::Certificate { .. }
        | DraftError::UnknownCertificate { .. }
        | DraftError::UnknownCa { .. }
        | DraftError::SymmetricKey { .. }
        | DraftError::EndorsementKey { .. }
        | DraftError::StorageRootKey
        | DraftError::MechanismChanged { .. }
        | DraftError::CustomAllocationMissing { .. }
        | DraftError::WebhookUrl
        | DraftError::WebhookApiVersion
        | DraftError::HubsWithoutPolicy
        | DraftError::StaticWithSeveralHubs { .. }
        | DraftError::HubNotLinked { .. } => INVALID,
    };
    code.says(format!("{fault}."))
}

/// K-07, K-08: a token that does not hold is 401, one whose policy lacks the right is 403.
fn access(fault: access::Denied) -> WireError {
    match fault {
        access::Denied::UnknownPolicy
        | access::Denied::Signature
        | access::Denied::Expired
        | access::Denied::Resource => NOT_ATTESTED.says("Unauthorized"),
        access::Denied::Right => {
            FORBIDDEN.says("The shared access policy does not have the right to do this.")
        }
    }
}

fn api(fault: &ApiFault) -> WireError {
    match fault {
        ApiFault::NotFound(missing) => not_found(missing),
        ApiFault::AlreadyExists => EXISTS.says("It exists already: send If-Match to replace it."),
        ApiFault::PreconditionFailed => PRECONDITION.says("Precondition failed."),
        ApiFault::Throttled { retry_after } => {
            THROTTLED.says_later("Operations are being throttled for this tenant.", *retry_after)
        }
        ApiFault::MethodNotAllowed => METHOD.says("Method not allowed."),
        ApiFault::UnsupportedMediaType => {
            MEDIA_TYPE.says("The body's Content-Type is not application/json.")
        }
        ApiFault::BodyTooLarge { .. }
        | ApiFault::TooDeep { .. }
        | ApiFault::Malformed { .. }
        | ApiFault::Header { .. }
        | ApiFault::BulkSize { .. }
        | ApiFault::DefinedTwice
        | ApiFault::OtherRegistration => BAD_REQUEST.says(fault.to_string()),
        ApiFault::MissingApiVersion | ApiFault::UnknownApiVersion { .. } => {
            API_VERSION.says(fault.to_string())
        }
        ApiFault::MissingMember { .. }
        | ApiFault::UnknownWord { .. }
        | ApiFault::Id { .. }
        | ApiFault::Invalid(_) => INVALID.says(fault.to_string()),
        ApiFault::CertificateInUse { .. } => IN_USE.says(fault.to_string()),
        ApiFault::QuotaReached { .. } => FORBIDDEN.says(fault.to_string()),
        ApiFault::Address(_) => ADDRESS.says(fault.to_string()),
        ApiFault::ShutsOut(_) => SHUTS_OUT.says(fault.to_string()),
        ApiFault::Unauthorized => UNAUTHORIZED.says("Unauthorized"),
        ApiFault::Forbidden => FORBIDDEN.says("Forbidden"),
        ApiFault::StoreFull => UNAVAILABLE.says_later(fault.to_string(), RETRY_AFTER_S),
        ApiFault::Busy => BUSY.says_later(fault.to_string(), RETRY_AFTER_S),
        ApiFault::Internal => INTERNAL.says(fault.to_string()),
    }
}

fn not_found(missing: &Missing) -> WireError {
    match missing {
        Missing::Enrollment => ENROLLMENT_NOT_FOUND.says("Enrollment not found."),
        Missing::Registration => REGISTRATION_NOT_FOUND.says("Registration not found."),
        Missing::Operation => OPERATION_NOT_FOUND.says("Operation not found."),
        Missing::CaCertificate => NOT_FOUND.says("CA certificate not found."),
        Missing::Device { id } => DEVICE_NOT_FOUND.says(format!("Device {id} not found.")),
        Missing::ProvisioningService => NOT_FOUND.says("Provisioning service not found."),
        Missing::Hub => NOT_FOUND.says("IoT hub not found."),
        Missing::CredentialPolicy => NOT_FOUND.says("Credential policy not found."),
        Missing::Policy => NOT_FOUND.says("Shared access policy not found."),
        Missing::Subscription => NOT_FOUND.says("Event subscription not found."),
        Missing::DeadLetter => NOT_FOUND.says("Dead letter not found."),
        Missing::ExpiryException => NOT_FOUND.says("Expiry exception not found."),
        Missing::Path => NOT_FOUND.says("There is nothing at this address."),
    }
}
