//! The forms for programs: JSON, YAML and tab-separated values.

use serde_json::Value;

use super::query::Found;
use crate::failure::{Failure, Result};

/// Tab-separated values: a row for each item, without a header.
///
/// Objects have their members as columns, in the expression's order, else by name. A list inside
/// is shown by its length, an object inside is empty, so that rows keep their columns.
/// Source: knack `output.py`, `_TsvOutput`.
pub(super) fn tsv(found: &Found) -> String {
    found.rows().iter().map(|row| format!("{}\n", tsv_row(found, row))).collect()
}

fn tsv_row(found: &Found, row: &Value) -> String {
    let cells: Vec<String> = match row {
        Value::Object(members) => {
            found.members(members).into_iter().map(|(_, value)| tsv_cell(value)).collect()
        }
        Value::Array(items) => items.iter().map(tsv_cell).collect(),
        // Alone in its row, a yes or no is spelled as in JSON.
        Value::Bool(yes) => vec![yes.to_string()],
        Value::Null | Value::Number(_) | Value::String(_) => vec![tsv_cell(row)],
    };
    cells.join("\t")
}

/// Spelled as Python does, which `az` is written in.
fn tsv_cell(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.len().to_string(),
        Value::Object(_) => String::new(),
    }
}

/// A YAML document; a list's can be followed by another list's, and be one with it.
pub(super) fn yaml(value: &Value) -> Result<String> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|error| Failure::new(format!("the answer can not be written as YAML: {error}")))
}

/// JSON with the colors of `az`'s `jsonc`, for terminals.
pub(super) fn color(json: &str) -> String {
    const NAME: &str = "\u{1b}[94m";
    const STRING: &str = "\u{1b}[33m";
    const WORD: &str = "\u{1b}[36m";
    const PLAIN: &str = "\u{1b}[0m";
    let mut out = String::with_capacity(json.len() * 2);
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let (length, style) = match first {
            '"' => {
                let length = string_length(rest);
                let is_name = rest.get(length..).is_some_and(|after| after.starts_with(':'));
                (length, Some(if is_name { NAME } else { STRING }))
            }
            c if c.is_ascii_alphanumeric() || c == '-' => {
                let ends = |c: char| matches!(c, ',' | '\n' | '}' | ']' | ' ');
                (rest.find(ends).unwrap_or(rest.len()), Some(WORD))
            }
            c => (c.len_utf8(), None),
        };
        let (token, after) = rest.split_at(length);
        match style {
            Some(style) => out.extend([style, token, PLAIN]),
            None => out.push_str(token),
        }
        rest = after;
    }
    out
}

/// The length in bytes of the JSON string at the front, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tsv_is_spelled_as_az_spells_it() {
        let row = json!({"b": true, "a": null, "d": {"x": 1}, "c": [1, 2], "e": "t", "f": 1.5});
        assert_eq!(tsv(&Found::whole(row)), "None\tTrue\t2\t\tt\t1.5\n");
        let rows = json!([["a", 1, false], "b", true, null, 7, {"k": "v"}]);
        assert_eq!(tsv(&Found::whole(rows)), "a\t1\tFalse\nb\ntrue\nNone\n7\nv\n");
        assert_eq!(tsv(&Found::whole(json!([]))), "");
        assert_eq!(tsv(&Found::whole(json!("0ne00000001"))), "0ne00000001\n");
    }

    #[test]
    fn yaml_keeps_strings_strings() {
        let value = json!({"on": "yes", "n": "1", "e": {}, "l": [{"a": 1, "b": [true, null]}],
            "pem": "a\nb\n", "long": "x".repeat(200)});
        let text = yaml(&value).unwrap();
        assert!(text.contains("\"n\": \"1\"") && text.contains("\"on\": \"yes\""), "{text}");
        assert!(text.contains("e: {}") && text.contains("pem: |\n"), "{text}");
        assert!(text.contains(&format!("long: {}\n", "x".repeat(200))), "{text}");
    }

    #[test]
    fn yaml_pages_follow_each_other() {
        let pages = [json!([{"a": 1, "b": [1]}]), json!([{"a": 2}, {"a": 3}])];
        let together: String = pages.iter().map(|page| yaml(page).unwrap()).collect();
        let whole = yaml(&json!([{"a": 1, "b": [1]}, {"a": 2}, {"a": 3}])).unwrap();
        assert_eq!(together, whole);
    }

    #[test]
    fn colors_change_no_character() {
        let value = json!({"a \" {": ["x: \"y\"\\", -1.5e3, true, null, {}, "é"], "b": {"c": []}});
        let text = format!("{value:#}");
        let colored = color(&text);
        let mut plain = String::new();
        let mut rest = colored.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        assert_eq!(plain, text);
        assert!(colored.contains("\u{1b}[94m\"b\"\u{1b}[0m: {"), "{colored}");
        assert!(colored.contains("\u{1b}[36mnull\u{1b}[0m,"), "{colored}");
    }
}
