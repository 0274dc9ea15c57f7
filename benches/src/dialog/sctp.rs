//! An SCTP association (RFC 9260), as bodies for [`Carrier::Sctp`](super::Carrier): verification tag, then one chunk.
use super::{Side, Turn};

const CLIENT_TAG: u32 = 0x1111_1111;
const SERVER_TAG: u32 = 0x2222_2222;
const COOKIE: [u8; 16] = [0xc0; 16];

/// INIT, INIT ACK, cookies, one DATA each way with its SACK, then the three messages of a shutdown.
pub fn association(question: &[u8], answer: &[u8]) -> Vec<Turn> {
    let init = |tag: u32| {
        let mut body = tag.to_be_bytes().to_vec();
        body.extend([0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1]);
        body
    };
    let state_cookie = [&[0, 7, 0, 20][..], &COOKIE].concat();
    vec![
        // Only INIT has tag 0: the peer's is not known yet.
        turn(Side::Client, 0, &chunk(1, 0, &init(CLIENT_TAG))),
        turn(Side::Server, CLIENT_TAG, &chunk(2, 0, &[init(SERVER_TAG), state_cookie].concat())),
        turn(Side::Client, SERVER_TAG, &chunk(10, 0, &COOKIE)),
        turn(Side::Server, CLIENT_TAG, &chunk(11, 0, &[])),
        turn(Side::Client, SERVER_TAG, &data(question)),
        turn(Side::Server, CLIENT_TAG, &sack()),
        turn(Side::Server, CLIENT_TAG, &data(answer)),
        turn(Side::Client, SERVER_TAG, &sack()),
        turn(Side::Client, SERVER_TAG, &chunk(7, 0, &1u32.to_be_bytes())),
        turn(Side::Server, CLIENT_TAG, &chunk(8, 0, &[])),
        turn(Side::Client, SERVER_TAG, &chunk(14, 0, &[])),
    ]
}

fn turn(side: Side, tag: u32, chunk: &[u8]) -> Turn {
    Turn::new(side, [&tag.to_be_bytes()[..], chunk].concat())
}

/// A whole message: TSN 1, stream 0, sequence 0, no payload protocol.
fn data(text: &[u8]) -> Vec<u8> {
    chunk(0, 3, &[&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], text].concat())
}

/// TSN 1 received, nothing missing.
fn sack() -> Vec<u8> {
    chunk(3, 0, &[0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])
}

fn chunk(kind: u8, bits: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, bits];
    bytes.extend((body.len() as u16 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
