use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use proptest::prelude::*;

/// A session with sequence numbers; what begins with a digit is the server's.
fn play(options: &[&str], said: &[&str]) -> (Vec<Step>, Vec<FtpRecord>) {
    let mut h = Harness::<Ftp>::with_options(options, Face::Native);
    let mut next = [1u32; 2];
    let steps = said.iter().map(|text| {
        let back = text.starts_with(|c: char| c.is_ascii_digit());
        let (direction, from, to) = if back { (Reverse, PORT, 40_000) } else { (Forward, 40_000, PORT) };
        let (packet, mut bytes) = frame(direction, from, to, TCP, &[], text.as_bytes());
        bytes[24..28].copy_from_slice(&next[usize::from(back)].to_be_bytes());
        next[usize::from(back)] += text.len() as u32;
        h.frame(direction, packet, &bytes)
    });
    (steps.collect(), h.records())
}

#[test]
fn a_session() {
    let said = [
        "220-FTP of Example\r\n530 is not the end\r\n220 ready\r\n",
        "USER ali",
        "ce\r\n",
        "331 Password, please\r\n",
        "PASS wrong\r\n",
        "530 Login incorrect.\r\n",
        "user bob\r\npass secret\r\n",
        "331 Password\r\n230 Welcome\r\n",
        "EPSV\r\n",
        "229 Entering (|||6446|)\r\n",
        "RETR /pub/a file.txt\r\n",
        "150 Here it comes\r\n226 Done\r\n",
        "STOR b\r\n",
        "553 Not here\r\n",
        "XYZZY\r\n",
        "500 What?\r\n",
    ];
    let (steps, records) = play(&[], &said);
    assert!(steps.iter().all(|step| *step == Step::More));
    let mut text = String::new();
    Ftp::text(&records[0], &mut text);
    let names = "ftpuser=\"bob\",ftpgreeting=\"FTP of Example\",ftpfile=\"/pub/a file.txt\",";
    assert_eq!(text, format!("{names}commands=32995,reply=500,errors=3,login=2,failures=1,retrieved=1,stored=1,tls=0"));
    let (_, records) = play(&["user=no"], &said);
    assert!(records[0].user.is_empty());
    assert!(Ftp::new(&["pass"], Face::Native).is_err());
}

#[test]
fn passwords_are_not_kept() {
    let (_, records) = play(&[], &["USER a\r\n", "PASS hun", "ter2\r\n", "ACCT hunter3\r\n", "230 in\r\n"]);
    assert!(!format!("{:?}", records[0]).contains("hunter"));
}

#[test]
fn encryption_ends_the_interest() {
    for (answer, tls, last) in [("234 Proceed\r\n", 2, Step::Done), ("502 No\r\n", 1, Step::More)] {
        let (steps, records) = play(&[], &["220 hi\r\n", "AUTH TLS\r\n", answer]);
        assert_eq!((steps[2], records[0].tls), (last, tls));
    }
}

#[test]
fn other_protocols_on_the_port() {
    for (protocol, payload) in
        [(TCP, &b"\x16\x03\x01\x02\x00\x01"[..]), (TCP, &b"GET / HTTP/1.1\r\n\r\n"[..]), (UDP, &b"USER a\r\n"[..])]
    {
        let mut h = Harness::<Ftp>::new(Face::Native);
        assert_eq!(h.packet(Forward, 40_000, PORT, protocol, payload), Step::Done);
        assert!(h.records().is_empty());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(said in prop::collection::vec("(USER|PASS|AUTH|RETR|220|230|234|530)[ -]?.{0,40}(\r\n)?", 0..8)) {
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        prop_assert!(play(&[], &said).1.len() <= 1);
    }
}
