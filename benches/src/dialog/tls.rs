//! TLS handshakes in plain sight: ClientHello and ServerHello of 1.2 (RFC 5246) and 1.3 (RFC 8446), then records of noise.
use super::{Body, Side, Turn};
use crate::{MILLISECOND, Rng};

/// The version that the server chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V12,
    V13,
}

/// What the hellos say.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    pub version: Version,
    pub server_name: Option<&'a str>,
    /// What the client offers; the server takes the first one.
    pub alpn: &'a [&'a str],
    /// Sprinkle reserved values as RFC 8701 asks for.
    pub grease: bool,
}

impl Hello<'_> {
    /// The record with the ClientHello. 1.2 offers a session, so that the server can resume it without a certificate.
    pub fn client(&self, rng: &mut Rng) -> Vec<u8> {
        let mut ciphers: Vec<u16> = if self.grease { vec![0x2a2a] } else { Vec::new() };
        if self.version == Version::V13 {
            ciphers.extend([0x1301, 0x1302, 0x1303]);
        }
        ciphers.extend([0xc02b, 0xc02f, 0xc02c, 0xc030, 0x009c, 0x002f]);
        let mut hello = [&[3, 3][..], &rng.bytes::<32>(), &short(&rng.bytes::<32>())].concat();
        hello.extend(long(&halves(&ciphers)));
        hello.extend([1, 0]);
        hello.extend(long(&self.client_extensions(rng)));
        handshake(1, &hello)
    }

    /// The record with the ServerHello.
    pub fn server(&self, rng: &mut Rng) -> Vec<u8> {
        let cipher: u16 = if self.version == Version::V13 { 0x1301 } else { 0xc02f };
        let mut hello = [&[3, 3][..], &rng.bytes::<32>(), &short(&rng.bytes::<32>())].concat();
        hello.extend(cipher.to_be_bytes());
        hello.push(0);
        let mut extensions = Vec::new();
        match self.version {
            Version::V13 => {
                put_extension(&mut extensions, 51, &[&[0, 29][..], &long(&rng.bytes::<32>())].concat());
                put_extension(&mut extensions, 43, &[3, 4]);
            }
            Version::V12 => {
                put_extension(&mut extensions, 0xff01, &[0]);
                if let Some(first) = self.alpn.first() {
                    put_extension(&mut extensions, 16, &long(&short(first.as_bytes())));
                }
            }
        }
        hello.extend(long(&extensions));
        handshake(2, &hello)
    }

    /// Both hellos, the rest of the handshake encrypted, then `request` and `response` bytes of application data.
    pub fn turns(&self, rng: &mut Rng, request: usize, response: u64) -> Vec<Turn> {
        let change = [20, 3, 3, 0, 1, 1];
        let finished =
            if self.version == Version::V13 { record(23, &rng.bytes::<53>()) } else { record(22, &sealed(rng)) };
        let mut server = [self.server(rng), change.to_vec()].concat();
        match self.version {
            // Certificate and Finished are encrypted: application data to the eye.
            Version::V13 => server.extend(record(23, &vec![0xa5; 900])),
            Version::V12 => server.extend(record(22, &sealed(rng))),
        }
        let mut client = [&change[..], &finished].concat();
        client.extend(record(23, &vec![0x5a; request]));
        let mut turns = vec![
            Turn::client(self.client(rng)),
            Turn::server(server).after(3 * MILLISECOND),
            Turn::client(client).after(2 * MILLISECOND),
        ];
        let mut left = response;
        while left > 0 {
            // A record holds 2^14 bytes and some overhead at the most.
            let length = left.min(16_000);
            turns.push(Turn::server([&[23, 3, 3][..], &(length as u16).to_be_bytes()].concat()));
            turns.push(Turn { side: Side::Server, pause: 0, body: Body::Filler(length) });
            left -= length;
        }
        turns
    }

    fn client_extensions(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = Vec::new();
        let grease = |value: u16| if self.grease { vec![value] } else { Vec::new() };
        if self.grease {
            put_extension(&mut out, 0x1a1a, &[]);
        }
        if let Some(name) = self.server_name {
            put_extension(&mut out, 0, &long(&[&[0][..], &long(name.as_bytes())].concat()));
        }
        put_extension(&mut out, 23, &[]);
        put_extension(&mut out, 0xff01, &[0]);
        put_extension(&mut out, 10, &long(&halves(&[grease(0x3a3a), vec![29, 23, 24]].concat())));
        put_extension(&mut out, 11, &short(&[0]));
        if !self.alpn.is_empty() {
            let names: Vec<u8> = self.alpn.iter().flat_map(|name| short(name.as_bytes())).collect();
            put_extension(&mut out, 16, &long(&names));
        }
        put_extension(&mut out, 13, &long(&halves(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601])));
        if self.version == Version::V13 {
            let mut shares = if self.grease { vec![0x3a, 0x3a, 0, 1, 0] } else { Vec::new() };
            shares.extend([&[0, 29][..], &long(&rng.bytes::<32>())].concat());
            put_extension(&mut out, 51, &long(&shares));
            put_extension(&mut out, 45, &short(&[1]));
            put_extension(&mut out, 43, &short(&halves(&[grease(0x4a4a), vec![0x0304, 0x0303]].concat())));
        }
        if self.grease {
            put_extension(&mut out, 0x5a5a, &[0]);
        }
        out
    }
}

/// A connection as traffic mixes need it.
pub fn connection(rng: &mut Rng, response: u64) -> Vec<Turn> {
    let name = format!("{}{}.example.org", rng.pick(&["cdn", "mail", "login", "data"]), rng.below(2000));
    let alpn: &[&str] = rng.pick(&[&["h2", "http/1.1"][..], &["http/1.1"], &[]]);
    let hello = Hello {
        version: if rng.chance(75) { Version::V13 } else { Version::V12 },
        server_name: (!rng.chance(5)).then_some(&name),
        alpn,
        grease: rng.chance(60),
    };
    let request = rng.between(80, 700) as usize;
    hello.turns(rng, request, response)
}

/// An encrypted Finished.
fn sealed(rng: &mut Rng) -> [u8; 40] {
    let mut bytes = rng.bytes::<40>();
    // The explicit nonce comes first and cannot be taken for a handshake type.
    bytes[0] = 0xff;
    bytes
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    let mut bytes = record(22, &[&[kind, a, b, c][..], body].concat());
    // Old middleboxes want a ClientHello in a record of version 1.0.
    bytes[2] = if kind == 1 { 1 } else { 3 };
    bytes
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &long(body)].concat()
}

fn put_extension(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend(long(body));
}

/// A vector with a one-byte length.
fn short(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

/// A vector with a two-byte length.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}
