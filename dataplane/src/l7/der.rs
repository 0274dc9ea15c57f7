//! The part of BER and DER (X.690) that messages of Kerberos, SNMP and LDAP need, and names in certificates: tags below 31, definite lengths, read in place.
//!
//! A value that the packet cuts is what is there of it; the loops go forward by at least two bytes a turn.

/// Values one after the other. As an iterator: tag and content of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'m> {
    rest: &'m [u8],
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const GENERAL_STRING: u8 = 0x1b;
/// Class context-specific, constructed.
const CONTEXT: u8 = 0xa0;
/// A length in so many following bytes; a message is shorter than 2^32 bytes.
const LONG: u8 = 0x80;
const LENGTH_BYTES_MAX: usize = 4;

impl<'m> Der<'m> {
    pub(super) fn new(rest: &'m [u8]) -> Self {
        Der { rest }
    }

    pub(super) fn bytes(self) -> &'m [u8] {
        self.rest
    }

    /// The content of the sequence that stands here.
    pub(super) fn sequence(mut self) -> Option<Self> {
        self.tagged(SEQUENCE)
    }

    /// The content of the first value with this number among those of a sequence.
    pub(super) fn field(mut self, number: u8) -> Option<Self> {
        self.find(|(tag, _)| *tag == CONTEXT.wrapping_add(number)).map(|(_, content)| content)
    }

    /// The number that stands here.
    pub(super) fn integer(mut self) -> Option<u32> {
        self.tagged(INTEGER).map(Der::number)
    }

    /// The content as a number that is not negative; larger ones lose their upper bits.
    pub(super) fn number(self) -> u32 {
        self.rest.iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
    }

    pub(super) fn text(mut self) -> Option<&'m [u8]> {
        Some(self.tagged(GENERAL_STRING)?.rest)
    }

    /// The content of the next value if it has this tag.
    pub(super) fn tagged(&mut self, wanted: u8) -> Option<Self> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

impl<'m> Iterator for Der<'m> {
    type Item = (u8, Der<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        let ([tag, len], behind) = self.rest.split_first_chunk()?;
        let (len, behind) = match len.checked_sub(LONG).map(usize::from) {
            None => (usize::from(*len), behind),
            // 0 would be the indefinite form, which DER has not.
            Some(bytes @ 1..=LENGTH_BYTES_MAX) => {
                let (len, behind) = behind.split_at_checked(bytes)?;
                (len.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), behind)
            }
            Some(_) => return None,
        };
        let (content, next) = behind.split_at_checked(len).unwrap_or((behind, &[]));
        self.rest = next;
        Some((*tag, Der { rest: content }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_all_forms() {
        let short = [0x30, 3, 0x02, 1, 24];
        assert_eq!(Der::new(&short).sequence().and_then(Der::integer), Some(24));
        let long = [&[0x1b, 0x82, 1, 0][..], &[b'x'; 300]].concat();
        assert_eq!(Der::new(&long).text().map(<[u8]>::len), Some(256));
        assert_eq!(Der::new(&[0x1b, 9, b'a', b'b']).text(), Some(&b"ab"[..]), "cut");
        for bad in [&[][..], &[0x30], &[0x30, 0x80, 0, 0], &[0x30, 0x85, 0, 0, 0, 0, 1, 0], &[0x30, 0x82, 1]] {
            assert!(Der::new(bad).next().is_none(), "{bad:02x?}");
        }
    }

    #[test]
    fn fields_are_found_by_number() {
        let fields = Der::new(&[0xa1, 3, 2, 1, 7, 0xa3, 4, 2, 2, 1, 0]);
        assert_eq!([1, 2, 3].map(|n| fields.field(n).and_then(Der::integer)), [Some(7), None, Some(256)]);
    }
}
