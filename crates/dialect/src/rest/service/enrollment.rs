//! `IndividualEnrollment`, both ways (§1.8).

use model::RegistrationId;
use provisioning::draft::IndividualDraft;
use provisioning::enrollment::Individual;
use provisioning::registration::Registration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Keys;
use super::attestation::{self, AttestationJson, AttestationRead};
use super::registration::RegistrationStateJson;
use super::settings::{self, SettingsJson, SettingsRead};
use crate::api_version::ApiVersion;
use crate::json::{object, read};
use crate::rest::error::ApiFault;

/// An individual enrollment, as written into JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndividualJson<'a> {
    registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<RegistrationStateJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    optional_device_information: Option<&'a Value>,
    attestation: AttestationJson<'a>,
    #[serde(flatten)]
    settings: SettingsJson<'a>,
}

/// Writes an individual enrollment, with the record of its id where there is one.
pub fn json<'a>(
    entry: &'a Individual,
    record: Option<&'a Registration>,
    keys: Keys,
) -> IndividualJson<'a> {
    IndividualJson {
        registration_id: entry.registration_id.as_str(),
        device_id: entry.device_id.as_ref().map(|id| id.as_str()),
        registration_state: record
            .map(|record| RegistrationStateJson::of(record, record.reprovision)),
        optional_device_information: entry.optional_device_information.as_ref(),
        attestation: AttestationJson::of_individual(&entry.attestation, keys),
        settings: SettingsJson::of(&entry.settings, &entry.stamp, keys),
    }
}

/// An individual enrollment as read; everything else in the body is skipped (V-26).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndividualRead {
    pub(super) registration_id: Option<String>,
    device_id: Option<String>,
    optional_device_information: Option<Value>,
    #[serde(default, deserialize_with = "object")]
    attestation: Option<AttestationRead>,
    #[serde(flatten)]
    settings: SettingsRead,
}

/// Reads an individual enrollment that is put to an address.
///
/// # Errors
/// As any JSON body; [`ApiFault::MissingMember`] and [`ApiFault::UnknownWord`] for what is not of
/// the form.
pub fn draft(
    addressed: &RegistrationId,
    body: &[u8],
    version: &ApiVersion,
) -> Result<IndividualDraft, ApiFault> {
    sorted(addressed.clone(), read(body)?, version)
}

/// Sorts what was read by its meaning.
pub(super) fn sorted(
    registration_id: RegistrationId,
    read: IndividualRead,
    version: &ApiVersion,
) -> Result<IndividualDraft, ApiFault> {
    Ok(IndividualDraft {
        registration_id,
        named: read.registration_id,
        device_id: read.device_id,
        attestation: attestation::draft(read.attestation)?,
        settings: settings::draft(read.settings, version)?,
        optional_device_information: read.optional_device_information,
    })
}
