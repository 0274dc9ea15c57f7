//! JA4S: version, protocol, cipher and extensions that a ServerHello chose, as published by FoxIO (github.com/FoxIO-LLC/ja4): the extensions are hashed
//! in the order in which they stand. Other than JA4 (BSD) the method is under the FoxIO License 1.1, which asks who sells it for a license of his own.
use super::hello::Hello;
use super::ja4::{EMPTY_HASH, HASH_LEN, digits_of, join, protocol_label, push_count, version_label};
use super::memo::{Memo, Words};
use super::pieces::{HEX, Pieces};
use crate::face::Face;
use record::Text;
use sha2::{Digest, Sha256};

pub const JA4S_LEN: usize = 25;
/// Tells these lists in a memo from those of other fingerprints.
const KEY: u16 = 6;

/// The fingerprint; `transport` is `t`, or `q` for QUIC.
pub fn ja4s(hello: &Hello<'_>, transport: u8, memo: &mut Memo<[u8; 16]>) -> Text<JA4S_LEN> {
    let kinds = || hello.extensions().map(|extension| extension.kind);
    let mut key = Words::of(KEY);
    let count = key.append(kinds());
    let mut out = Text::default();
    out.push(&[transport]);
    out.push(version_label(hello, Face::Native).as_bytes());
    push_count(&mut out, count, Face::Native);
    out.push(&protocol_label(hello.protocols().next().unwrap_or(b""), Face::Native));
    let cipher = hello.ciphers().next().unwrap_or(0);
    let digit = |shift: u32| HEX[usize::from(cipher >> shift & 15)];
    out.push(&[b'_', digit(12), digit(8), digit(4), digit(0), b'_']);
    if count == 0 {
        out.push(EMPTY_HASH);
    } else {
        out.push(&memo.get(&key, || hash(kinds()))[..HASH_LEN]);
    }
    out
}

fn hash(kinds: impl Iterator<Item = u16>) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut text = Pieces::new(|text: &[u8]| hash.update(text));
    join(&mut text, kinds);
    text.flush();
    digits_of(hash)
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::{alpn, server_hello};
    use super::*;

    /// A hello with this cipher, whose place is behind header, version, random and session.
    fn of(cipher: u16, kinds: &[u16]) -> String {
        let protocols = alpn(&[b"h2"]);
        let extensions = kinds.iter().map(|kind| match kind {
            0x10 => (*kind, &protocols[..]),
            0x2b => (*kind, &[3, 4][..]),
            _ => (*kind, &b""[..]),
        });
        let mut message = server_hello(0x0303, &extensions.collect::<Vec<_>>());
        message[71..73].copy_from_slice(&cipher.to_be_bytes());
        let hello = Hello::of_handshake(&message, Face::Native).expect("whole");
        let mut memo = Memo::new();
        let texts = [b't', b't'].map(|transport| ja4s(&hello, transport, &mut memo));
        assert_eq!(texts[0], texts[1], "memory changes nothing");
        String::from_utf8_lossy(texts[0].as_bytes()).into_owned()
    }

    /// Values that FoxIO publishes beside its captures, the first with the text that is hashed.
    #[test]
    fn published_fingerprints() {
        assert_eq!(of(0xc030, &[5, 0x23, 0x10, 0x17, 0xff01, 0]), "t1206h2_c030_044dc9b3196d");
        assert_eq!(of(0xc030, &[5, 0x17, 0xff01]), "t120300_c030_09f674154ab3");
        assert_eq!(of(0x1301, &[0x2b, 0x33]), "t130200_1301_a56c5b993250");
        assert_eq!(of(0xc02f, &[0x17, 0xff01, 0xb, 0x23]), "t120400_c02f_4993ccf7354b");
    }

    #[test]
    fn without_extensions() {
        assert_eq!(of(0x2f, &[]), "t120000_002f_000000000000");
    }
}
