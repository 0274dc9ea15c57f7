//! What is known of a host that may mine in a pool, and how much it looks like it (spec/detectors.md section 11).
use super::tree::{self, Features};

/// Flags of TCP (RFC 9293, section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// Seconds of activity below which there is no rate, and from which it is long.
const RATE_SECS: u64 = 5;
const LONG_SECS: u64 = 300;

/// A flow of a suspect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) packets: u32,
    pub(super) bytes: u64,
    /// Second of its last packet.
    pub(super) last: u64,
    pub(super) tcp_flags: u8,
    /// From a higher port to a lower one.
    pub(super) is_request: bool,
}

/// See the module. Sums do not wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Flows with ACK, or ACK and PSH, and no other flag.
    ack: u64,
    other: u64,
    syn: u64,
    rst: u64,
    fin: u64,
    requests: u64,
    pub(super) packets: u64,
    bytes: u64,
    /// Seconds.
    pub(super) first_seen: u64,
    pub(super) last_seen: u64,
    pub(super) last_exported: u64,
}

/// Whether the flags are those of a connection that goes on.
pub(super) fn is_established(tcp_flags: u8) -> bool {
    matches!(tcp_flags, ACK | 24)
}

impl Suspect {
    /// A suspect with its first flow.
    pub(super) fn new(flow: &Flow) -> Suspect {
        let mut suspect = Suspect { first_seen: flow.last, last_exported: flow.last, ..Suspect::default() };
        suspect.add(flow);
        suspect
    }

    pub(super) fn add(&mut self, flow: &Flow) {
        let has = |flag| u64::from(flow.tcp_flags & flag != 0);
        let is_ack = is_established(flow.tcp_flags);
        self.ack += u64::from(is_ack);
        self.other += u64::from(!is_ack);
        (self.syn, self.rst, self.fin) = (self.syn + has(SYN), self.rst + has(RST), self.fin + has(FIN));
        self.requests += u64::from(flow.is_request);
        self.packets = self.packets.saturating_add(flow.packets.into());
        self.bytes = self.bytes.saturating_add(flow.bytes);
        self.last_seen = flow.last;
    }

    /// Whether both the score and the decision tree say that it mines.
    pub(super) fn is_miner(&self, threshold: u32) -> bool {
        self.score() >= threshold && tree::is_miner(&self.features())
    }

    /// Points for what is usual of miners.
    fn score(&self) -> u32 {
        let [per_minute, packet_bytes, flow_packets, ack, ..] = self.features();
        let points = [
            (ack >= 80, 2),
            (packet_bytes > 50 && packet_bytes < 130, 2),
            (!(10..=20).contains(&flow_packets), 1),
            ((8..=30).contains(&per_minute), 2),
            // More than nine of ten.
            (10 * self.requests > 9 * self.flows(), 3),
            (self.active_secs() >= LONG_SECS, 3),
        ];
        points.iter().filter(|(is_so, _)| *is_so).map(|(_, points)| points).sum()
    }

    fn features(&self) -> Features {
        let flows = self.flows();
        let quotient = |a: u64, b: u64| a.checked_div(b).map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let percent = |count: u64| quotient(count.saturating_mul(100), flows);
        let per_minute = match self.active_secs() {
            secs if secs < RATE_SECS => -1,
            secs => quotient(self.packets.saturating_mul(60), secs),
        };
        [
            per_minute,
            quotient(self.bytes, self.packets),
            quotient(self.packets, flows),
            percent(self.ack),
            percent(self.syn),
            percent(self.rst),
            percent(self.fin),
            percent(self.requests),
        ]
    }

    fn flows(&self) -> u64 {
        self.ack + self.other
    }

    fn active_secs(&self) -> u64 {
        self.last_seen.saturating_sub(self.last_exported)
    }
}

const _: () = assert!(ACK | PSH == 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(flows: u64, tcp_flags: u8, is_request: bool, secs: u64) -> Suspect {
        let flow = |n| Flow { packets: 2, bytes: 106, last: n * secs / (flows - 1), tcp_flags, is_request };
        let mut suspect = Suspect::new(&flow(0));
        (1..flows).for_each(|n| suspect.add(&flow(n)));
        suspect
    }

    #[test]
    fn features_and_score() {
        // 40 flows of 2 packets in 600 seconds: 8 packets in a minute, 53 bytes each.
        let miner = suspect(40, 24, true, 600);
        assert_eq!(miner.features(), [8, 53, 2, 100, 0, 0, 0, 100]);
        assert_eq!(miner.score(), 2 + 2 + 1 + 2 + 3 + 3);
        assert!(!miner.is_miner(9), "the tree wants fewer packets");
        let slow = suspect(10, 24, true, 600);
        assert_eq!((slow.features()[0], slow.score()), (2, 11));
        assert!(slow.is_miner(11) && !slow.is_miner(12));
        let other = suspect(10, 2, false, 4);
        assert_eq!((other.features(), other.score()), ([-1, 53, 2, 0, 100, 0, 0, 0], 3));
    }

    #[test]
    fn a_flow_without_packets_divides_nothing() {
        let suspect = Suspect::new(&Flow::default());
        assert_eq!(suspect.features(), [-1, 0, 0, 0, 0, 0, 0, 0]);
        let huge = Flow { packets: u32::MAX, bytes: u64::MAX, last: u64::MAX, ..Flow::default() };
        let mut suspect = Suspect::new(&Flow::default());
        (0..3).for_each(|_| suspect.add(&huge));
        assert_eq!(suspect.features()[0], 0, "the rate of all time");
    }
}
