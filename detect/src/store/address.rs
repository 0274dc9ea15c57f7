//! Addresses of alerts: one, a network, or from one to another.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses of one family from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// The text is no address, no `ADDRESS/LENGTH` and no `FIRST-LAST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give an address, a network such as 192.0.2.0/24, or a range such as 192.0.2.1-192.0.2.9")]
pub struct RangeError;

impl Range {
    pub fn is_one(&self) -> bool {
        self.first == self.last
    }

    /// First and last as bytes that sort as the numbers do, family first.
    pub(super) fn keys(&self) -> (Vec<u8>, Vec<u8>) {
        (key(self.first), key(self.last))
    }

    /// Networks that together are the range, in order: 254 at the most.
    pub(super) fn networks(&self) -> Vec<(IpAddr, u8)> {
        let (width, bits) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (32, [first.to_bits().into(), last.to_bits().into()]),
            (first, last) => (128, [first, last].map(bits_of_v6)),
        };
        let [mut at, last]: [u128; 2] = bits;
        let mut networks = Vec::new();
        loop {
            // The largest network that begins here and does not reach beyond the end.
            let mut host = at.trailing_zeros().min(width);
            while host > 0 && (last - at) < u128::MAX >> (128 - host) {
                host -= 1;
            }
            let ip = if width == 32 { Ipv4Addr::from_bits(at as u32).into() } else { Ipv6Addr::from_bits(at).into() };
            networks.push((ip, (width - host) as u8));
            let network_last = at | u128::MAX.checked_shr(128 - host).unwrap_or(0);
            if network_last >= last {
                return networks;
            }
            at = network_last + 1;
        }
    }
}

fn bits_of_v6(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Range, RangeError> {
        let text = text.trim();
        if let Some((ip, length)) = text.split_once('/') {
            return network(ip.parse().map_err(|_| RangeError)?, length.parse().map_err(|_| RangeError)?);
        }
        let (first, last) = text.split_once("..").or_else(|| text.split_once('-')).unwrap_or((text, text));
        let ip = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| RangeError);
        let (first, last) = (ip(first)?, ip(last)?);
        if first.is_ipv4() == last.is_ipv4() && first <= last { Ok(Range { first, last }) } else { Err(RangeError) }
    }
}

fn network(ip: IpAddr, length: u32) -> Result<Range, RangeError> {
    match ip {
        IpAddr::V4(ip) if length <= 32 => {
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let of = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
            Ok(Range { first: of(ip.to_bits() & !host), last: of(ip.to_bits() | host) })
        }
        IpAddr::V6(ip) if length <= 128 => {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let of = |bits| IpAddr::V6(Ipv6Addr::from_bits(bits));
            Ok(Range { first: of(ip.to_bits() & !host), last: of(ip.to_bits() | host) })
        }
        _ => Err(RangeError),
    }
}

fn key(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => [&[4][..], &ip.octets()].concat(),
        IpAddr::V6(ip) => [&[6][..], &ip.octets()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_networks() {
        let networks = |text: &str| {
            let networks = text.parse::<Range>().unwrap().networks().into_iter();
            networks.map(|(ip, length)| format!("{ip}/{length}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(networks("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(networks("192.0.2.7/24"), "192.0.2.0/24");
        assert_eq!(networks("0.0.0.0/0"), "0.0.0.0/0");
        assert_eq!(networks("::/0"), "::/0");
        assert_eq!(networks("192.0.2.1-192.0.2.6"), "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32");
        assert_eq!(networks("255.255.255.254-255.255.255.255"), "255.255.255.254/31");
        assert_eq!(networks("2001:db8::ffff-2001:db8::1:0"), "2001:db8::ffff/128 2001:db8::1:0/128");
        assert_eq!(networks("::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe").split(' ').count(), 254);
    }

    #[test]
    fn what_is_a_range() {
        let range = |text: &str| text.parse::<Range>().map(|range| (range.first.to_string(), range.last.to_string()));
        let is = |first: &str, last: &str| Ok((first.to_owned(), last.to_owned()));
        assert_eq!(range("192.0.2.7"), is("192.0.2.7", "192.0.2.7"));
        assert_eq!(range("192.0.2.7/24"), is("192.0.2.0", "192.0.2.255"));
        assert_eq!(range("0.0.0.0/0"), is("0.0.0.0", "255.255.255.255"));
        assert_eq!(range("192.0.2.1 - 192.0.2.9"), is("192.0.2.1", "192.0.2.9"));
        assert_eq!(range("2001:db8::/127"), is("2001:db8::", "2001:db8::1"));
        assert_eq!(range("2001:db8::1..2001:db8::2"), is("2001:db8::1", "2001:db8::2"));
        assert_eq!(range("::/0").map(|(first, _)| first), Ok("::".into()));
        for wrong in
            ["", "host", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4-::1", "1.2.3.4-1.2.3.3", "1.2.3.4/-1", "1.2.3.4-"]
        {
            assert_eq!(range(wrong), Err(RangeError), "{wrong}");
        }
    }
}
