//! HTTP for the exporter: a connection for each batch, over the one TLS stack.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use super::variable;

/// The longest wait for a collector's answer, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
/// Source: OpenTelemetry, "OTLP Exporter Configuration".
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a status and a reason.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Where systems keep the certification authorities that they believe.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Sends batches; the exporter's own thread waits, this program's runtime works.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Handle,
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(runtime: Handle) -> anyhow::Result<Self> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots()?)
            .with_no_client_auth();
        let told = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let told = told.into_iter().find_map(variable).and_then(|text| text.parse().ok());
        let timeout = told.map_or(TIMEOUT, Duration::from_millis);
        Ok(Self { runtime, tls: Arc::new(tls), timeout })
    }
}

/// The authorities of `OTEL_EXPORTER_OTLP_CERTIFICATE`, else the system's.
fn roots() -> anyhow::Result<RootCertStore> {
    let named = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]
        .into_iter()
        .find_map(variable);
    let system = || SYSTEM_BUNDLES.into_iter().find(|file| Path::new(file).exists());
    let mut roots = RootCertStore::empty();
    if let Some(file) = named.as_deref().or_else(system) {
        let unreadable =
            |error| anyhow::anyhow!("can not read CA certificates from {file}: {error}");
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            // One that webpki does not take anchors nothing; the others of the bundle still do.
            let _ = roots.add(certificate.map_err(unreadable)?);
        }
    }
    Ok(roots)
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (tls, limit) = (Arc::clone(&self.tls), self.timeout);
        // A time limit is made where the runtime is, and the caller's thread has none.
        let sent = self
            .runtime
            .spawn(async move { tokio::time::timeout(limit, send(request, tls)).await });
        sent.await??
    }
}

async fn send(
    request: Request<Bytes>,
    tls: Arc<ClientConfig>,
) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    let host = uri.host().ok_or("the endpoint has no host")?;
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((bare.as_str(), port)).await?;
    if is_tls {
        let name = ServerName::try_from(bare)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        exchange(request, &uri, stream).await
    } else {
        exchange(request, &uri, stream).await
    }
}

async fn exchange<S>(
    request: Request<Bytes>,
    uri: &Uri,
    stream: S,
) -> Result<Response<Bytes>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let (mut head, body) = request.into_parts();
    let authority = uri.authority().ok_or("the endpoint has no host")?;
    head.headers.insert(hyper::header::HOST, authority.as_str().parse()?);
    head.uri = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    let answered = async {
        let answer = sender.send_request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    let answered = answered.await;
    driver.abort();
    answered
}
