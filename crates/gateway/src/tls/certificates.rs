//! Which certificate the server shows: by name, then by what the client can verify.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::peer::normal_server_name;

/// The certificates that one host name shows; one of them is there.
///
/// A P-256 key costs a quarter of an RSA-2048 key per handshake, but an old client may know RSA
/// only. Source: `dependencies.md` §1.
#[derive(Debug, Clone, Default)]
pub struct CertifiedPair {
    /// Chain and ECDSA key, shown to every client that can verify it.
    pub ecdsa: Option<Arc<CertifiedKey>>,
    /// Chain and RSA key for the others; without it they can't connect.
    pub rsa: Option<Arc<CertifiedKey>>,
}

/// Where the server's certificates come from; asked on every handshake, so it answers from memory.
pub trait ServerCertificates: Send + Sync {
    /// The pair for a host name (lower case, no trailing dot); the default pair for `None`.
    ///
    /// A name without a pair of its own may be answered with `None`: the default pair is then
    /// asked for. If that is `None` too, the handshake fails.
    fn for_name(&self, sni: Option<&str>) -> Option<Arc<CertifiedPair>>;

    /// The RSA half for a host name, asked for only where a client needs it and the pair has none
    /// yet. It may wait until the key is made.
    fn rsa_for_name(&self, _sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// Makes rustls ask [`ServerCertificates`].
pub(super) struct ByServerName {
    certificates: Arc<dyn ServerCertificates>,
}

impl ByServerName {
    pub(super) fn new(certificates: Arc<dyn ServerCertificates>) -> Self {
        Self { certificates }
    }
}

impl fmt::Debug for ByServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByServerName").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(normal_server_name);
        let pair = name
            .as_deref()
            .and_then(|name| self.certificates.for_name(Some(name)))
            .or_else(|| self.certificates.for_name(None))?;
        // For TLS 1.2, rustls has already dropped the schemes that no offered cipher suite can
        // use: without an ECDHE_ECDSA suite this one is missing here, whatever the client sent.
        let verifiable =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        if let Some(ecdsa) = pair.ecdsa.as_ref().filter(verifiable) {
            return Some(ecdsa.clone());
        }
        let late = || self.certificates.rsa_for_name(name.as_deref());
        pair.rsa.clone().or_else(late)
    }
}
