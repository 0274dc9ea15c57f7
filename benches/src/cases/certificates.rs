//! A TLS server that shows its certificate, written byte by byte.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::dialog::tls::{Hello, Version};
use crate::dialog::{TcpSession, Turn};
use crate::{Rng, SECOND};

pub(super) const CASES: &[Case] = &[clean(
    "tlsserver",
    "TLS 1.2 with a certificate over several segments, a resumed session without one, and TLS 1.3",
    (41, 6365),
    Flows::new(3, 6),
    || {
        let mut rng = Rng::new(7);
        let v12 = Hello { version: Version::V12, server_name: Some("www.example.org"), alpn: &["h2"], grease: false };
        let v13 = Hello { version: Version::V13, ..v12 };
        let flight = [v12.server(&mut rng), record(&certificate()), record(&[14, 0, 0, 0])].concat();
        let mut shown =
            TcpSession::new(route(40001, 443), vec![Turn::client(v12.client(&mut rng)), Turn::server(flight)]);
        shown.segment = 200;
        let resumed = v12.turns(&mut rng, 100, 200);
        let hidden = v13.turns(&mut rng, 100, 200);
        let mut tape = Tape::new();
        tape.play(0, shown);
        tape.play(SECOND, TcpSession::new(route(40002, 443), resumed));
        tape.play(2 * SECOND, TcpSession::new(route6(40003, 443), hidden));
        tape.plain()
    },
)];

/// RFC 5246 section 7.4.2: one certificate (RFC 5280 section 4.1) with a key of 2048 bits.
fn certificate() -> Vec<u8> {
    let rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let sha256_rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
    let issuer = name(&[(6, 0x13, "CZ"), (3, 0x0c, "Example Issuer 3")]);
    let subject = name(&[(10, 0x13, "Example"), (3, 0x0c, "www.example.org")]);
    let validity = der(0x30, &[&der(0x17, &[b"200913122640Z"]), &der(0x17, &[b"300913122640Z"])]);
    let numbers = der(0x30, &[&der(2, &[&[0], &[0xc5; 256]]), &[2, 3, 1, 0, 1]]);
    let key = der(0x30, &[&rsa, &der(3, &[&[0], &numbers])]);
    let body = [&[0xa0, 3, 2, 1, 2, 2, 2, 7, 8], &sha256_rsa[..], &issuer, &validity, &subject, &key];
    let certificate = der(0x30, &[&der(0x30, &body), &sha256_rsa, &der(3, &[&[0], &[0xa7; 256]])]);
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat();
    [&[11][..], &sized(&sized(&sized(&certificate)))].concat()
}

/// Attributes of 2.5.4 by their last number, with the tag of their text.
fn name(attributes: &[(u8, u8, &str)]) -> Vec<u8> {
    let one = |(number, tag, text): &(u8, u8, &str)| {
        der(0x31, &[&der(0x30, &[&[6, 3, 0x55, 4, *number], &der(*tag, &[text.as_bytes()])])])
    };
    der(0x30, &[&attributes.iter().flat_map(one).collect::<Vec<_>>()])
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = (content.len() as u16).to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, content].concat()
}

fn record(message: &[u8]) -> Vec<u8> {
    [&[22, 3, 3][..], &(message.len() as u16).to_be_bytes(), message].concat()
}
