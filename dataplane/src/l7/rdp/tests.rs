use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::TCP;
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn x224(code: u8, variable: &[u8]) -> Vec<u8> {
    let len = (11 + variable.len()) as u16;
    [&[3, 0][..], &len.to_be_bytes(), &[6 + variable.len() as u8, code, 0, 0, 0x12, 0x34, 0], variable].concat()
}

fn message(kind: u8, value: u32) -> Vec<u8> {
    [&[kind, 0, 8, 0][..], &value.to_le_bytes()].concat()
}

fn exchange(port: u16, request: &[u8], confirm: &[u8]) -> Option<(String, u32, u8, u32, u32)> {
    let mut h = Harness::<Rdp>::new(Face::Native);
    h.packet(Forward, 40_000, port, TCP, &x224(REQUEST, request));
    h.packet(Reverse, port, 40_000, TCP, &x224(CONFIRM, confirm));
    let records = h.records();
    let r = records.first()?;
    let cookie = String::from_utf8_lossy(r.cookie.as_bytes()).into_owned();
    Some((cookie, r.requested, r.answer, r.selected, r.failure))
}

/// The request of [MS-RDPBCGR] 4.1.1 and the confirm of 4.1.2.
#[test]
fn the_published_example() {
    let request =
        b"\x03\x00\x00\x2c\x27\xe0\x00\x00\x00\x00\x00Cookie: mstshash=eltons\r\n\x01\x00\x08\x00\x00\x00\x00\x00";
    let confirm = b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x00\x00\x00\x00";
    let mut h = Harness::<Rdp>::new(Face::Native);
    assert_eq!(h.packet(Forward, 40_000, 3389, TCP, request), Step::More);
    assert_eq!(h.packet(Reverse, 3389, 40_000, TCP, confirm), Step::Done);
    let mut text = String::new();
    Rdp::text(&h.records()[0], &mut text);
    assert_eq!(text, "rdpcookie=\"eltons\",requested=0,selected=0,answer=2,failure=0");
}

#[test]
fn negotiations() {
    let named = [b"Cookie: mstshash=bob\r\n", &message(1, 3)[..]].concat();
    let answer = |kind, value| exchange(3389, &named, &message(kind, value));
    assert_eq!(answer(2, 2), Some(("bob".into(), 3, 2, 2, 0)));
    assert_eq!(answer(3, 5), Some(("bob".into(), 3, 3, 0, 5)));
    assert_eq!(exchange(3389, b"", b""), Some((String::new(), 0, 1, 0, 0)), "before security was negotiated");
    let token = [b"Cookie: msts=3640205228.15629.0000\r\n", &message(1, 1)[..]].concat();
    assert_eq!(exchange(4000, &token, &message(2, 1)), Some((String::new(), 1, 2, 1, 0)));
    assert_eq!(exchange(4000, &message(1, 8), &message(2, 8)), Some((String::new(), 8, 2, 8, 0)));
}

#[test]
fn other_protocols_over_x224() {
    // S7: parameters of ISO transport, port 102.
    let parameters = b"\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02";
    assert_eq!(exchange(102, parameters, parameters), None);
    assert_eq!(exchange(102, b"", b""), None);
    assert_eq!(exchange(3389, b"Cookie: mstshash=cut", b""), None, "a line that does not end");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(code in prop::sample::select(vec![REQUEST, CONFIRM]), variable in prop::collection::vec(any::<u8>(), 0..200), cut: prop::sample::Index) {
        let mut packet = x224(code, &variable);
        packet.truncate(cut.index(packet.len() + 1));
        let mut h = Harness::<Rdp>::new(Face::Native);
        h.packet(Forward, 40_000, 3389, TCP, &packet);
        h.packet(Reverse, 3389, 40_000, TCP, &packet);
        prop_assert!(h.records().len() <= 1);
    }
}
