//! Conditions on flows, as people write them: `src 10.0.0.0/8 and not port 443 and bytes > 10k`.
//!
//! ```text
//! filter    = condition { "and" condition }
//! condition = [ "not" ] ( ( "src" | "dst" | "ip" ) ADDRESS[/LEN]
//!                       | ( "port" | "src_port" | "dst_port" ) N[-M]
//!                       | "proto" ( NAME | N )
//!                       | ( "bytes" | "packets" ) ( "<" | "<=" | "=" | ">=" | ">" ) N[k|M|G] )
//! ```
use record::Time;
use record::unirec::{Template, View};
use std::net::IpAddr;

/// Names of protocols that need no number.
pub(super) const PROTOCOLS: [(&str, u8); 7] =
    [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("esp", 50), ("icmp6", 58), ("sctp", 132)];
/// Conditions in one filter, at the most.
const CONDITIONS_MAX: usize = 100;

/// All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<(bool, Condition)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Address(End, IpAddr, u8),
    Port(End, u16, u16),
    Protocol(u8),
    Count(Count, Than, u64),
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Src,
    Dst,
    Either,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Bytes,
    Packets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Than {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// What of a record the filter and the printed line are made of; `None` where the sender's template has no such field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Basics {
    pub(super) src: Option<IpAddr>,
    pub(super) dst: Option<IpAddr>,
    pub(super) src_port: Option<u16>,
    pub(super) dst_port: Option<u16>,
    pub(super) protocol: Option<u8>,
    /// Both directions.
    pub(super) bytes: Option<u64>,
    pub(super) packets: Option<u64>,
    pub(super) first: Option<Time>,
    pub(super) last: Option<Time>,
}

/// Where the fields of [`Basics`] are in a template.
#[derive(Clone, Debug, Default)]
pub(super) struct Places([Option<usize>; FIELDS.len()]);

const FIELDS: [&str; 11] = [
    "SRC_IP",
    "DST_IP",
    "SRC_PORT",
    "DST_PORT",
    "PROTOCOL",
    "BYTES",
    "BYTES_REV",
    "PACKETS",
    "PACKETS_REV",
    "TIME_FIRST",
    "TIME_LAST",
];

impl Places {
    pub(super) fn of(template: &Template) -> Places {
        Places(FIELDS.map(|name| template.index_of(name)))
    }

    /// Whether the field is one of the basic ones.
    pub(super) fn has(&self, index: usize) -> bool {
        self.0.contains(&Some(index))
    }

    pub(super) fn read(&self, view: &View<'_>) -> Basics {
        let [src, dst, src_port, dst_port, protocol, bytes, bytes_rev, packets, packets_rev, first, last] = self.0;
        let uint = |at: Option<usize>| view.uint(at?);
        let port = |at| uint(at).and_then(|n| u16::try_from(n).ok());
        let both = |one, other| uint(one).map(|n| n.saturating_add(uint(other).unwrap_or(0)));
        Basics {
            src: src.and_then(|at| view.ip(at)),
            dst: dst.and_then(|at| view.ip(at)),
            src_port: port(src_port),
            dst_port: port(dst_port),
            protocol: uint(protocol).and_then(|n| u8::try_from(n).ok()),
            bytes: both(bytes, bytes_rev),
            packets: both(packets, packets_rev),
            first: first.and_then(|at| view.time(at)),
            last: last.and_then(|at| view.time(at)),
        }
    }
}

impl Filter {
    /// Reads a filter; the message of an error says what is wrong with which word.
    pub(super) fn parse(text: &str) -> Result<Filter, String> {
        // Operators need no blanks around them.
        let mut spaced = String::new();
        for c in text.chars() {
            let operator = |c| matches!(c, '<' | '>' | '=');
            if operator(c) != spaced.ends_with(operator) {
                spaced.push(' ');
            }
            spaced.push(c);
        }
        let mut words = spaced.split_whitespace();
        let mut all = Vec::new();
        loop {
            if all.len() == CONDITIONS_MAX {
                return Err(format!("more than {CONDITIONS_MAX} conditions"));
            }
            let mut word =
                words.next().ok_or("a condition is missing, write for example 'src 10.0.0.0/8' or 'bytes > 10k'")?;
            let mut wanted = true;
            while word == "not" {
                wanted = !wanted;
                word = words.next().ok_or("a condition is missing after 'not'")?;
            }
            let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing after '{word}'"));
            let condition = match word {
                "src" | "dst" | "ip" => {
                    let (address, len) = network(next("an address")?)?;
                    Condition::Address(end(word), address, len)
                }
                "port" | "src_port" | "dst_port" => {
                    let (from, to) = ports(next("a port")?)?;
                    Condition::Port(end(word), from, to)
                }
                "proto" => Condition::Protocol(protocol(next("a protocol")?)?),
                "bytes" | "packets" => {
                    let than = than(next("one of < <= = >= >")?)?;
                    let count = if word == "bytes" { Count::Bytes } else { Count::Packets };
                    Condition::Count(count, than, number(next("a number")?)?)
                }
                other => {
                    return Err(format!(
                        "there is no condition '{other}'; known: src, dst, ip, port, src_port, dst_port, proto, bytes, packets"
                    ));
                }
            };
            all.push((wanted, condition));
            match words.next() {
                None => return Ok(Filter(all)),
                Some("and") => {}
                Some("or") => {
                    return Err("'or' is not known: give conditions that must all hold, joined by 'and'".into());
                }
                Some(other) => return Err(format!("'{other}' stands where 'and' is expected")),
            }
        }
    }

    /// Joins the conditions of both.
    pub(super) fn and(&mut self, other: Filter) {
        self.0.extend(other.0);
    }

    /// The first field that is asked for and that records do not have.
    pub(super) fn missing(&self, places: &Places) -> Option<&'static str> {
        let needs = self.0.iter().flat_map(|(_, condition)| match condition {
            Condition::Address(end, ..) => end.of([0, 1]),
            Condition::Port(end, ..) => end.of([2, 3]),
            Condition::Protocol(_) => vec![4],
            Condition::Count(Count::Bytes, ..) => vec![5],
            Condition::Count(Count::Packets, ..) => vec![7],
        });
        needs.into_iter().find(|at| places.0[*at].is_none()).map(|at| FIELDS[at])
    }

    pub(super) fn holds(&self, flow: &Basics) -> bool {
        self.0.iter().all(|(wanted, condition)| condition.holds(flow) == *wanted)
    }
}

impl End {
    fn of<T: Copy>(self, [src, dst]: [T; 2]) -> Vec<T> {
        match self {
            End::Src => vec![src],
            End::Dst => vec![dst],
            End::Either => vec![src, dst],
        }
    }

    fn any<T>(self, src: Option<T>, dst: Option<T>, is: impl Fn(T) -> bool) -> bool {
        let (src, dst) = (src.is_some_and(&is), dst.is_some_and(&is));
        self == End::Src && src || self == End::Dst && dst || self == End::Either && (src || dst)
    }
}

impl Condition {
    fn holds(&self, flow: &Basics) -> bool {
        match *self {
            Condition::Address(end, net, len) => end.any(flow.src, flow.dst, |ip| within(ip, net, len)),
            Condition::Port(end, from, to) => end.any(flow.src_port, flow.dst_port, |port| (from..=to).contains(&port)),
            Condition::Protocol(protocol) => flow.protocol == Some(protocol),
            Condition::Count(what, than, bound) => {
                let count = if what == Count::Bytes { flow.bytes } else { flow.packets };
                count.is_some_and(|n| match than {
                    Than::Less => n < bound,
                    Than::AtMost => n <= bound,
                    Than::Equal => n == bound,
                    Than::AtLeast => n >= bound,
                    Than::More => n > bound,
                })
            }
        }
    }
}

fn end(word: &str) -> End {
    match word {
        "src" | "src_port" => End::Src,
        "dst" | "dst_port" => End::Dst,
        _ => End::Either,
    }
}

fn within(ip: IpAddr, net: IpAddr, len: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            (ip.to_bits() ^ net.to_bits()).checked_shr(32 - u32::from(len)).is_none_or(|rest| rest == 0)
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => {
            (ip.to_bits() ^ net.to_bits()).checked_shr(128 - u32::from(len)).is_none_or(|rest| rest == 0)
        }
        _ => false,
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
    let address: IpAddr = address.parse().map_err(|_| format!("'{address}' is no IPv4 or IPv6 address"))?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => max,
        Some(len) => {
            len.parse().ok().filter(|n| *n <= max).ok_or(format!("'/{len}' is no prefix length, use 0 to {max}"))?
        }
    };
    Ok((address, len))
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let port =
        |word: &str| word.parse().map_err(|_| format!("'{word}' is no port, use 0 to 65535 or a range such as 1-1023"));
    let (from, to) = (port(from)?, port(to)?);
    if from <= to {
        Ok((from, to))
    } else {
        Err(format!("the range of ports {text} is empty, give the lower one first"))
    }
}

fn protocol(text: &str) -> Result<u8, String> {
    let named = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    let names = PROTOCOLS.map(|(name, _)| name).join(", ");
    named.or_else(|| text.parse().ok()).ok_or(format!("'{text}' is no protocol, use {names} or a number up to 255"))
}

fn than(text: &str) -> Result<Than, String> {
    Ok(match text {
        "<" => Than::Less,
        "<=" => Than::AtMost,
        "=" | "==" => Than::Equal,
        ">=" => Than::AtLeast,
        ">" => Than::More,
        other => return Err(format!("'{other}' is no comparison, use < <= = >= >")),
    })
}

fn number(text: &str) -> Result<u64, String> {
    let unit =
        [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)].into_iter().find(|(letter, _)| text.ends_with(*letter));
    let (digits, factor) = unit.map_or((text, 1), |(_, factor)| (&text[..text.len() - 1], factor));
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    number.ok_or(format!("'{text}' is no number, use digits with k, M or G behind them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Basics {
        Basics {
            src: "10.1.2.3".parse().ok(),
            dst: "2001:db8::1".parse().ok(),
            src_port: Some(40_000),
            dst_port: Some(443),
            protocol: Some(6),
            bytes: Some(10_000),
            packets: Some(20),
            first: None,
            last: None,
        }
    }

    #[test]
    fn conditions_hold_as_they_are_written() {
        let yes = [
            "src 10.0.0.0/8",
            "src 0.0.0.0/0",
            "src 10.1.2.3",
            "ip 2001:db8::/32",
            "ip ::/0",
            "dst 2001:db8::1",
            "port 443",
            "dst_port 1-1023",
            "proto tcp",
            "proto 6",
            "bytes >= 10k",
            "bytes>9999 and packets<=20",
            "not src 10.2.0.0/16",
            "not not proto tcp",
            "packets = 20 and not port 80",
            "packets==20",
        ];
        for text in yes {
            assert!(Filter::parse(text).unwrap().holds(&flow()), "{text}");
        }
        for text in
            ["src 11.0.0.0/8", "src 2001:db8::1", "port 80", "src_port 443", "proto udp", "bytes > 10k", "packets < 20"]
        {
            assert!(!Filter::parse(text).unwrap().holds(&flow()), "{text}");
            assert!(Filter::parse(&format!("not {text}")).unwrap().holds(&flow()), "not {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = [
            ("", "a condition is missing"),
            ("host 1.2.3.4", "no condition 'host'"),
            ("src", "an address is missing"),
            ("src 10.0.0", "'10.0.0' is no"),
            ("src 10.0.0.0/33", "'/33'"),
            ("port 70000", "'70000' is no port"),
            ("port 9-1", "empty"),
            ("proto foo", "'foo' is no protocol"),
            ("bytes 10", "'10' is no comparison"),
            ("bytes > 1x", "'1x' is no number"),
            ("bytes > 99999999999G", "no number"),
            ("port 1 or port 2", "'or' is not known"),
            ("port 1 port 2", "where 'and' is expected"),
            ("port 1 and", "a condition is missing"),
            ("not", "after 'not'"),
        ];
        for (text, part) in wrong {
            let said = Filter::parse(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn fields_that_records_do_not_have_are_named() {
        let places = Places::of(&Template::parse("ipaddr SRC_IP,uint64 BYTES").unwrap());
        let missing = |text| Filter::parse(text).unwrap().missing(&places);
        assert_eq!(
            (missing("src ::1 and bytes > 1"), missing("ip ::1"), missing("port 1")),
            (None, Some("DST_IP"), Some("SRC_PORT"))
        );
    }
}
