//! Tunnels: which are entered, what is found of their outside, and that nothing is lost that only looks like one.
mod decode_frames;
use dataplane::Face;
use dataplane::capture::{Frame, LinkType};
use dataplane::packet::decode::{DecodeConfig, decode, decode_inner};
use dataplane::packet::{Packet, PacketDrop, PacketView, TunnelKind, Tunnels, fuzzing};
use decode_frames::tunnels::*;
use decode_frames::*;
use proptest::prelude::*;
use std::net::IpAddr;

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame { bytes, wire_len: bytes.len() as u32, at: record::Time(5), link: LinkType::Ethernet, ..Frame::default() }
}

fn with(tunnels: Tunnels, bytes: &[u8]) -> Result<Packet, PacketDrop> {
    fuzzing::check_frame(&frame(bytes));
    let mut packet = Packet::default();
    decode(&frame(bytes), &DecodeConfig { tunnels, ..DecodeConfig::default() }, &mut packet).map(|()| packet)
}

/// The source port inside of all samples is that of [`tcp`]; a bubble has none.
fn is_inside(p: &Packet) -> bool {
    p.src_port == 0xc001 || p.protocol == 59
}

/// What `Inner` takes for the outside.
fn stays_outside(bytes: &[u8], what: &str) {
    let p = with(Tunnels::Inner, bytes).unwrap_or_else(|why| panic!("{what}: {why:?}"));
    assert!(PacketView { packet: &p, bytes }.tunnel().is_none(), "{what}");
    assert_eq!(Ok(p), with(Tunnels::Outer, bytes), "{what}");
}

#[test]
fn each_is_entered_if_wished_and_its_outside_is_told() {
    let outside = |version| -> (IpAddr, IpAddr) {
        let (mut src, mut dst) = (SRC6, DST6);
        (src[0], dst[0]) = (0xfd, 0xfd);
        if version == 4 { ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()) } else { (src.into(), dst.into()) }
    };
    let all = tunnels();
    assert!(all.len() > 80, "{}", all.len());
    for t in &all {
        let p = with(Tunnels::Inner, &t.bytes).unwrap_or_else(|why| panic!("{}: {why:?}", t.name));
        let view = PacketView { packet: &p, bytes: &t.bytes };
        assert!(is_inside(&p) && p.ip_version == t.versions.1, "{}: {p:?}", t.name);
        let tunnel = view.tunnel().unwrap_or_else(|| panic!("{}: no tunnel", t.name));
        let found =
            (tunnel.kind(), tunnel.inner_kind(), tunnel.depth(), tunnel.id(), tunnel.inner_id(), tunnel.ports());
        assert_eq!(found, (t.kind, t.kind, 1, t.id, t.id, t.ports), "{}", t.name);
        assert_eq!(tunnel.addresses(), outside(t.versions.0), "{}", t.name);
        assert_eq!(tunnel.segment(), if t.kind == TunnelKind::Vxlan { 1 << 56 | u64::from(VNI) } else { 0 });
        for tunnels in [Tunnels::Ip, Tunnels::Outer, Tunnels::Both] {
            let outer = with(tunnels, &t.bytes).expect("the outside is sound");
            assert_eq!((outer.src_port, outer.dst_port, outer.ip_version), (t.ports.0, t.ports.1, t.versions.0));
            assert!(PacketView { packet: &outer, bytes: &t.bytes }.tunnel().is_none(), "{}", t.name);
        }
        let (mut inner, config) = (Packet::default(), DecodeConfig { tunnels: Tunnels::Both, ..Default::default() });
        assert_eq!(decode_inner(&frame(&t.bytes), &config, &mut inner), Some(Ok(())));
        assert_eq!(inner, p, "{}", t.name);
        let mut original = Packet::default();
        let config = DecodeConfig { face: Face::Ipfixprobe, tunnels: Tunnels::Inner, ..Default::default() };
        decode(&frame(&t.bytes), &config, &mut original).expect("a packet");
        assert_eq!((original.src_port, original.dst_port), t.ports, "{}: the original enters none", t.name);
    }
}

#[test]
fn tunnels_that_ip_names_have_an_outside_too() {
    let inner = || eth(0x0800, tcp4());
    let keyed = |flags, carried, inner| {
        let mut bytes = gre(flags, carried, inner);
        let at = if flags & 0x8000 != 0 { 8 } else { 4 };
        bytes[at..at + 4].copy_from_slice(&(KEY << 8 | 1).to_be_bytes());
        outer4(47, bytes)
    };
    let session = |mut bytes: Vec<u8>| {
        bytes[10..12].copy_from_slice(&[0x03, 0xff]);
        outer4(47, bytes)
    };
    for (packet, kind, id, segment) in [
        (outer4(4, tcp4()), TunnelKind::IpInIp, 0, 0),
        (outer4(47, gre(0, 0x0800, tcp4())), TunnelKind::Gre, 0, 0),
        (keyed(0x2000, 0x0800, tcp4()), TunnelKind::Gre, KEY << 8 | 1, 0),
        (keyed(0xb000, 0x0800, tcp4()), TunnelKind::Gre, KEY << 8 | 1, 0),
        (keyed(0x2000, 0x6558, inner()), TunnelKind::GreEthernet, KEY << 8 | 1, 2 << 56 | u64::from(KEY)),
        (outer4(47, gre(0x1000, 0x6558, inner())), TunnelKind::GreEthernet, 0, 0),
        (outer4(47, gre(0, 0x88be, inner())), TunnelKind::Erspan1, 0, 0),
        (session(erspan2(inner())), TunnelKind::Erspan2, 0x3ff, 0),
        (session(erspan3(true, inner())), TunnelKind::Erspan3, 0x3ff, 0),
    ] {
        let bytes = eth(0x0800, packet);
        for tunnels in [Tunnels::Ip, Tunnels::Inner] {
            let p = with(tunnels, &bytes).expect("a packet");
            let tunnel = PacketView { packet: &p, bytes: &bytes }.tunnel().expect("a tunnel");
            assert_eq!((tunnel.kind(), tunnel.id(), tunnel.segment(), tunnel.ports()), (kind, id, segment, (0, 0)));
            assert_eq!(tunnel.addresses(), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
            assert!(is_inside(&p));
        }
        let outer = with(Tunnels::Outer, &bytes).expect("the outside is sound");
        assert_eq!((outer.protocol, outer.l3), (bytes[23], 14), "{kind:?}");
    }
}

#[test]
fn one_inside_of_another_tells_of_both() {
    // IPv4, GRE, IPv6, GTP-U, IPv4: as a mobile network over a transport network.
    let user = outer6(17, datagram(2152, 2152, gtp(4, tcp4())));
    let mut bytes = eth(0x0800, outer4(47, gre(0x2000, 0x86dd, user)));
    bytes[38..42].copy_from_slice(&KEY.to_be_bytes());
    let p = with(Tunnels::Inner, &bytes).expect("a packet");
    assert!(is_inside(&p));
    let tunnel = PacketView { packet: &p, bytes: &bytes }.tunnel().expect("tunnels");
    assert_eq!((tunnel.kind(), tunnel.id(), tunnel.depth()), (TunnelKind::Gre, KEY, 2));
    assert_eq!((tunnel.inner_kind(), tunnel.inner_id()), (TunnelKind::Gtp, TEID));
    assert_eq!(tunnel.addresses().0, IpAddr::from([10, 0, 0, 1]));
    // What IP names is entered, what ports tell is not.
    let p = with(Tunnels::Ip, &bytes).expect("a packet");
    assert_eq!((p.src_port, p.dst_port, p.ip_version), (2152, 2152, 6));
    assert_eq!(with(Tunnels::Outer, &bytes).map(|p| p.protocol), Ok(47));
    // As deep as there is a budget for; what is deeper is no packet if IP named it, and the outside if ports did.
    let deep =
        |n: usize| (0..n).fold(tcp4(), |inner, _| outer4(17, datagram(50_001, 4789, vxlan(8, 0, eth(0x0800, inner)))));
    let p = with(Tunnels::Inner, &eth(0x0800, deep(15))).expect("a packet");
    let bytes = eth(0x0800, deep(15));
    assert_eq!(PacketView { packet: &p, bytes: &bytes }.tunnel().map(|t| t.depth()), Some(15));
    let p = with(Tunnels::Inner, &eth(0x0800, deep(40))).expect("a packet");
    assert_eq!(p.dst_port, 4789);
    let ip_in_ip = (0..40).fold(tcp4(), |inner, _| outer4(4, inner));
    assert_eq!(with(Tunnels::Inner, &eth(0x0800, ip_in_ip.clone())), Err(PacketDrop::TooDeep));
    assert_eq!(with(Tunnels::Outer, &eth(0x0800, ip_in_ip)).map(|p| p.protocol), Ok(4));
}

#[test]
fn what_is_something_else_on_such_a_port_stays_what_it_is() {
    let on = |port: u16, payload: Vec<u8>| eth(0x0800, outer4(17, datagram(50_001, port, payload)));
    let inner = || eth(0x0800, tcp4());
    let bent = |payload: Vec<u8>, at: usize, to: u8| {
        let mut payload = payload;
        payload[at] = to;
        payload
    };
    for port in [1701, 2152, 3544, 4789, 4790, 6081, 8472] {
        for payload in [vec![], vec![8], vec![0; 7], vec![0; 100], vec![0xff; 100], b"GET / HTTP/1.1\r\n\r\n".repeat(9)]
        {
            stays_outside(&on(port, payload.clone()), &format!("{port}: {payload:02x?}"));
            stays_outside(&padded(on(port, payload)), &format!("{port}, padded"));
        }
    }
    let arp = || eth(0x0806, vec![0; 28]);
    for (what, port, payload) in [
        ("no VNI", 4789, vxlan(0, 0, inner())),
        ("reserved flags", 4789, vxlan(0x0a, 0, inner())),
        ("reserved byte", 4789, bent(vxlan(8, 0, inner()), 7, 1)),
        ("a group without policy", 4789, vxlan(8, 1, inner())),
        ("ARP inside", 4789, vxlan(8, 0, arp())),
        ("ARP in GENEVE", 6081, geneve(1, 0x6558, arp())),
        ("GPE version 1", 4790, vxlan(0x1c, 1, tcp4())),
        ("GPE without a protocol", 4790, vxlan(0x08, 1, tcp4())),
        ("NSH", 4790, vxlan(0x0c, 4, vec![0; 40])),
        ("GENEVE version 1", 6081, bent(geneve(0, 0x6558, inner()), 0, 0x40)),
        ("GENEVE control", 6081, bent(geneve(0, 0x6558, inner()), 1, 0x80)),
        ("GENEVE reserved", 6081, bent(geneve(0, 0x6558, inner()), 7, 1)),
        ("options that are not there", 6081, bent(geneve(0, 0x6558, vec![0; 60]), 0, 0x3f)),
        ("GTP'", 2152, bent(gtp(0, tcp4()), 0, 0x20)),
        ("GTP version 2", 2152, bent(gtp(0, tcp4()), 0, 0x50)),
        ("an echo", 2152, bent(gtp(2, tcp4()), 1, 1)),
        ("another length", 2152, bent(gtp(0, tcp4()), 3, 40)),
        ("an extension of no length", 2152, bent(gtp(4, tcp4()), 12, 0)),
        ("an extension that is too long", 2152, bent(gtp(4, tcp4()), 12, 0xff)),
        ("an Ethernet session", 2152, gtp(0, inner())),
        ("L2TP control", 1701, bent(l2tp2(0x4000, vec![0; 40]), 0, 0xc8)),
        ("L2TP reserved", 1701, bent(l2tp2(0, vec![0, 0x21]), 0, 0x10)),
        ("L2TP, another length", 1701, bent(l2tp2(0x4000, [&[0, 0x21][..], &tcp4()].concat()), 3, 99)),
        ("L2TP session 0", 1701, bent(l2tp2(0, [&[0, 0x21][..], &tcp4()].concat()), 5, 0)),
        ("LCP", 1701, l2tp2(0, [&[0xff, 3, 0xc0, 0x21][..], &tcp4()].concat())),
        ("L2TPv3 with a bad checksum", 1701, l2tp3_udp(&[], inner())),
        ("L2TPv3 control", 1701, bent(l2tp3_udp(&[], inner()), 0, 0x80)),
        ("L2F", 1701, bent(l2tp3_udp(&[], inner()), 1, 1)),
        ("IPv6 that is not Teredo's", 3544, ipv6(6, tcp(2, &[], b""))),
        ("IPv4 in Teredo", 3544, [tcp4(), vec![0; 20]].concat()),
        ("longer inside than outside", 4789, bent(vxlan(8, 0, inner()), 8 + 14 + 2, 1)),
        ("shorter than its header", 4789, bent(vxlan(8, 0, inner()), 8 + 14 + 3, 30)),
        ("TCP without an end", 4789, bent(vxlan(8, 0, inner()), 8 + 14 + 20 + 12, 0x10)),
        ("IP version 5", 4789, bent(vxlan(8, 0, inner()), 8 + 14, 0x55)),
        ("cut inside", 4789, vxlan(8, 0, inner())[..30].to_vec()),
    ] {
        stays_outside(&on(port, payload), what);
    }
    // Protocol 115 without a session, without IP, without anything.
    for payload in [vec![], vec![0; 3], vec![0; 80], l2tp3(&[], arp()), l2tp3(&[], inner()), l2tp3(&[], vec![5; 13])] {
        stays_outside(&eth(0x0800, outer4(115, payload)), "L2TPv3");
    }
    // Lengths that contradict each other are the outside's own matter.
    let mut long = on(4789, vxlan(8, 0, inner()));
    long[39] += 1;
    assert_eq!(with(Tunnels::Inner, &long), with(Tunnels::Outer, &long));
    // A tunnel inside that is none: the packet of the tunnel around it.
    let sound = on(4789, vxlan(8, 0, eth(0x0800, outer4(47, gre(0, 0x0806, vec![0; 28])))));
    let p = with(Tunnels::Inner, &sound).expect("a packet");
    let tunnel = PacketView { packet: &p, bytes: &sound }.tunnel().expect("VXLAN around it");
    assert_eq!((p.protocol, tunnel.depth(), tunnel.inner_kind()), (47, 1, TunnelKind::Vxlan));
}

#[test]
fn what_the_capture_cut_is_truncated_and_the_outside_is_there() {
    for t in tunnels() {
        let inner_end = t.bytes.len() - 5;
        for end in 54..inner_end.min(t.bytes.len()) {
            let cut = Frame { wire_len: t.bytes.len() as u32, ..frame(&t.bytes[..end]) };
            let mut packet = Packet::default();
            let config = |tunnels| DecodeConfig { tunnels, ..DecodeConfig::default() };
            let inner = decode(&cut, &config(Tunnels::Inner), &mut packet);
            assert!(matches!(inner, Ok(()) | Err(PacketDrop::Truncated)), "{}", t.name);
            if end > 14 + 40 + 8 {
                assert_eq!(decode(&cut, &config(Tunnels::Both), &mut packet), Ok(()), "{} at {end}", t.name);
                assert_eq!((packet.src_port, packet.dst_port), t.ports);
                let inside = decode_inner(&cut, &config(Tunnels::Both), &mut packet);
                assert_eq!(inside, Some(inner), "{} at {end}", t.name);
            }
        }
    }
}

#[test]
fn a_first_fragment_is_entered_and_a_later_one_is_not() {
    let whole = datagram(50_001, 4789, vxlan(8, 0, eth(0x0800, ipv4(17, udp(&[7; 400])))));
    let part = |fragment, bytes: &[u8]| eth(0x0800, V4 { fragment, ..PLAIN4 }.around(17, bytes.to_vec()));
    let first = with(Tunnels::Inner, &part(0x2000, &whole[..160])).expect("a packet");
    assert_eq!((first.src_port, first.payload_wire, first.payload_len), (0xc002, 400, 160 - 8 - 8 - 14 - 28));
    let later = with(Tunnels::Inner, &part(20, &whole[160..])).expect("a packet");
    assert_eq!((later.protocol, later.src_port), (17, 0));
}

fn tcp4() -> Vec<u8> {
    ipv4(6, tcp(0x18, &[], b"hello"))
}

proptest! {
    #[test]
    fn any_payload_on_these_ports(
        port in prop::sample::select(vec![1701u16, 2152, 3544, 4789, 4790, 6081, 8472]),
        payload in proptest::collection::vec(any::<u8>(), 0..90),
        more in 0u32..50,
    ) {
        let bytes = eth(0x0800, outer4(17, datagram(port, port, payload)));
        fuzzing::check_frame(&frame(&bytes));
        fuzzing::check_frame(&Frame { wire_len: bytes.len() as u32 + more, ..frame(&bytes) });
    }

    #[test]
    fn damaged_tunnels(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((0usize..150, any::<u8>()), 0..4),
        more in prop::sample::select(vec![0u32, 1, 1000]),
    ) {
        let all = tunnels();
        let mut bytes = which.get(&all).bytes.clone();
        for (at, to) in damage {
            if let Some(b) = bytes.get_mut(at) {
                *b = to;
            }
        }
        fuzzing::check_frame(&Frame { wire_len: bytes.len() as u32 + more, ..frame(&bytes) });
    }
}
