//! ssh: version strings, HASSH of both sides, and what tells a refused login from a session (RFC 4253, RFC 4252), on any port.
//!
//! Packets are followed in the clear up to NEWKEYS; from there lengths are all there is. The first answer of the server is
//! SERVICE_ACCEPT, 17 bytes of payload; USERAUTH_SUCCESS is one byte. With 8 to 16 bytes of block and the least padding the second is 16
//! bytes shorter, whatever the cipher and MAC, and nothing else that a server says before is as short.
mod kexinit;

use super::headers::line;
use super::segments::{Segments, Ticket, sequence_of};
use super::streams::{Joined, Streams};
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::{Direction, protocol, tcp};
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use kexinit::{KexInit, Reads};
use record::element::cesnet;
use record::{Blob, Text, record};
use std::fmt::Write;

record! {
    /// SSH connection.
    pub struct SshRecord = "ssh" {
        /// Version line of the client.
        client: Text<VERSION_LEN_MAX>, ipfix cesnet::sshClientVersion, unirec "SSH_CLIENT_VERSION";
        /// Version line of the server.
        server: Text<VERSION_LEN_MAX>, ipfix cesnet::sshServerVersion, unirec "SSH_SERVER_VERSION";
        /// HASSH of the client's algorithms, the raw MD5.
        hassh: Blob<16>, ipfix cesnet::sshHassh, unirec "SSH_HASSH";
        /// HASSHServer of the server's algorithms, the raw MD5.
        hassh_server: Blob<16>, ipfix cesnet::sshHasshServer, unirec "SSH_HASSH_SERVER";
        /// Packets of the client behind NEWKEYS of both sides.
        client_packets: u32, ipfix cesnet::sshClientPackets, unirec "SSH_CLIENT_PACKETS";
        /// Packets of the server behind NEWKEYS of both sides.
        server_packets: u32, ipfix cesnet::sshServerPackets, unirec "SSH_SERVER_PACKETS";
        /// Bytes of these packets of the client, IP headers included.
        client_bytes: u64, ipfix cesnet::sshClientBytes, unirec "SSH_CLIENT_BYTES";
        /// Bytes of these packets of the server, IP headers included.
        server_bytes: u64, ipfix cesnet::sshServerBytes, unirec "SSH_SERVER_BYTES";
        /// Answers of the server to what the client tried, until it accepted: refusals, and questions for more.
        answers: u16, ipfix cesnet::sshAuthAnswers, unirec "SSH_AUTH_ANSWERS";
        /// How the login went, by lengths: 0 none was begun, 1 not accepted, 2 accepted, 3 cannot be told.
        auth: u8, ipfix cesnet::sshAuth, unirec "SSH_AUTH";
    }
}

/// RFC 4253 section 4.2: 255 with CR and LF.
const VERSION_LEN_MAX: usize = 253;
/// What is kept of a segment whose version line is not whole, and of what a server says before it.
const LINES_LEN_MAX: usize = 2048;
/// Answers after which it cannot be told how the login went: OpenSSH gives up after 6 refusals, so acceptance was overlooked.
const ANSWERS_MAX: u16 = 32;

/// Values of `auth`.
const REFUSED: u8 = 1;
const ACCEPTED: u8 = 2;
const UNCLEAR: u8 = 3;

pub struct Ssh {
    segments: Segments,
    /// Version lines that are not whole.
    lines: Streams,
    /// Such a line with what followed.
    joined: Vec<u8>,
}

/// How far a connection has come.
#[derive(Default)]
pub struct Progress {
    /// The server sent the flow's first packet.
    swapped: bool,
    client: Side,
    server: Side,
    /// Payload of the segment that carries SERVICE_ACCEPT.
    accept_len: u16,
    /// The flow's counters when both sides had said NEWKEYS: packets and bytes of the client, then of the server.
    client_packets: u32,
    client_bytes: u64,
    server_packets: u32,
    server_bytes: u64,
}

record::packed!(Progress {
    swapped: bool,
    client: Side,
    server: Side,
    accept_len: u16,
    client_packets: u32,
    client_bytes: u64,
    server_packets: u32,
    server_bytes: u64,
});

/// How far one side has come.
#[derive(Default)]
pub struct Side {
    has_version: bool,
    /// Has said NEWKEYS: what follows is encrypted.
    has_keys: bool,
    /// Where the next packet begins in the clear, where the next segment begins behind NEWKEYS.
    next: u32,
    /// A KEXINIT that is not whole yet.
    unfinished: Ticket,
}

record::packed!(Side { has_version: bool, has_keys: bool, next: u32, unfinished: Ticket });

impl Plugin for Ssh {
    type Record = SshRecord;
    type State = Progress;
    // Counters of the flow are to include the packet that ends the exchange of keys.
    const AFTER: bool = true;
    const ENDS: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk() == Some(b"SSH-")
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        let (lines, joined) = (Streams::new(LINES_LEN_MAX), Vec::with_capacity(LINES_LEN_MAX));
        Ok(Ssh { segments: Segments::new(), lines, joined })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.after(ctx, slots)
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.protocol != protocol::TCP {
            return Step::Done;
        }
        let Some(sequence) = sequence_of(&ctx.packet) else { return Step::Done };
        if self.lines.is_idle() || !self.lines.has_direction(&ctx.packet) {
            return self.take(ctx, ctx.packet.payload(), sequence, slots);
        }
        let Joined::Text(text) = self.lines.join(&ctx.packet) else { return Step::More };
        if version_line(text).is_none() {
            self.lines.keep(&ctx.packet, false, 0);
            return Step::More;
        }
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.extend_from_slice(text);
        let next = self.lines.next(&ctx.packet).unwrap_or(sequence);
        self.lines.end(&ctx.packet);
        let step = self.take(ctx, &joined, next.wrapping_sub(joined.len() as u32), slots);
        self.joined = joined;
        step
    }

    fn end(&mut self, flow: &Flow, slots: &mut Slots<'_, Self>) {
        let Some(slot) = slots.first() else { return };
        let (r, s) = (&mut slot.record, &slot.state);
        if s.client.has_keys && s.server.has_keys {
            let [client, server] = if s.swapped { [1, 0] } else { [0, 1] };
            r.client_packets = flow.packets[client].saturating_sub(s.client_packets);
            r.server_packets = flow.packets[server].saturating_sub(s.server_packets);
            r.client_bytes = flow.bytes[client].saturating_sub(s.client_bytes);
            r.server_bytes = flow.bytes[server].saturating_sub(s.server_bytes);
        }
    }

    fn text(r: &SshRecord, out: &mut String) {
        for (key, value) in [("client", &r.client), ("server", &r.server)] {
            let _ = write!(out, "ssh{key}=\"");
            put_text(out, value.as_bytes());
            out.push_str("\",");
        }
        for (key, value) in [("hassh", &r.hassh), ("hasshserver", &r.hassh_server)] {
            let _ = write!(out, "{key}=");
            for byte in value.as_bytes() {
                let _ = write!(out, "{byte:02x}");
            }
            out.push(',');
        }
        let _ = write!(
            out,
            "clientpackets={},serverpackets={},clientbytes={},serverbytes={},answers={},auth={}",
            r.client_packets, r.server_packets, r.client_bytes, r.server_bytes, r.answers, r.auth
        );
    }

    fn summary(r: &SshRecord, out: &mut String) {
        put_short(out, r.client.as_bytes());
        out.push_str(" to ");
        put_short(out, r.server.as_bytes());
        out.push_str(match r.auth {
            REFUSED => ", refused",
            ACCEPTED => ", logged in",
            _ => "",
        });
    }
}

/// RFC 4253 section 4.
const PORT: u16 = 22;

/// By the port if it is SSH's, else who began is the client.
fn is_server(ctx: &Context<'_, '_>) -> bool {
    let packet = ctx.packet.packet;
    match (packet.src_port == PORT, packet.dst_port == PORT) {
        (true, false) => true,
        (false, true) => false,
        _ => ctx.direction == Direction::Reverse,
    }
}

/// The version line, and what follows it. A server may say other lines before.
fn version_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text;
    while let Some((text, next)) = line(rest) {
        if Ssh::may_begin(text) {
            return Some((text, next));
        }
        rest = next;
    }
    None
}

impl Ssh {
    /// Reads the bytes of a segment, or those of several.
    fn take(&mut self, ctx: &Context<'_, '_>, text: &[u8], sequence: u32, slots: &mut Slots<'_, Self>) -> Step {
        let fresh = slots.first().is_none();
        if fresh && line(text).is_none() {
            return self.wait(ctx);
        }
        if fresh && !Self::may_begin(text) {
            return Step::More;
        }
        let Some(slot) = slots.first_or_open() else { return Step::More };
        if fresh {
            slot.state.swapped = is_server(ctx) != (ctx.direction == Direction::Reverse);
        }
        let step = self.read(ctx, text, sequence, &mut slot.state, &mut slot.record);
        if fresh && step == Step::More { Step::Each } else { step }
    }

    /// Waits for the end of a line that may be the version.
    #[cold]
    fn wait(&mut self, ctx: &Context<'_, '_>) -> Step {
        let payload = ctx.packet.payload();
        let at = memchr::memrchr(b'\n', payload).map_or(0, |end| end + 1);
        let begins =
            !payload[at..].is_empty() && payload[at..].iter().zip(b"SSH-").all(|(byte, wanted)| byte == wanted);
        if begins && self.lines.begin(&ctx.packet, at) { Step::Each } else { Step::More }
    }

    fn read(
        &mut self,
        ctx: &Context<'_, '_>,
        payload: &[u8],
        sequence: u32,
        progress: &mut Progress,
        r: &mut SshRecord,
    ) -> Step {
        let of_server = (ctx.direction == Direction::Reverse) != progress.swapped;
        let Progress { client, server, .. } = progress;
        let (side, peer) = if of_server { (server, client) } else { (client, server) };
        if side.has_keys {
            let new = tcp::distance(side.next, sequence) >= 0;
            if new {
                side.next = sequence.wrapping_add(payload.len() as u32);
            }
            let answers = new && of_server && peer.has_keys;
            return if answers { answer(payload.len() as u16, &mut progress.accept_len, r) } else { Step::More };
        }
        let version = if of_server { &mut r.server } else { &mut r.client };
        if !side.has_version {
            let Some((text, rest)) = version_line(payload) else { return self.wait(ctx) };
            version.set(text);
            side.has_version = true;
            side.next = sequence.wrapping_add((payload.len() - rest.len()) as u32);
        }
        let (hash, reads) = match of_server {
            true => (&mut r.hassh_server, Reads::ServerToClient),
            false => (&mut r.hassh, Reads::ClientToServer),
        };
        if let Some(whole) = self.segments.add(side.unfinished, payload, sequence) {
            set_hash(hash, whole, reads);
        }
        if !self.packets(payload, sequence, side, |packet| set_hash(hash, packet, reads)) {
            return Step::Done;
        }
        if side.has_keys && peer.has_keys {
            let [client, server] = if progress.swapped { [1, 0] } else { [0, 1] };
            (progress.client_packets, progress.client_bytes) = (ctx.flow.packets[client], ctx.flow.bytes[client]);
            (progress.server_packets, progress.server_bytes) = (ctx.flow.packets[server], ctx.flow.bytes[server]);
        }
        Step::More
    }

    /// The packets in the clear that begin in a segment (RFC 4253 section 6); false if they cannot be SSH's.
    fn packets(&mut self, payload: &[u8], sequence: u32, side: &mut Side, mut kexinit: impl FnMut(&[u8])) -> bool {
        // A segment that does not have the place is one sent again, or one behind a gap.
        while let Some(rest) = payload.get(side.next.wrapping_sub(sequence) as usize..)
            && let Some(header) = rest.first_chunk::<HEADER_LEN>()
        {
            let len = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
            if !(LEN_MIN..=LEN_MAX).contains(&len) {
                return false;
            }
            let begins = side.next;
            side.next = begins.wrapping_add((LEN_SIZE + len) as u32);
            match header[5] {
                KEXINIT => match rest.get(..LEN_SIZE + len) {
                    Some(packet) => kexinit(packet),
                    None => side.unfinished = self.segments.begin(rest, begins, LEN_SIZE + len).unwrap_or_default(),
                },
                NEWKEYS => {
                    side.has_keys = true;
                    side.next = sequence.wrapping_add(payload.len() as u32);
                    return true;
                }
                _ => {}
            }
        }
        true
    }
}

/// Length, padding length, message number.
const HEADER_LEN: usize = 6;
const LEN_SIZE: usize = 4;
/// A message number and the least padding, with the byte that gives its length.
const LEN_MIN: usize = 6;
/// RFC 4253 section 6.1.
const LEN_MAX: usize = 35_000;

/// Message numbers (RFC 4250 section 4.1.2).
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;

fn set_hash(hash: &mut Blob<16>, packet: &[u8], reads: Reads) {
    if let Some(kexinit) = KexInit::of_packet(packet) {
        hash.set(&kexinit.hassh(reads));
    }
}

/// How much shorter USERAUTH_SUCCESS is than SERVICE_ACCEPT.
const SUCCESS_SHORTER: u16 = 16;

/// An encrypted segment of the server.
fn answer(len: u16, accept_len: &mut u16, r: &mut SshRecord) -> Step {
    if *accept_len == 0 {
        *accept_len = len;
        r.auth = REFUSED;
        return Step::More;
    }
    if len.checked_add(SUCCESS_SHORTER) == Some(*accept_len) {
        r.auth = ACCEPTED;
        return Step::Done;
    }
    r.answers += 1;
    if r.answers < ANSWERS_MAX {
        return Step::More;
    }
    r.auth = UNCLEAR;
    Step::Done
}

#[cfg(test)]
mod tests;
