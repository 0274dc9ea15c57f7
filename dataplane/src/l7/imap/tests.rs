use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;

/// A session with sequence numbers: who says what.
fn play(options: &[&str], said: &[(char, &str)]) -> (Step, Vec<ImapRecord>) {
    let mut h = Harness::<Imap>::with_options(options, Face::Native);
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
        ('S', "* OK [CAPABILITY IMAP4rev2] Example ready\r\n"),
        ('C', "a1 login al"),
        ('C', "ice wrong\r\n"),
        ('S', "a1 NO [AUTHENTICATIONFAILED] no\r\n"),
        ('C', "a2 LOGIN {3}\r\n"),
        ('S', "+ go on\r\n"),
        ('C', "bob {6}\r\n"),
        ('S', "+ go on\r\n"),
        ('C', "secret\r\n"),
        ('S', "* CAPABILITY IMAP4rev2\r\na2 OK in\r\n"),
        ('C', "a3 SELECT INBOX\r\na4 UID FETCH 1 BODY[]\r\n"),
        ('S', "a3 OK\r\n* 1 FETCH (BODY[] {27}\r\na5 NO in a letter\r\na6 BAD\r\n)\r\na4 OK\r\n"),
        ('C', "a5 APPEND Sent {18+}\r\na6 LOGIN mallory\r\n\r\n"),
        ('S', "a5 BAD\r\n"),
        ('C', "a7 LOGOUT\r\n"),
    ];
    let (step, records) = play(&[], &said);
    let mut text = String::new();
    Imap::text(&records[0], &mut text);
    let names = "imapuser=\"bob\",imapgreeting=\"[CAPABILITY IMAP4rev2] Example ready\",imapmechanism=\"\",";
    let numbers = "commands=18593,errors=2,login=2,failures=1,tls=0";
    assert_eq!((step, text), (Step::More, format!("{names}{numbers}")));
    assert!(play(&["user=no"], &said).1[0].user.is_empty());
}

#[test]
fn names_in_all_forms() {
    for (login, name) in
        [("a LOGIN bob x", "bob"), ("a LOGIN \"b o b\" x", "b o b"), ("a LOGIN", ""), ("a LOGIN \"cut", "cut")]
    {
        assert_eq!(play(&[], &[('C', format!("{login}\r\n").as_str())]).1[0].user.as_bytes(), name.as_bytes());
    }
}

#[test]
fn secrets_are_not_kept() {
    let said = [
        ('S', "* OK hi\r\n"),
        ('C', "x AUTHENTICATE PLAIN\r\n"),
        ('S', "+ \r\n"),
        ('C', "c2VjcmV0 c2VjcmV0\r\n"),
        ('S', "x NO\r\n"),
        ('C', "y LOGIN bob c2VjcmV0\r\n"),
        ('S', "y OK\r\n"),
        ('S', "* PREAUTH late\r\n"),
    ];
    let (_, records) = play(&[], &said);
    let r = &records[0];
    assert!(!format!("{r:?}").contains("c2V"));
    assert_eq!((r.mechanism.as_bytes(), r.login, r.failures), (&b"PLAIN"[..], ACCEPTED, 1));
    assert_eq!(play(&[], &[('S', "* PREAUTH hi\r\n")]).1[0].login, ACCEPTED);
}

#[test]
fn encryption_ends_the_interest() {
    for (answer, tls, last) in
        [("a OK Begin\r\n", 2, Step::Done), ("a BAD no\r\n", 1, Step::More), ("b OK\r\n", 1, Step::More)]
    {
        let (step, records) = play(&[], &[('S', "* OK hi\r\n"), ('C', "a STARTTLS\r\n"), ('S', answer)]);
        assert_eq!((step, records[0].tls), (last, tls));
    }
}

#[test]
fn other_protocols_on_the_port() {
    for (protocol, payload) in
        [(TCP, &b"\x16\x03\x01\x02\x00\x01"[..]), (TCP, &b"GET / HTTP/1.1\r\n\r\n"[..]), (UDP, &b"a NOOP\r\n"[..])]
    {
        let mut h = Harness::<Imap>::new(Face::Native);
        assert_eq!(h.packet(Forward, 40_000, PORT, protocol, payload), Step::Done);
        assert!(h.records().is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(said in prop::collection::vec(("[CS]", "(\\*|a|\\+)? ?(LOGIN|AUTHENTICATE|STARTTLS|OK|NO|FETCH)[ ]?.{0,40}(\\{[0-9]{0,12}\\+?\\})?(\r\n)?"), 0..8)) {
        let said: Vec<(char, &str)> = said.iter().map(|(who, text)| (if who == "S" { 'S' } else { 'C' }, text.as_str())).collect();
        prop_assert!(play(&[], &said).1.len() <= 1);
    }
}
