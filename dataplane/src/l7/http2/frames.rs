//! Frames of HTTP/2 (RFC 9113 section 4.1), and what a client says with the first of them.
use super::hpack::Headers;
use crate::plugin::Cut;
use record::Text;
use std::fmt::Write;

/// Section 3.4.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_LEN: usize = 9;
/// Types (section 6).
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
/// Flags: of SETTINGS, of HEADERS.
const ACK: u8 = 0x01;
const PADDED: u8 = 0x08;
const HAS_PRIORITY: u8 = 0x20;
/// Stream identifiers and dependencies have 31 bits.
const STREAM: u32 = 0x7fff_ffff;

pub(super) struct Frame<'m> {
    kind: u8,
    flags: u8,
    stream: u32,
    body: &'m [u8],
}

impl<'m> Frame<'m> {
    /// The frame that stands here, if it is whole, and what follows it.
    pub(super) fn split(bytes: &'m [u8]) -> Option<(Self, &'m [u8])> {
        let (&[l2, l1, l0, kind, flags, s3, s2, s1, s0], rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let (body, next) = rest.split_at_checked(u32::from_be_bytes([0, l2, l1, l0]) as usize)?;
        Some((Frame { kind, flags, stream: u32::from_be_bytes([s3, s2, s1, s0]) & STREAM, body }, next))
    }

    /// Settings as number:value, if it has any to say.
    pub(super) fn write_settings<const N: usize>(&self, out: &mut Text<N>) {
        if (self.kind, self.flags & ACK, self.stream) != (SETTINGS, 0, 0) {
            return;
        }
        for (nth, [i1, i0, value @ ..]) in self.body.as_chunks::<6>().0.iter().enumerate() {
            let (number, value) = (u16::from_be_bytes([*i1, *i0]), u32::from_be_bytes(*value));
            // Cut at the bound of the field.
            let _ = write!(Cut(out), "{}{number}:{value}", if nth == 0 { "" } else { ";" });
        }
    }

    /// Stream, whether it depends alone, on which, and its weight (RFC 7540 section 6.3; clients still send it).
    fn write_priority<const N: usize>(&self, out: &mut Text<N>, is_first: bool) {
        let Some([d3, d2, d1, d0, weight]) = self.body.first_chunk() else { return };
        let on = u32::from_be_bytes([*d3, *d2, *d1, *d0]);
        let (alone, on, weight) = (u8::from(on > STREAM), on & STREAM, u16::from(*weight) + 1);
        let comma = if is_first { "" } else { "," };
        let _ = write!(Cut(out), "{comma}{}:{alone}:{on}:{weight}", self.stream);
    }

    /// The header block, as far as this frame has it.
    fn block(&self) -> Option<&'m [u8]> {
        let (pad, body) = if self.flags & PADDED != 0 { self.body.split_first()? } else { (&0, self.body) };
        let body = body.get(if self.flags & HAS_PRIORITY != 0 { 5 } else { 0 }..)?;
        body.get(..body.len().checked_sub(usize::from(*pad))?)
    }
}

/// What a client says up to its first request.
pub(super) struct Hello<'m> {
    frames: &'m [u8],
    headers: Headers,
    /// Whether the request is there, or something that cannot be before it.
    pub(super) is_whole: bool,
    pub(super) grpc: bool,
}

impl<'m> Hello<'m> {
    /// `None` if it does not begin with the preface.
    pub(super) fn of(text: &'m [u8]) -> Option<Self> {
        let frames = text.strip_prefix(PREFACE)?;
        let mut hello = Hello { frames, headers: Headers::default(), is_whole: false, grpc: false };
        if let Some(request) = all(frames).find(|frame| frame.kind == HEADERS) {
            hello.headers = request.block().map(Headers::of).unwrap_or_default();
            hello.grpc = hello.headers.is_grpc;
            hello.is_whole = true;
        }
        Some(hello)
    }

    /// Settings, window, priorities and pseudo-headers; each setting counts where the first frame of settings has it.
    pub(super) fn write<const N: usize>(&self, out: &mut Text<N>) {
        out.set(&[]);
        if let Some(settings) = all(self.frames).find(|frame| frame.kind == SETTINGS) {
            settings.write_settings(out);
        }
        let window = all(self.frames).find(|frame| (frame.kind, frame.stream) == (WINDOW_UPDATE, 0));
        let _ = match window.and_then(|frame| frame.body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) & STREAM))
        {
            Some(window) => write!(Cut(out), "|{window}|"),
            None => write!(Cut(out), "|00|"),
        };
        let mut priorities = 0;
        for frame in all(self.frames).filter(|frame| frame.kind == PRIORITY) {
            frame.write_priority(out, priorities == 0);
            priorities += 1;
        }
        out.push(if priorities == 0 { b"0|" } else { b"|" });
        for (nth, letter) in self.headers.order().iter().enumerate() {
            out.push(if nth == 0 { b"" } else { b"," });
            out.push(&[*letter]);
        }
    }
}

/// The whole frames up to the first request.
fn all(mut rest: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        let (frame, next) = Frame::split(rest).filter(|_| !is_over)?;
        rest = next;
        is_over = frame.kind == HEADERS;
        Some(frame)
    })
}
