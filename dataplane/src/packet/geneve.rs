//! GENEVE (RFC 8926, 3.4): eight bytes, then up to 252 of options, which are stepped over; what is inside has an EtherType.
use super::outer::TunnelKind;
use super::udp_tunnel::promises;
use super::walk::{Next, Place, Walk, be16};
use crate::packet::PacketDrop;

/// Transparent Ethernet bridging.
const ETHERNET: u16 = 0x6558;
/// Of the second byte: a control packet; critical options may stand in any.
const CONTROL: u8 = 0x80;
const RESERVED: u8 = 0x3f;

pub(super) fn step(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    let at = walk.at;
    promises(payload_len, 8)?;
    let h = walk.take::<8>()?;
    let options_len = usize::from(h[0] & 0x3f) * 4;
    if h[0] >> 6 != 0 || h[1] & (CONTROL | RESERVED) != 0 || h[7] != 0 {
        return Err(PacketDrop::NotIp);
    }
    promises(payload_len, 8 + options_len)?;
    walk.skip(options_len)?;
    walk.enter(TunnelKind::Geneve, at);
    walk.place = Place::Pseudowire;
    match be16(h, 2) {
        ETHERNET => Ok(Next::Ethernet),
        carried => Ok(Next::Type(carried)),
    }
}
