//! QUIC (RFC 9000). [`connection`] only looks like it from outside: a padded Initial each way, then short headers, and nothing decrypts. The
//! Initials of a [`Client`] are sealed as a client seals them (RFC 9001 section 5, RFC 9369 section 3.3).
use super::{Body, Side, Turn};
use crate::{MILLISECOND, Rng};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

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

/// Who sends an Initial, and with which keys.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub version: u32,
    /// By which the version derives keys.
    pub salt: [u8; 20],
    /// The id that the keys are made from: the first that the client chose for the server.
    pub secret: &'a [u8],
    pub to: &'a [u8],
    pub from: &'a [u8],
    pub token: &'a [u8],
}

/// QUIC version 1 and version 2 with their salts.
pub const V1: (u32, [u8; 20]) = (
    1,
    [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
        0x7f, 0x0a,
    ],
);
pub const V2: (u32, [u8; 20]) = (
    0x6b33_43cf,
    [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd,
        0x2e, 0xd9,
    ],
);

impl Client<'_> {
    /// The packet with these frames, filled up with padding if the datagram would be short. Lengths are two bytes each.
    pub fn initial(&self, frames: &[u8]) -> Vec<u8> {
        let is_v2 = self.version == V2.0;
        let mut bytes = vec![if is_v2 { 0xd0 } else { 0xc0 }];
        bytes.extend(self.version.to_be_bytes());
        for id in [self.to, self.from] {
            bytes.push(id.len() as u8);
            bytes.extend(id);
        }
        bytes.push(self.token.len() as u8);
        bytes.extend(self.token);
        let number_at = bytes.len() + 2;
        let mut body = frames.to_vec();
        body.resize(body.len().max(INITIAL_BYTES - number_at - 1 - TAG_BYTES), 0);
        bytes.extend(number(body.len() + 1 + TAG_BYTES));
        // The packet number: the first is 0.
        bytes.push(0);
        let [key, iv, mask] = self.keys(is_v2);
        let key = UnboundKey::new(&AES_128_GCM, &key).expect("16 bytes");
        let nonce = Nonce::try_assume_unique_for_key(&iv[..12]).expect("12 bytes");
        LessSafeKey::new(key).seal_in_place_append_tag(nonce, Aad::from(&bytes), &mut body).expect("sealed");
        bytes.extend(body);
        let header = quic::HeaderProtectionKey::new(&quic::AES_128, &mask).expect("16 bytes");
        let sample: [u8; 16] = *bytes[number_at + 4..].first_chunk().expect("at least a tag");
        let mask = header.new_mask(&sample).expect("a sample");
        bytes[0] ^= mask[0] & 0x0f;
        bytes[number_at] ^= mask[1];
        bytes
    }

    /// Key, nonce and header protection, the nonce with 4 bytes too many.
    fn keys(&self, is_v2: bool) -> [[u8; 16]; 3] {
        let initial = Salt::new(HKDF_SHA256, &self.salt).extract(self.secret);
        let client = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, "client in", 32));
        let labels = if is_v2 { ["quicv2 key", "quicv2 iv", "quicv2 hp"] } else { ["quic key", "quic iv", "quic hp"] };
        let lens = [16, 12, 16];
        std::array::from_fn(|n| expand(&client, labels[n], lens[n]))
    }
}

const TAG_BYTES: usize = 16;

/// A CRYPTO frame.
pub fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    [&[6][..], &number(offset), &number(data.len()), data].concat()
}

/// A number of at most 14 bits in two bytes (RFC 9000 section 16).
fn number(n: usize) -> [u8; 2] {
    (0x4000 | n as u16).to_be_bytes()
}

/// HKDF-Expand-Label (RFC 8446 section 7.1) of the first `len` bytes.
fn expand<const N: usize>(secret: &Prk, label: &str, len: usize) -> [u8; N] {
    struct Bytes(usize);
    impl KeyType for Bytes {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = format!("tls13 {label}");
    let head = [0, len as u8, label.len() as u8];
    let mut out = [0; N];
    let info = [&head[..], label.as_bytes(), &[0]];
    secret.expand(&info, Bytes(len)).and_then(|okm| okm.fill(&mut out[..len])).expect("a short output");
    out
}
