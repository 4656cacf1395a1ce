//! A TLS client that sends any bytes: for what no SDK would ever say.

use crate::mqtt::Packet;
use crate::rest::{self, Reply};
use rcgen::KeyPair;
use rustls::client::{ResolvesClientCert, WantsClientCert};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the server may be silent where a test names no limit.
const SILENCE: Duration = Duration::from_secs(10);

/// Makes connections that trust one CA, and show a certificate or none.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Shows no certificate.
    ///
    /// # Panics
    ///
    /// When `ca` isn't a PEM file.
    pub fn trusting(ca: &Path) -> Self {
        Self(Arc::new(client(ca, rustls::DEFAULT_VERSIONS).with_no_client_auth()))
    }

    /// Shows this chain as it stands, and signs with this key, even if it is another one.
    ///
    /// # Panics
    ///
    /// When `ca` isn't a PEM file.
    pub fn showing(ca: &Path, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self::showing_by(rustls::DEFAULT_VERSIONS, ca, chain, key)
    }

    /// As [`Tls::showing`], by TLS 1.2 alone, as the Python SDK does.
    pub fn showing_by_tls12(ca: &Path, chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self::showing_by(&[&rustls::version::TLS12], ca, chain, key)
    }

    fn showing_by(
        versions: &[&'static SupportedProtocolVersion],
        ca: &Path,
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
    ) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = CertifiedKey::new(chain, any_supported_type(&key).unwrap());
        let shown: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
        Self(Arc::new(client(ca, versions).with_client_cert_resolver(shown)))
    }

    /// Its configuration, for clients that do not block.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// Connects, with the host's name as SNI, and finishes the handshake.
    ///
    /// # Panics
    ///
    /// When the server doesn't let it.
    pub fn connect(&self, host: &str, port: u16) -> Wire {
        self.try_connect(host, port).unwrap_or_else(|error| panic!("{host}:{port}: {error}"))
    }

    /// As [`Tls::connect`].
    ///
    /// In TLS 1.3 a refused certificate shows at the first read, not here.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub fn try_connect(&self, host: &str, port: u16) -> io::Result<Wire> {
        self.try_over(host, TcpStream::connect((host, port))?)
    }

    /// As [`Tls::try_connect`], over a connection to any address of the server's.
    ///
    /// # Errors
    ///
    /// The handshake's.
    pub fn try_over(&self, host: &str, mut tcp: TcpStream) -> io::Result<Wire> {
        let mut tls = self.start(host);
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(SILENCE))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Wire(BufReader::new(StreamOwned::new(tls, tcp))))
    }

    /// The first bytes of a handshake.
    pub fn client_hello(&self, host: &str) -> Vec<u8> {
        let mut hello = Vec::new();
        self.start(host).write_tls(&mut hello).unwrap();
        hello
    }

    fn start(&self, host: &str) -> ClientConnection {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        ClientConnection::new(Arc::clone(&self.0), name).unwrap()
    }
}

fn client(
    ca: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}

/// One connection, after its handshake.
#[derive(Debug)]
pub struct Wire(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Wire {
    /// Sends bytes; panics when the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.0.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// The next HTTP answer; none when the connection ends instead.
    ///
    /// # Panics
    ///
    /// When there is silence, or half an answer.
    pub fn reply(&mut self) -> Option<Reply> {
        if self.ended() { None } else { Some(self.try_reply().unwrap()) }
    }

    /// The next HTTP answer, whole.
    ///
    /// # Errors
    ///
    /// Silence, or the end of the connection.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        rest::read(&mut self.0)
    }

    /// The next MQTT packet; none when the connection ends instead.
    ///
    /// # Panics
    ///
    /// When there is silence, or half a packet.
    pub fn packet(&mut self) -> Option<Packet> {
        if self.ended() { None } else { Some(Packet::read(&mut self.0).unwrap()) }
    }

    /// Whether the next thing is the end, by a good-bye or without one; waits for either.
    fn ended(&mut self) -> bool {
        match self.0.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => {
                let silent =
                    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                assert!(!silent, "the server is silent");
                true
            }
        }
    }

    /// The server ends the connection within this time, and says nothing more.
    ///
    /// # Panics
    ///
    /// When it doesn't.
    #[track_caller]
    pub fn assert_closed_within(&mut self, limit: Duration) {
        let said = self.last_words_within(limit);
        assert!(said.is_empty(), "it said {:?}", String::from_utf8_lossy(&said));
    }

    /// What the server says before it ends the connection, within this time.
    ///
    /// # Panics
    ///
    /// When it doesn't end.
    #[track_caller]
    pub fn last_words_within(&mut self, limit: Duration) -> Vec<u8> {
        let begun = Instant::now();
        self.tcp().set_read_timeout(Some(limit.max(Duration::from_millis(1)))).unwrap();
        let mut said = Vec::new();
        let closed = match &self.0.read_to_end(&mut said) {
            Ok(_) => true,
            Err(error) => !is_silence(error),
        };
        let took = begun.elapsed();
        assert!(closed, "still open after {took:?}");
        assert!(took <= limit, "closed only after {took:?}");
        said
    }

    /// The server has ended the connection, and its end has arrived here.
    ///
    /// # Panics
    ///
    /// When it hasn't.
    #[track_caller]
    pub fn assert_closed_already(&mut self) {
        // A millisecond is the shortest wait that every system keeps.
        self.tcp().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let end = self.0.read_to_end(&mut Vec::new());
        assert!(end.map_err(|error| is_silence(&error)) != Err(true), "it is still open");
    }

    /// How long the server may be silent from now on.
    pub fn patience(&self, limit: Duration) {
        self.tcp().set_read_timeout(Some(limit)).unwrap();
    }

    fn tcp(&self) -> &TcpStream {
        &self.0.get_ref().sock
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
