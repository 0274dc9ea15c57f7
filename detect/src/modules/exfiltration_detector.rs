//! exfiltration_detector: hosts that send out much more than they ever did (docs/detectors.md).
//!
//! For each host of the user's networks bytes to others are summed by windows of time. What is usual for a host follows from its own windows:
//! all of them, and those at the same hour of the day, so that a backup at night is no alarm from its second night on. A host is judged when
//! its learning is over.
mod history;

use crate::bounded::Bounded;
use crate::detector::{self, Watch};
use crate::flow_clock::FlowClock;
use crate::networks::Networks;
use crate::sdk::{Count, Failure, IpAddr, ModuleInfo, Time, View, fields, record};
use crate::settings::settings;
use history::{History, Limits};

/// Hosts at a time, at the most; 350 bytes each.
const HOSTS_MAX: usize = 1 << 18;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects hosts that send out much more than they used to.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "exfiltration_detector",
    description: "Finds hosts of the user's networks that, within a window of time, send many times more to others than was usual for \
                  them, and more than they get. Flows may be of one direction or of both. docs/detectors.md says how it judges.\nAt \
                  most 262144 hosts are watched (up to 100 MB); the one without a flow for longest makes room and is learned anew, \
                  which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: Settings::PARAMS,
};

settings! {
    /// What the user asked for.
    pub struct Settings {
        /// Networks whose hosts are watched, PREFIX/LENGTH separated by commas, or @FILE with one a line
        'n' "networks" networks: Networks => Networks::private(), "the private ones";
        /// Seconds of a window
        'w' "window" window: u64 = 3600 in 10..=86400;
        /// Windows from a host's first flow on until it is judged
        'l' "learn" learn: u64 = 24 in 1..=10000;
        /// Bytes sent in a window, at the least
        'b' "bytes" bytes: u64 = 100000000 in 1..=1000000000000000;
        /// How many times what is usual must be sent
        'f' "factor" factor: u64 = 10 in 2..=1000000;
        /// How many times what is received must be sent
        'a' "asymmetry" asymmetry: u64 = 2 in 0..=1000000;
        /// Networks that data may be sent to, such as those of backups and cloud storage
        'x' "exclude" exclude: Networks => Networks::none(), "none";
    }
}

fields! {
    /// What comes in.
    pub struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        bytes_rev: Option<u64> = "BYTES_REV",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
    }
}

record! {
    /// A host that sent out much more than it used to.
    #[derive(PartialEq)]
    pub struct Alert = "exfiltration_detector" {
        /// Who got most of it.
        receiver: IpAddr, unirec "DST_IP";
        /// The host.
        host: IpAddr, unirec "SRC_IP";
        /// Bytes that the host sent out in the window.
        sent: u64, unirec "BYTES";
        /// Bytes that it received in the window.
        received: u64, unirec "BYTES_REV";
        /// Bytes of a window that were usual.
        usual: u64, unirec "EXFIL_USUAL_BYTES";
        /// Bytes of a window that make an alert.
        limit: u64, unirec "EXFIL_LIMIT_BYTES";
        /// Begin of the window.
        first: Time, unirec "TIME_FIRST";
        /// End of the flow that made the alert.
        last: Time, unirec "TIME_LAST";
        /// Windows that were learned from.
        windows: u32, unirec "EXFIL_WINDOWS";
        /// Port of who got most of it.
        port: u16, unirec "DST_PORT";
        /// Protocol of the flow that made the alert.
        protocol: u8, unirec "PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::watch(&INFO, args, |words| Settings::parse(words).map(Detector::new))
}

/// What a host sent to another, and got from it.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    host: IpAddr,
    other: (IpAddr, u16),
    protocol: u8,
    sent: u64,
    received: u64,
    last: Time,
}

#[derive(Debug)]
struct Detector {
    settings: Settings,
    hosts: Bounded<IpAddr, Host>,
    clock: FlowClock,
}

/// What a host does in its window, and did in those before.
#[derive(Clone, Debug)]
struct Host {
    /// Number of the window, since 1970.
    window: u64,
    sent: u64,
    received: u64,
    limits: Limits,
    history: History,
    is_told: bool,
    /// Who gets most: a candidate and by how many bytes it leads (Boyer and Moore's vote, weighted).
    receiver: (IpAddr, u16),
    lead: u64,
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector::with_room(settings, HOSTS_MAX)
    }

    fn with_room(settings: Settings, hosts_max: usize) -> Detector {
        Detector { settings, hosts: Bounded::new(hosts_max), clock: FlowClock::default() }
    }

    fn transfer(&mut self, transfer: &Transfer, now: u64) -> Option<Alert> {
        let settings = &self.settings;
        let window = now / settings.window;
        let (host, _) = self.hosts.entry(transfer.host, || Host::new(window, transfer.other));
        if window > host.window {
            host.turn(window, settings);
        }
        host.add(transfer);
        let asked = host.received.saturating_mul(settings.asymmetry);
        let is_judged = host.history.windows() >= settings.learn;
        let is_too_much = host.sent >= host.limits.limit && host.sent >= settings.bytes && host.sent > asked;
        if !is_judged || !is_too_much || std::mem::replace(&mut host.is_told, true) {
            return None;
        }
        Some(Alert {
            receiver: host.receiver.0,
            host: transfer.host,
            sent: host.sent,
            received: host.received,
            usual: host.limits.usual,
            limit: host.limits.limit.max(settings.bytes),
            first: Time((window * settings.window).saturating_mul(1_000_000_000)),
            last: transfer.last,
            windows: u32::try_from(host.history.windows()).unwrap_or(u32::MAX),
            port: host.receiver.1,
            protocol: transfer.protocol,
        })
    }
}

impl Host {
    fn new(window: u64, receiver: (IpAddr, u16)) -> Host {
        let (limits, history) = (Limits::default(), History::default());
        Host { window, sent: 0, received: 0, limits, history, is_told: false, receiver, lead: 0 }
    }

    /// Ends the window: it and the silent ones behind it are learned, and what the new one may bring is set.
    fn turn(&mut self, window: u64, settings: &Settings) {
        // What made an alert teaches no more than what would just not have made one.
        let learned = if self.is_told { self.sent.min(self.limits.limit.max(settings.bytes)) } else { self.sent };
        self.history.learn(hour(self.window, settings.window), learned);
        self.history.learn_silence(window - self.window - 1);
        self.limits = self.history.limits(hour(window, settings.window), settings.factor);
        (self.window, self.sent, self.received, self.is_told, self.lead) = (window, 0, 0, false, 0);
    }

    fn add(&mut self, transfer: &Transfer) {
        self.sent = self.sent.saturating_add(transfer.sent);
        self.received = self.received.saturating_add(transfer.received);
        if transfer.other == self.receiver {
            self.lead = self.lead.saturating_add(transfer.sent);
        } else if transfer.sent > self.lead {
            (self.receiver, self.lead) = (transfer.other, transfer.sent - self.lead);
        } else {
            self.lead -= transfer.sent;
        }
    }
}

/// Hour of the day (UTC) in which a window begins.
fn hour(window: u64, seconds: u64) -> usize {
    (window.saturating_mul(seconds) / 3_600 % 24) as usize
}

impl Watch for Detector {
    type Flow = Flow;
    type Alert = Alert;

    fn take(&mut self, flow: &Flow, record: &View<'_>, alerts: &mut Vec<Alert>) {
        let [source, destination] = [flow.source(record), flow.destination(record)];
        let Settings { networks, exclude, .. } = &self.settings;
        let are_own = [source, destination].map(|ip| networks.contains(ip));
        // Who sends among ourselves, or among others, is not looked at.
        let (host, other) = match are_own {
            [true, false] => (source, (destination, flow.destination_port(record))),
            [false, true] => (destination, (source, flow.source_port(record))),
            _ => return,
        };
        if exclude.contains(other.0) || is_group(other.0) {
            return;
        }
        let last = flow.last(record);
        let Some(now) = self.clock.advance(last) else { return };
        let [there, back] = [flow.bytes(record), flow.bytes_rev(record).unwrap_or(0)];
        let [sent, received] = if are_own[0] { [there, back] } else { [back, there] };
        alerts.extend(
            self.transfer(&Transfer { host, other, protocol: flow.protocol(record), sent, received, last }, now),
        );
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.clock.tell();
        self.hosts.tell("hosts");
        Ok(())
    }
}

/// Multicast and broadcast stay in the house.
fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

#[cfg(test)]
mod tests;
