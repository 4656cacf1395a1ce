//! `connection-string show`: what tools and SDKs want to be given.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::common::{DpsArgs, HubArgs, flag};
use super::policy::pick;
use crate::Session;
use crate::connection_string::ConnectionString;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind};
use crate::output::{at, cell};

/// `muster iot dps connection-string`.
#[derive(Debug, Args)]
pub(crate) struct OfDps {
    #[command(subcommand)]
    verb: DpsVerb,
}

#[derive(Debug, Subcommand)]
enum DpsVerb {
    /// Show the connection string of a provisioning service.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        dps: DpsArgs,
    },
}

/// `muster iot hub connection-string`.
#[derive(Debug, Args)]
pub(crate) struct OfHub {
    #[command(subcommand)]
    verb: HubVerb,
}

#[derive(Debug, Subcommand)]
enum HubVerb {
    /// Show the connection string of a hub.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        hub: HubArgs,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// Policy whose key it has; the one that may do everything when not given.
    #[arg(long, visible_alias = "pn", value_name = "POLICY")]
    policy_name: Option<String>,
    /// Which of the policy's keys.
    #[arg(long, visible_alias = "kt", value_enum, ignore_case = true, default_value = "primary")]
    key_type: KeyType,
    /// The strings of all policies.
    #[arg(long = "all", visible_alias = "show-all", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    all: Option<bool>,
}

/// Which of two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyType {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl KeyType {
    /// The member that holds it.
    pub(crate) const fn member(self) -> &'static str {
        match self {
            Self::Primary => "primaryKey",
            Self::Secondary => "secondaryKey",
        }
    }
}

impl OfDps {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let DpsVerb::Show { which, dps } = self.verb;
        which.show(session, Kind::Dps, dps.name(), dps.login()).await
    }
}

impl OfHub {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let HubVerb::Show { which, hub } = self.verb;
        which.show(session, Kind::Hub, hub.name(), hub.login()).await
    }
}

impl Which {
    async fn show(
        self,
        session: &mut Session,
        kind: Kind,
        name: Option<&str>,
        login: Option<&str>,
    ) -> Result {
        if login.is_some() {
            return Err(Failure::usage("--login already is a connection string")
                .hint("run this where the server's data directory is"));
        }
        let admin = Admin::find(session, None)?;
        let found = admin.resource(kind, name).await?;
        let policies = admin.policies(kind, &found.name).await?;
        let written = |policy: &Value| {
            ConnectionString::write(
                &found.host,
                admin.service.target.port,
                &cell(at(policy, &["keyName"])),
                &cell(at(policy, &[self.key_type.member()])),
            )
        };
        let answer = match self.all {
            Some(true) => {
                json!({"connectionString": policies.iter().map(written).collect::<Vec<_>>()})
            }
            Some(false) | None => {
                let policy = self.policy_name.as_deref().unwrap_or_else(|| kind.owner());
                json!({"connectionString": written(pick(&policies, policy)?)})
            }
        };
        write(session, &answer)
    }
}

/// One string a line, so that a shell can take it as it is; with its member name as JSON.
pub(crate) fn write(session: &mut Session, answer: &Value) -> Result {
    if !session.output.tells() {
        return session.output.value(answer);
    }
    match at(answer, &["connectionString"]) {
        Value::Array(all) => all.iter().try_for_each(|one| session.output.line(&cell(one))),
        one @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)) => session.output.line(&cell(one)),
    }
}
