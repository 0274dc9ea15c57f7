use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x81, content.len() as u8][..], &content].concat()
}

fn int(value: u8) -> Vec<u8> {
    vec![INTEGER, 1, value]
}

/// 1.3.6.1.2.1.1.1.0, the description of a system.
const DESCRIPTION: &[u8] = &[0x2b, 6, 1, 2, 1, 1, 1, 0];

fn pdu(kind: u8, status: u8, object: &[u8]) -> Vec<u8> {
    let variable = der(SEQUENCE, &[&der(OBJECT, &[object]), &[5, 0]]);
    der(PDU + kind, &[&int(7), &int(status), &int(0), &der(SEQUENCE, &[&variable])])
}

fn plain(version: u32, community: &[u8], pdu: &[u8]) -> Vec<u8> {
    der(SEQUENCE, &[&int(version as u8), &der(OCTETS, &[community]), pdu])
}

fn secure(flags: u8, engine: &[u8], scoped: &[u8]) -> Vec<u8> {
    let header = der(SEQUENCE, &[&int(1), &int(99), &der(OCTETS, &[&[flags]]), &int(3)]);
    let user = der(SEQUENCE, &[&der(OCTETS, &[engine]), &int(0), &int(0), &der(OCTETS, &[b"operator"])]);
    der(SEQUENCE, &[&int(3), &header, &der(OCTETS, &[&user]), scoped])
}

fn play(protocol: u8, messages: &[Vec<u8>]) -> Vec<SnmpRecord> {
    let mut h = Harness::<Snmp>::new(Face::Native);
    for (nth, message) in messages.iter().enumerate() {
        match nth % 2 {
            0 => h.packet(Forward, 40_000, PORT, protocol, message),
            _ => h.packet(Reverse, PORT, 40_000, protocol, message),
        };
    }
    h.records()
}

fn text(r: &SnmpRecord) -> String {
    let mut text = String::new();
    Snmp::text(r, &mut text);
    text
}

#[test]
fn communities() {
    let records =
        play(UDP, &[plain(V2C, b"s3cret", &pdu(0, 0, DESCRIPTION)), plain(V2C, b"s3cret", &pdu(2, 6, &[0x2b, 6, 1]))]);
    let want = "snmpversion=2,community=1,security=0,pdus=5,error=6,errors=1,object=\"1.3.6.1.2.1.1.1.0\",engine=";
    assert_eq!(text(&records[0]), want);
    assert!(!format!("{:?}", records[0]).contains("s3cret"));
    // An enterprise above 127, a joint arc above 39.
    let trap = der(PDU + TRAP_V1, &[&der(OBJECT, &[&[0x88, 0x37, 0x86, 0x8d, 0x1f]]), &der(0x40, &[&[192, 0, 2, 1]])]);
    let records = play(UDP, &[plain(V1, b"", &trap)]);
    assert_eq!(
        text(&records[0]),
        "snmpversion=1,community=0,security=0,pdus=16,error=0,errors=0,object=\"2.999.99999\",engine="
    );
}

#[test]
fn security() {
    let engine = [0x80, 0, 0x1f, 0x88, 4, b'x'];
    let scoped = der(SEQUENCE, &[&der(OCTETS, &[&engine]), &der(OCTETS, &[]), &pdu(8, 0, DESCRIPTION)]);
    let encrypted = der(OCTETS, &[&[1, 2, 3]]);
    let records = play(UDP, &[secure(7, &[], &encrypted), secure(3, &engine, &encrypted)]);
    assert_eq!(
        text(&records[0]),
        "snmpversion=3,community=0,security=3,pdus=0,error=0,errors=0,object=\"\",engine=80001f880478"
    );
    let records = play(UDP, &[secure(7, &[], &encrypted), secure(0, &engine, &scoped)]);
    assert_eq!((records[0].security, records[0].pdus), (1, 256));
    assert!(!format!("{:?}", records[0]).contains("operator"));
}

#[test]
fn what_is_none() {
    let good = plain(V1, b"c", &pdu(0, 0, DESCRIPTION));
    assert!(
        play(UDP, &[plain(9, b"c", &pdu(0, 0, DESCRIPTION)), plain(V1, b"c", &pdu(9, 0, &[])), vec![0x30]]).is_empty()
    );
    assert!(play(TCP, std::slice::from_ref(&good)).is_empty());
    assert_eq!(play(UDP, &[good[..good.len() - 9].to_vec()]).len(), 1, "cut by the snap length");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, object in prop::collection::vec(any::<u8>(), 0..60)) {
        for mut message in [plain(V2C, b"c", &pdu(2, 1, &object)), secure(0, &[1], &pdu(1, 0, &object))] {
            prop_assert_eq!(play(UDP, std::slice::from_ref(&message)).len(), 1);
            let at = at.index(message.len());
            message[at] = byte;
            prop_assert!(play(UDP, &[message]).len() <= 1);
        }
    }
}
