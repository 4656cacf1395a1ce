//! Use cases: load a view, decide, commit, tell who is connected.
//!
//! What it is: everything that a device or an operator can ask of Muster, as `async` functions
//! over the [`store::Store`] port.
//!
//! What it is not: rules (those are in `provisioning` and `hub`), packets or status codes (those
//! are in `dialect`), sockets (those are in `gateway`).
//!
//! Invariants: every change and its audit line are one commit; a call that withdraws something
//! returns only after every live session that rested on it has ended; no answer rests on a cache
//! that was not checked against the store in the same snapshot.

pub mod access;
pub mod attempts;
mod attesting;
mod certificates;
mod connect;
mod consult;
mod credentials;
mod devices;
mod directory;
mod enrollments;
mod environment;
mod error;
mod events;
mod exceptions;
mod foretell;
mod instances;
mod jobs;
mod load;
pub mod observe;
mod orphans;
mod policies;
mod policy_keys;
mod refusals;
mod register;
mod registrations;
mod reprovision;
mod search;
mod send;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use attestation::network::{self, Network};
use store::{Store, StoreWork};

pub use attesting::{Attesting, Holder};
pub use certificates::CertificateRequest;
pub use connect::{ConnectError, Connecting, Message};
pub use consult::{Inquiry, Webhooks};
pub use credentials::IssuerRequest;
pub use devices::Demand;
pub use directory::{Directory, Endpoint};
pub use environment::{Clock, Entropy};
pub use error::{ApiError, Fault};
pub use events::{Announcer, SubscriptionDraft};
pub use foretell::Foretelling;
pub use instances::{Connection, DpsRequest, HubRequest, LinkRequest, NetworkRequest};
pub use jobs::{JobView, Registries};
pub use load::Loaded;
pub use orphans::Purged;
pub use policy_keys::PolicyKeys;
pub use register::{Accepted, PollError, Polled, RegisterError};
pub use reprovision::Reprovision;
pub use search::{Extent, Found, Search};
pub use send::SendError;
pub use store::telemetry::{TelemetryError, TelemetryLog};
pub use store::{DeliveryCount, DeviceView, IndividualView, Orphaned};

use access::sessions::Sessions;
use attempts::Attempts;
use consult::Consultations;
use events::Announcements;
use observe::{Nobody, Observer};
use refusals::Refusals;

/// Everything that Muster can be asked, over one store.
pub struct Service {
    store: Arc<dyn Store>,
    telemetry: Arc<dyn TelemetryLog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    directory: directory::Shared,
    sessions: Sessions,
    attempts: Attempts,
    loading: tokio::sync::Mutex<()>,
    acting: tokio::sync::RwLock<()>,
    refusals: Refusals,
    observer: Arc<dyn Observer>,
    webhooks: Arc<dyn Webhooks>,
    consultations: Arc<Consultations>,
    private_networks: Vec<Network>,
    announcements: Announcements,
    registries: Arc<dyn Registries>,
    jobs: jobs::Jobs,
}

/// Who asks, and the id by which the call can be found again.
#[derive(Clone, Debug)]
pub struct Call {
    /// The policy or device that acts, for the audit trail.
    pub actor: String,
    /// The id in the answer's error body and in the log.
    pub tracking_id: String,
    /// The protocol, for explanations: `mqtt`, `mqtt-ws`, `https`.
    pub protocol: &'static str,
    /// Where it comes from; none for what the server does of itself.
    pub from: Option<IpAddr>,
}

impl Service {
    /// A service over a store, with the directory read from it.
    ///
    /// # Errors
    /// [`Fault`] when the store can not be read.
    pub async fn open(
        store: Arc<dyn Store>,
        telemetry: Arc<dyn TelemetryLog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Fault> {
        let announcements = Announcements::new(clock.now());
        let connections = Arc::clone(&announcements.connections);
        let sessions = Sessions::new(Arc::clone(&clock), connections);
        let service = Self {
            store,
            telemetry,
            clock,
            entropy,
            directory: directory::Shared::default(),
            sessions,
            attempts: Attempts::default(),
            loading: tokio::sync::Mutex::default(),
            acting: tokio::sync::RwLock::default(),
            refusals: Refusals::default(),
            observer: Arc::new(Nobody),
            webhooks: Arc::new(consult::Silent),
            consultations: Arc::default(),
            private_networks: network::private_by_default(),
            announcements,
            registries: Arc::new(jobs::Nowhere),
            jobs: jobs::Jobs::new(model::limits::REMOTE_HUB_PATIENCE),
        };
        service.reload_directory().await?;
        service.reload_subscriptions().await?;
        Ok(service)
    }

    /// The same service, which tells what happens to `observer`.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The same service, which asks the webhooks of operators by `webhooks`.
    #[must_use]
    pub fn with_webhooks(mut self, webhooks: Arc<dyn Webhooks>) -> Self {
        self.webhooks = webhooks;
        self
    }

    /// The same service, with other private networks than the usual ones.
    #[must_use]
    pub fn with_private_networks(mut self, networks: Vec<Network>) -> Self {
        self.private_networks = networks;
        self
    }

    /// The networks that are let in where public network access is disabled.
    pub fn private_networks(&self) -> &[Network] {
        &self.private_networks
    }

    /// The same service, which puts events into form and sends them by `announcer`.
    #[must_use]
    pub fn with_announcer(mut self, announcer: Arc<dyn Announcer>) -> Self {
        self.announcements.announcer = announcer;
        self
    }
    /// The same service, of whose instances each records so many refusals of devices a second; all
    /// of them without a number.
    #[must_use]
    pub fn with_refusals_per_second(mut self, per_second: Option<NonZeroU32>) -> Self {
        self.refusals = Refusals::new(per_second);
        self
    }
    /// The same service, which calls the hubs that live elsewhere by `registries`; a registration
    /// waits for one that does not answer as long as `patience`.
    #[must_use]
    pub fn with_registries(
        mut self,
        registries: Arc<dyn Registries>,
        patience: std::time::Duration,
    ) -> Self {
        self.registries = registries;
        self.jobs = jobs::Jobs::new(patience);
        self
    }

    /// The instant by the service's clock.
    pub fn now(&self) -> model::Timestamp {
        self.clock.now()
    }

    /// A fresh id for a call, 32 hexadecimal digits in the form of a GUID.
    pub fn tracking_id(&self) -> String {
        environment::guid(self.entropy.as_ref())
    }

    /// The live sessions.
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The explanations of late attempts.
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// How much the store's writer has done; none for a store that groups nothing.
    pub fn store_work(&self) -> Option<StoreWork> {
        self.store.work()
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`Fault`] when it does not.
    pub async fn check(&self) -> Result<(), Fault> {
        Ok(self.store.check().await?)
    }
}
