//! Header lines as HTTP and SIP share them, and the C rules by which the original copied and read text.
//!
//! Lines end with LF or CRLF, the section ends with an empty line (RFC 9112 sections 2.2 and 5, RFC 3261 section 7.3). A line that
//! the packet cuts is not seen: a value is taken whole or not at all.
use memchr::memchr;

/// The fields of a header section whose names have one of the initials, in order: name and value, outer blanks removed. Folded lines
/// and lines without a colon are skipped.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    initials: Initials,
}

/// First letters of the names that are asked for, small or capital: most lines of a section are passed over by theirs.
#[derive(Clone, Copy)]
pub(crate) struct Initials(u32);

impl Initials {
    pub(crate) const fn of(letters: &[u8]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < letters.len() {
            set |= 1 << (letters[at].to_ascii_lowercase() - b'a');
            at += 1;
        }
        Initials(set)
    }

    #[inline(always)]
    fn contain(self, byte: u8) -> bool {
        let letter = byte.to_ascii_lowercase().wrapping_sub(b'a');
        letter < 26 && self.0 >> letter & 1 != 0
    }
}

impl<'a> Fields<'a> {
    /// `section` begins behind the start line.
    #[inline]
    pub(crate) fn of(section: &'a [u8], initials: Initials) -> Self {
        Fields { rest: section, initials }
    }

    /// Whether the value at hand goes on in the next line.
    #[inline(always)]
    pub(crate) fn is_folded(&self) -> bool {
        matches!(self.rest.first(), Some(b' ' | b'\t'))
    }

    /// The value at hand with the lines that it goes on in, a blank for each line end (RFC 3261 section 7.3.1).
    #[cold]
    pub(crate) fn unfolded(&mut self, value: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(value);
        while self.is_folded()
            && let Some((line, rest)) = line(self.rest)
        {
            self.rest = rest;
            out.push(b' ');
            out.extend_from_slice(line.trim_ascii());
        }
    }

    /// Once all fields were seen: what follows the empty line, or `None` if the section has no end here.
    #[inline]
    pub(crate) fn behind(&self) -> Option<&'a [u8]> {
        self.rest.strip_prefix(b"\r\n").or_else(|| self.rest.strip_prefix(b"\n"))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, rest) = line(self.rest)?;
            let first = *line.first()?;
            self.rest = rest;
            // A line that goes on from the one before begins with a blank.
            if self.initials.contain(first)
                && let Some(colon) = find(b':', line)
            {
                return Some((line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii()));
            }
        }
    }
}

/// [`memchr`] where the byte is expected to be near.
#[inline]
pub(crate) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    const NEAR: usize = 128;
    match text.get(..NEAR) {
        None => sys::lanes::find(text, byte),
        Some(near) => sys::lanes::find(near, byte).or_else(|| Some(NEAR + memchr(byte, &text[NEAR..])?)),
    }
}

/// The first line without its end, and what follows; `None` if no line ends here.
#[inline]
pub(crate) fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find(b'\n', text)?;
    let line = &text[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &text[end + 1..]))
}

/// The decimal number that a value begins with: 0 if it is none, the largest one if it is larger.
pub(crate) fn number(value: &[u8]) -> usize {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |n: usize, digit| n.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
}

/// A token of RFC 9110 section 5.6.2 (RFC 3261 section 25.1 differs in nothing that a method uses).
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// A C string ends at its first NUL.
pub(crate) fn c_string(text: &[u8]) -> &[u8] {
    &text[..find(0, text).unwrap_or(text.len())]
}

/// What the original's copy into a buffer of `size` bytes leaves: cut, then one LF and one CR removed from the end.
pub(crate) fn c_copy(text: &[u8], size: usize) -> &[u8] {
    c_string(cut(text, size))
}

/// [`c_copy`] of a text without NUL.
pub(crate) fn cut(text: &[u8], size: usize) -> &[u8] {
    let text = &text[..text.len().min(size - 1)];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// The C library's `atoi`: blanks, a sign, digits; the rest is ignored, too large a number wraps as glibc's does.
pub(crate) fn atoi(text: &[u8]) -> i32 {
    let blank = |b: &u8| matches!(b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !blank(b)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let mut value = 0i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        value = value.saturating_mul(10).saturating_add((digit - b'0') as i64);
    }
    if negative { -value as i32 } else { value as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_until_the_empty_line() {
        let section = b"Host: a\r\nx\r\n  folded: no\r\nname :\tb c \nOther: d\nEmpty:\r\n\r\nHost: no\r\n";
        let wanted = Initials::of(b"HNex");
        let seen: Vec<_> = Fields::of(section, wanted).collect();
        assert_eq!(seen, [(&b"Host"[..], &b"a"[..]), (b"name", b"b c"), (b"Empty", b"")]);
        assert_eq!(Fields::of(b"Host: cut", wanted).count(), 0);
        for (section, behind) in
            [(&b"a: b\r\n\r\nc"[..], Some(&b"c"[..])), (b"\n", Some(b"")), (b"a: b\r\n\r", None), (b"", None)]
        {
            let mut fields = Fields::of(section, wanted);
            fields.by_ref().for_each(drop);
            assert_eq!(fields.behind(), behind);
        }
    }

    #[test]
    fn c_rules() {
        let copies: &[(&[u8], usize, &[u8])] = &[
            (b"abc\r\n", 16, b"abc"),
            (b"abc\r\n\r\n", 16, b"abc\r\n"),
            (b"abcdef\r", 4, b"abc"),
            (b"ab\0cd", 16, b"ab"),
            (b"\n", 16, b""),
            (b"", 1, b""),
        ];
        for (text, size, want) in copies {
            assert_eq!(c_copy(text, *size), *want);
        }
        let numbers: &[(&[u8], i32)] = &[
            (b"200", 200),
            (b" \r\n+7x", 7),
            (b"-4", -4),
            (b"", 0),
            (b"x", 0),
            (b"4294967297", 1),
            (b"99999999999999999999999", -1),
        ];
        for (text, want) in numbers {
            assert_eq!(atoi(text), *want);
        }
        assert_eq!(
            ["", "-1", "012x", "99999999999999999999"].map(|text| number(text.as_bytes())),
            [0, 0, 12, usize::MAX]
        );
    }
}
