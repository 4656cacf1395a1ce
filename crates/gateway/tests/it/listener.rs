//! The accept path: deadlines, limits, drain, and that one connection's fault stays its own.

use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use gateway::listener::{Accepted, Capacity, Deadlines, Drained, Handler, Serving};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::world::{Client, Server, Setup, TLS_1_2, TLS_1_3};

const HANDSHAKE: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(7);

fn setup() -> Setup {
    let deadlines = Deadlines { handshake: HANDSHAKE, drain: DRAIN };
    Setup { deadlines, ..Setup::default() }
}

/// A handler that keeps its connection until the client ends it.
fn until_client_ends(accepted: Accepted) -> Serving {
    let Accepted { mut stream, .. } = accepted;
    Box::pin(async move {
        let _ = stream.read_u8().await;
    })
}

/// A handler that keeps its connection whatever happens.
fn for_ever(accepted: Accepted) -> Serving {
    Box::pin(async move {
        let _kept = accepted;
        std::future::pending().await
    })
}

/// Nothing can come of the future: it waits while all that can happen happens.
async fn check_waits<F: Future>(future: F) {
    assert!(timeout(Duration::from_secs(1), future).await.is_err());
}

/// How long the server keeps a connection, until it closes it.
async fn kept_for(mut tcp: impl AsyncRead + Unpin) -> Duration {
    let began = Instant::now();
    let mut answer = Vec::new();
    // An hour at most, so that a server that forgets its deadline fails the test.
    let _ = timeout(Duration::from_secs(3600), tcp.read_to_end(&mut answer)).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut_at_the_deadline() {
    let (server, _peers) = Server::greeting(setup());
    assert_eq!(kept_for(server.tcp().await).await.as_secs(), HANDSHAKE.as_secs());
    assert_eq!(server.counts().handshakes_timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_hello_of_one_byte_at_a_time_is_cut_at_the_deadline() {
    let (server, _peers) = Server::greeting(setup());
    let (reader, mut writer) = server.tcp().await.into_split();
    let trickle = tokio::spawn(async move {
        // The start of a ClientHello of 512 bytes, which would take 25 seconds.
        let header = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for byte in header.into_iter().chain(std::iter::repeat(0)) {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(kept_for(reader).await.as_secs(), HANDSHAKE.as_secs());
    assert_eq!(server.counts().handshakes_timed_out, 1);
    trickle.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_after_its_hello_is_cut_at_the_deadline() {
    let (server, _peers) = Server::greeting(setup());
    let mut tcp = server.tcp().await;
    tcp.write_all(&client_hello()).await.unwrap();
    assert_eq!(kept_for(tcp).await.as_secs(), HANDSHAKE.as_secs());
    assert_eq!(server.counts().handshakes_timed_out, 1);
}

/// What a client sends first.
fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = "dps.localhost".try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut hello).unwrap();
    }
    hello
}

#[tokio::test]
async fn what_is_not_tls_is_refused_at_once() {
    let (server, _peers) = Server::greeting(setup());
    let mut tcp = server.tcp().await;
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    kept_for(tcp).await;
    server.counted(|counts| counts.handshakes_failed == 1).await;
    assert_eq!(server.counts().handshakes_timed_out, 0);
}

#[tokio::test(start_paused = true)]
async fn past_the_connection_limit_a_client_waits_until_another_leaves() {
    let capacity = Capacity::new(1, 8);
    let server = Server::start(Setup { capacity, ..setup() }, Arc::new(until_client_ends));
    let client = Client::new(TLS_1_2, None);
    let first = client.handshake(&server).await.unwrap();
    let second = client.handshake(&server);
    tokio::pin!(second);
    check_waits(&mut second).await;
    assert_eq!(server.counts().waited_for_room, 1);
    drop(first);
    second.await.unwrap();
    assert_eq!(server.counts().handshakes_completed, 2);
}

#[tokio::test(start_paused = true)]
async fn past_the_handshake_limit_a_client_waits_until_another_is_done() {
    let capacity = Capacity::new(8, 1);
    let server = Server::start(Setup { capacity, ..setup() }, Arc::new(until_client_ends));
    let client = Client::new(TLS_1_2, None);
    let stalled = server.tcp().await;
    server.counted(|counts| counts.accepted == 1).await;
    let waiting = client.handshake(&server);
    tokio::pin!(waiting);
    check_waits(&mut waiting).await;
    drop(stalled);
    let first = waiting.await.unwrap();
    // A finished handshake needs no place any more, though its connection lasts.
    client.handshake(&server).await.unwrap();
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn listeners_can_share_their_room() {
    let capacity = Capacity::new(1, 1);
    let setup = || Setup { capacity: capacity.clone(), ..setup() };
    let one = Server::start(setup(), Arc::new(until_client_ends));
    let other = Server::start(setup(), Arc::new(until_client_ends));
    let client = Client::new(TLS_1_2, None);
    let first = client.handshake(&one).await.unwrap();
    let second = client.handshake(&other);
    tokio::pin!(second);
    check_waits(&mut second).await;
    drop(first);
    second.await.unwrap();
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let handler: Handler = Arc::new(|accepted| {
        Box::pin(async move {
            let Accepted { mut stream, .. } = accepted;
            assert!(stream.read_u8().await.unwrap() != b'!', "this panic is the test's");
            stream.write_all(b"?").await.unwrap();
            stream.shutdown().await.unwrap();
        })
    });
    let server = Server::start(setup(), handler);
    let client = Client::new(TLS_1_3, None);
    let mut lasting = client.handshake(&server).await.unwrap();
    let mut harmful = client.handshake(&server).await.unwrap();
    harmful.write_all(b"!").await.unwrap();
    server.counted(|counts| counts.handlers_panicked == 1).await;
    lasting.write_all(b".").await.unwrap();
    assert_eq!(lasting.read_u8().await.unwrap(), b'?');
    client.handshake(&server).await.unwrap();
    server.shutdown.cancel();
    server.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_told_of_the_shutdown_and_may_finish() {
    let handler: Handler = Arc::new(|accepted| {
        Box::pin(async move {
            let Accepted { mut stream, shutdown, .. } = accepted;
            shutdown.cancelled().await;
            sleep(DRAIN / 2).await;
            stream.write_all(b"bye").await.unwrap();
            stream.shutdown().await.unwrap();
        })
    });
    let server = Server::start(setup(), handler);
    let mut stream = Client::new(TLS_1_3, None).handshake(&server).await.unwrap();
    server.counted(|counts| counts.handshakes_completed == 1).await;
    server.shutdown.cancel();
    let began = Instant::now();
    let mut farewell = String::new();
    stream.read_to_string(&mut farewell).await.unwrap();
    assert_eq!(farewell, "bye");
    assert_eq!(server.drained().await, Drained { aborted: 0 });
    assert!(began.elapsed() < DRAIN);
}

#[tokio::test(start_paused = true)]
async fn a_drain_accepts_no_more_and_aborts_at_its_deadline() {
    let server = Server::start(setup(), Arc::new(for_ever));
    let mut stream = Client::new(TLS_1_3, None).handshake(&server).await.unwrap();
    server.counted(|counts| counts.handshakes_completed == 1).await;
    server.shutdown.cancel();
    let (began, address) = (Instant::now(), server.address);
    let draining = server.drained();
    tokio::pin!(draining);
    check_waits(&mut draining).await;
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(draining.await, Drained { aborted: 1 });
    assert_eq!(began.elapsed().as_secs(), DRAIN.as_secs());
    assert!(stream.read_u8().await.is_err(), "the connection is closed");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drops_handshakes() {
    let (server, _peers) = Server::greeting(setup());
    let unfinished = server.tcp().await;
    server.counted(|counts| counts.accepted == 1).await;
    server.shutdown.cancel();
    let began = Instant::now();
    kept_for(unfinished).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(server.drained().await, Drained { aborted: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_there_is_no_room_is_heeded() {
    let capacity = Capacity::new(1, 1);
    let server = Server::start(Setup { capacity, ..setup() }, Arc::new(for_ever));
    let _held = Client::new(TLS_1_2, None).handshake(&server).await.unwrap();
    let mut waiting = server.tcp().await;
    server.counted(|counts| counts.waited_for_room == 1).await;
    server.shutdown.cancel();
    assert_eq!(waiting.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(server.drained().await, Drained { aborted: 1 });
}

#[tokio::test]
async fn a_handler_s_end_frees_its_connection() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let handler: Handler = Arc::new(move |accepted| {
        let ended = ended.clone();
        Box::pin(async move {
            drop(accepted);
            ended.send(()).unwrap();
        })
    });
    let capacity = Capacity::new(1, 1);
    let server = Server::start(Setup { capacity, ..setup() }, handler);
    for _ in 0..5 {
        let client = Client::new(TLS_1_2, None);
        client.handshake(&server).await.unwrap();
        ends.recv().await.unwrap();
    }
}

/// A server whose every client is refused, after the first three; one refused connection is served
/// a second.
async fn after_three_refusals() -> (Server, Client) {
    let (refused, mut refusals) = mpsc::unbounded_channel();
    let handler: Handler = Arc::new(move |mut accepted| {
        let refused = refused.clone();
        Box::pin(async move {
            accepted.peer.standing.refused();
            let _ = refused.send(());
            let _ = accepted.stream.write_all(b"!").await;
            let _ = accepted.stream.shutdown().await;
        })
    });
    let capacity = Capacity::default().with_refused_per_second(NonZeroU32::MIN);
    let server = Server::start(Setup { capacity, ..setup() }, handler);
    let client = Client::new(TLS_1_2, None);
    for _ in 0..3 {
        client.handshake(&server).await.unwrap();
        refusals.recv().await.unwrap();
    }
    assert_eq!(server.counts().throttled_waited, 0, "two refusals, and a turn that was free");
    (server, client)
}

#[tokio::test]
async fn s_35_connections_of_a_refused_address_wait_for_their_turn() {
    let (server, client) = after_three_refusals().await;
    let shake = || client.handshake(&server);
    let (one, two, three) = tokio::join!(shake(), shake(), shake());
    assert!(one.is_ok() && two.is_ok() && three.is_ok(), "each has its turn");
    assert!(server.counts().throttled_waited >= 1, "{:?}", server.counts());
    assert_eq!(server.counts().throttled_dropped, 0);
}

#[tokio::test]
async fn s_35_more_than_can_be_served_in_time_are_dropped_and_hold_up_no_shutdown() {
    let (server, _client) = after_three_refusals().await;
    let mut storm = Vec::new();
    for _ in 0..30 {
        storm.push(server.tcp().await);
    }
    server.counted(|counts| counts.throttled_dropped >= 10).await;
    let mut last = storm.pop().unwrap();
    let ended = timeout(Duration::from_secs(60), last.read(&mut [0; 1])).await;
    assert!(matches!(ended.unwrap(), Ok(0) | Err(_)), "it never gets an answer");
    for _ in 0..30 {
        storm.push(server.tcp().await);
    }
    server.shutdown.cancel();
    assert_eq!(server.drained().await, Drained { aborted: 0 });
}
