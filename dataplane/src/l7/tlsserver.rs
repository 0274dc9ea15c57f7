//! tlsserver: what a TLS server says of itself: JA4S, its cipher, and up to TLS 1.2 the names in its certificate (RFC 5246, RFC 5280), over TCP on any port.
//!
//! From its ServerHello to the subject of its own certificate, mostly one or two segments later, the server's words are put in order within
//! [`WORDS_LEN_MAX`] bytes; the rest of the chain is not waited for. In TLS 1.3 the certificate is encrypted, in a resumed session there is none.
use super::streams::{Arrival, Streams};
use super::tls::hello::{Hello, RECORD_HANDSHAKE, RECORD_HEADER_LEN};
use super::tls::ja4s::{JA4S_LEN, ja4s};
use super::tls::memo::Memo;
use crate::face::Face;
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::{cesnet, flowmon};
use record::{Text, record};
use std::fmt::Write;
use words::Words;

mod certificate;
mod words;

record! {
    /// The server's side of a TLS handshake.
    pub struct TlsServerRecord = "tlsserver" {
        /// JA4S of the ServerHello.
        ja4s: Text<JA4S_LEN>, ipfix cesnet::tlsJa4sFingerprint, unirec "TLS_JA4S";
        /// Cipher suite that the server chose.
        cipher: u16, ipfix flowmon::tlsCipherSuite, unirec "TLS_CIPHER";
        /// Common name of the certificate's subject, the last of several.
        subject: Text<NAME_LEN_MAX>, ipfix flowmon::tlsSubjectCn, unirec "TLS_SUBJECT_CN";
        /// Common name of its issuer.
        issuer: Text<NAME_LEN_MAX>, ipfix flowmon::tlsIssuerCn, unirec "TLS_ISSUER_CN";
    }
}

/// RFC 5280 appendix A allows 64 characters.
const NAME_LEN_MAX: usize = 128;
/// What is put together of a server's words, bytes: the names stand in the first kilobyte of a certificate.
const WORDS_LEN_MAX: usize = 4096;
/// Packets with payload behind the ServerHello after which a certificate is no longer waited for.
const PACKETS_MAX: u8 = 16;

#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// Whether the flow's destination is the server.
    from_destination: bool,
    packets: u8,
}

record::packed!(Progress { from_destination: bool, packets: u8 });

pub struct TlsServer {
    streams: Streams,
    /// Handshake messages without their record headers.
    messages: Vec<u8>,
    memo: Memo<[u8; 16]>,
}

impl Plugin for TlsServer {
    type Record = TlsServerRecord;
    type State = Progress;
    const BEFORE: bool = true;
    const PROBES: bool = true;

    /// A ServerHello at the beginning of its record.
    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload
            .first_chunk::<{ RECORD_HEADER_LEN + 1 }>()
            .is_some_and(|h| h[0] == RECORD_HANDSHAKE && h[1] == 3 && h[5] == 2)
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(TlsServer {
            streams: Streams::new(WORDS_LEN_MAX),
            messages: Vec::with_capacity(WORDS_LEN_MAX),
            memo: Memo::default(),
        })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::TCP {
            return Step::Done;
        }
        let is_reverse = ctx.direction == Direction::Reverse;
        if slots.first().is_none() {
            // A flow of which another plugin sees each packet gets here without the look.
            if !Self::may_begin(ctx.packet.payload()) {
                return Step::More;
            }
            let Some(slot) = slots.first_or_open() else { return Step::Done };
            slot.export = false;
            slot.state.from_destination = is_reverse;
        }
        let Some(slot) = slots.first() else { return Step::Done };
        slot.state.packets += 1;
        let is_over = slot.state.packets >= PACKETS_MAX;
        if slot.state.from_destination == is_reverse {
            let (known, wants_more) = self.listen(ctx, &mut slot.record);
            slot.export |= known;
            if !wants_more {
                return if slot.export { Step::Done } else { Step::More };
            }
        }
        if is_over {
            self.streams.end(&ctx.packet);
            return Step::Done;
        }
        Step::Each
    }

    fn text(r: &TlsServerRecord, out: &mut String) {
        out.push_str("tlsja4s=\"");
        put_text(out, r.ja4s.as_bytes());
        let _ = write!(out, "\",cipher=0x{:04x},subject=\"", r.cipher);
        put_text(out, r.subject.as_bytes());
        out.push_str("\",issuer=\"");
        put_text(out, r.issuer.as_bytes());
        out.push('"');
    }

    fn summary(r: &TlsServerRecord, out: &mut String) {
        put_short(out, r.ja4s.as_bytes());
        out.push(' ');
        put_short(out, r.subject.as_bytes());
    }
}

impl TlsServer {
    /// Takes what the server says; whether its hello is known, and whether more is of interest.
    fn listen(&mut self, ctx: &Context<'_, '_>, r: &mut TlsServerRecord) -> (bool, bool) {
        let (text, is_held) = match self.streams.arrival(&ctx.packet) {
            Arrival::Text(text, is_held) => (text, is_held),
            Arrival::Known | Arrival::Early => return (false, true),
        };
        let words = Words::of(text, &mut self.messages);
        if let Some(hello) = &words.hello {
            take(hello, &mut self.memo, r);
        }
        if let Some(names) = &words.names {
            names.subject.write(&mut r.subject);
            names.issuer.write(&mut r.issuer);
        }
        let (known, is_whole) = (words.hello.is_some(), words.is_whole);
        if is_whole {
            if is_held {
                self.streams.end(&ctx.packet);
            }
            return (known, false);
        }
        (known, self.streams.hold(&ctx.packet, is_held, 0))
    }
}

fn take(hello: &Hello<'_>, memo: &mut Memo<[u8; 16]>, r: &mut TlsServerRecord) {
    r.ja4s = ja4s(hello, b't', memo);
    r.cipher = hello.ciphers().next().unwrap_or(0);
}

#[cfg(test)]
mod tests;
