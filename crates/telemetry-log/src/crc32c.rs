//! CRC-32C (Castagnoli), eight bytes a step.

/// The reflected polynomial. Source: RFC 3720 §12.1.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLES: [[u32; 256]; 8] = tables();

/// A checksum under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc32c(u32);

impl Crc32c {
    pub(crate) const fn new() -> Self {
        Self(!0)
    }

    #[expect(clippy::indexing_slicing, reason = "a byte indexes 256 entries; the tables are 8")]
    pub(crate) fn update(self, bytes: &[u8]) -> Self {
        let at = |table: usize, byte: u8| TABLES[table][usize::from(byte)];
        let mut crc = self.0;
        let (chunks, rest) = bytes.as_chunks::<8>();
        for &[a, b, c, d, e, f, g, h] in chunks {
            let [a, b, c, d] = (u32::from_le_bytes([a, b, c, d]) ^ crc).to_le_bytes();
            crc = at(7, a) ^ at(6, b) ^ at(5, c) ^ at(4, d);
            crc ^= at(3, e) ^ at(2, f) ^ at(1, g) ^ at(0, h);
        }
        for &byte in rest {
            let [low, ..] = crc.to_le_bytes();
            crc = (crc >> 8) ^ at(0, low ^ byte);
        }
        Self(crc)
    }

    pub(crate) const fn finish(self) -> u32 {
        !self.0
    }
}

/// Table `n` holds what a byte does to the checksum `n` bytes later.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> u32 {
        Crc32c::new().update(bytes).finish()
    }

    #[test]
    fn the_standards_vectors_hold() {
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        // RFC 3720 §B.4, and the check value of the CRC catalogue.
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc(&ascending), 0x46dd_794e);
        assert_eq!(crc(&descending), 0x113f_db5c);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_checksum_is_the_same_however_the_input_is_split() {
        let bytes: Vec<u8> = (0..100_u8).map(|b| b.wrapping_mul(37)).collect();
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(Crc32c::new().update(head).update(tail).finish(), crc(&bytes));
        }
    }
}
