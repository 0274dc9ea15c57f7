//! Scouts find the records of a classic pcap file before its reader comes to them, and ask memory for their headers.
//!
//! Where a record begins is told only by the one before it, so a reader that nobody goes ahead of waits for memory at each packet.
//! Asking for every line ahead of it needs no knowledge, but fetches the whole file, and memory gives a core no more than 15 GB/s. At a
//! mean of 428 bytes 6.7 lines a packet are fetched then, for 2 or 3 that are read. So scouts begin at many places of the window at a time,
//! each at a record that it knows by the looks of its header; they hop from header to header, note where records begin and ask for
//! the lines that will be read. None waits for another. Where one ends exactly at the place at which the next began, that one was right;
//! what lies behind a scout that was wrong, the reader finds for itself.
//!
//! Measured (`cargo xtask synth realistic --packets 2000000`, headers touched, in C, Xeon of 2.7 GHz): nothing asked 125 ms, all lines
//! 57; the fetching alone with 1 scout 136 ms, with 4 55, 8 38, 16 25, 24 no better; 24 is what it takes when all places are known.
use super::decode::CAPLEN_MAX;
use super::pcap::{RECORD_HEAD_LEN, word};
use memchr::memmem::Finder;
use sys::prefetch_far;

/// Misses that a core has under way at a time; more scouts do not help.
const SCOUTS_MAX: usize = 16;
/// Bytes that are scouted at a time: what is fetched of them stays in the L2 cache until it is read.
const SPAN: usize = 512 << 10;
/// Bytes that are worth a scout: finding its first record takes as long as some ten hops.
const SHARE_MIN: usize = 16 << 10;
/// Records that a scout can note: enough for a mean of 64 bytes in its share of a span.
const NOTES_MAX: usize = 512;
/// How far a scout looks for its first record, bytes: a record of the usual size and the header behind it.
const LOOK_MAX: usize = 2_048;
/// Of those, how many are asked for beforehand.
const LOOK_AHEAD: usize = 512;
/// Where to find the lines of a record that are asked for: its header, those of the frame up to the end of a TCP header over IPv6, and
/// most often the first bytes of the payload, which the protocols' parsers look at.
const HEADER_LINES: [usize; 3] = [0, 64, 120];
/// How far a record's time may be from that of the window's first one to look like a record, seconds.
const APART_MAX_SECS: u32 = 3_600;

/// Where records begin, as scouts found it.
pub(super) struct Trail {
    /// Of records one behind the other, relative to the window that was scouted; the last one is where the next would begin.
    starts: Vec<u32>,
    /// Records taken.
    taken: usize,
    notes: Box<[[u32; NOTES_MAX]; SCOUTS_MAX]>,
}

#[derive(Clone, Copy, Default)]
struct Scout {
    from: usize,
    /// The record that it has come to.
    at: usize,
    /// Where the next scout began.
    end: usize,
    noted: usize,
}

impl Trail {
    pub(super) fn new() -> Trail {
        let starts = Vec::with_capacity(NOTES_MAX * SCOUTS_MAX + 1);
        Trail { starts, taken: 0, notes: Box::new([[0; NOTES_MAX]; SCOUTS_MAX]) }
    }

    /// Takes at most `count` records: where they begin, and where the last one of them ends.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &[u32] {
        let from = self.taken;
        self.taken = (from + count).min(self.starts.len().saturating_sub(1));
        self.starts.get(from..=self.taken).unwrap_or_default()
    }

    /// Scouts the first part of `window`, which begins with a record. Answers its length.
    #[inline(never)]
    pub(super) fn scout<const BIG: bool>(&mut self, window: &[u8]) -> usize {
        let window = &window[..window.len().min(SPAN)];
        let mut scouts = [Scout::default(); SCOUTS_MAX];
        let count = send::<BIG>(window, &mut scouts);
        hop::<BIG>(window, &mut scouts, count, &mut self.notes);
        self.starts.clear();
        self.taken = 0;
        let mut at = 0;
        for (scout, notes) in scouts[..count].iter().zip(self.notes.iter()) {
            if scout.from != at {
                break;
            }
            self.starts.extend_from_slice(&notes[..scout.noted]);
            at = scout.at;
        }
        self.starts.push(at as u32);
        scouts[count - 1].at.max(at)
    }
}

/// Places scouts at records, in order. Answers how many; the first one is at the beginning.
fn send<const BIG: bool>(window: &[u8], scouts: &mut [Scout; SCOUTS_MAX]) -> usize {
    let wanted = (window.len() / SHARE_MIN).clamp(1, SCOUTS_MAX);
    let share = window.len() / wanted;
    for n in 1..wanted {
        (0..LOOK_AHEAD).step_by(64).for_each(|line| prefetch_far(window.as_ptr(), n * share + line));
    }
    let secs = window.first_chunk::<RECORD_HEAD_LEN>().map_or(0, |head| word::<BIG>(head, 0));
    // The upper bytes of the seconds are the same for four minutes. Where they change, a share may go without a scout.
    let (upper, upper_at) = if BIG { (&secs.to_be_bytes()[..3], 0) } else { (&secs.to_le_bytes()[1..], 1) };
    let upper = Finder::new(upper);
    let mut count = 1;
    for n in 1..wanted {
        if let Some(from) = look::<BIG>(window, n * share, &upper, upper_at, secs) {
            scouts[count - 1].end = from;
            scouts[count] = Scout { from, at: from, ..Scout::default() };
            count += 1;
        }
    }
    scouts[count - 1].end = window.len();
    count
}

/// The first place from `from` on that looks like a record's header: there `upper`, a part of the time, stands at `upper_at`.
fn look<const BIG: bool>(window: &[u8], from: usize, upper: &Finder<'_>, upper_at: usize, secs: u32) -> Option<usize> {
    let near = window.get(from..window.len().min(from + LOOK_MAX))?;
    upper
        .find_iter(near)
        .filter_map(|at| (from + at).checked_sub(upper_at))
        .find(|&at| window.get(at..).and_then(|w| w.first_chunk()).is_some_and(|h| is_like_a_record::<BIG>(h, secs)))
}

fn is_like_a_record<const BIG: bool>(head: &[u8; RECORD_HEAD_LEN], secs: u32) -> bool {
    let captured = word::<BIG>(head, 8);
    word::<BIG>(head, 0).abs_diff(secs) < APART_MAX_SECS
        && word::<BIG>(head, 4) < 1_000_000_000
        && (1..=CAPLEN_MAX).contains(&captured)
        && (captured..=CAPLEN_MAX).contains(&word::<BIG>(head, 12))
}

/// The first `count` scouts go on by a record in turns, until each has come to where the next one began, or has no room for notes.
fn hop<const BIG: bool>(
    window: &[u8],
    scouts: &mut [Scout; SCOUTS_MAX],
    count: usize,
    notes: &mut [[u32; NOTES_MAX]; SCOUTS_MAX],
) {
    // One bit for each that still goes.
    let mut live = (1u32 << count.min(SCOUTS_MAX)) - 1;
    while live != 0 {
        let mut turn = live;
        while turn != 0 {
            let n = turn.trailing_zeros() as usize % SCOUTS_MAX;
            turn &= turn - 1;
            let scout = &mut scouts[n];
            // A place in a span fits 32 bits, so that no sum of it can overflow.
            let at = scout.at as u32 as usize;
            let head = window.get(at..at + RECORD_HEAD_LEN).and_then(|head| head.first_chunk::<RECORD_HEAD_LEN>());
            // What cannot be a record's length leads out of the window.
            let captured = head.map_or(u32::MAX, |head| word::<BIG>(head, 8));
            let next = at + RECORD_HEAD_LEN + captured as usize;
            let Some(note) = notes[n].get_mut(scout.noted).filter(|_| next <= scout.end && captured <= CAPLEN_MAX)
            else {
                live &= !(1 << n);
                continue;
            };
            HEADER_LINES.iter().for_each(|line| prefetch_far(window.as_ptr(), next + line));
            *note = at as u32;
            scout.noted += 1;
            scout.at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of these captured lengths with the times given.
    fn capture(records: impl Iterator<Item = (u32, usize)>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (secs, len) in records {
            [secs, 7, len as u32, len as u32].iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
            bytes.resize(bytes.len() + len, 0xee);
        }
        bytes
    }

    fn found(window: &[u8]) -> (Vec<u32>, usize) {
        let mut trail = Trail::new();
        let reached = trail.scout::<false>(window);
        let mut starts = vec![0];
        while let [_, more @ ..] = trail.take(64)
            && !more.is_empty()
        {
            starts.extend_from_slice(more);
        }
        (starts, reached)
    }

    #[test]
    fn scouts_find_all_whole_records_of_a_span() {
        let window = capture((0..1_000).map(|n| (1_700_000_000 + n / 10, (n as usize * 37) % 900)));
        let (starts, reached) = found(&window[..window.len() - 1]);
        assert_eq!(starts.len(), 1_000);
        assert_eq!((starts[999] as usize, reached), (window.len() - 999 * 37 % 900 - 16, starts[999] as usize));
        assert!(starts.windows(2).zip(0..).all(|(pair, n)| (pair[1] - pair[0]) as usize == 16 + n * 37 % 900));
    }

    #[test]
    fn what_only_looks_like_a_record_is_left_to_the_reader() {
        // One frame that holds a capture of its own, in the second scout's share.
        let inner = capture((0..100).map(|_| (1_700_000_000, 400)));
        let mut window = capture((0..1).map(|_| (1_700_000_000, inner.len())));
        window[16..].copy_from_slice(&inner);
        window[16] = 1;
        let (starts, _) = found(&window);
        assert_eq!(starts, [0]);
    }

    #[test]
    fn nothing_and_nonsense_have_no_records() {
        for window in [&[][..], &[0; 15], &[0xff; 100_000]] {
            assert_eq!(found(window), (vec![0], 0));
        }
        // Empty frames only: more than a scout can note.
        assert_eq!(found(&[0; 100_000]).0.len(), NOTES_MAX + 1);
    }
}
