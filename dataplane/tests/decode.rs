//! The decoder: one test for each layer on hand-made frames, the differences between the two faces, and properties of all frames.
mod decode_frames;
use dataplane::Face;
use dataplane::capture::{Frame, LinkType};
use dataplane::flow::key::HashSeed;
use dataplane::packet::decode::{DecodeConfig, decode};
use dataplane::packet::fuzzing;
use dataplane::packet::{Fragment, MacForm, Packet, PacketDrop, PacketView};
use decode_frames::*;
use proptest::prelude::*;

fn on(link: LinkType, bytes: &[u8], face: Face) -> Result<Packet, PacketDrop> {
    let frame = Frame { bytes, wire_len: bytes.len() as u32, at: record::Time(7_005), link, ..Frame::default() };
    fuzzing::check_frame(&frame);
    let mut packet = Packet::default();
    decode(&frame, &DecodeConfig { face, ..DecodeConfig::default() }, &mut packet).map(|()| packet)
}

fn native(bytes: &[u8]) -> Result<Packet, PacketDrop> {
    on(LinkType::Ethernet, bytes, Face::Native)
}

fn original(bytes: &[u8]) -> Result<Packet, PacketDrop> {
    on(LinkType::Ethernet, bytes, Face::Ipfixprobe)
}

/// (version, protocol, source port, TTL): tells the catalogue's inner packets from the outsides of tunnels.
fn gist(p: Result<Packet, PacketDrop>, bytes: &[u8]) -> Result<(u8, u8, u16, u8), PacketDrop> {
    p.map(|p| (p.ip_version, p.protocol, p.src_port, PacketView { packet: &p, bytes }.ttl()))
}

const INNER4: Result<(u8, u8, u16, u8), PacketDrop> = Ok((4, 6, 0xc001, 61));
const OUTER_GRE: Result<(u8, u8, u16, u8), PacketDrop> = Ok((4, 47, 0, 99));

fn tcp4() -> Vec<u8> {
    ipv4(6, tcp(0x18, &[], b"hello"))
}

#[test]
fn every_field_of_ipv4_and_tcp() {
    let frame = padded(eth(0x8100, tag(100, 0x0800, ipv4(6, tcp(0x18, &TIMESTAMP, b"hello")))));
    for face in fuzzing::FACES {
        let p = on(LinkType::Ethernet, &frame, face).unwrap();
        let view = PacketView { packet: &p, bytes: &frame };
        assert_eq!((p.vlan, p.ip_version, p.protocol), (100, 4, 6));
        assert_eq!((view.ttl(), view.tos(), view.ip_flags()), (61, 0xb8, 2));
        assert_eq!((p.ip_len, p.fragment_id, p.fragment, p.tcp_flags), (57, 0, Fragment::No, 0x18));
        assert_eq!((p.l3, p.l4, p.payload_at, p.payload_len, p.payload_wire), (18, 38, 70, 5, 5));
        assert_eq!((p.src_port, p.dst_port, p.hash), (0xc001, 80, p.key.hash(HashSeed::default())));
        assert_eq!(p.at.0, if face.is_original() { 7_000 } else { 7_005 });
        assert_eq!((view.payload(), view.macs()), (&b"hello"[..], (SRC_MAC, DST_MAC)));
        assert_eq!(
            (view.tcp_seq(), view.tcp_ack(), view.tcp_window()),
            (Some(0x01020304), Some(0x05060708), Some(0x2000))
        );
        assert_eq!((view.src_ip(), view.dst_ip()), (SRC4.into(), DST4.into()));
    }
}

#[test]
fn every_field_of_ipv6_and_udp() {
    let frame = eth(0x86dd, ipv6(17, udp(&[1; 30])));
    for face in fuzzing::FACES {
        let p = on(LinkType::Ethernet, &frame, face).unwrap();
        let view = PacketView { packet: &p, bytes: &frame };
        assert_eq!((p.vlan, p.ip_version, p.protocol), (0, 6, 17));
        assert_eq!((view.ttl(), view.tos(), view.ip_flags()), (58, 0x2e, 0));
        assert_eq!((p.ip_len, p.fragment_id, p.fragment, p.tcp_flags), (78, 0, Fragment::No, 0));
        assert_eq!((p.l3, p.l4, p.payload_at, p.payload_len, p.payload_wire), (14, 54, 62, 30, 30));
        assert_eq!((p.src_port, p.dst_port), (0xc002, 5000));
        assert_eq!((view.src_ip(), view.dst_ip(), view.tcp_seq()), (SRC6.into(), DST6.into(), None));
    }
}

#[test]
fn padding_is_no_payload_and_a_cut_payload_is_known_to_be_longer() {
    let p = native(&padded(eth(0x0800, ipv4(17, udp(b"abc"))))).unwrap();
    assert_eq!((p.payload_len, p.payload_wire, p.ip_len), (3, 3, 31));
    let whole = eth(0x0800, ipv4(17, udp(&[7; 500])));
    let p = native(&whole[..100]).unwrap();
    assert_eq!((p.payload_len, p.payload_wire, p.ip_len), (58, 500, 528));
}

#[test]
fn tags_are_followed_as_each_face_does() {
    let stack = |outer, inner| eth(outer, tag(10, inner, tag(20, 0x0800, tcp4())));
    let both = [(0x8100, 0x8100), (0x88a8, 0x8100), (0x88a8, 0x88a8)];
    for (outer, inner) in both {
        assert_eq!(native(&stack(outer, inner)).unwrap().vlan, 10);
        assert_eq!(original(&stack(outer, inner)).unwrap().vlan, 10);
    }
    for (outer, inner) in [(0x9100, 0x8100), (0x8100, 0x9100)] {
        assert_eq!(native(&stack(outer, inner)).unwrap().vlan, 10);
        assert_eq!(original(&stack(outer, inner)), Err(PacketDrop::NotIp));
    }
    let mut deep = ipv4(17, udp(b""));
    for n in 0..40 {
        deep = tag(n, if n == 0 { 0x0800 } else { 0x8100 }, deep);
    }
    assert_eq!(native(&eth(0x8100, deep)), Err(PacketDrop::TooDeep));
}

#[test]
fn trill_brings_its_own_addresses_and_tag() {
    let mut inner = eth(0x8100, tag(9, 0x0800, tcp4()));
    inner[0] = 0xaa;
    for options in [0, 3] {
        let frame = eth(0x8100, tag(8, 0x22f3, trill(options, inner.clone())));
        for p in [native(&frame).unwrap(), original(&frame).unwrap()] {
            assert_eq!((p.vlan, p.src_port), (9, 0xc001));
            assert_eq!(PacketView { packet: &p, bytes: &frame }.macs().1[0], 0xaa);
        }
        let untagged = eth(0x8100, tag(8, 0x22f3, trill(options, eth(0x0800, tcp4()))));
        assert_eq!(native(&untagged).unwrap().vlan, 0);
    }
}

#[test]
fn mpls_and_pseudowires() {
    let plain = eth(0x8847, mpls(3, tcp4()));
    assert_eq!((gist(native(&plain), &plain), gist(original(&plain), &plain)), (INNER4, INNER4));
    // The frame's own addresses and tag stay.
    let wire = eth(0x8100, tag(4, 0x8847, mpls(1, control_word(eth(0x8100, tag(5, 0x0800, tcp4()))))));
    for p in [native(&wire).unwrap(), original(&wire).unwrap()] {
        assert_eq!((gist(Ok(p), &wire), p.vlan, p.mac_at), (INNER4, 4, 0));
    }
    let nested = eth(0x8847, mpls(1, control_word(eth(0x8847, mpls(1, tcp4())))));
    assert_eq!((gist(native(&nested), &nested), gist(original(&nested), &nested)), (INNER4, Err(PacketDrop::NotIp)));
    assert_eq!(native(&eth(0x8847, mpls(1, vec![0x10; 40]))), Err(PacketDrop::NotIp));
    assert_eq!(native(&eth(0x8847, mpls(1, vec![]))), Err(PacketDrop::Truncated));
}

#[test]
fn pppoe_sessions_only() {
    let frame = eth(0x8864, pppoe(0x21, tcp4()));
    assert_eq!((gist(native(&frame), &frame), gist(original(&frame), &frame)), (INNER4, INNER4));
    assert_eq!(native(&eth(0x8864, pppoe(0xc021, vec![0; 40]))), Err(PacketDrop::NotIp), "LCP");
    let mut control = frame;
    control[15] = 9;
    assert_eq!(native(&control), Err(PacketDrop::NotIp));
}

#[test]
fn gre_is_followed_by_both_and_on_ipv6_by_one() {
    for inner in [gre(0, 0x0800, tcp4()), gre(0xb000, 0x0800, tcp4()), gre(0, 0x8847, mpls(2, tcp4()))] {
        let (on4, on6) = (eth(0x0800, outer4(47, inner.clone())), eth(0x86dd, outer6(47, inner)));
        assert_eq!((gist(native(&on4), &on4), gist(original(&on4), &on4)), (INNER4, INNER4));
        assert_eq!((gist(native(&on6), &on6), gist(original(&on6), &on6)), (INNER4, Ok((6, 47, 0, 58))));
    }
    let bridged =
        [gre(0x2000, 0x6558, eth(0x0800, tcp4())), erspan2(eth(0x0800, tcp4())), erspan3(true, eth(0x0800, tcp4()))];
    for inner in bridged {
        let frame = eth(0x0800, outer4(47, inner));
        assert_eq!((gist(native(&frame), &frame), gist(original(&frame), &frame)), (INNER4, Err(PacketDrop::NotIp)));
    }
}

#[test]
fn gre_without_ip_inside_is_a_flow_natively() {
    let arp = eth(0x0806, vec![0; 28]);
    for inner in [gre(0, 0, vec![]), gre(0x3001, 0x880b, vec![1; 20]), gre(0, 0x6558, arp)] {
        let frame = eth(0x0800, outer4(47, inner));
        assert_eq!((gist(native(&frame), &frame), gist(original(&frame), &frame)), (OUTER_GRE, Err(PacketDrop::NotIp)));
    }
    // A later fragment has no GRE header.
    let later = eth(0x0800, V4 { id: 7, fragment: 5, options: &[], ttl: 99 }.around(47, vec![0; 64]));
    assert_eq!((gist(native(&later), &later), gist(original(&later), &later)), (OUTER_GRE, OUTER_GRE));
}

#[test]
fn ip_in_ip_is_followed_natively() {
    let frames = [
        (eth(0x0800, outer4(4, tcp4())), Ok((4, 4, 0, 99))),
        (eth(0x0800, outer4(41, ipv6(6, tcp(2, &[], b"")))), Ok((4, 41, 0, 99))),
        (eth(0x86dd, outer6(4, tcp4())), Ok((6, 4, 0, 58))),
        (eth(0x86dd, outer6(41, ipv6(6, tcp(2, &[], b"")))), Ok((6, 41, 0, 58))),
    ];
    for (frame, outside) in frames {
        assert_eq!(gist(native(&frame), &frame).unwrap().2, 0xc001);
        assert_eq!(gist(original(&frame), &frame), outside);
    }
    let mut nested = tcp4();
    for _ in 0..33 {
        nested = outer4(4, nested);
    }
    assert_eq!(native(&eth(0x0800, nested)), Err(PacketDrop::TooDeep));
}

#[test]
fn ipv6_extension_headers() {
    let of = |next, inner| eth(0x86dd, ipv6(next, inner));
    for icv in [0, 12, 28] {
        let p = original(&of(51, ah(17, icv, udp(b"abc")))).unwrap();
        assert_eq!((p.protocol, p.src_port, p.payload_len), (17, 0xc002, 3), "AH of {icv}");
        assert_eq!(p.payload_wire, 3);
    }
    let mobile = of(135, ext(59, 0, vec![]));
    assert_eq!((native(&mobile).unwrap().protocol, original(&padded(mobile)).unwrap().protocol), (135, 59));
    let hip = of(139, ext(59, 4, vec![]));
    assert_eq!((native(&hip).unwrap().protocol, original(&hip).unwrap().protocol), (139, 139));
    let shim = of(140, ext(6, 0, tcp(2, &[], b"")));
    assert_eq!((native(&shim).unwrap().protocol, original(&shim).unwrap().protocol), (6, 140));
    let esp = of(0, ext(50, 0, vec![1; 8]));
    assert_eq!((native(&esp).unwrap().protocol, native(&esp).unwrap().payload_len), (50, 8));
    // Nothing behind the header: lost to the original, unless Ethernet pads.
    let none = of(59, vec![]);
    assert_eq!((native(&none).unwrap().ip_len, original(&none)), (40, Err(PacketDrop::Truncated)));
    assert_eq!(original(&padded(none)).unwrap().protocol, 59);
}

#[test]
fn fragments_are_told_apart() {
    let v4 = |fragment| V4 { id: 9, fragment, options: &[], ttl: 1 }.around(17, udp(&[1; 24]));
    let first = eth(0x0800, v4(0x2000));
    let p = native(&first).unwrap();
    assert_eq!((p.fragment, p.src_port, p.fragment_id), (Fragment::First, 0xc002, 9));
    assert_eq!(PacketView { packet: &p, bytes: &first }.ip_flags(), 1);
    for bits in [0x2001, 0x0001, 0x1fff] {
        let p = native(&eth(0x0800, v4(bits))).unwrap();
        assert_eq!((p.fragment, p.src_port, p.payload_at, p.payload_len), (Fragment::Later, 0, 34, 32));
    }
    let p = native(&eth(0x86dd, ipv6(44, fragment6(6, 0, true, tcp(2, &[], b"abcd"))))).unwrap();
    assert_eq!((p.fragment, p.src_port, p.fragment_id), (Fragment::First, 0xc001, 0xdeadbeef));
    // Payload that looks like a chain of headers is payload.
    for face in fuzzing::FACES {
        let later = eth(0x86dd, ipv6(44, fragment6(60, 64, false, vec![0xff; 16])));
        let p = on(LinkType::Ethernet, &later, face).unwrap();
        assert_eq!((p.fragment, p.protocol, p.payload_len), (Fragment::Later, 60, 16));
    }
}

#[test]
fn a_first_fragment_shorter_than_tcp_keeps_its_ports() {
    let tiny = |n: usize| eth(0x0800, V4 { fragment: 0x2000, ..PLAIN4 }.around(6, tcp(0x02, &[], b"")[..n].to_vec()));
    let p = native(&padded(tiny(8))).unwrap();
    assert_eq!((p.src_port, p.dst_port, p.tcp_flags, p.payload_len), (0xc001, 80, 0, 0));
    assert_eq!(native(&padded(tiny(16))).unwrap().tcp_flags, 2);
    assert_eq!(original(&tiny(8)), Err(PacketDrop::Truncated));
    assert_eq!(original(&padded(tiny(8))).unwrap().src_port, 0xc001, "padding is read as the rest");
}

#[test]
fn contradictions_are_bad_lengths() {
    let change = |at: usize, to: u8| {
        let mut frame = eth(0x0800, tcp4());
        frame[at] = to;
        frame
    };
    // version 5; header of 16 bytes: both faces
    for frame in [change(14, 0x55), change(14, 0x44), eth(0x86dd, tcp4())] {
        assert_eq!(native(&frame), Err(PacketDrop::BadLength));
        assert_eq!(original(&frame), Err(PacketDrop::BadLength));
    }
    // IP length inside the IP header, inside the TCP header; data offset 4: the original keeps them
    for frame in [change(17, 19), change(17, 30), change(46, 0x40)] {
        assert_eq!(native(&frame), Err(PacketDrop::BadLength));
        assert_eq!(gist(original(&frame), &frame), INNER4);
    }
    // data offset 15: the header is not there
    assert_eq!(original(&change(46, 0xf0)), Err(PacketDrop::Truncated));
    assert_eq!(native(&change(46, 0xf0)), Err(PacketDrop::BadLength));
}

#[test]
fn broken_options_lose_the_packet_in_the_original_only() {
    let frame = eth(0x0800, ipv4(6, tcp(2, &[2, 4, 5, 0xb4, 8, 0, 0, 0], b"x")));
    assert_eq!((gist(native(&frame), &frame), original(&frame)), (INNER4, Err(PacketDrop::BadLength)));
}

#[test]
fn offloaded_segments_have_the_length_of_the_frame() {
    let mut frame = eth(0x0800, ipv4(6, tcp(0x10, &[], &[1; 3000])));
    frame[16..18].fill(0);
    for face in fuzzing::FACES {
        let p = on(LinkType::Ethernet, &frame, face).unwrap();
        assert_eq!((p.ip_len, p.payload_len, p.payload_wire), (3040, 3000, 3000));
    }
    let mut frame = eth(0x86dd, ipv6(6, tcp(0x10, &[], &[1; 3000])));
    frame[18..20].fill(0);
    assert_eq!(native(&frame).unwrap().ip_len, 3060);
    // Longer than 16 bits can say, on the wire and in the capture.
    let mut frame = eth(0x0800, ipv4(6, tcp(0x10, &[], &vec![1; 100_000])));
    frame[16..18].fill(0);
    let cut = Frame { bytes: &frame, wire_len: frame.len() as u32, ..Frame::default() };
    let mut p = Packet::default();
    decode(&cut, &DecodeConfig::default(), &mut p).unwrap();
    assert_eq!((p.ip_len, p.payload_wire, p.payload_len), (100_040, 65_535, 65_535 - 54));
}

#[test]
fn sctp_ports_are_read_natively() {
    let frame = eth(0x0800, ipv4(132, sctp(b"data")));
    let (n, o) = (native(&frame).unwrap(), original(&frame).unwrap());
    assert_eq!((n.src_port, n.dst_port, n.payload_at), (0xc003, 2905, 46));
    assert_eq!((o.src_port, o.dst_port, o.payload_at), (0, 0, 34));
}

#[test]
fn links_without_ethernet() {
    let (v4, v6) = (tcp4(), ipv6(6, tcp(2, &[], b"")));
    let family = |f: [u8; 4], ip: &[u8]| [&f[..], ip].concat();
    for (link, frame, version) in [
        (LinkType::RawIp, v4.clone(), 4),
        (LinkType::RawIp, v6.clone(), 6),
        (LinkType::LinuxSll, sll(1, 0x0800, v4.clone()), 4),
        (LinkType::LinuxSll2, sll2(1, 0x86dd, v6.clone()), 6),
    ] {
        assert_eq!(on(link, &frame, Face::Native).unwrap().ip_version, version);
        assert_eq!(on(link, &frame, Face::Ipfixprobe).unwrap().ip_version, version);
    }
    for (link, frame, version) in [
        (LinkType::Null, family([2, 0, 0, 0], &v4), 4),
        (LinkType::Null, family([0, 0, 0, 28], &v6), 6),
        (LinkType::Loop, family([0, 0, 0, 2], &v4), 4),
        (LinkType::Loop, family([0, 0, 0, 24], &v6), 6),
    ] {
        assert_eq!(on(link, &frame, Face::Native).unwrap().ip_version, version);
        // The original refuses such captures; nobody can depend on that.
        assert_eq!(on(link, &frame, Face::Ipfixprobe).unwrap().ip_version, version);
    }
    let cooked = sll(1, 0x0800, v4.clone());
    let p = on(LinkType::LinuxSll, &cooked, Face::Native).unwrap();
    assert_eq!(
        (p.mac_form, PacketView { packet: &p, bytes: &cooked }.macs()),
        (MacForm::SourceOnly, (SRC_MAC, [0; 6]))
    );
    let p = on(LinkType::LinuxSll2, &sll2(772, 0x0800, v4.clone()), Face::Native).unwrap();
    assert_eq!(p.mac_form, MacForm::None);
    let tagged = sll(1, 0x8100, tag(3, 0x0800, v4));
    assert_eq!(on(LinkType::LinuxSll, &tagged, Face::Native).unwrap().vlan, 3);
    assert_eq!(on(LinkType::LinuxSll, &tagged, Face::Ipfixprobe), Err(PacketDrop::NotIp));
    assert_eq!(on(LinkType::RawIp, &[0x10; 40], Face::Native), Err(PacketDrop::NotIp));
    assert_eq!(native(&eth(0x0806, vec![0; 46])), Err(PacketDrop::NotIp));
    assert_eq!(native(&[]), Err(PacketDrop::Truncated));
}

#[test]
fn the_whole_catalogue_decodes_and_holds_the_properties() {
    for s in catalogue() {
        let frame = Frame {
            bytes: &s.bytes,
            wire_len: s.bytes.len() as u32,
            at: record::Time(5),
            link: s.link,
            ..Frame::default()
        };
        fuzzing::check_frame(&frame);
        let mut packet = Packet::default();
        assert_eq!(decode(&frame, &DecodeConfig::default(), &mut packet), Ok(()), "{}", s.name);
    }
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..160)) {
        fuzzing::fuzz_decode(&data);
        fuzzing::fuzz_tcp_options(&data);
    }

    #[test]
    fn tcp_options_of_small_numbers(data in proptest::collection::vec(0u8..12, 0..40)) {
        fuzzing::fuzz_tcp_options(&data);
    }

    #[test]
    fn sequences_of_fragments(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::fuzz_fragments(&data);
    }

    #[test]
    fn damaged_frames(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((0usize..140, any::<u8>()), 0..4),
        more in 0u32..2000,
    ) {
        let all = catalogue();
        let sample = which.get(&all);
        let mut bytes = sample.bytes.clone();
        for (at, to) in damage {
            if let Some(b) = bytes.get_mut(at) {
                *b = to;
            }
        }
        fuzzing::check_frame(&Frame { bytes: &bytes, wire_len: bytes.len() as u32 + more, at: record::Time(5), link: sample.link, ..Frame::default() });
    }
}
