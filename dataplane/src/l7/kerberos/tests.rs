use super::*;
use crate::packet::Direction::{self, Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len() as u16;
    let len = if len < 128 { vec![len as u8] } else { [&[0x82][..], &len.to_be_bytes()].concat() };
    [&[tag][..], &len, content].concat()
}
fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 + number, content)
}
fn name(components: &[&str]) -> Vec<u8> {
    let components: Vec<u8> = components.iter().flat_map(|part| tagged(0x1b, part.as_bytes())).collect();
    sequence(&[field(0, &[2, 1, 1]), field(1, &sequence(&components))].concat())
}
fn application(number: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x60 + number, &sequence(&fields.concat()))
}

/// A login; `along` bytes stand before what is looked for.
fn request(along: usize) -> Vec<u8> {
    let body =
        [field(1, &name(&["alice"])), field(2, &tagged(0x1b, b"A.EXAMPLE")), field(3, &name(&["krbtgt", "A.EXAMPLE"]))];
    let along = field(3, &sequence(&vec![0; along]));
    application(AS_REQ, &[field(1, &[2, 1, 5]), field(2, &[2, 1, 10]), along, field(4, &sequence(&body.concat()))])
}
fn reply() -> Vec<u8> {
    let ticket =
        application(1, &[field(0, &[2, 1, 5]), field(1, &tagged(0x1b, b"A.EXAMPLE")), field(2, &name(&["cifs", "b"]))]);
    application(TGS_REP, &[field(3, &tagged(0x1b, b"A.EXAMPLE")), field(4, &name(&["bob"])), field(5, &ticket)])
}
fn error(code: u8) -> Vec<u8> {
    application(ERROR, &[field(6, &[2, 1, code]), field(9, &tagged(0x1b, b"B.EXAMPLE")), field(10, &name(&["krbtgt"]))])
}

fn text(h: &mut Harness<Kerberos>) -> String {
    let mut out = String::new();
    h.records().iter().for_each(|r| Kerberos::text(r, &mut out));
    out
}

#[test]
fn a_login_that_is_refused() {
    let mut h = Harness::<Kerberos>::new(Face::Native);
    for (direction, message) in
        [(Forward, request(0)), (Reverse, error(24)), (Forward, request(0)), (Reverse, error(25))]
    {
        let (src, dst) = if direction == Forward { (40_000, 88) } else { (88, 40_000) };
        assert_eq!(h.packet(direction, src, dst, UDP, &message), Step::More);
    }
    assert_eq!(
        text(&mut h),
        "krbrequest=10,reply=30,realm=\"B.EXAMPLE\",cname=\"alice\",sname=\"krbtgt\",error=25,failures=1"
    );
}

#[test]
fn a_ticket() {
    let mut h = Harness::<Kerberos>::new(Face::Native);
    h.packet(Reverse, 88, 40_000, UDP, &reply());
    assert_eq!(
        text(&mut h),
        "krbrequest=0,reply=13,realm=\"A.EXAMPLE\",cname=\"bob\",sname=\"cifs/b\",error=0,failures=0"
    );
}

fn stream(direction: Direction, stream: &[u8], piece: usize, h: &mut Harness<Kerberos>) {
    let (src, dst) = if direction == Forward { (40_000, 88) } else { (88, 40_000) };
    let mut next = 100u32;
    for part in stream.chunks(piece) {
        let (packet, mut bytes) = frame(direction, src, dst, TCP, &[], part);
        bytes[24..28].copy_from_slice(&next.to_be_bytes());
        assert_eq!(h.frame(direction, packet, &bytes), Step::More);
        next += part.len() as u32;
    }
}

fn behind_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

#[test]
fn messages_in_segments() {
    for piece in [500, 1448, 4000] {
        let mut h = Harness::<Kerberos>::new(Face::Native);
        stream(Forward, &behind_length(&request(2000)), piece, &mut h);
        stream(Reverse, &behind_length(&error(6)), piece, &mut h);
        let expected = "krbrequest=10,reply=30,realm=\"B.EXAMPLE\",cname=\"alice\",sname=\"krbtgt\",error=6,failures=1";
        assert_eq!(text(&mut h), expected, "pieces of {piece}");
    }
}

/// More than is joined: read as far as the first segment goes.
#[test]
fn a_message_that_is_too_long() {
    let mut h = Harness::<Kerberos>::new(Face::Native);
    stream(Forward, &behind_length(&request(9000)), 1448, &mut h);
    assert_eq!(text(&mut h), "krbrequest=10,reply=0,realm=\"\",cname=\"\",sname=\"\",error=0,failures=0");
}

#[test]
fn a_message_that_stays_in_pieces_is_not_exported() {
    let mut h = Harness::<Kerberos>::new(Face::Native);
    stream(Forward, &behind_length(&request(2000))[..1000], 1000, &mut h);
    assert!(h.records().is_empty());
}

#[test]
fn what_is_not_kerberos() {
    for (transport, payload) in [(UDP, &b"GET /"[..]), (TCP, b"GET / HTTP/1.1"), (TCP, b"x")] {
        let mut h = Harness::<Kerberos>::new(Face::Native);
        assert_eq!(h.packet(Forward, 40_000, 88, transport, payload), Step::Done);
        assert!(h.records().is_empty());
    }
}

proptest! {
    #[test]
    fn damage_is_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, which in 0usize..3) {
        let mut message = [request(0), reply(), error(24)][which].clone();
        let at = at.index(message.len());
        message[at] = byte;
        message.truncate(cut.index(message.len() + 1));
        let mut h = Harness::<Kerberos>::new(Face::Native);
        h.packet(Forward, 40_000, 88, UDP, &message);
        let mut h2 = Harness::<Kerberos>::new(Face::Native);
        h2.packet(Forward, 40_000, 88, TCP, &behind_length(&message));
        prop_assert!(h.records().len() <= 1 && h2.records().len() <= 1);
    }
}
