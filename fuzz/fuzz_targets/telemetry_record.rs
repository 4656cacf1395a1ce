//! Reading a telemetry record is total, and whatever decodes encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry_log::limits::PAYLOAD_BYTES_MAX;
use telemetry_log::record::{Draft, HEADER_BYTES, Header, decode};

fuzz_target!(|data: &[u8]| {
    payload(data);
    record(data);
});

/// The whole input is a payload, as if its checksum had held.
fn payload(data: &[u8]) {
    let Ok(event) = decode(data) else {
        return;
    };
    if data.len() > PAYLOAD_BYTES_MAX {
        assert!(Draft::new(&event).is_err());
        return;
    }
    let draft = Draft::new(&event).expect("it fits where it came from");
    let mut bytes = Vec::new();
    draft.write(7, &mut bytes);
    assert_eq!(bytes.len(), draft.record_bytes());
    let (header, again) = bytes.split_first_chunk::<HEADER_BYTES>().expect("a header");
    let header = Header::read(header);
    assert_eq!(again, data);
    assert_eq!(header.sequence, 7);
    assert_eq!(header.payload_bytes(), Some(data.len()));
    assert!(header.seals(again));
}

/// The input begins with a header.
fn record(data: &[u8]) {
    let Some((header, rest)) = data.split_first_chunk::<HEADER_BYTES>() else {
        return;
    };
    let header = Header::read(header);
    let Some(length) = header.payload_bytes() else {
        return;
    };
    assert!((1..=PAYLOAD_BYTES_MAX).contains(&length));
    let Some(bytes) = rest.get(..length) else {
        return;
    };
    if header.seals(bytes) {
        let _ = decode(bytes);
    }
}
