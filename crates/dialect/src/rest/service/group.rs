//! `EnrollmentGroup`, both ways (§1.8).

use model::EnrollmentGroupId;
use provisioning::draft::GroupDraft;
use provisioning::enrollment::Group;
use serde::{Deserialize, Serialize};

use super::Keys;
use super::attestation::{self, AttestationJson, AttestationRead};
use super::settings::{self, SettingsJson, SettingsRead};
use crate::api_version::ApiVersion;
use crate::json::{object, read};
use crate::rest::error::ApiFault;

/// An enrollment group, as written into JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupJson<'a> {
    enrollment_group_id: &'a str,
    attestation: AttestationJson<'a>,
    #[serde(flatten)]
    settings: SettingsJson<'a>,
}

/// Writes an enrollment group.
pub fn json(entry: &Group, keys: Keys) -> GroupJson<'_> {
    GroupJson {
        enrollment_group_id: entry.id.as_str(),
        attestation: AttestationJson::of_group(&entry.attestation, keys),
        settings: SettingsJson::of(&entry.settings, &entry.stamp, keys),
    }
}

/// An enrollment group as read; everything else in the body is skipped (V-26).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupRead {
    pub(super) enrollment_group_id: Option<String>,
    #[serde(default, deserialize_with = "object")]
    attestation: Option<AttestationRead>,
    #[serde(flatten)]
    settings: SettingsRead,
}

/// Reads an enrollment group that is put to an address.
///
/// # Errors
/// As any JSON body; [`ApiFault::MissingMember`] and [`ApiFault::UnknownWord`] for what is not of
/// the form.
pub fn draft(
    addressed: &EnrollmentGroupId,
    body: &[u8],
    version: &ApiVersion,
) -> Result<GroupDraft, ApiFault> {
    sorted(addressed.clone(), read(body)?, version)
}

/// Sorts what was read by its meaning.
pub(super) fn sorted(
    id: EnrollmentGroupId,
    read: GroupRead,
    version: &ApiVersion,
) -> Result<GroupDraft, ApiFault> {
    Ok(GroupDraft {
        id,
        named: read.enrollment_group_id,
        attestation: attestation::draft(read.attestation)?,
        settings: settings::draft(read.settings, version)?,
    })
}
