//! SIP over TCP: where messages begin and end is said by their Content-Length (RFC 3261 sections 18.3 and 20.14), not by segments.
//!
//! A message is read when its header section is whole. Its body is passed over, so that the next message is found wherever it begins.
use super::super::headers::{Fields, Initials, find, line};
use super::super::streams::Joined;
use super::{METHODS, Sip, read};
use crate::plugin::{Context, Slots, Step};

/// Messages of one record at the most: one record is made of those that share a segment.
const MESSAGES_MAX: usize = 32;
/// Bodies that are passed over, bytes.
const BODY_LEN_MAX: usize = 1 << 18;

/// What follows the messages of a text.
enum Rest {
    /// A message that is not whole begins here.
    Cut(usize),
    /// The next message begins so many bytes behind the text.
    Behind(usize),
    /// Something else.
    Other,
}

impl Sip {
    /// A TCP segment; `fresh` if it is the first of its record.
    pub(super) fn segment(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>, fresh: bool) -> Step {
        let Some(mut streams) = self.streams.take() else { return Step::More };
        let (packet, payload) = (&ctx.packet, ctx.packet.payload());
        let (mut text, mut is_held) = (payload, !streams.is_idle() && streams.has_direction(packet));
        if is_held {
            match streams.join(packet) {
                Joined::Text(joined) => text = joined,
                // A message at a segment's beginning: what was waited for is lost.
                Joined::Early if self.recognise(payload).is_some() => is_held = false,
                Joined::Known | Joined::Early => {
                    self.streams = Some(streams);
                    return Step::More;
                }
                Joined::Nothing => is_held = false,
            }
        }
        let ends = !fresh && !is_held && self.recognise(payload).is_some();
        let mut step = Step::Reinsert;
        if !ends {
            let rest = self.messages(text, slots);
            let next = streams.next(packet);
            let waits = match rest {
                Rest::Cut(at) if is_held => {
                    streams.keep(packet, false, at);
                    true
                }
                Rest::Cut(at) if streams.begin(packet, at) => true,
                Rest::Cut(at) => {
                    self.part(&payload[at..], slots);
                    false
                }
                Rest::Behind(skipped) if skipped > 0 && skipped <= BODY_LEN_MAX => {
                    let next = next.map(|next| next.wrapping_add(skipped as u32));
                    next.inspect(|next| streams.expect(packet, *next)).is_some()
                }
                Rest::Behind(_) | Rest::Other => {
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
                return if may_begin_line(rest) { Rest::Cut(at) } else { Rest::Other };
            };
            let mut record = super::SipRecord { msg_type, ..Default::default() };
            let Some(behind) = read(rest, &mut record, &mut self.unfolded) else { return Rest::Cut(at) };
            match slots.push() {
                Some(slot) => slot.record = record,
                None => return Rest::Other,
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
    let digits = length.unwrap_or_default().1.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0usize, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0') as usize))
}
