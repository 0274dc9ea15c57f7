//! What a host usually sends in a window, learned from its windows.

/// Weight of the newest window in the average of all: half of it is gone after some 11 windows.
const ALL_WEIGHT: f64 = 1.0 / 16.0;
/// Weight of the newest window at an hour in that hour's average.
const HOUR_WEIGHT: f64 = 1.0 / 4.0;
/// Deviations above the average that are usual.
const DEVIATIONS: f64 = 6.0;

/// Moving averages, in bytes of a window.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    windows: u64,
    average: f64,
    /// Average distance from the average.
    deviation: f64,
    /// By the hour of the day; 0 for an hour without a window.
    hours: [f32; 24],
}

/// What a window may bring.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) usual: u64,
    /// More is an alert, if the settings' floor allows.
    pub(super) limit: u64,
}

impl History {
    /// Windows that were learned, silent ones included.
    pub(super) fn windows(&self) -> u64 {
        self.windows
    }

    /// Learns a window that began in this hour.
    pub(super) fn learn(&mut self, hour: usize, bytes: u64) {
        let bytes = bytes as f64;
        if self.windows == 0 {
            self.average = bytes;
        }
        self.windows = self.windows.saturating_add(1);
        self.deviation += ALL_WEIGHT * ((bytes - self.average).abs() - self.deviation);
        self.average += ALL_WEIGHT * (bytes - self.average);
        let known = &mut self.hours[hour];
        *known = if *known == 0.0 { bytes as f32 } else { *known + (HOUR_WEIGHT * (bytes - f64::from(*known))) as f32 };
    }

    /// Learns windows without a flow. They lower the average, but say nothing about the hours, in which the host may have been off.
    pub(super) fn learn_silence(&mut self, windows: u64) {
        let left = (1.0 - ALL_WEIGHT).powi(i32::try_from(windows).unwrap_or(i32::MAX));
        self.windows = self.windows.saturating_add(windows);
        self.average *= left;
        self.deviation *= left;
    }

    /// What a window that begins in this hour may bring: `factor` times the larger of both averages, and not less than the average and
    /// [`DEVIATIONS`] deviations.
    pub(super) fn limits(&self, hour: usize, factor: u64) -> Limits {
        let usual = self.average.max(f64::from(self.hours[hour]));
        let limit = (usual * factor as f64).max(self.average + DEVIATIONS * self.deviation);
        Limits { usual: usual as u64, limit: limit as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual() {
        let mut history = History::default();
        for _ in 0..100 {
            history.learn(3, 1_000);
        }
        assert_eq!((history.windows(), history.limits(3, 10)), (100, Limits { usual: 1_000, limit: 10_000 }));
        // A night's backup: from then on usual at its hour.
        history.learn(2, 1_000_000);
        assert_eq!(history.limits(2, 10), Limits { usual: 1_000_000, limit: 10_000_000 });
        assert!(history.limits(3, 10).usual < 64_000);
        history.learn_silence(1_000);
        assert_eq!((history.limits(5, 10).usual, history.limits(2, 10).usual), (0, 1_000_000));
        history.learn_silence(u64::MAX);
        assert_eq!(history.windows(), u64::MAX);
    }

    #[test]
    fn a_restless_host_has_a_higher_limit() {
        let mut history = History::default();
        for n in 0..200 {
            history.learn(1, if n % 2 == 0 { 0 } else { 1_000 });
        }
        let limits = history.limits(0, 2);
        assert!((400..600).contains(&limits.usual) && limits.limit > 3_000, "{limits:?}");
    }
}
