//! Containers: many messages behind one header, on the wire and in files (trap.md sections 5 and 9.1).
//!
//! Wire: u32 BE payload length, u64 LE sequence of the first message, u16 LE count, then count x (u16 BE length, bytes).
//! File: u32 BE payload length, then the same payload.

use crate::batch::Batch;

/// Header bytes on the wire.
pub const WIRE_HEADER: usize = 14;
/// Header bytes in a file.
pub const FILE_HEADER: usize = 4;
/// Default container size of sockets including its header, hence 99986 bytes of payload (trap.md section 5.2).
pub const BUFFER_SIZE: usize = 100_000;
/// Largest container that a real receiver survives: its buffer ends after 100000 payload bytes (trap.md rule 3).
pub const BUFFER_SIZE_MAX: usize = 100_000 + WIRE_HEADER;
/// Payload of a full file block (trap.md section 9.1).
pub const FILE_PAYLOAD: usize = 100_000;
/// Largest payload accepted from a peer or file: the original reserves 800000 bytes per container (trap.md section 2.2).
pub const PAYLOAD_MAX: usize = 800_000;
/// Bytes of the length before each message.
pub const LEN_PREFIX: usize = 2;

/// What of a container is known before its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes after the header.
    pub payload_len: u32,
    /// Messages put into the output before this container; 0 in files.
    pub first_seq: u64,
    /// Messages in this container; 0 in files.
    pub count: u16,
}

impl Header {
    /// Wire form.
    #[must_use]
    pub fn to_wire(self) -> [u8; WIRE_HEADER] {
        let mut bytes = [0; WIRE_HEADER];
        bytes[..4].copy_from_slice(&self.payload_len.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[12..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// Reads the wire form.
    #[must_use]
    pub fn from_wire(bytes: &[u8; WIRE_HEADER]) -> Self {
        let [a, b, c, d, seq @ .., count_low, count_high] = *bytes;
        Self {
            payload_len: u32::from_be_bytes([a, b, c, d]),
            first_seq: u64::from_le_bytes(seq),
            count: u16::from_le_bytes([count_low, count_high]),
        }
    }
}

/// The container being filled. Messages are copied once, behind room for the header.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    header_len: usize,
    capacity: usize,
    count: u16,
}

impl Builder {
    /// A container for sockets of at most `buffer_size` bytes with header, bounded by [`BUFFER_SIZE_MAX`].
    #[must_use]
    pub fn wire(buffer_size: usize) -> Self {
        Self::new(WIRE_HEADER, buffer_size.min(BUFFER_SIZE_MAX))
    }

    /// A file block of at most [`FILE_PAYLOAD`] payload bytes.
    #[must_use]
    pub fn file() -> Self {
        Self::new(FILE_HEADER, FILE_HEADER + FILE_PAYLOAD)
    }

    fn new(header_len: usize, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.resize(header_len, 0);
        Self { bytes, header_len, capacity, count: 0 }
    }

    /// True when a message of `len` bytes can never be sent: longer than 65535 or than an empty container.
    #[must_use]
    pub fn is_oversize(&self, len: usize) -> bool {
        len > usize::from(u16::MAX) || self.header_len + LEN_PREFIX + len > self.capacity
    }

    /// Appends `msg`; false (and nothing changed) when the container is too full for it.
    #[must_use]
    #[inline]
    pub fn push(&mut self, msg: &[u8]) -> bool {
        let Ok(len) = u16::try_from(msg.len()) else { return false };
        if self.count == u16::MAX || self.bytes.len() + LEN_PREFIX + msg.len() > self.capacity {
            return false;
        }
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(msg);
        self.count += 1;
        true
    }

    /// Appends the first messages of a batch, as many as there is room for, and answers the rest.
    pub(crate) fn push_batch<'a>(&mut self, batch: &Batch<'a>) -> Batch<'a> {
        let (fits, rest) = batch.split(self.capacity - self.bytes.len(), u16::MAX - self.count);
        self.bytes.extend_from_slice(fits.as_bytes());
        // No more than was split off by the count.
        self.count += fits.len() as u16;
        rest
    }

    /// Messages inside.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// True when it holds no message; such a container must never be sent (trap.md rule 2).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the header (`first_seq` matters on the wire only) and lends the whole container.
    pub fn seal(&mut self, first_seq: u64) -> &[u8] {
        let payload_len = (self.bytes.len() - self.header_len) as u32;
        let header = Header { payload_len, first_seq, count: self.count }.to_wire();
        self.bytes[..self.header_len].copy_from_slice(&header[..self.header_len]);
        &self.bytes
    }

    /// As [`Builder::seal`], but gives the container away and goes on, empty, in the memory of `spare`.
    pub fn take_sealed(&mut self, first_seq: u64, mut spare: Vec<u8>) -> Vec<u8> {
        self.seal(first_seq);
        spare.clear();
        spare.reserve(self.capacity);
        spare.resize(self.header_len, 0);
        self.count = 0;
        std::mem::replace(&mut self.bytes, spare)
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.header_len);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_real_library() {
        let mut c = Builder::wire(BUFFER_SIZE);
        for (n, text) in ["", "x", "xx", "xxx", "xxxx"].iter().enumerate() {
            let mut msg = vec![n as u8, 0, 0, 0, n as u8, 0];
            msg.extend_from_slice(text.as_bytes());
            assert!(c.push(&msg));
        }
        let bytes = c.seal(0);
        assert_eq!(bytes[..14], [0, 0, 0, 0x32, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0]);
        assert_eq!(bytes[14..22], [0, 6, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.len(), 14 + 0x32);
        c.clear();
        assert!(c.push(&[0]));
        assert_eq!(c.seal(8), [0, 0, 0, 3, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn capacity_is_that_of_the_original() {
        let mut c = Builder::wire(BUFFER_SIZE);
        // 99 messages of 1000 bytes fit: 14 + 99 * 1002 = 99212 <= 100000 < 14 + 100 * 1002.
        assert_eq!((0..).take_while(|_| c.push(&[7; 1000])).count(), 99);
        assert_eq!(c.seal(0).len(), 14 + 99 * 1002);
        assert!(c.is_oversize(65536));
        assert!(!c.is_oversize(65535));
        let small = Builder::wire(100);
        assert!(!small.is_oversize(84));
        assert!(small.is_oversize(85));
        // Larger requests are cut to what real receivers can hold.
        assert_eq!(Builder::wire(800_000).capacity, BUFFER_SIZE_MAX);
    }

    #[test]
    fn header_round_trip() {
        let header = Header { payload_len: 0x0102_0304, first_seq: 0x0a0b_0c0d_0e0f_1011, count: 0x1213 };
        assert_eq!(Header::from_wire(&header.to_wire()), header);
    }
}
