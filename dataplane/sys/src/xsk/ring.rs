//! A ring that kernel and user space share: one writes at `producer`, the other reads at `consumer`, both count on and wrap.
//!
//! As in the kernel (net/xdp/xsk_queue.h, the comment above `xskq_cons_read_addr_unchecked` on barriers B, C and D): an index is stored with
//! release after the entries behind it were written or read, and loaded with acquire before. The kernel trusts nothing that stands here,
//! and neither do we: whatever the other side's index says, no more than the ring's size is taken.
use super::Mapping;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// One side of a ring; the other side is the kernel's.
pub(super) struct Ring<T> {
    /// Written by this side, and by the other.
    own: NonNull<AtomicU32>,
    other: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    size: u32,
    /// This side's index: what was released, and what the other side's was when it was last looked at.
    at: u32,
    seen: u32,
    /// Keeps the pointers valid.
    _mapping: Mapping,
}

// SAFETY: the pointers are into the mapping that the ring owns, and each side is one owner's.
unsafe impl<T: Send> Send for Ring<T> {}

/// Where the parts of a ring are, bytes from the start of its mapping (`struct xdp_ring_offset`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    pub(super) own: usize,
    pub(super) other: usize,
    pub(super) flags: usize,
    pub(super) entries: usize,
}

impl<T: Copy> Ring<T> {
    /// `size` entries, a power of two. `None` if the mapping is too small for them or an offset is not aligned.
    pub(super) fn new(mapping: Mapping, offsets: Offsets, size: u32) -> Option<Ring<T>> {
        let fits = |at: usize, bytes: usize, align: usize| {
            at.is_multiple_of(align) && at.checked_add(bytes).is_some_and(|end| end <= mapping.len)
        };
        let indexes = [offsets.own, offsets.other, offsets.flags].iter().all(|at| fits(*at, 4, 4));
        if !size.is_power_of_two()
            || !indexes
            || !fits(offsets.entries, size as usize * size_of::<T>(), align_of::<T>())
        {
            return None;
        }
        // SAFETY: all four offsets, with what stands there, lie inside the mapping, as was checked.
        let place = |at: usize| unsafe { mapping.first.byte_add(at) };
        let (own, other) = (place(offsets.own).cast::<AtomicU32>(), place(offsets.other).cast::<AtomicU32>());
        let (flags, entries) = (place(offsets.flags).cast(), place(offsets.entries).cast());
        // SAFETY: aligned, inside the mapping, and shared with the kernel by atomics only.
        let (at, seen) = unsafe { (own.as_ref().load(Ordering::Relaxed), other.as_ref().load(Ordering::Acquire)) };
        Some(Ring { own, other, flags, entries, size, at, seen, _mapping: mapping })
    }

    /// How far the other side is ahead of this one, entries: for a consumer what may be read. Looks anew if less than `want` is known.
    #[inline]
    pub(super) fn ahead(&mut self, want: u32) -> u32 {
        if self.seen.wrapping_sub(self.at) < want {
            // SAFETY: as in `new`; acquire, so that entries are read after the index.
            self.seen = unsafe { self.other.as_ref() }.load(Ordering::Acquire);
        }
        self.seen.wrapping_sub(self.at).min(self.size)
    }

    /// For a producer: entries that may be written.
    #[inline]
    pub(super) fn room(&mut self, want: u32) -> u32 {
        let room = |at: u32, seen: u32, size: u32| size - at.wrapping_sub(seen).min(size);
        if room(self.at, self.seen, self.size) < want {
            // SAFETY: as in `ahead`.
            self.seen = unsafe { self.other.as_ref() }.load(Ordering::Acquire);
        }
        room(self.at, self.seen, self.size)
    }

    /// The entry `n` behind this side's index.
    #[inline]
    pub(super) fn get(&self, n: u32) -> T {
        let place = (self.at.wrapping_add(n) & (self.size - 1)) as usize;
        // SAFETY: masked, so inside the entries; T is plain integers, of which any bytes are a value. The other side does not write an
        // entry before it was released; were it to, the value would be another one, and is checked by whoever uses it.
        unsafe { self.entries.add(place).read_volatile() }
    }

    /// Writes the entry `n` behind this side's index.
    #[inline]
    pub(super) fn put(&mut self, n: u32, value: T) {
        let place = (self.at.wrapping_add(n) & (self.size - 1)) as usize;
        // SAFETY: as for `get`; the other side reads it after `release`.
        unsafe { self.entries.add(place).write_volatile(value) };
    }

    /// Gives the next `count` entries to the other side: they were read, or written.
    #[inline]
    pub(super) fn release(&mut self, count: u32) {
        self.at = self.at.wrapping_add(count);
        // SAFETY: as in `new`; release, so that reads and writes of entries come before.
        unsafe { self.own.as_ref() }.store(self.at, Ordering::Release);
    }

    /// XDP_RING_NEED_WAKEUP: the driver sleeps until a system call.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        // SAFETY: as in `new`.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const PRODUCER: usize = 0;
    const CONSUMER: usize = 64;
    const FLAGS: usize = 128;
    const ENTRIES: usize = 192;

    /// Both sides of a ring of `size`, whose indexes stand at `start`: the second one works on the first one's memory.
    fn sides(size: u32, start: u32) -> (Ring<u64>, Ring<u64>) {
        let mapping = Mapping::anonymous(ENTRIES + size as usize * 8, false).unwrap();
        let first = mapping.first;
        for at in [PRODUCER, CONSUMER] {
            // SAFETY: inside the mapping, aligned, nobody else's yet.
            unsafe { first.byte_add(at).cast::<u32>().write(start) };
        }
        // A mapping of length 0 would not be unmapped twice: this one is a view that is forgotten.
        let view = Mapping { first, len: mapping.len, borrowed: true };
        let offsets = Offsets { own: PRODUCER, other: CONSUMER, flags: FLAGS, entries: ENTRIES };
        let producer = Ring::new(mapping, offsets, size).unwrap();
        let consumer = Ring::new(view, Offsets { own: CONSUMER, other: PRODUCER, ..offsets }, size).unwrap();
        (producer, consumer)
    }

    proptest! {
        /// Whatever is written comes out in order, no more than there is room for, and indexes may wrap.
        #[test]
        fn a_ring_is_a_queue(exp in 0u32..8, start in prop::num::u32::ANY, steps in prop::collection::vec((any::<bool>(), 0u32..300), 1..200)) {
            for start in [start, u32::MAX - 5] {
                let size = 1 << exp;
                let (mut producer, mut consumer) = sides(size, start);
                let mut model = VecDeque::new();
                let mut next = 0u64;
                for &(write, count) in &steps {
                    if write {
                        let room = producer.room(count);
                        prop_assert!(room <= size - model.len() as u32);
                        // A look that is asked for enough tells all there is.
                        prop_assert!(room >= count.min(size - model.len() as u32));
                        let count = count.min(room);
                        for n in 0..count {
                            producer.put(n, next);
                            model.push_back(next);
                            next += 1;
                        }
                        producer.release(count);
                    } else {
                        let ahead = consumer.ahead(count);
                        prop_assert!(ahead <= model.len() as u32);
                        prop_assert!(ahead >= count.min(model.len() as u32));
                        let count = count.min(ahead);
                        for n in 0..count {
                            prop_assert_eq!(Some(consumer.get(n)), model.pop_front());
                        }
                        consumer.release(count);
                    }
                }
            }
        }

        /// An index that makes no sense takes nobody out of the ring.
        #[test]
        fn a_broken_index_is_harmless(start: u32, broken: u32) {
            let (producer, mut consumer) = sides(8, start);
            // SAFETY: the ring's own index.
            unsafe { producer.own.as_ref() }.store(broken, Ordering::Release);
            let ahead = consumer.ahead(u32::MAX);
            prop_assert!(ahead <= 8);
            (0..ahead).for_each(|n| {
                let _ = consumer.get(n);
            });
        }

        /// Offsets that do not fit are refused.
        #[test]
        fn offsets_are_checked(own in 0usize..300, entries in 0usize..300, size in 0u32..64) {
            let mapping = Mapping::anonymous(256, false).unwrap();
            let len = mapping.len;
            let ring = Ring::<u64>::new(mapping, Offsets { own, other: 4, flags: 8, entries }, size);
            let fits = own % 4 == 0 && own + 4 <= len && entries % 8 == 0 && entries + size as usize * 8 <= len;
            prop_assert_eq!(ring.is_some(), fits && size.is_power_of_two());
        }
    }
}
