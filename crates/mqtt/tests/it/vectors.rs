//! Golden vectors: bytes that others wrote.

use mqtt::{
    Connack, Connect, ConnectRefusal, Delivery, FilterRequest, Limits, Packet, Publish, Qos,
    Redacted, Suback, SubackCode, Subscribe, Unsubscribe, Will, decode, encode,
};

use crate::packets::{bytes_of, connect, id};

const VECTORS: &str = include_str!("../vectors.txt");

/// How the packets of the standard's figures read.
fn expected(name: &str) -> Packet<'static> {
    let packet_id = id(10);
    match name {
        "connect" => Packet::Connect(Connect {
            will: Some(Will { topic: "w", payload: b"by", qos: Qos::AtLeastOnce, retain: false }),
            username: Some("u"),
            password: Some(Redacted(b"pwd")),
            ..connect("cid", 10)
        }),
        "publish" => message("a/b", Delivery::AtLeastOnce { packet_id, dup: false }),
        "puback" => Packet::Puback(packet_id),
        "pubrec" => Packet::Pubrec(packet_id),
        "pubrel" => Packet::Pubrel(packet_id),
        "pubcomp" => Packet::Pubcomp(packet_id),
        "subscribe" => Packet::Subscribe(Subscribe {
            packet_id,
            filters: vec![
                FilterRequest { filter: "a/b", qos: Qos::AtLeastOnce },
                FilterRequest { filter: "c/d", qos: Qos::ExactlyOnce },
            ],
        }),
        "suback" => Packet::Suback(Suback {
            packet_id,
            codes: vec![
                SubackCode::Granted(Qos::AtMostOnce),
                SubackCode::Granted(Qos::ExactlyOnce),
                SubackCode::Failure,
            ],
        }),
        "unsubscribe" => {
            Packet::Unsubscribe(Unsubscribe { packet_id, filters: vec!["a/b", "c/d"] })
        }
        "unsuback" => Packet::Unsuback(packet_id),
        "pingreq" => Packet::Pingreq,
        "pingresp" => Packet::Pingresp,
        "disconnect" => Packet::Disconnect,
        "connack-accepted" => Packet::Connack(Connack::Accepted { session_present: true }),
        "connack-refused" => Packet::Connack(Connack::Refused(ConnectRefusal::NotAuthorized)),
        "text" => message("A\u{2A6D4}", Delivery::AtMostOnce),
        other => panic!("vector {other} has no expectation"),
    }
}

fn message(topic: &'static str, delivery: Delivery) -> Packet<'static> {
    Packet::Publish(Publish { topic, payload: b"", delivery, retain: false })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_digit(16).expect("a hexadecimal digit"))
        .collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

#[test]
fn standards_packets_decode_and_encode_exactly() {
    let mut seen = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, hex, source] = fields[..] else { panic!("not three fields: {line}") };
        assert!(!source.is_empty(), "{name} names no source");
        let bytes = from_hex(hex);
        let packet = expected(name);
        assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet.clone(), bytes.len()))));
        assert_eq!(bytes_of(&packet), bytes, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 16);
}

/// MQTT 3.1.1 §2.2.3, table 2.4: the first and last value of each length.
#[test]
fn remaining_length_is_written_as_in_the_standards_table() {
    for (remaining, hex) in [
        (64, "40"),
        (127, "7f"),
        (128, "8001"),
        (321, "c102"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
    ] {
        let payload = vec![0; remaining - 3];
        let packet = Packet::Publish(Publish {
            topic: "a",
            payload: &payload,
            delivery: Delivery::AtMostOnce,
            retain: false,
        });
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).unwrap();
        let header = from_hex(&format!("30{hex}"));
        assert_eq!(bytes[..header.len()], header);
        assert_eq!(bytes.len(), header.len() + remaining);
        assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet, bytes.len()))));
    }
}

/// Observed: the first 25 bytes of a CONNECT of the Python device SDK (paho-mqtt) with a token.
///
/// Only these were kept; user name and password are made up here, to the observed length.
const OBSERVED_CONNECT_HEAD: &str = "10 cf02 0004 4d515454 04 c0 003c 0009 6465762d73796d2d31";

#[test]
fn observed_connect_head_reads_as_the_sdk_meant_it() {
    let head = from_hex(OBSERVED_CONNECT_HEAD);
    let remaining = 0x4f + 2 * 128;
    assert_eq!(decode(&head, &Limits::STANDARD), Ok(None));
    let tight = Limits { packet_bytes_max: 3 + remaining - 1, ..Limits::STANDARD };
    assert!(decode(&head, &tight).is_err(), "its length is 338 bytes");

    let username = "u".repeat(120);
    let password = vec![b'p'; 3 + remaining - head.len() - 2 - username.len() - 2];
    let packet = Packet::Connect(Connect {
        client_id: "dev-sym-1",
        clean_session: false,
        keep_alive_s: 60,
        will: None,
        username: Some(&username),
        password: Some(Redacted(&password)),
    });
    let bytes = bytes_of(&packet);
    assert_eq!(bytes[..head.len()], head);
    assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet, 338))));
}
