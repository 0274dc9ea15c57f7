//! dga_detector: hosts that ask for many names that do not exist, or for names that no person would choose (docs/detectors.md).
//!
//! Malware that looks for its server by a domain generation algorithm asks for hundreds of domains until one exists. What is counted is
//! registered domains, not names: search lists, blocklists over DNS and tunnels have many names below one domain.
mod name;
mod score;

use crate::bounded::Bounded;
use crate::detector::{self, Watch};
use crate::flow_clock::FlowClock;
use crate::networks::Networks;
use crate::sdk::{Count, Failure, IpAddr, ModuleInfo, Str, Text, Time, View, fields, record};
use crate::settings::settings;
use std::hash::{BuildHasher, RandomState};

/// Hosts at a time, at the most: 300 bytes each, and up to 32 kB more for a host that asks for [`DOMAINS_MAX`] domains.
const HOSTS_MAX: usize = 1 << 16;
/// Domains of a host that are told apart; more change no verdict.
const DOMAINS_MAX: usize = 1_000;
/// Domains of all hosts together, at the most: 16 bytes each, in lists with room.
const DOMAINS_OF_ALL_MAX: usize = 1 << 22;
/// Answer "no such name" (RFC 1035 section 4.1.1).
const NXDOMAIN: u8 = 3;
const DNS: u16 = 53;
/// Bytes of a name that an alert keeps, as the probe does.
const NAME_MAX: usize = 127;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects hosts that ask for generated domains.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "dga_detector",
    description: "Finds hosts that, within a window of time, ask for many registered domains that do not exist, or for many whose names \
                  look generated. It needs flows with the fields of the probe's plugin dns. docs/detectors.md says how it judges.\n\
                  At most 65536 hosts with 4194304 domains together are watched; those that asked nothing for longest make room, which \
                  is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: Settings::PARAMS,
};

settings! {
    /// What the user asked for.
    pub struct Settings {
        /// Seconds of a window, which begins with a host's first question
        'w' "window" window: u64 = 300 in 10..=86400;
        /// Registered domains that do not exist which make an alert
        'n' "nonexistent" nonexistent: u64 = 40 in 2..=1000;
        /// Registered domains that look generated which make an alert
        'g' "generated" generated: u64 = 12 in 2..=1000;
        /// Share of a host's domains that must be such
        's' "share" share: f64 = 0.3 in 0.0..=1.0;
        /// Hosts that are not looked at, such as resolvers and mail servers, PREFIX/LENGTH separated by commas, or @FILE with one a line
        'x' "exclude" exclude: Networks => Networks::none(), "none";
    }
}

fields! {
    /// What comes in.
    pub struct Flow {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        source_port: u16 = "SRC_PORT",
        code: u8 = "DNS_RCODE",
        name: Str = "DNS_NAME",
    }
}

record! {
    /// A host that asks for generated domains. The first five fields are those that dgadetection2idea wants.
    #[derive(PartialEq)]
    pub struct Alert = "dga_detector" {
        /// The server that was asked last.
        server: IpAddr, unirec "DST_IP";
        /// The host.
        host: IpAddr, unirec "SRC_IP";
        /// The first question of the window.
        first: Time, unirec "TIME_FIRST";
        /// The question that made the alert.
        last: Time, unirec "TIME_LAST";
        /// A name that was asked for: one that looks generated if there was one.
        name: Text<127>, unirec "DNS_Q_NAME";
        /// Registered domains that the host asked for.
        domains: u32, unirec "DGA_DOMAINS";
        /// Those that do not exist.
        nonexistent: u32, unirec "DGA_NONEXISTENT";
        /// Those that look generated.
        generated: u32, unirec "DGA_GENERATED";
        /// What made the alert: 1 domains that do not exist, 2 names that look generated, 3 both.
        kind: u8, unirec "EVENT_TYPE";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::watch(&INFO, args, |words| Settings::parse(words).map(Detector::new))
}

/// A question or its answer.
#[derive(Clone, Copy, Debug)]
struct Question<'r> {
    host: IpAddr,
    server: IpAddr,
    times: [Time; 2],
    name: &'r [u8],
    /// The answer says that there is no such name.
    is_refused: bool,
}

#[derive(Debug)]
struct Detector {
    settings: Settings,
    hosts: Bounded<IpAddr, Host>,
    clock: FlowClock,
    /// Keyed, so that nobody can choose names that look like one.
    hasher: RandomState,
    /// Domains of all hosts.
    domains: usize,
    domains_max: usize,
}

/// What a host asked for since its window began.
#[derive(Debug)]
struct Host {
    /// Unix second.
    began: u64,
    first: Time,
    /// By the hash of each domain, what is known of it; sorted.
    domains: Vec<(u64, u8)>,
    nonexistent: u32,
    generated: u32,
    /// Whether the window had its alert.
    is_told: bool,
    /// The last name that looks generated.
    example: Text<127>,
}

/// What is known of a domain, bits.
const IS_NONEXISTENT: u8 = 1;
const IS_GENERATED: u8 = 2;

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector::with_room(settings, HOSTS_MAX, DOMAINS_OF_ALL_MAX)
    }

    fn with_room(settings: Settings, hosts_max: usize, domains_max: usize) -> Detector {
        let (hosts, clock, hasher) = (Bounded::new(hosts_max), FlowClock::default(), RandomState::new());
        Detector { settings, hosts, clock, hasher, domains: 0, domains_max }
    }

    fn ask(&mut self, question: &Question<'_>) -> Option<Alert> {
        let now = self.clock.advance(question.times[1])?;
        if self.settings.exclude.contains(question.host) {
            return None;
        }
        let mut lower = [0; NAME_MAX];
        let name = name::lower(question.name, &mut lower);
        let domain = name::registered(name)?;
        let label = domain.split(|byte| *byte == b'.').next().unwrap_or_default();
        let is_generated = score::looks_generated(label);
        let hash = self.hasher.hash_one(domain);
        let (host, evicted) = self.hosts.entry(question.host, || Host::new(now, question.times[0]));
        self.domains -= evicted.map_or(0, |(_, host)| host.domains.len());
        if now >= host.began + self.settings.window {
            self.domains -= host.domains.len();
            *host = Host::new(now, question.times[0]);
        }
        let known = host.domains.len();
        host.add(hash, (question.is_refused, is_generated), name);
        self.domains += host.domains.len() - known;
        let alert = host.judge(question, &self.settings);
        while self.domains > self.domains_max {
            let Some((_, host)) = self.hosts.evict_oldest() else { break };
            self.domains -= host.domains.len();
        }
        alert
    }
}

impl Host {
    fn new(began: u64, first: Time) -> Host {
        let example = Text::default();
        Host { began, first, domains: Vec::new(), nonexistent: 0, generated: 0, is_told: false, example }
    }

    fn add(&mut self, hash: u64, (is_refused, is_generated): (bool, bool), name: &[u8]) {
        let at = match self.domains.binary_search_by_key(&hash, |(known, _)| *known) {
            Ok(at) => at,
            Err(_) if self.domains.len() >= DOMAINS_MAX => return,
            Err(at) => {
                let bits = if is_generated { IS_GENERATED } else { 0 };
                self.generated += u32::from(is_generated);
                self.domains.insert(at, (hash, bits));
                at
            }
        };
        let bits = &mut self.domains[at].1;
        if is_refused && *bits & IS_NONEXISTENT == 0 {
            *bits |= IS_NONEXISTENT;
            self.nonexistent += 1;
        }
        if is_generated || self.generated == 0 && is_refused {
            self.example.set(name);
        }
    }

    fn judge(&mut self, question: &Question<'_>, settings: &Settings) -> Option<Alert> {
        let wanted = self.domains.len() as f64 * settings.share;
        let makes = |count: u32, least: u64| u64::from(count) >= least && f64::from(count) >= wanted;
        let kind = u8::from(makes(self.nonexistent, settings.nonexistent))
            | u8::from(makes(self.generated, settings.generated)) << 1;
        if kind == 0 || std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        Some(Alert {
            server: question.server,
            host: question.host,
            first: self.first,
            last: question.times[1],
            name: self.example,
            domains: self.domains.len() as u32,
            nonexistent: self.nonexistent,
            generated: self.generated,
            kind,
        })
    }
}

impl Watch for Detector {
    type Flow = Flow;
    type Alert = Alert;

    fn take(&mut self, flow: &Flow, record: &View<'_>, alerts: &mut Vec<Alert>) {
        let mut ends = [flow.source(record), flow.destination(record)];
        // An answer that is a flow of its own.
        if flow.source_port(record) == DNS {
            ends.reverse();
        }
        let [host, server] = ends;
        let times = [flow.first(record), flow.last(record)];
        let is_refused = flow.code(record) == NXDOMAIN;
        alerts.extend(self.ask(&Question { host, server, times, name: flow.name(record), is_refused }));
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.clock.tell();
        self.hosts.tell("hosts");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
