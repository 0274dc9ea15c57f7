use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn v4(op: u8, yours: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![op, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(yours);
    bytes.resize(28, 0);
    bytes.extend([2, 0, 0, 0, 0, 9]);
    bytes.resize(236, 0);
    bytes.extend([99, 130, 83, 99]);
    options.iter().for_each(|(code, value)| bytes.extend([&[*code, value.len() as u8], *value].concat()));
    bytes.extend([0, 255]);
    bytes
}

fn v6(kind: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
    [&[kind, 0, 0, 1][..], &packed(options)].concat()
}

fn packed(options: &[(u16, &[u8])]) -> Vec<u8> {
    let one =
        |(code, value): &(u16, &[u8])| [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat();
    options.iter().flat_map(one).collect()
}

/// Messages over the ports of a version, to the server and back.
fn play(version: u8, messages: &[Vec<u8>]) -> Vec<DhcpRecord> {
    let mut h = Harness::<Dhcp>::new(Face::Native);
    let (client, server) = if version == 4 { (68, 67) } else { (546, 547) };
    for (nth, message) in messages.iter().enumerate() {
        let (direction, from, to) = if nth % 2 == 0 { (Forward, client, server) } else { (Reverse, server, client) };
        h.packet(direction, from, to, UDP, message);
    }
    h.records()
}

fn text(r: &DhcpRecord) -> String {
    let mut text = String::new();
    Dhcp::text(r, &mut text);
    text
}

#[test]
fn an_address_is_asked_for_and_given() {
    let asks: [(u8, &[u8]); 6] = [
        (53, &[3]),
        (50, &[192, 0, 2, 7]),
        (81, b"\x00\x00\x00pc.example.org"),
        (12, b"pc\0"),
        (60, b"MSFT 5.0"),
        (55, &[1, 3, 6, 252]),
    ];
    let gives: [(u8, &[u8]); 3] = [(53, &[5]), (54, &[192, 0, 2, 1]), (51, &[0, 0, 14, 16])];
    let records = play(4, &[v4(1, [0; 4], &asks), v4(2, [192, 0, 2, 7], &gives)]);
    let names = "dhcprequest=3,reply=5,mac=02:00:00:00:00:09,hostname=\"pc\",vendorclass=\"MSFT 5.0\",";
    let rest = "parameters=\"1,3,6,252\",requested=192.0.2.7,assigned=192.0.2.7,server=192.0.2.1,lease=3600";
    assert_eq!(text(&records[0]), format!("{names}{rest}"));
}

#[test]
fn full_names() {
    let cases: [(&[u8], &[u8]); 4] = [
        (b"\x00\x00\x00plain.example.org", b"plain.example.org"),
        (b"\x04\x00\x00\x02pc\x07example\x03org\x00", b"pc.example.org"),
        (b"\x04\x00\x00\x02pc\x07exa", b"pc.exa"),
        (b"\x04\x00", b""),
    ];
    for (value, name) in cases {
        assert_eq!(play(4, &[v4(1, [0; 4], &[(81, value)])])[0].hostname.as_bytes(), name);
    }
}

#[test]
fn version_6_behind_relays() {
    let address = [&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets()[..], &[0, 0, 0, 60, 0, 0, 1, 0]].concat();
    let association = [&[0; 12][..], &packed(&[(5, &address)])].concat();
    let duid = [0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 5];
    let solicit = v6(
        1,
        &[
            (1, &duid),
            (3, &association),
            (16, b"\0\0\x01\x37\x00\x08MSFT 5.0"),
            (39, b"\x00\x02pc\x07example\x00"),
            (6, &[0, 23, 0, 24]),
        ],
    );
    let relay = |kind: u8, inside: &[u8]| [&[kind][..], &[0; 33], &packed(&[(9, inside)])].concat();
    let reply = v6(7, &[(1, &duid), (3, &association)]);
    let records = play(6, &[relay(12, &relay(12, &solicit)), relay(13, &reply)]);
    let names = "dhcprequest=1,reply=7,mac=02:00:00:00:00:05,hostname=\"pc.example\",vendorclass=\"MSFT 5.0\",";
    let rest = "parameters=\"23,24\",requested=2001:db8::7,assigned=2001:db8::7,server=::,lease=256";
    assert_eq!(text(&records[0]), format!("{names}{rest}"));
    let deep = (0..20).fold(solicit, |message, _| relay(12, &message));
    assert!(play(6, &[deep]).is_empty(), "more relays than there may be");
}

#[test]
fn what_is_none() {
    let mut bootp = v4(1, [0; 4], &[]);
    bootp[236] = 0;
    assert!(play(4, &[bootp, v4(3, [0; 4], &[]), vec![1; 40]]).is_empty());
    assert!(play(6, &[v6(99, &[]), vec![1, 2], vec![12; 30]]).is_empty());
    let mut h = Harness::<Dhcp>::new(Face::Native);
    assert_eq!(h.packet(Forward, 68, 67, TCP, &v4(1, [0; 4], &[])), Step::Done);
    assert!(h.records().is_empty());
    let many: Vec<u8> = (0..=255).collect();
    let r = &play(4, &[v4(1, [0; 4], &[(55, &many[100..200])])])[0];
    assert!(r.parameters.as_bytes().ends_with(b",139") && r.parameters.as_bytes().len() <= PARAMETERS_LEN_MAX);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(op in 0u8..14, options in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut message = v4(op, [1; 4], &[]);
        message.truncate(240);
        message.extend(&options);
        prop_assert!(play(4, &[message]).len() <= 1);
        prop_assert!(play(6, &[[&[op, 0, 0, 0][..], &options].concat()]).len() <= 1);
    }
}
