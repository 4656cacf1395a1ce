//! Comma-separated values: a header of known columns, then an entry a row (RFC 4180).

use std::io::BufRead;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use csv_core::ReadRecordResult;
use serde_json::{Map, Value, json};

use super::record::{Bad, Entry, Lines, RECORD_BYTES_MAX, Record};
use crate::commands::common;
use crate::failure::{Failure, Result};

/// Every column; the header names those that are there, in any order. An empty cell is absent.
pub(super) const COLUMNS: [&str; 22] = [
    "registrationId",
    "deviceId",
    "attestationType",
    "primaryKey",
    "secondaryKey",
    "certificate",
    "secondaryCertificate",
    "caReference",
    "secondaryCaReference",
    "endorsementKey",
    "storageRootKey",
    "provisioningStatus",
    "reprovisionPolicy",
    "allocationPolicy",
    "iotHubs",
    "webhookUrl",
    "webhookApiVersion",
    "iotEdge",
    "tags",
    "desiredProperties",
    "optionalDeviceInformation",
    "credentialPolicyName",
];
/// Base64 of a certificate is longer than this, and the path of a file is not.
const BASE64_CHARS_MIN: usize = 256;

/// A file's rows.
pub(super) struct Csv {
    reader: csv_core::Reader,
    row: Vec<u8>,
    ends: Vec<usize>,
    columns: Vec<&'static str>,
    dir: PathBuf,
}

enum Row {
    /// So many cells.
    Cells(usize),
    TooLong,
}

impl Csv {
    /// Reads the header; files that cells name are relative to `dir`.
    pub(super) fn open<R: BufRead>(lines: &mut Lines<R>, dir: PathBuf) -> Result<Self> {
        let mut csv = Self {
            reader: csv_core::Reader::new(),
            row: vec![0; RECORD_BYTES_MAX],
            ends: vec![0; COLUMNS.len() + 1],
            columns: Vec::new(),
            dir,
        };
        let cells = match csv.row(lines)? {
            Some((_, Row::Cells(cells))) => csv.cells(cells).map_err(|bad| header(&bad.message))?,
            Some((_, Row::TooLong)) => return Err(header("it has too many columns")),
            None => return Err(header("the file is empty")),
        };
        let mut columns: Vec<&'static str> = Vec::new();
        for cell in cells {
            let known = COLUMNS.iter().find(|known| known.eq_ignore_ascii_case(cell.trim()));
            match known {
                None => return Err(header(&format!("there is no column '{}'", cell.trim()))),
                Some(known) if columns.contains(known) => {
                    return Err(header(&format!("column {known} is there twice")));
                }
                Some(known) => columns.push(known),
            }
        }
        if !columns.contains(&"registrationId") {
            return Err(header("registrationId is missing"));
        }
        csv.columns = columns;
        Ok(csv)
    }

    /// The next row.
    pub(super) fn next<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        digest: &mut digest::Context,
    ) -> Result<Option<Record>> {
        let Some((line, row)) = self.row(lines)? else { return Ok(None) };
        let entry = match row {
            Row::TooLong => Err(Bad::too_long()),
            Row::Cells(cells) => {
                let length = cells.checked_sub(1).and_then(|last| self.ends.get(last));
                digest.update(self.row.get(..length.copied().unwrap_or(0)).unwrap_or_default());
                self.cells(cells).and_then(|cells| entry(&self.columns, &cells, &self.dir))
            }
        };
        digest.update(b"\n");
        Ok(Some(Record { line, entry }))
    }

    /// Reads a row, and says on which line it begins. What is too long is read and dropped.
    fn row<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<Option<(u64, Row)>> {
        loop {
            let buffer = lines.buffer()?;
            let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blank == 0 {
                break;
            }
            lines.took(blank)?;
        }
        let begin = lines.line;
        let (mut bytes, mut cells, mut whole) = (0, 0, true);
        loop {
            let buffer = lines.buffer()?;
            let row = self.row.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(cells..).unwrap_or_default();
            let (result, taken, written, ended) = self.reader.read_record(buffer, row, ends);
            lines.took(taken)?;
            (bytes, cells) = (bytes + written, cells + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    (bytes, cells, whole) = (0, 0, false);
                }
                ReadRecordResult::Record if whole => return Ok(Some((begin, Row::Cells(cells)))),
                ReadRecordResult::Record => return Ok(Some((begin, Row::TooLong))),
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    fn cells(&self, count: usize) -> Result<Vec<&str>, Bad> {
        let mut begin = 0;
        let ends = self.ends.get(..count).unwrap_or_default();
        ends.iter()
            .map(|end| {
                let cell = self.row.get(begin..*end).unwrap_or_default();
                begin = *end;
                std::str::from_utf8(cell).map_err(|_| Bad::new("", "the row is not UTF-8"))
            })
            .collect()
    }
}

fn header(because: &str) -> Failure {
    Failure::usage(format!("the header is not one: {because}"))
        .hint(format!("the columns are {}", COLUMNS.join(", ")))
}

/// The words of `az` for a reprovision policy, and what they mean.
const REPROVISION: [(&str, bool, bool); 3] = [
    ("never", false, false),
    ("reprovisionAndMigrateData", true, true),
    ("reprovisionAndResetData", true, false),
];

/// An entry's JSON, of its cells.
fn entry(columns: &[&str], cells: &[&str], dir: &Path) -> Result<Entry, Bad> {
    let cell = |name: &str| {
        let at = columns.iter().position(|column| *column == name)?;
        cells.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    };
    let id = cell("registrationId").unwrap_or_default();
    let bad = |message: String| Bad::new(id, message);
    if cells.len() != columns.len() {
        let (given, wanted) = (cells.len(), columns.len());
        return Err(bad(format!("the row has {given} cells, the header {wanted}")));
    }
    if id.is_empty() {
        return Err(bad("registrationId is missing".to_owned()));
    }
    let mut entry = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        entry.extend(value.map(|value| (name.to_owned(), value)));
    };
    let text = |name: &str| cell(name).map(Value::from);
    for name in ["registrationId", "deviceId", "provisioningStatus", "allocationPolicy"] {
        put(name, text(name));
    }
    put("credentialPolicyName", text("credentialPolicyName"));
    put("attestation", Some(attestation(&cell, dir).map_err(bad)?));
    if let Some(word) = cell("reprovisionPolicy") {
        let found = REPROVISION.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word));
        let (_, update, migrate) = found.ok_or_else(|| {
            let known: Vec<_> = REPROVISION.iter().map(|(known, ..)| *known).collect();
            bad(format!("reprovisionPolicy is one of {}", known.join(", ")))
        })?;
        let policy = json!({"updateHubAssignment": update, "migrateDeviceData": migrate});
        put("reprovisionPolicy", Some(policy));
    }
    if let Some(hubs) = cell("iotHubs") {
        let hubs = hubs.split([' ', ';', ',']).filter(|hub| !hub.is_empty());
        put("iotHubs", Some(hubs.collect::<Vec<_>>().into()));
    }
    if cell("webhookUrl").is_some() || cell("webhookApiVersion").is_some() {
        let (url, version) = (text("webhookUrl"), text("webhookApiVersion"));
        put("customAllocationDefinition", Some(json!({"webhookUrl": url, "apiVersion": version})));
    }
    if let Some(word) = cell("iotEdge") {
        let edge = match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => true,
            "false" | "no" | "0" => false,
            _ => return Err(bad("iotEdge is true or false".to_owned())),
        };
        put("capabilities", Some(json!({"iotEdge": edge})));
    }
    let object = |name: &str| {
        let value = cell(name).map(serde_json::from_str::<Map<String, Value>>).transpose();
        value.map_err(|_| bad(format!("{name} is not a JSON object")))
    };
    match (object("tags")?, object("desiredProperties")?) {
        (None, None) => {}
        (tags, desired) => {
            let (tags, desired) = (tags.unwrap_or_default(), desired.unwrap_or_default());
            put("initialTwin", Some(json!({"tags": tags, "properties": {"desired": desired}})));
        }
    }
    put("optionalDeviceInformation", object("optionalDeviceInformation")?.map(Value::Object));
    let json = Value::Object(entry).to_string().into_bytes();
    match json.len() > RECORD_BYTES_MAX {
        true => Err(Bad { id: id.to_owned(), ..Bad::too_long() }),
        false => Ok(Entry { id: id.to_owned(), json }),
    }
}

/// How the device proves itself; the type may be left to what is given.
fn attestation<'c>(
    cell: &impl Fn(&str) -> Option<&'c str>,
    dir: &Path,
) -> std::result::Result<Value, String> {
    let any = |names: &[&str]| names.iter().any(|name| cell(name).is_some());
    let certificates = any(&["certificate", "secondaryCertificate"]);
    let references = any(&["caReference", "secondaryCaReference"]);
    let kinds = [
        ("x509", certificates || references),
        ("tpm", any(&["endorsementKey", "storageRootKey"])),
        ("symmetricKey", any(&["primaryKey", "secondaryKey"])),
    ];
    let given = kinds.iter().find(|(_, given)| *given).map_or("symmetricKey", |(kind, _)| kind);
    let kind = cell("attestationType").unwrap_or(given);
    let mut attestation = Map::new();
    attestation.insert("type".to_owned(), kind.into());
    // Whatever is given is sent: the service says what does not go together.
    if certificates {
        let slot = |name: &str| match cell(name) {
            Some(text) => {
                certificate(text, dir).map(|certificate| Some(json!({"certificate": certificate})))
            }
            None => Ok(None),
        };
        let (primary, secondary) = (slot("certificate")?, slot("secondaryCertificate")?);
        let slots = slots(primary, secondary);
        attestation.insert("x509".to_owned(), json!({"clientCertificates": slots}));
    } else if references {
        let slots = slots(
            cell("caReference").map(Value::from),
            cell("secondaryCaReference").map(Value::from),
        );
        attestation.insert("x509".to_owned(), json!({"caReferences": slots}));
    }
    let pairs = [
        ("symmetricKey", ["primaryKey", "secondaryKey"]),
        ("tpm", ["endorsementKey", "storageRootKey"]),
    ];
    for (kind, names) in pairs {
        let given = names.iter().filter_map(|name| Some(((*name).to_owned(), cell(name)?.into())));
        let given: Map<String, Value> = given.collect();
        if !given.is_empty() {
            attestation.insert(kind.to_owned(), given.into());
        }
    }
    Ok(attestation.into())
}

fn slots(primary: Option<Value>, secondary: Option<Value>) -> Value {
    let slots = [("primary", primary), ("secondary", secondary)];
    let filled = slots.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    filled.collect::<Map<_, _>>().into()
}

/// A certificate: PEM or base64 as it stands, else the file of that name.
fn certificate(text: &str, dir: &Path) -> std::result::Result<String, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("certificate holds a private key: keep it with the device".to_owned());
    }
    let is_base64 = text.len() >= BASE64_CHARS_MIN && STANDARD.decode(text).is_ok();
    if is_base64 || text.contains("-----BEGIN") {
        return Ok(text.to_owned());
    }
    common::certificate(&dir.join(text)).map_err(|failure| failure.what().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::record::FileFormat;
    use super::super::record::tests::told;
    use super::*;

    fn rows(content: &str) -> Vec<String> {
        told("f.csv", content.as_bytes(), FileFormat::Csv)
    }

    #[test]
    fn a_row_is_what_a_put_takes() {
        let content = "\u{feff}RegistrationId,deviceId,primaryKey,tags,desiredProperties,iotHubs,\
            reprovisionPolicy,iotEdge,provisioningStatus,allocationPolicy\r\n\
            \r\n\
            a,d,a2V5,\"{\"\"site\"\":\"\"thl, north\"\"}\",{},h1 h2,never,true,disabled,hashed\r\n\
            b,,,,,,,,,\r\n";
        let told = rows(content);
        let first: Value = serde_json::from_str(told[0].strip_prefix("3 ").unwrap()).unwrap();
        assert_eq!(
            first,
            json!({
                "registrationId": "a", "deviceId": "d",
                "attestation": {"type": "symmetricKey", "symmetricKey": {"primaryKey": "a2V5"}},
                "initialTwin": {"tags": {"site": "thl, north"}, "properties": {"desired": {}}},
                "iotHubs": ["h1", "h2"], "allocationPolicy": "hashed",
                "reprovisionPolicy": {"updateHubAssignment": false, "migrateDeviceData": false},
                "capabilities": {"iotEdge": true}, "provisioningStatus": "disabled",
            })
        );
        let second = r#"4 {"attestation":{"type":"symmetricKey"},"registrationId":"b"}"#;
        assert_eq!(told[1..], [second]);
    }

    #[test]
    fn a_certificate_is_a_text_or_a_file() {
        let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
        let told = rows(&format!(
            "registrationId,certificate\na,\"{pem}\"\nb,no-such.pem\nc,-----BEGIN PRIVATE KEY-----\n"
        ));
        assert!(told[0].starts_with("2 ") && told[0].contains("MIIB"), "{told:?}");
        assert!(told[1].starts_with("5 \"b\" can not read ") && told[1].contains("no-such.pem"));
        assert!(told[2].contains("private key"), "{told:?}");
    }

    #[test]
    fn hostile_rows_are_told_and_passed_over() {
        let long = "x".repeat(2 * RECORD_BYTES_MAX);
        let wide = ",".repeat(400);
        let content = format!(
            "registrationId,tags\n{long},\na,{{}},\nb\n{wide}\n,{{}}\nc,[]\n\"d\ne\",\nlast,\"{{}}\"\n"
        );
        let told = rows(&content);
        let expected = [
            "2 \"\" the entry is longer than 98304 bytes",
            "3 \"a\" the row has 3 cells, the header 2",
            "4 \"b\" the row has 1 cells, the header 2",
            "5 \"\" the entry is longer than 98304 bytes",
            "6 \"\" registrationId is missing",
            "7 \"c\" tags is not a JSON object",
        ];
        assert_eq!(told[..6], expected);
        assert!(told[6].starts_with("8 {"), "{told:?}");
        assert!(told[7].starts_with("10 {") && told.len() == 8, "{told:?}");
        let not_utf8 = b"registrationId\nb\xff\nc";
        let told = super::super::record::tests::told("f.csv", not_utf8, FileFormat::Csv);
        assert_eq!(told[0], "2 \"\" the row is not UTF-8");
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn a_quote_that_is_never_closed_takes_the_rest_and_no_memory() {
        let content = format!("registrationId\na\n\"{}", "b\n".repeat(RECORD_BYTES_MAX));
        let told = rows(&content);
        assert_eq!(told[1..], ["3 \"\" the entry is longer than 98304 bytes"]);
    }

    #[test]
    fn unknown_columns_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.csv");
        for (header, told) in [
            ("registrationId,colour\n", "there is no column 'colour'"),
            ("registrationId,RegistrationID\n", "column registrationId is there twice"),
            ("deviceId\n", "registrationId is missing"),
            ("", "the file is empty"),
        ] {
            std::fs::write(&path, header).unwrap();
            let failure = super::super::record::Records::open(&path, FileFormat::Csv);
            let failure = failure.err().map(|failure| failure.to_string()).unwrap_or_default();
            assert!(failure.contains(told), "{failure}");
        }
    }
}
