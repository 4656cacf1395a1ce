//! Bytes to packets.

use crate::error::{DecodeError, Rule};
use crate::kind::PacketKind;
use crate::limits::Limits;
use crate::packet::{
    Connack, Connect, ConnectRefusal, Delivery, FilterRequest, ForeignConnect, Packet, Publish,
    Qos, Redacted, Suback, SubackCode, Subscribe, Unsubscribe, Will,
};
use crate::reader::Reader;

/// Most bytes of a remaining length. MQTT 3.1.1 §2.2.3.
const REMAINING_LENGTH_BYTES_MAX: usize = 4;

/// Reads the packet at the start of `bytes`; `None` asks for more bytes.
///
/// The number beside the packet is its whole length, in bytes: the next packet starts there.
/// The answer borrows from `bytes`; only lists of filters are allocated, as they are read.
///
/// # Errors
///
/// The first rule of [`Rule`] that the packet breaks. Type, flags and size are judged as soon as
/// the fixed header is there, everything else once the packet is complete.
///
/// Source: MQTT 3.1.1 §2, §3.
pub fn decode<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
    let Some(header) = read_header(bytes, limits)? else {
        return Ok(None);
    };
    let Some(body) = bytes.get(header.header_bytes..header.packet_bytes) else {
        return Ok(None);
    };
    let mut reader = Reader::new(body, header.header_bytes);
    let packet = read_body(&header, &mut reader, limits)?;
    reader.finish()?;
    Ok(Some((packet, header.packet_bytes)))
}

struct Header {
    kind: PacketKind,
    flags: u8,
    header_bytes: usize,
    packet_bytes: usize,
}

fn read_header(bytes: &[u8], limits: &Limits) -> Result<Option<Header>, DecodeError> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    let flags = first & 0x0f;
    let kind = PacketKind::from_code(first >> 4)
        .ok_or(DecodeError { offset: 0, rule: Rule::PacketType })?;
    if kind.fixed_flags().is_some_and(|expected| expected != flags) {
        return Err(DecodeError { offset: 0, rule: Rule::FixedHeaderFlags });
    }
    let mut remaining: usize = 0;
    for offset in 1..=REMAINING_LENGTH_BYTES_MAX {
        let Some(&byte) = bytes.get(offset) else {
            return Ok(None);
        };
        remaining |= usize::from(byte & 0x7f) << (7 * (offset - 1));
        if byte & 0x80 == 0 {
            let header_bytes = offset + 1;
            let packet_bytes = header_bytes + remaining;
            if packet_bytes > limits.packet_bytes_max {
                return Err(DecodeError { offset: 1, rule: Rule::PacketTooLarge });
            }
            return Ok(Some(Header { kind, flags, header_bytes, packet_bytes }));
        }
    }
    Err(DecodeError { offset: REMAINING_LENGTH_BYTES_MAX, rule: Rule::RemainingLength })
}

fn read_body<'a>(
    header: &Header,
    reader: &mut Reader<'a>,
    limits: &Limits,
) -> Result<Packet<'a>, DecodeError> {
    Ok(match header.kind {
        PacketKind::Connect => read_connect(reader)?,
        PacketKind::Connack => Packet::Connack(read_connack(reader)?),
        PacketKind::Publish => Packet::Publish(read_publish(header.flags, reader)?),
        PacketKind::Puback => Packet::Puback(reader.packet_id()?),
        PacketKind::Pubrec => Packet::Pubrec(reader.packet_id()?),
        PacketKind::Pubrel => Packet::Pubrel(reader.packet_id()?),
        PacketKind::Pubcomp => Packet::Pubcomp(reader.packet_id()?),
        PacketKind::Subscribe => Packet::Subscribe(Subscribe {
            packet_id: reader.packet_id()?,
            filters: read_entries(reader, limits, read_filter_request)?,
        }),
        PacketKind::Suback => Packet::Suback(Suback {
            packet_id: reader.packet_id()?,
            codes: read_entries(reader, limits, read_suback_code)?,
        }),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe {
            packet_id: reader.packet_id()?,
            filters: read_entries(reader, limits, Reader::topic_filter)?,
        }),
        PacketKind::Unsuback => Packet::Unsuback(reader.packet_id()?),
        PacketKind::Pingreq => Packet::Pingreq,
        PacketKind::Pingresp => Packet::Pingresp,
        PacketKind::Disconnect => Packet::Disconnect,
    })
}

fn read_connect<'a>(reader: &mut Reader<'a>) -> Result<Packet<'a>, DecodeError> {
    let name_offset = reader.offset();
    let protocol_name = reader.text()?;
    let protocol_level = reader.byte()?;
    if protocol_name != "MQTT" || protocol_level != 4 {
        let foreign = ForeignConnect { protocol_name, protocol_level, rest: reader.rest() };
        if !foreign.is_foreign() {
            return Err(DecodeError { offset: name_offset, rule: Rule::ProtocolName });
        }
        return Ok(Packet::ForeignConnect(foreign));
    }
    let flags_offset = reader.offset();
    let flags = ConnectFlags::parse(reader.byte()?)
        .map_err(|rule| DecodeError { offset: flags_offset, rule })?;
    let keep_alive_s = reader.integer()?;
    let client_id = reader.text()?;
    let will = match flags.will {
        Some((qos, retain)) => {
            let topic = reader.topic_name()?;
            Some(Will { topic, payload: reader.binary()?, qos, retain })
        }
        None => None,
    };
    let username = if flags.username { Some(reader.text()?) } else { None };
    let password = if flags.password { Some(Redacted(reader.binary()?)) } else { None };
    Ok(Packet::Connect(Connect {
        client_id,
        clean_session: flags.clean_session,
        keep_alive_s,
        will,
        username,
        password,
    }))
}

/// MQTT 3.1.1 §3.1.2.3.
struct ConnectFlags {
    clean_session: bool,
    will: Option<(Qos, bool)>,
    username: bool,
    password: bool,
}

impl ConnectFlags {
    fn parse(byte: u8) -> Result<Self, Rule> {
        if byte & 0b0000_0001 != 0 {
            return Err(Rule::ConnectReservedFlag);
        }
        let will_qos = Qos::from_level((byte >> 3) & 0b11).ok_or(Rule::WillFlags)?;
        let will_retain = byte & 0b0010_0000 != 0;
        let will = if byte & 0b0000_0100 != 0 {
            Some((will_qos, will_retain))
        } else if will_qos != Qos::AtMostOnce || will_retain {
            return Err(Rule::WillFlags);
        } else {
            None
        };
        let username = byte & 0b1000_0000 != 0;
        let password = byte & 0b0100_0000 != 0;
        if password && !username {
            return Err(Rule::PasswordWithoutUsername);
        }
        Ok(Self { clean_session: byte & 0b0000_0010 != 0, will, username, password })
    }
}

fn read_connack(reader: &mut Reader<'_>) -> Result<Connack, DecodeError> {
    let flags_offset = reader.offset();
    let flags = reader.byte()?;
    let code_offset = reader.offset();
    let code = reader.byte()?;
    match (flags, code) {
        (0 | 1, 0) => Ok(Connack::Accepted { session_present: flags == 1 }),
        (0, _) => ConnectRefusal::from_code(code)
            .map(Connack::Refused)
            .ok_or(DecodeError { offset: code_offset, rule: Rule::ConnackCode }),
        _ => Err(DecodeError { offset: flags_offset, rule: Rule::ConnackFlags }),
    }
}

fn read_publish<'a>(flags: u8, reader: &mut Reader<'a>) -> Result<Publish<'a>, DecodeError> {
    let dup = flags & 0b1000 != 0;
    let Some(qos) = Qos::from_level((flags >> 1) & 0b11) else {
        return Err(DecodeError { offset: 0, rule: Rule::PublishQos });
    };
    if dup && qos == Qos::AtMostOnce {
        return Err(DecodeError { offset: 0, rule: Rule::DupAtQosZero });
    }
    let topic = reader.topic_name()?;
    let delivery = match qos {
        Qos::AtMostOnce => Delivery::AtMostOnce,
        Qos::AtLeastOnce => Delivery::AtLeastOnce { packet_id: reader.packet_id()?, dup },
        Qos::ExactlyOnce => Delivery::ExactlyOnce { packet_id: reader.packet_id()?, dup },
    };
    Ok(Publish { topic, payload: reader.rest(), delivery, retain: flags & 0b0001 != 0 })
}

fn read_filter_request<'a>(reader: &mut Reader<'a>) -> Result<FilterRequest<'a>, DecodeError> {
    let filter = reader.topic_filter()?;
    let offset = reader.offset();
    let qos =
        Qos::from_level(reader.byte()?).ok_or(DecodeError { offset, rule: Rule::RequestedQos })?;
    Ok(FilterRequest { filter, qos })
}

fn read_suback_code(reader: &mut Reader<'_>) -> Result<SubackCode, DecodeError> {
    let offset = reader.offset();
    SubackCode::from_code(reader.byte()?).ok_or(DecodeError { offset, rule: Rule::SubackCode })
}

/// One or more entries up to the packet's end.
fn read_entries<'a, T>(
    reader: &mut Reader<'a>,
    limits: &Limits,
    read: fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if reader.is_empty() {
        return Err(DecodeError { offset: reader.offset(), rule: Rule::NoFilters });
    }
    let mut entries = Vec::new();
    while !reader.is_empty() {
        if entries.len() == limits.filters_max {
            return Err(DecodeError { offset: reader.offset(), rule: Rule::TooManyFilters });
        }
        entries.push(read(reader)?);
    }
    Ok(entries)
}
