//! The most frequent sizes of flows, in steps.

/// Sizes from here on are not looked at.
const RANGE: u64 = 5_000;

/// The most frequent steps of sizes, in ascending order of their labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    /// Upper end of a step and count, of the most frequent ones.
    top: Vec<(u64, u64)>,
    /// Count of all steps.
    all: u64,
    /// Sum of the greatest shares, which need not be those of `top` when counts are equal.
    share: f32,
}

impl Histogram {
    /// Of sizes below [`RANGE`], in steps of `step` (1 at least), the `top_max` most frequent ones.
    ///
    /// Where a step has several sizes the count of the largest one is that of the step, as in the original.
    pub(super) fn new(sizes: impl Iterator<Item = u64>, step: u64, top_max: usize) -> Histogram {
        let steps = RANGE.div_ceil(step) as usize;
        // Largest size of each step and how often it came; none yet is a count of 0.
        let mut counts = vec![(0_u64, 0_u64); steps];
        for size in sizes {
            let Some((largest, count)) = usize::try_from(size / step).ok().and_then(|at| counts.get_mut(at)) else {
                continue;
            };
            if *count == 0 || size > *largest {
                (*largest, *count) = (size, 1);
            } else if size == *largest {
                *count += 1;
            }
        }
        let labels = (1..).map(|n| n * step);
        let mut top: Vec<_> =
            labels.zip(counts).filter(|(_, (_, count))| *count > 0).map(|(label, (_, count))| (label, count)).collect();
        // The original adds floats, in this order.
        let all_as_float = top.iter().fold(0.0_f32, |sum, (_, count)| sum + *count as f32);
        let all = top.iter().map(|(_, count)| count).sum();
        top.sort_unstable_by_key(|(label, count)| std::cmp::Reverse((*count, *label)));
        top.truncate(top_max);
        top.sort_unstable();
        let share = top.iter().fold(0.0_f32, |sum, (_, count)| sum + *count as f32 / all_as_float);
        Histogram { top, all, share }
    }

    /// Share of the most frequent steps in all.
    pub(super) fn share(&self) -> f32 {
        self.share
    }

    /// Flows of the most frequent steps.
    pub(super) fn count(&self) -> u64 {
        self.top.iter().map(|(_, count)| count).sum()
    }

    /// Average label of the most frequent steps, each as often as it came; 0 of none.
    pub(super) fn average(&self) -> i64 {
        let sum: u64 = self.top.iter().map(|(label, count)| label * count).sum();
        sum.checked_div(self.count()).map_or(0, |average| average as i64)
    }

    /// Average label of the most frequent steps, each once.
    pub(super) fn mean_label(&self) -> Option<u64> {
        let sum: u64 = self.top.iter().map(|(label, _)| label).sum();
        sum.checked_div(self.top.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_of_a_step_counts() {
        let sizes = [60, 60, 61, 4, 4, 4, 3_000, 4_999, 5_000, 70_000];
        let all = Histogram::new(sizes.into_iter(), 2, 10);
        assert_eq!(all.top, [(6, 3), (62, 1), (3_002, 1), (5_000, 1)]);
        assert!((all.share() - 1.0).abs() < 1e-6);
        assert_eq!((all.count(), all.average(), all.mean_label()), (6, 1_347, Some(2_017)));
        let two = Histogram::new(sizes.into_iter(), 2, 2);
        assert_eq!(two.top, [(6, 3), (5_000, 1)], "of equal counts the greater label");
        assert!((two.share() - 4.0 / 6.0).abs() < 1e-6);
    }

    #[test]
    fn the_last_step_may_reach_beyond_the_range() {
        let one = Histogram::new([5_003, 5_005].into_iter(), 7, 5);
        assert_eq!(one.top, [(5_005, 1)], "4998 to 5004");
        let none = Histogram::new(std::iter::empty(), u64::from(u32::MAX), 5);
        assert_eq!((none.average(), none.mean_label(), none.count()), (0, None, 0));
        assert!(none.share() == 0.0);
    }
}
