//! The sums of a file, as `nfdump -I` prints them.
use super::{Flow, bytes};

/// Flows, packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
}

/// Protocols that are summed by themselves, in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Tcp,
    Udp,
    Icmp,
    Other,
}

/// All flows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    pub all: Count,
    /// TCP, UDP, ICMP (of both families), others.
    pub by_protocol: [Count; 4],
    /// Milliseconds since 1970; the first is larger than the last if there is no flow.
    pub first: u64,
    pub last: u64,
    /// What exporters lost.
    pub sequence_failures: u64,
}

impl Default for Sums {
    fn default() -> Self {
        let none = Count::default();
        // What nfdump itself starts with.
        Sums { all: none, by_protocol: [none; 4], first: i64::MAX as u64, last: 0, sequence_failures: 0 }
    }
}

impl Sums {
    /// Bytes in a file.
    pub(super) const SIZE: usize = 18 * 8;

    pub fn add(&mut self, flow: &Flow) {
        let class = match flow.protocol {
            6 => Class::Tcp,
            17 => Class::Udp,
            1 | 58 => Class::Icmp,
            _ => Class::Other,
        };
        for count in [&mut self.all, &mut self.by_protocol[class as usize]] {
            count.flows += 1;
            count.packets = count.packets.wrapping_add(flow.packets);
            count.bytes = count.bytes.wrapping_add(flow.bytes);
        }
        self.first = self.first.min(flow.first);
        self.last = self.last.max(flow.last);
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let by_protocol = |what: fn(&Count) -> u64| self.by_protocol.iter().map(what);
        let numbers = [self.all.flows, self.all.bytes, self.all.packets].into_iter();
        let numbers =
            numbers.chain(by_protocol(|c| c.flows)).chain(by_protocol(|c| c.bytes)).chain(by_protocol(|c| c.packets));
        for number in numbers.chain([self.first, self.last, self.sequence_failures]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// `None` if there are not enough bytes.
    pub(super) fn read(from: &[u8]) -> Option<Sums> {
        if from.len() < Sums::SIZE {
            return None;
        }
        let number = |at: usize| bytes::u64(from, 8 * at);
        let by_protocol =
            std::array::from_fn(|at| Count { flows: number(3 + at), bytes: number(7 + at), packets: number(11 + at) });
        Some(Sums {
            all: Count { flows: number(0), bytes: number(1), packets: number(2) },
            by_protocol,
            first: number(15),
            last: number(16),
            sequence_failures: number(17),
        })
    }
}
