//! An issuer on this machine, asked for its keys.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use attestation::bearer::KeySet;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys whose points are on no curve: they are kept, and verify nothing.
const FIRST: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "1",
    "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;

fn second() -> String {
    FIRST.replace(r#""1""#, r#""2""#)
}

fn set(text: &str) -> KeySet {
    KeySet::parse(text.as_bytes()).unwrap()
}

/// Answers by path; what it was asked is kept.
struct Provider {
    uri: String,
    tls: Arc<ClientConfig>,
    answers: Arc<Mutex<HashMap<String, (u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    async fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let answers: Arc<Mutex<HashMap<String, (u16, String)>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (acceptor, known, noted) =
            (TlsAcceptor::from(Arc::new(config)), Arc::clone(&answers), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(tls.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let answer = known.lock().unwrap().get(&path).cloned();
                noted.lock().unwrap().push(path);
                let (status, body) = answer.unwrap_or((404, String::new()));
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = tls.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = tls.shutdown().await;
            }
        });
        Self { uri, tls: Arc::new(tls), answers, asked }
    }

    fn answer(&self, path: &str, status: u16, body: &str) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body.to_owned()));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// With a discovery document and the first keys.
    async fn discoverable() -> Self {
        let own = Self::new().await;
        let (issuer, keys) = (&own.uri, format!("{}/keys", own.uri));
        let document = format!(r#"{{"issuer": "{issuer}", "jwks_uri": "{keys}", "x": 1}}"#);
        own.answer("/.well-known/openid-configuration", 200, &document);
        own.answer("/keys", 200, FIRST);
        own
    }

    fn start(&self, rhythm: Rhythm) -> Remote {
        let location = Location::Discovery(self.uri.clone());
        Remote::start(&self.uri, location, Arc::clone(&self.tls), rhythm)
    }

    async fn fetched(&self, location: &Location) -> Result<KeySet, String> {
        fetch::keys(&self.tls, location).await
    }
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it came to pass");
}

#[tokio::test]
async fn k_24_a_new_key_is_fetched_when_a_token_names_it_and_not_more_often_than_bounded() {
    let provider = Provider::discoverable().await;
    let pause = Duration::from_millis(100);
    let rhythm = Rhythm { pause, refresh: PATIENCE, ..Rhythm::default() };
    let remote = provider.start(rhythm);
    let started = Instant::now();
    until(|| *remote.keys() == set(FIRST)).await;
    provider.answer("/keys", 200, &second());
    // A stranger names unknown keys as fast as it can.
    until(|| {
        remote.want();
        *remote.keys() == set(&second())
    })
    .await;
    for _ in 0..1_000 {
        remote.want();
    }
    sleep(3 * pause).await;
    let fetches = u128::try_from(provider.asked()).unwrap().div_ceil(2);
    let bound = started.elapsed().as_millis() / pause.as_millis() + 1;
    assert!((2..=bound).contains(&fetches), "{fetches} fetches, at most {bound}");
}

#[tokio::test]
async fn k_24_keys_count_until_an_issuer_that_is_away_is_away_too_long() {
    let provider = Provider::discoverable().await;
    let rhythm = Rhythm {
        refresh: Duration::from_millis(20),
        pause: Duration::from_millis(10),
        kept: PATIENCE,
    };
    let remote = provider.start(rhythm);
    until(|| *remote.keys() == set(FIRST)).await;
    provider.answer("/keys", 500, "");
    let asked = provider.asked();
    until(|| provider.asked() > asked + 4).await;
    assert_eq!(*remote.keys(), set(FIRST), "they count on");
    provider.answer("/keys", 200, &second());
    until(|| *remote.keys() == set(&second())).await;
    let impatient = provider.start(Rhythm { kept: Duration::ZERO, ..rhythm });
    let asked = provider.asked();
    until(|| provider.asked() > asked + 8).await;
    assert_eq!(*impatient.keys(), KeySet::default());
}

#[tokio::test]
async fn k_24_an_issuer_that_publishes_no_key_is_believed_no_more() {
    let provider = Provider::discoverable().await;
    let rhythm = Rhythm {
        refresh: Duration::from_millis(20),
        pause: Duration::from_millis(10),
        kept: 10 * PATIENCE,
    };
    let remote = provider.start(rhythm);
    let document = "/.well-known/openid-configuration";
    let found = provider.answers.lock().unwrap()[document].clone();
    let unusable = r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#;
    for (path, status, body, good) in [
        ("/keys", 200, r#"{"keys": []}"#, FIRST),
        ("/keys", 200, unusable, FIRST),
        ("/keys", 404, "", FIRST),
        ("/keys", 410, "", FIRST),
        (document, 404, "", found.1.as_str()),
    ] {
        until(|| *remote.keys() == set(FIRST)).await;
        provider.answer(path, status, body);
        until(|| remote.keys().is_empty()).await;
        provider.answer(path, 200, good);
    }
    until(|| *remote.keys() == set(FIRST)).await;
}

#[tokio::test]
async fn k_27_what_is_no_issuers_document_is_refused_with_its_address() {
    let provider = Provider::discoverable().await;
    let keys = |path: &str| Location::Keys(format!("{}{path}", provider.uri));
    assert_eq!(provider.fetched(&keys("/keys")).await, Ok(set(FIRST)));
    provider.answer("/away", 503, FIRST);
    provider.answer("/html", 200, "<html>");
    provider.answer("/moved", 302, FIRST);
    provider.answer("/large", 200, &format!("{FIRST}{}", " ".repeat(256 * 1024)));
    for (location, told) in [
        (keys("/away"), "it answers 503"),
        (keys("/moved"), "it answers 302"),
        (keys("/html"), "is no JSON Web Key Set"),
        (keys("/large"), "it can not be read"),
        (Location::Keys(provider.uri.replace("https", "http")), "it is not https"),
        (Location::Keys("https://".to_owned()), "no address"),
        (Location::Discovery(format!("{}/", provider.uri)), "is of another issuer"),
    ] {
        let refused = provider.fetched(&location).await.unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
    let stranger = Provider::new().await;
    let location = Location::Keys(format!("{}/keys", stranger.uri));
    let refused = provider.fetched(&location).await.unwrap_err();
    assert!(refused.contains("no TLS with it"), "{refused}");
}
