use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn message(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let one = |(kind, value): &(u16, &[u8])| {
        let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
        [&kind.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value, &padding].concat()
    };
    let body: Vec<u8> = attributes.iter().flat_map(one).collect();
    [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), &COOKIE, &[0xb7; 12], &body].concat()
}

fn play(protocol: u8, messages: &[Vec<u8>]) -> Vec<StunRecord> {
    let mut h = Harness::<Stun>::new(Face::Native);
    for (nth, message) in messages.iter().enumerate() {
        match nth % 2 {
            0 => h.packet(Forward, 40_000, 3478, protocol, message),
            _ => h.packet(Reverse, 3478, 40_000, protocol, message),
        };
    }
    h.records()
}

fn text(r: &StunRecord) -> String {
    let mut text = String::new();
    Stun::text(r, &mut text);
    text
}

/// The messages of RFC 5769 sections 2.1 and 2.2, without integrity and fingerprint.
#[test]
fn the_published_examples() {
    let request: &[(u16, &[u8])] = &[
        (SOFTWARE, b"STUN test client"),
        (PRIORITY, &[0x6e, 0, 1, 0xff]),
        (ICE_CONTROLLED, &[0x93; 8]),
        (6, b"evtj:h6vY"),
    ];
    // 192.0.2.1 port 32853.
    let response: &[(u16, &[u8])] =
        &[(SOFTWARE, b"test vector"), (XOR_MAPPED_ADDRESS, &[0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43])];
    let records = play(UDP, &[message(0x0001, request), message(0x0101, response)]);
    let ends = "mapped=192.0.2.1,mappedport=32853,relayed=0.0.0.0";
    let names = "software=\"STUN test client\",softwarerev=\"test vector\",realm=\"\"";
    assert_eq!(text(&records[0]), format!("stunmethods=2,classes=5,ice=1,{ends},{names},error=0"));
}

#[test]
fn a_relay() {
    let v6 = [&[0, 2, 0xa1, 0x47][..], &[0x01, 0x13, 0xa9, 0xfa], &[0xb7 ^ 1; 12]].concat();
    let refusal: &[(u16, &[u8])] = &[(ERROR_CODE, b"\0\0\x04\x01Unauthorized"), (REALM, b"example.org")];
    let granted: &[(u16, &[u8])] = &[
        (XOR_RELAYED_ADDRESS, &[0, 1, 0, 0, 0x21 ^ 198, 0x12 ^ 51, 0xa4 ^ 100, 0x42 ^ 7]),
        (XOR_MAPPED_ADDRESS, &v6),
        (MAPPED_ADDRESS, &[0, 1, 0, 9, 9, 9, 9, 9]),
    ];
    let asks = message(0x0003, &[]);
    let records =
        play(TCP, &[asks.clone(), message(0x0113, refusal), asks, message(0x0103, granted), message(0x0016, &[])]);
    let ends = "mapped=2001:db8:101:101:101:101:101:101,mappedport=32853,relayed=198.51.100.7";
    let names = "software=\"\",softwarerev=\"\",realm=\"example.org\"";
    assert_eq!(text(&records[0]), format!("stunmethods=72,classes=15,ice=0,{ends},{names},error=401"));
}

#[test]
fn what_is_none() {
    let mut rtp = message(1, &[]);
    rtp[0] = 0x80;
    let mut odd = message(1, &[]);
    odd[3] = 3;
    let mut old = message(1, &[]);
    old[4] = 0;
    for payload in [rtp, odd, old, message(1, &[])[..19].to_vec()] {
        assert!(play(UDP, &[payload]).is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(kind in 0u16..0x4000, body in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut bytes = message(kind, &[]);
        bytes[3] = body.len() as u8 & !3;
        bytes.extend(&body);
        prop_assert_eq!(play(UDP, &[bytes]).len(), 1);
    }
}
