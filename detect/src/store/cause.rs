//! Which flows an alert speaks of: its times, and its ends as a filter of nfdump.
use super::document::{items, texts, time};
use super::{Range, Side};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

/// Networks and ports of an end in a filter, at the most.
const TERMS_MAX: usize = 256;
/// An alert that tells no time but that of its detection speaks of the time before it; detectors that say less look at 5 minutes to an hour.
const BEFORE_MS: i64 = 3_600_000;
/// Protocols in alerts that nfdump knows by the same names; others (`ssh`, `http`) are told by ports.
const PROTOCOLS: [&str; 8] = ["tcp", "udp", "icmp", "icmp6", "sctp", "gre", "esp", "igmp"];

/// A question for flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Milliseconds since 1970.
    pub from: i64,
    pub until: i64,
    /// As nfdump(1) takes it.
    pub filter: String,
    /// Networks and ports that would be too many for the filter.
    pub left_out: u64,
}

/// The conditions on one end.
#[derive(Debug, Default)]
struct End {
    networks: Vec<(IpAddr, u8)>,
    ports: Vec<u16>,
    left_out: u64,
}

impl Cause {
    /// Reads an alert; `with_answers`: also flows back from target to source. `None` if it tells no address and no port, or no time: any
    /// flow might be meant then.
    pub fn of(document: &Value, with_answers: bool) -> Option<Cause> {
        let [source, target] = ["Source", "Target"].map(|key| End::of(document, key));
        let protocols = protocols(document);
        let there = [source.terms("src"), target.terms("dst")].concat();
        if there.is_empty() {
            return None;
        }
        let mut filter = there.join(" and ");
        if with_answers {
            let back = [target.terms("src"), source.terms("dst")].concat();
            filter = format!("(({filter}) or ({}))", back.join(" and "));
        }
        if !protocols.is_empty() {
            let protocols: Vec<_> = protocols.iter().map(|name| format!("proto {name}")).collect();
            let _ = write!(filter, " and ({})", protocols.join(" or "));
        }
        let (from, until) = times(document)?;
        Some(Cause { from, until, filter, left_out: source.left_out + target.left_out })
    }
}

/// From its event to its end; what is not told is taken from the window of the detector, then from the time of detection.
fn times(document: &Value) -> Option<(i64, i64)> {
    let first_of = |keys: [&str; 3]| keys.into_iter().find_map(|key| time(document, key));
    let until = first_of(["CeaseTime", "WinEndTime", "DetectTime"]);
    let from = first_of(["EventTime", "WinStartTime", "WinStartTime"]).or(until.map(|until| until - BEFORE_MS))?;
    Some((from, until.unwrap_or(from).max(from)))
}

/// Those of both ends that are protocols over IP.
fn protocols(document: &Value) -> BTreeSet<String> {
    let sides = ["Source", "Target"].map(|key| Side::of(document, key).protocols);
    let names = sides.into_iter().flatten().map(|name| name.to_ascii_lowercase());
    names.filter(|name| PROTOCOLS.contains(&name.as_str())).collect()
}

impl End {
    fn of(document: &Value, key: &str) -> End {
        let mut end = End::default();
        for side in items(document.get(key)) {
            for text in texts(side.get("IP4")).chain(texts(side.get("IP6"))) {
                let Ok(range) = text.parse::<Range>() else { continue };
                for network in range.networks() {
                    keep(&mut end.networks, network, &mut end.left_out);
                }
            }
            for port in items(side.get("Port")).filter_map(|port| u16::try_from(port.as_u64()?).ok()) {
                keep(&mut end.ports, port, &mut end.left_out);
            }
        }
        // A network of all addresses, which nfdump has no word for, is no condition on the end.
        if end.networks.iter().any(|(_, length)| *length == 0) {
            end.networks.clear();
        }
        end
    }

    /// Conditions that must all hold.
    fn terms(&self, end: &str) -> Vec<String> {
        let networks: Vec<_> = self.networks.iter().map(|(ip, length)| written(*ip, *length)).collect();
        let ports: Vec<_> = self.ports.iter().map(u16::to_string).collect();
        let networks = match networks.as_slice() {
            [one] if one.contains('/') => Some(format!("{end} net {one}")),
            several => one_of(end, "ip", several),
        };
        networks.into_iter().chain(one_of(end, "port", &ports)).collect()
    }
}

fn one_of(end: &str, what: &str, texts: &[String]) -> Option<String> {
    match texts {
        [] => None,
        [one] => Some(format!("{end} {what} {one}")),
        several => Some(format!("{end} {what} in [{}]", several.join(" "))),
    }
}

fn written(ip: IpAddr, length: u8) -> String {
    let whole = if ip.is_ipv4() { 32 } else { 128 };
    if length == whole { ip.to_string() } else { format!("{ip}/{length}") }
}

/// Keeps it unless it is there or there are too many.
fn keep<T: PartialEq>(kept: &mut Vec<T>, new: T, left_out: &mut u64) {
    if kept.contains(&new) {
        return;
    }
    if kept.len() < TERMS_MAX {
        kept.push(new);
    } else {
        *left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nfdump::filter;
    use serde_json::json;

    fn cause(document: &Value, with_answers: bool) -> Option<Cause> {
        let cause = Cause::of(document, with_answers);
        cause.iter().for_each(|cause| assert!(filter::parse(&cause.filter).is_ok(), "{}", cause.filter));
        cause
    }

    #[test]
    fn ends_become_a_filter() {
        let document = json!({
            "DetectTime": "2026-11-22T12:00:00Z", "EventTime": "2026-11-22T11:00:00.5Z",
            "Source": [{"IP4": ["192.0.2.1"], "Proto": ["tcp", "ssh"]}],
            "Target": [{"IP4": ["198.51.100.0/24", "198.51.100.7-198.51.100.8"], "Port": [22]}, {"IP6": "2001:db8::1", "Port": [2222, 22]}],
        });
        let told = cause(&document, false).unwrap();
        assert_eq!(
            told.filter,
            "src ip 192.0.2.1 and dst ip in [198.51.100.0/24 198.51.100.7 198.51.100.8 2001:db8::1] and dst port in [22 2222] and (proto tcp)"
        );
        assert_eq!((told.from, told.until, told.left_out), (1_795_345_200_500, 1_795_348_800_000, 0));
        let both =
            cause(&json!({"DetectTime": "2026-11-22T12:00:00Z", "Source": {"IP4": "192.0.2.0/25", "Port": 53}}), true);
        let both = both.unwrap();
        assert_eq!(both.filter, "((src net 192.0.2.0/25 and src port 53) or (dst net 192.0.2.0/25 and dst port 53))");
        assert_eq!(both.until - both.from, BEFORE_MS);
    }

    #[test]
    fn what_says_nothing_of_flows_is_no_question() {
        let detected = "2026-11-22T12:00:00Z";
        for document in [
            json!({"DetectTime": detected}),
            json!({"DetectTime": detected, "Source": [{"Hostname": ["a.example"], "IP4": ["nonsense"]}]}),
            json!({"DetectTime": detected, "Source": [{"IP4": ["0.0.0.0/0"]}]}),
            json!({"Source": [{"IP4": ["192.0.2.1"]}]}),
        ] {
            assert_eq!(cause(&document, true), None, "{document}");
        }
        let many: Vec<_> = (0..300).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        let told = cause(&json!({"DetectTime": detected, "Target": [{"IP4": many}]}), true).unwrap();
        assert_eq!(told.left_out, 44);
        let ended_before = json!({"EventTime": detected, "CeaseTime": "2026-11-22T11:00:00Z", "Source": {"Port": [1]}});
        let told = cause(&ended_before, false).unwrap();
        assert_eq!(told.from, told.until);
    }
}
