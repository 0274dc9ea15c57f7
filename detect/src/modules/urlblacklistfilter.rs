//! urlblacklistfilter: HTTP requests for a URL that is on a blacklist (spec/detectors.md section 8.2).
use crate::blacklist::filter::{self, Named, Settings};
use crate::detector;
use crate::options::{flag, value};
use crate::sdk::{IpAddr, Str, Time, View};
use record::fields;
use trap::module::{Count, ModuleInfo, Param};

/// Settings where no others are named.
pub const CONFIG: &str = "/etc/nemea/blacklistfilter/urldetect_config.xml";

/// One line for lists of modules.
pub const ABOUT: &str = "Finds HTTP requests for a URL that is on a blacklist.";

const INFO: ModuleInfo = ModuleInfo {
    name: "urlblacklistfilter",
    description: "Module receives the UniRec record and checks if the URL in the record (host and path) is on one of up to 64 \
                  blacklists. If it is, an alert says which lists.\nA listed domain matches requests for its first page only. At \
                  most 16777216 entries are used; with more, a warning says so.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'c',
        "",
        "string",
        "Specify user configuration file for URL blacklists (default: /etc/nemea/blacklistfilter/urldetect_config.xml).",
    ),
    value('b', "", "string", "Specify blacklist file, overrides the configuration."),
    flag('n', "", "Do not send terminating Unirec when exiting."),
];

fields! {
    struct Request {
        _destination: IpAddr = "DST_IP",
        _source: IpAddr = "SRC_IP",
        _destination_port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        _first: Time = "TIME_FIRST",
        _last: Time = "TIME_LAST",
        _bytes: u64 = "BYTES",
        _packets: u32 = "PACKETS",
        _protocol: u8 = "PROTOCOL",
        host: Str = "HTTP_REQUEST_HOST",
        _referer: Str = "HTTP_REQUEST_REFERER",
        url: Str = "HTTP_REQUEST_URL",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, |words| Settings::parse(words, PARAMS, CONFIG), |_| 1, filter::run_names::<Urls>)
}

enum Urls {}

impl Named for Urls {
    type Fields = Request;
    const ALERT: &'static str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BLACKLIST,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
                                 uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL,string HTTP_REQUEST_HOST,string HTTP_REQUEST_REFERER,\
                                 string HTTP_REQUEST_URL";

    fn text(request: &Request, record: &View<'_>, text: &mut Vec<u8>) {
        let host = request.host(record);
        if !host.is_empty() {
            normalize(host, request.url(record), text);
        }
    }
}

/// Appends host and path as the lists have them: no `www.` in front, no slashes at the end, small letters.
fn normalize(host: &[u8], url: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(filter::without_www(host));
    text.extend_from_slice(url);
    let end = text.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    text.truncate(end);
    text.make_ascii_lowercase();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_lists_have_them() {
        for (host, url, expected) in [
            ("www.Evil.Example.org", "/Malware/a.exe/", "evil.example.org/malware/a.exe"),
            ("WWW.example.org", "", "www.example.org"),
            ("www.www.example.org", "//", "www.example.org"),
            ("example.org", "/?A=/", "example.org/?a="),
            ("www.", "/", ""),
        ] {
            let mut text = Vec::new();
            normalize(host.as_bytes(), url.as_bytes(), &mut text);
            assert_eq!(text, expected.as_bytes());
        }
    }
}
