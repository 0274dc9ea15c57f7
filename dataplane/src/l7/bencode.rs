//! The part of bencoding (BEP 3) that messages of the DHT need: dictionaries looked up in place.
//!
//! Nothing is copied and nothing recurses: a nested value is passed over by counting what it opens and closes. Each step goes forward by a byte at least.

/// The entries of a dictionary, from the first key on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dict<'m> {
    entries: &'m [u8],
}

/// Digits of a length: a datagram is shorter than 100,000 bytes.
const DIGITS_MAX: usize = 5;

impl<'m> Dict<'m> {
    /// The dictionary that stands here; it may be cut.
    pub(super) fn of(bytes: &'m [u8]) -> Option<Self> {
        Some(Dict { entries: bytes.strip_prefix(b"d")? })
    }

    /// The string behind a key.
    pub(super) fn text(self, key: &[u8]) -> Option<&'m [u8]> {
        Some(string(self.value(key)?)?.0)
    }

    /// The dictionary behind a key.
    pub(super) fn dict(self, key: &[u8]) -> Option<Self> {
        Dict::of(self.value(key)?)
    }

    /// What begins behind a key.
    fn value(self, wanted: &[u8]) -> Option<&'m [u8]> {
        let mut rest = self.entries;
        loop {
            let (key, value) = string(rest)?;
            if key == wanted {
                return Some(value);
            }
            rest = behind(value)?;
        }
    }
}

/// The string that stands here, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = bytes.iter().take(DIGITS_MAX + 1).position(|byte| *byte == b':')?;
    let mut len = 0usize;
    for digit in &bytes[..digits] {
        len = len * 10 + usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    bytes.get(digits + 1..).filter(|_| digits > 0)?.split_at_checked(len)
}

/// What follows the value that stands here.
fn behind(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut open = 0usize;
    loop {
        bytes = match bytes.first()? {
            b'd' | b'l' => {
                open += 1;
                &bytes[1..]
            }
            b'e' => {
                open = open.checked_sub(1)?;
                &bytes[1..]
            }
            b'i' => {
                let end = bytes.iter().position(|byte| *byte == b'e')?;
                &bytes[end + 1..]
            }
            _ => string(bytes)?.1,
        };
        if open == 0 {
            return Some(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_behind_others() {
        let message = Dict::of(b"d1:ad2:id3:abc4:listl1:xi-7eli1eed0:0:ee1:n0:e1:q4:pinge").expect("a dictionary");
        let inner = message.dict(b"a").expect("a dictionary within");
        assert_eq!((inner.text(b"id"), inner.text(b"n"), inner.text(b"q")), (Some(&b"abc"[..]), Some(&b""[..]), None));
        assert_eq!((message.text(b"q"), message.text(b"id"), message.text(b"a")), (Some(&b"ping"[..]), None, None));
    }

    #[test]
    fn what_lies_is_nothing() {
        for bad in [
            &b"d1:q9:ping"[..],
            b"d1:q:ping",
            b"d:1",
            b"d1:q-1:x",
            b"d1:q99999999:x",
            b"d1:xe1:q4:ping",
            b"d1:xi1",
            b"di1e1:q1:x",
        ] {
            assert_eq!(Dict::of(bad).and_then(|d| d.text(b"q")), None, "{bad:?}");
        }
        assert!(Dict::of(b"l1:qe").is_none());
        // As deep as it is long.
        assert_eq!(Dict::of(&[&b"d1:x"[..], &[b'l'; 60_000]].concat()).and_then(|d| d.text(b"q")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(prop::sample::select(b"dlie0123:qa\xff".to_vec()), 0..60)) {
            if let Some(dict) = Dict::of(&bytes) {
                prop_assert!(dict.text(b"q").is_none_or(|text| text.len() < bytes.len()));
                prop_assert!(dict.dict(b"a").is_none_or(|inner| inner.entries.len() < bytes.len()));
            }
        }
    }
}
