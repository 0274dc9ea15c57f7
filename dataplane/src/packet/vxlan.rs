//! VXLAN (RFC 7348, 5), and with it group policy (draft-smith-vxlan-group-policy-05); VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe-13, 3).
//!
//! Eight bytes: flags, the network's number (VNI) behind them. What is reserved has to be zero, or this is something else.
use super::outer::TunnelKind;
use super::udp_tunnel::promises;
use super::walk::{Next, Place, Walk};
use crate::packet::PacketDrop;

/// The VNI is valid.
const VNI: u8 = 0x08;
/// Group policy: the second byte has flags, third and fourth a group.
const POLICY: u8 = 0x80;

const PROTOCOL: u8 = 0x04;

pub(super) fn step(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    let at = walk.at;
    promises(payload_len, 8)?;
    let h = walk.take::<8>()?;
    let is_policy = h[0] & POLICY != 0;
    // Of the policy's flags two are known: do not learn, and applied.
    let is_sound = if is_policy { h[1] & !0x48 == 0 } else { h[1..4] == [0; 3] };
    if h[0] & !POLICY != VNI || !is_sound || h[7] != 0 {
        return Err(PacketDrop::NotIp);
    }
    walk.enter(TunnelKind::Vxlan, at);
    walk.place = Place::Pseudowire;
    Ok(Next::Ethernet)
}

/// The generic form: version 0, no OAM, and a number for what is inside.
pub(super) fn generic(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    let at = walk.at;
    promises(payload_len, 8)?;
    let h = walk.take::<8>()?;
    // Broadcast and the like (0x02) may be marked.
    if h[0] & !0x02 != VNI | PROTOCOL || h[1..3] != [0; 2] || h[7] != 0 {
        return Err(PacketDrop::NotIp);
    }
    walk.enter(TunnelKind::VxlanGpe, at);
    match h[3] {
        1 => Ok(Next::Ipv4),
        2 => Ok(Next::Ipv6),
        3 => {
            walk.place = Place::Pseudowire;
            Ok(Next::Ethernet)
        }
        _ => Err(PacketDrop::NotIp),
    }
}
