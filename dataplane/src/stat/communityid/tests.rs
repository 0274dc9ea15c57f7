use super::*;
use crate::flow::FlowKey;
use crate::packet::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

type Ends = ([u8; 4], [u8; 4], u16, u16);

fn id(protocol: u8, (src, dst, sport, dport): Ends, seed: u16, payload: &[u8]) -> String {
    let (key, reversed) = FlowKey::v4(src, dst, sport, dport, protocol, 0, false);
    told(Flow { reversed, ..Flow::of(key) }, seed, payload)
}

fn id6(protocol: u8, (src, dst): (&str, &str), (sport, dport): (u16, u16), payload: &[u8]) -> String {
    let ip = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
    let (key, reversed) = FlowKey::v6(ip(src), ip(dst), sport, dport, protocol, 0, false);
    told(Flow { reversed, ..Flow::of(key) }, 0, payload)
}

fn told(flow: Flow, seed: u16, payload: &[u8]) -> String {
    String::from_utf8(Tuple::of(&flow, Direction::Forward, payload).id(seed).to_vec()).expect("Base64")
}

/// Values that the tests of pycommunityid, the reference implementation, have.
#[test]
fn published_ids() {
    let http = ([128, 232, 110, 120], [66, 35, 250, 204], 34855, 80);
    assert_eq!(id(TCP, http, 0, b""), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    assert_eq!(id(TCP, http, 1, b""), "1:3V71V58M3Ksw/yuFALMcW0LAHvc=");
    let dns = ([192, 168, 1, 52], [8, 8, 8, 8], 54585, 53);
    assert_eq!(id(UDP, dns, 0, b""), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    let sctp = ([192, 168, 170, 8], [192, 168, 170, 56], 7, 80);
    assert_eq!(id(SCTP, sctp, 0, b""), "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=");
}

/// Whoever is seen first, the id is one.
#[test]
fn both_directions_have_one_id() {
    let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    assert_eq!(id(TCP, (a, b, 9, 8), 7, b""), id(TCP, (b, a, 8, 9), 7, b""));
    assert_ne!(id(TCP, (a, b, 9, 8), 7, b""), id(TCP, (a, b, 8, 9), 7, b""));
    assert_eq!(id(ICMP, (a, b, 0, 0), 0, &[8, 0]), id(ICMP, (b, a, 0, 0), 0, &[0, 0]));
    // An error goes one way.
    assert_ne!(id(ICMP, (a, b, 0, 0), 0, &[3, 3]), id(ICMP, (b, a, 0, 0), 0, &[3, 3]));
    let ends = ("fe80::1", "fe80::2");
    assert_eq!(id6(ICMPV6, ends, (0, 0), &[135, 0]), id6(ICMPV6, (ends.1, ends.0), (0, 0), &[136, 0]));
    // GRE has none, so none count.
    assert_eq!(id(protocol::GRE, (a, b, 1, 2), 0, b""), id(protocol::GRE, (b, a, 3, 4), 0, b""));
}

/// A flow that is cut goes on with a packet of the other direction.
#[test]
fn a_message_counts_from_its_own_sender() {
    let (key, reversed) = FlowKey::v4([10, 0, 0, 1], [10, 0, 0, 2], 0, 0, ICMP, 0, false);
    let flow = Flow { reversed, ..Flow::of(key) };
    let of = |direction, kind| Tuple::of(&flow, direction, &[kind, 3]).id(0);
    assert_eq!(of(Direction::Forward, 8), of(Direction::Reverse, 0));
    assert_ne!(of(Direction::Forward, 3), of(Direction::Reverse, 3));
}

#[test]
fn the_seed_is_an_option() {
    let (packet, bytes) = frame(Direction::Forward, 1, 2, UDP, &[], b"");
    let with = |options: &[&str]| {
        let mut h = Harness::<CommunityId>::with_options(options, Face::Native);
        assert_eq!(h.frame(Direction::Forward, packet, &bytes), Step::Done);
        let mut text = String::new();
        CommunityId::text(&h.records()[0], &mut text);
        text
    };
    assert_eq!(with(&[]), with(&["seed=0"]));
    assert_ne!(with(&[]), with(&["s=0x100"]));
    let plain = id(UDP, ([10, 0, 0, 1], [10, 0, 0, 2], 1, 2), 256, b"");
    assert_eq!(with(&["seed=256"]), format!("community_id=\"{plain}\""));
    for wrong in ["seed", "seed=", "seed=65536", "seed=x", "salt=1"] {
        assert!(CommunityId::new(&[wrong], Face::Native).is_err(), "{wrong}");
    }
}

proptest! {
    /// Any two ends: one id for both directions, of the form that it has.
    #[test]
    fn any_ends(a: u32, b: u32, ports: (u16, u16), seed: u16, protocol: u8, kind: u8) {
        let (a, b) = (Ipv4Addr::from(a).octets(), Ipv4Addr::from(b).octets());
        let has_types = matches!(protocol, ICMP | ICMPV6);
        let ports = if has_types { (0, 0) } else { ports };
        let there = id(protocol, (a, b, ports.0, ports.1), seed, &[kind, 1]);
        prop_assert!(there.len() == ID_LEN && there.starts_with("1:") && there.ends_with('='));
        if !has_types {
            prop_assert_eq!(there, id(protocol, (b, a, ports.1, ports.0), seed, &[kind, 1]));
        }
    }
}
