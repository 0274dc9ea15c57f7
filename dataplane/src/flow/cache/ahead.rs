//! What plugins keep of flows is asked for before it is used: it lies where a row says, which lies where a flow says.
use super::Cache;
use crate::capture::BURST;
use crate::flow::table::Slot;

impl Cache {
    /// Asks for what plugins keep of flows, which packets of this burst will change: row by row, since where it is stands in a row.
    #[inline(never)]
    pub(super) fn prefetch_kept(&self, places: &[Slot]) {
        let mut rows = [0; BURST];
        for (row, place) in rows.iter_mut().zip(places) {
            *row = self.table.flow(*place).row;
            self.plugins.prefetch_row(*row);
        }
        self.plugins.prefetch_resident(&rows[..places.len().min(BURST)]);
    }

    /// Asks for what is kept of flows that are about to end: they were quiet for long, so it is in no cache.
    #[inline]
    pub(super) fn warm(&self, ending: &[Slot]) {
        if self.plugins.enabled() == 0 {
            return;
        }
        ending.iter().for_each(|slot| sys::prefetch(&self.table.flow(*slot).row));
        ending.iter().for_each(|slot| self.plugins.prefetch_row(self.table.flow(*slot).row));
        ending.iter().for_each(|slot| self.plugins.prefetch_slots(self.table.flow(*slot).row));
    }
}
