//! `muster device`: a simulated device to play with.

use std::path::PathBuf;

use attestation::{SymmetricKey, sas};
use clap::{Args, Subcommand};

use super::common::json;
use super::device_registration::{Attempt, Credential, find, target};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::service::segment;
use crate::transport::{Identity, Method, Request};

/// The version of the hub's device API; what the Node SDK sends.
const HUB_DEVICE_API: &str = "2021-04-12";
/// How long a device's token is good for.
const TOKEN_LIFE: std::time::Duration = std::time::Duration::from_secs(3600);

/// A simulated device.
#[derive(Debug, Args)]
pub struct Device {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register at a provisioning service and print the hub that the device is assigned to.
    Register(Register),
    /// Send a telemetry message to a hub.
    Send(Send),
}

#[derive(Debug, Args)]
struct Evidence {
    /// The device's key, base64.
    #[arg(long, conflicts_with = "cert", required_unless_present = "cert")]
    key: Option<String>,
    /// The device's certificate chain, PEM, leaf first.
    #[arg(long, requires = "key_file", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[arg(long, requires = "cert", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Register {
    /// Registration id; the common name of the certificate, if the device has one.
    #[arg(long, visible_alias = "rid", value_name = "ID")]
    registration_id: String,
    /// Id scope of the provisioning service; that of this machine's only one when not given.
    #[arg(long, value_name = "SCOPE")]
    id_scope: Option<String>,
    /// Host to register at; that of this machine's server when not given.
    #[arg(long)]
    host: Option<String>,
    #[command(flatten)]
    evidence: Evidence,
    /// What a custom allocation is told, JSON or a file of it.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
}

#[derive(Debug, Args)]
struct Send {
    /// Host of the hub, with a port unless it is 443.
    #[arg(long)]
    host: String,
    /// Id of the device.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: String,
    #[command(flatten)]
    evidence: Evidence,
    /// The message.
    #[arg(long, default_value = "{\"temperature\": 21.5}")]
    data: String,
    /// How many times.
    #[arg(long, default_value_t = 1)]
    count: u32,
}

impl Evidence {
    fn credential(self) -> Result<Credential> {
        match (self.key, self.cert, self.key_file) {
            (Some(key), _, _) => Ok(Credential::Key(key)),
            (None, Some(chain), Some(key)) => Ok(Credential::Certificate(Identity { chain, key })),
            (None, _, _) => Err(Failure::usage("give --key, or --cert with --key-file")),
        }
    }
}

impl Device {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Register(args) => args.run(session).await,
            Verb::Send(args) => args.run(session).await,
        }
    }
}

impl Register {
    async fn run(self, session: &mut Session) -> Result {
        let payload = self.payload.as_deref().map(|text| json("--payload", text)).transpose()?;
        let found =
            find(session, self.id_scope.as_deref(), self.host.as_deref(), None, None).await?;
        let attempt = Attempt {
            id_scope: found.id_scope,
            registration_id: self.registration_id,
            credential: self.evidence.credential()?,
            payload,
            target: found.target,
        };
        attempt.run_and_tell(session).await
    }
}

impl Send {
    async fn run(self, session: &mut Session) -> Result {
        let mut target = target(session, &self.host)?;
        let host = target.host.clone();
        let id = &self.device_id;
        let mut headers = vec![("content-type", "application/json; charset=utf-8".to_owned())];
        match self.evidence.credential()? {
            Credential::Certificate(identity) => target.identity = Some(identity),
            Credential::Key(key) => {
                let key = SymmetricKey::from_base64(&key)
                    .map_err(|error| Failure::usage(format!("the device's key {error}")))?;
                let expires = (session.clock)().plus(TOKEN_LIFE);
                let resource = format!("{host}/devices/{id}");
                headers.push(("authorization", sas::create(&resource, &key, expires, None)));
            }
        }
        let request = Request {
            method: Method::Post,
            target: format!(
                "/devices/{}/messages/events?api-version={HUB_DEVICE_API}",
                segment(id)
            ),
            headers,
            body: Some(self.data.into_bytes()),
        };
        for _ in 0..self.count {
            let reply = session.transport.send(&target, &request).await?;
            if !reply.is_success() {
                return Err(Failure::refused(&format!("send as '{id}'"), &host, &reply)
                    .hint_not_found(
                        "this server takes telemetry over MQTT only, or has no such hub",
                    ));
            }
        }
        Ok(())
    }
}
