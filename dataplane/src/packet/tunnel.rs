//! What stands behind an IP header: a tunnel that is followed, or the transport layer.
//!
//! GRE (RFC 2784, 2.1; RFC 2890), with Ethernet in it (RFC 7637) and ERSPAN (draft-foschiano-erspan-03, 4); IP in IP (RFC 2003), 6in4
//! (RFC 4213), IPv6 in IPv6 and 4in6 (RFC 2473): their numbers say what they are. L2TP and the tunnels in UDP are told by ports and content,
//! and entered if that was asked for ([`Tunnels`]). The inner packet replaces the outer one. The original follows GRE on IPv4 only, and
//! loses what it does not know inside; its other tunnels are flows of their protocol number. Natively a GRE packet without IP inside
//! is a flow of protocol 47.
use super::ether::ethertype as ty;
use super::outer::TunnelKind;
use super::walk::{Next, Place, Walk, be16};
use super::{ipv6, l2tp, udp_tunnel};
use crate::packet::{Fragment, PacketDrop, Tunnels, protocol};

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
    if !walk.native {
        return if walk.packet.protocol == protocol::GRE && walk.packet.ip_version == 4 && !is_later {
            gre(walk)
        } else {
            Ok(Next::Transport)
        };
    }
    match walk.packet.protocol {
        _ if is_later || walk.tunnels == Tunnels::Outer => Ok(Next::Transport),
        protocol::GRE => gre(walk),
        protocol::IPV4 => ip_in_ip(walk, Next::Ipv4),
        protocol::IPV6 => ip_in_ip(walk, Next::Ipv6),
        protocol::UDP if walk.tunnels.looks_into_udp() => udp_tunnel::step(walk),
        protocol::L2TP if walk.tunnels.looks_into_udp() => l2tp::over_ip(walk),
        _ => Ok(Next::Transport),
    }
}

fn ip_in_ip(walk: &mut Walk<'_, '_>, next: Next) -> Result<Next, PacketDrop> {
    walk.enter(TunnelKind::IpInIp, walk.at);
    Ok(next)
}

fn gre(walk: &mut Walk<'_, '_>) -> Result<Next, PacketDrop> {
    let header = walk.peek::<4>()?;
    let (flags, carried) = (be16(header, 0), be16(header, 2));
    // Version 1 is PPTP's; source routes are history. The original asks for neither, but knows no type they come with.
    if walk.native && flags & (gre::VERSION | gre::ROUTING) != 0 {
        return Ok(Next::Transport);
    }
    walk.descend()?;
    let header_at = walk.at;
    let optional = [gre::CHECKSUM, gre::KEY, gre::SEQUENCE].iter().filter(|f| flags & **f != 0).count();
    walk.skip(4 + optional * 4)?;
    walk.place = Place::Gre;
    if !walk.native {
        return Ok(Next::Type(carried));
    }
    walk.save();
    match carried {
        gre::ETHERNET => walk.enter(TunnelKind::GreEthernet, header_at),
        // Type I has no header of its own.
        gre::ERSPAN if flags & gre::SEQUENCE == 0 => walk.enter(TunnelKind::Erspan1, header_at),
        gre::ERSPAN => {
            walk.enter(TunnelKind::Erspan2, walk.at);
            walk.skip(8)?;
        }
        gre::ERSPAN_III => {
            walk.enter(TunnelKind::Erspan3, walk.at);
            return erspan_3(walk);
        }
        _ => {
            walk.enter(TunnelKind::Gre, header_at);
            return Ok(if carried == ty::IPV4 { Next::Ipv4 } else { Next::Type(carried) });
        }
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
