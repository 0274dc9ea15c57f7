//! HTTP where one packet is not one message: heads over several segments, several messages in one (RFC 9112 sections 6 and 9.3).
//!
//! What is not whole waits in [`Streams`](super::super::streams::Streams) for at most [`HEAD_LEN_MAX`](super::HEAD_LEN_MAX) bytes. Contents are passed over as far as their segment
//! goes. A head that begins in the midst of a later segment is looked for where several requests came together and their answers follow.
use super::super::headers::{Fields, Initials, find, line, number};
use super::super::messages::{Dialect, Message, Reader};
use super::super::streams::{Joined, Rest};
use super::{Http, read};
use crate::packet::PacketView;
use crate::plugin::{Context, Slots, Step};

/// Transactions of one record at the most; further ones that share their segments are not kept, and counted.
const TRANSACTIONS_MAX: usize = 64;

impl Http {
    /// Joins a packet with the head that its direction waits for; `None` if it has to be looked at for itself.
    #[cold]
    pub(super) fn go_on(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Option<Step> {
        let (packet, streams) = (&ctx.packet, self.streams.as_mut()?);
        let rest = match streams.join(packet) {
            Joined::Text(text) => read_all(&self.reader, text, side(packet), slots),
            Joined::Known => return Some(Step::More),
            // The rest of the head was lost if the next message has begun.
            Joined::Early if self.reader.message(packet.payload()).is_some() => {
                streams.end(packet);
                if let Some(slot) = slots.find(|slot| slot.state.cut & side(packet) != 0) {
                    slot.state.cut &= !side(packet);
                }
                return None;
            }
            Joined::Early => return Some(Step::More),
            Joined::Nothing => return None,
        };
        match rest {
            Rest::Cut(at) => streams.keep(packet, false, at),
            Rest::Behind(skipped) => _ = streams.skip(packet, skipped),
            Rest::None => streams.end(packet),
        }
        Some(Step::More)
    }

    /// A payload that is the beginning of a start line.
    #[cold]
    pub(super) fn begin_line(&mut self, ctx: &Context<'_, '_>) -> Step {
        let Some(streams) = &mut self.streams else { return Step::More };
        let may_begin = find(b'\n', ctx.packet.payload()).is_none();
        if may_begin && streams.begin(&ctx.packet, 0) { Step::Each } else { Step::More }
    }

    /// The rest of a packet whose first message was read: more messages, or the rest of that one.
    #[cold]
    pub(super) fn read_rest(
        &mut self,
        ctx: &Context<'_, '_>,
        slots: &mut Slots<'_, Self>,
        message: &Message<'_>,
        behind: Option<&[u8]>,
    ) -> Step {
        let (packet, payload) = (&ctx.packet, ctx.packet.payload());
        if let Some(behind) = behind {
            let Some(len) = content_len(message, behind) else { return Step::More };
            return match len.checked_sub(behind.len()) {
                None => self.read_more(ctx, slots, payload.len() - behind.len() + len),
                Some(skipped) if skipped > 0 && slots.has_several() => self.wait(packet, Rest::Behind(skipped), 0),
                Some(_) => Step::More,
            };
        }
        let step = self.wait(packet, Rest::Cut(0), 0);
        if step == Step::Each
            && let Some(slot) = slots.first()
        {
            slot.state.cut |= side(packet);
        }
        step
    }

    /// Reads the messages of a payload from `at` on, without ending the record.
    #[cold]
    pub(super) fn read_more(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>, at: usize) -> Step {
        let text = ctx.packet.payload().get(at..).unwrap_or_default();
        let rest = read_all(&self.reader, text, side(&ctx.packet), slots);
        self.wait(&ctx.packet, rest, at)
    }

    /// What a flow's first packet is answered with.
    #[cold]
    pub(super) fn step_of(&self, ctx: &Context<'_, '_>) -> Step {
        let waits = self.streams.as_ref().is_some_and(|streams| streams.has(&ctx.packet));
        if waits { Step::Each } else { Step::More }
    }

    /// Keeps what is left of a payload whose text began at `at`.
    fn wait(&mut self, packet: &PacketView<'_, '_>, rest: Rest, at: usize) -> Step {
        let Some(streams) = &mut self.streams else { return Step::More };
        match rest {
            Rest::Cut(from) if streams.begin(packet, at + from) => Step::Each,
            Rest::Behind(skipped) => {
                streams.skip(packet, skipped);
                Step::Each
            }
            Rest::Cut(_) | Rest::None => Step::More,
        }
    }
}

/// Reads messages until one is not whole. Answers find their requests in order.
fn read_all(reader: &Reader<Http>, text: &[u8], side: u8, slots: &mut Slots<'_, Http>) -> Rest {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(message) = reader.message(rest) else {
            let may_begin = Http::starts_known(rest) && find(b'\n', rest).is_none();
            return if may_begin { Rest::Cut(at) } else { Rest::None };
        };
        let found = slots.find(|slot| slot.state.cut & side != 0).is_some()
            || slots.find(|slot| !slot.state.has(&message)).is_some();
        if !found && slots.count() >= TRANSACTIONS_MAX {
            slots.refuse();
            return Rest::None;
        }
        let Some(slot) = (if found { slots.opened() } else { slots.push() }) else { return Rest::None };
        slot.export |= !found;
        let behind = read(reader, &message, slot);
        let Some(behind) = behind else {
            slot.state.cut |= side;
            return Rest::Cut(at);
        };
        slot.state.cut &= !side;
        let Some(content) = content_len(&message, behind) else { return Rest::None };
        if let Some(skipped) = content.checked_sub(behind.len()).filter(|skipped| *skipped > 0) {
            return if slots.has_several() { Rest::Behind(skipped) } else { Rest::None };
        }
        at = text.len() - behind.len() + content;
    }
    Rest::None
}

/// The bit of a packet's direction.
fn side(packet: &PacketView<'_, '_>) -> u8 {
    1 << u8::from(packet.packet.reversed)
}

/// Bytes of the content behind a head; `None` if nothing says where it ends (RFC 9112 section 6.3).
fn content_len(message: &Message<'_>, behind: &[u8]) -> Option<usize> {
    let is_response = match message {
        Message::Response { status, .. } if *status < 200 || matches!(status, 204 | 304) => return Some(0),
        // The answer to HEAD has no content, whatever it says.
        Message::Response { .. } if begins_status_line(behind) => return Some(0),
        Message::Response { .. } => true,
        Message::Request { .. } => false,
    };
    let mut len = None;
    for (name, value) in Fields::of(message.section().unwrap_or_default(), Initials::of(b"CT")) {
        if name.eq_ignore_ascii_case(b"Content-Length") {
            len = Some(number(value));
        } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            return chunks_len(behind);
        }
    }
    len.or((!is_response).then_some(0))
}

/// Whether a text begins as a status line does (RFC 9112 section 4), as far as it goes.
fn begins_status_line(text: &[u8]) -> bool {
    let version = |at: usize, byte: &u8| match at {
        5 | 7 => byte.is_ascii_digit(),
        _ => *byte == b"HTTP/n.n "[at],
    };
    text.len() >= Http::NAME.len() && text.iter().take(9).enumerate().all(|(at, byte)| version(at, byte))
}

/// Bytes of a chunked content that ends in this text (RFC 9112 section 7.1).
fn chunks_len(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    loop {
        let (size, behind) = line(rest)?;
        let digits = &size[..size.iter().take_while(|b| b.is_ascii_hexdigit()).count()];
        let size = usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            // Trailer fields, if there are any.
            let mut trailer = Fields::of(behind, Initials::of(b""));
            trailer.by_ref().for_each(drop);
            return trailer.behind().map(|behind| text.len() - behind.len());
        }
        rest = line(behind.get(size..)?)?.1;
    }
}
