//! Generator: one message over and over, for tests and measurements (trap.md section 2.7). It tells no format, so none is required.

use super::Filled;
use crate::container::Builder;
use crate::deframer::Deframer;
use crate::place::{Place, Stop};

#[derive(Debug)]
pub(super) struct GeneratorSource {
    /// A full block of messages, given again and again.
    block: Vec<u8>,
    is_fresh: bool,
    stop: Stop,
}

impl GeneratorSource {
    pub(super) fn new(message: &[u8], place: &Place) -> Self {
        let mut block = Builder::file();
        while block.push(message) {}
        Self { block: block.seal(0).to_vec(), is_fresh: true, stop: place.stop.clone() }
    }

    pub(super) fn fill(&mut self, deframer: &mut Deframer) -> Filled {
        if self.stop.is_set() {
            return Filled::Terminated;
        }
        if std::mem::take(&mut self.is_fresh) {
            deframer.skip_hello();
            return Filled::Fresh;
        }
        deframer.feed(&self.block);
        Filled::Bytes(self.block.len())
    }
}
