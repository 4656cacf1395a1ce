//! The device API of the provisioning service. Source: `dps-device-api` §2 and §3.
//!
//! The bodies are the same on HTTP and MQTT, in ASCII on both.

use std::fmt;

use attestation::tpm::{EndorsementKey, StorageRootKey};
use attestation::x509::Certificate;
use attestation::x509::issuing::SigningRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::limits::CHAIN_PRESENTED_MAX;
use model::{IdScope, RegistrationId, Timestamp};
use provisioning::enrollment::{EntryId, Mechanism};
use provisioning::registration::{Registration, RegistrationStatus, Substatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{ApiFault, Missing, failure_code};
use super::segments;
use crate::api_version::ApiVersion;
use crate::json::{ascii_json, object, read};

/// How long an `assigning` device waits before it polls again, in whole seconds, 2..=5.
///
/// Source: settled D-20; Java SDK takes 2 to 5 only; Python SDK
/// `azure/iot/device/provisioning/pipeline/pipeline_stages_provisioning.py`.
pub const RETRY_AFTER_S: u32 = 2;

/// What a device asks for, by method and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `PUT /{idScope}/registrations/{registrationId}/register`.
    Register(Address),
    /// `GET /{idScope}/registrations/{registrationId}/operations/{operationId}`.
    Poll(Address, String),
    /// `POST /{idScope}/registrations/{registrationId}`: the record, without registering.
    Lookup(Address),
}

/// Whose registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The tenant.
    pub id_scope: IdScope,
    /// The device, as it spells itself.
    pub registration_id: RegistrationId,
}

/// Reads a method and a path.
///
/// # Errors
/// [`ApiFault::NotFound`] of [`Missing::Path`] for a path of another API,
/// [`ApiFault::MethodNotAllowed`], [`ApiFault::Id`].
pub fn route(method: &str, path: &str) -> Result<Route, ApiFault> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let path_unknown = || ApiFault::NotFound(Missing::Path);
    let [scope, word, id, rest @ ..] = parts.as_slice() else { return Err(path_unknown()) };
    if !word.eq_ignore_ascii_case("registrations") {
        return Err(path_unknown());
    }
    let address = || {
        Ok(Address {
            id_scope: IdScope::parse(scope)
                .map_err(|because| ApiFault::Id { of: "id scope", because })?,
            registration_id: RegistrationId::parse(id)
                .map_err(|because| ApiFault::Id { of: "registration", because })?,
        })
    };
    let with = |allowed: &str, route: &dyn Fn(Address) -> Route| match method == allowed {
        true => Ok(route(address()?)),
        false => Err(ApiFault::MethodNotAllowed),
    };
    match rest {
        [] => with("POST", &Route::Lookup),
        [word] if word.eq_ignore_ascii_case("register") => with("PUT", &Route::Register),
        [word, operation] if word.eq_ignore_ascii_case("operations") => {
            with("GET", &|address| Route::Poll(address, (*operation).to_owned()))
        }
        _ => Err(path_unknown()),
    }
}

/// What a device sends along when it registers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegisterBody {
    /// JSON for a custom allocation, of any type; `null` is none.
    pub payload: Option<Value>,
    /// The TPM that it shows.
    pub tpm: Option<TpmBody>,
    /// The certificate that it wants.
    pub csr: Option<SigningRequest>,
}

/// A TPM as a device shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TpmBody {
    /// Base64 of the endorsement key's `TPM2B_PUBLIC`.
    pub endorsement_key: String,
    /// Base64 of the storage root key's `TPM2B_PUBLIC`.
    pub storage_root_key: Option<String>,
    /// Base64 of the DER of the endorsement certificate, then of intermediates above it. A member
    /// of ours, which no SDK sends; see `docs/decisions/0007`.
    #[serde(default)]
    pub endorsement_certificates: Option<Vec<String>>,
}

impl TpmBody {
    /// The two keys; every SDK sends both.
    ///
    /// # Errors
    /// [`ApiFault::MissingMember`] without a storage root key, [`ApiFault::Invalid`] for a key
    /// that can not be challenged.
    pub fn keys(&self) -> Result<(EndorsementKey, StorageRootKey), ApiFault> {
        let endorsement_key = EndorsementKey::from_base64(&self.endorsement_key)
            .map_err(|because| ApiFault::Invalid(format!("tpm.endorsementKey {because}")))?;
        let shown = self.storage_root_key.as_deref();
        let shown = shown.ok_or(ApiFault::MissingMember { member: "tpm.storageRootKey" })?;
        let storage_root_key = StorageRootKey::from_base64(shown)
            .map_err(|because| ApiFault::Invalid(format!("tpm.storageRootKey {because}")))?;
        Ok((endorsement_key, storage_root_key))
    }

    /// The endorsement certificate and those above it; empty where none is shown.
    ///
    /// # Errors
    /// [`ApiFault::Invalid`] for what is no certificate, and for more than a chain may have.
    pub fn certificates(&self) -> Result<Vec<Certificate>, ApiFault> {
        let shown = self.endorsement_certificates.as_deref().unwrap_or_default();
        let invalid = |because: &dyn fmt::Display| {
            ApiFault::Invalid(format!("tpm.endorsementCertificates {because}"))
        };
        if shown.len() > CHAIN_PRESENTED_MAX {
            return Err(invalid(&format!("are more than {CHAIN_PRESENTED_MAX}")));
        }
        let one = |text: &String| match STANDARD.decode(text) {
            Ok(der) => Certificate::from_der(&der).map_err(|because| invalid(&because)),
            Err(_) => Err(invalid(&"are not base64 of certificates")),
        };
        shown.iter().map(one).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterJson {
    registration_id: Option<String>,
    payload: Option<Value>,
    #[serde(default, deserialize_with = "object")]
    tpm: Option<TpmBody>,
    csr: Option<String>,
}

/// Reads the body of a register or look-up call. An empty one, or one of white space, is no body.
///
/// Source: `dps-device-api` §0 rule 13: C# sends none, Python a `null` payload, Java a string.
///
/// # Errors
/// [`ApiFault::OtherRegistration`] where it names another id than the device signed in with,
/// [`ApiFault::Invalid`] for a `csr` that is none, else as any JSON body.
pub fn register_body(
    signed_in: &RegistrationId,
    version: &ApiVersion,
    body: &[u8],
) -> Result<RegisterBody, ApiFault> {
    let RegisterJson { payload, tpm, csr, .. } = own_body(signed_in, body)?;
    // To older versions it is a member that nobody knows.
    let csr = csr.filter(|_| version.knows_signing_requests());
    let csr = csr.map(|csr| SigningRequest::from_base64(&csr)).transpose();
    let csr = csr.map_err(|because| ApiFault::Invalid(format!("csr: {because}")))?;
    Ok(RegisterBody { payload, tpm, csr })
}

/// Checks the body of a look-up call, which says nothing.
///
/// # Errors
/// As [`register_body`]; and [`ApiFault::Invalid`] for any `csr`, as the specification has it.
pub fn lookup_body(
    signed_in: &RegistrationId,
    version: &ApiVersion,
    body: &[u8],
) -> Result<(), ApiFault> {
    match own_body(signed_in, body)?.csr {
        Some(_) if version.knows_signing_requests() => Err(ApiFault::Invalid(
            "csr: a look-up issues no certificate; send it with a register call".to_owned(),
        )),
        Some(_) | None => Ok(()),
    }
}

fn own_body(signed_in: &RegistrationId, body: &[u8]) -> Result<RegisterJson, ApiFault> {
    if body.trim_ascii().is_empty() {
        return Ok(RegisterJson::default());
    }
    let read: RegisterJson = read(body)?;
    match &read.registration_id {
        Some(named) if !named.eq_ignore_ascii_case(signed_in.as_str()) => {
            Err(ApiFault::OtherRegistration)
        }
        Some(_) | None => Ok(read),
    }
}

/// How much of a record a device may see now (settled D-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What it says.
    AsStored,
    /// That the device is refused, whatever it says.
    AsDisabled,
}

/// An answer to a device, on any protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status, also that of the MQTT topic.
    pub status: u16,
    /// Seconds to wait before the next poll; with status 202 only.
    pub retry_after: Option<u32>,
    /// JSON in ASCII.
    pub body: Vec<u8>,
}

impl Answer {
    /// The HTTP headers beside the content type. `address` is that of the request, whole.
    ///
    /// Observed: `dps-device-api` §3.1, `Location` echoes the request's address.
    pub fn headers(&self, address: &str) -> Vec<(&'static str, String)> {
        match self.retry_after {
            Some(seconds) => {
                vec![("Retry-After", seconds.to_string()), ("Location", address.to_owned())]
            }
            None => Vec::new(),
        }
    }
}

/// The answer to an accepted register call: always 202, never the result itself.
///
/// Source: `dps-device-api` §0 rule 1; iot-identity-service takes nothing else.
pub fn accepted(operation_id: &str) -> Answer {
    Answer {
        status: 202,
        retry_after: Some(RETRY_AFTER_S),
        body: ascii_json(&OperationStatus {
            operation_id,
            status: Word::Assigning,
            registration_state: None,
        }),
    }
}

/// The name of the key that a TPM is challenged with, which C's SDK gives back as `skn`.
const CHALLENGE_KEY_NAME: &str = "registration";

/// The challenge of a TPM: 401 with a key that is wrapped for it. There is no `status`, which no
/// SDK wants there. Source: `dps-device-api` §6.4.
pub fn challenged(authentication_key: &[u8]) -> Answer {
    Answer {
        status: 401,
        retry_after: None,
        body: ascii_json(&ChallengeJson {
            message: "Authorization required.",
            authentication_key: STANDARD.encode(authentication_key),
            key_name: CHALLENGE_KEY_NAME,
        }),
    }
}

/// `TpmRegistrationResponse`, as its readers know it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChallengeJson {
    message: &'static str,
    authentication_key: String,
    key_name: &'static str,
}

/// The answer to a poll: 202 while assigning, 200 with the result after that.
///
/// `presented` is the id as the device spells it, which is what it gets back.
pub fn polled(
    record: &Registration,
    operation_id: &str,
    presented: &RegistrationId,
    shown: Shown,
) -> Answer {
    let mut state = RegistrationResult::of(record, presented, shown);
    if let (Word::Assigned, Some(issued)) = (state.status, &record.issued) {
        let encoded = issued.chain.iter().map(|certificate| STANDARD.encode(certificate.der()));
        state.issued_certificate_chain = Some(encoded.collect());
    }
    let (status, retry_after) = match state.status {
        Word::Assigning => (202, Some(RETRY_AFTER_S)),
        Word::Assigned | Word::Failed | Word::Disabled => (200, None),
    };
    Answer {
        status,
        retry_after,
        body: ascii_json(&OperationStatus {
            operation_id,
            status: state.status,
            registration_state: Some(state),
        }),
    }
}

/// The answer to a look-up: 200 with the record itself.
pub fn looked_up(record: &Registration, presented: &RegistrationId, shown: Shown) -> Answer {
    let state = RegistrationResult::of(record, presented, shown);
    Answer { status: 200, retry_after: None, body: ascii_json(&state) }
}

/// `RegistrationOperationStatus`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperationStatus<'a> {
    operation_id: &'a str,
    status: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<RegistrationResult<'a>>,
}

/// The status words that a device is told; `unassigned` is none of them, because C takes it for
/// a TPM challenge. Source: `dps-device-api` §0 rule 2.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Assigning,
    Assigned,
    Failed,
    Disabled,
}

/// `DeviceRegistrationResult`, in the order of members that was observed.
///
/// A refused device is told neither hub nor device id (settled D-10).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<TpmResult<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<OfGroup<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<OfGroup<'a>>,
    registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_date_time_utc: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_hub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    status: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    substatus: Option<Substatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_date_time_utc: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Map<String, Value>>,
    /// Base64 of DER, leaf first, root last; in answers to polls alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_certificate_chain: Option<Vec<String>>,
}

/// The hub key, wrapped for the TPM that has proven itself; every SDK demands it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TpmResult<'a> {
    authentication_key: &'a str,
}

/// `{"enrollmentGroupId": …}`, empty for an individual enrollment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfGroup<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_group_id: Option<&'a str>,
}

impl<'a> RegistrationResult<'a> {
    fn of(record: &'a Registration, presented: &'a RegistrationId, shown: Shown) -> Self {
        let status = match (shown, record.status) {
            (Shown::AsDisabled, _) | (Shown::AsStored, RegistrationStatus::Disabled) => {
                Word::Disabled
            }
            (Shown::AsStored, RegistrationStatus::Unassigned | RegistrationStatus::Assigning) => {
                Word::Assigning
            }
            (Shown::AsStored, RegistrationStatus::Assigned) => Word::Assigned,
            (Shown::AsStored, RegistrationStatus::Failed) => Word::Failed,
        };
        let bare = Self {
            tpm: None,
            x509: None,
            symmetric_key: None,
            registration_id: presented.as_str(),
            created_date_time_utc: Some(record.created),
            assigned_hub: None,
            device_id: None,
            status,
            substatus: None,
            error_code: None,
            error_message: None,
            last_updated_date_time_utc: Some(record.updated),
            etag: Some(record.etag.quoted()),
            payload: None,
            issued_certificate_chain: None,
        };
        match status {
            Word::Assigning => Self {
                created_date_time_utc: None,
                last_updated_date_time_utc: None,
                etag: None,
                ..bare
            },
            Word::Disabled => bare,
            Word::Failed => Self {
                // Both are mandatory for iot-identity-service.
                error_code: record.failure.as_ref().map(|failure| failure_code(failure.kind)),
                error_message: record.failure.as_ref().map(|failure| failure.message.as_str()),
                ..bare
            },
            Word::Assigned => bare.assigned(record),
        }
    }

    fn assigned(self, record: &'a Registration) -> Self {
        let group = match &record.owner.id {
            EntryId::Group(id) => Some(id.as_str()),
            EntryId::Individual(_) => None,
        };
        let of_group = || OfGroup { enrollment_group_id: group };
        let (x509, symmetric_key) = match record.mechanism {
            Mechanism::X509 => (Some(of_group()), None),
            Mechanism::SymmetricKey => (None, group.map(|_| of_group())),
            Mechanism::Tpm => (None, None),
        };
        let place = record.assignment.as_ref();
        let wrapped = record.tpm.as_ref().and_then(|tpm| tpm.authentication_key.as_deref());
        Self {
            tpm: wrapped.map(|authentication_key| TpmResult { authentication_key }),
            x509,
            symmetric_key,
            assigned_hub: place.map(|place| place.hub.as_str()),
            device_id: place.map(|place| place.device_id.as_str()),
            substatus: record.substatus,
            // Java maps it to an object and throws on any other type.
            payload: record.payload.as_ref().and_then(Value::as_object),
            ..self
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/registrations/{}", self.id_scope, self.registration_id)
    }
}

#[cfg(test)]
mod tests;
