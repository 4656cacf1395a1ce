//! `muster iot dps policy` and `muster iot hub policy`: shared access policies.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::common::AdminArgs;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::Kind;
use crate::output::{Column, at, column};

/// Keys are shown by `policy show` and `connection-string show`, not in lists.
const COLUMNS: &[Column] = &[column!("Policy", "keyName"), column!("Rights", "rights")];

/// Shared access policies of a service.
#[derive(Debug, Args)]
pub(crate) struct Policies {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the policies and their rights.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Show a policy with its keys.
    Show {
        /// Name of the policy.
        #[arg(long, visible_aliases = ["pn", "name", "access-policy-name"], short = 'n')]
        policy_name: String,
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// Name of the service; may be left out where there is only one.
    #[arg(long, visible_alias = "hub-name", value_name = "NAME")]
    dps_name: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Policies {
    pub(crate) async fn run(self, session: &mut Session, kind: Kind) -> Result {
        match self.verb {
            Verb::List { of } => {
                let policies = of.policies(session, kind).await?;
                session.output.list(COLUMNS, &policies)
            }
            Verb::Show { policy_name, of } => {
                let policies = of.policies(session, kind).await?;
                let found = pick(&policies, &policy_name)?;
                session.output.thing(found, &["keyName", "rights"])
            }
        }
    }
}

impl Of {
    async fn policies(&self, session: &Session, kind: Kind) -> Result<Vec<Value>> {
        let admin = self.admin.find(session)?;
        let found = admin.resource(kind, self.dps_name.as_deref()).await?;
        admin.policies(kind, &found.name).await
    }
}

/// The policy of that name.
pub(crate) fn pick<'p>(policies: &'p [Value], name: &str) -> Result<&'p Value> {
    let is_meant = |policy: &&Value| {
        at(policy, &["keyName"]).as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    policies.iter().find(is_meant).ok_or_else(|| {
        let names: Vec<&str> =
            policies.iter().filter_map(|policy| at(policy, &["keyName"]).as_str()).collect();
        Failure::not_found(format!("there is no policy '{name}'"))
            .hint(format!("there are: {}", names.join(", ")))
    })
}
