//! Filter expressions as nfdump has them, over what a [`Flow`] tells. Source: nfdump(1) of 1.7.1, section FILTER.
//!
//! Primitives joined by `and`, `or`, `not` (also `&&`, `||`, `!`; `not` binds tightest, `and` tighter than `or`) and parentheses:
//!
//! | primitive | meaning |
//! |---|---|
//! | `any`, `inet` (`ipv4`), `inet6` (`ipv6`) | all, or those of a family |
//! | `proto P` | `tcp`, `udp`, `icmp`, `icmp6`, other common names, or a number |
//! | `[src\|dst] ip A`, `[src\|dst] ip in [A ...]` (`host`) | an address; elements of lists may be networks |
//! | `[src\|dst] net A/LENGTH`, `net A MASK` | a network |
//! | `[src\|dst] port [OP] N`, `port in [N ...]` | a port |
//! | `flags F` | all of these TCP flags are set: letters of `UAPRSF`, `X` for all |
//! | `flags [OP] N` | all TCP flags as a number |
//! | `icmp-type [OP] N`, `icmp-code [OP] N` | ICMP of either family |
//! | `in if N`, `engine-id N`, `tos N` | equal numbers |
//! | `packets`, `bytes`, `duration` (ms), `pps`, `bps`, `bpp` `[OP] N` | counts; `N` may end in k, m, g or t (times 1000 each) |
//!
//! `OP` is `=`, `==`, `eq`, `<`, `lt`, `>`, `gt`, `<=`, `le`, `>=`, `ge`; none is equality. Without `src` or `dst`, with or without
//! `or` between the two, either end will do; `src and dst` wants both. `#` starts a comment to the end of its line.
mod lexer;
mod parser;

use super::Flow;
use std::net::IpAddr;

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
    Address(Ends, Vec<Network>),
    /// A port that compares so with one of the numbers.
    Port(Ends, Order, Vec<u64>),
    /// All of these flags.
    Flags(u8),
    Number(Measure, Order, u64),
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

/// A number of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Packets,
    Bytes,
    /// Milliseconds.
    Duration,
    PacketsPerSecond,
    BitsPerSecond,
    BytesPerPacket,
    Tos,
    TcpFlags,
    IcmpType,
    IcmpCode,
    InputInterface,
    Engine,
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
    pub fn matches(&self, flow: &Flow) -> bool {
        match self {
            Filter::Any => true,
            Filter::Not(inner) => !inner.matches(flow),
            Filter::And(all) => all.iter().all(|one| one.matches(flow)),
            Filter::Or(any) => any.iter().any(|one| one.matches(flow)),
            Filter::Family { v6 } => flow.source.is_ipv6() == *v6,
            Filter::Protocol(number) => flow.protocol == *number,
            Filter::Address(ends, networks) => {
                let is_one = |ip| networks.iter().any(|network| network.has(ip));
                ends.hold(is_one(flow.source), is_one(flow.destination))
            }
            Filter::Port(ends, order, numbers) => {
                let [source, destination] =
                    flow.ports.map(|port| numbers.iter().any(|number| order.holds(port.into(), *number)));
                ends.hold(source, destination)
            }
            Filter::Flags(flags) => flow.tcp_flags & flags == *flags,
            Filter::Number(measure, order, number) => order.holds(measure.of(flow), *number),
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

impl Measure {
    /// Rates of a flow without duration are 0, as in nfdump.
    fn of(self, flow: &Flow) -> u64 {
        let duration = flow.last.saturating_sub(flow.first);
        let a_second = |count: u64, times: u128| {
            let rate = (u128::from(count) * times * 1_000).checked_div(duration.into()).unwrap_or(0);
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        match self {
            Measure::Packets => flow.packets,
            Measure::Bytes => flow.bytes,
            Measure::Duration => duration,
            Measure::PacketsPerSecond => a_second(flow.packets, 1),
            Measure::BitsPerSecond => a_second(flow.bytes, 8),
            Measure::BytesPerPacket => flow.bytes.checked_div(flow.packets).unwrap_or(0),
            Measure::Tos => flow.tos.into(),
            Measure::TcpFlags => flow.tcp_flags.into(),
            Measure::IcmpType => (flow.ports[1] >> 8).into(),
            Measure::IcmpCode => (flow.ports[1] & 0xff).into(),
            Measure::InputInterface => flow.input.into(),
            Measure::Engine => flow.engine.into(),
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
