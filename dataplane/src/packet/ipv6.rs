//! The IPv6 header and its extension headers (RFC 8200, 3 and 4; AH: RFC 4302, 2; mobility: RFC 6275, 6.1; HIP: RFC 7401, 5.1;
//! shim6: RFC 5533, 5.1).
//!
//! ESP and everything that is not an extension header end the chain. A later fragment ends it too: what follows is payload.
use super::tunnel;
use super::walk::{Next, Walk, be16};
use crate::packet::{Fragment, PacketDrop, protocol};

pub(super) fn step(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    walk.descend()?;
    let l3 = walk.at;
    let h = walk.take::<40>()?;
    if h[0] >> 4 != 6 {
        return Err(PacketDrop::BadLength); // QUIRK, both faces: as for IPv4
    }
    let payload_len = be16(h, 4);
    // Length 0 with something behind the header: offload, or a jumbogram (RFC 2675, 3). QUIRK, both faces: as for IPv4.
    let ip_len = if payload_len == 0 && h[6] != protocol::NO_NEXT_HEADER {
        walk.offloaded_len(l3)
    } else {
        u32::from(payload_len) + 40
    };
    let p = &mut *walk.packet;
    p.ip_version = 6;
    p.l3 = l3 as u16;
    p.ip_len = ip_len;
    p.fragment_id = 0;
    p.fragment = Fragment::No;
    p.protocol = h[6];
    if h[6] != protocol::TCP && h[6] != protocol::UDP {
        extensions(walk)?;
    }
    tunnel::behind_ip(walk)
}

fn extensions(walk: &mut Walk<'_, '_>) -> Result<(), PacketDrop> {
    loop {
        // The original wants two bytes even where no extension header is: an IPv6 packet that ends with its header is lost to it.
        if !walk.native {
            walk.peek::<2>()?;
        }
        let kind = walk.packet.protocol;
        match kind {
            protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING | protocol::FRAGMENT => {}
            protocol::AH | protocol::MOBILITY => {}
            protocol::HIP | protocol::SHIM6 if walk.native => {}
            _ => return Ok(()),
        }
        let &[next, len] = walk.peek::<2>()?;
        let is_last = next == protocol::NO_NEXT_HEADER;
        if walk.native && is_last && matches!(kind, protocol::MOBILITY | protocol::HIP | protocol::SHIM6) {
            return Ok(()); // the packet's own matter, not an extension of something: its number says more than 59
        }
        walk.descend()?;
        match kind {
            protocol::FRAGMENT => fragment(walk)?,
            protocol::AH => authentication(walk)?,
            _ => walk.skip((usize::from(len) + 1) * 8)?,
        }
        walk.packet.protocol = next;
        // QUIRK, both faces: the original takes the payload of later fragments for extension headers, if the first one had some.
        if walk.packet.fragment == Fragment::Later || (kind == protocol::MOBILITY && is_last) {
            return Ok(());
        }
    }
}

/// The authentication header. QUIRK, both faces: its length counts words of 4 bytes less 2 (the original: 4 x length - 2 bytes).
pub(super) fn authentication(walk: &mut Walk<'_, '_>) -> Result<(), PacketDrop> {
    let &[_, len] = walk.peek::<2>()?;
    walk.skip((usize::from(len) + 2) * 4)
}

fn fragment(walk: &mut Walk<'_, '_>) -> Result<(), PacketDrop> {
    let h = walk.take::<8>()?;
    let offset = be16(h, 2);
    walk.packet.fragment = Fragment::of(offset & 0xfff8 != 0, offset & 1 != 0);
    walk.packet.fragment_id = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    Ok(())
}
