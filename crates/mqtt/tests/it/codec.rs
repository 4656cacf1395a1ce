//! Round trips, and what cannot be encoded.

use mqtt::{
    Connect, Delivery, EncodeError, ForeignConnect, Limits, Packet, Publish, Redacted, Suback,
    Subscribe, Unsubscribe, decode, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::packets::{any_packet, bytes_of, connect, full_connect, id, packets_in, samples};

proptest! {
    #[test]
    fn every_packet_survives_a_round_trip(
        packet in any_packet(),
        rest in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = bytes_of(&packet);
        let len = bytes.len();
        bytes.extend(rest);
        prop_assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet, len))));
    }

    #[test]
    fn any_bytes_decode_to_something(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(Some((packet, len))) = decode(&bytes, &Limits::STANDARD) {
            prop_assert!(len <= bytes.len());
            prop_assert_eq!(packets_in(bytes_of(&packet)), vec![packet]);
        }
    }
}

#[test]
fn samples_cover_all_fourteen_types() {
    let mut codes: Vec<u8> = samples().iter().map(|packet| packet.kind().code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, (1..=14).collect::<Vec<_>>());
}

#[test]
fn packets_in_a_row_are_told_apart() {
    let stream = samples().iter().flat_map(bytes_of).collect();
    assert_eq!(packets_in(stream), samples());
}

#[test]
fn largest_fields_pass() {
    let text = "x".repeat(65_535);
    let packet = Packet::Connect(Connect { username: Some(&text), ..connect("a", 1) });
    let bytes = bytes_of(&packet);
    assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet, bytes.len()))));
}

#[test]
fn debug_output_hides_the_password() {
    let password = b"hunter2";
    let own = Packet::Connect(Connect {
        username: Some("u"),
        password: Some(Redacted(password)),
        ..connect("a", 1)
    });
    let foreign = Packet::ForeignConnect(ForeignConnect {
        protocol_name: "MQTT",
        protocol_level: 5,
        rest: password,
    });
    for packet in [own, foreign] {
        let shown = format!("{packet:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
    }
}

#[track_caller]
fn check_refused(packet: &Packet<'_>, expected: EncodeError) {
    let mut out = vec![1, 2, 3];
    assert_eq!(encode(packet, &mut out), Err(expected));
    assert_eq!(out, [1, 2, 3], "the output is as it was");
}

#[test]
fn text_that_the_wire_cannot_carry_is_refused() {
    let long = "x".repeat(65_536);
    let publish = |topic| {
        Packet::Publish(Publish {
            topic,
            payload: b"",
            delivery: Delivery::AtMostOnce,
            retain: false,
        })
    };
    let unsubscribe =
        |filter| Packet::Unsubscribe(Unsubscribe { packet_id: id(1), filters: vec![filter] });
    check_refused(&Packet::Connect(connect(&long, 0)), EncodeError::FieldTooLong);
    check_refused(&publish(&long), EncodeError::FieldTooLong);
    check_refused(&unsubscribe(&long), EncodeError::FieldTooLong);
    check_refused(&Packet::Connect(connect("a\0", 0)), EncodeError::NulCharacter);
    for topic in ["", "a/+", "#", "a\0"] {
        check_refused(&publish(topic), EncodeError::TopicName);
    }
    for filter in ["", "a+", "#/a", "a\0"] {
        check_refused(&unsubscribe(filter), EncodeError::TopicFilter);
    }
}

#[test]
fn contradictory_packets_are_refused() {
    let packet_id = id(1);
    check_refused(
        &Packet::Subscribe(Subscribe { packet_id, filters: Vec::new() }),
        EncodeError::NoFilters,
    );
    check_refused(
        &Packet::Unsubscribe(Unsubscribe { packet_id, filters: Vec::new() }),
        EncodeError::NoFilters,
    );
    check_refused(&Packet::Suback(Suback { packet_id, codes: Vec::new() }), EncodeError::NoFilters);
    check_refused(
        &Packet::Connect(Connect { username: None, ..full_connect() }),
        EncodeError::PasswordWithoutUsername,
    );
    for (protocol_name, protocol_level) in [("MQTT", 4), ("AMQP", 1)] {
        check_refused(
            &Packet::ForeignConnect(ForeignConnect { protocol_name, protocol_level, rest: &[] }),
            EncodeError::ForeignProtocol,
        );
    }
}

#[test]
fn packet_over_the_standards_ceiling_is_refused() {
    let payload = vec![0; 268_435_453];
    let publish =
        Publish { topic: "a", payload: &payload, delivery: Delivery::AtMostOnce, retain: false };
    check_refused(&Packet::Publish(publish), EncodeError::PacketTooLarge);
}
