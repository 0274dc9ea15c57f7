//! The flow table of one lane: set-associative, fixed capacity, no allocation after start.
//!
//! A bucket of up to 16 flows has one cache line of its own with a 16-bit tag and the coarse time of the last packet for each way,
//! so a miss, an expiry sweep and the choice of a victim read that line only; the flow itself is touched when its tag matches.
//! Lines of more than 16 flows (option `line`) take several such lines.
use crate::flow::{Flow, FlowKey};
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use sys::Pages;

/// Ways in one tag line: 16 tags and 16 times of 2 bytes fill 64 bytes.
pub(super) const WAYS: usize = 1 << WAYS_EXP;
const WAYS_EXP: u32 = 4;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct TagLine {
    /// High bits of the hash with the lowest bit set; 0 marks a free way.
    tags: [u16; WAYS],
    /// Low 16 bits of the second of the last packet.
    seen: [u16; WAYS],
}

/// Tag lines that are asked for ahead of the next sweep.
const SWEEP_AHEAD: usize = 64;

/// Place of a flow in the table; valid until the flow is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot(u32);

/// Shape of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the number of flows, 4..=30.
    pub size_exp: u32,
    /// log2 of the flows in a bucket, at most `size_exp`.
    pub line_exp: u32,
}

impl Default for Shape {
    /// 262144 flows in lines of 16. The original has half as many slots and, with 100,000 live flows, cuts 220,000 out of 320,000 records for want of
    /// room: twice the slots are 16 MiB, which are touched as they are used.
    fn default() -> Self {
        Shape { size_exp: 18, line_exp: 4 }
    }
}

/// Flows by key.
pub struct Table {
    lines: Pages<TagLine>,
    flows: Pages<Flow>,
    /// Flows in a bucket, and their log2.
    ways: usize,
    line_exp: u32,
    /// log2 of the ways in use of a tag line, and a mask for their numbers.
    way_exp: u32,
    way_mask: u32,
    /// log2 of the tag lines in a bucket.
    lines_exp: u32,
    bucket_mask: usize,
    live: usize,
    /// Next tag line that the expiry sweep looks at.
    hand: usize,
    /// Second in which the round began, its timeout, and the tag lines that were looked at in it.
    swept: (u64, u16, usize),
}

impl Table {
    /// Takes and touches all memory: 128 bytes a flow, 64 bytes for each 16 flows; fails if there is not that much.
    pub fn new(shape: Shape) -> io::Result<Table> {
        let size = 1usize << shape.size_exp;
        let line_exp = shape.line_exp.min(shape.size_exp);
        let ways = 1usize << line_exp;
        let buckets = size / ways;
        let lines_per_bucket = ways.div_ceil(WAYS);
        Ok(Table {
            lines: Pages::new(buckets * lines_per_bucket, TagLine { tags: [0; WAYS], seen: [0; WAYS] })?,
            flows: Pages::new(size, Flow::default())?,
            ways,
            line_exp,
            way_exp: line_exp.min(WAYS_EXP),
            way_mask: ways.min(WAYS) as u32 - 1,
            lines_exp: lines_per_bucket.trailing_zeros(),
            bucket_mask: buckets - 1,
            live: 0,
            hand: 0,
            swept: (0, 0, 0),
        })
    }

    /// Flows that fit.
    pub fn capacity(&self) -> usize {
        self.flows.len()
    }
    pub fn live(&self) -> usize {
        self.live
    }

    #[inline(always)]
    pub fn flow(&self, slot: Slot) -> &Flow {
        &self.flows[slot.0 as usize]
    }
    #[inline(always)]
    pub fn flow_mut(&mut self, slot: Slot) -> &mut Flow {
        &mut self.flows[slot.0 as usize]
    }

    /// Asks for the tag lines of a hash ahead of time.
    #[inline(always)]
    pub fn prefetch_tags(&self, hash: u64) {
        self.lines.prefetch(self.first_line(self.bucket(hash)));
    }

    /// The place where a lookup of this hash will probably find its flow, which is asked for ahead; the tag line should have arrived.
    /// See [`Table::at`]. `both`: its second line will be needed too.
    #[inline(always)]
    pub fn prefetch_flow(&self, hash: u64, both: bool, second: impl FnOnce() -> u64) -> Slot {
        self.prefetch_known(hash, both).unwrap_or_else(|| self.prefetch_room(hash, second()))
    }

    /// [`Table::prefetch_flow`] where a flow of this hash is there.
    #[inline(always)]
    pub(super) fn prefetch_known(&self, hash: u64, both: bool) -> Option<Slot> {
        let bucket = self.bucket(hash);
        let hits = sys::lanes::equal(&self.lines[self.first_line(bucket)].tags, tag(hash));
        if hits == 0 {
            return None;
        }
        let slot = ((bucket << self.line_exp) as u32 + (hits.trailing_zeros() & self.way_mask)) as usize;
        self.flows.prefetch(slot);
        // The second line, or the first once more: computed, not branched on, since packets of both kinds come mixed.
        sys::prefetch_far(self.flows.as_ptr(), slot * size_of::<Flow>() + usize::from(both) * offset_of!(Flow, tail));
        Some(Slot(slot as u32))
    }

    /// No flow of this hash is there: the one that will have to make room for it is read when it ends, and written anew, both lines.
    #[inline(never)]
    pub(super) fn prefetch_room(&self, hash: u64, second: u64) -> Slot {
        let slot = self.room(hash, second).unwrap_or_else(|victim| victim);
        sys::prefetch_value(self.flow(slot));
        slot
    }

    /// The flow of a key and the time in its tag line, if they are at the place that [`Table::prefetch_flow`] named; if not, ask
    /// [`Table::find`]. What happened to the table in between does not matter.
    #[inline(always)]
    pub fn at(&mut self, probable: Slot, hash: u64, key: &FlowKey) -> Option<(&mut Flow, &mut u16)> {
        let (line, way) = self.place(probable);
        let line = &mut self.lines[line];
        let flow = &mut self.flows[probable.0 as usize];
        (line.tags[way] == tag(hash) && flow.is_of(key)).then_some((flow, &mut line.seen[way]))
    }

    #[inline(never)]
    pub fn find(&self, hash: u64, key: &FlowKey) -> Option<Slot> {
        let bucket = self.bucket(hash);
        let tag = tag(hash);
        for (n, line) in self.lines[self.lines_of(bucket)].iter().enumerate() {
            let mut hits = sys::lanes::equal(&line.tags, tag);
            while hits != 0 {
                let way = n * WAYS + hits.trailing_zeros() as usize;
                let at = (bucket << self.line_exp) + way;
                if self.flows[at].is_of(key) {
                    return Some(Slot(at as u32));
                }
                hits &= hits - 1;
            }
        }
        None
    }

    /// Notes the time of a packet, for expiry and the choice of victims.
    #[inline(always)]
    pub fn touch(&mut self, slot: Slot, second: u64) {
        let (line, way) = self.place(slot);
        self.lines[line].seen[way] = second as u16;
    }

    /// A free way in the bucket of `hash`, or else the flow there that was quiet longest.
    #[inline]
    pub fn room(&self, hash: u64, second: u64) -> Result<Slot, Slot> {
        let first = self.first_line(self.bucket(hash));
        let lines = &self.lines[self.lines_of(self.bucket(hash))];
        // Ways beyond those of a small bucket do not exist.
        let there = if self.line_exp < WAYS_EXP { (1u32 << self.ways) - 1 } else { 0xffff };
        for (n, line) in lines.iter().enumerate() {
            let free = sys::lanes::equal(&line.tags, 0) & there;
            if free != 0 {
                return Ok(self.slot(first + n, free.trailing_zeros() as usize));
            }
        }
        let (_, at, way) =
            lines.iter().enumerate().map(|(n, line)| quietest(line, second, self.ways, n)).max().unwrap_or_default();
        Err(self.slot(first + at, way))
    }

    /// Puts a flow into a free way.
    pub fn insert(&mut self, slot: Slot, hash: u64, flow: Flow) {
        let (line, way) = self.place(slot);
        debug_assert_eq!(self.lines[line].tags[way], 0);
        self.lines[line].tags[way] = tag(hash);
        self.lines[line].seen[way] = flow.last.secs() as u16;
        self.flows[slot.0 as usize] = flow;
        self.live += 1;
    }

    pub fn remove(&mut self, slot: Slot) {
        let (line, way) = self.place(slot);
        debug_assert_ne!(self.lines[line].tags[way], 0);
        self.lines[line].tags[way] = 0;
        self.live -= 1;
    }

    /// Moves the hand over `lines` tag lines and fills `idle` with the flows that may have been quiet for `timeout` seconds;
    /// the caller compares the exact times. After a whole round the hand moves on without a look until `pause` seconds have gone by since the
    /// round began: in its own second a round has found all that there is.
    pub fn sweep(&mut self, lines: usize, second: u64, timeout: u16, pause: u64, idle: &mut Vec<Slot>) {
        let lines = lines.min(self.lines.len());
        if self.swept.1 != timeout || second.wrapping_sub(self.swept.0) >= pause {
            self.swept = (second, timeout, 0);
        }
        if self.swept.2 >= self.lines.len() && timeout > 0 {
            // There are 2^n lines.
            self.hand = (self.hand + lines) & (self.lines.len() - 1);
            return;
        }
        self.swept.2 += lines;
        let mut left = lines;
        while left > 0 {
            // Up to the end of the table, then from its beginning on.
            let part = self.hand..self.lines.len().min(self.hand + left);
            for (at, line) in part.clone().zip(&self.lines[part.clone()]) {
                let old = sys::lanes::behind(&line.seen, second as u16, timeout) & !sys::lanes::equal(&line.tags, 0);
                if old != 0 {
                    self.name_idle(at, old, idle);
                }
            }
            left -= part.len();
            self.hand = if part.end == self.lines.len() { 0 } else { part.end };
        }
        // The next sweep is about as long as this one.
        self.lines[self.hand..].iter().take(lines.min(SWEEP_AHEAD)).for_each(sys::prefetch);
    }

    #[inline(never)]
    fn name_idle(&self, line: usize, mut ways: u32, idle: &mut Vec<Slot>) {
        while ways != 0 {
            idle.push(self.slot(line, ways.trailing_zeros() as usize));
            ways &= ways - 1;
        }
    }

    /// The live flows, in table order.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<'_> {
        (0..self.lines.len()).flat_map(move |line| {
            let mut taken = !sys::lanes::equal(&self.lines[line].tags, 0) & ((1 << WAYS) - 1);
            std::iter::from_fn(move || {
                let way = (taken != 0).then(|| taken.trailing_zeros() as usize)?;
                taken &= taken - 1;
                Some(self.slot(line, way))
            })
        })
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        hash as usize & self.bucket_mask
    }

    #[inline(always)]
    fn first_line(&self, bucket: usize) -> usize {
        bucket << self.lines_exp
    }

    #[inline(always)]
    fn lines_of(&self, bucket: usize) -> Range<usize> {
        self.first_line(bucket)..self.first_line(bucket + 1)
    }

    /// Tag line and way of a slot; a small bucket has a tag line of its own too.
    #[inline(always)]
    fn place(&self, slot: Slot) -> (usize, usize) {
        // The second mask says nothing new, but the compiler sees that the way is one of sixteen.
        ((slot.0 >> self.way_exp) as usize, (slot.0 & self.way_mask) as usize & (WAYS - 1))
    }

    #[inline(always)]
    fn slot(&self, line: usize, way: usize) -> Slot {
        Slot(((line << self.way_exp) + way) as u32)
    }
}

/// Quiet seconds, line number and way of the flow that was quiet longest in a full line.
#[inline]
fn quietest(line: &TagLine, second: u64, ways: usize, number: usize) -> (u32, usize, usize) {
    // Age and way in one number, so that the maximum of sixteen of them is found without a branch.
    let mut ranks = [0u32; WAYS];
    for (way, (rank, seen)) in ranks.iter_mut().zip(&line.seen).enumerate() {
        *rank = (u32::from((second as u16).wrapping_sub(*seen)) << WAYS_EXP) | way as u32;
    }
    let best = ranks.iter().take(ways).copied().max().unwrap_or_default();
    (best >> WAYS_EXP, number, best as usize & (WAYS - 1))
}

#[inline(always)]
fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::key::HashSeed;
    use record::Time;

    const SEED: HashSeed = HashSeed::fixed([11, 13, 17, 19]);

    fn key(n: u32) -> (FlowKey, u64) {
        let (key, _) = FlowKey::v4(n.to_be_bytes(), [10, 0, 0, 1], 1, 2, 6, 0, false);
        (key, key.hash(SEED))
    }

    fn insert(t: &mut Table, n: u32, second: u64) -> Option<Slot> {
        let (key, hash) = key(n);
        let slot = t.room(hash, second).ok()?;
        t.insert(slot, hash, Flow { last: Time(second * 1_000_000_000), ..Flow::of(key) });
        Some(slot)
    }

    #[test]
    fn every_shape_finds_what_it_holds() {
        for (size_exp, line_exp) in [(4, 0), (4, 4), (8, 2), (10, 4), (10, 7), (6, 6)] {
            let mut t = Table::new(Shape { size_exp, line_exp }).expect("memory");
            let held: Vec<u32> = (0..1 << size_exp).filter(|n| insert(&mut t, *n, 5).is_some()).collect();
            assert_eq!(t.live(), held.len());
            for n in &held {
                let (k, h) = key(*n);
                let slot = t.find(h, &k).expect("what was inserted is found");
                assert_eq!(t.flow(slot).key(), k);
            }
            assert_eq!(t.slots().count(), held.len());
            for n in &held {
                let (k, h) = key(*n);
                let slot = t.find(h, &k).expect("still there");
                t.remove(slot);
                assert_eq!(t.find(h, &k), None);
            }
            assert_eq!(t.live(), 0);
        }
    }

    #[test]
    fn the_quietest_flow_of_a_full_bucket_is_the_victim() {
        let mut t = Table::new(Shape { size_exp: 4, line_exp: 4 }).expect("memory");
        for n in 0..16 {
            insert(&mut t, n, 100 + n as u64).expect("room for 16");
        }
        let (k, h) = key(0);
        let first = t.find(h, &k).expect("there");
        t.touch(first, 200);
        let (k, h) = key(1);
        assert_eq!(t.room(key(99).1, 201), Err(t.find(h, &k).expect("there")));
    }

    #[test]
    fn the_sweep_finds_quiet_flows_in_one_round() {
        let mut t = Table::new(Shape { size_exp: 8, line_exp: 4 }).expect("memory");
        for n in 0..100 {
            insert(&mut t, n, if n % 2 == 0 { 1000 } else { 1040 });
        }
        let mut idle = Vec::new();
        t.sweep(usize::MAX, 1041, 30, 1, &mut idle);
        let even = t.slots().filter(|s| t.flow(*s).last.secs() == 1000).count();
        assert_eq!(idle.len(), even);
        assert!(idle.iter().all(|s| t.flow(*s).last.secs() == 1000));
    }
}
