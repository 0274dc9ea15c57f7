//! The text form of RDATA: what DNS_RDATA says of the first answer (spec/process_plugins.md, "dns").
//!
//! Bounded by the output; a field that lies outside is [`Malformed`]. RFC 1035 section 3.3, 1183 (ISDN), 2782 (SRV), 3596 (AAAA),
//! 4034 (DS, RRSIG, DNSKEY), 6672 (DNAME).
use super::message::{Cursor, Malformed, Name, ResourceRecord};
use crate::face::Face;
use record::{Blob, Text};
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

macro_rules! kinds {
    ($($name:ident $number:literal,)+) => {
        /// Resource record types that have a text form of their own.
        pub mod kind {
            $(pub const $name: u16 = $number;)+
        }

        /// The mnemonic of a type, where it is a common one.
        pub fn type_name(number: u16) -> Option<&'static str> {
            match number {
                $(kind::$name => Some(stringify!($name)),)+
                64 => Some("SVCB"),
                65 => Some("HTTPS"),
                255 => Some("ANY"),
                _ => None,
            }
        }
    };
}

kinds! {
    A 1,
    NS 2,
    CNAME 5,
    SOA 6,
    PTR 12,
    HINFO 13,
    MINFO 14,
    MX 15,
    TXT 16,
    ISDN 20,
    AAAA 28,
    SRV 33,
    DNAME 39,
    OPT 41,
    DS 43,
    RRSIG 46,
    DNSKEY 48,
}

/// Appends the text of a record's data, cut at the bound of `out`.
pub fn write<const N: usize>(record: &ResourceRecord<'_>, face: Face, out: &mut Blob<N>) -> Result<(), Malformed> {
    let original = face.is_original();
    let mut out = Out(out);
    // QUIRK: the original reads on behind RDATA that is too short.
    let mut data = record.fields(original);
    match record.kind {
        kind::A => out.ipv4(*data.take().ok_or(Malformed)?),
        kind::AAAA => write_ipv6(Ipv6Addr::from(*data.take().ok_or(Malformed)?), original, &mut out),
        kind::NS | kind::CNAME | kind::PTR | kind::DNAME => out.name(data.name())?,
        kind::SOA => {
            out.name(next_name(&mut data)?)?;
            out.bytes(b" ");
            out.name(next_name(&mut data)?)?;
            for _ in ["serial", "refresh", "retry", "expire", "minimum"] {
                out.text(format_args!(" {}", data.u32().ok_or(Malformed)?));
            }
        }
        kind::SRV => {
            let [priority, weight, port] = three(&mut data)?;
            out.service(record.owner)?;
            out.bytes(b" ");
            out.name(data.name())?;
            out.text(format_args!(" {priority} {weight} {port}"));
        }
        kind::MX => {
            out.text(format_args!("{} ", data.u16().ok_or(Malformed)?));
            out.name(data.name())?;
        }
        kind::TXT => out.strings(record.data()),
        kind::MINFO => {
            out.name(next_name(&mut data)?)?;
            // QUIRK: nothing separates the two names in the original.
            out.bytes(if original { b"" } else { b" " });
            out.name(data.name())?;
        }
        // QUIRK: the original copies the length octets of the strings too.
        kind::HINFO | kind::ISDN if original => out.bytes(record.data()),
        kind::HINFO | kind::ISDN => out.strings(record.data()),
        kind::DS => {
            let key_tag = data.u16().ok_or(Malformed)?;
            let [algorithm, digest] = *data.take().ok_or(Malformed)?;
            // QUIRK: in place of the algorithm the original says the key tag again, its two bytes swapped.
            let second = if original { key_tag.swap_bytes() } else { algorithm as u16 };
            out.text(format_args!("{key_tag} {second} {digest} <key>"));
        }
        kind::RRSIG => {
            let covered = data.u16().ok_or(Malformed)?;
            let [algorithm, labels] = *data.take().ok_or(Malformed)?;
            out.text(format_args!("{covered} {algorithm} {labels}"));
            for _ in ["original TTL", "expiration", "inception"] {
                out.text(format_args!(" {}", data.u32().ok_or(Malformed)?));
            }
            out.text(format_args!(" {} <key>", data.u16().ok_or(Malformed)?));
            data.name().check()?;
        }
        kind::DNSKEY => {
            let flags = data.u16().ok_or(Malformed)?;
            let [protocol, algorithm] = data.take().ok_or(Malformed)?;
            out.text(format_args!("{flags} {protocol} {algorithm} <key>"));
        }
        _ => out.bytes(b"(not_impl)"),
    }
    Ok(())
}

/// Character strings (RFC 1035 section 3.3); one over the end is left out, and what follows it.
pub fn strings(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, rest) = data.split_first()?;
        let (string, rest) = rest.split_at_checked(len as usize)?;
        data = rest;
        Some(string)
    })
}

/// An IPv6 address as text. The original's C library writes IPv4-compatible ones (RFC 4291 2.5.5.1) with dots, RFC 5952 does not.
pub fn write_ipv6(ip: Ipv6Addr, original: bool, out: &mut impl Write) {
    let compatible = ip.segments()[..6] == [0; 6] && ip.segments()[6] != 0;
    let done = match ip.octets().last_chunk::<4>() {
        Some(v4) if original && compatible => write!(out, "::{}", Ipv4Addr::from(*v4)),
        _ => out.write_str(str::from_utf8(ipv6_text(ip).as_bytes()).unwrap_or_default()),
    };
    debug_assert!(done.is_ok(), "texts that are full cut silently");
}

/// [`Ipv6Addr`]'s own text without formatting machinery (RFC 5952): the longest run of zeros is left out, the first of equal ones.
fn ipv6_text(ip: Ipv6Addr) -> Text<39> {
    let mut text = Text::default();
    let segments = ip.segments();
    if let Some(v4) = ip.to_ipv4_mapped() {
        text.push(b"::ffff:");
        text.push(ipv4_text(v4.octets()).as_bytes());
        return text;
    }
    let (mut run, mut longest) = (0..0, 0..0);
    for (at, segment) in segments.iter().enumerate() {
        run = if *segment == 0 { run.start..at + 1 } else { at + 1..at + 1 };
        if run.len() > longest.len().max(1) {
            longest = run.clone();
        }
    }
    let mut at = 0;
    while at < segments.len() {
        if at == longest.start && !longest.is_empty() {
            text.push(b"::");
            at = longest.end;
            continue;
        }
        if at > 0 && at != longest.end {
            text.push(b":");
        }
        let nibbles = [12, 8, 4, 0].map(|shift| b"0123456789abcdef"[(segments[at] >> shift & 0xf) as usize]);
        text.push(&nibbles[(segments[at] | 1).leading_zeros() as usize / 4..]);
        at += 1;
    }
    text
}

fn ipv4_text(octets: [u8; 4]) -> Text<15> {
    let mut text = Text::default();
    for (i, octet) in octets.into_iter().enumerate() {
        let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        text.push(if i == 0 { b"" } else { b"." });
        text.push(match octet {
            0..=9 => &digits[2..],
            10..=99 => &digits[1..],
            _ => &digits,
        });
    }
    text
}

fn next_name<'m>(data: &mut Cursor<'m>) -> Result<Name<'m>, Malformed> {
    let name = data.name();
    data.skip_name()?;
    Ok(name)
}

fn three(data: &mut Cursor<'_>) -> Result<[u16; 3], Malformed> {
    let b: &[u8; 6] = data.take().ok_or(Malformed)?;
    Ok([0, 2, 4].map(|i| u16::from_be_bytes([b[i], b[i + 1]])))
}

/// Output that is cut at its bound.
struct Out<'o, const N: usize>(&'o mut Blob<N>);

impl<const N: usize> Write for Out<'_, N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.push(s.as_bytes());
        Ok(())
    }
}

impl<const N: usize> Out<'_, N> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }

    fn text(&mut self, args: fmt::Arguments<'_>) {
        let done = self.write_fmt(args);
        debug_assert!(done.is_ok(), "write_str above never fails");
    }

    /// The commonest of all, without formatting machinery.
    fn ipv4(&mut self, octets: [u8; 4]) {
        self.bytes(ipv4_text(octets).as_bytes());
    }

    fn name(&mut self, name: Name<'_>) -> Result<(), Malformed> {
        name.dotted(|piece| self.bytes(piece))
    }

    /// Character strings with a blank between them.
    fn strings(&mut self, data: &[u8]) {
        for (at, string) in strings(data).enumerate() {
            self.bytes(if at == 0 { b"" } else { b" " });
            self.bytes(string);
        }
    }

    /// `_service._proto.domain` as `service proto domain`: the first two underscores go, the first two dots become blanks.
    fn service(&mut self, owner: Name<'_>) -> Result<(), Malformed> {
        let mut name = Text::<SERVICE_LEN_MAX>::default();
        owner.dotted(|piece| {
            name.push(piece);
        })?;
        let (mut underscores, mut dots) = (2, 2);
        for &byte in name.as_bytes() {
            match byte {
                b'_' if underscores > 0 => underscores -= 1,
                b'.' if dots > 0 => {
                    dots -= 1;
                    self.bytes(b" ");
                }
                _ => self.bytes(&[byte]),
            }
        }
        Ok(())
    }
}

/// Longest presentation form of a legal name (RFC 1035 2.3.4); more of it would not fit DNS_RDATA anyway.
const SERVICE_LEN_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::super::message::tests::Builder;
    use super::super::message::{Message, Stop};
    use super::*;
    use proptest::prelude::*;

    fn text_of(message: &[u8], face: Face) -> Result<String, Malformed> {
        let mut out = Blob::<159>::default();
        let record = match Message::of_payload(message, false).ok_or(Malformed)?.body().record() {
            Ok(record) => record,
            Err(Stop::Truncated | Stop::Malformed) => return Err(Malformed),
        };
        write(&record, face, &mut out)?;
        Ok(out.as_bytes().escape_ascii().to_string())
    }

    fn both(owner: &str, kind: u16, data: &[u8]) -> [Result<String, Malformed>; 2] {
        let m = Builder::new(1, 0x8180, [0, 1, 0, 0]).record(owner, kind, data).0;
        [Face::Ipfixprobe, Face::Native].map(|face| text_of(&m, face))
    }

    #[test]
    fn text_forms() {
        let soa =
            [&b"\x01m\x00\x01r\x01x\x00"[..], &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]].concat();
        let rrsig =
            [&[0, 6, 8, 0][..], &[0, 1, 81, 128, 87, 17, 179, 48, 87, 4, 117, 160, 236, 199], b"\x00sig"].concat();
        let v6_compatible = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        for (kind, data, original, native) in [
            (kind::A, &[192, 0, 2, 7][..], "192.0.2.7", "192.0.2.7"),
            (kind::AAAA, &[32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], "2001:db8::9", "2001:db8::9"),
            (kind::AAAA, &v6_compatible, "::1.2.3.4", "::102:304"),
            (kind::NS, b"\x02ns\x01b\x00", "ns.b", "ns.b"),
            (kind::CNAME, b"\x00", "", ""),
            (kind::SOA, &soa, "m r.x 1 2 3 4 5", "m r.x 1 2 3 4 5"),
            (kind::SRV, b"\0\x01\0\x02\x13\xc4\x01t\x00", "sip tcp a_b.c t 1 2 5060", "sip tcp a_b.c t 1 2 5060"),
            (kind::MX, b"\x00\x0a\x02mx\x00", "10 mx", "10 mx"),
            (kind::TXT, b"\x02ab\x00\x01c", "ab  c", "ab  c"),
            (kind::TXT, b"\x02ab\x09c", "ab", "ab"),
            (kind::MINFO, b"\x01a\x00\x01b\x00", "ab", "a b"),
            (kind::HINFO, b"\x01a\x02bc", "\\x01a\\x02bc", "a bc"),
            (kind::DS, b"\x12\x34\x08\x02digest", "4660 13330 2 <key>", "4660 8 2 <key>"),
            (
                kind::RRSIG,
                &rrsig,
                "6 8 0 86400 1460777776 1459910048 60615 <key>",
                "6 8 0 86400 1460777776 1459910048 60615 <key>",
            ),
            (kind::DNSKEY, b"\x01\x01\x03\x08key", "257 3 8 <key>", "257 3 8 <key>"),
            (65, b"whatever", "(not_impl)", "(not_impl)"),
        ] {
            assert_eq!(both("_sip._tcp.a_b.c", kind, data), [Ok(original.into()), Ok(native.into())], "type {kind}");
        }
    }

    /// Segments of which many are zero or short, and now and then a mapped address.
    fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
        let segment = prop_oneof![3 => Just(0u16), 1 => 0..16u16, 1 => 0..0x1000u16, 1 => any::<u16>()];
        let any_kind = prop::array::uniform8(segment).prop_map(Ipv6Addr::from);
        prop_oneof![9 => any_kind, 1 => any::<u32>().prop_map(|v4| Ipv4Addr::from(v4).to_ipv6_mapped())]
    }

    proptest! {
        #[test]
        fn ipv6_is_spelled_as_the_library_spells_it(ip in ipv6()) {
            let (ours, theirs) = (ipv6_text(ip), ip.to_string());
            prop_assert_eq!(ours.as_bytes(), theirs.as_bytes());
        }
    }

    #[test]
    fn addresses_are_spelled_as_the_library_spells_them() {
        for n in 0..=u8::MAX {
            let octets = [n, n.wrapping_mul(7), n.wrapping_add(100), 255 - n];
            let text = std::net::Ipv4Addr::from(octets).to_string();
            assert_eq!(both("a", kind::A, &octets), [Ok(text.clone()), Ok(text)]);
        }
    }

    #[test]
    fn short_data_is_malformed() {
        for kind in [
            kind::A,
            kind::AAAA,
            kind::NS,
            kind::SOA,
            kind::SRV,
            kind::MX,
            kind::MINFO,
            kind::DS,
            kind::RRSIG,
            kind::DNSKEY,
        ] {
            assert_eq!(both("a", kind, b"\x01"), [Err(Malformed), Err(Malformed)], "type {kind}");
        }
    }

    #[test]
    fn the_original_reads_on_behind_short_data() {
        let m = Builder::new(1, 0, [0, 1, 0, 0]).record("a", kind::A, &[1, 2]).raw(&[3, 4]).0;
        assert_eq!(text_of(&m, Face::Ipfixprobe), Ok("1.2.3.4".into()));
        assert_eq!(text_of(&m, Face::Native), Err(Malformed));
    }

    #[test]
    fn text_is_cut_at_the_bound() {
        let long = [&[200u8][..], &[b'x'; 200]].concat();
        assert_eq!(both("a", kind::TXT, &long), [Ok("x".repeat(159)), Ok("x".repeat(159))]);
    }
}
