//! L2TP: data messages of version 2 with PPP inside (RFC 2661, 3.1), and of version 3 with Ethernet inside, in UDP and over IP (RFC 3931, 4.1).
//!
//! What a version 3 session carries, and whether a cookie and a sublayer stand before it, was agreed when it was set up, and a packet does not
//! say. It is followed where one of the possible places has an Ethernet frame with an IP header whose length fills the message and, of IPv4,
//! whose checksum is right. Other sessions (PPP, IP, frames without IP) are packets of the outside.
use super::ether::ethertype as ty;
use super::outer::TunnelKind;
use super::ppp;
use super::udp_tunnel::promises;
use super::walk::{Next, Place, Walk, be16};
use crate::packet::PacketDrop;

mod flag {
    /// A control message.
    pub(super) const CONTROL: u16 = 0x8000;
    pub(super) const SEQUENCE: u16 = 0x0800;
    pub(super) const OFFSET: u16 = 0x0200;
    /// Bits that have to be 0 in version 2: what is no flag and no version.
    pub(super) const RESERVED: u16 = 0x34f0;
    pub(super) const VERSION: u16 = 0x000f;
}
/// A length stands behind the flags (version 2).
pub(super) const LENGTH: u16 = 0x4000;

/// Bytes between the session's number and the frame: no cookie, or one of 4 or 8; a default sublayer of 4, or none.
const BEFORE_FRAME: [usize; 4] = [0, 4, 8, 12];
/// Ethernet pads to so many bytes.
const FRAME_LEAST: usize = 60;
const TAGS_MAX: usize = 2;

/// Behind a UDP header.
pub(super) fn over_udp(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    promises(payload_len, 6)?;
    let flags = be16(walk.peek::<2>()?, 0);
    match flags & flag::VERSION {
        _ if flags & flag::CONTROL != 0 => Err(PacketDrop::NotIp),
        2 if flags & flag::RESERVED == 0 => version_2(walk, payload_len, flags),
        // All but the version is reserved.
        3 if flags == 3 => {
            promises(payload_len, 8)?;
            let at = walk.at;
            let header = walk.take::<8>()?;
            if be16(header, 2) != 0 {
                return Err(PacketDrop::NotIp);
            }
            version_3(walk, payload_len - 8, TunnelKind::L2tp3Udp, at)
        }
        _ => Err(PacketDrop::NotIp),
    }
}

/// Behind an IP header with protocol 115: a session's number, 0 for control.
pub(super) fn over_ip(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    let (at, p) = (walk.at, &*walk.packet);
    let Some(len) = (p.ip_len as usize).checked_sub(at - usize::from(p.l3)) else { return Ok(Next::Transport) };
    walk.guess(at + len);
    walk.descend()?;
    promises(len, 4)?;
    if *walk.take::<4>()? == [0; 4] {
        return Err(PacketDrop::NotIp);
    }
    version_3(walk, len - 4, TunnelKind::L2tp3, at)
}

fn version_2(walk: &mut Walk<'_, '_>, payload_len: usize, flags: u16) -> Result<Next, PacketDrop> {
    let (at, end) = (walk.at, walk.at + payload_len);
    walk.skip(2)?;
    if flags & LENGTH != 0 && usize::from(be16(walk.take::<2>()?, 0)) != payload_len {
        return Err(PacketDrop::NotIp);
    }
    let numbers = walk.take::<4>()?;
    if be16(numbers, 0) == 0 || be16(numbers, 2) == 0 {
        return Err(PacketDrop::NotIp);
    }
    if flags & flag::SEQUENCE != 0 {
        walk.skip(4)?;
    }
    if flags & flag::OFFSET != 0 {
        let offset = be16(walk.take::<2>()?, 0);
        promises(end.saturating_sub(walk.at), offset.into())?;
        walk.skip(offset.into())?;
    }
    // Address and control may be left out, and the first byte of a number below 256 (RFC 1661, 2; RFC 1662, 3.1).
    if *walk.peek::<2>()? == [0xff, 0x03] {
        walk.skip(2)?;
    }
    let number = if walk.peek::<1>()?[0] & 1 != 0 { walk.take::<1>()?[0].into() } else { be16(walk.take::<2>()?, 0) };
    // IP begins inside the message; that it ends there, `fits` asks.
    promises(end.saturating_sub(walk.at), 1)?;
    let next = ppp::by_protocol(number)?;
    walk.enter(TunnelKind::L2tp2, at);
    Ok(next)
}

/// Behind the session's number, with `len` bytes left of the message.
fn version_3(walk: &mut Walk<'_, '_>, len: usize, kind: TunnelKind, at: usize) -> Result<Next, PacketDrop> {
    for before in BEFORE_FRAME {
        let Some(frame_len) = len.checked_sub(before) else { break };
        if holds_ip(walk, walk.at + before, frame_len)? {
            walk.skip(before)?;
            walk.enter(kind, at);
            walk.place = Place::Pseudowire;
            return Ok(Next::Ethernet);
        }
    }
    Err(PacketDrop::NotIp)
}

/// Whether an Ethernet frame of `len` bytes with IP in it begins at `at`.
fn holds_ip(walk: &Walk<'_, '_>, at: usize, len: usize) -> Result<bool, PacketDrop> {
    // Two addresses, the tags, a type.
    let mut behind = 12;
    for _ in 0..=TAGS_MAX {
        if len < behind + 2 {
            return Ok(false);
        }
        match be16(bytes::<2>(walk, at + behind)?, 0) {
            ty::VLAN | ty::SERVICE_VLAN => behind += 4,
            ty::IPV4 => return is_ipv4(walk, at + behind + 2, behind + 2, len),
            ty::IPV6 => return is_ipv6(walk, at + behind + 2, behind + 2, len),
            _ => return Ok(false),
        }
    }
    Ok(false)
}

fn is_ipv4(walk: &Walk<'_, '_>, at: usize, before: usize, len: usize) -> Result<bool, PacketDrop> {
    if len < before + 20 {
        return Ok(false);
    }
    let header = bytes::<20>(walk, at)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header[0] >> 4 != 4 || header_len < 20 || !fills(before + usize::from(be16(header, 2)), len) {
        return Ok(false);
    }
    let whole = walk.bytes.get(at..at + header_len).ok_or(PacketDrop::Truncated)?;
    let sum: u32 = whole.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    // 30 words: their carries fit into the upper half, and come down in two steps.
    let folded = (sum & 0xffff) + (sum >> 16);
    Ok((folded & 0xffff) + (folded >> 16) == 0xffff)
}

fn is_ipv6(walk: &Walk<'_, '_>, at: usize, before: usize, len: usize) -> Result<bool, PacketDrop> {
    if len < before + 40 {
        return Ok(false);
    }
    let header = bytes::<40>(walk, at)?;
    Ok(header[0] >> 4 == 6 && fills(before + 40 + usize::from(be16(header, 4)), len))
}

/// Whether a frame's headers and IP are all of its `len` bytes but what pads short ones.
fn fills(ip_end: usize, len: usize) -> bool {
    ip_end == len || (ip_end < len && len <= FRAME_LEAST)
}

fn bytes<'f, const N: usize>(walk: &Walk<'f, '_>, at: usize) -> Result<&'f [u8; N], PacketDrop> {
    walk.bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(PacketDrop::Truncated)
}
