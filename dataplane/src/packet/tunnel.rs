//! What stands behind an IP header: a tunnel that is followed, or the transport layer.
//!
//! GRE (RFC 2784, 2.1; RFC 2890), with Ethernet in it (RFC 7637) and ERSPAN (draft-foschiano-erspan-03, 4); IP in IP (RFC 2003), 6in4
//! (RFC 4213), IPv6 in IPv6 and 4in6 (RFC 2473). The inner packet replaces the outer one. The original follows GRE on IPv4 only, and
//! loses what it does not know inside; its other tunnels are flows of their protocol number. Natively a GRE packet without IP inside
//! is a flow of protocol 47.
use super::ether::ethertype as ty;
use super::ipv6;
use super::walk::{Next, Place, Walk, be16};
use crate::packet::{Fragment, PacketDrop, protocol};

mod gre {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    pub(super) const VERSION: u16 = 0x0007;
    /// Transparent Ethernet bridging: Ethernet over GRE, NVGRE.
    pub(super) const ETHERNET: u16 = 0x6558;
    /// ERSPAN types I and II.
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
}

/// Behind an IP header and its extensions, with `protocol` set.
pub(super) fn behind_ip(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    // QUIRK, both faces: the original reads the payload of a later fragment as a GRE header.
    let is_later = walk.packet.fragment == Fragment::Later;
    if walk.native && walk.packet.ip_version == 4 && !is_later {
        while walk.packet.protocol == protocol::AH {
            walk.descend()?;
            walk.packet.protocol = walk.peek::<1>()?[0];
            ipv6::authentication(walk)?;
        }
    }
    walk.packet.l4 = walk.at as u16;
    match walk.packet.protocol {
        _ if is_later => Ok(Next::Transport),
        protocol::GRE if walk.native || walk.packet.ip_version == 4 => gre(walk),
        protocol::IPV4 if walk.native => Ok(Next::Ipv4),
        protocol::IPV6 if walk.native => Ok(Next::Ipv6),
        _ => Ok(Next::Transport),
    }
}

fn gre(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    let header = walk.peek::<4>()?;
    let (flags, carried) = (be16(header, 0), be16(header, 2));
    // Version 1 is PPTP's; source routes are history. The original asks for neither, but knows no type they come with.
    if walk.native && flags & (gre::VERSION | gre::ROUTING) != 0 {
        return Ok(Next::Transport);
    }
    walk.descend()?;
    let optional = [gre::CHECKSUM, gre::KEY, gre::SEQUENCE].iter().filter(|f| flags & **f != 0).count();
    walk.skip(4 + optional * 4)?;
    walk.place = Place::Gre;
    if !walk.native {
        return Ok(Next::Type(carried));
    }
    walk.outer = Some(*walk.packet);
    match carried {
        gre::ETHERNET => {}
        gre::ERSPAN if flags & gre::SEQUENCE == 0 => {} // type I has no header of its own
        gre::ERSPAN => walk.skip(8)?,
        gre::ERSPAN_III => return erspan_3(walk),
        ty::IPV4 => return Ok(Next::Ipv4),
        _ => return Ok(Next::Type(carried)),
    }
    walk.place = Place::Pseudowire;
    Ok(Next::Ethernet)
}

/// Twelve bytes, eight more if the last bit is set; five bits before the hardware id say what is carried.
fn erspan_3(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    const ETHERNET: u16 = 0;
    const IP: u16 = 2;
    let last = be16(walk.take::<12>()?, 10);
    if last & 1 != 0 {
        walk.skip(8)?;
    }
    walk.place = Place::Pseudowire;
    match (last >> 10 & 0x1f, walk.peek::<1>()?[0] >> 4) {
        (ETHERNET, _) => Ok(Next::Ethernet),
        (IP, 4) => Ok(Next::Ipv4),
        (IP, 6) => Ok(Next::Ipv6),
        _ => Err(PacketDrop::NotIp),
    }
}
