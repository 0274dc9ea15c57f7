//! Protocols whose servers are abused.

/// A protocol of US-CERT's alert TA14-017A (last revised in December 2019), with the bandwidth amplification factors from its table: bytes of an answer's
/// payload for each byte of a request's. Ports that the alert does not name are those that the protocols have at IANA or by custom.
#[derive(Debug, PartialEq)]
pub(super) struct Protocol {
    pub(super) port: u16,
    pub(super) name: &'static str,
    /// The least and the greatest that the alert names.
    pub(super) amplification: [f32; 2],
    /// Long answers are usual, because files and games go over it too: what a server sends says less then.
    pub(super) is_transfer: bool,
}

impl Protocol {
    /// Bytes of answers for each byte of requests from which a server amplifies: half of the least documented factor, since flows count headers too
    /// and not every answer is as long as it can be; but not below what usual answers have.
    pub(super) fn factor(&self) -> u64 {
        (self.amplification[0] / 2.0).max(USUAL_FACTOR) as u64
    }
}

/// Usual conversations reach this.
const USUAL_FACTOR: f32 = 5.0;

/// Sorted by port. LDAP and CLDAP share one port; over UDP it is CLDAP.
pub(super) const PROTOCOLS: &[Protocol] = &[
    protocol(17, "QOTD", 140.3, 140.3),
    protocol(19, "CharGEN", 358.8, 358.8),
    protocol(53, "DNS", 28.0, 54.0),
    transfer(69, "TFTP", 60.0, 60.0),
    protocol(111, "Portmap", 7.0, 28.0),
    protocol(123, "NTP", 556.9, 556.9),
    protocol(137, "NetBIOS", 3.8, 3.8),
    protocol(161, "SNMPv2", 6.3, 6.3),
    protocol(389, "CLDAP", 46.0, 70.0),
    protocol(520, "RIPv1", 131.24, 131.24),
    protocol(1900, "SSDP", 30.8, 30.8),
    protocol(3702, "WS-Discovery", 10.0, 500.0),
    transfer(4672, "Kad", 16.3, 16.3),
    protocol(5353, "mDNS", 2.0, 10.0),
    transfer(6881, "BitTorrent", 3.8, 3.8),
    protocol(11_211, "Memcached", 10_000.0, 51_000.0),
    transfer(27_015, "Steam", 5.5, 5.5),
    transfer(27_960, "Quake", 63.9, 63.9),
];

const fn protocol(port: u16, name: &'static str, least: f32, greatest: f32) -> Protocol {
    Protocol { port, name, amplification: [least, greatest], is_transfer: false }
}

const fn transfer(port: u16, name: &'static str, least: f32, greatest: f32) -> Protocol {
    Protocol { is_transfer: true, ..protocol(port, name, least, greatest) }
}

/// The protocol whose servers have this port.
pub(super) fn of(port: u16) -> Option<&'static Protocol> {
    PROTOCOLS.binary_search_by_key(&port, |protocol| protocol.port).ok().map(|at| &PROTOCOLS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(PROTOCOLS.is_sorted_by(|a, b| a.port < b.port));
        assert!(
            PROTOCOLS
                .iter()
                .all(|known| of(known.port) == Some(known) && known.amplification[0] <= known.amplification[1])
        );
        assert_eq!(
            (of(80), of(11_211).map(Protocol::factor), of(5353).map(Protocol::factor)),
            (None, Some(5_000), Some(5))
        );
    }
}
