//! The accept path that every TLS port shares.
//!
//! Accept, make room, handshake, hand over: one task per connection. Each of the four is bounded:
//! connections and handshakes by [`Capacity`], the handshake (its ClientHello included) by a
//! deadline, accept errors by a growing pause. Addresses whose devices were refused wait for their
//! turn before that ([`storm`]).
//!
//! Invariants: a connection's task owns its place. It ends when the handler's future ends, when
//! that panics (which ends nothing else), or when a drain runs out of time.

mod accept_pause;
mod bind;
mod capacity;
mod connection;
mod counters;
mod storm;
mod stream;

pub use bind::{BACKLOG, bind};
pub use capacity::Capacity;
pub use connection::Accepted;
pub use counters::{Counters, Counts, Throttled};
pub use storm::Standing;
pub use stream::Stream;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::limits;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::accept_pause::AcceptPause;
use self::connection::{Connection, Waiting};
use self::storm::Turn;
use crate::tls::TlsPort;

/// What happens on a connection; the connection lasts as long as the future.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one connection.
///
/// A WebSocket's or other upgrade's work belongs into the same future, not into a task of its own:
/// the connection's place, the drain and the abort know this future only.
pub type Handler = Arc<dyn Fn(Accepted) -> Serving + Send + Sync>;

/// How long a connection that is being aborted may take to notice.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The waits of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From accept to the end of the handshake. Default: [`limits::HANDSHAKE_TIMEOUT`].
    pub handshake: Duration,
    /// From the shutdown until the remaining connections are aborted. Default:
    /// [`limits::DRAIN_TIMEOUT`].
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { handshake: limits::HANDSHAKE_TIMEOUT, drain: limits::DRAIN_TIMEOUT }
    }
}

/// One bound TLS port.
pub struct Listener {
    socket: TcpListener,
    tls: TlsPort,
    handler: Handler,
    capacity: Capacity,
    deadlines: Deadlines,
    counters: Arc<Counters>,
}

/// How a listener's connections ended after its shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that did not end by themselves within [`Deadlines::drain`].
    pub aborted: usize,
}

impl Listener {
    /// A listener with the default deadlines.
    ///
    /// `capacity` and `counters` may be shared with other listeners.
    pub fn new(
        socket: TcpListener,
        tls: TlsPort,
        handler: Handler,
        capacity: Capacity,
        counters: Arc<Counters>,
    ) -> Self {
        Self { socket, tls, handler, capacity, deadlines: Deadlines::default(), counters }
    }

    /// The same listener with other deadlines.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown` is cancelled, then drains.
    ///
    /// On shutdown the socket closes first, unfinished handshakes are dropped, and each connection
    /// sees [`Accepted::shutdown`]. Those that remain at the drain deadline are aborted. Dropping
    /// the future instead stops accepting, and leaves the connections to run.
    pub async fn run(self, shutdown: CancellationToken) -> Drained {
        let Self { socket, tls, handler, capacity, deadlines, counters } = self;
        let connection = Arc::new(Connection {
            tls,
            handler,
            handshake_timeout: deadlines.handshake,
            counters,
            shutdown: shutdown.clone(),
            abort: CancellationToken::new(),
        });
        let tasks = TaskTracker::new();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = accept_all(&socket, &capacity, &connection, &tasks) => {}
        }
        drop(socket);
        tasks.close();
        if timeout(deadlines.drain, tasks.wait()).await.is_ok() {
            return Drained { aborted: 0 };
        }
        let aborted = tasks.len();
        tracing::warn!(connections = aborted, "aborting connections that did not drain in time");
        connection.abort.cancel();
        // A handler that blocks its thread can't be aborted; the process ends without it.
        let _ = timeout(ABORT_TIMEOUT, tasks.wait()).await;
        Drained { aborted }
    }
}

/// Accepts for ever, at most as fast as there is room.
async fn accept_all(
    socket: &TcpListener,
    capacity: &Capacity,
    connection: &Arc<Connection>,
    tasks: &TaskTracker,
) {
    let mut pause = AcceptPause::default();
    let _listening = connection.counters.listen();
    loop {
        let next = || socket.accept();
        let (stream, address) = accept(next, &mut pause, &connection.counters).await;
        connection.counters.count_accepted();
        let standing = capacity.standing(address.ip());
        let places = match capacity.turn(address.ip()) {
            // One connection per listener waits here for room; the others wait in the backlog.
            Turn::Now => {
                let places = capacity.admit(address.ip(), &connection.counters).await;
                places.ok_or(Turn::Never)
            }
            turn @ (Turn::After(_) | Turn::Never) => Err(turn),
        };
        match places {
            Ok(places) => {
                tasks.spawn(connection.clone().serve(stream, address, standing, places));
            }
            Err(turn) => match capacity.place_for_waiting() {
                Some(place) => {
                    let waiting = Waiting { stream, address, standing, turn, place };
                    tasks.spawn(connection.clone().wait(waiting, capacity.clone()));
                }
                None => connection.counters.count_throttled(Throttled::Dropped),
            },
        }
    }
}

/// The next connection, after as many failures as it takes.
async fn accept<T, F: Future<Output = io::Result<T>>>(
    next: impl Fn() -> F,
    pause: &mut AcceptPause,
    counters: &Counters,
) -> T {
    loop {
        match next().await {
            Ok(accepted) => {
                pause.succeeded();
                return accepted;
            }
            // The client gave up while it waited in the backlog: no failure of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                counters.count_accept_error();
                if pause.is_first_of_burst() {
                    tracing::error!(%error, "cannot accept connections; trying again");
                }
                sleep(pause.failed()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::ready;

    use tokio::time::Instant;

    use super::*;

    /// Accepts after `failures` failures; gives the time that took, and the failures counted.
    async fn accept_after(failures: u32, failure: fn() -> io::Error) -> (Duration, u64) {
        let (left, counters) = (Cell::new(failures), Counters::default());
        let mut pause = AcceptPause::default();
        let began = Instant::now();
        let next = || {
            let some = left.get();
            left.set(some.saturating_sub(1));
            ready(if some == 0 { Ok(()) } else { Err(failure()) })
        };
        accept(next, &mut pause, &counters).await;
        assert!(pause.is_first_of_burst());
        (began.elapsed(), counters.read().accept_errors)
    }

    #[tokio::test(start_paused = true)]
    async fn accept_backs_off_while_file_descriptors_lack() {
        let emfile = || io::Error::from_raw_os_error(24);
        assert_eq!(accept_after(10, emfile).await, (Duration::from_millis(4270), 10));
    }

    #[tokio::test(start_paused = true)]
    async fn accept_does_not_wait_after_a_client_that_gave_up() {
        let aborted = || io::ErrorKind::ConnectionAborted.into();
        assert_eq!(accept_after(10, aborted).await, (Duration::ZERO, 0));
    }
}
