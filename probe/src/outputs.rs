//! Targets as people write them on a command line.
use dataplane::export::ipfix::Target;

/// IPFIX's assigned port.
const IPFIX_PORT: u16 = 4739;

/// `[udp://|tcp://]HOST[:PORT]`; UDP and port 4739 if not said. IPv6 addresses stand in brackets.
pub(crate) fn collector(text: &str) -> Result<Target, String> {
    let (tcp, rest) = match text.split_once("://") {
        Some(("tcp", rest)) => (true, rest),
        Some(("udp", rest)) => (false, rest),
        Some((other, _)) => return Err(format!("unknown transport '{other}', use udp:// or tcp://")),
        None => (false, text),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((host, tail)) => (host, tail.strip_prefix(':')),
        None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => IPFIX_PORT,
        Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or(format!("'{port}' is not a port, use 1 to 65535"))?,
    };
    if host.is_empty() {
        return Err("the collector's host is missing, write HOST:PORT".into());
    }
    let host = host.to_string();
    Ok(if tcp { Target::Tcp { host, port } } else { Target::Udp { host, port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors_are_read() {
        let udp = |host: &str, port| Ok(Target::Udp { host: host.into(), port });
        assert_eq!(collector("127.0.0.1:9995"), udp("127.0.0.1", 9995));
        assert_eq!(collector("collector.example"), udp("collector.example", 4739));
        assert_eq!(collector("udp://[::1]:99"), udp("::1", 99));
        assert_eq!(collector("tcp://h:1"), Ok(Target::Tcp { host: "h".into(), port: 1 }));
        for bad in ["h:0", "h:x", "sctp://h", ":99", ""] {
            assert!(collector(bad).is_err(), "{bad}");
        }
    }
}
