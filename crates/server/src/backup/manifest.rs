//! What is in a backup: names, sizes, SHA-256.

use std::io::{self, Write};

use anyhow::Result;
use aws_lc_rs::digest::{Context, SHA256};
use model::Timestamp;
use serde::{Deserialize, Serialize};

/// The first file of the archive.
pub(super) const NAME: &str = "manifest.json";
/// The second one: the SHA-256 of the first, in hexadecimal digits, and a line feed.
pub(super) const SUM_NAME: &str = "manifest.json.sha256";
/// Bytes of a manifest. Source: ours; 100,000 segments of telemetry stay under half of it.
pub(super) const BYTES_MAX: u64 = 64 << 20;
/// The form of the archive; another one is refused.
pub(super) const FORMAT: u32 = 1;

/// The manifest.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) made: Timestamp,
    pub(super) files: Vec<Entry>,
}

/// One file: its path in the data directory, with `/` between.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Manifest {
    pub(super) fn new(made: Timestamp, files: Vec<Entry>) -> Self {
        Self { format: FORMAT, made, files }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.size).sum()
    }

    /// The text and the text of its sum.
    pub(super) fn written(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let text = serde_json::to_vec_pretty(self)?;
        let sum = sum_of(&text);
        Ok((text, sum))
    }
}

/// The content of [`SUM_NAME`] for a manifest's text.
pub(super) fn sum_of(text: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new();
    hasher.0.update(text);
    format!("{}\n", hasher.hex()).into_bytes()
}

/// SHA-256 of what is written to it.
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn hex(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
