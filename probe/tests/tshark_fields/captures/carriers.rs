//! All protocols over what carries them: VLAN, IPv6, tunnels; and mixes of them by seed.
use super::Made;
use super::http::{ask, reply};
use super::tls::client_hello;
use crate::wire::{Talk, pcap, route, route6};
use benches::dialog::Side::{Client, Server};
use benches::dialog::dns::{Message, rtype};
use benches::dialog::{Route, Wrap};
use benches::{Profile, write_capture};
use std::net::Ipv4Addr;

pub(crate) const CASES: &[Made] = &[
    ("carrier_ipv6", || all(route6)),
    ("carrier_vlan", || all(|from, to| route(from, to).wrap(Wrap::Vlan { tpid: 0x8100, id: 7 }))),
    ("carrier_qinq", || {
        all(|from, to| {
            route6(from, to).wrap(Wrap::Vlan { tpid: 0x88a8, id: 7 }).wrap(Wrap::Vlan { tpid: 0x8100, id: 8 })
        })
    }),
    ("carrier_mpls", || all(|from, to| route(from, to).wrap(Wrap::Mpls(1000)).wrap(Wrap::Mpls(1001)))),
    ("carrier_pppoe", || all(|from, to| route(from, to).wrap(Wrap::Pppoe(3)))),
    ("carrier_ipip", || all(|from, to| route(from, to).wrap(outer()))),
    ("carrier_6in4", || all(|from, to| route6(from, to).wrap(outer()))),
    ("carrier_gre", || all(|from, to| route(from, to).wrap(outer()).wrap(Wrap::Gre { key: Some(9), checksum: true }))),
    ("carrier_gre_ipv6", || {
        all(|from, to| route6(from, to).wrap(outer()).wrap(Wrap::Gre { key: None, checksum: false }))
    }),
    ("carrier_extensions", || all(|from, to| Route { ipv6_extensions: true, ..route6(from, to) })),
    ("carrier_options", || all(|from, to| Route { ip_options: &[7, 3, 4, 0], ..route(from, to) })),
    ("mix_1", || mix(1)),
    ("mix_2", || mix(2)),
    ("mix_3", || mix(3)),
    ("mix_4", || mix(4)),
    ("mix_5", || mix(5)),
    ("mix_6", || mix(6)),
];

fn outer() -> Wrap {
    Wrap::Ip { client: Ipv4Addr::new(203, 0, 113, 1).into(), server: Ipv4Addr::new(203, 0, 113, 2).into() }
}

/// HTTP, TLS and DNS between these two.
fn all(route: impl Fn(u16, u16) -> Route) -> Vec<u8> {
    let mut http = Talk::tcp(route(40_001, 80));
    http.every(Client, 20, ask("/carried", "carried.example.org")).every(Server, 20, reply(200, "", 0));
    let mut tls = Talk::tcp(route(40_002, 443));
    tls.every(Client, 100, client_hello("carried.example.org"));
    let (mut dns, query) = (Talk::udp(route(40_003, 53)), Message::query(1, "carried.example.org", rtype::A));
    dns.datagram(Client, query.bytes()).datagram(Server, query.answer(3, &[]).bytes());
    pcap([http.end(), tls.end(), dns.packets()].concat())
}

/// A piece of a network's traffic.
fn mix(seed: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_capture(Profile::Realistic, 3000, 300, seed, &mut out).expect("a Vec takes every write");
    out
}
