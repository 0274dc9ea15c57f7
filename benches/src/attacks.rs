//! Attacks among other people's traffic, for detectors: each is told as its victims would see it, at the size at which the detectors of NEMEA
//! say something with their defaults (thresholds: docs of the modules).
//!
//! Attackers are in 192.0.2.0/24, who they aim at in 198.51.100.0/24 (RFC 5737); the background has neither.
mod content;
mod floods;
mod guesses;
mod insiders;
mod logins;
mod scans;

use std::fmt;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::dialog::{Datagrams, Dialog, Host, Route, TcpSession, Turn};
use crate::frame::Frame;
use crate::mix::realistic::background;
use crate::mix::stage::Stage;
use crate::mix::{CaptureSink, Totals};
use crate::{Nanos, Rng, SECOND};

/// An attack that the generator can tell.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    pub name: &'static str,
    pub doc: &'static str,
    /// The address that an alert has to name.
    pub culprit: Ipv4Addr,
    /// When it begins, after [`EPOCH`](crate::EPOCH). What its victim does else may come before.
    pub begins: Nanos,
    tell: fn(Nanos, &mut Rng) -> Vec<Scene>,
}

/// All of them.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "port_scan",
        doc: "SYNs to 60 ports of a host",
        culprit: attacker(10),
        begins: 30 * SECOND,
        tell: scans::ports,
    },
    Attack {
        name: "host_scan",
        doc: "SYNs to a port of 60 hosts",
        culprit: attacker(11),
        begins: 30 * SECOND,
        tell: scans::hosts,
    },
    Attack {
        name: "flood",
        doc: "200 networks send 1 MB/s to a server that gets 10 kB/s else",
        culprit: victim(20),
        begins: 320 * SECOND,
        tell: floods::volume,
    },
    Attack {
        name: "amplification",
        doc: "a name server answers 420 forged queries with 4 kB each, to who did not ask",
        culprit: victim(21),
        begins: 10 * SECOND,
        tell: floods::amplification,
    },
    Attack {
        name: "ssh_guessing",
        doc: "45 logins over SSH",
        culprit: attacker(12),
        begins: 40 * SECOND,
        tell: guesses::ssh,
    },
    Attack {
        name: "sip_guessing",
        doc: "60 registrations that are refused",
        culprit: attacker(13),
        begins: 50 * SECOND,
        tell: guesses::sip,
    },
    Attack {
        name: "toll_fraud",
        doc: "calls to one number behind 30 prefixes",
        culprit: attacker(14),
        begins: 60 * SECOND,
        tell: guesses::prefixes,
    },
    Attack {
        name: "dns_tunnel",
        doc: "240 names that are data",
        culprit: attacker(15),
        begins: 70 * SECOND,
        tell: content::dns_tunnel,
    },
    Attack {
        name: "web_attack",
        doc: "requests that ask for files and tables",
        culprit: attacker(16),
        begins: 80 * SECOND,
        tell: content::web,
    },
    Attack {
        name: "generated_domains",
        doc: "60 domains of random letters, none of which exists",
        culprit: victim(90),
        begins: 90 * SECOND,
        tell: insiders::domains,
    },
    Attack {
        name: "beacon",
        doc: "a host asks for orders every 45 seconds, up to four late",
        culprit: victim(91),
        begins: 100 * SECOND,
        tell: insiders::beacon,
    },
    Attack {
        name: "exfiltration",
        doc: "a host that sends 20 kB a minute sends 5 MB",
        culprit: victim(92),
        begins: 900 * SECOND,
        tell: insiders::upload,
    },
    Attack {
        name: "new_service",
        doc: "a port opens on a host that had none",
        culprit: victim(93),
        begins: 700 * SECOND,
        tell: insiders::back_door,
    },
    Attack {
        name: "reflection",
        doc: "30 devices answer 80 kB each over SSDP, to who did not ask",
        culprit: victim(23),
        begins: 110 * SECOND,
        tell: floods::reflection,
    },
    Attack {
        name: "mining",
        doc: "a host mines in a pool for ten minutes",
        culprit: attacker(17),
        begins: 90 * SECOND,
        tell: content::mining,
    },
    Attack {
        name: "ssh_logins",
        doc: "36 passwords that an SSH server refuses, then one that it does not",
        culprit: attacker(40),
        begins: 90 * SECOND,
        tell: logins::ssh,
    },
    Attack {
        name: "rdp_logins",
        doc: "30 Remote Desktop connections as short as a refusal",
        culprit: attacker(41),
        begins: 100 * SECOND,
        tell: logins::desktop,
    },
    Attack {
        name: "smb_logons",
        doc: "30 logons that a file server refuses, then one that it does not",
        culprit: attacker(42),
        begins: 110 * SECOND,
        tell: logins::smb,
    },
    Attack {
        name: "kerberos_spray",
        doc: "one password for 30 users",
        culprit: attacker(43),
        begins: 120 * SECOND,
        tell: logins::kerberos,
    },
    Attack {
        name: "doh_tunnel",
        doc: "2 MB of queries to a resolver over HTTPS in half a minute",
        culprit: attacker(44),
        begins: 130 * SECOND,
        tell: content::doh_tunnel,
    },
];

impl FromStr for Attack {
    type Err = UnknownAttack;

    fn from_str(name: &str) -> Result<Attack, UnknownAttack> {
        ATTACKS.iter().copied().find(|attack| attack.name == name).ok_or_else(|| UnknownAttack(name.to_owned()))
    }
}

/// A name that is no attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAttack(pub String);

impl fmt::Display for UnknownAttack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown attack {:?}; there are:", self.0)?;
        ATTACKS.iter().try_for_each(|attack| write!(f, "\n  {}: {}", attack.name, attack.doc))
    }
}

impl std::error::Error for UnknownAttack {}

impl Attack {
    /// Conversations that it is told in.
    pub fn flows(&self, seed: u64) -> u64 {
        self.scenes(seed).len() as u64
    }

    /// One source of chance for each attack: what is told of one does not depend on which others are.
    fn scenes(&self, seed: u64) -> Vec<Scene> {
        let number = ATTACKS.iter().position(|known| known.name == self.name).unwrap_or_default() as u64;
        (self.tell)(self.begins, &mut Rng::new(seed ^ ((number + 1) << 32)))
    }
}

/// Who attacks.
const fn attacker(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

/// Who is attacked, or takes part without wanting to.
const fn victim(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, number)
}

/// A conversation and when it begins.
type Scene = (Nanos, Box<dyn Dialog>);

/// How long the background goes on; every attack is over by then.
pub const SPAN: Nanos = 1_200 * SECOND;

/// Writes a pcap of `flows` flows of background over [`SPAN`] with these attacks in between.
pub fn write_attacks(attacks: &[Attack], flows: u64, seed: u64, out: &mut impl Write) -> io::Result<Totals> {
    let mut sink = CaptureSink::new(out)?;
    let mut scenes: Vec<Scene> = attacks.iter().flat_map(|attack| attack.scenes(seed)).collect();
    scenes.sort_by_key(|(at, _)| *at);
    let others = background(seed, flows, SPAN / flows.max(1)).take(flows as usize);
    let mut others = others.map(|(at, flow)| (at, Box::new(flow) as Box<dyn Dialog>)).peekable();
    let mut scenes = scenes.into_iter().peekable();
    let mut stage: Stage<Box<dyn Dialog>> = Stage::new();
    let mut frame = Frame::new();
    loop {
        let begins = [scenes.peek(), others.peek()].map(|scene| scene.map_or(Nanos::MAX, |(at, _)| *at));
        let next = begins[0].min(begins[1]);
        if next < Nanos::MAX && stage.due().is_none_or(|due| next <= due) {
            let scene = if begins[0] <= begins[1] { scenes.next() } else { others.next() };
            if let Some((at, dialog)) = scene {
                stage.enter(at, dialog);
            }
            continue;
        }
        let Some((at, first)) = stage.tell(&mut frame) else { break };
        sink.packet(at, &frame)?;
        sink.totals.flows += u64::from(first);
    }
    sink.finish()
}

/// Datagrams from one to the other and back.
fn datagrams(client: (Ipv4Addr, u16), server: (Ipv4Addr, u16), turns: Vec<Turn>) -> Datagrams {
    Datagrams::udp(route(client, server), turns)
}

fn connection(client: (Ipv4Addr, u16), server: (Ipv4Addr, u16), turns: Vec<Turn>) -> TcpSession {
    TcpSession::new(route(client, server), turns)
}

fn route(client: (Ipv4Addr, u16), server: (Ipv4Addr, u16)) -> Route {
    Route::new(Host::new(client.0, client.1), Host::new(server.0, server.1))
}
