use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;

/// A session with sequence numbers: who says what.
fn play(options: &[&str], said: &[(char, &str)]) -> (Step, Vec<Pop3Record>) {
    let mut h = Harness::<Pop3>::with_options(options, Face::Native);
    let (mut next, mut step) = ([1u32; 2], Step::More);
    for (who, text) in said {
        let back = *who == 'S';
        let (direction, from, to) = if back { (Reverse, PORT, 40_000) } else { (Forward, 40_000, PORT) };
        let (packet, mut bytes) = frame(direction, from, to, TCP, &[], text.as_bytes());
        bytes[24..28].copy_from_slice(&next[usize::from(back)].to_be_bytes());
        next[usize::from(back)] += text.len() as u32;
        step = h.frame(direction, packet, &bytes);
    }
    (step, h.records())
}

#[test]
fn a_session() {
    let said = [
        ('S', "+OK POP3 ready <1896.697170952@example.org>\r\n"),
        ('C', "CAPA\r\n"),
        ('S', "+OK\r\nUSER\r\n-ERR is a capability here\r\n.\r\n"),
        ('C', "USER alice@exa"),
        ('C', "mple.org\r\n"),
        ('S', "+OK\r\n"),
        ('C', "PASS wrong\r\n"),
        ('S', "-ERR [AUTH] no\r\n"),
        ('C', "APOP bob c4c9334bac560ecc979e58001b3e22fb\r\n"),
        ('S', "+OK 2 messages\r\n"),
        ('C', "RETR 1\r\n"),
        ('S', "+OK\r\nSubject: x\r\n\r\n-ERR in a letter\r\n..\r\n"),
        ('S', ".\r\n"),
        ('C', "DELE 1\r\n"),
        ('S', "+OK\r\n"),
        ('C', "RETR 9\r\n"),
        ('S', "-ERR no such message\r\n"),
        ('C', "QUIT\r\n"),
        ('S', "+OK\r\n"),
    ];
    let (step, records) = play(&[], &said);
    let mut text = String::new();
    Pop3::text(&records[0], &mut text);
    let names = "pop3user=\"bob\",pop3greeting=\"POP3 ready <1896.697170952@example.org>\",";
    let numbers = "commands=18983,errors=2,login=2,failures=1,retrieved=2,deleted=1,tls=0";
    assert_eq!((step, text), (Step::More, format!("{names}{numbers}")));
    assert!(play(&["u=no"], &said).1[0].user.is_empty());
    assert!(Pop3::new(&["pass"], Face::Native).is_err());
}

#[test]
fn secrets_are_not_kept() {
    let said = [
        ('C', "AUTH PLAIN\r\n"),
        ('S', "+ \r\n"),
        ('C', "USER c2VjcmV0\r\n"),
        ('S', "-ERR\r\n"),
        ('C', "USER a\r\n"),
        ('S', "+OK\r\n"),
        ('C', "PASS c2Vjc"),
        ('C', "mV0\r\n"),
        ('S', "+OK\r\n"),
    ];
    let (_, records) = play(&[], &said);
    let r = &records[0];
    assert!(!format!("{r:?}").contains("c2V"));
    assert_eq!((r.user.as_bytes(), r.login, r.failures), (&b"a"[..], ACCEPTED, 1));
}

#[test]
fn encryption_ends_the_interest() {
    for (answer, tls, last) in [("+OK Begin\r\n", 2, Step::Done), ("-ERR no\r\n", 1, Step::More)] {
        let (step, records) = play(&[], &[('S', "+OK hi\r\n"), ('C', "STLS\r\n"), ('S', answer)]);
        assert_eq!((step, records[0].tls), (last, tls));
    }
}

#[test]
fn other_protocols_on_the_port() {
    for (protocol, payload) in
        [(TCP, &b"\x16\x03\x01\x02\x00\x01"[..]), (TCP, &b"GET / HTTP/1.1\r\n\r\n"[..]), (UDP, &b"QUIT\r\n"[..])]
    {
        let mut h = Harness::<Pop3>::new(Face::Native);
        assert_eq!(h.packet(Forward, 40_000, PORT, protocol, payload), Step::Done);
        assert!(h.records().is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(said in prop::collection::vec(("[CS]", "(USER|PASS|AUTH|STLS|RETR|\\+OK|-ERR|\\.)[ ]?.{0,40}(\r\n)?"), 0..8)) {
        let said: Vec<(char, &str)> = said.iter().map(|(who, text)| (if who == "S" { 'S' } else { 'C' }, text.as_str())).collect();
        prop_assert!(play(&[], &said).1.len() <= 1);
    }
}
