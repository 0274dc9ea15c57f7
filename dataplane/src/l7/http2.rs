//! http2: settings and order of the client's first words in HTTP/2 without encryption (RFC 9113, RFC 7541), on any port; whether it is gRPC.
//!
//! A connection is told by its preface. From there to the first request all that the client says is put in order within [`HELLO_LEN_MAX`] bytes. Over TLS,
//! where most of HTTP/2 is, none of it can be seen. Of the compressed headers only what the static table and plain texts say is read; of texts in
//! Huffman's code none but the content type of gRPC.
use super::streams::{Arrival, Streams};
use crate::face::Face;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use frames::{Frame, Hello, PREFACE};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

mod frames;
mod hpack;

record! {
    /// HTTP/2 connection in the clear.
    pub struct Http2Record = "http2" {
        /// Fingerprint of the client: its settings, what it adds to the window of the connection (00: nothing), its priorities (0: none), the order of
        /// the pseudo-headers of its first request, such as 1:65536;4:131072|12517377|0|m,p,a,s.
        fingerprint: Text<FINGERPRINT_LEN_MAX>, ipfix cesnet::http2Fingerprint, unirec "HTTP2_FINGERPRINT";
        /// The server's settings in the same form.
        settings_rev: Text<SETTINGS_LEN_MAX>, ipfix cesnet::http2SettingsRev, unirec "HTTP2_SETTINGS_REV";
        /// Whether the first request is one of gRPC: 1 if it says so.
        grpc: u8, ipfix cesnet::http2Grpc, unirec "HTTP2_GRPC";
    }
}

/// Browsers' fingerprints are below 150 bytes.
const FINGERPRINT_LEN_MAX: usize = 200;
const SETTINGS_LEN_MAX: usize = 100;
/// What a client says up to its first request, bytes; headers of a request are below 1 KiB mostly.
const HELLO_LEN_MAX: usize = 4096;
/// Packets with payload behind the preface after which the server's settings are no longer waited for.
const PACKETS_MAX: u8 = 16;

#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// Whether the flow's destination is the client.
    from_destination: bool,
    has_request: bool,
    has_server: bool,
    packets: u8,
}

record::packed!(Progress { from_destination: bool, has_request: bool, has_server: bool, packets: u8 });

pub struct Http2 {
    streams: Streams,
}

impl Plugin for Http2 {
    type Record = Http2Record;
    type State = Progress;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<4>() == Some(b"PRI ")
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Http2 { streams: Streams::new(HELLO_LEN_MAX) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let payload = ctx.packet.payload();
        if ctx.packet.packet.protocol != protocol::TCP {
            return Step::Done;
        }
        let is_reverse = ctx.direction == Direction::Reverse;
        if slots.first().is_none() {
            if !payload.starts_with(PREFACE) {
                return Step::More;
            }
            let Some(slot) = slots.first_or_open() else { return Step::Done };
            slot.state.from_destination = is_reverse;
        }
        let Some(slot) = slots.first() else { return Step::Done };
        slot.state.packets += 1;
        if slot.state.from_destination == is_reverse {
            if !slot.state.has_request {
                slot.state.has_request = self.listen(ctx, &mut slot.record);
            }
        } else {
            // Its settings come first (RFC 9113 section 3.4).
            if let Some((frame, _)) = Frame::split(payload).filter(|_| !slot.state.has_server) {
                frame.write_settings(&mut slot.record.settings_rev);
            }
            slot.state.has_server = true;
        }
        let Progress { has_request, has_server, packets, .. } = slot.state;
        if has_request && has_server || packets >= PACKETS_MAX {
            self.streams.end(&ctx.packet);
            return Step::Done;
        }
        Step::Each
    }

    fn text(r: &Http2Record, out: &mut String) {
        out.push_str("http2fingerprint=\"");
        put_text(out, r.fingerprint.as_bytes());
        out.push_str("\",settingsrev=\"");
        put_text(out, r.settings_rev.as_bytes());
        let _ = write!(out, "\",grpc={}", r.grpc);
    }

    fn summary(r: &Http2Record, out: &mut String) {
        out.push_str(if r.grpc == 0 { "http2 " } else { "grpc " });
        put_short(out, r.fingerprint.as_bytes());
    }
}

impl Http2 {
    /// Takes what the client says; whether its request is there, or will never be.
    fn listen(&mut self, ctx: &Context<'_, '_>, r: &mut Http2Record) -> bool {
        let (text, is_held) = match self.streams.arrival(&ctx.packet) {
            Arrival::Text(text, is_held) => (text, is_held),
            Arrival::Known | Arrival::Early => return false,
        };
        // Sent again, or what was held has made room.
        let Some(hello) = Hello::of(text) else { return false };
        hello.write(&mut r.fingerprint);
        r.grpc |= u8::from(hello.grpc);
        if hello.is_whole {
            if is_held {
                self.streams.end(&ctx.packet);
            }
            return true;
        }
        !self.streams.hold(&ctx.packet, is_held, 0)
    }
}

#[cfg(test)]
mod tests;
