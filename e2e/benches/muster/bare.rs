//! The yardstick: a server that does TLS handshakes and nothing else.
//!
//! It is this program once more, as a process of its own, so that what it costs can be told from
//! what the clients cost. It speaks TLS as Muster's device ports do: a P-256 certificate followed
//! by its CA's, no tickets, no cache, a client certificate asked for and checked for possession
//! of its key alone.

use crate::process::{Process, first_line};
use e2e::{Authority, DPS, Pki};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{env, fs};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The first argument of the process that is the yardstick.
pub(crate) const ARGUMENT: &str = "bare-acceptor";

/// What the yardstick does with a client's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The client holds the key; the chain is nobody's business. As Muster's TLS.
    Possession,
    /// The chain leads to the root as well, as rustls's own verifier has it.
    Chain,
}

/// A running yardstick; it ends when dropped.
pub(crate) struct Bare {
    pub(crate) process: Process,
    pub(crate) port: u16,
    /// The CA that its certificate comes from.
    pub(crate) ca: PathBuf,
}

impl Bare {
    /// Starts one that trusts `root` for its clients, with its files in `dir`.
    pub(crate) fn start(dir: &Path, root: &Authority, check: Check) -> Self {
        let name = format!("bare-{check:?}").to_lowercase();
        let ca = Pki::in_dir(dir.to_owned()).root(&name);
        let (chain, key) = ca.server_chain(DPS);
        let [leaf_file, key_file] = ["leaf", "key"].map(|part| dir.join(format!("{name}-{part}")));
        fs::write(&leaf_file, &chain[0]).unwrap();
        fs::write(&key_file, key.serialize_der()).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.arg(ARGUMENT).arg(format!("{check:?}"));
        command.args([&leaf_file, &ca.file, &key_file, &root.file]);
        let mut process = Process::start(command, &dir.join(format!("{name}.log")));
        let port = first_line(&mut process).trim().parse().unwrap();
        Self { process, port, ca: ca.file }
    }
}

/// Runs as the yardstick until killed; says its port first.
pub(crate) fn run(arguments: &[String]) {
    let [check, leaf, ca, key, root] = arguments else { panic!("not for people: {arguments:?}") };
    let leaf = CertificateDer::from(fs::read(leaf).unwrap());
    let chain = vec![leaf, CertificateDer::from_pem_file(ca).unwrap()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(fs::read(key).unwrap()));
    let provider = Arc::new(default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = if *check == format!("{:?}", Check::Possession) {
        Arc::new(Possession(provider.signature_verification_algorithms))
    } else {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap()
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("{}", socket.local_addr().unwrap().port());
        loop {
            let Ok((tcp, _)) = socket.accept().await else { continue };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = tcp.set_nodelay(true);
                if let Ok(mut tls) = acceptor.accept(tcp).await {
                    let _ = tls.shutdown().await;
                }
            });
        }
    });
}

/// Takes any chain whose leaf's key the client can sign with.
#[derive(Debug)]
struct Possession(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
