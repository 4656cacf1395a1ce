//! What goes to standard output: tables for people, JSON and its kin for programs.

mod form;
mod query;

use std::io::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use crate::failure::{Failure, Result};

use query::Found;
pub use query::Query;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables, for people.
    #[default]
    Table,
    /// One JSON document, for programs.
    Json,
    /// JSON, colored on a terminal.
    Jsonc,
    /// One YAML document.
    #[value(alias = "yamlc")]
    Yaml,
    /// Tab-separated values without a header, for shells.
    Tsv,
    /// Nothing: only the exit code counts.
    None,
}

/// Whether control sequences may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// A program or a file reads.
    Plain,
    /// A terminal that shows colors.
    Colored,
}

/// A column of a list: its title, and where its value is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) of: fn(&Value) -> String,
}

/// Writes a column whose value is one member, however deep: `column!("Hub", "assignedHub")`.
macro_rules! column {
    ($title:literal, $($member:literal).+) => {
        $crate::output::Column {
            title: $title,
            of: |value| $crate::output::cell($crate::output::at(value, &[$($member),+])),
        }
    };
    ($title:literal, $of:expr) => {
        $crate::output::Column { title: $title, of: $of }
    };
}
pub(crate) use column;

/// Standard output, in one of its forms.
pub(crate) struct Output {
    format: Format,
    query: Option<Query>,
    screen: Screen,
    sink: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn new(
        format: Format,
        query: Option<Query>,
        screen: Screen,
        sink: Box<dyn Write + Send>,
    ) -> Self {
        Self { format, query, screen, sink }
    }

    /// Whether a person is told in our words; else the answer itself is wanted.
    pub(crate) fn tells(&self) -> bool {
        self.format == Format::Table && self.query.is_none()
    }

    /// One thing: its members as rows, `first` in front, or as a program wants it.
    pub(crate) fn thing(&mut self, value: &Value, first: &[&str]) -> Result {
        if !self.tells() {
            return self.value(value);
        }
        let mut rows = Vec::new();
        flatten(String::new(), value, &mut rows);
        rows.sort_by_key(|(name, _)| {
            first.iter().position(|wanted| name == wanted).unwrap_or(first.len())
        });
        let mut table = bare_table();
        table.add_rows(rows.into_iter().map(|(name, value)| [name, value]));
        set_apart(&mut table);
        self.table(&table)
    }

    /// One line of text, a string to programs.
    pub(crate) fn text(&mut self, text: &str) -> Result {
        match self.tells() {
            true => self.line(text),
            false => self.value(&Value::from(text)),
        }
    }

    /// One line for a person.
    pub(crate) fn line(&mut self, line: &str) -> Result {
        Ok(writeln!(self.sink, "{line}")?)
    }

    /// The answer itself, or what the query makes of it.
    pub(crate) fn value(&mut self, value: &Value) -> Result {
        let found = match &self.query {
            Some(query) => query.search(value)?,
            None => Found::whole(value.clone()),
        };
        // As with az, an answer that has nothing of what was asked for prints nothing.
        if found.value.is_null() {
            return Ok(());
        }
        let text = match self.format {
            Format::Table => return self.columns(&found),
            Format::Json | Format::Jsonc => format!("{}\n", self.json(&found.value)),
            Format::Yaml => form::yaml(&found.value)?,
            Format::Tsv => form::tsv(&found),
            Format::None => String::new(),
        };
        Ok(self.sink.write_all(text.as_bytes())?)
    }

    fn json(&self, value: &Value) -> String {
        let text = format!("{value:#}");
        match (self.format, self.screen) {
            (Format::Jsonc, Screen::Colored) => form::color(&text),
            (_, _) => text,
        }
    }

    /// What a query found, as columns: objects by their members, lists by place; what is neither
    /// has a line of its own. Source: knack `output.py`, `_TableOutput`.
    fn columns(&mut self, found: &Found) -> Result {
        let rows: Vec<Vec<(String, String)>> =
            found.rows().iter().map(|row| cells(found, row)).collect();
        let mut titles: Vec<&str> = Vec::new();
        for (title, _) in rows.iter().flatten() {
            if !titles.contains(&title.as_str()) {
                titles.push(title);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        if titles.is_empty() {
            return Err(Failure::usage("nothing of this answer fits a table")
                .hint("give --output json, or a --query that picks single values"));
        }
        let mut table = bare_table();
        if titles != [""] {
            table.set_header(titles.iter().copied());
        }
        for row in &rows {
            let value = |title: &&str| row.iter().find(|(known, _)| known == *title);
            table.add_row(titles.iter().map(|title| value(title).map_or("", |(_, cell)| cell)));
        }
        set_apart(&mut table);
        self.table(&table)
    }

    /// A list that is here already.
    pub(crate) fn list(&mut self, columns: &'static [Column], values: &[Value]) -> Result {
        let mut list = self.open_list(columns);
        list.page(values)?;
        list.close()
    }

    /// A list that comes page by page and is written as it comes.
    pub(crate) const fn open_list(&mut self, columns: &'static [Column]) -> List<'_> {
        List { output: self, columns, widths: Vec::new(), written: 0, kept: Vec::new() }
    }

    pub(crate) fn flush(&mut self) -> Result {
        Ok(self.sink.flush()?)
    }

    fn table(&mut self, table: &Table) -> Result {
        for line in table.lines() {
            writeln!(self.sink, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Spaces after a cell; the style adds one between columns.
const GAP: u16 = 1;

/// A list under way.
pub(crate) struct List<'o> {
    output: &'o mut Output,
    columns: &'static [Column],
    widths: Vec<u16>,
    written: usize,
    /// What a query waits for: it is asked of the whole list.
    kept: Vec<Value>,
}

impl List<'_> {
    /// Writes one page of it.
    pub(crate) fn page(&mut self, values: &[Value]) -> Result {
        if self.output.query.is_some() {
            self.kept.extend_from_slice(values);
            return Ok(());
        }
        if values.is_empty() {
            return Ok(());
        }
        match self.output.format {
            Format::Json | Format::Jsonc => self.json_page(values),
            Format::Table => self.table_page(values),
            // Rows and items of one page follow those of another.
            Format::Yaml | Format::Tsv | Format::None => self.output.value(&Value::from(values)),
        }?;
        self.written += values.len();
        self.output.flush()
    }

    /// Ends it.
    pub(crate) fn close(self) -> Result {
        if self.output.query.is_some() {
            return self.output.value(&Value::Array(self.kept));
        }
        let sink = &mut self.output.sink;
        match (self.output.format, self.written) {
            (Format::Json | Format::Jsonc | Format::Yaml, 0) => writeln!(sink, "[]")?,
            (Format::Json | Format::Jsonc, _) => writeln!(sink, "\n]")?,
            (Format::Table, 0) => eprintln!("(none)"),
            (Format::Table | Format::Yaml | Format::Tsv | Format::None, _) => {}
        }
        Ok(())
    }

    fn json_page(&mut self, values: &[Value]) -> Result {
        for (at, value) in values.iter().enumerate() {
            let opening = if self.written + at == 0 { "[\n  " } else { ",\n  " };
            let text = self.output.json(value).replace('\n', "\n  ");
            write!(self.output.sink, "{opening}{text}")?;
        }
        Ok(())
    }

    /// Later pages keep the widths of the first, so that columns stay in line.
    fn table_page(&mut self, values: &[Value]) -> Result {
        let mut table = bare_table();
        if self.written == 0 {
            table.set_header(self.columns.iter().map(|column| column.title));
        }
        for value in values {
            table.add_row(self.columns.iter().map(|column| (column.of)(value)));
        }
        if self.written == 0 {
            self.widths = table.column_max_content_widths();
        }
        set_apart(&mut table);
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            let padded = width.saturating_add(GAP);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(padded)));
        }
        self.output.table(&table)
    }
}

/// Columns set apart by spaces, nothing else: easy to read, to grep and to cut.
fn bare_table() -> Table {
    let mut table = Table::new();
    table.load_style(
        presets::NOTHING.header_separator(comfy_table::LineStyle::none().fill('-').junction('-')),
    );
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn set_apart(table: &mut Table) {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
}

/// The value of a member, `null` where there is none.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |value, member| value.get(member).unwrap_or(&Value::Null))
}

/// A value as a table shows it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// The text without control characters: what a peer sent can not drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Members that a table leaves out unless the query names them, as with `az`.
const UNASKED: [&str; 3] = ["id", "type", "etag"];

/// One row of what a query found: titles and cells. What is no object and no list has no title.
fn cells(found: &Found, row: &Value) -> Vec<(String, String)> {
    match row {
        Value::Object(members) => found
            .members(members)
            .into_iter()
            .filter(|(name, _)| found.is_named(name) || !UNASKED.contains(&name.as_str()))
            .filter(|(_, value)| !value.is_null() && !value.is_object() && !value.is_array())
            .map(|(name, value)| (capitalized(&printable(name)), cell(value)))
            .collect(),
        Value::Array(items) => {
            (1..).zip(items).map(|(at, item)| (format!("Column{at}"), cell(item))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            vec![(String::new(), cell(row))]
        }
    }
}

fn capitalized(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

fn flatten(name: String, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(format!("{name}{dot}{}", printable(member)), value, rows);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            rows.push((name, cell(value)));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
        (Output::new(format, query, Screen::Plain, Box::new(kept.clone())), kept)
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
    fn a_thing_shows_the_named_members_first() {
        let (mut output, kept) = output(Format::Table, "");
        let value = json!({"a": {"b": [1, 2], "c": null}, "status": "on\u{7}", "id": "x"});
        output.thing(&value, &["id", "status"]).unwrap();
        assert_eq!(kept.text(), "id      x\nstatus  on\u{fffd}\na.b     1, 2\n");
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
    fn a_table_that_would_be_empty_is_misuse() {
        let (mut output, _) = output(Format::Table, "x");
        let failure = output.value(&json!({"x": {"y": {}}})).unwrap_err();
        assert_eq!(failure.kind(), crate::failure::Kind::Usage);
    }
}
