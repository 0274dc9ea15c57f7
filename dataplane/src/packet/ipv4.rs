//! The IPv4 header; options are stepped over (RFC 791, 3.1).
//!
//! QUIRK, both faces: the original does not look at version and header length. Where they contradict, the fields read would not be
//! what they are taken for, so the packet is refused (BadLength).
use super::tunnel;
use super::walk::{Next, Walk, be16};
use crate::packet::{Fragment, PacketDrop};

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let l3 = walk.at;
    let h = walk.peek::<20>()?;
    let header_len = usize::from(h[0] & 0x0f) * 4;
    let total_len = be16(h, 2);
    if h[0] >> 4 != 4 || header_len < 20 {
        return Err(PacketDrop::BadLength);
    }
    if walk.native && total_len != 0 && usize::from(total_len) < header_len {
        return Err(PacketDrop::BadLength);
    }
    walk.skip(header_len)?;
    // QUIRK, both faces: length 0 is what segmentation offload leaves in the frame. The original counts no bytes then and makes
    // up a payload length; we take what the wire had.
    let ip_len = if total_len == 0 { walk.offloaded_len(l3) } else { total_len.into() };
    let flags = be16(h, 6);
    let p = &mut *walk.packet;
    p.ip_version = 4;
    p.l3 = l3 as u16;
    p.ip_len = ip_len;
    p.fragment = Fragment::of(flags & 0x1fff != 0, flags & 0x2000 != 0);
    p.fragment_id = if p.fragment == Fragment::No { 0 } else { be16(h, 4).into() };
    p.protocol = h[9];
    tunnel::behind_ip(walk)
}
