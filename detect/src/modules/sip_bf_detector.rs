//! sip_bf_detector: passwords guessed at SIP servers, told from the answers to REGISTER (spec/detectors.md section 5).
//!
//! A server's 401 is an attempt of the client at a user; a 200 is a login. A user tried by many clients is a distributed attack, a
//! client that tries many users a scan. Events are sent once, when they have been silent for a while, and at the end.
mod alert;
mod server;

use crate::bounded::Bounded;
use crate::detector::c_text;
use crate::sdk::{
    self, Count, Failure, GO_ON, Module, ModuleInfo, Options, Param, Reader, Str, Time, View, Writer, fields, value,
};
use alert::{Alert, EventIds};
use server::{Message, Server};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Bytes of a calling party and of a CSeq that are looked at.
const PARTY_MAX: usize = 100;
const CSEQ_MAX: usize = 50;
/// Bytes of a user's name; longer names are the same user if these are.
const USER_MAX: usize = 50;
/// Users and clients of all servers together; some 150 bytes each, and as much for each pair of them that is watched.
const PARTIES_MAX: usize = 262_144;
/// Servers; a server has one user at least.
const SERVERS_MAX: usize = 65_536;

/// What is enough of what, and when it is over. All are 1 or more. Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Attempts that make an attack.
    pub attempts: u64,
    /// Time of messages between evaluations.
    pub interval: u64,
    /// Clients of one user that make a distributed attack.
    pub clients: u32,
    /// Silence that ends an event.
    pub idle: u64,
    /// Logins of an event that are tolerated; with more it was none.
    pub logins: u32,
    /// Users of one client that make a scan.
    pub users: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { attempts: 50, interval: 300, clients: 5, idle: 1_800, logins: 5, users: 25 }
    }
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects passwords guessed at SIP servers.";

const INFO: ModuleInfo = ModuleInfo {
    name: "sip_bf_detector",
    description: "Module for detecting brute-force attacks on Session Initiation Protocol.\n\
                  At most 262144 users and clients and 65536 servers are watched at a time; the server that was silent for longest \
                  makes room, its events are sent, and that is counted.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('a', "alert_threshold", "uint64", "Unsuccessful attempts that are an attack. (50 by default)"),
    value('c', "check_mem_int", "uint64", "Seconds between looks for attacks that have ceased. (300 by default)"),
    value('d', "dist_threshold", "uint32", "Clients at one user that are a distributed attack. (5 by default)"),
    value('f', "free_mem_delay", "uint64", "Seconds of silence after which an attack has ceased. (1800 by default)"),
    value(
        'o',
        "ok_count",
        "uint32",
        "OK responses that are tolerated before an attack is dropped as false. (5 by default)",
    ),
    value('s', "scan_threshold", "uint32", "Users tried by one client that are a scan. (25 by default)"),
];

fields! {
    /// What comes in.
    struct In {
        client: IpAddr = "DST_IP",
        server: IpAddr = "SRC_IP",
        link: u64 = "LINK_BIT_FIELD",
        time: Time = "TIME_FIRST",
        client_port: u16 = "DST_PORT",
        server_port: u16 = "SRC_PORT",
        kind: u16 = "SIP_MSG_TYPE",
        status: u16 = "SIP_STATUS_CODE",
        protocol: u8 = "PROTOCOL",
        cseq: Str = "SIP_CSEQ",
        party: Str = "SIP_CALLING_PARTY",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    sdk::main(&INFO, args, run)
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let mut detector = Detector::new(Settings::read(&module.options)?);
    let mut out = Writer::new(&mut module.outputs[0])?;
    let mut alerts = Vec::new();
    let mut send = |alerts: &mut Vec<Alert>| {
        for alert in alerts.drain(..) {
            if out.send(&alert)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        GO_ON
    };
    Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        let Some(message) = message(fields, record) else { return GO_ON };
        detector.take(&message, &mut alerts);
        send(&mut alerts)
    })?;
    detector.servers.tell("servers");
    detector.end(&mut alerts);
    // Nothing follows that could be broken off. The end of the stream is not passed on, as in the original.
    send(&mut alerts).map(|_| ())
}

impl Settings {
    fn read(options: &Options) -> Result<Settings, Failure> {
        let Settings { attempts, interval, clients, idle, logins, users } = Settings::default();
        let wide = |letter, what: &str, default: u64| match options.value::<u64>(letter) {
            Ok(None) => Ok(default),
            Ok(Some(value)) if value > 0 => Ok(value),
            _ => Err(Failure::Usage(format!("irrational value of {what}."))),
        };
        let narrow = |letter, what, default: u32| {
            wide(letter, what, default.into())?
                .try_into()
                .map_err(|_| Failure::Usage(format!("irrational value of {what}.")))
        };
        Ok(Settings {
            attempts: wide('a', "alert threshold", attempts)?,
            interval: wide('c', "memory check intervals", interval)?,
            clients: narrow('d', "distributed brute-force limit", clients)?,
            idle: wide('f', "memory deallocation after last attack action", idle)?,
            logins: narrow('o', "OK count limit", logins)?,
            users: narrow('s', "scan limit", users)?,
        })
    }
}

/// The message of a record, if it answers a REGISTER with 200 or 401.
fn message<'r>(fields: &In, record: &View<'r>) -> Option<Message<'r>> {
    let is_login = match (fields.kind(record), fields.status(record)) {
        (99, 200) => true,
        (99, 401) => false,
        _ => return None,
    };
    let cseq = c_text(fields.cseq(record), CSEQ_MAX);
    if cseq.len() <= 2 || !cseq.windows(3).any(|word| word == b"REG") {
        return None;
    }
    let (user, domain) = user_and_domain(fields.party(record))?;
    let (server, client) = (fields.server(record), fields.client(record));
    if server.is_unspecified() || client.is_unspecified() {
        return None;
    }
    Some(Message {
        server,
        server_port: fields.server_port(record),
        client,
        client_port: fields.client_port(record),
        is_login,
        user,
        domain,
        secs: fields.time(record).secs(),
        protocol: fields.protocol(record),
        link: fields.link(record),
    })
}

/// `sip:USER@DOMAIN`, up to the first parameter.
fn user_and_domain(party: &[u8]) -> Option<(&[u8], &[u8])> {
    let party = c_text(party, PARTY_MAX);
    let rest = party.strip_prefix(b"sip:").or_else(|| party.strip_prefix(b"sips:"))?;
    let at = rest.iter().position(|byte| *byte == b'@')?;
    let (user, domain) = (&rest[..at], &rest[at + 1..]);
    let end = domain.iter().position(|byte| matches!(byte, b';' | b'?')).unwrap_or(domain.len());
    Some((&user[..user.len().min(USER_MAX)], &domain[..end]))
}

/// All servers.
struct Detector {
    settings: Settings,
    servers: Bounded<IpAddr, Server>,
    /// Users and clients of all servers.
    parties: usize,
    /// Time of the last evaluation, seconds.
    evaluated: u64,
    ids: EventIds,
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        let servers = Bounded::new(SERVERS_MAX);
        Detector { settings, servers, parties: 0, evaluated: 0, ids: EventIds::default() }
    }

    fn take(&mut self, message: &Message<'_>, alerts: &mut Vec<Alert>) {
        if !message.is_login || self.servers.get(&message.server).is_some() {
            let (server, evicted) = self.servers.entry(message.server, || Server::new(message));
            self.parties += server.take(&self.settings, message);
            if let Some((_, mut server)) = evicted {
                self.parties -= server.parties();
                server.end(&self.settings, &mut self.ids, alerts);
            }
            self.make_room(alerts);
        }
        if message.secs >= self.evaluated && message.secs - self.evaluated > self.settings.interval {
            self.evaluated = message.secs;
            self.evaluate(message.secs, alerts);
        }
    }

    /// Servers go, with their events, until there are no more parties than may be.
    fn make_room(&mut self, alerts: &mut Vec<Alert>) {
        while self.parties > PARTIES_MAX {
            let Some((_, mut server)) = self.servers.evict_oldest() else { return };
            self.parties -= server.parties();
            server.end(&self.settings, &mut self.ids, alerts);
        }
    }

    /// Sends events that are over, servers in the order of their addresses, and forgets what is empty.
    fn evaluate(&mut self, now: u64, alerts: &mut Vec<Alert>) {
        for address in self.addresses() {
            let Some(server) = self.servers.get_mut(&address) else { continue };
            server.evaluate(now, &self.settings, &mut self.ids, alerts);
        }
        self.servers.retain(|_, server| server.parties() > 0);
        self.parties = self.servers.iter().map(|(_, server)| server.parties()).sum();
    }

    /// Sends all events.
    fn end(&mut self, alerts: &mut Vec<Alert>) {
        for address in self.addresses() {
            let Some(server) = self.servers.get_mut(&address) else { continue };
            server.end(&self.settings, &mut self.ids, alerts);
        }
    }

    /// IPv4 before IPv6.
    fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = self.servers.iter().map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties() {
        let read = |text: &str| {
            let (user, domain) = user_and_domain(text.as_bytes())?;
            Some(format!("{} {}", user.escape_ascii(), domain.escape_ascii()))
        };
        assert_eq!(read("sip:alice@a.example;tag=1").unwrap(), "alice a.example");
        assert_eq!(read("sips:@a?x;y").unwrap(), " a");
        assert_eq!(read("sip:alice"), None);
        assert_eq!(read("tel:1@a"), None);
        assert_eq!(read("sip:a\0@b"), None);
        let long = format!("sip:{}@{}", "u".repeat(60), "d".repeat(60));
        assert_eq!(read(&long).unwrap(), format!("{} {}", "u".repeat(50), "d".repeat(35)));
    }

    #[test]
    fn a_full_table_sends_what_it_forgets() {
        let mut detector = Detector::new(Settings { attempts: 1, ..Settings::default() });
        let mut alerts = Vec::new();
        let name = |n: usize| format!("user{n}");
        // A user and a client each, at servers of their own.
        for n in 0..PARTIES_MAX / 2 + 3 {
            let user = name(n);
            let n = n as u32;
            let message = Message {
                server: IpAddr::from((n / 4 + 1).to_be_bytes()),
                server_port: 5060,
                client: IpAddr::from((n + 1).to_be_bytes()),
                client_port: 1,
                is_login: false,
                user: user.as_bytes(),
                domain: b"x",
                secs: 1_000,
                protocol: 17,
                link: 0,
            };
            detector.take(&message, &mut alerts);
        }
        assert!(detector.parties <= PARTIES_MAX);
        assert_eq!((alerts.len(), detector.servers.evicted()), (4, 1));
        detector.end(&mut alerts);
        assert_eq!(alerts.len(), PARTIES_MAX / 2 + 3);
    }
}
