//! Requests by which one might be smuggled behind another, and clients that dawdle.

use crate::hostile::{HTTPS, Hostile};
use e2e::{DPS, escape, in_seconds, sas_token, world};
use std::time::{Duration, Instant};

/// How long the server may take to end what it doesn't understand.
const AT_ONCE: Duration = Duration::from_secs(5);

/// `limits::SIGN_IN_TIMEOUT`, and what a busy machine adds to it.
const SIGN_IN: Duration = Duration::from_secs(20 + 10);

/// The request is answered by 400 at most, once, and the connection ends: nothing of what follows
/// is taken for a request of its own.
#[track_caller]
fn assert_ends(scene: &Hostile, request: &[u8]) {
    let mut wire = scene.tls.connect(DPS, HTTPS);
    wire.send(request);
    let reply = wire.reply();
    println!("{:?}: {:?}", String::from_utf8_lossy(request), reply.as_ref().map(|r| r.status));
    if let Some(reply) = reply {
        assert_eq!(reply.status, 400, "{}", reply.body);
        wire.assert_closed_within(AT_ONCE);
    }
}

/// A deletion by the owner that would work, for smuggling; `fields` stand in its head.
fn deletion(scene: &Hostile, fields: &str) -> String {
    let (host, policy, key) = scene.dps.owner();
    let token = sas_token(&escape(host), key, in_seconds(600), Some(policy));
    let target = "/enrollmentGroups/fleet?api-version=2021-10-01";
    format!("DELETE {target} HTTP/1.1\r\nHost: {DPS}\r\nAuthorization: {token}\r\n{fields}\r\n")
}

#[test]
fn two_content_lengths_end_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let smuggled = deletion(&scene, "");
        let length = smuggled.len();
        for fields in [
            format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
            format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
            format!("Content-Length: 0, {length}\r\n"),
            "Content-Length: -1\r\n".to_owned(),
            "Content-Length: +5\r\n".to_owned(),
            "Content-Length: 0x5\r\n".to_owned(),
            "Content-Length: 99999999999999999999\r\n".to_owned(),
            format!("Content-Length : {length}\r\n"),
        ] {
            let request = format!("GET /x HTTP/1.1\r\nHost: {DPS}\r\n{fields}\r\n{smuggled}");
            assert_ends(&scene, request.as_bytes());
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_length_beside_chunks_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let smuggled = deletion(&scene, "");
        for fields in [
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding : chunked\r\n",
        ] {
            let request =
                format!("POST /x HTTP/1.1\r\nHost: {DPS}\r\n{fields}\r\n0\r\n\r\n{smuggled}");
            let mut wire = scene.tls.connect(DPS, HTTPS);
            wire.send(request.as_bytes());
            // Whatever is said of the first, the second was never read.
            let answers = std::iter::from_fn(|| wire.reply()).take(3);
            let statuses: Vec<_> = answers.map(|reply| reply.status).collect();
            println!("{fields:?}: {statuses:?}");
            assert!(statuses.len() <= 1 && !statuses.contains(&204), "{fields:?}: {statuses:?}");
        }
        scene.assert_unharmed();
    });
}

#[test]
fn what_is_no_http_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let host = format!("Host: {DPS}\r\n");
        let folded = format!("GET / HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n");
        let bare = format!("GET / HTTP/1.1\r{host}\r\r");
        let nul = format!("GET /\0 HTTP/1.1\r\n{host}\r\n");
        let many = format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(200));
        for request in [
            &b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\0\0\0\0\0\0\0\0\r\n\r\n",
            folded.as_bytes(),
            bare.as_bytes(),
            nul.as_bytes(),
        ] {
            assert_ends(&scene, request);
        }
        let mut wire = scene.tls.connect(DPS, HTTPS);
        wire.send(many.as_bytes());
        assert!(wire.reply().is_none_or(|reply| reply.status == 431));
        scene.assert_unharmed();
    });
}

#[test]
fn a_host_that_is_none_or_another_ones_is_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let ask = |host: &str| {
            let request = deletion(&scene, "").replace("Host: dps.localhost\r\n", host);
            let mut wire = scene.tls.connect(DPS, HTTPS);
            wire.send(request.as_bytes());
            wire.reply().map(|reply| reply.status)
        };
        for host in [
            "",
            "Host: \r\n",
            "Host: hub1.localhost\r\n",
            "Host: muster.localhost\r\n",
            "Host: dps.localhost.evil\r\n",
            "Host: dps.localhost/x\r\n",
            "Host: a@dps.localhost\r\n",
            "Host: evil\r\nHost: dps.localhost\r\n",
        ] {
            let status = ask(host);
            assert!(matches!(status, None | Some(400 | 404)), "{host:?}: {status:?}");
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_head_that_never_ends_is_cut_off() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.tls.connect(DPS, HTTPS);
        wire.send(b"GET / HTTP/1.1\r\nHost: dps.localhost\r\n");
        let mut sent = 0;
        while sent < 1024 * 1024 && wire.try_send(&[b'x'; 4096]).is_ok() {
            sent += 4096;
        }
        if let Some(reply) = wire.reply() {
            assert_eq!(reply.status, 431);
        }
        wire.assert_closed_within(AT_ONCE);
        scene.assert_unharmed();
    });
}

#[test]
fn a_request_that_trickles_in_is_cut_off_at_the_deadline() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.tls.connect(DPS, HTTPS);
        let request = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100));
        let mut seconds = 0;
        for byte in request.bytes() {
            if seconds > 22 || wire.try_send(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1));
            seconds += 1;
            if seconds == 3 {
                scene.assert_registers("meanwhile");
            }
        }
        println!("cut off after {seconds} s");
        assert!(wire.reply().is_none_or(|reply| reply.status == 408));
        wire.assert_closed_within(AT_ONCE);
        scene.assert_unharmed();
    });
}

/// Whatever state a connection is left in, nobody waits for it for ever.
#[test]
fn a_client_that_falls_silent_is_cut_off_at_the_deadline() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut at_once = scene.tls.connect(DPS, HTTPS);
        let mut between = scene.tls.connect(DPS, HTTPS);
        between.send(format!("GET /x HTTP/1.1\r\nHost: {DPS}\r\n\r\n").as_bytes());
        assert_eq!(between.reply().expect("an answer").status, 404);
        let mut upgraded = scene.tls.connect(DPS, HTTPS);
        upgraded.send(
            format!(
                "GET /$iothub/websocket HTTP/1.1\r\nHost: {DPS}\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            .as_bytes(),
        );
        assert_eq!(upgraded.reply().expect("an answer").status, 101);
        let begun = Instant::now();
        scene.assert_registers("meanwhile");
        for (name, wire) in
            [("at once", &mut at_once), ("between", &mut between), ("upgraded", &mut upgraded)]
        {
            let said = wire.last_words_within(SIGN_IN.saturating_sub(begun.elapsed()));
            // A WebSocket may say good-bye.
            assert!(said.len() < 8, "{name}: {said:?}");
            println!("{name}: cut off after {:?}", begun.elapsed());
        }
        scene.assert_unharmed();
    });
}
