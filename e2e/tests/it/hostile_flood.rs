//! Very many connections that want nothing. They come from another address than the healthy
//! device, as strangers do.

use crate::hostile::{Hostile, MQTT};
use e2e::{DPS, Wire, world};
use std::io::Read;
use std::net::{Ipv6Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const IDLE: usize = 2_000;
/// `limits::STRANGERS_PER_ADDRESS_MAX`.
const STRANGERS: usize = 512;
/// How many of them begin at the same time.
const HANDS: usize = 4;
/// `limits::HANDSHAKE_TIMEOUT`, and what a busy machine adds to it.
const HANDSHAKE: Duration = Duration::from_secs(10 + 10);
/// `limits::SIGN_IN_TIMEOUT`, and what a busy machine adds to it.
const SIGN_IN: Duration = Duration::from_secs(20 + 10);
/// What the server may hold for each connection that has not signed in: TLS's buffers and its own,
/// and its allocator's share.
const CONNECTION_BYTES_MAX: u64 = 96 * 1024;

fn stranger() -> TcpStream {
    TcpStream::connect((Ipv6Addr::LOCALHOST, MQTT)).unwrap()
}

#[test]
fn two_thousand_connections_that_never_send_a_byte_keep_nobody_out() {
    world(|world| {
        let scene = Hostile::new(world);
        let begun = Instant::now();
        let idle: Vec<_> = (0..IDLE).map(|_| stranger()).collect();
        println!("{IDLE} connected in {:?}", begun.elapsed());
        scene.assert_unharmed();
        for mut socket in idle {
            let left = HANDSHAKE.saturating_sub(begun.elapsed()).max(Duration::from_millis(10));
            socket.set_read_timeout(Some(left)).unwrap();
            let end = socket.read(&mut [0; 64]);
            let silent =
                matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
            assert!(!silent, "one is still open after {:?}", begun.elapsed());
        }
        println!("all had ended after {:?}", begun.elapsed());
        scene.assert_unharmed();
    });
}

#[test]
fn connections_that_are_silent_after_their_handshake_keep_nobody_out() {
    world(|world| {
        let scene = Hostile::new(world);
        let begun = Instant::now();
        let connect = || scene.tls.try_over(DPS, stranger()).unwrap();
        let idle: Vec<Wire> = thread::scope(|scope| {
            let hand = || (0..STRANGERS / HANDS).map(|_| connect()).collect::<Vec<_>>();
            let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
            scene.assert_registers("meanwhile");
            hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
        });
        println!("{STRANGERS} connected in {:?}", begun.elapsed());
        let held = CONNECTION_BYTES_MAX * u64::try_from(STRANGERS).unwrap();
        // One more is held for a while, and dropped without a handshake.
        assert!(scene.tls.try_over(DPS, stranger()).is_err());
        scene.assert_unharmed_but_for(held);
        let connected = Instant::now();
        for mut wire in idle {
            let left = SIGN_IN.saturating_sub(connected.elapsed());
            wire.assert_closed_within(left.max(Duration::from_millis(100)));
        }
        println!("all had ended after {:?}", begun.elapsed());
        scene.assert_unharmed_but_for(held);
    });
}
