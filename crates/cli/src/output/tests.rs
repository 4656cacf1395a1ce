use super::*;
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A sink that a test can read afterwards.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const COLUMNS: &[Column] = &[column!("Id", "id"), column!("Hub", "at"."hub")];

fn output(format: Format, query: &str) -> (Output, Kept) {
    let kept = Kept::default();
    let query = (!query.is_empty()).then(|| Query::parse(query).unwrap());
    (Output::new(format, query, Screen::None, Box::new(kept.clone())), kept)
}

fn pages(format: Format, pages: &[Value]) -> String {
    queried(format, "", pages)
}

fn queried(format: Format, query: &str, pages: &[Value]) -> String {
    let (mut output, kept) = output(format, query);
    let mut list = output.open_list(COLUMNS);
    for page in pages {
        list.page(page.as_array().unwrap()).unwrap();
    }
    list.close().unwrap();
    kept.text()
}

#[test]
fn pages_become_one_json_document() {
    let list = [json!([{"id": "a"}, {"id": "b"}]), json!([]), json!([{"id": "c"}])];
    let text = pages(Format::Json, &list);
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, format!("{read:#}\n"));
    assert_eq!(read, json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]));
    assert_eq!(pages(Format::Json, &[]), "[]\n");
}

#[test]
fn pages_become_one_table() {
    let list = [
        json!([{"id": "sensor-1", "at": {"hub": "hub1.localhost"}}]),
        json!([{"id": "s", "at": {"hub": null}}, {"id": "s2", "at": {"hub": "h"}}]),
    ];
    let text = pages(Format::Table, &list);
    assert_eq!(
        text,
        "Id        Hub\n-------------------------\nsensor-1  hub1.localhost\n\
         s\ns2        h\n"
    );
}

#[test]
fn a_cell_of_many_values_is_no_json() {
    let value = json!({"id": ["a", "b"], "at": {"hub": {"north": 80, "south": [5, "\u{1b}"]}}});
    let text = pages(Format::Table, &[json!([value])]);
    assert!(text.ends_with("a, b  north=80, south=5, \u{fffd}\n"), "{text}");
}

#[test]
fn a_thing_shows_the_named_members_first() {
    let (mut output, kept) = output(Format::Table, "");
    let value = json!({"a": {"b": [1, 2], "c": null}, "status": "on\u{7}", "id": "x"});
    output.thing(&value, &["id", "status"]).unwrap();
    assert_eq!(kept.text(), "id      x\nstatus  on\u{fffd}\na.b     1, 2\n");
}

#[test]
fn a_thing_has_a_line_for_each_object_of_a_list() {
    let (mut output, kept) = output(Format::Table, "");
    let thing = json!({"id": "x", "hubs": [{"l": {"n": 1, "s": 2}, "name": "a"}, {"name": "b"}]});
    output.thing(&thing, &["id"]).unwrap();
    assert_eq!(kept.text(), "id    x\nhubs  l=(n=1, s=2), name=a\n      name=b\n");
}

#[test]
fn a_list_has_each_form() {
    let list = [json!([{"id": "a", "at": {"hub": "h"}}]), json!([]), json!([{"id": "b"}])];
    assert_eq!(pages(Format::Tsv, &list), "\ta\nb\n");
    assert_eq!(pages(Format::Yaml, &list), "- at:\n    hub: h\n  id: a\n- id: b\n");
    assert_eq!(pages(Format::None, &list), "");
    assert_eq!(pages(Format::Jsonc, &list), pages(Format::Json, &list));
    assert_eq!([Format::Yaml, Format::Tsv].map(|f| pages(f, &[])), ["[]\n", ""]);
}

#[test]
fn a_query_is_asked_of_the_whole_list() {
    let list = [json!([{"id": "a", "n": 1}]), json!([{"id": "b", "n": 2}])];
    assert_eq!(queried(Format::Json, "length(@)", &list), "2\n");
    assert_eq!(queried(Format::Tsv, "[].id", &list), "a\nb\n");
    assert_eq!(queried(Format::Tsv, "[?n > `1`].{z: id, a: n}", &list), "b\t2\n");
    assert_eq!(queried(Format::Yaml, "[0].n", &list), "1\n");
}

#[test]
fn a_query_makes_its_own_table() {
    let list = [json!([{"id": "a", "n": 1, "x": {}}, {"id": "b", "n": null, "x": {}}])];
    let table = |query| queried(Format::Table, query, &list);
    assert_eq!(table("[].{name: id, n: n}"), "Name  N\n--------\na     1\nb\n");
    assert_eq!(table("[].id"), "a\nb\n");
    assert_eq!(table("[].[id, n]"), "Column1  Column2\n-----------------\na        1\nb\n");
    assert_eq!(table("[0]"), "N\n--\n1\n", "ids are left out unless they are named");
    assert_eq!(table("[9]"), "");
    assert_eq!(table("[?id == 'z']"), "");
}

#[test]
fn a_terminal_gets_no_control_characters_and_a_program_all() {
    let value = json!([["a\u{1b}[2J\u{9b}1m", "b\n"]]);
    for (screen, expected) in [
        (Screen::None, "a\u{1b}[2J\u{9b}1m\tb\n\n"),
        (Screen::Plain, "a\u{fffd}[2J\u{fffd}1m\tb\n\n"),
    ] {
        let kept = Kept::default();
        let sink = Box::new(kept.clone());
        Output::new(Format::Tsv, None, screen, sink).value(&value).unwrap();
        assert_eq!(kept.text(), expected);
    }
    let kept = Kept::default();
    let sink = Box::new(kept.clone());
    Output::new(Format::Jsonc, None, Screen::Colored, sink).value(&json!("\u{9b}")).unwrap();
    assert_eq!(kept.text(), "\u{1b}[33m\"\u{fffd}\"\u{1b}[0m\n");
}

#[test]
fn a_table_that_would_be_empty_is_misuse() {
    let (mut output, _) = output(Format::Table, "x");
    let failure = output.value(&json!({"x": {"y": {}}})).unwrap_err();
    assert_eq!(failure.kind(), crate::failure::Kind::Usage);
}
