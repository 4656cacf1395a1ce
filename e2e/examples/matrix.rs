//! Writes `docs/compatibility.md` from what the end-to-end tests noted.
#![allow(clippy::unwrap_used, reason = "a tool of the tests")]

use std::path::Path;

fn main() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    std::fs::write(page, e2e::compatibility()).unwrap();
}
