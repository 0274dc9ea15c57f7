//! Which flows of a tag pass: all after a pause, otherwise every n-th, the more common the tag the fewer.

/// Idle time of a tag after which its next flow passes, seconds.
pub(super) const TIMEOUT_SECS: u64 = 300;
/// Rate before the first statistics.
const RATE: u64 = 10;
/// Share of the tags, from the rarest, in percent, up to which a rate holds. The rarest are not sampled.
const RATES: [(u64, Option<u64>); 6] =
    [(25, None), (30, Some(2)), (40, Some(3)), (50, Some(4)), (70, Some(6)), (95, Some(9))];
/// Rate of the others.
const RATE_MOST: u64 = 15;

/// The flows of a tag.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    count: u64,
    /// End of the latest flow, seconds.
    latest: u64,
    /// Every n-th flow passes; `None` passes all.
    rate: Option<u64>,
}

impl Sampler {
    /// A tag that had `count` flows before.
    pub(super) fn new(count: u64) -> Sampler {
        Sampler { count, latest: 0, rate: Some(RATE) }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Counts a flow and tells whether it passes.
    pub(super) fn passes(&mut self, first: u64, last: u64, timeout_secs: u64) -> bool {
        self.count += 1;
        let Some(rate) = self.rate else { return true };
        let was_idle = first > self.latest.saturating_add(timeout_secs);
        self.latest = self.latest.max(last);
        was_idle || self.count.is_multiple_of(rate)
    }
}

/// Sets the rates by the order of the counts; tags with equal counts keep their order.
pub(super) fn set_rates(samplers: &mut [Sampler]) {
    let mut order: Vec<usize> = (0..samplers.len()).collect();
    order.sort_by_key(|at| samplers[*at].count);
    let each = 100.0 / samplers.len() as f64;
    for (rank, at) in order.into_iter().enumerate() {
        let percent = (rank as f64 * each) as u64;
        let found = RATES.iter().find(|(up_to, _)| percent <= *up_to);
        samplers[at].rate = found.map_or(Some(RATE_MOST), |(_, rate)| *rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lets_a_flow_pass() {
        let mut sampler = Sampler::new(0);
        // The first one comes after a long pause, the tenth is the tenth.
        let passed: Vec<_> = (1..=20).filter(|n| sampler.passes(1_000 + n, 1_000 + n, 300)).collect();
        assert_eq!(passed, [1, 10, 20]);
        assert!(!sampler.passes(1_320, 1_321, 300) && sampler.passes(1_622, 1_622, 300));
    }

    #[test]
    fn rates_by_rank() {
        let mut samplers: Vec<_> = (0..20).map(|n| Sampler::new(20 - n)).collect();
        set_rates(&mut samplers);
        let rates: Vec<_> = samplers.iter().rev().map(|sampler| sampler.rate.unwrap_or(1)).collect();
        assert_eq!(rates, [1, 1, 1, 1, 1, 1, 2, 3, 3, 4, 4, 6, 6, 6, 6, 9, 9, 9, 9, 9]);
        set_rates(&mut []);
    }
}
