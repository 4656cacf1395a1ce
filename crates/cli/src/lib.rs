//! The operator's commands, in `az`'s grammar: `muster iot dps enrollment create …`.
//!
//! What it is: the subcommands beside `serve` of the one binary ([`Commands`]), a client of the
//! REST APIs of DPS, hub and administration, a maker of practice certificates (`muster ca`) and a
//! simulated device (`muster device`).
//!
//! What it is not: a part of the server. It links no store and no protocol codec; all that it
//! knows of the server it learns by HTTPS and from `admin.json` in the data directory.
//!
//! Invariants:
//! - Every spelling of `az`'s options for these commands is taken, so that a written procedure
//!   runs with `muster` in `az`'s place.
//! - Standard output carries the answer alone: a table for people, or what `--output` and
//!   `--query` say for programs. Everything else goes to standard error.
//! - A failure says what and where in one line, and names the next step in another. Exit codes:
//!   0 done, 1 failed, 2 misused, 3 not found.
//! - Private keys are written with mode 0600, and no file is overwritten unasked.

mod commands;
mod connection_string;
mod failure;
mod https;
mod locate;
mod output;
mod service;
mod token;
mod transport;

#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser};
use model::Timestamp;
use serde_json::Value;

pub use commands::Commands;
pub use output::{Format, Query};
pub use token::AuthType;

use crate::failure::Kind;
use crate::https::Https;
use crate::output::{Output, Screen};
use crate::transport::Transport;

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct GlobalArgs {
    /// Form of the output.
    #[arg(
        long,
        short = 'o',
        global = true,
        value_enum,
        default_value_t,
        ignore_case = true,
        help_heading = GLOBAL
    )]
    pub output: Format,
    /// Show only this part of the answer: a JMESPath expression.
    #[arg(
        long,
        global = true,
        value_parser = Query::parse,
        value_name = "JMESPATH",
        help_heading = GLOBAL
    )]
    pub query: Option<Query>,
    /// The server's data directory; its admin.json tells where the server is
    /// [default: ./muster-data].
    #[arg(
        long,
        global = true,
        env = "MUSTER_DATA_DIR",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        value_name = "DIR",
        help_heading = GLOBAL
    )]
    pub data_dir: Option<PathBuf>,
    /// CA certificate to believe the server by, a PEM file.
    #[arg(
        long,
        global = true,
        env = "MUSTER_CA_FILE",
        value_name = "FILE",
        help_heading = GLOBAL
    )]
    pub ca_file: Option<PathBuf>,
    /// What to sign in with: a policy's key, or a bearer token, of --token-file or MUSTER_TOKEN
    /// [default: a token where there is one].
    #[arg(long, global = true, value_enum, ignore_case = true, help_heading = GLOBAL)]
    pub auth_type: Option<AuthType>,
    /// A file with a bearer token.
    #[arg(
        long,
        global = true,
        env = "MUSTER_TOKEN_FILE",
        value_name = "FILE",
        help_heading = GLOBAL
    )]
    pub token_file: Option<PathBuf>,
}

/// Above the options of every command, in help texts.
const GLOBAL: &str = "Global options";

/// Where the server keeps everything when nothing else is said.
pub const DATA_DIR_DEFAULT: &str = "muster-data";

impl GlobalArgs {
    /// The server's data directory, where one is named; an empty `MUSTER_DATA_DIR=` names none.
    pub fn named_data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
    }

    /// The server's data directory.
    fn data_dir(&self) -> PathBuf {
        self.named_data_dir().unwrap_or_else(|| Path::new(DATA_DIR_DEFAULT)).to_owned()
    }
}

/// What a command works with.
struct Session {
    global: GlobalArgs,
    /// The bearer token of the environment.
    token: Option<String>,
    transport: Arc<dyn Transport>,
    clock: fn() -> Timestamp,
    output: Output,
}

/// Runs one command to its end; what it has to say is written when it returns.
pub async fn run(command: Commands, global: GlobalArgs) -> ExitCode {
    let output = output(&global);
    let transport = Arc::new(Https { system_bundle: variable("SSL_CERT_FILE").map(PathBuf::from) });
    let token = variable("MUSTER_TOKEN");
    let mut session = Session { global, token, transport, clock: now, output };
    let done = match command.run(&mut session).await {
        Ok(()) => session.output.flush(),
        Err(failure) => Err(failure),
    };
    ended(done)
}

/// Tells what a command of the server's own has done: a line to a person, an object to a program.
pub fn tell(global: &GlobalArgs, line: &str, done: &Value) -> ExitCode {
    let mut output = output(global);
    let told = if output.tells() { output.line(line) } else { output.value(done) };
    ended(told.and_then(|()| output.flush()))
}

fn output(global: &GlobalArgs) -> Output {
    let stdout = std::io::stdout();
    let colors = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    let screen = match (stdout.is_terminal(), colors) {
        (false, false) => Screen::None,
        (true, false) => Screen::Plain,
        (_, true) => Screen::Colored,
    };
    Output::new(global.output, global.query.clone(), screen, Box::new(stdout))
}

fn ended(done: failure::Result) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.kind() != Kind::Unread {
                eprintln!("{failure}");
            }
            failure.exit_code()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver of the commands; they are handed this")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_unix_seconds(0).plus(since.unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "those that are no options, which clap reads")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
