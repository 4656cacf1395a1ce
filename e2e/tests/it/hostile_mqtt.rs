//! Bytes on the MQTT port that no client should send, before and after it has signed in.

use crate::hostile::{Hostile, MQTT, REGISTER, RESPONSES, connack, response, suback};
use e2e::mqtt::{Connect, Sent, packet, publish, subscribe};
use e2e::{DPS, HUB1, Wire, world};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to end what it doesn't understand.
const AT_ONCE: Duration = Duration::from_secs(2);
/// `limits::SIGN_IN_TIMEOUT`, and what a busy machine adds to it.
const SIGN_IN: Duration = Duration::from_secs(20 + 5);
/// `limits::HANDSHAKE_TIMEOUT`, and what a busy machine adds to it.
const HANDSHAKE: Duration = Duration::from_secs(10 + 5);
const ID: &str = "meter-1";

/// Each of these ends a connection at once, without an answer.
#[track_caller]
fn assert_ends(scene: &Hostile, beginnings: &[&[u8]]) {
    for bytes in beginnings {
        let mut wire = scene.tls.connect(DPS, MQTT);
        wire.send(bytes);
        println!("{:02x?}", &bytes[..bytes.len().min(20)]);
        wire.assert_closed_within(AT_ONCE);
    }
    scene.assert_unharmed();
}

fn connect(scene: &Hostile) -> Vec<u8> {
    let (username, token) = (scene.username(ID), scene.token(ID));
    Connect { client_id: ID, username: Some(&username), password: Some(&token), will: None }.bytes()
}

#[test]
fn a_connect_that_claims_256_megabytes_is_cut_off_unread() {
    world(|world| {
        let scene = Hostile::new(world);
        // The largest length that there is, one of 16 KiB and a byte, and one just within.
        assert_ends(&scene, &[b"\x10\xff\xff\xff\x7f", b"\x10\x82\x80\x01\x00\x04MQTT"]);
        let mut wire = scene.tls.connect(DPS, MQTT);
        wire.send(b"\x10\xff\xff\xff\x7f");
        let mut sent = 0;
        while sent < 64 * 1024 * 1024 && wire.try_send(&[0; 64 * 1024]).is_ok() {
            sent += 64 * 1024;
        }
        println!("{sent} bytes were sent");
        scene.assert_unharmed();
    });
}

#[test]
fn malformed_packets_end_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let good = connect(&scene);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            // Behind two bytes of length.
            bytes[at] = to;
            bytes
        };
        assert_ends(
            &scene,
            &[
                b"\x10\xff\xff\xff\xff\x01",
                b"\x10\x80\x80\x80\x80\x80",
                b"\x10\x00",
                b"\x10\x02\x00\x04",
                b"\x11\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00",
                // The name of the protocol, a reserved flag, flags that contradict each other.
                &changed(4, 0xff),
                &changed(8, b'X'),
                &changed(10, 0xc3),
                &changed(10, 0x42),
                &changed(10, 0xca),
                // A field longer than the packet.
                &changed(13, 0xff),
                // Not UTF-8, and a NUL.
                &packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x02\xc3\x28"),
                &packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x02\x00a"),
            ],
        );
    });
}

#[test]
fn anything_before_connect_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        assert_ends(
            &scene,
            &[
                &subscribe(1, RESPONSES, 1),
                &publish(REGISTER, b"{}", Sent::AtMostOnce),
                b"\xc0\x00",
                b"\xe0\x00",
                b"\x20\x02\x00\x00",
                b"\x90\x03\x00\x01\x00",
                b"\x00\x00",
                b"\xf0\x00",
                b"GET / HTTP/1.1\r\nHost: dps.localhost\r\n\r\n",
                &[0xff; 4096],
                &[0x00; 4096],
            ],
        );
    });
}

#[test]
fn what_is_no_tls_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        for bytes in [&connect(&scene)[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff, 1]]
        {
            let mut tcp = TcpStream::connect((DPS, MQTT)).unwrap();
            tcp.set_read_timeout(Some(HANDSHAKE)).unwrap();
            tcp.write_all(bytes).unwrap();
            // An alert at most, then the end.
            let mut said = Vec::new();
            let ended = tcp.read_to_end(&mut said);
            assert!(ended.is_ok() || said.is_empty(), "{ended:?}");
            assert!(said.len() < 100, "{said:?}");
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_connect_that_trickles_in_is_cut_off_at_the_deadline() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.tls.connect(DPS, MQTT);
        let begun = Instant::now();
        for (second, byte) in connect(&scene).into_iter().enumerate() {
            if wire.try_send(&[byte]).is_err() || begun.elapsed() > SIGN_IN {
                break;
            }
            if second == 3 {
                scene.assert_registers("meanwhile");
            }
            thread::sleep(Duration::from_secs(1));
        }
        println!("cut off after {:?}", begun.elapsed());
        assert!(begun.elapsed() > Duration::from_secs(18) && begun.elapsed() <= SIGN_IN);
        wire.assert_closed_within(AT_ONCE);
        scene.assert_unharmed();
    });
}

#[test]
fn a_client_hello_that_trickles_in_is_cut_off_at_the_deadline() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut tcp = TcpStream::connect((DPS, MQTT)).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let begun = Instant::now();
        for byte in scene.tls.client_hello(DPS) {
            // Nothing is to be read: waiting for it is the pause between two bytes.
            let ended = match tcp.read(&mut [0; 64]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
            if ended || tcp.write_all(&[byte]).is_err() || begun.elapsed() > HANDSHAKE {
                break;
            }
        }
        println!("cut off after {:?}", begun.elapsed());
        assert!(begun.elapsed() > Duration::from_secs(8) && begun.elapsed() <= HANDSHAKE);
        scene.assert_unharmed();
    });
}

#[test]
fn a_client_that_says_nothing_after_its_handshake_is_cut_off_at_the_deadline() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut silent: Vec<Wire> =
            [DPS, HUB1].iter().map(|host| scene.tls.connect(host, MQTT)).collect();
        for wire in &mut silent {
            wire.assert_closed_within(SIGN_IN);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn a_second_connect_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        wire.send(&connect(&scene));
        wire.assert_closed_within(AT_ONCE);
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}

#[test]
fn a_message_to_an_unknown_topic_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        for topic in [
            "",
            "a",
            "#",
            "$dps",
            "$SYS/broker",
            "$dps/registrations/res/200/?$rid=1",
            "$dps/registrations/PUT/iotdps-registerX/?$rid=1",
            "$dps/registrations/PUT/../PUT/iotdps-register/?$rid=1",
            "$dps/registrations/DELETE/iotdps-register/?$rid=1",
            "$iothub/twin/GET/?$rid=1",
            "devices/meter-1/messages/events/",
            &format!("{REGISTER}{}", "x".repeat(5_000)),
        ] {
            let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
            wire.send(&publish(topic, b"{}", Sent::AtMostOnce));
            println!("{topic:.60}");
            wire.assert_closed_within(AT_ONCE);
        }
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}

#[test]
fn a_filter_that_is_not_the_devices_is_refused_alone() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        for filter in [
            "#",
            "+/#",
            "$dps/#",
            "$SYS/#",
            "$dps/registrations/#",
            "$dps/registrations/res/+",
            "$iothub/twin/res/#",
            "devices/+/messages/events/#",
        ] {
            assert_eq!(suback(&mut wire, filter, 1), 0x80, "{filter}");
        }
        let (status, body) = scene.call(&mut wire, REGISTER);
        assert_eq!(status, 202, "{body}");
        scene.assert_unharmed();
    });
}

#[test]
fn malformed_filters_end_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let many = (0..1_000).flat_map(|_| b"\x00\x01a\x00".to_vec());
        let many: Vec<u8> = [0, 1].into_iter().chain(many).collect();
        for bytes in [
            packet(0x82, b"\x00\x01"),
            packet(0x82, b"\x00\x00\x00\x01a\x00"),
            packet(0x82, b"\x00\x01\x00\x01a\x03"),
            packet(0x80, b"\x00\x01\x00\x01a\x00"),
            packet(0x82, &many),
            publish("a/+/b", b"", Sent::AtMostOnce),
            publish(REGISTER, b"", Sent::AtLeastOnce(0)),
            packet(0x36, b"\x00\x01a\x00\x01"),
        ] {
            let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
            wire.send(&bytes);
            println!("{:02x?}", &bytes[..bytes.len().min(20)]);
            wire.assert_closed_within(AT_ONCE);
        }
        scene.assert_unharmed();
    });
}

#[test]
fn will_and_retain_are_ignored() {
    world(|world| {
        let scene = Hostile::new(world);
        let (username, token) = (scene.username(ID), scene.token(ID));
        let mut wire = scene.tls.connect(DPS, MQTT);
        // As a will, a request would be made by a device that has left.
        let will = Some((REGISTER, &b"{}"[..]));
        let connect =
            Connect { client_id: ID, username: Some(&username), password: Some(&token), will };
        assert_eq!(connack(&mut wire, connect), Some(0));
        drop(wire);
        scene.assert_registers("meanwhile");
        scene.assert_no_record(ID);

        let mut wire = scene.sign_in(&scene.tls, ID, Some(&token));
        wire.send(&publish(REGISTER, b"{}", Sent::Retained));
        assert_eq!(response(&mut wire).0, 202);
        let mut other = scene.sign_in(&scene.tls, "meter-2", Some(&scene.token("meter-2")));
        other.patience(Duration::from_millis(300));
        other.send(b"\xc0\x00");
        let next = other.packet().unwrap();
        assert_eq!(next.header, 0xd0, "nothing was kept for others: {next:?}");
        scene.assert_unharmed();
    });
}

#[test]
fn a_message_of_quality_two_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        wire.send(&publish(REGISTER, b"{}", Sent::ExactlyOnce(1)));
        wire.assert_closed_within(AT_ONCE);
        scene.assert_no_record(ID);
        assert_eq!(
            suback(&mut scene.sign_in(&scene.tls, ID, Some(&scene.token(ID))), RESPONSES, 2),
            1
        );
        scene.assert_unharmed();
    });
}

#[test]
fn a_message_over_the_bound_is_refused_or_ends_the_connection() {
    world(|world| {
        let scene = Hostile::new(world);
        let body = |bytes: usize| format!("{{\"payload\":\"{}\"}}", "x".repeat(bytes)).into_bytes();
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        wire.send(&publish(REGISTER, &body(96 * 1024), Sent::AtMostOnce));
        let (status, refused) = response(&mut wire);
        assert_eq!(status, 400, "{refused}");
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        let sent = wire.try_send(&publish(REGISTER, &body(1024 * 1024), Sent::AtMostOnce));
        println!("{sent:?}");
        wire.assert_closed_within(AT_ONCE);
        scene.assert_no_record(ID);
        scene.assert_unharmed();
    });
}

#[test]
fn bodies_that_are_no_json_or_anothers_are_refused() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        let deep = format!("{{\"payload\":{}}}", "[".repeat(40_000));
        for body in [
            &b"{"[..],
            b"[]",
            b"\xff",
            b"{\"registrationId\":\"meter-2\"}",
            b"{\"registrationId\":7}",
            b"{\"registrationId\":\"meter-1\",\"registrationId\":\"meter-2\"}",
            deep.as_bytes(),
        ] {
            wire.send(&publish(REGISTER, body, Sent::AtMostOnce));
            let (status, refused) = response(&mut wire);
            assert_eq!(status, 400, "{refused}");
        }
        scene.assert_no_record(ID);
        scene.assert_no_record("meter-2");
        scene.assert_unharmed();
    });
}

/// Requests without reading a single answer: the server stops reading, not the others.
#[test]
fn a_device_that_never_reads_costs_little() {
    world(|world| {
        let scene = Hostile::new(world);
        let mut wire = scene.sign_in(&scene.tls, ID, Some(&scene.token(ID)));
        let poll =
            publish(&format!("{}&operationId=x", crate::hostile::POLL), b"{}", Sent::AtMostOnce);
        let many = poll.repeat(200);
        let sender = thread::spawn(move || {
            let begun = Instant::now();
            let mut sent = 0;
            while begun.elapsed() < Duration::from_secs(5) && wire.try_send(&many).is_ok() {
                sent += 200;
            }
            sent
        });
        for round in 0..4 {
            scene.assert_registers(&format!("meanwhile-{round}"));
            thread::sleep(Duration::from_millis(500));
        }
        println!("{} requests were sent", sender.join().unwrap());
        scene.assert_unharmed();
    });
}
