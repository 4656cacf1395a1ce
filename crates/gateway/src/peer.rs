//! Who is at the other end of a connection, as far as TLS can tell.

use std::net::SocketAddr;
use std::sync::OnceLock;

use attestation::x509::Certificate;
use rustls::ServerConnection;
use rustls_pki_types::CertificateDer;

use model::limits::CHAIN_PRESENTED_MAX;

use crate::listener::Standing;
use crate::presented::{Intermediates, Presented};

/// The version of TLS that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    V1_2,
    /// TLS 1.3, RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// The version as logs and metrics show it: `1.2` or `1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// What the handshake showed about a client.
///
/// The client holds the private key of `chain`'s first certificate. Nothing else about the chain
/// is checked: it may be expired, self-signed, malformed past its first element, or a stranger's.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The host that the client asked for (SNI), in lower case, without a trailing dot.
    ///
    /// `None` if it named none, or an IP address. It picked the server certificate; whether it
    /// agrees with what the client says later is the dialect's business.
    pub server_name: Option<String>,
    /// The certificates that the client sent, in its order, leaf first. Empty if it sent none.
    ///
    /// At most [`CHAIN_PRESENTED_MAX`] + 1: one past the limit, so that the rules can see that
    /// there were too many.
    pub chain: Vec<CertificateDer<'static>>,
    /// The version of TLS that was agreed on.
    pub tls_version: TlsVersion,
    /// `chain`, parsed when somebody first asks.
    pub(crate) presented: OnceLock<Presented>,
    /// Where it is told what becomes of the client.
    pub standing: Standing,
}

impl Peer {
    /// What a finished handshake tells.
    pub(crate) fn of(
        address: SocketAddr,
        server_name: Option<String>,
        standing: Standing,
        connection: &ServerConnection,
    ) -> Self {
        let presented = connection.peer_certificates().unwrap_or_default();
        let chain = presented.iter().take(CHAIN_PRESENTED_MAX + 1).cloned().collect();
        // The server configurations enable these two versions and no other.
        let tls_version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            Some(_) | None => TlsVersion::V1_2,
        };
        Self { address, server_name, chain, tls_version, presented: OnceLock::new(), standing }
    }

    /// The client's chain, parsed once for all requests of the connection.
    pub(crate) fn presented(&self, intermediates: &Intermediates) -> &Presented {
        self.presented.get_or_init(|| intermediates.read(&self.chain))
    }

    /// The client's own certificate, if it sent one that can be read.
    pub(crate) fn leaf(&self, intermediates: &Intermediates) -> Option<&Certificate> {
        match self.presented(intermediates) {
            Presented::Chain(chain) => chain.first(),
            Presented::Nothing | Presented::Unreadable => None,
        }
    }
}

/// The form in which a server name is compared: lower case, no trailing dot.
pub(crate) fn normal_server_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
