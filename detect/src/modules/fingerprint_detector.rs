//! fingerprint_detector: TLS and SSH connections whose fingerprint or server name is on a list (docs/detectors.md).
//!
//! JA3, JA4, HASSH and server names of flow records are looked up in lists, which are read anew when their files change. A client, a
//! server and what was found make one alert, and again one after a while, with the number of flows in between.
use crate::blacklist::fingerprints::Fingerprints;
use crate::blacklist::watched::Watched;
use crate::bounded::Bounded;
use crate::sdk::{
    self, Count, Failure, GO_ON, IpAddr, Module, ModuleInfo, Octets, Options, Param, Reader, Str, Text, Time, View,
    Writer,
};
use crate::sdk::{fields, record, value};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::Path;

/// Pairs of client and server with what was found of them; some 120 bytes each.
const PAIRS_MAX: usize = 65_536;
/// Seconds until the same is told again.
const SILENCE: u64 = 3_600;

/// One line for lists of modules.
pub const ABOUT: &str = "Finds TLS and SSH connections whose JA3, JA4, HASSH or server name is on a list.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "fingerprint_detector",
    description: "Looks up fingerprints and server names of flows in lists: sonda probe -i eth0 --l7 tls --unirec tls=u:tls, then \
                  fingerprint_detector -i u:tls,u:alerts -j ja3_fingerprints.csv. A list has an entry to a line, or CSV whose first column is the entry and whose last \
                  one is the reason (as of https://sslbl.abuse.ch); # begins a comment. Names that begin with a dot stand for all below too. Lists are read anew \
                  when their files change. A template may lack any of these fields.\n\
                  At most 65536 pairs of hosts are remembered; the one without a finding for longest makes room, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('j', "ja3", "FILE", "List of JA3 fingerprints, 32 hexadecimal digits each."),
    value('k', "ja4", "FILE", "List of JA4 fingerprints."),
    value('s', "sni", "FILE", "List of server names, of TLS and QUIC."),
    value('a', "hassh", "FILE", "List of HASSH fingerprints of SSH clients and servers, 32 hexadecimal digits each."),
    value('r', "repeat", "uint64", "Seconds after which the same is told again. (3600 by default)"),
];

fields! {
    /// What comes in.
    struct In {
        target: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        target_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        ja3: Option<Octets> = "TLS_JA3",
        ja4: Option<Str> = "TLS_JA4",
        sni: Option<Str> = "TLS_SNI",
        quic_sni: Option<Str> = "QUIC_SNI",
        hassh: Option<Octets> = "SSH_HASSH",
        hassh_server: Option<Octets> = "SSH_HASSH_SERVER",
    }
}

record! {
    /// A finding.
    pub struct Alert = "fingerprint" {
        /// The server.
        target: IpAddr, unirec "DST_IP";
        /// The client.
        source: IpAddr, unirec "SRC_IP";
        /// Of the flow.
        first: Time, unirec "TIME_FIRST";
        /// Of the flow.
        last: Time, unirec "TIME_LAST";
        /// Flows of which this was found since it was told, this one included.
        flows: u32, unirec "EVENT_SCALE";
        /// Of the server.
        target_port: u16, unirec "DST_PORT";
        /// Of the client.
        source_port: u16, unirec "SRC_PORT";
        /// Of the flow.
        protocol: u8, unirec "PROTOCOL";
        /// ja3, ja4, sni, hassh.
        kind: Text<8>, unirec "FP_KIND";
        /// What is on the list, in small letters.
        value: Text<253>, unirec "FP_VALUE";
        /// Why, as the list says.
        reason: Text<128>, unirec "FP_REASON";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    sdk::main(&INFO, args, run)
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let mut lists = Lists::open(&module.options)?;
    let mut told = Told::new(module.options.value('r')?.unwrap_or(SILENCE));
    let mut out = Writer::new(&mut module.outputs[0])?;
    let ended = Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        let mut step = GO_ON;
        lists.find(fields, record, |kind, value, reason| {
            let (source, target) = (fields.source(record), fields.target(record));
            let Some(flows) = told.count(source, target, (kind, value), fields.last(record).secs()) else { return };
            let mut alert = Alert {
                target,
                source,
                first: fields.first(record),
                last: fields.last(record),
                flows,
                target_port: fields.target_port(record),
                source_port: fields.source_port(record),
                protocol: fields.protocol(record),
                ..Alert::default()
            };
            alert.kind.set(kind.as_bytes());
            alert.value.set(value);
            alert.reason.set(reason.as_bytes());
            if matches!(step, Ok(ControlFlow::Continue(()))) {
                step = out.send(&alert);
            }
        });
        step
    })?;
    told.pairs.tell("pairs of hosts");
    out.end(ended)
}

/// The lists that were given.
struct Lists {
    ja3: Option<Watched<Fingerprints>>,
    ja4: Option<Watched<Fingerprints>>,
    names: Option<Watched<Fingerprints>>,
    hassh: Option<Watched<Fingerprints>>,
    text: Vec<u8>,
}

impl Lists {
    fn open(options: &Options) -> Result<Lists, Failure> {
        let open = |letter| {
            let Some(path) = options.text(letter).map(Path::new) else { return Ok(None) };
            let failed = |why| Failure::Other(format!("cannot read list '{}': {why}", path.display()));
            match Watched::open(path, true, Fingerprints::load).map_err(failed)? {
                (list, None) => Ok(Some(list)),
                (_, Some(why)) => Err(failed(why)),
            }
        };
        let lists = Lists { ja3: open('j')?, ja4: open('k')?, names: open('s')?, hassh: open('a')?, text: Vec::new() };
        if [&lists.ja3, &lists.ja4, &lists.names, &lists.hassh].iter().all(|list| list.is_none()) {
            return Err(Failure::Usage("give a list: -j, -k, -s or -a FILE.".into()));
        }
        Ok(lists)
    }

    /// Calls `found` with kind, value and reason of each part of a record that is on a list.
    fn find(&mut self, fields: &In, record: &View<'_>, mut found: impl FnMut(&'static str, &[u8], &str)) {
        let Lists { ja3, ja4, names, hassh, text } = self;
        let mut hash = |list: &mut Option<Watched<Fingerprints>>, kind, hash: Option<&[u8]>| {
            if let (Some(list), Some(hash @ [_, ..])) = (list, hash) {
                write_hex(hash, text);
                list.current().find(text).into_iter().for_each(|reason| found(kind, text, reason));
            }
        };
        hash(ja3, "ja3", fields.ja3(record));
        hash(hassh, "hassh", fields.hassh(record));
        hash(hassh, "hassh", fields.hassh_server(record));
        if let (Some(list), Some(value @ [_, ..])) = (ja4, fields.ja4(record)) {
            write_small(value, text);
            list.current().find(text).into_iter().for_each(|reason| found("ja4", text, reason));
        }
        for name in [fields.sni(record), fields.quic_sni(record)] {
            if let (Some(list), Some(name @ [_, ..])) = (&mut *names, name) {
                write_small(name.strip_suffix(b".").unwrap_or(name), text);
                list.current().find_name(text).into_iter().for_each(|reason| found("sni", text, reason));
            }
        }
    }
}

fn write_small(value: &[u8], text: &mut Vec<u8>) {
    text.clear();
    text.extend(value.iter().map(u8::to_ascii_lowercase));
}

fn write_hex(bytes: &[u8], text: &mut Vec<u8>) {
    text.clear();
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
    bytes.iter().for_each(|byte| text.extend([digit(byte >> 4), digit(*byte)]));
}

/// What was told of whom.
struct Told {
    silence: u64,
    hasher: RandomState,
    /// By client, server and hash of what was found.
    pairs: Bounded<(IpAddr, IpAddr, u64), Pair>,
}

struct Pair {
    /// Second of the last alert.
    told: u64,
    /// Flows since then.
    flows: u32,
}

impl Told {
    fn new(silence: u64) -> Told {
        Told { silence, hasher: RandomState::new(), pairs: Bounded::new(PAIRS_MAX) }
    }

    /// Counts a finding; answers the flows since it was told if it is to be told now.
    fn count(&mut self, source: IpAddr, target: IpAddr, what: (&str, &[u8]), secs: u64) -> Option<u32> {
        let mut is_new = false;
        let (pair, _) = self.pairs.entry((source, target, self.hasher.hash_one(what)), || {
            is_new = true;
            Pair { told: secs, flows: 0 }
        });
        pair.flows = pair.flows.saturating_add(1);
        if !is_new && secs < pair.told.saturating_add(self.silence) {
            return None;
        }
        pair.told = secs;
        Some(std::mem::take(&mut pair.flows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_and_after_a_while() {
        let mut told = Told::new(60);
        let [a, b] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut count = |to, what: &'static str, secs| told.count(a, to, ("ja3", what.as_bytes()), secs);
        assert_eq!(
            [count(b, "x", 100), count(b, "x", 100), count(b, "y", 100), count(a, "x", 100)],
            [Some(1), None, Some(1), Some(1)]
        );
        assert_eq!([count(b, "x", 159), count(b, "x", 160), count(b, "x", 161)], [None, Some(3), None]);
    }

    #[test]
    fn fingerprints_are_spelled() {
        let mut text = Vec::new();
        write_hex(&[0x0f, 0xa0], &mut text);
        assert_eq!(text, b"0fa0");
    }
}
