//! Conversations that go on at the same time, told packet by packet in the order of time.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Nanos;
use crate::dialog::Dialog;
use crate::frame::Frame;

/// What is under way. Memory follows the conversations that are alive.
pub(crate) struct Stage<D> {
    live: Vec<Live<D>>,
    vacant: Vec<usize>,
    /// When the next packet of each is due.
    queue: BinaryHeap<Reverse<(Nanos, usize)>>,
}

struct Live<D> {
    dialog: D,
    /// Whether its first packet was told.
    seen: bool,
}

impl<D: Dialog> Stage<D> {
    pub(crate) fn new() -> Stage<D> {
        Stage { live: Vec::new(), vacant: Vec::new(), queue: BinaryHeap::new() }
    }

    /// Begins a conversation; one that has nothing to say is left out.
    pub(crate) fn enter(&mut self, at: Nanos, mut dialog: D) {
        let Some(gap) = dialog.gap() else { return };
        let live = Live { dialog, seen: false };
        let slot = self.vacant.pop().unwrap_or(self.live.len());
        match self.live.get_mut(slot) {
            Some(place) => *place = live,
            None => self.live.push(live),
        }
        self.queue.push(Reverse((at + gap, slot)));
    }

    /// When the next packet is due.
    pub(crate) fn due(&self) -> Option<Nanos> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Builds the next packet; answers when it is sent, and whether it is the first of its conversation.
    pub(crate) fn tell(&mut self, frame: &mut Frame) -> Option<(Nanos, bool)> {
        let Reverse((at, slot)) = self.queue.pop()?;
        let live = &mut self.live[slot];
        live.dialog.packet(frame);
        let first = !std::mem::replace(&mut live.seen, true);
        match live.dialog.gap() {
            Some(gap) => self.queue.push(Reverse((at + gap, slot))),
            None => self.vacant.push(slot),
        }
        Some((at, first))
    }
}
