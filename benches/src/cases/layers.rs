//! What stands around a transport header: tags, labels, tunnels, options, fragments; and transports that are not TCP or UDP.
use super::tape::{CLIENT, CLIENT6, SERVER, SERVER6, Tape, route, route6, talk};
use super::{Case, Flows, clean};
use crate::dialog::{Carrier, Datagrams, Route, Side, TcpSession, Turn, Wrap, icmp, sctp};
use crate::frame::{Frame, Ipv4, Ipv6, Tcp, flags};
use crate::{MILLISECOND, SECOND};

const OUTER: Wrap = Wrap::Ip {
    client: std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1)),
    server: std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2)),
};

pub(super) const CASES: &[Case] = &[
    clean(
        "vlan",
        "the same addresses and ports untagged and in VLAN 10 and 20: three flows",
        (6, 3028),
        Flows::new(3, 6),
        || {
            let mut tape = Tape::new();
            tape.play(0, exchange(route(40001, 7000)));
            for id in [10, 20] {
                tape.play(
                    u64::from(id) * MILLISECOND,
                    exchange(route(40001, 7000).wrap(Wrap::Vlan { tpid: 0x8100, id })),
                );
            }
            tape.plain()
        },
    ),
    clean("qinq", "802.1ad outside, 802.1Q inside; the outer id counts", (4, 2040), Flows::new(2, 4), || {
        let stack = |outer, inner| {
            route(40001, 7000).wrap(Wrap::Vlan { tpid: 0x88a8, id: outer }).wrap(Wrap::Vlan { tpid: 0x8100, id: inner })
        };
        let mut tape = Tape::new();
        tape.play(0, exchange(stack(100, 10)));
        tape.play(SECOND, exchange(stack(200, 10)));
        tape.plain()
    }),
    clean("mpls", "one label over IPv4, three labels over IPv6", (4, 2080), Flows::new(2, 4), || {
        let mut tape = Tape::new();
        tape.play(0, exchange(route(40001, 7000).wrap(Wrap::Mpls(16001))));
        let labels =
            [16001, 300, 17].into_iter().fold(route6(40001, 7000), |route, label| route.wrap(Wrap::Mpls(label)));
        tape.play(SECOND, exchange(labels));
        tape.plain()
    }),
    clean("pppoe", "PPPoE sessions with IPv4 and IPv6 inside", (14, 6264), Flows::new(2, 4), || {
        let mut tape = Tape::new();
        let mut session = TcpSession::new(route(40001, 8001).wrap(Wrap::Pppoe(0x1234)), talk());
        session.segment = 1440;
        tape.play(0, session);
        tape.play(SECOND, exchange(route6(40002, 7000).wrap(Wrap::Pppoe(0x1234))));
        tape.plain()
    }),
    clean(
        "gre",
        "GRE plain, with key, with checksum and key; IPv4 and IPv6 inside one pair of tunnel ends",
        (6, 3220),
        Flows::new(3, 6),
        || {
            let mut tape = Tape::new();
            let through = |route: Route, key, checksum| exchange(route.wrap(OUTER).wrap(Wrap::Gre { key, checksum }));
            tape.play(0, through(route(40001, 7000), None, false));
            tape.play(SECOND, through(route6(40001, 7000), Some(77), false));
            tape.play(2 * SECOND, through(route(40002, 7000), Some(77), true));
            tape.plain()
        },
    ),
    clean("ipip", "two connections in one IP-in-IP tunnel", (14, 6392), tunnelled(2, 4), || {
        let mut tape = Tape::new();
        let mut session = TcpSession::new(route(40001, 8001).wrap(OUTER), talk());
        session.segment = 1400;
        tape.play(0, session);
        tape.play(SECOND, exchange(route(40002, 7000).wrap(OUTER)));
        tape.plain()
    }),
    clean("sixinfour", "two exchanges in one 6in4 tunnel", (4, 2168), tunnelled(2, 4), || {
        let mut tape = Tape::new();
        tape.play(0, exchange(route6(40001, 7000).wrap(OUTER)));
        tape.play(SECOND, exchange(route6(40002, 7000).wrap(OUTER)));
        tape.plain()
    }),
    clean(
        "ip_options",
        "IPv4 headers of 24 bytes (router alert) and 60 bytes (record route)",
        (4, 1190),
        Flows::new(2, 4),
        || {
            let mut record_route = [0; 40];
            record_route[..3].copy_from_slice(&[7, 39, 4]);
            let mut tape = Tape::new();
            tape.play(0, exchange(Route { ip_options: &[148, 4, 0, 0], ..route(40001, 7000) }));
            let mut long = Ipv4 { options: &record_route, ..Ipv4::new(CLIENT, SERVER) };
            tape.packet(SECOND, ethernet().ipv4(&long).udp(40002, 7000).payload(b"question").finish());
            (long.source, long.destination) = (SERVER, CLIENT);
            tape.packet(SECOND + 1, ethernet().ipv4(&long).udp(7000, 40002).payload(b"answer").finish());
            tape.plain()
        },
    ),
    clean(
        "ipv6_ext",
        "hop-by-hop, destination options, routing and authentication headers before TCP and UDP",
        (16, 7170),
        Flows::new(3, 5),
        || {
            let mut tape = Tape::new();
            let extended = |port, to| Route { ipv6_extensions: true, ..route6(port, to) };
            let mut session = TcpSession::new(extended(40001, 8001), talk());
            session.segment = 1300;
            tape.play(0, session);
            tape.play(SECOND, exchange(extended(40002, 7000)));
            let header = Ipv6::new(CLIENT6, SERVER6);
            let mut signed = ethernet();
            signed.ipv6(&header).authentication(0x100, 1).udp(40003, 7000).payload(b"signed").finish();
            tape.packet(2 * SECOND, signed.bytes());
            tape.plain()
        },
    ),
    clean(
        "fragments",
        "UDP datagrams of 4000 bytes in three fragments each, IPv4 and IPv6, in order",
        (6, 8304),
        Flows::new(2, 2),
        || {
            let mut tape = Tape::new();
            for (number, cuts) in [fragments4(40001), fragments6(40001)].into_iter().enumerate() {
                for (place, cut) in cuts.into_iter().enumerate() {
                    tape.packet(number as u64 * SECOND + place as u64 * MILLISECOND, cut);
                }
            }
            tape.plain()
        },
    ),
    clean(
        "fragments_reordered",
        "the last fragment comes first: one flow if it is held, a flow of ports 0 in ipfixprobe",
        (6, 8304),
        Flows { ipfixprobe: 4, ..Flows::new(2, 2) },
        || {
            let mut tape = Tape::new();
            for (number, cuts) in [fragments4(40001), fragments6(40001)].into_iter().enumerate() {
                for (place, cut) in cuts.into_iter().rev().enumerate() {
                    tape.packet(number as u64 * SECOND + place as u64 * MILLISECOND, cut);
                }
            }
            tape.plain()
        },
    ),
    clean(
        "icmp",
        "three echoes with replies; a port unreachable that quotes a datagram",
        (8, 707),
        Flows::new(3, 4),
        || {
            let mut tape = Tape::new();
            tape.play(0, Datagrams::new(route(0, 0), Carrier::Icmp, icmp::ping(false, 0x77, 3)));
            let offending =
                Frame::new().ipv4(&Ipv4::new(SERVER, CLIENT)).udp(40001, 9).payload(b"anyone?").finish().to_vec();
            tape.packet(4 * SECOND, ethernet().ethertype(0x0800).payload(&offending).bytes());
            // From a router, so that it is a flow of its own.
            let router = std::net::Ipv4Addr::new(203, 0, 113, 254);
            let body = icmp::port_unreachable(false, &offending);
            let mut answer = ethernet();
            answer.ipv4(&Ipv4::new(router, SERVER)).icmp(body[0], body[1]).payload(&body[2..]).finish();
            tape.packet(4 * SECOND + MILLISECOND, answer.bytes());
            tape.plain()
        },
    ),
    clean(
        "icmpv6",
        "neighbour discovery (hop limit 255), then two echoes with replies",
        (6, 644),
        Flows::new(2, 4),
        || {
            let mut tape = Tape::new();
            let (asker, owner) = (crate::dialog::Host::new(CLIENT6, 0), crate::dialog::Host::new(SERVER6, 0));
            let [mut near, mut far] = [asker, owner];
            (near.ttl, far.ttl) = (255, 255);
            near.ip = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x10).into();
            far.ip = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x20).into();
            let target = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x20);
            let turns = vec![
                Turn::client(icmp::neighbour_solicitation(target, near.mac)),
                Turn::server(icmp::neighbour_advertisement(target, far.mac)),
            ];
            tape.play(0, Datagrams::new(Route::new(near, far), Carrier::Icmpv6, turns));
            tape.play(SECOND, Datagrams::new(Route::new(asker, owner), Carrier::Icmpv6, icmp::ping(true, 0x77, 2)));
            tape.plain()
        },
    ),
    clean("sctp", "an SCTP association from INIT to SHUTDOWN COMPLETE", (11, 690), Flows::new(1, 2), || {
        let mut tape = Tape::new();
        tape.play(0, Datagrams::new(route(40001, 7001), Carrier::Sctp, sctp::association(b"question", b"an answer")));
        tape.plain()
    }),
    clean(
        "padding",
        "frames of 60 bytes whose Ethernet padding belongs to no packet",
        (2, 120),
        Flows::new(1, 2),
        || {
            let mut tape = Tape::new();
            for (number, (source, destination, bits)) in
                [(CLIENT, SERVER, flags::SYN), (SERVER, CLIENT, flags::RST | flags::ACK)].into_iter().enumerate()
            {
                let ports = if number == 0 { (40001, 8001) } else { (8001, 40001) };
                let mut header = Tcp::new(ports.0, ports.1, bits);
                (header.sequence, header.acknowledgement) = if number == 0 { (99, 0) } else { (0, 100) };
                let mut frame = ethernet();
                frame.ipv4(&Ipv4::new(source, destination)).tcp(&header).finish();
                tape.packet(number as u64 * MILLISECOND, frame.pad(60).bytes());
            }
            tape.plain()
        },
    ),
];

/// Flows inside a tunnel that ipfixprobe sees as one flow.
const fn tunnelled(biflows: u32, uniflows: u32) -> Flows {
    Flows { biflows, uniflows, ipfixprobe: 1 }
}

fn exchange(route: Route) -> Datagrams {
    Datagrams::udp(route, vec![Turn::filler(Side::Client, 120), Turn::filler(Side::Server, 800)])
}

fn ethernet() -> Frame {
    let mut frame = Frame::new();
    frame.ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    frame
}

fn fragments4(port: u16) -> Vec<Vec<u8>> {
    let header = Ipv4 { dont_fragment: false, ..Ipv4::new(CLIENT, SERVER) };
    ethernet().ipv4(&header).udp(port, 7000).filler(0, 4000).fragments(1480, 0x4242)
}

fn fragments6(port: u16) -> Vec<Vec<u8>> {
    ethernet().ipv6(&Ipv6::new(CLIENT6, SERVER6)).udp(port, 7000).filler(0, 4000).fragments(1448, 0x4242_4242)
}
