//! The MQTT driver: one task a connection, one `select!`; it moves bytes and knows no rule.

mod dps;
mod hub;
mod sign_in;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use model::limits;
use mqtt::{CloseReason, Connection, ConnectionLimits, Event, Limits};
use service::observe::Protocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::diagnostics::{self, Begun};
use crate::peer::Peer;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// How long a peer may take to accept what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which transport carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Port 8883.
    Tls,
    /// A WebSocket.
    WebSocket,
}

impl Transport {
    /// The word that is counted.
    pub(crate) const fn counted(self) -> Protocol {
        match self {
            Self::Tls => Protocol::Mqtt,
            Self::WebSocket => Protocol::MqttWebSocket,
        }
    }

    /// The name in explanations.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::Tls => "mqtt",
            Self::WebSocket => "mqtt-ws",
        }
    }
}

/// Whom a connection speaks for.
enum Client {
    /// It has not signed in, or may not act any more.
    Nobody,
    /// A device at a provisioning service.
    Dps(dps::Device),
    /// A device on its hub.
    Hub(hub::Device),
}

/// Serves one connection to its end.
pub async fn serve<S>(
    gateway: Arc<Gateway>,
    stream: S,
    peer: Arc<Peer>,
    transport: Transport,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut driver = Driver {
        gateway,
        peer,
        transport,
        connection: Connection::new(connection_limits(), Duration::ZERO),
        epoch: Instant::now(),
        client: Client::Nobody,
        judged_at: None,
    };
    let reason = driver.run(stream, shutdown).await;
    tracing::debug!(peer.address = %driver.peer.address, %reason, "MQTT connection ended");
}

fn connection_limits() -> ConnectionLimits {
    let defaults = ConnectionLimits::default();
    ConnectionLimits {
        before_accept: Limits {
            packet_bytes_max: limits::PACKET_BEFORE_SIGN_IN_BYTES_MAX,
            ..defaults.before_accept
        },
        connect_within: limits::SIGN_IN_TIMEOUT,
        idle_max: limits::SESSION_IDLE_MAX,
        keep_alive_timeout_max: limits::SESSION_IDLE_MAX,
        ..defaults
    }
}

/// One connection's state.
struct Driver {
    gateway: Arc<Gateway>,
    peer: Arc<Peer>,
    transport: Transport,
    connection: Connection,
    epoch: Instant,
    client: Client,
    /// When a device that its provisioning service has not let in has to go.
    judged_at: Option<Instant>,
}

/// What the loop woke up for.
enum Woken {
    Read(std::io::Result<usize>),
    Deadline,
    Hub(hub::Woken),
    Judged,
    Shutdown,
}

impl Driver {
    fn begun(&self) -> Option<Begun> {
        Begun::packet(&self.gateway, self.transport.protocol(), self.peer.address.ip())
    }

    async fn run<S>(&mut self, mut stream: S, shutdown: CancellationToken) -> CloseReason
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            self.settle(&mut stream).await;
            if let Some(reason) = self.connection.closed() {
                // The peer may be gone already; there is nobody to tell.
                let _ = tokio::time::timeout(WRITE_TIMEOUT, stream.shutdown()).await;
                return reason;
            }
            match self.wait(&mut stream, &mut buffer, &shutdown).await {
                Woken::Read(Ok(0) | Err(_)) => self.connection.handle_transport_closed(),
                Woken::Read(Ok(_)) => {
                    let now = self.epoch.elapsed();
                    self.connection.handle_bytes(now, &buffer);
                }
                Woken::Deadline => {
                    let now = self.epoch.elapsed();
                    self.connection.handle_timeout(now);
                }
                Woken::Hub(hub::Woken::Kept(packet_id)) => {
                    // An acknowledgement that nobody waits for is a fault of ours, not the peer's.
                    if let Some(Err(error)) = packet_id.map(|id| self.connection.acknowledge(id)) {
                        tracing::warn!(%error, "a message was acknowledged twice");
                    }
                }
                Woken::Judged => {
                    self.judged_at = None;
                    if !self.peer.standing.may_stay() {
                        self.peer.standing.refused();
                        self.end();
                    }
                }
                Woken::Hub(hub::Woken::MustEnd) | Woken::Shutdown => self.end(),
            }
        }
    }

    /// Ends the connection from this side; whatever is not yet acknowledged never will be.
    fn end(&mut self) {
        self.client = Client::Nobody;
        self.connection.close();
    }

    /// Handles events and writes output until there is neither.
    async fn settle<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        loop {
            let event = self.connection.poll_event();
            let had_event = event.is_some();
            if let Some(event) = event {
                self.handle(event).await;
            }
            match self.flush(stream).await {
                Ok(false) if !had_event => return,
                Ok(_) => {}
                Err(_) => {
                    self.client = Client::Nobody;
                    self.connection.handle_transport_closed();
                    return;
                }
            }
        }
    }

    /// Writes what there is to write; tells whether there was anything.
    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> std::io::Result<bool> {
        let Some(output) = self.connection.poll_output() else { return Ok(false) };
        let write = async {
            stream.write_all(&output).await?;
            stream.flush().await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(written) => written.map(|()| true),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// Waits for whatever comes first; a withdrawn permit before anything else.
    async fn wait<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        buffer: &mut Vec<u8>,
        shutdown: &CancellationToken,
    ) -> Woken {
        let wants_input = self.connection.wants_input();
        let deadline = self.connection.next_deadline().map(|at| self.epoch + at);
        let sleep_until = deadline.unwrap_or(self.epoch);
        let judged_at = self.judged_at;
        buffer.clear();
        let client = &mut self.client;
        let of_hub = async {
            match client {
                Client::Hub(device) => device.woken().await,
                Client::Nobody | Client::Dps(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            woken = of_hub => Woken::Hub(woken),
            () = shutdown.cancelled() => Woken::Shutdown,
            read = stream.read_buf(buffer), if wants_input => Woken::Read(read),
            () = tokio::time::sleep_until(sleep_until), if deadline.is_some() => Woken::Deadline,
            () = tokio::time::sleep_until(judged_at.unwrap_or(self.epoch)), if judged_at.is_some() => {
                Woken::Judged
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Connect(request) => {
                let (gateway, begun) = (Arc::clone(&self.gateway), self.begun());
                diagnostics::noted(&gateway, begun, self.sign_in(request)).await;
            }
            Event::Publish(message) => {
                let begun = self.begun();
                match &mut self.client {
                    Client::Nobody => self.end(),
                    Client::Dps(device) => {
                        let answering =
                            device.publish(&self.gateway, &mut self.connection, message);
                        let delay = diagnostics::noted(&self.gateway, begun, answering).await;
                        if delay == dps::After::Close {
                            self.end();
                        }
                    }
                    Client::Hub(device) => {
                        let answering =
                            device.publish(&self.gateway, &mut self.connection, message);
                        let after = diagnostics::noted(&self.gateway, begun, answering).await;
                        if after == hub::After::Close {
                            self.end();
                        }
                    }
                }
            }
            Event::Subscribe { packet_id, filters } => {
                let codes: Vec<_> = filters
                    .iter()
                    .map(|filter| match &mut self.client {
                        Client::Nobody => mqtt::SubackCode::Failure,
                        Client::Dps(device) => device.subscribe(filter),
                        Client::Hub(device) => device.subscribe(filter),
                    })
                    .collect();
                if let Err(error) = self.connection.suback(packet_id, &codes) {
                    tracing::warn!(%error, "a subscription was answered twice");
                }
            }
            Event::Unsubscribe { packet_id, filters } => {
                for filter in &filters {
                    match &mut self.client {
                        Client::Nobody => {}
                        Client::Dps(device) => device.unsubscribe(filter),
                        Client::Hub(device) => device.unsubscribe(filter),
                    }
                }
                if let Err(error) = self.connection.unsuback(packet_id) {
                    tracing::warn!(%error, "an unsubscription was answered twice");
                }
            }
            // What is sent at least once here is an answer to a request of this connection alone:
            // nothing is kept for another one, so there is nothing to forget.
            Event::PubAcked { .. } => {}
            Event::Closed { .. } => self.client = Client::Nobody,
        }
    }
}
