//! HTTPS by hand: hyper's HTTP/1 client over rustls, with a resolver that knows `localhost`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, InconsistentKeys, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::failure::{Failure, Result};
use crate::transport::{HostHeader, Identity, Reply, Request, Target, Transport, Trust};

/// The longest wait for a connection with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for a whole answer once connected.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer: a page of 1000 records of 64 KiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where systems keep the certification authorities that they believe.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The real transport: a connection for each request.
pub(crate) struct Https {
    /// Stands in place of the system's bundle; the environment's `SSL_CERT_FILE`.
    pub(crate) system_bundle: Option<PathBuf>,
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, target: &Target, request: &Request) -> Result<Reply> {
        let config = self.config(target)?;
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(target, config)).await;
        let stream = connected.unwrap_or_else(|_| Err(unreachable(target, "no answer in time")))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, exchange(target, request, stream)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(target, "connected, but no answer in time")),
        }
    }
}

impl Https {
    fn config(&self, target: &Target) -> Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = self.roots(&target.trust)?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("can not set up TLS: {error}")))?
            .with_root_certificates(roots);
        Ok(match &target.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(client_key(identity, &provider)?),
        })
    }

    fn roots(&self, trust: &Trust) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        match trust {
            Trust::Only(file) => add_roots(&mut roots, file)?,
            Trust::System { also } => {
                match &self.system_bundle {
                    Some(file) => add_roots(&mut roots, file)?,
                    None => {
                        if let Some(file) =
                            SYSTEM_BUNDLES.iter().map(Path::new).find(|p| p.exists())
                        {
                            add_roots(&mut roots, file)?;
                        }
                    }
                }
                if let Some(file) = also {
                    add_roots(&mut roots, file)?;
                }
            }
        }
        match roots.is_empty() {
            false => Ok(roots),
            true => Err(Failure::new("no certification authority to believe the server by")
                .hint("name the server's CA certificate with --ca-file")),
        }
    }
}

fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result {
    let unreadable = |error: rustls::pki_types::pem::Error| {
        Failure::new(format!("can not read CA certificates from {}: {error}", file.display()))
            .hint("name a PEM file with --ca-file")
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        // One that webpki does not take anchors nothing; the others of the bundle still do.
        let _ = roots.add(certificate.map_err(unreadable)?);
    }
    Ok(())
}

/// Not by `with_client_auth_cert`: that one refuses certificates of version 1, the server may not.
fn client_key(
    identity: &Identity,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ResolvesClientCert>> {
    let unreadable = |path: &Path, error: rustls::pki_types::pem::Error| {
        Failure::new(format!("can not read {}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&identity.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&identity.chain, error))?;
    if chain.is_empty() {
        return Err(Failure::new(format!("{} holds no certificate", identity.chain.display()))
            .hint("give a PEM file with the leaf first, then its intermediates"));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| {
        unreadable(&identity.key, error).hint("give an unencrypted private key in PEM")
    })?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        Failure::new(format!("can not use the key {}: {error}", identity.key.display()))
    })?;
    let certified = CertifiedKey::new(chain, key);
    // What rustls can not read, the server may.
    if let Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) =
        certified.keys_match()
    {
        return Err(Failure::usage(format!(
            "{} is not the key of the first certificate in {}",
            identity.key.display(),
            identity.chain.display()
        ))
        .hint("give the leaf first, then its intermediates, and the leaf's own key"));
    }
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

async fn connect(target: &Target, config: ClientConfig) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| Failure::usage(format!("'{}' is not a host name", target.host)))?;
    let address = target.address.as_deref().unwrap_or(&target.host);
    let stream = dial(address, target.port).await.map_err(|error| {
        unreachable(target, &error.to_string())
            .hint("is the server running? start it with `muster serve`")
    })?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|error| {
        let failure = unreachable(target, &error.to_string());
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(because)) => {
                failure.hint(disbelieved(target, because))
            }
            Some(_) | None => failure,
        }
    })
}

/// What to do about a server's certificate that is not believed.
fn disbelieved(target: &Target, because: &CertificateError) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Other,
    };
    let host = &target.host;
    // rustls has no kind of its own for it.
    let is_ca = matches!(because, Other(other) if other.to_string().contains("CaUsedAsEndEntity"));
    if matches!(because, NotValidForName | NotValidForNameContext { .. }) {
        format!(
            "the server has no certificate for {host}: call it by a name that its certificate \
             has, or give it one for {host}"
        )
    } else if matches!(because, Expired | ExpiredContext { .. }) {
        "the server's certificate has ended, or this machine's clock is wrong".to_owned()
    } else if matches!(because, NotValidYet | NotValidYetContext { .. }) {
        "the server's certificate is not valid yet, or this machine's clock is wrong".to_owned()
    } else if is_ca {
        format!(
            "the server shows a CA's certificate as its own: give it one for {host} that the CA \
             has signed"
        )
    } else {
        "name the CA of the server's certificate with --ca-file (or MUSTER_CA_FILE)".to_owned()
    }
}

async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(host, port).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Names under `localhost` are loopback without asking anyone (RFC 6761 §6.3).
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if is_localhost(host) {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

async fn exchange(
    target: &Target,
    request: &Request,
    stream: TlsStream<TcpStream>,
) -> Result<Reply> {
    let broken = |error: hyper::Error| unreachable(target, &error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let reply = sender.send_request(written(target, request)?).await.map_err(broken)?;
        let status = reply.status().as_u16();
        let headers = reply
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let body = Limited::new(reply.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| unreachable(target, &error.to_string()))?;
        Ok(Reply { status, headers, body: body.to_bytes().to_vec() })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

fn written(target: &Target, request: &Request) -> Result<hyper::Request<Full<Bytes>>> {
    let host = match target.host_header {
        HostHeader::WithPort if target.port != 443 => format!("{}:{}", target.host, target.port),
        HostHeader::WithPort | HostHeader::Bare => target.host.clone(),
    };
    let body = request.body.clone().unwrap_or_default();
    let mut builder = hyper::Request::builder()
        .method(request.method.as_str())
        .uri(&request.target)
        .header("host", host)
        .header("user-agent", concat!("muster/", env!("CARGO_PKG_VERSION")))
        .header("content-length", body.len());
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    builder
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::usage(format!("the request can not be written: {error}")))
}

fn unreachable(target: &Target, because: &str) -> Failure {
    Failure::new(format!("can not talk to {}:{}: {because}", target.host, target.port))
}

#[cfg(test)]
mod tests;
