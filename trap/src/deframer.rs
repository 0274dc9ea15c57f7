//! From bytes to HELLO, containers and messages, wherever the bytes were cut (trap.md sections 4.1, 5 and 9.1).
//!
//! No I/O: the owner reads into [`Deframer::spare`] and asks [`Deframer::next_item`]. A message is a range of the buffer,
//! valid until the next `spare`; nothing is copied per message. A container shows up only when it is complete, so a lost
//! connection never delivers half of one (trap.md section 6).

use std::ops::Range;

use thiserror::Error;

use crate::batch::Batch;
use crate::container::{FILE_HEADER, Header, LEN_PREFIX, PAYLOAD_MAX, WIRE_HEADER};
use crate::format::Format;
use crate::hello::{self, HELLO_LEN, HelloError};

/// First size of the buffer: two full containers of the default size, so that one read can bring several.
const BUFFER_START: usize = 256 * 1024;

/// Least room for a read.
const READ_MIN: usize = 32 * 1024;

/// Which container header is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Sockets: 14 bytes with sequence and count.
    Wire,
    /// Files: 4 bytes.
    File,
}

/// Next thing found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// At least [`Deframer::missing`] more bytes are needed.
    NeedMore,
    /// The announcement at the beginning.
    Hello(Format),
    /// A complete container begins.
    Container(Header),
    /// Place of a message; read it with [`Deframer::bytes`].
    Message(Range<usize>),
}

/// Why a stream cannot be followed any further.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StreamError {
    /// The beginning is no HELLO.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// A container without payload; real receivers take it for a disconnect (trap.md rule 2).
    #[error("container without payload")]
    Empty,
    /// A container larger than [`PAYLOAD_MAX`]; probably libtrap 1.16 or no TRAP sender at all (trap.md rule 5).
    #[error("container of {0} bytes, more than {PAYLOAD_MAX}; is the sender older than libtrap 1.17?")]
    TooLong(u32),
    /// A message reaches beyond its container.
    #[error("message of {len} bytes where the container has {left} left")]
    Overrun {
        /// Announced length of the message.
        len: usize,
        /// Bytes left in the container.
        left: usize,
    },
}

/// Resumable parser of one connection or one file.
#[derive(Debug)]
pub struct Deframer {
    layout: Layout,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    phase: Phase,
    /// A short last block of a file is served as far as it goes (trap.md section 9.1).
    lenient: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Hello,
    Header,
    Payload { left: usize },
}

impl Deframer {
    /// A parser that expects HELLO.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self { layout, buf: Vec::new(), start: 0, end: 0, phase: Phase::Hello, lenient: false }
    }

    /// Forgets everything, keeping the memory; expects HELLO again.
    pub fn reset(&mut self) {
        (self.start, self.end, self.phase, self.lenient) = (0, 0, Phase::Hello, false);
    }

    /// For a source that announces nothing: containers begin at once.
    pub fn skip_hello(&mut self) {
        self.phase = Phase::Header;
    }

    /// Room to read into, never empty. Invalidates ranges given before.
    pub fn spare(&mut self) -> &mut [u8] {
        // What is left is moved to the front only for room, so that most bytes stay where the system put them.
        let room = self.missing().max(READ_MIN);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.buf.len() < self.end + room {
            self.buf.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let needed = (self.end + room).max(BUFFER_START);
        if self.buf.len() < needed {
            self.buf.resize(needed, 0);
        }
        &mut self.buf[self.end..]
    }

    /// Tells that the first `len` bytes of the last `spare` were written; more than there was counts as all.
    pub fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.buf.len());
    }

    /// Appends bytes; for tests and for owners that already hold them.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.spare();
            let len = spare.len().min(bytes.len());
            spare[..len].copy_from_slice(&bytes[..len]);
            self.filled(len);
            bytes = &bytes[len..];
        }
    }

    /// Bytes of a message, or nothing for a range that was never given.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.buf.get(range).unwrap_or_default()
    }

    /// True before HELLO was complete.
    #[must_use]
    pub fn expects_hello(&self) -> bool {
        matches!(self.phase, Phase::Hello)
    }

    /// Bytes received but not served yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Bytes missing for the next item; 0 when `next_item` can already answer.
    #[must_use]
    pub fn missing(&self) -> usize {
        let have = self.unread();
        let needed = match self.phase {
            Phase::Hello => match have.first_chunk::<HELLO_LEN>() {
                Some(header) => HELLO_LEN + hello::spec_len(header).unwrap_or(0),
                None => HELLO_LEN,
            },
            Phase::Header => match self.header() {
                Some(header) if header.payload_len as usize <= PAYLOAD_MAX => {
                    self.header_len() + header.payload_len as usize
                }
                Some(_) => self.header_len(),
                None => self.header_len(),
            },
            Phase::Payload { .. } => 0,
        };
        needed.saturating_sub(have.len())
    }

    /// The next message, if it lies in the container at hand; none where anything else comes next, which [`Deframer::next_item`] tells.
    #[inline]
    pub fn next_at_hand(&mut self) -> Option<Range<usize>> {
        let Phase::Payload { left } = self.phase else { return None };
        let len = usize::from(u16::from_be_bytes(*self.buf.get(self.start..self.end)?.first_chunk()?));
        let rest = left.checked_sub(LEN_PREFIX + len)?;
        let begin = self.start + LEN_PREFIX;
        // A complete container lies in the buffer as a whole; the short last block of a file may not.
        if begin + len > self.end {
            return None;
        }
        self.start = begin + len;
        self.phase = Phase::Payload { left: rest };
        Some(begin..begin + len)
    }

    /// The messages that follow in the container at hand, up to one that ends the stream.
    pub fn batch_at_hand(&mut self) -> Option<Batch<'_>> {
        let Phase::Payload { left } = self.phase else { return None };
        let inside = self.buf.get(self.start..self.end)?.get(..left)?;
        let batch = Batch::beginning_of(inside);
        self.start += batch.as_bytes().len();
        self.phase = Phase::Payload { left: left - batch.as_bytes().len() };
        (!batch.is_empty()).then_some(batch)
    }

    /// The next item. After an error the stream cannot be followed: `reset` or drop.
    ///
    /// # Errors
    /// [`StreamError`] on bytes that no sender may send; the items before them were served.
    pub fn next_item(&mut self) -> Result<Item, StreamError> {
        match self.phase {
            Phase::Hello => self.next_hello(),
            Phase::Payload { left } if left > 0 => self.next_message(left),
            Phase::Payload { .. } | Phase::Header => self.next_container(),
        }
    }

    /// Tells that no byte follows. True when an incomplete item is left; the messages of a short last block are then
    /// served by further `next_item` calls.
    pub fn end_of_bytes(&mut self) -> bool {
        let left = self.unread().len();
        if matches!(self.phase, Phase::Header) && left > self.header_len() {
            self.start += self.header_len();
            self.phase = Phase::Payload { left: self.unread().len() };
            self.lenient = true;
        }
        left > 0
    }

    fn next_hello(&mut self) -> Result<Item, StreamError> {
        let Some((header, rest)) = self.unread().split_first_chunk::<HELLO_LEN>() else { return Ok(Item::NeedMore) };
        let spec_len = hello::spec_len(header)?;
        let Some(spec) = rest.get(..spec_len) else { return Ok(Item::NeedMore) };
        let format = hello::decode(header, spec)?;
        self.start += HELLO_LEN + spec_len;
        self.phase = Phase::Header;
        Ok(Item::Hello(format))
    }

    fn next_container(&mut self) -> Result<Item, StreamError> {
        self.phase = Phase::Header;
        let Some(header) = self.header() else { return Ok(Item::NeedMore) };
        let len = header.payload_len as usize;
        if len == 0 {
            return Err(StreamError::Empty);
        }
        if len > PAYLOAD_MAX {
            return Err(StreamError::TooLong(header.payload_len));
        }
        if self.unread().len() < self.header_len() + len {
            return Ok(Item::NeedMore);
        }
        self.start += self.header_len();
        self.phase = Phase::Payload { left: len };
        Ok(Item::Container(header))
    }

    fn next_message(&mut self, left: usize) -> Result<Item, StreamError> {
        // Not beyond the container: what follows it may have come already or not.
        let inside = self.unread().get(..left).unwrap_or_default();
        let len = inside.first_chunk::<LEN_PREFIX>().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        if LEN_PREFIX + len > left {
            if self.lenient {
                (self.start, self.phase) = (self.end, Phase::Header);
                return Ok(Item::NeedMore);
            }
            return Err(StreamError::Overrun { len, left: left.saturating_sub(LEN_PREFIX) });
        }
        let begin = self.start + LEN_PREFIX;
        self.start = begin + len;
        self.phase = Phase::Payload { left: left - LEN_PREFIX - len };
        Ok(Item::Message(begin..begin + len))
    }

    fn unread(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    fn header_len(&self) -> usize {
        match self.layout {
            Layout::Wire => WIRE_HEADER,
            Layout::File => FILE_HEADER,
        }
    }

    fn header(&self) -> Option<Header> {
        match self.layout {
            Layout::Wire => self.unread().first_chunk().map(Header::from_wire),
            Layout::File => {
                let len = u32::from_be_bytes(*self.unread().first_chunk()?);
                Some(Header { payload_len: len, first_seq: 0, count: 0 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(deframer: &mut Deframer) -> Result<Vec<Vec<u8>>, StreamError> {
        let mut found = Vec::new();
        loop {
            if let Some(range) = deframer.next_at_hand() {
                found.push(deframer.bytes(range).to_vec());
                continue;
            }
            match deframer.next_item()? {
                Item::NeedMore => return Ok(found),
                Item::Message(range) => found.push(deframer.bytes(range).to_vec()),
                Item::Hello(_) | Item::Container(_) => {}
            }
        }
    }

    #[test]
    fn bad_containers_are_errors() {
        let stream = |container: &[u8]| {
            let mut deframer = Deframer::new(Layout::Wire);
            deframer.feed(&[1, 0, 0, 0, 0, 0, 0, 0]);
            deframer.feed(container);
            messages(&mut deframer)
        };
        assert_eq!(stream(&[0; 14]), Err(StreamError::Empty));
        assert_eq!(stream(&[0xff; 14]), Err(StreamError::TooLong(u32::MAX)));
        let overrun = [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 9];
        assert_eq!(stream(&overrun), Err(StreamError::Overrun { len: 2, left: 1 }));
        let half_a_length = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9];
        assert_eq!(stream(&half_a_length), Err(StreamError::Overrun { len: 0, left: 0 }));
        assert_eq!(stream(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 9]), Ok(vec![vec![9]]));
    }

    #[test]
    fn short_last_block_of_a_file_is_served() {
        let mut deframer = Deframer::new(Layout::File);
        deframer.feed(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 5, 0, 4, 1, 2]);
        assert_eq!(messages(&mut deframer), Ok(vec![]));
        assert!(deframer.end_of_bytes());
        assert_eq!(messages(&mut deframer), Ok(vec![vec![5]]));
        assert!(!deframer.end_of_bytes());
    }

    #[test]
    fn missing_tells_the_rest() {
        let mut deframer = Deframer::new(Layout::Wire);
        assert_eq!(deframer.missing(), 8);
        deframer.feed(b"\x02\0\0\0\0\0\0\x07uint8");
        assert_eq!(deframer.missing(), 2);
    }
}
