//! Targets as people write them on a command line.
use clap::ValueEnum;
use dataplane::export::Peer;
use dataplane::export::ipfix::{IpfixConfig, Target, Transport};
use dataplane::export::netflow::Version;
use dataplane::export::spool::SpoolConfig;
use dataplane::lane::Share;
use std::path::Path;

mod kafka;
pub(crate) use kafka::kafka;

/// IPFIX's assigned ports, without and with TLS or DTLS.
pub(crate) const IPFIX_PORT: u16 = 4739;
pub(crate) const IPFIX_TLS_PORT: u16 = 4740;
/// The port that most collectors of NetFlow listen at.
pub(crate) const NETFLOW_PORT: u16 = 2055;

/// LZ4 looks so many messages of full length back, as ipfixprobe's does.
pub(crate) const LZ4_MTUS: u32 = 3;

/// `[udp://|tcp://|tls://|dtls://]HOST[:PORT]`; UDP, port 4739 and for TLS and DTLS 4740 if not said. IPv6 addresses stand in brackets.
pub(crate) fn collector(text: &str) -> Result<Target, String> {
    match text.split_once("://") {
        Some(("tcp", rest)) => peer(rest, IPFIX_PORT).map(Target::Tcp),
        Some(("udp", rest)) => peer(rest, IPFIX_PORT).map(Target::Udp),
        Some(("tls", rest)) => peer(rest, IPFIX_TLS_PORT).map(Target::Tls),
        Some(("dtls", rest)) => peer(rest, IPFIX_TLS_PORT).map(Target::Dtls),
        Some((other, _)) => Err(format!("unknown transport '{other}', use udp://, tcp://, tls:// or dtls://")),
        None => peer(text, IPFIX_PORT).map(Target::Udp),
    }
}

/// `[v9://|v5://]HOST[:PORT]`; version 9 and port 2055 if not said.
pub(crate) fn netflow(text: &str) -> Result<(Version, Peer), String> {
    let (version, rest) = match text.split_once("://") {
        Some(("v9", rest)) => (Version::V9, rest),
        Some(("v5", rest)) => (Version::V5, rest),
        Some((other, _)) => return Err(format!("unknown version '{other}', use v9:// or v5://")),
        None => (Version::V9, text),
    };
    Ok((version, peer(rest, NETFLOW_PORT)?))
}

/// What several collectors are to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Collectors {
    /// Each gets all flows.
    #[default]
    Copy,
    /// Each gets its share of the flows.
    Share,
    /// The first that can be reached gets them.
    Failover,
}

/// The outputs for these collectors.
pub(crate) fn collectors(
    mode: Collectors,
    targets: &[Target],
    config: impl Fn(Target) -> IpfixConfig,
) -> Result<Vec<IpfixConfig>, String> {
    let of = targets.len() as u32;
    let shared = |(index, target): (u32, &Target)| {
        let share = Share::new(index, of).unwrap_or_default();
        IpfixConfig { share, ..config(target.clone()) }
    };
    match mode {
        Collectors::Copy => Ok(targets.iter().cloned().map(config).collect()),
        Collectors::Share => Ok((0..).zip(targets).map(shared).collect()),
        Collectors::Failover if of < 2 => Ok(targets.iter().cloned().map(config).collect()),
        Collectors::Failover => {
            let kept = |target: &Target| match target {
                Target::Tcp(peer) => Ok((peer.clone(), Transport::Tcp)),
                Target::Tls(peer) => Ok((peer.clone(), Transport::Tls)),
                Target::Dtls(peer) => Ok((peer.clone(), Transport::Dtls)),
                other => {
                    Err(format!("failover is for collectors over TCP or DTLS, {other} never says that it is away"))
                }
            };
            let (peers, over): (Vec<Peer>, Vec<Transport>) =
                targets.iter().map(kept).collect::<Result<Vec<_>, String>>()?.into_iter().unzip();
            match over[..] {
                [over, ref others @ ..] if others.iter().all(|other| *other == over) => {
                    Ok(vec![config(Target::Failover { peers, over })])
                }
                _ => Err("failover is for collectors over one transport: TCP, TLS or DTLS, not for several".into()),
            }
        }
    }
}

/// Gives each of the outputs a spool in a folder of its own below this one.
pub(crate) fn spool(configs: &mut [IpfixConfig], folder: &Path, bytes_max: u64) {
    for config in configs {
        let name = config.target.to_string().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
        config.spool = Some(SpoolConfig { folder: folder.join(name), bytes_max });
    }
}

pub(crate) fn peer(text: &str, port: u16) -> Result<Peer, String> {
    let (host, tail) = match text.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((host, tail)) => (host, tail.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match tail {
        None => port,
        Some(port) => port.parse().ok().filter(|p| *p > 0).ok_or(format!("'{port}' is not a port, use 1 to 65535"))?,
    };
    if host.is_empty() {
        return Err("the collector's host is missing, write HOST:PORT".into());
    }
    Ok(Peer { host: host.into(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Peer {
        Peer { host: host.into(), port }
    }

    #[test]
    fn collectors_are_read() {
        assert_eq!(collector("127.0.0.1:9995"), Ok(Target::Udp(at("127.0.0.1", 9995))));
        assert_eq!(collector("collector.example"), Ok(Target::Udp(at("collector.example", 4739))));
        assert_eq!(collector("udp://[::1]:99"), Ok(Target::Udp(at("::1", 99))));
        assert_eq!(collector("tcp://h:1"), Ok(Target::Tcp(at("h", 1))));
        assert_eq!(collector("tls://h"), Ok(Target::Tls(at("h", 4740))));
        assert_eq!(collector("dtls://[::1]"), Ok(Target::Dtls(at("::1", 4740))));
        for bad in ["h:0", "h:x", "sctp://h", ":99", ""] {
            assert!(collector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn several_collectors_share_copy_or_stand_in() {
        let targets: Vec<_> = ["tcp://a", "tcp://b"].into_iter().map(|t| collector(t).expect("fine")).collect();
        let config = |target| IpfixConfig { target, ..IpfixConfig::default() };
        let of = |mode| collectors(mode, &targets, config);
        let shares = |mode| of(mode).expect("fine").iter().map(|c| c.share).collect::<Vec<_>>();
        assert_eq!(shares(Collectors::Copy), [Share::WHOLE; 2]);
        assert_eq!(shares(Collectors::Share), [Share::new(0, 2), Share::new(1, 2)].map(Option::unwrap_or_default));
        let mut one = of(Collectors::Failover).expect("fine");
        assert_eq!(one[0].target, Target::Failover { peers: vec![at("a", 4739), at("b", 4739)], over: Transport::Tcp });
        spool(&mut one, Path::new("/s"), 1);
        let folder = one[0].spool.as_ref().map(|spool| spool.folder.clone());
        assert_eq!((one.len(), folder), (1, Some("/s/tcp_a_4739_or_b_4739".into())));
        let udp = [targets[0].clone(), collector("b").expect("fine")];
        assert!(collectors(Collectors::Failover, &udp, config).is_err_and(|e| e.contains("udp b:4739")));
        let both = [targets[0].clone(), collector("tls://b").expect("fine")];
        assert!(collectors(Collectors::Failover, &both, config).is_err_and(|e| e.contains("not for several")));
        let dtls: Vec<_> = ["dtls://a", "dtls://b"].into_iter().map(|t| collector(t).expect("fine")).collect();
        let stands_in = collectors(Collectors::Failover, &dtls, config).expect("fine");
        let peers = vec![at("a", 4740), at("b", 4740)];
        assert_eq!(stands_in[0].target, Target::Failover { peers, over: Transport::Dtls });
    }

    #[test]
    fn netflow_collectors_are_read() {
        assert_eq!(netflow("h"), Ok((Version::V9, at("h", 2055))));
        assert_eq!(netflow("v5://[::1]:9995"), Ok((Version::V5, at("::1", 9995))));
        assert!(netflow("v7://h").is_err() && netflow("v9://").is_err());
    }
}
