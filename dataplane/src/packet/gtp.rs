//! GTP-U (3GPP TS 29.281, 5.1 and 5.2): the user's packets, G-PDUs. Its other messages (echo, error indication, end marker) are flows of UDP.
//!
//! Eight bytes with the tunnel's number (TEID); four more if any of sequence number, N-PDU number and extension headers is there.
use super::outer::TunnelKind;
use super::udp_tunnel::promises;
use super::walk::{Next, Walk, be16};
use crate::packet::PacketDrop;

/// Version 1, GTP and not GTP'; the bit behind is spare.
const VERSION: u8 = 0x30;
const EXTENDED: u8 = 0x04;
const OPTIONAL: u8 = 0x07;
const G_PDU: u8 = 255;

pub(super) fn step(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    let at = walk.at;
    promises(payload_len, 8)?;
    let h = walk.take::<8>()?;
    // The length is what follows these eight bytes.
    let is_whole = usize::from(be16(h, 2)) == payload_len - 8;
    if h[0] & !OPTIONAL != VERSION || h[1] != G_PDU || !is_whole {
        return Err(PacketDrop::NotIp);
    }
    let end = at + payload_len;
    if h[0] & OPTIONAL != 0 {
        promises(payload_len, 12)?;
        let optional = walk.take::<4>()?;
        let mut next = if h[0] & EXTENDED != 0 { optional[3] } else { 0 };
        while next != 0 {
            walk.descend()?;
            // In units of four bytes, its own and the next header's number included.
            let len = match usize::from(walk.peek::<1>()?[0]) * 4 {
                0 => return Err(PacketDrop::NotIp),
                len => len,
            };
            promises(end - walk.at, len)?;
            walk.skip(len - 1)?;
            next = walk.take::<1>()?[0];
        }
    }
    promises(end.saturating_sub(walk.at), 1)?;
    walk.enter(TunnelKind::Gtp, at);
    // An Ethernet session begins with an address, which nothing tells from this.
    match walk.peek::<1>()?[0] >> 4 {
        4 => Ok(Next::Ipv4),
        6 => Ok(Next::Ipv6),
        _ => Err(PacketDrop::NotIp),
    }
}
