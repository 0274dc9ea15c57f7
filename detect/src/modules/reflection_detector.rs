//! reflection_detector: answers of UDP servers to who did not ask (docs/detectors.md).
//!
//! An attacker sends requests with the address of a victim; servers answer to the victim, with many more bytes than were asked with. For each
//! protocol of US-CERT's alert TA14-017A answers and requests are summed by windows of time, once for each victim over all servers, and once for
//! each pair of a server and who it answers.
mod protocols;

use crate::bounded::Bounded;
use crate::detector::{self, Watch};
use crate::flow_clock::FlowClock;
use crate::networks::Networks;
use crate::sdk::{Count, Failure, IpAddr, ModuleInfo, Text, Time, View, fields, record};
use crate::settings::settings;
use protocols::{PROTOCOLS, Protocol};
use std::hash::{BuildHasher, RandomState};

/// Sums of victims at a time, and of pairs, at the most; 120 bytes each, and up to 256 more for the servers of a victim.
const SUMS_MAX: usize = 1 << 18;
/// Servers of a victim that are told apart: `-s` is below it.
const SERVERS_MAX: usize = 64;
/// Requests of a protocol with transfers, and packets of answers for each of them, from which a server amplifies.
const REQUESTS_MIN: u64 = 10;
const PACKETS_OF_REQUEST: u64 = 4;
const UDP: u8 = 17;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects reflection and amplification over UDP.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "reflection_detector",
    description: "Finds victims of reflected traffic, and servers that are abused for it, for all protocols of US-CERT's alert \
                  TA14-017A. Flows may be of one direction or of both. docs/detectors.md says how it judges.\nAt most 262144 victims \
                  and 262144 pairs of a server and a victim are watched (up to 150 MB); those without a flow for longest make room, \
                  which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: Settings::PARAMS,
};

settings! {
    /// What the user asked for.
    pub struct Settings {
        /// Seconds of a window, which begins with a victim's first answer
        'w' "window" window: u64 = 60 in 1..=3600;
        /// Bytes of answers in a window, at the least
        'b' "bytes" bytes: u64 = 1000000 in 1..=1000000000000;
        /// Servers from which a victim gets answers, at the least
        's' "servers" servers: u64 = 10 in 1..=64;
        /// Packets of answers for each packet of a request from which a victim has not asked for them
        'u' "unasked" unasked: u64 = 10 in 2..=1000000;
        /// Bytes of answers for each byte of a request from which a server amplifies; less where the protocol can do less
        'a' "amplification" amplification: u64 = 10 in 2..=1000000;
        /// Networks whose victims and servers are watched, PREFIX/LENGTH separated by commas, or @FILE with one a line
        'n' "networks" networks: Networks => Networks::all(), "all";
        /// Hosts that are neither victims nor abused, such as resolvers whose questions the probe does not see
        'x' "exclude" exclude: Networks => Networks::none(), "none";
        /// Seconds until an attack that goes on is told again
        'r' "repeat" repeat: u64 = 300 in 1..=31536000;
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
        packets: u32 = "PACKETS",
        packets_rev: Option<u32> = "PACKETS_REV",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
    }
}

record! {
    /// A victim of reflected traffic, or a server that is abused for it.
    #[derive(PartialEq)]
    pub struct Alert = "reflection_detector" {
        /// Who gets the answers.
        victim: IpAddr, unirec "DST_IP";
        /// The server that is abused, or the one whose answer made the alert about a victim.
        server: IpAddr, unirec "SRC_IP";
        /// Bytes of requests in the window.
        request_bytes: u64, unirec "REQ_BYTES";
        /// Bytes of answers in the window.
        answer_bytes: u64, unirec "RSP_BYTES";
        /// The first flow of the window.
        first: Time, unirec "TIME_FIRST";
        /// The flow that made the alert.
        last: Time, unirec "TIME_LAST";
        /// Packets of requests in the window.
        request_packets: u32, unirec "REQ_PACKETS";
        /// Packets of answers in the window.
        answer_packets: u32, unirec "RSP_PACKETS";
        /// Servers that answered; of a victim up to 64.
        servers: u32, unirec "EVENT_SCALE";
        /// Port of the servers.
        port: u16, unirec "SRC_PORT";
        /// 1 a victim, 2 a server that is abused.
        kind: u8, unirec "EVENT_TYPE";
        /// Always UDP.
        protocol: u8, unirec "PROTOCOL";
        /// Name of the protocol that is abused.
        name: Text<15>, unirec "REFLECTION_PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::watch(&INFO, args, |words| Settings::parse(words).map(Detector::new))
}

/// What goes one way between a server and who it answers.
#[derive(Clone, Copy, Debug)]
struct Half {
    server: IpAddr,
    client: IpAddr,
    protocol: &'static Protocol,
    is_answer: bool,
    bytes: u64,
    packets: u32,
    times: [Time; 2],
}

#[derive(Debug)]
struct Detector {
    settings: Settings,
    victims: Bounded<(IpAddr, u16), Sums>,
    /// By server, client and port.
    pairs: Bounded<(IpAddr, IpAddr, u16), Sums>,
    hasher: RandomState,
    clock: FlowClock,
}

/// What came and went in the window.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// Unix second in which the window began.
    began: u64,
    first: Time,
    /// Of requests, of answers.
    bytes: [u64; 2],
    packets: [u64; 2],
    /// Hashes of the servers that answered, each once.
    servers: Vec<u32>,
    /// Unix second of the last alert.
    told: Option<u64>,
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector::with_room(settings, SUMS_MAX)
    }

    fn with_room(settings: Settings, sums_max: usize) -> Detector {
        let (victims, pairs) = (Bounded::new(sums_max), Bounded::new(sums_max));
        Detector { settings, victims, pairs, hasher: RandomState::new(), clock: FlowClock::default() }
    }

    fn add(&mut self, half: &Half, now: u64, alerts: &mut Vec<Alert>) {
        let Settings { networks, exclude, window, .. } = &self.settings;
        let is_watched = |ip| networks.contains(ip) && !exclude.contains(ip);
        let port = half.protocol.port;
        if is_watched(half.client) {
            let (sums, _) = self.victims.entry((half.client, port), Sums::default);
            sums.add(half, now, *window);
            if half.is_answer {
                let hash = self.hasher.hash_one(half.server) as u32;
                if sums.servers.len() < SERVERS_MAX && !sums.servers.contains(&hash) {
                    sums.servers.push(hash);
                }
                if sums.is_flood(&self.settings) && sums.is_due(now, self.settings.repeat) {
                    alerts.push(sums.alert(half, VICTIM, sums.servers.len()));
                }
            }
        }
        if is_watched(half.server) {
            let (sums, _) = self.pairs.entry((half.server, half.client, port), Sums::default);
            sums.add(half, now, *window);
            if half.is_answer
                && sums.is_amplified(&self.settings, half.protocol)
                && sums.is_due(now, self.settings.repeat)
            {
                alerts.push(sums.alert(half, ABUSED, 1));
            }
        }
    }
}

/// What an alert is about.
const VICTIM: u8 = 1;
const ABUSED: u8 = 2;

impl Sums {
    fn add(&mut self, half: &Half, now: u64, window: u64) {
        if now >= self.began.saturating_add(window) {
            *self = Sums { began: now, first: half.times[0], told: self.told, ..Sums::default() };
        }
        let way = usize::from(half.is_answer);
        self.first = self.first.min(half.times[0]);
        self.bytes[way] = self.bytes[way].saturating_add(half.bytes);
        self.packets[way] = self.packets[way].saturating_add(half.packets.into());
    }

    /// Many answers of many servers, and hardly a request.
    fn is_flood(&self, settings: &Settings) -> bool {
        self.bytes[1] >= settings.bytes
            && self.servers.len() as u64 >= settings.servers
            && self.packets[1] >= self.packets[0].saturating_mul(settings.unasked)
    }

    /// Many more bytes than were asked with. A server whose requests are not seen is no evidence: the probe may see one direction only. Where transfers
    /// are usual many requests must have got many packets each: who gets a file acknowledges it.
    fn is_amplified(&self, settings: &Settings, protocol: &Protocol) -> bool {
        let factor = settings.amplification.min(protocol.factor());
        let is_usual = protocol.is_transfer
            && (self.packets[0] < REQUESTS_MIN || self.packets[1] / PACKETS_OF_REQUEST < self.packets[0]);
        self.bytes[1] >= settings.bytes && self.bytes[0] > 0 && self.bytes[1] / factor >= self.bytes[0] && !is_usual
    }

    /// Whether an alert is due; if it is, it counts as told.
    fn is_due(&mut self, now: u64, repeat: u64) -> bool {
        let is_due = self.told.is_none_or(|told| now >= told.saturating_add(repeat));
        if is_due {
            self.told = Some(now);
        }
        is_due
    }

    fn alert(&self, half: &Half, kind: u8, servers: usize) -> Alert {
        let packets = |way: usize| u32::try_from(self.packets[way]).unwrap_or(u32::MAX);
        let mut name = Text::default();
        name.set(half.protocol.name.as_bytes());
        Alert {
            victim: half.client,
            server: half.server,
            request_bytes: self.bytes[0],
            answer_bytes: self.bytes[1],
            first: self.first,
            last: half.times[1],
            request_packets: packets(0),
            answer_packets: packets(1),
            servers: servers as u32,
            port: half.protocol.port,
            kind,
            protocol: UDP,
            name,
        }
    }
}

impl Watch for Detector {
    type Flow = Flow;
    type Alert = Alert;

    fn take(&mut self, flow: &Flow, record: &View<'_>, alerts: &mut Vec<Alert>) {
        if flow.protocol(record) != UDP {
            return;
        }
        let ports = [flow.source_port(record), flow.destination_port(record)].map(protocols::of);
        if ports == [None, None] {
            return;
        }
        let Some(now) = self.clock.advance(flow.last(record)) else { return };
        let [source, destination] = [flow.source(record), flow.destination(record)];
        let times = [flow.first(record), flow.last(record)];
        let ways = [
            (flow.bytes(record), flow.packets(record)),
            (flow.bytes_rev(record).unwrap_or(0), flow.packets_rev(record).unwrap_or(0)),
        ];
        // Between two such ports either may be the server: what goes one way is an answer of the one and a request to the other.
        for (server, client, protocol, answers) in
            [(source, destination, ports[0], 0), (destination, source, ports[1], 1)]
        {
            let Some(protocol) = protocol else { continue };
            // Requests first: they make the answers.
            for way in [1 - answers, answers] {
                let (bytes, packets) = ways[way];
                if packets > 0 {
                    let half = Half { server, client, protocol, is_answer: way == answers, bytes, packets, times };
                    self.add(&half, now, alerts);
                }
            }
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.clock.tell();
        self.victims.tell("victims");
        self.pairs.tell("pairs of a server and a victim");
        Ok(())
    }
}

/// The table of protocols, for the documentation: port, name, least and greatest documented amplification.
pub fn protocols() -> impl Iterator<Item = (u16, &'static str, [f32; 2])> {
    PROTOCOLS.iter().map(|protocol| (protocol.port, protocol.name, protocol.amplification))
}

#[cfg(test)]
mod tests;
