//! A keyed map with a fixed number of entries: when it is full, the entry that was not used for longest makes room, and that is counted.
//!
//! Contract: never more than the stated number of entries; which one is the oldest depends on the order of calls only, never on
//! hashes, so the same records give the same results in every run. Hashes are keyed (`RandomState`), so a sender cannot choose keys
//! that meet. Finding, adding and removing take constant time. An entry costs its key, its value, 12 bytes of hash and links and about
//! 14 bytes of the index; memory is taken as entries come and kept.
//!
//! The index has half of each hash beside the number of the slot, and the slot has it too: growing and removing hash no key, and look
//! into no slot, each of which is a line of memory that no cache has when there are millions.
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, RandomState};

/// Link of an entry that has no neighbour.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Clone, Debug)]
pub struct Bounded<K, V> {
    hasher: RandomState,
    places: HashTable<Place>,
    slots: Vec<Slot<K, V>>,
    oldest: u32,
    newest: u32,
    /// The first slot that is used again, the next by `newer`: nothing is moved for one that goes.
    free: u32,
    max: usize,
    evicted: u64,
}

/// Where the entry of a hash is.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: Half,
    at: u32,
}

/// Half of a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half(u32);

#[derive(Clone, Debug)]
struct Slot<K, V> {
    key: K,
    hash: Half,
    /// `None` in a free slot.
    value: Option<V>,
    older: u32,
    newer: u32,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    /// A map of at most `max` entries, one at least and 2^32 - 2 at most.
    pub fn new(max: usize) -> Bounded<K, V> {
        let max = max.clamp(1, NONE as usize - 1);
        Bounded {
            hasher: RandomState::new(),
            places: HashTable::new(),
            slots: Vec::new(),
            oldest: NONE,
            newest: NONE,
            free: NONE,
            max,
            evicted: 0,
        }
    }

    /// The value of the key, made by `fresh` if there is none, and now the newest; and what made room for it, if it had to.
    pub fn entry(&mut self, key: K, fresh: impl FnOnce() -> V) -> (&mut V, Option<(K, V)>) {
        let hash = self.hash(&key);
        self.entry_of(key, hash, fresh)
    }

    /// The keyed hash of a key, for [`Bounded::entry_of`] and for whatever else asks for one of the same key.
    pub fn hash(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    /// As [`Bounded::entry`], with the [`Bounded::hash`] of the key.
    pub fn entry_of(&mut self, key: K, hash: u64, fresh: impl FnOnce() -> V) -> (&mut V, Option<(K, V)>) {
        let mut evicted = None;
        let hash = Half(hash as u32);
        let at = match self.find(hash, &key) {
            Some(at) => {
                if at != self.newest {
                    self.unlink(at);
                    self.link(at);
                }
                at
            }
            None => {
                if self.places.len() >= self.max {
                    evicted = self.evict_oldest();
                }
                let at = self.take(key, hash);
                self.places.insert_unique(hash.whole(), Place { hash, at }, |place| place.hash.whole());
                self.link(at);
                at
            }
        };
        (self.slots[at as usize].value.get_or_insert_with(fresh), evicted)
    }

    /// The value of the key, which becomes no newer.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(self.half(key), key)?;
        self.slots[at as usize].value.as_ref()
    }

    /// The value of the key, which becomes no newer.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(self.half(key), key)?;
        self.slots[at as usize].value.as_mut()
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(self.half(key), key)?;
        self.remove_at(at).map(|(_, value)| value)
    }

    /// The entry that was not used for longest.
    pub fn oldest(&self) -> Option<(&K, &V)> {
        self.iter().next()
    }

    /// Takes out the entry that was not used for longest.
    pub fn pop_oldest(&mut self) -> Option<(K, V)> {
        self.remove_at(self.oldest)
    }

    /// Takes out the entry that was not used for longest, and counts it: for a bound of the caller's own.
    pub fn evict_oldest(&mut self) -> Option<(K, V)> {
        let evicted = self.pop_oldest();
        self.evicted += u64::from(evicted.is_some());
        evicted
    }

    /// All entries, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.newer;
            Some((&slot.key, slot.value.as_ref()?))
        })
    }

    /// Asks for each entry, the oldest first, whether it stays. Those that go are not counted as evicted.
    pub fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        let mut at = self.oldest;
        while let Some(slot) = self.slots.get_mut(at as usize) {
            let next = slot.newer;
            if slot.value.as_mut().is_some_and(|value| !stays(&slot.key, value)) {
                self.remove_at(at);
            }
            at = next;
        }
    }

    /// Takes out all entries; what was evicted stays counted.
    pub fn clear(&mut self) {
        self.places.clear();
        self.slots.clear();
        (self.oldest, self.newest, self.free) = (NONE, NONE, NONE);
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Entries that made room for others so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Says how many entries made room for others, if any did. `what` they are, in the plural.
    pub fn tell(&self, what: &str) {
        if self.evicted > 0 {
            eprintln!("Warning: {} {what} made room for others: {} are kept at a time.", self.evicted, self.max);
        }
    }

    fn half(&self, key: &K) -> Half {
        Half(self.hash(key) as u32)
    }

    fn find(&self, hash: Half, key: &K) -> Option<u32> {
        let is_it = |place: &Place| place.hash == hash && self.slots[place.at as usize].key == *key;
        self.places.find(hash.whole(), is_it).map(|place| place.at)
    }

    /// A slot for the key, free or new, without neighbours and value.
    fn take(&mut self, key: K, hash: Half) -> u32 {
        let slot = Slot { key, hash, value: None, older: NONE, newer: NONE };
        let at = self.free;
        match self.slots.get_mut(at as usize) {
            Some(free) => {
                self.free = free.newer;
                *free = slot;
                at
            }
            None => {
                self.slots.push(slot);
                // `max` fits.
                self.slots.len() as u32 - 1
            }
        }
    }

    fn remove_at(&mut self, at: u32) -> Option<(K, V)> {
        let slot = self.slots.get_mut(at as usize)?;
        let (key, hash, value) = (slot.key, slot.hash, slot.value.take()?);
        if let Ok(entry) = self.places.find_entry(hash.whole(), |place| place.at == at) {
            entry.remove();
        }
        self.unlink(at);
        self.slots[at as usize].newer = self.free;
        self.free = at;
        Some((key, value))
    }

    /// Makes an entry without neighbours the newest.
    fn link(&mut self, at: u32) {
        let newest = self.newest;
        let slot = &mut self.slots[at as usize];
        (slot.older, slot.newer) = (newest, NONE);
        self.set_newer(newest, at);
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let (older, newer) = (self.slots[at as usize].older, self.slots[at as usize].newer);
        self.set_newer(older, newer);
        self.set_older(newer, older);
    }

    fn set_newer(&mut self, of: u32, newer: u32) {
        *self.slots.get_mut(of as usize).map_or(&mut self.oldest, |slot| &mut slot.newer) = newer;
    }

    fn set_older(&mut self, of: u32, older: u32) {
        *self.slots.get_mut(of as usize).map_or(&mut self.newest, |slot| &mut slot.older) = older;
    }
}

impl Half {
    /// As the table wants it: it places by the lower bits and compares the upper ones first.
    fn whole(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut map = Bounded::new(2);
        assert_eq!(map.entry(1, || "a"), (&mut "a", None));
        map.entry(2, || "b");
        // Used again: 2 is the oldest now.
        assert_eq!(map.entry(1, || "x"), (&mut "a", None));
        assert_eq!(map.entry(3, || "c"), (&mut "c", Some((2, "b"))));
        assert_eq!((map.len(), map.evicted(), map.oldest()), (2, 1, Some((&1, &"a"))));
        *map.get_mut(&1).unwrap() = "A";
        assert_eq!((map.pop_oldest(), map.remove(&1), map.remove(&3)), (Some((1, "A")), None, Some("c")));
        assert!(map.is_empty() && map.pop_oldest().is_none() && map.oldest().is_none());
    }

    #[derive(Clone, Debug)]
    enum Call {
        Entry(u8),
        Remove(u8),
        Pop,
        Retain(u8),
        Clear,
    }

    fn call() -> impl Strategy<Value = Call> {
        prop_oneof![
            12 => (0..20_u8).prop_map(Call::Entry),
            4 => (0..20_u8).prop_map(Call::Remove),
            2 => Just(Call::Pop),
            2 => (1..5_u8).prop_map(Call::Retain),
            1 => Just(Call::Clear),
        ]
    }

    proptest! {
        /// Against a list in order of use.
        #[test]
        fn as_a_plain_list(max in 1..9_usize, calls in proptest::collection::vec(call(), 0..200)) {
            let mut map = Bounded::new(max);
            let mut list: Vec<(u8, usize)> = Vec::new();
            let mut evicted = 0;
            for (at, call) in calls.into_iter().enumerate() {
                match call {
                    Call::Entry(key) => {
                        let known = list.iter().position(|(k, _)| *k == key).map(|at| list.remove(at));
                        let out = (known.is_none() && list.len() == max).then(|| list.remove(0));
                        evicted += u64::from(out.is_some());
                        let mut value = known.map_or(at, |(_, value)| value);
                        prop_assert_eq!(map.entry(key, || at), (&mut value, out));
                        list.push((key, value));
                    }
                    Call::Remove(key) => {
                        let known = list.iter().position(|(k, _)| *k == key).map(|at| list.remove(at).1);
                        prop_assert_eq!(map.remove(&key), known);
                    }
                    Call::Pop => {
                        let first = (!list.is_empty()).then(|| list.remove(0));
                        prop_assert_eq!(map.pop_oldest(), first);
                    }
                    Call::Retain(n) => {
                        list.retain(|(key, _)| key % n == 0);
                        map.retain(|key, _| key % n == 0);
                    }
                    Call::Clear => {
                        list.clear();
                        map.clear();
                    }
                }
                prop_assert_eq!(map.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>(), list.clone());
                prop_assert!(list.iter().all(|(key, value)| map.get(key) == Some(value)));
                prop_assert_eq!((map.len(), map.evicted()), (list.len(), evicted));
            }
        }
    }
}
