//! What Muster costs, beside what TLS costs anyway: `cargo bench -p e2e`.
//!
//! Phases, all unless some are named: `registrations`, `lookups`, `start`, `bulk`.
//! `--quick` makes all numbers small: it shows that the phases work, not what they cost.
//! `--only=NAME` keeps to one kind of registration and its yardstick, for a profiler to look at.
//! Results go to standard output as Markdown; docs/benchmarks.md tells what they mean.
//!
//! Both ends run on this machine. The server is the release binary, a process of its own on
//! ports of the system's choice; its data directory lies under the target folder, which must be a
//! disk and not memory for durability to cost what it costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a measuring program: it fails by panicking"
)]

mod bare;
mod fleet;
mod load;
mod machine;
mod process;
mod register;
mod registrations;
mod server;
mod stats;

use std::path::PathBuf;
use std::{env, fs};

/// What to measure, and how long.
struct Plan {
    quick: bool,
    only: Option<String>,
    phases: Vec<String>,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let quick = arguments.iter().any(|argument| argument == "--quick");
        let only = arguments.iter().find_map(|argument| argument.strip_prefix("--only="));
        // Cargo adds `--bench`.
        let phases = arguments.iter().filter(|argument| !argument.starts_with("--"));
        Self { quick, only: only.map(str::to_owned), phases: phases.cloned().collect() }
    }

    fn has(&self, phase: &str) -> bool {
        self.phases.is_empty() || self.phases.iter().any(|named| named == phase)
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == bare::ARGUMENT
    {
        return bare::run(rest);
    }
    let plan = Plan::of(&arguments);
    server::build();
    machine::describe();
    if plan.has("registrations") {
        registrations::run(&fresh_dir("registrations"), plan.quick, plan.only.as_deref());
    }
}

/// A new folder for a phase, under the target folder.
fn fresh_dir(phase: &str) -> PathBuf {
    let dir = server::target().join("bench").join(phase);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}
