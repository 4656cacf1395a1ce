use std::sync::Mutex;

use attestation::SymmetricKey;
use attestation::sas::SasToken;
use model::{PolicyName, Timestamp};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }
}

/// A hub that gives its answers in turn, one a connection; an empty one is a connection that ends.
struct Hub {
    remote: RemoteHub,
    roots: RootCertStore,
    asked: Arc<Mutex<Vec<String>>>,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn key() -> SymmetricKey {
    SymmetricKey::from_bytes(vec![7; 32]).unwrap()
}

fn answer(status: u16, body: &serde_json::Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Hub {
    async fn new(answers: Vec<String>) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let own = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], own)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut text = String::new();
                let mut bytes = [0_u8; 4096];
                while !text.contains("\r\n\r\n") {
                    let length = tls.read(&mut bytes).await.unwrap();
                    text.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
                }
                noted.lock().unwrap().push(text);
                let _ = tls.write_all(answer.as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        });
        let policy = PolicyName::parse("registryReadWrite").unwrap();
        let remote = RemoteHub { authority: format!("localhost:{port}"), policy, key: key() };
        Self { remote, roots, asked }
    }

    async fn call(&self, roots: &RootCertStore, call: &Call<'_>) -> Result<Option<Found>, Miss> {
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let client = Client::new(Arc::new(tls), Arc::new(Noon));
        client.call(&self.remote, &DeviceId::parse("d-1").unwrap(), call).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn l_11_a_call_is_signed_for_the_hub_by_its_policy() {
    let device = json!({"deviceId": "d-1", "etag": "MQ==", "authentication": {"type": "none"}});
    let twin = json!({"etag": "AAAAAAAAAAE=", "properties": {"desired": {"a": 1}}});
    let hub = Hub::new(vec![answer(200, &device), answer(200, &twin)]).await;
    let found = hub.call(&hub.roots, &Call::Read).await.unwrap().unwrap();
    assert_eq!((found.etag.as_str(), json!(found.twin.desired)), ("MQ==", json!({"a": 1})));
    let asked = hub.asked();
    assert!(asked[0].starts_with("GET /devices/d-1?api-version="), "{}", asked[0]);
    assert!(asked[1].starts_with("GET /twins/d-1?api-version="), "{}", asked[1]);
    let field = |name: &str| {
        let line = asked[0].lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.unwrap().split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(field("host: "), hub.remote.authority);
    let token = SasToken::parse(&field("authorization: ")).unwrap();
    assert!(token.is_signed_by(&key()) && token.is_for(&hub.remote.authority));
    assert_eq!(token.key_name(), Some("registryReadWrite"));
    assert!(!token.is_expired(Noon.now()));
    assert!(token.is_expired(Noon.now().plus(std::time::Duration::from_secs(3600))));
    assert!(!asked.concat().contains(&key().to_base64()));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_a_write_says_whose_version_it_means() {
    let hub = Hub::new(vec![answer(404, &json!({})), answer(412, &json!({}))]).await;
    assert_eq!(hub.call(&hub.roots, &Call::Read).await, Ok(None));
    let removed = hub.call(&hub.roots, &Call::Remove { etag: "MQ==" }).await;
    assert_eq!(removed, Err(Miss::Changed));
    assert!(
        hub.asked()[1].to_ascii_lowercase().contains("if-match: \"mq==\""),
        "{:?}",
        hub.asked()
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_no_answer_and_a_stranger_is_not_asked() {
    let cut = answer(200, &json!({"deviceId": "d-1"})).replace("d-1\"}", "");
    let hub = Hub::new(vec![String::new(), cut]).await;
    for _ in 0..2 {
        let missed = hub.call(&hub.roots, &Call::Remove { etag: "e" }).await;
        assert!(matches!(missed, Err(Miss::Unreachable(_))), "{missed:?}");
    }
    // By now nobody listens there.
    let missed = hub.call(&hub.roots, &Call::Read).await;
    assert!(matches!(missed, Err(Miss::Unreachable(_))), "{missed:?}");
    let (hub, other) = (Hub::new(vec![String::new()]).await, Hub::new(Vec::new()).await);
    let refused = hub.call(&other.roots, &Call::Read).await;
    assert!(matches!(&refused, Err(Miss::Refused(text)) if text.contains("no TLS")), "{refused:?}");
    assert!(hub.asked().is_empty());
}
