//! Options that many commands share, and how their values are read.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap::builder::{BoolishValueParser, ValueParser};
use serde_json::{Map, Value};

use crate::Session;
use crate::failure::{self, Failure, Result};
use crate::locate::{self, Kind};
use crate::service::Service;

/// `--flag`, `--flag true`, `--flag false`: `az`'s three-state flags.
pub(crate) fn flag() -> ValueParser {
    ValueParser::new(BoolishValueParser::new())
}

/// Options that place a thing in the cloud; there is none, they are taken and not used.
#[derive(Debug, Default, Args)]
pub(crate) struct Ignored {
    #[arg(long, short = 'g', hide = true)]
    resource_group: Option<String>,
    #[arg(long, hide = true)]
    subscription: Option<String>,
    #[arg(long, hide = true)]
    only_show_errors: bool,
    #[arg(long, hide = true)]
    no_wait: bool,
    #[arg(long, hide = true)]
    verbose: bool,
    #[arg(long, hide = true)]
    debug: bool,
}

/// Which provisioning service.
#[derive(Debug, Args)]
pub(crate) struct DpsArgs {
    /// Name or host of the provisioning service; may be left out where there is only one.
    #[arg(long, short = 'n', value_name = "NAME")]
    dps_name: Option<String>,
    /// Connection string of the provisioning service; wins over its name.
    #[arg(long, short = 'l', value_name = "CONNECTION_STRING")]
    login: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

impl DpsArgs {
    pub(crate) async fn service(&self, session: &Session) -> Result<Service> {
        let (login, name) = (self.login.as_deref(), self.dps_name.as_deref());
        locate::service(session, Kind::Dps, login, name).await
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.dps_name.as_deref()
    }

    pub(crate) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }
}

/// Which hub.
#[derive(Debug, Args)]
pub(crate) struct HubArgs {
    /// Name or host of the hub; may be left out where there is only one.
    #[arg(long, short = 'n', value_name = "NAME")]
    hub_name: Option<String>,
    /// Connection string of the hub; wins over its name.
    #[arg(long, short = 'l', value_name = "CONNECTION_STRING")]
    login: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

impl HubArgs {
    pub(crate) async fn service(&self, session: &Session) -> Result<Service> {
        let (login, name) = (self.login.as_deref(), self.hub_name.as_deref());
        locate::service(session, Kind::Hub, login, name).await
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.hub_name.as_deref()
    }

    pub(crate) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }
}

/// Where the administration API is, for commands about services as such.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// Connection string of the server's administration; else admin.json is read.
    #[arg(long, value_name = "CONNECTION_STRING")]
    login: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

impl AdminArgs {
    pub(crate) fn find(&self, session: &Session) -> Result<locate::Admin> {
        locate::Admin::find(session, self.login.as_deref())
    }
}

/// A provisioning service, for commands whose `-n` names something in it.
#[derive(Debug, Args)]
pub(crate) struct DpsOfAdmin {
    /// Name or host of the provisioning service; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    dps_name: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl DpsOfAdmin {
    pub(crate) async fn find(&self, session: &Session) -> Result<(locate::Admin, String)> {
        let admin = self.admin.find(session)?;
        let resource = admin.resource(Kind::Dps, self.dps_name.as_deref()).await?;
        Ok((admin, resource.name))
    }
}

/// `--yes`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Yes {
    /// Do not ask.
    #[arg(long, short = 'y', num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    yes: Option<bool>,
}

impl Yes {
    /// Whether the answer is given ahead.
    pub(crate) const fn is_given(self) -> bool {
        matches!(self.yes, Some(true))
    }
}

/// Asks before something goes that much rests on, where there is somebody to ask.
///
/// `az` asks for none of these, and does not know their `--yes`: so a script runs through, and
/// only a person at a terminal is asked.
pub(crate) fn confirm(question: &str, yes: Yes) -> Result {
    use std::io::IsTerminal;
    let mut stdin = std::io::stdin().lock();
    let terminal = stdin.is_terminal();
    ask(question, yes, terminal, &mut stdin)
}

fn ask(question: &str, yes: Yes, terminal: bool, answers: &mut dyn std::io::BufRead) -> Result {
    if yes.yes == Some(true) || !terminal {
        return Ok(());
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was deleted").hint("answer y, or give --yes")),
    }
}

/// A certificate file as the service takes it: PEM text, or base64 of DER (Z-05, V-13).
pub(crate) fn certificate(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text.trim_end().to_owned(),
        Err(binary) => STANDARD.encode(binary.into_bytes()),
    };
    if text.is_empty() {
        return Err(Failure::new(format!("{} is empty", path.display())));
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(Failure::usage(format!("{} holds a private key", path.display()))
            .hint("the service wants the certificate alone; keep the key with the device"));
    }
    Ok(text)
}

/// JSON given on the command line, or in a file that it names (`@file` too).
pub(crate) fn json(option: &str, text: &str) -> Result<Value> {
    let path = Path::new(text.strip_prefix('@').unwrap_or(text));
    let content = match text.starts_with('@') || path.is_file() {
        true => {
            std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?
        }
        false => text.to_owned(),
    };
    serde_json::from_str(&content).map_err(|error| {
        Failure::usage(format!("{option} is neither JSON nor a file of it: {error}"))
            .hint("in single quotes: '{\"site\": \"thl\"}'")
    })
}

/// A JSON object given like [`json`].
pub(crate) fn json_object(option: &str, text: &str) -> Result<Map<String, Value>> {
    match json(option, text)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::usage(format!("{option} is JSON, but not an object"))
                .hint("in single quotes: '{\"site\": \"thl\"}'"))
        }
    }
}

/// How often a change is made again because somebody else has written in between.
const OVERTAKEN_MAX: usize = 8;

/// Reads, changes and writes, and does so again on what is there by then as long as somebody else
/// writes in between: neither change is lost.
pub(crate) async fn until_not_overtaken<T>(change: impl AsyncFn() -> Result<T>) -> Result<T> {
    for _ in 0..OVERTAKEN_MAX {
        match change().await {
            Err(failure) if failure.kind() == failure::Kind::Overtaken => {}
            done => return done,
        }
    }
    change().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_and_a_script_is_not() {
        let (given, not) = (Yes { yes: Some(true) }, Yes::default());
        let asked = |yes, terminal, answer: &str| ask("?", yes, terminal, &mut answer.as_bytes());
        for answer in ["y\n", "YES\n"] {
            assert!(asked(not, true, answer).is_ok(), "{answer}");
        }
        for answer in ["\n", "", "n\n", "yess\n"] {
            assert!(asked(not, true, answer).is_err(), "{answer}");
        }
        assert!(asked(Yes { yes: Some(false) }, true, "").is_err());
        assert!(asked(given, true, "").is_ok());
        assert!(asked(not, false, "").is_ok());
    }
}
