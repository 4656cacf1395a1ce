//! What Muster costs, beside what TLS costs anyway: `cargo bench -p e2e`.
//!
//! Phases, all unless some are named: `registrations`, `lookups` (and starts), `bulk`, `tpm`,
//! `webhook`, `storm`.
//! `--largest` looks up among ten million enrollments as well, which takes a while to write and
//! some gigabytes; stores of enrollments are kept under the target folder for the next run.
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
mod bulk;
mod fleet;
mod load;
mod lookups;
mod machine;
mod process;
mod register;
mod registrations;
mod seed;
mod server;
mod stats;
mod storm;
mod tpm;
mod webhook;

use std::path::PathBuf;
use std::{env, fs};

/// What to measure, and how long.
struct Plan {
    quick: bool,
    largest: bool,
    only: Option<String>,
    phases: Vec<String>,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let only = arguments.iter().find_map(|argument| argument.strip_prefix("--only="));
        // Cargo adds `--bench`.
        let phases = arguments.iter().filter(|argument| !argument.starts_with("--"));
        Self {
            quick: has("--quick"),
            largest: has("--largest"),
            only: only.map(str::to_owned),
            phases: phases.cloned().collect(),
        }
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
    if let Some((first, rest)) = arguments.split_first()
        && first == storm::ARGUMENT
    {
        return storm::run_storm(rest);
    }
    let plan = Plan::of(&arguments);
    server::build();
    machine::describe();
    if plan.has("registrations") {
        registrations::run(&fresh_dir("registrations"), plan.quick, plan.only.as_deref());
    }
    if plan.has("lookups") {
        lookups::run(&kept_dir("lookups"), plan.quick, plan.largest);
    }
    if plan.has("bulk") {
        bulk::run(&fresh_dir("bulk"), plan.quick);
    }
    if plan.has("tpm") {
        tpm::run(&fresh_dir("tpm"), plan.quick);
    }
    if plan.has("webhook") {
        webhook::run(&fresh_dir("webhook"), plan.quick);
    }
    if plan.has("storm") {
        storm::run(&fresh_dir("storm"), plan.quick, plan.only.as_deref());
    }
}

/// A folder that is kept from run to run, under the target folder.
fn kept_dir(phase: &str) -> PathBuf {
    let dir = server::target().join("bench").join(phase);
    fs::create_dir_all(&dir).unwrap();
    dir
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
