//! Every rule of the decoder, one row a case.

use mqtt::{DecodeError, Limits, Packet, Rule, decode};

const LIMITS: Limits = Limits { packet_bytes_max: 1_000, filters_max: 2 };

/// Decodes a packet of that first byte and body.
fn decode_body(first: u8, body: &[u8]) -> Result<Packet<'static>, DecodeError> {
    let len = u8::try_from(body.len()).unwrap();
    let bytes = [&[first, len], body].concat().leak();
    decode(bytes, &LIMITS).map(|packet| packet.expect("the packet is complete").0)
}

#[track_caller]
fn check(first: u8, body: &[u8], offset: usize, rule: Rule) {
    assert_eq!(decode_body(first, body), Err(DecodeError { offset, rule }), "{first:#x} {body:x?}");
}

#[test]
fn fixed_header_has_its_types_flags() {
    check(0x00, &[], 0, Rule::PacketType);
    check(0xf0, &[], 0, Rule::PacketType);
    for kind in [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] {
        let right = if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
        for flags in (0..16).filter(|&flags| flags != right) {
            check(kind << 4 | flags, &[0, 1], 0, Rule::FixedHeaderFlags);
        }
    }
    check(0x36, &[0, 1, b'a', 0, 1], 0, Rule::PublishQos);
    check(0x38, &[0, 1, b'a'], 0, Rule::DupAtQosZero);
}

/// A CONNECT with those connect flags, and behind the keep-alive that payload.
fn connect(flags: u8, payload: &[u8]) -> Vec<u8> {
    [b"\0\x04MQTT\x04".as_slice(), &[flags, 0, 60], payload].concat()
}

#[test]
fn connect_names_its_protocol() {
    check(0x10, b"\0\x04MQTX\x04\x02\0\x3c\0\0", 2, Rule::ProtocolName);
    check(0x10, b"\0\x04mqtt\x04\x02\0\x3c\0\0", 2, Rule::ProtocolName);
    check(0x10, b"\0\0\x04\x02\0\x3c\0\0", 2, Rule::ProtocolName);
    for (body, name, level) in [
        (b"\0\x04MQTT\x05\x02\0\x3c\0\0\0".as_slice(), "MQTT", 5),
        (b"\0\x04MQTT\x84\x02".as_slice(), "MQTT", 0x84),
        (b"\0\x06MQIsdp\x03\x02\0\x3c\0\x01a".as_slice(), "MQIsdp", 3),
    ] {
        let Ok(Packet::ForeignConnect(foreign)) = decode_body(0x10, body) else {
            panic!("{name} at level {level} is kept as data");
        };
        assert_eq!((foreign.protocol_name, foreign.protocol_level), (name, level));
    }
}

#[test]
fn connect_flags_do_not_contradict_each_other() {
    check(0x10, &connect(0x03, b"\0\x01a"), 9, Rule::ConnectReservedFlag);
    check(0x10, &connect(0x0a, b"\0\x01a"), 9, Rule::WillFlags);
    check(0x10, &connect(0x22, b"\0\x01a"), 9, Rule::WillFlags);
    check(0x10, &connect(0x1e, b"\0\x01a\0\x01w\0\0"), 9, Rule::WillFlags);
    check(0x10, &connect(0x42, b"\0\x01a\0\x01p"), 9, Rule::PasswordWithoutUsername);
}

#[test]
fn connect_payload_is_what_its_flags_announce() {
    check(0x10, &connect(0x02, b"\0\x01a\0\x01u"), 15, Rule::TrailingBytes);
    check(0x10, &connect(0x82, b"\0\x01a"), 15, Rule::FieldPastEnd);
    check(0x10, &connect(0xc2, b"\0\x01a\0\x01u"), 18, Rule::FieldPastEnd);
    check(0x10, &connect(0x06, b"\0\x01a\0\x01w"), 18, Rule::FieldPastEnd);
    check(0x10, &connect(0x06, b"\0\x01a\0\x01#\0\0"), 15, Rule::TopicName);
    assert!(decode_body(0x10, &connect(0xc2, b"\0\x01a\0\0\0\0")).is_ok(), "empty is not absent");
}

/// MQTT 3.1.1 §1.5.3, with the surrogate, the overlong form and the stray byte of RFC 3629.
#[test]
fn text_is_utf8_without_nul() {
    for wrong in [b"\xed\xa0\x80".as_slice(), b"\xc0\x80", b"\xff", b"\xe6\xbc"] {
        let len = u8::try_from(wrong.len()).unwrap();
        let payload = [&[0, len], wrong].concat();
        check(0x10, &connect(0x02, &payload), 12, Rule::Utf8);
        check(0x30, &payload, 2, Rule::Utf8);
    }
    check(0x10, &connect(0x02, b"\0\x03a\0b"), 12, Rule::NulCharacter);
    check(0x30, b"\0\x03a\0b", 2, Rule::NulCharacter);
    assert!(decode_body(0x30, b"\0\x03\xef\xbb\xbf").is_ok(), "U+FEFF is not stripped");
}

#[test]
fn publish_names_a_topic_and_above_qos_zero_itself() {
    check(0x30, b"\0\0", 2, Rule::TopicName);
    check(0x30, b"\0\x03a/+", 2, Rule::TopicName);
    check(0x30, b"\0\x01#", 2, Rule::TopicName);
    check(0x32, b"\0\x01a\0\0", 5, Rule::PacketIdZero);
    check(0x34, b"\0\x01a\0\0", 5, Rule::PacketIdZero);
    check(0x32, b"\0\x01a\x01", 5, Rule::FieldPastEnd);
    check(0x30, b"", 2, Rule::FieldPastEnd);
}

#[test]
fn acknowledgements_are_an_identifier_and_nothing_else() {
    for first in [0x40, 0x50, 0x62, 0x70, 0xb0] {
        check(first, &[0, 0], 2, Rule::PacketIdZero);
        check(first, &[1], 2, Rule::FieldPastEnd);
        check(first, &[], 2, Rule::FieldPastEnd);
        check(first, &[0, 1, 0], 4, Rule::TrailingBytes);
    }
    for first in [0xc0, 0xd0, 0xe0] {
        check(first, &[0], 2, Rule::TrailingBytes);
    }
}

#[test]
fn connack_has_one_flag_and_six_codes() {
    check(0x20, &[2, 0], 2, Rule::ConnackFlags);
    check(0x20, &[1, 5], 2, Rule::ConnackFlags);
    check(0x20, &[0, 6], 3, Rule::ConnackCode);
    for code in 0..=5 {
        assert!(decode_body(0x20, &[0, code]).is_ok());
    }
}

#[test]
fn subscriptions_have_valid_entries() {
    check(0x82, &[0, 1], 4, Rule::NoFilters);
    check(0xa2, &[0, 1], 4, Rule::NoFilters);
    check(0x90, &[0, 1], 4, Rule::NoFilters);
    check(0x82, &[0, 0, 0, 1, b'a', 0], 2, Rule::PacketIdZero);
    check(0x82, b"\0\x01\0\x01a\x03", 7, Rule::RequestedQos);
    check(0x82, b"\0\x01\0\x01a\x81", 7, Rule::RequestedQos);
    check(0x82, b"\0\x01\0\x01a", 7, Rule::FieldPastEnd);
    check(0x82, b"\0\x01\0\x00\x01", 4, Rule::TopicFilter);
    check(0x82, b"\0\x01\0\x02a#\x01", 4, Rule::TopicFilter);
    check(0xa2, b"\0\x01\0\x04#/aa", 4, Rule::TopicFilter);
    check(0x90, b"\0\x01\x03", 4, Rule::SubackCode);
    check(0x90, b"\0\x01\0\x81", 5, Rule::SubackCode);
}

#[test]
fn entries_are_counted() {
    check(0x82, b"\0\x01\0\x01a\0\0\x01b\0\0\x01c\0", 12, Rule::TooManyFilters);
    check(0xa2, b"\0\x01\0\x01a\0\x01b\0\x01c", 10, Rule::TooManyFilters);
    check(0x90, b"\0\x01\0\0\0", 6, Rule::TooManyFilters);
    assert!(decode_body(0x82, b"\0\x01\0\x01a\0\0\x01b\0").is_ok());
}
