//! Whether the server is alive and ready, and what it has counted: plain HTTP, on an address of
//! its own, loopback by default (settled D-30).
//!
//! Nobody signs in here, so nothing is told that a stranger on the machine may not know.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dialect::rest::monitoring::{ALLOW, Answer, Route, route};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use service::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::listener::Counters;
use crate::metrics::{Exposition, Metrics, Readings};

/// Connections at once; others wait in the backlog. Probes and scrapers are few.
const CONNECTIONS_MAX: usize = 16;
/// How long one connection, which is one request, may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the store may take to answer before it counts as away.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is asked by monitoring systems.
#[derive(Debug)]
pub struct Monitoring {
    exposition: Exposition,
    readiness: Readiness,
}

/// What it takes to be ready.
struct Readiness {
    service: Arc<Service>,
    counters: Arc<Counters>,
    listeners: u64,
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl Readiness {
    /// Everything that keeps the server from serving.
    async fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match timeout(STORE_TIMEOUT, self.service.check()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the store does not answer");
                reasons.push(format!("store: {error}"));
            }
            Err(_) => reasons.push(format!(
                "store: it did not answer within {} seconds",
                STORE_TIMEOUT.as_secs()
            )),
        }
        let listening = self.counters.listening();
        if listening < self.listeners {
            reasons.push(format!("listeners: {listening} of {} accept", self.listeners));
        }
        reasons
    }
}

impl Monitoring {
    /// Ready is: the store answers, and `listeners` of those that share the counters accept.
    pub fn new(metrics: &Metrics, readings: Readings, listeners: u64) -> Self {
        let readiness = Readiness {
            service: Arc::clone(&readings.service),
            counters: Arc::clone(&readings.listeners),
            listeners,
        };
        Self { exposition: Exposition::new(metrics, readings), readiness }
    }

    /// Answers one request.
    pub async fn answer(&self, method: &str, path: &str) -> Answer {
        match route(method, path) {
            Err(refusal) => refusal,
            Ok(Route::Health) => Answer::alive(),
            Ok(Route::Ready) => match self.readiness.reasons().await {
                reasons if reasons.is_empty() => Answer::ready(),
                reasons => Answer::not_ready(&reasons),
            },
            Ok(Route::Metrics) => match self.exposition.text() {
                Ok(text) => Answer::metrics(text),
                Err(error) => {
                    tracing::error!(%error, "the metrics could not be written");
                    Answer::broken()
                }
            },
        }
    }

    /// Serves until `shutdown` is cancelled.
    pub async fn serve(self: Arc<Self>, socket: TcpListener, shutdown: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.accept_all(&socket, &places) => {}
        }
    }

    async fn accept_all(self: &Arc<Self>, socket: &TcpListener, places: &Arc<Semaphore>) {
        loop {
            // Only a closed semaphore gives none, and nobody closes this one.
            let place = Arc::clone(places).acquire_owned().await.ok();
            match socket.accept().await {
                Ok((stream, address)) => {
                    let monitoring = Arc::clone(self);
                    tokio::spawn(async move {
                        monitoring.connection(stream, address).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a monitoring connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, address: SocketAddr) {
        let respond = |request: Request<Incoming>| async move {
            let answer = self.answer(request.method().as_str(), request.uri().path()).await;
            Ok::<_, Infallible>(response(answer))
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service_fn(respond));
        match timeout(CONNECTION_TIMEOUT, connection).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(peer.address = %address, %error, "monitoring connection ended");
            }
            Err(_) => tracing::debug!(peer.address = %address, "monitoring connection was cut"),
        }
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    if let Ok(status) = hyper::StatusCode::from_u16(answer.status) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}

#[cfg(test)]
mod tests;
