//! All that is counted in one interval.
use super::ranking::{Flow, Ranking};
use super::tables::{Addresses, Ports};
use super::{NetworkLengths, Settings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub flow: Flow,
    pub packets: u64,
    pub bytes: u64,
}

/// The tables of all records, and those of each port that was asked for.
#[derive(Clone, Debug)]
pub struct Statistics {
    pub all: Tables,
    pub by_port: Vec<(u32, Tables)>,
    networks: Option<NetworkLengths>,
}

/// The tables of some records.
#[derive(Clone, Debug)]
pub struct Tables {
    pub flows_by_bytes: Ranking,
    pub flows_by_packets: Ranking,
    pub ports: Ports,
    pub addresses: Addresses,
    /// Of IPv4 and IPv6.
    pub networks: [Addresses; 2],
}

impl Statistics {
    pub fn new(settings: &Settings) -> Statistics {
        let by_port = settings.ports.iter().map(|port| (*port, Tables::new(settings.top))).collect();
        Statistics { all: Tables::new(settings.top), by_port, networks: settings.networks }
    }

    pub fn add(&mut self, record: &Record) {
        let network = self.networks.and_then(|lengths| lengths.network(record.flow.source));
        let [source, destination] = record.flow.ports;
        self.all.add(record, network);
        for port in [destination, source] {
            self.all.ports.add(port, record.packets, record.bytes);
        }
        for (port, tables) in &mut self.by_port {
            let is = |other: u16| u32::from(other) == *port;
            if is(source) || is(destination) {
                tables.add(record, network);
            }
            // Whoever talks to the port: the other end.
            for (end, other) in [(destination, source), (source, destination)] {
                if is(end) {
                    tables.ports.add(other, record.packets, record.bytes);
                }
            }
        }
    }

    /// Addresses and networks that a full table had no room for.
    pub fn left_out(&self) -> u64 {
        let of = |tables: &Tables| {
            tables.addresses.left_out() + tables.networks.iter().map(Addresses::left_out).sum::<u64>()
        };
        of(&self.all) + self.by_port.iter().map(|(_, tables)| of(tables)).sum::<u64>()
    }

    pub fn clear(&mut self) {
        for tables in std::iter::once(&mut self.all).chain(self.by_port.iter_mut().map(|(_, tables)| tables)) {
            tables.clear();
        }
    }
}

impl Tables {
    fn new(top: usize) -> Tables {
        Tables {
            flows_by_bytes: Ranking::new(top),
            flows_by_packets: Ranking::new(top),
            ports: Ports::default(),
            addresses: Addresses::default(),
            networks: Default::default(),
        }
    }

    /// Adds a record to all tables but that of the ports.
    fn add(&mut self, record: &Record, network: Option<IpAddr>) {
        self.flows_by_bytes.add(record.bytes, &record.flow);
        self.flows_by_packets.add(record.packets, &record.flow);
        self.addresses.add(record.flow.source, record.packets, record.bytes);
        if let Some(network) = network {
            self.networks[usize::from(network.is_ipv6())].add(network, record.packets, record.bytes);
        }
    }

    fn clear(&mut self) {
        self.flows_by_bytes.clear();
        self.flows_by_packets.clear();
        self.ports.clear();
        self.addresses.clear();
        self.networks.iter_mut().for_each(Addresses::clear);
    }
}

impl NetworkLengths {
    /// The network of an address; none for IPv6 if that has no length.
    fn network(&self, address: IpAddr) -> Option<IpAddr> {
        match address {
            // Lengths are at least 1.
            IpAddr::V4(v4) => Some(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << (32 - self.v4))).into()),
            IpAddr::V6(v6) => {
                let length = self.v6?;
                Some(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - length))).into())
            }
        }
    }
}
