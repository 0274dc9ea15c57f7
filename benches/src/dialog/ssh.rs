//! SSH connections: versions and algorithms in the clear (RFC 4253), then a login and a session as lengths of noise.
use super::{Side, Turn};
use crate::Rng;

/// Who logs in, and how it goes.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub client: &'a str,
    pub server: &'a str,
    /// Passwords that the server refuses.
    pub refused: usize,
    /// Whether the next one is right; else the client goes.
    pub accepted: bool,
    /// Bytes of the session, each way.
    pub session: u64,
}

/// Packets on the wire with chacha20-poly1305, as OpenSSH 9.2 sends them.
const SERVICE: [u64; 2] = [44, 44];
const NONE: u64 = 68;
const PASSWORD: u64 = 148;
const REFUSAL: u64 = 76;
const ACCEPTANCE: u64 = 28;

/// What the client offers: ten name-lists (RFC 4253 section 7.1).
pub const CLIENT_LISTS: [&str; 10] = [
    "curve25519-sha256,ecdh-sha2-nistp256,ext-info-c",
    "ssh-ed25519,rsa-sha2-512",
    "chacha20-poly1305@openssh.com,aes128-ctr",
    "chacha20-poly1305@openssh.com,aes128-ctr",
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-256",
    "none,zlib@openssh.com",
    "none,zlib@openssh.com",
    "",
    "",
];
pub const SERVER_LISTS: [&str; 10] = [
    "curve25519-sha256,ecdh-sha2-nistp256",
    "ssh-ed25519",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr,chacha20-poly1305@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "none",
    "none,zlib@openssh.com",
    "",
    "",
];

impl Login<'_> {
    /// Everything from the versions to the end.
    pub fn turns(&self) -> Vec<Turn> {
        let keys = packet(21, &[]);
        let mut turns = vec![
            Turn::client(format!("{}\r\n", self.client)),
            Turn::server(format!("{}\r\n", self.server)),
            Turn::client(kexinit(&CLIENT_LISTS)),
            Turn::server(kexinit(&SERVER_LISTS)),
            Turn::client(packet(30, &string(&[9; 32]))),
            // The answer, NEWKEYS and a first encrypted message in one segment.
            Turn::server([packet(31, &exchanged()), keys.clone(), vec![0x5a; 300]].concat()),
            Turn::client(keys),
            Turn::filler(Side::Client, SERVICE[0]),
            Turn::filler(Side::Server, SERVICE[1]),
            Turn::filler(Side::Client, NONE),
            Turn::filler(Side::Server, REFUSAL),
        ];
        for _ in 0..self.refused {
            turns.extend([Turn::filler(Side::Client, PASSWORD), Turn::filler(Side::Server, REFUSAL)]);
        }
        if self.accepted {
            turns.extend([Turn::filler(Side::Client, PASSWORD), Turn::filler(Side::Server, ACCEPTANCE)]);
            turns.extend([Turn::filler(Side::Client, self.session), Turn::filler(Side::Server, self.session)]);
        }
        turns
    }
}

/// The server's host key, its part of the secret, a signature (RFC 8731).
fn exchanged() -> Vec<u8> {
    let named = |bytes: &[u8]| string(&[string(b"ssh-ed25519"), string(bytes)].concat());
    [named(&[3; 32]), string(&[4; 32]), named(&[5; 64])].concat()
}

/// A login as traffic mixes need it: mostly right at once.
pub fn connection(rng: &mut Rng, session: u64) -> Vec<Turn> {
    let refused = usize::from(rng.chance(10));
    Login { client: CLIENT, server: SERVER, refused, accepted: true, session }.turns()
}

pub const CLIENT: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6";
pub const SERVER: &str = "SSH-2.0-OpenSSH_8.4p1";

/// SSH_MSG_KEXINIT with these lists.
pub fn kexinit(lists: &[&str; 10]) -> Vec<u8> {
    let mut body = vec![0xc0; 16];
    lists.iter().for_each(|list| body.extend(string(list.as_bytes())));
    // No packet of the exchange follows, and a reserved number.
    body.extend([0; 5]);
    packet(20, &body)
}

/// A binary packet (RFC 4253 section 6): a multiple of 8 bytes, at least four of them padding.
pub fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let padding = 8 - (6 + body.len() + 4) % 8 + 4;
    let len = (2 + body.len() + padding) as u32;
    [&len.to_be_bytes()[..], &[padding as u8, number], body, &vec![0; padding]].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}
