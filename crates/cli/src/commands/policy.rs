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

/// Shared access policies of a service; `N` is the option that names it.
#[derive(Debug, Args)]
pub(crate) struct Policies<N: Args> {
    #[command(subcommand)]
    verb: Verb<N>,
}

#[derive(Debug, Subcommand)]
enum Verb<N: Args> {
    /// List the policies and their rights.
    List {
        #[command(flatten)]
        name: N,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a policy with its keys.
    Show {
        /// Name of the policy.
        #[arg(long, visible_aliases = ["pn", "name", "access-policy-name"], short = 'n')]
        policy_name: String,
        #[command(flatten)]
        name: N,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// The option that names a service.
pub(crate) trait Named {
    /// What kind of service it names.
    const KIND: Kind;
    /// The name, if one is given.
    fn name(&self) -> Option<&str>;
}

/// `--dps-name`.
#[derive(Debug, Args)]
pub(crate) struct DpsName {
    /// Name of the provisioning service; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    dps_name: Option<String>,
}

impl Named for DpsName {
    const KIND: Kind = Kind::Dps;
    fn name(&self) -> Option<&str> {
        self.dps_name.as_deref()
    }
}

/// `--hub-name`.
#[derive(Debug, Args)]
pub(crate) struct HubName {
    /// Name of the hub; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    hub_name: Option<String>,
}

impl Named for HubName {
    const KIND: Kind = Kind::Hub;
    fn name(&self) -> Option<&str> {
        self.hub_name.as_deref()
    }
}

impl<N: Args + Named> Policies<N> {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::List { name, admin } => {
                let policies = read(session, &admin, &name).await?;
                session.output.list(COLUMNS, &policies)
            }
            Verb::Show { policy_name, name, admin } => {
                let policies = read(session, &admin, &name).await?;
                let found = pick(&policies, &policy_name)?;
                session.output.thing(found, &["keyName", "rights"])
            }
        }
    }
}

async fn read<N: Named>(session: &Session, admin: &AdminArgs, name: &N) -> Result<Vec<Value>> {
    let admin = admin.find(session)?;
    let found = admin.resource(N::KIND, name.name()).await?;
    admin.policies(N::KIND, &found.name).await
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
