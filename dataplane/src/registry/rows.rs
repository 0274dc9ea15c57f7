//! Where the plugins of a lane keep the heads of what they keep: a row for each flow that any of them keeps something of.
use super::PluginId;
use crate::plugin::NONE;
use std::ops::Range;

/// The row of flows of which nothing is kept: its places are never taken.
pub(super) const NO_ROW: u32 = 0;

/// For each flow that any plugin keeps something of: the heads of its slot chains, one for each enabled plugin.
pub(super) struct Rows {
    /// Row after row, that of nobody first.
    heads: Vec<u32>,
    /// Plugins, and which place of a row is whose.
    taken: usize,
    places: [u8; PluginId::COUNT],
    /// Places of a row are a power of two, so that none lies across cache lines needlessly and finding it takes no product.
    shift: u32,
    free: Vec<u32>,
    cap: usize,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { heads: Vec::new(), taken: 0, places: [0; PluginId::COUNT], shift: 0, free: Vec::new(), cap: 0 }
    }
}

impl Rows {
    /// Gives each row a place for one more plugin; only before the first row is taken.
    pub(super) fn add(&mut self, id: PluginId, cap: usize) {
        self.places[id as usize] = self.taken as u8;
        self.taken += 1;
        self.shift = self.taken.next_power_of_two().trailing_zeros();
        self.cap = self.cap.max(cap);
        debug_assert!(self.heads.len() <= 1 << self.shift, "rows keep their places");
        self.heads.resize(1 << self.shift, NONE);
        self.heads.reserve_exact(self.cap << self.shift);
        sys::advise_huge(self.heads.spare_capacity_mut());
        self.free.reserve_exact(self.cap - self.free.len());
    }

    #[inline]
    fn range(&self, row: u32) -> Range<usize> {
        let from = (row as usize) << self.shift;
        from..from + (1 << self.shift)
    }

    /// The heads of a row; those past the enabled plugins are nobody's.
    #[inline]
    pub(super) fn look(&self, row: u32) -> &[u32] {
        if row == NO_ROW { &[] } else { self.heads.get(self.range(row)).unwrap_or_default() }
    }

    #[inline]
    pub(super) fn get(&mut self, row: u32) -> &mut [u32] {
        let range = self.range(row);
        if row == NO_ROW { &mut [] } else { self.heads.get_mut(range).unwrap_or_default() }
    }

    #[inline]
    fn at(&self, row: u32, id: PluginId) -> usize {
        ((row as usize) << self.shift) + self.places[id as usize] as usize
    }

    /// The first slot that a plugin holds of a flow.
    #[inline]
    pub(super) fn head(&self, row: u32, id: PluginId) -> u32 {
        self.heads.get(self.at(row, id)).copied().unwrap_or(NONE)
    }

    /// The plugin's place in a row that was taken.
    #[inline]
    pub(super) fn place(&mut self, row: u32, id: PluginId) -> Option<&mut u32> {
        let at = self.at(row, id);
        self.heads.get_mut(at)
    }

    /// The plugin's place in the row, which is taken if the flow has none; there are as many rows as flows, so this fails only if flows
    /// outnumber the cap.
    #[inline]
    pub(super) fn open(&mut self, row: &mut u32, id: PluginId) -> Option<&mut u32> {
        if *row == NO_ROW {
            *row = self.free.pop().or_else(|| self.cut())?;
        }
        self.place(*row, id)
    }

    /// All places of the row, which is taken if the flow has none, and which place is whose; fails as [`Rows::open`] does.
    #[inline]
    pub(super) fn open_all(&mut self, row: &mut u32) -> Option<(&mut [u32], &[u8; PluginId::COUNT])> {
        if *row == NO_ROW {
            *row = self.free.pop().or_else(|| self.cut())?;
        }
        let range = self.range(*row);
        Some((self.heads.get_mut(range)?, &self.places))
    }

    /// A row that was never taken before.
    fn cut(&mut self) -> Option<u32> {
        let row = self.heads.len() >> self.shift;
        if row > self.cap {
            return None;
        }
        self.heads.resize(self.heads.len() + (1 << self.shift), NONE);
        Some(row as u32)
    }

    pub(super) fn close(&mut self, row: &mut u32) {
        if *row != NO_ROW {
            self.free.push(*row);
            *row = NO_ROW;
        }
    }
}
