//! One HTTPS request to somebody else: to a webhook, or to a hub that lives elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::response;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Miss {
    /// Nothing was sent, and another try would come to the same.
    Hopeless(String),
    /// There is no TLS; whether another try may do better is said.
    NoTls {
        /// In words.
        because: String,
        /// Whether its certificate is refused, which it will be again.
        refused: bool,
    },
    /// Another try may do better.
    Passing(String),
    /// There was an answer, and it can not be read.
    Unreadable(String),
}

/// The addresses of a host, by its name or in itself.
pub(crate) async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Miss> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found: Vec<_> = found
        .map_err(|error| Miss::Passing(format!("{host} can not be looked up: {error}")))?
        .filter(|found| !is_link_local(found.ip()))
        .collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(Miss::Passing(format!("{host} has no address but link-local ones"))),
    }
}

/// Where the metadata of cloud machines is, and nothing that an operator means.
fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// TLS with a host at one of these addresses.
pub(crate) async fn connect(
    tls: &Arc<ClientConfig>,
    host: &str,
    addresses: &[SocketAddr],
) -> Result<TlsStream<TcpStream>, Miss> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Miss::Hopeless(format!("{host} is no host name")))?;
    let tcp = TcpStream::connect(addresses).await.map_err(|error| {
        Miss::Passing(format!("it can not be reached at {addresses:?}: {error}"))
    })?;
    let connector = TlsConnector::from(Arc::clone(tls));
    connector.connect(name, tcp).await.map_err(|error| Miss::NoTls {
        // rustls' own words.
        because: format!("no TLS with it: {error}"),
        refused: error.kind() == io::ErrorKind::InvalidData,
    })
}

/// Sends a request, and reads an answer of at most `bytes_max`.
pub(crate) async fn exchange(
    stream: TlsStream<TcpStream>,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<(response::Parts, Bytes), Miss> {
    let lost = |error: hyper::Error| Miss::Passing(format!("the connection broke: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let exchange = async {
        let (head, body) = sender.send_request(request).await.map_err(lost)?.into_parts();
        match Limited::new(body, bytes_max).collect().await {
            Ok(collected) => Ok((head, collected.to_bytes())),
            Err(error) => Err(Miss::Unreadable(format!("its answer can not be read: {error}"))),
        }
    };
    tokio::select! {
        answer = exchange => answer,
        Err(error) = connection => Err(lost(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_at_a_link_local_address_is_called() {
        for host in ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1"] {
            let miss = addresses(host, 443).await.unwrap_err();
            assert!(matches!(&miss, Miss::Passing(because) if because.contains("link-local")));
        }
        for host in ["127.0.0.1", "10.1.2.3", "::1"] {
            assert_eq!(addresses(host, 443).await.unwrap().len(), 1, "{host}");
        }
    }
}
