//! dns: header, first question, first answer and EDNS of each DNS message on port 53 (spec/process_plugins.md, "dns").
//!
//! Each message that parses ends its flow, so a query and its answer are two records. A message that is cut gives a record of what
//! was read; one with an impossible name gives none. RFC 1035, EDNS RFC 6891.
pub mod message;
pub mod rdata;

use crate::face::Face;
use crate::packet::{PacketView, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step};
use message::{Malformed, Message, Stop};
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
        rdata: Blob<159>, ipfix cesnet::DNSRData, unirec "DNS_RDATA";
    }
}

/// The DNS port.
pub const PORT: u16 = 53;

pub struct Dns {
    face: Face,
}

impl Plugin for Dns {
    type Record = DnsRecord;
    type State = ();
    const AFTER: bool = true;

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Dns { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let packet = ctx.packet.packet;
        // Ports are the same in all packets of a flow.
        if packet.src_port == PORT || packet.dst_port == PORT { self.after(ctx, slots) } else { Step::Done }
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
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
        let (name, data) = (record.name.as_bytes(), until_nul(record.rdata.as_bytes()));
        let _ = write!(
            out,
            "dnsid={},answers={},rcode={rcode},qname=\"{}\",qtype={},qclass={},rrttl={},rlength={},data=\"{}\",psize={},dnsdo={dnssec_ok}",
            record.id,
            record.answers,
            String::from_utf8_lossy(name),
            record.qtype,
            record.qclass,
            record.ttl,
            record.rlength,
            String::from_utf8_lossy(data),
            record.psize,
        );
    }
}

/// The DNS message in a packet, if its length can be that of one.
pub fn message_of<'b>(packet: &PacketView<'_, 'b>) -> Option<Message<'b>> {
    Message::of_payload(packet.payload(), packet.packet.protocol == protocol::TCP)
}

/// A C string ends at its first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end])
}

fn read(message: Message<'_>, face: Face, record: &mut DnsRecord) -> Result<(), Malformed> {
    record.answers = message.answers();
    record.id = message.id();
    record.rcode = message.rcode();
    match read_sections(message, face, record) {
        Ok(()) | Err(Stop::Truncated) => Ok(()),
        Err(Stop::Malformed) => Err(Malformed),
    }
}

fn read_sections(message: Message<'_>, face: Face, record: &mut DnsRecord) -> Result<(), Stop> {
    let mut body = message.body();
    for i in 0..message.questions() {
        let name = body.name();
        name.check()?;
        let question = body.question()?;
        if i == 0 {
            record.qtype = question.kind;
            record.qclass = question.class;
            name.dotted(|piece| {
                record.name.push(piece);
            })?;
            if face.is_original() {
                // QUIRK: the original keeps a C string.
                let name = record.name;
                record.name.set(until_nul(name.as_bytes()));
            }
        }
    }
    for i in 0..message.answers() {
        let answer = body.record()?;
        if i == 0 {
            rdata::write(&answer, face, &mut record.rdata)?;
            record.rlength = record.rdata.len() as u16;
            record.ttl = answer.ttl;
        }
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
