use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x82][..], &(content.len() as u16).to_be_bytes(), &content].concat()
}

/// A message with its identifier; lengths in the form of Windows, four bytes each.
fn message(operation: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = [&[INTEGER, 1, 7][..], &ber(operation, fields)].concat();
    [&[SEQUENCE, 0x84][..], &(body.len() as u32).to_be_bytes(), &body].concat()
}

fn bind(name: &[u8], proof: &[u8]) -> Vec<u8> {
    message(0x60, &[&[INTEGER, 1, 3], &ber(OCTETS, &[name]), proof])
}
fn simple(name: &[u8], password: &[u8]) -> Vec<u8> {
    bind(name, &ber(SIMPLE, &[password]))
}
fn sasl(mechanism: &[u8]) -> Vec<u8> {
    bind(b"", &ber(SASL, &[&ber(OCTETS, &[mechanism]), &ber(OCTETS, &[b"s3cret"])]))
}
fn result(operation: u8, code: u8) -> Vec<u8> {
    message(operation, &[&[ENUMERATED, 1, code], &[OCTETS, 0, OCTETS, 0]])
}
fn search() -> Vec<u8> {
    message(0x63, &[&ber(OCTETS, &[b"dc=example"]), &[ENUMERATED, 1, 2, ENUMERATED, 1, 0], &[INTEGER, 1, 0]])
}
fn starttls() -> Vec<u8> {
    message(0x77, &[&ber(REQUEST_NAME, &[START_TLS])])
}
const BOUND: u8 = 0x61;
const EXTENDED: u8 = 0x78;

/// Messages by turns, the client's first.
fn play(protocol: u8, messages: &[Vec<u8>]) -> (Step, Vec<LdapRecord>) {
    let mut h = Harness::<Ldap>::new(Face::Native);
    let mut last = Step::More;
    for (nth, message) in messages.iter().enumerate() {
        assert!(Ldap::may_begin(message));
        last = match nth % 2 {
            0 => h.packet(Forward, 40_000, 389, protocol, message),
            _ => h.packet(Reverse, 389, 40_000, protocol, message),
        };
    }
    (last, h.records())
}

fn text(messages: &[Vec<u8>]) -> String {
    let (_, records) = play(TCP, messages);
    assert!(!format!("{records:?}").contains("s3cret"));
    let mut text = String::new();
    Ldap::text(&records[0], &mut text);
    text
}

#[test]
fn binds() {
    assert_eq!(
        text(&[simple(b"cn=alice", b"s3cret"), result(BOUND, 49), simple(b"cn=alice", b"s3cret!"), result(BOUND, 0)]),
        "ldapversion=3,dn=\"cn=alice\",mechanism=\"\",binds=4,result=0,login=1,failures=1,operations=3,starttls=0"
    );
    assert_eq!(
        text(&[sasl(b"GSSAPI"), result(BOUND, 14), sasl(b"GSSAPI"), result(BOUND, 49)]),
        "ldapversion=3,dn=\"\",mechanism=\"GSSAPI\",binds=8,result=49,login=2,failures=1,operations=3,starttls=0"
    );
    let kinds = |proof| play(TCP, &[proof]).1[0].binds;
    assert_eq!(
        [simple(b"", b""), simple(b"cn=a", b""), bind(b"a", &ber(0x8a, &[b"NTLM"]))].map(kinds),
        [ANONYMOUS_BIND, NAME_ALONE_BIND, OTHER_BIND]
    );
    // A server that is busy, or has closed: nothing about the password.
    let (_, records) = play(TCP, &[simple(b"cn=a", b"s3cret"), result(BOUND, 51)]);
    assert_eq!((records[0].login, records[0].result, records[0].failures), (REFUSED, 51, 0));
}

#[test]
fn several_messages_in_a_segment() {
    let both = [simple(b"cn=alice", b"s3cret"), search()].concat();
    let (step, records) = play(TCP, &[both, [result(BOUND, 0), result(0x65, 0)].concat()]);
    assert_eq!((step, records[0].operations), (Step::More, 1 | 2 | 8 | 32));
    // Of a ticket that goes on in the next segment the mechanism is there.
    let whole = bind(b"", &ber(SASL, &[&ber(OCTETS, &[b"GSS-SPNEGO"]), &ber(OCTETS, &[&[7; 3000]])]));
    assert_eq!(play(TCP, &[whole[..1448].to_vec()]).1[0].mechanism.as_bytes(), b"GSS-SPNEGO");
}

#[test]
fn encryption_ends_the_interest() {
    let (step, records) = play(TCP, &[starttls(), result(EXTENDED, 0)]);
    assert_eq!((step, records[0].starttls), (Step::Done, GRANTED_TLS));
    let (step, records) = play(TCP, &[starttls(), result(EXTENDED, 2)]);
    assert_eq!((step, records[0].starttls), (Step::More, REFUSED_TLS));
    assert_eq!(play(TCP, &[starttls()]).1[0].starttls, ASKED_TLS);
}

#[test]
fn what_is_none() {
    assert_eq!(play(UDP, &[search()]).1[0].operations, 8, "over UDP, as domain controllers are looked for");
    let snmp = [0x30, 0x26, 2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 2, 5, 0];
    let certificate = [0x30, 0x82, 1, 0, 0x30, 0x81, 9];
    assert!(Ldap::may_begin(&snmp) && play(UDP, &[snmp.to_vec()]).1.is_empty());
    assert!(!Ldap::may_begin(&certificate) && !Ldap::may_begin(b"0\x05\x02\x01\x03\x42"));
    // Answers alone, an identifier that is too long, scopes and versions that there are not.
    let alike = message(0x63, &[&ber(OCTETS, &[b""]), &[ENUMERATED, 1, 9, ENUMERATED, 1, 0]]);
    let version = message(0x60, &[&[INTEGER, 1, 9], &ber(OCTETS, &[])]);
    let long = [0x30, 12, INTEGER, 5, 1, 2, 3, 4, 5, 0x60, 3, INTEGER, 1, 3];
    for none in [result(BOUND, 0), alike, version, long.to_vec()] {
        assert!(play(TCP, &[none]).1.is_empty());
    }
    // Once known, an answer counts.
    assert_eq!(play(TCP, &[search(), result(0x64, 0)]).1[0].operations, 8 | 16);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, which in 0usize..4) {
        let mut message = [simple(b"cn=alice", b"s3cret"), sasl(b"PLAIN"), search(), starttls()][which].clone();
        let at = at.index(message.len());
        message[at] = byte;
        message.truncate(cut.index(message.len() + 1));
        let mut h = Harness::<Ldap>::new(Face::Native);
        h.packet(Forward, 40_000, 389, TCP, &message);
        h.packet(Reverse, 389, 40_000, TCP, &result(EXTENDED, byte));
        let records = h.records();
        prop_assert!(records.len() <= 1);
        prop_assert!(records.iter().all(|r| r.operations != 0 && r.starttls <= REFUSED_TLS));
    }
}
