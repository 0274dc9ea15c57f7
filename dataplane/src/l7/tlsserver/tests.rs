use super::*;
use crate::l7::tls::hello::tests::{client_hello, record, server_hello};
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::UDP;
use crate::plugin::testing::Harness;
use proptest::prelude::*;

fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [&[tag, 0x82][..], &(content.len() as u16).to_be_bytes(), &content].concat()
}
/// A name with an organisation before the common names.
fn name(strings: &[(u8, &[u8])]) -> Vec<u8> {
    let attribute =
        |object: &[u8], tag, text: &[u8]| ber(0x31, &[&ber(0x30, &[&ber(6, &[object]), &ber(tag, &[text])])]);
    let organisation = attribute(&[0x55, 4, 10], 0x13, b"Example");
    let common = strings.iter().flat_map(|(tag, text)| attribute(&[0x55, 4, 3], *tag, text));
    ber(0x30, &[&organisation, &common.collect::<Vec<_>>()])
}
/// A handshake message with one certificate, whose key is so long.
fn certificate(version: &[u8], subject: &[u8], key: usize) -> Vec<u8> {
    let issuer = name(&[(0x0c, "Zertifizierungsstelle Ü".as_bytes())]);
    let validity = ber(0x30, &[&[0x17, 0, 0x17, 0]]);
    let body = [version, &[2, 1, 7], &ber(0x30, &[]), &issuer, &validity, subject, &ber(0x30, &[&vec![5; key]])];
    let certificate = ber(0x30, &[&ber(0x30, &body), &ber(0x30, &[]), &ber(3, &[&[0; 128]])]);
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
    [&[11][..], &sized(&sized(&sized(&certificate)))].concat()
}
const V3: &[u8] = &[0xa0, 3, 2, 1, 2];

fn hello() -> Vec<u8> {
    server_hello(0x0303, &[(0xff01, &[0])])
}
/// SHA-256 of `ff01`, by sha256sum.
const JA4S: &str = "t120100_1301_bc98f8e001b5";

fn text(h: &mut Harness<TlsServer>) -> String {
    let mut text = String::new();
    h.records().iter().for_each(|r| TlsServer::text(r, &mut text));
    text
}
const PORTS: (u16, u16) = (40_000, 443);

#[test]
fn names_of_a_certificate() {
    let subject = name(&[(0x13, b"old.example"), (0x13, b"www.example.org")]);
    let flight = [record(&hello()), record(&certificate(V3, &subject, 2000)), record(&[14, 0, 0, 0])].concat();
    let want =
        format!("tlsja4s=\"{JA4S}\",cipher=0x1301,subject=\"www.example.org\",issuer=\"Zertifizierungsstelle Ü\"");
    for len in [90, 300, 1448, 3000] {
        for is_backwards in [false, true] {
            let mut h = Harness::<TlsServer>::new(Face::Native);
            h.segment(Forward, PORTS, 1, &record(&client_hello(0x0303, &[1], &[])));
            h.segments(Reverse, PORTS, (&flight, len), |count| {
                let mut order: Vec<usize> = (1..count.min(8)).collect();
                if is_backwards {
                    order.reverse();
                }
                [vec![0], order].concat()
            });
            assert_eq!(text(&mut h), want, "{len}");
        }
    }
}

#[test]
fn other_certificates() {
    let bmp: Vec<u8> = "Žluťoučký".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (version, strings, subject) in [
        (&[][..], &[(0x1e, &bmp[..])][..], "Žluťoučký"),
        (V3, &[], ""),
        (V3, &[(0x0c, &[b'x'; 300])], &*"x".repeat(NAME_LEN_MAX)),
    ] {
        // All in one record, as older servers do.
        let flight = record(&[hello(), certificate(version, &name(strings), 10)].concat());
        let mut h = Harness::<TlsServer>::new(Face::Native);
        assert_eq!(h.segment(Forward, (443, 40_000), 1, &flight), Step::Done);
        assert_eq!(h.records()[0].subject.as_bytes(), subject.as_bytes());
    }
}

#[test]
fn what_has_no_certificate() {
    let of_1_3 = record(&server_hello(0x0303, &[(43, &[3, 4]), (51, &[])]));
    let resumed = [&record(&hello())[..], &[20, 3, 3, 0, 1, 1]].concat();
    let without = record(&[hello(), vec![14, 0, 0, 0]].concat());
    for flight in [of_1_3, resumed, without] {
        let mut h = Harness::<TlsServer>::new(Face::Native);
        assert_eq!(h.segment(Reverse, PORTS, 1, &flight), Step::Done);
        let records = h.records();
        assert_eq!((records[0].ja4s.len(), records[0].subject.len(), records[0].issuer.len()), (JA4S_LEN, 0, 0));
    }
}

#[test]
fn what_never_comes_is_not_waited_for() {
    let mut h = Harness::<TlsServer>::new(Face::Native);
    assert_eq!(h.segment(Reverse, PORTS, 1, &record(&hello())), Step::Each);
    let steps: Vec<_> = (1..PACKETS_MAX).map(|_| h.segment(Forward, PORTS, 1, b"x")).collect();
    assert_eq!(steps.last(), Some(&Step::Done));
    assert_eq!(h.records().len(), 1);
}

#[test]
fn what_is_none() {
    let client = record(&client_hello(0x0303, &[1], &[]));
    assert!(!TlsServer::may_begin(&client) && !TlsServer::may_begin(&[22, 3, 3, 0, 9]));
    let mut bad = record(&hello());
    bad[9] = 9;
    let mut h = Harness::<TlsServer>::new(Face::Native);
    h.segment(Reverse, PORTS, 1, &bad);
    assert!(h.records().is_empty());
    assert_eq!(Harness::<TlsServer>::new(Face::Native).packet(Reverse, 443, 4000, UDP, &record(&hello())), Step::Done);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, len in 20usize..1000) {
        let mut flight = [record(&hello()), record(&certificate(V3, &name(&[(0x13, b"a.example")]), 600))].concat();
        let at = at.index(flight.len());
        flight[at] = byte;
        let mut h = Harness::<TlsServer>::new(Face::Native);
        h.segments(Reverse, PORTS, (&flight, len), |count| (0..count).collect());
        let records = h.records();
        prop_assert!(records.len() <= 1);
        prop_assert!(records.iter().all(|r| r.ja4s.len() == JA4S_LEN));
    }
}
