//! A TLS client, and certificate authorities for it to believe.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};

/// Longer than any busy machine needs for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A root with an intermediate below it.
pub(crate) struct Authority {
    pub(crate) root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The kinds of key.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Ecdsa,
    Rsa,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let params = |name: String| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let key = KeyPair::generate().unwrap();
        let of_root = params(name.to_owned());
        let root = of_root.self_signed(&key).unwrap().pem();
        let of_intermediate = params(format!("below {name}"));
        let between = KeyPair::generate().unwrap();
        let top = Issuer::new(of_root, key);
        let intermediate = of_intermediate.signed_by(&between, &top).unwrap().pem();
        Self { root, intermediate, issuer: Issuer::new(of_intermediate, between) }
    }

    /// Chain and key of a server, as PEM, until the end of a number of days from now.
    pub(crate) fn server(&self, names: &[&str], kind: Kind, days: u64) -> (String, String) {
        let key = match kind {
            Kind::Ecdsa => KeyPair::generate().unwrap(),
            Kind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap(),
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        #[expect(clippy::disallowed_methods, reason = "the server has the machine's clock as well")]
        let now = std::time::SystemTime::now();
        params.not_after = (now + Duration::from_secs(days * 86_400)).into();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        (format!("{leaf}{}", self.intermediate), key.serialize_pem())
    }
}

/// The first certificate of a PEM text.
pub(crate) fn first(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A connection whose handshake is done.
pub(crate) struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Asks for a host, believing one root alone; the error is what TLS says.
    pub(crate) fn open(port: u16, host: &str, root: &str, kind: Kind) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add(first(root)).unwrap();
        let mut provider = aws_lc_rs::default_provider();
        if matches!(kind, Kind::Rsa) {
            let word = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
            provider.cipher_suites.retain(|suite| word(suite).contains("ECDHE_RSA"));
        }
        let version = match kind {
            Kind::Ecdsa => &version::TLS13,
            Kind::Rsa => &version::TLS12,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
        }
        Ok(Self(stream))
    }

    /// What the server showed first.
    pub(crate) fn leaf(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }

    /// The head of the answer to a GET, on a connection that goes on.
    pub(crate) fn get(&mut self, host: &str) -> String {
        write!(self.0, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(char::from(byte[0]).to_ascii_lowercase());
        }
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
        self.0.read_exact(&mut vec![0; length]).unwrap();
        head
    }
}
