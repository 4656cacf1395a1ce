//! Loads: many individual enrollments in one call, as JSON lines.
//!
//! Muster's own: Azure's bulk takes ten (B-01). Each line is what a PUT takes, and is answered by
//! itself; but for a misspelled member, which a PUT skips (V-26) and a file's author wants to hear
//! of.

use model::{MAX_DEPTH_DEFAULT, RegistrationId, depth_at_most, limits};
use provisioning::draft::IndividualDraft;
use provisioning::load::OnExisting;
use serde::Serialize;
use serde_json::Value;

use super::enrollment::{self, IndividualRead};
use super::shape::{INDIVIDUAL, unknown_member};
use super::{id, word};
use crate::api_version::ApiVersion;
use crate::json::malformed;
use crate::percent;
use crate::rest::error::{self, ApiFault, Missing, WireError};
use crate::rest::segments;

/// Lines of one load. Source: ours; with short lines a megabyte of them is one second's work.
pub const LOAD_LINES_MAX: usize = 1_000;
/// The media type of JSON lines. Source: <https://github.com/ndjson/ndjson-spec>, in wide use.
pub const JSON_LINES: &str = "application/x-ndjson";

/// Whether a path is of loads, and not of the service API of Azure.
pub fn is_load_path(path: &str) -> bool {
    path.trim_start_matches('/').starts_with("muster/")
}

/// Reads the address of a load: `POST /muster/v1/enrollments/load?existing=fail|skip|replace`.
///
/// # Errors
/// [`ApiFault::NotFound`] of [`Missing::Path`], [`ApiFault::MethodNotAllowed`],
/// [`ApiFault::UnknownWord`] for another `existing`.
pub fn route(method: &str, path: &str, query: &str) -> Result<OnExisting, ApiFault> {
    let segments = segments(path);
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, parts.as_slice()) {
        ("POST", ["muster", "v1", "enrollments", "load"]) => existing(query),
        (_, ["muster", "v1", "enrollments", "load"]) => Err(ApiFault::MethodNotAllowed),
        (_, _) => Err(ApiFault::NotFound(Missing::Path)),
    }
}

fn existing(query: &str) -> Result<OnExisting, ApiFault> {
    let values = [OnExisting::Fail, OnExisting::Skip, OnExisting::Replace];
    match percent::value(query, "existing") {
        None => Ok(OnExisting::default()),
        Some(given) => {
            word("existing", &percent::decoded(given), &["fail", "skip", "replace"], &values)
        }
    }
}

/// Judges the media type of a load: JSON lines, by any of their names.
///
/// # Errors
/// [`ApiFault::UnsupportedMediaType`].
pub fn media_type(content_type: Option<&str>) -> Result<(), ApiFault> {
    let essence = content_type.unwrap_or(JSON_LINES).split(';').next().unwrap_or_default();
    let known = [JSON_LINES, "application/jsonl", "application/json-lines", "application/json"];
    match known.iter().any(|known| known.eq_ignore_ascii_case(essence.trim())) {
        true => Ok(()),
        false => Err(ApiFault::UnsupportedMediaType),
    }
}

/// One line of a load; it fails or succeeds by itself.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in the body, from 1; empty lines count, and are not in the answer.
    pub number: usize,
    /// The id as the line names it, cut short where it is long; empty where it names none.
    pub id: String,
    /// What is asked for, or why that can not be read.
    pub asked: Result<IndividualDraft, ApiFault>,
}

/// Reads the lines of a load.
///
/// # Errors
/// [`ApiFault::Invalid`] for too many lines.
pub fn lines(body: &[u8], version: &ApiVersion) -> Result<Vec<Line>, ApiFault> {
    let texts = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let texts: Vec<_> = texts.enumerate().filter(|(_, text)| !text.is_empty()).collect();
    if texts.len() > LOAD_LINES_MAX {
        let given = texts.len();
        return Err(ApiFault::Invalid(format!(
            "The load has {given} lines: give at most {LOAD_LINES_MAX}."
        )));
    }
    Ok(texts.into_iter().map(|(at, text)| line(at + 1, text, version)).collect())
}

fn line(number: usize, text: &[u8], version: &ApiVersion) -> Line {
    let mut named = String::new();
    let asked = value(text).and_then(|value| {
        let given = value.get("registrationId").and_then(Value::as_str).unwrap_or_default();
        named = given.chars().take(limits::ID_CHARS_MAX).collect();
        if let Some(member) = unknown_member(&value, &INDIVIDUAL) {
            return Err(ApiFault::Invalid(format!("There is no member {member}.")));
        }
        if given.is_empty() {
            return Err(ApiFault::MissingMember { member: "registrationId" });
        }
        let parsed = id("enrollment", given, RegistrationId::parse)?;
        let read: IndividualRead =
            serde_json::from_value(value).map_err(|error| malformed(&error))?;
        enrollment::sorted(parsed, read, version)
    });
    Line { number, id: named, asked }
}

fn value(text: &[u8]) -> Result<Value, ApiFault> {
    // The bound of the same entry in a PUT (V-27).
    if text.len() > limits::DPS_MESSAGE_BYTES_MAX {
        return Err(ApiFault::BodyTooLarge { bytes_max: limits::DPS_MESSAGE_BYTES_MAX });
    }
    if !depth_at_most(text, MAX_DEPTH_DEFAULT) {
        return Err(ApiFault::TooDeep { levels: MAX_DEPTH_DEFAULT });
    }
    serde_json::from_slice(text).map_err(|error| malformed(&error))
}

/// What became of a load: one for each line that is not empty, in their order.
#[derive(Serialize)]
pub struct LoadJson<'a> {
    /// The lines.
    pub lines: Vec<LineJson<'a>>,
}

/// What became of a line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineJson<'a> {
    line: usize,
    registration_id: &'a str,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// What became of a line, for [`LineJson`].
#[derive(Clone, Debug)]
pub enum LineResult {
    /// It was not there, and is now.
    Created,
    /// It took the place of another.
    Replaced,
    /// It was there already.
    Unchanged,
    /// Another one is there, and stays.
    Skipped,
    /// It was refused.
    Refused(WireError),
}

/// The refusal of a line whose entry is there and differs.
pub fn exists() -> WireError {
    let message = "It exists already, and differs from this: say what to do with existing ones.";
    WireError { message: message.to_owned(), ..error::dps(&ApiFault::AlreadyExists) }
}

/// Writes what became of a line.
pub fn line_json<'a>(
    line: usize,
    registration_id: &'a str,
    became: &'a LineResult,
) -> LineJson<'a> {
    let (result, error) = match became {
        LineResult::Created => ("created", None),
        LineResult::Replaced => ("replaced", None),
        LineResult::Unchanged => ("unchanged", None),
        LineResult::Skipped => ("skipped", None),
        LineResult::Refused(error) => ("refused", Some(error)),
    };
    LineJson {
        line,
        registration_id,
        result,
        error_code: error.map(|error| error.code),
        message: error.map(|error| error.message.as_ref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<Line> {
        lines(body.as_bytes(), &ApiVersion::parse("2021-10-01").unwrap()).unwrap()
    }

    fn fault(line: &str) -> String {
        let mut read = read(line);
        assert_eq!(read.len(), 1);
        read.remove(0).asked.unwrap_err().to_string()
    }

    #[test]
    fn b_01_a_load_is_of_lines_that_stand_alone() {
        let body = "\n{\"registrationId\":\"a\",\"attestation\":{\"type\":\"symmetricKey\"}}\r\n\r\n\
                    {\"registrationId\":\"b\"}\nnonsense\n";
        let read = read(body);
        let numbers: Vec<_> = read.iter().map(|line| (line.number, line.id.as_str())).collect();
        assert_eq!(numbers, [(2, "a"), (4, "b"), (5, "")]);
        assert!(read[0].asked.is_ok());
        assert!(read[1].asked.is_err() && read[2].asked.is_err());
    }

    #[test]
    fn hostile_lines_are_refused_by_themselves() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(fault(&deep), "The body nests deeper than 32 levels.");
        let long = format!("{{\"registrationId\":\"{}\"}}", "a".repeat(100 * 1024));
        assert_eq!(fault(&long), "The body is larger than 98304 bytes.");
        assert!(fault("[1]").contains("registrationId is missing"));
        let broken =
            lines(b"{\"registrationId\":\"\xff\"}", &ApiVersion::parse("2021-10-01").unwrap());
        assert!(broken.unwrap()[0].asked.is_err());
    }

    /// A key under a misspelled name would else be thrown away, and another be made.
    #[test]
    fn misspelled_members_are_told() {
        let told = fault(
            r#"{"registrationId":"a","attestation":{"type":"symmetricKey","symmetricKey":{"primarykey":"x"}}}"#,
        );
        assert_eq!(told, "There is no member attestation.symmetricKey.primarykey.");
        let free = r#"{"registrationId":"a","attestation":{"type":"symmetricKey"},
            "initialTwin":{"tags":{"any":1}},"optionalDeviceInformation":{"any":1}}"#;
        assert!(read(&free.replace('\n', ""))[0].asked.is_ok());
    }

    #[test]
    fn a_load_has_a_bound_of_lines() {
        let body = "{}\n".repeat(LOAD_LINES_MAX + 1);
        let version = ApiVersion::parse("2021-10-01").unwrap();
        assert!(lines(body.as_bytes(), &version).is_err());
        assert_eq!(read(&"{}\n".repeat(LOAD_LINES_MAX)).len(), LOAD_LINES_MAX);
    }

    #[test]
    fn its_address_names_what_to_do_with_existing_ones() {
        let path = "/muster/v1/enrollments/load";
        assert_eq!(route("POST", path, "api-version=x"), Ok(OnExisting::Fail));
        assert_eq!(route("POST", path, "existing=replace"), Ok(OnExisting::Replace));
        assert!(matches!(route("POST", path, "existing=x"), Err(ApiFault::UnknownWord { .. })));
        assert_eq!(route("GET", path, ""), Err(ApiFault::MethodNotAllowed));
        assert_eq!(route("POST", "/muster/v1/x", ""), Err(ApiFault::NotFound(Missing::Path)));
    }
}
