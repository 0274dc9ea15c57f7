//! What was asked of an interface when it was opened and may change while it runs: how many queues it has, and how long its packets are
//! (RELIABILITY.md, 26). Sockets and their memory stay as they were, so what does not fit them any more is said, and counted.
use crate::capture::live::{CaptureDrop, Drops};
use ebpf::{Ended, Reader};
use std::ops::Range;

/// As it was at the last look. The first lane has this, and says for all what it sees.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Queues that have sockets: the first so many.
    read: u32,
    /// The most that there were.
    seen: u32,
    queues: u32,
    mtu: u32,
    /// The longest packet that can be taken, bytes without link header; none if there is no limit.
    longest: Option<u32>,
}

impl Shape {
    /// Of an interface of which so many queues are read, all that it has; `longest` as in the type.
    pub(super) fn of(name: &str, queues: u32, longest: Option<u32>) -> Shape {
        // Its MTU was asked for a moment ago.
        Shape::new(queues, sys::mtu(name).unwrap_or(0), longest)
    }

    fn new(queues: u32, mtu: u32, longest: Option<u32>) -> Shape {
        Shape { read: queues, seen: queues, queues, mtu, longest }
    }

    /// What is new, once for each change.
    pub(super) fn look(&mut self, name: &str) -> Option<String> {
        let queues = sys::receive_queues(name).unwrap_or(self.queues);
        let mtu = sys::mtu(name).unwrap_or(self.mtu);
        self.changed(name, queues, mtu)
    }

    fn changed(&mut self, name: &str, queues: u32, mtu: u32) -> Option<String> {
        let (more, longer) = (queues != self.queues, mtu != self.mtu);
        (self.queues, self.mtu, self.seen) = (queues, mtu, self.seen.max(queues.min(ebpf::QUEUES_MAX)));
        let read = self.read;
        let queues = (more && queues > read).then(|| {
            format!("it has {queues} receive queues now and {read} are read; packets of the others are lost (queue_not_read)")
        });
        let mtu = self
            .longest
            .filter(|longest| longer && mtu > *longest)
            .map(|longest| format!("its MTU is {mtu} now; packets of more than {longest} bytes are lost (rx_dropped)"));
        let news: Vec<String> = queues.into_iter().chain(mtu).collect();
        (!news.is_empty()).then(|| format!("{name} was changed: {}. Start the capture again", news.join("; ")))
    }

    /// Packets that came on queues without a socket; answers how many.
    pub(super) fn lost(&self, counters: &Reader, drops: &mut Drops) -> u64 {
        let unread: Range<u32> = self.read..self.seen;
        let lost = unread.map(|queue| counters.of(queue).unwrap_or_default().of(Ended::PassedNoSocket)).sum();
        drops.add(CaptureDrop::QueueNotRead, lost);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_that_matters_is_said_once() {
        let mut shape = Shape::new(2, 1500, Some(1770));
        assert_eq!(shape.changed("x", 2, 1500), None);
        assert_eq!(shape.changed("x", 1, 1770), None, "fewer queues and room enough");
        let said = shape.changed("x", 4, 9000).expect("two changes");
        assert!(
            said.contains("4 receive queues now and 2 are read") && said.contains("more than 1770 bytes"),
            "{said}"
        );
        assert_eq!(shape.changed("x", 4, 9000), None);
        assert_eq!(shape.changed("x", 2, 1500), None, "as it was");
        assert!(shape.changed("x", 3, 1500).is_some());
        assert_eq!(Shape::new(1, 9000, None).changed("x", 1, 65_000), None);
    }
}
