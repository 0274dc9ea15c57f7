//! Framing of the service interface, both ways (trap.md section 8).
//!
//! Header: u8 command, 3 bytes of padding, u32 little-endian length of what follows. A request is a header alone; an answer
//! is a header and JSON with a final NUL, which counts.

use std::ops::ControlFlow;

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;
/// Command of a request: tell the counters.
pub const GET: u8 = 10;
/// Command of an answer.
pub const OK_REPLY: u8 = 12;
/// Longest answer that is read from a module, bytes. Ours have about 150 bytes for each client of each output.
pub const REPLY_MAX: usize = 16 << 20;

/// A request or the beginning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is asked, or that it is answered.
    pub command: u8,
    /// Whatever the peer left there; an answer repeats it.
    pub padding: [u8; 3],
    /// Bytes that follow.
    pub len: u32,
}

impl Header {
    /// The request for counters.
    pub const REQUEST: Self = Self { command: GET, padding: [0; 3], len: 0 };

    /// Bytes of the header.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let (p, len) = (self.padding, self.len.to_le_bytes());
        [self.command, p[0], p[1], p[2], len[0], len[1], len[2], len[3]]
    }

    /// Reads a header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Self {
        let [command, a, b, c, len @ ..] = *bytes;
        Self { command, padding: [a, b, c], len: u32::from_le_bytes(len) }
    }
}

/// The answer to `request`: header, JSON, NUL.
#[must_use]
pub fn reply(request: Header, json: &str) -> Vec<u8> {
    let header = Header { command: OK_REPLY, len: json.len() as u32 + 1, ..request };
    let mut bytes = Vec::with_capacity(HEADER_LEN + json.len() + 1);
    bytes.extend_from_slice(&header.to_bytes());
    bytes.extend_from_slice(json.as_bytes());
    bytes.push(0);
    bytes
}

/// Collects the bytes of a request, which may come in pieces.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: [u8; HEADER_LEN],
    filled: usize,
}

impl Requests {
    /// Where the next bytes of the request go: never empty, never more than the request lacks.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// Takes `len` bytes that were written to [`Requests::spare`]. `Continue` has the request when it is complete; `Break` means
    /// that the peer asked for something that is not answered, so it is to be closed. Known from the first byte on.
    pub fn filled(&mut self, len: usize) -> ControlFlow<(), Option<Header>> {
        self.filled = (self.filled + len).min(HEADER_LEN);
        if self.filled > 0 && self.bytes[0] != GET {
            return ControlFlow::Break(());
        }
        if self.filled < HEADER_LEN {
            return ControlFlow::Continue(None);
        }
        self.filled = 0;
        ControlFlow::Continue(Some(Header::from_bytes(&self.bytes)))
    }

    /// True when a request has begun and is not complete.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.filled > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_real_library() {
        assert_eq!(Header::REQUEST.to_bytes(), [10, 0, 0, 0, 0, 0, 0, 0]);
        let header = Header::from_bytes(&[12, 1, 2, 3, 0xa4, 0, 0, 0]);
        assert_eq!(header, Header { command: OK_REPLY, padding: [1, 2, 3], len: 164 });
        assert_eq!(reply(Header { padding: [7, 8, 9], ..Header::REQUEST }, "{}"), *b"\x0c\x07\x08\x09\x03\0\0\0{}\0");
    }

    #[test]
    fn requests_come_in_pieces_and_others_are_refused() {
        let mut requests = Requests::default();
        for byte in Header::REQUEST.to_bytes() {
            assert_eq!(requests.spare().len(), HEADER_LEN - requests.filled);
            requests.spare()[0] = byte;
            let is_last = requests.filled == HEADER_LEN - 1;
            assert_eq!(requests.filled(1), ControlFlow::Continue(is_last.then_some(Header::REQUEST)));
            assert_eq!(requests.is_pending(), !is_last);
        }
        // SET was never made, and closes the connection (trap.md section 8).
        requests.spare()[0] = 11;
        assert_eq!(requests.filled(1), ControlFlow::Break(()));
    }
}
