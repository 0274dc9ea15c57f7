//! The flows with the highest counts so far.
use std::net::IpAddr;

/// What a row says of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Of the source and of the destination.
    pub ports: [u16; 2],
    pub protocol: u8,
}

/// At most `top` flows, each with its count.
#[derive(Clone, Debug)]
pub struct Ranking {
    top: usize,
    /// Ascending.
    rows: Vec<(u64, Flow)>,
}

impl Ranking {
    pub fn new(top: usize) -> Ranking {
        Ranking { top, rows: Vec::new() }
    }

    /// Ranks a flow. Of equal ones the earlier ranks higher; but when just one is known, as in the original, the later.
    pub fn add(&mut self, count: u64, flow: &Flow) {
        let equal_wins = self.rows.len() == 1;
        let below = self.rows.partition_point(|(known, _)| *known < count || (equal_wins && *known == count));
        if self.rows.len() < self.top {
            self.rows.insert(below, (count, *flow));
        } else if below > 0 {
            // The lowest one makes room.
            self.rows[..below].rotate_left(1);
            self.rows[below - 1] = (count, *flow);
        }
    }

    /// Highest first.
    pub fn rows(&self) -> impl Iterator<Item = &(u64, Flow)> {
        self.rows.iter().rev()
    }

    pub fn clear(&mut self) {
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flow(port: u16) -> Flow {
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        Flow { source: nowhere, destination: nowhere, ports: [port, 0], protocol: 6 }
    }

    fn ranked(top: usize, counts: &[u64]) -> Vec<(u64, u16)> {
        let mut ranking = Ranking::new(top);
        counts.iter().enumerate().for_each(|(n, count)| ranking.add(*count, &flow(n as u16)));
        ranking.rows().map(|(count, flow)| (*count, flow.ports[0])).collect()
    }

    #[test]
    fn ties() {
        assert_eq!(ranked(3, &[5, 5, 5, 5]), [(5, 1), (5, 0), (5, 2)]);
        assert_eq!(ranked(1, &[5, 5, 4]), [(5, 1)]);
        assert_eq!(ranked(3, &[9, 1, 5, 5, 7]), [(9, 0), (7, 4), (5, 2)]);
        assert!(ranked(3, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn the_highest_are_kept(top in 1usize..6, counts in prop::collection::vec(0u64..20, 0..40)) {
            let mut sorted = counts.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            sorted.truncate(top);
            let kept: Vec<_> = ranked(top, &counts).into_iter().map(|(count, _)| count).collect();
            prop_assert_eq!(kept, sorted);
        }
    }
}
