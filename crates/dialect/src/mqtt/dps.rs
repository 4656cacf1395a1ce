//! The provisioning service on MQTT. Source: `dps-device-api` §4.

use model::{IdScope, RegistrationId, Timestamp};

use super::{Credential, Grant, Message, Refusal, SignIn, query_behind, rid};
use crate::api_version::ApiVersion;
use crate::percent;
use crate::rest::device::Answer;
use crate::rest::error::WireError;

/// The only filter that a device may subscribe to.
const RESPONSES: &str = "$dps/registrations/res/#";
/// Registers; the query follows.
const REGISTER: &str = "$dps/registrations/PUT/iotdps-register";
/// Polls; the query follows.
const POLL: &str = "$dps/registrations/GET/iotdps-get-operationstatus";

/// Who a device says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The tenant.
    pub id_scope: IdScope,
    /// The device, as it spells itself.
    pub registration_id: RegistrationId,
    /// The version that it speaks.
    pub api_version: ApiVersion,
    /// What it calls its software.
    pub client_version: Option<String>,
}

impl Claim {
    /// Whether the client is the Java SDK, which loses an answer that comes before its thread
    /// waits for it: it names its api-version as its software's version.
    ///
    /// Source: settled D-21; Java SDK
    /// `provisioning/provisioning-device-client/…/internal/contract/mqtt/ContractAPIMqtt.java`.
    pub fn is_java(&self) -> bool {
        self.client_version.as_deref() == Some(self.api_version.as_str())
    }
}

/// Reads the names of a CONNECT:
/// `{idScope}/registrations/{registrationId}/api-version=…[&ClientVersion=…]`.
///
/// Unknown keys are skipped, and keys are read without case.
///
/// # Errors
/// [`Refusal::Username`] for a user name of another form, [`Refusal::ClientId`] where the client
/// id is another one, [`Refusal::NotAuthorized`] where nothing was shown.
pub fn claim(sign_in: SignIn<'_>) -> Result<Claim, Refusal> {
    let username = sign_in.username.ok_or(Refusal::Username)?;
    let mut segments = username.splitn(4, '/');
    let mut next = || segments.next().ok_or(Refusal::Username);
    let (scope, word, id, query) = (next()?, next()?, next()?, next()?);
    if !word.eq_ignore_ascii_case("registrations") {
        return Err(Refusal::Username);
    }
    let id_scope = IdScope::parse(scope).map_err(|_| Refusal::Username)?;
    let registration_id =
        RegistrationId::parse(&percent::decoded(id)).map_err(|_| Refusal::Username)?;
    let query = query.strip_prefix('?').unwrap_or(query);
    let api_version = ApiVersion::of_query(Some(query)).map_err(|_| Refusal::Username)?;
    let client_version =
        percent::value(query, "ClientVersion").map(|text| percent::decoded(text).into_owned());
    if !sign_in.client_id.eq_ignore_ascii_case(registration_id.as_str()) {
        return Err(Refusal::ClientId);
    }
    match sign_in.credential {
        Credential::Shown => Ok(Claim { id_scope, registration_id, api_version, client_version }),
        Credential::Missing => Err(Refusal::NotAuthorized),
    }
}

/// What a device publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It registers; the body is for [`crate::rest::device::register_body`].
    Register {
        /// The request id, to be echoed.
        rid: String,
    },
    /// It polls; whatever the body is, it says nothing.
    Poll {
        /// The request id, to be echoed.
        rid: String,
        /// The operation; empty where the topic names none, which no operation is.
        operation_id: String,
    },
}

impl Operation {
    /// The request id, to be echoed.
    pub fn rid(&self) -> &str {
        match self {
            Self::Register { rid } | Self::Poll { rid, .. } => rid,
        }
    }
}

/// Reads a topic that a device publishes to; none for any other topic, at which the connection is
/// to be closed.
///
/// A request id whose `$` was forgotten is served and echoed as an empty one.
/// Observed: `dps-device-api` §4.2, Microchip's AT-command log.
pub fn operation(topic: &str) -> Option<Operation> {
    if let Some(query) = query_behind(topic, REGISTER) {
        return Some(Operation::Register { rid: rid(query)? });
    }
    let query = query_behind(topic, POLL)?;
    let operation_id = percent::value(query, "operationId").unwrap_or_default();
    Some(Operation::Poll {
        rid: rid(query)?,
        operation_id: percent::decoded(operation_id).into_owned(),
    })
}

/// Judges one filter of a SUBSCRIBE.
pub fn grant(filter: &str, qos: u8) -> Grant {
    match filter {
        RESPONSES => Grant::of(qos),
        _ => Grant::Refused,
    }
}

/// The topic of an answer: `$dps/registrations/res/{status}/?$rid={rid}[&retry-after={n}]`.
///
/// The order and the spelling are what SDKs search for: `$rid` first (Python), `retry-after` in
/// lower case and not first (Java, C), a whole number (Java). Source: `dps-device-api` §0 rule 8.
pub fn response_topic(status: u16, rid: &str, retry_after: Option<u32>) -> String {
    match retry_after {
        Some(seconds) => {
            format!("$dps/registrations/res/{status}/?$rid={rid}&retry-after={seconds}")
        }
        None => format!("$dps/registrations/res/{status}/?$rid={rid}"),
    }
}

/// The answer to a request, to be published at QoS 1 after the request's PUBACK.
///
/// Source: `dps-device-api` §0 rules 6 and 7.
pub fn response(rid: &str, answer: Answer) -> Message {
    Message { topic: response_topic(answer.status, rid, answer.retry_after), payload: answer.body }
}

/// The refusal of a request.
pub fn refusal(rid: &str, error: &WireError, tracking_id: &str, now: Timestamp) -> Message {
    Message {
        topic: response_topic(error.status, rid, error.retry_after),
        payload: error.json(tracking_id, now),
    }
}

#[cfg(test)]
mod tests;
