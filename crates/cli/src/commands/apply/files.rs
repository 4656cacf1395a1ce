//! The files: what is to be on the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::shape::{self, Faults, Shape};
use super::yaml::{self, Node, What};
use crate::failure::{Failure, Result};

/// Bytes of one file. A million entries are for a load.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What is to be in one provisioning service. A kind that no file names is none of theirs.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) certificates: Option<Vec<Entry>>,
    pub(super) links: Vec<Entry>,
    pub(super) groups: Option<Vec<Entry>>,
    pub(super) enrollments: Option<Vec<Entry>>,
}

/// Something that is to be there.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// File and line.
    pub(super) at: String,
    pub(super) id: String,
    pub(super) members: Map<String, Value>,
}

/// Reads all files: each provisioning service by its name.
pub(super) fn read(files: &[PathBuf]) -> Result<BTreeMap<String, Wanted>> {
    let mut reading =
        Reading { all: BTreeMap::new(), faults: Faults { file: PathBuf::new(), told: Vec::new() } };
    for file in files {
        reading.faults.file.clone_from(file);
        let nodes = match text(file).map(|text| yaml::documents(&text)) {
            Ok(Ok(nodes)) => nodes,
            Ok(Err(because)) => {
                reading.faults.told.push(format!("{}: {because}", file.display()));
                continue;
            }
            Err(because) => {
                reading.faults.told.push(format!("{}: {because}", file.display()));
                continue;
            }
        };
        for node in nodes {
            reading.document(node);
        }
    }
    let Reading { all, faults } = reading;
    match faults.told.as_slice() {
        [] => Ok(all),
        told => {
            let count = match told.len() {
                1 => "is a fault".to_owned(),
                count => format!("are {count} faults"),
            };
            let lines: String = told.iter().map(|fault| format!("\n  - {fault}")).collect();
            Err(Failure::new(format!("nothing was done: there {count}:{lines}")))
        }
    }
}

fn text(file: &Path) -> std::result::Result<String, String> {
    let bytes = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!(
            "has more than {FILE_BYTES_MAX} bytes: use `muster iot dps enrollment load`"
        ));
    }
    std::fs::read_to_string(file).map_err(|error| error.to_string())
}

struct Reading {
    all: BTreeMap<String, Wanted>,
    faults: Faults,
}

impl Reading {
    fn document(&mut self, node: Node) {
        if node.is_null() {
            return;
        }
        let What::Map(members) = node.what else {
            return self.faults.add(node.line, "", "a document is an object with the key dps");
        };
        for (key, node) in members {
            match (key.value.as_str(), node.what) {
                ("dps", What::List(items)) => {
                    for item in items {
                        self.service(item);
                    }
                }
                ("dps", _) => self.faults.add(node.line, "dps", "is a list of services"),
                (other, _) => {
                    let line = key.referenced.line();
                    self.faults.add(line, other, "there is no such key; there is dps");
                }
            }
        }
    }

    fn service(&mut self, node: Node) {
        let line = node.line;
        let What::Map(members) = node.what else {
            return self.faults.add(line, "dps", "is a list of objects with a name");
        };
        let mut name = None;
        let mut wanted = Wanted::default();
        for (key, node) in members {
            let (line, key) = (key.referenced.line(), key.value);
            let faults = &mut self.faults;
            match key.as_str() {
                "certificates" => {
                    let list = entries(node, &key, &shape::CERTIFICATE, "name", faults);
                    wanted.certificates = Some(list);
                }
                "linked_hubs" => {
                    wanted.links = entries(node, &key, &shape::LINK, "name", faults);
                }
                "enrollment_groups" => {
                    let list = entries(node, &key, &shape::GROUP, "enrollmentGroupId", faults);
                    wanted.groups = Some(list);
                }
                "enrollments" => {
                    let list = entries(node, &key, &shape::ENROLLMENT, "registrationId", faults);
                    wanted.enrollments = Some(list);
                }
                "name" => {
                    name = shape::read(node, &Shape::Text, "dps.name", faults)
                        .and_then(|name| name.as_str().map(str::to_owned));
                }
                other => faults.add(
                    line,
                    &format!("dps.{other}"),
                    "there is no such key; there are name, linked_hubs, certificates, \
                     enrollment_groups, enrollments",
                ),
            }
        }
        match name {
            Some(name) => self.merge(name.to_ascii_lowercase(), wanted),
            None => self.faults.add(line, "dps", "name is missing"),
        }
    }

    /// Several files and documents may be about one service; each id is in one of them only.
    fn merge(&mut self, name: String, more: Wanted) {
        let wanted = self.all.entry(name).or_default();
        let faults = &mut self.faults.told;
        wanted.certificates = both(wanted.certificates.take(), more.certificates, faults);
        wanted.groups = both(wanted.groups.take(), more.groups, faults);
        wanted.enrollments = both(wanted.enrollments.take(), more.enrollments, faults);
        let links = both(Some(std::mem::take(&mut wanted.links)), Some(more.links), faults);
        wanted.links = links.unwrap_or_default();
    }
}

fn both(
    one: Option<Vec<Entry>>,
    more: Option<Vec<Entry>>,
    faults: &mut Vec<String>,
) -> Option<Vec<Entry>> {
    let Some(more) = more else { return one };
    let mut all = one.unwrap_or_default();
    let mut known: BTreeMap<String, String> =
        all.iter().map(|entry| (entry.id.to_ascii_lowercase(), entry.at.clone())).collect();
    for entry in more {
        if let Some(earlier) = known.insert(entry.id.to_ascii_lowercase(), entry.at.clone()) {
            faults.push(format!("{}: {} is at {earlier} already", entry.at, entry.id));
        }
        all.push(entry);
    }
    Some(all)
}

/// The entries of a list; `null` is an empty one.
fn entries(
    node: Node,
    key: &str,
    shape: &Shape,
    id: &'static str,
    faults: &mut Faults,
) -> Vec<Entry> {
    let items = match node.what {
        What::List(items) => items,
        What::Scalar(Value::Null) => Vec::new(),
        What::Scalar(_) | What::Map(_) => {
            faults.add(node.line, key, "is a list");
            Vec::new()
        }
    };
    items.into_iter().filter_map(|item| entry(item, key, shape, id, faults)).collect()
}

fn entry(
    node: Node,
    key: &str,
    shape: &Shape,
    id: &'static str,
    faults: &mut Faults,
) -> Option<Entry> {
    let line = node.line;
    let before = faults.told.len();
    // A linked hub may be named by its name alone.
    let members = match node.what {
        What::Scalar(Value::String(text)) if key == "linked_hubs" => {
            Map::from_iter([("name".to_owned(), text.into())])
        }
        what @ (What::Scalar(_) | What::List(_) | What::Map(_)) => {
            match shape::read(Node { line, what }, shape, "", faults) {
                Some(Value::Object(members)) => members,
                Some(_) | None => {
                    if faults.told.len() == before {
                        faults.add(line, key, "is a list of objects");
                    }
                    return None;
                }
            }
        }
    };
    let Some(named) = members.get(id).and_then(Value::as_str).filter(|named| !named.is_empty())
    else {
        if faults.told.len() == before {
            faults.add(line, key, &format!("{id} is missing"));
        }
        return None;
    };
    let named = named.to_owned();
    let lacks = |member: &str| !members.contains_key(member);
    if key.starts_with("enrollment") && faults.told.len() == before {
        if members.get("attestation").and_then(|given| given.get("type")).is_none() {
            faults.add(line, &named, "attestation.type is missing");
        }
    } else if key == "certificates" && lacks("certificate") && faults.told.len() == before {
        faults.add(line, &named, "certificate is missing");
    }
    Some(Entry { at: format!("{}:{line}", faults.file.display()), id: named, members })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// Reads one file of this text.
    pub(crate) fn wanted(text: &str) -> Result<BTreeMap<String, Wanted>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fleet.yaml");
        std::fs::write(&file, text).unwrap();
        std::fs::write(dir.path().join("k.key"), "AAECAwQFBgcICQoLDA0ODw==\n").unwrap();
        read(&[file])
    }

    #[test]
    fn documents_are_merged_by_service() {
        let text = "
dps:
  - name: DPS
    linked_hubs: [hub1, {name: hub2, allocation_weight: 3}]
    enrollment_groups: []
    enrollments:
      - registrationId: a
        attestation: {type: SymmetricKey, symmetricKey: {primaryKey: {file: k.key}}}
        provisioningStatus: Enabled
---
dps:
  - name: dps
    enrollments:
      - {registrationId: b, attestation: {type: tpm, tpm: {endorsementKey: AAAA}}}
";
        let all = wanted(text).unwrap();
        let wanted = &all["dps"];
        assert!(wanted.certificates.is_none(), "a kind that is not named is none of the file's");
        assert_eq!(wanted.groups.as_ref().unwrap().len(), 0);
        assert_eq!(wanted.links[1].members["allocation_weight"], 3);
        let enrollments = wanted.enrollments.as_ref().unwrap();
        assert_eq!(
            Value::from(enrollments[0].members.clone()),
            json!({"registrationId": "a", "provisioningStatus": "enabled", "attestation":
                {"type": "symmetricKey", "symmetricKey": {"primaryKey": "AAECAwQFBgcICQoLDA0ODw=="}}})
        );
        assert!(enrollments[1].at.ends_with("fleet.yaml:14"), "{}", enrollments[1].at);
    }

    #[test]
    fn all_faults_are_told_at_once_with_their_lines() {
        let text = "
colour: red
dps:
  - name: dps
    groups: []
    enrollments:
      - registrationId: 007
        attestation: {type: symmetricKey}
      - registrationId: a
        attestation:
          type: symmetrickeys
          symmetricKey: {primarykey: c2VjcmV0, secondaryKey: c2VjcmV0}
      - registrationId: b
      - registrationId: A
        attestation: {type: x509, x509: {clientCertificates: {primary: no-such.pem}}}
  - {}
  - name: dps2
    enrollments:
      - {registrationId: a b, attestation: {type: symmetricKey}}
      - {registrationId: c, deviceId: d/e, attestation: {type: symmetricKey}}
    enrollment_groups: [{enrollmentGroupId: -g, attestation: {type: symmetricKey}}]
    certificates: [{name: a b, certificate: no-such.pem}]
";
        let told = wanted(text).unwrap_err().to_string();
        for (line, because) in [
            (2, "colour: there is no such key"),
            (5, "dps.groups: there is no such key"),
            (7, "registrationId: is no text: put it in quotes"),
            (11, "attestation.type: is one of symmetricKey, x509, tpm"),
            (12, "attestation.symmetricKey.primarykey: there is no such key"),
            (12, "attestation.symmetricKey.secondaryKey: is not"),
            (13, "b: attestation.type is missing"),
            (14, "A is at "),
            (15, "attestation.x509.clientCertificates.primary: can not read"),
            (16, "dps: name is missing"),
            (19, "registrationId: has the character ' ' at offset 1"),
            (20, "deviceId: has the character '/' at offset 1"),
            (21, "enrollmentGroupId: starts with a special character"),
            (22, "name: has the character ' ' at offset 1"),
            (22, "certificate: can not read"),
        ] {
            let found = told.lines().any(|fault| {
                fault.contains(&format!("fleet.yaml:{line}: ")) && fault.contains(because)
            });
            assert!(found, "{line} {because} is not in {told}");
        }
        assert!(told.starts_with("error: nothing was done: there are 15 faults:"), "{told}");
        assert!(!told.contains("c2VjcmV0"), "{told}");
    }
}
