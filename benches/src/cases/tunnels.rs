//! Tunnels: each kind around IPv4 and IPv6, some in each other, and what only looks like one.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::dialog::{Datagrams, Host, Route, Side, Tunnel, Turn, Wrap};
use crate::frame::{Frame, Ipv4, Ipv6, Mac};
use crate::{MILLISECOND, SECOND};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const CASES: &[Case] = &[
    clean(
        "tunnels",
        "an exchange in each tunnel, IPv4 and IPv6: 21 inside; outside 13 in UDP and L2TP, and GRE's two on two pairs of ends",
        (42, 23_636),
        // ERSPAN is lost to ipfixprobe, and GRE on IPv6 is one flow.
        Flows { biflows: 17, uniflows: 26, ipfixprobe: 14 },
        || {
            let mut tape = Tape::new();
            for (number, route) in each().into_iter().enumerate() {
                tape.play(number as u64 * SECOND / 10, exchange(route));
            }
            tape.plain()
        },
    ),
    clean(
        "tunnels_nested",
        "GTP-U in VXLAN, GRE in GENEVE, VXLAN on IPv6 in VXLAN on IPv4, IP in IP in GTP-U: four exchanges inside",
        (8, 4_820),
        Flows::new(7, 8),
        || {
            let mut tape = Tape::new();
            for (number, route) in nested().into_iter().enumerate() {
                tape.play(number as u64 * SECOND / 10, exchange(route));
            }
            tape.plain()
        },
    ),
    clean(
        "tunnels_not",
        "datagrams on the ports of tunnels that are none, and tunnels without IP inside: each is a flow of UDP",
        (14, 1_155),
        Flows::new(14, 14),
        not_tunnels,
    ),
    Case {
        clean: false,
        ..clean(
            "tunnels_broken",
            "sound outsides with a broken inside: longer than the tunnel, cut short, nested for ever",
            (4, 1_118),
            Flows::new(4, 4),
            broken,
        )
    },
];

const ENDS: Wrap =
    Wrap::Ip { client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), server: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)) };
const ENDS6: Wrap = Wrap::Ip {
    client: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 1)),
    server: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 2)),
};
const INSIDE: (Mac, Mac) = ([2, 0, 0, 9, 0, 1], [2, 0, 0, 9, 0, 2]);
const FRAME: Wrap = Wrap::Tunnel(Tunnel::Ethernet(INSIDE.0, INSIDE.1));
/// An option of four bytes and one of eight.
const OPTIONS: &[u8] = &[1, 2, 3, 0, 1, 2, 4, 1, 0xca, 0xfe, 0xba, 0xbe];

const fn udp(client: u16, server: u16, well_known: u16) -> Wrap {
    Wrap::Tunnel(Tunnel::ports(client, server, well_known))
}

const fn gtp(extended: bool) -> Wrap {
    Wrap::Tunnel(Tunnel::Gtp { teids: [0x1000_0001, 0x2000_0002], sequence: Some(7), extended })
}

const fn vxlan(vni: u32) -> Wrap {
    Wrap::Tunnel(Tunnel::Vxlan(vni))
}

/// All kinds. The inner client's port counts them, so that each has its own flow.
fn each() -> Vec<Route> {
    let gpe = |next| Wrap::Tunnel(Tunnel::VxlanGpe(4790, next));
    let geneve = Wrap::Tunnel(Tunnel::Geneve { vni: 0x00_6081, options: OPTIONS });
    let l2tp = Wrap::Tunnel(Tunnel::L2tp([(9, 7), (6, 8)]));
    let l2tp3 = |in_udp| Wrap::Tunnel(Tunnel::L2tp3 { sessions: [0xaaaa_0001, 0xbbbb_0002], in_udp, between: &[0; 4] });
    let erspan = |kind| Wrap::Tunnel(Tunnel::Erspan { kind, session: 99 });
    let gre = Wrap::Gre { key: Some(77), checksum: false };
    let mut port = 41_000;
    let mut of = |is_6: bool, wraps: &[Wrap]| {
        port += 1;
        let plain = if is_6 { route6(port, 7000) } else { route(port, 7000) };
        wraps.iter().fold(plain, |route, wrap| route.wrap(*wrap))
    };
    let mut all = Vec::new();
    for is_6 in [false, true] {
        all.push(of(is_6, &[ENDS, udp(50_001, 50_002, 4789), vxlan(0x12_3456), FRAME]));
        all.push(of(is_6, &[ENDS, udp(50_003, 50_004, 4790), gpe(if is_6 { 2 } else { 1 })]));
        all.push(of(is_6, &[ENDS, udp(50_005, 50_006, 6081), geneve, FRAME]));
        all.push(of(is_6, &[ENDS, udp(2152, 2152, 2152), gtp(is_6)]));
        all.push(of(is_6, &[ENDS, udp(1701, 1701, 1701), l2tp]));
        all.push(of(is_6, &[ENDS6, udp(1701, 1701, 1701), l2tp3(true), FRAME]));
        all.push(of(is_6, &[ENDS, l2tp3(false), FRAME]));
        all.push(of(is_6, &[ENDS6, udp(50_001, 50_002, 4789), vxlan(0x65_4321), FRAME]));
        all.push(of(is_6, &[ENDS, erspan(if is_6 { 3 } else { 2 }), FRAME]));
        all.push(of(is_6, &[ENDS6, gre]));
    }
    let teredo = |last| Ipv6Addr::new(0x2001, 0, 0xcb00, 0x7102, 0, 0x3c4d, 0x34ff, last);
    let mut tunnelled = Route::new(Host::new(teredo(0x8efe), 41_000), Host::new(teredo(0x8efd), 7000));
    tunnelled = tunnelled.wrap(ENDS).wrap(Wrap::Tunnel(Tunnel::Udp([(50_007, 3544), (3544, 50_007)])));
    all.push(tunnelled);
    all
}

fn nested() -> Vec<Route> {
    let geneve = Wrap::Tunnel(Tunnel::Geneve { vni: 5, options: &[] });
    let within = |port, wraps: &[Wrap]| wraps.iter().fold(route(port, 7000), |route, wrap| route.wrap(*wrap));
    vec![
        within(41_001, &[ENDS, udp(50_001, 50_002, 4789), vxlan(1), FRAME, ENDS6, udp(2152, 2152, 2152), gtp(true)]),
        within(41_002, &[ENDS, udp(50_003, 50_004, 6081), geneve, ENDS6, Wrap::Gre { key: Some(77), checksum: true }]),
        within(
            41_003,
            &[ENDS, udp(50_005, 50_006, 4789), vxlan(1), FRAME, ENDS6, udp(50_007, 50_008, 8472), vxlan(2), FRAME],
        ),
        within(41_004, &[ENDS, udp(2152, 2152, 2152), gtp(false), ENDS6]),
    ]
}

fn exchange(route: Route) -> Datagrams {
    Datagrams::udp(route, vec![Turn::filler(Side::Client, 120), Turn::filler(Side::Server, 800)])
}

/// A datagram between the ends; each has a source port of its own, so that it is a flow of its own.
fn datagram(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4::new(Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2));
    let mut frame = Frame::new();
    frame.ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(&header).udp(src_port, dst_port).payload(payload);
    frame.finish().to_vec()
}

fn played(datagrams: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut tape = Tape::new();
    for (number, (port, payload)) in datagrams.iter().enumerate() {
        tape.packet(number as u64 * MILLISECOND, datagram(51_000 + number as u16, *port, payload));
    }
    tape.plain()
}

/// What the others have in front of an inner IPv4 packet, as bytes.
fn inner(make: impl FnOnce(&mut Frame)) -> Vec<u8> {
    let mut frame = Frame::new();
    make(&mut frame);
    frame.finish().to_vec()
}

fn not_tunnels() -> Vec<u8> {
    let text = b"a question that is no tunnel at all, in words".to_vec();
    let arp = |frame: &mut Frame| {
        frame.ethernet(INSIDE.0, INSIDE.1).ethertype(0x0806).payload(&[0, 1, 8, 0, 6, 4, 0, 1]).payload(&[0; 20]);
    };
    let mut all: Vec<(u16, Vec<u8>)> = [1701, 2152, 3544, 4789, 4790, 8472].map(|port| (port, text.clone())).to_vec();
    let mut control = inner(|frame| arp(frame.geneve(3, &[])));
    control[1] = 0x80;
    all.push((6081, control));
    all.push((4789, inner(|frame| arp(frame.vxlan(3)))));
    all.push((6081, inner(|frame| arp(frame.geneve(3, OPTIONS)))));
    // An echo request, a control message, LCP, a router's question without Teredo's prefix, and VXLAN without a VNI.
    all.push((2152, vec![0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]));
    all.push((1701, vec![0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]));
    all.push((1701, vec![0, 2, 0, 9, 0, 7, 0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4]));
    all.push((
        3544,
        inner(|frame| {
            frame.ipv6(&Ipv6::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST));
        }),
    ));
    all.push((4789, [&[0, 0, 0, 0, 0, 0, 3, 0][..], &text].concat()));
    played(&all)
}

fn broken() -> Vec<u8> {
    let sound = || {
        inner(|frame| {
            let header = Ipv4::new(Ipv4Addr::new(192, 0, 2, 10), Ipv4Addr::new(198, 51, 100, 20));
            frame.vxlan(3).ethernet(INSIDE.0, INSIDE.1).ipv4(&header).udp(41_001, 7000).payload(b"inside");
        })
    };
    let mut longer = sound();
    // The inner packet's length.
    longer[8 + 14 + 2] = 9;
    let cut = sound()[..30].to_vec();
    // The transport header of the inner packet does not fit in.
    let mut short = sound();
    short[8 + 14 + 3] = 24;
    // Forty tunnels in each other, without an end.
    let mut deep = Vec::new();
    for _ in 0..40 {
        deep = [
            &[0x45, 0][..],
            &(20 + deep.len() as u16).to_be_bytes(),
            &[0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            &deep,
        ]
        .concat();
    }
    let deep = [&[0x30, 255][..], &(deep.len() as u16).to_be_bytes(), &[0, 0, 0, 9], &deep].concat();
    played(&[(4789, longer), (4789, cut), (4789, short), (2152, deep)])
}
