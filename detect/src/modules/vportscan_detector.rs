//! vportscan_detector: vertical TCP SYN scans, many ports of one host (spec/detectors.md section 1).
use crate::bounded::Bounded;
use crate::detector::{self, Clock};
use crate::options::{self, OptError};
use crate::sdk::{Failure, GO_ON, IpAddr, Reader, Time, Writer};
use record::{fields, record};
use trap::module::{Count, ModuleInfo};
use trap::{Input, Output, Timeout};

/// Ports of one destination that make a scan.
const PORTS: usize = 50;
/// A flow with more packets is no probe.
const PACKETS_MAX: u32 = 4;
const TCP: u8 = 6;
const SYN: u8 = 2;
/// Seconds after which a pair without a probe is forgotten, and between the looks for such pairs.
const IDLE: u64 = 300;
const PRUNING: u64 = 60;
/// Pairs of addresses at a time, at the most: about 110 bytes each, and up to 130 more for ports.
const PAIRS_MAX: usize = 1 << 20;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects vertical port scans by TCP SYN.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Vertical portscan detector",
    description: "Threshold-based detector for vertical port scans: 50 ports of one host, asked for by one other with flows of a \
                  SYN only.\nAt most 1048576 pairs of addresses are remembered (up to 250 MB); those without a probe for longest \
                  make room for others, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: &[],
};

fields! {
    struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        tcp_flags: u8 = "TCP_FLAGS",
    }
}

record! {
    /// A scan.
    #[derive(PartialEq)]
    pub struct Alert = "vportscan" {
        /// Who is scanned.
        destination: IpAddr, unirec "DST_IP";
        /// Who scans.
        source: IpAddr, unirec "SRC_IP";
        /// First probe.
        first: Time, unirec "TIME_FIRST";
        /// Last probe.
        last: Time, unirec "TIME_LAST";
        /// Ports.
        ports: u32, unirec "PORT_CNT";
        /// Port of the last probe.
        destination_port: u16, unirec "DST_PORT";
        /// Where the last probe came from.
        source_port: u16, unirec "SRC_PORT";
        /// Always 1.
        event_type: u8, unirec "EVENT_TYPE";
        /// Always TCP.
        protocol: u8, unirec "PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, parse, |_| 1, run)
}

/// There are no options.
fn parse(args: &[String]) -> Result<(), OptError> {
    options::parse(args, INFO.params).map(|_| ())
}

fn run(input: &mut Input, output: &mut Output, (): ()) -> Result<(), Failure> {
    output.set_timeout(Timeout::NoWait);
    let mut alerts = Writer::new(output)?;
    let (mut scans, clock) = (Scans::new(PAIRS_MAX), Clock::start());
    let ended = Reader::new(input).for_each(|flow: &Flow, record| {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (flow.source(record), flow.destination(record)) else {
            return GO_ON;
        };
        let now = clock.secs();
        let is_probe =
            flow.packets(record) <= PACKETS_MAX && flow.protocol(record) == TCP && flow.tcp_flags(record) == SYN;
        let mut step = GO_ON;
        if is_probe {
            let key = (destination.to_bits(), source.to_bits());
            let (port, times) = (flow.destination_port(record), [flow.first(record), flow.last(record)]);
            if let Some([first, last]) = scans.probe(key, port, times, now) {
                step = alerts.send(&Alert {
                    destination: destination.into(),
                    source: source.into(),
                    first,
                    last,
                    ports: PORTS as u32,
                    destination_port: port,
                    source_port: flow.source_port(record),
                    event_type: 1,
                    protocol: TCP,
                });
            }
        }
        scans.prune(now);
        step
    });
    scans.pairs.tell("pairs of addresses");
    // The original's receivers hear nothing of the end.
    ended.map(|_| ())
}

/// What was probed, by destination and source.
#[derive(Debug)]
struct Scans {
    pairs: Bounded<(u32, u32), Probes>,
    pruned: u64,
}

#[derive(Debug, Default)]
struct Probes {
    /// In no order, each once.
    ports: Vec<u16>,
    times: [Time; 2],
    /// Second of the last probe.
    changed: u64,
}

impl Scans {
    fn new(pairs_max: usize) -> Scans {
        Scans { pairs: Bounded::new(pairs_max), pruned: 0 }
    }

    /// Takes a probe; answers when the first and the last one were if it completes a scan.
    fn probe(&mut self, key: (u32, u32), port: u16, times: [Time; 2], now: u64) -> Option<[Time; 2]> {
        let (probes, _) = self.pairs.entry(key, Probes::default);
        probes.changed = now;
        if probes.ports.is_empty() {
            probes.times = times;
        } else {
            probes.times = [probes.times[0].min(times[0]), probes.times[1].max(times[1])];
        }
        // A second probe of a port is a connection that is tried again.
        match probes.ports.iter().position(|known| *known == port) {
            Some(at) => {
                probes.ports.swap_remove(at);
            }
            None => probes.ports.push(port),
        }
        if probes.ports.len() < PORTS {
            return None;
        }
        let times = probes.times;
        self.pairs.remove(&key);
        Some(times)
    }

    /// Forgets pairs without a probe for long, once a minute.
    fn prune(&mut self, now: u64) {
        if now - self.pruned <= PRUNING {
            return;
        }
        // The order of use is that of the times.
        while self.pairs.oldest().is_some_and(|(_, probes)| now - probes.changed > IDLE) {
            self.pairs.pop_oldest();
        }
        self.pruned = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(scans: &mut Scans, port: u16, now: u64) -> Option<[Time; 2]> {
        scans.probe((7, 9), port, [Time(port.into()), Time(u64::from(port) + 5)], now)
    }

    #[test]
    fn fifty_ports_are_a_scan_and_a_repeated_one_is_none() {
        let mut scans = Scans::new(10);
        for port in 0..49 {
            assert_eq!(probe(&mut scans, 100 + port, 0), None);
        }
        assert_eq!(probe(&mut scans, 100, 0), None, "a repeated port is taken back");
        assert_eq!(probe(&mut scans, 200, 0), None);
        assert_eq!(probe(&mut scans, 201, 0), Some([Time(100), Time(206)]));
        assert!(scans.pairs.is_empty(), "another alert needs 50 new ports");
    }

    #[test]
    fn times_begin_anew_with_an_empty_list() {
        let mut scans = Scans::new(10);
        probe(&mut scans, 1, 0);
        probe(&mut scans, 1, 0);
        let scan = (2..52).find_map(|port| probe(&mut scans, port, 0));
        assert_eq!(scan, Some([Time(2), Time(56)]));
    }

    #[test]
    fn idle_pairs_are_forgotten() {
        let mut scans = Scans::new(10);
        probe(&mut scans, 1, 0);
        scans.probe((1, 1), 1, Default::default(), 100);
        for (now, left) in [(60, 2), (300, 2), (360, 2), (361, 1), (421, 1), (422, 0)] {
            scans.prune(now);
            assert_eq!(scans.pairs.len(), left, "{now}");
        }
    }
}
