//! Where the server is, and with which key to talk to it.
//!
//! A connection string given with `--login` wins. Else the server's own data directory holds
//! `admin.json`, mode 0600, with a key to the administration API, which knows every service's
//! policies (`settled` D-30).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::Session;
use crate::connection_string::{ConnectionString, split_port};
use crate::failure::{Failure, Result};
use crate::output::{at, cell};
use crate::service::{ADMIN_API, Call, Credential, DPS_API, HUB_API, Service, segment};
use crate::token::token;
use crate::transport::{HostHeader, Target, Trust};

/// The file's name, in the data directory.
const ADMIN_FILE: &str = "admin.json";

/// A kind of service that the administration API lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A device provisioning service.
    Dps,
    /// An IoT hub.
    Hub,
}

impl Kind {
    /// Its path in the administration API.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Dps => "/muster/v1/dps",
            Self::Hub => "/muster/v1/hubs",
        }
    }

    /// Its name in messages.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Dps => "provisioning service",
            Self::Hub => "hub",
        }
    }

    /// Its name in the grammar of commands.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Dps => "dps",
            Self::Hub => "hub",
        }
    }

    const fn host_member(self) -> &'static str {
        match self {
            Self::Dps => "serviceOperationsHostName",
            Self::Hub => "hostName",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Dps => "--dps-name",
            Self::Hub => "--hub-name",
        }
    }

    const fn api_version(self) -> &'static str {
        match self {
            Self::Dps => DPS_API,
            Self::Hub => HUB_API,
        }
    }

    /// The policy that a new service has and that may do everything (K-09).
    pub(crate) const fn owner(self) -> &'static str {
        match self {
            Self::Dps => "provisioningserviceowner",
            Self::Hub => "iothubowner",
        }
    }

    /// Rights that the commands need, where the owner's policy was removed (K-12).
    const fn needed(self) -> [&'static str; 2] {
        match self {
            Self::Dps => ["ServiceConfig", "EnrollmentWrite"],
            Self::Hub => ["RegistryWrite", "ServiceConnect"],
        }
    }
}

/// One service as the administration API shows it.
pub(crate) struct Resource {
    /// The plain name.
    pub(crate) name: String,
    /// The host of its service API.
    pub(crate) host: String,
    /// The whole object.
    pub(crate) value: Value,
}

/// The administration API.
pub(crate) struct Admin {
    /// Signed calls of it.
    pub(crate) service: Service,
}

/// `admin.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdminFile {
    url: String,
    ca: Option<PathBuf>,
    connection_string: String,
}

impl Admin {
    /// Finds it: by a connection string if one is given, else in the data directory.
    pub(crate) fn find(session: &Session, login: Option<&str>) -> Result<Self> {
        if let Some(login) = login {
            return Ok(Self { service: by_login(session, login, ADMIN_API)? });
        }
        let path = session.global.data_dir().join(ADMIN_FILE);
        let file = read_admin_file(&path)?;
        let (address, port) = split_url(&file.url)
            .map_err(|failure| failure.hint(format!("the server writes {}", path.display())))?;
        let connection = ConnectionString::parse(&file.connection_string)?;
        let trust = match (&session.global.ca_file, &file.ca) {
            (Some(ca), _) | (None, Some(ca)) => Trust::Only(ca.clone()),
            (None, None) => Trust::System { also: None },
        };
        let ConnectionString { host, resource, policy, key, .. } = connection;
        let credential = match token(session)? {
            Some(token) => Credential::Token(token),
            None => Credential::Key { resource, policy, key },
        };
        let target = Target {
            host,
            address: Some(address),
            port,
            host_header: HostHeader::Bare,
            trust,
            identity: None,
        };
        Ok(Self {
            service: Service {
                transport: session.transport.clone(),
                clock: session.clock,
                target,
                credential,
                api_version: ADMIN_API,
            },
        })
    }

    /// All services of the kind.
    pub(crate) async fn all(&self, kind: Kind) -> Result<Vec<Resource>> {
        let call = Call::get(kind.path().to_owned(), format!("list the {}s", kind.noun()));
        let list = values(self.service.call(call).await?);
        Ok(list
            .into_iter()
            .map(|value| Resource {
                name: cell(at(&value, &["name"])),
                host: cell(at(&value, &["properties", kind.host_member()])),
                value,
            })
            .collect())
    }

    /// The service of that name or host, or the only one where none is named.
    pub(crate) async fn resource(&self, kind: Kind, name: Option<&str>) -> Result<Resource> {
        let mut all = self.all(kind).await?;
        let names = all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = match name {
            Some(name) => all.iter().position(|one| {
                one.name.eq_ignore_ascii_case(name) || one.host.eq_ignore_ascii_case(name)
            }),
            None if all.len() == 1 => Some(0),
            None => None,
        };
        let (noun, word) = (kind.noun(), kind.word());
        match (found, name) {
            (Some(found), _) => Ok(all.swap_remove(found)),
            (None, _) if all.is_empty() => {
                Err(Failure::not_found(format!("there is no {noun} at {}", self.service.place()))
                    .hint(format!("make one with `muster iot {word} create --name NAME`")))
            }
            (None, Some(name)) => Err(Failure::not_found(format!(
                "there is no {noun} '{name}' at {}",
                self.service.place()
            ))
            .hint(format!("this server has: {names}"))),
            (None, None) => Err(Failure::usage(format!("which {noun} is meant?"))
                .hint(format!("name one with {}: {names}", kind.option()))),
        }
    }

    /// The policies of a service, with their keys.
    pub(crate) async fn policies(&self, kind: Kind, name: &str) -> Result<Vec<Value>> {
        let path = format!("{}/{}/listkeys", kind.path(), segment(name));
        let doing = format!("read the policies of {} '{name}'", kind.noun());
        Ok(values(self.service.call(Call::get(path, doing)).await?))
    }

    /// The service API of a service, with a key that may do everything.
    pub(crate) async fn open(&self, kind: Kind, resource: &Resource) -> Result<Service> {
        let target = Target { host: resource.host.clone(), ..self.service.target.clone() };
        let api_version = kind.api_version();
        if let Credential::Token(_) = self.service.credential {
            return Ok(Service { target, api_version, ..self.service.clone() });
        }
        let policies = self.policies(kind, &resource.name).await?;
        let rights = |policy: &Value| cell(at(policy, &["rights"]));
        let policy = policies
            .iter()
            .find(|policy| at(policy, &["keyName"]) == kind.owner())
            .or_else(|| {
                let able = |p: &&Value| kind.needed().iter().all(|right| rights(p).contains(right));
                policies.iter().find(able)
            })
            .ok_or_else(|| {
                Failure::new(format!(
                    "no policy of {} '{}' has the rights {}",
                    kind.noun(),
                    resource.name,
                    kind.needed().join(" and ")
                ))
                .hint("give another connection string with --login")
            })?;
        let key = attestation::SymmetricKey::from_base64(&cell(at(policy, &["primaryKey"])))
            .map_err(|error| Failure::new(format!("a policy's key {error}")))?;
        let (resource, policy) = (resource.host.clone(), cell(at(policy, &["keyName"])));
        let credential = Credential::Key { resource, policy, key };
        Ok(Service { target, credential, api_version, ..self.service.clone() })
    }
}

/// The service API of a DPS or hub: by connection string, or by name through the administration.
pub(crate) async fn service(
    session: &Session,
    kind: Kind,
    login: Option<&str>,
    name: Option<&str>,
) -> Result<Service> {
    if let Some(login) = login {
        return by_login(session, login, kind.api_version());
    }
    let admin = Admin::find(session, None)?;
    let resource = admin.resource(kind, name).await?;
    admin.open(kind, &resource).await
}

fn by_login(session: &Session, login: &str, api_version: &'static str) -> Result<Service> {
    let (host, port, credential) = match token(session)? {
        Some(token) => {
            let (host, port) = ConnectionString::place(login)?;
            (host, port, Credential::Token(token))
        }
        None => {
            let ConnectionString { resource, host, port, policy, key } =
                ConnectionString::parse(login)?;
            (host, port, Credential::Key { resource, policy, key })
        }
    };
    let target = Target {
        host,
        address: None,
        port,
        host_header: HostHeader::WithPort,
        trust: trust(session),
        identity: None,
    };
    Ok(Service {
        transport: session.transport.clone(),
        clock: session.clock,
        target,
        credential,
        api_version,
    })
}

/// Whom to believe about a host that the operator named: `--ca-file` alone, else the system's
/// authorities and, where the server is on this machine, its own.
pub(crate) fn trust(session: &Session) -> Trust {
    if let Some(file) = &session.global.ca_file {
        return Trust::Only(file.clone());
    }
    let file = read_admin_file(&session.global.data_dir().join(ADMIN_FILE)).ok();
    Trust::System { also: file.and_then(|file| file.ca).filter(|ca| ca.exists()) }
}

fn read_admin_file(path: &Path) -> Result<AdminFile> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Failure::new(format!(
                "no server is known here: there is no {}",
                path.display()
            ))
            .hint(
                "start one with `muster serve`, or name its data directory with --data-dir (or \
                     MUSTER_DATA_DIR), or give a connection string with --login",
            );
        }
        Failure::file("read", path, &error).hint(
            "only the user that runs the server may; or give a connection string with --login",
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!("{} is not what the server writes: {error}", path.display()))
            .hint("restart the server, it writes the file anew")
    })
}

fn split_url(url: &str) -> Result<(String, u16)> {
    let rest = url
        .strip_prefix("https://")
        .ok_or_else(|| Failure::new(format!("'{url}' is not an https URL")))?;
    split_port(rest.split('/').next().unwrap_or(rest))
}

/// The items of `{"value": […]}`.
pub(crate) fn values(list: Value) -> Vec<Value> {
    match list {
        Value::Object(mut members) => match members.remove("value") {
            Some(Value::Array(items)) => items,
            Some(_) | None => Vec::new(),
        },
        Value::Array(items) => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
