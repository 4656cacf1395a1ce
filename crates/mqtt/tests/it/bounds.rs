//! What a connection holds is bounded, and nothing is lost at the bound.

use mqtt::{
    CloseReason, Connection, ConnectionLimits, Delivery, Event, Guarantee, Packet, PacketId,
    PublishError, READ_BYTES_MAX,
};

use crate::connection::{accepted, assert_ended, events, limits, s, sent};
use crate::flow::{at_least_once, ours, send, subscribe};
use crate::packets::{bytes_of, id, packets_in, publish};

#[test]
fn messages_in_flight_are_bounded_and_the_rest_waits_its_turn() {
    let limits = ConnectionLimits { in_flight_max: 2, queued_messages_max: 2, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    let ids: Vec<PacketId> = (0..4).map(|_| send(&mut connection).unwrap().unwrap()).collect();
    assert_eq!(send(&mut connection), Err(PublishError::QueueFull));
    assert_eq!(sent(&mut connection), [ours(ids[0], false), ours(ids[1], false)]);

    connection.handle_bytes(s(1), &bytes_of(&Packet::Puback(ids[1])));
    assert_eq!(events(&mut connection), [Event::PubAcked { packet_id: ids[1] }]);
    assert_eq!(sent(&mut connection), [ours(ids[2], false)]);
    connection.handle_bytes(s(1), &bytes_of(&Packet::Puback(ids[0])));
    assert_eq!(sent(&mut connection), [ours(ids[3], false)]);
    assert_eq!(connection.poll_output(), None);
}

#[test]
fn default_bound_is_sixty_four_in_flight() {
    let mut connection = accepted(limits(), 60, s(0));
    for _ in 0..65 {
        send(&mut connection).unwrap();
    }
    assert_eq!(sent(&mut connection).len(), 64);
}

#[test]
fn queued_bytes_are_bounded_and_given_back() {
    let limits = ConnectionLimits { in_flight_max: 1, queued_bytes_max: 300, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    let large =
        |connection: &mut Connection| connection.publish("t", &[0; 100], Guarantee::AtLeastOnce);
    let in_flight = large(&mut connection).unwrap().unwrap();
    assert!(large(&mut connection).is_ok());
    assert!(large(&mut connection).is_ok());
    assert_eq!(large(&mut connection), Err(PublishError::QueueFull));
    connection.handle_bytes(s(1), &bytes_of(&Packet::Puback(in_flight)));
    assert!(large(&mut connection).is_ok(), "one has left the queue");
}

#[test]
fn packet_ids_wrap_past_the_ones_in_the_queue() {
    let limits = ConnectionLimits { in_flight_max: 1, queued_bytes_max: 100, ..limits() };
    let mut connection = accepted(limits, 0, s(0));
    assert_eq!(send(&mut connection), Ok(Some(id(1))));
    assert_eq!(send(&mut connection), Ok(Some(id(2))), "queued");
    for _ in 3..=u16::MAX {
        let refused = connection.publish("t", &[0; 100], Guarantee::AtLeastOnce);
        assert_eq!(refused, Err(PublishError::QueueFull), "and an identifier is used up");
    }
    assert_eq!(send(&mut connection), Ok(Some(id(3))));
}

#[test]
fn packet_ids_wrap_past_the_ones_in_use() {
    let mut connection = accepted(limits(), 0, s(0));
    let kept = send(&mut connection).unwrap().unwrap();
    assert_eq!(kept, id(1));
    for expected in 2..=u16::MAX {
        let packet_id = send(&mut connection).unwrap().unwrap();
        assert_eq!(packet_id, id(expected));
        connection.handle_bytes(s(0), &bytes_of(&Packet::Puback(packet_id)));
        connection.poll_event();
        connection.poll_output();
    }
    assert_eq!(send(&mut connection), Ok(Some(id(2))), "1 is still in flight");
}

#[test]
fn output_is_bounded_and_reading_pauses_until_it_is_taken() {
    let limits = ConnectionLimits { output_bytes_max: 64, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    assert_eq!(connection.publish("a", &[0; 50], Guarantee::AtMostOnce), Ok(None));
    assert_eq!(
        connection.publish("a", &[0; 50], Guarantee::AtMostOnce),
        Err(PublishError::OutputFull)
    );
    connection.handle_bytes(s(1), &bytes_of(&Packet::Pingreq).repeat(1_000));
    assert!(!connection.wants_input());
    let mut answers = 0;
    while let Some(output) = connection.poll_output() {
        assert!(output.len() <= 65);
        let packets = packets_in(output);
        answers += packets.iter().filter(|packet| **packet == Packet::Pingresp).count();
        assert_eq!(connection.poll_event(), None);
    }
    assert!(connection.wants_input());
    assert_eq!(answers, 1_000, "none is lost");
}

#[test]
fn unanswered_requests_are_bounded_and_reading_pauses() {
    let limits = ConnectionLimits { unanswered_max: 2, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    let stream: Vec<u8> =
        [at_least_once(1), subscribe(2), at_least_once(3)].iter().flat_map(bytes_of).collect();
    connection.handle_bytes(s(1), &stream);
    assert_eq!(events(&mut connection).len(), 2);
    assert!(!connection.wants_input());
    connection.acknowledge(id(1)).unwrap();
    assert_eq!(events(&mut connection).len(), 1, "the third was kept");
}

#[test]
fn driver_that_feeds_a_paused_connection_is_stopped() {
    let limits = ConnectionLimits { unanswered_max: 1, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&at_least_once(1)));
    let noise = vec![0xc0; READ_BYTES_MAX];
    for _ in 0..limits.session.packet_bytes_max / READ_BYTES_MAX {
        connection.handle_bytes(s(1), &noise);
    }
    assert_eq!(connection.closed(), None);
    connection.handle_bytes(s(1), &noise);
    connection.handle_bytes(s(1), &noise);
    assert_ended(&mut connection, CloseReason::InputOverrun);
}

#[test]
fn messages_wait_for_room_in_the_output() {
    let limits = ConnectionLimits { output_bytes_max: 10, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    for _ in 0..3 {
        send(&mut connection).unwrap();
    }
    let first = connection.poll_output().unwrap();
    assert_eq!(packets_in(first).len(), 1);
    assert_eq!(sent(&mut connection).len(), 2);
}

#[test]
fn waiting_messages_end_with_the_connection() {
    let limits = ConnectionLimits { output_bytes_max: 10, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    send(&mut connection).unwrap();
    send(&mut connection).unwrap();
    connection.handle_transport_closed();
    assert_eq!(sent(&mut connection).len(), 1, "only what had its turn");
}

#[test]
fn events_are_bounded_and_none_is_lost() {
    let mut connection = accepted(limits(), 60, s(0));
    let message = bytes_of(&publish("t", Delivery::AtMostOnce));
    connection.handle_bytes(s(1), &message.repeat(63));
    assert!(connection.wants_input());
    connection.handle_bytes(s(1), &message.repeat(37));
    assert!(!connection.wants_input());
    assert_eq!(events(&mut connection).len(), 100);
    assert!(connection.wants_input());
}
