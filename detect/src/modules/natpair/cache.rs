//! Flows that wait for their partner of the other side.
use record::Time;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A partner's times differ by less than this, milliseconds: those of the first packet, and of the last.
const FIRST_WITHIN: u64 = 2;
const LAST_WITHIN: u64 = 3;

/// Flows that wait at once, at the most, whatever the options say.
const WAITING_MAX: usize = 1 << 20;

/// When the cache is looked through, and what goes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After so much time of flows.
    pub check_ms: u64,
    /// What is older than this, seen from the newest pair.
    pub free_ms: u64,
    /// Also when there are more different keys than this.
    pub size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { check_ms: 600_000, free_ms: 5_000, size: 2_000 }
    }
}

/// Where a flow was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Lan,
    Wan,
}

/// Where it goes; the numbers are those of DIRECTION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    ToWan = 0,
    ToLan = 1,
}

impl Direction {
    /// None if both ends are of one side.
    pub fn of(source: Ipv4Addr, destination: Ipv4Addr, router: Ipv4Addr) -> Option<Direction> {
        match (source.is_private(), destination.is_private()) {
            (true, false) => Some(Direction::ToWan),
            _ if source == router => Some(Direction::ToWan),
            (false, true) => Some(Direction::ToLan),
            _ => (destination == router).then_some(Direction::ToLan),
        }
    }
}

/// An address and a port.
pub type End = (Ipv4Addr, u16);

/// What both partners have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    wan: End,
    protocol: u8,
    direction: Direction,
}

/// A flow as one probe saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    side: Side,
    key: Key,
    /// The host in the LAN, or the router if seen in the WAN.
    near: End,
    /// First and last packet.
    times: [Time; 2],
}

impl Seen {
    pub fn new(side: Side, direction: Direction, ends: [End; 2], protocol: u8, times: [Time; 2]) -> Seen {
        let [near, wan] = if direction == Direction::ToWan { ends } else { [ends[1], ends[0]] };
        Seen { side, key: Key { wan, protocol, direction }, near, times }
    }

    /// Whether a flow of the same key is the same flow on the other side of the router, which takes a moment.
    fn is_partner(&self, other: &Seen) -> bool {
        let (lan, wan) = match (self.side, other.side) {
            (Side::Lan, Side::Wan) => (self, other),
            (Side::Wan, Side::Lan) => (other, self),
            _ => return false,
        };
        let (earlier, later) = if self.key.direction == Direction::ToWan { (lan, wan) } else { (wan, lan) };
        let within = |n: usize, limit| {
            let gap = later.times[n].0.checked_sub(earlier.times[n].0);
            gap.is_some_and(|gap| Time(gap).millis() < limit)
        };
        within(0, FIRST_WITHIN) && within(1, LAST_WITHIN)
    }
}

/// A flow that both probes saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub lan: End,
    pub wan: End,
    pub router_port: u16,
    pub protocol: u8,
    pub direction: Direction,
    /// When the first packet reached the router and when the last one had left it.
    pub times: [Time; 2],
}

/// Flows without a partner so far.
#[derive(Debug)]
pub struct Cache {
    limits: Limits,
    waiting: HashMap<Key, Vec<Seen>>,
    count: usize,
    /// Last packet of the newest pair, milliseconds.
    now: u64,
    checked: u64,
    lost: u64,
}

impl Cache {
    pub fn new(limits: Limits) -> Cache {
        Cache { limits, waiting: HashMap::new(), count: 0, now: 0, checked: 0, lost: 0 }
    }

    /// Pairs a flow with the one that waits longest for it, or lets it wait.
    pub fn add(&mut self, flow: Seen) -> Option<Pair> {
        let partner = self.take_partner(&flow);
        if partner.is_some() {
            self.now = flow.times[1].millis();
        } else if self.count < WAITING_MAX {
            self.waiting.entry(flow.key).or_default().push(flow);
            self.count += 1;
        } else {
            self.lost += 1;
        }
        let is_due = self.now.checked_sub(self.checked).is_some_and(|passed| passed >= self.limits.check_ms);
        if is_due || (self.waiting.len() > self.limits.size && self.now != self.checked) {
            self.clean();
        }
        partner.map(|partner| {
            let (lan, wan) = if flow.side == Side::Lan { (flow, partner) } else { (partner, flow) };
            let (first, last) = if flow.key.direction == Direction::ToWan { (lan, wan) } else { (wan, lan) };
            Pair {
                lan: lan.near,
                wan: lan.key.wan,
                router_port: wan.near.1,
                protocol: lan.key.protocol,
                direction: lan.key.direction,
                times: [first.times[0], last.times[1]],
            }
        })
    }

    /// Flows that found no room to wait.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn take_partner(&mut self, flow: &Seen) -> Option<Seen> {
        let waiting = self.waiting.get_mut(&flow.key)?;
        let at = waiting.iter().position(|other| other.is_partner(flow))?;
        let partner = waiting.remove(at);
        if waiting.is_empty() {
            self.waiting.remove(&flow.key);
        }
        self.count -= 1;
        Some(partner)
    }

    /// Drops what waited too long.
    fn clean(&mut self) {
        let oldest = self.now.saturating_sub(self.limits.free_ms);
        self.waiting.retain(|_, flows| {
            flows.retain(|flow| flow.times[1].millis() > oldest || self.now < self.limits.free_ms);
            !flows.is_empty()
        });
        self.count = self.waiting.values().map(Vec::len).sum();
        self.checked = self.now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const HOST: End = (Ipv4Addr::new(192, 168, 0, 5), 50_000);
    const SERVER: End = (Ipv4Addr::new(8, 8, 8, 8), 443);

    fn times(first: u64, last: u64) -> [Time; 2] {
        [first, last].map(|ms| Time(ms * 1_000_000))
    }

    fn seen(side: Side, to_wan: bool, first: u64, last: u64) -> Seen {
        let near = if side == Side::Lan { HOST } else { (ROUTER, 61_000) };
        let ends = if to_wan { [near, SERVER] } else { [SERVER, near] };
        let direction = Direction::of(ends[0].0, ends[1].0, ROUTER).unwrap();
        assert_eq!(direction == Direction::ToWan, to_wan);
        Seen::new(side, direction, ends, 6, times(first, last))
    }

    #[test]
    fn partners_of_both_directions() {
        let mut cache = Cache::new(Limits::default());
        assert_eq!(cache.add(seen(Side::Lan, true, 1_000, 2_000)), None);
        let pair = cache.add(seen(Side::Wan, true, 1_001, 2_002)).unwrap();
        assert_eq!((pair.lan, pair.wan, pair.router_port, pair.direction), (HOST, SERVER, 61_000, Direction::ToWan));
        assert_eq!(pair.times, times(1_000, 2_002));
        assert_eq!(cache.add(seen(Side::Lan, false, 3_001, 4_001)), None);
        let pair = cache.add(seen(Side::Wan, false, 3_000, 4_000)).unwrap();
        assert_eq!((pair.direction, pair.times), (Direction::ToLan, times(3_000, 4_001)));
        assert_eq!((cache.count, cache.waiting.len()), (0, 0));
    }

    #[test]
    fn who_is_no_partner() {
        for (first, last) in [(1_002, 2_000), (1_000, 2_003), (999, 2_000), (1_000, 1_999)] {
            let mut cache = Cache::new(Limits::default());
            cache.add(seen(Side::Lan, true, 1_000, 2_000));
            assert_eq!(cache.add(seen(Side::Wan, true, first, last)), None, "{first} {last}");
            assert_eq!(cache.add(seen(Side::Lan, true, 1_000, 2_000)), None);
        }
        assert_eq!(Direction::of(SERVER.0, Ipv4Addr::new(9, 9, 9, 9), ROUTER), None);
        assert_eq!(Direction::of(HOST.0, Ipv4Addr::new(10, 0, 0, 1), ROUTER), None);
    }

    #[test]
    fn old_flows_go() {
        let mut cache = Cache::new(Limits { check_ms: 10_000, free_ms: 1_000, size: 2_000 });
        cache.add(seen(Side::Lan, true, 1_000, 2_000));
        cache.add(seen(Side::Lan, true, 100_000, 100_000));
        assert_eq!(cache.count, 2);
        assert!(cache.add(seen(Side::Wan, true, 100_000, 100_000)).is_some());
        assert_eq!(cache.count, 0, "the first one is too old");
    }
}
