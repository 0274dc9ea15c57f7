//! Sets of networks that options name: whose flows are looked at, who is one of us.
use crate::settings::Setting;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that are never routed on the Internet (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291).
const PRIVATE: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"];

/// Networks of both families as sorted, disjoint ranges of addresses; IPv4 lies where IPv6 maps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<(u128, u128)>);

/// Why a list was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("\"{0}\" is no network such as 192.0.2.0/24 or 2001:db8::/32")]
    Network(String),
    #[error("the list of networks is empty")]
    Empty,
    #[error("cannot read the networks: {0}")]
    File(String),
}

impl Setting for Networks {
    const KIND: &'static str = "string";

    fn read(text: &str) -> Result<Networks, String> {
        Networks::load(text).map_err(|why| why.to_string())
    }
}

impl Networks {
    /// Those of a list that is part of the program.
    pub(crate) fn known(list: &[&str]) -> Networks {
        Networks::merged(list.iter().filter_map(|text| range(text)).collect())
    }

    /// Networks of private addresses.
    pub fn private() -> Networks {
        Networks::known(&PRIVATE)
    }

    /// No network at all.
    pub fn none() -> Networks {
        Networks(Vec::new())
    }

    /// Every address.
    pub fn all() -> Networks {
        Networks(vec![(0, u128::MAX)])
    }

    /// A list, or `@` and the name of a file with one.
    pub fn load(text: &str) -> Result<Networks, NetworkError> {
        match text.strip_prefix('@') {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|why| NetworkError::File(format!("{path}: {why}")))?;
                Networks::parse(&text)
            }
            None => Networks::parse(text),
        }
    }

    /// Networks separated by commas, blanks or lines; a `#` begins a comment. An address alone is a network of one.
    pub fn parse(text: &str) -> Result<Networks, NetworkError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
        let words = lines.flat_map(|line| line.split([',', ' ', '\t'])).map(str::trim).filter(|word| !word.is_empty());
        let ranges = words.map(|word| range(word).ok_or_else(|| NetworkError::Network(word.to_owned())));
        let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
        if ranges.is_empty() { Err(NetworkError::Empty) } else { Ok(Networks::merged(ranges)) }
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = bits(ip);
        let behind = self.0.partition_point(|(first, _)| *first <= ip);
        behind > 0 && ip <= self.0[behind - 1].1
    }

    /// How many IPv4 addresses are in them, one at least.
    pub fn v4_addresses(&self) -> u64 {
        let [low, high] = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].map(|ip| bits(ip.into()));
        let of = |(first, last): &(u128, u128)| {
            let (first, last) = ((*first).max(low), (*last).min(high));
            if first > last { 0 } else { (last - first + 1) as u64 }
        };
        self.0.iter().map(of).sum::<u64>().max(1)
    }

    fn merged(mut ranges: Vec<(u128, u128)>) -> Networks {
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Networks(merged)
    }
}

/// First and last address of a network; bits behind the prefix are ignored.
fn range(text: &str) -> Option<(u128, u128)> {
    let (ip, length) = text.split_once('/').map_or((text, None), |(ip, length)| (ip, Some(length)));
    let ip: IpAddr = ip.parse().ok()?;
    let longest: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |length| length.parse().ok().filter(|length| *length <= longest))?;
    let hosts = u128::MAX.checked_shr(128 - (longest - length)).unwrap_or(0);
    let first = bits(ip) & !hosts;
    Some((first, first | hosts))
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Any text as a list; what is accepted answers for each of its addresses.
pub fn fuzz_networks(input: &[u8]) {
    let Ok(networks) = Networks::parse(&String::from_utf8_lossy(input)) else { return };
    for (first, last) in &networks.0 {
        assert!(first <= last);
        for end in [*first, *last] {
            let v6 = Ipv6Addr::from_bits(end);
            assert!(networks.contains(v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::V4)));
        }
    }
    assert!(networks.0.is_sorted_by(|a, b| a.1 < b.0), "ranges are disjoint");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_of_both_families() {
        let contains = |networks: &Networks, ip: &str| networks.contains(ip.parse().unwrap());
        let all = Networks::parse("0.0.0.0/0").unwrap();
        assert!(contains(&all, "255.255.255.255") && !contains(&all, "::1"));
        let few = Networks::parse("10.0.0.9/30, 10.0.0.4\n# none\n192.0.2.1 # one\n2001:db8::/33 ::1").unwrap();
        assert!(contains(&few, "10.0.0.8") && contains(&few, "10.0.0.4") && !contains(&few, "10.0.0.5"));
        assert!(contains(&few, "2001:db8:7fff::1") && !contains(&few, "2001:db8:8000::") && contains(&few, "::1"));
        assert_eq!(Networks::parse(" #"), Err(NetworkError::Empty));
        assert!(Networks::parse("::1/129").is_err() && Networks::parse("1.2.3.4/33").is_err());
        let private = Networks::private();
        assert!(contains(&private, "172.31.0.1") && contains(&private, "fd00::1") && !contains(&private, "172.32.0.1"));
        assert!(contains(&Networks::all(), "::") && contains(&Networks::all(), "192.0.2.1"));
        assert!(!contains(&Networks::none(), "192.0.2.1"));
    }

    proptest! {
        #[test]
        fn any_list(input in "([0-9]{1,3}(\\.[0-9]{1,2}){3}(/[0-9]{1,2})?[, \n#]?|[0-9a-f:]{2,9}(/[0-9]{1,3})?[, \n]){0,8}") {
            fuzz_networks(input.as_bytes());
        }
    }
}
