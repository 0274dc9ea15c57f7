//! The extension records of a batch by their type.
use crate::batch::ROOM;
use crate::plugin::{Kept, Plugin};
use record::Record;

/// Records of one type in a batch: room for a batch is taken with the first one, memory is touched as it is used, and used again.
pub(super) struct Arena<R: Record> {
    pub(super) records: Vec<R>,
    pub(super) used: usize,
}

impl<R: Record> Default for Arena<R> {
    fn default() -> Self {
        Arena { records: Vec::new(), used: 0 }
    }
}

impl<R: Record> Arena<R> {
    #[inline]
    pub(super) fn add<P: Plugin<Record = R>>(&mut self, kept: Kept<'_, P>) -> u32 {
        if self.used == self.records.len() {
            self.records.reserve(ROOM.saturating_sub(self.records.len()));
            self.records.push(R::default());
        }
        kept.write(&mut self.records[self.used]);
        self.used += 1;
        self.used as u32 - 1
    }
}
