//! A connection's life: how it begins, how long it lasts, and all the ways it ends.

use std::time::Duration;

use mqtt::{
    CloseReason, Connack, Connect, ConnectRefusal, ConnectRequest, Connection, ConnectionLimits,
    DecodeError, Delivery, Event, ForeignConnect, Guarantee, Limits, Packet, PublishError, Rule,
    SessionPresent, UseError, Violation,
};

use crate::packets::{bytes_of, connect, full_connect, id, packets_in, publish, samples};

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn limits() -> ConnectionLimits {
    ConnectionLimits::default()
}

pub(crate) fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

pub(crate) fn sent(connection: &mut Connection) -> Vec<Packet<'static>> {
    let mut bytes = Vec::new();
    while let Some(mut output) = connection.poll_output() {
        bytes.append(&mut output);
    }
    packets_in(bytes)
}

/// A connection accepted at `now`, with nothing left to take.
pub(crate) fn accepted(limits: ConnectionLimits, keep_alive_s: u16, now: Duration) -> Connection {
    let mut connection = Connection::new(limits, now);
    connection.handle_bytes(now, &bytes_of(&Packet::Connect(connect("a", keep_alive_s))));
    assert!(matches!(events(&mut connection)[..], [Event::Connect(_)]));
    connection.accept(now, SessionPresent::No).unwrap();
    let accepted = Packet::Connack(Connack::Accepted { session_present: false });
    assert_eq!(sent(&mut connection), [accepted]);
    connection
}

#[track_caller]
pub(crate) fn assert_ended(connection: &mut Connection, reason: CloseReason) {
    assert_eq!(connection.closed(), Some(reason));
    assert_eq!(events(connection).last(), Some(&Event::Closed { reason }));
    assert_eq!(connection.next_deadline(), None);
    assert!(!connection.wants_input());
}

#[test]
fn connect_reaches_the_application_whole() {
    let mut connection = Connection::new(limits(), s(0));
    connection.handle_bytes(s(1), &bytes_of(&Packet::Connect(full_connect())));
    assert_eq!(events(&mut connection), [Event::Connect(ConnectRequest::from(&full_connect()))]);
    assert_eq!(sent(&mut connection), [], "the application decides");
    assert!(!connection.wants_input());
}

#[test]
fn session_present_is_the_callers_word_unless_the_session_is_clean() {
    for (clean_session, session, session_present) in [
        (false, SessionPresent::Yes, true),
        (false, SessionPresent::No, false),
        (true, SessionPresent::Yes, false),
    ] {
        let mut connection = Connection::new(limits(), s(0));
        let packet = Packet::Connect(Connect { clean_session, ..connect("a", 0) });
        connection.handle_bytes(s(0), &bytes_of(&packet));
        connection.accept(s(0), session).unwrap();
        let expected = Packet::Connack(Connack::Accepted { session_present });
        assert_eq!(sent(&mut connection), [expected]);
    }
}

#[test]
fn refusal_is_sent_and_ends_the_connection() {
    let mut connection = Connection::new(limits(), s(0));
    connection.handle_bytes(s(0), &bytes_of(&Packet::Connect(connect("a", 0))));
    connection.refuse(ConnectRefusal::NotAuthorized).unwrap();
    assert_ended(&mut connection, CloseReason::Refused(ConnectRefusal::NotAuthorized));
    let refused = Packet::Connack(Connack::Refused(ConnectRefusal::NotAuthorized));
    assert_eq!(sent(&mut connection), [refused]);
}

#[test]
fn other_protocol_level_is_answered_with_code_one() {
    let mut connection = Connection::new(limits(), s(0));
    let packet = ForeignConnect { protocol_name: "MQTT", protocol_level: 5, rest: &[2, 0, 60, 0] };
    connection.handle_bytes(s(0), &bytes_of(&Packet::ForeignConnect(packet)));
    assert_ended(&mut connection, CloseReason::Refused(ConnectRefusal::ProtocolVersion));
    let refused = Packet::Connack(Connack::Refused(ConnectRefusal::ProtocolVersion));
    assert_eq!(sent(&mut connection), [refused]);
}

/// `[MQTT-3.1.3-8]`.
#[test]
fn empty_client_id_needs_a_clean_session() {
    let mut connection = Connection::new(limits(), s(0));
    let packet = Connect { clean_session: false, ..connect("", 0) };
    connection.handle_bytes(s(0), &bytes_of(&Packet::Connect(packet)));
    assert_ended(&mut connection, CloseReason::Refused(ConnectRefusal::IdentifierRejected));

    let mut connection = Connection::new(limits(), s(0));
    connection.handle_bytes(s(0), &bytes_of(&Packet::Connect(connect("", 0))));
    assert!(matches!(events(&mut connection)[..], [Event::Connect(_)]));
}

#[test]
fn nothing_but_connect_comes_first() {
    for packet in samples().into_iter().skip(3) {
        let bytes = bytes_of(&packet);
        for len in [1, bytes.len()] {
            let mut connection = Connection::new(limits(), s(0));
            connection.handle_bytes(s(0), &bytes[..len]);
            assert_ended(&mut connection, CloseReason::Violation(Violation::NotConnectFirst));
            assert_eq!(sent(&mut connection), []);
        }
    }
}

#[test]
fn second_connect_is_a_violation_even_when_it_follows_at_once() {
    let bytes = bytes_of(&Packet::Connect(connect("a", 0)));
    let mut connection = Connection::new(limits(), s(0));
    connection.handle_bytes(s(0), &bytes.repeat(2));
    assert!(matches!(events(&mut connection)[..], [Event::Connect(_)]), "the first is undecided");
    connection.accept(s(0), SessionPresent::No).unwrap();
    let reason = CloseReason::Violation(Violation::SecondConnect);
    assert_eq!(events(&mut connection), [Event::Closed { reason }]);
    assert_ended_quietly(&mut connection, reason);
}

#[track_caller]
fn assert_ended_quietly(connection: &mut Connection, reason: CloseReason) {
    assert_eq!(connection.closed(), Some(reason));
    assert_eq!(connection.poll_event(), None, "the end is told once");
}

#[test]
fn packets_that_no_client_sends_are_violations() {
    for packet in samples() {
        let expected = match packet {
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                Violation::ServerPacket(packet.kind())
            }
            Packet::Pubrec(_) | Packet::Pubrel(_) | Packet::Pubcomp(_) => Violation::QosTwo,
            Packet::Publish(ref publish)
                if matches!(publish.delivery, Delivery::ExactlyOnce { .. }) =>
            {
                Violation::QosTwo
            }
            Packet::Connect(_) | Packet::ForeignConnect(_) => Violation::SecondConnect,
            Packet::Publish(_)
            | Packet::Puback(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::Pingreq
            | Packet::Disconnect => continue,
        };
        let mut connection = accepted(limits(), 60, s(0));
        connection.handle_bytes(s(1), &bytes_of(&packet));
        assert_ended(&mut connection, CloseReason::Violation(expected));
    }
}

#[test]
fn size_before_acceptance_is_refused_on_the_header() {
    let limits = ConnectionLimits {
        before_accept: Limits { packet_bytes_max: 100, filters_max: 1 },
        ..limits()
    };
    let too_large = DecodeError { offset: 1, rule: Rule::PacketTooLarge };
    let mut connection = Connection::new(limits, s(0));
    connection.handle_bytes(s(0), &[0x10]);
    assert_eq!(connection.closed(), None);
    connection.handle_bytes(s(0), &[99]);
    assert_ended(&mut connection, CloseReason::Malformed(too_large));

    let mut connection = accepted(limits, 60, s(0));
    connection.handle_bytes(s(0), &[0x30, 99]);
    assert_eq!(connection.closed(), None, "afterwards packets may be larger");
    connection.handle_bytes(s(0), &[0x30, 0xff, 0xff, 0xff, 0x7f]);
}

#[test]
fn size_after_acceptance_has_its_own_limit() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(0), &[0x30, 0xff, 0xff, 0x7f]);
    let too_large = DecodeError { offset: 1, rule: Rule::PacketTooLarge };
    assert_ended(&mut connection, CloseReason::Malformed(too_large));
}

#[test]
fn connect_that_trickles_in_is_cut_off_at_the_deadline() {
    let mut connection = Connection::new(limits(), s(100));
    let bytes = bytes_of(&Packet::Connect(full_connect()));
    assert!(bytes.len() > 31);
    for (second, byte) in (101..).zip(&bytes) {
        connection.handle_timeout(s(second));
        if connection.closed().is_some() {
            break;
        }
        assert_eq!(connection.next_deadline(), Some(s(130)), "a byte moves no deadline");
        connection.handle_bytes(s(second), &[*byte]);
    }
    assert_ended(&mut connection, CloseReason::ConnectTimeout);
}

#[test]
fn silent_client_is_cut_off_too() {
    let mut connection = Connection::new(limits(), s(5));
    connection.handle_timeout(s(35) - Duration::from_millis(1));
    assert_eq!(connection.closed(), None);
    connection.handle_timeout(s(35));
    assert_ended(&mut connection, CloseReason::ConnectTimeout);
}

#[test]
fn keep_alive_allows_one_and_a_half_times_its_length() {
    for (keep_alive_s, allowed) in [
        (60, s(90)),
        (1, Duration::from_millis(1_500)),
        (0, limits().idle_max),
        (1_178, s(1_767)),
        (u16::MAX, s(1_767)),
    ] {
        let mut connection = accepted(limits(), keep_alive_s, s(10));
        assert_eq!(connection.next_deadline(), Some(s(10) + allowed), "{keep_alive_s} s");
        connection.handle_timeout(s(10) + allowed - Duration::from_millis(1));
        assert_eq!(connection.closed(), None);
        connection.handle_timeout(s(10) + allowed);
        assert_ended(&mut connection, CloseReason::KeepAliveTimeout);
    }
}

#[test]
fn whole_packets_prolong_the_connection_and_parts_do_not() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(50), &[0xc0]);
    assert_eq!(connection.next_deadline(), Some(s(90)), "half a PINGREQ");
    connection.handle_bytes(s(60), &[0]);
    assert_eq!(sent(&mut connection), [Packet::Pingresp]);
    assert_eq!(connection.next_deadline(), Some(s(150)));
    connection.handle_timeout(s(120));
    connection.handle_bytes(s(149), &bytes_of(&publish("a", Delivery::AtMostOnce)));
    assert_eq!(connection.next_deadline(), Some(s(239)));
    connection.publish("b", b"", Guarantee::AtMostOnce).unwrap();
    assert_eq!(connection.next_deadline(), Some(s(239)), "our own packets prove nothing");
    connection.handle_timeout(s(239));
    assert_ended(&mut connection, CloseReason::KeepAliveTimeout);
}

#[test]
fn keep_alive_starts_when_the_application_has_decided() {
    let mut connection = Connection::new(limits(), s(0));
    connection.handle_bytes(s(1), &bytes_of(&Packet::Connect(connect("a", 60))));
    assert_eq!(connection.next_deadline(), None);
    connection.handle_timeout(s(10_000));
    connection.accept(s(10_000), SessionPresent::No).unwrap();
    assert_eq!(connection.next_deadline(), Some(s(10_090)));
}

#[test]
fn silence_while_reading_is_paused_is_forgiven() {
    let limits = ConnectionLimits { unanswered_max: 1, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    let message = publish("a", Delivery::AtLeastOnce { packet_id: id(1), dup: false });
    connection.handle_bytes(s(1), &bytes_of(&message));
    assert_eq!(events(&mut connection).len(), 1);
    assert!(!connection.wants_input(), "one answer is owed");
    assert_eq!(connection.next_deadline(), None);
    connection.handle_timeout(s(500));
    connection.acknowledge(id(1)).unwrap();
    assert!(connection.wants_input());
    connection.handle_timeout(s(500));
    assert_eq!(connection.next_deadline(), Some(s(590)), "the whole time again");
    connection.handle_bytes(s(510), &bytes_of(&message));
    connection.handle_timeout(s(600));
    connection.acknowledge(id(1)).unwrap();
    connection.handle_bytes(s(600), &[0xc0]);
    assert_eq!(connection.next_deadline(), Some(s(690)), "input shows it as well as a timeout");
    connection.handle_timeout(s(690));
    assert_ended(&mut connection, CloseReason::KeepAliveTimeout);
}

#[test]
fn disconnect_and_a_lost_transport_are_told_apart() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&Packet::Disconnect));
    connection.handle_transport_closed();
    assert_ended(&mut connection, CloseReason::Disconnected);

    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_transport_closed();
    assert_ended(&mut connection, CloseReason::TransportClosed);
}

#[test]
fn bytes_after_disconnect_are_not_read() {
    let mut connection = accepted(limits(), 60, s(0));
    let stream =
        [Packet::Disconnect, Packet::Pingreq].iter().flat_map(bytes_of).collect::<Vec<_>>();
    connection.handle_bytes(s(1), &stream);
    assert_eq!(sent(&mut connection), []);
    assert_ended(&mut connection, CloseReason::Disconnected);
}

#[test]
fn what_came_before_a_malformed_packet_still_counts() {
    let mut connection = accepted(limits(), 60, s(0));
    let mut bytes = bytes_of(&publish("a", Delivery::AtMostOnce));
    bytes.extend([0xf0, 0]);
    connection.handle_bytes(s(1), &bytes);
    let reason = CloseReason::Malformed(DecodeError { offset: 0, rule: Rule::PacketType });
    let found = events(&mut connection);
    assert!(matches!(&found[..], [Event::Publish(_), Event::Closed { reason: r }] if *r == reason));
}

#[test]
fn application_that_closes_hears_nothing_more() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&publish("a", Delivery::AtMostOnce)));
    connection.close();
    let reason = CloseReason::ByServer;
    assert_eq!(events(&mut connection), [Event::Closed { reason }]);
}

#[test]
fn after_the_end_every_call_is_without_effect() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.close();
    assert_eq!(events(&mut connection).len(), 1);
    connection.handle_bytes(s(1), &bytes_of(&Packet::Pingreq));
    connection.handle_bytes(s(1), &[0xff; 10]);
    connection.handle_timeout(s(10_000));
    connection.handle_transport_closed();
    connection.close();
    assert_eq!(connection.accept(s(1), SessionPresent::Yes), Ok(()));
    assert_eq!(connection.refuse(ConnectRefusal::NotAuthorized), Ok(()));
    assert_eq!(connection.acknowledge(id(1)), Ok(()));
    assert_eq!(connection.suback(id(1), &[]), Ok(()));
    assert_eq!(connection.unsuback(id(1)), Ok(()));
    let published = connection.publish("a", b"", Guarantee::AtLeastOnce);
    assert_eq!(published, Err(PublishError::NotConnected));
    assert_eq!(sent(&mut connection), []);
    assert_ended_quietly(&mut connection, CloseReason::ByServer);
}

#[test]
fn answers_to_nothing_are_the_callers_error() {
    let mut connection = Connection::new(limits(), s(0));
    assert_eq!(
        connection.accept(s(0), SessionPresent::No),
        Err(UseError::NoConnectWaiting),
        "no CONNECT has come"
    );
    assert_eq!(
        connection.publish("a", b"", Guarantee::AtMostOnce),
        Err(PublishError::NotConnected)
    );
    let mut connection = accepted(limits(), 60, s(0));
    assert_eq!(connection.accept(s(0), SessionPresent::No), Err(UseError::NoConnectWaiting));
    assert_eq!(connection.refuse(ConnectRefusal::NotAuthorized), Err(UseError::NoConnectWaiting));
    assert_eq!(connection.acknowledge(id(1)), Err(UseError::UnknownPacketId));
    assert_eq!(connection.suback(id(1), &[]), Err(UseError::UnknownPacketId));
    assert_eq!(connection.unsuback(id(1)), Err(UseError::UnknownPacketId));
    assert_eq!(sent(&mut connection), []);
}
