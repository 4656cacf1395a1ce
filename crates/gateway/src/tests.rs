//! A gateway over the model store, and calls to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use attestation::SymmetricKey;
use attestation::network::NetworkAccess;
use attestation::sas;
use futures_util::future::BoxFuture;
use hub::telemetry::{Event, Position};
use model::{HostName, IfMatch, RegistrationId, ServiceName, Timestamp};
use service::{
    Call, Clock, DpsRequest, Entropy, HubRequest, LinkRequest, Service, TelemetryError,
    TelemetryLog,
};
use store::Store;
use store::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use crate::listener::Counters;
use crate::metrics::{Metrics, Readings};
use crate::monitoring::Monitoring;
use crate::peer::{Peer, TlsVersion};
use crate::tls::CertificateStatus;
use crate::{Gateway, Intermediates};

mod broken;
pub(crate) mod operator;

pub(crate) use broken::Broken;

/// A key of the test's enrollments.
pub(crate) const KEY: &str = "c2VjcmV0LWtleS1vZi1hLXRlc3QtMDEyMzQ1Njc4OQ==";

struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let ticks = self.0.fetch_add(10, Ordering::SeqCst);
        Timestamp::from_unix_ticks(i64::try_from(ticks).unwrap())
    }
}

struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let next = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            *byte = next.to_be_bytes()[0];
        }
    }
}

#[derive(Default)]
struct TestLog(Mutex<Vec<Event>>);

#[async_trait]
impl TelemetryLog for TestLog {
    async fn append(&self, _hub: &HostName, event: Event) -> Result<Position, TelemetryError> {
        self.0.lock().unwrap().push(event);
        Ok(Position { partition: 0, sequence: 0 })
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

/// A service with what counts it.
pub(crate) async fn service(store: Arc<dyn Store>) -> (Service, Arc<Metrics>) {
    service_of(store, Arc::new(TestEntropy(AtomicU64::new(7)))).await
}

async fn service_of(store: Arc<dyn Store>, entropy: Arc<dyn Entropy>) -> (Service, Arc<Metrics>) {
    let clock = Arc::new(TestClock(AtomicU64::new(17_900_000_000_000_000)));
    let log = Arc::new(TestLog::default());
    let service = Service::open(store, log, clock, entropy).await.unwrap();
    let metrics = Arc::new(Metrics::default());
    (service.with_observer(metrics.clone()), metrics)
}

/// A store that can be broken.
pub(crate) fn breakable() -> (Arc<Broken>, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    (Arc::new(Broken(Arc::clone(&broken))), broken)
}

pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) certificates: Arc<CertificateStatus>,
    /// Where calls come from.
    pub(crate) from: SocketAddr,
    scope: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(TestEntropy(AtomicU64::new(7)))).await
    }

    /// With randomness of its own.
    pub(crate) async fn with(entropy: Arc<dyn Entropy>) -> Self {
        let (service, metrics) = service_of(Arc::new(Memory::default()), entropy).await;
        let dps = ServiceName::parse("dps").unwrap();
        let made = service.put_dps(&call(), &dps, DpsRequest::default()).await.unwrap();
        let hub = ServiceName::parse("hub1").unwrap();
        let hub = service.put_hub(&call(), &hub, HubRequest::default()).await.unwrap();
        let link = LinkRequest::default();
        service.put_link(&call(), &dps, &hub.host, &link).await.unwrap();
        Self::of(service, metrics, made.id_scope.to_string())
    }

    /// Over a store that holds what it shall hold.
    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let (service, metrics) = service(store).await;
        let scope = service.directory().dps.first().map(|dps| dps.id_scope.to_string());
        Self::of(service, metrics, scope.unwrap_or_default())
    }

    fn of(service: Service, metrics: Arc<Metrics>, scope: String) -> Self {
        let gateway = Gateway {
            service: Arc::new(service),
            admin_policies: Vec::new(),
            admin_network: NetworkAccess::default(),
            issuers: Arc::new(crate::issuers::Nobody),
            metrics,
            intermediates: Intermediates::default(),
        };
        Self {
            gateway: Arc::new(gateway),
            counters: Arc::default(),
            certificates: Arc::default(),
            from: "127.0.0.1:4".parse().unwrap(),
            scope,
        }
    }

    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    pub(crate) async fn enroll(&self, id: &str) {
        let body = format!(
            r#"{{"registrationId":"{id}","attestation":{{"type":"symmetricKey","symmetricKey":
               {{"primaryKey":"{KEY}","secondaryKey":"{KEY}"}}}}}}"#
        );
        let version = dialect::api_version::ApiVersion::parse("2021-10-01").unwrap();
        let id = RegistrationId::parse(id).unwrap();
        let draft =
            dialect::rest::service::enrollment::draft(&id, body.as_bytes(), &version).unwrap();
        let dps = ServiceName::parse("dps").unwrap();
        let own = &self.gateway.service;
        own.put_individual(&call(), &dps, &draft, &IfMatch::Absent).await.unwrap();
    }

    /// A device's token for an hour.
    pub(crate) fn token(&self, id: &str, key: &str) -> String {
        let key = SymmetricKey::from_base64(key).unwrap();
        let resource = format!("{}/registrations/{id}", self.scope);
        let expires = self.gateway.service.now().unix_seconds() + 3600;
        let expires = Timestamp::from_unix_seconds(expires);
        sas::create(&resource, &key, expires, Some("registration"))
    }

    /// Registers over HTTPS; gives the whole response.
    pub(crate) async fn register(&self, id: &str, key: &str) -> String {
        let token = self.token(id, key);
        let path = format!("/{}/registrations/{id}/register?api-version=2021-06-01", self.scope);
        let body = format!(r#"{{"registrationId":"{id}"}}"#);
        self.call("PUT", &path, Some(&token), &body).await
    }

    /// One request to the provisioning service's host, over a connection of its own.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> String {
        let authorization =
            token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: dps.localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\n{authorization}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.exchange("dps.localhost", request.as_bytes()).await
    }

    /// A client without a certificate.
    pub(crate) fn peer(&self, host: &str) -> Arc<Peer> {
        Arc::new(Peer {
            address: self.from,
            server_name: Some(host.to_owned()),
            chain: Vec::new(),
            tls_version: TlsVersion::V1_3,
            presented: OnceLock::new(),
            standing: crate::listener::Standing::default(),
        })
    }

    /// What a host answers to these bytes, until it ends the connection.
    pub(crate) async fn exchange(&self, host: &str, request: &[u8]) -> String {
        let (client, serving) = self.connect(host);
        let (mut reader, mut writer) = tokio::io::split(client);
        // One that has read enough may answer and close before it has everything.
        let asking = async { drop(writer.write_all(request).await) };
        let listening = async {
            let mut response = String::new();
            reader.read_to_string(&mut response).await.unwrap();
            response
        };
        tokio::join!(serving, asking, listening).2
    }

    /// A connection to a host, and what serves it.
    pub(crate) fn connect(&self, host: &str) -> (DuplexStream, BoxFuture<'static, ()>) {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let gateway = Arc::clone(&self.gateway);
        let shutdown = CancellationToken::new();
        (client, Box::pin(crate::http::serve(gateway, server, self.peer(host), shutdown)))
    }

    pub(crate) fn monitoring(&self, listeners: u64) -> Monitoring {
        let service = Arc::clone(&self.gateway.service);
        let readings = Readings {
            service,
            listeners: Arc::clone(&self.counters),
            certificates: Arc::clone(&self.certificates),
        };
        Monitoring::new(&self.gateway.metrics, readings, listeners)
    }

    /// The metrics as a monitoring system reads them.
    pub(crate) async fn metrics(&self) -> String {
        self.monitoring(0).answer("GET", "/metrics").await.body
    }
}

pub(crate) fn call() -> Call {
    Call { actor: "test".to_owned(), tracking_id: "t".to_owned(), protocol: "test", from: None }
}
