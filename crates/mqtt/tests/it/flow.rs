//! Messages and requests on an accepted connection: order, bounds, and how input is split.

use mqtt::{
    Connect, Connection, ConnectionLimits, Delivery, Event, FilterRequest, Guarantee, Packet,
    PacketId, Publish, PublishError, Qos, RequestedFilter, SessionPresent, Suback, SubackCode,
    Subscribe, Unsubscribe, UseError,
};

use crate::connection::{accepted, events, limits, s, sent};
use crate::packets::{bytes_of, full_connect, id, publish};

pub(crate) fn at_least_once(packet_id: u16) -> Packet<'static> {
    publish("t", Delivery::AtLeastOnce { packet_id: id(packet_id), dup: false })
}

pub(crate) fn ours(packet_id: PacketId, dup: bool) -> Packet<'static> {
    publish("down", Delivery::AtLeastOnce { packet_id, dup })
}

pub(crate) fn send(connection: &mut Connection) -> Result<Option<PacketId>, PublishError> {
    connection.publish("down", b"21.5", Guarantee::AtLeastOnce)
}

pub(crate) fn subscribe(packet_id: u16) -> Packet<'static> {
    Packet::Subscribe(Subscribe {
        packet_id: id(packet_id),
        filters: vec![
            FilterRequest { filter: "$a/#", qos: Qos::ExactlyOnce },
            FilterRequest { filter: "b", qos: Qos::AtMostOnce },
        ],
    })
}

#[test]
fn puback_leaves_before_the_answer_that_is_published_after_it() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&at_least_once(7)));
    assert_eq!(sent(&mut connection), [], "PUBACK means durable: the application says when");
    connection.acknowledge(id(7)).unwrap();
    let ours_id = send(&mut connection).unwrap().unwrap();
    assert_eq!(sent(&mut connection), [Packet::Puback(id(7)), ours(ours_id, false)]);
}

#[test]
fn application_may_also_publish_first() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&at_least_once(7)));
    let ours_id = send(&mut connection).unwrap().unwrap();
    connection.acknowledge(id(7)).unwrap();
    assert_eq!(sent(&mut connection), [ours(ours_id, false), Packet::Puback(id(7))]);
}

/// `[MQTT-4.6.0-2]`.
#[test]
fn pubacks_leave_in_the_order_of_the_messages() {
    let mut connection = accepted(limits(), 60, s(0));
    let stream: Vec<u8> = [3, 1, 2].into_iter().flat_map(|n| bytes_of(&at_least_once(n))).collect();
    connection.handle_bytes(s(1), &stream);
    connection.acknowledge(id(2)).unwrap();
    connection.acknowledge(id(1)).unwrap();
    assert_eq!(sent(&mut connection), []);
    connection.acknowledge(id(3)).unwrap();
    assert_eq!(sent(&mut connection), [3, 1, 2].map(|n| Packet::Puback(id(n))));
    assert_eq!(connection.acknowledge(id(3)), Err(UseError::UnknownPacketId), "only once");
}

#[test]
fn repeated_message_is_acknowledged_each_time() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&at_least_once(9)));
    connection.handle_bytes(s(1), &bytes_of(&at_least_once(1)).repeat(2));
    assert_eq!(events(&mut connection).len(), 3);
    for packet_id in [1, 1, 9] {
        connection.acknowledge(id(packet_id)).unwrap();
    }
    assert_eq!(sent(&mut connection), [9, 1, 1].map(|n| Packet::Puback(id(n))));
}

#[test]
fn message_reaches_the_application_untouched() {
    let mut connection = accepted(limits(), 60, s(0));
    let delivery = Delivery::AtLeastOnce { packet_id: id(9), dup: true };
    let topic = "$x/GET/?$rid=1&k=%2F";
    let packet = Publish { topic, payload: &[0, 255], delivery, retain: true };
    connection.handle_bytes(s(1), &bytes_of(&Packet::Publish(packet)));
    let found = events(&mut connection);
    let [Event::Publish(message)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((message.topic.as_str(), &message.payload[..]), (topic, [0, 255].as_slice()));
    assert_eq!((message.delivery, message.retain), (delivery, true));
}

#[test]
fn subscribe_is_answered_filter_by_filter() {
    let mut connection = accepted(limits(), 60, s(0));
    connection.handle_bytes(s(1), &bytes_of(&subscribe(5)));
    let filters = vec![
        RequestedFilter { filter: "$a/#".to_owned(), qos: Qos::ExactlyOnce },
        RequestedFilter { filter: "b".to_owned(), qos: Qos::AtMostOnce },
    ];
    assert_eq!(events(&mut connection), [Event::Subscribe { packet_id: id(5), filters }]);

    let codes = [SubackCode::Granted(Qos::AtLeastOnce), SubackCode::Failure];
    assert_eq!(connection.unsuback(id(5)), Err(UseError::UnknownPacketId), "it is a SUBSCRIBE");
    assert_eq!(connection.suback(id(5), &codes[..1]), Err(UseError::CodeCount));
    assert_eq!(sent(&mut connection), []);
    connection.suback(id(5), &codes).unwrap();
    let suback = Suback { packet_id: id(5), codes: codes.to_vec() };
    assert_eq!(sent(&mut connection), [Packet::Suback(suback)]);
    assert_eq!(connection.suback(id(5), &codes), Err(UseError::UnknownPacketId), "only once");
}

#[test]
fn unsubscribe_is_answered_by_the_application() {
    let mut connection = accepted(limits(), 60, s(0));
    let packet = Unsubscribe { packet_id: id(6), filters: vec!["a", "b/+"] };
    connection.handle_bytes(s(1), &bytes_of(&Packet::Unsubscribe(packet)));
    let filters = vec!["a".to_owned(), "b/+".to_owned()];
    assert_eq!(events(&mut connection), [Event::Unsubscribe { packet_id: id(6), filters }]);
    assert_eq!(sent(&mut connection), []);
    connection.unsuback(id(6)).unwrap();
    assert_eq!(sent(&mut connection), [Packet::Unsuback(id(6))]);
}

#[test]
fn acknowledgement_of_nothing_in_flight_is_ignored() {
    let limits = ConnectionLimits { in_flight_max: 1, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    let first = send(&mut connection).unwrap().unwrap();
    let queued = send(&mut connection).unwrap().unwrap();
    for packet_id in [queued, id(999)] {
        connection.handle_bytes(s(1), &bytes_of(&Packet::Puback(packet_id)));
    }
    assert_eq!(events(&mut connection), []);
    assert_eq!(sent(&mut connection), [ours(first, false)]);
}

#[test]
fn redelivery_carries_the_dup_flag() {
    let mut connection = accepted(limits(), 60, s(0));
    let packet_id = connection.publish("down", b"21.5", Guarantee::Redelivery).unwrap().unwrap();
    assert_eq!(sent(&mut connection), [ours(packet_id, true)]);
}

#[test]
fn at_most_once_is_not_held_up_by_the_messages_in_flight() {
    let limits = ConnectionLimits { in_flight_max: 0, ..limits() };
    let mut connection = accepted(limits, 60, s(0));
    send(&mut connection).unwrap();
    assert_eq!(connection.publish("now", b"", Guarantee::AtMostOnce), Ok(None));
    assert_eq!(sent(&mut connection).len(), 1);
}

/// What an application that answers at once sees and says.
fn serve(connection: &mut Connection, seen: &mut Vec<Event>) -> Vec<Packet<'static>> {
    while let Some(event) = connection.poll_event() {
        match &event {
            Event::Connect(_) => connection.accept(s(0), SessionPresent::No).unwrap(),
            Event::Publish(message) => {
                if let Some(packet_id) = message.delivery.packet_id() {
                    connection.acknowledge(packet_id).unwrap();
                }
            }
            Event::Subscribe { packet_id, filters } => {
                let codes = vec![SubackCode::Granted(Qos::AtMostOnce); filters.len()];
                connection.suback(*packet_id, &codes).unwrap();
            }
            Event::Unsubscribe { packet_id, .. } => connection.unsuback(*packet_id).unwrap(),
            Event::PubAcked { .. } | Event::Closed { .. } => {}
        }
        seen.push(event);
    }
    sent(connection)
}

/// A client's whole session, all of it sent without waiting for an answer.
fn session() -> Vec<u8> {
    let large = vec![b'x'; 300];
    let retained = Publish {
        topic: "$x/?$rid=1",
        payload: &large,
        delivery: Delivery::AtMostOnce,
        retain: true,
    };
    [
        Packet::Connect(Connect { clean_session: true, ..full_connect() }),
        subscribe(1),
        at_least_once(2),
        Packet::Pingreq,
        Packet::Publish(retained),
        at_least_once(3),
        Packet::Unsubscribe(Unsubscribe { packet_id: id(4), filters: vec!["b"] }),
        Packet::Pingreq,
    ]
    .iter()
    .flat_map(bytes_of)
    .collect()
}

/// Events in order; packets in order, but for PINGRESP, which waits for no application.
fn run(chunks: &[&[u8]]) -> (Vec<Event>, Vec<Packet<'static>>) {
    let mut connection = Connection::new(limits(), s(0));
    let (mut seen, mut said) = (Vec::new(), Vec::new());
    for chunk in chunks {
        connection.handle_bytes(s(0), chunk);
        said.extend(serve(&mut connection, &mut seen));
    }
    let pings = said.extract_if(.., |packet| *packet == Packet::Pingresp).count();
    assert_eq!(pings, 2);
    connection.handle_bytes(s(0), &bytes_of(&Packet::Disconnect));
    serve(&mut connection, &mut seen);
    (seen, said)
}

#[test]
fn input_split_anywhere_gives_the_same_events() {
    let stream = session();
    let whole = run(&[&stream]);
    assert_eq!((whole.0.len(), whole.1.len()), (7, 5));
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(run(&[head, tail]), whole, "split at {at}");
    }
    for size in [1, 2, 3, 7, 64] {
        let chunks: Vec<&[u8]> = stream.chunks(size).collect();
        assert_eq!(run(&chunks), whole, "chunks of {size}");
    }
}
