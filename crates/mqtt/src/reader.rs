//! A cursor over one packet's bytes that cannot leave them.

use crate::error::{DecodeError, Rule};
use crate::packet::PacketId;
use crate::text::{is_topic_filter, is_topic_name};

/// Reads fields in order; every error carries the offset of the field that broke the rule.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` from the packet's first byte.
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            return Err(DecodeError { offset: self.offset, rule: Rule::FieldPastEnd });
        };
        self.bytes = rest;
        self.offset += len;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let Some((&byte, rest)) = self.bytes.split_first() else {
            return Err(DecodeError { offset: self.offset, rule: Rule::FieldPastEnd });
        };
        self.bytes = rest;
        self.offset += 1;
        Ok(byte)
    }

    pub(crate) fn integer(&mut self) -> Result<u16, DecodeError> {
        let offset = self.offset;
        match self.take(2)? {
            &[high, low] => Ok(u16::from_be_bytes([high, low])),
            _ => Err(DecodeError { offset, rule: Rule::FieldPastEnd }),
        }
    }

    /// A field behind its own 16-bit length.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.integer()?;
        self.take(usize::from(len))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let offset = self.offset;
        let bytes = self.binary()?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(DecodeError { offset, rule: Rule::Utf8 });
        };
        if bytes.contains(&0) {
            return Err(DecodeError { offset, rule: Rule::NulCharacter });
        }
        Ok(text)
    }

    pub(crate) fn topic_name(&mut self) -> Result<&'a str, DecodeError> {
        let offset = self.offset;
        let text = self.text()?;
        if !is_topic_name(text) {
            return Err(DecodeError { offset, rule: Rule::TopicName });
        }
        Ok(text)
    }

    pub(crate) fn topic_filter(&mut self) -> Result<&'a str, DecodeError> {
        let offset = self.offset;
        let text = self.text()?;
        if !is_topic_filter(text) {
            return Err(DecodeError { offset, rule: Rule::TopicFilter });
        }
        Ok(text)
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let offset = self.offset;
        let value = self.integer()?;
        PacketId::new(value).ok_or(DecodeError { offset, rule: Rule::PacketIdZero })
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes;
        self.bytes = &[];
        self.offset += rest.len();
        rest
    }

    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(DecodeError { offset: self.offset, rule: Rule::TrailingBytes })
        }
    }
}
