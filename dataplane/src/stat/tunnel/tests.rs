use super::*;
use crate::capture::{Frame, LinkType};
use crate::packet::decode::{DecodeConfig, decode};
use crate::packet::{Packet, Tunnels};
use crate::plugin::testing::Harness;
use Direction::{Forward, Reverse};

/// IPv4 around something that has no checksum here.
fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, inner: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + inner.len() as u16).to_be_bytes();
    [&[0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0][..], &src, &dst, inner].concat()
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    [&[src, dst, len, 0].map(u16::to_be_bytes).concat(), payload].concat()
}

/// A question or an answer of two users behind the ends of a GTP-U tunnel, which is the inside of another one if there is a key.
fn packet(direction: Direction, teid: u32, outer_src_port: u16, key: Option<u32>) -> Vec<u8> {
    fn turned<T>(direction: Direction, a: T, b: T) -> (T, T) {
        if direction == Forward { (a, b) } else { (b, a) }
    }
    let turn = |a: [u8; 4], b| turned(direction, a, b);
    let (src, dst) = turn([10, 9, 9, 1], [10, 9, 9, 2]);
    let (asks, answers) = turned(direction, 4000, 53);
    let user = ipv4(src, dst, 17, &udp(asks, answers, b"hello"));
    let gtp = [&[0x30, 255][..], &(user.len() as u16).to_be_bytes(), &teid.to_be_bytes(), &user].concat();
    let (src, dst) = turn([192, 0, 2, 1], [192, 0, 2, 2]);
    let datagram = ipv4(src, dst, 17, &udp(outer_src_port, 2152, &gtp));
    let Some(key) = key else { return datagram };
    let (src, dst) = turn([198, 51, 100, 1], [198, 51, 100, 2]);
    ipv4(src, dst, 47, &[&[0x20, 0, 8, 0][..], &key.to_be_bytes(), &datagram].concat())
}

fn records(packets: &[(Direction, Vec<u8>)]) -> Vec<TunnelRecord> {
    let mut harness = Harness::<TunnelStat>::new(Face::Native);
    for (direction, bytes) in packets {
        let frame = Frame { bytes, wire_len: bytes.len() as u32, link: LinkType::RawIp, ..Frame::default() };
        let mut packet = Packet::default();
        let config = DecodeConfig { tunnels: Tunnels::Inner, ..DecodeConfig::default() };
        decode(&frame, &config, &mut packet).expect("a packet");
        harness.frame(*direction, packet, bytes);
    }
    harness.records()
}

#[test]
fn each_direction_has_its_number_and_port() {
    let both = [
        (Forward, packet(Forward, 7, 50_001, None)),
        (Forward, packet(Forward, 8, 50_002, None)),
        (Reverse, packet(Reverse, 9, 50_003, None)),
        (Reverse, packet(Reverse, 10, 50_004, None)),
    ];
    let [record] = &records(&both)[..] else { panic!("one record") };
    assert_eq!((record.kind, record.depth, record.inner_kind), (10, 1, 10));
    assert_eq!((record.src_ip, record.dst_ip), ([192, 0, 2, 1].into(), [192, 0, 2, 2].into()));
    assert_eq!((record.src_port, record.dst_port, record.src_port_rev), (50_001, 2152, 50_003));
    assert_eq!((record.id, record.id_rev, record.inner_id, record.inner_id_rev), (7, 9, 7, 9));
    let mut text = String::new();
    TunnelStat::text(record, &mut text);
    assert_eq!(text, r#"tunnel="10",depth="1",src="192.0.2.1",dst="192.0.2.2",sport="50001",dport="2152",id="7""#);
    let mut summary = String::new();
    TunnelStat::summary(record, &mut summary);
    assert_eq!(summary, "in gtp-u 7 192.0.2.1 > 192.0.2.2");
}

#[test]
fn the_outside_is_the_outermost_and_the_number_is_told_of_both() {
    let [record] = &records(&[(Forward, packet(Forward, 7, 50_001, Some(77)))])[..] else { panic!("one record") };
    assert_eq!((record.kind, record.depth, record.inner_kind), (2, 2, 10));
    assert_eq!((record.id, record.inner_id, record.id_rev), (77, 7, 0));
    assert_eq!((record.src_ip, record.src_port), (IpAddr::from([198, 51, 100, 1]), 0));
    let mut summary = String::new();
    TunnelStat::summary(record, &mut summary);
    assert_eq!(summary, "in gre and gtp-u 7 198.51.100.1 > 198.51.100.2");
}

#[test]
fn a_record_that_begins_with_an_answer_keeps_the_sides() {
    let answer_first = [(Reverse, packet(Reverse, 9, 50_003, None)), (Forward, packet(Forward, 7, 50_001, None))];
    let [record] = &records(&answer_first)[..] else { panic!("one record") };
    assert_eq!((record.src_ip, record.dst_ip), ([192, 0, 2, 1].into(), [192, 0, 2, 2].into()));
    assert_eq!((record.id, record.id_rev, record.src_port, record.src_port_rev), (7, 9, 50_001, 50_003));
}

#[test]
fn a_flow_without_a_tunnel_has_no_record() {
    let plain = ipv4([10, 9, 9, 1], [10, 9, 9, 2], 17, &udp(4000, 53, b"hello"));
    assert!(records(&[(Forward, plain.clone()), (Forward, plain)]).is_empty());
}
