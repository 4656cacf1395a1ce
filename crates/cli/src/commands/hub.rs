//! `muster iot hub`: hubs as such, and the nouns in them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::common::{AdminArgs, Yes, confirm};
use super::connection_string::OfHub;
use super::device_identity::DeviceIdentity;
use super::dps::Place;
use super::network::{IpFilterRules, PublicNetworkAccess, force};
use super::policy::{HubName, Policies};
use crate::Session;
use crate::failure::Result;
use crate::locate::Kind;
use crate::output::{Column, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Name", "name"),
    column!("State", "properties"."state"),
    column!("Host", "properties"."hostName"),
];

const FIRST: [&str; 2] = ["name", "properties.hostName"];

/// `muster iot hub`.
#[derive(Debug, Args)]
pub(crate) struct Hub {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a hub.
    Create {
        #[command(flatten)]
        name: Name,
        /// Host of the hub; made from the name when not given.
        #[arg(long, value_name = "HOST")]
        host_name: Option<String>,
        #[arg(long, hide = true)]
        partition_count: Option<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the hubs.
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a hub.
    Show {
        /// Name or host of the hub; may be left out where there is only one.
        #[arg(long = "name", visible_alias = "hub-name", short = 'n', value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change from where a hub may be called.
    Update {
        /// Name or host of the hub; may be left out where there is only one.
        #[arg(long = "name", visible_alias = "hub-name", short = 'n', value_name = "NAME")]
        name: Option<String>,
        /// Whether it may be called from outside the server's private networks.
        #[arg(long, value_enum, ignore_case = true)]
        public_network_access: PublicNetworkAccess,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete a hub with all its device identities.
    Delete {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Devices in a hub's registry.
    DeviceIdentity(Box<DeviceIdentity>),
    /// Connection strings for tools and SDKs.
    ConnectionString(OfHub),
    /// From which addresses it may be called.
    IpFilterRule(IpFilterRules<HubName>),
    /// Shared access policies.
    Policy(Policies<HubName>),
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the hub: 3 to 50 letters, digits and dashes.
    #[arg(long = "name", visible_alias = "hub-name", short = 'n', value_name = "NAME")]
    name: String,
}

impl Hub {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create { name, host_name, admin, .. } => {
                let name = name.name;
                let mut properties = Map::new();
                properties.extend(host_name.map(|host| ("hostName".to_owned(), host.into())));
                let doing = format!("create hub '{name}'");
                let call = Call::put(path(&name), json!({"properties": properties}), doing);
                let made = admin.find(session)?.service.call(call).await?;
                session.output.thing(&made, &FIRST)
            }
            Verb::List { admin } => {
                let all = admin.find(session)?.all(Kind::Hub).await?;
                let all: Vec<Value> = all.into_iter().map(|one| one.value).collect();
                session.output.list(COLUMNS, &all)
            }
            Verb::Show { name, admin } => {
                let admin = admin.find(session)?;
                let found = admin.resource(Kind::Hub, name.as_deref()).await?;
                session.output.thing(&found.value, &FIRST)
            }
            Verb::Update { name, public_network_access, yes, admin } => {
                let admin = admin.find(session)?;
                let name = admin.resource(Kind::Hub, name.as_deref()).await?.name;
                let body = json!({"properties":
                    {"publicNetworkAccess": public_network_access.wire()}});
                let path = format!("{}{}", path(&name), force(yes));
                let call = Call::put(path, body, format!("update hub '{name}'"));
                session.output.thing(&admin.service.call(call).await?, &FIRST)
            }
            Verb::Delete { name, yes, admin } => {
                let admin = admin.find(session)?;
                let name = admin.resource(Kind::Hub, Some(&name.name)).await?.name;
                confirm(&format!("Delete hub '{name}' and all its devices?"), yes)?;
                let call = Call::delete(path(&name), format!("delete hub '{name}'"));
                admin.service.call(call).await.map(drop)
            }
            Verb::DeviceIdentity(noun) => noun.run(session).await,
            Verb::ConnectionString(noun) => noun.run(session).await,
            Verb::IpFilterRule(noun) => noun.run(session).await,
            Verb::Policy(noun) => noun.run(session).await,
        }
    }
}

fn path(name: &str) -> String {
    format!("{}/{}", Kind::Hub.path(), segment(name))
}
