//! The refused lines of a load, one JSON object each.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// A line that was refused. It holds nothing of the entry but its id: no key gets into a report.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused {
    /// Where it begins in the file, from 1.
    pub(super) line: u64,
    pub(super) registration_id: String,
    pub(super) error_code: u32,
    pub(super) message: String,
}

/// The report; its file is made with the first refused line.
pub(super) struct Report {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Report {
    /// Where the report of a load is if nothing else is said.
    pub(super) fn path(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".refused.jsonl");
        PathBuf::from(name)
    }

    /// Begins a report; one of an earlier load goes.
    pub(super) fn begin(path: PathBuf) -> Result<Self> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::file("write", &path, &error))
            }
            Ok(()) | Err(_) => Ok(Self { path, file: None, bytes: 0 }),
        }
    }

    /// Goes on with a report of so many bytes; what is behind them was not acknowledged.
    pub(super) fn resume(path: PathBuf, bytes: u64) -> Result<Self> {
        let mut report = Self { path, file: None, bytes: 0 };
        if bytes > 0 {
            let file = report.open()?;
            let fault = |error| Failure::file("write", &report.path, &error);
            let length = file.metadata().map_err(fault)?.len().min(bytes);
            file.set_len(length).map_err(fault)?;
            report.file = Some(file);
            report.bytes = length;
        } else {
            return Self::begin(report.path);
        }
        Ok(report)
    }

    /// Adds lines; they are in the file when this returns.
    pub(super) fn add(&mut self, refused: &[Refused]) -> Result {
        if refused.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for line in refused {
            serde_json::to_writer(&mut text, line)
                .map_err(|error| Failure::new(format!("can not write the report: {error}")))?;
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(&text).map_err(|error| Failure::file("write", &self.path, &error))?;
        self.file = Some(file);
        self.bytes += u64::try_from(text.len()).unwrap_or_default();
        Ok(())
    }

    /// How many bytes it has.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where it is.
    pub(super) fn place(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(&self.path);
        file.map_err(|error| Failure::file("write", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_report_drops_what_was_not_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let path = Report::path(&dir.path().join("f.csv"));
        let refused = |line| Refused {
            line,
            registration_id: format!("d{line}"),
            error_code: 400_000,
            message: "no".to_owned(),
        };
        let mut report = Report::begin(path.clone()).unwrap();
        assert!(!path.exists(), "without a refusal there is no report");
        report.add(&[refused(1)]).unwrap();
        let acknowledged = report.bytes();
        report.add(&[refused(2), refused(3)]).unwrap();
        let mut report = Report::resume(path.clone(), acknowledged).unwrap();
        report.add(&[refused(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(
            text.lines().last(),
            Some(r#"{"line":2,"registrationId":"d2","errorCode":400000,"message":"no"}"#)
        );
        Report::begin(path.clone()).unwrap();
        assert!(!path.exists());
    }
}
