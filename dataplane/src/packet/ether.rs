//! The first header of a frame, by link type, and what an EtherType leads to.
//!
//! Ethernet (IEEE 802.3-2022, 3.1), the cooked headers of Linux (libpcap's LINKTYPE_LINUX_SLL and _SLL2), BSD loopback (LINKTYPE_NULL,
//! LINKTYPE_LOOP) and bare IP. Sets the MAC form; the addresses stay in the frame.
use super::walk::{Next, Place, Walk, be16};
use super::{mpls, pppoe, trill, vlan};
use crate::capture::LinkType;
use crate::packet::{MacForm, PacketDrop};

pub(super) mod ethertype {
    pub(in crate::packet) const IPV4: u16 = 0x0800;
    pub(in crate::packet) const IPV6: u16 = 0x86dd;
    pub(in crate::packet) const VLAN: u16 = 0x8100;
    pub(in crate::packet) const SERVICE_VLAN: u16 = 0x88a8;
    /// Stacked tags before 802.1ad.
    pub(in crate::packet) const OLD_QINQ: u16 = 0x9100;
    pub(in crate::packet) const TRILL: u16 = 0x22f3;
    pub(in crate::packet) const MPLS: u16 = 0x8847;
    pub(in crate::packet) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in crate::packet) const PPPOE_SESSION: u16 = 0x8864;
}
use ethertype as ty;

/// ARPHRD_ETHER of Linux.
const HARDWARE_ETHERNET: u16 = 1;

/// Steps over the link's own header.
pub(super) fn link(walk: &mut Walk<'_, '_>, link: LinkType) -> Result<Next, PacketDrop> {
    match link {
        LinkType::Ethernet => {
            walk.place = Place::Ethernet;
            Ok(Next::Ethernet)
        }
        LinkType::LinuxSll => {
            let header = walk.take::<16>()?;
            cooked_source(walk, be16(header, 2), 6);
            Ok(Next::Type(be16(header, 14)))
        }
        LinkType::LinuxSll2 => {
            let header = walk.take::<20>()?;
            cooked_source(walk, be16(header, 8), 12);
            Ok(Next::Type(be16(header, 0)))
        }
        LinkType::RawIp => match walk.peek::<1>()?[0] >> 4 {
            4 => Ok(Next::Ipv4),
            6 => Ok(Next::Ipv6),
            _ => Err(PacketDrop::NotIp),
        },
        // The original does not open such captures.
        LinkType::Null => {
            // The writer's byte order is not known, but families are small numbers.
            let family = u32::from_be_bytes(*walk.take::<4>()?);
            loopback(if family > 0xffff { family.swap_bytes() } else { family })
        }
        LinkType::Loop => loopback(u32::from_be_bytes(*walk.take::<4>()?)),
    }
}

/// Ethernet: two addresses and a type. Only the frame's own addresses are kept, and those inside TRILL, which replace them.
pub(super) fn ethernet(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    let at = walk.at;
    let header = walk.take::<14>()?;
    if walk.place != Place::Pseudowire {
        walk.packet.mac_at = at as u16;
        walk.packet.mac_form = MacForm::Ethernet;
    }
    Ok(Next::Type(be16(header, 12)))
}

/// Goes where an EtherType leads.
pub(super) fn by_type(walk: &mut Walk<'_, '_>, ethertype: u16) -> Result<Next, PacketDrop> {
    if !walk.native && !original_follows(walk.place, ethertype) {
        return Err(PacketDrop::NotIp);
    }
    match ethertype {
        ty::IPV4 => Ok(Next::Ipv4),
        ty::IPV6 => Ok(Next::Ipv6),
        ty::VLAN | ty::SERVICE_VLAN | ty::OLD_QINQ => vlan::step(walk),
        ty::MPLS | ty::MPLS_UPSTREAM => mpls::step(walk),
        ty::PPPOE_SESSION => pppoe::step(walk),
        ty::TRILL => trill::step(walk),
        _ => Err(PacketDrop::NotIp),
    }
}

/// What the original follows (spec/exporter.md 8): tags only behind an Ethernet header, TRILL only as the outermost layer, MPLS and
/// PPPoE anywhere but in a pseudowire. QUIRK, both faces: it refuses 0x88A8 as second tag, we follow it.
fn original_follows(place: Place, ethertype: u16) -> bool {
    match ethertype {
        ty::IPV4 | ty::IPV6 => true,
        ty::VLAN | ty::SERVICE_VLAN => matches!(place, Place::Ethernet | Place::Trill | Place::Pseudowire),
        ty::MPLS | ty::MPLS_UPSTREAM | ty::PPPOE_SESSION => place != Place::Pseudowire,
        ty::TRILL => matches!(place, Place::Ethernet | Place::Cooked),
        _ => false,
    }
}

fn cooked_source(walk: &mut Walk<'_, '_>, hardware: u16, at: u16) {
    if hardware == HARDWARE_ETHERNET {
        walk.packet.mac_at = at;
        walk.packet.mac_form = MacForm::SourceOnly;
    }
}

/// Address families of the BSDs, macOS and Linux.
fn loopback(family: u32) -> Result<Next, PacketDrop> {
    match family {
        2 => Ok(Next::Ipv4),
        10 | 24 | 28 | 30 => Ok(Next::Ipv6),
        _ => Err(PacketDrop::NotIp),
    }
}
