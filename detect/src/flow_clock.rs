//! The time that flows tell: what detectors of ours take for now.
//!
//! Contract: now never goes back. A flow that lies more than [`AHEAD_MAX`] ahead is not believed at once: an exporter with a wrong clock would
//! end everybody's windows. When [`BELIEVED`] flows in a row say so, time went on without us and now follows.
use crate::sdk::Time;

/// Seconds that one flow may be ahead of all others.
const AHEAD_MAX: u64 = 3_600;
/// Flows in a row that are believed against all before.
const BELIEVED: u32 = 100;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowClock {
    now: u64,
    in_a_row: u32,
    disbelieved: u64,
}

impl FlowClock {
    /// Takes the time of a flow and answers now, in Unix seconds; `None` for a flow that is not believed, which is to be passed over.
    pub(crate) fn advance(&mut self, time: Time) -> Option<u64> {
        let secs = time.secs();
        if self.now != 0 && secs > self.now + AHEAD_MAX {
            self.in_a_row += 1;
            if self.in_a_row < BELIEVED {
                self.disbelieved += 1;
                return None;
            }
        }
        self.in_a_row = 0;
        self.now = self.now.max(secs);
        Some(self.now)
    }

    /// Says how many flows were passed over, if any were.
    pub(crate) fn tell(&self) {
        if self.disbelieved > 0 {
            eprintln!(
                "Warning: {} flows were passed over: their times are more than {AHEAD_MAX} s ahead of the others'.",
                self.disbelieved
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time(secs * 1_000_000_000)
    }

    #[test]
    fn a_wrong_clock_is_not_believed_and_a_gap_is() {
        let mut clock = FlowClock::default();
        assert_eq!(clock.advance(at(1_000_000)), Some(1_000_000));
        assert_eq!(clock.advance(at(999_000)), Some(1_000_000), "it never goes back");
        assert_eq!(clock.advance(at(1_003_600)), Some(1_003_600));
        for _ in 0..2 * BELIEVED {
            assert_eq!(clock.advance(at(9_000_000)), None);
            assert_eq!(clock.advance(at(1_003_601)), Some(1_003_601));
        }
        for _ in 1..BELIEVED {
            assert_eq!(clock.advance(at(9_000_000)), None);
        }
        assert_eq!(clock.advance(at(9_000_000)), Some(9_000_000));
        assert_eq!(clock.disbelieved, u64::from(3 * BELIEVED - 1));
    }
}
