//! The custom allocation webhook: what it is asked and what it answers (W-01 to W-10).

use ::attestation::x509::Certificate;
use model::RegistrationId;
use provisioning::allocation::custom::{Answer, NoAnswer, Question};
use provisioning::enrollment::Entry;
use provisioning::view::Evidence;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::service::Keys;
use super::service::attestation::ShownCertificateJson;
use super::service::enrollment::{self, IndividualJson};
use super::service::group::{self, GroupJson};
use crate::json::{read, utf8_json};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    individual_enrollment: Option<IndividualJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_group: Option<GroupJson<'a>>,
    device_runtime_context: ContextJson<'a>,
    linked_hubs: Vec<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContextJson<'a> {
    registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_iot_hub_host_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<X509Json<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<Empty>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct X509Json<'a> {
    client_certificates: PrimaryJson<'a>,
}

#[derive(Serialize)]
struct PrimaryJson<'a> {
    primary: ShownCertificateJson<'a>,
}

#[derive(Serialize)]
struct Empty {}

/// Writes the request about one device; no key of the entry's is in it.
pub fn request(
    registration_id: &RegistrationId,
    entry: Entry<'_>,
    question: &Question,
    evidence: &Evidence,
) -> Vec<u8> {
    let (individual, group) = match entry {
        Entry::Individual(entry) => (Some(enrollment::json(entry, None, Keys::WithheldAll)), None),
        Entry::Group(entry) => (None, Some(group::json(entry, Keys::WithheldAll))),
    };
    let leaf = match evidence {
        Evidence::X509(chain) => chain.first(),
        Evidence::Sas(_) | Evidence::Tpm(_) | Evidence::None => None,
    };
    utf8_json(&RequestJson {
        individual_enrollment: individual,
        enrollment_group: group,
        device_runtime_context: ContextJson {
            registration_id: registration_id.as_str(),
            current_iot_hub_host_name: question.current.as_ref().map(|at| at.hub.as_str()),
            current_device_id: question.current.as_ref().map(|at| at.device_id.as_str()),
            x509: leaf.map(shown),
            symmetric_key: matches!(evidence, Evidence::Sas(_)).then_some(Empty {}),
            // Its keys are in the enrollment.
            tpm: matches!(evidence, Evidence::Tpm(_)).then_some(Empty {}),
            payload: question.payload.as_ref(),
        },
        linked_hubs: question.linked_hubs.iter().map(|hub| hub.as_str()).collect(),
    })
}

fn shown(leaf: &Certificate) -> X509Json<'_> {
    X509Json { client_certificates: PrimaryJson { primary: ShownCertificateJson::of(leaf) } }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerRead {
    iot_hub_host_name: Option<String>,
    initial_twin: Option<Map<String, Value>>,
    payload: Option<Value>,
    /// What `payload` was called before.
    return_data: Option<Value>,
}

/// Reads what the webhook answered.
///
/// # Errors
/// W-06: [`NoAnswer`] for any status but a success, and for a body that names no hub.
pub fn answer(status: u16, body: &[u8]) -> Result<Answer, NoAnswer> {
    let none = |status, because: String| Err(NoAnswer { status, because });
    if !(200..300).contains(&status) {
        return none(Some(status), format!("it answered with status {status}"));
    }
    match read::<AnswerRead>(body) {
        Ok(AnswerRead { iot_hub_host_name: Some(hub), initial_twin, payload, return_data }) => {
            Ok(Answer { hub, initial_twin, payload: payload.or(return_data) })
        }
        Ok(_) => none(None, "its answer names no iotHubHostName".to_owned()),
        Err(fault) => none(None, format!("its answer can not be read: {fault}")),
    }
}

#[cfg(test)]
mod tests;
