//! Initials opened with the keys that everyone can derive (RFC 9001 sections 5.2 to 5.4).
use super::packet::Packet;
use super::version::{self, Family};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use std::ops::Range;

/// Longest Initial that is opened: a datagram of a jumbo frame has it.
pub const INITIAL_MAX: usize = 9000;

/// Bytes that a sample for header protection has, and how far behind the packet number it begins.
const SAMPLE_LEN: usize = 16;
const SAMPLE_AT: usize = 4;

/// Opens a client's Initial with the secret of the first destination id that the client chose; answers where in `scratch` its frames stand.
/// `None` if the keys do not fit.
pub fn open(packet: &Packet<'_>, chosen: &[u8], scratch: &mut Vec<u8>) -> Option<Range<usize>> {
    let family = version::family(packet.version)?;
    version::salts(packet.version).iter().find_map(|salt| {
        scratch.clear();
        scratch.extend_from_slice(&packet.bytes[..packet.bytes.len().min(INITIAL_MAX)]);
        open_with(&Keys::of(salt, chosen, family)?, packet.number_at, scratch)
    })
}

/// Opens a packet where it lies; answers where its frames stand.
fn open_with(keys: &Keys, number_at: usize, bytes: &mut [u8]) -> Option<Range<usize>> {
    let sample = bytes.get(number_at + SAMPLE_AT..)?.get(..SAMPLE_LEN)?;
    let [first_mask, number_mask @ ..] = keys.header.new_mask(sample).ok()?;
    bytes[0] ^= first_mask & 0x0f;
    let number_len = usize::from(bytes[0] & 3) + 1;
    let frames_at = number_at + number_len;
    let number = bytes.get_mut(number_at..frames_at)?;
    number.iter_mut().zip(number_mask).for_each(|(byte, mask)| *byte ^= mask);
    let mut nonce = keys.iv;
    // The first Initials of a connection have small numbers: what stands there is all of it.
    nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(byte, part)| *byte ^= part);
    let (header, body) = bytes.split_at_mut(frames_at);
    let frames = keys.packet.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), body).ok()?;
    Some(frames_at..frames_at + frames.len())
}

struct Keys {
    packet: LessSafeKey,
    iv: [u8; NONCE_LEN],
    header: quic::HeaderProtectionKey,
}

impl Keys {
    fn of(salt: &[u8], chosen: &[u8], family: Family) -> Option<Keys> {
        let (key_label, iv_label, header_label): (&[u8], &[u8], &[u8]) = match family {
            Family::One => (b"quic key", b"quic iv", b"quic hp"),
            Family::Two => (b"quicv2 key", b"quicv2 iv", b"quicv2 hp"),
        };
        let initial = Salt::new(HKDF_SHA256, salt).extract(chosen);
        let client = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, b"client in")?);
        Some(Keys {
            packet: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &expand::<16>(&client, key_label)?).ok()?),
            iv: expand(&client, iv_label)?,
            header: quic::HeaderProtectionKey::new(&quic::AES_128, &expand::<16>(&client, header_label)?).ok()?,
        })
    }
}

/// HKDF-Expand-Label of RFC 8446 section 7.1 with an empty context.
fn expand<const N: usize>(secret: &Prk, label: &[u8]) -> Option<[u8; N]> {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    const PREFIX: &[u8] = b"tls13 ";
    let lens = [0, N as u8, (PREFIX.len() + label.len()) as u8];
    let mut out = [0; N];
    secret.expand(&[&lens, PREFIX, label, &[0]], Len(N)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001 appendix A.1 and RFC 9369 appendix A.1.
    #[test]
    fn published_keys() {
        let chosen = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        for (version, iv) in [(1, "fa044b2f42a3fd3b46fb255c"), (0x6b33_43cf, "91f73e2351d8fa91660e909f")] {
            let family = version::family(version).expect("known");
            let keys = Keys::of(&version::salts(version)[0], &chosen, family).expect("keys");
            assert_eq!(keys.iv.iter().map(|b| format!("{b:02x}")).collect::<String>(), iv);
        }
    }
}
