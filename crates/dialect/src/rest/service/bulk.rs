//! Bulk operations, both ways (§1.11).

use model::{EnrollmentGroupId, Etag, IfMatch, RegistrationId};
use provisioning::draft::{GroupDraft, IndividualDraft};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::enrollment::{self, IndividualRead};
use super::group::{self, GroupRead};
use super::{id, word};
use crate::api_version::ApiVersion;
use crate::json::{Object, malformed, read};
use crate::rest::error::{ApiFault, BULK_ITEMS_MAX, WireError};

/// A bulk of writes, or of deletions.
#[derive(Clone, Debug)]
pub enum Bulk<Id, Draft> {
    /// Create, update, or update what is unchanged.
    Put(Vec<Item<Draft>>),
    /// Delete by id.
    Delete(Vec<Item<Id>>),
}

/// One item; it fails or succeeds by itself (B-03).
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// The id as the item names it, for the answer.
    pub id: String,
    /// What the mode demands of what is stored (B-02).
    pub if_match: IfMatch,
    /// What is asked for, or why that can not be read.
    pub asked: Result<T, ApiFault>,
}

/// The modes of B-02.
#[derive(Clone, Copy)]
enum Mode {
    Create,
    Update,
    UpdateIfMatchEtag,
    Delete,
}

const MODES: &[&str] = &["create", "update", "updateIfMatchETag", "delete"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkRead {
    mode: Option<String>,
    enrollments: Option<Vec<Value>>,
    enrollment_groups: Option<Vec<Value>>,
}

/// Reads a bulk of individual enrollments.
///
/// # Errors
/// As any JSON body; [`ApiFault::BulkSize`] for no items or too many (B-01).
pub fn individuals(
    body: &[u8],
    version: &ApiVersion,
) -> Result<Bulk<RegistrationId, IndividualDraft>, ApiFault> {
    let BulkRead { mode, enrollments, .. } = read(body)?;
    let parse = |text: &str| id("enrollment", text, RegistrationId::parse);
    let draft = |id, item| enrollment::sorted(id, of_value::<IndividualRead>(item)?, version);
    sorted(mode, enrollments, "registrationId", parse, draft)
}

/// Reads a bulk of enrollment groups.
///
/// # Errors
/// As any JSON body; [`ApiFault::BulkSize`] for no items or too many (B-01).
pub fn groups(
    body: &[u8],
    version: &ApiVersion,
) -> Result<Bulk<EnrollmentGroupId, GroupDraft>, ApiFault> {
    let BulkRead { mode, enrollment_groups, .. } = read(body)?;
    let parse = |text: &str| id("enrollment group", text, EnrollmentGroupId::parse);
    let draft = |id, item| group::sorted(id, of_value::<GroupRead>(item)?, version);
    sorted(mode, enrollment_groups, "enrollmentGroupId", parse, draft)
}

fn sorted<Id, Draft>(
    mode: Option<String>,
    items: Option<Vec<Value>>,
    id_member: &'static str,
    parse: impl Fn(&str) -> Result<Id, ApiFault>,
    draft: impl Fn(Id, Value) -> Result<Draft, ApiFault>,
) -> Result<Bulk<Id, Draft>, ApiFault> {
    let mode = mode.ok_or(ApiFault::MissingMember { member: "mode" })?;
    let values = [Mode::Create, Mode::Update, Mode::UpdateIfMatchEtag, Mode::Delete];
    let mode = word("mode", &mode, MODES, &values)?;
    let items = items.unwrap_or_default();
    if !(1..=BULK_ITEMS_MAX).contains(&items.len()) {
        return Err(ApiFault::BulkSize { given: items.len() });
    }
    let item_id =
        |item: &Value| item.get(id_member).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(match mode {
        Mode::Delete => Bulk::Delete(
            items
                .iter()
                .map(item_id)
                .map(|id| Item { asked: parse(&id), if_match: IfMatch::Absent, id })
                .collect(),
        ),
        Mode::Create | Mode::Update | Mode::UpdateIfMatchEtag => Bulk::Put(
            items
                .into_iter()
                .map(|item| {
                    let id = item_id(&item);
                    let demand = demand(mode, &item);
                    let if_match = demand.clone().unwrap_or(IfMatch::Any);
                    let asked =
                        demand.and_then(|_| parse(&id)).and_then(|parsed| draft(parsed, item));
                    Item { id, if_match, asked }
                })
                .collect(),
        ),
    })
}

/// B-02: what a mode demands; `updateIfMatchETag` goes by the item's own etag.
fn demand(mode: Mode, item: &Value) -> Result<IfMatch, ApiFault> {
    match mode {
        Mode::Create | Mode::Delete => Ok(IfMatch::Absent),
        Mode::Update => Ok(IfMatch::Any),
        Mode::UpdateIfMatchEtag => match item.get("etag").and_then(Value::as_str) {
            Some(etag) if !etag.is_empty() => Ok(IfMatch::Etag(Etag::new(etag))),
            Some(_) | None => Err(ApiFault::MissingMember { member: "etag" }),
        },
    }
}

fn of_value<T: DeserializeOwned>(value: Value) -> Result<T, ApiFault> {
    serde_json::from_value(value).map(|Object(read)| read).map_err(|error| malformed(&error))
}

/// `BulkEnrollmentOperationResult`; Java demands `isSuccessful`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkResultJson<'a> {
    is_successful: bool,
    errors: Vec<BulkErrorJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BulkErrorJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_group_id: Option<&'a str>,
    error_code: u32,
    error_status: &'a str,
}

/// Which entries a bulk was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkOf {
    /// Individual enrollments.
    Individuals,
    /// Enrollment groups.
    Groups,
}

/// Writes what became of a bulk: the items that failed, by id (B-03, B-04).
pub fn result<'a>(
    of: BulkOf,
    failed: impl IntoIterator<Item = (&'a str, &'a WireError)>,
) -> BulkResultJson<'a> {
    let errors: Vec<_> = failed
        .into_iter()
        .map(|(id, error)| BulkErrorJson {
            registration_id: (of == BulkOf::Individuals).then_some(id),
            enrollment_group_id: (of == BulkOf::Groups).then_some(id),
            error_code: error.code,
            error_status: &error.message,
        })
        .collect();
    BulkResultJson { is_successful: errors.is_empty(), errors }
}
