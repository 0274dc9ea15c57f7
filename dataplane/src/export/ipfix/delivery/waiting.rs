//! Messages that cannot go yet: on disk, or without a spool in memory.
use super::session::Origin;
use crate::export::spool::Spool;
use std::collections::VecDeque;

/// Messages that cannot go yet.
pub(super) enum Waiting {
    Disk(Box<Spool>),
    Memory { messages: VecDeque<(Vec<u8>, u32)>, bytes: usize },
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Waiting::Disk(spool) => spool.is_empty(),
            Waiting::Memory { messages, .. } => messages.is_empty(),
        }
    }

    /// The run of the next message; of what is in memory it is this one.
    pub(super) fn next_run(&self) -> Option<u64> {
        match self {
            Waiting::Disk(spool) => spool.next_run(),
            Waiting::Memory { .. } => None,
        }
    }

    pub(super) fn next(&mut self, run: u64) -> Option<(Vec<u8>, u32, Origin)> {
        match self {
            Waiting::Disk(spool) => {
                spool.next(run).map(|taken| (taken.message, taken.records, Origin::Spool(taken.mark)))
            }
            Waiting::Memory { messages, bytes } => messages.pop_front().map(|(message, records)| {
                *bytes -= message.len();
                (message.clone(), records, Origin::Memory(message))
            }),
        }
    }
}
