//! Addresses and ports of flow number n: no two flows share a key, and neighbours in number are far apart in key.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dialog::Host;

/// Flow numbers have so many bits before keys repeat: 17 of the client's address, 15 of its port.
const FLOW_BITS: u32 = 32;

/// Client and server of flow `number`, the server listening on `port`. Clients live in 198.18.0.0/15 (RFC 2544, for benchmarks) or
/// 2001:db8::/32 (RFC 3849), servers in 203.0.113.0/24 (RFC 5737) or 2001:db8:ffff::/48.
pub(super) fn endpoints(number: u64, port: u16, v6: bool) -> (Host, Host) {
    // Multiplying by an odd number permutes the numbers of a power of two.
    let mixed = number.wrapping_mul(0x9e37_79b1) % (1 << FLOW_BITS);
    let (client_id, own_port) = (mixed as u32 >> 15, mixed as u16 & 0x7fff | 0x8000);
    let server_id = (mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 56) as u8;
    let (client, server): (IpAddr, IpAddr) = if v6 {
        let (high, low) = ((client_id >> 8) as u16, client_id as u16 & 0xff);
        let client = Ipv6Addr::new(0x2001, 0xdb8, high, 0, 0x0200, 0xff, 0xfe00, low);
        (client.into(), Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, u16::from(server_id)).into())
    } else {
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) | client_id);
        (client.into(), Ipv4Addr::new(203, 0, 113, server_id).into())
    };
    (Host::new(client, own_port), Host::new(server, port))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_do_not_repeat() {
        for v6 in [false, true] {
            let keys = (0..200_000).map(|number| {
                let (client, _) = endpoints(number, 80, v6);
                (client.ip, client.port)
            });
            assert_eq!(keys.collect::<HashSet<_>>().len(), 200_000);
        }
    }
}
