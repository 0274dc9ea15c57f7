//! sip: one record for each SIP message (spec/process_plugins.md, "sip"; RFC 3261).
//!
//! Any port and protocol; the first bytes decide. A message behind the first packet of a flow ends the record and begins the next
//! one. Over TCP messages may span segments and share them (`sip/stream.rs`); the original looks at each packet alone and takes its first message.
use super::headers::{Fields, Initials, find, line};
use super::streams::Streams;
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use memchr::memchr2;
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

mod original;
mod stream;

record! {
    /// SIP message.
    pub struct SipRecord = "sip" {
        /// INVITE 1, ACK 2, CANCEL 3, BYE 4, REGISTER 5, OPTIONS 6, PUBLISH 7, NOTIFY 8, INFO 9, SUBSCRIBE 10, a reply 99; not known to the
        /// original: PRACK 11, UPDATE 12, MESSAGE 13, REFER 14.
        msg_type: u16, ipfix cesnet::SIPMsgType, unirec "SIP_MSG_TYPE";
        /// Status code of a reply, 999 if it has none; 0 for a request.
        status: u16, ipfix cesnet::SIPStatusCode, unirec "SIP_STATUS_CODE";
        /// CSeq: number and method.
        cseq: Text<127>, ipfix cesnet::SIPCseq, unirec "SIP_CSEQ";
        /// URI of From.
        calling: Text<127>, ipfix cesnet::SIPCallingParty, unirec "SIP_CALLING_PARTY";
        /// URI of To.
        called: Text<127>, ipfix cesnet::SIPCalledParty, unirec "SIP_CALLED_PARTY";
        /// Call-ID.
        call_id: Text<127>, ipfix cesnet::SIPCallID, unirec "SIP_CALL_ID";
        /// User-Agent.
        agent: Text<127>, ipfix cesnet::SIPUserAgent, unirec "SIP_USER_AGENT";
        /// Request-URI of a request.
        request_uri: Text<127>, ipfix cesnet::SIPRequestURI, unirec "SIP_REQUEST_URI";
        /// Protocol and sender of each Via, joined by ";".
        via: Text<127>, ipfix cesnet::SIPVia, unirec "SIP_VIA";
    }
}

pub struct Sip {
    face: Face,
    /// Messages that are not whole, natively only.
    streams: Option<Streams>,
    /// A value that stands in several lines.
    unfolded: Vec<u8>,
}

/// Longest message that is put together: RFC 3261 section 18.1.1 asks for datagrams of 65,535, but no phone says as much.
const MESSAGE_LEN_MAX: usize = 16 * 1024;

impl Plugin for Sip {
    type Record = SipRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    /// The first letters of [`METHODS`] and of a reply.
    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        matches!(payload.first(), Some(b'I' | b'A' | b'C' | b'B' | b'R' | b'O' | b'P' | b'N' | b'S' | b'U' | b'M'))
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        let streams = (!face.is_original()).then(|| Streams::new(MESSAGE_LEN_MAX));
        Ok(Sip { face, streams, unfolded: Vec::with_capacity(MESSAGE_LEN_MAX) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol == protocol::TCP && !self.face.is_original() {
            return self.segment(ctx, slots, true);
        }
        let payload = ctx.packet.payload();
        if let Some(msg_type) = self.recognise(payload)
            && let Some(slot) = slots.first_or_open()
        {
            slot.record.msg_type = msg_type;
            if self.face.is_original() {
                original::read(payload, &mut slot.record);
            } else {
                read(payload, &mut slot.record, &mut self.unfolded);
            }
        }
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol == protocol::TCP && !self.face.is_original() {
            return self.segment(ctx, slots, false);
        }
        if self.recognise(ctx.packet.payload()).is_some() { Step::Reinsert } else { Step::More }
    }

    fn text(r: &SipRecord, out: &mut String) {
        let _ = write!(out, "sipmsgtype={},statuscode={},cseq=\"", r.msg_type, r.status);
        let texts = [
            (&r.cseq, "\",callingparty=\""),
            (&r.calling, "\",calledparty=\""),
            (&r.called, "\",callid=\""),
            (&r.call_id, "\",useragent=\""),
            (&r.agent, "\",requri=\""),
            (&r.request_uri, "\",via=\""),
            (&r.via, "\""),
        ];
        for (value, next) in texts {
            put_text(out, value.as_bytes());
            out.push_str(next);
        }
    }

    fn summary(r: &SipRecord, out: &mut String) {
        out.push_str("sip ");
        if r.msg_type == REPLY {
            let _ = write!(out, "{} to ", r.status);
        }
        put_short(out, r.cseq.as_bytes());
        out.push(' ');
        put_short(out, r.calling.as_bytes());
        out.push_str(" -> ");
        put_short(out, r.called.as_bytes());
    }
}

const REPLY: u16 = 99;
const NO_STATUS: u16 = 999;
/// The original looks at no smaller payload.
const ORIGINAL_MIN: usize = 64;

impl Sip {
    /// The message type, decided by the first bytes.
    fn recognise(&self, payload: &[u8]) -> Option<u16> {
        let msg_type = match payload.first_chunk()? {
            b"INVI" => 1,
            b"ACK " => 2,
            b"CANC" => 3,
            b"BYE " => 4,
            b"REGI" => 5,
            b"OPTI" => 6,
            b"PUBL" => 7,
            b"NOTI" => 8,
            b"INFO" => 9,
            b"SUBS" => 10,
            b"SIP/" => REPLY,
            b"PRAC" if !self.face.is_original() => 11,
            b"UPDA" if !self.face.is_original() => 12,
            b"MESS" if !self.face.is_original() => 13,
            b"REFE" if !self.face.is_original() => 14,
            _ => return None,
        };
        let is_sip = if self.face.is_original() {
            // HTTP has OPTIONS too, SSDP has NOTIFY.
            payload.len() >= ORIGINAL_MIN
                && (msg_type != 6 || payload[4..].starts_with(b"ONS sip:"))
                && (msg_type != 8 || !payload[4..].starts_with(b"FY * HTT"))
        } else {
            line(payload).is_some_and(|(start, _)| is_start_line(msg_type, start))
        };
        is_sip.then_some(msg_type)
    }
}

const METHODS: [&[u8]; 14] = [
    b"INVITE",
    b"ACK",
    b"CANCEL",
    b"BYE",
    b"REGISTER",
    b"OPTIONS",
    b"PUBLISH",
    b"NOTIFY",
    b"INFO",
    b"SUBSCRIBE",
    b"PRACK",
    b"UPDATE",
    b"MESSAGE",
    b"REFER",
];

/// RFC 3261 sections 7.1 and 7.2.
fn is_start_line(msg_type: u16, start: &[u8]) -> bool {
    match METHODS.get(msg_type as usize - 1) {
        Some(method) => {
            start.strip_prefix(*method).is_some_and(|rest| rest.first() == Some(&b' ')) && start.ends_with(b" SIP/2.0")
        }
        None => start.starts_with(b"SIP/2.0 "),
    }
}

/// Reads a recognised message by RFC 3261; answers what follows its header section, if that is whole.
fn read<'m>(payload: &'m [u8], r: &mut SipRecord, unfolded: &mut Vec<u8>) -> Option<&'m [u8]> {
    let (start, section) = line(payload)?;
    let word = start.split(|b| *b == b' ').nth(1).unwrap_or_default();
    if r.msg_type == REPLY {
        r.status = match word {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                [a, b, c].iter().fold(0, |n, d| n * 10 + (*d - b'0') as u16)
            }
            _ => NO_STATUS,
        };
    } else {
        r.request_uri.set(word);
    }
    let mut fields = Fields::of(section, Initials::of(b"FTVCIU"));
    while let Some((name, value)) = fields.next() {
        let value = if fields.is_folded() {
            fields.unfolded(value, unfolded);
            unfolded.trim_ascii()
        } else {
            value
        };
        let is = |long: &str, short: &str| {
            name.eq_ignore_ascii_case(long.as_bytes())
                || !short.is_empty() && name.eq_ignore_ascii_case(short.as_bytes())
        };
        if is("From", "f") {
            r.calling.set(uri(value));
        } else if is("To", "t") {
            r.called.set(uri(value));
        } else if is("Via", "v") {
            for via in value.split(|b| *b == b',') {
                add_via(&mut r.via, via[..find(b';', via).unwrap_or(via.len())].trim_ascii());
            }
        } else if is("Call-ID", "i") {
            r.call_id.set(value);
        } else if is("User-Agent", "") {
            r.agent.set(value);
        } else if is("CSeq", "") {
            r.cseq.set(value);
        }
    }
    fields.behind()
}

/// The URI of a From or To value: between the angle brackets, or up to the header's own parameters (RFC 3261 section 20.10).
fn uri(value: &[u8]) -> &[u8] {
    // A display name in quotes may hold anything, brackets too.
    let quoted = if value.first() == Some(&b'"') { end_of_quotes(value) } else { 0 };
    let value = &value[quoted..];
    match find(b'<', value) {
        Some(open) => {
            let uri = &value[open + 1..];
            &uri[..find(b'>', uri).unwrap_or(uri.len())]
        }
        None => value[..find(b';', value).unwrap_or(value.len())].trim_ascii(),
    }
}

fn end_of_quotes(value: &[u8]) -> usize {
    let mut at = 1;
    while let Some(next) = memchr2(b'"', b'\\', value.get(at..).unwrap_or_default()) {
        at += next;
        if value[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    0
}

fn add_via(into: &mut Text<127>, via: &[u8]) {
    if !into.is_empty() {
        into.push(b";");
    }
    into.push(via);
}

#[cfg(test)]
mod tests;
