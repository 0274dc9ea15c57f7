//! JA4: shape of a ClientHello, hash of its sorted ciphers, hash of its sorted extensions with its signature algorithms.
//!
//! Natively as published by FoxIO (github.com/FoxIO-LLC/ja4, technical_details/JA4.md); for the other face with the original's
//! deviations. Of very long lists the first [`VALUES_MAX`] values are hashed.
use super::hello::{Hello, extension, is_grease};
use super::memo::{Memo, Words};
use super::pieces::{HEX, Pieces};
use crate::face::Face;
use record::Text;
use sha2::{Digest, Sha256};

pub const JA4_LEN: usize = 36;
/// Ciphers or extensions that are sorted and hashed; IANA knows about 350 ciphers and 70 extensions.
pub const VALUES_MAX: usize = 512;
const COUNT_MAX: usize = 99;
pub(super) const EMPTY_HASH: &[u8; HASH_LEN] = b"000000000000";
/// Hexadecimal digits of a hash that are kept.
pub(super) const HASH_LEN: usize = 12;
/// Tell the lists of this fingerprint in the memo from others.
const CIPHERS: u16 = 4;
const EXTENSIONS: u16 = 5;

/// The fingerprint; `transport` is `t`, or `q` for QUIC.
pub fn ja4(hello: &Hello<'_>, transport: u8, face: Face, memo: &mut Memo<[u8; 16]>) -> Text<JA4_LEN> {
    let original = face.is_original();
    let kept = |v: &u16| !is_grease(*v, face);
    let mut ciphers = Words::of(CIPHERS);
    let count = ciphers.append(hello.ciphers().filter(kept));
    // QUIRK: the original counts GREASE extensions too, and writes counts below 10 as one digit.
    let extensions = hello.extensions().filter(|e| original || kept(&e.kind)).count();

    let mut out = Text::default();
    out.push(&[transport]);
    out.push(version_label(hello, face).as_bytes());
    out.push(if is_named(hello, face) { b"d" } else { b"i" });
    push_count(&mut out, count, face);
    push_count(&mut out, extensions, face);
    out.push(&protocol_label(hello.protocols().next().unwrap_or(b""), face));
    out.push(b"_");
    let hash = memo.get(&ciphers, || hash_of_ciphers(hello, face));
    out.push(&hash[..HASH_LEN]);
    out.push(b"_");
    out.push(&hash_of_extensions(hello, face, memo)[..HASH_LEN]);
    out
}

/// Whether the hello names its server. QUIRK: the original wants a name in server_name.
pub(super) fn is_named(hello: &Hello<'_>, face: Face) -> bool {
    if face.is_original() { hello.server_names().next().is_some() } else { hello.has(extension::SERVER_NAME) }
}

pub(super) fn push_count<const N: usize>(out: &mut Text<N>, count: usize, face: Face) {
    let count = count.min(COUNT_MAX) as u8;
    let digits = [b'0' + count / 10, b'0' + count % 10];
    out.push(if face.is_original() && count < 10 { &digits[1..] } else { &digits });
}

fn hash_of_ciphers(hello: &Hello<'_>, face: Face) -> [u8; 16] {
    let mut sorted = [0; VALUES_MAX];
    let ciphers = sort(&mut sorted, hello.ciphers().filter(|v| !is_grease(*v, face)));
    if ciphers.is_empty() {
        return padded(EMPTY_HASH);
    }
    let mut hash = Sha256::new();
    let mut text = Pieces::new(|text: &[u8]| hash.update(text));
    join(&mut text, ciphers.iter().copied());
    text.flush();
    digits_of(hash)
}

fn hash_of_extensions(hello: &Hello<'_>, face: Face, memo: &mut Memo<[u8; 16]>) -> [u8; 16] {
    let kept = |v: &u16| !is_grease(*v, face);
    let mut sorted = [0; VALUES_MAX];
    let counts = |v: &u16| kept(v) && *v != extension::SERVER_NAME && *v != extension::ALPN;
    let kinds = sort(&mut sorted, hello.extensions().map(|e| e.kind).filter(counts));
    let mut key = Words::of(EXTENSIONS);
    key.append(kinds.iter().copied());
    if face.is_original() {
        // QUIRK: the underscore is there even if the algorithms are not; an empty list is hashed too.
        key.append(hello.signature_words());
        memo.get(&key, || hash_of_both(kinds, Some(hello.signature_words())))
    } else if kinds.is_empty() {
        padded(EMPTY_HASH)
    } else {
        let algorithms = || hello.signature_algorithms().filter(kept);
        let any = key.append(algorithms()) > 0;
        memo.get(&key, || hash_of_both(kinds, any.then(algorithms)))
    }
}

fn hash_of_both(kinds: &[u16], algorithms: Option<impl Iterator<Item = u16>>) -> [u8; 16] {
    let mut hash = Sha256::new();
    let mut text = Pieces::new(|text: &[u8]| hash.update(text));
    join(&mut text, kinds.iter().copied());
    if let Some(algorithms) = algorithms {
        text.byte(b'_');
        join(&mut text, algorithms);
    }
    text.flush();
    digits_of(hash)
}

pub(super) fn digits_of(hash: Sha256) -> [u8; 16] {
    let hash = hash.finalize();
    let mut digits = [0; 16];
    for (pair, byte) in digits[..HASH_LEN].chunks_exact_mut(2).zip(hash.iter()) {
        pair.copy_from_slice(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
    }
    digits
}

fn padded(hash: &[u8; HASH_LEN]) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..HASH_LEN].copy_from_slice(hash);
    digits
}

pub(super) fn version_label(hello: &Hello<'_>, face: Face) -> &'static str {
    let offered = hello.supported_versions().filter(|v| !is_grease(*v, face));
    let version = if face.is_original() {
        // QUIRK: compared as signed numbers; the legacy version has its bytes swapped.
        offered.max_by_key(|v| *v as i16).unwrap_or(hello.version.swap_bytes())
    } else {
        offered.max().unwrap_or(hello.version)
    };
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol name, by hexadecimal digits if they are not letters or digits.
pub(super) fn protocol_label(name: &[u8], face: Face) -> [u8; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return *b"00" };
    if face.is_original() {
        return [original_label(first, true), original_label(last, false)];
    }
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last];
    }
    [HEX[(first >> 4) as usize], HEX[(last & 15) as usize]]
}

/// QUIRK: each of the two characters is judged alone, digits are upper case, and the shift of a byte from 0x80 on keeps its sign, so
/// that the digit wraps around.
fn original_label(byte: u8, high: bool) -> u8 {
    if byte.is_ascii_alphanumeric() {
        return byte;
    }
    let nibble = if high { (byte as i8 >> 4) as u8 } else { byte & 15 };
    if nibble < 10 { b'0' + nibble } else { b'A'.wrapping_add(nibble).wrapping_sub(10) }
}

fn sort(sorted: &mut [u16; VALUES_MAX], values: impl Iterator<Item = u16>) -> &[u16] {
    let mut len = 0;
    for (place, value) in sorted.iter_mut().zip(values) {
        *place = value;
        len += 1;
    }
    let used = &mut sorted[..len];
    used.sort_unstable();
    used
}

pub(super) fn join(out: &mut Pieces<impl FnMut(&[u8])>, values: impl Iterator<Item = u16>) {
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.byte(b',');
        }
        out.hex(value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::{alpn, client_hello, list8, list16, record, server_name};
    use super::*;

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];

    fn of(hello: &[u8]) -> [String; 2] {
        let record = record(hello);
        FACES.map(|face| {
            let hello = Hello::of_record(&record, face).expect("whole");
            String::from_utf8_lossy(ja4(&hello, b't', face, &mut Memo::new()).as_bytes()).into_owned()
        })
    }

    /// FoxIO's example with GREASE in every list (JA4.md, "Example").
    fn chrome(algorithms: &[u16]) -> Vec<u8> {
        let ciphers = [
            0xeaea, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d,
            0x2f, 0x35,
        ];
        let kinds =
            [0x0a0a, 0x1b, 0, 0x33, 0x10, 0x4469, 0x17, 0x2d, 0xd, 5, 0x23, 0x12, 0x2b, 0xff01, 0xb, 0xa, 0x15, 0x1a1a];
        let (name, protocols) = (server_name(0, b"example.com"), alpn(&[b"h2", b"http/1.1"]));
        let (algorithms, versions) = (list16(algorithms), list8(&[0x3a, 0x3a, 3, 4, 3, 3]));
        let extensions = kinds.map(|kind| {
            let data: &[u8] = match kind {
                extension::SERVER_NAME => &name,
                extension::ALPN => &protocols,
                extension::SIGNATURE_ALGORITHMS => &algorithms,
                extension::SUPPORTED_VERSIONS => &versions,
                _ => b"",
            };
            (kind, data)
        });
        client_hello(0x0303, &ciphers, &extensions)
    }

    #[test]
    fn published_fingerprints() {
        let [original, native] = of(&chrome(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]));
        assert_eq!(native, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        // As in fixtures/exporter/tls.csv.
        assert_eq!(original, "t13d1518h2_8daaf6152771_e5627efa2ab1");
        let [original, native] = of(&chrome(&[]));
        assert_eq!(native, "t13d1516h2_8daaf6152771_6d807ffa2a79");
        assert_ne!(original[24..], native[24..], "the underscore of the original");
    }

    #[test]
    fn empty_lists() {
        let (name, versions) = (server_name(0, b"a"), list8(&[3, 4]));
        let [original, native] = of(&client_hello(0x0303, &[], &[(0, &name)]));
        assert_eq!(native, "t12d000100_000000000000_000000000000");
        // The second hash is that of "_".
        assert_eq!(original, "t12d0100_000000000000_d2e2adf7177b");
        let [original, native] = of(&client_hello(0x0303, &[0x1301], &[(0, b""), (43, &versions)]));
        assert_eq!((&original[..9], &native[..11]), ("t13i1200_", "t13d010200_"));
    }

    #[test]
    fn protocol_labels() {
        for (name, original, native) in [
            (&b""[..], "00", "00"),
            (b"h2", "h2", "h2"),
            (b"http/1.1", "h1", "h1"),
            (b"x", "xx", "xx"),
            (b"\xab", "1B", "ab"),
            (b"\x20", "20", "20"),
            (b"\xab\xcd", "1D", "ad"),
            (b"\x20\x61", "2a", "21"),
            (b"\x30\xab", "0B", "3b"),
            (b"\x61\x20", "a0", "60"),
            (b"\x30\x31\xab\xcd", "0D", "3d"),
            (b"\x30\xab\xcd\x31", "01", "01"),
        ] {
            let labels = FACES.map(|face| protocol_label(name, face));
            assert_eq!(labels, [original, native].map(|l| [l.as_bytes()[0], l.as_bytes()[1]]), "{name:?}");
        }
    }

    #[test]
    fn version_labels() {
        for (legacy, offered, original, native) in [
            (0x0303, &[][..], "12", "12"),
            (0x0301, &[], "00", "10"),
            (0x0303, &[0x03, 0x03, 0x03, 0x04], "13", "13"),
            (0x0303, &[0xfe, 0xfd, 0x03, 0x03], "12", "d2"),
            (0x0303, &[0x7f, 0x1c], "00", "00"),
        ] {
            let versions = list8(offered);
            let hello = record(&client_hello(legacy, &[1], &[(43, &versions)]));
            let labels = FACES.map(|face| version_label(&Hello::of_record(&hello, face).expect("whole"), face));
            assert_eq!(labels, [original, native], "{legacy:04x} {offered:?}");
        }
    }
}
