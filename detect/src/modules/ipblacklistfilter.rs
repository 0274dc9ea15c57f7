//! ipblacklistfilter: flows with an address that is on a blacklist (spec/detectors.md section 8.1).
use crate::blacklist::addresses::{Addresses, Addresses4, Addresses6, Entry};
use crate::blacklist::filter::{self, Alerts, Settings};
use crate::blacklist::watched::Watched;
use crate::detector;
use crate::options::{flag, value};
use crate::sdk::{Failure, GO_ON, Handler, IpAddr, Reader, Step, Template, Time, View};
use record::fields;
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output};

/// Resolvers ask for anything; their flows say nothing.
const DNS: u16 = 53;

/// Settings where no others are named.
pub const CONFIG: &str = "/etc/nemea/blacklistfilter/ipdetect_config.xml";

const ALERT: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 DST_BLACKLIST,uint64 SRC_BLACKLIST,time TIME_FIRST,time TIME_LAST,\
                     uint32 PACKETS,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL,string ADAPTIVE_IDS";

/// One line for lists of modules.
pub const ABOUT: &str = "Finds flows with an address that is on a blacklist.";

const INFO: ModuleInfo = ModuleInfo {
    name: "ipblacklistfilter",
    description: "Module receives the UniRec record and checks if the source or the destination address is on one of up to 64 \
                  blacklists. If it is, an alert says which lists. Records with a port 53 are left out.\nOf overlapping networks the \
                  longest prefix counts. At most 16777216 entries of each file are used; with more, a warning says so.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'c',
        "",
        "string",
        "Specify user configuration file for IP blacklists (default: /etc/nemea/blacklistfilter/ipdetect_config.xml).",
    ),
    value('4', "", "string", "Specify IPv4 blacklist file, overrides the configuration."),
    value('6', "", "string", "Specify IPv6 blacklist file, overrides the configuration."),
    flag('n', "", "Do not send terminating Unirec when exiting."),
];

fields! {
    struct Flow {
        source: IpAddr = "SRC_IP",
        destination: IpAddr = "DST_IP",
        source_port: u16 = "SRC_PORT",
        destination_port: u16 = "DST_PORT",
        _protocol: u8 = "PROTOCOL",
        _packets: u32 = "PACKETS",
        _bytes: u64 = "BYTES",
        _first: Time = "TIME_FIRST",
        _last: Time = "TIME_LAST",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, |words| Settings::parse(words, PARAMS, CONFIG), |_| 1, run)
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    let elements = settings.elements()?;
    let v4 = filter::open(&settings.place(&elements, '4', "ipv4_blacklist_file")?, Addresses::load)?;
    let place = settings.place(&elements, '6', "ipv6_blacklist_file")?;
    let opened = Watched::open(&place.path, place.is_watched, Addresses::load);
    let (v6, why) = opened.map_err(|why| Failure::Other(format!("cannot watch '{}': {why}", place.path.display())))?;
    if let Some(why) = why {
        eprintln!("WARNING: cannot read IPv6 blacklist '{}': {why}", place.path.display());
    }
    let alerts = Alerts::new(output, ALERT)?;
    let own = ["SRC_BLACKLIST", "DST_BLACKLIST", "ADAPTIVE_IDS"].map(|name| alerts.index(name));
    let mut filter = Filter { v4, v6, alerts, own };
    let ended = Reader::new(input).run(&mut filter);
    filter.alerts.end(settings.tells_end);
    ended.map(|_| ())
}

struct Filter<'o> {
    v4: Watched<Addresses4>,
    v6: Watched<Addresses6>,
    alerts: Alerts<'o>,
    /// Indices of SRC_BLACKLIST, DST_BLACKLIST and ADAPTIVE_IDS.
    own: [usize; 3],
}

impl Handler<Flow> for Filter<'_> {
    fn template(&mut self, template: &Template) -> Step {
        self.alerts.bind(template);
        GO_ON
    }

    fn record(&mut self, flow: &Flow, record: &View<'_>) -> Step {
        let ports = [flow.source_port(record), flow.destination_port(record)];
        if ports.contains(&DNS) {
            return GO_ON;
        }
        let found = match (flow.source(record), flow.destination(record)) {
            (IpAddr::V4(source), destination) => {
                let list = self.v4.current();
                listed(list.find(source.to_bits()), || match destination {
                    IpAddr::V4(ip) => list.find(ip.to_bits()),
                    IpAddr::V6(_) => None,
                })
            }
            (IpAddr::V6(source), destination) => {
                let list = self.v6.current();
                listed(list.find(source.to_bits()), || match destination {
                    IpAddr::V6(ip) => list.find(ip.to_bits()),
                    IpAddr::V4(_) => None,
                })
            }
        };
        let Some((side, entry)) = found else { return GO_ON };
        // The original would not try the other side either.
        let bits = entry.bits(ports[side]);
        if bits == 0 {
            return GO_ON;
        }
        let (bits, none) = (bits.to_le_bytes(), [0; 8]);
        let [source, destination, ids] = self.own;
        let values = if side == 0 { [&bits, &none] } else { [&none, &bits] };
        let own = [(source, &values[0][..]), (destination, &values[1][..]), (ids, entry.ids().as_bytes())];
        self.alerts.send(record, &own)
    }
}

/// The entry of the source, or else of the destination, and which of them it is of.
#[inline]
fn listed<'e>(
    source: Option<&'e Entry>,
    destination: impl FnOnce() -> Option<&'e Entry>,
) -> Option<(usize, &'e Entry)> {
    source.map(|entry| (0, entry)).or_else(|| Some((1, destination()?)))
}
