//! What is refused over HTTPS, come again and again (S-35).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use attestation::network::{Action, IpFilterRule, Target};
use model::ServiceName;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use service::{HubRequest, NetworkRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::listener::{Capacity, Counters, Listener, bind};
use crate::tests::operator::{DPS, HUB};
use crate::tests::{KEY, World, call};
use crate::tls::{CertifiedPair, ServerCertificates, TlsPort};

/// A listener with its world; one refused connection is served a second.
struct Door {
    address: SocketAddr,
    counters: Arc<Counters>,
    connector: TlsConnector,
    shutdown: CancellationToken,
}

struct One(Arc<CertifiedPair>);

impl ServerCertificates for One {
    fn for_name(&self, _: Option<&str>) -> Option<Arc<CertifiedPair>> {
        Some(self.0.clone())
    }
}

impl Door {
    fn of(world: &World) -> Self {
        let names = [DPS.to_owned(), HUB.to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = vec![made.cert.der().clone()];
        let certified = CertifiedKey::from_der(chain, key, &provider).unwrap();
        let pair = CertifiedPair { ecdsa: Some(Arc::new(certified)), rsa: None };
        let tls = TlsPort::https(Arc::new(One(Arc::new(pair))), Vec::new()).unwrap();
        let socket = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let counters = Arc::new(Counters::default());
        let capacity = Capacity::default().with_refused_per_second(NonZeroU32::MIN);
        let handler = world.gateway.https_handler();
        let listener = Listener::new(socket, tls, handler, capacity, counters.clone());
        let address = listener.local_address().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(listener.run(shutdown.clone()));
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address, counters, connector: TlsConnector::from(Arc::new(client)), shutdown }
    }

    /// One request over a connection of its own; gives the status.
    async fn ask(&self, host: &'static str, request: &str, token: &str) -> u16 {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(host).unwrap();
        let mut tls = self.connector.connect(name, tcp).await.unwrap();
        let request = format!(
            "{request}?api-version=2021-04-12 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Authorization: {token}\r\nContent-Length: 0\r\n\r\n"
        );
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Some clients are told of the end, some see the connection cut.
        let _ = tls.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// How many connections had to wait of four in a row that are answered so.
    async fn waited(&self, host: &'static str, request: &str, token: &str, status: u16) -> u64 {
        for _ in 0..4 {
            assert_eq!(self.ask(host, request, token).await, status, "{request}");
        }
        self.counters.read().throttled_waited
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn refusing_devices(world: &World) {
    let rule = IpFilterRule {
        name: "none".to_owned(),
        action: Action::Reject,
        mask: "0.0.0.0/0".parse().unwrap(),
        target: Target::DeviceApi,
    };
    let network = NetworkRequest { rules: Some(vec![rule]), ..NetworkRequest::default() };
    let hub = ServiceName::parse("hub1").unwrap();
    let request = HubRequest { network, ..HubRequest::default() };
    world.gateway.service.put_hub(&call(), &hub, request).await.unwrap();
}

#[tokio::test]
async fn s_35_what_is_refused_over_https_waits_like_over_mqtt() {
    let send = "POST /devices/dev/messages/events";
    let world = World::new().await;
    let bogus = world.device_token("dev", KEY);
    let forged = world.owner(DPS).replace("&sig=", "&sig=AAAA");
    assert!(Door::of(&world).waited(HUB, send, &bogus, 401).await > 0, "a device's key");
    let get = "GET /enrollments/x";
    assert!(Door::of(&world).waited(DPS, get, &forged, 401).await > 0, "a service's key");
    assert!(Door::of(&world).waited(DPS, get, "", 401).await > 0, "no key");
    assert_eq!(Door::of(&world).waited(DPS, get, &world.owner(DPS), 404).await, 0, "a good key");
    refusing_devices(&world).await;
    assert!(Door::of(&world).waited(HUB, send, &bogus, 403).await > 0, "an address");
}

/// M-27: a device that is let in shows that its address is shared, or that it may come again.
#[tokio::test]
async fn s_35_a_device_that_sends_over_https_makes_no_other_wait() {
    let world = World::new().await;
    let body = format!(
        r#"{{"deviceId": "dev", "authentication": {{"symmetricKey":
            {{"primaryKey": "{KEY}", "secondaryKey": "{KEY}"}}}}}}"#
    );
    world.operate(HUB, "PUT /devices/dev", &[], &body).await.expect(200);
    let door = Door::of(&world);
    let good = world.device_token("dev", KEY);
    let send = "POST /devices/dev/messages/events";
    assert_eq!(door.ask(HUB, send, "").await, 401);
    assert_eq!(door.ask(HUB, send, &good).await, 204);
    assert_eq!(door.waited(HUB, send, "", 401).await, 0);
}
