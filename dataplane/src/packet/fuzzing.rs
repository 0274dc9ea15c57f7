//! Harnesses: one function each, run as property test, fuzz target and replay of a corpus (RELIABILITY.md F1 to F4). They panic where
//! a property does not hold.
use super::decode::{DecodeConfig, decode, decode_inner, decode_layers};
use super::{Fragment, MacForm, Packet, PacketDrop, PacketView, Tunnels, tcp};
use crate::capture::{Frame, LinkType};
use crate::face::Face;
use crate::flow::frag::{FragmentCache, FragmentStats, RING};
use crate::flow::key::{Endpoint, HashSeed};
use record::Time;

pub const LINKS: [LinkType; 6] =
    [LinkType::Ethernet, LinkType::LinuxSll, LinkType::LinuxSll2, LinkType::RawIp, LinkType::Null, LinkType::Loop];
pub const FACES: [Face; 2] = [Face::Native, Face::Ipfixprobe];

/// Any bytes as a frame of every link type, in both faces.
pub fn fuzz_decode(data: &[u8]) {
    for link in LINKS {
        check_frame(&Frame { bytes: data, wire_len: data.len() as u32, at: Time(1), link, ..Frame::default() });
    }
}

/// F1 for one frame: offsets lie inside it; both paths agree; each of its prefixes decodes to the same with less payload, or ends as
/// Truncated, never to more. Whichever tunnels are entered.
pub fn check_frame(frame: &Frame<'_>) {
    let native = Tunnels::ALL.map(|tunnels| (Face::Native, tunnels));
    for (face, tunnels) in
        native.into_iter().chain([(Face::Ipfixprobe, Tunnels::Ip), (Face::Ipfixprobe, Tunnels::Both)])
    {
        // A direction more is no other way through the layers.
        let splits = if tunnels == Tunnels::default() { &[false, true][..] } else { &[false] };
        for split in splits {
            let config = DecodeConfig { face, split: *split, tunnels, ..DecodeConfig::default() };
            let whole = decoded(frame, &config);
            for end in 0..frame.bytes.len() {
                let wire_len = frame.wire_len.max(frame.bytes.len() as u32);
                let cut = Frame { bytes: &frame.bytes[..end], wire_len, ..*frame };
                check_prefix(&whole, &decoded(&cut, &config), end);
            }
        }
    }
    check_tunnels(frame);
}

/// The ways to enter tunnels, held against each other: who goes by the outside has the same packet whatever is inside; who looks into UDP loses
/// no packet that others have, unless the capture cut it; both is outer and inner.
fn check_tunnels(frame: &Frame<'_>) {
    let [ip, inner, outer, both] =
        Tunnels::ALL.map(|tunnels| decoded(frame, &DecodeConfig { tunnels, ..DecodeConfig::default() }));
    assert_eq!(both, outer);
    if let Ok(outer) = &outer {
        assert!(outer.tunnel().is_none());
        let mut packet = Packet::default();
        let config = DecodeConfig { tunnels: Tunnels::Both, ..DecodeConfig::default() };
        let inside = decode_inner(frame, &config, &mut packet).map(|found| found.map(|()| packet));
        match (&inside, &inner) {
            (None, Ok(inner)) => assert_eq!(inner, outer, "no tunnel, one packet"),
            (Some(inside), inner) => assert_eq!(inside, inner),
            (None, Err(why)) => panic!("{why:?} without a tunnel around it"),
        }
    }
    if ip.is_ok() {
        let is_cut = frame.wire_len as usize > frame.bytes.len();
        assert!(inner.is_ok() || is_cut && inner == Err(PacketDrop::Truncated), "{inner:?} loses {ip:?}");
    }
}

/// Any bytes as TCP options (F2): each step consumes, nothing is invented.
pub fn fuzz_tcp_options(data: &[u8]) {
    let header = [&[0; 20], data].concat();
    let mut consumed = 0;
    for option in tcp::options(&header) {
        consumed += if option.kind <= tcp::kind::NO_OPERATION { 1 } else { 2 + option.body.len() };
        assert!(consumed <= data.len());
    }
    let mask = tcp::options_mask(&header);
    assert!(mask.count_ones() as usize <= data.len());
    assert!(tcp::mss(&header).is_none() || mask >> 5 & 1 == 1, "an MSS shows in the mask");
    tcp::mss_original(data);
    let _ = tcp::accepted_by_original(data);
}

/// Any bytes as a sequence of fragments (F4), held against a model: the newest entry of a ring of four, no more and no less.
pub fn fuzz_fragments(data: &[u8]) {
    const TIMEOUT: u32 = 3;
    let mut cache = FragmentCache::new(1, TIMEOUT, HashSeed::fixed([1, 3, 5, 7]));
    let mut model: Vec<(u8, u8, u64, u16)> = Vec::new();
    let mut expected = FragmentStats::default();
    let mut now = 0;
    for step in data.chunks_exact(4) {
        let &[kind, id, host, wait] = step else { break };
        let (id, host) = (id % 8, host % 3);
        now += u64::from(wait) * 10_000_000;
        let bytes = ipv4_header(kind % 3, id, host);
        let mut packet = Packet::default();
        let frame = Frame { bytes: &bytes, wire_len: 40, at: Time(now), link: LinkType::RawIp, ..Frame::default() };
        let config = DecodeConfig::default();
        decode(&frame, &config, &mut packet).expect("a whole header");
        let before = packet;
        cache.resolve(&mut packet, &bytes, config.split);
        match packet.fragment {
            Fragment::No => assert_eq!(packet, before),
            Fragment::First => {
                expected.fragments += 1;
                expected.first += 1;
                model.push((id, host, now, packet.src_port));
                assert_eq!(packet, before);
            }
            Fragment::Later => {
                expected.fragments += 1;
                let ring = &model[model.len().saturating_sub(RING)..];
                let wanted = match ring.iter().rev().find(|d| (d.0, d.1) == (id, host)) {
                    None => {
                        expected.not_found += 1;
                        0
                    }
                    Some(d) if now > d.2 + u64::from(TIMEOUT) * 1_000_000_000 => {
                        expected.timed_out += 1;
                        0
                    }
                    Some(d) => d.3,
                };
                assert_eq!(packet.src_port, wanted);
                check_packet(&packet, &bytes, &config);
            }
        }
        assert_eq!(cache.stats(), expected);
    }
}

/// Both paths, compared; what was found, checked.
fn decoded(frame: &Frame<'_>, config: &DecodeConfig) -> Result<Packet, PacketDrop> {
    let (mut fast, mut layers) = (Packet::default(), Packet::default());
    let found = decode(frame, config, &mut fast).map(|()| fast);
    assert_eq!(found, decode_layers(frame, config, &mut layers).map(|()| layers), "the paths differ");
    if let Ok(packet) = &found {
        check_packet(packet, frame.bytes, config);
        assert_eq!(packet.at, config.face.time(frame.at), "the decoder cuts times as the face does");
    }
    found
}

fn check_packet(p: &Packet, bytes: &[u8], config: &DecodeConfig) {
    let [l3, l4, payload_at, payload_len] = [p.l3, p.l4, p.payload_at, p.payload_len].map(usize::from);
    assert!(l3 + 20 <= l4 && l4 <= payload_at && payload_at + payload_len <= bytes.len(), "{p:?}");
    assert!(p.payload_len <= p.payload_wire);
    assert!(p.mac_form != MacForm::Ethernet || usize::from(p.mac_at) + 12 <= l3);
    assert!(p.mac_form != MacForm::SourceOnly || usize::from(p.mac_at) + 6 <= l3);
    let view = PacketView { packet: p, bytes };
    assert_eq!(view.payload().len(), payload_len);
    let sent = [Endpoint { ip: view.src_ip(), port: p.src_port }, Endpoint { ip: view.dst_ip(), port: p.dst_port }];
    let (first, second) = p.key.endpoints();
    assert_eq!(if p.reversed { [second, first] } else { [first, second] }, sent);
    assert_eq!((p.key.ip_version(), p.key.protocol(), p.key.vlan()), (p.ip_version, p.protocol, p.vlan));
    assert!(!(config.split && p.reversed));
    assert_eq!(bytes[l3] >> 4, p.ip_version);
    if let Some(tunnel) = view.tunnel() {
        assert!(!config.face.is_original() && config.tunnels != Tunnels::Outer && tunnel.depth() >= 1);
        let (src, dst) = tunnel.addresses();
        assert_eq!(src.is_ipv4(), dst.is_ipv4());
        let _ = (tunnel.kind().name(), tunnel.ports(), tunnel.id(), tunnel.inner_id(), tunnel.segment());
    }
}

fn check_prefix(whole: &Result<Packet, PacketDrop>, cut: &Result<Packet, PacketDrop>, end: usize) {
    match (whole, cut) {
        (_, Err(PacketDrop::Truncated)) => {}
        (Ok(whole), Ok(cut)) => {
            let payload_len = whole.payload_len.min((end - usize::from(whole.payload_at)) as u16);
            assert_eq!(*cut, Packet { payload_len, ..*whole });
        }
        (Err(whole), Err(cut)) => assert_eq!(whole, cut),
        _ => panic!("{end} bytes of {whole:?} decode to {cut:?}"),
    }
}

/// IPv4 and UDP: whole, first fragment, or a later one. The port tells the datagram and its sender.
fn ipv4_header(kind: u8, id: u8, host: u8) -> [u8; 40] {
    let mut b = [0; 40];
    b[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, id, [0, 0x20, 0][kind as usize % 3], kind / 2, 64, 17, 0, 0]);
    b[12..16].copy_from_slice(&[10, 0, 0, host]);
    b[16..20].copy_from_slice(&[10, 0, 0, 200]);
    b[20..24].copy_from_slice(&[id + 1, host, 0, 53]);
    b
}
