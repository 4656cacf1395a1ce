//! A device signs in to its hub; a change takes that away again.

use std::net::IpAddr;
use std::time::Duration;

use hub::permit::{Authority, Denied, Evidence, Permit, permit};
use hub::telemetry::{AuthType, Event};
use hub::twin::Twin;
use model::{DeviceId, HostName, limits};
use serde_json::{Map, Value};
use store::{ChangeScope, Commit, Condition, DeviceView, Write};
use tokio::time::{Instant, timeout};

use crate::access::sessions::{Closing, Session, Shared};
use crate::error::{Retry, sorted};
use crate::observe::{Observed, SignInOutcome, TelemetryOutcome};
use crate::{ApiError, Fault, Service, TelemetryError};

/// How long an operator's call waits for a driver to let go of a connection whose permit is
/// already withdrawn. Nothing is accepted in that time.
const SESSION_END_MAX: Duration = Duration::from_secs(5);

/// What a device shows when it signs in.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// The hub.
    pub hub: HostName,
    /// The name by which the device calls the hub: its host, or an alias of it. Its token is made
    /// for that.
    pub named: HostName,
    /// Who it says it is.
    pub device_id: DeviceId,
    /// Where it comes from.
    pub from: IpAddr,
    /// What it shows.
    pub evidence: Evidence,
}

/// Why a device was not signed in.
#[derive(Debug)]
pub enum ConnectError {
    /// There is no such hub.
    UnknownHub,
    /// The rules refuse it.
    Denied(Denied),
    /// A change or a newer connection came in between.
    Closed(Closing),
    /// We failed.
    Fault(Fault),
}

impl From<Fault> for ConnectError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Service {
    /// Signs a device in; an older session of the same device ends.
    ///
    /// # Errors
    /// [`ConnectError`]; there is no session then.
    pub async fn connect(&self, connecting: Connecting) -> Result<(Session, Permit), ConnectError> {
        let hub = connecting.hub.clone();
        if self.directory().hub(&hub).is_none() {
            return Err(ConnectError::UnknownHub);
        }
        let signed_in = self.sign_in(connecting).await;
        let status = match &signed_in {
            Ok(_) => SignInOutcome::Granted,
            Err(error) => SignInOutcome::of(error),
        };
        self.observer.observe(&Observed::SignIn { hub: &hub, status });
        signed_in
    }

    async fn sign_in(&self, connecting: Connecting) -> Result<(Session, Permit), ConnectError> {
        let (session, granted) = self.judged(connecting).await?;
        session.signed_in();
        let number = session.number();
        for older in self.sessions.of_device(session.key()) {
            if older.is_before(number) {
                older.close(Closing::TakenOver).await;
                self.observer.observe(&Observed::SessionClosed { why: Closing::TakenOver });
            }
        }
        Ok((session, granted))
    }

    /// A session with its permit, beside any older one of the same device.
    pub(crate) async fn judged(
        &self,
        connecting: Connecting,
    ) -> Result<(Session, Permit), ConnectError> {
        let Connecting { hub, named, device_id, from, evidence } = connecting;
        // In the index first, the authority second: see `access::sessions`.
        let session = self.sessions.enter((hub, device_id), named, from, evidence);
        let granted = self.judge(session.shared()).await?.map_err(ConnectError::Denied)?;
        session.grant(granted.clone()).await.map_err(ConnectError::Closed)?;
        Ok((session, granted))
    }

    /// The one check, by what the store says now (I6).
    async fn judge(&self, session: &Shared) -> Result<Result<Permit, Denied>, Fault> {
        let (host, device_id) = &session.key;
        let view = self.store.device(host, device_id).await?;
        let directory = self.directory();
        let Some(hub) = directory.hub(host) else { return Ok(Err(Denied::UnknownDevice)) };
        let device = view.as_ref().map(|view| &view.device.value);
        let withdrawn: Vec<_> = device
            .into_iter()
            .flat_map(|device| &device.issued)
            .filter(|issued| {
                let dps = directory.dps(&issued.dps);
                !dps.is_some_and(|dps| dps.issuance.is_live(&issued.issuer))
            })
            .map(|issued| issued.thumbprint)
            .collect();
        let authority = Authority {
            host: &session.named,
            device,
            policies: &hub.policies,
            network: &hub.network,
            private: &self.private_networks,
            withdrawn: &withdrawn,
        };
        Ok(permit(authority, device_id, session.from, &session.evidence, self.now()))
    }

    /// Makes changes that are committed known to every live session, and returns when no session
    /// that they deny can act any more.
    ///
    /// # Errors
    /// [`Fault`] when the store can not be read; the sessions concerned are closed then.
    pub(crate) async fn barrier(&self, changes: &[ChangeScope]) -> Result<(), Fault> {
        let is_of_directory =
            |scope: &_| matches!(scope, ChangeScope::Directory | ChangeScope::Hub { .. });
        let reloaded = match changes.iter().any(is_of_directory) {
            true => self.reload_directory().await,
            false => Ok(()),
        };
        let started = Instant::now();
        let mut ended = 0_usize;
        for change in changes {
            let sessions = match change {
                ChangeScope::Device { hub, device_id } => {
                    self.sessions.of_device(&(hub.clone(), device_id.clone()))
                }
                ChangeScope::Hub { hub } => self.sessions.of_hub(hub),
                ChangeScope::Directory => Vec::new(),
            };
            let mut closed = Vec::new();
            for session in sessions {
                if !self.still_permitted(&session).await {
                    session.close(Closing::Denied).await;
                    self.observer.observe(&Observed::SessionClosed { why: Closing::Denied });
                    closed.push(session);
                }
            }
            ended = ended.saturating_add(closed.len());
            for session in closed {
                // The permit is gone already; this waits for the socket alone.
                if timeout(SESSION_END_MAX, session.ended()).await.is_err() {
                    let (hub, device_id) = &session.key;
                    tracing::warn!(
                        hub.name = %hub,
                        device.id = %device_id,
                        "the connection of {device_id} at {hub} outlives its permit"
                    );
                }
            }
        }
        if ended > 0 {
            self.observer.observe(&Observed::Withdrawal { took: started.elapsed() });
        }
        reloaded
    }

    /// A session stays only on the same identity and by the very credential that it used (D-24).
    async fn still_permitted(&self, session: &Shared) -> bool {
        let now = self.judge(session).await;
        match (session.permit().await, now) {
            // Not yet granted: its own check comes after this change, and sees it.
            (None, Ok(Ok(_))) => true,
            (Some(held), Ok(Ok(now))) => {
                held.generation_id == now.generation_id && held.credential == now.credential
            }
            (_, Ok(Err(_)) | Err(_)) => false,
        }
    }

    /// A device's twin.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] when the identity is gone.
    pub async fn twin(&self, hub: &HostName, id: &DeviceId) -> Result<Twin, ApiError> {
        let view = self.store.device(hub, id).await?.ok_or(ApiError::NotFound)?;
        Ok(view.twin.value)
    }

    /// A device reports properties; gives the new `$version`.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn report(
        &self,
        hub: &HostName,
        id: &DeviceId,
        patch: &Map<String, Value>,
    ) -> Result<u64, ApiError> {
        hub::twin::check_reported(patch)?;
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let DeviceView { mut twin, .. } =
                self.store.device(hub, id).await?.ok_or(ApiError::NotFound)?;
            let now = self.now();
            let version = twin.value.report(patch, now);
            hub::twin::check_size(&twin.value.reported)?;
            let commit = Commit {
                conditions: vec![Condition::Twin {
                    hub: hub.clone(),
                    id: id.clone(),
                    at: Some(twin.revision),
                }],
                writes: vec![Write::Twin(hub.clone(), id.clone(), Box::new(twin.value))],
                changes: Vec::new(),
                audit: Vec::new(),
            };
            match self.commit(commit).await.map_err(sorted) {
                Ok(_) => return Ok(version),
                Err(Retry::Again) => {}
                Err(Retry::Never(fault)) => return Err(ApiError::Fault(fault)),
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// A device sends telemetry: durable when this returns `Ok`.
    ///
    /// # Errors
    /// [`TelemetryError`]; the device must see no acknowledgement then.
    pub async fn telemetry(
        &self,
        session: &Session,
        permit: &Permit,
        message: Message,
    ) -> Result<(), TelemetryError> {
        let (hub, device_id) = session.key();
        let bytes = u64::try_from(message.body.len()).unwrap_or(u64::MAX);
        let now = self.now();
        session.heard(now);
        let event = Event {
            device_id: device_id.clone(),
            generation_id: permit.generation_id,
            auth_type: match permit.credential {
                hub::permit::Credential::Certificate => AuthType::X509,
                hub::permit::Credential::DeviceKey | hub::permit::Credential::Policy(_) => {
                    AuthType::Sas
                }
            },
            enqueued: now,
            system_properties: message.system_properties,
            properties: message.properties,
            body: message.body,
        };
        let appended = self.telemetry.append(hub, event).await;
        let status = TelemetryOutcome::of(&appended);
        self.observer.observe(&Observed::Telemetry { hub, status, bytes });
        appended.map(|_| ())
    }
}

/// A message as a protocol brought it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// System properties such as `$.mid`, decoded.
    pub system_properties: Vec<(String, String)>,
    /// The application's properties, decoded.
    pub properties: Vec<(String, Option<String>)>,
    /// The payload.
    pub body: Vec<u8>,
}
