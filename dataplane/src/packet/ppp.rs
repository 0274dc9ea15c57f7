//! PPP: what its protocol numbers lead to (RFC 1661, 2; RFC 1332; RFC 5072).
use super::walk::Next;
use crate::packet::PacketDrop;

/// # Errors
/// `NotIp`: LCP and other control, or a network protocol that is not IP.
pub(super) fn by_protocol(number: u16) -> Result<Next, PacketDrop> {
    match number {
        0x0021 => Ok(Next::Ipv4),
        0x0057 => Ok(Next::Ipv6),
        _ => Err(PacketDrop::NotIp),
    }
}
