//! A service over the model store, with a clock and randomness of the test's.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use attestation::SymmetricKey;
use attestation::sas::{self, SasToken};
use hub::telemetry::{Event, Position};
use model::{
    DeviceId, EnrollmentGroupId, HostName, IfMatch, RegistrationId, ServiceName, Timestamp,
};
use provisioning::draft::{GroupDraft, IndividualDraft};
use provisioning::enrollment::{Individual, ProvisioningStatus};
use provisioning::quota::QuotaChange;
use provisioning::registration::Registration;
use provisioning::view::{Evidence, RegistrationRequest, Versioned};
use service::{
    Accepted, Announcer, Call, Clock, DpsRequest, Entropy, Extent, Found, HubRequest, LinkRequest,
    PollError, Polled, RegisterError, Registries, Search, Service, TelemetryError, TelemetryLog,
    Webhooks,
};
use store::memory::Memory;

/// The service looks at the clock between what it reads and what it writes.
pub struct TestClock {
    ticks: AtomicI64,
    /// Who still has to come, and where they wait for one another.
    gathering: Mutex<(usize, Arc<Barrier>)>,
    /// What somebody else does at the next looks at the clock, the last one first.
    meanwhile: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let waiting = {
            let mut gathering = self.gathering.lock().unwrap();
            let comes = gathering.0 > 0;
            gathering.0 = gathering.0.saturating_sub(1);
            comes.then(|| Arc::clone(&gathering.1))
        };
        if let Some(barrier) = waiting {
            barrier.wait();
        }
        let meanwhile = self.meanwhile.lock().unwrap().pop();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        // A tick each time, so that no two instants are the same.
        Timestamp::from_unix_ticks(self.ticks.fetch_add(10, Ordering::SeqCst))
    }
}

impl TestClock {
    /// The next callers, each on a thread of its own, go on when all of them have come.
    pub fn gather(&self, callers: usize) {
        *self.gathering.lock().unwrap() = (callers, Arc::new(Barrier::new(callers)));
    }

    /// Each of the next looks at the clock is when somebody else does one of these.
    pub fn meanwhile(&self, all: Vec<Box<dyn FnOnce() + Send>>) {
        *self.meanwhile.lock().unwrap() = all;
    }

    pub fn is_all_done(&self) -> bool {
        self.meanwhile.lock().unwrap().is_empty()
    }

    pub fn advance(&self, seconds: i64) {
        self.ticks.fetch_add(seconds * 10_000_000, Ordering::SeqCst);
    }
}

/// Splitmix64: seeded, so that a failure repeats.
struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let random = (z ^ (z >> 31)).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// Telemetry in memory; `hold` makes appends wait.
#[derive(Default)]
pub struct TestLog {
    pub events: Mutex<Vec<Event>>,
    pub hold: tokio::sync::RwLock<()>,
}

#[async_trait]
impl TelemetryLog for TestLog {
    async fn append(&self, _hub: &HostName, event: Event) -> Result<Position, TelemetryError> {
        let _held = self.hold.read().await;
        let mut events = self.events.lock().unwrap();
        events.push(event);
        Ok(Position { partition: 0, sequence: events.len() as u64 - 1 })
    }

    async fn read(
        &self,
        _hub: &HostName,
        _partition: u32,
        _from: u64,
        _limit: usize,
    ) -> Result<Vec<(Position, Event)>, TelemetryError> {
        Ok(Vec::new())
    }
}

pub struct World {
    pub service: Arc<Service>,
    pub clock: Arc<TestClock>,
    pub log: Arc<TestLog>,
    pub dps: ServiceName,
    pub store: Arc<dyn store::Store>,
    scope: String,
}

pub fn id(text: &str) -> RegistrationId {
    RegistrationId::parse(text).unwrap()
}

pub fn group_id(text: &str) -> EnrollmentGroupId {
    EnrollmentGroupId::parse(text).unwrap()
}

pub fn device_id(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub fn host(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

pub fn call() -> Call {
    Call { actor: "test".to_owned(), tracking_id: "t".to_owned(), protocol: "test", from: None }
}

pub fn key(seed: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(vec![seed; 32]).unwrap()
}

/// An enrollment as an operator's tool sends it.
pub fn individual(name: &str, json: &serde_json::Value) -> IndividualDraft {
    let mut body = json.clone();
    body["registrationId"] = name.into();
    let version = dialect::api_version::ApiVersion::parse("2021-10-01").unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    dialect::rest::service::enrollment::draft(&id(name), &body, &version).unwrap()
}

pub fn group(name: &str, json: &serde_json::Value) -> GroupDraft {
    let mut body = json.clone();
    body["enrollmentGroupId"] = name.into();
    let version = dialect::api_version::ApiVersion::parse("2021-10-01").unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    dialect::rest::service::group::draft(&group_id(name), &body, &version).unwrap()
}

pub fn keyed(seed: u8) -> serde_json::Value {
    serde_json::json!({"attestation": {"type": "symmetricKey", "symmetricKey": {
        "primaryKey": key(seed).to_base64(), "secondaryKey": key(seed + 100).to_base64()}}})
}

/// A certificate of this name, as PEM.
pub fn self_signed(name: &str) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

async fn opened(
    store: &Arc<dyn store::Store>,
    log: &Arc<TestLog>,
    clock: &Arc<TestClock>,
    outside: Outside,
) -> Arc<Service> {
    let entropy = Arc::new(TestEntropy(AtomicU64::new(7)));
    let service = Service::open(store.clone(), log.clone(), clock.clone(), entropy);
    let service = service.await.unwrap();
    let Outside { webhooks, registries } = outside;
    let service = match webhooks {
        Some(webhooks) => service.with_webhooks(webhooks),
        None => service,
    };
    Arc::new(match registries {
        Some(registries) => service.with_registries(registries, Duration::from_secs(1)),
        None => service,
    })
}

/// Whom a service asks.
#[derive(Default)]
pub struct Outside {
    pub webhooks: Option<Arc<dyn Webhooks>>,
    pub registries: Option<Arc<dyn Registries>>,
}

impl World {
    pub async fn new() -> Self {
        Self::over(Arc::new(Memory::default())).await
    }

    pub async fn over(store: Arc<dyn store::Store>) -> Self {
        Self::made(store, Outside::default()).await
    }

    /// A world whose service asks webhooks by these.
    pub async fn asking(webhooks: Arc<dyn Webhooks>) -> Self {
        let outside = Outside { webhooks: Some(webhooks), registries: None };
        Self::made(Arc::new(Memory::default()), outside).await
    }

    /// A world whose service calls hubs elsewhere by these.
    pub async fn calling(registries: Arc<dyn Registries>) -> Self {
        let outside = Outside { webhooks: None, registries: Some(registries) };
        Self::made(Arc::new(Memory::default()), outside).await
    }

    pub async fn made(store: Arc<dyn store::Store>, outside: Outside) -> Self {
        let clock = Arc::new(TestClock {
            ticks: AtomicI64::new(17_900_000_000_000_000),
            gathering: Mutex::new((0, Arc::new(Barrier::new(1)))),
            meanwhile: Mutex::default(),
        });
        let log = Arc::new(TestLog::default());
        let service = opened(&store, &log, &clock, outside).await;
        let dps = ServiceName::parse("dps").unwrap();
        let made = service.put_dps(&call(), &dps, DpsRequest::default()).await.unwrap();
        for name in ["hub1", "hub2"] {
            let name = ServiceName::parse(name).unwrap();
            let hub = service.put_hub(&call(), &name, HubRequest::default()).await.unwrap();
            let link = LinkRequest::default();
            service.put_link(&call(), &dps, &hub.host, &link).await.unwrap();
        }
        Self { service, clock, log, dps, store, scope: made.id_scope.to_string() }
    }

    /// Another service over the same store, as after a crash, which sends events by this.
    pub async fn announcing(self, announcer: Arc<dyn Announcer>) -> Self {
        let entropy = Arc::new(TestEntropy(AtomicU64::new(11)));
        let (store, log, clock) = (self.store.clone(), self.log.clone(), self.clock.clone());
        let service = Service::open(store, log, clock, entropy).await.unwrap();
        Self { service: Arc::new(service.with_announcer(announcer)), ..self }
    }

    /// Another service over the same store, as after a crash.
    pub async fn restarted(self, webhooks: Arc<dyn Webhooks>) -> Self {
        self.anew(Outside { webhooks: Some(webhooks), registries: None }).await
    }

    /// Another service over the same store, as after a crash.
    pub async fn anew(self, outside: Outside) -> Self {
        let service = opened(&self.store, &self.log, &self.clock, outside).await;
        Self { service, ..self }
    }

    pub fn token(&self, name: &str, key: &SymmetricKey) -> Evidence {
        let resource = format!("{}/registrations/{name}", self.scope);
        let expires = Timestamp::from_unix_seconds(self.clock.now().unix_seconds() + 86_400);
        let text = sas::create(&resource, key, expires, Some("registration"));
        Evidence::Sas(SasToken::parse(&text).unwrap())
    }

    pub async fn put(&self, name: &str, json: &serde_json::Value) {
        let draft = individual(name, json);
        self.service.put_individual(&call(), &self.dps, &draft, &IfMatch::Absent).await.unwrap();
    }

    pub async fn replace(&self, name: &str, json: &serde_json::Value) {
        let draft = individual(name, json);
        self.service.put_individual(&call(), &self.dps, &draft, &IfMatch::Any).await.unwrap();
    }

    pub async fn put_group(&self, name: &str, json: &serde_json::Value) {
        let draft = group(name, json);
        let any = match self.service.group(&self.dps, &group_id(name)).await {
            Ok(_) => IfMatch::Any,
            Err(_) => IfMatch::Absent,
        };
        self.service.put_group(&call(), &self.dps, &draft, &any).await.unwrap();
    }

    /// Sets the status of an individual enrollment with these keys.
    pub async fn status(&self, name: &str, seed: u8, status: ProvisioningStatus) {
        let mut json = keyed(seed);
        json["provisioningStatus"] = match status {
            ProvisioningStatus::Enabled => "enabled".into(),
            ProvisioningStatus::Disabled => "disabled".into(),
        };
        self.replace(name, &json).await;
    }

    pub async fn delete(&self, name: &str) {
        let id = id(name);
        self.service.delete_individual(&call(), &self.dps, &id, &IfMatch::Any).await.unwrap();
    }

    pub async fn delete_group(&self, name: &str) {
        let id = group_id(name);
        self.service.delete_group(&call(), &self.dps, &id, &IfMatch::Any).await.unwrap();
    }

    pub async fn register(
        &self,
        name: &str,
        evidence: &Evidence,
    ) -> Result<Accepted, RegisterError> {
        let request = RegistrationRequest {
            registration_id: id(name),
            api_version: "2021-06-01".to_owned(),
            payload: None,
            csr: None,
            from: None,
        };
        self.service.register(&call(), &self.dps, &request, evidence).await
    }

    pub async fn poll(
        &self,
        name: &str,
        operation: &str,
        evidence: &Evidence,
    ) -> Result<Polled, PollError> {
        self.service.poll(&self.dps, &id(name), operation, evidence).await
    }

    /// Registers, polls, and says what the device is told: the status, and the hub if assigned.
    pub async fn outcome(&self, name: &str, evidence: &Evidence) -> String {
        let accepted = match self.register(name, evidence).await {
            Ok(accepted) => accepted,
            Err(RegisterError::Rejected(rejection, _)) => {
                return match rejection {
                    provisioning::decide::Rejection::Stranger { .. } => "401".to_owned(),
                    provisioning::decide::Rejection::QuotaReached { .. } => "403".to_owned(),
                    provisioning::decide::Rejection::Csr(_) => "400".to_owned(),
                };
            }
            Err(error) => panic!("{error:?}"),
        };
        match self.poll(name, &accepted.operation_id, evidence).await.unwrap() {
            Polled::Record(record) => format!("{:?}", record.status).to_lowercase(),
            Polled::Disabled(_) => "disabled".to_owned(),
        }
    }

    pub async fn entries(&self, after: Option<&str>, limit: usize) -> Found<Versioned<Individual>> {
        let search = Search { after, extent: Extent::Rows(limit), ids: None };
        let pick = |view: store::IndividualView| Some(view.individual);
        self.service.search_individuals(&self.dps, &search, pick).await.unwrap()
    }

    pub async fn records_of(
        &self,
        group: &EnrollmentGroupId,
        after: Option<&str>,
        limit: usize,
    ) -> Found<Versioned<Registration>> {
        let search = Search { after, extent: Extent::Rows(limit), ids: None };
        self.service
            .search_registrations(&self.dps, group, &search, |row, _| Some(row))
            .await
            .unwrap()
    }

    pub async fn record(&self, name: &str) -> Option<Registration> {
        self.service.registration(&self.dps, &id(name)).await.ok()
    }

    pub async fn device(&self, name: &str) -> Option<store::DeviceView> {
        for hub in ["hub1.localhost", "hub2.localhost"] {
            if let Ok(view) = self.service.device(&host(hub), &device_id(name)).await {
                return Some(view);
            }
        }
        None
    }

    pub async fn set_quota(&self, registrations: u64) {
        let quota = QuotaChange { registrations: Some(registrations), ..QuotaChange::default() };
        let request = DpsRequest { quota, ..DpsRequest::default() };
        self.service.put_dps(&call(), &self.dps, request).await.unwrap();
    }
}
