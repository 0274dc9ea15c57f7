//! The records of all hosts.
use super::config::Config;
use super::host::{Flow, Host, Services, Way};
use super::rules::{self, Event};
use super::seen::Seen;
use crate::bounded::Bounded;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as UniRec has it: a number, which is hashed and compared in fewer steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    upper: u64,
    lower: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Table {
    hosts: Bounded<Address, Host>,
    pub seen: Seen,
    services: Services,
    /// No record ends before this second, so looking earlier is of no use.
    next_end: u64,
}

impl Table {
    pub(super) fn new(config: &Config) -> Table {
        Table {
            hosts: Bounded::new(config.hosts_max),
            seen: Seen::new(config.hosts_max),
            services: Services { ssh: config.is_ssh, dns: config.is_dns },
            next_end: u64::MAX,
        }
    }

    /// Counts a flow for its source and its destination. A record that makes room is looked at.
    pub(super) fn add(&mut self, flow: &Flow, now: u32, config: &Config, events: &mut Vec<Event>) {
        let addresses = [flow.source, flow.destination].map(Address::from);
        let hashes = addresses.map(|address| self.hosts.hash(&address));
        let pair = Seen::pair(hashes[0], hashes[1]);
        for (at, way) in [Way::Out, Way::In].into_iter().enumerate() {
            let (host, evicted) = self.hosts.entry_of(addresses[at], hashes[at], || Host::new(now));
            host.add(flow, pair, way, now, self.services, &mut self.seen);
            if let Some((address, host)) = evicted {
                rules::examine(address.into(), &host, config, events);
            }
        }
        self.next_end = self.next_end.min(u64::from(now) + u64::from(config.active.min(config.inactive)));
    }

    /// Looks at the records that are old or were silent for long at this second, and removes them.
    pub(super) fn look(&mut self, now: u32, config: &Config, events: &mut Vec<Event>) {
        let now = u64::from(now);
        if now < self.next_end {
            return;
        }
        let mut next_end = u64::MAX;
        self.hosts.retain(|address, host| {
            let ends = (u64::from(host.first) + u64::from(config.active))
                .min(u64::from(host.last) + u64::from(config.inactive));
            let stays = ends > now;
            if stays {
                next_end = next_end.min(ends);
            } else {
                rules::examine((*address).into(), host, config, events);
            }
            stays
        });
        self.next_end = next_end;
    }

    /// Looks at all records; none is left then.
    pub(super) fn look_at_all(&mut self, config: &Config, events: &mut Vec<Event>) {
        for (address, host) in self.hosts.iter() {
            rules::examine((*address).into(), host, config, events);
        }
        self.hosts.clear();
    }

    /// Says what made room.
    pub(super) fn tell(&self) {
        self.hosts.tell("addresses");
    }
}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from(self.upper) << 64 | u128::from(self.lower));
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Address {
        match address {
            IpAddr::V4(ip) => Address { upper: 0, lower: u64::from(ip.to_bits()) << 32 | u64::from(u32::MAX) },
            IpAddr::V6(ip) => Address { upper: (ip.to_bits() >> 64) as u64, lower: ip.to_bits() as u64 },
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> IpAddr {
        match address {
            Address { upper: 0, lower } if lower as u32 == u32::MAX => Ipv4Addr::from_bits((lower >> 32) as u32).into(),
            Address { upper, lower } => Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::Direction;
    use super::*;

    /// Flows from hosts with these last bytes to one other, at these seconds.
    fn add(table: &mut Table, config: &Config, flows: &[(u8, u32)]) -> Vec<IpAddr> {
        let mut events = Vec::new();
        for (host, now) in flows {
            let flow = Flow {
                source: [10, 0, 0, *host].into(),
                destination: [192, 0, 2, 1].into(),
                ports: [53, 40_000],
                protocol: 17,
                flags: 0,
                packets: 1,
                bytes: 1_000,
                direction: Direction::of_ports(53, 40_000),
            };
            table.add(&flow, *now, config, &mut events);
        }
        events.iter().map(|event| event.host).collect()
    }

    fn config() -> Config {
        Config { hosts_max: 3, ..Config::parse("rules-dns = 1\ndns-amplif-threshold = 0\ntimeout-active = 60\n") }
    }

    #[test]
    fn addresses_come_back() {
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
    }

    #[test]
    fn what_makes_room_is_looked_at_and_counted() {
        let (config, mut table) = (config(), Table::new(&config()));
        let evicted = add(&mut table, &config, &[(1, 0), (2, 0), (1, 0), (3, 0), (4, 0)]);
        assert_eq!(evicted, [2, 1].map(|host| IpAddr::from([10, 0, 0, host])), "those without a flow for longest");
        assert_eq!((table.hosts.len(), table.hosts.evicted()), (3, 2));
        let mut events = Vec::new();
        table.look_at_all(&config, &mut events);
        assert_eq!((events.len(), table.hosts.len()), (3, 0));
    }

    #[test]
    fn records_end_in_time() {
        let (config, mut table) = (config(), Table::new(&config()));
        add(&mut table, &config, &[(1, 100), (1, 125), (2, 130), (1, 150)]);
        let mut look = |now| {
            let mut events = Vec::new();
            table.look(now, &config, &mut events);
            events.iter().map(|event| (event.host, event.times, event.scale)).collect::<Vec<_>>()
        };
        assert_eq!(look(159), []);
        let [one, two, other] = [[10, 0, 0, 1], [10, 0, 0, 2], [192, 0, 2, 1]].map(IpAddr::from);
        // Silent for 30 seconds, and 60 seconds old.
        assert_eq!(look(160), [(two, [130, 130], 1), (one, [100, 150], 3), (other, [100, 150], 4)]);
        assert_eq!(look(u32::MAX), []);
    }
}
