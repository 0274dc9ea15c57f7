//! The two streams of a session: lines over several segments, segments that come again or too early.
//!
//! A command or reply counts once, however often its segment comes. An early segment waits for the one before it, unless mail text is under way
//! or the peer acknowledges what was never seen.
use super::super::assembly::FAR;
use super::super::segments::sequence_of;
use super::super::streams::{Joined, Streams};
use super::{Dialog, SmtpRecord, read_commands, read_replies};
use crate::packet::{PacketView, tcp};

/// What was read: whether anything was known, and whether the rest of the session is encrypted.
type Read = (bool, bool);

/// Reads the lines that a packet completes.
#[inline]
pub(super) fn read(
    streams: &mut Streams,
    packet: &PacketView<'_, '_>,
    replies: bool,
    dialog: &mut Dialog,
    r: &mut SmtpRecord,
) -> Read {
    let payload = packet.payload();
    let Some(sequence) = sequence_of(packet) else { return lines(&mut &payload[..], replies, dialog, r) };
    let next = if replies { &mut dialog.replies_next } else { &mut dialog.commands_next };
    if (*next != sequence && *next != 0) || !streams.is_idle() {
        return joined(streams, packet, sequence, replies, dialog, r);
    }
    *next = sequence.wrapping_add(payload.len() as u32);
    let mut rest = payload;
    let read = lines(&mut rest, replies, dialog, r);
    if !rest.is_empty() {
        streams.begin(packet, payload.len() - rest.len());
    }
    read
}

#[inline(always)]
fn lines(rest: &mut &[u8], replies: bool, dialog: &mut Dialog, r: &mut SmtpRecord) -> Read {
    let mut secret = false;
    let known = if replies { read_replies(rest, dialog, r, &mut secret) } else { read_commands(rest, dialog, r) };
    (known, secret)
}

/// A packet that is not simply the next one, or while lines of any session are not whole.
#[cold]
fn joined(
    streams: &mut Streams,
    packet: &PacketView<'_, '_>,
    sequence: u32,
    replies: bool,
    dialog: &mut Dialog,
    r: &mut SmtpRecord,
) -> Read {
    let mut known = false;
    if let Some(text) = streams.acknowledged(packet) {
        let mut rest = text;
        known |= lines(&mut rest, !replies, dialog, r).0;
        let read = text.len() - rest.len();
        let behind = streams.next_opposite(packet);
        streams.keep(packet, true, read);
        *(if replies { &mut dialog.commands_next } else { &mut dialog.replies_next }) = behind;
    }
    let payload = packet.payload();
    let next = if replies { dialog.replies_next } else { dialog.commands_next };
    let behind = tcp::distance(next, sequence);
    let is_text = !replies && (dialog.data || dialog.chunk > 0);
    let is_held = streams.has_direction(packet);
    if !is_held && next != 0 && (1..=FAR).contains(&behind) && !is_text {
        streams.expect(packet, next);
    }
    let (mut text, mut end) = (payload, sequence.wrapping_add(payload.len() as u32));
    match streams.join(packet) {
        Joined::Text(joined) => text = joined,
        Joined::Known | Joined::Early => return (known, false),
        // Sent again, as a whole or in part.
        Joined::Nothing if next != 0 && (-FAR..0).contains(&behind) => {
            text = payload.get(behind.unsigned_abs() as usize..).unwrap_or_default();
            end = if text.is_empty() { next } else { end };
        }
        Joined::Nothing => {}
    }
    let mut rest = text;
    let read = lines(&mut rest, replies, dialog, r);
    let left = rest.len();
    let used = text.len() - left;
    if streams.has_direction(packet) {
        end = streams.next(packet).unwrap_or(end);
        streams.keep(packet, false, used);
    } else if left > 0 {
        streams.begin(packet, payload.len() - left);
    }
    *(if replies { &mut dialog.replies_next } else { &mut dialog.commands_next }) = end;
    (known | read.0, read.1)
}
