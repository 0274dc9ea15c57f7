//! dns: header, first question, first answer and EDNS of each DNS message on port 53 (spec/process_plugins.md, "dns").
//!
//! Each message that parses ends its flow, so a query and its answer are two records. A message that is cut gives a record of what
//! was read; one with an impossible name gives none, or natively what was read before it. RFC 1035, EDNS RFC 6891.
pub mod message;
pub mod rdata;

use super::headers::find;
use super::streams::{Arrival, Streams};
use crate::face::Face;
use crate::packet::{PacketView, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use message::{Cursor, Malformed, Message, Stop};
use rdata::kind;
use record::element::cesnet;
use record::{Blob, Text, record};
use std::fmt::Write;

record! {
    /// A DNS message.
    pub struct DnsRecord = "dns" {
        /// Number of answers by the header.
        answers: u16, ipfix cesnet::DNSAnswers, unirec "DNS_ANSWERS";
        /// Response code, without the extended bits of EDNS.
        rcode: u8, ipfix cesnet::DNSRCode, unirec "DNS_RCODE";
        /// Type of the first question.
        qtype: u16, ipfix cesnet::DNSQType, unirec "DNS_QTYPE";
        /// Class of the first question.
        qclass: u16, ipfix cesnet::DNSClass, unirec "DNS_CLASS";
        /// Time to live of the first answer, seconds.
        ttl: u32, ipfix cesnet::DNSRRTTL, unirec "DNS_RR_TTL";
        /// Length of `rdata`, bytes.
        rlength: u16, ipfix cesnet::DNSRDataLength, unirec "DNS_RLENGTH";
        /// UDP payload size offered by EDNS.
        psize: u16, ipfix cesnet::DNSPSize, unirec "DNS_PSIZE";
        /// 1 if EDNS asks for DNSSEC (DO bit).
        dnssec_ok: u8, ipfix cesnet::DNSRDO, unirec "DNS_DO";
        /// Transaction id.
        id: u16, ipfix cesnet::DNSTransactionID, unirec "DNS_ID";
        /// Name of the first question, in dots, case kept.
        name: Text<127>, ipfix cesnet::DNSName, unirec "DNS_NAME";
        /// Text of the first answer's data.
        rdata: Blob<159>, ipfix cesnet::DNSRData, unirec "DNS_RDATA", shown AsText;
    }
}

/// The DNS port.
pub const PORT: u16 = 53;

pub struct Dns {
    face: Face,
    /// Messages over TCP that are not whole, natively only.
    streams: Option<Streams>,
}

/// Longest message over TCP that is put together, with its length.
const MESSAGE_LEN_MAX: usize = 16 * 1024;

impl Plugin for Dns {
    type Record = DnsRecord;
    type State = ();
    const AFTER: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Dns { face, streams: (!face.is_original()).then(|| Streams::new(MESSAGE_LEN_MAX)) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.after(ctx, slots)
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(streams) = &mut self.streams
            && ctx.packet.packet.protocol == protocol::TCP
        {
            return read_stream(streams, &ctx.packet, slots);
        }
        let Some(message) = message_of(&ctx.packet) else { return Step::More };
        let Some(slot) = slots.first_or_open() else { return Step::Flush };
        if read(message, self.face, &mut slot.record).is_ok() {
            return Step::Flush;
        }
        slots.clear();
        Step::More
    }

    fn text(record: &DnsRecord, out: &mut String) {
        // The original prints the two small numbers as characters.
        let (rcode, dnssec_ok) = (char::from(record.rcode), char::from(record.dnssec_ok));
        let _ = write!(out, "dnsid={},answers={},rcode={rcode},qname=\"", record.id, record.answers);
        put_text(out, record.name.as_bytes());
        let _ = write!(out, "\",qtype={},qclass={},rrttl={},", record.qtype, record.qclass, record.ttl);
        let _ = write!(out, "rlength={},data=\"", record.rlength);
        put_text(out, until_nul(record.rdata.as_bytes()));
        let _ = write!(out, "\",psize={},dnsdo={dnssec_ok}", record.psize);
    }

    fn summary(r: &DnsRecord, out: &mut String) {
        let _ = match rdata::type_name(r.qtype) {
            Some(name) => write!(out, "dns {name} "),
            None => write!(out, "dns type {} ", r.qtype),
        };
        put_short(out, if r.name.is_empty() { b"." } else { r.name.as_bytes() });
        match (r.rcode, r.rdata.is_empty()) {
            (0, true) => {}
            (0, false) => {
                out.push_str(" -> ");
                put_short(out, r.rdata.as_bytes());
            }
            (3, _) => out.push_str(" -> NXDOMAIN"),
            (rcode, _) => {
                let _ = write!(out, " -> rcode {rcode}");
            }
        }
        if r.answers > 1 {
            let _ = write!(out, " (+{})", r.answers - 1);
        }
    }
}

/// The DNS message in a packet, if its length can be that of one.
pub fn message_of<'b>(packet: &PacketView<'_, 'b>) -> Option<Message<'b>> {
    Message::of_payload(packet.payload(), packet.packet.protocol == protocol::TCP)
}

/// The messages of a TCP segment, each behind its length (RFC 1035 section 4.2.2); one that is not whole waits for its rest. A record is
/// made of each, and the flow ends as behind a datagram.
fn read_stream(streams: &mut Streams, packet: &PacketView<'_, '_>, slots: &mut Slots<'_, Dns>) -> Step {
    let Arrival::Text(text, is_held) = streams.arrival(packet) else { return Step::More };
    let (mut at, mut step) = (0, Step::More);
    while let Some((len, rest)) = text[at..].split_first_chunk::<2>() {
        let Some(bytes) = rest.get(..usize::from(u16::from_be_bytes(*len))) else { break };
        at += 2 + bytes.len();
        let mut record = DnsRecord::default();
        let message = Message::of_payload(bytes, false);
        if message.is_some_and(|message| read(message, Face::Native, &mut record).is_ok()) {
            step = Step::Flush;
            match slots.push() {
                Some(slot) => slot.record = record,
                None => break,
            }
        }
    }
    if is_held || at < text.len() {
        streams.hold(packet, is_held, at);
    }
    step
}

/// A C string ends at its first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    find(0, bytes).map_or(bytes, |end| &bytes[..end])
}

/// A name that cannot be makes the original drop the whole message. Natively what was read before it stands, if that was a question.
fn read(message: Message<'_>, face: Face, record: &mut DnsRecord) -> Result<(), Malformed> {
    record.answers = message.answers();
    record.id = message.id();
    record.rcode = message.rcode();
    let mut body = message.body();
    let mut asked = false;
    let questions = read_questions(message, &mut body, face, record, &mut asked);
    match questions.and_then(|()| read_records(message, &mut body, face, record)) {
        Err(Stop::Malformed) if face.is_original() || !asked => Err(Malformed),
        Ok(()) | Err(Stop::Malformed | Stop::Truncated) => Ok(()),
    }
}

/// Keeps the first question; `asked` becomes true once it is kept.
fn read_questions(
    message: Message<'_>,
    body: &mut Cursor<'_>,
    face: Face,
    record: &mut DnsRecord,
    asked: &mut bool,
) -> Result<(), Stop> {
    for _ in 0..message.questions() {
        if *asked {
            body.name().check()?;
            body.question()?;
            continue;
        }
        body.read_name(&mut record.name)?;
        // A question that is cut has no name either.
        let question = body.question_behind_name().inspect_err(|_| record.name.set(b""))?;
        *asked = true;
        record.qtype = question.kind;
        record.qclass = question.class;
        if face.is_original() {
            // QUIRK: the original keeps a C string.
            record.name.truncate(until_nul(record.name.as_bytes()).len());
        }
    }
    Ok(())
}

/// Keeps the first answer and what EDNS says.
fn read_records(message: Message<'_>, body: &mut Cursor<'_>, face: Face, record: &mut DnsRecord) -> Result<(), Stop> {
    for i in 0..message.answers() {
        let answer = body.record()?;
        if i > 0 {
            continue;
        }
        if let Err(fault) = rdata::write(&answer, face, &mut record.rdata) {
            if face.is_original() {
                return Err(fault.into());
            }
            record.rdata.set(b"");
        }
        record.rlength = record.rdata.len() as u16;
        record.ttl = answer.ttl;
    }
    for _ in 0..message.authorities() {
        body.record()?;
    }
    for _ in 0..message.additionals() {
        let additional = body.record()?;
        if additional.kind == kind::OPT {
            record.psize = additional.class;
            record.dnssec_ok = (additional.ttl >> 15) as u8 & 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::message::tests::Builder;
    use super::*;
    use crate::packet::Direction;
    use crate::plugin::testing::{Harness, ORDERS};
    use proptest::prelude::*;

    const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];

    fn answer() -> Builder {
        Builder::new(0x1234, 0x8183, [1, 2, 1, 2])
            .question("Example.ORG", 1)
            .raw(b"\xc0\x0c")
            .words(&[1, 1, 0, 60, 4])
            .raw(&[192, 0, 2, 1])
            .record("b", 1, &[192, 0, 2, 2])
            .record("org", 6, b"")
            .record("c", 1, &[192, 0, 2, 3])
            .raw(b"\0")
            .words(&[41, 1232, 0, 0x8000, 0])
    }

    #[test]
    fn a_query_and_its_answer_are_two_records() {
        for face in FACES {
            let mut h = Harness::<Dns>::new(face);
            let query = Builder::new(0x1234, 0x0100, [1, 0, 0, 0]).question("Example.ORG", 1).0;
            assert_eq!(h.packet(Direction::Forward, 4000, 53, protocol::UDP, &query), Step::Flush);
            assert_eq!(h.packet(Direction::Reverse, 53, 4000, protocol::UDP, &answer().0), Step::Flush);
            let [q, a] = &h.records()[..] else { panic!("two records") };
            assert_eq!((q.id, q.answers, q.qtype, q.qclass, q.rlength), (0x1234, 0, 1, 1, 0));
            assert_eq!((a.id, a.answers, a.rcode, a.ttl, a.psize, a.dnssec_ok), (0x1234, 2, 3, 60, 1232, 1));
            assert_eq!((a.name.as_bytes(), a.rdata.as_bytes(), a.rlength), (&b"Example.ORG"[..], &b"192.0.2.1"[..], 9));
            let mut text = String::new();
            Dns::text(a, &mut text);
            assert_eq!(
                text,
                "dnsid=4660,answers=2,rcode=\x03,qname=\"Example.ORG\",qtype=1,qclass=1,rrttl=60,rlength=9,data=\"192.0.2.1\",psize=1232,dnsdo=\x01"
            );
        }
    }

    #[test]
    fn other_ports_are_left_alone() {
        let mut h = Harness::<Dns>::new(Face::Native);
        assert_eq!(h.packet(Direction::Forward, 4000, 5353, protocol::UDP, &answer().0), Step::Done);
        assert!(h.records().is_empty());
    }

    #[test]
    fn over_tcp_a_message_fills_its_segment() {
        for face in FACES {
            let mut h = Harness::<Dns>::new(face);
            let message = answer().0;
            let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
            assert_eq!(h.packet(Direction::Forward, 4000, 53, protocol::TCP, b""), Step::More);
            assert_eq!(h.packet(Direction::Reverse, 53, 4000, protocol::TCP, &framed[..40]), Step::More);
            assert_eq!(h.packet(Direction::Reverse, 53, 4000, protocol::TCP, &framed), Step::Flush);
            assert_eq!(h.records().len(), 1);
        }
    }

    #[test]
    fn messages_and_segments_need_not_agree() {
        let framed = |id: u16| {
            let message = Builder::new(id, 0x0100, [1, 0, 0, 0]).question("Example.ORG", 1).0;
            [&(message.len() as u16).to_be_bytes()[..], &message].concat()
        };
        let text = [framed(1), framed(2), framed(3)].concat();
        for (order, exchanged) in [(ORDERS[0], false), (ORDERS[2], true)] {
            // Where a segment begins with a message nothing is held by which an early one could be known.
            for len in (1..=text.len()).filter(|len| !(exchanged && 62 % len == 0)) {
                let mut h = Harness::<Dns>::new(Face::Native);
                h.segments(Direction::Forward, (4000, 53), (&text, len), order);
                let ids: Vec<u16> = h.records().iter().map(|r| r.id).collect();
                assert_eq!(ids, [1, 2, 3], "{len}");
            }
        }
    }

    #[test]
    fn a_message_that_is_cut_tells_what_was_read() {
        let whole = answer().0;
        for cut in 0..=whole.len() {
            // A cut name, or nothing where one should begin.
            let in_name = matches!(cut, 29 | 45..=47 | 62..=66 | 77..=79 | 94);
            for (face, expected) in [(Face::Ipfixprobe, cut >= 25 && !in_name), (Face::Native, cut >= 25)] {
                let mut h = Harness::<Dns>::new(face);
                h.packet(Direction::Forward, 53, 4000, protocol::UDP, &whole[..cut]);
                assert_eq!(h.records().first().map(|r| r.id), expected.then_some(0x1234), "{cut}, {face:?}");
            }
        }
    }

    #[test]
    fn hostile_messages_give_nothing_or_what_was_read() {
        let many = Builder::new(1, 0, [u16::MAX; 4]).question("a", 1).0;
        let ring = Builder::new(1, 0, [1, 0, 0, 0]).raw(b"\xc0\x0c").words(&[1, 1]).0;
        let data_ring = Builder::new(1, 0, [0, 1, 0, 0]).record("a", 5, b"\xc0\x19").0;
        let long =
            Builder::new(1, 0, [1, 0, 0, 0]).question(&["x".repeat(63), "y".repeat(63), "z".repeat(9)].join("."), 1).0;
        let nul = Builder::new(1, 0, [1, 0, 0, 0]).question("a\0b", 1).0;
        for (what, message, names) in [
            ("counts lie", many, [None, Some(1)]),
            ("a question of pointers in a ring", ring, [None; 2]),
            ("an answer of pointers in a ring", data_ring, [None, Some(0)]),
            ("a name over the bound", long, [Some(127), Some(127)]),
            ("a NUL in a name", nul, [Some(1), Some(3)]),
        ] {
            for (face, name_len) in FACES.into_iter().zip(names) {
                let mut h = Harness::<Dns>::new(face);
                h.packet(Direction::Forward, 53, 4000, protocol::UDP, &message);
                assert_eq!(h.records().first().map(|r| r.name.len()), name_len, "{what}, {face:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600), tcp: bool) {
            for face in FACES {
                let mut h = Harness::<Dns>::new(face);
                h.packet(Direction::Forward, 53, 4000, if tcp { protocol::TCP } else { protocol::UDP }, &bytes);
                prop_assert!(h.records().len() <= 1);
            }
        }

        #[test]
        fn a_damaged_message_is_survived(at in 0usize..100, byte: u8, cut in 12usize..110) {
            let mut message = answer().0;
            let at = at % message.len();
            message[at] = byte;
            message.truncate(cut);
            for face in FACES {
                let mut h = Harness::<Dns>::new(face);
                h.packet(Direction::Forward, 53, 4000, protocol::UDP, &message);
                prop_assert!(h.records().len() <= 1);
            }
        }
    }
}
