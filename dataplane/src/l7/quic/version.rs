//! Versions of QUIC that are known, and what the keys of their Initials are made with (RFC 9001 section 5.2, RFC 9369 section 3.3, and
//! the drafts before them).

/// How a version spells its packet types and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Version 1, its drafts, and private versions made after them.
    One,
    Two,
}

type Salt = [u8; 20];

const V1: Salt = hex(b"38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
const V2: Salt = hex(b"0dede3def700a6db819381be6e269dcbf9bd2ed9");
const V2_DRAFT: Salt = hex(b"a707c203a59b47184a1d62ca570406ea7ae3e5d3");
const DRAFT_29: Salt = hex(b"afbfec289993d24c9e9786f19c6111e04390a899");
const DRAFT_23: Salt = hex(b"c3eef712c72ebb5a11a7d2432bb46365bef9f502");
const DRAFT_21: Salt = hex(b"7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a");

/// Versions of those who went ahead: mvfst, picoquic, msquic, quant, quic-go, quicly, Tencent, quinn, Mozilla, SCION. Which salt they took
/// is tried out.
const PRIVATE: &[(u32, u32)] = &[
    (0xface_b000, 0xface_b00f),
    (0x5043_5130, 0x5043_513f),
    (0xabcd_0000, 0xabcd_000f),
    (0x4547_4700, 0x4547_47ff),
    (0x5130_3500, 0x5130_39ff),
    (0x9100_0000, 0x9100_00ff),
    (0x7c00_0000, 0x7c00_00ff),
    (0x0700_0000, 0x0700_00ff),
    (0xf123_f0c0, 0xf123_f0cf),
    (0x5349_4f4e, 0x5349_4f4e),
    (0x454c_4500, 0x454c_45ff),
    (0xf0f0_f000, 0xf0f0_f0ff),
];

/// The version number of a version negotiation packet (RFC 9000 section 17.2.1).
pub const NEGOTIATION: u32 = 0;

/// The family of a version, `None` if it is not known.
pub fn family(version: u32) -> Option<Family> {
    let is_private = || PRIVATE.iter().any(|(first, last)| (*first..=*last).contains(&version));
    match version {
        0x6b33_43cf | 0x709a_50c4 | 0xff02_0000 => Some(Family::Two),
        1 | 0xff00_0001..=0xff00_0022 => Some(Family::One),
        // Reserved to force a negotiation (RFC 9000 section 15).
        _ if version & 0x0f0f_0f0f == 0x0a0a_0a0a || is_private() => Some(Family::One),
        _ => None,
    }
}

/// The salts that a version may have, the likely ones first.
pub fn salts(version: u32) -> &'static [Salt] {
    match version {
        1 | 0xff00_0021 | 0xff00_0022 => &[V1],
        0xff00_001d..=0xff00_0020 => &[DRAFT_29],
        0xff00_0017..=0xff00_001c => &[DRAFT_23],
        0xff00_0001..=0xff00_0016 => &[DRAFT_21],
        0x6b33_43cf => &[V2],
        0x709a_50c4 | 0xff02_0000 => &[V2, V2_DRAFT],
        _ => &[V1, DRAFT_29, DRAFT_23, DRAFT_21],
    }
}

const fn hex(text: &[u8; 40]) -> Salt {
    const fn digit(byte: u8) -> u8 {
        if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 }
    }
    let (mut salt, mut at) = ([0; 20], 0);
    while at < salt.len() {
        salt[at] = digit(text[2 * at]) << 4 | digit(text[2 * at + 1]);
        at += 1;
    }
    salt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        for (version, want) in [
            (1, Some(Family::One)),
            (0xff00_001d, Some(Family::One)),
            (0x1a2a_3a4a, Some(Family::One)),
            (0xface_b002, Some(Family::One)),
            (0x6b33_43cf, Some(Family::Two)),
            (NEGOTIATION, None),
            (2, None),
            (0xff00_0023, None),
        ] {
            assert_eq!(family(version), want, "{version:#x}");
        }
    }
}
