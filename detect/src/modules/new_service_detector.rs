//! new_service_detector: servers, and ports of servers, that answer for the first time (docs/detectors.md).
//!
//! While it learns, every service of the user's networks that answers is taken as known. Later a service that is not known is an alert, once. What is
//! known is kept in a file, so that a new start neither learns again nor tells again.
mod state;

use crate::bounded::Bounded;
use crate::detector::{self, Watch};
use crate::flow_clock::FlowClock;
use crate::networks::Networks;
use crate::sdk::{Count, Failure, IpAddr, ModuleInfo, Time, View, fields, record};
use crate::settings::settings;
use state::State;
pub use state::fuzz_state;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

/// Services that are suspected at a time, at the most; 100 bytes each. One that is not confirmed makes room.
const CANDIDATES_MAX: usize = 1 << 16;
/// Answers that are told apart of a candidate; `-c` is below it.
const CLIENTS_MAX: usize = 16;
/// From here on ports are given to clients (Linux; IANA begins at 49152). A service above it is found in flows of both directions only.
const EPHEMERAL: u16 = 32_768;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// SYN and ACK.
const ACCEPTED: u8 = 0x12;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects services that answer for the first time.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "new_service_detector",
    description: "Finds servers of the user's networks, and ports of them, that answer for the first time after a time of learning. \
                  Flows may be of one direction or of both. docs/detectors.md says how it judges.\nAt most 1048576 services are known \
                  and 65536 suspected (up to 250 MB); those without an answer for longest make room, which is counted and told at \
                  the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: Settings::PARAMS,
};

settings! {
    /// What the user asked for.
    pub struct Settings {
        /// Networks whose servers are watched, PREFIX/LENGTH separated by commas, or @FILE with one a line
        'n' "networks" networks: Networks => Networks::private(), "the private ones";
        /// Seconds from the first flow on in which all is learned; with a state that was loaded they began when it was begun
        'l' "learn" learn: u64 = 86400 in 0..=31536000;
        /// Clients, or connections of one, that must have got an answer
        'c' "clients" clients: u64 = 3 in 1..=16;
        /// File in which what is known is kept; without one all is learned anew
        's' "state" state: Option<PathBuf> => None, "none";
        /// Seconds between the times at which it is written; it is at the end, too
        'S' "save" save: u64 = 300 in 10..=86400;
    }
}

fields! {
    /// What comes in.
    pub struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        packets_rev: Option<u32> = "PACKETS_REV",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        flags: u8 = "TCP_FLAGS",
        flags_rev: Option<u8> = "TCP_FLAGS_REV",
    }
}

record! {
    /// A service that answers for the first time.
    #[derive(PartialEq)]
    pub struct Alert = "new_service_detector" {
        /// The client that got the last answer.
        client: IpAddr, unirec "DST_IP";
        /// The server.
        server: IpAddr, unirec "SRC_IP";
        /// The first answer that was seen.
        first: Time, unirec "TIME_FIRST";
        /// The answer that made the alert.
        last: Time, unirec "TIME_LAST";
        /// Services of the server that were known before.
        known: u32, unirec "KNOWN_SERVICES";
        /// The service.
        port: u16, unirec "SRC_PORT";
        /// 1 a server that was not known, 2 a port of one that was.
        kind: u8, unirec "EVENT_TYPE";
        /// Its protocol.
        protocol: u8, unirec "PROTOCOL";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::watch(&INFO, args, |words| Detector::open(Settings::parse(words).map_err(|why| why.to_string())?))
}

/// Address, port and protocol.
type Service = (IpAddr, u16, u8);

/// An answer of a service.
#[derive(Clone, Copy, Debug)]
struct Answer {
    service: Service,
    client: (IpAddr, u16),
    times: [Time; 2],
}

#[derive(Debug)]
struct Detector {
    settings: Settings,
    state: State,
    candidates: Bounded<Service, Candidate>,
    hasher: RandomState,
    clock: FlowClock,
    /// Unix second in which the state is written next.
    next_save: u64,
    /// The state could not be written.
    failed_saves: u64,
}

/// A service that is not known and has answered.
#[derive(Clone, Debug)]
struct Candidate {
    first: Time,
    /// Hashes of those who got answers, each once.
    clients: Vec<u32>,
}

impl Detector {
    /// Loads the state if there is one.
    fn open(settings: Settings) -> Result<Detector, String> {
        let state = settings.state.as_deref().map_or_else(|| Ok(State::default()), State::load)?;
        Ok(Detector {
            settings,
            state,
            candidates: Bounded::new(CANDIDATES_MAX),
            hasher: RandomState::new(),
            clock: FlowClock::default(),
            next_save: 0,
            failed_saves: 0,
        })
    }

    fn answer(&mut self, answer: &Answer, now: u64) -> Option<Alert> {
        if self.state.is_known(&answer.service) {
            return None;
        }
        let client = self.hasher.hash_one(answer.client) as u32;
        let fresh = || Candidate { first: answer.times[0], clients: Vec::new() };
        let (candidate, _) = self.candidates.entry(answer.service, fresh);
        if candidate.clients.len() < CLIENTS_MAX && !candidate.clients.contains(&client) {
            candidate.clients.push(client);
        }
        if (candidate.clients.len() as u64) < self.settings.clients {
            return None;
        }
        let first = candidate.first;
        self.candidates.remove(&answer.service);
        let known = self.state.learn(answer.service);
        if now < self.state.began().saturating_add(self.settings.learn) {
            return None;
        }
        let (server, port, protocol) = answer.service;
        let kind = if known == 0 { 1 } else { 2 };
        Some(Alert { client: answer.client.0, server, first, last: answer.times[1], known, port, kind, protocol })
    }

    /// Writes the state if it is time to.
    fn save_if_due(&mut self, now: u64) {
        if now < self.next_save {
            return;
        }
        if self.next_save != 0
            && let Err(why) = self.save()
        {
            self.failed_saves += 1;
            if self.failed_saves.is_power_of_two() {
                eprintln!("Warning: {why}; it is tried again in {} s", self.settings.save);
            }
        }
        self.next_save = now + self.settings.save;
    }

    fn save(&self) -> Result<(), String> {
        self.settings.state.as_deref().map_or(Ok(()), |path| self.state.save(path))
    }
}

impl Watch for Detector {
    type Flow = Flow;
    type Alert = Alert;

    fn take(&mut self, flow: &Flow, record: &View<'_>, alerts: &mut Vec<Alert>) {
        let protocol = flow.protocol(record);
        if !matches!(protocol, TCP | UDP) {
            return;
        }
        let times = [flow.first(record), flow.last(record)];
        let Some(now) = self.clock.advance(times[1]) else { return };
        self.state.begin(now);
        self.save_if_due(now);
        let source = (flow.source(record), flow.source_port(record));
        let destination = (flow.destination(record), flow.destination_port(record));
        let is_both_ways = flow.packets_rev(record).unwrap_or(0) > 0;
        let (server, client, flags) = if is_both_ways {
            (destination, source, flow.flags_rev(record).unwrap_or(ACCEPTED))
        } else {
            (source, destination, flow.flags(record))
        };
        // A direction alone does not say who began; the lower port is the service's.
        let may_serve = is_both_ways || server.1 < EPHEMERAL && server.1 < client.1;
        let is_accepted = protocol == UDP || flags & ACCEPTED == ACCEPTED;
        if may_serve && is_accepted && server.1 != 0 && self.settings.networks.contains(server.0) {
            let service = (server.0, server.1, protocol);
            alerts.extend(self.answer(&Answer { service, client, times }, now));
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.clock.tell();
        self.state.tell();
        self.candidates.tell("suspected services");
        self.save().map_err(Failure::Other)
    }
}

#[cfg(test)]
mod tests;
