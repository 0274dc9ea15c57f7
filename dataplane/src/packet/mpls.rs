//! MPLS: a stack of 4-byte labels; what follows is told by its first four bits (RFC 3032, 2.1; RFC 4928, 3).
//!
//! 4 and 6 are IP, 0 is the control word of an Ethernet pseudowire (RFC 4448, 4.6), whose frame follows. Others are not IP.
use super::walk::{Next, Place, Walk};
use crate::packet::PacketDrop;

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    loop {
        walk.descend()?;
        let label = walk.take::<4>()?;
        if label[2] & 1 != 0 {
            break; // bottom of the stack
        }
    }
    match walk.peek::<1>()?[0] >> 4 {
        4 => Ok(Next::Ipv4),
        6 => Ok(Next::Ipv6),
        0 => {
            // QUIRK, both faces: the original forgets the labels and the control word here and reads IP at a wrong place.
            walk.skip(4)?;
            walk.place = Place::Pseudowire;
            Ok(Next::Ethernet)
        }
        _ => Err(PacketDrop::NotIp),
    }
}
