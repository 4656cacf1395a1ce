use proptest::prelude::*;

use super::*;

fn event(body: Vec<u8>) -> Event {
    let text = |text: &str| text.to_owned();
    Event {
        device_id: DeviceId::parse("dev-1").unwrap(),
        generation_id: 637_612_875_240_648_717,
        auth_type: AuthType::X509,
        enqueued: Timestamp::from_unix_seconds(1_700_000_000),
        system_properties: vec![(text("$.mid"), text("m1")), (text("$.ct"), text(""))],
        properties: vec![(text("größe"), Some(text("五"))), (text("flag"), None), (text(""), None)],
        body,
    }
}

fn record(event: &Event, sequence: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Draft::new(event).unwrap().write(sequence, &mut out);
    out
}

fn open(record: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (header, payload) = record.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::read(header);
    let whole = header.payload_bytes() == Some(payload.len()) && header.seals(payload);
    whole.then(|| (header.sequence, payload.to_vec()))
}

/// A generator of test noise: SplitMix64.
fn noise(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Files outlive releases: a change here needs a new form, and the old one must stay readable.
/// The bytes and the checksum were computed apart from this crate.
#[test]
fn form_1_has_these_bytes() {
    let mut event = event(b"hi".to_vec());
    event.system_properties.truncate(1);
    event.properties.remove(2);
    let hex: String = record(&event, 7).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "00000050",
        "38295290",
        "0000000000000007",
        "01",
        "01",
        "08d9418824ef300d",
        "003c6568f12e8000",
        "00000005",
        "6465762d31",
        "0001",
        "00000005242e6d6964",
        "000000026d31",
        "0002",
        "00000007",
        "6772c3b6c39f65",
        "01",
        "00000003e4ba94",
        "00000004666c6167",
        "00",
        "000000026869",
    );
    assert_eq!(hex, expected);
}

#[test]
fn the_record_belongs_to_its_sequence() {
    let event = event(vec![1, 2, 3]);
    let (sequence, payload) = open(&record(&event, u64::MAX)).unwrap();
    assert_eq!((sequence, decode(&payload)), (u64::MAX, Ok(event)));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = record(&event(vec![0; 40]), 3);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&bytes), None, "bit {bit}");
    }
}

#[test]
fn every_shorter_payload_is_refused() {
    let payload = encode(&event(vec![9; 30])).unwrap();
    for length in 0..payload.len() {
        let error = decode(&payload[..length]).unwrap_err();
        assert_eq!(error, DecodeError::Truncated, "length {length}");
    }
    let longer = [payload.as_slice(), &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::Trailing));
}

#[test]
fn fields_out_of_their_range_are_refused() {
    let payload = encode(&event(Vec::new())).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = payload.clone();
        bytes[at] = byte;
        decode(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 0), DecodeError::Version(0));
    assert_eq!(with(0, 2), DecodeError::Version(2));
    assert_eq!(with(1, 2), DecodeError::AuthType(2));
    assert_eq!(with(10, 0x7f), DecodeError::Enqueued);
    assert_eq!(with(22, b'/'), DecodeError::DeviceId);
    let text = payload.windows(2).position(|pair| pair == "ö".as_bytes()).unwrap();
    assert_eq!(with(text, 0xff), DecodeError::Text);
    let presence = payload.windows(4).position(|four| four == b"flag").unwrap() + 4;
    assert_eq!(with(presence, 2), DecodeError::Presence(2));
}

#[test]
fn mutated_payloads_never_panic_and_decode_to_what_encodes_again() {
    let whole = encode(&event((0..60).collect())).unwrap();
    let mut seed = 42;
    let mut decoded = 0;
    for round in 0..50_000_u32 {
        let mut bytes = whole.clone();
        for _ in 0..=noise(&mut seed) % 3 {
            let at = usize::try_from(noise(&mut seed)).unwrap() % bytes.len();
            bytes[at] = noise(&mut seed).to_be_bytes()[0];
        }
        bytes.truncate(usize::try_from(noise(&mut seed)).unwrap() % (2 * bytes.len()));
        if let Ok(event) = decode(&bytes) {
            decoded += 1;
            assert_eq!(encode(&event).as_ref(), Ok(&bytes), "seed 42, round {round}");
        }
    }
    assert!(decoded > 250, "{decoded}");
}

#[test]
fn claimed_counts_allocate_no_more_than_the_rest_can_hold() {
    let mut payload = encode(&event(Vec::new())).unwrap();
    payload.truncate(18 + 4 + 5);
    payload.extend_from_slice(&[0xff, 0xff]);
    let mut reader = Reader(&payload[27..]);
    let (count, list) = reader.list::<(String, String)>().unwrap();
    assert_eq!((count, list.capacity()), (u16::MAX, 0));
    assert_eq!(decode(&payload), Err(DecodeError::Truncated));
}

#[test]
fn events_over_the_bound_are_refused_and_at_the_bound_kept() {
    let empty = encode(&event(Vec::new())).unwrap().len();
    assert!(encode(&event(vec![0; PAYLOAD_BYTES_MAX - empty])).is_ok());
    assert_eq!(encode(&event(vec![0; PAYLOAD_BYTES_MAX - empty + 1])), Err(TooLarge));
    let mut crowded = event(Vec::new());
    crowded.properties = vec![(String::new(), None); 65_535];
    assert!(encode(&crowded).is_ok());
    crowded.properties.push((String::new(), None));
    assert_eq!(encode(&crowded), Err(TooLarge));
}

proptest! {
    #[test]
    fn any_event_comes_back(
        device in "[A-Za-z0-9\\-:.+%_#*?!(),=@$';]{1,128}",
        generation_id: i64,
        sas: bool,
        ticks: i64,
        system_properties: Vec<(String, String)>,
        properties: Vec<(String, Option<String>)>,
        body: Vec<u8>,
        sequence: u64,
    ) {
        let event = Event {
            device_id: DeviceId::parse(&device).unwrap(),
            generation_id,
            auth_type: if sas { AuthType::Sas } else { AuthType::X509 },
            enqueued: Timestamp::from_unix_ticks(ticks),
            system_properties,
            properties,
            body,
        };
        let (found, payload) = open(&record(&event, sequence)).unwrap();
        prop_assert_eq!(found, sequence);
        prop_assert_eq!(decode(&payload), Ok(event));
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let _ = decode(&bytes);
        let _ = open(&bytes);
    }
}
