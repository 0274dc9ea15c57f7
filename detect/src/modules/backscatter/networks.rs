//! The networks that are watched: flows from or to others are not looked at.
use std::net::Ipv4Addr;

/// Networks of CESNET, which the original watches and nothing else. The size of an attack is guessed from the number of addresses
/// watched, so whoever judges the events must know them.
const CESNET: [&str; 18] = [
    "146.102.0.0/16",
    "147.228.0.0/14",
    "147.251.0.0/16",
    "147.32.0.0/15",
    "158.194.0.0/16",
    "158.196.0.0/16",
    "160.216.0.0/15",
    "193.84.116.0/23",
    "193.84.160.0/20",
    "193.84.192.0/19",
    "193.84.32.0/20",
    "193.84.53.0/24",
    "193.84.55.0/24",
    "193.84.56.0/21",
    "193.84.80.0/22",
    "195.113.0.0/16",
    "195.178.64.0/19",
    "78.128.128.0/17",
];

/// IPv4 networks as sorted, disjoint ranges of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<(u32, u32)>);

/// Why a list was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("\"{0}\" is no IPv4 network such as 192.0.2.0/24")]
    Network(String),
    #[error("the list of networks is empty")]
    Empty,
    #[error("cannot read the networks: {0}")]
    File(String),
}

impl Default for Networks {
    fn default() -> Self {
        Networks::merged(CESNET.iter().filter_map(|text| range(text)).collect())
    }
}

impl Networks {
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

    /// Whether an address is watched.
    pub fn contains(&self, ip: u32) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= ip);
        behind > 0 && ip <= self.0[behind - 1].1
    }

    /// How many addresses are watched, one at least.
    pub fn addresses(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum::<u64>().max(1)
    }

    fn merged(mut ranges: Vec<(u32, u32)>) -> Networks {
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::new();
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
fn range(text: &str) -> Option<(u32, u32)> {
    let (ip, length) = text.split_once('/').map_or((text, "32"), |(ip, length)| (ip, length));
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
    let first = ip.parse::<Ipv4Addr>().ok()?.to_bits() & !hosts;
    Some((first, first | hosts))
}

/// Any text as a list; what is accepted answers for each of its addresses.
pub fn fuzz_networks(input: &[u8]) {
    let Ok(networks) = Networks::parse(&String::from_utf8_lossy(input)) else { return };
    for (first, last) in &networks.0 {
        assert!(first <= last && networks.contains(*first) && networks.contains(*last));
    }
    assert!(networks.0.is_sorted_by(|a, b| a.1 < b.0), "ranges are disjoint");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_of_cesnet_and_others() {
        let contains = |networks: &Networks, ip: &str| networks.contains(ip.parse::<Ipv4Addr>().unwrap().to_bits());
        let cesnet = Networks::default();
        for (ip, is_in) in [
            ("147.231.255.255", true),
            ("147.232.0.0", false),
            ("78.128.127.255", false),
            ("78.128.128.0", true),
            ("193.84.54.1", false),
            ("193.84.63.9", true),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(contains(&cesnet, ip), is_in, "{ip}");
        }
        assert!(contains(&Networks::parse("0.0.0.0/0").unwrap(), "255.255.255.255"));
        let few = Networks::parse("10.0.0.9/30, 10.0.0.4\n# none\n192.0.2.1 # one").unwrap();
        assert!(contains(&few, "10.0.0.8") && contains(&few, "10.0.0.4") && !contains(&few, "10.0.0.5"));
        assert_eq!(Networks::parse(" #"), Err(NetworkError::Empty));
        assert!(Networks::parse("::1/128").is_err() && Networks::parse("1.2.3.4/33").is_err());
    }

    proptest! {
        #[test]
        fn any_list(input in "([0-9]{1,3}(\\.[0-9]{1,2}){3}(/[0-9]{1,2})?[, \n#]?){0,8}") {
            fuzz_networks(input.as_bytes());
        }
    }
}
