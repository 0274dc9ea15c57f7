//! PPPoE sessions: six bytes, then the PPP protocol number (RFC 2516, 4).
use super::ppp;
use super::walk::{Next, Walk, be16};
use crate::packet::PacketDrop;

/// Code of session data; others are control.
const SESSION: u8 = 0;

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let header = walk.take::<8>()?;
    if header[1] == SESSION { ppp::by_protocol(be16(header, 6)) } else { Err(PacketDrop::NotIp) }
}
