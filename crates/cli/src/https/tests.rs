use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::transport::Method;

/// A certification authority in a folder, with a device's certificate under it.
struct Pki {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
}

impl Pki {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        let (ca, issuer) = (ca.der().clone(), Issuer::new(params, key));
        Self { dir, issuer, ca }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["device".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path("device.pem"), leaf.pem()).unwrap();
        std::fs::write(self.path("device.key.pem"), key.serialize_pem()).unwrap();
        Identity { chain: self.path("device.pem"), key: self.path("device.key.pem") }
    }

    /// Serves one connection; gives its port, and what came and whether with a certificate.
    async fn serve(&self, answer: &'static str) -> (u16, tokio::task::JoinHandle<(String, usize)>) {
        self.serve_as(CertificateParams::new(vec!["dps.localhost".to_owned()]).unwrap(), answer)
            .await
    }

    async fn serve_as(
        &self,
        params: CertificateParams,
        answer: &'static str,
    ) -> (u16, tokio::task::JoinHandle<(String, usize)>) {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
                return (String::new(), 0);
            };
            let mut bytes = vec![0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            (String::from_utf8_lossy(&bytes[..count]).into_owned(), shown)
        });
        (port, served)
    }

    fn target(&self, port: u16) -> Target {
        Target {
            host: "dps.localhost".into(),
            address: None,
            port,
            host_header: HostHeader::WithPort,
            trust: Trust::Only(self.path("ca.pem")),
            identity: None,
        }
    }
}

const ANSWER: &str = "HTTP/1.1 404 Not Found\r\nX-Ms-Request-Id: t\r\nContent-Length: 2\r\n\r\n{}";

fn request() -> Request {
    Request {
        method: Method::Put,
        target: "/enrollments/a%3Ab?api-version=1".into(),
        headers: vec![("if-match", "*".into())],
        body: Some(b"{\"a\":1}".to_vec()),
    }
}

const HTTPS: Https = Https { system_bundle: None };

#[tokio::test]
async fn a_request_travels_to_a_name_under_localhost() {
    let pki = Pki::new();
    let (port, served) = pki.serve(ANSWER).await;
    let reply = HTTPS.send(&pki.target(port), &request()).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (404, b"{}".as_slice()));
    assert_eq!(reply.header("x-ms-request-id"), Some("t"));
    let (came, shown) = served.await.unwrap();
    assert!(came.starts_with("PUT /enrollments/a%3Ab?api-version=1 HTTP/1.1\r\n"), "{came}");
    assert!(came.contains(&format!("host: dps.localhost:{port}\r\n")), "{came}");
    assert!(came.contains("if-match: *\r\n") && came.ends_with("\r\n\r\n{\"a\":1}"), "{came}");
    assert_eq!(came.matches("content-length: 7").count(), 1, "{came}");
    assert_eq!(shown, 0);
}

#[tokio::test]
async fn a_device_shows_its_certificate() {
    let pki = Pki::new();
    let (port, served) = pki.serve(ANSWER).await;
    let mut target = pki.target(port);
    target.identity = Some(pki.identity());
    target.host_header = HostHeader::Bare;
    HTTPS.send(&target, &request()).await.unwrap();
    let (came, shown) = served.await.unwrap();
    assert!(came.contains("host: dps.localhost\r\n"), "{came}");
    assert_eq!(shown, 1);
}

#[tokio::test]
async fn an_unknown_authority_is_not_believed() {
    let (pki, other) = (Pki::new(), Pki::new());
    let (port, _served) = pki.serve(ANSWER).await;
    let target = Target { trust: Trust::Only(other.path("ca.pem")), ..pki.target(port) };
    let told = HTTPS.send(&target, &request()).await.unwrap_err().to_string();
    assert!(
        told.contains("hint: name the CA of the server's certificate with --ca-file"),
        "{told}"
    );
}

#[tokio::test]
async fn another_name_is_not_believed() {
    let pki = Pki::new();
    let (port, _served) = pki.serve(ANSWER).await;
    let target = Target { host: "hub.localhost".into(), ..pki.target(port) };
    let told = HTTPS.send(&target, &request()).await.unwrap_err().to_string();
    assert!(told.contains("can not talk to hub.localhost"), "{told}");
    assert!(told.contains("hint: the server has no certificate for hub.localhost:"), "{told}");
    assert!(!told.contains("--ca-file"), "{told}");
}

#[tokio::test]
async fn a_certificate_that_no_ca_file_mends_has_its_own_hint() {
    let params = || CertificateParams::new(vec!["dps.localhost".to_owned()]).unwrap();
    let (mut ca, mut ended, mut early) = (params(), params(), params());
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ended.not_after = rcgen::date_time_ymd(2001, 1, 1);
    early.not_before = rcgen::date_time_ymd(4001, 1, 1);
    for (params, hint) in [
        (ca, "the server shows a CA's certificate as its own"),
        (ended, "the server's certificate has ended"),
        (early, "the server's certificate is not valid yet"),
    ] {
        let pki = Pki::new();
        let (port, _served) = pki.serve_as(params, ANSWER).await;
        let told = HTTPS.send(&pki.target(port), &request()).await.unwrap_err().to_string();
        assert!(told.contains(&format!("hint: {hint}")), "{told}");
    }
}

#[tokio::test]
async fn a_key_of_another_certificate_is_told_before_anything_is_sent() {
    let pki = Pki::new();
    let mut target = pki.target(1);
    target.identity = Some(pki.identity());
    std::fs::write(pki.path("device.key.pem"), KeyPair::generate().unwrap().serialize_pem())
        .unwrap();
    let told = HTTPS.send(&target, &request()).await.unwrap_err().to_string();
    let key = pki.path("device.key.pem");
    let said = format!("{} is not the key of the first certificate in ", key.display());
    assert!(told.contains(&said), "{told}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let pki = Pki::new();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let told = HTTPS.send(&pki.target(port), &request()).await.unwrap_err().to_string();
    assert!(told.contains("hint: is the server running?"), "{told}");
}

#[tokio::test]
async fn the_environments_bundle_stands_for_the_systems() {
    let pki = Pki::new();
    let (port, _served) = pki.serve(ANSWER).await;
    let target = Target { trust: Trust::System { also: None }, ..pki.target(port) };
    let https = Https { system_bundle: Some(pki.path("ca.pem")) };
    assert_eq!(https.send(&target, &request()).await.unwrap().status, 404);
}

#[test]
fn localhost_is_a_label() {
    for (host, is) in [
        ("localhost", true),
        ("Dps.LOCALHOST.", true),
        ("a.b.localhost", true),
        ("notlocalhost", false),
        ("localhost.example", false),
    ] {
        assert_eq!(is_localhost(host), is, "{host}");
    }
}
