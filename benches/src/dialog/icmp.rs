//! ICMP (RFC 792), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861), as bodies for [`Carrier::Icmp`](super::Carrier) and `Icmpv6`.
use std::net::Ipv6Addr;

use super::Turn;
use crate::SECOND;
use crate::frame::Mac;

/// Echo requests one second apart, each answered; `v6` decides the type numbers.
pub fn ping(v6: bool, id: u16, count: u16) -> Vec<Turn> {
    let (request, reply) = if v6 { (128, 129) } else { (8, 0) };
    let mut turns = Vec::new();
    for sequence in 1..=count {
        let [a, b] = id.to_be_bytes();
        let [c, d] = sequence.to_be_bytes();
        let body = |kind: u8| {
            let mut body = vec![kind, 0, a, b, c, d];
            body.extend((0..56).map(|byte: u8| byte + 0x10));
            body
        };
        turns.push(Turn::client(body(request)).after(if sequence == 1 { 0 } else { SECOND }));
        turns.push(Turn::server(body(reply)));
    }
    turns
}

/// Port unreachable, quoting the offending IP packet (its header and 8 bytes are enough for IPv4).
pub fn port_unreachable(v6: bool, offending: &[u8]) -> Vec<u8> {
    let (kind, code, quoted) = if v6 { (1, 4, offending.len()) } else { (3, 3, 28.min(offending.len())) };
    let mut body = vec![kind, code, 0, 0, 0, 0];
    body.extend_from_slice(&offending[..quoted]);
    body
}

/// Who has `target`? With the asker's address as option 1.
pub fn neighbour_solicitation(target: Ipv6Addr, own: Mac) -> Vec<u8> {
    neighbour(135, [0; 4], target, 1, own)
}

/// `target` is here: solicited, override; with its address as option 2.
pub fn neighbour_advertisement(target: Ipv6Addr, own: Mac) -> Vec<u8> {
    neighbour(136, [0x60, 0, 0, 0], target, 2, own)
}

fn neighbour(kind: u8, bits: [u8; 4], target: Ipv6Addr, option: u8, own: Mac) -> Vec<u8> {
    let mut body = vec![kind, 0];
    body.extend(bits);
    body.extend(target.octets());
    body.extend([option, 1]);
    body.extend(own);
    body
}
