//! kerberos: message types, realm, names and errors of exchanges with a key distribution centre (RFC 4120), on port 88 over UDP and TCP.
//!
//! Over TCP a message stands behind its length (7.2.2) and may span segments. What does not end within [`MESSAGE_LEN_MAX`](super::segments::MESSAGE_LEN_MAX)
//! bytes is read as far as its first segment goes.
use super::der::Der;
use super::segments::{Segments, Ticket, sequence_of};
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// Kerberos exchange.
    pub struct KerberosRecord = "kerberos" {
        /// Type of the last request: 10 AS-REQ (a login), 12 TGS-REQ (a ticket for a service).
        request: u8, ipfix cesnet::kerberosRequest, unirec "KRB_REQUEST";
        /// Type of the last answer: 11 AS-REP, 13 TGS-REP, 30 KRB-ERROR.
        reply: u8, ipfix cesnet::kerberosReply, unirec "KRB_REPLY";
        /// Realm.
        realm: Text<NAME_LEN_MAX>, ipfix cesnet::kerberosRealm, unirec "KRB_REALM";
        /// The client's principal, components joined by a slash.
        client: Text<NAME_LEN_MAX>, ipfix cesnet::kerberosClientName, unirec "KRB_CNAME";
        /// The server's principal.
        server: Text<NAME_LEN_MAX>, ipfix cesnet::kerberosServerName, unirec "KRB_SNAME";
        /// Code of the last error (RFC 4120 section 7.5.9): 6 client unknown, 18 revoked, 24 wrong password, 25 password needed.
        error: u32, ipfix cesnet::kerberosErrorCode, unirec "KRB_ERROR";
        /// Errors 6, 18 and 24: logins refused for the name or the password.
        failures: u16, ipfix cesnet::kerberosFailures, unirec "KRB_FAILURES";
    }
}

/// Longest realm or name that is kept.
const NAME_LEN_MAX: usize = 128;

pub struct Kerberos {
    segments: Segments,
}

impl Plugin for Kerberos {
    type Record = KerberosRecord;
    /// A message that is not whole yet.
    type State = Ticket;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Kerberos { segments: Segments::new() })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let payload = ctx.packet.payload();
        match ctx.packet.packet.protocol {
            _ if payload.is_empty() => Step::More,
            protocol::UDP => self.read(payload, slots),
            protocol::TCP => {
                sequence_of(&ctx.packet).map_or(Step::More, |sequence| self.segment(payload, sequence, slots))
            }
            _ => Step::Done,
        }
    }

    fn text(r: &KerberosRecord, out: &mut String) {
        let _ = write!(out, "krbrequest={},reply={}", r.request, r.reply);
        for (key, value) in [("realm", &r.realm), ("cname", &r.client), ("sname", &r.server)] {
            let _ = write!(out, ",{key}=\"");
            put_text(out, value.as_bytes());
            out.push('"');
        }
        let _ = write!(out, ",error={},failures={}", r.error, r.failures);
    }

    fn summary(r: &KerberosRecord, out: &mut String) {
        out.push_str("kerberos ");
        put_short(out, r.client.as_bytes());
        out.push('@');
        put_short(out, r.realm.as_bytes());
        out.push_str(" for ");
        put_short(out, r.server.as_bytes());
        if r.error != 0 {
            let _ = write!(out, ": error {}", r.error);
        }
    }
}

/// RFC 4120 section 7.2.
const PORT: u16 = 88;
const LEN_SIZE: usize = 4;

impl Kerberos {
    fn segment(&mut self, payload: &[u8], sequence: u32, slots: &mut Slots<'_, Self>) -> Step {
        let unfinished = slots.first().map(|slot| slot.state).unwrap_or_default();
        if unfinished != Ticket::default() {
            let Some(whole) = self.segments.add(unfinished, payload, sequence) else { return Step::More };
            return slots.first().map_or(Step::More, |slot| {
                slot.state = Ticket::default();
                take(&whole[LEN_SIZE..], slot)
            });
        }
        let Some((len, message)) = payload.split_first_chunk::<LEN_SIZE>() else { return Step::Done };
        let len = u32::from_be_bytes(*len) as usize;
        if !Message::is_known(message) {
            return if slots.first().is_none() { Step::Done } else { Step::More };
        }
        match self.segments.begin(payload, sequence, LEN_SIZE.saturating_add(len)) {
            Some(ticket) => {
                let fresh = slots.first().is_none();
                if let Some(slot) = slots.first_or_open() {
                    slot.export &= !fresh;
                    slot.state = ticket;
                }
                Step::More
            }
            None => self.read(message, slots),
        }
    }

    fn read(&mut self, message: &[u8], slots: &mut Slots<'_, Self>) -> Step {
        let fresh = slots.first().is_none();
        if fresh && !Message::is_known(message) {
            return Step::Done;
        }
        let Some(slot) = slots.first_or_open() else { return Step::More };
        slot.export &= !fresh;
        take(message, slot)
    }
}

fn take(message: &[u8], slot: &mut Slot<Kerberos>) -> Step {
    if let Some(message) = Message::of(message) {
        message.read(&mut slot.record);
        slot.export = true;
    }
    Step::More
}

/// Message types (RFC 4120 section 7.5.7), which are their ASN.1 application tags too.
const AS_REQ: u8 = 10;
const AS_REP: u8 = 11;
const TGS_REQ: u8 = 12;
const TGS_REP: u8 = 13;
const ERROR: u8 = 30;
/// ASN.1: class application, constructed.
const APPLICATION: u8 = 0x60;

/// Error codes (7.5.9) that say no to who logs in.
const REFUSALS: [u32; 3] = [6, 18, 24];

struct Message<'m> {
    kind: u8,
    fields: Der<'m>,
}

impl<'m> Message<'m> {
    fn is_known(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|tag| matches!(tag ^ APPLICATION, AS_REQ..=TGS_REP | ERROR))
    }

    fn of(bytes: &'m [u8]) -> Option<Self> {
        let (tag, content) = Der::new(bytes).next().filter(|_| Self::is_known(bytes))?;
        Some(Message { kind: tag ^ APPLICATION, fields: content.sequence()? })
    }

    fn read(self, r: &mut KerberosRecord) {
        match self.kind {
            AS_REQ | TGS_REQ => {
                r.request = self.kind;
                // 5.4.1: the body stands in [4]; in it the client in [1], the realm in [2], the server in [3].
                if let Some(body) = self.fields.field(4).and_then(Der::sequence) {
                    set_names(r, body, [1, 2, 3]);
                }
            }
            AS_REP | TGS_REP => {
                r.reply = self.kind;
                // 5.4.2: the client's realm in [3], the client in [4], the ticket in [5]; in that (5.3) the server in [2].
                set_names(r, self.fields, [4, 3, NOWHERE]);
                let ticket = self.fields.field(5).and_then(|mut ticket| ticket.next()?.1.sequence());
                if let Some(ticket) = ticket {
                    set_names(r, ticket, [NOWHERE, NOWHERE, 2]);
                }
            }
            _ => {
                r.reply = ERROR;
                r.error = self.fields.field(6).and_then(Der::integer).unwrap_or(0);
                r.failures = r.failures.saturating_add(REFUSALS.contains(&r.error).into());
                // 5.9.1: the client in [8], the server's realm in [9], the server in [10].
                set_names(r, self.fields, [8, 9, 10]);
            }
        }
    }
}

/// A field that a message does not have.
const NOWHERE: u8 = u8::MAX;

/// Takes client, realm and server from the fields of these numbers, as far as they are there.
fn set_names(r: &mut KerberosRecord, fields: Der<'_>, [client, realm, server]: [u8; 3]) {
    if let Some(text) = fields.field(realm).and_then(Der::text) {
        r.realm.set(text);
    }
    for (name, number) in [(&mut r.client, client), (&mut r.server, server)] {
        // 5.2.2: the type in [0], the components in [1].
        let components = fields.field(number).and_then(Der::sequence).and_then(|name| name.field(1)?.sequence());
        let Some(components) = components else { continue };
        name.set(&[]);
        for (nth, (_, component)) in components.enumerate() {
            name.push(if nth == 0 { b"" } else { b"/" });
            name.push(component.bytes());
        }
    }
}

#[cfg(test)]
mod tests;
