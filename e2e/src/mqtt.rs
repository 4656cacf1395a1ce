//! MQTT 3.1.1 packets by hand, so that wrong ones can be made.

use std::io::{self, Read};

/// A packet from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The first byte: kind and flags.
    pub header: u8,
    /// All behind the fixed header.
    pub body: Vec<u8>,
}

impl Packet {
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut header = [0];
        from.read_exact(&mut header)?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let mut byte = [0];
            from.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Self { header: header[0], body })
    }

    /// The return code of a CONNACK.
    ///
    /// # Panics
    ///
    /// When it is another packet, or says that a session is present.
    #[track_caller]
    pub fn connack(&self) -> u8 {
        assert_eq!((self.header, self.body[0]), (0x20, 0), "{self:?}");
        self.body[1]
    }

    /// Topic and payload of a PUBLISH.
    ///
    /// # Panics
    ///
    /// When it is another packet.
    #[track_caller]
    pub fn message(&self) -> (String, &[u8]) {
        assert_eq!(self.header & 0xf0, 0x30, "{self:?}");
        let length = usize::from(u16::from_be_bytes([self.body[0], self.body[1]]));
        let topic = String::from_utf8(self.body[2..2 + length].to_vec()).unwrap();
        let id = if self.header & 0b110 == 0 { 0 } else { 2 };
        (topic, &self.body[2 + length + id..])
    }
}

/// A CONNECT.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connect<'a> {
    pub client_id: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a str>,
    /// Topic and message.
    pub will: Option<(&'a str, &'a [u8])>,
}

impl Connect<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut flags = 0b10;
        flags |= if self.will.is_some() { 0b10_1100 } else { 0 };
        flags |= if self.password.is_some() { 0x40 } else { 0 };
        flags |= if self.username.is_some() { 0x80 } else { 0 };
        let mut body = text(b"MQTT");
        body.extend([4, flags, 0, 60]);
        body.extend(text(self.client_id.as_bytes()));
        if let Some((topic, message)) = self.will {
            body.extend(text(topic.as_bytes()));
            body.extend(text(message));
        }
        for field in [self.username, self.password].into_iter().flatten() {
            body.extend(text(field.as_bytes()));
        }
        packet(0x10, &body)
    }
}

/// A SUBSCRIBE with one filter.
pub fn subscribe(packet_id: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    body.extend(text(filter.as_bytes()));
    body.push(qos);
    packet(0x82, &body)
}

/// How a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    AtMostOnce,
    AtLeastOnce(u16),
    ExactlyOnce(u16),
    /// At most once, with RETAIN.
    Retained,
}

/// A PUBLISH.
pub fn publish(topic: &str, payload: &[u8], sent: Sent) -> Vec<u8> {
    let (flags, packet_id) = match sent {
        Sent::AtMostOnce => (0, None),
        Sent::AtLeastOnce(id) => (0b10, Some(id)),
        Sent::ExactlyOnce(id) => (0b100, Some(id)),
        Sent::Retained => (1, None),
    };
    let mut body = text(topic.as_bytes());
    body.extend(packet_id.into_iter().flat_map(u16::to_be_bytes));
    body.extend(payload);
    packet(0x30 | flags, &body)
}

/// Any packet.
pub fn packet(header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![header];
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).unwrap();
        length /= 128;
        bytes.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut field = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    field.extend(bytes);
    field
}
