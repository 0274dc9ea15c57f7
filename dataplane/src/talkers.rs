//! Who talks most: heavy hitters among the flows that end, in bounded memory (Filtered Space-Saving: Homem,
//! Carvalho, "Finding top-k elements in data streams", Information Sciences 180, 2010). Small flows of many meet only a filter of counters.
//!
//! A talker is all flows of two addresses, a protocol and the port that was asked for. Two generations of a [`GENERATION`] each are kept,
//! so what is told is of the last one to two of them. Within a generation a count can be too high by the `error` that stands beside it,
//! never too low; whoever has a good share of the bytes is in the list.
use crate::batch::{Batch, FlowRecord};
use record::page::{TALKERS_MAX, Talker, add_talker};
use std::time::{Duration, Instant};

/// Talkers that a generation remembers.
pub const KEYS: usize = TALKERS_MAX;
/// Counters of the filter.
const CELLS: usize = 1024;
/// How long one list is filled.
pub const GENERATION: Duration = Duration::from_secs(60);

/// The talkers of one lane. All memory is taken at start.
pub struct Talkers {
    now: Generation,
    before: Generation,
    since: Instant,
}

struct Generation {
    /// Bytes of those that are not talkers, by tag: who begins to be one may have had as many.
    cells: [u64; CELLS],
    /// Talkers of the tag's cell: where there are none, none is looked for.
    held: [u8; CELLS],
    /// Tag of each talker: what is looked through.
    tags: [u32; KEYS],
    bytes: [u64; KEYS],
    talkers: Vec<Talker>,
    /// The least of them.
    least: usize,
    /// Bytes up to which a newcomer stays in its cell: what the least has, 0 as long as there is room for more talkers.
    floor: u64,
}

impl Talkers {
    pub fn new(now: Instant) -> Talkers {
        Talkers { now: Generation::new(), before: Generation::new(), since: now }
    }

    /// Counts all flows of a batch.
    pub fn watch(&mut self, batch: &Batch) {
        batch.flows().iter().for_each(|flow| self.now.count(flow));
    }

    /// The talkers of both generations, the greatest first, at most [`KEYS`] of them, put into `out` in place of what is there. Begins a new
    /// generation when it is time.
    pub fn list(&mut self, now: Instant, out: &mut Vec<Talker>) {
        out.clear();
        self.now.add_to(out);
        self.before.add_to(out);
        out.sort_unstable_by_key(|talker| std::cmp::Reverse(talker.bytes));
        out.truncate(KEYS);
        if now.saturating_duration_since(self.since) >= GENERATION {
            self.since = now;
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.clear();
        }
    }

    /// A list for [`Talkers::list`] that never has to grow.
    pub fn room() -> Vec<Talker> {
        Vec::with_capacity(2 * KEYS)
    }
}

impl Generation {
    fn new() -> Generation {
        Generation {
            cells: [0; CELLS],
            held: [0; CELLS],
            tags: [0; KEYS],
            bytes: [0; KEYS],
            talkers: Vec::with_capacity(KEYS),
            least: 0,
            floor: 0,
        }
    }

    fn clear(&mut self) {
        self.cells = [0; CELLS];
        self.held = [0; CELLS];
        self.talkers.clear();
        (self.least, self.floor) = (0, 0);
    }

    #[inline]
    fn count(&mut self, flow: &FlowRecord) {
        let (tag, bytes) = (flow.talk_tag(), flow.bytes_total());
        let cell = tag as usize % CELLS;
        // Most flows: nobody of their cell is a talker, and with them it is not enough to become one.
        if self.held[cell] == 0 && self.cells[cell] + bytes <= self.floor {
            self.cells[cell] += bytes;
        } else {
            self.count_talker(flow.talk(), tag);
        }
    }

    #[inline(never)]
    fn count_talker(&mut self, talk: Talker, tag: u32) {
        let cell = tag as usize % CELLS;
        if self.held[cell] > 0
            && let Some(at) = self.find(tag, &talk)
        {
            self.bytes[at] += talk.bytes;
            self.talkers[at].packets += talk.packets;
            if at == self.least {
                self.find_least();
            }
        } else if self.talkers.len() < KEYS {
            self.talkers.push(talk);
            self.put(self.talkers.len() - 1, tag, talk.bytes);
        } else if self.cells[cell] + talk.bytes <= self.floor {
            self.cells[cell] += talk.bytes;
        } else {
            // The least of them gives way, and comes back with what it had at the least.
            let gone = self.tags[self.least] as usize % CELLS;
            self.held[gone] -= 1;
            let error = self.cells[cell];
            self.cells[gone] = self.cells[gone].max(self.bytes[self.least]);
            self.talkers[self.least] = Talker { error, ..talk };
            self.put(self.least, tag, error + talk.bytes);
        }
    }

    fn find(&self, tag: u32, talk: &Talker) -> Option<usize> {
        let key = |t: &Talker| (t.src, t.dst, t.protocol, t.dst_port);
        (0..self.talkers.len()).find(|at| self.tags[*at] == tag && key(&self.talkers[*at]) == key(talk))
    }

    fn put(&mut self, at: usize, tag: u32, bytes: u64) {
        self.tags[at] = tag;
        self.bytes[at] = bytes;
        self.held[tag as usize % CELLS] += 1;
        self.find_least();
    }

    fn find_least(&mut self) {
        let len = self.talkers.len();
        self.least = (1..len).fold(0, |least, at| if self.bytes[at] < self.bytes[least] { at } else { least });
        // While there is room everybody is a talker. A flow has bytes, so none passes a floor of 0.
        self.floor = if len < KEYS { 0 } else { self.bytes[self.least] };
    }

    fn add_to(&self, out: &mut Vec<Talker>) {
        for (talker, bytes) in self.talkers.iter().zip(self.bytes) {
            add_talker(out, &Talker { bytes, ..*talker });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{OpenOptions, open_reader};
    use crate::lane::{Lane, LaneConfig};
    use std::collections::BTreeMap;
    use std::io::Cursor;

    /// The batches of a capture, whatever is done with them.
    fn watched(capture: Vec<u8>, mut each: impl FnMut(&Batch)) {
        let mut source = open_reader("memory", Cursor::new(capture), OpenOptions::default());
        let mut lane = Lane::new(&LaneConfig::default()).unwrap();
        while lane.step(&mut source).unwrap() != crate::capture::Poll::End {
            if lane.batch().is_full() {
                each(lane.batch());
                lane.batch().clear();
            }
        }
        lane.finish(|batch| {
            each(batch);
            batch.clear();
        });
    }

    #[test]
    fn the_greatest_are_found_and_no_count_is_too_low() {
        let mut capture = Vec::new();
        benches::write_capture(benches::Profile::Realistic, 30_000, 2_000, 3, &mut capture).unwrap();
        let start = Instant::now();
        let mut talkers = Talkers::new(start);
        let mut truth = BTreeMap::new();
        let mut total = 0;
        watched(capture, |batch| {
            talkers.watch(batch);
            for flow in batch.flows() {
                let talk = flow.talk();
                *truth.entry((talk.src, talk.dst, talk.protocol, talk.dst_port)).or_insert(0) += talk.bytes;
                total += talk.bytes;
            }
        });
        let mut list = Talkers::room();
        talkers.list(start, &mut list);
        assert_eq!(list.len(), KEYS);
        for talker in &list {
            let true_bytes =
                truth.get(&(talker.src, talker.dst, talker.protocol, talker.dst_port)).copied().unwrap_or(0);
            assert!(talker.bytes >= true_bytes && talker.bytes - talker.error <= true_bytes, "{talker:?} {true_bytes}");
        }
        for (key, bytes) in truth.iter().filter(|(_, bytes)| **bytes > total / KEYS as u64) {
            assert!(list.iter().any(|t| (t.src, t.dst, t.protocol, t.dst_port) == *key), "{key:?} with {bytes} bytes");
        }
    }

    #[test]
    fn a_talker_is_forgotten_after_two_generations() {
        let start = Instant::now();
        let mut talkers = Talkers::new(start);
        let case = benches::cases::case("basic_udp").unwrap();
        watched((case.build)(), |batch| talkers.watch(batch));
        let mut list = Talkers::room();
        for (generations, there) in [(1, true), (2, true), (3, false)] {
            talkers.list(start + GENERATION * generations, &mut list);
            assert_eq!(!list.is_empty(), there, "{generations}");
        }
    }
}
