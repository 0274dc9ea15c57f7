//! An event: what a victim sent that nobody asked for, and its features.
use super::history::History;
use record::Value;
use record::unirec::{Builder, SetError};

/// Features that are counted once per value, each a key of the history.
pub(super) const FEATURES: u64 = 4;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const RST: u8 = 0x04;
const SYN_ACK: u8 = 0x12;
const RST_ACK: u8 = 0x14;
const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
/// Types of ICMP that answer: echo reply, unreachable, source quench, redirect, time exceeded, parameter problem, and replies with a
/// timestamp, information and an address mask.
const ICMP_ANSWERS: [u8; 9] = [ECHO_REPLY, UNREACHABLE, 4, 5, 11, 12, 14, 16, 18];

/// Blocks of the window in which flows per minute are counted, and seconds of each.
const BLOCKS: usize = 6;
const BLOCK_SECS: i64 = 10;

/// Counters of frequent ports: a port of more than a tenth of the flows is never missed.
const PORTS: usize = 10;
/// Ports that are reported.
pub(super) const PORTS_SHOWN: usize = 3;

/// A flow, times in seconds since 1970, addresses and ports in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    pub(super) src: u32,
    pub(super) dst: u32,
    pub(super) bytes: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) packets: u64,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) protocol: u8,
    /// Flags of TCP; behind [`Flow::name_icmp`] the type of ICMP.
    pub(super) flags: u8,
}

impl Flow {
    /// TCP with RST or RST and ACK only: no sign that its source wanted to talk.
    pub(super) fn is_reset(&self) -> bool {
        self.protocol == TCP && matches!(self.flags, RST | RST_ACK)
    }

    /// Exporters put type and code of ICMP into the destination port: here the source port gets both, the destination port and the
    /// flags the type.
    pub(super) fn name_icmp(&mut self) {
        if self.protocol == ICMP {
            self.src_port = self.dst_port;
            self.dst_port >>= 8;
            self.flags = self.dst_port as u8;
        }
    }

    /// Whether the flow looks like an answer.
    pub(super) fn is_answer(&self) -> bool {
        match self.protocol {
            TCP => matches!(self.flags, SYN_ACK | RST),
            ICMP => ICMP_ANSWERS.contains(&self.flags),
            _ => false,
        }
    }

    /// 0 for TCP, 1 for ICMP: the index of counters.
    pub(super) fn kind(&self) -> usize {
        usize::from(self.protocol == ICMP)
    }
}

/// Features of the flows of one source and protocol.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Begin of the first flow, which tells this event from later ones of its source.
    begun: u64,
    first: u64,
    last: u64,
    flows: u64,
    packets: u64,
    bytes: u64,
    packets_squared: f32,
    bytes_squared: f32,
    resets: u64,
    accepts: u64,
    dst_ips: u64,
    dst_nets: u64,
    dst_ports: u64,
    src_ports: u64,
    minute: Minute,
    ports: [(u64, u16); PORTS],
}

/// A window of a minute that moves with the flows.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    blocks: [u64; BLOCKS],
    /// The block of the present.
    at: usize,
    /// Where it begins, seconds.
    begun: i64,
    /// Most flows that were in a window.
    max: u64,
}

impl Event {
    /// An event that begins with a flow.
    pub(super) fn new(flow: &Flow, seen: &mut History) -> Event {
        let mut event = Event {
            begun: flow.first,
            first: flow.first,
            last: flow.last,
            flows: 0,
            packets: 0,
            bytes: 0,
            packets_squared: 0.0,
            bytes_squared: 0.0,
            resets: 0,
            accepts: 0,
            dst_ips: 0,
            dst_nets: 0,
            dst_ports: 0,
            src_ports: 0,
            minute: Minute { begun: flow.last as i64, ..Minute::default() },
            ports: [(0, 0); PORTS],
        };
        event.add(flow, seen);
        event
    }

    pub(super) fn add(&mut self, flow: &Flow, seen: &mut History) {
        self.first = self.first.min(flow.first);
        self.last = self.last.max(flow.last);
        match (flow.protocol, flow.flags) {
            (TCP, SYN_ACK) | (ICMP, UNREACHABLE) => self.accepts += 1,
            (TCP, RST) | (ICMP, ECHO_REPLY) => self.resets += 1,
            _ => {}
        }
        // A flow without a packet is a mistake of its exporter.
        let packets = flow.packets.max(1);
        let size = flow.bytes as f32 / packets as f32;
        self.flows += 1;
        self.packets += packets;
        self.packets_squared += packets.wrapping_mul(packets) as f32;
        self.bytes_squared += size * size * packets as f32;
        self.bytes = self.bytes.wrapping_add(flow.bytes);

        seen.advance(flow.last);
        let mut is_new = |feature: u32, value: u32| {
            let words = [flow.src, self.begun as u32, flow.protocol.into(), value, feature];
            let mut key = [0; 20];
            for (to, word) in key.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *to = word.to_le_bytes();
            }
            u64::from(!seen.insert(&key))
        };
        self.dst_ips += is_new(0, flow.dst);
        self.dst_nets += is_new(1, flow.dst & 0xffff_ff00);
        self.dst_ports += is_new(2, flow.dst_port.into());
        self.src_ports += is_new(3, flow.src_port.into());
        self.count_port(flow.src_port);
        self.minute.add(flow.last as i64);
    }

    pub(super) fn flows(&self) -> u64 {
        self.flows
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The algorithm Frequent: a port without a counter takes a free one, or takes one off all.
    fn count_port(&mut self, port: u16) {
        if let Some((count, _)) = self.ports.iter_mut().find(|(count, known)| *count > 0 && *known == port) {
            *count += 1;
        } else if let Some(free) = self.ports.iter_mut().find(|(count, _)| *count == 0) {
            *free = (1, port);
        } else {
            self.ports.iter_mut().for_each(|(count, _)| *count -= 1);
        }
    }

    /// Writes the features into a record whose fields are `at`, in the order of [`FIELDS`].
    pub(super) fn write(&self, record: &mut Builder<'_>, at: &[usize; FIELDS.len()]) -> Result<(), SetError> {
        let flows = self.flows as f32;
        let packets_mean = self.packets as f32 / flows;
        let packets_sd = (self.packets_squared / flows - packets_mean * packets_mean).abs().sqrt();
        let bytes_mean = self.bytes as f32 / self.packets as f32;
        let bytes_sd = (self.bytes_squared / self.packets as f32 - bytes_mean * bytes_mean).abs().sqrt();
        let mut ports = self.ports;
        ports.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        for at in 1..PORTS_SHOWN {
            // A place that stays free repeats the port before.
            if ports[at].0 == 0 {
                ports[at].1 = ports[at - 1].1;
            }
        }
        let values = [
            Value::Uint(u64::from(self.first as u32)),
            Value::Uint(u64::from(self.last as u32)),
            Value::Uint(self.flows),
            Value::Uint(self.packets),
            Value::F32(packets_mean),
            Value::F32(packets_sd),
            Value::Uint(self.bytes),
            Value::F32(bytes_mean),
            Value::F32(bytes_sd),
            Value::Uint(self.resets),
            Value::Uint(self.accepts),
            Value::Uint(self.minute.most()),
            Value::Uint(self.dst_ips),
            Value::Uint(self.dst_ports),
            Value::Uint(self.src_ports),
            Value::Uint(self.dst_nets),
            Value::Uint(ports[0].1.into()),
            Value::Uint(ports[0].0),
            Value::Uint(ports[1].1.into()),
            Value::Uint(ports[1].0),
            Value::Uint(ports[2].1.into()),
            Value::Uint(ports[2].0),
        ];
        at.iter().zip(values).try_for_each(|(at, value)| record.set(*at, value))
    }
}

/// Fields that an event fills, in the order in which [`Event::write`] does.
pub(super) const FIELDS: [(&str, &str); 22] = [
    ("uint32", "POSIX_START"),
    ("uint32", "POSIX_END"),
    ("uint64", "FLOW_COUNT"),
    ("uint64", "PACKET_COUNT"),
    ("float", "PPF_AVG"),
    ("float", "PPF_STD"),
    ("uint64", "BYTES"),
    ("float", "BYTES_AVG"),
    ("float", "BYTES_STD"),
    ("uint64", "RST"),
    ("uint64", "ACKSYN"),
    ("uint64", "MAX_FPM"),
    ("uint64", "UNIQUE_DST_IPS"),
    ("uint64", "UNIQUE_DST_PORTS"),
    ("uint64", "UNIQUE_SRC_PORTS"),
    ("uint64", "UNIQUE_DST_24_SUBNETS"),
    ("uint16", "SRC_PORT_1"),
    ("uint64", "SRC_PORT_1_COUNT"),
    ("uint16", "SRC_PORT_2"),
    ("uint64", "SRC_PORT_2_COUNT"),
    ("uint16", "SRC_PORT_3"),
    ("uint64", "SRC_PORT_3_COUNT"),
];

impl Minute {
    /// Counts a flow that ended at a time; one that ended before the window counts nowhere.
    fn add(&mut self, at_secs: i64) {
        let ahead = at_secs - self.begun;
        let steps = ahead.div_euclid(BLOCK_SECS);
        if steps > 0 {
            self.max = self.most();
            for step in 1..=steps.min(BLOCKS as i64) as usize {
                self.blocks[(self.at + step) % BLOCKS] = 0;
            }
            self.begun += steps * BLOCK_SECS;
            self.at = (self.at + (steps % BLOCKS as i64) as usize) % BLOCKS;
        } else if steps <= -(BLOCKS as i64) {
            return;
        }
        let back = if steps < 0 { steps.unsigned_abs() as usize } else { 0 };
        self.blocks[(self.at + BLOCKS - back) % BLOCKS] += 1;
    }

    /// Most flows that were in a window, the present one included.
    fn most(&self) -> u64 {
        self.max.max(self.blocks.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_per_minute() {
        let mut minute = Minute { begun: 100, ..Minute::default() };
        for at in [100, 109, 110, 159, 105, 99, 40] {
            minute.add(at);
        }
        // 105 lies in a block that the window still has, 99 and 40 lie before it.
        assert_eq!(minute.most(), 5);
        minute.add(160);
        assert_eq!((minute.max, minute.most()), (5, 5));
        minute.add(10_000);
        assert_eq!((minute.blocks.iter().sum::<u64>(), minute.most()), (1, 5));
    }

    #[test]
    fn frequent_ports_are_never_missed() {
        let flow = Flow {
            src: 1,
            dst: 2,
            bytes: 40,
            first: 10,
            last: 10,
            packets: 1,
            src_port: 80,
            dst_port: 9,
            protocol: TCP,
            flags: RST,
        };
        let mut seen = History::new(100, 1_000, 0.01).unwrap();
        let mut event = Event::new(&flow, &mut seen);
        for n in 0..300 {
            let port = if n % 3 == 0 { 80 } else { 1_000 + n };
            event.add(&Flow { src_port: port, dst: n.into(), ..flow }, &mut seen);
        }
        assert!(event.ports.iter().any(|(count, port)| *count > 50 && *port == 80), "{:?}", event.ports);
        assert_eq!((event.dst_ips, event.dst_nets, event.dst_ports, event.flows), (300, 2, 1, 301));
    }

    #[test]
    fn what_looks_like_an_answer() {
        let flow = |protocol, flags, dst_port| {
            let mut flow = Flow {
                src: 1,
                dst: 2,
                bytes: 0,
                first: 0,
                last: 0,
                packets: 0,
                src_port: 0,
                dst_port,
                protocol,
                flags,
            };
            flow.name_icmp();
            flow
        };
        assert!(flow(6, 0x12, 0).is_answer() && flow(6, 4, 0).is_answer());
        assert!(!flow(6, 0x14, 0).is_answer() && flow(6, 0x14, 0).is_reset());
        assert!(flow(1, 0, 0x0301).is_answer() && !flow(1, 0, 0x0800).is_answer() && !flow(17, 4, 0).is_answer());
        assert_eq!(flow(1, 0, 0x0301).src_port, 0x0301);
    }
}
