//! One document of an issuer's, over HTTPS.

use std::sync::Arc;

use attestation::bearer::KeySet;
use dialect::rest::issuer::is_published;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use model::limits;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Location;

const HTTPS: u16 = 443;

/// OpenID Connect Discovery 1.0 §3, as far as it is needed.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys; none where the issuer says that it has none, or no such document.
///
/// # Errors
/// A sentence: what could not be had, and why.
pub(super) async fn keys(tls: &Arc<ClientConfig>, location: &Location) -> Result<KeySet, String> {
    let uri = match location {
        Location::Keys(uri) => uri.clone(),
        Location::Discovery(issuer) => match discovered(tls, issuer).await? {
            Some(uri) => uri,
            None => return Ok(KeySet::default()),
        },
    };
    match document(tls, &uri).await? {
        Some(text) => KeySet::published(&text).map_err(|because| format!("{uri} {because}")),
        None => Ok(KeySet::default()),
    }
}

/// Where the discovery document of an issuer says that its keys are.
async fn discovered(tls: &Arc<ClientConfig>, issuer: &str) -> Result<Option<String>, String> {
    let uri = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let Some(text) = document(tls, &uri).await? else { return Ok(None) };
    let Discovery { issuer: named, jwks_uri } = serde_json::from_slice(&text)
        .map_err(|error| format!("{uri} is no discovery document: {error}"))?;
    // OpenID Connect Discovery 1.0 §4.3.
    match named == issuer {
        true => Ok(Some(jwks_uri)),
        false => Err(format!("{uri} is of another issuer, {named:?}")),
    }
}

/// A document; none where the issuer says that there is none.
async fn document(tls: &Arc<ClientConfig>, uri: &str) -> Result<Option<Bytes>, String> {
    fetched(tls, uri).await.map_err(|because| format!("{uri}: {because}"))
}

async fn fetched(tls: &Arc<ClientConfig>, uri: &str) -> Result<Option<Bytes>, String> {
    let uri: Uri = uri.parse().map_err(|error| format!("it is no address: {error}"))?;
    if uri.scheme_str() != Some("https") {
        return Err("it is not https".to_owned());
    }
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return Err("it names no host".to_owned());
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no host name"))?;
    let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(HTTPS)))
        .await
        .map_err(|error| format!("it can not be reached: {error}"))?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, tcp)
        .await
        .map_err(|error| format!("no TLS with it: {error}"))?;
    let lost = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("it can not be asked: {error}"))?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(lost)?;
        if !is_published(answer.status().as_u16())? {
            return Ok(None);
        }
        let read = Limited::new(answer.into_body(), limits::JWKS_BYTES_MAX).collect().await;
        let read = read.map_err(|error| format!("it can not be read: {error}"))?;
        Ok(Some(read.to_bytes()))
    };
    tokio::select! {
        answer = exchange => answer,
        Err(error) = connection => Err(lost(error)),
    }
}
