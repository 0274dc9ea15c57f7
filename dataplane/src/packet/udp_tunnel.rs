//! Tunnels in UDP: told by a port, and by content that has to be what the protocol says.
//!
//! Contract: a datagram that is something else on such a port is the packet that it would be without this file, whatever its bytes are:
//! [`Walk::guess`] remembers it, and errors come back to it. Only where the capture cut the datagram before that could be told, the packet
//! is `Truncated`. What is inside may not be longer than the datagram ([`Walk::fits`]).
use super::walk::{Next, Walk, be16};
use super::{geneve, gtp, l2tp, teredo, vxlan};
use crate::packet::{Fragment, Packet, PacketDrop, protocol};

const HEADER_LEN: usize = 8;

mod port {
    pub(super) const L2TP: u16 = 1701;
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    /// Linux before VXLAN had a number.
    pub(super) const OLD_VXLAN: u16 = 8472;
}

type Reader = fn(&mut Walk<'_, '_>, usize) -> Result<Next, PacketDrop>;

/// Who reads the payload of a datagram between these ports. Senders choose the source port of most tunnels by what is inside; L2TP and Teredo
/// answer from the port that they were asked on.
fn reader(src_port: u16, dst_port: u16) -> Option<Reader> {
    Some(match dst_port {
        port::VXLAN | port::OLD_VXLAN => vxlan::step,
        port::VXLAN_GPE => vxlan::generic,
        port::GENEVE => geneve::step,
        port::GTP_U => gtp::step,
        port::L2TP => l2tp::over_udp,
        port::TEREDO => teredo::step,
        _ => match src_port {
            port::L2TP => l2tp::over_udp,
            port::TEREDO => teredo::step,
            _ => return None,
        },
    })
}

/// Whether a decoded packet has to be looked at layer by layer, if tunnels in UDP are entered.
#[inline]
pub(super) fn may_be(packet: &Packet) -> bool {
    packet.protocol == protocol::UDP && reader(packet.src_port, packet.dst_port).is_some()
}

/// The same for the beginning of a UDP header.
#[inline]
pub(super) fn on_its_port(header: &[u8; 4]) -> bool {
    reader(be16(header, 0), be16(header, 2)).is_some()
}

/// A UDP header at the cursor.
pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    let Some(header) = walk.rest().first_chunk::<HEADER_LEN>() else { return Ok(Next::Transport) };
    let Some(read) = reader(be16(header, 0), be16(header, 2)) else { return Ok(Next::Transport) };
    let p = &*walk.packet;
    let Some(behind_ip) = (p.ip_len as usize).checked_sub(walk.at - usize::from(p.l3)) else {
        return Ok(Next::Transport);
    };
    // 0 stands for what does not fit into 16 bits (RFC 2675, 4). A first fragment has the length of the whole datagram.
    let len = match usize::from(be16(header, 4)) {
        0 => behind_ip,
        len if len <= behind_ip || p.fragment == Fragment::First => len,
        _ => return Ok(Next::Transport),
    };
    let Some(payload_len) = len.checked_sub(HEADER_LEN) else { return Ok(Next::Transport) };
    walk.guess(walk.at + len);
    walk.descend()?;
    walk.skip(HEADER_LEN)?;
    read(walk, payload_len)
}

/// `NotIp` unless the datagram has so many bytes: it is no tunnel, whatever was captured.
pub(super) fn promises(payload_len: usize, least: usize) -> Result<(), PacketDrop> {
    if payload_len < least { Err(PacketDrop::NotIp) } else { Ok(()) }
}
