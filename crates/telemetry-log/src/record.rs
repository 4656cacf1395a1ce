//! What lies in a segment: records, each a header and an event.
//!
//! ```text
//! length   u32   bytes of the payload
//! crc32c   u32   of payload, length and sequence, in this order
//! sequence u64   of the event in its partition
//! payload
//!   version u8 = 1 | auth type u8 | generation i64 | enqueued i64 (ticks of 100 ns)
//!   device id text | system properties u16 × (text, text)
//!   properties u16 × (text, 0 or 1 text) | body u32 + bytes
//! text     u32 + bytes of UTF-8
//! ```
//!
//! Integers are big-endian. The payload comes first in the checksum so that whoever appends can
//! compute nearly all of it before the writer knows the sequence.

use std::fmt;

use hub::telemetry::{AuthType, Event};
use model::{DeviceId, Timestamp};

use crate::crc32c::Crc32c;
use crate::limits::PAYLOAD_BYTES_MAX;

/// Bytes of a record's header.
pub const HEADER_BYTES: usize = 16;

/// The payload form that is written.
const VERSION: u8 = 1;
const AUTH_SAS: u8 = 0;
const AUTH_X509: u8 = 1;
const VALUE_ABSENT: u8 = 0;
const VALUE_PRESENT: u8 = 1;
/// The fewest bytes that a property takes, by which a claimed count is bounded.
const PROPERTY_BYTES_MIN: usize = 5;

/// An encoded event that has no sequence yet.
#[derive(Clone, Debug)]
pub struct Draft {
    payload: Vec<u8>,
    length: u32,
    crc: Crc32c,
}

/// The event does not fit into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event is over {PAYLOAD_BYTES_MAX} bytes, or has too many properties")
    }
}

impl std::error::Error for TooLarge {}

impl Draft {
    /// Encodes an event.
    ///
    /// # Errors
    /// [`TooLarge`] when it passes [`PAYLOAD_BYTES_MAX`] or 65,535 properties of a kind.
    pub fn new(event: &Event) -> Result<Self, TooLarge> {
        let payload = encode(event)?;
        let length = u32::try_from(payload.len()).map_err(|_| TooLarge)?;
        let crc = Crc32c::new().update(&payload);
        Ok(Self { payload, length, crc })
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Appends the record under its sequence.
    pub fn write(&self, sequence: u64, out: &mut Vec<u8>) {
        let crc = sealed(self.crc, self.length, sequence);
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&crc.to_be_bytes());
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }
}

fn sealed(crc: Crc32c, length: u32, sequence: u64) -> u32 {
    crc.update(&length.to_be_bytes()).update(&sequence.to_be_bytes()).finish()
}

/// A record's header, as found; nothing in it is believed before the checksum agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    length: u32,
    crc: u32,
    /// The sequence that the record claims.
    pub sequence: u64,
}

impl Header {
    /// Takes the bytes apart.
    pub const fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, sequence @ ..] = *bytes;
        Self {
            length: u32::from_be_bytes([a, b, c, d]),
            crc: u32::from_be_bytes([e, f, g, h]),
            sequence: u64::from_be_bytes(sequence),
        }
    }

    /// Bytes of the payload; none when no record can be that long.
    pub fn payload_bytes(&self) -> Option<usize> {
        let bytes = usize::try_from(self.length).ok()?;
        (1..=PAYLOAD_BYTES_MAX).contains(&bytes).then_some(bytes)
    }

    /// Whether this header belongs to this payload, and both are as they were written.
    pub fn seals(&self, payload: &[u8]) -> bool {
        sealed(Crc32c::new().update(payload), self.length, self.sequence) == self.crc
    }
}

fn encode(event: &Event) -> Result<Vec<u8>, TooLarge> {
    let Event {
        device_id,
        generation_id,
        auth_type,
        enqueued,
        system_properties,
        properties,
        body,
    } = event;
    let mut out = Vec::with_capacity(body.len().min(PAYLOAD_BYTES_MAX) + 256);
    out.push(VERSION);
    out.push(match auth_type {
        AuthType::Sas => AUTH_SAS,
        AuthType::X509 => AUTH_X509,
    });
    out.extend_from_slice(&generation_id.to_be_bytes());
    out.extend_from_slice(&enqueued.unix_ticks().to_be_bytes());
    put_bytes(&mut out, device_id.as_str().as_bytes())?;
    put_count(&mut out, system_properties.len())?;
    for (key, value) in system_properties {
        put_bytes(&mut out, key.as_bytes())?;
        put_bytes(&mut out, value.as_bytes())?;
    }
    put_count(&mut out, properties.len())?;
    for (key, value) in properties {
        put_bytes(&mut out, key.as_bytes())?;
        match value {
            None => out.push(VALUE_ABSENT),
            Some(value) => {
                out.push(VALUE_PRESENT);
                put_bytes(&mut out, value.as_bytes())?;
            }
        }
    }
    put_bytes(&mut out, body)?;
    if out.len() > PAYLOAD_BYTES_MAX { Err(TooLarge) } else { Ok(out) }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), TooLarge> {
    out.extend_from_slice(&u16::try_from(count).map_err(|_| TooLarge)?.to_be_bytes());
    Ok(())
}

/// Refuses early, so that a hopeless event is not copied to its end.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLarge> {
    if out.len().saturating_add(bytes.len()) > PAYLOAD_BYTES_MAX {
        return Err(TooLarge);
    }
    let length = u32::try_from(bytes.len()).map_err(|_| TooLarge)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// A payload is not one that this version of Muster writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It ends before its last field.
    Truncated,
    /// It goes on after its last field.
    Trailing,
    /// A later version wrote it, or none did.
    Version(u8),
    /// Neither `sas` nor `x509`.
    AuthType(u8),
    /// Neither with nor without a value.
    Presence(u8),
    /// A text is not UTF-8.
    Text,
    /// Not a device id.
    DeviceId,
    /// An instant outside years 1 to 9999.
    Enqueued,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("ends before its last field"),
            Self::Trailing => f.write_str("goes on after its last field"),
            Self::Version(version) => write!(f, "has form {version}, and {VERSION} is known"),
            Self::AuthType(byte) => write!(f, "has no such auth type: {byte}"),
            Self::Presence(byte) => write!(f, "has neither a value nor none: {byte}"),
            Self::Text => f.write_str("has a text that is not UTF-8"),
            Self::DeviceId => f.write_str("has no such device id"),
            Self::Enqueued => f.write_str("has an impossible instant"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads a payload. Total: no input panics, and no claimed length is allocated unseen.
///
/// # Errors
/// [`DecodeError`] with the first rule that the bytes break.
pub fn decode(payload: &[u8]) -> Result<Event, DecodeError> {
    let mut reader = Reader(payload);
    let version = reader.byte()?;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let auth_type = match reader.byte()? {
        AUTH_SAS => AuthType::Sas,
        AUTH_X509 => AuthType::X509,
        other => return Err(DecodeError::AuthType(other)),
    };
    let generation_id = i64::from_be_bytes(reader.array()?);
    let ticks = i64::from_be_bytes(reader.array()?);
    let enqueued = Timestamp::from_unix_ticks(ticks);
    if enqueued.unix_ticks() != ticks {
        return Err(DecodeError::Enqueued);
    }
    let device_id = DeviceId::parse(&reader.text()?).map_err(|_| DecodeError::DeviceId)?;
    let (count, mut system_properties) = reader.list()?;
    for _ in 0..count {
        system_properties.push((reader.text()?, reader.text()?));
    }
    let (count, mut properties) = reader.list()?;
    for _ in 0..count {
        let key = reader.text()?;
        let value = match reader.byte()? {
            VALUE_ABSENT => None,
            VALUE_PRESENT => Some(reader.text()?),
            other => return Err(DecodeError::Presence(other)),
        };
        properties.push((key, value));
    }
    let body = reader.bytes()?.to_vec();
    let Reader([]) = reader else {
        return Err(DecodeError::Trailing);
    };
    Ok(Event { device_id, generation_id, auth_type, enqueued, system_properties, properties, body })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = u32::from_be_bytes(self.array()?);
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
        let (head, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let text = str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Text)?;
        Ok(text.to_owned())
    }

    /// A count, and a vector with room for as many as the rest can hold.
    fn list<T>(&mut self) -> Result<(u16, Vec<T>), DecodeError> {
        let count = u16::from_be_bytes(self.array()?);
        let room = usize::from(count).min(self.0.len() / PROPERTY_BYTES_MIN);
        Ok((count, Vec::with_capacity(room)))
    }
}

#[cfg(test)]
mod tests;
