//! The memory of one receive queue and its fill ring, which all sockets of the queue share (XDP_SHARED_UMEM).
//!
//! The kernel gives each packet to one socket, so receive rings need no lock; but frames of all sockets go back by the one fill ring,
//! which has room for one producer. A lock guards it, held for one batch of at most [`HELD_MAX`](super::HELD_MAX) stores, once in a burst
//! and never for a packet. Rings of returned frames from each lane to one refiller would spare the lock, but then a refiller that is busy
//! elsewhere starves lanes that are not. A lane that finds the lock taken keeps its frames for a burst more instead of waiting.
use super::memory::Mapping;
use super::ring::Ring;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

pub(super) struct Umem {
    memory: Mapping,
    fill: Mutex<Ring<u64>>,
    frame_bytes: u32,
}

impl Umem {
    /// Puts all `frames` on the fill ring, which has a place for each.
    pub(super) fn new(memory: Mapping, mut fill: Ring<u64>, frame_bytes: u32, frames: u32) -> Umem {
        let count = fill.room(frames).min(frames);
        (0..count).for_each(|n| fill.put(n, u64::from(n) * u64::from(frame_bytes)));
        fill.release(count);
        Umem { memory, fill: Mutex::new(fill), frame_bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.memory.len
    }

    /// Bytes of frames that the caller's socket holds; nothing outside.
    #[inline]
    pub(super) fn slice(&self, at: usize, len: usize) -> &[u8] {
        self.memory.slice(at, len)
    }

    /// Puts frames that a socket held on the fill ring. Unless `wait`, nothing happens while another socket does the same. Answers
    /// whether the driver sleeps until a system call.
    #[inline]
    pub(super) fn give_back(&self, held: &mut Vec<u64>, wait: bool) -> bool {
        let mut fill = match self.fill.try_lock() {
            Ok(fill) => fill,
            // Whoever has the lock looks at the flag.
            Err(TryLockError::WouldBlock) if !wait => return false,
            Err(TryLockError::WouldBlock) => self.locked(),
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
        };
        // There is room: the ring has a place for every frame, and these are on none.
        let count = fill.room(held.len() as u32).min(held.len() as u32);
        let first_byte = !u64::from(self.frame_bytes - 1);
        for (n, addr) in (0..count).zip(&*held) {
            fill.put(n, addr & first_byte);
        }
        fill.release(count);
        let sleeps = fill.needs_wakeup();
        drop(fill);
        held.drain(..count as usize);
        sleeps
    }

    pub(super) fn needs_wakeup(&self) -> bool {
        self.locked().needs_wakeup()
    }

    /// A ring is whole between any two of its steps, also where a panic has ended the other lane.
    fn locked(&self) -> MutexGuard<'_, Ring<u64>> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
