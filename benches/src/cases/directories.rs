//! A directory that is asked for people: messages of LDAP, written byte by byte.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{Datagrams, Side, TcpSession, Turn};

pub(super) const CASES: &[Case] = &[clean(
    "ldap",
    "a wrong password, the right one and a search; a mechanism in two steps that refuses; StartTLS; a server looked for over UDP",
    (37, 3406),
    Flows::new(4, 8),
    || {
        let name = "uid=alice,ou=people,dc=example,dc=org";
        let answers = [entry(3, name), result(3, 0x65, 0)].concat();
        let login = vec![
            Turn::client(bind(1, name, &ber(0x80, &[b"s3cret"]))),
            Turn::server(result(1, 0x61, 49)),
            Turn::client(bind(2, name, &ber(0x80, &[b"s3cret!"]))),
            Turn::server(result(2, 0x61, 0)),
            Turn::client(search(3, "dc=example,dc=org")),
            Turn::server(answers),
            Turn::client(message(4, &[0x42, 0])),
        ];
        let step = |proof: &[u8]| bind(1, "", &ber(0xa3, &[&ber(4, &[b"SCRAM-SHA-256"]), &ber(4, &[proof])]));
        let steps = vec![
            Turn::client(step(b"n,,n=bob,r=7")),
            Turn::server(result(1, 0x61, 14)),
            Turn::client(step(b"c=biws,p=8")),
            Turn::server(result(1, 0x61, 49)),
        ];
        let encrypted = vec![
            Turn::client(message(1, &ber(0x77, &[&ber(0x80, &[b"1.3.6.1.4.1.1466.20037"])]))),
            Turn::server(result(1, 0x78, 0)),
            Turn::client([&[23, 3, 3, 0, 200][..], &[0x5a; 200]].concat()),
        ];
        let looked_for =
            vec![Turn::client(search(9, "")), Turn::new(Side::Server, [entry(9, ""), result(9, 0x65, 0)].concat())];
        let mut tape = Tape::new();
        tape.play(0, TcpSession::new(route(40001, 389), login));
        tape.play(SECOND, TcpSession::new(route6(40002, 389), steps));
        tape.play(2 * SECOND, TcpSession::new(route(40003, 389), encrypted));
        tape.play(3 * SECOND, Datagrams::udp(route(40004, 389), looked_for));
        tape.plain()
    },
)];

/// A value of BER; the length in two bytes where one is not enough.
fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = content.len() as u8;
    let head = if len < 0x80 { vec![tag, len] } else { vec![tag, 0x81, len] };
    [head, content].concat()
}

/// RFC 4511 section 4.1.1.
fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    ber(0x30, &[&[2, 1, id], operation])
}

/// Section 4.2: version 3, a name, a proof.
fn bind(id: u8, name: &str, proof: &[u8]) -> Vec<u8> {
    message(id, &ber(0x60, &[&[2, 1, 3], &ber(4, &[name.as_bytes()]), proof]))
}

/// Section 4.1.9: a result without a name or a text.
fn result(id: u8, operation: u8, code: u8) -> Vec<u8> {
    message(id, &ber(operation, &[&[10, 1, code, 4, 0, 4, 0]]))
}

/// Section 4.5.1: the whole tree, no limits, all that has a class, all attributes.
fn search(id: u8, base: &str) -> Vec<u8> {
    let limits = [10, 1, 2, 10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0];
    message(id, &ber(0x63, &[&ber(4, &[base.as_bytes()]), &limits, &ber(0x87, &[b"objectClass"]), &[0x30, 0]]))
}

/// Section 4.5.2: a name with one attribute.
fn entry(id: u8, name: &str) -> Vec<u8> {
    let attribute = ber(0x30, &[&ber(4, &[b"objectClass"]), &ber(0x31, &[&ber(4, &[b"person"])])]);
    message(id, &ber(0x64, &[&ber(4, &[name.as_bytes()]), &ber(0x30, &[&attribute])]))
}
