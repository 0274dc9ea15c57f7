//! proto_traffic: flows, packets and bytes of each protocol, handed to Munin over a unix socket (spec/modules.md section 11).
//!
//! The plugin is [`super::munin`].
use super::start;
use crate::options;
use crate::reading::{self, Next, Reader};
use crate::stats_socket::{CountError, StatsSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trap::Input;
use trap::module::{Count, Module, ModuleInfo};

/// Where Munin asks.
pub const SOCKET: &str = "/var/run/libtrap/munin_proto_traffic";

const FIELDS: &str = "uint64 BYTES,uint32 PACKETS,uint8 PROTOCOL";

/// Protocols that are counted, in the order of the text; the last one is all others.
const PROTOCOLS: [(&str, u8); 7] =
    [("icmp", 1), ("tcp", 6), ("udp", 17), ("icmp6", 58), ("esp", 50), ("gre", 47), ("sctp", 132)];

/// One line for lists of modules.
pub const ABOUT: &str = "Counts the traffic of protocols for Munin.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Protocol Flows Counter",
    description: "This module counts statistics of protocol usage in flows. (TCP/UDP/ICMP...) Munin reads the counters from \
                  the socket /var/run/libtrap/munin_proto_traffic.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: &[],
};

/// Runs the module; see [`super::Module::run`]. Every failure behind the interfaces ends it with 0, as in the original.
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    if let Err(why) = options::parse(&args[1..], INFO.params) {
        eprintln!("Error: Invalid arguments.\n{why}");
        return 0;
    }
    if let Err(why) = run(&mut inputs[0], Path::new(SOCKET)) {
        eprintln!("{why}");
    }
    0
}

/// Counters since the start, the last ones of all other protocols.
#[derive(Debug, Default)]
struct Counters {
    flows: [AtomicU64; PROTOCOLS.len() + 1],
    bytes: [AtomicU64; PROTOCOLS.len() + 1],
    packets: [AtomicU64; PROTOCOLS.len() + 1],
}

/// Counts until the stream ends or the stop flag is set.
pub fn run(input: &mut Input, socket: &Path) -> Result<(), CountError> {
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let _server = StatsSocket::serve(socket, move || shared.text())?;
    let mut reader = Reader::new(input, FIELDS)?;
    let (mut bytes, mut packets, mut protocol) = (0, 0, 0);
    loop {
        let (view, is_new) = match reader.read()? {
            Next::Record { view, is_new } => (view, is_new),
            Next::Nothing | Next::Damaged => continue,
            Next::Eof | Next::Stopped => return Ok(()),
        };
        if is_new {
            let field = |name| reading::field(view.template(), name);
            (bytes, packets, protocol) = (field("BYTES"), field("PACKETS"), field("PROTOCOL"));
        }
        let number = |field| view.uint(field).unwrap_or(0);
        let protocol = number(protocol);
        let at = PROTOCOLS.iter().position(|(_, known)| u64::from(*known) == protocol).unwrap_or(PROTOCOLS.len());
        counters.flows[at].fetch_add(1, Ordering::Relaxed);
        counters.bytes[at].fetch_add(number(bytes), Ordering::Relaxed);
        counters.packets[at].fetch_add(number(packets), Ordering::Relaxed);
    }
}

impl Counters {
    /// Two lines: names and numbers.
    fn text(&self) -> String {
        let names = || PROTOCOLS.iter().map(|(name, _)| *name).chain(["others"]);
        let groups = [("flows", &self.flows), ("bytes", &self.bytes), ("packets", &self.packets)];
        let (mut header, mut values) = (Vec::new(), Vec::new());
        for (kind, counters) in groups {
            header.extend(names().map(|name| format!("{name}-{kind}")));
            values.extend(counters.iter().map(|counter| counter.load(Ordering::Relaxed).to_string()));
        }
        format!("{}\n{}\n", header.join(","), values.join(","))
    }
}
