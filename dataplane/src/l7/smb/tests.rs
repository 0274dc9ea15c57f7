use super::*;
use crate::packet::Direction::{self, Forward, Reverse};
use crate::packet::protocol::TCP;
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn message(command: u16, status: u32, response: bool, body: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(PROTOCOL);
    header[STATUS_AT..STATUS_AT + 4].copy_from_slice(&status.to_le_bytes());
    header[COMMAND_AT..COMMAND_AT + 2].copy_from_slice(&command.to_le_bytes());
    header[FLAGS_AT] = response.into();
    let len = (HEADER_LEN + body.len()) as u32;
    [&len.to_be_bytes()[..], &header, body].concat()
}

fn dialect(dialect: u16) -> Vec<u8> {
    message(NEGOTIATE, 0, true, &[&[65, 0, 1, 0][..], &dialect.to_le_bytes(), &[0; 58]].concat())
}

fn status(status: u32) -> Vec<u8> {
    message(SESSION_SETUP, status, true, &[9, 0, 0, 0, 0, 0, 0, 0])
}

/// A session setup whose NTLM message has these names, inside some SPNEGO.
fn setup(names: [&[u8]; 3], flags: u32) -> Vec<u8> {
    let mut ntlm = [NTLM, &AUTHENTICATE.to_le_bytes(), &[0; 16]].concat();
    let mut at = 72u32;
    for name in names {
        let len = (name.len() as u16).to_le_bytes();
        ntlm.extend([&len[..], &len, &at.to_le_bytes()].concat());
        at += name.len() as u32;
    }
    ntlm.extend([0; 8]);
    ntlm.extend(flags.to_le_bytes());
    ntlm.extend([0; 8]);
    names.iter().for_each(|name| ntlm.extend(*name));
    let blob = [&[0xa1, 0x82, 1, 0, 0x30][..], &ntlm].concat();
    let fixed =
        [&[25, 0, 0, 1][..], &[0; 8], &88u16.to_le_bytes(), &(blob.len() as u16).to_le_bytes(), &[0; 8]].concat();
    message(SESSION_SETUP, 0, false, &[fixed, blob].concat())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn connection(packets: &[(Direction, Vec<u8>)]) -> (Vec<Step>, Option<SmbRecord>) {
    let mut h = Harness::<Smb>::new(Face::Native);
    let say = |(direction, payload): &(Direction, Vec<u8>)| {
        let (src, dst) = if *direction == Forward { (40_000, 445) } else { (445, 40_000) };
        h.packet(*direction, src, dst, TCP, payload)
    };
    let steps = packets.iter().map(say).collect();
    (steps, h.records().pop())
}

fn text(r: &SmbRecord) -> String {
    let mut out = String::new();
    Smb::text(r, &mut out);
    out
}

#[test]
fn refusals_are_counted_until_a_logon_is_granted() {
    let names = [utf16("EXAMPLE"), utf16("Jürgen"), utf16("WS-7")];
    let setup = setup([&names[0], &names[1], &names[2]], UNICODE);
    let mut packets = vec![(Reverse, dialect(0x0311))];
    for answer in [0xc000_006d, 0xc000_0234, 0xc000_0022, SUCCESS] {
        packets.push((Reverse, status(MORE_PROCESSING_REQUIRED)));
        packets.push((Forward, setup.clone()));
        packets.push((Reverse, status(answer)));
    }
    let (steps, record) = connection(&packets[..packets.len() - 1]);
    assert!(steps.iter().all(|step| *step == Step::More));
    let expected = "smbdialect=0x0311,user=\"Jürgen\",domain=\"EXAMPLE\",workstation=\"WS-7\"";
    assert_eq!(record.map(|r| text(&r)), Some(format!("{expected},status=0xc0000022,failures=2,logons=0")));
    let (steps, record) = connection(&packets);
    assert_eq!(steps.last(), Some(&Step::Done));
    assert_eq!(record.map(|r| text(&r)), Some(format!("{expected},status=0x00000000,failures=2,logons=1")));
}

#[test]
fn several_messages_in_a_segment() {
    let segment = [status(MORE_PROCESSING_REQUIRED), message(5, 0, true, &[1; 30]), status(0xc000_006d)].concat();
    let (_, record) = connection(&[(Reverse, segment)]);
    assert_eq!(record.map(|r| (r.failures, r.status)), Some((1, 0xc000_006d)));
}

#[test]
fn names_that_are_no_unicode_or_too_long() {
    let (_, record) = connection(&[(Forward, setup([b"DOM", b"bob", b""], 0))]);
    assert_eq!(record.map(|r| (r.user.as_bytes().to_vec(), r.domain.len())), Some((b"bob".to_vec(), 3)));
    let long = utf16(&"ü".repeat(100));
    let (_, record) = connection(&[(Forward, setup([b"", &long, &[0, 0xd8]], UNICODE))]);
    let r = record.expect("a record");
    assert_eq!((r.user.as_bytes(), r.workstation.as_bytes()), ("ü".repeat(64).as_bytes(), "\u{fffd}".as_bytes()));
}

#[test]
fn what_says_nothing_is_not_exported() {
    let asked = message(NEGOTIATE, 0, false, &[0; 40]);
    let refused = message(NEGOTIATE, 0xc000_0022, true, &[0; 40]);
    let work = message(8, 0, true, &[0; 40]);
    let (_, record) =
        connection(&[(Forward, asked), (Reverse, refused), (Reverse, work), (Reverse, b"\0\0\0\x04\xfeSMB".to_vec())]);
    assert!(record.is_none());
}

proptest! {
    #[test]
    fn damage_is_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let names = utf16("EXAMPLE");
        let mut segment = [dialect(0x0302), setup([&names; 3], UNICODE), status(0)].concat();
        let at = at.index(segment.len());
        segment[at] = byte;
        segment.truncate(cut.index(segment.len() + 1));
        connection(&[(Forward, segment.clone()), (Reverse, segment)]);
    }
}
