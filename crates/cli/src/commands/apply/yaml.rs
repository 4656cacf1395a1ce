//! YAML with the line of everything that is in it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// Something in a document, and the line on which it begins, from 1.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) what: What,
}

/// What stands there.
#[derive(Debug)]
pub(super) enum What {
    /// A text, a number, a truth value, or nothing.
    Scalar(Value),
    List(Vec<Node>),
    /// Keys with their lines, in the order of the file; none is there twice.
    Map(Vec<(Spanned<String>, Node)>),
}

/// The documents of a text.
///
/// # Errors
/// What is no YAML, with its line, and not a word of the text: it may hold a key.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, String> {
    serde_saphyr::from_multiple(text).map_err(|error| error.without_snippet().to_string())
}

impl Node {
    /// The value, without its lines.
    pub(super) fn into_value(self) -> Value {
        match self.what {
            What::Scalar(value) => value,
            What::List(items) => items.into_iter().map(Self::into_value).collect(),
            What::Map(members) => {
                members.into_iter().map(|(key, node)| (key.value, node.into_value())).collect()
            }
        }
    }

    /// Whether there is nothing.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.what, What::Scalar(Value::Null))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<What>::deserialize(deserializer)?;
        Ok(Self { line: referenced.line(), what: value })
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = What;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<What, E> {
        Ok(What::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<What, E> {
        Ok(What::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<What, E> {
        Ok(What::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<What, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("JSON has no such number"));
        number.map(|number| What::Scalar(number.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<What, E> {
        Ok(What::Scalar(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<What, E> {
        Ok(What::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<What, E> {
        Ok(What::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<What, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<What, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(What::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<What, A::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(What::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_those_of_json_and_know_their_lines() {
        let text = "a: 1\nb:\n  - x\n  - {c: 1.5, d: true, e: null, f: '2'}\n---\nz: |\n  p\n  q\n";
        let mut all = documents(text).unwrap();
        let What::Map(members) = &all[0].what else { panic!("{all:?}") };
        let What::List(items) = &members[1].1.what else { panic!("{all:?}") };
        assert_eq!((members[1].0.referenced.line(), items[1].line), (2, 4));
        assert_eq!(all.pop().unwrap().into_value(), json!({"z": "p\nq\n"}));
        let first = json!({"a": 1, "b": ["x", {"c": 1.5, "d": true, "e": null, "f": "2"}]});
        assert_eq!(all.pop().unwrap().into_value(), first);
    }

    #[test]
    fn what_is_no_yaml_is_told_without_its_text() {
        let told = documents("primaryKey: [c2VjcmV0\n").unwrap_err();
        assert!(told.contains("line 1") && !told.contains("c2VjcmV0"), "{told}");
        assert!(documents("a: 1\na: 2\n").unwrap_err().contains("line 2"));
    }

    /// A few lines must not become gigabytes.
    #[test]
    fn references_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for at in 1..12 {
            let of = format!("*a{}", at - 1);
            text.push_str(&format!("a{at}: &a{at} [{}]\n", vec![of; 10].join(", ")));
        }
        assert!(documents(&text).is_err());
    }
}
