//! The message as the original reads it: names by their first letters, values trimmed to letters and digits.
use super::{NO_STATUS, REPLY, SipRecord, add_via};
use crate::l7::headers::{atoi, c_string, find};
use record::Text;

pub(super) fn read(payload: &[u8], r: &mut SipRecord) {
    let start = upto(payload, b'\n');
    // The second word of the start line, if the first one is not the last.
    let word = find(b' ', start).map(|blank| blank + 1).filter(|at| *at < start.len());
    if r.msg_type == REPLY {
        r.status = word.map_or(NO_STATUS, |at| atoi(&payload[at..]) as u16);
    } else if let Some(at) = word {
        r.request_uri.set(value(upto(&start[at..], b' '), 0));
    }
    let mut at = start.len() + 1;
    while at < payload.len() {
        let rest = &payload[at..];
        let line = upto(rest, b'\n');
        if line.len() <= 1 {
            break;
        }
        field(rest, line, r);
        at += line.len() + 1;
    }
}

/// Names are told by their first letters alone: `Call-Info` passes for Call-ID, `Fromage` for From.
fn field(rest: &[u8], line: &[u8], r: &mut SipRecord) {
    let is = |name: &[u8]| line.len() >= name.len() && line.iter().zip(name).all(|(a, b)| upper(*a) == upper(*b));
    if is(b"FROM") || is(b"F:") {
        uri(rest, line, if is(b"FROM") { 5 } else { 2 }, &mut r.calling);
    } else if is(b"TO:") || is(b"T:") {
        uri(rest, line, if is(b"TO:") { 3 } else { 2 }, &mut r.called);
    } else if is(b"VIA:") || is(b"V:") {
        add_via(&mut r.via, value(line, if is(b"VIA:") { 4 } else { 2 }));
    } else if is(b"CALL") || is(b"I:") {
        r.call_id.set(value(line, if is(b"CALL") { 8 } else { 2 }));
    } else if is(b"USER") {
        r.agent.set(value(line, 11));
    } else if is(b"CSEQ") {
        r.cseq.set(value(line, 5));
    }
}

/// Letters to upper case; other bytes that differ in this bit are confused.
fn upper(byte: u8) -> u8 {
    byte & 0xdf
}

fn upto(text: &[u8], end: u8) -> &[u8] {
    &text[..find(end, text).unwrap_or(text.len())]
}

/// From the first letter or digit to the last one, and of that the part before a ";". Where nothing is left the original reads
/// on in memory; here the value is empty.
fn value(line: &[u8], skip: usize) -> &[u8] {
    let line = line.get(skip..).unwrap_or_default();
    let Some(from) = line.iter().position(u8::is_ascii_alphanumeric) else { return &[] };
    let to = line.iter().rposition(u8::is_ascii_alphanumeric).map_or(from, |last| last + 1);
    c_string(upto(&line[from..to], b';'))
}

/// The first `sip:` or `sips:` of a line, up to ">", else up to ";", else up to the last letter. `rest` begins with `line`.
fn uri(rest: &[u8], line: &[u8], skip: usize, into: &mut Text<127>) {
    let Some(words) = line.get(skip..) else { return };
    let mut at = skip;
    for word in words.split(|b| *b == b':') {
        if word.is_empty() {
            return;
        }
        // Behind the word stands the colon, if it is one. Words before it are not taken off what is left: QUIRK, the value
        // may run on into the next lines.
        let (colon, left) = (at + word.len(), words.len() - word.len());
        let scheme = |len: usize| colon.checked_sub(len).and_then(|from| rest.get(from..=colon)).unwrap_or_default();
        let is = |scheme: &[u8], name: &[u8]| scheme.iter().map(|b| upper(*b)).eq(name.iter().map(|b| upper(*b)));
        let len = if is(scheme(3), b"SIP:") {
            3
        } else if is(scheme(3), b"IPS:") {
            4
        } else {
            at = colon + 1;
            continue;
        };
        let Some(from) = colon.checked_sub(len) else { return };
        let text = &rest[from..rest.len().min(colon + left)];
        let text = match find(b'>', text).or_else(|| find(b';', text)) {
            Some(end) => &text[..end],
            None => &text[..text.iter().rposition(u8::is_ascii_alphabetic).map_or(0, |last| last + 1)],
        };
        into.set(c_string(text));
        return;
    }
}
