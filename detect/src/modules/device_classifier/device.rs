//! Devices: what is counted of each address, and the features that are made of it.
use std::collections::{BTreeMap, HashMap};

/// Pause after which flows with a peer are a new conversation, milliseconds.
const PAUSE_MS: u64 = 60_000;
/// Ports from here on count as one.
const PORTS: u16 = 49_152;
/// Share of the flows that a port must have to be a feature.
const SHARE_MIN: f64 = 0.01;
/// Features before those of ports.
const BASIC: usize = 11;
/// Devices, and peers and ports of all devices, at the most.
const DEVICES_MAX: usize = 1 << 20;
const ENTRIES_MAX: usize = 1 << 23;

/// What is counted of a flow; times since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) first_ms: u64,
    pub(super) last_ms: u64,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) is_tcp: bool,
}

/// Devices by address.
#[derive(Debug, Default)]
pub(super) struct Devices {
    by_ip: BTreeMap<u32, Device>,
    /// Peers and ports of all.
    entries: usize,
    no_room: u64,
}

/// Counters of one address.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// End of the last flow with each peer, milliseconds.
    peers: HashMap<u32, u64>,
    conversations: u64,
    begun: u64,
    tcp: u64,
    sent: Side,
    received: Side,
    ports: HashMap<u16, u64>,
}

/// Flows of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    flows: u64,
    bytes: u64,
    packets: u64,
    packets_squared: u64,
    millis: u64,
    millis_squared: u64,
}

/// Number and value of each feature, by number.
pub(super) type Features = Vec<(u32, f64)>;

impl Devices {
    /// Counts a flow for one of its ends; `port` is that end's.
    pub(super) fn add(&mut self, ip: u32, peer: u32, flow: &Flow, port: u16, is_source: bool) {
        let is_full = self.entries >= ENTRIES_MAX;
        if !self.by_ip.contains_key(&ip) && (is_full || self.by_ip.len() >= DEVICES_MAX) {
            self.no_room += 1;
            if self.no_room.is_power_of_two() {
                eprintln!("Warning: {} flows not counted: too many devices are in memory.", self.no_room);
            }
            return;
        }
        let device = self.by_ip.entry(ip).or_default();
        let before = device.peers.len() + device.ports.len();
        device.add(peer, flow, port, is_source, is_full);
        self.entries += device.peers.len() + device.ports.len() - before;
    }

    /// Devices by ascending address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Device)> {
        self.by_ip.iter().map(|(ip, device)| (*ip, device))
    }
}

impl Device {
    fn add(&mut self, peer: u32, flow: &Flow, port: u16, is_source: bool, is_full: bool) {
        let last = self.peers.get(&peer).copied();
        // Also where flows overlap: the difference of the original wraps, and its models were trained with that.
        if flow.first_ms.wrapping_sub(last.unwrap_or(0)) > PAUSE_MS {
            self.conversations += 1;
            self.begun += u64::from(is_source);
        }
        if last.is_some() || !is_full {
            self.peers.insert(peer, flow.last_ms);
        }
        let port = port.min(PORTS);
        match self.ports.get_mut(&port) {
            Some(count) => *count += 1,
            None if is_full => {}
            None => {
                self.ports.insert(port, 1);
            }
        }
        self.tcp += u64::from(flow.is_tcp);
        let side = if is_source { &mut self.sent } else { &mut self.received };
        let millis = flow.last_ms.wrapping_sub(flow.first_ms);
        side.flows += 1;
        side.bytes = side.bytes.wrapping_add(flow.bytes);
        side.packets = side.packets.wrapping_add(flow.packets);
        side.packets_squared = side.packets_squared.wrapping_add(flow.packets.wrapping_mul(flow.packets));
        side.millis = side.millis.wrapping_add(millis);
        side.millis_squared = side.millis_squared.wrapping_add(millis.wrapping_mul(millis));
    }

    /// Different addresses that it talked with.
    pub(super) fn peers(&self) -> u64 {
        self.peers.len() as u64
    }

    /// The features, by number.
    pub(super) fn features(&self) -> Features {
        let (sent, received) = (&self.sent, &self.received);
        let flows = (sent.flows + received.flows) as f64;
        let squash = |v: f64| (v / 100.0).tanh();
        let [packets_sent, packets_sent_sd] = sent.packets_each();
        let [packets_received, packets_received_sd] = received.packets_each();
        let [secs_sent, secs_sent_sd] = sent.secs_each();
        let [secs_received, secs_received_sd] = received.secs_each();
        let basic: [f64; BASIC] = [
            self.begun as f64 / self.conversations as f64,
            sent.bytes as f64 / sent.bytes.wrapping_add(received.bytes) as f64,
            squash(packets_sent),
            squash(packets_sent_sd),
            squash(packets_received),
            squash(packets_received_sd),
            squash(secs_sent),
            squash(secs_sent_sd),
            squash(secs_received),
            squash(secs_received_sd),
            self.tcp as f64 / flows,
        ];
        let mut features: Features = (1..).zip(basic).collect();
        for (port, count) in &self.ports {
            let share = *count as f64 / flows;
            if share > SHARE_MIN {
                features.push((u32::from(*port) + BASIC as u32 + 1, (share * 3.0).tanh()));
            }
        }
        features.sort_by_key(|(number, _)| *number);
        features
    }
}

impl Side {
    /// Mean and standard deviation of packets.
    fn packets_each(&self) -> [f64; 2] {
        self.spread(self.packets as f64, self.packets_squared as f64)
    }

    /// Mean and standard deviation of seconds; the sum is cut to whole seconds, as in the original.
    fn secs_each(&self) -> [f64; 2] {
        self.spread((self.millis / 1_000) as f64, self.millis_squared as f64 / 1e6)
    }

    fn spread(&self, sum: f64, squares: f64) -> [f64; 2] {
        if self.flows == 0 {
            return [0.0; 2];
        }
        let flows = self.flows as f64;
        let mean = sum / flows;
        [mean, (squares / flows - mean * mean).max(0.0).sqrt()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_of_a_few_flows() {
        let mut devices = Devices::default();
        let flow = |at: u64, millis: u64, packets, is_tcp| Flow {
            first_ms: 1_000_000 + at,
            last_ms: 1_000_000 + at + millis,
            bytes: 100,
            packets,
            is_tcp,
        };
        devices.add(1, 2, &flow(0, 2_000, 10, true), 443, true);
        devices.add(1, 2, &flow(30_000, 0, 20, true), 443, true);
        devices.add(1, 3, &flow(0, 0, 1, false), 60_000, false);
        devices.add(1, 2, &flow(100_000, 0, 30, true), 50_000, true);
        let (ip, device) = devices.iter().next().unwrap();
        assert_eq!((ip, device.peers(), devices.entries), (1, 2, 4));
        let expected = [
            (1, 2.0 / 3.0),
            (2, 0.75),
            (3, 0.2_f64.tanh()),
            (4, ((1_400.0 / 3.0 - 400.0_f64).sqrt() / 100.0).tanh()),
            (5, 0.01_f64.tanh()),
            (6, 0.0),
            (7, (2.0_f64 / 300.0).tanh()),
            (8, ((4.0 / 3.0 - 4.0 / 9.0_f64).sqrt() / 100.0).tanh()),
            (9, 0.0),
            (10, 0.0),
            (11, 0.75),
            (455, 1.5_f64.tanh()),
            (49_164, 1.5_f64.tanh()),
        ];
        let features = device.features();
        assert_eq!(features.len(), expected.len());
        for ((number, value), (want_number, want)) in features.iter().zip(expected) {
            assert!(*number == want_number && (value - want).abs() < 1e-12, "{number}: {value}, not {want}");
        }
    }
}
