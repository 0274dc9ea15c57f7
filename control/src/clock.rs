//! Time of day in spite of steps of the machine's clock (fault row 20): an operator's slip, a time server that lies, a battery that is empty.
//!
//! What waits or ends goes by the monotonic clock and is not touched by any of this. These two are for what must know the time of day: one
//! for an axis on which nothing may be lost, one for what expires at a time that people have set.
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// A difference to the time before that is no step: clocks are slewed, and requests come when they come.
const SLEWED_S: i64 = 60;
/// A step is believed when it has lasted so long.
const BELIEVED: Duration = Duration::from_secs(15 * 60);

/// The time of day at the start, and from there on by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    wall: i64,
    began: Instant,
}

impl Steady {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self { wall: Timestamp::now().as_millisecond(), began: Instant::now() }
    }

    /// Milliseconds since 1970 by the clock of the start, and by how many seconds the machine's clock has been set forward since (below 0: back).
    #[must_use]
    pub fn now(&self) -> (u64, i64) {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = self.wall.saturating_add(passed);
        let ahead = Timestamp::now().as_millisecond().saturating_sub(now);
        (u64::try_from(now).unwrap_or(0), ahead.saturating_add(500).div_euclid(1_000))
    }
}

/// The time of day, where a step counts only after a while: until then time goes on as if there had been none.
#[derive(Debug, Default)]
pub struct Settled {
    /// What the time of day is ahead of the monotonic clock, in seconds; `None` before the first question.
    ahead: Option<i64>,
    /// Since when it is something else.
    stepped: Option<Duration>,
}

impl Settled {
    /// The time in seconds since 1970, if the machine's clock says `wall_s` and the monotonic one `passed` since any fixed moment.
    pub fn now(&mut self, wall_s: i64, passed: Duration) -> i64 {
        let here = i64::try_from(passed.as_secs()).unwrap_or(i64::MAX);
        let seen = wall_s.saturating_sub(here);
        let ahead = self.ahead.get_or_insert(seen);
        let is_step = seen.saturating_sub(*ahead).unsigned_abs() > SLEWED_S.unsigned_abs();
        let is_believed = is_step && passed.saturating_sub(*self.stepped.get_or_insert(passed)) >= BELIEVED;
        if !is_step || is_believed {
            (*ahead, self.stepped) = (seen, None);
        }
        here.saturating_add(*ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_800_000_000;
    const YEARS: i64 = 10 * 365 * 86_400;

    #[test]
    fn a_step_counts_when_it_has_lasted() {
        for step in [3_600, -3_600, YEARS, -YEARS] {
            let mut clock = Settled::default();
            let mut at = |passed: u64, wall: i64| clock.now(wall, Duration::from_secs(passed)) - START;
            assert_eq!(at(100, START), 0);
            assert_eq!(at(110, START + 10), 10);
            // It is slewed.
            assert_eq!(at(120, START + 25), 25);
            assert_eq!(at(130, START + 35 + step), 35);
            assert_eq!(at(1_029, START + 934 + step), 934);
            // Somebody sees it and sets it right.
            assert_eq!(at(1_030, START + 935), 935);
            assert_eq!(at(1_031, START + 936 + step), 936, "the time begins anew");
            assert_eq!(at(1_931, START + 1_836 + step), 1_836 + step);
            assert_eq!(at(1_932, START + 1_837), 1_837 + step);
            assert_eq!(at(2_832, START + 2_737), 2_737);
        }
    }

    proptest! {
        #[test]
        fn any_clocks_are_answered(looks in prop::collection::vec((any::<i64>(), any::<u64>()), 1..20)) {
            let mut clock = Settled::default();
            for (wall, passed) in looks {
                clock.now(wall, Duration::from_secs(passed));
            }
        }
    }

    #[test]
    fn the_steady_clock_goes_on() {
        let clock = Steady::begin();
        let ((first, _), (second, ahead)) = (clock.now(), clock.now());
        assert!(second >= first && first >= clock.wall.unsigned_abs() && ahead.abs() <= 1, "nobody has set the clock");
    }
}
