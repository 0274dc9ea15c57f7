//! passivedns: which name belongs to which address, one record for each A, AAAA and PTR answer from port 53
//! (spec/process_plugins.md, "passivedns").
//!
//! Each packet from port 53 ends its flow, whatever it holds. At most [`ANSWERS_MAX`] records come of one message.
//! RFC 1035 section 3.5 (in-addr.arpa), RFC 3596 section 2.5 (ip6.arpa).
use crate::face::Face;
use crate::l7::dns::message::{Message, ResourceRecord, Stop};
use crate::l7::dns::rdata::{kind, write_ipv6};
use crate::l7::dns::{PORT, message_of, until_nul};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Blob, Text, record};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

record! {
    /// A name and its address.
    pub struct PassiveDnsRecord = "passivedns" {
        /// Transaction id.
        id: u16, ipfix cesnet::DNSTransactionID, unirec "DNS_ID";
        /// Time to live of the answer, seconds.
        ttl: u32, ipfix cesnet::DNSRRTTL, unirec "DNS_RR_TTL";
        /// Type of the answer: 1 A, 28 AAAA, 12 PTR.
        atype: u16, ipfix cesnet::DNSAType, unirec "DNS_ATYPE";
        /// The address as 4 or 16 bytes.
        address: Blob<16>, ipfix cesnet::DNSRData, shown Never;
        /// The name: owner of A and AAAA, target of PTR.
        name: Text<NAME_LEN_MAX>, ipfix cesnet::DNSName, unirec "DNS_NAME";
        /// The address.
        ip: IpAddr, unirec "DNS_IP";
    }
}

/// Longest presentation form of a legal name, without its last dot, and one more.
const NAME_LEN_MAX: usize = 254;
/// Answers of one message that become records: as many A records as fit the common EDNS size of 4096 bytes.
pub const ANSWERS_MAX: usize = 256;

pub struct PassiveDns {
    face: Face,
}

impl Plugin for PassiveDns {
    type Record = PassiveDnsRecord;
    type State = ();
    const AFTER: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(PassiveDns { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.after(ctx, slots)
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.src_port != PORT {
            return Step::More;
        }
        if let Some(message) = message_of(&ctx.packet) {
            // Answers before a fault stand.
            let _ = self.read(message, slots);
        }
        Step::Flush
    }

    fn text(record: &PassiveDnsRecord, out: &mut String) {
        let _ = write!(out, "dnsid={},atype={},aname=\"", record.id, record.atype);
        put_text(out, record.name.as_bytes());
        let _ = write!(out, "\",rrttl={},ip=", record.ttl);
        match record.ip {
            IpAddr::V4(ip) => _ = write!(out, "{ip}"),
            IpAddr::V6(ip) => write_ipv6(ip, true, out),
        }
    }

    fn summary(r: &PassiveDnsRecord, out: &mut String) {
        out.push_str("pdns ");
        put_short(out, r.name.as_bytes());
        let _ = write!(out, " = {}", r.ip);
    }
}

impl PassiveDns {
    fn read(&self, message: Message<'_>, slots: &mut Slots<'_, Self>) -> Result<(), Stop> {
        let mut body = message.body();
        for _ in 0..message.questions() {
            body.question()?;
        }
        let mut kept = 0;
        for _ in 0..message.answers() {
            body.name().check()?;
            let answer = body.record()?;
            let Some((ip, named)) = self.address(&answer)? else { continue };
            let Some(slot) = slots.push() else { return Ok(()) };
            let record = &mut slot.record;
            record.id = message.id();
            record.ttl = answer.ttl;
            record.atype = answer.kind;
            record.name = named;
            record.ip = ip;
            match ip {
                IpAddr::V4(ip) => record.address.set(&self.wire(ip)),
                IpAddr::V6(ip) => record.address.set(&ip.octets()),
            }
            kept += 1;
            if kept == ANSWERS_MAX {
                break;
            }
        }
        Ok(())
    }

    /// The address of an answer and the name that goes with it; `None` for other types and other PTR zones.
    fn address(&self, answer: &ResourceRecord<'_>) -> Result<Option<(IpAddr, Text<NAME_LEN_MAX>)>, Stop> {
        let mut owner = Text::default();
        answer.owner.dotted(|piece| {
            owner.push(piece);
        })?;
        // QUIRK: the original reads on behind RDATA that is too short; lengths over 4 and 16 it does not mind.
        let mut data = answer.fields(self.face.is_original());
        let ip = match answer.kind {
            kind::A => data.take().map(|b: &[u8; 4]| IpAddr::from(*b)),
            kind::AAAA => data.take().map(|b: &[u8; 16]| IpAddr::from(*b)),
            kind::PTR => {
                let mut target = Text::default();
                data.name().dotted(|piece| {
                    target.push(piece);
                })?;
                return Ok(self.reverse(owner.as_bytes()).map(|ip| (ip, self.c_string(target))));
            }
            _ => None,
        };
        Ok(ip.map(|ip| (ip, self.c_string(owner))))
    }

    /// The address that a name in a reverse zone stands for.
    fn reverse(&self, name: &[u8]) -> Option<IpAddr> {
        if let Some(labels) = strip_suffix(name, b".in-addr.arpa") {
            let mut octets = [0; 4];
            read_back(labels, &mut octets, |label| std::str::from_utf8(label).ok()?.parse().ok())?;
            return Some(IpAddr::V4(Ipv4Addr::from(octets)));
        }
        let mut nibbles = [0u8; 32];
        read_back(strip_suffix(name, b".ip6.arpa")?, &mut nibbles, |label| match label {
            [digit] => (*digit as char).to_digit(16).map(|n| n as u8),
            _ => None,
        })?;
        let octet = |i: usize| {
            // QUIRK: the original takes each of the first 16 nibbles twice and never sees the others.
            let (high, low) = if self.face.is_original() { (i, i) } else { (2 * i, 2 * i + 1) };
            nibbles[high] << 4 | nibbles[low]
        };
        Some(IpAddr::V6(Ipv6Addr::from(std::array::from_fn(octet))))
    }

    /// The bytes of an IPv4 address in IPFIX.
    fn wire(&self, ip: Ipv4Addr) -> [u8; 4] {
        let mut octets = ip.octets();
        if self.face.is_original() {
            // QUIRK: the original turns the byte order once too often.
            octets.reverse();
        }
        octets
    }

    fn c_string(&self, mut name: Text<NAME_LEN_MAX>) -> Text<NAME_LEN_MAX> {
        if self.face.is_original() {
            let whole = name;
            name.set(until_nul(whole.as_bytes()));
        }
        name
    }
}

/// `name` without `suffix`, whatever the case.
fn strip_suffix<'n>(name: &'n [u8], suffix: &[u8]) -> Option<&'n [u8]> {
    let (rest, tail) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// Reads exactly as many labels as there are places, the last one first.
fn read_back(labels: &[u8], places: &mut [u8], number: impl Fn(&[u8]) -> Option<u8>) -> Option<()> {
    let mut labels = labels.split(|b| *b == b'.');
    for place in places.iter_mut().rev() {
        *place = number(labels.next()?)?;
    }
    labels.next().is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l7::dns::message::tests::Builder;
    use crate::packet::{Direction, protocol};
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];
    const V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xa, 0xb, 0xc, 0xd];

    fn records(face: Face, message: &[u8]) -> Vec<PassiveDnsRecord> {
        let mut h = Harness::<PassiveDns>::new(face);
        assert_eq!(h.packet(Direction::Forward, 53, 4000, protocol::UDP, message), Step::Flush);
        h.records()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn each_address_becomes_a_record() {
        let message = Builder::new(9, 0x8180, [1, 4, 0, 0])
            .question("a.b", 255)
            .record("a.b", kind::A, &[192, 0, 2, 1])
            .record("a.b", kind::TXT, b"\x01x")
            .record("a.b", kind::AAAA, &V6)
            .record("7.2.0.192.In-Addr.ARPA", kind::PTR, b"\x04host\x00")
            .0;
        for (face, first, last) in
            [(Face::Ipfixprobe, [1, 2, 0, 192], [7, 2, 0, 192]), (Face::Native, [192, 0, 2, 1], [192, 0, 2, 7])]
        {
            let [a, aaaa, ptr] = &records(face, &message)[..] else { panic!("three records") };
            assert_eq!((a.id, a.ttl, a.atype, a.name.as_bytes(), a.ip), (9, 300, 1, &b"a.b"[..], ip("192.0.2.1")));
            assert_eq!(a.address.as_bytes(), first);
            assert_eq!((aaaa.atype, aaaa.ip, aaaa.address.as_bytes()), (28, ip("2001:db8::a0b:c0d"), &V6[..]));
            assert_eq!((ptr.atype, ptr.name.as_bytes(), ptr.ip), (12, &b"host"[..], ip("192.0.2.7")));
            assert_eq!(ptr.address.as_bytes(), last);
            let mut text = String::new();
            PassiveDns::text(ptr, &mut text);
            assert_eq!(text, "dnsid=9,atype=12,aname=\"host\",rrttl=300,ip=192.0.2.7");
        }
    }

    #[test]
    fn reverse_names() {
        let v6 = "d.c.b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.d.0.1.0.0.2.ip6.arpa";
        for (name, original, native) in [
            ("4.3.2.1.in-addr.arpa", Some("1.2.3.4"), Some("1.2.3.4")),
            ("3.2.1.in-addr.arpa", None, None),
            ("5.4.3.2.1.in-addr.arpa", None, None),
            ("0/25.3.2.1.in-addr.arpa", None, None),
            ("256.3.2.1.in-addr.arpa", None, None),
            ("4.3.2.1.in-addr.arpa.x", None, None),
            ("in-addr.arpa", None, None),
            (v6, Some("2200:11:dd:bb88::"), Some("2001:db8::abcd")),
            (&v6[2..], None, None),
            (&v6.replace('B', "g"), None, None),
        ] {
            for (face, expected) in FACES.into_iter().zip([original, native]) {
                let message = Builder::new(9, 0x8180, [0, 1, 0, 0]).record(name, kind::PTR, b"\x01h\x00").0;
                assert_eq!(records(face, &message).first().map(|r| r.ip), expected.map(ip), "{name}, {face:?}");
            }
        }
    }

    #[test]
    fn answers_before_a_fault_stand() {
        for (what, fault) in [
            ("a ring", &b"\xc0\x1b\0\x01\0\x01\0\0\0\0\0\0"[..]),
            ("the end", b""),
            ("short data", b"\0\0\x01\0\x01\0\0\0\0\0\x09x"),
        ] {
            let message = Builder::new(9, 0x8180, [0, 2, 0, 0]).record("a", kind::A, &[1, 2, 3, 4]).raw(fault).0;
            for face in FACES {
                assert_eq!(records(face, &message).len(), 1, "{what}");
            }
        }
    }

    #[test]
    fn each_packet_from_the_port_ends_the_flow() {
        let mut h = Harness::<PassiveDns>::new(Face::Native);
        assert_eq!(h.packet(Direction::Forward, 4000, 53, protocol::TCP, b""), Step::More);
        assert_eq!(h.packet(Direction::Forward, 4000, 53, protocol::TCP, b"\0\x01x"), Step::More);
        assert_eq!(h.packet(Direction::Reverse, 53, 4000, protocol::TCP, b""), Step::Flush);
        assert_eq!(h.packet(Direction::Forward, 4000, 80, protocol::TCP, b"x"), Step::Done);
        assert!(h.records().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600), answers in 0u16..4) {
            let message = Builder::new(9, 0, [0, answers, 0, 0]).raw(&bytes).0;
            for face in FACES {
                prop_assert!(records(face, &message).len() <= answers as usize);
            }
        }
    }
}
