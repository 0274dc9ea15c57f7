//! UDP that looks like QUIC version 1 (RFC 9000) from outside: a padded Initial each way, then short headers. Nothing decrypts.
use super::{Body, Side, Turn};
use crate::{MILLISECOND, Rng};

/// An Initial has to fill a datagram of 1200 bytes (RFC 9000, section 14.1).
const INITIAL_BYTES: usize = 1200;

/// A connection that moves about `response` bytes to the client.
pub fn connection(rng: &mut Rng, response: u64) -> Vec<Turn> {
    let ids = [rng.bytes::<8>(), rng.bytes::<8>()];
    let mut turns = vec![
        Turn::client(initial(rng, ids[0], &ids[1])),
        Turn::server(initial(rng, ids[1], &ids[0])).after(4 * MILLISECOND),
        Turn::client(short(rng, ids[0], 60)),
        Turn { side: Side::Client, pause: MILLISECOND, body: Body::Filler(rng.between(60, 400)) },
    ];
    turns.push(Turn { side: Side::Server, pause: 5 * MILLISECOND, body: Body::Filler(response) });
    turns.push(Turn::client(short(rng, ids[0], 35)));
    turns
}

fn initial(rng: &mut Rng, destination: [u8; 8], source: &[u8; 8]) -> Vec<u8> {
    let mut bytes = vec![0xc0 | rng.below(16) as u8, 0, 0, 0, 1, 8];
    bytes.extend(destination);
    bytes.push(8);
    bytes.extend(source);
    // No token, then the length of the rest as a two-byte variable integer.
    bytes.push(0);
    let rest = INITIAL_BYTES - bytes.len() - 2;
    bytes.extend((0x4000 | rest as u16).to_be_bytes());
    noise(rng, bytes, INITIAL_BYTES)
}

fn short(rng: &mut Rng, destination: [u8; 8], length: usize) -> Vec<u8> {
    let bytes = [&[0x40 | rng.below(64) as u8][..], &destination].concat();
    noise(rng, bytes, length)
}

fn noise(rng: &mut Rng, mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    while bytes.len() < length {
        bytes.extend(rng.draw().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
