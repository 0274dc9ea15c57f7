//! The table of flows: open addressing with Robin Hood hashing, of fixed size.
//!
//! It is that of the original (ska::flat_hash_map with `insert_no_grow`), step by step: its order is the order in which flows are sent
//! at the end, and what it pushes out when it is full are the flows that the original pushes out.

/// Steps from its own place that a flow may lie away, at the least.
const LOOKUPS_MIN: u32 = 4;

/// 2^64 divided by the golden ratio.
const FIBONACCI: u64 = 11_400_714_819_323_198_485;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// Steps from the own place; negative is empty.
    distance: i8,
    flow: u32,
}

const EMPTY: Slot = Slot { distance: -1, flow: 0 };

/// Numbers of flows by the hash of their keys.
#[derive(Debug)]
pub(super) struct Table {
    /// Behind the places themselves lies room for steps, then a guard that looks at home.
    slots: Vec<Slot>,
    lookups: i8,
    shift: u32,
    len: usize,
    /// Flows, at the most: half of the places.
    capacity: usize,
}

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// This flow has the key.
    Present(u32),
    New,
    /// New, and this flow lost its place.
    Swapped(u32),
    /// Not taken.
    Full,
}

impl Table {
    /// A table for `capacity` flows, a power of two of at least 2.
    pub(super) fn new(capacity: usize) -> Table {
        let places = (2 * capacity).next_power_of_two();
        let lookups = places.ilog2().max(LOOKUPS_MIN);
        let mut slots = vec![EMPTY; places + lookups as usize];
        if let Some(guard) = slots.last_mut() {
            guard.distance = 0;
        }
        Table { slots, lookups: lookups as i8, shift: 64 - places.ilog2(), len: 0, capacity }
    }

    /// Adds `flow` unless one with its key is there.
    pub(super) fn insert(&mut self, hash: u64, flow: u32, is_same: impl Fn(u32) -> bool) -> Inserted {
        let (mut at, mut distance) = (self.place(hash), 0i8);
        while self.slots[at].distance >= distance {
            if is_same(self.slots[at].flow) {
                return Inserted::Present(self.slots[at].flow);
            }
            at += 1;
            distance += 1;
        }
        if distance == self.lookups || self.len + 1 > self.capacity {
            return Inserted::Full;
        }
        let mut homeless = Slot { distance, flow };
        loop {
            let slot = &mut self.slots[at];
            if slot.distance < 0 {
                *slot = homeless;
                self.len += 1;
                return Inserted::New;
            }
            if slot.distance < homeless.distance {
                // Whoever is farther from home stays.
                std::mem::swap(slot, &mut homeless);
                homeless.distance += 1;
            } else {
                homeless.distance += 1;
                if homeless.distance == self.lookups {
                    return Inserted::Swapped(homeless.flow);
                }
            }
            at += 1;
        }
    }

    /// Removes a flow that is in the table.
    pub(super) fn remove(&mut self, hash: u64, flow: u32) {
        let (mut at, mut distance) = (self.place(hash), 0i8);
        while self.slots[at].flow != flow || self.slots[at].distance != distance {
            if self.slots[at].distance < distance {
                return;
            }
            at += 1;
            distance += 1;
        }
        self.slots[at] = EMPTY;
        self.len -= 1;
        while self.slots[at + 1].distance > 0 {
            let next = self.slots[at + 1];
            self.slots[at] = Slot { distance: next.distance - 1, ..next };
            self.slots[at + 1] = EMPTY;
            at += 1;
        }
    }

    /// The flow that makes room for a key: the first from its place on.
    pub(super) fn victim(&self, hash: u64) -> Option<u32> {
        let (before, from) = self.slots[..self.slots.len() - 1].split_at(self.place(hash));
        from.iter().chain(before).find(|slot| slot.distance >= 0).map(|slot| slot.flow)
    }

    /// All flows in the order of the table, which is empty then.
    pub(super) fn drain(&mut self) -> Vec<u32> {
        let end = self.slots.len() - 1;
        let mut flows = Vec::with_capacity(self.len);
        for slot in &mut self.slots[..end] {
            if slot.distance >= 0 {
                flows.push(slot.flow);
                *slot = EMPTY;
            }
        }
        self.len = 0;
        flows
    }

    fn place(&self, hash: u64) -> usize {
        (FIBONACCI.wrapping_mul(hash) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Any order of insertions and removals: the table holds what a map holds, and says what it pushed out.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..60, any::<bool>()), 0..300)) {
            let mut table = Table::new(16);
            let mut map = HashMap::new();
            // Few distinct hashes, so that flows crowd.
            let hash = |flow: u32| u64::from(flow % 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for (inserts, flow, twice) in steps {
                if inserts || twice {
                    match table.insert(hash(flow), flow, |other| other == flow) {
                        Inserted::Present(other) => prop_assert!(other == flow && map.contains_key(&flow)),
                        Inserted::New => prop_assert!(map.insert(flow, ()).is_none()),
                        Inserted::Swapped(gone) => {
                            prop_assert!(map.insert(flow, ()).is_none());
                            prop_assert!(map.remove(&gone).is_some());
                        }
                        Inserted::Full => {
                            prop_assert!(!map.contains_key(&flow));
                            let victim = table.victim(hash(flow)).unwrap();
                            prop_assert!(map.contains_key(&victim));
                        }
                    }
                } else {
                    map.remove(&flow);
                    table.remove(hash(flow), flow);
                }
                prop_assert!(map.len() <= 16);
            }
            let mut left = table.drain();
            left.sort_unstable();
            let mut want: Vec<_> = map.into_keys().collect();
            want.sort_unstable();
            prop_assert_eq!(left, want);
            prop_assert!(table.drain().is_empty());
        }
    }
}
