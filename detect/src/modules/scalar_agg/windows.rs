//! The ring of windows of one rule: what came in each interval of flow time, until it is old enough to be sent.
//!
//! Times are seconds since 1970; a window covers `step` of them. The ring begins at a multiple of `step` and moves on by one window
//! at a time. What a flow adds to a window is its value times the part of its duration that lies there.
use record::Time;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Distinct values that all rules hold together, at the most: about 30 bytes each.
pub const UNIQUE_MAX: u64 = 1 << 22;

/// Windows that one record may move the ring on: more than two months of them by default. One that asks for more is not counted.
pub const ROLLS_MAX: i64 = 100_000;

/// Lengths in seconds, all above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Length of a window.
    pub step: i64,
    /// How long a window waits for late flows.
    pub delay: i64,
    /// A flow that begins later than this after the ring's begin empties it.
    pub inactive: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { step: 60, delay: 420, inactive: 900 }
    }
}

impl Timing {
    /// Windows of a ring.
    pub fn windows(&self) -> u64 {
        (self.delay / self.step.max(1)) as u64 + 2
    }
}

/// When a flow was.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub first: Time,
    pub last: Time,
}

/// What a flow has to add.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    Number(f64),
    /// Stands for a value among distinct ones.
    Key(u128),
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    Done,
    /// It ends behind the ring, which has to be rolled first.
    Roll,
    /// It ends so far behind the ring that it is left out.
    Beyond,
}

/// What the oldest window had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// Where the window began.
    pub time: i64,
    pub sum: f64,
    /// Flows, or distinct values.
    pub count: u64,
}

/// Distinct values that may still be held, for all rings of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub left: u64,
    /// Values that found none; some of them may have been known.
    pub refused: u64,
}

impl Default for Room {
    fn default() -> Self {
        Room { left: UNIQUE_MAX, refused: 0 }
    }
}

#[derive(Clone, Debug, Default)]
struct Window {
    sum: f64,
    count: u64,
    seen: HashSet<u128>,
}

/// The windows of one rule.
#[derive(Clone, Debug)]
pub struct Ring {
    timing: Timing,
    /// Where the oldest window begins.
    begin: i64,
    /// The oldest window.
    head: usize,
    windows: Vec<Window>,
}

impl Ring {
    /// Empty windows from that one on in which `first` lies.
    pub fn new(timing: Timing, first: Time) -> Ring {
        let windows = vec![Window::default(); timing.windows() as usize];
        Ring { timing, begin: aligned(first, timing.step), head: 0, windows }
    }

    /// Adds a flow to the windows that it touches: those that begin before its last second ends and end no earlier than its first
    /// second begins (so that a flow that begins where a window ends touches that one, too, as in the original).
    pub fn add(&mut self, span: Span, sample: Sample, room: &mut Room) -> Added {
        let (first, last) = (span.first.secs() as i64, span.last.secs() as i64);
        if first - self.begin > self.timing.inactive {
            self.restart(span.first, room);
        }
        let Timing { step, .. } = self.timing;
        let size = self.windows.len() as i64;
        let behind = last - (self.begin + size * step);
        if behind > 0 {
            return if behind / step < ROLLS_MAX { Added::Roll } else { Added::Beyond };
        }
        let low = ((first - self.begin + step - 1).div_euclid(step) - 1).max(0);
        let high = (last - self.begin).div_euclid(step).min(size - 1);
        for at in low..=high {
            let begin = self.begin + at * step;
            let window = (self.head + at as usize) % self.windows.len();
            self.windows[window].add(share(span, begin, begin + step), sample, room);
        }
        Added::Done
    }

    /// Takes the oldest window out and puts an empty one behind the newest.
    pub fn roll(&mut self, room: &mut Room) -> Total {
        let window = &mut self.windows[self.head];
        let total = Total { time: self.begin, sum: window.sum, count: window.count };
        window.clear(room);
        self.head = (self.head + 1) % self.windows.len();
        self.begin += self.timing.step;
        total
    }

    /// Length of a window, seconds.
    pub fn step(&self) -> i64 {
        self.timing.step
    }

    fn restart(&mut self, first: Time, room: &mut Room) {
        self.windows.iter_mut().for_each(|window| window.clear(room));
        self.begin = aligned(first, self.timing.step);
        self.head = 0;
    }
}

impl Window {
    fn add(&mut self, share: f64, sample: Sample, room: &mut Room) {
        match sample {
            Sample::Number(number) => {
                // Without a check, zero of an endless share would be no number.
                self.sum += if share.is_finite() { number * share } else { number };
                self.count += 1;
            }
            Sample::Key(_) if room.left == 0 => room.refused += 1,
            Sample::Key(key) => {
                let is_new = self.seen.insert(key);
                self.count += u64::from(is_new);
                room.left -= u64::from(is_new);
            }
        }
    }

    /// Empties it; a large set gives its memory back.
    fn clear(&mut self, room: &mut Room) {
        room.left += self.seen.len() as u64;
        *self = Window::default();
    }
}

fn aligned(time: Time, step: i64) -> i64 {
    let seconds = time.secs() as i64;
    seconds - seconds % step
}

/// The part of a flow's value that belongs to a window, from milliseconds as in the original; infinite for a flow without duration (or with one
/// below zero). Not
/// below zero, as it is in the original for a flow that begins within the first second behind the window.
fn share(span: Span, begin: i64, end: i64) -> f64 {
    let parts = |time: Time| (time.secs() as f64, f64::from(time.subsec_nanos() / 1_000_000));
    let ((first, first_ms), (last, last_ms)) = (parts(span.first), parts(span.last));
    let duration = (last - first) + (last_ms - first_ms) / 1000.0;
    if duration <= 0.0 {
        return f64::INFINITY;
    }
    let overlap = (end as f64).min(last + last_ms / 1000.0) - (begin as f64).max(first + first_ms / 1000.0);
    overlap.max(0.0) / duration
}

/// Makes keys of values: short ones are their own, of longer ones 128 bits are kept, by hash functions that nobody outside knows.
#[derive(Clone, Debug, Default)]
pub struct Keys([RandomState; 2]);

impl Keys {
    /// The key of a value of fixed size, at most 16 bytes in wire form; the zeros of floats are one.
    pub fn fixed(&self, bytes: &[u8]) -> u128 {
        let mut key = [0; 16];
        let length = bytes.len().min(16);
        key[..length].copy_from_slice(&bytes[..length]);
        u128::from_le_bytes(key)
    }

    /// The key of a text or of bytes.
    pub fn text(&self, bytes: &[u8]) -> u128 {
        let [high, low] = [&self.0[0], &self.0[1]].map(|state| u128::from(state.hash_one(bytes)));
        high << 64 | low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMING: Timing = Timing { step: 10, delay: 30, inactive: 100 };

    fn span(first_ms: u64, last_ms: u64) -> Span {
        Span { first: Time(first_ms * 1_000_000), last: Time(last_ms * 1_000_000) }
    }

    fn totals(ring: &mut Ring, room: &mut Room) -> Vec<(i64, f64, u64)> {
        let count = ring.windows.len();
        (0..count).map(|_| ring.roll(room)).map(|t| (t.time, t.sum, t.count)).collect()
    }

    #[test]
    fn values_are_spread_over_windows() {
        let mut room = Room::default();
        let mut ring = Ring::new(TIMING, Time(1_003_000_000_000));
        // 4 of 12 s in the first window, 8 in the second.
        assert_eq!(ring.add(span(1_006_000, 1_018_000), Sample::Number(12.0), &mut room), Added::Done);
        // Nothing to spread; it touches two windows.
        assert_eq!(ring.add(span(1_020_000, 1_020_000), Sample::Number(5.0), &mut room), Added::Done);
        // Zero without duration is zero.
        assert_eq!(ring.add(span(1_031_000, 1_031_000), Sample::Number(0.0), &mut room), Added::Done);
        // Before the ring: nothing.
        assert_eq!(ring.add(span(900_000, 901_000), Sample::Number(1e9), &mut room), Added::Done);
        let want = [(1000, 4.0, 1), (1010, 13.0, 2), (1020, 5.0, 1), (1030, 0.0, 1), (1040, 0.0, 0)];
        assert_eq!(totals(&mut ring, &mut room), want);
    }

    #[test]
    fn the_ring_rolls_on_and_starts_anew() {
        let mut room = Room::default();
        let mut ring = Ring::new(TIMING, Time(1_000_000_000_000));
        assert_eq!(ring.add(span(1_049_000, 1_050_999), Sample::Key(7), &mut room), Added::Done);
        assert_eq!(ring.add(span(1_049_000, 1_051_000), Sample::Key(7), &mut room), Added::Roll);
        assert_eq!(ring.roll(&mut room), Total { time: 1000, sum: 0.0, count: 0 });
        assert_eq!(ring.add(span(1_049_000, 1_051_000), Sample::Key(7), &mut room), Added::Done);
        assert_eq!((room.left, room.refused), (UNIQUE_MAX - 2, 0));
        assert_eq!(
            ring.add(span(1_049_000, 1_060_000 + ROLLS_MAX as u64 * 10_000), Sample::Key(7), &mut room),
            Added::Beyond
        );
        // More than 100 s behind the begin.
        assert_eq!(ring.add(span(1_111_000, 1_111_000), Sample::Number(1.0), &mut room), Added::Done);
        assert_eq!(room.left, UNIQUE_MAX);
        assert_eq!(ring.roll(&mut room), Total { time: 1110, sum: 1.0, count: 1 });
    }

    #[test]
    fn distinct_values_are_counted_while_there_is_room() {
        let mut room = Room { left: 3, refused: 0 };
        let mut ring = Ring::new(TIMING, Time(0));
        for key in [1, 2, 1, 2, 3, 4] {
            ring.add(span(5_000, 5_000), Sample::Key(key), &mut room);
        }
        assert_eq!((ring.roll(&mut room).count, room), (3, Room { left: 3, refused: 1 }));
        let keys = Keys::default();
        assert_eq!(keys.text(b"a"), keys.text(b"a"));
        assert_ne!(keys.text(b"a"), keys.text(b"b"));
    }

    proptest! {
        /// Shares of a flow that lies inside make one, and no value is lost or made.
        #[test]
        fn shares_make_one(first in 20_000u64..60_000, length in 1u64..10_000) {
            let mut room = Room::default();
            let mut ring = Ring::new(Timing { step: 10, delay: 100, inactive: 1000 }, Time(0));
            ring.add(span(first, first + length), Sample::Number(1.0), &mut room);
            let sum: f64 = totals(&mut ring, &mut room).iter().map(|t| t.1).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
        }

        /// Any times: the ring stays as it is, or its begin moves forward.
        #[test]
        fn any_times(times in prop::collection::vec((any::<u32>(), any::<u32>()), 0..50), step in 1i64..100, delay in 1i64..1000) {
            let mut room = Room::default();
            let mut ring = Ring::new(Timing { step, delay, inactive: 50 }, Time(u64::from(u32::MAX) * 500_000_000));
            for (first, last) in times {
                let begin = ring.begin;
                let span = Span { first: Time(u64::from(first) * 1_000_000_000), last: Time(u64::from(last) * 1_000_000_000) };
                if ring.add(span, Sample::Key(first.into()), &mut room) == Added::Roll {
                    ring.roll(&mut room);
                }
                prop_assert!(ring.begin >= begin);
            }
        }
    }
}
