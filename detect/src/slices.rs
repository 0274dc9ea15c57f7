//! A sum over the last while, by the time of the flows: a window of slices, of which the oldest go.
//!
//! Contract: a number counts for at least [`SLICES`] - 1 slices of time and at most [`SLICES`]. Flows come out of order: what is older than
//! the window does not count, and the window never goes back.

/// Parts of a window.
pub(crate) const SLICES: usize = 10;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slices {
    sums: [u64; SLICES],
    /// Number of the newest slice.
    newest: u64,
}

/// Seconds of a slice, 1 or more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    slice: u64,
}

impl Window {
    pub(crate) fn of(secs: u64) -> Window {
        Window { slice: (secs / SLICES as u64).max(1) }
    }

    /// The slice in which a second lies.
    fn slice(self, secs: u64) -> u64 {
        secs / self.slice
    }
}

impl Slices {
    /// Counts `more` at this second.
    pub(crate) fn add(&mut self, window: Window, secs: u64, more: u64) {
        let slice = window.slice(secs);
        self.advance(slice);
        if self.newest - slice < SLICES as u64 {
            let sum = &mut self.sums[(slice % SLICES as u64) as usize];
            *sum = sum.saturating_add(more);
        }
    }

    /// The sum over the window that ends at this second, or later if later ones were counted.
    pub(crate) fn sum(&mut self, window: Window, secs: u64) -> u64 {
        self.advance(window.slice(secs));
        self.sums.iter().fold(0, |sum, more| sum.saturating_add(*more))
    }

    /// Empties the slices between the newest one and this one, which is the newest then.
    fn advance(&mut self, slice: u64) {
        let gone = slice.saturating_sub(self.newest).min(SLICES as u64);
        for number in 0..gone {
            self.sums[((slice - number) % SLICES as u64) as usize] = 0;
        }
        self.newest = self.newest.max(slice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against a list of all that came.
        #[test]
        fn as_a_list(calls in proptest::collection::vec((0..500_u64, 0..5_u64), 1..60)) {
            let window = Window::of(100);
            let (mut slices, mut newest, mut list) = (Slices::default(), 0, Vec::new());
            for (secs, more) in calls {
                newest = newest.max(secs / 10);
                list.push((secs / 10, more));
                slices.add(window, secs, more);
                // What fell out of the window does not come back.
                list.retain(|(slice, _)| newest - slice < SLICES as u64);
                prop_assert_eq!(slices.sum(window, secs), list.iter().map(|(_, more)| more).sum::<u64>());
            }
        }
    }

    #[test]
    fn a_window_passes() {
        let window = Window::of(60);
        let mut slices = Slices::default();
        slices.add(window, 1_600_000_000, 3);
        assert_eq!([0, 53, 60, 1_000].map(|later| slices.sum(window, 1_600_000_000 + later)), [3, 3, 0, 0]);
        slices.add(window, 1_600_001_000, 1);
        slices.add(window, 5, 1);
        assert_eq!(slices.sum(window, 5), 1);
    }
}
