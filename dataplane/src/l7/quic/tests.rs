//! Connections whose Initials the generator has sealed.
use super::*;
use crate::l7::tls::hello::tests::{alpn, client_hello, server_name};
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use benches::dialog::quic::{Client, crypto};
use proptest::prelude::*;

const V1: u32 = 1;
const CHOSEN: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];

fn hello(name: &[u8], padding: usize) -> Vec<u8> {
    let parameters = [&[0x01, 0x01, 0x05, 0x71, 0x29, 7][..], b"Agent/1"].concat();
    let extensions: [(u16, &[u8]); 4] =
        [(0, &server_name(0, name)), (16, &alpn(&[b"h3"])), (0x39, &parameters), (21, &vec![0; padding])];
    client_hello(0x0303, &[0x1301], &extensions)
}

/// An Initial of a client: the id that the keys are made from, the id that it is sent to, a token, and its frames.
fn initial(version: u32, secret: &[u8], to: &[u8], token: &[u8], frames: &[u8]) -> Vec<u8> {
    Client { version, salt: version::salts(version)[0], secret, to, from: &[9, 9], token }.initial(frames)
}

/// A packet of a server, whose content nobody can read.
fn of_server(first: u8, source: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0, 0, 0, 1, 2, 9, 9, source.len() as u8];
    bytes.extend(source);
    if first & 0x30 == 0 {
        bytes.push(0);
    }
    bytes.push(30);
    bytes.extend([0x5a; 30]);
    bytes
}

fn play(face: Face, datagrams: &[(Direction, Vec<u8>)]) -> Vec<QuicRecord> {
    let mut h = Harness::<Quic>::new(face);
    for (direction, bytes) in datagrams {
        let (from, to) = if *direction == Forward { (50000, 443) } else { (443, 50000) };
        h.packet(*direction, from, to, UDP, bytes);
    }
    h.records()
}

#[test]
fn a_connection() {
    for version in [V1, 0x6b33_43cf, 0xff00_001d, 0xface_b002] {
        let first = initial(version, CHOSEN, CHOSEN, b"tok", &crypto(0, &hello(b"www.example.org", 0)));
        let datagrams = [
            (Forward, first),
            (Reverse, [of_server(0xc0, b"server"), of_server(0xe0, b"server")].concat()),
            (Forward, vec![0x40; 50]),
        ];
        for (face, scid) in FACES.into_iter().zip([&b""[..], b"server"]) {
            let [r] = &play(face, &datagrams)[..] else { panic!("one record of {version:#x}") };
            assert_eq!((r.sni.as_bytes(), r.user_agent.as_bytes()), (&b"www.example.org"[..], &b"Agent/1"[..]));
            assert_eq!((r.client_version, r.token_length, r.server_port, r.parsed), (version, 3, 443, 1));
            assert_eq!((r.occid.as_bytes(), r.oscid.as_bytes(), r.scid.as_bytes()), (&[9, 9][..], CHOSEN, scid));
            assert_eq!(r.packets.as_slice(), [0x81, 0x85, 0x80]);
            assert_eq!(r.ext_types.as_slice(), [0, 16, 0x39, 21]);
            assert!(r.ext.as_bytes().starts_with(&[0, 3, 2, b'h', b'3', 1, 1, 5]));
            assert_eq!(r.ja4.is_empty(), face.is_original());
            assert!(face.is_original() || r.ja4.as_bytes().starts_with(b"q12d0104h3_"), "{:?}", r.ja4);
        }
    }
}

#[test]
fn a_hello_over_datagrams_in_any_order() {
    let whole = hello(b"www.example.org", 2_000);
    let (a, rest) = whole.split_at(700);
    let (b, c) = rest.split_at(900);
    let datagrams = [
        (Forward, initial(V1, CHOSEN, CHOSEN, b"", &crypto(700, b))),
        (Forward, initial(V1, CHOSEN, CHOSEN, b"", &[crypto(1600, c), vec![0; 10], crypto(0, a)].concat())),
    ];
    assert!(play(Face::Ipfixprobe, &datagrams).is_empty());
    let [r] = &play(Face::Native, &datagrams)[..] else { panic!("one record") };
    assert_eq!((r.sni.as_bytes(), r.parsed, r.packets.len()), (&b"www.example.org"[..], 1, 2));
    let [r] = &play(Face::Native, &datagrams[..1])[..] else { panic!("one record") };
    assert_eq!((r.parsed, r.token_length, r.oscid.as_bytes()), (0, u64::MAX, CHOSEN));
}

#[test]
fn retry_and_other_connections() {
    let frames = crypto(0, &hello(b"www.example.org", 0));
    let other = crypto(0, &hello(b"other.example.org", 0));
    let datagrams = [
        (Forward, initial(V1, CHOSEN, CHOSEN, b"", &frames)),
        (Reverse, of_server(0xf0, b"retried!")),
        (Forward, initial(V1, b"retried!", b"retried!", b"token", &frames)),
        (Forward, initial(V1, b"another!", b"another!", b"", &other)),
    ];
    for (face, multiplexed, retry) in [(Face::Ipfixprobe, 2, &b""[..]), (Face::Native, 1, b"retried!")] {
        let [r] = &play(face, &datagrams)[..] else { panic!("one record") };
        assert_eq!((r.multiplexed, r.retry_scid.as_bytes(), r.oscid.as_bytes()), (multiplexed, retry, CHOSEN));
        assert_eq!((r.packets.as_slice(), r.sni.as_bytes()), (&[0x81, 0x88, 0x81, 0x81][..], &b"www.example.org"[..]));
    }
}

#[test]
fn early_data_and_negotiation() {
    let early = [initial(V1, CHOSEN, CHOSEN, b"", &crypto(0, &hello(b"a", 0))), of_server(0xd0, b"")].concat();
    let negotiation = vec![0xc0, 0, 0, 0, 0, 2, 9, 9, 0, 0, 0, 0, 1];
    let datagrams = [(Forward, early.clone()), (Reverse, negotiation), (Forward, early)];
    let [r] = &play(Face::Ipfixprobe, &datagrams)[..] else { panic!("one record") };
    assert_eq!((r.zero_rtt, r.packets.as_slice()), (2, &[0x83, 0x90, 0x83][..]));
    let records = play(Face::Native, &datagrams);
    let masks: Vec<&[u8]> = records.iter().map(|r| r.packets.as_slice()).collect();
    assert_eq!(masks, [&[0x83, 0x90][..], &[0x83]]);
}

#[test]
fn what_is_no_client() {
    let server = (Reverse, of_server(0xc0, b"server"));
    let client = (Forward, initial(V1, CHOSEN, CHOSEN, b"", &crypto(0, &hello(b"a", 0))));
    assert!(play(Face::Ipfixprobe, &[server.clone(), client.clone()]).is_empty());
    let [r] = &play(Face::Native, &[server, client])[..] else { panic!("one record") };
    assert_eq!((r.parsed, r.version, r.packets.as_slice()), (1, V1, &[0x81, 0x81][..]));
    for (protocol, payload) in
        [(TCP, of_server(0xc0, b"x")), (UDP, vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0]), (UDP, vec![0xff; 30])]
    {
        let mut h = Harness::<Quic>::new(Face::Native);
        h.packet(Forward, 1, 2, protocol, &payload);
        assert!(h.records().is_empty());
    }
}

#[test]
fn text_form() {
    let [r] = &play(Face::Native, &[(Forward, initial(V1, CHOSEN, CHOSEN, b"", &crypto(0, &hello(b"a", 0))))])[..]
    else {
        panic!("one record")
    };
    let mut text = String::new();
    Quic::text(r, &mut text);
    assert!(
        text.starts_with("quicsni=\"a\"quicuseragent=\"Agent/1\"quicversion=\"1\"quicclientversion=\"1\""),
        "{text}"
    );
    assert!(text.contains("quicoscidlength=\"8\"quicoscid=\"0102030405060708\""), "{text}");
}

proptest! {
    #[test]
    fn damage_is_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, frames in prop::collection::vec(any::<u8>(), 4..80)) {
        let mut damaged = initial(V1, CHOSEN, CHOSEN, b"", &crypto(0, &hello(b"a", 0)));
        let at = at.index(damaged.len());
        damaged[at] = byte;
        damaged.truncate(cut.index(damaged.len() + 1));
        let odd = initial(V1, CHOSEN, CHOSEN, b"", &frames);
        for face in FACES {
            prop_assert!(play(face, &[(Forward, damaged.clone()), (Forward, odd.clone()), (Reverse, frames.clone())]).len() <= 1);
        }
    }
}
