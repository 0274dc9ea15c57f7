//! LZO1X, the compression of `nfcapd -z`. Source: the description of the format in the Linux kernel, Documentation/staging/lzo.rst.
//!
//! An instruction copies earlier output or takes literal bytes of the input; what a byte below 16 means depends on how many literals the
//! instruction before it ended with: none, one to three, or a long run.

/// How many bytes a match has at the least to be worth it.
const MATCH_MIN: usize = 4;
/// Distance of a match, at the most, in the one instruction that [`pack`] uses.
const DISTANCE_MAX: usize = 16_384;
/// Bits of a hash of four bytes.
const HASH_BITS: u32 = 14;
/// The last instruction.
const END: [u8; 3] = [17, 0, 0];

/// Appends the packed bytes. Matches are those with the newest place of the same four bytes.
pub(super) fn pack(input: &[u8], out: &mut Vec<u8>) {
    // Place of the newest four bytes of each hash, plus 1.
    let mut newest = vec![0u32; 1 << HASH_BITS];
    let mut packer = Packer { out, literals_at: None };
    let (mut at, mut literals) = (0, 0);
    while let Some(four) = input.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let hash = (u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize;
        let before = std::mem::replace(&mut newest[hash], at as u32 + 1) as usize;
        let distance = at + 1 - before;
        let length = match before.checked_sub(1) {
            Some(before) if distance <= DISTANCE_MAX => same(&input[before..], &input[at..]),
            _ => 0,
        };
        if length < MATCH_MIN {
            at += 1;
            continue;
        }
        packer.literals(&input[literals..at]);
        packer.copy(distance, length);
        at += length;
        literals = at;
    }
    packer.literals(&input[literals..]);
    out.extend_from_slice(&END);
}

/// Bytes that are equal at the start of both.
fn same(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

struct Packer<'o> {
    out: &'o mut Vec<u8>,
    /// Where the last match has room for the number of literals behind it, up to three.
    literals_at: Option<usize>,
}

impl Packer<'_> {
    fn literals(&mut self, bytes: &[u8]) {
        match (bytes.len(), self.literals_at) {
            (0, _) => return,
            (length @ 1..=3, Some(at)) => self.out[at] |= length as u8,
            // Only the first instruction has no match before it.
            (length @ 1..=238, None) => self.out.push(17 + length as u8),
            (length @ 4..=18, _) => self.out.push(length as u8 - 3),
            (length, _) => {
                self.out.push(0);
                self.extend(length - 18);
            }
        }
        self.out.extend_from_slice(bytes);
    }

    fn copy(&mut self, distance: usize, length: usize) {
        if length <= 33 {
            self.out.push(0x20 | (length - 2) as u8);
        } else {
            self.out.push(0x20);
            self.extend(length - 33);
        }
        self.literals_at = Some(self.out.len());
        self.out.extend_from_slice(&(((distance - 1) << 2) as u16).to_le_bytes());
    }

    /// A length of 1 and more: a zero for each 255, then the rest.
    fn extend(&mut self, length: usize) {
        let zeros = (length - 1) / 255;
        self.out.extend(std::iter::repeat_n(0, zeros));
        self.out.push((length - 255 * zeros) as u8);
    }
}

/// Appends the unpacked bytes; `None` if the input is damaged or would give more than `most` bytes in all.
pub(super) fn unpack(input: &[u8], out: &mut Vec<u8>, most: usize) -> Option<()> {
    let mut input = Input(input);
    // Literals that the last instruction ended with; 4 is a long run.
    let mut state = 0;
    if let Some(first @ 18..) = input.0.first().copied() {
        input.byte()?;
        let length = usize::from(first - 17);
        input.literals(length, out, most)?;
        state = length.min(4);
    }
    loop {
        let code = usize::from(input.byte()?);
        let (distance, length, literals) = match code {
            0..16 if state == 0 => {
                let length = input.length(code, 15)? + 3;
                input.literals(length, out, most)?;
                state = 4;
                continue;
            }
            0..16 => {
                let distance = (usize::from(input.byte()?) << 2) + (code >> 2);
                if state == 4 { (distance + 2_049, 3, code & 3) } else { (distance + 1, 2, code & 3) }
            }
            16..32 => {
                let length = input.length(code & 7, 7)? + 2;
                let low = input.two()?;
                let distance = 16_384 + ((code & 8) << 11) + (low >> 2);
                if distance == 16_384 {
                    return Some(());
                }
                (distance, length, low & 3)
            }
            32..64 => {
                let length = input.length(code & 31, 31)? + 2;
                let low = input.two()?;
                ((low >> 2) + 1, length, low & 3)
            }
            _ => {
                let length = if code < 128 { 3 + (code >> 5 & 1) } else { 5 + (code >> 5 & 3) };
                ((usize::from(input.byte()?) << 3) + (code >> 2 & 7) + 1, length, code & 3)
            }
        };
        copy(distance, length, out, most)?;
        input.literals(literals, out, most)?;
        state = literals;
    }
}

/// Appends earlier output; it may overlap with itself.
pub(super) fn copy(distance: usize, length: usize, out: &mut Vec<u8>, most: usize) -> Option<()> {
    let start = out.len().checked_sub(distance)?;
    if distance == 0 || length > most.saturating_sub(out.len()) {
        return None;
    }
    for at in start..start + length {
        out.push(out[at]);
    }
    Some(())
}

/// Bytes not yet read.
struct Input<'i>(&'i [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn two(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length that follows if `code` is 0: 255 for each zero, the next byte and `base`.
    fn length(&mut self, code: usize, base: usize) -> Option<usize> {
        if code > 0 {
            return Some(code);
        }
        let zeros = self.0.iter().take_while(|b| **b == 0).count();
        self.0 = &self.0[zeros..];
        Some(255 * zeros + base + usize::from(self.byte()?))
    }

    fn literals(&mut self, length: usize, out: &mut Vec<u8>, most: usize) -> Option<()> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        if length > most.saturating_sub(out.len()) {
            return None;
        }
        out.extend_from_slice(bytes);
        self.0 = rest;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams put together by hand from the description of the format.
    #[test]
    fn every_instruction() {
        let unpacked = |packed: &[u8]| {
            let mut out = Vec::new();
            unpack(packed, &mut out, 1_000).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(unpacked(&END).unwrap(), "");
        assert_eq!(unpacked(b"\x15abcd\x11\0\0").unwrap(), "abcd");
        // A long run behind nothing: 3 + 1 literals; 18 + 2 literals.
        assert_eq!(unpacked(b"\x01abcd\x11\0\0").unwrap(), "abcd");
        assert_eq!(unpacked(b"\0\x02abcdefghijklmnopqrst\x11\0\0").unwrap(), "abcdefghijklmnopqrst");
        // Two bytes from distance 3 after a short run of 3.
        assert_eq!(unpacked(b"\x14abc\x08\0\x11\0\0").unwrap(), "abcab");
        // Length 3 + 1 from distance 2, with two literals behind it.
        assert_eq!(unpacked(b"\x15abcd\x66\0xy\x11\0\0").unwrap(), "abcdcdcdxy");
        // Length 5 + 3 from distance 1.
        assert_eq!(unpacked(b"\x12a\xe0\0\x11\0\0").unwrap(), "aaaaaaaaa");
        // Length 33 + 1 from distance 1.
        assert_eq!(unpacked(b"\x12a\x20\x01\0\0\x11\0\0").unwrap(), "a".repeat(35));
        for damaged in [&b""[..], b"\x15abc", b"\x12a\xe8\0\x11\0\0", b"\x15abcd", b"\0\0\0"] {
            assert_eq!(unpacked(damaged), None, "{}", damaged.escape_ascii());
        }
        let mut out = Vec::new();
        assert_eq!(unpack(b"\x12a\x20\0\0\0\0\xff\0\0\x11\0\0", &mut out, 1_000), None, "too much");
    }
}
