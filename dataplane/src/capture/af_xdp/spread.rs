//! Which lane has which sockets.

/// How lanes share the receive queues of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// A lane has whole queues, or a queue has several lanes. Flows stay together if the card's hash keeps them on one queue.
    #[default]
    Queues,
    /// Every lane has a socket on every queue, so flows stay together whatever the card does.
    Flows,
}

impl Spread {
    /// For each queue, the lane of each of its sockets: at least one for a queue, and for a lane.
    pub(super) fn lanes(self, queues: u32, lanes: u32) -> Vec<Vec<u32>> {
        let (queues, lanes) = (queues.max(1), lanes.max(1));
        // With more lanes than queues each lane has one queue, and no queue has more than one lane more than another.
        let queue_of = |lane: u32| (u64::from(lane) * u64::from(queues) / u64::from(lanes)) as u32;
        let of = |queue: u32| match self {
            Spread::Flows => (0..lanes).collect(),
            Spread::Queues if lanes <= queues => vec![queue % lanes],
            Spread::Queues => (0..lanes).filter(|lane| queue_of(*lane) == queue).collect(),
        };
        (0..queues).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_and_each_queue_has_its_part() {
        assert_eq!(Spread::Queues.lanes(1, 3), [[0, 1, 2]]);
        assert_eq!(Spread::Queues.lanes(4, 2), [[0], [1], [0], [1]]);
        assert_eq!(Spread::Queues.lanes(2, 5), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(Spread::Flows.lanes(2, 2), [[0, 1], [0, 1]]);
        for (queues, lanes) in (1..40).flat_map(|queues| (1..40).map(move |lanes| (queues, lanes))) {
            let sockets = Spread::Queues.lanes(queues, lanes);
            let most = sockets.iter().map(Vec::len).max().unwrap();
            assert_eq!(most as u32, lanes.div_ceil(queues));
            assert_eq!(sockets.iter().map(Vec::len).sum::<usize>() as u32, lanes.max(queues));
            assert!(sockets.iter().all(|queue| !queue.is_empty()));
            assert!((0..lanes).all(|lane| sockets.iter().flatten().any(|l| *l == lane)), "{queues} {lanes}");
        }
    }
}
