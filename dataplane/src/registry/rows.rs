//! Where the plugins of a lane keep the heads of what they keep: a row for each flow that any of them keeps something of.
use super::PluginId;
use crate::plugin::NONE;

/// For each flow that any plugin keeps something of: the heads of its slot chains, one for each enabled plugin.
#[derive(Default)]
pub(super) struct Rows {
    /// Row after row.
    heads: Vec<u32>,
    /// Heads of one row, and which of them is a plugin's.
    width: usize,
    places: [u8; PluginId::COUNT],
    free: Vec<u32>,
    cap: usize,
}

impl Rows {
    /// Gives each row a place for one more plugin; only before the first row is taken.
    pub(super) fn add(&mut self, id: PluginId, cap: usize) {
        debug_assert!(self.heads.is_empty(), "rows keep their places");
        self.places[id as usize] = self.width as u8;
        self.width += 1;
        self.cap = self.cap.max(cap);
        self.heads.reserve_exact(self.cap * self.width);
        sys::advise_huge(self.heads.spare_capacity_mut());
        self.free.reserve_exact(self.cap - self.free.len());
    }

    /// Where a row stands. No row has the number 0.
    #[inline]
    fn range(&self, row: u32) -> Option<std::ops::Range<usize>> {
        let from = (row as usize).checked_sub(1)? * self.width;
        Some(from..from + self.width)
    }

    #[inline]
    pub(super) fn look(&self, row: u32) -> Option<&[u32]> {
        self.heads.get(self.range(row)?)
    }

    #[inline]
    pub(super) fn get(&mut self, row: u32) -> Option<&mut [u32]> {
        let range = self.range(row)?;
        self.heads.get_mut(range)
    }

    /// The first slot that a plugin holds of a flow.
    #[inline]
    pub(super) fn head(&self, row: u32, id: PluginId) -> u32 {
        self.look(row).and_then(|heads| heads.get(self.places[id as usize] as usize)).copied().unwrap_or(NONE)
    }

    /// The plugin's place in the row, which is taken if the flow has none; there are as many rows as flows, so this fails only if flows
    /// outnumber the cap.
    #[inline]
    pub(super) fn open(&mut self, row: &mut u32, id: PluginId) -> Option<&mut u32> {
        if *row == 0 {
            *row = match self.free.pop() {
                Some(free) => free,
                None if self.heads.len() < self.cap * self.width => {
                    self.heads.resize(self.heads.len() + self.width, NONE);
                    (self.heads.len() / self.width) as u32
                }
                None => return None,
            };
        }
        let place = self.places[id as usize] as usize;
        self.get(*row)?.get_mut(place)
    }

    pub(super) fn close(&mut self, row: &mut u32) {
        if *row != 0 {
            self.free.push(*row);
            *row = 0;
        }
    }
}
