//! The decoder is total, and the connection ends once, whatever the bytes.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mqtt::{
    Connection, ConnectionLimits, Event, Limits, SessionPresent, SubackCode, decode, encode,
};

fuzz_target!(|data: &[u8]| {
    decode_and_encode(data);
    drive(data);
});

/// Whatever decodes also encodes, and decodes again to the same packet.
fn decode_and_encode(data: &[u8]) {
    let Ok(Some((packet, len))) = decode(data, &Limits::STANDARD) else {
        return;
    };
    assert!(len <= data.len());
    let mut bytes = Vec::new();
    encode(&packet, &mut bytes).expect("a decoded packet is valid");
    assert_eq!(decode(&bytes, &Limits::STANDARD), Ok(Some((packet, bytes.len()))));
}

/// The first byte chooses how the rest is split; the application answers everything.
fn drive(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else {
        return;
    };
    let mut connection = Connection::new(ConnectionLimits::default(), Duration::ZERO);
    let mut ended = false;
    for chunk in stream.chunks(usize::from(size).max(1)) {
        connection.handle_bytes(Duration::ZERO, chunk);
        while let Some(event) = connection.poll_event() {
            assert!(!ended, "an event after the end");
            ended = matches!(event, Event::Closed { .. });
            answer(&mut connection, event);
        }
        connection.poll_output();
    }
    connection.handle_transport_closed();
    assert!(connection.closed().is_some());
}

fn answer(connection: &mut Connection, event: Event) {
    let answered = match event {
        Event::Connect(_) => connection.accept(Duration::ZERO, SessionPresent::Yes),
        Event::Publish(message) => match message.delivery.packet_id() {
            Some(packet_id) => connection.acknowledge(packet_id),
            None => Ok(()),
        },
        Event::Subscribe { packet_id, filters } => {
            connection.suback(packet_id, &vec![SubackCode::Failure; filters.len()])
        }
        Event::Unsubscribe { packet_id, .. } => connection.unsuback(packet_id),
        Event::PubAcked { .. } | Event::Closed { .. } => Ok(()),
    };
    answered.expect("the connection asked for this answer");
}
