//! tls: server name, JA3, JA4 and extensions of the ClientHello, version and protocol of the ServerHello, on any port
//! (spec/process_plugins.md, "tls").
//!
//! A ClientHello makes the record, the first ServerHello completes it and ends the plugin's interest in the flow. Both must be whole in
//! their packet; natively they may span several segments and records (`tls/handshake.rs`). RFC 8446, RFC 5246.
pub mod fingerprints;
mod handshake;
pub mod hello;
pub mod ja3;
pub mod ja4;
pub mod ja4s;
pub mod memo;
mod pieces;

use crate::face::Face;
use crate::l7::dns::until_nul;
use crate::l7::streams::{Arrival, Streams};
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, join, put_short, put_text};
use fingerprints::{Memos, fingerprints};
use handshake::{Gathered, HELLO_LEN_MAX};
use hello::{Hello, Kind};
use record::element::{cesnet, flowmon};
use record::{Blob, List, Text, record};
use std::fmt::Write;

record! {
    /// A TLS handshake.
    pub struct TlsRecord = "tls" {
        /// The client's legacy version until the server says which one is used.
        version: u16, ipfix flowmon::tlsServerVersion, unirec "TLS_VERSION";
        /// First server name.
        sni: Text<NAME_LEN_MAX>, ipfix cesnet::TLSSNI, unirec "TLS_SNI";
        /// The protocol that the server chose (ALPN).
        alpn: Text<NAME_LEN_MAX>, ipfix flowmon::tlsAlpn, unirec "TLS_ALPN";
        /// JA3 of the ClientHello, the raw MD5.
        ja3: Blob<16>, ipfix flowmon::tlsJa3Fingerprint, unirec "TLS_JA3";
        /// JA4 as it is sent in IPFIX: the original pads it with NUL to 36 bytes.
        ja4_ipfix: Text<{ ja4::JA4_LEN }>, ipfix cesnet::tlsJa4Fingerprint, shown Never;
        /// JA4 of the ClientHello.
        ja4: Text<{ ja4::JA4_LEN }>, unirec "TLS_JA4";
        /// Types of the ClientHello's extensions in their order, GREASE included.
        ext_types: List<u16, EXTENSIONS_MAX>, ipfix cesnet::tlsExtTypeField, unirec "TLS_EXT_TYPE";
        /// Lengths of the same extensions.
        ext_lens: List<u16, EXTENSIONS_MAX>, ipfix cesnet::tlsExtLenField, unirec "TLS_EXT_LEN";
    }
}

/// What the original's buffers of 255 bytes hold.
pub(super) const NAME_LEN_MAX: usize = 253;
/// Extensions that are listed; fingerprints see more.
pub(super) const EXTENSIONS_MAX: usize = 30;

pub struct Tls {
    face: Face,
    /// Hellos that are not whole, natively only.
    streams: Option<Streams>,
    /// A hello without its record headers.
    message: Vec<u8>,
    memos: Memos,
}

impl Plugin for Tls {
    type Record = TlsRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first() == Some(&hello::RECORD_HANDSHAKE)
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        let len_max = if face.is_original() { 0 } else { HELLO_LEN_MAX };
        Ok(Tls {
            face,
            streams: (!face.is_original()).then(|| Streams::new(len_max)),
            message: Vec::with_capacity(len_max),
            memos: Memos::default(),
        })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        match Hello::of_record(ctx.packet.payload(), self.face) {
            Some(hello) => take(&hello, ctx, self.face, &mut self.memos, slots),
            None => self.gather(ctx, slots),
        }
    }

    fn text(record: &TlsRecord, out: &mut String) {
        out.push_str("tlssni=\"");
        put_text(out, record.sni.as_bytes());
        out.push_str("\",tlsalpn=\"");
        put_text(out, record.alpn.as_bytes());
        let _ = write!(out, "\",tlsversion=0x{:04x},tlsja3=", record.version);
        for byte in record.ja3.as_bytes() {
            let _ = write!(out, "{byte:02x}");
        }
        out.push_str(",tlsexttype=(");
        join(out, record.ext_types.as_slice());
        out.push_str("),tlsextlen=(");
        join(out, record.ext_lens.as_slice());
        out.push(')');
    }

    fn summary(r: &TlsRecord, out: &mut String) {
        let _ = match r.version {
            0x0300 => write!(out, "ssl3 "),
            0x0301..=0x0304 => write!(out, "tls1.{} ", r.version - 0x0301),
            version => write!(out, "tls 0x{version:04x} "),
        };
        for value in [r.sni.as_bytes(), r.alpn.as_bytes(), r.ja4.as_bytes()].iter().filter(|v| !v.is_empty()) {
            put_short(out, value);
            out.push(' ');
        }
    }
}

impl Tls {
    /// A packet that does not begin with a whole hello: it may be a part of one, or hold one that spans records.
    fn gather(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(streams) = &mut self.streams else { return Step::More };
        let packet = &ctx.packet;
        let Arrival::Text(text, is_held) = streams.arrival(packet) else { return Step::More };
        let step = match handshake::gather(text, &mut self.message) {
            Gathered::Whole => {
                let hello = Hello::of_handshake(&self.message, self.face);
                hello.map_or(Step::More, |hello| take(&hello, ctx, self.face, &mut self.memos, slots))
            }
            Gathered::Part if is_held => {
                streams.keep(packet, false, 0);
                return Step::More;
            }
            // Without its ClientHello a ServerHello is not kept, so it is not waited for either.
            Gathered::Part if self.message.first() == Some(&(Kind::Server as u8)) && slots.first().is_none() => {
                Step::More
            }
            Gathered::Part if streams.begin(packet, 0) => return Step::Each,
            Gathered::Part | Gathered::Other => Step::More,
        };
        if is_held {
            streams.end(packet);
        }
        step
    }
}

/// Reads a hello into the flow's record.
#[inline(always)]
fn take(hello: &Hello<'_>, ctx: &Context<'_, '_>, face: Face, memos: &mut Memos, slots: &mut Slots<'_, Tls>) -> Step {
    match hello.kind {
        Kind::Client => {
            if let Some(slot) = slots.first_or_open() {
                let transport = if ctx.packet.packet.protocol == protocol::UDP { b'q' } else { b't' };
                read_client(hello, transport, face, memos, &mut slot.record);
            }
            Step::More
        }
        // Without its ClientHello a ServerHello is not kept.
        Kind::Server => match slots.first() {
            Some(slot) => {
                read_server(hello, face, &mut slot.record);
                Step::Done
            }
            None => Step::More,
        },
    }
}

fn read_client(hello: &Hello<'_>, transport: u8, face: Face, memos: &mut Memos, record: &mut TlsRecord) {
    if record.ext_types.is_empty() {
        if let Some((kinds, lens)) = hello.headers() {
            record.ext_types.extend(kinds);
            record.ext_lens.extend(lens);
        } else {
            for e in hello.extensions().take(EXTENSIONS_MAX) {
                record.ext_types.push(e.kind);
                record.ext_lens.push(e.len);
            }
        }
    }
    let prints = fingerprints(hello, transport, face, memos);
    record.ja3.set(&prints.ja3);
    record.ja4 = prints.ja4;
    record.ja4_ipfix = record.ja4;
    if face.is_original() {
        // QUIRK: the two bytes as they lie in a little-endian memory, as in JA3.
        record.version = hello.version.swap_bytes();
        record.ja4_ipfix.push(&[0; ja4::JA4_LEN]);
    } else {
        record.version = hello.version;
    }
    read_name(hello, face, &mut record.sni);
}

/// The server name of a ClientHello.
pub(super) fn read_name(hello: &Hello<'_>, face: Face, out: &mut Text<NAME_LEN_MAX>) {
    if face.is_original() {
        original_name(hello.server_names().map(|(_, name)| name), out);
    } else if let Some((_, name)) = hello.server_names().find(|(kind, _)| *kind == HOST_NAME) {
        out.set(name);
    }
}

fn read_server(hello: &Hello<'_>, face: Face, record: &mut TlsRecord) {
    let chosen = hello.supported_versions().next();
    if face.is_original() {
        // QUIRK: without supported_versions the client's version stays, whatever the server says.
        record.version = chosen.unwrap_or(record.version);
        original_name(hello.protocols(), &mut record.alpn);
    } else {
        record.version = chosen.unwrap_or(hello.version);
        if let Some(name) = hello.protocols().next() {
            record.alpn.set(name);
        }
    }
}

/// RFC 6066 section 3.
const HOST_NAME: u8 = 0;

/// QUIRK: the first name that fits whole, as a C string; if there are names and none fits, nothing.
fn original_name<'m>(mut names: impl Iterator<Item = &'m [u8]>, out: &mut Text<NAME_LEN_MAX>) {
    let Some(first) = names.next() else { return };
    let fits = |name: &&[u8]| name.len() <= NAME_LEN_MAX;
    out.set(until_nul(std::iter::once(first).chain(names).find(fits).unwrap_or(b"")));
}

#[cfg(test)]
mod tests {
    use super::hello::tests::{alpn, client_hello, record, server_hello, server_name};
    use super::*;
    use crate::packet::Direction;
    use crate::plugin::testing::{Harness, frame};
    use proptest::prelude::*;

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];
    const V13: (u16, &[u8]) = (43, &[3, 4]);

    fn client(h: &mut Harness<Tls>, payload: &[u8]) -> Step {
        h.packet(Direction::Forward, 4000, 443, protocol::TCP, payload)
    }
    fn server(h: &mut Harness<Tls>, payload: &[u8]) -> Step {
        h.packet(Direction::Reverse, 443, 4000, protocol::TCP, payload)
    }
    fn hello() -> Vec<u8> {
        record(&client_hello(0x0303, &[0x1301], &[(0, &server_name(0, b"a.example")), (16, &alpn(&[b"h2"]))]))
    }

    #[test]
    fn the_server_completes_the_record() {
        let plain = record(&server_hello(0x0302, &[(16, &alpn(&[b"h2"]))]));
        let v13 = record(&server_hello(0x0303, &[V13]));
        for (answer, original, native, protocol) in [(&plain, 0x0303, 0x0302, &b"h2"[..]), (&v13, 0x0304, 0x0304, b"")]
        {
            for (face, version) in FACES.into_iter().zip([original, native]) {
                let mut h = Harness::<Tls>::new(face);
                assert_eq!(client(&mut h, b""), Step::More);
                assert_eq!(client(&mut h, &hello()), Step::More);
                assert_eq!(server(&mut h, answer), Step::Done);
                assert_eq!(client(&mut h, &hello()), Step::More);
                let [r] = &h.records()[..] else { panic!("one record") };
                assert_eq!((r.version, r.sni.as_bytes(), r.alpn.as_bytes()), (version, &b"a.example"[..], protocol));
                assert_eq!((r.ext_types.as_slice(), r.ext_lens.as_slice()), (&[0, 16][..], &[14, 5][..]));
            }
        }
    }

    #[test]
    fn a_server_hello_alone_is_not_kept() {
        for face in FACES {
            let mut h = Harness::<Tls>::new(face);
            assert_eq!(server(&mut h, &record(&server_hello(0x0303, &[V13]))), Step::More);
            assert!(h.records().is_empty());
            client(&mut h, &hello());
            assert_eq!(h.records()[0].version, 0x0303, "nothing leaks into the next flow");
        }
    }

    #[test]
    fn versions_and_padding_by_face() {
        let old = record(&client_hello(0x0301, &[0x2f], &[(0, &server_name(0, b"a"))]));
        let mut h = Harness::<Tls>::new(Face::Ipfixprobe);
        client(&mut h, &old);
        let r = &h.records()[0];
        assert_eq!((r.version, r.ja4.as_bytes()), (0x0103, &b"t00d1100_ba72b8082249_d2e2adf7177b"[..]));
        assert_eq!((r.ja4_ipfix.len(), r.ja4_ipfix.as_bytes().strip_prefix(r.ja4.as_bytes())), (36, Some(&[0; 2][..])));
        let mut h = Harness::<Tls>::new(Face::Native);
        client(&mut h, &old);
        let r = &h.records()[0];
        assert_eq!((r.version, r.ja4.as_bytes()), (0x0301, &b"t10d010100_ba72b8082249_000000000000"[..]));
        assert_eq!(r.ja4_ipfix, r.ja4);
    }

    #[test]
    fn server_names() {
        let long = [b'x'; 254];
        let two = |a: (u8, &[u8]), b: (u8, &[u8])| {
            let mut both = server_name(a.0, a.1);
            both.extend(&server_name(b.0, b.1)[2..]);
            let len = both.len() as u16 - 2;
            both[..2].copy_from_slice(&len.to_be_bytes());
            both
        };
        for (what, names, original, native) in [
            ("a NUL", server_name(0, b"a\0b"), &b"a"[..], &b"a\0b"[..]),
            ("too long", server_name(0, &long), b"", &long[..253]),
            ("too long, then short", two((0, &long), (0, b"b")), b"b", &long[..253]),
            ("another type first", two((7, b"x"), (0, b"b")), b"x", b"b"),
            ("a list that lies", vec![0, 99, 0, 0, 1, b'a'], b"", b""),
            ("a name that lies", vec![0, 4, 0, 0, 9, b'a'], b"", b""),
        ] {
            for (face, name) in FACES.into_iter().zip([original, native]) {
                let mut h = Harness::<Tls>::new(face);
                client(&mut h, &record(&client_hello(0x0303, &[1], &[(0, &names)])));
                assert_eq!(h.records()[0].sni.as_bytes(), name, "{what}, {face:?}");
            }
        }
    }

    #[test]
    fn lists_are_cut_at_their_bounds() {
        let extensions: Vec<(u16, &[u8])> = (0..1000).map(|i| (1000 + i, &b"xy"[..])).collect();
        let ciphers: Vec<u16> = (0..5000).collect();
        for face in FACES {
            let mut h = Harness::<Tls>::new(face);
            client(&mut h, &record(&client_hello(0x0303, &ciphers, &extensions)));
            let r = &h.records()[0];
            assert_eq!((r.ext_types.len(), r.ext_lens.len()), (30, 30));
            assert!(r.ja4.as_bytes().starts_with(b"t12i999900_"));
        }
    }

    #[test]
    fn a_hello_in_segments_is_joined_natively() {
        let padded = record(&client_hello(0x0303, &[0x1301], &[(0, &server_name(0, b"a.example")), (21, &[0; 2500])]));
        for (face, expected) in FACES.into_iter().zip([0, 1]) {
            let mut h = Harness::<Tls>::new(face);
            let mut sequence = u32::MAX - 100;
            for segment in padded.chunks(1200) {
                let (packet, mut bytes) = frame(Direction::Forward, 4000, 443, protocol::TCP, &[], segment);
                bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
                for _twice in 0..2 {
                    assert!(matches!(h.frame(Direction::Forward, packet, &bytes), Step::More | Step::Each));
                }
                sequence = sequence.wrapping_add(segment.len() as u32);
            }
            let records = h.records();
            assert_eq!(records.len(), expected);
            assert!(records.iter().all(|r| r.sni.as_bytes() == b"a.example" && r.ext_lens.as_slice() == [14, 2500]));
        }
    }

    #[test]
    fn a_hello_that_stays_in_pieces_is_not_exported() {
        let mut h = Harness::<Tls>::new(Face::Native);
        client(&mut h, &hello()[..40]);
        assert_eq!(server(&mut h, &record(&server_hello(0x0303, &[V13]))), Step::More);
        assert!(h.records().is_empty());
        client(&mut h, &hello()[..40]);
        client(&mut h, &hello());
        assert_eq!(h.records().len(), 1);
    }

    #[test]
    fn text_form() {
        let mut h = Harness::<Tls>::new(Face::Ipfixprobe);
        client(&mut h, &hello());
        let mut text = String::new();
        Tls::text(&h.records()[0], &mut text);
        let (head, tail) = text.split_once("tlsja3=").expect("the key");
        assert_eq!(head, "tlssni=\"a.example\",tlsalpn=\"\",tlsversion=0x0303,");
        assert_eq!(&tail[32..], ",tlsexttype=(0,16),tlsextlen=(14,5)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 1u8..3) {
            let mut payload = vec![22, 3, 1, 1, 0, kind, 0, 0, 100, 3, 3];
            payload.extend(bytes);
            for face in FACES {
                let mut h = Harness::<Tls>::new(face);
                client(&mut h, &payload);
                prop_assert!(h.records().len() <= 1);
            }
        }

        #[test]
        fn a_damaged_hello_is_survived(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut payload = hello();
            let at = at.index(payload.len());
            payload[at] = byte;
            payload.truncate(cut.index(payload.len() + 1));
            for face in FACES {
                let mut h = Harness::<Tls>::new(face);
                client(&mut h, &payload);
                prop_assert!(h.records().iter().all(|r| r.ja4.len() <= 36));
            }
        }
    }
}
