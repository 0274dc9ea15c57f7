//! Filter expressions as nfdump has them, over what a [`Flow`] tells. Source: nfdump(1) of 1.7.1, section FILTER.
//!
//! Primitives joined by `and`, `or`, `not` (also `&&`, `||`, `!`; `not` binds tightest, `and` tighter than `or`) and parentheses:
//!
//! | primitive | meaning |
//! |---|---|
//! | `any`, `count [OP] N` | all; by the record's number, from 1 on |
//! | `inet` (`ipv4`), `inet6` (`ipv6`) | those of a family |
//! | `[tun] proto P` | `tcp`, `udp`, `icmp`, `icmp6`, other common names, or a number; of the tunnel |
//! | `[END] ip A`, `[END] ip in [A ...]` (`host`) | an address; elements of lists may be networks |
//! | `[END] net A/LENGTH`, `net A MASK` | a network |
//! | `[END] tunip A`, `[END] xip A`, `[END] xnet A/LENGTH` (`nip`) | addresses of a tunnel, after translation |
//! | `next ip A`, `bgpnext ip A`, `router ip A` | the next hop, BGP's, the exporter |
//! | `[END] port [OP] N`, `[END] port in [N ...]`, `[END] port in pblock` | a port |
//! | `[END] as [OP] N`, `prev as`, `next as`, `as in [N ...]` | an autonomous system |
//! | `[END] vlan N`, `[END] mask N`, `[END] tos N`, `[END] xport N` (`nport`) | as named; `tos` alone is that of the source |
//! | `[in\|out] [src\|dst] mac M` | a MAC address; without more words any of the four |
//! | `mpls labelN [OP] N`, `mpls expN [OP] N`, `mpls eos [OP] N`, `mpls any N` | a label, its experimental bits, the one at the bottom |
//! | `flags F` | all of these TCP flags are set: letters of `UAPRSF`, `X` for all; under `not`, none of them is |
//! | `flags [OP] N` | all TCP flags as a number |
//! | `icmp-type [OP] N`, `icmp-code [OP] N` | ICMP of either family |
//! | `[in\|out] if N`, `flowdir ingress\|egress`, `fwdstat N` | interfaces, direction, what the router did (a number or its short name) |
//! | `engine-id N`, `engine-type N`, `sysid N` | the exporter |
//! | `observation domain id N`, `observation point id N` | where it was seen |
//! | `[in\|out] packets`, `[in\|out] bytes`, `flows` `[OP] N` | counts, `out` is the other direction |
//! | `duration` (ms), `pps`, `bps`, `bpp` `[OP] N` | computed |
//! | `client latency`, `server latency`, `app latency` `[OP] N` | microseconds |
//! | `asa event E`, `asa event denied WHY`, `asa xevent [OP] N`, `ingress acl\|ace\|xace [OP] N`, `egress acl [OP] N` | firewalls |
//! | `nat event E`, `ingress vrf N`, `egress vrf N`, `pblock start\|end\|step\|size [OP] N` | address translation |
//!
//! `N` may be hexadecimal (`0x1f`) or end in k, m, g or t (times 1000 each).
//! `OP` is `=`, `==`, `eq`, `<`, `lt`, `>`, `gt`, `<=`, `le`, `>=`, `ge`; none is equality. `END` is `src` or `dst`; without it, or with
//! `or` between the two, either end will do; `src and dst` wants both. `#` starts a comment to the end of its line.
//!
//! Not there, and refused: names of hosts, `@include`, `ident`, `geo`, `payload`.
mod lexer;
mod measure;
mod parser;
mod primitives;

use super::Flow;
use std::net::IpAddr;

pub use measure::{Measure, Place};
pub use parser::{FilterError, parse};

/// Nodes of an expression, at the most; nested no deeper than [`DEPTH_MAX`].
const NODES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 100;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Any,
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    /// IPv6; otherwise IPv4.
    Family {
        v6: bool,
    },
    Protocol(u8),
    /// An address in one of the networks.
    Address(Place, Ends, Vec<Network>),
    /// All of these flags; under an odd number of `not` any of them, so that `not flags AF` has neither.
    Flags(u8),
    /// A number that compares so with one of these, which are in order.
    Number(Measure, Order, Vec<u64>),
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Source,
    Destination,
    Either,
    Both,
}

/// How numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    Less,
    Greater,
    AtMost,
    AtLeast,
}

/// Addresses of one family with a common start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    v6: bool,
    /// In the upper bits, masked.
    bits: u128,
    mask: u128,
}

impl Filter {
    /// `number` is that of the record, from 1 on.
    pub fn matches(&self, flow: &Flow, number: u64) -> bool {
        self.holds(flow, number, false)
    }

    /// `is_negated`: an odd number of `not` stands around it.
    fn holds(&self, flow: &Flow, number: u64, is_negated: bool) -> bool {
        match self {
            Filter::Any => true,
            Filter::Not(inner) => !inner.holds(flow, number, !is_negated),
            Filter::And(all) => all.iter().all(|one| one.holds(flow, number, is_negated)),
            Filter::Or(any) => any.iter().any(|one| one.holds(flow, number, is_negated)),
            Filter::Family { v6 } => flow.source.is_ipv6() == *v6,
            Filter::Protocol(number) => flow.protocol == *number,
            Filter::Address(place, ends, networks) => {
                let [source, destination] = place.of(flow).map(|ip| networks.iter().any(|network| network.has(ip)));
                ends.hold(source, destination)
            }
            Filter::Flags(flags) if is_negated => flow.tcp_flags & flags != 0,
            Filter::Flags(flags) => flow.tcp_flags & flags == *flags,
            Filter::Number(measure, Order::Equal, numbers) => numbers.binary_search(&measure.of(flow, number)).is_ok(),
            Filter::Number(measure, order, numbers) => {
                let value = measure.of(flow, number);
                numbers.iter().any(|number| order.holds(value, *number))
            }
        }
    }

    /// The number of one end, of either or of both.
    fn of_ends(ends: Ends, pair: [Measure; 2], order: Order, numbers: Vec<u64>) -> Filter {
        let [source, destination] = pair;
        match ends {
            Ends::Source => Filter::Number(source, order, numbers),
            Ends::Destination => Filter::Number(destination, order, numbers),
            Ends::Either | Ends::Both => {
                let both =
                    vec![Filter::Number(source, order, numbers.clone()), Filter::Number(destination, order, numbers)];
                if ends == Ends::Both { Filter::And(both) } else { Filter::Or(both) }
            }
        }
    }
}

impl Ends {
    fn hold(self, source: bool, destination: bool) -> bool {
        match self {
            Ends::Source => source,
            Ends::Destination => destination,
            Ends::Either => source || destination,
            Ends::Both => source && destination,
        }
    }
}

impl Order {
    fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Order::Equal => a == b,
            Order::Less => a < b,
            Order::Greater => a > b,
            Order::AtMost => a <= b,
            Order::AtLeast => a >= b,
        }
    }
}

impl Network {
    /// `None` if the family has no prefix of this length.
    fn new(ip: IpAddr, length: Option<u8>) -> Option<Network> {
        let (v6, bits, most) = match ip {
            IpAddr::V4(v4) => (false, u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (true, v6.to_bits(), 128),
        };
        let length = length.filter(|length| *length <= most).or(length.is_none().then_some(most))?;
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Some(Network { v6, bits: bits & mask, mask })
    }

    fn has(&self, ip: IpAddr) -> bool {
        Network::new(ip, None).is_some_and(|other| other.v6 == self.v6 && other.bits & self.mask == self.bits)
    }
}
