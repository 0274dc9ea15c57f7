//! The session as the original reads it: the first line of each packet, and mail text until a packet that is nothing but the dot.
use super::{DATA, Dialog, EHLO, HELO, MAIL, RCPT, RSET, SPAM, SmtpRecord, UNKNOWN_COMMAND};
use super::{code_flag, code_of, command_flag, count};
use crate::l7::headers::{c_string, find};
use crate::packet::PacketView;
use memchr::memchr2;
use record::Text;

/// A longer first word is no command.
const VERB_MAX: usize = 31;

/// Answers whether the packet makes a record; the flags are kept in either case.
pub(super) fn reply(payload: &[u8], r: &mut SmtpRecord) -> bool {
    let Some(code) = code_of(payload) else { return false };
    if payload.len() < 5 || !matches!(payload[3], b' ' | b'-') {
        return false;
    }
    r.codes |= code_flag(code);
    if speaks_of_spam(payload) {
        r.codes |= SPAM;
    }
    count(code, r)
}

/// A search that never goes back: it misses "sspam", and ends at a NUL.
fn speaks_of_spam(text: &[u8]) -> bool {
    let mut rest = c_string(text);
    while let Some(first) = memchr2(b's', b'S', rest) {
        rest = &rest[first + 1..];
        let matched =
            rest.iter().zip(b"pam").take_while(|(byte, wanted)| byte.to_ascii_lowercase() == **wanted).count();
        if matched == 3 {
            return true;
        }
        // The byte that does not match is passed over, even if it is an "s".
        rest = rest.get(matched + 1..).unwrap_or_default();
    }
    false
}

/// Answers whether the packet makes a record.
pub(super) fn command(packet: &PacketView<'_, '_>, dialog: &mut Dialog, r: &mut SmtpRecord) -> bool {
    let payload = packet.payload();
    if dialog.data {
        let end = packet.packet.payload_at as usize + payload.len();
        // Compared as a C string: the byte behind the payload, if it was captured, has to be zero as Ethernet padding is.
        let ended = payload == b".\r\n" && packet.bytes.get(end).is_none_or(|byte| *byte == 0);
        dialog.data = !ended;
        return ended;
    }
    let Some(line_end) = find(b'\r', payload) else { return false };
    // The first blank ends the word, be it in a later line.
    let blank = find(b' ', payload);
    let verb = &payload[..blank.unwrap_or(line_end)];
    if verb.len() > VERB_MAX {
        return false;
    }
    let verb = c_string(verb);
    match <&[u8; 4]>::try_from(verb).ok().and_then(command_flag) {
        // Known by its letters, but without a flag (QUIRK).
        Some(RSET) => {}
        Some(flag) => {
            r.commands |= flag;
            match flag {
                EHLO | HELO => set_domain(&mut r.domain, payload, blank),
                MAIL => {
                    r.mail_count = r.mail_count.wrapping_add(1);
                    set_path(&mut r.sender, payload, blank);
                }
                RCPT => {
                    r.rcpt_count = r.rcpt_count.wrapping_add(1);
                    set_path(&mut r.recipient, payload, blank);
                }
                DATA => dialog.data = true,
                _ => {}
            }
        }
        None if verb.iter().all(u8::is_ascii_uppercase) => {}
        None => r.commands |= UNKNOWN_COMMAND,
    }
    true
}

fn set_domain(into: &mut Text<254>, payload: &[u8], blank: Option<usize>) {
    if into.is_empty()
        && let Some(blank) = blank
        && let Some(len) = find(b'\r', &payload[blank + 1..])
    {
        into.set(c_string(&payload[blank + 1..][..len]));
    }
}

/// The text between the first colon and the first CR behind the verb. If the CR comes first, the length runs below zero and a
/// buffer's worth is taken.
fn set_path(into: &mut Text<254>, payload: &[u8], blank: Option<usize>) {
    if into.is_empty()
        && let Some(blank) = blank
        && let Some(colon) = find(b':', &payload[blank + 1..])
        && let Some(end) = find(b'\r', &payload[blank + 1..])
    {
        let text = &payload[blank + 1..];
        into.set(c_string(if colon < end { &text[colon + 1..end] } else { &text[colon + 1..] }));
    }
}
