//! A server with the listener under test, and clients for it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gateway::listener::{Capacity, Counters, Counts, Deadlines, Drained, Handler, Listener, bind};
use gateway::peer::Peer;
use gateway::tls::{CertifiedPair, ServerCertificates, TlsPort};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme,
    SupportedProtocolVersion, version,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::certificates::Identity;

pub(crate) const TLS_1_2: &SupportedProtocolVersion = &version::TLS12;
pub(crate) const TLS_1_3: &SupportedProtocolVersion = &version::TLS13;
pub(crate) const BOTH: [&SupportedProtocolVersion; 2] = [TLS_1_2, TLS_1_3];

/// Longer than any deadline of the listener's.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host that has certificates of its own; any other gets the default.
pub(crate) const KNOWN_HOST: &str = "dps.localhost";
pub(crate) const ADMIN_HOST: &str = "muster.localhost";

/// A default pair and one of [`KNOWN_HOST`].
pub(crate) struct Certificates {
    pub(crate) default: Arc<CertifiedPair>,
    pub(crate) known: Arc<CertifiedPair>,
}

/// Made once: RSA keys take a while.
static CERTIFICATES: LazyLock<Arc<Certificates>> = LazyLock::new(|| {
    let pair = || {
        let ecdsa = Identity::of_kind(&rcgen::PKCS_ECDSA_P256_SHA256).certified();
        let rsa = Identity::of_kind(&rcgen::PKCS_RSA_SHA256).certified();
        Arc::new(CertifiedPair { ecdsa: Some(ecdsa), rsa: Some(rsa) })
    };
    Arc::new(Certificates { default: pair(), known: pair() })
});

impl ServerCertificates for Certificates {
    fn for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedPair>> {
        match sni {
            Some(KNOWN_HOST) => Some(self.known.clone()),
            Some(_) => None,
            None => Some(self.default.clone()),
        }
    }
}

/// How a server is made.
pub(crate) struct Setup {
    pub(crate) capacity: Capacity,
    pub(crate) deadlines: Deadlines,
    pub(crate) port: Port,
}

#[derive(Clone, Copy)]
pub(crate) enum Port {
    Mqtt,
    Https,
}

impl Default for Setup {
    fn default() -> Self {
        Self { capacity: Capacity::default(), deadlines: Deadlines::default(), port: Port::Mqtt }
    }
}

/// A running listener.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) shutdown: CancellationToken,
    counters: Arc<Counters>,
    running: JoinHandle<Drained>,
}

impl Server {
    pub(crate) fn start(setup: Setup, handler: Handler) -> Self {
        let certificates = CERTIFICATES.clone();
        let tls = match setup.port {
            Port::Mqtt => TlsPort::mqtt(certificates.clone()),
            Port::Https => {
                let admin = model::HostName::parse(ADMIN_HOST).unwrap();
                TlsPort::https(certificates.clone(), vec![admin])
            }
        };
        let socket = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let counters = Arc::new(Counters::default());
        let listener =
            Listener::new(socket, tls.unwrap(), handler, setup.capacity, counters.clone())
                .with_deadlines(setup.deadlines);
        let address = listener.local_address().unwrap();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(listener.run(shutdown.clone()));
        Self { address, certificates, shutdown, counters, running }
    }

    /// A server that greets every client with one byte, and says who came.
    pub(crate) fn greeting(setup: Setup) -> (Self, mpsc::UnboundedReceiver<Peer>) {
        let (came, peers) = mpsc::unbounded_channel();
        let handler: Handler = Arc::new(move |mut accepted| {
            let came = came.clone();
            Box::pin(async move {
                came.send(accepted.peer).unwrap();
                accepted.stream.write_all(b"!").await.unwrap();
                accepted.stream.shutdown().await.unwrap();
            })
        });
        (Self::start(setup, handler), peers)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// Waits until the counts are as wanted, up to ten seconds.
    pub(crate) async fn counted(&self, wanted: impl Fn(Counts) -> bool) {
        for _ in 0..10_000 {
            if wanted(self.counts()) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("{:?}", self.counts());
    }

    pub(crate) async fn drained(self) -> Drained {
        self.running.await.unwrap()
    }

    /// A TCP connection to it.
    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// How a client connects.
pub(crate) struct Client {
    config: ClientConfig,
    name: ServerName<'static>,
    asked: Arc<Mutex<Vec<CertificateRequest>>>,
}

/// What a server asked of a client for its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateRequest {
    pub(crate) authorities: Vec<Vec<u8>>,
}

/// What a client saw of a handshake.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) server_chain: Vec<CertificateDer<'static>>,
    pub(crate) kind: HandshakeKind,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) tickets: u32,
}

impl Client {
    /// One for [`KNOWN_HOST`], of one version, that answers a request with the identity.
    pub(crate) fn new(
        version: &'static SupportedProtocolVersion,
        identity: Option<&Identity>,
    ) -> Self {
        let schemes = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self::restricted(
            aws_lc_rs::default_provider(),
            schemes.supported_schemes(),
            version,
            identity.map(Identity::certified),
        )
    }

    /// One that knows no more than these algorithms and signature schemes.
    pub(crate) fn restricted(
        provider: CryptoProvider,
        schemes: Vec<SignatureScheme>,
        version: &'static SupportedProtocolVersion,
        identity: Option<Arc<CertifiedKey>>,
    ) -> Self {
        let asked = Arc::default();
        let resolver = Arc::new(Answer { identity, asked: Arc::clone(&asked) });
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer { schemes }))
            .with_client_cert_resolver(resolver);
        Self { config, name: ServerName::try_from(KNOWN_HOST).unwrap(), asked }
    }

    #[must_use]
    pub(crate) fn asking_for(mut self, name: &'static str) -> Self {
        self.name = ServerName::try_from(name).unwrap();
        self
    }

    #[must_use]
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        self
    }

    /// What the server asked in all handshakes so far.
    pub(crate) fn asked(&self) -> Vec<CertificateRequest> {
        self.asked.lock().unwrap().clone()
    }

    /// Connects, as far as a client can tell: with TLS 1.3 the server may yet refuse.
    pub(crate) async fn handshake(&self, server: &Server) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        let connecting = connector.connect(self.name.clone(), server.tcp().await);
        timeout(PATIENCE, connecting).await?
    }

    /// Connects to a greeting server, and reads to the end.
    pub(crate) async fn greet(&self, server: &Server) -> io::Result<Seen> {
        let mut stream = self.handshake(server).await?;
        let mut greeting = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut greeting)).await??;
        assert_eq!(greeting, b"!");
        let connection = stream.get_ref().1;
        Ok(Seen {
            server_chain: connection.peer_certificates().unwrap().to_vec(),
            kind: connection.handshake_kind().unwrap(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            tickets: connection.tls13_tickets_received(),
        })
    }
}

/// Answers a certificate request whatever it asks for, and takes a note.
#[derive(Debug)]
struct Answer {
    identity: Option<Arc<CertifiedKey>>,
    asked: Arc<Mutex<Vec<CertificateRequest>>>,
}

impl ResolvesClientCert for Answer {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let authorities = root_hint_subjects.iter().map(|subject| subject.to_vec()).collect();
        self.asked.lock().unwrap().push(CertificateRequest { authorities });
        self.identity.clone()
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

/// Trusts every server: its certificate is compared by the tests themselves.
#[derive(Debug)]
struct AnyServer {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
