//! Packets to test with: one of each kind, and arbitrary ones.

use mqtt::{
    Connack, Connect, ConnectRefusal, Delivery, FilterRequest, ForeignConnect, Limits, Packet,
    PacketId, Publish, Qos, Redacted, Suback, SubackCode, Subscribe, Unsubscribe, Will, decode,
    encode,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub(crate) fn bytes_of(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, &mut out).unwrap();
    out
}

/// Decodes a whole stream of packets; they live as long as the test run.
pub(crate) fn packets_in(bytes: Vec<u8>) -> Vec<Packet<'static>> {
    let mut rest: &'static [u8] = leak(bytes);
    let mut packets = Vec::new();
    while let Some((packet, len)) = decode(rest, &Limits::STANDARD).unwrap() {
        packets.push(packet);
        rest = &rest[len..];
    }
    assert!(rest.is_empty(), "a packet is cut short");
    packets
}

/// A packet borrows; a test that makes one up has to keep its text somewhere.
fn leak<T>(values: Vec<T>) -> &'static [T] {
    Vec::leak(values)
}

fn leak_text(text: String) -> &'static str {
    String::leak(text)
}

pub(crate) const fn connect(client_id: &str, keep_alive_s: u16) -> Connect<'_> {
    Connect {
        client_id,
        clean_session: true,
        keep_alive_s,
        will: None,
        username: None,
        password: None,
    }
}

pub(crate) fn full_connect() -> Connect<'static> {
    Connect {
        client_id: "sensor-7",
        clean_session: false,
        keep_alive_s: 60,
        will: Some(Will {
            topic: "last/words",
            payload: &[0, 255, 1],
            qos: Qos::AtLeastOnce,
            retain: true,
        }),
        username: Some("usér"),
        password: Some(Redacted(&[0, 1, 254])),
    }
}

pub(crate) fn publish(topic: &'static str, delivery: Delivery) -> Packet<'static> {
    Packet::Publish(Publish { topic, payload: b"21.5", delivery, retain: false })
}

/// At least one packet of each of the fourteen types.
pub(crate) fn samples() -> Vec<Packet<'static>> {
    vec![
        Packet::Connect(connect("a", 0)),
        Packet::Connect(full_connect()),
        Packet::ForeignConnect(ForeignConnect {
            protocol_name: "MQTT",
            protocol_level: 5,
            rest: &[2, 0, 60, 0, 0, 1, b'a'],
        }),
        Packet::Connack(Connack::Accepted { session_present: true }),
        Packet::Connack(Connack::Refused(ConnectRefusal::NotAuthorized)),
        publish("a/$b/?$rid=1&c=%24", Delivery::AtMostOnce),
        publish("a/b", Delivery::AtLeastOnce { packet_id: id(10), dup: true }),
        publish("a/b", Delivery::ExactlyOnce { packet_id: id(65_535), dup: false }),
        Packet::Puback(id(1)),
        Packet::Pubrec(id(256)),
        Packet::Pubrel(id(3)),
        Packet::Pubcomp(id(4)),
        Packet::Subscribe(Subscribe {
            packet_id: id(5),
            filters: vec![
                FilterRequest { filter: "$a/b/#", qos: Qos::AtLeastOnce },
                FilterRequest { filter: "+/c", qos: Qos::AtMostOnce },
            ],
        }),
        Packet::Suback(Suback {
            packet_id: id(5),
            codes: vec![SubackCode::Granted(Qos::AtLeastOnce), SubackCode::Failure],
        }),
        Packet::Unsubscribe(Unsubscribe { packet_id: id(6), filters: vec!["$a/b/#", "+/c"] }),
        Packet::Unsuback(id(6)),
        Packet::Pingreq,
        Packet::Pingresp,
        Packet::Disconnect,
    ]
}

fn any_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(id)
}

fn any_qos() -> impl Strategy<Value = Qos> {
    prop_oneof![Just(Qos::AtMostOnce), Just(Qos::AtLeastOnce), Just(Qos::ExactlyOnce)]
}

fn any_text() -> impl Strategy<Value = &'static str> {
    "[^\0]{0,40}".prop_map(leak_text)
}

fn any_topic() -> impl Strategy<Value = &'static str> {
    "[^\0+#]{1,60}".prop_map(leak_text)
}

fn any_filter() -> impl Strategy<Value = &'static str> {
    r"(\+|[^\x00/+#]{1,8})(/(\+|[^\x00/+#]{0,8})){0,4}(/#)?".prop_map(leak_text)
}

fn any_bytes(len_max: usize) -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..=len_max).prop_map(leak)
}

fn any_connect() -> impl Strategy<Value = Packet<'static>> {
    let will = (any_topic(), any_bytes(300), any_qos(), any::<bool>())
        .prop_map(|(topic, payload, qos, retain)| Will { topic, payload, qos, retain });
    let credentials = option::of((any_text(), option::of(any_bytes(300))));
    (any_text(), any::<bool>(), any::<u16>(), option::of(will), credentials).prop_map(
        |(client_id, clean_session, keep_alive_s, will, credentials)| {
            let (username, password) = credentials.unzip();
            let password = password.flatten().map(Redacted);
            Packet::Connect(Connect {
                client_id,
                clean_session,
                keep_alive_s,
                will,
                username,
                password,
            })
        },
    )
}

fn any_foreign_connect() -> impl Strategy<Value = Packet<'static>> {
    let protocol = prop_oneof![
        any::<u8>().prop_map(|level| ("MQIsdp", level)),
        any::<u8>()
            .prop_filter("3.1.1 is not foreign", |&level| level != 4)
            .prop_map(|level| ("MQTT", level)),
    ];
    (protocol, any_bytes(60)).prop_map(|((protocol_name, protocol_level), rest)| {
        Packet::ForeignConnect(ForeignConnect { protocol_name, protocol_level, rest })
    })
}

fn any_connack() -> impl Strategy<Value = Packet<'static>> {
    let refusal = prop_oneof![
        Just(ConnectRefusal::ProtocolVersion),
        Just(ConnectRefusal::IdentifierRejected),
        Just(ConnectRefusal::ServerUnavailable),
        Just(ConnectRefusal::BadUsernameOrPassword),
        Just(ConnectRefusal::NotAuthorized),
    ];
    prop_oneof![
        any::<bool>().prop_map(|session_present| Connack::Accepted { session_present }),
        refusal.prop_map(Connack::Refused),
    ]
    .prop_map(Packet::Connack)
}

fn any_publish() -> impl Strategy<Value = Packet<'static>> {
    let delivery = prop_oneof![
        Just(Delivery::AtMostOnce),
        (any_id(), any::<bool>())
            .prop_map(|(packet_id, dup)| Delivery::AtLeastOnce { packet_id, dup }),
        (any_id(), any::<bool>())
            .prop_map(|(packet_id, dup)| Delivery::ExactlyOnce { packet_id, dup }),
    ];
    (any_topic(), any_bytes(20_000), delivery, any::<bool>()).prop_map(
        |(topic, payload, delivery, retain)| {
            Packet::Publish(Publish { topic, payload, delivery, retain })
        },
    )
}

fn any_subscription() -> impl Strategy<Value = Packet<'static>> {
    let request = (any_filter(), any_qos()).prop_map(|(filter, qos)| FilterRequest { filter, qos });
    let code = prop_oneof![any_qos().prop_map(SubackCode::Granted), Just(SubackCode::Failure)];
    prop_oneof![
        (any_id(), vec(request, 1..6))
            .prop_map(|(packet_id, filters)| Packet::Subscribe(Subscribe { packet_id, filters })),
        (any_id(), vec(code, 1..6))
            .prop_map(|(packet_id, codes)| Packet::Suback(Suback { packet_id, codes })),
        (any_id(), vec(any_filter(), 1..6)).prop_map(|(packet_id, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, filters })
        }),
    ]
}

/// Every packet that the standard allows, within reason of size.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet<'static>> {
    prop_oneof![
        any_connect(),
        any_foreign_connect(),
        any_connack(),
        any_publish(),
        any_subscription(),
        any_id().prop_map(Packet::Puback),
        any_id().prop_map(Packet::Pubrec),
        any_id().prop_map(Packet::Pubrel),
        any_id().prop_map(Packet::Pubcomp),
        any_id().prop_map(Packet::Unsuback),
        Just(Packet::Pingreq),
        Just(Packet::Pingresp),
        Just(Packet::Disconnect),
    ]
}
