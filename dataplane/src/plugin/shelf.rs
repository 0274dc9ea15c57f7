//! Slots that lie as they are, for what changes with nearly every packet: to pack and unpack them each time would cost more than what is
//! done with them.
use super::NONE;

/// What one plugin keeps of flows on one lane, at places that stay theirs. Memory is touched as live flows need it, and used again.
pub(super) struct Shelf<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Shelf<T> {
    /// With address space for `cap` slots.
    pub(super) fn new(cap: usize) -> Shelf<T> {
        let mut slots = Vec::with_capacity(cap);
        sys::advise_huge(slots.spare_capacity_mut());
        Shelf { slots, free: Vec::with_capacity(cap) }
    }

    /// The place of an empty slot; `renew` makes one that was used before empty.
    #[inline]
    pub(super) fn take(&mut self, renew: impl FnOnce(&mut T)) -> u32 {
        let Some(at) = self.free.pop() else {
            self.slots.push(T::default());
            // Fits: there are fewer slots than flows, which are numbered in 32 bits.
            return self.slots.len() as u32 - 1;
        };
        if let Some(slot) = self.get_mut(at) {
            renew(slot);
        }
        at
    }

    #[inline]
    pub(super) fn give(&mut self, at: u32) {
        self.free.push(at);
    }

    /// The slot at a place; there is none at [`NONE`].
    #[inline(always)]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        debug_assert!(self.slots.len() < NONE as usize);
        self.slots.get(at as usize)
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.slots.get_mut(at as usize)
    }

    /// Asks for a slot that will be read soon, the first lines of a large one.
    #[inline(always)]
    pub(super) fn prefetch(&self, at: u32) {
        if let Some(slot) = self.get(at) {
            sys::prefetch_value(slot);
        }
    }

    /// Asks for what a packet will probably touch of a slot: its first two lines.
    #[inline(always)]
    pub(super) fn prefetch_head(&self, at: u32) {
        const LINE: usize = 64;
        let from = at as usize * size_of::<T>();
        sys::prefetch_far(self.slots.as_ptr(), from);
        if size_of::<T>() > LINE {
            sys::prefetch_far(self.slots.as_ptr(), from + LINE);
        }
    }
}
