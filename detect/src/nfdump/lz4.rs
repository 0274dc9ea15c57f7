//! LZ4 blocks, the compression of `nfcapd -y`. Source: lz4_Block_format.md of the LZ4 project.
use super::lzo::copy;

/// Appends the bytes as one run of literals: valid, and no smaller. Only for blocks that are added to a file whose others are LZ4.
pub(super) fn pack(input: &[u8], out: &mut Vec<u8>) {
    match input.len() {
        length @ 0..15 => out.push((length as u8) << 4),
        length => {
            out.push(0xf0);
            out.extend(std::iter::repeat_n(255, (length - 15) / 255));
            out.push(((length - 15) % 255) as u8);
        }
    }
    out.extend_from_slice(input);
}

/// Appends the unpacked bytes; `None` if the input is damaged or would give more than `most` bytes in all.
pub(super) fn unpack(mut input: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
    loop {
        let (token, rest) = input.split_first()?;
        input = rest;
        let literals = length(token >> 4, &mut input)?;
        let (bytes, rest) = input.split_at_checked(literals)?;
        if literals > most.saturating_sub(out.len()) {
            return None;
        }
        out.extend_from_slice(bytes);
        input = rest;
        // The last sequence has no match.
        if input.is_empty() {
            return Some(());
        }
        let (distance, rest) = input.split_first_chunk::<2>()?;
        input = rest;
        let matched = length(token & 15, &mut input)? + 4;
        copy(u16::from_le_bytes(*distance).into(), matched, out, most)?;
    }
}

/// A length of four bits, and what follows if all are set: bytes to add, up to the first below 255.
fn length(bits: u8, input: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(bits);
    if bits == 15 {
        loop {
            let (more, rest) = input.split_first()?;
            *input = rest;
            length += usize::from(*more);
            if *more < 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences() {
        let unpacked = |packed: &[u8]| {
            let mut out = Vec::new();
            unpack(packed, &mut out, 1_000).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(unpacked(b"\x40abcd").unwrap(), "abcd");
        assert_eq!(unpacked(b"\x22ab\x02\0\x10c").unwrap(), "abababab".to_owned() + "c");
        assert_eq!(unpacked(b"\x1fa\x01\0\x05\x10b").unwrap(), "a".repeat(25) + "b");
        for damaged in [&b""[..], b"\x40abc", b"\x22ab\x03\0\x10c", b"\x22ab\0\0\x10c", b"\x1fa\x01\0", b"\x22ab\x01"] {
            assert_eq!(unpacked(damaged), None, "{}", damaged.escape_ascii());
        }
    }
}
