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

/// What is at the other end of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// A program or a file, which gets every character as it is.
    None,
    /// A terminal without colors.
    Plain,
    /// A terminal with colors.
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
            Format::Yaml => self.harmless(form::yaml(&found.value)?),
            Format::Tsv => self.harmless(form::tsv(&found)),
            Format::None => String::new(),
        };
        Ok(self.sink.write_all(text.as_bytes())?)
    }

    /// The text as it may be written: what a device sent can not drive a terminal.
    fn harmless(&self, text: String) -> String {
        match self.screen {
            Screen::None => text,
            Screen::Plain | Screen::Colored => {
                text.split('\t').map(printable).collect::<Vec<_>>().join("\t")
            }
        }
    }

    fn json(&self, value: &Value) -> String {
        let text = self.harmless(format!("{value:#}"));
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
        Value::Object(members) => {
            let inside = |value: &Value| match value.is_object() {
                true => format!("({})", cell(value)),
                false => cell(value),
            };
            let all = members
                .iter()
                .map(|(name, value)| format!("{}={}", printable(name), inside(value)));
            all.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
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
        // A line each, which `cell` has no room for.
        Value::Array(items) if items.iter().any(Value::is_object) => {
            rows.push((name, items.iter().map(cell).collect::<Vec<_>>().join("\n")));
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            rows.push((name, cell(value)));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
