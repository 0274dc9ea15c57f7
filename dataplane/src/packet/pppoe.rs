//! PPPoE sessions: six bytes, then the PPP protocol number (RFC 2516, 4; RFC 1661, 2).
use super::walk::{Next, Walk, be16};
use crate::packet::PacketDrop;

/// Code of session data; others are control.
const SESSION: u8 = 0;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let header = walk.take::<8>()?;
    match (header[1], be16(header, 6)) {
        (SESSION, PPP_IPV4) => Ok(Next::Ipv4),
        (SESSION, PPP_IPV6) => Ok(Next::Ipv6),
        _ => Err(PacketDrop::NotIp),
    }
}
