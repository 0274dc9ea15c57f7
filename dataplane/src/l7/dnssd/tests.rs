//! Messages as hosts send them, made with the builder of the DNS parser.
use super::*;
use crate::l7::dns::message::tests::Builder;
use crate::packet::Direction::Forward;
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::Harness;
use proptest::prelude::*;

const RESPONSE: u16 = 0x8400;
const PRINTER: &str = "Printer._ipp._tcp.local";

fn srv(port: u16, target: &str) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    Builder(vec![0, 0, 0, 0, high, low]).name(target).0
}

fn play(options: &[&str], face: Face, messages: &[Vec<u8>]) -> Vec<DnssdRecord> {
    let mut h = Harness::<Dnssd>::with_options(options, face);
    for message in messages {
        h.packet(Forward, PORT, PORT, UDP, message);
    }
    h.records()
}

fn talk() -> Vec<Vec<u8>> {
    let query = Builder::new(0, 0, [3, 1, 0, 0])
        .question("_ipp._tcp.local", 12)
        .question("1.2.0.192.in-addr.arpa", 12)
        .question("_ipp._tcp.local", 12)
        .record("known.local", kind::SRV, &srv(1, "known.local"));
    let answer = Builder::new(0, RESPONSE, [0, 1, 1, 1])
        .record(PRINTER, kind::TXT, b"\x04rp=a\x00\x06note=b")
        .record("host.local", kind::HINFO, b"\x03ARM\x05LINUX")
        .record(PRINTER, kind::SRV, &srv(631, "host.local"));
    vec![query.0, answer.0, b"short".to_vec()]
}

#[test]
fn questions_and_answers_gather() {
    for (options, txt) in [(&[][..], ""), (&["txt"], "rp=a:note=b")] {
        for face in [Face::Native, Face::Ipfixprobe] {
            let [r] = &play(options, face, &talk())[..] else { panic!("one record") };
            let responses = format!("{PRINTER};631;host.local;;{txt};host.local;-1;;ARM:LINUX;;");
            let mut text = String::new();
            Dnssd::text(r, &mut text);
            assert_eq!(text, format!("dnssdqueries=\"_ipp._tcp.local;\",dnssdresponses=\"{responses}\""));
            assert_eq!(r.responses_ipfix.as_bytes(), responses.as_bytes());
            assert_eq!(r.queries_ipfix.as_bytes(), b"_ipp._tcp.local;");
        }
    }
}

#[test]
fn keys_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, "_ipp._tcp.local,rp\n").expect("written");
    let option = format!("txt={}", file.display());
    let [r] = &play(&[&option], Face::Native, &talk())[..] else { panic!("one record") };
    assert!(r.responses.as_bytes().starts_with(b"Printer._ipp._tcp.local;631;host.local;;rp=a;"));
    for option in ["txt=/nonexistent", "x"] {
        assert!(Dnssd::new(&[option], Face::Native).is_err());
    }
}

#[test]
fn long_talks_are_cut_at_whole_values() {
    let messages: Vec<Vec<u8>> = (0..100)
        .map(|n| {
            let name = format!("service-{n}._http._tcp.local");
            let target = format!("host-{n}.local");
            Builder::new(0, RESPONSE, [1, 1, 0, 0]).question(&name, 12).record(&name, kind::SRV, &srv(n, &target)).0
        })
        .collect();
    let [r] = &play(&[], Face::Native, &messages)[..] else { panic!("one record") };
    for (text, max) in [
        (r.queries.as_bytes(), QUERIES_LEN),
        (r.responses.as_bytes(), RESPONSES_LEN),
        (r.queries_ipfix.as_bytes(), IPFIX_LEN),
        (r.responses_ipfix.as_bytes(), IPFIX_LEN),
    ] {
        assert!(text.len() <= max && text.len() > max - 80 && text.ends_with(b";"), "{}", text.len());
    }
    assert!(r.responses_ipfix.as_bytes().ends_with(b".local;;;"));
}

#[test]
fn nothing_to_say() {
    let empty = vec![Builder::new(0, 0, [1, 0, 0, 0]).question("1.2.0.192.in-addr.arpa", 12).0];
    let impossible = vec![vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x80]];
    for (face, of_empty) in [(Face::Native, 0), (Face::Ipfixprobe, 1)] {
        assert_eq!(play(&[], face, &empty).len(), of_empty);
        assert!(play(&[], face, &impossible).is_empty());
    }
    let mut h = Harness::<Dnssd>::new(Face::Native);
    assert_eq!(h.packet(Forward, PORT, PORT, TCP, &talk()[0]), Step::Done);
    assert!(h.records().is_empty());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, tail in prop::collection::vec(any::<u8>(), 0..60)) {
        let messages: Vec<Vec<u8>> = talk()
            .into_iter()
            .map(|mut message| {
                let at = at.index(message.len());
                message[at] = byte;
                message.truncate(cut.index(message.len() + 1));
                message.extend(&tail);
                message
            })
            .collect();
        for face in [Face::Native, Face::Ipfixprobe] {
            prop_assert!(play(&["txt"], face, &messages).len() <= 1);
        }
    }
}
