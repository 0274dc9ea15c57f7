//! Both fingerprints of a ClientHello, remembered by all that they are made of.
//!
//! Most hellos say what one said before them, down to the order of their extensions; then neither is put together again. Clients that
//! shuffle their extensions are new here each time, but not to the memo of the parts ([`ja3`], [`ja4`]).
use super::hello::{Hello, Lists, is_grease};
use super::memo::{Memo, Words};
use super::{ja3, ja4};
use crate::face::Face;
use record::Text;

/// Tells these lists in the memo from those of the parts, together with the transport.
const KEY: u16 = 0x100;
/// Stands for all values that are sprinkled in: they never count but by their number.
const GREASE: u16 = 0x0a0a;

#[derive(Clone, Copy, Default)]
pub struct Fingerprints {
    pub ja3: [u8; 16],
    pub ja4: Text<{ ja4::JA4_LEN }>,
}

/// What a lane remembers of fingerprints.
#[derive(Default)]
pub struct Memos {
    whole: Memo<Fingerprints>,
    parts: Memo<[u8; 16]>,
}

/// The fingerprints; `transport` is `t`, or `q` for QUIC.
pub fn fingerprints(hello: &Hello<'_>, transport: u8, face: Face, memos: &mut Memos) -> Fingerprints {
    let Memos { whole, parts } = memos;
    let mut compute =
        || Fingerprints { ja3: ja3::ja3(hello, face, parts), ja4: ja4::ja4(hello, transport, face, parts) };
    match hello.lists() {
        Some(lists) => whole.get(&key(hello, &lists, transport, face), compute),
        None => compute(),
    }
}

/// Hellos with the same key have the same fingerprints: all that [`ja3::ja3`] and [`ja4::ja4`] ask a hello for.
#[inline(always)]
fn key(hello: &Hello<'_>, lists: &Lists<'_>, transport: u8, face: Face) -> Words {
    let mut key = Words::of(KEY | transport as u16);
    key.push(hello.version);
    key.push(u16::from_le_bytes(ja4::protocol_label(hello.protocols().next().unwrap_or(b""), face)));
    key.push(ja4::is_named(hello, face) as u16);
    // The face is chosen here and not for each value, so that the loops become vector code.
    match face {
        Face::Ipfixprobe => lists_to(&mut key, hello, lists, |value| plain(value, Face::Ipfixprobe)),
        Face::Native => lists_to(&mut key, hello, lists, |value| plain(value, Face::Native)),
    }
    // The original minds neither the length field nor sprinkled values; an odd last byte decides whether the list is whole.
    key.push(lists.signature_data.len() as u16);
    key.append_pairs(lists.signature_data, |word| word);
    key
}

#[inline(always)]
fn plain(value: u16, face: Face) -> u16 {
    if is_grease(value, face) { GREASE } else { value }
}

#[inline(always)]
fn lists_to(key: &mut Words, hello: &Hello<'_>, lists: &Lists<'_>, plain: impl Fn(u16) -> u16 + Copy) {
    match hello.headers() {
        Some((kinds, _)) => key.append(kinds.iter().map(|kind| plain(*kind))),
        None => key.append(hello.extensions().map(|e| plain(e.kind))),
    };
    for list in [lists.ciphers, lists.groups, lists.versions] {
        key.append_pairs(list, plain);
    }
    key.append(lists.point_formats.iter().map(|format| *format as u16));
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::{alpn, client_hello, list8, list16, record, server_name};
    use super::*;
    use proptest::prelude::*;

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];

    #[test]
    fn grease_stands_for_itself() {
        assert!(FACES.iter().all(|face| is_grease(GREASE, *face)));
    }

    /// A hello of a few values, so that many differ in one place only.
    fn hello() -> impl Strategy<Value = Vec<u8>> {
        let values =
            || prop::collection::vec(prop::sample::select(vec![0x0a0a, 0x1a1a, 0x0303, 0x0304, 1, 0x1301]), 0..4);
        let kinds = prop::collection::vec(prop::sample::select(vec![0u16, 10, 11, 13, 16, 43, 0x2a2a, 5]), 0..6);
        (values(), kinds, values(), any::<bool>()).prop_map(|(ciphers, kinds, list, long)| {
            let (words, name) = (list16(&list), server_name(0, if long { b"example.com" } else { b"" }));
            let bytes: Vec<u8> = list.iter().flat_map(|v| v.to_be_bytes()).collect();
            let (short, protocols) = (list8(&bytes), alpn(&[if long { b"h2" } else { b"\xab" }]));
            let data = |kind: &u16| match kind {
                0 => &name[..],
                11 | 43 => &short,
                16 => &protocols,
                _ => &words,
            };
            let extensions: Vec<_> = kinds.iter().map(|kind| (*kind, data(kind))).collect();
            record(&client_hello(if long { 0x0303 } else { 0x0301 }, &ciphers, &extensions))
        })
    }

    proptest! {
        /// A memo that has seen many hellos says what a new one says.
        #[test]
        fn memory_changes_nothing(hellos in prop::collection::vec(hello(), 1..60)) {
            for face in FACES {
                let mut memos = Memos::default();
                for bytes in &hellos {
                    let Some(hello) = Hello::of_record(bytes, face) else { continue };
                    for transport in [b't', b'q'] {
                        let got = fingerprints(&hello, transport, face, &mut memos);
                        let mut none = Memo::new();
                        prop_assert_eq!(got.ja3, ja3::ja3(&hello, face, &mut none));
                        prop_assert_eq!(got.ja4, ja4::ja4(&hello, transport, face, &mut Memo::new()));
                    }
                }
            }
        }
    }
}
