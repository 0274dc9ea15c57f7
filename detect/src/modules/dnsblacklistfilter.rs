//! dnsblacklistfilter: DNS messages about a name that is on a blacklist (spec/detectors.md section 8.3).
use crate::blacklist::filter::{self, Named, Settings};
use crate::detector;
use crate::options::{flag, value};
use crate::sdk::{IpAddr, Octets, Str, Time, View};
use record::fields;
use trap::module::{Count, ModuleInfo, Param};

/// Settings where no others are named.
pub const CONFIG: &str = "/etc/nemea/blacklistfilter/dnsdetect_config.xml";

/// One line for lists of modules.
pub const ABOUT: &str = "Finds DNS messages about a name that is on a blacklist.";

const INFO: ModuleInfo = ModuleInfo {
    name: "dnsblacklistfilter",
    description: "Module receives the UniRec record and checks if the domain name in the record is on one of up to 64 blacklists. If \
                  it is, an alert says which lists. Queries and answers count; names above and below a listed one do not.\nAt most \
                  16777216 entries are used; with more, a warning says so.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'c',
        "",
        "string",
        "Specify user configuration file for DNS blacklists (default: /etc/nemea/blacklistfilter/dnsdetect_config.xml).",
    ),
    value('b', "", "string", "Specify blacklist file, overrides the configuration."),
    flag('n', "", "Do not send terminating Unirec when exiting."),
];

fields! {
    struct Message {
        _destination: IpAddr = "DST_IP",
        _source: IpAddr = "SRC_IP",
        _bytes: u64 = "BYTES",
        _first: Time = "TIME_FIRST",
        _last: Time = "TIME_LAST",
        _packets: u32 = "PACKETS",
        _protocol: u8 = "PROTOCOL",
        _destination_port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        _id: u16 = "DNS_ID",
        _answers: u16 = "DNS_ANSWERS",
        name: Str = "DNS_NAME",
        _question: u16 = "DNS_QTYPE",
        _length: u16 = "DNS_RLENGTH",
        _code: u8 = "DNS_RCODE",
        _answer: Octets = "DNS_RDATA",
        _dnssec: u8 = "DNS_DO",
        _class: u16 = "DNS_CLASS",
        _size: u16 = "DNS_PSIZE",
        _ttl: u32 = "DNS_RR_TTL",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, |words| Settings::parse(words, PARAMS, CONFIG), |_| 1, filter::run_names::<Messages>)
}

enum Messages {}

impl Named for Messages {
    type Fields = Message;
    const ALERT: &'static str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BLACKLIST,uint64 BYTES,time TIME_FIRST,time TIME_LAST,\
                                 uint32 DNS_RR_TTL,uint32 PACKETS,uint16 DNS_ANSWERS,uint16 DNS_CLASS,uint16 DNS_ID,uint16 DNS_PSIZE,\
                                 uint16 DNS_QTYPE,uint16 DNS_RLENGTH,uint16 DST_PORT,uint16 SRC_PORT,uint8 DNS_DO,uint8 DNS_RCODE,\
                                 uint8 PROTOCOL,string DNS_NAME,bytes DNS_RDATA";

    fn text(message: &Message, record: &View<'_>, text: &mut Vec<u8>) {
        text.extend_from_slice(filter::without_www(message.name(record)));
        text.make_ascii_lowercase();
    }
}
