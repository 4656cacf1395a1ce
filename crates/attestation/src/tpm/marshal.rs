//! Bytes of TPM structures: big-endian integers, and sizes of 16 bits before what they measure.
//!
//! Source: Part 1, "Structure Markup"; Part 2 §10.4, sized buffers (`TPM2B_`).

use super::error::{PublicError, SealError};

/// Takes structures off the front of some bytes.
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, PublicError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, PublicError> {
        self.array().map(u32::from_be_bytes)
    }

    /// The content of a sized buffer.
    pub(super) fn sized(&mut self) -> Result<&'b [u8], PublicError> {
        let size = usize::from(self.u16()?);
        let (taken, rest) = self.0.split_at_checked(size).ok_or(PublicError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// That nothing is left.
    pub(super) const fn end(&self) -> Result<(), PublicError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(PublicError::Trailing),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PublicError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(PublicError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// A sized buffer of some bytes.
pub(super) fn sized(bytes: &[u8]) -> Result<Vec<u8>, SealError> {
    let size = u16::try_from(bytes.len()).map_err(|_| SealError::Crypto)?;
    Ok([size.to_be_bytes().as_slice(), bytes].concat())
}
