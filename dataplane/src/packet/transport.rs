//! The transport header: ports, TCP flags, and where the payload lies (TCP: RFC 9293, 3.1; UDP: RFC 768; SCTP: RFC 9260, 3.1).
//!
//! Contract: called last, with the innermost IP header's fields set; completes the packet and its key. Protocols that are not known
//! here have ports 0 and their payload begins at once; so do later fragments.
use super::tcp;
use super::walk::{Walk, be16};
use crate::flow::FlowKey;
use crate::packet::{Fragment, Packet, PacketDrop, protocol};

pub(super) fn finish(walk: &mut Walk<'_, '_>, split: bool) -> Result<(), PacketDrop> {
    let p = &*walk.packet;
    let behind_ip = (p.ip_len as usize).checked_sub(usize::from(p.l4 - p.l3));
    // The IP header's length may end before its own extensions, or before the transport header. Natively that is refused. The original
    // counts such packets and takes what stands there, often padding; its payload length wraps round. QUIRK: we keep 0 instead.
    let promised = match behind_ip {
        Some(n) => n,
        None if walk.native => return Err(PacketDrop::BadLength),
        None => 0,
    };
    let header_len = header(walk, promised)?;
    let p = &mut *walk.packet;
    let payload_at = usize::from(p.l4) + header_len;
    // `header` has seen the header whole, so it ends inside the capture.
    let captured = walk.bytes.len() - payload_at;
    let payload = promised.saturating_sub(header_len).min(u16::MAX.into());
    p.payload_at = payload_at as u16;
    p.payload_wire = payload as u16;
    p.payload_len = payload.min(captured) as u16;
    key(p, walk.bytes, split)
}

/// Orders addresses and ports; both stand in the frame at known places.
pub(super) fn key(p: &mut Packet, bytes: &[u8], split: bool) -> Result<(), PacketDrop> {
    let l3 = bytes.get(usize::from(p.l3)..).unwrap_or(&[]);
    (p.key, p.reversed) = if p.ip_version == 4 {
        let h = l3.first_chunk::<20>().ok_or(PacketDrop::Truncated)?;
        let (src, dst) = ([h[12], h[13], h[14], h[15]], [h[16], h[17], h[18], h[19]]);
        FlowKey::v4(src, dst, p.src_port, p.dst_port, p.protocol, p.vlan, split)
    } else {
        let addresses = l3.get(8..).unwrap_or(&[]);
        let (src, rest) = addresses.split_first_chunk::<16>().ok_or(PacketDrop::Truncated)?;
        let dst = rest.first_chunk::<16>().ok_or(PacketDrop::Truncated)?;
        FlowKey::v6(*src, *dst, p.src_port, p.dst_port, p.protocol, p.vlan, split)
    };
    Ok(())
}

/// Reads the header at `l4` and answers its length, of which every byte was captured.
fn header(walk: &mut Walk<'_, '_>, promised: usize) -> Result<usize, PacketDrop> {
    if walk.packet.fragment == Fragment::Later {
        return Ok(0);
    }
    match walk.packet.protocol {
        protocol::TCP => tcp_header(walk, promised),
        protocol::UDP => ports(walk, promised, 8),
        // The original has no ports for SCTP.
        protocol::SCTP if walk.native => ports(walk, promised, 12),
        _ => Ok(0),
    }
}

fn tcp_header(walk: &mut Walk<'_, '_>, promised: usize) -> Result<usize, PacketDrop> {
    let fixed = ports(walk, promised, 20)?;
    let Some(h) = walk.rest().first_chunk::<14>().filter(|_| fixed >= 14) else {
        return Ok(fixed); // a tiny first fragment that ends before the flags
    };
    walk.packet.tcp_flags = h[13];
    if fixed < 20 {
        return Ok(fixed);
    }
    let len = usize::from(h[12] >> 4) * 4;
    if walk.native {
        if len < 20 {
            return Err(PacketDrop::BadLength);
        }
        let len = whole(walk, promised, len)?;
        walk.at += len;
        return Ok(len);
    }
    // QUIRK, this face: a data offset below 5 is taken as it is, so the payload begins inside the header; options that contradict
    // their lengths lose the packet.
    walk.skip(len)?;
    let l4 = usize::from(walk.packet.l4);
    let options = walk.bytes.get(l4 + 20..l4 + len).unwrap_or(&[]);
    if tcp::accepted_by_original(options) { Ok(len) } else { Err(PacketDrop::BadLength) }
}

/// Ports in the first four bytes of a header of `len` bytes.
fn ports(walk: &mut Walk<'_, '_>, promised: usize, len: usize) -> Result<usize, PacketDrop> {
    let len = whole(walk, promised, len)?;
    if let Some(h) = walk.rest().first_chunk::<4>().filter(|_| len >= 4) {
        walk.packet.src_port = be16(h, 0);
        walk.packet.dst_port = be16(h, 2);
    }
    Ok(len)
}

/// Whether IP promises the header and the capture has it. A first fragment may be shorter than its transport header (a known way
/// around filters): natively its ports are read, and no payload is left.
fn whole(walk: &Walk<'_, '_>, promised: usize, len: usize) -> Result<usize, PacketDrop> {
    let len = match walk.packet.fragment {
        Fragment::First if walk.native => len.min(promised),
        _ if walk.native && len > promised => return Err(PacketDrop::BadLength),
        _ => len,
    };
    if len > walk.rest().len() { Err(PacketDrop::Truncated) } else { Ok(len) }
}
