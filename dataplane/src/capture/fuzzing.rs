//! Harnesses for fuzzers and property tests. They take any bytes; what they assert must hold for all.
//!
//! Asserted: no panic; the work ends; the same frames and the same error whether the capture lies in memory as a whole or comes in
//! pieces, however it is cut; every packet that was counted was lent, refused by the filter, or of an unknown link type.
use super::decode::{Filled, Input};
use super::file::Source;
use super::{CaptureError, CaptureStats, Frame, LinkType, OpenOptions, Poll, open_reader};
use super::{CaptureSource, unpack};
use record::Time;
use std::io::{self, Read};

/// Reads `data` as a classic pcap file: once as it is, and once with a file header that is right, so that the records are reached.
/// The first byte chooses among the kinds of header.
pub fn fuzz_pcap(data: &[u8]) {
    check(data, 1);
    let choice = data.first().copied().unwrap_or(0);
    let big = choice & 1 != 0;
    let magic = if choice & 2 != 0 { 0xa1b2_c3d4_u32 } else { 0xa1b2_3c4d };
    let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let head = [&word(magic)[..], &half(2), &half(4), &[0; 8], &word(65_535), &word(1)].concat();
    check(&[&head, data].concat(), usize::from(choice >> 2) + 1);
}

/// Reads `data` as a pcapng file: once as it is, and once behind a section header and an interface, so that the packet blocks are
/// reached. The first byte chooses the byte order.
pub fn fuzz_pcapng(data: &[u8]) {
    check(data, 1);
    let choice = data.first().copied().unwrap_or(0);
    let big = choice & 1 != 0;
    let half = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let word = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let section =
        [&[10, 13, 13, 10][..], &word(28), &word(0x1a2b_3c4d), &half(1), &half(0), &[255; 8], &word(28)].concat();
    let interface = [&word(1)[..], &word(20), &half(1), &half(0), &word(0), &word(20)].concat();
    check(&[&section, &interface, data].concat(), usize::from(choice >> 1) + 1);
}

/// All that a source lent and said.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub frames: Vec<(Vec<u8>, u32, Time, LinkType)>,
    pub stats: CaptureStats,
    /// The message of the error that ended it.
    pub error: Option<String>,
}

impl Told {
    /// Reads `source` to its end.
    pub fn by(source: &mut impl CaptureSource) -> Told {
        let mut frames = Vec::new();
        let error = drain(&mut frames, |take| source.burst(take));
        Told { frames, stats: source.stats(), error }
    }

    /// Reads `data` as it lies in memory.
    pub fn by_memory(data: &[u8]) -> Told {
        let mut source = Source::new(NAME, Slice(data), None);
        let mut frames = Vec::new();
        let error = drain(&mut frames, |take| source.burst(take));
        Told { frames, stats: source.stats(), error }
    }

    /// Reads `data` in pieces of the given lengths, over and over; between them the reader has nothing for a while. Lengths of 0 are
    /// taken for 1.
    pub fn by_pieces(data: &[u8], pieces: Vec<usize>) -> Told {
        let reader = Pieces { data: data.to_vec(), at: 0, pieces, turn: 0 };
        Told::by(&mut open_reader(NAME, reader, OpenOptions::default()))
    }
}

/// `data` as a capture that lies in memory, not packed.
pub(crate) fn in_memory(data: &[u8]) -> impl CaptureSource {
    Memory(Source::new(NAME, Slice(data), None))
}

struct Memory<'d>(Source<Slice<'d>>);

impl CaptureSource for Memory<'_> {
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        self.0.burst(take)
    }

    fn limit(&mut self, frames: usize) {
        self.0.limit(frames);
    }

    fn stats(&self) -> CaptureStats {
        self.0.stats()
    }
}

const NAME: &str = "input";

fn check(data: &[u8], piece: usize) {
    let memory = Told::by_memory(data);
    assert_eq!(memory.stats.packets, memory.frames.len() as u64 + memory.stats.filtered + memory.stats.unknown_link);
    // What looks packed is unpacked when it comes as a stream; as a map it never reaches the decoder.
    if unpack::is_packed(data).is_none() {
        assert_eq!(memory, Told::by_pieces(data, vec![piece, 1, 7, 4_096]));
    }
}

fn drain(
    frames: &mut Vec<(Vec<u8>, u32, Time, LinkType)>,
    mut burst: impl FnMut(&mut dyn FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError>,
) -> Option<String> {
    loop {
        let mut take = |lent: &[Frame<'_>]| {
            assert!((1..=super::BURST).contains(&lent.len()));
            frames.extend(lent.iter().map(|frame| (frame.bytes.to_vec(), frame.wire_len, frame.at, frame.link)));
        };
        match burst(&mut take) {
            Ok(Poll::End) => return None,
            Ok(Poll::More | Poll::Idle) => {}
            Err(error) => return Some(error.to_string()),
        }
    }
}

/// A whole capture in memory.
struct Slice<'d>(&'d [u8]);

impl Input for Slice<'_> {
    const IN_CACHE: bool = false;

    fn window(&self) -> &[u8] {
        self.0
    }

    fn last(&self) -> bool {
        true
    }

    fn consume(&mut self, used: usize) {
        self.0 = &self.0[used..];
    }

    fn fill(&mut self, _need: usize) -> Result<Filled, CaptureError> {
        unreachable!("the window is the last one")
    }

    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}

struct Pieces {
    data: Vec<u8>,
    at: usize,
    pieces: Vec<usize>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        if self.turn.is_multiple_of(2) {
            let kind = if self.turn.is_multiple_of(4) { io::ErrorKind::WouldBlock } else { io::ErrorKind::Interrupted };
            return Err(kind.into());
        }
        let piece = if self.pieces.is_empty() { 1 } else { self.pieces[self.turn / 2 % self.pieces.len()].max(1) };
        let rest = &self.data[self.at..];
        let count = rest.len().min(piece).min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
