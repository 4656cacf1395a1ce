//! Device twins: tags, desired and reported properties, their versions and metadata.

mod check;
mod update;

pub use check::{TwinError, check_initial, check_reported, check_size};
pub use update::{How, TwinUpdate};

use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A twin. Source: `iot-hub` §4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Twin {
    /// Words of the operator's about the device, never shown to it.
    pub tags: Map<String, Value>,
    /// What the operator wants.
    pub desired: Section,
    /// What the device says.
    pub reported: Section,
    /// Grows with every change; 2 when new.
    pub version: u64,
    /// Grows with every change by the service; its etag.
    pub etag_counter: u64,
}

/// One half of a twin's properties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The values.
    pub values: Map<String, Value>,
    /// `$metadata`: when each was written.
    pub metadata: Map<String, Value>,
    /// `$version`: grows with every write; 1 when new.
    pub version: u64,
}

/// Which half; it says what the metadata holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Desired properties: metadata also holds `$lastUpdatedVersion`.
    Desired,
    /// Reported properties.
    Reported,
}

impl Section {
    fn empty(now: Timestamp) -> Self {
        let mut metadata = Map::new();
        metadata.insert("$lastUpdated".to_owned(), Value::String(now.to_string()));
        Self { values: Map::new(), metadata, version: 1 }
    }

    /// Replaces all values (§4.3).
    pub fn replace(&mut self, values: &Map<String, Value>, half: Half, now: Timestamp) {
        self.values.clear();
        self.metadata.clear();
        self.patch(values, half, now);
    }

    /// Merges a patch: objects merge, `null` deletes, all else replaces (§4.3).
    pub fn patch(&mut self, patch: &Map<String, Value>, half: Half, now: Timestamp) {
        self.version += 1;
        let mark = Mark { now: now.to_string(), version: self.version, half };
        merge(&mut self.values, &mut self.metadata, patch, &mark);
        mark.write(&mut self.metadata);
    }

    /// The device's view: the values and `$version`.
    pub fn for_device(&self) -> Value {
        let mut shown = self.values.clone();
        shown.insert("$version".to_owned(), Value::from(self.version));
        Value::Object(shown)
    }
}

struct Mark {
    now: String,
    version: u64,
    half: Half,
}

impl Mark {
    fn write(&self, metadata: &mut Map<String, Value>) {
        metadata.insert("$lastUpdated".to_owned(), Value::String(self.now.clone()));
        if self.half == Half::Desired {
            metadata.insert("$lastUpdatedVersion".to_owned(), Value::from(self.version));
        }
    }
}

fn merge(
    values: &mut Map<String, Value>,
    metadata: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    mark: &Mark,
) {
    for (key, new) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        if new.is_null() {
            values.remove(key);
            metadata.remove(key);
            continue;
        }
        let mut child = match metadata.remove(key) {
            Some(Value::Object(child)) => child,
            _ => Map::new(),
        };
        mark.write(&mut child);
        match (values.get_mut(key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, &mut child, new, mark),
            (_, Value::Object(new)) => {
                let mut made = Map::new();
                child.retain(|name, _| name.starts_with('$'));
                merge(&mut made, &mut child, new, mark);
                values.insert(key.clone(), Value::Object(made));
            }
            (_, new) => {
                child.retain(|name, _| name.starts_with('$'));
                values.insert(key.clone(), new.clone());
            }
        }
        metadata.insert(key.clone(), Value::Object(child));
    }
}

/// A merge without metadata, as tags have none.
fn merged(mut values: Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    let mark = Mark { now: String::new(), version: 0, half: Half::Reported };
    merge(&mut values, &mut Map::new(), patch, &mark);
    values
}

impl Twin {
    /// The twin of a new identity: empty, version 2, both halves at 1 (§4.1).
    pub fn new(now: Timestamp) -> Self {
        Self {
            tags: Map::new(),
            desired: Section::empty(now),
            reported: Section::empty(now),
            version: 2,
            etag_counter: 1,
        }
    }

    /// The twin of a new identity that was given a first state (T-01).
    pub fn initial(tags: Map<String, Value>, desired: &Map<String, Value>, now: Timestamp) -> Self {
        let mut twin = Self::new(now);
        twin.tags = tags;
        if !desired.is_empty() {
            twin.desired.patch(desired, Half::Desired, now);
            // The first state is version 1, as if it had been there from the start.
            twin.desired.version = 1;
        }
        twin
    }

    /// Merges what a device reports; gives the new `$version`.
    pub fn report(&mut self, patch: &Map<String, Value>, now: Timestamp) -> u64 {
        self.reported.patch(patch, Half::Reported, now);
        self.version += 1;
        self.reported.version
    }

    /// The device's view: `{"desired": …, "reported": …}`.
    pub fn for_device(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("desired".to_owned(), self.desired.for_device());
        shown.insert("reported".to_owned(), self.reported.for_device());
        Value::Object(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    #[test]
    fn t_01_initial_state_is_version_one() {
        let twin =
            Twin::initial(object(json!({"site": "a"})), &object(json!({"p": {"q": 1}})), NOW);
        assert_eq!(twin.for_device()["desired"], json!({"p": {"q": 1}, "$version": 1}));
        assert_eq!(twin.for_device()["reported"], json!({"$version": 1}));
        assert_eq!(twin.version, 2);
    }

    #[test]
    fn patches_merge_and_null_deletes() {
        let mut twin = Twin::new(NOW);
        twin.report(&object(json!({"a": {"b": 1, "c": 2}, "d": 3})), NOW);
        let version = twin.report(&object(json!({"a": {"b": null, "e": [1]}, "d": {"f": 1}})), NOW);
        assert_eq!(version, 3);
        assert_eq!(twin.reported.values, object(json!({"a": {"c": 2, "e": [1]}, "d": {"f": 1}})));
        assert!(twin.reported.metadata["a"].get("b").is_none());
        assert!(twin.reported.metadata["a"]["e"]["$lastUpdated"].is_string());
    }
}
