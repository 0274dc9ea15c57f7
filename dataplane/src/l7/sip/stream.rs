//! SIP over TCP: where messages begin and end is said by their Content-Length (RFC 3261 sections 18.3 and 20.14), not by segments.
//!
//! A message is read when its header section is whole. Its body is passed over, so that the next message is found wherever it begins.
use super::super::headers::{Fields, Initials, find, line, number};
use super::super::streams::{Arrival, Rest};
use super::{METHODS, Sip, read};
use crate::plugin::{Context, Slots, Step};

/// Messages of one record at the most: one record is made of those that share a segment.
const MESSAGES_MAX: usize = 32;

impl Sip {
    /// A TCP segment; `fresh` if it is the first of its record.
    pub(super) fn segment(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>, fresh: bool) -> Step {
        let Some(mut streams) = self.streams.take() else { return Step::More };
        let (packet, payload) = (&ctx.packet, ctx.packet.payload());
        let (text, is_held) = match streams.arrival(packet) {
            Arrival::Text(text, is_held) => (text, is_held),
            // A message at a segment's beginning: what was waited for is lost.
            Arrival::Early if self.recognise(payload).is_some() => (payload, false),
            Arrival::Known | Arrival::Early => {
                self.streams = Some(streams);
                return Step::More;
            }
        };
        let ends = !fresh && !is_held && self.recognise(payload).is_some();
        let mut step = Step::Reinsert;
        if !ends {
            let rest = self.messages(text, slots);
            let waits = match rest {
                Rest::Cut(at) if streams.hold(packet, is_held, at) => true,
                Rest::Cut(at) => {
                    self.part(&payload[at..], slots);
                    false
                }
                Rest::Behind(skipped) => streams.skip(packet, skipped),
                Rest::None => {
                    streams.end(packet);
                    false
                }
            };
            step = match slots.count() {
                count if count >= MESSAGES_MAX => Step::Flush,
                _ if waits || (fresh && !streams.is_idle() && streams.has(packet)) => Step::Each,
                _ => Step::More,
            };
        }
        self.streams = Some(streams);
        step
    }

    /// A message whose rest will not come, or is too long: what there is of it.
    fn part(&mut self, text: &[u8], slots: &mut Slots<'_, Self>) {
        if let Some(msg_type) = self.recognise(text)
            && let Some(slot) = slots.push()
        {
            slot.record.msg_type = msg_type;
            read(text, &mut slot.record, &mut self.unfolded);
        }
    }

    /// A record for each message of a text.
    fn messages(&mut self, text: &[u8], slots: &mut Slots<'_, Self>) -> Rest {
        let mut at = 0;
        loop {
            // Empty lines between messages keep the connection alive (RFC 3261 section 7.5, RFC 5626 section 3.5.1).
            at += text[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let rest = &text[at..];
            if rest.is_empty() {
                return Rest::Behind(0);
            }
            let Some(msg_type) = self.recognise(rest) else {
                return if may_begin_line(rest) { Rest::Cut(at) } else { Rest::None };
            };
            let mut record = super::SipRecord { msg_type, ..Default::default() };
            let Some(behind) = read(rest, &mut record, &mut self.unfolded) else { return Rest::Cut(at) };
            match slots.push() {
                Some(slot) => slot.record = record,
                None => return Rest::None,
            }
            let body = body_len(rest);
            if body >= behind.len() {
                return Rest::Behind(body - behind.len());
            }
            at = text.len() - behind.len() + body;
        }
    }
}

/// Whether this may be the beginning of a start line.
fn may_begin_line(text: &[u8]) -> bool {
    let starts = |word: &[u8]| text.iter().zip(word).all(|(byte, wanted)| byte == wanted);
    find(b'\n', text).is_none() && (starts(b"SIP/2.0 ") || METHODS.iter().any(|method| starts(method)))
}

/// Content-Length of a message, 0 if it says none.
fn body_len(message: &[u8]) -> usize {
    let section = line(message).map(|(_, section)| section).unwrap_or_default();
    let mut fields = Fields::of(section, Initials::of(b"CL"));
    let length =
        fields.find(|(name, _)| name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l"));
    number(length.unwrap_or_default().1)
}
