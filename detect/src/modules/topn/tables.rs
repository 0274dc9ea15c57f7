//! Counts of ports and of addresses.
use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

/// Addresses of one table, at the most.
const ADDRESSES_MAX: usize = 128 * 1024;

/// What is counted of a port, an address or a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
}

/// One of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Flows,
    Packets,
    Bytes,
}

impl Counts {
    /// Adds a record.
    pub fn add(&mut self, packets: u64, bytes: u64) {
        self.flows += 1;
        self.packets = self.packets.saturating_add(packets);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub fn get(&self, by: By) -> u64 {
        match by {
            By::Flows => self.flows,
            By::Packets => self.packets,
            By::Bytes => self.bytes,
        }
    }

    /// Where this stands among others, lowest first. Of equal counts that one is first which would be first by the count
    /// before it, since the original sorts by flows, then what comes out by packets, then that by bytes.
    fn order(&self, by: By) -> Reverse<[u64; 3]> {
        Reverse(match by {
            By::Flows => [self.flows, 0, 0],
            By::Packets => [self.packets, self.flows, 0],
            By::Bytes => [self.bytes, self.packets, self.flows],
        })
    }
}

/// Exact counts of all ports.
#[derive(Clone, Debug)]
pub struct Ports(Vec<Counts>);

impl Default for Ports {
    fn default() -> Self {
        Ports(vec![Counts::default(); 65_536])
    }
}

impl Ports {
    pub fn add(&mut self, port: u16, packets: u64, bytes: u64) {
        self.0[usize::from(port)].add(packets, bytes);
    }

    /// The `top` ports with the highest counts, of equal ones the lower number first; those with a count of 0 are left out.
    pub fn highest(&self, by: By, top: usize) -> Vec<(u16, u64)> {
        let counted = (0..=u16::MAX).zip(&self.0).filter(|(_, counts)| counts.get(by) > 0);
        let mut rows: Vec<_> = counted.collect();
        rows.sort_unstable_by_key(|(port, counts)| (counts.order(by), *port));
        rows.truncate(top);
        rows.into_iter().map(|(port, counts)| (port, counts.get(by))).collect()
    }

    pub fn clear(&mut self) {
        self.0.fill(Counts::default());
    }
}

/// Counts of addresses. Exact as long as there are no more than fit; then those in the lower three quarters of every count make room.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    counts: HashMap<IpAddr, Counts>,
    left_out: u64,
}

impl Addresses {
    pub fn add(&mut self, address: IpAddr, packets: u64, bytes: u64) {
        if self.counts.len() >= ADDRESSES_MAX && !self.counts.contains_key(&address) {
            self.make_room();
        }
        self.counts.entry(address).or_default().add(packets, bytes);
    }

    /// The `top` addresses with the highest counts, of equal ones the lower address first.
    pub fn highest(&self, by: By, top: usize) -> Vec<(IpAddr, u64)> {
        let mut rows: Vec<_> = self.counts.iter().collect();
        rows.sort_unstable_by_key(|(address, counts)| (counts.order(by), **address));
        rows.truncate(top);
        rows.into_iter().map(|(address, counts)| (*address, counts.get(by))).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Addresses that made room for others since the table was cleared.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    pub fn clear(&mut self) {
        self.counts.clear();
        self.left_out = 0;
    }

    fn make_room(&mut self) {
        let before = self.counts.len();
        let limits = [By::Flows, By::Packets, By::Bytes].map(|by| {
            let mut values: Vec<u64> = self.counts.values().map(|counts| counts.get(by)).collect();
            let at = values.len() - values.len() / 4 - 1;
            (by, *values.select_nth_unstable(at).1)
        });
        // At most a quarter is above each limit, so a quarter at least goes.
        self.counts.retain(|_, counts| limits.iter().any(|(by, limit)| counts.get(*by) > *limit));
        self.left_out += (before - self.counts.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn ports_of_equal_counts() {
        let mut ports = Ports::default();
        for (port, packets, bytes) in [(9, 1, 10), (7, 1, 10), (7, 1, 0), (8, 2, 10), (0, 0, 0)] {
            ports.add(port, packets, bytes);
        }
        assert_eq!(ports.highest(By::Flows, 9), [(7, 2), (0, 1), (8, 1), (9, 1)]);
        assert_eq!(ports.highest(By::Packets, 9), [(7, 2), (8, 2), (9, 1)]);
        assert_eq!(ports.highest(By::Bytes, 2), [(7, 10), (8, 10)]);
        ports.clear();
        assert!(ports.highest(By::Flows, 9).is_empty());
    }

    #[test]
    fn the_highest_survive_a_full_table() {
        let mut addresses = Addresses::default();
        let heavy: IpAddr = Ipv4Addr::from_bits(u32::MAX).into();
        for n in 0..ADDRESSES_MAX as u32 * 2 {
            addresses.add(Ipv4Addr::from_bits(n).into(), 1, 40);
            if n % 100 == 0 {
                addresses.add(heavy, 5, 5_000);
            }
            assert!(addresses.counts.len() <= ADDRESSES_MAX);
        }
        let flows = (ADDRESSES_MAX as u64 * 2).div_ceil(100);
        for (by, count) in [(By::Flows, flows), (By::Packets, 5 * flows), (By::Bytes, 5_000 * flows)] {
            assert_eq!(addresses.highest(by, 1), [(heavy, count)]);
        }
        assert!(addresses.left_out() >= ADDRESSES_MAX as u64);
        addresses.clear();
        assert!(addresses.is_empty() && addresses.left_out() == 0);
    }
}
