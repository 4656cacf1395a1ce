//! The framing of DER: tags and lengths, read strictly. Source: X.690 §8.1, §10.1.

/// Universal tags that certificates use.
pub(super) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
}

/// One element: its tag, its bytes with the header, its bytes without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The bytes are not a DER element: cut short, a long form where a short one does, an indefinite
/// length, a tag number above 30, or bytes left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDer;

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self) -> Result<Element<'a>, NotDer> {
        let (tag, rest) = self.0.split_first().ok_or(NotDer)?;
        if tag & 0x1f == 0x1f {
            return Err(NotDer);
        }
        let (length, body) = length(rest)?;
        let (content, after) = body.split_at_checked(length).ok_or(NotDer)?;
        let whole_len = self.0.len() - after.len();
        let whole = self.0.get(..whole_len).ok_or(NotDer)?;
        self.0 = after;
        Ok(Element { tag: *tag, whole, content })
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        self.optional(tag)?.ok_or(NotDer)
    }

    /// The next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, NotDer> {
        match self.0.first() {
            Some(next) if *next == tag => self.any().map(Some),
            Some(_) | None => Ok(None),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Demands that nothing is left.
    pub(super) fn finish(self) -> Result<(), NotDer> {
        self.is_empty().then_some(()).ok_or(NotDer)
    }
}

/// The one element that these bytes are.
pub(super) fn only(bytes: &[u8], tag: u8) -> Result<Element<'_>, NotDer> {
    let mut reader = Reader::new(bytes);
    let element = reader.expect(tag)?;
    reader.finish()?;
    Ok(element)
}

/// The content of a bit string of whole bytes.
pub(super) fn whole_bits(bit_string: Element<'_>) -> Result<&[u8], NotDer> {
    match bit_string.content.split_first() {
        Some((0, bits)) => Ok(bits),
        Some(_) | None => Err(NotDer),
    }
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), NotDer> {
    let (first, rest) = bytes.split_first().ok_or(NotDer)?;
    if *first < 0x80 {
        return Ok((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    let (digits, rest) = rest.split_at_checked(count).ok_or(NotDer)?;
    // Three digits count to 16 MiB, far beyond any bound on a certificate.
    if !(1..=3).contains(&count) || digits.first() == Some(&0) {
        return Err(NotDer);
    }
    let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
    if length < 0x80 { Err(NotDer) } else { Ok((length, rest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        let read = |bytes: &[u8]| Reader::new(bytes).any().map(|e| e.content.len());
        assert_eq!(read(&[4, 0]), Ok(0));
        assert_eq!(read(&[4, 2, 1, 2, 9]), Ok(2));
        assert_eq!(read(&[&[4, 0x81, 0x80], [0; 128].as_slice()].concat()), Ok(128));
        assert_eq!(read(&[&[4, 0x82, 1, 0], [0; 256].as_slice()].concat()), Ok(256));
        for bad in [
            [4].as_slice(),
            &[[4, 0x82, 0, 0x80].as_slice(), &[0; 128]].concat(),
            &[],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x84, 0, 0, 0, 1, 0],
            &[4, 0x85, 1, 0, 0, 0, 0],
            &[4, 0xff],
            &[0x1f, 0x81, 1, 0],
        ] {
            assert_eq!(read(bad), Err(NotDer), "{bad:?}");
        }
    }

    #[test]
    fn only_refuses_what_is_left_over() {
        assert!(only(&[4, 0], 4).is_ok());
        assert_eq!(only(&[4, 0, 0], 4).unwrap_err(), NotDer);
        assert_eq!(only(&[4, 0], 5).unwrap_err(), NotDer);
    }
}
