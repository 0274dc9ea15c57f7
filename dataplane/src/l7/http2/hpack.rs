//! The little of HPACK (RFC 7541) that the first header block of a connection needs: the dynamic table is empty at its beginning, and pseudo-headers,
//! which come first, stand in the static table by name.

/// What is told of a header block.
#[derive(Clone, Copy, Default)]
pub(super) struct Headers {
    order: [u8; PSEUDO_MAX],
    count: usize,
    pub(super) is_grpc: bool,
}

/// A request has four (RFC 9113 section 8.3.1), one more to open a WebSocket (RFC 8441).
const PSEUDO_MAX: usize = 6;

/// Appendix A: names of the first entries, and the one that is asked for.
const PSEUDO: [u8; 8] = *b" ammppss";
const CONTENT_TYPE: usize = 31;
const CONTENT_TYPE_NAME: &[u8] = b"content-type";

const GRPC: &[u8] = b"application/grpc";
/// The same in the code of appendix B: 88 bits, so that what follows it begins with a byte.
const GRPC_CODED: [u8; 11] = [0x1d, 0x75, 0xd0, 0x62, 0x0d, 0x26, 0x3d, 0x4c, 0x4d, 0x65, 0x64];

/// Section 6: the form of a field by its first bits, and how many bits of a number stand beside them.
const INDEXED: u8 = 0x80;
const INCREMENTAL: u8 = 0x40;
const SIZE_UPDATE: u8 = 0x20;

/// A string as it lies there (section 5.2).
struct Literal<'m> {
    is_coded: bool,
    bytes: &'m [u8],
}

impl Headers {
    /// Reads a block until something of it cannot be read.
    pub(super) fn of(mut block: &[u8]) -> Self {
        let mut headers = Headers::default();
        while let Some(rest) = headers.field(block) {
            block = rest;
        }
        headers
    }

    /// First letters of the pseudo-headers in their order.
    pub(super) fn order(&self) -> &[u8] {
        &self.order[..self.count]
    }

    /// Reads the field that stands here; answers what follows it, which is shorter.
    fn field<'m>(&mut self, block: &'m [u8]) -> Option<&'m [u8]> {
        let first = *block.first()?;
        if first & INDEXED != 0 {
            let (index, rest) = number(block, 7)?;
            self.note(PSEUDO.get(index).copied());
            return Some(rest);
        }
        let bits = match first {
            _ if first & INCREMENTAL != 0 => 6,
            _ if first & SIZE_UPDATE != 0 => return Some(number(block, 5)?.1),
            _ => 4,
        };
        let (index, mut rest) = number(block, bits)?;
        let mut is_content_type = index == CONTENT_TYPE;
        if index == 0 {
            let (name, behind) = literal(rest)?;
            rest = behind;
            is_content_type = !name.is_coded && name.bytes == CONTENT_TYPE_NAME;
            self.note(name.bytes.strip_prefix(b":").filter(|_| !name.is_coded).and_then(|name| name.first().copied()));
        } else {
            self.note(PSEUDO.get(index).copied());
        }
        let (value, rest) = literal(rest)?;
        let grpc = if value.is_coded { &GRPC_CODED[..] } else { GRPC };
        self.is_grpc |= is_content_type && value.bytes.starts_with(grpc);
        Some(rest)
    }

    fn note(&mut self, letter: Option<u8>) {
        if let Some((letter, place)) = letter.zip(self.order.get_mut(self.count)).filter(|(letter, _)| *letter != b' ')
        {
            *place = letter;
            self.count += 1;
        }
    }
}

/// Section 5.1: a number beside other bits, or in the bytes behind; it is a length within 4 KiB here, so three bytes are enough.
fn number(bytes: &[u8], bits: u32) -> Option<(usize, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let full = (1u8 << bits) - 1;
    let mut value = usize::from(first & full);
    if value < usize::from(full) {
        return Some((value, rest));
    }
    for shift in [0, 7, 14] {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

fn literal(bytes: &[u8]) -> Option<(Literal<'_>, &[u8])> {
    let is_coded = bytes.first()? & 0x80 != 0;
    let (len, rest) = number(bytes, 7)?;
    let (bytes, rest) = rest.split_at_checked(len)?;
    Some((Literal { is_coded, bytes }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7541 appendix C.3.1 and C.4.1: the same request without and with Huffman's code.
    #[test]
    fn published_requests() {
        let plain = [&[0x82, 0x86, 0x84, 0x41, 0x0f][..], b"www.example.com"].concat();
        let coded =
            [0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        for block in [&plain[..], &coded] {
            assert_eq!(Headers::of(block).order(), b"mspa");
        }
        // C.1.2: 1337 beside five bits.
        assert_eq!(number(&[0x1f, 0x9a, 0x0a], 5), Some((1337, &[][..])));
        assert_eq!(number(&[0x1f, 0xff, 0xff, 0xff, 0], 5), None);
    }

    #[test]
    fn grpc() {
        let plain = [&[0x83, 0x5f, 22][..], b"application/grpc+proto"].concat();
        let coded = [&[0x83, 0x5f, 0x8b][..], &GRPC_CODED].concat();
        let named = [&[0x20, 0, 12][..], b"content-type", &[16], GRPC].concat();
        for (block, order) in [(plain, &b"m"[..]), (coded, b"m"), (named, b"")] {
            let headers = Headers::of(&block);
            assert_eq!((headers.is_grpc, headers.order()), (true, order));
        }
        let json = [&[0x83, 0x5f, 16][..], b"application/json"].concat();
        let elsewhere = [&[0, 1, b'x', 16][..], GRPC, &[0, 9, b':']].concat();
        assert!(!Headers::of(&json).is_grpc && !Headers::of(&elsewhere).is_grpc);
        let protocol = [&[0, 9][..], b":protocol", &[9], b"websocket"].concat();
        assert_eq!(Headers::of(&protocol).order(), b"p");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(block in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Headers::of(&block).order().iter().all(|letter| !letter.is_ascii_whitespace()));
        }
    }
}
