//! What goes to standard output: tables for people, JSON for programs.

use std::io::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde_json::Value;

use crate::failure::Result;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables, for people.
    #[default]
    Table,
    /// One JSON document, for programs.
    #[value(alias = "jsonc")]
    Json,
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
    sink: Box<dyn Write + Send>,
}

impl Output {
    pub(crate) fn new(format: Format, sink: Box<dyn Write + Send>) -> Self {
        Self { format, sink }
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// One thing: its members as rows, `first` in front, or as JSON.
    pub(crate) fn thing(&mut self, value: &Value, first: &[&str]) -> Result {
        match self.format {
            Format::Json => self.json(value),
            Format::Table => {
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
        }
    }

    /// One line of text, a JSON string to programs.
    pub(crate) fn text(&mut self, text: &str) -> Result {
        match self.format {
            Format::Json => self.json(&Value::from(text)),
            Format::Table => self.line(text),
        }
    }

    /// One line, whatever the form.
    pub(crate) fn line(&mut self, line: &str) -> Result {
        Ok(writeln!(self.sink, "{line}")?)
    }

    /// One JSON document.
    pub(crate) fn json(&mut self, value: &Value) -> Result {
        Ok(writeln!(self.sink, "{value:#}")?)
    }

    /// A list that is here already.
    pub(crate) fn list(&mut self, columns: &'static [Column], values: &[Value]) -> Result {
        let mut list = self.open_list(columns);
        list.page(values)?;
        list.close()
    }

    /// A list that comes page by page and is written as it comes.
    pub(crate) const fn open_list(&mut self, columns: &'static [Column]) -> List<'_> {
        List { output: self, columns, widths: Vec::new(), written: 0 }
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
}

impl List<'_> {
    /// Writes one page of it.
    pub(crate) fn page(&mut self, values: &[Value]) -> Result {
        match self.output.format {
            Format::Json => self.json_page(values),
            Format::Table if values.is_empty() => Ok(()),
            Format::Table => self.table_page(values),
        }?;
        self.written += values.len();
        self.output.flush()
    }

    /// Ends it.
    pub(crate) fn close(self) -> Result {
        let sink = &mut self.output.sink;
        match (self.output.format, self.written) {
            (Format::Json, 0) => writeln!(sink, "[]")?,
            (Format::Json, _) => writeln!(sink, "\n]")?,
            (Format::Table, 0) => eprintln!("(none)"),
            (Format::Table, _) => {}
        }
        Ok(())
    }

    fn json_page(&mut self, values: &[Value]) -> Result {
        for (at, value) in values.iter().enumerate() {
            let opening = if self.written + at == 0 { "[\n  " } else { ",\n  " };
            let text = format!("{value:#}").replace('\n', "\n  ");
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

    fn pages(format: Format, pages: &[Value]) -> String {
        let kept = Kept::default();
        let mut output = Output::new(format, Box::new(kept.clone()));
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
        let kept = Kept::default();
        let mut output = Output::new(Format::Table, Box::new(kept.clone()));
        let value = json!({"a": {"b": [1, 2], "c": null}, "status": "on\u{7}", "id": "x"});
        output.thing(&value, &["id", "status"]).unwrap();
        assert_eq!(kept.text(), "id      x\nstatus  on\u{fffd}\na.b     1, 2\n");
    }
}
