//! The system's names of ports, /etc/services, and those of protocols that Python knows.
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file of the system, at the most; the rest is not read.
const FILE_MAX: u64 = 8 * 1024 * 1024;

/// Names by port and protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Services(HashMap<(u16, String), String>);

impl Services {
    /// Reads a file; one that is not there has no names.
    pub(super) fn load(path: &Path) -> Services {
        Services::parse(&read(path).unwrap_or_default())
    }

    fn parse(text: &str) -> Services {
        let mut names = HashMap::new();
        for mut words in text.lines().map(words) {
            let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
            let Some((port, protocol)) = place.split_once('/') else { continue };
            if let Ok(port) = port.parse() {
                // The first line counts.
                names.entry((port, protocol.to_owned())).or_insert_with(|| name.to_owned());
            }
        }
        Services(names)
    }

    /// The name of a port.
    ///
    /// # Errors
    /// What Python says when there is none.
    pub(super) fn find(&self, port: u16, protocol: u8) -> Result<&str, String> {
        let name = protocol_name(protocol).ok_or_else(|| protocol.to_string())?;
        let found = self.0.get(&(port, name.to_owned()));
        found.map(String::as_str).ok_or_else(|| "port/proto not found".to_owned())
    }
}

/// Words of a line up to a comment.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or("").split_whitespace()
}

/// A file's text; what is not UTF-8 in it is replaced.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The protocols that Python's socket module names on Linux.
fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0 => "ip",
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        8 => "egp",
        12 => "pup",
        17 => "udp",
        22 => "idp",
        29 => "tp",
        41 => "ipv6",
        43 => "routing",
        44 => "fragment",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        59 => "none",
        60 => "dstopts",
        103 => "pim",
        132 => "sctp",
        136 => "udplite",
        255 => "raw",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ports() {
        let services = Services::parse("# c\nhttp 80/tcp www # w\nweb\t80/tcp\nbad x/tcp\nbad 7\nntp 123/udp\n");
        assert_eq!(services.find(80, 6), Ok("http"));
        assert_eq!(services.find(123, 17), Ok("ntp"));
        assert_eq!(services.find(80, 17).unwrap_err(), "port/proto not found");
        assert_eq!(services.find(80, 200).unwrap_err(), "200");
        assert!(Services::load(Path::new("/nonexist")).0.is_empty());
    }
}
