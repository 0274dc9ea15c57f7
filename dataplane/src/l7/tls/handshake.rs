//! A handshake message out of its records: a message may span several, of any length (RFC 8446 section 5.1).
use super::hello::{HANDSHAKE_HEADER_LEN, Kind, MAJOR, RECORD_HANDSHAKE, RECORD_HEADER_LEN};

/// Longest hello that is put together, with its record headers; today's are below 2 KiB.
pub(super) const HELLO_LEN_MAX: usize = 8192;

/// What a text is the beginning of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    /// A hello, which is in `message`.
    Whole,
    /// A hello of which more is to come.
    Part,
    Other,
}

/// Copies the hello that a text of records begins with to `message`, as far as it goes.
#[cold]
pub(super) fn gather(text: &[u8], message: &mut Vec<u8>) -> Gathered {
    message.clear();
    let mut rest = text;
    loop {
        let begins = [RECORD_HANDSHAKE, MAJOR];
        if !rest.iter().zip(begins).all(|(byte, wanted)| *byte == wanted) {
            return Gathered::Other;
        }
        let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER_LEN>() else { return Gathered::Part };
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let piece = &behind[..behind.len().min(len)];
        message.extend_from_slice(&piece[..piece.len().min(HELLO_LEN_MAX - message.len())]);
        if message.first().is_some_and(|kind| ![Kind::Client as u8, Kind::Server as u8].contains(kind)) {
            return Gathered::Other;
        }
        if let Some(&[_, h2, h1, h0]) = message.first_chunk::<HANDSHAKE_HEADER_LEN>() {
            let wanted = HANDSHAKE_HEADER_LEN + u32::from_be_bytes([0, h2, h1, h0]) as usize;
            if wanted > HELLO_LEN_MAX {
                return Gathered::Other;
            }
            if message.len() >= wanted {
                return Gathered::Whole;
            }
        }
        if piece.len() < len {
            return Gathered::Part;
        }
        // Records without content are not for handshakes.
        if len == 0 {
            return Gathered::Other;
        }
        rest = &behind[len..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l7::tls::hello::tests::{client_hello, record, server_hello};

    /// A message in records of so many bytes.
    fn records(message: &[u8], len: usize) -> Vec<u8> {
        message.chunks(len).flat_map(|piece| [&[22, 3, 3, 0, piece.len() as u8][..], piece].concat()).collect()
    }

    #[test]
    fn records_of_any_length() {
        for message in [client_hello(0x0303, &[1, 2], &[(21, &[0; 90])]), server_hello(0x0303, &[(16, b"x")])] {
            let mut out = Vec::new();
            for len in [1, 3, 4, 5, 50, 200] {
                let text = records(&message, len);
                for end in 0..text.len() {
                    assert_eq!(gather(&text[..end], &mut out), Gathered::Part, "{len}, {end}");
                }
                assert_eq!((gather(&text, &mut out), &out), (Gathered::Whole, &message));
            }
        }
    }

    #[test]
    fn what_is_no_hello() {
        let mut out = Vec::new();
        let certificate = record(&[11, 0, 0, 1, 0]);
        let long = record(&[1, 0, 0xff, 0xff, 0]);
        for text in [&[22, 2][..], &[23, 3, 3, 0, 1, 1], &[22, 3, 3, 0, 0], &certificate, &long] {
            assert_eq!(gather(text, &mut out), Gathered::Other, "{text:02x?}");
        }
        // The buffer is as long as the bound, and never longer.
        gather(&records(&[1; 9000], 200), &mut out);
        assert!(out.len() <= HELLO_LEN_MAX);
    }
}
