//! `muster iot device registration`: registers a device, as the device itself would over HTTPS.

use std::path::PathBuf;
use std::time::Duration;

use attestation::{SymmetricKey, sas};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::common::{Ignored, flag, json as read_json};
use super::compute_key::{derive, group_key};
use super::enrollment::INDIVIDUAL;
use crate::Session;
use crate::connection_string::split_port;
use crate::failure::{Failure, Result};
use crate::locate::{self, Admin, Kind, trust};
use crate::output::{at, cell};
use crate::service::{Service, segment};
use crate::transport::{HostHeader, Identity, Method, Reply, Request, Target};

/// The version of the device API; what the C SDK sends.
const DEVICE_API: &str = "2021-06-01";
/// How long a device's token is good for.
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// Between two polls, where the service does not say.
const POLL_DEFAULT: Duration = Duration::from_secs(2);
/// The longest wait that a service may ask for.
const POLL_MAX: Duration = Duration::from_secs(30);
/// Polls before a registration is given up.
const POLLS_MAX: usize = 60;

/// `muster iot device`.
#[derive(Debug, Args)]
pub(crate) struct IotDevice {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// What a device does at the provisioning service.
    Registration(Registration),
}

#[derive(Debug, Args)]
struct Registration {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register a device and wait for the outcome.
    Create(Box<Create>),
}

#[derive(Debug, Args)]
struct Create {
    /// Registration id of the device.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// Id scope of the provisioning service; looked up by its name when not given.
    #[arg(long, visible_alias = "scope", value_name = "SCOPE")]
    id_scope: Option<String>,
    /// Host to register at.
    #[arg(long, visible_alias = "provisioning-host", value_name = "HOST")]
    host: Option<String>,
    /// Enrollment group whose key the device's key is derived from.
    #[arg(long, visible_aliases = ["gid", "enrollment-group-id"], value_name = "ID")]
    group_id: Option<String>,
    /// The device's key, base64; read from the service when no credentials are given.
    #[arg(
        long,
        visible_alias = "symmetric-key",
        value_name = "KEY",
        conflicts_with = "certificate_file_path"
    )]
    key: Option<String>,
    /// The key is the group's: derive the device's from it.
    #[arg(long, visible_alias = "ck", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    compute_key: Option<bool>,
    /// The device's certificate chain, PEM, leaf first.
    #[arg(long, visible_alias = "cp", value_name = "FILE", requires = "key_file_path")]
    certificate_file_path: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, visible_alias = "kp", value_name = "FILE", requires = "certificate_file_path")]
    key_file_path: Option<PathBuf>,
    #[arg(long, visible_alias = "pass", hide = true)]
    passphrase: Option<String>,
    /// What a custom allocation is told, JSON or a file of it.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Name or host of the provisioning service.
    #[arg(long, short = 'n', value_name = "NAME")]
    dps_name: Option<String>,
    /// Connection string of the provisioning service.
    #[arg(long, short = 'l', value_name = "CONNECTION_STRING")]
    login: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

/// What a device knows when it is switched on.
pub(crate) struct Attempt {
    pub(crate) id_scope: String,
    pub(crate) registration_id: String,
    pub(crate) credential: Credential,
    pub(crate) payload: Option<Value>,
    pub(crate) target: Target,
}

/// What a device proves itself by.
pub(crate) enum Credential {
    /// Its key, base64.
    Key(String),
    /// Its certificate.
    Certificate(Identity),
}

impl IotDevice {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let Noun::Registration(Registration { verb: Verb::Create(create) }) = self.noun;
        create.run(session).await
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        if self.passphrase.is_some() {
            return Err(Failure::usage("encrypted private keys are not taken")
                .hint("decrypt it: openssl pkey -in KEY -out KEY.plain"));
        }
        let payload = self.payload.as_deref().map(|text| read_json("--payload", text));
        let payload = payload.transpose()?;
        let found = self.find(session).await?;
        let credential = self.credential(session).await?;
        let attempt = Attempt {
            id_scope: found.id_scope,
            registration_id: self.registration_id,
            credential,
            payload,
            target: found.target,
        };
        attempt.run_and_tell(session).await
    }

    async fn credential(&self, session: &Session) -> Result<Credential> {
        if let (Some(chain), Some(key)) = (&self.certificate_file_path, &self.key_file_path) {
            return Ok(Credential::Certificate(Identity {
                chain: chain.clone(),
                key: key.clone(),
            }));
        }
        let id = &self.registration_id;
        if let Some(key) = &self.key {
            return Ok(Credential::Key(match self.compute_key {
                Some(true) => derive(key, id)?,
                Some(false) | None => key.clone(),
            }));
        }
        if self.compute_key == Some(true) && self.group_id.is_none() {
            return Err(Failure::usage("--compute-key wants the group's key")
                .hint("give it with --key, or name the group with --group-id"));
        }
        let service = self.service(session).await?;
        match &self.group_id {
            Some(group) => Ok(Credential::Key(derive(&group_key(&service, group).await?, id)?)),
            None => individual_key(&service, id).await.map(Credential::Key),
        }
    }

    async fn service(&self, session: &Session) -> Result<Service> {
        let (login, name) = (self.login.as_deref(), self.dps_name.as_deref());
        locate::service(session, Kind::Dps, login, name).await
    }

    async fn find(&self, session: &Session) -> Result<Found> {
        let login = self.login.as_deref();
        let (host, name) = (self.host.as_deref(), self.dps_name.as_deref());
        find(session, self.id_scope.as_deref(), host, name, login).await
    }
}

/// Where to register.
pub(crate) struct Found {
    pub(crate) id_scope: String,
    pub(crate) target: Target,
}

/// Completes what is known of a provisioning service by what the server on this machine says.
pub(crate) async fn find(
    session: &Session,
    id_scope: Option<&str>,
    host: Option<&str>,
    dps_name: Option<&str>,
    login: Option<&str>,
) -> Result<Found> {
    if let (Some(id_scope), Some(host)) = (id_scope, host) {
        return Ok(Found { id_scope: id_scope.to_owned(), target: target(session, host)? });
    }
    if let (Some(id_scope), Some(login)) = (id_scope, login) {
        let host = crate::connection_string::ConnectionString::parse(login)?.resource;
        return Ok(Found { id_scope: id_scope.to_owned(), target: target(session, &host)? });
    }
    if login.is_some() {
        return Err(Failure::usage("a connection string does not tell the id scope")
            .hint("add --id-scope; `muster iot dps show` prints it"));
    }
    let admin = Admin::find(session, None).map_err(|failure| match id_scope {
        Some(_) => failure.hint("or give --host"),
        None => failure,
    })?;
    let value = match (id_scope, dps_name) {
        (Some(id_scope), None) => by_scope(&admin, id_scope).await?,
        (_, name) => admin.resource(Kind::Dps, name).await?.value,
    };
    let told = |member: &str| cell(at(&value, &["properties", member]));
    let target = match host {
        Some(host) => target(session, host)?,
        // The service's own host answers devices too, and its certificate is sure to name it.
        None => Target { host: told("serviceOperationsHostName"), ..admin.service.target.clone() },
    };
    let id_scope = id_scope.map_or_else(|| told("idScope"), str::to_owned);
    Ok(Found { id_scope, target })
}

async fn by_scope(admin: &Admin, id_scope: &str) -> Result<Value> {
    let all = admin.all(Kind::Dps).await?;
    let is_meant =
        |value: &Value| cell(at(value, &["properties", "idScope"])).eq_ignore_ascii_case(id_scope);
    all.into_iter().map(|one| one.value).find(is_meant).ok_or_else(|| {
        Failure::not_found(format!("no provisioning service here has id scope '{id_scope}'"))
            .hint("`muster iot dps list` shows the id scopes; for another server give --host")
    })
}

/// A host that the operator named, perhaps with a port.
pub(crate) fn target(session: &Session, host: &str) -> Result<Target> {
    let (host, port) = split_port(host)?;
    Ok(Target {
        host,
        address: None,
        port,
        host_header: HostHeader::WithPort,
        trust: trust(session),
        identity: None,
    })
}

async fn individual_key(service: &Service, id: &str) -> Result<String> {
    let mechanism = INDIVIDUAL.mechanism(service, id).await.map_err(|failure| {
        failure.hint_not_found("a device of a group: name the group with --group-id")
    })?;
    at(&mechanism, &["symmetricKey", "primaryKey"]).as_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!(
            "enrollment '{id}' attests by {}, there is no key to register with",
            cell(at(&mechanism, &["type"]))
        ))
        .hint("give the device's certificate with --cp and its key with --kp")
    })
}

impl Attempt {
    /// Registers, and tells the outcome as `az` does: refused and failed are failures.
    pub(crate) async fn run_and_tell(mut self, session: &mut Session) -> Result {
        if let Credential::Certificate(identity) = &self.credential {
            self.target.identity = Some(identity.clone());
        }
        let answer = self.register(session).await?;
        let id = &self.registration_id;
        let state = at(&answer, &["registrationState"]);
        match at(&answer, &["status"]).as_str() {
            Some("assigned") => session.output.thing(
                &answer,
                &["status", "registrationState.assignedHub", "registrationState.deviceId"],
            ),
            Some("disabled") => Err(Failure::new("Created registration is disabled.")
                .hint(format!("`muster explain {id}` tells which enrollment refused the device"))),
            Some("failed") => {
                let code = cell(at(state, &["errorCode"]));
                let message = cell(at(state, &["errorMessage"]));
                Err(Failure::new(format!("Registration failed: {message} ({code})"))
                    .hint(format!("`muster explain {id}` tells why")))
            }
            Some(_) | None => Err(Failure::new(format!("unexpected answer: {answer}"))),
        }
    }

    async fn register(&self, session: &Session) -> Result<Value> {
        let base = format!(
            "/{}/registrations/{}",
            segment(&self.id_scope),
            segment(&self.registration_id)
        );
        let mut body = Map::new();
        body.insert("registrationId".into(), json!(self.registration_id));
        body.extend(self.payload.iter().map(|payload| ("payload".to_owned(), payload.clone())));
        let body = Value::from(body).to_string().into_bytes();
        let path = format!("{base}/register");
        let mut reply = self.send(session, Method::Put, &path, Some(body)).await?;
        for _ in 0..POLLS_MAX {
            let answer = self.read(&reply)?;
            let operation = cell(at(&answer, &["operationId"]));
            if at(&answer, &["status"]) != "assigning" {
                return Ok(answer);
            }
            tokio::time::sleep(wait(&reply)).await;
            let path = format!("{base}/operations/{}", segment(&operation));
            reply = self.send(session, Method::Get, &path, None).await?;
        }
        Err(Failure::new(format!(
            "'{}' is still being assigned, after {POLLS_MAX} polls",
            self.registration_id
        ))
        .hint("a custom allocation may be slow; look at the server's log"))
    }

    fn read(&self, reply: &Reply) -> Result<Value> {
        let doing = format!("register '{}'", self.registration_id);
        if reply.status == 401 {
            let id = &self.registration_id;
            return Err(Failure::refused(&doing, &self.target.host, reply).hint_instead(format!(
                "no enrollment believes the device's evidence; `muster explain {id}` tells why"
            )));
        }
        if !reply.is_success() {
            return Err(Failure::refused(&doing, &self.target.host, reply));
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::new(format!("can not {doing}: the answer is no JSON: {error}"))
        })
    }

    async fn send(
        &self,
        session: &Session,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Reply> {
        let mut headers = vec![("accept", "application/json".to_owned())];
        if body.is_some() {
            headers.push(("content-type", "application/json; charset=utf-8".to_owned()));
        }
        if let Credential::Key(key) = &self.credential {
            let key = SymmetricKey::from_base64(key)
                .map_err(|error| Failure::usage(format!("the device's key {error}")))?;
            let resource = format!("{}/registrations/{}", self.id_scope, self.registration_id);
            let expires = (session.clock)().plus(TOKEN_LIFE);
            let token = sas::create(&resource, &key, expires, Some("registration"));
            headers.push(("authorization", token));
        }
        let target = format!("{path}?api-version={DEVICE_API}");
        let request = Request { method, target, headers, body };
        session.transport.send(&self.target, &request).await
    }
}

fn wait(reply: &Reply) -> Duration {
    let told = reply.header("retry-after").and_then(|text| text.trim().parse().ok());
    told.map_or(POLL_DEFAULT, Duration::from_secs).min(POLL_MAX)
}
