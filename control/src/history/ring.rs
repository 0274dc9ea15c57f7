//! The last slots of a counter, by their numbers since 1970.

/// Nothing is known of a slot.
const NOTHING: u64 = u64::MAX;

/// A ring of slots.
#[derive(Debug)]
pub(super) struct Ring {
    /// Number of the newest slot.
    newest: u64,
    /// The slot of a number stands at its remainder.
    values: Box<[u64]>,
}

impl Ring {
    pub(super) fn new(slots: usize) -> Self {
        Self { newest: 0, values: vec![NOTHING; slots].into() }
    }

    /// Adds what came between two times to the slots between them, to each its part; the parts add up, less what is before the first slot
    /// that is kept. Times and the slots' length are milliseconds. After a clock was set back all is given to the slot of `until`.
    pub(super) fn spread(&mut self, since: u64, until: u64, step: u64, amount: u64) {
        if since >= until {
            return self.add(until / step, amount);
        }
        let whole = until - since;
        let part = |at: u64| (u128::from(amount) * u128::from(at - since) / u128::from(whole)) as u64;
        let kept = until.saturating_sub(step * self.values.len() as u64).max(since);
        // A slot that begins just now gets nothing yet.
        for slot in kept / step..=(until - 1) / step {
            let (from, to) = ((slot * step).max(since), ((slot + 1) * step).min(until));
            self.add(slot, part(to) - part(from));
        }
    }

    /// Adds to a slot; one that is over for long is not there, unless the clock was set back so far.
    fn add(&mut self, slot: u64, amount: u64) {
        let value = self.at(slot);
        *value = if *value == NOTHING { amount } else { value.saturating_add(amount) }.min(NOTHING - 1);
    }

    /// Says what the slots behind that of `since` up to that of `until` are, whatever they were.
    pub(super) fn set(&mut self, since: u64, until: u64, step: u64, value: u64) {
        let last = until / step;
        let first = (since / step + 1).max(last.saturating_sub(self.values.len() as u64)).min(last);
        (first..=last).for_each(|slot| *self.at(slot) = value.min(NOTHING - 1));
    }

    /// The place of a slot. Those between the newest and a newer one are emptied; after a clock was set back by more than there are, all.
    fn at(&mut self, slot: u64) -> &mut u64 {
        let len = self.values.len() as u64;
        let gap = slot.saturating_sub(self.newest);
        if gap >= len || slot.saturating_add(len) <= self.newest {
            self.values.fill(NOTHING);
            self.newest = slot;
        } else {
            (self.newest + 1..=slot).for_each(|empty| self.values[(empty % len) as usize] = NOTHING);
            self.newest = self.newest.max(slot);
        }
        &mut self.values[(slot % len) as usize]
    }

    /// So many slots from the first on.
    pub(super) fn read(&self, first: u64, slots: usize) -> Vec<Option<u64>> {
        let len = self.values.len() as u64;
        let is_kept = |slot: u64| slot <= self.newest && slot.saturating_add(len) > self.newest;
        let all = (first..).take(slots);
        all.map(|slot| is_kept(slot).then(|| self.values[(slot % len) as usize]).filter(|value| *value != NOTHING))
            .collect()
    }
}
