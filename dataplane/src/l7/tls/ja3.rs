//! JA3: MD5 over version, ciphers, extensions, groups and point formats of a ClientHello in decimal, GREASE left out
//! (github.com/salesforce/ja3).
use super::hello::{Hello, is_grease};
use super::memo::{Memo, Words};
use super::pieces::Pieces;
use crate::face::Face;
use md5::{Digest, Md5};

/// Tells these lists in the memo from those of JA4.
const KEY: u16 = 3;

/// The fingerprint; no list is cut.
pub fn ja3(hello: &Hello<'_>, face: Face, memo: &mut Memo<[u8; 16]>) -> [u8; 16] {
    let kept = |value: &u16| !is_grease(*value, face);
    let mut key = Words::of(KEY);
    key.push(hello.version);
    key.append(hello.ciphers().filter(kept));
    key.append(hello.extensions().map(|e| e.kind).filter(kept));
    key.append(hello.groups().filter(kept));
    key.append(hello.point_formats().filter(kept));
    memo.get(&key, || {
        let mut hash = Md5::new();
        write_ja3(hello, face, |text| hash.update(text));
        hash.finalize().into()
    })
}

fn write_ja3(hello: &Hello<'_>, face: Face, out: impl FnMut(&[u8])) {
    let out = &mut Pieces::new(out);
    // QUIRK: the original takes the two bytes of the version as they lie in a little-endian memory.
    out.decimal(if face.is_original() { hello.version.swap_bytes() } else { hello.version });
    join(out, hello.ciphers(), face);
    join(out, hello.extensions().map(|e| e.kind), face);
    join(out, hello.groups(), face);
    join(out, hello.point_formats(), face);
    out.flush();
}

fn join(out: &mut Pieces<impl FnMut(&[u8])>, values: impl Iterator<Item = u16>, face: Face) {
    let mut before = b',';
    for value in values.filter(|v| !is_grease(*v, face)) {
        out.byte(before);
        out.decimal(value);
        before = b'-';
    }
    if before == b',' {
        out.byte(before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::{client_hello, list8, list16, record, server_name};
    use super::*;

    fn of(hello: &[u8], face: Face) -> (String, String) {
        let record = record(hello);
        let hello = Hello::of_record(&record, face).expect("whole");
        let mut text = String::new();
        write_ja3(&hello, face, |piece| text.push_str(std::str::from_utf8(piece).expect("digits")));
        (text, ja3(&hello, face, &mut Memo::new()).iter().map(|b| format!("{b:02x}")).collect())
    }

    #[test]
    fn published_fingerprints() {
        // The two examples of the JA3 README.
        let name = server_name(0, b"a");
        let ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4];
        let hello = client_hello(0x0301, &ciphers, &[(0, &name), (10, &list16(&[23, 24, 25])), (11, &list8(&[0]))]);
        let text = "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0";
        assert_eq!(of(&hello, Face::Native), (text.into(), "ada70206e40642a3e4461f35503241d5".into()));
        assert!(of(&hello, Face::Ipfixprobe).0.starts_with("259,47-"));

        let bare = client_hello(0x0301, &[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99], &[]);
        let text = "769,4-5-10-9-100-98-3-6-19-18-99,,,";
        assert_eq!(of(&bare, Face::Native), (text.into(), "de350869b8c85de67a350c8d186f11e6".into()));
    }

    #[test]
    fn the_recorded_fingerprint() {
        // fixtures/exporter/tls.csv, chrek.stdout.cz.
        let ciphers =
            [0x2a2a, 4865, 4866, 4867, 49195, 49199, 49196, 49200, 52393, 52392, 49171, 49172, 156, 157, 47, 53];
        let groups = list16(&[0x4a4a, 29, 23, 24]);
        let formats = list8(&[0]);
        let kinds = [31354, 0, 23, 65281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 17513, 10794, 21];
        let extensions = kinds.map(|kind| match kind {
            10 => (kind, &groups[..]),
            11 => (kind, &formats[..]),
            _ => (kind, &b""[..]),
        });
        let hello = client_hello(0x0303, &ciphers, &extensions);
        for face in [Face::Ipfixprobe, Face::Native] {
            assert_eq!(of(&hello, face).1, "cd08e31494f9531f560d64c695473da9");
        }
    }
}
