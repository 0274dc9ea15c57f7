//! TRILL: six bytes and options in front of a whole Ethernet frame (RFC 6325, 3).
//!
//! The inner frame's addresses and tag replace the outer ones, which name only two neighbouring bridges.
use super::walk::{Next, Place, Walk, be16};
use crate::packet::PacketDrop;

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let header = walk.take::<6>()?;
    let options = usize::from(be16(header, 0) >> 6 & 0x1f) * 4;
    walk.skip(options)?;
    if walk.place != Place::Pseudowire && walk.place != Place::Gre {
        walk.place = Place::Trill;
        walk.packet.vlan = 0;
        walk.tagged = false;
    } else {
        walk.place = Place::Pseudowire;
    }
    Ok(Next::Ethernet)
}
