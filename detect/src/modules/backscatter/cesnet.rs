//! The networks that are watched if the user names none.
use crate::networks::Networks;

/// Networks of CESNET, which the original watches and nothing else. The size of an attack is guessed from the number of addresses
/// watched, so whoever judges the events must know them.
const NETWORKS: [&str; 18] = [
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

/// The list.
pub(crate) fn networks() -> Networks {
    Networks::known(&NETWORKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_cesnet_and_others() {
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
            assert_eq!(networks().contains(ip.parse().unwrap()), is_in, "{ip}");
        }
    }
}
