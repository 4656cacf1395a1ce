//! What may stand where in a file of enrollments, and how it is written for the service.

use std::path::{Path, PathBuf};

use attestation::SymmetricKey;
use attestation::x509::Certificate;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{
    CertificateName, DeviceId, EnrollmentGroupId, IdError, RegionName, RegistrationId, limits,
};
use serde_json::{Map, Value, json};

use super::yaml::{Node, What};

/// Bytes of a file with a key or a certificate; a chain of a few certificates fits.
const NAMED_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Base64 of a certificate is longer than this, and the path of a file is not.
const BASE64_CHARS_MIN: usize = 256;

/// What may stand somewhere.
pub(super) enum Shape {
    /// A text; a number must be in quotes.
    Text,
    /// A text that is an id of some kind.
    Id(fn(&str) -> Result<(), IdError>),
    /// `true` or `false`.
    Truth,
    /// An integer.
    Count,
    /// Milliseconds from each region.
    Latencies,
    /// One of these words, in any case.
    Word(&'static [&'static str]),
    /// Texts.
    Texts,
    /// An object of the operator's.
    Free,
    /// A certificate: PEM, base64, or the path of a file.
    Certificate,
    /// A slot of a certificate: as [`Shape::Certificate`], or `{certificate: …}`.
    Slot,
    /// A symmetric key: base64, or `{file: …}`.
    Key,
    /// An object with these members.
    Object(&'static [(&'static str, Self)]),
}

use Shape::{
    Certificate as Cert, Count, Free, Id, Key, Latencies, Object, Slot, Text, Texts, Truth, Word,
};

const SLOTS: Shape = Object(&[("primary", Slot), ("secondary", Slot)]);
const CA_REFERENCES: Shape = Object(&[("primary", Text), ("secondary", Text)]);
const SYMMETRIC_KEY: Shape = Object(&[("primaryKey", Key), ("secondaryKey", Key)]);
const STATUS: Shape = Word(&["enabled", "disabled"]);
const ALLOCATION: Shape = Word(&["hashed", "geoLatency", "static", "custom"]);
const CAPABILITIES: Shape = Object(&[("iotEdge", Truth)]);
const REPROVISION: Shape = Object(&[("updateHubAssignment", Truth), ("migrateDeviceData", Truth)]);
const WEBHOOK: Shape = Object(&[("webhookUrl", Text), ("apiVersion", Text)]);

/// An individual enrollment.
pub(super) const ENROLLMENT: Shape = Object(&[
    ("registrationId", Id(|text| RegistrationId::parse(text).map(drop))),
    // An empty one is none: the device is called as it registers.
    ("deviceId", Id(|text| if text.is_empty() { Ok(()) } else { DeviceId::parse(text).map(drop) })),
    (
        "attestation",
        Object(&[
            ("type", Word(&["symmetricKey", "x509", "tpm"])),
            ("symmetricKey", SYMMETRIC_KEY),
            ("x509", Object(&[("clientCertificates", SLOTS), ("caReferences", CA_REFERENCES)])),
            ("tpm", Object(&[("endorsementKey", Text), ("storageRootKey", Text)])),
        ]),
    ),
    ("capabilities", CAPABILITIES),
    ("iotHubHostName", Text),
    ("initialTwin", Free),
    ("provisioningStatus", STATUS),
    ("reprovisionPolicy", REPROVISION),
    ("allocationPolicy", ALLOCATION),
    ("iotHubs", Texts),
    ("customAllocationDefinition", WEBHOOK),
    ("optionalDeviceInformation", Free),
    ("credentialPolicyName", Text),
]);

/// An enrollment group.
pub(super) const GROUP: Shape = Object(&[
    ("enrollmentGroupId", Id(|text| EnrollmentGroupId::parse(text).map(drop))),
    (
        "attestation",
        Object(&[
            ("type", Word(&["symmetricKey", "x509"])),
            ("symmetricKey", SYMMETRIC_KEY),
            (
                "x509",
                Object(&[
                    ("signingCertificates", SLOTS),
                    ("caReferences", CA_REFERENCES),
                    ("certifies", Word(&["deviceKey", "endorsementKey"])),
                ]),
            ),
        ]),
    ),
    ("capabilities", CAPABILITIES),
    ("iotHubHostName", Text),
    ("initialTwin", Free),
    ("provisioningStatus", STATUS),
    ("reprovisionPolicy", REPROVISION),
    ("allocationPolicy", ALLOCATION),
    ("iotHubs", Texts),
    ("customAllocationDefinition", WEBHOOK),
    ("credentialPolicyName", Text),
]);

/// A CA certificate, in the words of a fixture.
pub(super) const CERTIFICATE: Shape = Object(&[
    ("name", Id(|text| CertificateName::parse(text).map(drop))),
    ("certificate", Cert),
    ("verified", Truth),
]);

/// A linked hub, in the words of a fixture.
pub(super) const LINK: Shape = Object(&[
    ("name", Text),
    ("allocation_weight", Count),
    ("apply_allocation_policy", Truth),
    ("latencies", Latencies),
]);

/// What was wrong with the files so far, each with its place.
pub(super) struct Faults {
    /// The file that is read.
    pub(super) file: PathBuf,
    pub(super) told: Vec<String>,
}

impl Faults {
    pub(super) fn add(&mut self, line: u64, path: &str, because: &str) {
        let colon = if path.is_empty() { "" } else { ": " };
        self.told.push(format!("{}:{line}: {path}{colon}{because}", self.file.display()));
    }

    fn dir(&self) -> &Path {
        self.file.parent().unwrap_or_else(|| Path::new(""))
    }
}

/// Reads what stands somewhere; none where there is nothing, or a fault was told.
pub(super) fn read(node: Node, shape: &Shape, path: &str, faults: &mut Faults) -> Option<Value> {
    if node.is_null() {
        return None;
    }
    let line = node.line;
    let mut fault = |because: &str| {
        faults.add(line, path, because);
        None
    };
    match (shape, node.what) {
        (Text, What::Scalar(Value::String(text))) => Some(text.into()),
        (Id(check), What::Scalar(Value::String(text))) => match check(&text) {
            Ok(()) => Some(text.into()),
            Err(because) => fault(&because.to_string()),
        },
        (Text | Id(_), What::Scalar(Value::Number(_) | Value::Bool(_))) => {
            fault("is no text: put it in quotes")
        }
        (Text | Id(_), _) => fault("is no text"),
        (Truth, What::Scalar(value @ Value::Bool(_))) => Some(value),
        (Truth, _) => fault("is true or false"),
        (Count, What::Scalar(Value::Number(number))) if number.is_u64() => Some(number.into()),
        (Count, _) => fault("is a number of 0 or more"),
        (Latencies, What::Map(members)) => Some(latencies(members, path, faults)),
        (Latencies, _) => fault("is an object of regions and milliseconds"),
        (Word(known), What::Scalar(Value::String(text))) => {
            match known.iter().find(|word| word.eq_ignore_ascii_case(&text)) {
                Some(word) => Some((*word).into()),
                None => fault(&format!("is one of {}", known.join(", "))),
            }
        }
        (Word(known), _) => fault(&format!("is one of {}", known.join(", "))),
        (Texts, What::List(items)) => {
            let item = |node| read(node, &Text, path, faults);
            Some(items.into_iter().filter_map(item).collect())
        }
        (Texts, _) => fault("is a list of texts"),
        (Free, What::Map(members)) => Some(Node { line, what: What::Map(members) }.into_value()),
        (Free, _) => fault("is an object"),
        (Cert, What::Scalar(Value::String(text))) => certificate(&text, line, path, faults),
        (Cert, _) => fault("is a certificate in PEM, or the path of its file"),
        (Slot, What::Map(members)) => {
            const SLOT: Shape = Object(&[("certificate", Cert)]);
            read(Node { line, what: What::Map(members) }, &SLOT, path, faults)
        }
        (Slot, what) => {
            let certificate = read(Node { line, what }, &Cert, path, faults)?;
            Some(json!({"certificate": certificate}))
        }
        (Key, What::Scalar(Value::String(text))) => key(text, line, path, faults),
        (Key, What::Map(members)) => {
            const FILE: Shape = Object(&[("file", Text)]);
            let named = read(Node { line, what: What::Map(members) }, &FILE, path, faults)?;
            let Some(name) = named.get("file").and_then(Value::as_str) else {
                faults.add(line, path, "file is missing");
                return None;
            };
            match file(&faults.dir().join(name)) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                    key(text, line, path, faults)
                }
                Err(because) => {
                    faults.add(line, path, &because);
                    None
                }
            }
        }
        (Key, _) => fault("is a key in base64, or {file: …}"),
        (Object(shapes), What::Map(members)) => Some(object(members, shapes, path, faults)),
        (Object(_), _) => fault("is an object"),
    }
}

fn object(
    members: Vec<(serde_saphyr::Spanned<String>, Node)>,
    shapes: &[(&str, Shape)],
    path: &str,
    faults: &mut Faults,
) -> Value {
    let mut object = Map::new();
    for (key, node) in members {
        let dot = if path.is_empty() { "" } else { "." };
        let name = key.value;
        let here = format!("{path}{dot}{name}");
        match shapes.iter().find(|(known, _)| *known == name) {
            Some((_, shape)) => {
                object.extend(read(node, shape, &here, faults).map(|value| (name, value)));
            }
            None => {
                let known: Vec<_> = shapes.iter().map(|(known, _)| *known).collect();
                let because = format!("there is no such key; there are {}", known.join(", "));
                faults.add(key.referenced.line(), &here, &because);
            }
        }
    }
    object.into()
}

fn latencies(
    members: Vec<(serde_saphyr::Spanned<String>, Node)>,
    path: &str,
    faults: &mut Faults,
) -> Value {
    let mut latencies = Map::new();
    for (key, node) in members {
        let (name, line) = (key.value, node.line);
        let here = format!("{path}.{name}");
        if let Err(because) = RegionName::parse(&name) {
            faults.add(key.referenced.line(), &here, &because.to_string());
        }
        let Some(milliseconds) = read(node, &Count, &here, faults) else { continue };
        let max = limits::LATENCY_MILLISECONDS_MAX;
        if milliseconds.as_u64().is_some_and(|milliseconds| milliseconds > max.into()) {
            faults.add(line, &here, &format!("is over {max} milliseconds"));
        }
        latencies.insert(name, milliseconds);
    }
    latencies.into()
}

/// A certificate, as PEM: written out, or in the file that is named.
fn certificate(text: &str, line: u64, path: &str, faults: &mut Faults) -> Option<Value> {
    let is_text = text.contains("-----BEGIN")
        || (text.len() >= BASE64_CHARS_MIN && STANDARD.decode(text.trim()).is_ok());
    let bytes = match is_text {
        true => Ok(text.as_bytes().to_vec()),
        false => file(&faults.dir().join(text)),
    };
    let read = bytes.and_then(|bytes| {
        Certificate::from_upload(&bytes).map_err(|because| format!("is no certificate: {because}"))
    });
    match read {
        Ok(certificate) => Some(certificate.to_pem().into()),
        Err(because) => {
            faults.add(line, path, &because);
            None
        }
    }
}

fn key(text: String, line: u64, path: &str, faults: &mut Faults) -> Option<Value> {
    match SymmetricKey::from_base64(&text) {
        Ok(_) => Some(text.into()),
        Err(because) => {
            faults.add(line, path, &because.to_string());
            None
        }
    }
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(NAMED_FILE_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("can not read {}: {error}", path.display())),
    }
}
