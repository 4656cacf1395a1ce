//! Damaged packets, many of them, the same in every run.

use std::time::Duration;

use mqtt::{Connection, ConnectionLimits, Event, Limits, Packet, SessionPresent, decode};

use crate::packets::{bytes_of, connect, packets_in, samples};

/// xorshift64: Marsaglia, "Xorshift RNGs", 2003.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.0 % bound).unwrap()
    }

    fn byte(&mut self) -> u8 {
        const TELLING: [u8; 8] = [0, 1, 2, 4, 0x7f, 0x80, 0xc0, 0xff];
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            u8::try_from(self.below(256)).unwrap()
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(3) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, self.byte()),
            }
        }
    }
}

#[test]
fn damaged_packets_decode_to_what_can_be_encoded_or_to_an_error() {
    let originals: Vec<Vec<u8>> = samples().iter().map(bytes_of).collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut packets, mut errors, mut partial) = (0, 0, 0);
    for _ in 0..200_000 {
        let mut bytes = originals[random.below(originals.len())].clone();
        random.damage(&mut bytes);
        match decode(&bytes, &Limits::STANDARD) {
            Ok(Some((packet, len))) => {
                packets += 1;
                assert!(len <= bytes.len());
                assert_eq!(packets_in(bytes_of(&packet)), [packet]);
            }
            Ok(None) => partial += 1,
            Err(error) => {
                errors += 1;
                assert!(error.offset <= bytes.len(), "{error} in {bytes:x?}");
            }
        }
    }
    assert!(packets > 10_000 && errors > 10_000 && partial > 10_000, "every way is taken");
}

#[test]
fn damaged_streams_end_a_connection_once_and_for_all() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let connect = bytes_of(&Packet::Connect(connect("a", 60)));
    let rest: Vec<u8> = samples().iter().skip(3).flat_map(bytes_of).collect();
    for round in 0..5_000 {
        let mut stream = rest.clone();
        random.damage(&mut stream);
        let mut connection = Connection::new(ConnectionLimits::default(), Duration::ZERO);
        let mut ends = 0;
        for chunk in [&connect, &stream] {
            connection.handle_bytes(Duration::ZERO, chunk);
            while let Some(event) = connection.poll_event() {
                assert_eq!(ends, 0, "round {round}: an event after the end");
                match event {
                    Event::Connect(_) => {
                        connection.accept(Duration::ZERO, SessionPresent::No).unwrap();
                    }
                    Event::Publish(publish) => {
                        if let Some(packet_id) = publish.delivery.packet_id() {
                            connection.acknowledge(packet_id).unwrap();
                        }
                    }
                    Event::Closed { reason } => {
                        assert_eq!(connection.closed(), Some(reason));
                        ends += 1;
                    }
                    Event::Subscribe { .. }
                    | Event::Unsubscribe { .. }
                    | Event::PubAcked { .. } => {}
                }
            }
            connection.poll_output();
        }
        connection.handle_transport_closed();
        ends += usize::from(connection.poll_event().is_some());
        assert_eq!(ends, 1, "round {round}");
    }
}
