//! `muster iot dps`: provisioning services as such, and the nouns in them.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::allocation::Allocation;
use super::certificate::Certificate;
use super::common::{AdminArgs, Yes, confirm};
use super::compute_key::ComputeDeviceKey;
use super::connection_string::OfDps;
use super::credential::Credential;
use super::document::{self, Values};
use super::enrollment::Enrollment;
use super::enrollment_group::EnrollmentGroup;
use super::expiry_exception::ExpiryException;
use super::linked_hub::LinkedHub;
use super::network::{IpFilterRules, PublicNetworkAccess, force};
use super::policy::{DpsName, Policies};
use super::region::Region;
use super::registration::OfGroup;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Kind, values};
use crate::output::{Column, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Name", "name"),
    column!("Id scope", "properties"."idScope"),
    column!("State", "properties"."state"),
    column!("Service host", "properties"."serviceOperationsHostName"),
    column!("Device host", "properties"."deviceProvisioningHostName"),
    column!("Allocation", "properties"."allocationPolicy"),
];

const FIRST: [&str; 4] = [
    "name",
    "properties.idScope",
    "properties.serviceOperationsHostName",
    "properties.deviceProvisioningHostName",
];

/// What an update may say, and where a provisioning service shows it.
const WRITABLE: [(&str, &str); 7] = [
    ("hostName", "properties.serviceOperationsHostName"),
    ("idScope", "properties.idScope"),
    ("allocationPolicy", "properties.allocationPolicy"),
    ("publicNetworkAccess", "properties.publicNetworkAccess"),
    ("ipFilterRules", "properties.ipFilterRules"),
    ("regions", "properties.regions"),
    ("quota", "properties.quota"),
];

const LIMITS: &[Column] =
    &[column!("Name", "name"), column!("Limit", "limit"), column!("Used", "used")];

/// `muster iot dps`.
#[derive(Debug, Args)]
pub(crate) struct Dps {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a provisioning service.
    Create(Create),
    /// List the provisioning services.
    List {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a provisioning service: its id scope, hosts and hubs.
    Show {
        #[command(flatten)]
        name: OptionalName,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show the limits of a provisioning service, and how far each is used.
    #[command(alias = "limits")]
    ShowLimits {
        #[command(flatten)]
        name: OptionalName,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change a provisioning service.
    Update(Update),
    /// Delete a provisioning service with all its enrollments and records.
    Delete {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Entries for one device.
    Enrollment(Box<Enrollment>),
    /// Entries for all devices of a CA or of a group key.
    EnrollmentGroup(EnrollmentGroup),
    /// CA certificates.
    Certificate(Certificate),
    /// Entries whose devices may show expired certificates for a time.
    ExpiryException(ExpiryException),
    /// What certificates are issued by while devices register.
    Credential(Credential),
    /// The hubs that devices are assigned to.
    LinkedHub(LinkedHub),
    /// Where devices may be, for the nearest hub.
    Region(Region),
    /// Which hub a device would be given, and why.
    Allocation(Box<Allocation>),
    /// Connection strings for tools and SDKs.
    ConnectionString(OfDps),
    /// Shared access policies.
    #[command(alias = "access-policy")]
    Policy(Policies<DpsName>),
    /// From which addresses it may be called.
    IpFilterRule(IpFilterRules<DpsName>),
    /// Derive a device's key from a group's.
    ComputeDeviceKey(ComputeDeviceKey),
    /// Records, in az's older grammar.
    #[command(hide = true)]
    Registration(OfGroup),
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the provisioning service: 3 to 50 letters, digits and dashes.
    #[arg(long = "name", visible_alias = "dps-name", short = 'n', value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct OptionalName {
    /// Name or host of the provisioning service; may be left out where there is only one.
    #[arg(long = "name", visible_alias = "dps-name", short = 'n', value_name = "NAME")]
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "camelCase")]
enum Policy {
    /// Evenly, by weight.
    Hashed,
    /// The nearest hub.
    GeoLatency,
    /// The one hub of each entry.
    Static,
}

impl Policy {
    const fn wire(self) -> &'static str {
        match self {
            Self::Hashed => "Hashed",
            Self::GeoLatency => "GeoLatency",
            Self::Static => "Static",
        }
    }
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    name: Name,
    /// Host of its service and device APIs; made from the name when not given.
    #[arg(long, value_name = "HOST")]
    host_name: Option<String>,
    /// Id scope, for devices that know one already; made when not given.
    #[arg(long, value_name = "SCOPE")]
    id_scope: Option<String>,
    /// How hubs are chosen where an enrollment does not say.
    #[arg(long, value_enum, ignore_case = true)]
    allocation_policy: Option<Policy>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Where and how large in the cloud; taken and not used.
#[derive(Debug, Args)]
pub(crate) struct Place {
    #[arg(long, short = 'l', hide = true)]
    location: Option<String>,
    #[arg(long, hide = true)]
    sku: Option<String>,
    #[arg(long, hide = true)]
    unit: Option<String>,
    #[arg(long, hide = true, num_args = 0..)]
    tags: Vec<String>,
    #[arg(long, alias = "edr", hide = true, num_args = 0..=1)]
    enforce_data_residency: Option<Option<String>>,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    name: OptionalName,
    /// How hubs are chosen where an enrollment does not say.
    #[arg(long, value_enum, ignore_case = true)]
    allocation_policy: Option<Policy>,
    /// Whether it may be called from outside the server's private networks.
    #[arg(long, value_enum, ignore_case = true)]
    public_network_access: Option<PublicNetworkAccess>,
    #[command(flatten)]
    yes: Yes,
    /// Set a property: properties.allocationPolicy=Hashed, properties.quota.registrations=5000.
    #[arg(long, num_args = 1.., value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Take the values of --set as text, though they read as JSON.
    #[arg(long)]
    force_string: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Dps {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::List { admin } => {
                let all = admin.find(session)?.all(Kind::Dps).await?;
                let all: Vec<Value> = all.into_iter().map(|one| one.value).collect();
                session.output.list(COLUMNS, &all)
            }
            Verb::Show { name, admin } => {
                let admin = admin.find(session)?;
                let found = admin.resource(Kind::Dps, name.name.as_deref()).await?;
                session.output.thing(&found.value, &FIRST)
            }
            Verb::ShowLimits { name, admin } => {
                let admin = admin.find(session)?;
                let name = admin.resource(Kind::Dps, name.name.as_deref()).await?.name;
                let doing = format!("show the limits of provisioning service '{name}'");
                let call = Call::get(format!("{}/limits", path(&name)), doing);
                let found = admin.service.call(call).await?;
                session.output.list(LIMITS, &values(found))
            }
            Verb::Update(args) => args.run(session).await,
            Verb::Delete { name, yes, admin } => {
                let admin = admin.find(session)?;
                let found = admin.resource(Kind::Dps, Some(&name.name)).await?;
                let name = found.name;
                confirm(&format!("Delete provisioning service '{name}' and all in it?"), yes)?;
                let doing = format!("delete provisioning service '{name}'");
                admin.service.call(Call::delete(path(&name), doing)).await.map(drop)
            }
            Verb::Enrollment(noun) => noun.run(session).await,
            Verb::EnrollmentGroup(noun) => noun.run(session).await,
            Verb::Certificate(noun) => noun.run(session).await,
            Verb::ExpiryException(noun) => noun.run(session).await,
            Verb::Credential(noun) => noun.run(session).await,
            Verb::LinkedHub(noun) => noun.run(session).await,
            Verb::Region(noun) => noun.run(session).await,
            Verb::Allocation(noun) => noun.run(session).await,
            Verb::ConnectionString(noun) => noun.run(session).await,
            Verb::Policy(noun) => noun.run(session).await,
            Verb::IpFilterRule(noun) => noun.run(session).await,
            Verb::ComputeDeviceKey(verb) => verb.run(session).await,
            Verb::Registration(noun) => noun.run(session).await,
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let name = &self.name.name;
        let mut properties = Map::new();
        for (member, given) in [
            ("hostName", self.host_name.as_deref()),
            ("idScope", self.id_scope.as_deref()),
            ("allocationPolicy", self.allocation_policy.map(Policy::wire)),
        ] {
            properties.extend(given.map(|given| (member.to_owned(), given.into())));
        }
        let admin = self.admin.find(session)?;
        let doing = format!("create provisioning service '{name}'");
        let call = Call::put(path(name), json!({"properties": properties}), doing);
        let made = admin.service.call(call).await?;
        session.output.thing(&made, &FIRST)
    }
}

impl Update {
    async fn run(self, session: &mut Session) -> Result {
        let admin = self.admin.find(session)?;
        let found = admin.resource(Kind::Dps, self.name.name.as_deref()).await?;
        let name = found.name;
        let doing = format!("update provisioning service '{name}'");
        let before = document::members(found.value, &doing)?;
        let mut present = before.clone();
        for assignment in &self.set {
            document::set(&mut present, assignment, Values::given(self.force_string))?;
        }
        let named = [
            self.allocation_policy.map(|given| format!("allocationPolicy={}", given.wire())),
            self.public_network_access.map(|given| format!("publicNetworkAccess={}", given.wire())),
        ];
        for assignment in named.iter().flatten() {
            document::set(&mut present, &format!("properties.{assignment}"), Values::Text)?;
        }
        if self.set.is_empty() && named.iter().all(Option::is_none) {
            return Err(Failure::usage("nothing to update")
                .hint("give --set properties.allocationPolicy=Hashed"));
        }
        let mut body = Map::new();
        for (member, from) in WRITABLE {
            let value = document::take(&mut present, from);
            if !value.is_null() {
                body.insert(member.into(), value);
            }
        }
        let mut rest = before;
        WRITABLE.iter().for_each(|(_, from)| drop(document::take(&mut rest, from)));
        if present != rest {
            return Err(Failure::usage("--set names what can not be changed")
                .hint(format!("what can be is {}", WRITABLE.map(|(_, from)| from).join(", "))));
        }
        let etag = present.get("etag").and_then(Value::as_str);
        let path = format!("{}{}", path(&name), force(self.yes));
        let call = Call::put(path, json!({"properties": body}), doing).if_match(etag);
        let written = admin.service.call(call).await?;
        session.output.thing(&written, &FIRST)
    }
}

fn path(name: &str) -> String {
    format!("{}/{}", Kind::Dps.path(), segment(name))
}
