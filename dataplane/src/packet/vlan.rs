//! One VLAN tag: 12 bits of id and the EtherType of what follows (IEEE 802.1Q-2022, 9.6).
//!
//! The frame's outermost id is kept; tags below it, and those of a frame inside a tunnel, are stepped over.
use super::walk::{Next, Place, Walk, be16};
use crate::packet::PacketDrop;

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let tag = walk.take::<4>()?;
    if !walk.tagged && walk.place != Place::Pseudowire && walk.place != Place::Gre {
        walk.packet.vlan = be16(tag, 0) & 0xfff;
        walk.tagged = true;
    }
    Ok(Next::Type(be16(tag, 2)))
}
