//! From where a service may be called: `ip-filter-rule`, and `--public-network-access`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::common::{AdminArgs, Yes, until_not_overtaken};
use super::policy::OfService;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Rule", "filterName"),
    column!("Action", "action"),
    column!("Addresses", "ipMask"),
    column!("Target", "target"),
];

/// IP filter rules of a service.
#[derive(Debug, Args)]
pub(crate) struct IpFilterRules<S: OfService> {
    #[command(subcommand)]
    verb: Verb<S>,
}

#[derive(Debug, Subcommand)]
enum Verb<S: OfService> {
    /// List the rules in their order: the first that is about an address decides.
    List {
        #[command(flatten)]
        service: S,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Add a rule; whoever it refuses is refused at once.
    Add {
        #[command(flatten)]
        rule: Rule,
        /// Which place it takes, from 1 on; the last one when not given.
        #[arg(long, value_name = "PLACE", value_parser = clap::value_parser!(u16).range(1..))]
        position: Option<u16>,
        #[command(flatten)]
        service: S,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Remove a rule.
    Remove {
        /// Name of the rule.
        #[arg(long, value_name = "RULE")]
        filter_name: String,
        #[command(flatten)]
        service: S,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

#[derive(Debug, Args)]
struct Rule {
    /// Name of the rule.
    #[arg(long, value_name = "RULE")]
    filter_name: String,
    /// What it does.
    #[arg(long, value_enum, ignore_case = true)]
    action: Action,
    /// Whom it is about: an address, or a range such as 10.1.0.0/16; 0.0.0.0/0 is everybody.
    #[arg(long, value_name = "ADDRESSES")]
    ip_mask: String,
    /// Which API it is about.
    #[arg(long, value_enum, ignore_case = true, default_value = "all")]
    target: Target,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Lets in.
    Accept,
    /// Refuses.
    Reject,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "camelCase")]
enum Target {
    /// Both.
    All,
    /// Operators'.
    ServiceApi,
    /// Devices'.
    DeviceApi,
}

/// `--public-network-access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublicNetworkAccess {
    /// From everywhere, as far as the rules allow.
    Enabled,
    /// From the server's private networks alone.
    Disabled,
}

impl PublicNetworkAccess {
    pub(crate) const fn wire(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
        }
    }
}

impl Rule {
    fn wire(&self) -> Value {
        json!({
            "filterName": self.filter_name,
            "action": match self.action {
                Action::Accept => "Accept",
                Action::Reject => "Reject",
            },
            "ipMask": self.ip_mask,
            "target": match self.target {
                Target::All => "all",
                Target::ServiceApi => "serviceApi",
                Target::DeviceApi => "deviceApi",
            },
        })
    }
}

impl<S: OfService> IpFilterRules<S> {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::List { service, admin } => {
                let found = find::<S>(session, &service, &admin).await?;
                session.output.list(COLUMNS, &found.rules)
            }
            Verb::Add { rule, position, service, yes, admin } => {
                let place = position.map_or(usize::MAX, |place| usize::from(place) - 1);
                let added = until_not_overtaken(async || {
                    let mut found = find::<S>(session, &service, &admin).await?;
                    found.rules.insert(place.min(found.rules.len()), rule.wire());
                    let doing = format!("add the IP filter rule '{}'", rule.filter_name);
                    found.put(S::KIND, doing, yes).await
                });
                let rules = added.await?;
                session.output.list(COLUMNS, &rules)
            }
            Verb::Remove { filter_name, service, yes, admin } => {
                let removed = until_not_overtaken(async || {
                    let mut found = find::<S>(session, &service, &admin).await?;
                    let before = found.rules.len();
                    let is_meant = |rule: &Value| cell(at(rule, &["filterName"])) == filter_name;
                    found.rules.retain(|rule| !is_meant(rule));
                    if found.rules.len() == before {
                        let what = format!("there is no IP filter rule '{filter_name}'");
                        let word = S::KIND.word();
                        return Err(Failure::not_found(what)
                            .hint(format!("`muster iot {word} ip-filter-rule list` shows them")));
                    }
                    let doing = format!("remove the IP filter rule '{filter_name}'");
                    found.put(S::KIND, doing, yes).await
                });
                removed.await.map(drop)
            }
        }
    }
}

/// A service and its rules.
struct Found {
    admin: Admin,
    name: String,
    etag: Option<String>,
    rules: Vec<Value>,
}

async fn find<S: OfService>(session: &Session, service: &S, admin: &AdminArgs) -> Result<Found> {
    let admin = admin.find(session)?;
    let found = admin.resource(S::KIND, service.name()).await?;
    let rules = rules(&found.value);
    let etag = at(&found.value, &["etag"]).as_str().map(str::to_owned);
    Ok(Found { admin, name: found.name, etag, rules })
}

fn rules(resource: &Value) -> Vec<Value> {
    at(resource, &["properties", "ipFilterRules"]).as_array().cloned().unwrap_or_default()
}

impl Found {
    async fn put(self, kind: Kind, doing: String, yes: Yes) -> Result<Vec<Value>> {
        let body = json!({"properties": {"ipFilterRules": self.rules}});
        let path = format!("{}/{}{}", kind.path(), segment(&self.name), force(yes));
        let call = Call::put(path, body, doing).if_match(self.etag.as_deref());
        Ok(rules(&self.admin.service.call(call).await?))
    }
}

/// What is added to an address so that a change is done that shuts out who asks for it.
pub(crate) const fn force(yes: Yes) -> &'static str {
    if yes.is_given() { "?force=true" } else { "" }
}
