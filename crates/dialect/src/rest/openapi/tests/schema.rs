//! As much of JSON Schema as the documents use, and a note of what was seen.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The schemas of one document.
pub(super) struct Schemas {
    all: Map<String, Value>,
    /// Members of objects that some value had, as `Schema.member`.
    seen: BTreeSet<String>,
}

impl Schemas {
    pub(super) fn of(document: &Value) -> Self {
        let all = document["components"]["schemas"].as_object().unwrap().clone();
        Self { all, seen: BTreeSet::new() }
    }

    pub(super) fn schema(&self, name: &str) -> &Value {
        self.all.get(name).unwrap_or_else(|| panic!("no schema {name}"))
    }

    /// The value is of the schema.
    #[track_caller]
    pub(super) fn check(&mut self, name: &str, value: &Value) {
        let schema = self.schema(name).clone();
        if let Err(complaint) = self.judge(name, &schema, value) {
            panic!("{complaint}\nin {value}");
        }
    }

    fn judge(&mut self, at: &str, schema: &Value, value: &Value) -> Result<(), String> {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let holds = match keyword.as_str() {
                "description" | "format" | "pattern" | "maxItems" => true,
                "minimum" => value.as_u64().is_none_or(|number| Some(number) >= wanted.as_u64()),
                "maximum" => value.as_u64().is_none_or(|number| Some(number) <= wanted.as_u64()),
                "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "type" => is(wanted, value),
                "required" => {
                    let names =
                        wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    value.is_object() && names.into_iter().all(|name| value.get(name).is_some())
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.judge(at, wanted, item)?;
                    }
                    true
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        self.judge(&format!("{at}'s names"), wanted, &Value::from(name.as_str()))?;
                    }
                    true
                }
                "properties" => {
                    self.judge_members(at, wanted, schema, value)?;
                    true
                }
                "additionalProperties" if *wanted == false => true,
                "additionalProperties" => {
                    // Of a map: its members have names of their own.
                    for member in value.as_object().into_iter().flat_map(Map::values) {
                        self.judge(&format!("{at}.*"), wanted, member)?;
                    }
                    schema.get("properties").is_none()
                }
                "$ref" => {
                    let name = wanted.as_str().unwrap().rsplit('/').next().unwrap();
                    let schema = self.schema(name).clone();
                    self.judge(name, &schema, value)?;
                    true
                }
                _ => return Err(format!("{at}: the keyword {keyword} is not known here")),
            };
            if !holds {
                return Err(format!("{at}: {value} is not of {keyword} {wanted}"));
            }
        }
        Ok(())
    }

    fn judge_members(
        &mut self,
        at: &str,
        properties: &Value,
        schema: &Value,
        value: &Value,
    ) -> Result<(), String> {
        let open = schema.get("additionalProperties").is_none();
        for (name, member) in value.as_object().into_iter().flatten() {
            let here = format!("{at}.{name}");
            match properties.get(name) {
                Some(schema) => self.judge(&here, schema, member)?,
                None if open => {}
                None => return Err(format!("{here} is not described")),
            }
            self.seen.insert(here);
        }
        Ok(())
    }

    /// Every member of this schema was in some value.
    #[track_caller]
    pub(super) fn assert_all_seen(&self, names: &[&str]) {
        let mut missing = Vec::new();
        for name in names {
            self.members(name, self.schema(name), &mut missing);
        }
        missing.retain(|member| !self.seen.contains(member));
        assert_eq!(missing, Vec::<String>::new(), "described, and never written");
    }

    fn members(&self, at: &str, schema: &Value, found: &mut Vec<String>) {
        if let Some(items) = schema.get("items") {
            self.members(at, items, found);
        }
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let here = format!("{at}.{name}");
            self.members(&here, member, found);
            found.push(here);
        }
    }
}

fn is(types: &Value, value: &Value) -> bool {
    let one = |word: &Value| match word.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        word => panic!("the type {word} is not known here"),
    };
    types.as_array().map_or_else(|| one(types), |any| any.iter().any(one))
}
