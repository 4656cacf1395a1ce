//! Received bytes that no packet has used yet.

/// Capacity kept when the buffer runs empty, in bytes; an idle client should cost little.
const CAPACITY_KEPT_BYTES: usize = 4 * 1024;

#[derive(Debug, Default)]
pub(crate) struct InputBuffer {
    bytes: Vec<u8>,
    /// How much of `bytes` has been used.
    used: usize,
}

impl InputBuffer {
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.used = self.used.saturating_add(len).min(self.bytes.len());
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(CAPACITY_KEPT_BYTES);
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_used_in_order_and_a_large_buffer_is_given_back() {
        let mut input = InputBuffer::default();
        input.append(&[1, 2, 3]);
        input.consume(2);
        input.append(&[4; 100_000]);
        assert_eq!(input.unread()[..2], [3, 4]);
        input.consume(100_001);
        assert_eq!(input.unread(), []);
        assert!(input.bytes.capacity() <= CAPACITY_KEPT_BYTES);
    }
}
