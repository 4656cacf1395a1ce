//! Bulk operations of the registry, both ways (§6.3).

use std::collections::HashSet;

use ::hub::draft::DeviceDraft;
use ::hub::twin::TwinUpdate;
use model::{DeviceId, IfMatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::device::{DeviceRead, sorted};
use super::twin::PropertiesRead;
use super::{if_match, twin_if_match};
use crate::json::{malformed, object, read_list};
use crate::rest::error::{ApiFault, WireError};

/// Items of one call. Source: §6.3.
pub const BULK_DEVICES_MAX: usize = 100;

/// One item; it fails or succeeds by itself.
#[derive(Clone, Debug)]
pub struct Item {
    /// The id as the item names it, for the answer.
    pub id: String,
    /// The mode as the wire spells it, for the answer.
    pub mode: &'static str,
    /// What is asked for, or why that can not be read.
    pub asked: Result<Operation, ApiFault>,
}

/// What an item asks for. Versions in demands are in decimal digits.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Write an identity, and what its twin shall hold.
    Put(Box<DeviceDraft>, IfMatch, TwinUpdate),
    /// The same, and make it if there is none.
    Upsert(Box<DeviceDraft>, IfMatch, TwinUpdate),
    /// Delete an identity.
    Delete(DeviceId, IfMatch),
    /// Write into its twin alone.
    Twin(DeviceId, TwinUpdate, IfMatch),
}

/// What a mode does, and whether it goes by the item's etag.
#[derive(Clone, Copy)]
enum Mode {
    Create,
    Upsert(Etags),
    Update(Etags),
    Delete(Etags),
    Twin(Etags),
}

#[derive(Clone, Copy)]
enum Etags {
    Any,
    Item,
}

const MODES: &[&str] = &[
    "create",
    "createOrUpdate",
    "createOrUpdateIfMatchETag",
    "update",
    "updateIfMatchETag",
    "delete",
    "deleteIfMatchETag",
    "updateTwin",
    "updateTwinIfMatchETag",
];

const MEANT: &[Mode] = &[
    Mode::Create,
    Mode::Upsert(Etags::Any),
    Mode::Upsert(Etags::Item),
    Mode::Update(Etags::Any),
    Mode::Update(Etags::Item),
    Mode::Delete(Etags::Any),
    Mode::Delete(Etags::Item),
    Mode::Twin(Etags::Any),
    Mode::Twin(Etags::Item),
];

/// `ExportImportDevice`; its members of the identity are read as those of a PUT.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemRead {
    import_mode: Option<String>,
    module_id: Option<String>,
    /// Node sends the devices that it read, whose etags have a smaller T.
    #[serde(rename = "eTag", alias = "etag")]
    etag: Option<String>,
    #[serde(rename = "twinETag")]
    twin_etag: Option<String>,
    tags: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "object")]
    properties: Option<PropertiesRead>,
    #[serde(flatten)]
    device: DeviceRead,
}

/// Reads a bulk.
///
/// # Errors
/// As any JSON body; [`ApiFault::Invalid`] for no items or too many.
pub fn bulk(body: &[u8]) -> Result<Vec<Item>, ApiFault> {
    let items: Vec<Value> = read_list(body)?;
    if !(1..=BULK_DEVICES_MAX).contains(&items.len()) {
        return Err(ApiFault::Invalid(format!(
            "The bulk has {} items: give 1 to {BULK_DEVICES_MAX}.",
            items.len()
        )));
    }
    let mut seen = HashSet::new();
    Ok(items
        .into_iter()
        .map(|item| {
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let first = seen.insert(id.clone());
            let (mode, asked) = asked(&id, item);
            let asked = if first { asked } else { Err(ApiFault::DefinedTwice) };
            Item { id, mode, asked }
        })
        .collect())
}

fn asked(id: &str, item: Value) -> (&'static str, Result<Operation, ApiFault>) {
    let read: ItemRead = match serde_json::from_value(item) {
        Ok(read) => read,
        Err(error) => return ("createOrUpdate", Err(malformed(&error))),
    };
    let spelled = read.import_mode.as_deref().unwrap_or("createOrUpdate");
    let known = MODES.iter().zip(MEANT).find(|(word, _)| word.eq_ignore_ascii_case(spelled));
    match known {
        Some((word, mode)) => (word, operation(id, *mode, read)),
        None => {
            let given = spelled.chars().take(64).collect();
            let fault = ApiFault::UnknownWord { member: "importMode", given, known: MODES };
            ("createOrUpdate", Err(fault))
        }
    }
}

fn operation(id: &str, mode: Mode, read: ItemRead) -> Result<Operation, ApiFault> {
    let id = DeviceId::parse(id).map_err(|because| ApiFault::Id { of: "device", because })?;
    if read.module_id.as_deref().is_some_and(|module| !module.is_empty()) {
        return Err(ApiFault::Invalid("moduleId is given: modules are not supported.".to_owned()));
    }
    // An item that goes by an etag and has none goes by nothing: the real hub was seen to do so.
    let demand = |etags, if_match: fn(Option<&str>) -> IfMatch, given: &Option<String>| match etags
    {
        Etags::Any => IfMatch::Any,
        Etags::Item => match if_match(given.as_deref()) {
            IfMatch::Absent => IfMatch::Any,
            given @ (IfMatch::Any | IfMatch::Etag(_)) => given,
        },
    };
    let (desired, reported) = match read.properties {
        Some(properties) => match properties.reported {
            Some(Value::Object(reported)) => (properties.desired, Some(reported)),
            Some(_) | None => (properties.desired, None),
        },
        None => (None, None),
    };
    let twin = TwinUpdate { tags: read.tags, desired, reported };
    let draft = |device| sorted(&id, device).map(Box::new);
    match mode {
        Mode::Create => Ok(Operation::Put(draft(read.device)?, IfMatch::Absent, twin)),
        Mode::Update(etags) => {
            let demand = demand(etags, if_match, &read.etag);
            Ok(Operation::Put(draft(read.device)?, demand, twin))
        }
        Mode::Upsert(etags) => {
            let demand = demand(etags, if_match, &read.etag);
            Ok(Operation::Upsert(draft(read.device)?, demand, twin))
        }
        Mode::Delete(etags) => Ok(Operation::Delete(id, demand(etags, if_match, &read.etag))),
        Mode::Twin(etags) => {
            let demand = demand(etags, twin_if_match, &read.twin_etag);
            Ok(Operation::Twin(id, twin, demand))
        }
    }
}

/// `BulkRegistryOperationResult`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkResult<'a> {
    is_successful: bool,
    errors: Vec<ErrorJson<'a>>,
    warnings: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorJson<'a> {
    device_id: &'a str,
    error_code: &'a str,
    error_status: &'a str,
    module_id: Option<&'a str>,
    operation: &'a str,
}

impl<'a> BulkResult<'a> {
    /// Of the items that failed: id, mode, why.
    pub fn of(failed: impl IntoIterator<Item = (&'a str, &'a str, &'a WireError)>) -> Self {
        let error = |(device_id, operation, error): (&'a str, &'a str, &'a WireError)| ErrorJson {
            device_id,
            error_code: error.hub_code_name,
            error_status: &error.message,
            module_id: None,
            operation,
        };
        let errors: Vec<_> = failed.into_iter().map(error).collect();
        Self { is_successful: errors.is_empty(), errors, warnings: [] }
    }

    /// The status and the headers: a bulk in which any item failed is a 400 of the same form.
    pub fn head(&self) -> (u16, Vec<(&'static str, String)>) {
        match self.is_successful {
            true => (200, Vec::new()),
            false => (400, vec![("iothub-errorcode", "BulkRegistryOperationFailure".to_owned())]),
        }
    }
}
