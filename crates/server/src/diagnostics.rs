//! Where resource logs are written to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use dialect::rest::resource_log::Category;
use gateway::diagnostics::Diagnostics;

use crate::config::diagnostics::Diagnostics as Wanted;

/// The sink that is no file.
const STDOUT: &str = "stdout";

/// Starts what keeps resource logs; none where none are wanted.
///
/// # Errors
/// Every fault, each with its key in the configuration.
pub(crate) fn start(wanted: &Wanted) -> Result<Option<Diagnostics>, Vec<String>> {
    let categories = categories(wanted)?;
    let Some(sink) = &wanted.sink else { return Ok(None) };
    let fault = |error: io::Error| vec![format!("diagnostics.sink: {}: {error}", sink.display())];
    let started = match sink.to_str() {
        Some(STDOUT) => Diagnostics::start(io::stdout(), categories),
        Some(_) | None => LogFile::open(sink).and_then(|file| Diagnostics::start(file, categories)),
    };
    started.map(Some).map_err(fault)
}

/// The categories that are wanted, or every word that is none.
pub(crate) fn categories(wanted: &Wanted) -> Result<Vec<Category>, Vec<String>> {
    let Some(words) = &wanted.categories else { return Ok(Category::ALL.to_vec()) };
    let (known, unknown): (Vec<_>, Vec<_>) =
        words.iter().map(|word| Category::parse(word).ok_or(word)).partition(Result::is_ok);
    let names = Category::ALL.map(Category::name).join(", ");
    let faults: Vec<String> = unknown
        .into_iter()
        .filter_map(Result::err)
        .map(|word| format!("diagnostics.categories: {word:?} is none; there are {names}"))
        .collect();
    match faults.is_empty() {
        true => Ok(known.into_iter().filter_map(Result::ok).collect()),
        false => Err(faults),
    }
}

/// A file that lines are added to; once it was moved away, a new one in its place.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Registration ids are nobody's business but the operator's.
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Whether the file at the path is still the one that is open.
    fn is_there(&self) -> io::Result<bool> {
        let open = self.file.metadata()?;
        match fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Write for LogFile {
    /// Called once for a batch of lines: so rarely that to look for the file costs nothing.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if !self.is_there()? {
            *self = Self::open(&self.path)?;
        }
        self.file.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(categories: &[&str]) -> Wanted {
        let words = categories.iter().map(|word| (*word).to_owned()).collect();
        Wanted { sink: None, categories: Some(words) }
    }

    #[test]
    fn every_word_that_is_no_category_is_told() {
        let faults = categories(&wanted(&["Connections", "connections", "Routes"])).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("\"connections\"") && faults[0].contains("DeviceOperations"));
        assert_eq!(categories(&wanted(&["Connections"])).unwrap(), [Category::Connections]);
        assert_eq!(categories(&Wanted::default()).unwrap(), Category::ALL);
        assert!(start(&Wanted::default()).unwrap().is_none());
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = std::env::temp_dir().join(format!("muster-diagnostics-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (path, moved) = (dir.join("muster.jsonl"), dir.join("muster.jsonl.1"));
        let mut file = LogFile::open(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        file.write_all(b"two\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::remove_dir_all(&dir).unwrap();
    }
}
