//! `muster iot hub device-identity`: devices in a hub's registry.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::ca::self_signed_device;
use super::common::{HubArgs, Yes, flag};
use super::connection_string::{KeyType, write as write_connection_string};
use super::document::{self, Values};
use super::policy::Renewed;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, Service, segment};

const COLUMNS: &[Column] = &[
    column!("Device id", "deviceId"),
    column!("Status", "status"),
    column!("Connection", "connectionState"),
    column!("Attests by", "authenticationType"),
    column!("Edge", "capabilities"."iotEdge"),
    column!("Last activity", "lastActivityTime"),
];

const FIRST: [&str; 4] = ["deviceId", "status", "statusReason", "connectionState"];

/// The page size that `az` asks for.
const PAGE_ITEMS: u64 = 1000;

/// Length of a generated key, in bytes.
const KEY_BYTES: usize = 32;

/// Devices in a hub's registry.
#[derive(Debug, Args)]
pub(crate) struct DeviceIdentity {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a device.
    Create(Box<Create>),
    /// List the devices.
    List {
        /// At most this many.
        #[arg(long, allow_negative_numbers = true)]
        top: Option<i64>,
        /// Only edge devices.
        #[arg(long, visible_alias = "ee", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
        edge_enabled: Option<bool>,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Show a device.
    Show {
        #[command(flatten)]
        id: DeviceId,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Change a device; --status disabled cuts it off.
    Update(Box<Update>),
    /// Delete a device.
    Delete {
        #[command(flatten)]
        id: DeviceId,
        /// Only if the device still has this etag.
        #[arg(long, short = 'e')]
        etag: Option<String>,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// Replace a key of devices by a new one, or swap their two keys.
    RenewKey {
        /// Ids of the devices, in their very spelling.
        #[arg(long, short = 'd', num_args = 1.., required = true, value_name = "ID")]
        device_id: Vec<String>,
        /// Which key.
        #[arg(long, visible_alias = "kt", value_enum, ignore_case = true)]
        key_type: Renewed,
        /// Only if the device still has this etag.
        #[arg(long, short = 'e')]
        etag: Option<String>,
        #[arg(long, hide = true)]
        no_progress: bool,
        #[command(flatten)]
        hub: HubArgs,
    },
    /// A device's own connection string.
    ConnectionString(ConnectionString),
}

#[derive(Debug, Args)]
struct DeviceId {
    /// Id of the device, in its very spelling.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Status {
    Enabled,
    Disabled,
}

impl Status {
    const fn wire(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AuthMethod {
    /// Keys.
    SharedPrivateKey,
    /// A certificate of a CA that the hub knows.
    #[value(name = "x509_ca")]
    X509Ca,
    /// A certificate, by its thumbprint.
    #[value(name = "x509_thumbprint")]
    X509Thumbprint,
}

/// How the device proves itself to the hub.
#[derive(Debug, Args)]
struct Authentication {
    /// How the device proves itself; keys when not given.
    #[arg(long, visible_alias = "am", value_enum, ignore_case = true)]
    auth_method: Option<AuthMethod>,
    /// Primary key, base64; generated when not given.
    #[arg(long, visible_alias = "pk", value_name = "KEY")]
    primary_key: Option<String>,
    /// Secondary key, base64; generated when not given.
    #[arg(long, visible_alias = "sk", value_name = "KEY")]
    secondary_key: Option<String>,
    /// Thumbprint of the primary certificate.
    #[arg(long, visible_alias = "ptp", value_name = "HEX")]
    primary_thumbprint: Option<String>,
    /// Thumbprint of the secondary certificate.
    #[arg(long, visible_alias = "stp", value_name = "HEX")]
    secondary_thumbprint: Option<String>,
}

/// What the registry keeps beside.
#[derive(Debug, Args)]
struct Standing {
    /// Whether the device may connect.
    #[arg(long, visible_alias = "sta", value_enum, ignore_case = true)]
    status: Option<Status>,
    /// Why.
    #[arg(long, visible_alias = "star", value_name = "TEXT")]
    status_reason: Option<String>,
    /// Whether it is an edge device.
    #[arg(long, visible_alias = "ee", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    edge_enabled: Option<bool>,
    /// Scope of the edge device above it.
    #[arg(long, value_name = "SCOPE")]
    device_scope: Option<String>,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    id: DeviceId,
    #[command(flatten)]
    authentication: Authentication,
    /// Make a self-signed certificate that is valid so many days.
    #[arg(long, visible_alias = "vd", value_name = "DAYS")]
    valid_days: Option<u32>,
    /// Where the self-signed certificate and its key are written.
    #[arg(long, visible_alias = "od", value_name = "DIR")]
    output_dir: Option<PathBuf>,
    #[command(flatten)]
    standing: Standing,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    id: DeviceId,
    /// Set a member: status=disabled, capabilities.iotEdge=true.
    #[arg(long, num_args = 1.., value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Take the values of --set as text, though they read as JSON.
    #[arg(long)]
    force_string: bool,
    /// Remove a member.
    #[arg(long, num_args = 1.., value_name = "PATH")]
    remove: Vec<String>,
    #[command(flatten)]
    authentication: Authentication,
    #[command(flatten)]
    standing: Standing,
    /// Only if the device still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Args)]
struct ConnectionString {
    #[command(subcommand)]
    verb: ConnectionStringVerb,
}

#[derive(Debug, Subcommand)]
enum ConnectionStringVerb {
    /// Show it.
    Show {
        #[command(flatten)]
        id: DeviceId,
        /// Which of the device's keys.
        #[arg(
            long,
            visible_alias = "kt",
            value_enum,
            ignore_case = true,
            default_value = "primary"
        )]
        key_type: KeyType,
        #[command(flatten)]
        hub: HubArgs,
    },
}

impl DeviceIdentity {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Update(args) => args.run(session).await,
            Verb::List { top, edge_enabled, hub } => {
                let service = hub.service(session).await?;
                list(session, &service, top, edge_enabled).await
            }
            Verb::Show { id, hub } => {
                let device = read(&hub.service(session).await?, &id.device_id).await?;
                session.output.thing(&device, &FIRST)
            }
            Verb::Delete { id, etag, yes: _, hub } => {
                let service = hub.service(session).await?;
                let id = id.device_id;
                let call = Call::delete(path(&id), format!("delete device '{id}'"));
                let call = call.if_match(etag.as_deref());
                service.call(call).await.map_err(missing).map(drop)
            }
            Verb::RenewKey { device_id: ids, key_type, etag, hub, .. } => {
                if ids.len() > 1 && etag.is_some() {
                    return Err(Failure::usage("an etag is of one device, not of several")
                        .hint("leave --etag out, or renew them one by one"));
                }
                let service = hub.service(session).await?;
                let edit = |device: &mut Map<String, Value>| renew(device, key_type);
                if let [id] = ids.as_slice() {
                    return update(session, &service, id, etag.as_deref(), edit).await;
                }
                let mut renewed = session.output.open_list(COLUMNS);
                let mut done = Ok(());
                for id in &ids {
                    done = match edited(&service, id, None, edit).await {
                        Ok(device) => renewed.page(&[device]),
                        Err(failure) => Err(failure),
                    };
                    if done.is_err() {
                        break;
                    }
                }
                // What was renewed is told, though a later one failed.
                renewed.close()?;
                done
            }
            Verb::ConnectionString(args) => args.run(session).await,
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let id = &self.id.device_id;
        let mut device = Map::new();
        device.insert("deviceId".into(), json!(id));
        device.insert("status".into(), "enabled".into());
        device.insert("capabilities".into(), json!({"iotEdge": false}));
        self.standing.edit(&mut device);
        let service = self.hub.service(session).await?;
        device.insert("authentication".into(), self.authentication(session)?);
        let doing = format!("create device '{id}'");
        let made = service.call(Call::put(path(id), device.into(), doing)).await?;
        session.output.thing(&made, &FIRST)
    }

    fn authentication(&self, session: &Session) -> Result<Value> {
        let given = &self.authentication;
        let method = given.auth_method.unwrap_or(AuthMethod::SharedPrivateKey);
        let certified = self.valid_days.is_some() || self.output_dir.is_some();
        if method == AuthMethod::X509Thumbprint && given.primary_thumbprint.is_none() {
            if !certified {
                return Err(Failure::usage("auth method x509_thumbprint wants a thumbprint").hint(
                    "give --primary-thumbprint, or --valid-days to make a self-signed certificate",
                ));
            }
            let dir = self.output_dir.clone().unwrap_or_else(|| PathBuf::from("."));
            let days = self.valid_days.unwrap_or(365);
            let thumbprint = self_signed_device(&self.id.device_id, &dir, days, (session.clock)())?;
            return Ok(thumbprints(Some(&thumbprint), given.secondary_thumbprint.as_deref()));
        }
        if certified {
            return Err(Failure::usage(
                "--valid-days and --output-dir go with --auth-method x509_thumbprint alone",
            ));
        }
        given.value(method)
    }
}

impl Authentication {
    const fn is_given(&self) -> bool {
        self.auth_method.is_some()
            || self.primary_key.is_some()
            || self.secondary_key.is_some()
            || self.primary_thumbprint.is_some()
            || self.secondary_thumbprint.is_some()
    }

    fn value(&self, method: AuthMethod) -> Result<Value> {
        let keys = self.primary_key.is_some() || self.secondary_key.is_some();
        let prints = self.primary_thumbprint.is_some() || self.secondary_thumbprint.is_some();
        if (keys && method != AuthMethod::SharedPrivateKey)
            || (prints && method != AuthMethod::X509Thumbprint)
        {
            return Err(Failure::usage("the keys or thumbprints do not go with the auth method")
                .hint("add --auth-method x509_thumbprint for thumbprints"));
        }
        Ok(match method {
            AuthMethod::SharedPrivateKey => {
                let mut keys = Map::new();
                for (member, given) in
                    [("primaryKey", &self.primary_key), ("secondaryKey", &self.secondary_key)]
                {
                    keys.extend(given.iter().map(|key| (member.to_owned(), json!(key))));
                }
                json!({"type": "sas", "symmetricKey": keys})
            }
            AuthMethod::X509Ca => json!({"type": "certificateAuthority"}),
            AuthMethod::X509Thumbprint => {
                let (first, second) = (&self.primary_thumbprint, &self.secondary_thumbprint);
                thumbprints(first.as_deref(), second.as_deref())
            }
        })
    }

    /// Keys and thumbprints that are not given stay, unless the method changes.
    fn edit(&self, device: &mut Map<String, Value>) -> Result {
        if !self.is_given() {
            return Ok(());
        }
        let present = device.get("authentication").cloned().unwrap_or(Value::Null);
        let method = self.auth_method.unwrap_or_else(|| match at(&present, &["type"]).as_str() {
            Some("selfSigned") => AuthMethod::X509Thumbprint,
            Some("certificateAuthority") => AuthMethod::X509Ca,
            Some(_) | None => AuthMethod::SharedPrivateKey,
        });
        let mut changed = self.value(method)?;
        if at(&changed, &["type"]) == at(&present, &["type"]) {
            for outer in ["symmetricKey", "x509Thumbprint"] {
                let Some(now) = changed.get_mut(outer).and_then(Value::as_object_mut) else {
                    continue;
                };
                for (inner, kept) in at(&present, &[outer]).as_object().into_iter().flatten() {
                    if now.get(inner).is_none_or(Value::is_null) {
                        now.insert(inner.clone(), kept.clone());
                    }
                }
            }
        }
        device.insert("authentication".into(), changed);
        Ok(())
    }
}

impl Standing {
    fn edit(&self, device: &mut Map<String, Value>) {
        if let Some(status) = self.status {
            device.insert("status".into(), status.wire().into());
        }
        if let Some(reason) = &self.status_reason {
            device.insert("statusReason".into(), reason.as_str().into());
        }
        if let Some(edge) = self.edge_enabled {
            device.insert("capabilities".into(), json!({"iotEdge": edge}));
        }
        if let Some(scope) = &self.device_scope {
            device.insert("deviceScope".into(), scope.as_str().into());
        }
    }
}

impl Update {
    async fn run(self, session: &mut Session) -> Result {
        let service = self.hub.service(session).await?;
        let (id, etag) = (&self.id.device_id, self.etag.as_deref());
        let values = Values::given(self.force_string);
        let edit = |device: &mut Map<String, Value>| {
            self.standing.edit(device);
            self.authentication.edit(device)?;
            for assignment in &self.set {
                document::set(device, assignment, values)?;
            }
            self.remove.iter().try_for_each(|path| document::remove(device, path))
        };
        update(session, &service, id, etag, edit).await
    }
}

impl ConnectionString {
    async fn run(self, session: &mut Session) -> Result {
        let ConnectionStringVerb::Show { id, key_type, hub } = self.verb;
        let service = hub.service(session).await?;
        let id = id.device_id;
        let device = read(&service, &id).await?;
        let host = service.place();
        let secret = match at(&device, &["authentication", "type"]).as_str() {
            Some("selfSigned" | "certificateAuthority") => "x509=true".to_owned(),
            Some(_) | None => {
                let key = at(&device, &["authentication", "symmetricKey", key_type.member()]);
                format!("SharedAccessKey={}", cell(key))
            }
        };
        let text = format!("HostName={host};DeviceId={id};{secret}");
        write_connection_string(session, &json!({"connectionString": text}))
    }
}

/// As `az` lists them: by query, so that a large registry comes in pages.
async fn list(
    session: &mut Session,
    service: &Service,
    top: Option<i64>,
    edge: Option<bool>,
) -> Result {
    let query = match edge {
        None => "select * from devices".to_owned(),
        Some(edge) => format!("select * from devices where capabilities.iotEdge = {edge}"),
    };
    let call =
        || Call::post("/devices/query".into(), "list the devices").body(json!({"query": query}));
    let mut list = session.output.open_list(COLUMNS);
    service.pages(call, top, Some(PAGE_ITEMS), |page| list.page(page)).await?;
    list.close()
}

async fn read(service: &Service, id: &str) -> Result<Value> {
    service.call(Call::get(path(id), format!("read device '{id}'"))).await.map_err(missing)
}

/// Edits a device and shows it.
async fn update(
    session: &mut Session,
    service: &Service,
    id: &str,
    etag: Option<&str>,
    edit: impl FnOnce(&mut Map<String, Value>) -> Result,
) -> Result {
    let written = edited(service, id, etag, edit).await?;
    session.output.thing(&written, &FIRST)
}

/// Reads a device, edits it and writes it back, as `az` does (Z-02).
async fn edited(
    service: &Service,
    id: &str,
    etag: Option<&str>,
    edit: impl FnOnce(&mut Map<String, Value>) -> Result,
) -> Result<Value> {
    let doing = format!("update device '{id}'");
    let mut device = document::members(read(service, id).await?, &doing)?;
    for served in [
        "generationId",
        "connectionState",
        "connectionStateUpdatedTime",
        "statusUpdatedTime",
        "lastActivityTime",
        "cloudToDeviceMessageCount",
    ] {
        device.remove(served);
    }
    edit(&mut device)?;
    let call = Call::put(path(id), device.into(), doing).if_match(etag);
    service.call(call).await.map_err(missing)
}

fn renew(device: &mut Map<String, Value>, which: Renewed) -> Result {
    let keys = device
        .get_mut("authentication")
        .and_then(|authentication| authentication.get_mut("symmetricKey"))
        .and_then(Value::as_object_mut)
        .filter(|keys| keys.get("primaryKey").is_some_and(Value::is_string))
        .ok_or_else(|| {
            Failure::usage("the device has no symmetric keys to renew")
                .hint("it proves itself by a certificate; give --primary-thumbprint to `update`")
        })?;
    match which {
        Renewed::Primary => keys.insert("primaryKey".into(), random_key()?.into()),
        Renewed::Secondary => keys.insert("secondaryKey".into(), random_key()?.into()),
        Renewed::Swap => {
            let first = keys.remove("primaryKey").unwrap_or(Value::Null);
            let second = keys.insert("secondaryKey".into(), first).unwrap_or(Value::Null);
            keys.insert("primaryKey".into(), second)
        }
    };
    Ok(())
}

fn random_key() -> Result<String> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| Failure::new("the system has no randomness"))?;
    Ok(STANDARD.encode(key))
}

fn thumbprints(first: Option<&str>, second: Option<&str>) -> Value {
    let prints = json!({"primaryThumbprint": first, "secondaryThumbprint": second});
    json!({"type": "selfSigned", "x509Thumbprint": prints})
}

fn path(id: &str) -> String {
    format!("/devices/{}", segment(id))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found(
        "`muster iot hub device-identity list` shows what there is; ids keep their case, and the \
         device may be on another hub",
    )
}
