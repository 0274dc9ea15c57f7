use super::*;
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, frame};
use Direction::{Forward, Reverse};
use proptest::prelude::*;

/// A packet in the clear.
fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (10 + body.len()) % 8) % 8;
    let len = (2 + body.len() + padding) as u32;
    [&len.to_be_bytes()[..], &[padding as u8, number], body, &vec![0; padding]].concat()
}

fn kexinit(lists: [&str; 8]) -> Vec<u8> {
    let mut body = vec![1; 16];
    for list in lists.into_iter().chain(["", ""]) {
        body.extend((list.len() as u32).to_be_bytes());
        body.extend(list.as_bytes());
    }
    body.extend([0; 5]);
    packet(KEXINIT, &body)
}

/// The examples of lists at HASSH's own page are long; these are short, their hashes by `md5sum`.
const LISTS: [&str; 8] = ["kex", "key", "c1", "c2", "m1", "m2", "none", "zlib"];
/// MD5 of `kex;c1;m1;none` and of `kex;c2;m2;zlib`.
const HASSH: &str = "c2cb1fe1c721da87c60fd6b5208daa17";
const HASSH_SERVER: &str = "61970fb30a77b15227a3a4f2ad59f759";

/// A connection with sequence numbers of its own, in a harness.
struct Talk {
    harness: Harness<Ssh>,
    next: [u32; 2],
    ports: (u16, u16),
}

impl Talk {
    fn new(ports: (u16, u16)) -> Talk {
        Talk { harness: Harness::new(Face::Native), next: [u32::MAX - 30, 7], ports }
    }

    fn say(&mut self, direction: Direction, payload: &[u8]) -> Step {
        let sequence = self.next[direction as usize];
        self.next[direction as usize] = sequence.wrapping_add(payload.len() as u32);
        self.again(direction, sequence, payload)
    }

    fn again(&mut self, direction: Direction, sequence: u32, payload: &[u8]) -> Step {
        let (src, dst) = if direction == Forward { self.ports } else { (self.ports.1, self.ports.0) };
        let (packet, mut bytes) = frame(direction, src, dst, TCP, &[], payload);
        bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
        self.harness.frame(direction, packet, &bytes)
    }

    /// Up to the keys of both sides.
    fn keys(&mut self, piece: usize) {
        let clear = [&kexinit(LISTS)[..], &packet(30, &[1; 40]), &packet(NEWKEYS, &[])].concat();
        for (direction, version) in [(Forward, &b"SSH-2.0-c x\r\n"[..]), (Reverse, b"SSH-2.0-s\n")] {
            self.say(direction, version);
            for part in clear.chunks(piece) {
                self.say(direction, part);
            }
        }
    }

    fn record(mut self) -> SshRecord {
        let [record] = &self.harness.records()[..] else { panic!("one record") };
        record.clone()
    }
}

fn hex(hash: &Blob<16>) -> String {
    hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn versions_and_fingerprints_whole_and_in_pieces() {
    for piece in [20, 33, 64, 1000] {
        let mut talk = Talk::new((40_000, 22));
        talk.keys(piece);
        let r = talk.record();
        assert_eq!((r.client.as_bytes(), r.server.as_bytes()), (&b"SSH-2.0-c x"[..], &b"SSH-2.0-s"[..]));
        assert_eq!((hex(&r.hassh), hex(&r.hassh_server)), (HASSH.into(), HASSH_SERVER.into()), "pieces of {piece}");
        assert_eq!((r.auth, r.answers), (0, 0));
    }
}

#[test]
fn a_version_and_algorithms_in_one_segment_sent_twice() {
    let mut talk = Talk::new((40_000, 22));
    let both = [&b"SSH-2.0-dropbear\r\n"[..], &kexinit(LISTS)].concat();
    let sequence = talk.next[0];
    assert_eq!(talk.say(Forward, &both), Step::Each);
    assert_eq!(talk.again(Forward, sequence, &both), Step::More);
    talk.say(Forward, &packet(NEWKEYS, &[]));
    talk.say(Reverse, b"SSH-2.0-s\r\n");
    talk.say(Reverse, &packet(NEWKEYS, &[]));
    talk.say(Reverse, &[0; 44]);
    let r = talk.record();
    assert_eq!((hex(&r.hassh), r.auth), (HASSH.into(), REFUSED));
}

/// Lengths as OpenSSH 9.2 sends them with chacha20-poly1305, AES-GCM, AES-CTR with HMAC, and the same with encrypt-then-MAC.
#[test]
fn a_login_is_told_from_refusals() {
    for (accept, refusal) in [(44usize, 76usize), (64, 96), (52, 84), (68, 100)] {
        for (accepted, expected) in [(false, REFUSED), (true, ACCEPTED)] {
            let mut talk = Talk::new((40_000, 22));
            talk.keys(1000);
            talk.say(Forward, &[0; 44]);
            talk.say(Reverse, &vec![0; accept]);
            for _ in 0..3 {
                talk.say(Forward, &[0; 148]);
                let sequence = talk.next[1];
                assert_eq!(talk.say(Reverse, &vec![0; refusal]), Step::More);
                assert_eq!(talk.again(Reverse, sequence, &vec![0; refusal]), Step::More, "sent again");
            }
            if accepted {
                assert_eq!(talk.say(Reverse, &vec![0; accept - 16]), Step::Done);
                talk.say(Reverse, &[0; 500]);
            }
            let r = talk.record();
            assert_eq!((r.auth, r.answers), (expected, 3));
            // The client's four packets; the server's with those sent again.
            assert_eq!((r.client_packets, r.client_bytes), (4, 4 * 40 + 44 + 3 * 148));
            let (more, bytes) = if accepted { (2, 2 * 40 + accept as u64 + 484) } else { (0, 0) };
            assert_eq!((r.server_packets, r.server_bytes), (7 + more, 280 + (accept + 6 * refusal) as u64 + bytes));
        }
    }
}

#[test]
fn who_answers_without_end_is_unclear() {
    let mut talk = Talk::new((40_000, 2222));
    talk.keys(1000);
    talk.say(Reverse, &[0; 44]);
    let steps: Vec<_> = (0..ANSWERS_MAX).map(|_| talk.say(Reverse, &[0; 76])).collect();
    assert_eq!(steps.iter().position(|step| *step == Step::Done), Some(usize::from(ANSWERS_MAX) - 1));
    assert_eq!(talk.record().auth, UNCLEAR);
}

/// Who speaks first is mostly the server.
#[test]
fn sides_go_by_the_port() {
    let mut talk = Talk::new((22, 40_000));
    talk.keys(1000);
    talk.say(Forward, &[0; 44]);
    talk.say(Reverse, &[0; 10]);
    let r = talk.record();
    assert_eq!((r.client.as_bytes(), r.auth), (&b"SSH-2.0-s"[..], REFUSED));
    assert_eq!((r.client_packets, r.server_packets), (1, 1));
    assert_eq!((hex(&r.hassh), hex(&r.hassh_server)), (HASSH.into(), HASSH_SERVER.into()));
}

#[test]
fn what_is_not_ssh() {
    let mut talk = Talk::new((40_000, 22));
    assert_eq!(talk.say(Forward, b"SSH-2.0-no end of line"), Step::Each, "its end may follow");
    assert!(talk.harness.records().is_empty());
    assert_eq!(talk.harness.packet(Forward, 1, 2, UDP, b"SSH-2.0-x\r\n"), Step::Done);
    assert!(talk.harness.records().is_empty());
    let mut talk = Talk::new((40_000, 22));
    talk.say(Forward, b"SSH-2.0-x\r\n");
    assert_eq!(talk.say(Forward, b"\xff\xff\xff\xff\x04\x14"), Step::Done, "no such length");
    assert_eq!(talk.record().client.as_bytes(), b"SSH-2.0-x");
}

#[test]
fn text_form() {
    let mut talk = Talk::new((40_000, 22));
    talk.keys(1000);
    let mut text = String::new();
    Ssh::text(&talk.record(), &mut text);
    assert_eq!(
        text,
        format!(
            "sshclient=\"SSH-2.0-c x\",sshserver=\"SSH-2.0-s\",hassh={HASSH},hasshserver={HASSH_SERVER},\
             clientpackets=0,serverpackets=0,clientbytes=0,serverbytes=0,answers=0,auth=0"
        )
    );
}

proptest! {
    #[test]
    fn damage_is_survived(at: prop::sample::Index, byte: u8, piece in 1usize..400, port in prop::sample::select(vec![22u16, 2222])) {
        let mut talk = Talk::new((40_000, port));
        let mut clear = [&b"SSH-2.0-x\r\n"[..], &kexinit(LISTS), &packet(NEWKEYS, &[]), &[0; 90]].concat();
        let at = at.index(clear.len());
        clear[at] = byte;
        for part in clear.chunks(piece) {
            talk.say(Forward, part);
            talk.say(Reverse, part);
        }
        prop_assert!(talk.harness.records().iter().all(|r| r.answers <= ANSWERS_MAX && r.auth <= UNCLEAR));
    }
}
