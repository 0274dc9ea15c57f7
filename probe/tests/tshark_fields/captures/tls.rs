//! TLS (RFC 8446, RFC 5246): hellos over segments and over records, HelloRetryRequest, ALPN, GREASE.
use super::Made;
use crate::wire::{Talk, pcap, route};
use benches::Rng;
use benches::dialog::Side::Client;
use benches::dialog::tls::{Hello, Version};

pub(crate) const CASES: &[Made] = &[
    ("tls_one_segment", || hello_in(&[], &[0])),
    ("tls_segments", || hello_in(&[3, 9, 100], &[0, 1, 2, 3])),
    ("tls_segments_of_50", || {
        let mut talk = open();
        talk.every(Client, 50, client_hello("fifty.example.org"));
        pcap(talk.server(SIMPLE.server(&mut Rng::new(2))).end())
    }),
    ("tls_swapped", || hello_in(&[50, 100, 150], &[0, 2, 1, 3])),
    ("tls_reversed_tail", || hello_in(&[50, 100, 150], &[0, 3, 2, 1])),
    ("tls_sent_twice", || hello_in(&[50, 100], &[0, 0, 1, 1, 0, 2])),
    ("tls_first_late", || hello_in(&[100], &[1, 0])),
    ("tls_overlap", || {
        let (hello, mut talk) = (client_hello("overlap.example.org"), open());
        talk.client(&hello[..80]).again(Client, 30, &hello[50..]).server(SIMPLE.server(&mut Rng::new(2)));
        pcap(talk.end())
    }),
    ("tls_large", || {
        let mut talk = open();
        talk.client(large()).server(SIMPLE.server(&mut Rng::new(2)));
        pcap(talk.end())
    }),
    ("tls_two_records", || records(&[60])),
    ("tls_record_in_header", || records(&[2])),
    ("tls_many_records", || records(&[10, 20, 30, 40, 50, 60, 70, 80, 90, 100])),
    ("tls_records_and_segments", || {
        let mut talk = open();
        talk.every(Client, 33, in_records(&client_hello("both.example.org"), &[40, 90]));
        pcap(talk.server(SIMPLE.server(&mut Rng::new(2))).end())
    }),
    ("tls_hello_retry", || {
        let (mut rng, mut talk) = (Rng::new(7), open());
        let hello =
            Hello { version: Version::V13, server_name: Some("retry.example.org"), alpn: &["h2"], grease: false };
        talk.client(hello.client(&mut rng)).server(retry_request()).client([20, 3, 3, 0, 1, 1]);
        talk.client(hello.client(&mut rng)).server(hello.server(&mut rng));
        pcap(talk.end())
    }),
    ("tls_12_alpn", || {
        let mut talk = open();
        let hello = Hello {
            version: Version::V12,
            server_name: Some("old.example.org"),
            alpn: &["h2", "http/1.1"],
            grease: false,
        };
        pcap(talk.client(hello.client(&mut Rng::new(1))).server(hello.server(&mut Rng::new(2))).end())
    }),
    ("tls_12_server_swapped", || {
        let mut talk = open();
        let hello = Hello { version: Version::V12, server_name: Some("old.example.org"), alpn: &["h2"], grease: false };
        talk.client(hello.client(&mut Rng::new(1)));
        let answer = hello.server(&mut Rng::new(2));
        pcap(talk.pieces(benches::dialog::Side::Server, answer, &[20, 40, 60], &[0, 2, 1, 3]).end())
    }),
    ("tls_alpn_list", || {
        let mut talk = open();
        let alpn = &["h3", "h2", "http/1.1", "imap", "x-\u{e9}", "dot"];
        let hello = Hello { version: Version::V12, server_name: None, alpn, grease: false };
        pcap(talk.client(hello.client(&mut Rng::new(1))).server(hello.server(&mut Rng::new(2))).end())
    }),
    ("tls_grease", || {
        let mut talk = open();
        let hello =
            Hello { version: Version::V13, server_name: Some("grease.example.org"), alpn: &["h2"], grease: true };
        pcap(talk.client(hello.client(&mut Rng::new(1))).server(hello.server(&mut Rng::new(2))).end())
    }),
    ("tls_long_name", || {
        let mut talk = open();
        let name = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        pcap(talk.client(client_hello(&name)).server(SIMPLE.server(&mut Rng::new(2))).end())
    }),
    ("tls_no_answer", || pcap(open().client(client_hello("alone.example.org")).end())),
];

const SIMPLE: Hello<'static> = Hello { version: Version::V13, server_name: None, alpn: &[], grease: false };

fn open() -> Talk {
    Talk::tcp(route(40_002, 443))
}

/// The record with a ClientHello for this name.
pub(super) fn client_hello(name: &str) -> Vec<u8> {
    Hello { server_name: Some(name), alpn: &["h2"], ..SIMPLE }.client(&mut Rng::new(1))
}

/// Two kilobytes, as those with post-quantum key shares.
fn large() -> Vec<u8> {
    let names: Vec<String> = (0..80).map(|n| format!("experimental-protocol-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Hello { server_name: Some("large.example.org"), alpn: &names, ..SIMPLE }.client(&mut Rng::new(1))
}

fn hello_in(cuts: &[usize], order: &[usize]) -> Vec<u8> {
    let mut talk = open();
    talk.pieces(Client, client_hello("www.example.org"), cuts, order).server(SIMPLE.server(&mut Rng::new(2)));
    pcap(talk.end())
}

/// The message of a record, cut into several records in one segment.
fn records(cuts: &[usize]) -> Vec<u8> {
    let mut talk = open();
    talk.client(in_records(&client_hello("records.example.org"), cuts)).server(SIMPLE.server(&mut Rng::new(2)));
    pcap(talk.end())
}

pub(super) fn in_records(record: &[u8], cuts: &[usize]) -> Vec<u8> {
    let message = &record[5..];
    let ends = [&[0][..], cuts, &[message.len()]].concat();
    let pieces = ends.windows(2).map(|w| &message[w[0]..w[1]]);
    pieces.flat_map(|piece| [&[22, 3, 1][..], &(piece.len() as u16).to_be_bytes(), piece].concat()).collect()
}

/// A ServerHello with the random that stands for HelloRetryRequest (RFC 8446 section 4.1.3).
fn retry_request() -> Vec<u8> {
    const RANDOM: [u8; 32] = [
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
        0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
    ];
    let extensions = [0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 23];
    let body = [&[3, 3][..], &RANDOM, &[0, 0x13, 1, 0, 0, extensions.len() as u8], &extensions].concat();
    let message = [&[2, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, 3, 0, message.len() as u8][..], &message].concat()
}
