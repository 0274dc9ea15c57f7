//! tls: server name, JA3, JA4 and extensions of the ClientHello, version and protocol of the ServerHello, on any port
//! (spec/process_plugins.md, "tls").
//!
//! A ClientHello makes the record, the first ServerHello completes it and ends the plugin's interest in the flow.
//! RFC 8446, RFC 5246.
pub mod hello;
pub mod ja3;
pub mod ja4;

use crate::face::Face;
use crate::l7::dns::until_nul;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_text};
use hello::{Hello, Kind};
use record::element::{cesnet, flowmon};
use record::{Blob, List, Text, record};
use std::fmt::{Display, Write};

record! {
    /// A TLS handshake.
    pub struct TlsRecord = "tls" {
        /// The client's legacy version until the server says which one is used.
        version: u16, ipfix flowmon::tlsServerVersion, unirec "TLS_VERSION";
        /// First server name.
        sni: Text<NAME_LEN_MAX>, ipfix cesnet::TLSSNI, unirec "TLS_SNI";
        /// The protocol that the server chose (ALPN).
        alpn: Text<NAME_LEN_MAX>, ipfix flowmon::tlsAlpn, unirec "TLS_ALPN";
        /// JA3 of the ClientHello, the raw MD5.
        ja3: Blob<16>, ipfix flowmon::tlsJa3Fingerprint, unirec "TLS_JA3";
        /// JA4 as it is sent in IPFIX: the original pads it with NUL to 36 bytes.
        ja4_ipfix: Text<{ ja4::JA4_LEN }>, ipfix cesnet::tlsJa4Fingerprint;
        /// JA4 of the ClientHello.
        ja4: Text<{ ja4::JA4_LEN }>, unirec "TLS_JA4";
        /// Types of the ClientHello's extensions in their order, GREASE included.
        ext_types: List<u16, EXTENSIONS_MAX>, ipfix cesnet::tlsExtTypeField, unirec "TLS_EXT_TYPE";
        /// Lengths of the same extensions.
        ext_lens: List<u16, EXTENSIONS_MAX>, ipfix cesnet::tlsExtLenField, unirec "TLS_EXT_LEN";
    }
}

/// What the original's buffers of 255 bytes hold.
const NAME_LEN_MAX: usize = 253;
/// Extensions that are listed; fingerprints see more.
const EXTENSIONS_MAX: usize = 30;

pub struct Tls {
    face: Face,
}

impl Plugin for Tls {
    type Record = TlsRecord;
    type State = ();
    const BEFORE: bool = true;

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Tls { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(hello) = Hello::of_record(ctx.packet.payload(), self.face) else { return Step::More };
        match hello.kind {
            Kind::Client => {
                if let Some(slot) = slots.first_or_open() {
                    let transport = if ctx.packet.packet.protocol == protocol::UDP { 'q' } else { 't' };
                    self.client(&hello, transport, &mut slot.record);
                }
                Step::More
            }
            // Without its ClientHello a ServerHello is not kept.
            Kind::Server => slots.first().map_or(Step::More, |slot| {
                self.server(&hello, &mut slot.record);
                Step::Done
            }),
        }
    }

    fn text(record: &TlsRecord, out: &mut String) {
        out.push_str("tlssni=\"");
        put_text(out, record.sni.as_bytes());
        out.push_str("\",tlsalpn=\"");
        put_text(out, record.alpn.as_bytes());
        let _ = write!(out, "\",tlsversion=0x{:04x},tlsja3=", record.version);
        for byte in record.ja3.as_bytes() {
            let _ = write!(out, "{byte:02x}");
        }
        out.push_str(",tlsexttype=(");
        join(out, record.ext_types.as_slice());
        out.push_str("),tlsextlen=(");
        join(out, record.ext_lens.as_slice());
        out.push(')');
    }
}

impl Tls {
    fn client(&self, hello: &Hello<'_>, transport: char, record: &mut TlsRecord) {
        if record.ext_types.is_empty() {
            for e in hello.extensions().take(EXTENSIONS_MAX) {
                record.ext_types.push(e.kind);
                record.ext_lens.push(e.len);
            }
        }
        record.ja3.set(&ja3::ja3(hello, self.face));
        record.ja4 = ja4::ja4(hello, transport, self.face);
        record.ja4_ipfix = record.ja4;
        if self.face.is_original() {
            // QUIRK: bytes swapped, as in JA3.
            record.version = hello.version.swap_bytes();
            let padding = [0; ja4::JA4_LEN];
            record.ja4_ipfix.push(&padding);
            original_name(hello.server_names().map(|(_, name)| name), &mut record.sni);
        } else {
            record.version = hello.version;
            if let Some((_, name)) = hello.server_names().find(|(kind, _)| *kind == HOST_NAME) {
                record.sni.set(name);
            }
        }
    }

    fn server(&self, hello: &Hello<'_>, record: &mut TlsRecord) {
        let chosen = hello.supported_versions().next();
        if self.face.is_original() {
            // QUIRK: without supported_versions the client's version stays, whatever the server says.
            record.version = chosen.unwrap_or(record.version);
            original_name(hello.protocols(), &mut record.alpn);
        } else {
            record.version = chosen.unwrap_or(hello.version);
            if let Some(name) = hello.protocols().next() {
                record.alpn.set(name);
            }
        }
    }
}

/// RFC 6066 section 3.
const HOST_NAME: u8 = 0;

/// QUIRK: the first name that fits whole, as a C string; if there are names and none fits, nothing.
fn original_name<'m>(mut names: impl Iterator<Item = &'m [u8]>, out: &mut Text<NAME_LEN_MAX>) {
    let Some(first) = names.next() else { return };
    let fits = |name: &&[u8]| name.len() <= NAME_LEN_MAX;
    out.set(until_nul(std::iter::once(first).chain(names).find(fits).unwrap_or(b"")));
}

fn join(out: &mut String, values: &[impl Display]) {
    for (i, value) in values.iter().enumerate() {
        let _ = write!(out, "{}{value}", if i == 0 { "" } else { "," });
    }
}
