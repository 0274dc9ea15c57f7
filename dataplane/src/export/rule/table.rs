//! The aggregates of a rule: a bounded table by key, with their order of birth and of last use.
//!
//! All memory is taken at start. Times are those of flows, in nanoseconds, and never go back here.
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// No entry.
const NONE: u32 = u32::MAX;

/// One aggregate; its key and cells lie beside.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    hash: u64,
    key_len: u32,
    /// When it was opened, and when a flow came last.
    pub(super) opened: u64,
    touched: u64,
    /// What was joined in it.
    pub(super) flows: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    links: [Neighbours; 2],
}

#[derive(Clone, Copy, Debug)]
struct Neighbours {
    before: u32,
    behind: u32,
}

/// The two orders.
#[derive(Clone, Copy)]
enum By {
    Birth = 0,
    Use = 1,
}

pub(super) struct Table {
    index: HashTable<u32>,
    /// Nobody can choose keys against it.
    hasher: RandomState,
    entries: Vec<Entry>,
    /// Places that were left.
    free: Vec<u32>,
    /// Keys, each followed by its cells.
    bytes: Vec<u8>,
    key_max: usize,
    stride: usize,
    most: usize,
    /// First and last of each order.
    ends: [Neighbours; 2],
}

impl Table {
    /// Room for `most` aggregates, whose keys have at most `key_max` bytes and whose cells take `cells` bytes.
    pub(super) fn new(most: usize, key_max: usize, cells: usize) -> Table {
        let stride = key_max + cells;
        Table {
            // A table half full is put in order in its own place.
            index: HashTable::with_capacity(2 * most),
            hasher: RandomState::new(),
            entries: Vec::with_capacity(most),
            free: Vec::with_capacity(most),
            bytes: vec![0; most * stride],
            key_max,
            stride,
            most,
            ends: [Neighbours { before: NONE, behind: NONE }; 2],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let is_it = |at: &u32| self.entries[*at as usize].hash == hash && self.key(*at) == key;
        self.index.find(hash, is_it).copied()
    }

    /// A new aggregate with empty cells; the table must not be full, and not have the key.
    pub(super) fn open(&mut self, hash: u64, key: &[u8], now: u64) -> u32 {
        let at = self.free.pop().unwrap_or(self.entries.len() as u32);
        let alone = [Neighbours { before: NONE, behind: NONE }; 2];
        let key = &key[..key.len().min(self.key_max)];
        let key_len = key.len() as u32;
        let entry = Entry { hash, key_len, opened: now, touched: now, flows: 0, packets: 0, bytes: 0, links: alone };
        match self.entries.get_mut(at as usize) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        let from = at as usize * self.stride;
        self.bytes[from..from + key.len()].copy_from_slice(key);
        self.bytes[from + self.key_max..from + self.stride].fill(0);
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |other| entries[*other as usize].hash);
        self.append(By::Birth, at);
        self.append(By::Use, at);
        at
    }

    /// Notes that a flow came.
    pub(super) fn touch(&mut self, at: u32, now: u64) {
        self.entries[at as usize].touched = now;
        self.unlink(By::Use, at);
        self.append(By::Use, at);
    }

    /// The one that was opened first, and when.
    pub(super) fn oldest(&self) -> Option<(u32, u64)> {
        let at = self.ends[By::Birth as usize].before;
        Some((at, self.entries.get(at as usize)?.opened))
    }

    /// The one that was quiet longest, and since when.
    pub(super) fn quietest(&self) -> Option<(u32, u64)> {
        let at = self.ends[By::Use as usize].before;
        Some((at, self.entries.get(at as usize)?.touched))
    }

    pub(super) fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    pub(super) fn entry_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }

    pub(super) fn key(&self, at: u32) -> &[u8] {
        &self.bytes[at as usize * self.stride..][..self.entries[at as usize].key_len as usize]
    }

    pub(super) fn cells(&self, at: u32) -> &[u8] {
        &self.bytes[at as usize * self.stride..][self.key_max..self.stride]
    }

    pub(super) fn cells_mut(&mut self, at: u32) -> &mut [u8] {
        &mut self.bytes[at as usize * self.stride..][self.key_max..self.stride]
    }

    pub(super) fn close(&mut self, at: u32) {
        let hash = self.entries[at as usize].hash;
        if let Ok(place) = self.index.find_entry(hash, |other| *other == at) {
            place.remove();
        }
        self.unlink(By::Birth, at);
        self.unlink(By::Use, at);
        self.free.push(at);
    }

    fn append(&mut self, by: By, at: u32) {
        let order = by as usize;
        let last = self.ends[order].behind;
        self.entries[at as usize].links[order] = Neighbours { before: last, behind: NONE };
        match self.entries.get_mut(last as usize) {
            Some(last) => last.links[order].behind = at,
            None => self.ends[order].before = at,
        }
        self.ends[order].behind = at;
    }

    fn unlink(&mut self, by: By, at: u32) {
        let order = by as usize;
        let Neighbours { before, behind } = self.entries[at as usize].links[order];
        match self.entries.get_mut(before as usize) {
            Some(before) => before.links[order].behind = behind,
            None => self.ends[order].before = behind,
        }
        match self.entries.get_mut(behind as usize) {
            Some(behind) => behind.links[order].before = before,
            None => self.ends[order].behind = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        /// Like two lists that are searched.
        #[test]
        fn orders(steps in proptest::collection::vec((0..3u8, 0..8u8), 0..200)) {
            let mut table = Table::new(5, 1, 3);
            let (mut born, mut used) = (VecDeque::new(), VecDeque::new());
            for (now, (step, key)) in steps.into_iter().enumerate() {
                let now = now as u64;
                let hash = table.hash(&[key]);
                let found = table.find(hash, &[key]);
                prop_assert_eq!(found.is_some(), born.iter().any(|(k, _)| *k == key));
                match (step, found) {
                    (0, None) if !table.is_full() => {
                        let at = table.open(hash, &[key], now);
                        prop_assert!(table.cells(at) == [0; 3] && table.key(at) == [key]);
                        table.cells_mut(at).fill(key);
                        born.push_back((key, now));
                        used.push_back((key, now));
                    }
                    (1, Some(at)) => {
                        table.touch(at, now);
                        used.retain(|(k, _)| *k != key);
                        used.push_back((key, now));
                    }
                    (2, Some(at)) => {
                        table.close(at);
                        born.retain(|(k, _)| *k != key);
                        used.retain(|(k, _)| *k != key);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), born.len());
                prop_assert_eq!(table.oldest().map(|(at, time)| (table.key(at)[0], time)), born.front().copied());
                prop_assert_eq!(table.quietest().map(|(at, time)| (table.key(at)[0], time)), used.front().copied());
                let cells = |key: u8| table.find(table.hash(&[key]), &[key]).map(|at| table.cells(at));
                let kept = used.iter().all(|(key, _)| cells(*key) == Some(&[*key; 3]));
                prop_assert!(kept);
            }
        }
    }
}
