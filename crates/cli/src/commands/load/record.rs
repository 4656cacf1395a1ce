//! The entries of a file, one after the other, as the service takes them.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use serde::Deserialize;

use super::csv::Csv;
use crate::failure::{Failure, Result};

/// Bytes of one entry; the service takes no more. Source: `dps-service-api` V-27, 96 KiB.
pub(super) const RECORD_BYTES_MAX: usize = 96 * 1024;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// The error code of what the file itself has wrong; the service's for a body that it can not read.
const BAD_RECORD: u32 = 400_000;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    #[value(alias = "ndjson", alias = "json-lines")]
    Jsonl,
}

impl FileFormat {
    /// The format that a file's name ends in.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            _ => Err(Failure::usage(format!("what is in {}?", path.display()))
                .hint("say it with --format csv or --format jsonl")),
        }
    }
}

/// One entry of a file.
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    /// The entry, or why it is none.
    pub(super) entry: Result<Entry, Bad>,
}

/// An entry, as one line of JSON.
pub(super) struct Entry {
    /// Its registration id.
    pub(super) id: String,
    /// The line, without its end.
    pub(super) json: Vec<u8>,
}

/// What is wrong with an entry.
#[derive(Debug)]
pub(super) struct Bad {
    /// The id, where one could be read.
    pub(super) id: String,
    /// The service's code for such a thing.
    pub(super) code: u32,
    /// What is wrong, in words.
    pub(super) message: String,
}

impl Bad {
    pub(super) fn new(id: &str, message: impl fmt::Display) -> Self {
        Self { id: id.to_owned(), code: BAD_RECORD, message: message.to_string() }
    }

    pub(super) fn too_long() -> Self {
        Self::new("", format_args!("the entry is longer than {RECORD_BYTES_MAX} bytes"))
    }
}

/// A file being read: never more of it is in memory than one entry and a buffer.
pub(super) struct Records {
    kind: Kind,
    lines: Lines<BufReader<File>>,
    bytes: u64,
    /// What was read so far, so that a resumed load can see that the file is the same.
    digest: digest::Context,
    count: u64,
}

enum Kind {
    Csv(Box<Csv>),
    Jsonl,
}

impl Records {
    /// Opens a file; of CSV the header is read.
    pub(super) fn open(path: &Path, format: FileFormat) -> Result<Self> {
        let unreadable = |error| Failure::file("read", path, &error);
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, file), path);
        let dir = path.parent().unwrap_or_else(|| Path::new("")).to_path_buf();
        let kind = match format {
            FileFormat::Csv => Kind::Csv(Box::new(Csv::open(&mut lines, dir)?)),
            FileFormat::Jsonl => Kind::Jsonl,
        };
        let digest = digest::Context::new(&digest::SHA256);
        Ok(Self { kind, lines, bytes, digest, count: 0 })
    }

    /// The next entry; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        let record = match &mut self.kind {
            Kind::Csv(csv) => csv.next(&mut self.lines, &mut self.digest)?,
            Kind::Jsonl => json_line(&mut self.lines, &mut self.digest)?,
        };
        self.count += u64::from(record.is_some());
        Ok(record)
    }

    /// How many entries were read.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes the file has.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many bytes were read.
    pub(super) const fn read(&self) -> u64 {
        self.lines.read
    }

    /// The hash of all entries that were read.
    pub(super) fn digest(&self) -> String {
        let hash = self.digest.clone().finish();
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Bytes with the number of the line that they are on; a byte order mark is skipped.
pub(super) struct Lines<R> {
    from: R,
    path: PathBuf,
    /// The line of the next byte, from 1.
    pub(super) line: u64,
    read: u64,
    begun: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R, path: &Path) -> Self {
        Self { from, path: path.to_path_buf(), line: 1, read: 0, begun: false }
    }

    /// What is to be read next; empty at the end.
    pub(super) fn buffer(&mut self) -> Result<&[u8]> {
        if !self.begun {
            self.begun = true;
            let path = &self.path;
            let first =
                self.from.fill_buf().map_err(|error| Failure::file("read", path, &error))?;
            if first.starts_with(b"\xef\xbb\xbf") {
                self.from.consume(3);
                self.read += 3;
            }
        }
        let path = &self.path;
        self.from.fill_buf().map_err(|error| Failure::file("read", path, &error))
    }

    /// Says that so many bytes of the buffer were taken.
    pub(super) fn took(&mut self, bytes: usize) -> Result {
        let taken = self.buffer()?.get(..bytes).unwrap_or_default();
        let ends = taken.iter().filter(|byte| **byte == b'\n').count();
        self.line += u64::try_from(ends).unwrap_or_default();
        self.read += u64::try_from(bytes).unwrap_or_default();
        self.from.consume(bytes);
        Ok(())
    }

    /// One line without its end, and whether it was longer than the bound; none at the end.
    fn next_line(&mut self, line: &mut Vec<u8>) -> Result<Option<Length>> {
        line.clear();
        let mut length = Length::Whole;
        let mut any = false;
        loop {
            let buffer = self.buffer()?;
            if buffer.is_empty() {
                return Ok(any.then_some(length));
            }
            any = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if line.len() + part.len() > RECORD_BYTES_MAX {
                length = Length::TooLong;
            } else {
                line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.took(taken)?;
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

enum Length {
    Whole,
    TooLong,
}

/// What a line is known by.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    registration_id: Option<String>,
}

/// The next line that is not empty.
fn json_line<R: BufRead>(
    lines: &mut Lines<R>,
    digest: &mut digest::Context,
) -> Result<Option<Record>> {
    let mut text = Vec::new();
    loop {
        let line = lines.line;
        let Some(length) = lines.next_line(&mut text)? else { return Ok(None) };
        let trimmed = text.trim_ascii();
        if matches!(length, Length::Whole) && trimmed.is_empty() {
            continue;
        }
        digest.update(trimmed);
        digest.update(b"\n");
        let entry = match length {
            Length::TooLong => Err(Bad::too_long()),
            Length::Whole => entry(trimmed),
        };
        return Ok(Some(Record { line, entry }));
    }
}

fn entry(text: &[u8]) -> Result<Entry, Bad> {
    let named: Named = serde_json::from_slice(text).map_err(|error| {
        // The text itself is not quoted: it may hold a key.
        Bad::new("", format_args!("the line is not a JSON object, at column {}", error.column()))
    })?;
    match named.registration_id {
        Some(id) if !id.is_empty() => Ok(Entry { id, json: text.to_vec() }),
        Some(_) | None => Err(Bad::new("", "registrationId is missing")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What comes of a file, a word for each entry.
    pub(crate) fn told(name: &str, content: &[u8], format: FileFormat) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut records = Records::open(&path, format).unwrap_or_else(|error| panic!("{error}"));
        let mut told = Vec::new();
        while let Some(Record { line, entry }) = records.next().unwrap() {
            told.push(match entry {
                Ok(entry) => format!("{line} {}", String::from_utf8(entry.json).unwrap()),
                Err(bad) => format!("{line} {:?} {}", bad.id, bad.message),
            });
        }
        assert_eq!(records.read(), records.bytes());
        told
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does() {
        let content =
            b"\xef\xbb\xbf{\"registrationId\":\"a\"}\r\n\n  \n {\"registrationId\":\"b\"}";
        let told = told("f.jsonl", content, FileFormat::Jsonl);
        assert_eq!(told, [r#"1 {"registrationId":"a"}"#, r#"4 {"registrationId":"b"}"#]);
    }

    #[test]
    fn hostile_lines_are_told_and_passed_over() {
        let mut content =
            b"{\"registrationId\":\"a\xff\"}\n{\"registrationId\":7}\n[]\n{}\n".to_vec();
        content.extend(vec![b'x'; 3 * RECORD_BYTES_MAX]);
        content.extend(b"\n{\"registrationId\":\"deep\",\"x\":");
        content.extend(vec![b'['; 90_000]);
        content.extend(b"\n{\"registrationId\":\"last\"}\n");
        let told = told("f.jsonl", &content, FileFormat::Jsonl);
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told[0].starts_with("1 \"\" the line is not a JSON object"), "{told:?}");
        assert_eq!(told[4], "5 \"\" the entry is longer than 98304 bytes");
        assert_eq!(told[6], r#"7 {"registrationId":"last"}"#);
    }

    #[test]
    fn the_form_is_told_by_the_name() {
        assert_eq!(FileFormat::of(Path::new("a.CSV")).unwrap(), FileFormat::Csv);
        assert_eq!(FileFormat::of(Path::new("a.ndjson")).unwrap(), FileFormat::Jsonl);
        assert!(FileFormat::of(Path::new("a.txt")).is_err());
    }
}
