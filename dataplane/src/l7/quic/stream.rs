//! The client's CRYPTO stream of an Initial: frames in any order, over one packet or several (RFC 9000 sections 7.5 and 19.6).
//!
//! A lane holds [`STREAMS_MAX`] unfinished streams of at most [`STREAM_LEN_MAX`] bytes; the next one takes the place of the oldest, whose
//! flow then goes without a ClientHello.
use super::packet::Reader;

/// Unfinished streams on one lane. The rest of a ClientHello follows at once.
pub const STREAMS_MAX: usize = 64;
/// Longest ClientHello that is put together; today's are below 2 KiB.
pub const STREAM_LEN_MAX: usize = 4096;
const WORD: usize = u64::BITS as usize;

/// What a flow keeps of its unfinished stream; the default stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(u64);

record::packed!(Ticket { 0: u64 });

/// Bytes of one stream, and which of them have come.
#[derive(Clone)]
pub struct Stream {
    owner: Ticket,
    bytes: [u8; STREAM_LEN_MAX],
    present: [u64; STREAM_LEN_MAX / WORD],
    /// One behind the last byte that has come.
    end: usize,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream { owner: Ticket(0), bytes: [0; STREAM_LEN_MAX], present: [0; STREAM_LEN_MAX / WORD], end: 0 }
    }
}

impl Stream {
    pub fn clear(&mut self) {
        self.bytes[..self.end].fill(0);
        self.present.fill(0);
        self.end = 0;
    }

    /// Takes the CRYPTO frames of a packet; `None` if there is another frame than an Initial may have, or one that is cut.
    pub fn take(&mut self, frames: &[u8]) -> Option<()> {
        let mut reader = Reader { bytes: frames, at: 0 };
        while reader.at < frames.len() {
            match reader.number()? {
                frame::PADDING | frame::PING => {}
                kind @ (frame::ACK | frame::ACK_ECN) => {
                    let [_largest, _delay, ranges, _first] = numbers(&mut reader)?;
                    for _ in 0..ranges {
                        let [_gap, _len] = numbers(&mut reader)?;
                    }
                    if kind == frame::ACK_ECN {
                        let [_ect0, _ect1, _ce] = numbers(&mut reader)?;
                    }
                }
                frame::CRYPTO => {
                    let [offset, len] = numbers(&mut reader)?;
                    self.put(offset, reader.take(usize::try_from(len).ok()?)?);
                }
                kind @ (frame::CLOSE | frame::CLOSE_BY_APPLICATION) => {
                    let _code = reader.number()?;
                    if kind == frame::CLOSE {
                        let _cause = reader.number()?;
                    }
                    let len = reader.number()?;
                    reader.take(usize::try_from(len).ok()?)?;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// What lies behind the bound is not kept.
    fn put(&mut self, offset: u64, data: &[u8]) {
        let Some(at) = usize::try_from(offset).ok().filter(|at| *at < STREAM_LEN_MAX) else { return };
        let len = data.len().min(STREAM_LEN_MAX - at);
        self.bytes[at..at + len].copy_from_slice(&data[..len]);
        (at..at + len).for_each(|at| self.present[at / WORD] |= 1 << (at % WORD));
        self.end = self.end.max(at + len);
    }

    /// The handshake message that the stream begins with, once it is whole.
    pub fn message(&self) -> Option<&[u8]> {
        let words = self.present.iter().take_while(|word| **word == u64::MAX).count();
        let begun = words * WORD + self.present.get(words).map_or(0, |word| word.trailing_ones() as usize);
        let &[_kind, a, b, c] = self.bytes[..begun].first_chunk()?;
        self.bytes[..begun].get(..4 + u32::from_be_bytes([0, a, b, c]) as usize)
    }

    /// All up to the last byte that has come, with zeros in the gaps, if it is not longer than `max`.
    pub fn with_gaps(&self, max: usize) -> Option<&[u8]> {
        (self.end <= max).then(|| &self.bytes[..self.end])
    }
}

fn numbers<const N: usize>(reader: &mut Reader<'_>) -> Option<[u64; N]> {
    let mut out = [0; N];
    for number in &mut out {
        *number = reader.number()?;
    }
    Some(out)
}

/// Frame types (RFC 9000 section 12.4).
mod frame {
    pub(super) const PADDING: u64 = 0;
    pub(super) const PING: u64 = 1;
    pub(super) const ACK: u64 = 2;
    pub(super) const ACK_ECN: u64 = 3;
    pub(super) const CRYPTO: u64 = 6;
    pub(super) const CLOSE: u64 = 0x1c;
    pub(super) const CLOSE_BY_APPLICATION: u64 = 0x1d;
}

/// The unfinished streams of a lane.
pub struct Streams {
    streams: Vec<Stream>,
    last: Ticket,
}

/// Takes the memory.
impl Default for Streams {
    fn default() -> Streams {
        Streams { streams: vec![Stream::default(); STREAMS_MAX], last: Ticket(0) }
    }
}

impl Streams {
    /// The stream of a ticket; a new one if there was none, or if it had to make room.
    pub fn of(&mut self, ticket: &mut Ticket) -> &mut Stream {
        let place = |ticket: &Ticket| ticket.0 as usize % STREAMS_MAX;
        if *ticket == Ticket(0) || self.streams[place(ticket)].owner != *ticket {
            self.last.0 += 1;
            *ticket = self.last;
            let stream = &mut self.streams[place(ticket)];
            stream.clear();
            stream.owner = *ticket;
        }
        &mut self.streams[place(ticket)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crypto(offset: u8, data: &[u8]) -> Vec<u8> {
        [&[6, offset, data.len() as u8], data].concat()
    }

    #[test]
    fn frames_in_any_order() {
        let message = [1, 0, 0, 5, 1, 2, 3, 4, 5, 99];
        let mut stream = Stream::default();
        assert_eq!(stream.take(&[&crypto(6, &message[6..])[..], &[0, 0, 1, 2, 9, 0, 1, 0, 0, 0]].concat()), Some(()));
        assert_eq!(stream.message(), None);
        assert_eq!(stream.with_gaps(10), Some(&[0, 0, 0, 0, 0, 0, 3, 4, 5, 99][..]));
        assert_eq!(stream.take(&crypto(0, &message[..6])), Some(()));
        assert_eq!(stream.message(), Some(&message[..9]));
        assert_eq!(stream.take(&[0x1c, 0, 6, 1, b'x', 8]), None, "a STREAM frame");
        stream.clear();
        assert_eq!((stream.message(), stream.with_gaps(0)), (None, Some(&[][..])));
    }

    #[test]
    fn streams_make_room() {
        let mut streams = Streams::default();
        let mut first = Ticket::default();
        streams.of(&mut first).take(&crypto(0, &[1, 0, 0, 0])).expect("good frames");
        assert!(streams.of(&mut first).message().is_some());
        let mut others = [Ticket::default(); STREAMS_MAX];
        others.iter_mut().for_each(|ticket| {
            streams.of(ticket);
        });
        assert!(streams.of(&mut first).message().is_none(), "begun anew");
    }

    proptest! {
        #[test]
        fn any_frames_are_survived(frames in prop::collection::vec(any::<u8>(), 0..100), offset in any::<u64>()) {
            let mut stream = Stream::default();
            stream.take(&frames);
            stream.put(offset, &frames);
            prop_assert!(stream.end <= STREAM_LEN_MAX);
        }
    }
}
