//! Teredo (RFC 4380, 5.1.1 and 5.2): IPv6 in UDP over IPv4, behind an authentication and an origin indication, if these are there.
//!
//! Between clients any ports are used, so that only what goes to and from servers and relays is found.
use super::outer::TunnelKind;
use super::udp_tunnel::promises;
use super::walk::{Next, Walk};
use crate::packet::PacketDrop;

/// The first 16 bits of the two indications; IPv6 begins with its version.
const ORIGIN: [u8; 2] = [0, 0];
const AUTHENTICATION: [u8; 2] = [0, 1];
/// 2001::/32, in which every client has its address (RFC 4380, 2.6).
const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];

pub(super) fn step(walk: &mut Walk<'_, '_>, payload_len: usize) -> Result<Next, PacketDrop> {
    let (at, end) = (walk.at, walk.at + payload_len);
    if walk.packet.ip_version != 4 {
        return Err(PacketDrop::NotIp);
    }
    promises(payload_len, 40)?;
    if *walk.peek::<2>()? == AUTHENTICATION {
        let [_, _, id_len, value_len] = *walk.take::<4>()?;
        // Then a nonce of 8 bytes and a confirmation.
        let len = usize::from(id_len) + usize::from(value_len) + 8 + 1;
        promises(end - walk.at, len + 40)?;
        walk.skip(len)?;
    }
    if *walk.peek::<2>()? == ORIGIN {
        promises(end - walk.at, 8 + 40)?;
        walk.skip(8)?;
    }
    let h = walk.peek::<40>()?;
    let [src, dst] = [8, 24].map(|at| &h[at..at + 16]);
    let is_client = |ip: &[u8]| ip.starts_with(&PREFIX);
    // To ask for its address a client uses one of the link, as the server that answers does (RFC 4380, 5.2.1).
    let is_local = |ip: &[u8]| ip[0] == 0xfe && ip[1] & 0xc0 == 0x80;
    if h[0] >> 4 != 6 || !(is_client(src) || is_client(dst) || is_local(src)) {
        return Err(PacketDrop::NotIp);
    }
    walk.enter(TunnelKind::Teredo, at);
    Ok(Next::Ipv6)
}
