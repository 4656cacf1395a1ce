//! Edits of a JSON document, as `--set a.b=c` and `--remove a.b` ask for.

use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// The members of an object that a service answered.
pub(crate) fn members(value: Value, doing: &str) -> Result<Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::new(format!("can not {doing}: the answer is not an object")))
        }
    }
}

/// How the values of `--set` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// As JSON where they read as such, else as text.
    Json,
    /// As text: `--force-string`.
    Text,
}

impl Values {
    pub(crate) const fn given(force_string: bool) -> Self {
        if force_string { Self::Text } else { Self::Json }
    }
}

/// Applies one `path=value`.
pub(crate) fn set(document: &mut Map<String, Value>, assignment: &str, values: Values) -> Result {
    let (path, text) = assignment.split_once('=').ok_or_else(|| {
        Failure::usage(format!("--set '{assignment}' has no =")).hint("for example --set a.b=value")
    })?;
    let value = match values {
        Values::Json => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        Values::Text => Value::from(text),
    };
    let (parents, last) = steps(path)?;
    let mut at = document;
    for step in parents {
        let next = at.entry(step).or_insert_with(|| Value::Object(Map::new()));
        if next.is_null() {
            *next = Value::Object(Map::new());
        }
        at = next
            .as_object_mut()
            .ok_or_else(|| Failure::usage(format!("--set {path}: '{step}' is not an object")))?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Takes one path out; `null` where there is nothing.
pub(crate) fn take(document: &mut Map<String, Value>, path: &str) -> Value {
    let Ok((parents, last)) = steps(path) else { return Value::Null };
    let mut at = document;
    for step in parents {
        match at.get_mut(step).and_then(Value::as_object_mut) {
            Some(next) => at = next,
            None => return Value::Null,
        }
    }
    at.remove(last).unwrap_or(Value::Null)
}

/// Removes one path.
pub(crate) fn remove(document: &mut Map<String, Value>, path: &str) -> Result {
    let (parents, last) = steps(path)?;
    let mut at = document;
    for step in parents {
        at = at.get_mut(step).and_then(Value::as_object_mut).ok_or_else(|| missing(path))?;
    }
    at.remove(last).map(drop).ok_or_else(|| missing(path))
}

fn missing(path: &str) -> Failure {
    Failure::usage(format!("--remove {path}: there is no such member"))
}

fn steps(path: &str) -> Result<(Vec<&str>, &str)> {
    let mut steps: Vec<&str> = path.split('.').map(str::trim).collect();
    match steps.pop() {
        Some(last) if !last.is_empty() && !steps.contains(&"") => Ok((steps, last)),
        Some(_) | None => Err(Failure::usage(format!("'{path}' is not a path such as a.b"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn edited(assignments: &[&str]) -> Value {
        let Value::Object(mut document) = json!({"status": "enabled", "a": {"b": 1}, "n": null})
        else {
            unreachable!()
        };
        for assignment in assignments {
            set(&mut document, assignment, Values::Json).unwrap();
        }
        Value::Object(document)
    }

    #[test]
    fn paths_are_set() {
        assert_eq!(edited(&["status=disabled"])["status"], "disabled");
        assert_eq!(edited(&["a.b=true", "a.c=x=y"])["a"], json!({"b": true, "c": "x=y"}));
        assert_eq!(edited(&["n.m={\"k\":[1]}"])["n"], json!({"m": {"k": [1]}}));
    }

    #[test]
    fn text_can_be_forced() {
        let mut document = Map::new();
        set(&mut document, "a=1", Values::Json).unwrap();
        set(&mut document, "b=1", Values::Text).unwrap();
        assert_eq!(Value::Object(document), json!({"a": 1, "b": "1"}));
    }

    #[test]
    fn paths_are_removed() {
        let Value::Object(mut document) = edited(&[]) else { unreachable!() };
        remove(&mut document, "a.b").unwrap();
        assert_eq!(document["a"], json!({}));
        assert!(remove(&mut document, "a.b").is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        let mut document = Map::from_iter([("s".to_owned(), json!("text"))]);
        for bad in ["s", "=x", "a..b=1", "s.t=1"] {
            assert!(set(&mut document, bad, Values::Json).is_err(), "{bad}");
        }
    }
}
