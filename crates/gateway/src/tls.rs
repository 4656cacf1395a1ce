//! TLS for the ports that devices and operators reach.
//!
//! A device port asks for a client certificate and never insists on one. What a client sends is
//! checked for *possession* alone ([`possession`]); whether the certificate is *trusted* is
//! decided later, by rules that read the enrollments of that moment.
//!
//! Invariants: nothing that TLS remembers carries a verdict. There are no tickets, no session
//! cache and no early data, so that every connection is a full handshake. The CertificateRequest
//! names no authority, so that enrolled CAs don't leak. The process-wide crypto provider is never
//! consulted.

mod certificates;
mod possession;
mod status;

pub use certificates::{CertifiedPair, ServerCertificates};
pub use status::{CertificateKind, CertificateStatus, KeyKind, Shown};

use std::sync::Arc;

use model::HostName;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::{ServerConfig, version};

use self::certificates::ByServerName;
use self::possession::PossessionVerifier;

/// The one protocol named in ALPN on the HTTPS port.
///
/// HTTP/2 is left out on purpose: a WebSocket starts as an HTTP/1.1 upgrade.
const HTTP_1_1: &[u8] = b"http/1.1";

/// How one port speaks TLS: a configuration for devices and, on HTTPS, one for operators.
#[derive(Debug, Clone)]
pub struct TlsPort {
    device: Arc<ServerConfig>,
    admin: Option<Arc<ServerConfig>>,
    admin_hosts: Vec<HostName>,
}

impl TlsPort {
    /// The MQTT port, 8883: no ALPN.
    ///
    /// # Errors
    /// If the crypto provider lacks what TLS 1.2 or 1.3 needs; never with the one built in.
    pub fn mqtt(certificates: Arc<dyn ServerCertificates>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(PossessionVerifier::new(&provider));
        let device = server_config(provider, verifier, certificates, Alpn::Unused)?;
        Ok(Self { device, admin: None, admin_hosts: Vec::new() })
    }

    /// The HTTPS port, 443, which WebSockets share: `http/1.1` for clients that offer ALPN.
    ///
    /// A client that asks for one of `admin_hosts` is not asked for a certificate: a browser
    /// would show its user a choice of them.
    ///
    /// # Errors
    /// As [`TlsPort::mqtt`].
    pub fn https(
        certificates: Arc<dyn ServerCertificates>,
        admin_hosts: Vec<HostName>,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Arc::new(PossessionVerifier::new(&provider));
        let device = server_config(provider.clone(), verifier, certificates.clone(), Alpn::Http1)?;
        let nobody = Arc::new(NoClientAuth);
        let admin = Some(server_config(provider, nobody, certificates, Alpn::Http1)?);
        Ok(Self { device, admin, admin_hosts })
    }

    /// The configuration for a client that asked for `server_name`, given in lower case.
    pub(crate) fn config_for(&self, server_name: Option<&str>) -> Arc<ServerConfig> {
        let is_admin =
            server_name.is_some_and(|name| self.admin_hosts.iter().any(|h| h.as_str() == name));
        match &self.admin {
            Some(admin) if is_admin => admin.clone(),
            Some(_) | None => self.device.clone(),
        }
    }
}

/// Whether a port takes part in ALPN.
#[derive(Debug, Clone, Copy)]
enum Alpn {
    /// The client's offer is ignored.
    Unused,
    /// `http/1.1` is chosen; an offer without it is refused.
    Http1,
}

fn server_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    certificates: Arc<dyn ServerCertificates>,
    alpn: Alpn,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByServerName::new(certificates)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = match alpn {
        Alpn::Unused => Vec::new(),
        Alpn::Http1 => vec![HTTP_1_1.to_vec()],
    };
    Ok(Arc::new(config))
}
