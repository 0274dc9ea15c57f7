//! Waiting for a peer, counted in time in which we looked: where a machine stalls, and this process with it, nothing is wrong with the peer.

use std::time::{Duration, Instant};

use crate::place::STOP_POLL;

/// How much longer somebody is waited for, in looks of at most [`STOP_POLL`] each. The original counts looks too (8 of 25 ms).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    left: Duration,
    looked: Instant,
}

impl Patience {
    pub(crate) fn new(total: Duration) -> Self {
        Self { left: total, looked: Instant::now() }
    }

    /// The longest wait before the next look.
    pub(crate) fn slice(&self) -> Duration {
        self.left.min(STOP_POLL)
    }

    /// Counts the time since the last look, as one look at the most; true when nothing is left.
    pub(crate) fn is_spent(&mut self) -> bool {
        let now = Instant::now();
        self.left = self.left.saturating_sub((now - self.looked).min(STOP_POLL));
        self.looked = now;
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_costs_one_look() {
        let mut patience = Patience::new(3 * STOP_POLL);
        patience.looked = Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine runs for a minute");
        assert!(!patience.is_spent());
        assert!(patience.left <= 2 * STOP_POLL && patience.slice() <= STOP_POLL);
        let looks = std::iter::repeat_with(|| {
            std::thread::sleep(patience.slice());
            patience.is_spent()
        });
        assert!(looks.take(4).any(|is_spent| is_spent));
    }
}
