//! Tar (POSIX.1-1988 ustar) with one form for each file: a header follows from name and size.

use std::io::{self, Read, Write};

/// Bytes of a header and of a block. Source: POSIX `pax`, "ustar Interchange Format".
pub(super) const BLOCK: usize = 512;
/// Two blocks of zeros end an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// Sizes from here on do not fit into eleven octal digits and are written in base 256, as GNU
/// tar does.
const OCTAL_END: u64 = 1 << 33;

/// The header of a regular file, mode 0600, without time and owner.
///
/// # Errors
/// A name that does not fit: a file's own name has at most 100 bytes, its directory's 155.
pub(super) fn header(name: &str, size: u64) -> io::Result<[u8; BLOCK]> {
    let (prefix, file) = match name.len() <= 100 {
        true => ("", name),
        false => name.rsplit_once('/').unwrap_or(("", name)),
    };
    if file.len() > 100 || prefix.len() > 155 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its name is too long for tar"));
    }
    let octal = format!("{size:011o}\0");
    let mut large = [0_u8; 12];
    let size: &[u8] = match size < OCTAL_END {
        true => octal.as_bytes(),
        false => {
            let bytes = size.to_be_bytes();
            large.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
            if let Some(first) = large.first_mut() {
                *first = 0x80;
            }
            &large
        }
    };
    let fields: [(usize, &[u8]); 10] = [
        (0, file.as_bytes()),
        (100, b"0000600\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size),
        (136, b"00000000000\0"),
        (148, b"        "),
        (156, b"0"),
        (257, b"ustar\x0000"),
        (345, prefix.as_bytes()),
    ];
    let mut block = [0_u8; BLOCK];
    for (at, bytes) in fields {
        put(&mut block, at, bytes);
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// The size in a header of the form above; the caller compares the whole header afterwards.
pub(super) fn size_in(block: &[u8; BLOCK]) -> Option<u64> {
    let digits = std::str::from_utf8(block.get(124..135)?).ok()?;
    u64::from_str_radix(digits, 8).ok()
}

/// Zeros behind a file of this size, up to the end of its last block.
pub(super) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % 512).unwrap_or_default();
    (BLOCK - over) % BLOCK
}

/// Appends a file of exactly `size` bytes; what the source has beyond is left out.
pub(super) fn append(
    out: &mut dyn Write,
    name: &str,
    size: u64,
    source: impl Read,
) -> io::Result<()> {
    out.write_all(&header(name, size)?)?;
    if io::copy(&mut source.take(size), out)? != size {
        return Err(io::Error::other(format!("{name} became shorter while it was read")));
    }
    out.write_all(END.get(..padding(size)).unwrap_or_default())
}
