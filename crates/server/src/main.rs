//! `muster`: the server and the operator's commands in one binary.

mod admin;
mod backup;
mod banner;
mod bootstrap;
mod certificates;
mod config;
mod diagnostics;
mod environment;
mod files;
mod fixture;
mod home;
mod issuers;
mod linked_hubs;
mod listen;
mod monitor;
mod open_files;
mod pki;
mod serve;
mod traces;
mod webhooks;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use config::access::Access;
use config::linked_hubs::LinkedHubs;
use config::tls::Tls;
use config::webhooks::Webhooks;
use config::{Config, Flags};
use environment::SystemClock;
use service::Clock;

/// Preloaded in place of the C library's allocator, it saved a twentieth of the server's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A self-hosted Device Provisioning Service and IoT Hub, on the wire of the real ones.
#[derive(Parser)]
#[command(name = "muster", version, propagate_version = true)]
struct Muster {
    #[command(flatten)]
    global: cli::GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server; without any configuration it makes what it needs.
    Serve(serve::ServeArgs),
    /// Save the data directory into one file, while the server runs.
    Backup(backup::BackupArgs),
    /// Put a backup into an empty data directory.
    Restore(backup::RestoreArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what a shell needs to complete these commands.
    ///
    /// bash: source <(muster completion bash)
    /// zsh:  source <(muster completion zsh)
    /// fish: muster completion fish | source
    #[command(verbatim_doc_comment)]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Operator(cli::Commands),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check the configuration and tell all faults at once.
    Check(Flags),
    /// Print the configuration in force, with its defaults.
    Show(Flags),
}

fn main() -> ExitCode {
    let Muster { global, command } = Muster::parse();
    match command {
        Command::Serve(args) => match load(args.flags.clone(), &global, file_faults) {
            Ok(config) => report(serve::serve(&config, &args, global.named_data_dir())),
            Err(code) => code,
        },
        Command::Backup(args) => {
            let flags = Flags { config: args.config.clone(), ..Flags::default() };
            match load(flags, &global, unread) {
                Ok(config) => kept(&global, backup::backup(&config.data_dir, &args)),
                Err(code) => code,
            }
        }
        Command::Restore(args) => {
            let flags = Flags { config: args.config.clone(), ..Flags::default() };
            match load(flags, &global, unread) {
                Ok(config) => kept(&global, backup::restore(&config.data_dir, &args)),
                Err(code) => code,
            }
        }
        Command::Config(ConfigCommand::Check(flags)) => match load(flags, &global, file_faults) {
            Ok(config) => {
                warn(&config);
                say("The configuration has no fault.\n");
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
        Command::Config(ConfigCommand::Show(flags)) => match load(flags, &global, unread) {
            Ok(config) => report(show(&config)),
            Err(code) => code,
        },
        Command::Completion { shell } => {
            // Into memory first: the library panics where a pipe's reader has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Muster::command(), "muster", &mut script);
            say(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
        Command::Operator(command) => {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(cli::run(command, global)),
                Err(error) => report(Err(error.into())),
            }
        }
    }
}

/// The exit code of a wrong configuration, as of wrong arguments.
const USAGE: u8 = 2;

fn load(
    flags: Flags,
    global: &cli::GlobalArgs,
    files: fn(&Tls, &Webhooks, &Access, &LinkedHubs) -> Vec<String>,
) -> Result<Config, ExitCode> {
    let flags = Flags { data_dir: global.named_data_dir().map(Into::into), ..flags };
    Config::load(&flags, files).map_err(|faults| {
        eprintln!("error: {faults}");
        ExitCode::from(USAGE)
    })
}

/// Every fault of the files that the configuration names.
fn file_faults(tls: &Tls, webhooks: &Webhooks, access: &Access, hubs: &LinkedHubs) -> Vec<String> {
    let faults = certificates::faults(tls).into_iter().chain(webhooks::faults(webhooks));
    let faults = faults.chain(issuers::faults(access.issuers_file.as_ref()));
    faults.chain(linked_hubs::faults(hubs)).collect()
}

/// For commands that do not need the files that the configuration names.
const fn unread(_: &Tls, _: &Webhooks, _: &Access, _: &LinkedHubs) -> Vec<String> {
    Vec::new()
}

/// What is no fault of a configuration without one.
fn warn(config: &Config) {
    if let Ok(loaded) = certificates::load(&config.tls.certificates, SystemClock.now()) {
        for warning in loaded.warnings {
            eprintln!("warning: {warning}");
        }
    }
}

fn show(config: &Config) -> anyhow::Result<()> {
    say(&format!("{}\n", serde_json::to_string_pretty(config)?));
    Ok(())
}

/// Writes to standard output; a reader that went away is no fault of ours.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Tells of a backup, or that there is none.
fn kept(global: &cli::GlobalArgs, done: anyhow::Result<backup::Done>) -> ExitCode {
    match done {
        Ok(done) => cli::tell(global, &done.line(), &done.value()),
        Err(error) => report(Err(error)),
    }
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.is::<fixture::Faults>() {
                true => ExitCode::from(USAGE),
                false => ExitCode::FAILURE,
            }
        }
    }
}
