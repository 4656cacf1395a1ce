//! Packets cut short, and lengths that lie.

use mqtt::{DecodeError, Limits, Packet, Rule, decode, encode};

use crate::packets::{bytes_of, samples};

/// The packet's body: samples are short, so their fixed header is two bytes.
fn with_body(first: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap();
    assert!(len < 128, "samples have one byte of remaining length");
    [&[first, len], body].concat()
}

#[test]
fn every_prefix_of_every_packet_asks_for_more() {
    for packet in samples() {
        let bytes = bytes_of(&packet);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], &Limits::STANDARD), Ok(None), "{packet:?} at {len}");
        }
    }
}

/// A body cut short behind an honest remaining length: an error, or exactly what the bytes say.
#[test]
fn every_shorter_body_is_an_error_or_another_packet() {
    for packet in samples() {
        let bytes = bytes_of(&packet);
        let mut errors = 0;
        for len in 0..bytes.len() - 2 {
            let cut = with_body(bytes[0], &bytes[2..2 + len]);
            match decode(&cut, &Limits::STANDARD) {
                Ok(Some((other, _))) => {
                    assert_ne!(other, packet);
                    assert_eq!(bytes_of(&other), cut, "decoded something that is not there");
                }
                Ok(None) => panic!("{packet:?} cut to {len}: the packet is complete"),
                Err(_) => errors += 1,
            }
        }
        let nothing_to_cut = bytes.len() == 2;
        assert!(errors > 0 || nothing_to_cut, "{packet:?}");
    }
}

#[test]
fn every_longer_body_is_an_error_unless_its_tail_is_open() {
    for packet in samples() {
        let bytes = bytes_of(&packet);
        let longer = with_body(bytes[0], &[&bytes[2..], &[7]].concat());
        let open_tail = matches!(packet, Packet::Publish(_) | Packet::ForeignConnect(_));
        match decode(&longer, &Limits::STANDARD) {
            Ok(Some((other, _))) if open_tail => assert_ne!(other, packet),
            Ok(other) => panic!("{packet:?} and a byte more: {other:?}"),
            Err(error) => assert!(!open_tail, "{packet:?}: {error}"),
        }
    }
}

/// The fields of the samples that stand behind a 16-bit length.
fn fields(packet: &Packet<'static>) -> Vec<&'static [u8]> {
    match packet {
        Packet::Connect(connect) => {
            let mut fields = vec![b"MQTT".as_slice(), connect.client_id.as_bytes()];
            fields
                .extend(connect.will.iter().flat_map(|will| [will.topic.as_bytes(), will.payload]));
            fields.extend(connect.username.map(str::as_bytes));
            fields.extend(connect.password.map(|password| password.0));
            fields
        }
        Packet::ForeignConnect(foreign) => vec![foreign.protocol_name.as_bytes()],
        Packet::Publish(publish) => vec![publish.topic.as_bytes()],
        Packet::Subscribe(subscribe) => {
            subscribe.filters.iter().map(|request| request.filter.as_bytes()).collect()
        }
        Packet::Unsubscribe(unsubscribe) => {
            unsubscribe.filters.iter().map(|filter| filter.as_bytes()).collect()
        }
        Packet::Connack(_)
        | Packet::Puback(_)
        | Packet::Pubrec(_)
        | Packet::Pubrel(_)
        | Packet::Pubcomp(_)
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Pingreq
        | Packet::Pingresp
        | Packet::Disconnect => Vec::new(),
    }
}

#[test]
fn every_field_length_that_passes_the_end_is_refused_there() {
    let mut checked = 0;
    for packet in samples() {
        let bytes = bytes_of(&packet);
        for field in fields(&packet) {
            let framed = [&u16::try_from(field.len()).unwrap().to_be_bytes(), field].concat();
            let at = bytes.windows(framed.len()).position(|window| window == framed).unwrap();
            let one_too_many = u16::try_from(bytes.len() - at - 1).unwrap();
            for claimed in [one_too_many, 0x7fff, 0xffff] {
                let mut lying = bytes.clone();
                lying[at..at + 2].copy_from_slice(&claimed.to_be_bytes());
                let expected = DecodeError { offset: at + 2, rule: Rule::FieldPastEnd };
                let found = decode(&lying, &Limits::STANDARD);
                assert_eq!(found, Err(expected), "{packet:?}, length at {at} = {claimed}");
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 16, "sixteen length fields in the samples");
}

#[test]
fn size_limit_is_judged_on_the_header() {
    let limits = Limits { packet_bytes_max: 100, filters_max: 1 };
    let too_large = Err(DecodeError { offset: 1, rule: Rule::PacketTooLarge });
    assert_eq!(decode(&[0x30, 98], &limits), Ok(None), "98 and the header are 100");
    assert_eq!(decode(&[0x30, 99], &limits), too_large);
    assert_eq!(decode(&[0x30, 0xff, 0xff, 0xff, 0x7f], &limits), too_large);
    assert_eq!(decode(&[0x30, 0xff, 0xff, 0xff, 0x7f], &Limits::STANDARD), Ok(None));
}

/// A claim of 256 MB costs nothing until the bytes are there.
#[test]
fn remaining_length_has_four_bytes_at_most() {
    let expected = Err(DecodeError { offset: 4, rule: Rule::RemainingLength });
    assert_eq!(decode(&[0x30, 0x80, 0x80, 0x80, 0x80], &Limits::STANDARD), expected);
    assert_eq!(decode(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], &Limits::STANDARD), expected);
    assert_eq!(decode(&[0x30, 0x80, 0x80, 0x80], &Limits::STANDARD), Ok(None));
}

/// The standard does not forbid a remaining length of more bytes than it needs.
#[test]
fn padded_remaining_length_is_read() {
    let padded = [0xc0, 0x80, 0x80, 0x00];
    assert_eq!(decode(&padded, &Limits::STANDARD), Ok(Some((Packet::Pingreq, 4))));
    let mut out = Vec::new();
    encode(&Packet::Pingreq, &mut out).unwrap();
    assert_eq!(out, [0xc0, 0]);
}
