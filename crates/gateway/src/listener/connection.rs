//! One connection, from its accept to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::Handler;
use super::capacity::{Capacity, Place, Places};
use super::counters::{Counters, Throttled};
use super::storm::{Standing, Turn, held_for};
use super::stream::Stream;
use crate::peer::{Peer, normal_server_name};
use crate::tls::TlsPort;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The bytes; closed when dropped. A clean end needs `shutdown()`.
    pub stream: Stream,
    /// Who is at the other end.
    pub peer: Peer,
    /// Cancelled when the server wants to stop: say good-bye and return.
    pub shutdown: CancellationToken,
}

/// A connection that waits for its turn.
pub(super) struct Waiting {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) standing: Standing,
    pub(super) turn: Turn,
    pub(super) place: Place,
}

/// What every connection of a listener shares.
pub(super) struct Connection {
    pub(super) tls: TlsPort,
    pub(super) handler: Handler,
    pub(super) handshake_timeout: Duration,
    pub(super) counters: Arc<Counters>,
    pub(super) shutdown: CancellationToken,
    pub(super) abort: CancellationToken,
}

impl Connection {
    /// Lets a connection of a refused address wait for its turn, then serves it.
    pub(super) async fn wait(self: Arc<Self>, waiting: Waiting, capacity: Capacity) {
        let Waiting { stream, address, standing, turn, place } = waiting;
        let (wait, what) = match turn {
            Turn::Now => (Duration::ZERO, Throttled::Waited),
            Turn::After(wait) => (wait, Throttled::Waited),
            Turn::Never => (held_for(address.port()), Throttled::Dropped),
        };
        self.counters.count_throttled(what);
        tokio::select! {
            () = sleep(wait) => {}
            () = self.shutdown.cancelled() => return,
        }
        if what == Throttled::Dropped {
            return;
        }
        let places = capacity.admit(address.ip(), &self.counters).await;
        drop(place);
        if let Some(places) = places {
            self.serve(stream, address, standing, places).await;
        }
    }

    /// Serves one client; `places` are free again as soon as each is no longer needed.
    pub(super) async fn serve(
        self: Arc<Self>,
        tcp: TcpStream,
        address: SocketAddr,
        standing: Standing,
        places: Places,
    ) {
        let Places { connection: _place, handshake: handshake_place, stranger } = places;
        standing.is_stranger(stranger);
        let started = Instant::now();
        let handshake =
            timeout(self.handshake_timeout, handshake(tcp, address, standing, &self.tls));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            () = self.shutdown.cancelled() => return,
        };
        let (stream, peer) = match outcome {
            Ok(Ok(established)) => established,
            Ok(Err(error)) => {
                self.counters.count_handshake_failed();
                tracing::debug!(peer.address = %address, %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                self.counters.count_handshake_timed_out();
                tracing::debug!(peer.address = %address, "TLS handshake took too long");
                return;
            }
        };
        self.counters.count_handshake_completed(started.elapsed());
        drop(handshake_place);
        let _panic_note = PanicNote { counters: &self.counters, address };
        let stream = Stream::new(stream);
        let accepted = Accepted { stream, peer, shutdown: self.shutdown.clone() };
        let span = tracing::info_span!("connection", peer.address = %address);
        let serving = (self.handler)(accepted).instrument(span);
        tokio::select! {
            () = serving => {}
            () = self.abort.cancelled() => {}
        }
    }
}

/// Reads the ClientHello, picks the configuration by its server name, and does the rest.
async fn handshake(
    tcp: TcpStream,
    address: SocketAddr,
    standing: Standing,
    tls: &TlsPort,
) -> io::Result<(TlsStream<TcpStream>, Peer)> {
    // Requests and answers are small and wait for each other.
    tcp.set_nodelay(true)?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let server_name = start.client_hello().server_name().map(normal_server_name);
    let config = tls.config_for(server_name.as_deref());
    let stream = start.into_stream(config).await?;
    let peer = Peer::of(address, server_name, standing, stream.get_ref().1);
    Ok((stream, peer))
}

/// Counts and logs a handler's panic as it passes; the task's end stays the task's.
struct PanicNote<'a> {
    counters: &'a Counters,
    address: SocketAddr,
}

impl Drop for PanicNote<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.counters.count_handler_panicked();
            tracing::error!(peer.address = %self.address, "a connection's handler panicked");
        }
    }
}
