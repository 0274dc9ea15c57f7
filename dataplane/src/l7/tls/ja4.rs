//! JA4: shape of a ClientHello, hash of its sorted ciphers, hash of its sorted extensions with its signature algorithms.
//!
//! Natively as published by FoxIO (github.com/FoxIO-LLC/ja4, technical_details/JA4.md); for the other face with the original's
//! deviations. Of very long lists the first [`VALUES_MAX`] values are hashed.
use super::hello::{Hello, extension, is_grease};
use super::ja3::Hashed;
use crate::face::Face;
use record::Text;
use sha2::{Digest, Sha256};
use std::fmt::Write;

pub const JA4_LEN: usize = 36;
/// Ciphers or extensions that are sorted and hashed; IANA knows about 350 ciphers and 70 extensions.
pub const VALUES_MAX: usize = 512;
const COUNT_MAX: usize = 99;
const EMPTY_HASH: &str = "000000000000";

/// The fingerprint; `transport` is `t`, or `q` for QUIC.
pub fn ja4(hello: &Hello<'_>, transport: char, face: Face) -> Text<JA4_LEN> {
    let original = face.is_original();
    let grease = |v: &u16| is_grease(*v, face);
    let ciphers = hello.ciphers().filter(|v| !grease(v));
    // QUIRK: the original counts GREASE extensions too, writes counts below 10 as one digit, and wants a name in server_name.
    let extensions = hello.extensions().filter(|e| original || !grease(&e.kind)).count().min(COUNT_MAX);
    let named = if original { hello.server_names().next().is_some() } else { hello.has(extension::SERVER_NAME) };
    let width = if original { 0 } else { 2 };

    let mut out = Line(Text::default());
    let _ = write!(
        out,
        "{transport}{}{}{:0width$}{extensions:0width$}",
        version_label(hello, face),
        if named { 'd' } else { 'i' },
        hello.ciphers().filter(|v| !grease(v)).count().min(COUNT_MAX),
    );
    for c in protocol_label(hello.protocols().next().unwrap_or(b""), face) {
        let _ = out.write_char(c.into());
    }

    let mut sorted = [0; VALUES_MAX];
    let ciphers = sort(&mut sorted, ciphers);
    let mut hash = Hashed(Sha256::new());
    join(&mut hash, ciphers.iter().copied());
    out.hash(hash, ciphers.is_empty());

    let kinds = hello.extensions().map(|e| e.kind);
    let kinds =
        sort(&mut sorted, kinds.filter(|v| !grease(v) && *v != extension::SERVER_NAME && *v != extension::ALPN));
    let mut hash = Hashed(Sha256::new());
    join(&mut hash, kinds.iter().copied());
    if original {
        // QUIRK: the underscore is there even if the algorithms are not; an empty list is hashed too.
        let _ = hash.write_char('_');
        join(&mut hash, hello.signature_words());
        out.hash(hash, false);
    } else {
        let mut algorithms = hello.signature_algorithms().filter(|v| !grease(v)).peekable();
        if algorithms.peek().is_some() {
            let _ = hash.write_char('_');
        }
        join(&mut hash, algorithms);
        out.hash(hash, kinds.is_empty());
    }
    out.0
}

fn version_label(hello: &Hello<'_>, face: Face) -> &'static str {
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
fn protocol_label(name: &[u8], face: Face) -> [u8; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return *b"00" };
    if face.is_original() {
        return [original_label(first, true), original_label(last, false)];
    }
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first, last];
    }
    const HEX: &[u8; 16] = b"0123456789abcdef";
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

fn join(out: &mut impl Write, values: impl Iterator<Item = u16>) {
    let mut before = "";
    for value in values {
        let _ = write!(out, "{before}{value:04x}");
        before = ",";
    }
}

/// The fingerprint under construction.
struct Line(Text<JA4_LEN>);

impl Write for Line {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.push(s.as_bytes());
        Ok(())
    }
}

impl Line {
    fn hash(&mut self, hash: Hashed<Sha256>, empty: bool) {
        let _ = self.write_char('_');
        if empty {
            let _ = self.write_str(EMPTY_HASH);
            return;
        }
        for byte in &hash.0.finalize()[..EMPTY_HASH.len() / 2] {
            let _ = write!(self, "{byte:02x}");
        }
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
            String::from_utf8_lossy(ja4(&hello, 't', face).as_bytes()).into_owned()
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
