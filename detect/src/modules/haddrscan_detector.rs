//! haddrscan_detector: horizontal TCP SYN scans, one port of many hosts (spec/detectors.md section 2).
use crate::bounded::Bounded;
use crate::detector::{self, Clock};
use crate::options::{self, value};
use crate::sdk::{Failure, GO_ON, IpAddr, Reader, Time, Writer};
use record::{fields, record};
use std::net::{Ipv4Addr, Ipv6Addr};
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output, Timeout};

const TCP: u8 = 6;
const SYN: u8 = 2;
/// The original counts in 8 bits, so a higher threshold is never reached.
const ADDRESSES_MAX: u32 = 255;
/// Addresses that an alert names.
const NAMED: usize = 4;
/// Pairs of a source and a port at a time, at the most: about 130 bytes each, and up to 1 kB more for addresses (with `-n 255`; 230
/// bytes with the default).
const SCANS_MAX: usize = 1 << 20;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses that make a scan.
    pub addresses: u32,
    /// Seconds after which a scan without a new probe is forgotten.
    pub idle: u64,
    /// Seconds between the looks for those.
    pub pruning: u64,
}

/// Why the command line was refused; the original answers -1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("{0} < {1} makes no sense.\nInvalid arguments.")]
    TooSmall(&'static str, u64),
    #[error("Invalid arguments.\noption -{0} needs a number")]
    Number(char),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects horizontal address scans by TCP SYN.";

const INFO: ModuleInfo = ModuleInfo {
    name: "haddrscan_detector",
    description: "This module is a simple, threshold-based detector for horizontal scans: one source that asks many hosts for one port \
                  with flows of one SYN packet.\nAt most 1048576 pairs of a source and a port are remembered (up to 400 MB with the \
                  default threshold); those without a probe for longest make room for others, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'n',
        "numaddrs-threshold",
        "uint32",
        "Send alert after this number of DST_IP are contacted by one SRC_IP and DST_PORT (default 50, at most 255).",
    ),
    value(
        'd',
        "idle-threshold",
        "uint16",
        "Discard entry for an SRC_IP and DST_PORT after it has been unchanged this many seconds (default 300).",
    ),
    value('p', "pruning-interval", "uint16", "Prune DST_IP tables with this interval in seconds (default 60)."),
];

fields! {
    struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        destination_port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
        tcp_flags: u8 = "TCP_FLAGS",
    }
}

record! {
    /// A scan, or what was probed after its last alert.
    #[derive(PartialEq)]
    pub struct Alert = "haddrscan" {
        /// The first host that was probed.
        host_0: IpAddr, unirec "DST_IP0";
        /// The second one.
        host_1: IpAddr, unirec "DST_IP1";
        /// The third one.
        host_2: IpAddr, unirec "DST_IP2";
        /// The fourth one.
        host_3: IpAddr, unirec "DST_IP3";
        /// Who scans.
        source: IpAddr, unirec "SRC_IP";
        /// First probe.
        first: Time, unirec "TIME_FIRST";
        /// Last probe.
        last: Time, unirec "TIME_LAST";
        /// Hosts.
        addresses: u32, unirec "ADDR_CNT";
        /// Hosts that make a scan.
        threshold: u32, unirec "ADDR_THRSD";
        /// Which port is scanned for.
        port: u16, unirec "DST_PORT";
        /// Always 1.
        event_type: u8, unirec "EVENT_TYPE";
        /// Always TCP.
        protocol: u8, unirec "PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, Settings::parse, |_| 255, run)
}

impl Default for Settings {
    fn default() -> Self {
        Settings { addresses: 50, idle: 300, pruning: 60 }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            let number = |name, least, most| {
                let number = options::number(&given.value).filter(|n| *n <= most);
                let number = number.ok_or(UsageError::Number(given.short))?;
                if number < least { Err(UsageError::TooSmall(name, least)) } else { Ok(number) }
            };
            match given.short {
                'n' => settings.addresses = number("Numaddrs threshold", 2, u32::MAX.into())? as u32,
                'd' => settings.idle = number("Idle threshold", 1, u16::MAX.into())?,
                _ => settings.pruning = number("Pruning interval", 1, u16::MAX.into())?,
            }
        }
        Ok(settings)
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    if settings.addresses > ADDRESSES_MAX {
        eprintln!(
            "Warning: a threshold above {ADDRESSES_MAX} is never reached, as in the original: there will be no alerts."
        );
    }
    output.set_timeout(Timeout::NoWait);
    let mut alerts = Writer::new(output)?;
    let (mut scans, clock) = (Scans::new(settings, SCANS_MAX), Clock::start());
    let ended = Reader::new(input).for_each(|flow: &Flow, record| {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (flow.source(record), flow.destination(record)) else {
            return GO_ON;
        };
        let now = clock.secs();
        if flow.packets(record) == 1 && flow.protocol(record) == TCP && flow.tcp_flags(record) == SYN {
            let key = (source, flow.destination_port(record));
            let times = [flow.first(record), flow.last(record)];
            if let Some(alert) = scans.probe(key, destination, times, now)
                && alerts.send(&alert)?.is_break()
            {
                return Ok(std::ops::ControlFlow::Break(()));
            }
        }
        let Some(idle) = scans.prune(now) else { return GO_ON };
        println!("==== PRUNING THE TREE ====\noriginal number of values: {}", scans.pairs.len() + idle.forgotten);
        println!("\nnumber of values after pruning: {}", scans.pairs.len());
        for alert in &idle.trailing {
            if alerts.send(alert)?.is_break() {
                return Ok(std::ops::ControlFlow::Break(()));
            }
        }
        GO_ON
    });
    scans.pairs.tell("pairs of a source and a port");
    // The original's receivers hear nothing of the end.
    ended.map(|_| ())
}

/// Who asked for a port.
type Key = (Ipv4Addr, u16);

/// What was probed, by source and port.
#[derive(Debug)]
struct Scans {
    settings: Settings,
    pairs: Bounded<Key, Probes>,
    pruned: u64,
}

#[derive(Debug, Default)]
struct Probes {
    /// Each once, in the order of the probes.
    hosts: Vec<Ipv4Addr>,
    times: [Time; 2],
    /// Second of the last probe.
    changed: u64,
    was_reported: bool,
}

/// What [`Scans::prune`] found.
#[derive(Debug, PartialEq)]
struct Idle {
    forgotten: usize,
    /// Alerts of scans that had been reported.
    trailing: Vec<Alert>,
}

impl Scans {
    fn new(settings: Settings, pairs_max: usize) -> Scans {
        Scans { settings, pairs: Bounded::new(pairs_max), pruned: 0 }
    }

    /// Takes a probe; answers an alert if it completes a scan.
    fn probe(&mut self, key: Key, host: Ipv4Addr, times: [Time; 2], now: u64) -> Option<Alert> {
        let (probes, _) = self.pairs.entry(key, Probes::default);
        probes.changed = now;
        if probes.hosts.is_empty() {
            probes.times = times;
        } else {
            probes.times = [probes.times[0].min(times[0]), probes.times[1].max(times[1])];
        }
        if probes.hosts.contains(&host) {
            return None;
        }
        // With a threshold that cannot be reached the list begins anew, as the original's count does.
        if probes.hosts.len() >= ADDRESSES_MAX as usize {
            probes.hosts.clear();
            return None;
        }
        probes.hosts.push(host);
        if probes.hosts.len() < self.settings.addresses as usize {
            return None;
        }
        let alert = probes.alert(key, self.settings.addresses);
        probes.was_reported = true;
        probes.hosts = Vec::new();
        Some(alert)
    }

    /// Forgets scans without a probe for long; `None` when it is not the time to look for them.
    fn prune(&mut self, now: u64) -> Option<Idle> {
        if now - self.pruned <= self.settings.pruning {
            return None;
        }
        let mut idle = Idle { forgotten: 0, trailing: Vec::new() };
        let mut reported = Vec::new();
        // The order of use is that of the times.
        while self.pairs.oldest().is_some_and(|(_, probes)| now - probes.changed > self.settings.idle) {
            let Some((key, probes)) = self.pairs.pop_oldest() else { break };
            idle.forgotten += 1;
            if probes.was_reported {
                reported.push((key, probes));
            }
        }
        // The original goes through its tree, whose order is that of port and source.
        reported.sort_by_key(|((source, port), _)| (*port, *source));
        idle.trailing.extend(reported.iter().map(|(key, probes)| probes.alert(*key, self.settings.addresses)));
        self.pruned = now;
        Some(idle)
    }
}

impl Probes {
    fn alert(&self, (source, port): Key, threshold: u32) -> Alert {
        // Of an empty list the original sends its cleared memory, of a short one `::` for those that are missing.
        let missing = if self.hosts.is_empty() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut hosts = [missing; NAMED];
        hosts.iter_mut().zip(&self.hosts).for_each(|(named, host)| *named = (*host).into());
        let [host_0, host_1, host_2, host_3] = hosts;
        Alert {
            host_0,
            host_1,
            host_2,
            host_3,
            source: source.into(),
            first: self.times[0],
            last: self.times[1],
            addresses: self.hosts.len() as u32,
            threshold,
            port,
            event_type: 1,
            protocol: TCP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

    fn probe(scans: &mut Scans, host: u8, now: u64) -> Option<Alert> {
        let at = Time(u64::from(host) * 10);
        scans.probe((SOURCE, 22), Ipv4Addr::new(198, 51, 100, host), [at, Time(at.0 + 5)], now)
    }

    fn scans(addresses: u32) -> Scans {
        Scans::new(Settings { addresses, ..Settings::default() }, 10)
    }

    #[test]
    fn a_scan_is_told_every_n_hosts_and_once_more_when_it_is_over() {
        let mut scans = scans(5);
        assert!((1..5).all(|host| probe(&mut scans, host, 0).is_none()));
        assert_eq!(probe(&mut scans, 1, 0), None, "a known host");
        let alert = probe(&mut scans, 5, 0).unwrap();
        assert_eq!((alert.addresses, alert.threshold, alert.first, alert.last), (5, 5, Time(10), Time(55)));
        assert_eq!(alert.host_3, IpAddr::from([198, 51, 100, 4]));
        assert!(probe(&mut scans, 6, 10).is_none());
        assert_eq!(scans.prune(60), None, "not yet");
        assert_eq!(scans.prune(310).map(|idle| idle.forgotten), Some(0));
        let idle = scans.prune(371).unwrap();
        assert_eq!((idle.forgotten, idle.trailing.len()), (1, 1));
        let alert = &idle.trailing[0];
        assert_eq!((alert.addresses, alert.first, alert.last), (1, Time(60), Time(65)));
        let (known, missing) = (IpAddr::from([198, 51, 100, 6]), IpAddr::from([0_u16; 8]));
        assert_eq!([alert.host_0, alert.host_1, alert.host_3], [known, missing, missing]);
    }

    #[test]
    fn a_trailing_alert_may_be_empty() {
        let mut scans = scans(2);
        probe(&mut scans, 1, 0);
        assert!(probe(&mut scans, 2, 0).is_some());
        scans.probe((SOURCE, 23), Ipv4Addr::LOCALHOST, Default::default(), 0);
        let idle = scans.prune(301).unwrap();
        assert_eq!((idle.forgotten, idle.trailing.len()), (2, 1), "the other one was not reported");
        assert_eq!((idle.trailing[0].addresses, idle.trailing[0].host_0), (0, IpAddr::from([0, 0, 0, 0])));
    }

    #[test]
    fn a_threshold_above_8_bits_is_never_reached() {
        let mut scans = scans(256);
        for n in 0..1_000_u32 {
            let host = Ipv4Addr::from_bits(n);
            assert_eq!(scans.probe((SOURCE, 22), host, Default::default(), 0), None);
        }
        assert!(scans.pairs.iter().all(|(_, probes)| probes.hosts.len() <= 255));
    }

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map_err(|why| why.to_string())
        };
        assert_eq!(parse(""), Ok(Settings::default()));
        assert_eq!(parse("-n 5 --idle-threshold=7 -p9"), Ok(Settings { addresses: 5, idle: 7, pruning: 9 }));
        assert_eq!(parse("-n 1").unwrap_err(), "Numaddrs threshold < 2 makes no sense.\nInvalid arguments.");
        for line in ["-d 0", "-p 0", "-d 65536", "-n x", "-x"] {
            assert!(parse(line).unwrap_err().contains("Invalid arguments."), "{line}");
        }
    }
}
