//! Packets to bytes.

use crate::error::EncodeError;
use crate::packet::{
    Connack, Connect, ForeignConnect, Packet, PacketId, Publish, Suback, Subscribe, Unsubscribe,
};
use crate::text::{is_topic_filter, is_topic_name};

/// Largest remaining length, in bytes. MQTT 3.1.1 §2.2.3, table 2.4.
const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// Appends a packet to `out`.
///
/// # Errors
///
/// When MQTT 3.1.1 cannot carry the value; `out` is then as it was. See [`EncodeError`].
///
/// Source: MQTT 3.1.1 §2, §3.
pub fn encode(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let written = write_body(packet, out).and_then(|()| insert_header(packet, start, out));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Puts the fixed header before the body that starts at `start`.
///
/// The body is written first so that its length has one source: the bytes themselves.
fn insert_header(packet: &Packet<'_>, start: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut remaining = out.len() - start;
    if remaining > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLarge);
    }
    let mut header = vec![first_byte(packet)];
    loop {
        let low = u8::try_from(remaining % 128).map_err(|_| EncodeError::PacketTooLarge)?;
        remaining /= 128;
        if remaining == 0 {
            header.push(low);
            break;
        }
        header.push(low | 0x80);
    }
    out.splice(start..start, header);
    Ok(())
}

fn first_byte(packet: &Packet<'_>) -> u8 {
    let kind = packet.kind();
    let flags = match (packet, kind.fixed_flags()) {
        (Packet::Publish(publish), _) => publish_flags(publish),
        (_, flags) => flags.unwrap_or(0),
    };
    (kind.code() << 4) | flags
}

fn publish_flags(publish: &Publish<'_>) -> u8 {
    (u8::from(publish.delivery.dup()) << 3)
        | (publish.delivery.qos().level() << 1)
        | u8::from(publish.retain)
}

fn write_body(packet: &Packet<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => write_connect(connect, out),
        Packet::ForeignConnect(foreign) => write_foreign_connect(foreign, out),
        Packet::Connack(connack) => {
            out.extend(match connack {
                Connack::Accepted { session_present } => [u8::from(*session_present), 0],
                Connack::Refused(refusal) => [0, refusal.code()],
            });
            Ok(())
        }
        Packet::Publish(publish) => write_publish(publish, out),
        Packet::Puback(id)
        | Packet::Pubrec(id)
        | Packet::Pubrel(id)
        | Packet::Pubcomp(id)
        | Packet::Unsuback(id) => {
            write_packet_id(*id, out);
            Ok(())
        }
        Packet::Subscribe(subscribe) => write_subscribe(subscribe, out),
        Packet::Suback(suback) => write_suback(suback, out),
        Packet::Unsubscribe(unsubscribe) => write_unsubscribe(unsubscribe, out),
        Packet::Pingreq | Packet::Pingresp | Packet::Disconnect => Ok(()),
    }
}

fn write_connect(connect: &Connect<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if connect.password.is_some() && connect.username.is_none() {
        return Err(EncodeError::PasswordWithoutUsername);
    }
    write_text("MQTT", out)?;
    out.push(4);
    let will_flags = connect
        .will
        .as_ref()
        .map_or(0, |will| 0b0000_0100 | (will.qos.level() << 3) | (u8::from(will.retain) << 5));
    out.push(
        (u8::from(connect.username.is_some()) << 7)
            | (u8::from(connect.password.is_some()) << 6)
            | will_flags
            | (u8::from(connect.clean_session) << 1),
    );
    out.extend(connect.keep_alive_s.to_be_bytes());
    write_text(connect.client_id, out)?;
    if let Some(will) = &connect.will {
        write_topic_name(will.topic, out)?;
        write_binary(will.payload, out)?;
    }
    if let Some(username) = connect.username {
        write_text(username, out)?;
    }
    if let Some(password) = connect.password {
        write_binary(password.0, out)?;
    }
    Ok(())
}

fn write_foreign_connect(
    foreign: &ForeignConnect<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if !foreign.is_foreign() {
        return Err(EncodeError::ForeignProtocol);
    }
    write_text(foreign.protocol_name, out)?;
    out.push(foreign.protocol_level);
    out.extend_from_slice(foreign.rest);
    Ok(())
}

fn write_publish(publish: &Publish<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    write_topic_name(publish.topic, out)?;
    if let Some(packet_id) = publish.delivery.packet_id() {
        write_packet_id(packet_id, out);
    }
    // Known before the copy, so that a payload of any size is refused at no cost.
    if out.len() - start + publish.payload.len() > REMAINING_LENGTH_MAX {
        return Err(EncodeError::PacketTooLarge);
    }
    out.extend_from_slice(publish.payload);
    Ok(())
}

fn write_subscribe(subscribe: &Subscribe<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if subscribe.filters.is_empty() {
        return Err(EncodeError::NoFilters);
    }
    write_packet_id(subscribe.packet_id, out);
    for request in &subscribe.filters {
        write_topic_filter(request.filter, out)?;
        out.push(request.qos.level());
    }
    Ok(())
}

fn write_suback(suback: &Suback, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if suback.codes.is_empty() {
        return Err(EncodeError::NoFilters);
    }
    write_packet_id(suback.packet_id, out);
    out.extend(suback.codes.iter().map(|code| code.code()));
    Ok(())
}

fn write_unsubscribe(unsubscribe: &Unsubscribe<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::NoFilters);
    }
    write_packet_id(unsubscribe.packet_id, out);
    for filter in &unsubscribe.filters {
        write_topic_filter(filter, out)?;
    }
    Ok(())
}

fn write_packet_id(packet_id: PacketId, out: &mut Vec<u8>) {
    out.extend(packet_id.get().to_be_bytes());
}

fn write_topic_name(topic: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !is_topic_name(topic) {
        return Err(EncodeError::TopicName);
    }
    write_text(topic, out)
}

fn write_topic_filter(filter: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if !is_topic_filter(filter) {
        return Err(EncodeError::TopicFilter);
    }
    write_text(filter, out)
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text.bytes().any(|byte| byte == 0) {
        return Err(EncodeError::NulCharacter);
    }
    write_binary(text.as_bytes(), out)
}

fn write_binary(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?;
    out.extend(len.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}
