//! From a frame to a packet: once, and never out of bounds.
//!
//! The usual frame (Ethernet, at most one 802.1Q tag, IPv4 without options or IPv6 without extensions, TCP or UDP whole) takes a fast
//! path without loops. Everything else, and everything malformed, walks layer by layer. Both give the same packet (tests/decode.rs).
use super::transport;
use super::walk::{Next, Walk, be16};
use super::{Fragment, MacForm, Packet, PacketDrop, Tunnels, ether, ipv4, ipv6, protocol, tcp, udp_tunnel};
use crate::capture::{BURST, Frame, LinkType};
use crate::face::Face;
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use std::hint::select_unpredictable;

/// How to decode; fixed for a lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodeConfig {
    /// What is followed and what is refused. Each difference is written where it is made.
    pub face: Face,
    /// Keeps the two directions of a conversation apart (option `split`).
    pub split: bool,
    /// Secret of the lane's hash.
    pub seed: HashSeed,
    /// Which tunnels are entered; the face of the original has its own mind.
    pub tunnels: Tunnels,
}

impl DecodeConfig {
    /// Whether UDP packets on the ports of tunnels are more than what the fast path takes them for.
    #[inline(always)]
    pub(crate) fn looks_into_udp(&self) -> bool {
        self.tunnels.looks_into_udp() && !self.face.is_original()
    }
}

/// Decodes one frame into `packet`. After an error its contents mean nothing.
#[inline]
pub fn decode(frame: &Frame<'_>, config: &DecodeConfig, packet: &mut Packet) -> Result<(), PacketDrop> {
    let usual = match (config.face.is_original(), config.split) {
        (false, false) => usual::<false, false>,
        (false, true) => usual::<false, true>,
        (true, false) => usual::<true, false>,
        (true, true) => usual::<true, true>,
    };
    match usual(frame, config.seed, packet) {
        Some(()) if !config.looks_into_udp() || !udp_tunnel::may_be(packet) => Ok(()),
        _ => decode_layers(frame, config, packet),
    }
}

/// [`decode`] for a burst, as far as the fast path goes: answers which frames are left, one bit each, for [`decode_layers`]. Meanwhile it
/// asks for the first line of what stands `ahead` of each frame ([`CaptureSource::ahead`](crate::capture::CaptureSource::ahead)).
pub fn decode_usual(frames: &[Frame<'_>], config: &DecodeConfig, packets: &mut [Packet; BURST], ahead: usize) -> u64 {
    let left = match (config.face.is_original(), config.split) {
        (false, false) => all_usual::<false, false>(frames, config.seed, packets, ahead),
        (false, true) => all_usual::<false, true>(frames, config.seed, packets, ahead),
        (true, false) => all_usual::<true, false>(frames, config.seed, packets, ahead),
        (true, true) => all_usual::<true, true>(frames, config.seed, packets, ahead),
    };
    if config.looks_into_udp() { left | perhaps_tunnels(&packets[..frames.len().min(BURST)]) } else { left }
}

/// The packets on ports of tunnels, one bit each. Behind the fast path, so that it costs those nothing who did not ask.
#[cold]
#[inline(never)]
fn perhaps_tunnels(packets: &[Packet]) -> u64 {
    let may_be = packets.iter().enumerate().filter(|(_, packet)| udp_tunnel::may_be(packet));
    may_be.fold(0, |left, (at, _)| left | 1 << at)
}

/// A loop of its own, without a call, and one for each configuration, so that everything it needs stays in registers.
#[inline(never)]
fn all_usual<const ORIGINAL: bool, const SPLIT: bool>(
    frames: &[Frame<'_>],
    seed: HashSeed,
    packets: &mut [Packet; BURST],
    ahead: usize,
) -> u64 {
    let mut left = 0;
    for (at, (frame, packet)) in frames.iter().zip(packets).enumerate() {
        sys::prefetch_far(frame.bytes.as_ptr(), ahead);
        if usual::<ORIGINAL, SPLIT>(frame, seed, packet).is_none() {
            left |= 1 << at;
        }
    }
    left
}

/// Asks for the header lines of a burst before it is decoded: frames that come from memory would be waited for one by one, since a
/// decoder that guesses wrong begins anew behind each (tests/decode_speed.rs).
#[inline(always)]
pub fn warm(burst: &[Frame<'_>]) {
    burst.iter().for_each(|frame| sys::prefetch_head(frame.bytes));
}

/// [`decode`] without the fast path. With [`Tunnels::Both`] the packet is the outer one.
#[cold]
#[inline(never)]
pub fn decode_layers(frame: &Frame<'_>, config: &DecodeConfig, packet: &mut Packet) -> Result<(), PacketDrop> {
    let tunnels = if config.tunnels == Tunnels::Both { Tunnels::Outer } else { config.tunnels };
    layers(frame, config, tunnels, packet)
}

/// The packet inside the tunnels of a frame that [`decode_layers`] takes for a packet as a whole. `None` if it has no tunnel.
///
/// # Errors
/// Why what is inside is no packet, though a tunnel is there.
#[cold]
#[inline(never)]
pub fn decode_inner(frame: &Frame<'_>, config: &DecodeConfig, packet: &mut Packet) -> Option<Result<(), PacketDrop>> {
    let found = layers(frame, config, Tunnels::Inner, packet);
    // The outside is sound, so what failed stands behind it.
    (found.is_err() || packet.tunnel().is_some()).then_some(found)
}

fn layers(frame: &Frame<'_>, config: &DecodeConfig, tunnels: Tunnels, packet: &mut Packet) -> Result<(), PacketDrop> {
    *packet = Packet { at: config.face.time(frame.at), ..Packet::default() };
    let mut walk = Walk::new(packet, frame.bytes, frame.wire_len as usize, !config.face.is_original(), tunnels);
    let mut next = ether::link(&mut walk, frame.link);
    loop {
        next = match next {
            Ok(Next::Ethernet) => ether::ethernet(&mut walk),
            Ok(Next::Type(ethertype)) => ether::by_type(&mut walk, ethertype),
            Ok(Next::Ipv4) => ipv4::step(&mut walk),
            Ok(Next::Ipv6) => ipv6::step(&mut walk),
            Ok(Next::Transport) => match walk.fits().and_then(|()| transport::finish(&mut walk, config.split)) {
                Ok(()) => {
                    packet.hash = packet.key.hash(config.seed);
                    return Ok(());
                }
                Err(why) => Err(why),
            },
            Err(why) => Ok(walk.back(why)?),
        }
    }
}

/// The fast path; `None` is no judgement.
#[inline(always)]
fn usual<const ORIGINAL: bool, const SPLIT: bool>(
    frame: &Frame<'_>,
    seed: HashSeed,
    packet: &mut Packet,
) -> Option<()> {
    // As they lie in the frame.
    const TAG: u16 = 0x8100u16.to_be();
    const IPV4: u16 = 0x0800u16.to_be();
    const IPV6: u16 = 0x86ddu16.to_be();
    let bytes = frame.bytes;
    if frame.link != LinkType::Ethernet || !(LEAST..=usize::from(u16::MAX)).contains(&bytes.len()) {
        return None;
    }
    let link = bytes.first_chunk::<18>()?;
    let is_tagged = ne16(link, 12) == TAG;
    // Selected, not branched on: tagged and untagged frames come mixed.
    let vlan = if is_tagged { be16(link, 14) & 0xfff } else { 0 };
    let l3 = if is_tagged { 18 } else { 14 };
    // 40 bytes: IPv4 with ports, TCP flags and six bytes more, or IPv6 alone.
    let h: &[u8; 40] = bytes.get(l3..l3 + 40)?.try_into().ok()?;
    let ethertype = if is_tagged { ne16(link, 16) } else { ne16(link, 12) };
    let ip = Ip::<ORIGINAL, SPLIT> { bytes, l3, vlan, frame, seed };
    if ethertype == IPV4 {
        ip.v4(h, packet)
    } else if ethertype == IPV6 {
        ip.v6(h, packet)
    } else {
        None
    }
}

/// Bytes of the headers that the fast path looks at in any frame: Ethernet without a tag, and 40.
const LEAST: usize = 14 + 40;

struct Ip<'a, 'b, const ORIGINAL: bool, const SPLIT: bool> {
    bytes: &'b [u8],
    l3: usize,
    vlan: u16,
    frame: &'a Frame<'b>,
    seed: HashSeed,
}

impl<const ORIGINAL: bool, const SPLIT: bool> Ip<'_, '_, ORIGINAL, SPLIT> {
    #[inline(always)]
    fn v4(&self, h: &[u8; 40], packet: &mut Packet) -> Option<()> {
        let flags = be16(h, 6);
        if h[0] != 0x45 || flags & 0x3fff != 0 {
            return None;
        }
        let protocol = h[9];
        let total_len = usize::from(be16(h, 2));
        let ports = be32(h, 20);
        let (header_len, tcp_flags) = transport_head(protocol, ne16(h, 32))?;
        let payload = total_len.checked_sub(20 + header_len)?;
        self.fill(packet, 20, header_len, payload)?;
        let s = u64::from(be32(h, 12)) << 16 | u64::from(ports >> 16);
        let d = u64::from(be32(h, 16)) << 16 | u64::from(ports as u16);
        let (key, reversed) = FlowKey::v4_of(s, d, protocol, self.vlan, SPLIT);
        packet.key = key;
        packet.hash = key.hash_v4(self.seed);
        packet.reversed = reversed;
        packet.ip_len = total_len as u32;
        packet.src_port = (ports >> 16) as u16;
        packet.dst_port = ports as u16;
        packet.protocol = protocol;
        packet.tcp_flags = tcp_flags;
        packet.ip_version = 4;
        Some(())
    }

    #[inline(always)]
    fn v6(&self, h: &[u8; 40], packet: &mut Packet) -> Option<()> {
        let l4 = self.l3 + 40;
        let t: &[u8; 14] = self.bytes.get(l4..l4 + 14)?.try_into().ok()?;
        if h[0] >> 4 != 6 {
            return None;
        }
        let protocol = h[6];
        let payload_len = usize::from(be16(h, 4));
        let ports = be32(t, 0);
        let (header_len, tcp_flags) = transport_head(protocol, ne16(t, 12))?;
        let payload = payload_len.checked_sub(header_len)?;
        self.fill(packet, 40, header_len, payload)?;
        let (src, dst) = (h[8..24].first_chunk::<16>()?, h[24..40].first_chunk::<16>()?);
        let (src_port, dst_port) = ((ports >> 16) as u16, ports as u16);
        let (key, reversed) = FlowKey::v6(*src, *dst, src_port, dst_port, protocol, self.vlan, SPLIT);
        packet.key = key;
        packet.hash = key.hash_v6(self.seed);
        packet.reversed = reversed;
        packet.ip_len = payload_len as u32 + 40;
        packet.src_port = src_port;
        packet.dst_port = dst_port;
        packet.protocol = protocol;
        packet.tcp_flags = tcp_flags;
        packet.ip_version = 6;
        Some(())
    }

    /// What IPv4 and IPv6 have in common. `None` if the transport header was not captured whole, or its options want a closer look.
    #[inline(always)]
    fn fill(&self, packet: &mut Packet, ip_header: usize, header_len: usize, payload: usize) -> Option<()> {
        let l4 = self.l3 + ip_header;
        let payload_at = l4 + header_len;
        let captured = self.bytes.len().checked_sub(payload_at)?;
        if header_len > 20 && ORIGINAL {
            tcp::accepted_by_original(self.bytes.get(l4 + 20..payload_at)?).then_some(())?;
        }
        packet.at = if ORIGINAL { Face::Ipfixprobe } else { Face::Native }.time(self.frame.at);
        packet.fragment_id = 0;
        packet.mac_at = 0;
        packet.fragment = Fragment::No;
        packet.mac_form = MacForm::Ethernet;
        packet.l3 = self.l3 as u16;
        packet.l4 = l4 as u16;
        packet.payload_at = payload_at as u16;
        packet.payload_len = payload.min(captured) as u16;
        packet.payload_wire = payload as u16;
        packet.vlan = self.vlan;
        Some(())
    }
}

/// Length of a TCP header by its data offset, or of a UDP header, and TCP's flags; `None` for other protocols and impossible offsets. `word`: the
/// bytes 12 and 13 as they lie behind each other.
#[inline(always)]
fn transport_head(protocol: u8, word: u16) -> Option<(usize, u8)> {
    let word = u16::from_le(word);
    let (data_offset, flags) = (word as u8 >> 4, (word >> 8) as u8);
    // Selected, not branched on: TCP and UDP come mixed.
    let (is_tcp, is_udp) = (protocol == protocol::TCP, protocol == protocol::UDP);
    let len = select_unpredictable(is_tcp, usize::from(data_offset) * 4, 8);
    let flags = select_unpredictable(is_tcp, flags, 0);
    ((is_tcp & (data_offset >= 5)) | is_udp).then_some((len, flags))
}

/// Two bytes as a number of this machine.
#[inline(always)]
fn ne16<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
