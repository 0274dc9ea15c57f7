//! beacon_detector: hosts that contact a server at regular times (docs/detectors.md).
//!
//! Malware that waits for orders asks for them again and again, mostly with the same number of bytes. For each source, destination, port and
//! protocol the begins of the last flows are kept; how regular they are is the upper quartile of the deviations from the median interval, by the
//! median interval. A quarter of the intervals may be anything: a host that sleeps or a probe that loses flows does not hide a beacon.
mod beats;

use crate::bounded::Bounded;
use crate::detector::{self, Watch};
use crate::flow_clock::FlowClock;
use crate::networks::Networks;
use crate::sdk::{Count, Failure, IpAddr, ModuleInfo, Time, View, fields, record};
use crate::settings::{Ports, settings};
use beats::{Arrival, BEATS_MAX, Beats, Rhythm};
use std::hash::{BuildHasher, RandomState};

/// Pairs of a source and a service at a time, at the most: 180 bytes each, and 390 more from the second contact on.
const PAIRS_MAX: usize = 1 << 18;
/// Services whose sources are counted at a time, at the most; 120 bytes each and 4 for each source.
const SERVICES_MAX: usize = 1 << 17;
/// Sources of a service that are told apart; `-d` is below it.
const SOURCES_MAX: usize = 64;
/// A flow from such a port to a higher one is an answer.
const SYSTEM_PORTS: u16 = 1_024;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Ports of protocols that are regular by themselves: DNS, DHCP, NTP, NetBIOS, SNMP, syslog, RIP, DHCPv6, IPsec, SSDP, Teredo, STUN, SIP, mDNS,
/// WireGuard.
const REGULAR: &str = "53,67-68,123,137-138,161-162,500,514,520,546-547,1900,3478,3544,4500,5060-5061,5353,51820";

/// One line for lists of modules.
pub const ABOUT: &str = "Detects hosts that contact a server at regular times.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "beacon_detector",
    description: "Finds hosts that contact the same port of the same server again and again, at regular times and with about the same \
                  number of bytes. Flows may be of one direction or of both. docs/detectors.md says how it judges.\nAt most 262144 \
                  pairs of a host and a service are watched (up to 150 MB); those without a contact for longest make room, which is \
                  counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: Settings::PARAMS,
};

settings! {
    /// What the user asked for.
    pub struct Settings {
        /// Contacts that are needed for a verdict
        'c' "contacts" contacts: u64 = 16 in 4..=32;
        /// Seconds from the first to the last of them, at the least
        't' "time" span: u64 = 600 in 1..=604800;
        /// Seconds of the median interval, at the least: what is faster is one conversation
        'i' "interval" interval: u64 = 10 in 1..=86400;
        /// Deviation from the median interval that three quarters of the intervals have at the most, as a share of it
        'j' "jitter" jitter: f64 = 0.2 in 0.0..=1.0;
        /// The same of the bytes that the host sends
        'b' "bytes" bytes_jitter: f64 = 0.25 in 0.0..=10.0;
        /// Sources of a service, at the most: what many hosts contact is no secret
        'd' "sources" sources: u64 = 10 in 1..=64;
        /// Seconds until a beacon that goes on is told again
        'r' "repeat" repeat: u64 = 86400 in 1..=31536000;
        /// Ports of services that are not looked at, such as 53,6881-6889
        'p' "ports" ports: Ports => Ports::parse(REGULAR).unwrap_or_else(|_| Ports::none()), "those of DNS, DHCP, NTP and others that are regular by themselves";
        /// Servers and hosts that are not looked at, PREFIX/LENGTH separated by commas, or @FILE with one a line
        'x' "exclude" exclude: Networks => Networks::none(), "none";
    }
}

fields! {
    /// What comes in.
    pub struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        flags: u8 = "TCP_FLAGS",
    }
}

record! {
    /// A host that contacts a service at regular times.
    #[derive(PartialEq)]
    pub struct Alert = "beacon_detector" {
        /// The server.
        server: IpAddr, unirec "DST_IP";
        /// The host.
        host: IpAddr, unirec "SRC_IP";
        /// Median bytes that the host sends with a contact.
        bytes: u64, unirec "BYTES";
        /// The first of the contacts that were judged.
        first: Time, unirec "TIME_FIRST";
        /// The last one.
        last: Time, unirec "TIME_LAST";
        /// Contacts that were judged.
        contacts: u32, unirec "EVENT_SCALE";
        /// Median seconds between them.
        interval: f32, unirec "BEACON_INTERVAL";
        /// Deviation from it that three quarters of the intervals have at the most, as a share of it.
        jitter: f32, unirec "BEACON_JITTER";
        /// The same of the bytes.
        bytes_jitter: f32, unirec "BEACON_BYTES_JITTER";
        /// The service.
        port: u16, unirec "DST_PORT";
        /// Its protocol.
        protocol: u8, unirec "PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::watch(&INFO, args, |words| Settings::parse(words).map(Detector::new))
}

/// Who is contacted.
type Service = (IpAddr, u16, u8);

/// A flow to a service.
#[derive(Clone, Copy, Debug)]
struct Contact {
    host: IpAddr,
    service: Service,
    arrival: Arrival,
}

#[derive(Debug)]
struct Detector {
    settings: Settings,
    pairs: Bounded<(IpAddr, Service), Beats>,
    /// Hashes of the sources of each service, each once, up to one more than are of interest.
    services: Bounded<Service, Vec<u32>>,
    hasher: RandomState,
    clock: FlowClock,
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector::with_room(settings, PAIRS_MAX, SERVICES_MAX)
    }

    fn with_room(settings: Settings, pairs_max: usize, services_max: usize) -> Detector {
        let (pairs, services) = (Bounded::new(pairs_max), Bounded::new(services_max));
        Detector { settings, pairs, services, hasher: RandomState::new(), clock: FlowClock::default() }
    }

    fn contact(&mut self, contact: &Contact) -> Option<Alert> {
        self.clock.advance(contact.arrival.last)?;
        let Settings { contacts, exclude, sources, span, repeat, .. } = &self.settings;
        if [contact.host, contact.service.0].into_iter().any(|ip| exclude.contains(ip)) {
            return None;
        }
        let (known, _) = self.services.entry(contact.service, Vec::new);
        let hash = self.hasher.hash_one(contact.host) as u32;
        if known.len() <= SOURCES_MAX && !known.contains(&hash) {
            known.push(hash);
        }
        let is_popular = known.len() as u64 > *sources;
        let (beats, _) = self.pairs.entry((contact.host, contact.service), Beats::default);
        let is_new = beats.add(&contact.arrival);
        let is_candidate = is_new && !is_popular && beats.count() as u64 >= *contacts && beats.span() >= *span;
        // What costs most is looked at last.
        if !is_candidate || !beats.is_due(*repeat) {
            return None;
        }
        let rhythm = beats.rhythm().filter(|rhythm| rhythm.is_beacon(&self.settings))?;
        beats.tell();
        let Rhythm { count, times: [first, last], interval, jitter, bytes, bytes_jitter } = rhythm;
        let (server, port, protocol) = contact.service;
        let (interval, jitter, bytes_jitter) = (interval as f32, jitter as f32, bytes_jitter as f32);
        let host = contact.host;
        Some(Alert {
            server,
            host,
            bytes,
            first,
            last,
            contacts: count,
            interval,
            jitter,
            bytes_jitter,
            port,
            protocol,
        })
    }
}

impl Rhythm {
    fn is_beacon(&self, settings: &Settings) -> bool {
        self.interval >= settings.interval as f64
            && self.jitter <= settings.jitter
            && self.bytes_jitter <= settings.bytes_jitter
    }
}

impl Watch for Detector {
    type Flow = Flow;
    type Alert = Alert;

    fn take(&mut self, flow: &Flow, record: &View<'_>, alerts: &mut Vec<Alert>) {
        let [from, to] = [flow.source_port(record), flow.destination_port(record)];
        let protocol = flow.protocol(record);
        let is_answer = from < SYSTEM_PORTS && to >= SYSTEM_PORTS;
        // The port of the other side is looked at too: answers of such a service are no contacts.
        let is_regular = self.settings.ports.contains(to) || self.settings.ports.contains(from);
        if !matches!(protocol, TCP | UDP) || is_answer || is_regular {
            return;
        }
        let arrival = Arrival {
            first: flow.first(record),
            last: flow.last(record),
            bytes: flow.bytes(record),
            source_port: from,
            is_begin: protocol == TCP && flow.flags(record) & SYN != 0,
            is_tcp: protocol == TCP,
        };
        let service = (flow.destination(record), to, protocol);
        alerts.extend(self.contact(&Contact { host: flow.source(record), service, arrival }));
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.clock.tell();
        self.pairs.tell("pairs of a host and a service");
        self.services.tell("services");
        Ok(())
    }
}

const SYN: u8 = 2;
const _: () = assert!(BEATS_MAX >= 32, "-c is at most 32");

#[cfg(test)]
mod tests;
