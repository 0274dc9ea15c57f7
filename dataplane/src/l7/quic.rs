//! quic: the ClientHello of a connection, its ids and versions (spec/process_plugins.md, "quic"; RFC 9000, RFC 9001, RFC 9369).
//!
//! Told by content: UDP that begins with a long header of a known version. Initials of clients are opened with the keys that everyone can
//! derive. The original knows no datagram without a whole ClientHello; natively the hello may span several, and other packets count, too.
use crate::face::Face;
use crate::l7::tls::fingerprints::{Memos, fingerprints};
use crate::l7::tls::hello::{Hello, Kind as HelloKind};
use crate::l7::tls::ja4::JA4_LEN;
use crate::l7::tls::{EXTENSIONS_MAX, NAME_LEN_MAX, read_name};
use crate::packet::{Direction, protocol};
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_hex, put_short, put_text};
use packet::{Kind, Packet, Packets, Reader};
use record::element::cesnet;
use record::{Blob, List, Text, record};
use std::fmt::Write;
use stream::{Stream, Streams, Ticket};

pub mod keys;
pub mod packet;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod version;

record! {
    /// A QUIC connection.
    pub struct QuicRecord = "quic" {
        /// Server name.
        sni: Text<NAME_LEN_MAX>, ipfix cesnet::quicSNI, unirec "QUIC_SNI";
        /// User agent, a transport parameter of Google's.
        user_agent: Text<NAME_LEN_MAX>, ipfix cesnet::quicUserAgent, unirec "QUIC_USER_AGENT";
        /// Version of the last packet with a long header, save 0-RTT.
        version: u32, ipfix cesnet::quicVersion, unirec "QUIC_VERSION";
        /// Version of the first ClientHello.
        client_version: u32, ipfix cesnet::quicClientVersion, unirec "QUIC_CLIENT_VERSION";
        /// Length of the token before the last ClientHello; all ones if there was no ClientHello.
        token_length: u64, ipfix cesnet::quicTokenLength, unirec "QUIC_TOKEN_LENGTH";
        /// The id that the client chose for itself.
        occid: Blob<ID_MAX>, ipfix cesnet::quicOCCID, unirec "QUIC_OCCID";
        /// The id that the client chose for the server at first.
        oscid: Blob<ID_MAX>, ipfix cesnet::quicOSCID, unirec "QUIC_OSCID";
        /// The id that the server chose for itself.
        scid: Blob<ID_MAX>, ipfix cesnet::quicSCID, unirec "QUIC_SCID";
        /// The id that the server chose in a Retry.
        retry_scid: Blob<ID_MAX>, ipfix cesnet::quicRetrySCID, unirec "QUIC_RETRY_SCID";
        /// Further ClientHellos for another connection, 255 and more.
        multiplexed: u8, ipfix cesnet::quicMultiplexed, unirec "QUIC_MULTIPLEXED";
        /// 0-RTT packets, 255 and more; in the original's values those beside a ClientHello.
        zero_rtt: u8, ipfix cesnet::quicZeroRTT, unirec "QUIC_ZERO_RTT";
        /// Port of the server.
        server_port: u16, ipfix cesnet::quicServerPort, unirec "QUIC_SERVER_PORT";
        /// For each datagram what is in it: Initial 1, 0-RTT 2, Handshake 4, Retry 8, version negotiation 16, the fixed bit 128.
        packets: List<u8, PACKETS_MAX>, ipfix cesnet::quicPackets, unirec "QUIC_PACKETS";
        /// 1 if a ClientHello was read.
        parsed: u8, ipfix cesnet::quicCHParsed, unirec "QUIC_CH_PARSED";
        /// Types of the ClientHello's extensions in their order, GREASE included.
        ext_types: List<u16, EXTENSIONS_MAX>, ipfix cesnet::quicTlsExtType, unirec "QUIC_TLS_EXT_TYPE";
        /// Lengths of the same extensions.
        ext_lens: List<u16, EXTENSIONS_MAX>, ipfix cesnet::quicTlsExtLen, unirec "QUIC_TLS_EXT_LEN";
        /// Content of the extensions ALPN and QUIC transport parameters.
        ext: Blob<EXT_LEN_MAX>, ipfix cesnet::quicTlsExt, unirec "QUIC_TLS_EXT";
        /// JA4 of the ClientHello; not in IPFIX and UniRec, where the original has no place for it.
        ja4: Text<JA4_LEN>;
    }
}

const ID_MAX: usize = 20;
const PACKETS_MAX: usize = 30;
/// What the original's buffer for the CRYPTO frames of one packet holds, and its one for extensions.
const ORIGINAL_HELLO_MAX: usize = 1500;
const EXT_LEN_MAX: usize = 1499;
/// Initials that are natively opened of one record: keys cost several microseconds.
const OPENED_MAX: u8 = 16;

/// Bits of [`QuicRecord::packets`].
const FIXED_BIT: u8 = 0x80;

/// Extensions that are exported whole: ALPN, transport parameters, and those of drafts.
const EXPORTED: [u16; 3] = [16, 0x39, PARAMETERS_OF_DRAFTS];
const PARAMETERS_OF_DRAFTS: u16 = 0xffa5;
/// The transport parameter of a user agent.
const USER_AGENT: u64 = 0x3129;

pub struct Quic {
    face: Face,
    /// Frames of the packet at hand.
    frames: Vec<u8>,
    /// CRYPTO stream of a packet that is read alone, and natively those of flows.
    alone: Box<Stream>,
    streams: Option<Streams>,
    memos: Memos,
}

#[derive(Default)]
pub struct Connection {
    stream: Ticket,
    opened: u8,
    client: Client,
}

record::packed!(Connection { stream: Ticket, opened: u8, client: Client });

/// Which end of the flow is the client: 0 not known yet, 1 the source, 2 the destination.
#[derive(Default)]
pub struct Client(u8);

record::packed!(Client { 0: u8 });

impl Client {
    fn set(&mut self, direction: Direction) {
        self.0 = direction as u8 + 1;
    }
    fn is_known(&self) -> bool {
        self.0 != 0
    }
    fn sent(&self, direction: Direction) -> bool {
        self.0 == direction as u8 + 1
    }
}

impl Plugin for Quic {
    type Record = QuicRecord;
    type State = Connection;
    const AFTER: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first().is_some_and(|first| first & 0x80 != 0) && packet::is_long(payload)
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Quic {
            face,
            frames: Vec::with_capacity(keys::INITIAL_MAX),
            alone: Box::default(),
            streams: (!face.is_original()).then(Streams::default),
            memos: Memos::default(),
        })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let Some(slot) = slots.first_or_open() else { return Step::Done };
        slot.record.token_length = u64::MAX;
        let datagram = self.read(ctx, slot);
        let is_quic = if self.face.is_original() {
            datagram.hello
        } else {
            datagram.mask & !(FIXED_BIT | bit(Kind::Negotiation)) != 0
        };
        if !is_quic {
            slots.clear();
            return Step::Done;
        }
        slot.record.packets.push(datagram.mask);
        Step::Each
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first() else {
            // Natively a flow may begin in the midst of a connection.
            return if self.face.is_original() { Step::Done } else { self.create(ctx, slots) };
        };
        let datagram = self.read(ctx, slot);
        slot.record.packets.push(datagram.mask);
        match self.face {
            Face::Ipfixprobe => Step::More,
            // The client begins anew with another version.
            Face::Native if datagram.mask & bit(Kind::Negotiation) != 0 => Step::Flush,
            Face::Native if slot.record.packets.len() == PACKETS_MAX => Step::Done,
            Face::Native => Step::More,
        }
    }

    fn text(r: &QuicRecord, out: &mut String) {
        for (key, value) in [("quicsni", r.sni.as_bytes()), ("quicuseragent", r.user_agent.as_bytes())] {
            let _ = write!(out, "{key}=\"");
            put_text(out, value);
            out.push('"');
        }
        let _ = write!(out, "quicversion=\"{}\"quicclientversion=\"{}\"", r.version, r.client_version);
        for (key, id) in
            [("quicoccid", &r.occid), ("quicoscid", &r.oscid), ("quicscid", &r.scid), ("quicretryscid", &r.retry_scid)]
        {
            let _ = write!(out, "{key}length=\"{}\"{key}=\"", id.len());
            put_hex(out, id.as_bytes());
            out.push('"');
        }
        let _ = write!(out, "quicmultiplexed=\"{}\"quiczerortt=\"{}\"", r.multiplexed, r.zero_rtt);
    }

    fn summary(r: &QuicRecord, out: &mut String) {
        out.push_str("quic ");
        for value in [r.sni.as_bytes(), r.ja4.as_bytes()].iter().filter(|v| !v.is_empty()) {
            put_short(out, value);
            out.push(' ');
        }
    }
}

/// What a datagram was.
struct Datagram {
    mask: u8,
    /// It completed a ClientHello.
    hello: bool,
}

fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Initial => 1,
        Kind::ZeroRtt => 2,
        Kind::Handshake => 4,
        Kind::Retry => 8,
        Kind::Negotiation => 16,
    }
}

impl Quic {
    fn read(&mut self, ctx: &Context<'_, '_>, slot: &mut Slot<Self>) -> Datagram {
        let payload = ctx.packet.payload();
        let fixed = payload.first().is_some_and(|first| first & 0x40 != 0);
        let mut datagram = Datagram { mask: if fixed { FIXED_BIT } else { 0 }, hello: false };
        let (mut version, mut zero_rtt) = (None, 0u8);
        for packet in Packets::of(payload) {
            datagram.mask |= bit(packet.kind);
            match packet.kind {
                Kind::ZeroRtt => zero_rtt += 1,
                Kind::Negotiation => {}
                _ => version = Some(packet.version),
            }
            if packet.kind == Kind::Initial && !datagram.hello {
                datagram.hello = self.read_initial(&packet, ctx, slot);
            }
            if !self.face.is_original() {
                read_server(&packet, ctx.direction, slot);
            }
        }
        // QUIRK: the original takes a datagram without a ClientHello for something else.
        if datagram.hello || !self.face.is_original() {
            slot.record.version = version.unwrap_or(slot.record.version);
            slot.record.zero_rtt = slot.record.zero_rtt.saturating_add(zero_rtt);
        }
        datagram
    }

    /// Opens an Initial if it is a client's; answers whether a ClientHello is whole with it.
    fn read_initial(&mut self, packet: &Packet<'_>, ctx: &Context<'_, '_>, slot: &mut Slot<Self>) -> bool {
        let Slot { record: r, state: connection, .. } = slot;
        let of_server = connection.client.is_known() && !connection.client.sent(ctx.direction);
        if !self.face.is_original() && (of_server || connection.opened == OPENED_MAX) {
            return false;
        }
        connection.opened = connection.opened.saturating_add(1);
        // The secret is that of the first id; behind a Retry that of the id which the server chose.
        let first = r.oscid;
        let is_first = first.is_empty() || first.as_bytes() == packet.destination;
        let chosen = [first.as_bytes(), packet.destination].into_iter().skip(is_first.into());
        let opened = chosen.into_iter().find_map(|id| keys::open(packet, id, &mut self.frames));
        let Some(frames) = opened.and_then(|range| self.frames.get(range)) else { return false };
        let stream = match &mut self.streams {
            // A hello that comes later is another connection's.
            Some(streams) if r.parsed == 0 => streams.of(&mut connection.stream),
            _ => {
                self.alone.clear();
                &mut self.alone
            }
        };
        let read = stream.take(frames);
        let message = if self.face.is_original() {
            read.and_then(|()| stream.with_gaps(ORIGINAL_HELLO_MAX))
        } else {
            if !connection.client.is_known() {
                connection.client.set(ctx.direction);
                r.oscid.set(packet.destination);
                r.occid.set(packet.source);
                r.server_port = ctx.packet.packet.dst_port;
            }
            stream.message()
        };
        let hello = message.and_then(|bytes| Hello::of_handshake(bytes, self.face));
        let Some(hello) = hello.filter(|hello| hello.kind == HelloKind::Client) else { return false };
        let mut sni = Text::default();
        read_name(&hello, self.face, &mut sni);
        if r.parsed == 0 {
            if self.face.is_original() {
                r.oscid.set(packet.destination);
                r.occid.set(packet.source);
                r.server_port = ctx.packet.packet.dst_port;
            } else {
                r.ja4 = fingerprints(&hello, b'q', self.face, &mut self.memos).ja4;
            }
            (r.parsed, r.client_version, r.sni) = (1, packet.version, sni);
            read_extensions(&hello, r);
        } else {
            let known = [&r.oscid, &r.scid, &r.retry_scid];
            let ids = if self.face.is_original() { &known[..1] } else { &known[..] };
            let is_other = !ids.iter().any(|id| id.as_bytes() == packet.destination) || r.sni != sni;
            r.multiplexed = r.multiplexed.saturating_add(is_other.into());
        }
        r.token_length = packet.token_len;
        true
    }
}

/// What the packets of a server say of ids.
fn read_server(packet: &Packet<'_>, direction: Direction, slot: &mut Slot<Quic>) {
    if !slot.state.client.is_known() || slot.state.client.sent(direction) {
        return;
    }
    match packet.kind {
        Kind::Initial | Kind::Handshake => slot.record.scid.set(packet.source),
        Kind::Retry => slot.record.retry_scid.set(packet.source),
        Kind::ZeroRtt | Kind::Negotiation => {}
    }
}

fn read_extensions(hello: &Hello<'_>, r: &mut QuicRecord) {
    for extension in hello.extensions() {
        r.ext_types.push(extension.kind);
        r.ext_lens.push(extension.len);
        if !EXPORTED.contains(&extension.kind) {
            continue;
        }
        r.ext.push(extension.data);
        let mut parameters = Reader { bytes: extension.data, at: 0 };
        while extension.kind != EXPORTED[0]
            && let Some((id, value)) = parameter(&mut parameters)
        {
            if id == USER_AGENT {
                r.user_agent.set(value);
            }
        }
    }
}

/// One transport parameter (RFC 9000 section 18).
fn parameter<'m>(reader: &mut Reader<'m>) -> Option<(u64, &'m [u8])> {
    let id = reader.number()?;
    let len = usize::try_from(reader.number()?).ok()?;
    Some((id, reader.take(len)?))
}
