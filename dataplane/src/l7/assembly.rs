//! The bytes of one direction of a TCP connection, put together as segments come: in order, too early, twice, overlapping (RFC 9293
//! section 3.10.7.4).
//!
//! The buffer is the caller's and bounds it all: what lies behind its end is not kept. Bytes that are in order already stay as they are.
use crate::packet::tcp;

/// Separate pieces that wait behind a gap at the most; the next one is not kept.
const AHEAD_MAX: usize = 8;
/// A segment that is farther away than this belongs to another connection of the same ports.
pub(super) const FAR: i32 = 1 << 20;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Assembly {
    /// Sequence number of the buffer's first byte.
    start: u32,
    /// Bytes from there on that are all here.
    len: usize,
    /// Where the pieces behind a gap begin and end in the buffer; they lie apart, in order.
    ahead: [(usize, usize); AHEAD_MAX],
    waiting: usize,
}

/// What a segment was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The bytes in order have become more.
    Grew,
    /// Here already.
    Known,
    /// Behind a gap, or behind the buffer's end.
    Early,
    /// Of another connection.
    Foreign,
}

impl Assembly {
    pub(super) fn new(start: u32) -> Assembly {
        Assembly { start, ..Assembly::default() }
    }

    /// Bytes that are in order.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has_gap(&self) -> bool {
        self.waiting > 0
    }

    /// Where what was kept ends in the buffer.
    pub(super) fn end(&self) -> usize {
        self.ahead[..self.waiting].last().map_or(self.len, |(_, end)| *end)
    }

    /// The sequence number that is wanted next.
    pub(super) fn next(&self) -> u32 {
        self.start.wrapping_add(self.len as u32)
    }

    pub(super) fn add(&mut self, buffer: &mut [u8], payload: &[u8], sequence: u32) -> Added {
        let offset = tcp::distance(self.start, sequence);
        if !(-FAR..=FAR).contains(&offset) {
            return Added::Foreign;
        }
        let begin = (offset as isize).max(self.len as isize) as usize;
        let end = (offset as isize + payload.len() as isize).min(buffer.len() as isize);
        if end <= begin as isize {
            return if offset > self.len as i32 || self.len == buffer.len() { Added::Early } else { Added::Known };
        }
        let end = end as usize;
        let skipped = (begin as isize - offset as isize) as usize;
        let piece = &payload[skipped..skipped + end - begin];
        if begin > self.len && !self.wait(begin, end) {
            return Added::Early;
        }
        buffer[begin..end].copy_from_slice(piece);
        if begin > self.len {
            return Added::Early;
        }
        self.len = end;
        self.join();
        Added::Grew
    }

    /// Takes the gap before the first early piece for lost: its bytes are 0, and what lies before them is forgotten. Answers whether there
    /// was one.
    pub(super) fn skip_gap(&mut self, buffer: &mut [u8]) -> bool {
        let Some((begin, _)) = self.ahead[..self.waiting].first().copied() else { return false };
        self.len = begin;
        self.drop_front(buffer, begin);
        self.join();
        true
    }

    /// Forgets the first `count` bytes that are in order.
    pub(super) fn drop_front(&mut self, buffer: &mut [u8], count: usize) {
        let count = count.min(self.len);
        let end = self.end();
        buffer.copy_within(count..end, 0);
        self.start = self.start.wrapping_add(count as u32);
        self.len -= count;
        for (begin, end) in &mut self.ahead[..self.waiting] {
            *begin -= count;
            *end -= count;
        }
    }

    /// Notes an early piece; `false` if there is no room for one more.
    fn wait(&mut self, begin: usize, end: usize) -> bool {
        let at = self.ahead[..self.waiting].iter().position(|piece| begin <= piece.1).unwrap_or(self.waiting);
        // Pieces that touch the new one become one with it.
        let touched = self.ahead[at..self.waiting].iter().take_while(|piece| piece.0 <= end).count();
        match touched {
            0 if self.waiting == AHEAD_MAX => return false,
            0 => {
                self.ahead.copy_within(at..self.waiting, at + 1);
                self.ahead[at] = (begin, end);
                self.waiting += 1;
            }
            _ => {
                let last = self.ahead[at + touched - 1].1;
                self.ahead[at] = (begin.min(self.ahead[at].0), end.max(last));
                self.ahead.copy_within(at + touched..self.waiting, at + 1);
                self.waiting -= touched - 1;
            }
        }
        true
    }

    /// Takes the early pieces that no gap is before any longer.
    fn join(&mut self) {
        let reached = self.ahead[..self.waiting].iter().take_while(|piece| piece.0 <= self.len).count();
        if let Some(piece) = self.ahead[..reached].last() {
            self.len = self.len.max(piece.1);
            self.ahead.copy_within(reached..self.waiting, 0);
            self.waiting -= reached;
            self.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn early_pieces_wait_for_the_gap() {
        let (mut buffer, mut a) = ([0; 8], Assembly::new(u32::MAX - 1));
        assert_eq!(a.add(&mut buffer, b"gh", 4), Added::Early);
        assert_eq!(a.add(&mut buffer, b"cd", 0), Added::Early);
        assert_eq!((a.len(), a.has_gap()), (0, true));
        assert_eq!(a.add(&mut buffer, b"ab", u32::MAX - 1), Added::Grew);
        assert_eq!((a.len(), a.next()), (4, 2));
        assert_eq!(a.add(&mut buffer, b"XXefXX", 0), Added::Grew, "what is known stays");
        assert_eq!((&buffer, a.len(), a.has_gap()), (b"abcdefXX", 8, false));
        assert_eq!(a.add(&mut buffer, b"ij", 6), Added::Early, "no room");
        assert_eq!(a.add(&mut buffer, b"a", 1 << 30), Added::Foreign);
    }

    #[test]
    fn the_front_goes_and_gaps_are_skipped() {
        let (mut buffer, mut a) = ([0; 16], Assembly::new(100));
        a.add(&mut buffer, b"abcd", 100);
        a.add(&mut buffer, b"ij", 108);
        a.drop_front(&mut buffer, 3);
        assert_eq!((&buffer[..1], a.len(), a.next()), (&b"d"[..], 1, 104));
        assert!(a.skip_gap(&mut buffer));
        assert_eq!((&buffer[..a.len()], a.next()), (&b"ij"[..], 110));
        assert!(!a.skip_gap(&mut buffer));
    }

    proptest! {
        /// Whatever comes in whatever order: with all pieces the text is there.
        #[test]
        fn any_order_gives_the_text(mut cuts in prop::collection::vec(0usize..200, 0..6), start: u32, seed in any::<prop::sample::Index>()) {
            let text: Vec<u8> = (0..200u8).collect();
            cuts.extend([0, 200]);
            cuts.sort_unstable();
            let mut pieces: Vec<(usize, &[u8])> = cuts.windows(2).map(|w| (w[0], &text[w[0]..w[1]])).collect();
            let half = seed.index(pieces.len());
            pieces.rotate_left(half);
            pieces[half / 2..].reverse();
            let (mut buffer, mut a) = ([0xff; 200], Assembly::new(start));
            for (at, piece) in pieces {
                a.add(&mut buffer, piece, start.wrapping_add(at as u32));
            }
            prop_assert_eq!((a.len(), &buffer[..]), (200, &text[..]));
        }

        /// Lies about places change nothing that is in order.
        #[test]
        fn any_segments_are_survived(segments in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40), 0usize..9), 0..60)) {
            let (mut buffer, mut a) = ([0; 64], Assembly::new(0));
            for (at, bytes, drop) in segments {
                let before = buffer[..a.len()].to_vec();
                a.add(&mut buffer, &bytes, u32::from(at % 80));
                prop_assert!(a.len() <= 64 && buffer.starts_with(&before));
                match drop {
                    8 => { a.skip_gap(&mut buffer); }
                    count => a.drop_front(&mut buffer, count),
                }
                prop_assert!(a.ahead[..a.waiting].iter().all(|p| a.len() < p.0 && p.0 < p.1 && p.1 <= 64));
                prop_assert!(a.ahead[..a.waiting].windows(2).all(|w| w[0].1 < w[1].0));
            }
        }
    }
}
