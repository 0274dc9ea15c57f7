//! doh_tunnel_detector: data in DNS over HTTPS, TLS or QUIC: more of it than a resolver's clients have, or in the wrong direction
//! (docs/detectors.md).
//!
//! Flows to resolvers, known by address, name or port, are summed by client over a window, and so are flows to servers that behave like
//! one. A long flow counts with the part of it that a window can hold.
mod resolvers;

use crate::blacklist::watched::Watched;
use crate::bounded::Bounded;
use crate::sdk::{
    self, Count, Failure, GO_ON, IpAddr, Module, ModuleInfo, Options, Param, Reader, Str, Text, Time, View, Writer,
};
use crate::sdk::{fields, record, value};
use crate::slices::{Slices, Window};
use resolvers::Resolvers;
pub(crate) use resolvers::fuzz_resolvers;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;

/// Clients, and clients with servers that behave like a resolver; some 600 bytes each.
const TALKS_MAX: usize = 65_536;

/// What is enough of what. All are 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    /// Seconds of the window.
    window: u64,
    /// Bytes of a client to resolvers within it, and of resolvers to a client.
    up: u64,
    down: u64,
    /// Bytes of a client from which on they should not be more than what it gets.
    upload: u64,
    /// Seconds until the same is told again.
    silence: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { window: 300, up: 1_500_000, down: 4_000_000, upload: 300_000, silence: 3_600 }
    }
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects tunnels in DNS over HTTPS, TLS and QUIC by how much is said, and in which direction.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "doh_tunnel_detector",
    description: "Sums what clients say to resolvers with encryption: sonda probe -i eth0 --l7 tls --unirec tls=u:tls, then \
                  doh_tunnel_detector -i u:tls,u:alerts. Needs biflows. Resolvers are the large public ones, those of -l, \
                  port 853, and servers whose packets are as short and as even as those of one.\n\
                  At most 65536 clients are watched at a time; the one without a flow for longest makes room, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'l',
        "resolvers",
        "FILE",
        "More resolvers: addresses and names, one to a line; read anew when the file changes.",
    ),
    value('x', "except", "FILE", "Clients that may: addresses, one to a line; read anew when the file changes."),
    value('w', "window", "uint64", "Seconds of flow time over which bytes are summed. (300 by default)"),
    value(
        'u',
        "up",
        "uint64",
        "Bytes of a client to resolvers within the window that are too many. (1500000 by default)",
    ),
    value(
        'd',
        "down",
        "uint64",
        "Bytes of resolvers to a client within the window that are too many. (4000000 by default)",
    ),
    value(
        'o',
        "upload",
        "uint64",
        "Bytes of a client from which on they must not be more than it gets. (300000 by default)",
    ),
    value('r', "repeat", "uint64", "Seconds after which the same is told again. (3600 by default)"),
];

fields! {
    /// What comes in.
    struct In {
        target: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        bytes_back: u64 = "BYTES_REV",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        packets_back: u32 = "PACKETS_REV",
        port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
        sni: Option<Str> = "TLS_SNI",
        quic_sni: Option<Str> = "QUIC_SNI",
    }
}

record! {
    /// A tunnel.
    pub struct Alert = "doh_tunnel" {
        /// The resolver of the last flow.
        target: IpAddr, unirec "DST_IP";
        /// The client.
        source: IpAddr, unirec "SRC_IP";
        /// Of the client, within the window.
        up: u64, unirec "DOH_BYTES_UP";
        /// To the client, within the window.
        down: u64, unirec "DOH_BYTES_DOWN";
        /// Of the last flow.
        first: Time, unirec "TIME_FIRST";
        /// Of the last flow.
        last: Time, unirec "TIME_LAST";
        /// Flows within the window.
        flows: u32, unirec "EVENT_SCALE";
        /// Of the last flow.
        port: u16, unirec "DST_PORT";
        /// Of the last flow.
        protocol: u8, unirec "PROTOCOL";
        /// 0 resolvers that are known, 1 a server that behaves like one.
        kind: u8, unirec "DOH_KIND";
        /// 1 too much, 2 more up than down.
        reason: u8, unirec "DOH_REASON";
        /// Server name of the last flow.
        name: Text<253>, unirec "TLS_SNI";
    }
}

const KNOWN: u8 = 0;
const ALIKE: u8 = 1;
const VOLUME: u8 = 1;
const UPLOAD: u8 = 2;

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    sdk::main(&INFO, args, run)
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let mut detector = Detector::new(Settings::read(&module.options)?);
    let mut resolvers = List::open(&module.options, 'l')?;
    let mut excepted = List::open(&module.options, 'x')?;
    let known = Resolvers::public();
    let mut out = Writer::new(&mut module.outputs[0])?;
    let ended = Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        let Some(flow) = Flow::of(fields, record, |ip, name| known.has(ip, name) || resolvers.has(ip, name)) else {
            return GO_ON;
        };
        if excepted.has(flow.source, b"") {
            return GO_ON;
        }
        match detector.take(&flow) {
            Some(alert) => out.send(&alert),
            None => Ok(ControlFlow::Continue(())),
        }
    })?;
    detector.talks.tell("clients");
    out.end(ended)
}

impl Settings {
    fn read(options: &Options) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        for (letter, into) in [
            ('w', &mut settings.window),
            ('u', &mut settings.up),
            ('d', &mut settings.down),
            ('o', &mut settings.upload),
            ('r', &mut settings.silence),
        ] {
            *into = match options.value(letter)? {
                Some(0) => return Err(Failure::Usage(format!("-{letter} must be 1 or more."))),
                given => given.unwrap_or(*into),
            };
        }
        Ok(settings)
    }
}

/// A list that may have been given.
struct List(Option<Watched<Resolvers>>);

impl List {
    fn open(options: &Options, letter: char) -> Result<List, Failure> {
        let Some(path) = options.text(letter).map(Path::new) else { return Ok(List(None)) };
        let failed = |why| Failure::Other(format!("cannot read list '{}': {why}", path.display()));
        match Watched::open(path, true, Resolvers::load).map_err(failed)? {
            (list, None) => Ok(List(Some(list))),
            (_, Some(why)) => Err(failed(why)),
        }
    }

    fn has(&mut self, address: IpAddr, name: &[u8]) -> bool {
        self.0.as_mut().is_some_and(|list| list.current().has(address, name))
    }
}

/// A flow to what is, or behaves like, a resolver.
#[derive(Clone, Copy, Debug)]
struct Flow<'r> {
    source: IpAddr,
    target: IpAddr,
    port: u16,
    protocol: u8,
    first: Time,
    last: Time,
    up: u64,
    down: u64,
    kind: u8,
    name: &'r [u8],
}

/// DNS over TLS and over QUIC (RFC 7858, RFC 9250), and HTTPS.
const PRIVATE_DNS: u16 = 853;
const HTTPS: u16 = 443;

/// Packets each way from which on it can be told how a server behaves.
const PACKETS_MIN: u64 = 100;
/// Mean bytes of a packet, IP header included: queries and answers with padding (RFC 8467: multiples of 128 and 468 bytes) and bare
/// acknowledgements among them. Pages and files have full packets one way.
const UP_MEAN_MAX: u64 = 350;
const DOWN_MEAN_MAX: u64 = 700;
/// Packets one way for four the other, at the least: questions and answers take turns.
const TURNS: u64 = 4;

impl<'r> Flow<'r> {
    fn of(fields: &In, record: &View<'r>, mut is_known: impl FnMut(IpAddr, &[u8]) -> bool) -> Option<Self> {
        let port = fields.port(record);
        if port != HTTPS && port != PRIVATE_DNS {
            return None;
        }
        let name = [fields.sni(record), fields.quic_sni(record)].into_iter().flatten().find(|name| !name.is_empty());
        let (target, name) = (fields.target(record), name.unwrap_or_default());
        let (up, down) = (fields.bytes(record), fields.bytes_back(record));
        let packets = (fields.packets(record).into(), fields.packets_back(record).into());
        let kind = match port == PRIVATE_DNS || is_known(target, name) {
            true => KNOWN,
            // Without a name there may be no TLS at all.
            false if !name.is_empty() && is_alike((up, down), packets) => ALIKE,
            false => return None,
        };
        Some(Flow {
            source: fields.source(record),
            target,
            port,
            protocol: fields.protocol(record),
            first: fields.first(record),
            last: fields.last(record),
            up,
            down,
            kind,
            name,
        })
    }

    /// What of a number belongs to the last `window` seconds of the flow, if it was spread evenly.
    fn share(&self, number: u64, window: u64) -> u64 {
        let secs = self.last.secs().saturating_sub(self.first.secs());
        if secs <= window { number } else { (u128::from(number) * u128::from(window) / u128::from(secs)) as u64 }
    }
}

fn is_alike((up, down): (u64, u64), (sent, got): (u64, u64)) -> bool {
    let takes_turns = sent.saturating_mul(TURNS) >= got && got.saturating_mul(TURNS) >= sent;
    sent >= PACKETS_MIN
        && got >= PACKETS_MIN
        && takes_turns
        && up <= sent.saturating_mul(UP_MEAN_MAX)
        && down <= got.saturating_mul(DOWN_MEAN_MAX)
}

struct Detector {
    settings: Settings,
    window: Window,
    /// By client, and by server if it is none that is known.
    talks: Bounded<(IpAddr, IpAddr), Talk>,
}

#[derive(Default)]
struct Talk {
    up: Slices,
    down: Slices,
    flows: Slices,
    /// Second of the last alert, 0 for none.
    told: u64,
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector { settings, window: Window::of(settings.window), talks: Bounded::new(TALKS_MAX) }
    }

    fn take(&mut self, flow: &Flow<'_>) -> Option<Alert> {
        let Settings { window: span, up: up_max, down: down_max, upload, silence } = self.settings;
        let (window, secs) = (self.window, flow.last.secs());
        let server = if flow.kind == KNOWN { Ipv4Addr::UNSPECIFIED.into() } else { flow.target };
        let (talk, _) = self.talks.entry((flow.source, server), Talk::default);
        talk.up.add(window, secs, flow.share(flow.up, span));
        talk.down.add(window, secs, flow.share(flow.down, span));
        talk.flows.add(window, secs, 1);
        let (up, down) = (talk.up.sum(window, secs), talk.down.sum(window, secs));
        let reason = match () {
            _ if up >= up_max || down >= down_max => VOLUME,
            _ if up >= upload && up > down => UPLOAD,
            _ => return None,
        };
        if talk.told != 0 && secs < talk.told.saturating_add(silence) {
            return None;
        }
        talk.told = secs.max(1);
        let flows = talk.flows.sum(window, secs).try_into().unwrap_or(u32::MAX);
        let mut name = Text::default();
        name.set(flow.name);
        Some(Alert {
            target: flow.target,
            source: flow.source,
            up,
            down,
            first: flow.first,
            last: flow.last,
            flows,
            port: flow.port,
            protocol: flow.protocol,
            kind: flow.kind,
            reason,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(secs: u64, client: u8, up: u64, down: u64, kind: u8) -> Flow<'static> {
        Flow {
            source: [192, 0, 2, client].into(),
            target: [9, 9, 9, 9].into(),
            port: 443,
            protocol: 6,
            first: Time((secs - 10) * 1_000_000_000),
            last: Time(secs * 1_000_000_000),
            up,
            down,
            kind,
            name: b"dns.example",
        }
    }

    fn run(flows: impl IntoIterator<Item = Flow<'static>>) -> Vec<(u8, u64, u64, u64)> {
        let mut detector = Detector::new(Settings::default());
        let alerts = flows.into_iter().filter_map(|flow| detector.take(&flow));
        alerts.map(|alert| (alert.reason, alert.up, alert.down, alert.last.secs())).collect()
    }

    #[test]
    fn too_much_within_a_window() {
        let some = |every: u64, up, down| (0..20).map(move |k| flow(1_000 + every * k, 1, up, down, KNOWN));
        assert_eq!(run(some(10, 20_000, 250_000)), [(VOLUME, 320_000, 4_000_000, 1_150)]);
        assert_eq!(run(some(10, 90_000, 100_000)), [(VOLUME, 1_530_000, 1_700_000, 1_160)]);
        // The same over an hour and a half, or of many clients.
        assert_eq!(run(some(300, 20_000, 250_000)), []);
        assert_eq!(run((0..20).map(|k| flow(1_000, k, 20_000, 250_000, KNOWN))), []);
        // A flow of an hour has its share.
        let long = |secs| Flow { first: Time(0), ..flow(secs, 1, 100_000, 10_000_000, KNOWN) };
        assert_eq!((run([long(3_600)]).len(), run([long(300)]).len()), (0, 1));
    }

    #[test]
    fn more_up_than_down() {
        let some = |up, down| (0..10).map(move |k| flow(1_000 + k, 1, up, down, KNOWN));
        assert_eq!(run(some(30_001, 30_000)), [(UPLOAD, 300_010, 300_000, 1_009)]);
        assert_eq!(run(some(30_000, 30_000)), []);
        assert_eq!(run(some(29_000, 100)), []);
    }

    #[test]
    fn servers_that_are_not_known_are_summed_one_by_one() {
        let other = |k: u8| Flow { target: [203, 0, 113, k].into(), ..flow(1_000, 1, 50_000, 2_500_000, ALIKE) };
        assert_eq!(run([other(1), other(2)]), []);
        assert_eq!(run([other(1), other(2), other(1)]).len(), 1);
    }

    #[test]
    fn behaviour() {
        assert!(is_alike((30_000, 60_000), (200, 150)));
        for (bytes, packets) in [
            // A page, an upload, a stream with few acknowledgements, too few packets.
            ((20_000, 400_000), (200, 300)),
            ((400_000, 20_000), (300, 200)),
            ((10_000, 400_000), (100, 900)),
            ((10_000, 30_000), (99, 99)),
        ] {
            assert!(!is_alike(bytes, packets), "{bytes:?} {packets:?}");
        }
    }
}
