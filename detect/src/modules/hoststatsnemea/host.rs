//! What is counted of one host. All counters stay at what they can hold.
use super::seen::{Flows, Seen};
use std::net::IpAddr;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const SSH: u16 = 22;
const DNS: u16 = 53;
/// Bytes of a packet from which a DNS response is large.
const LARGE: u64 = 1_000;
/// Below this a port is taken for that of a service.
const SERVICES_END: u16 = 10_000;

/// What a flow says of the direction of its packets; both are possible if a module in front says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Direction {
    pub is_request: bool,
    pub is_response: bool,
}

impl Direction {
    /// DIRECTION_FLAGS of a module in front.
    pub(super) fn of_flags(flags: u8) -> Direction {
        Direction { is_request: flags & 8 != 0, is_response: flags & 4 != 0 }
    }

    /// A guess: the smaller port, if it is a small one, is that of the server.
    pub(super) fn of_ports(source: u16, destination: u16) -> Direction {
        let is_known = source.min(destination) < SERVICES_END;
        Direction { is_request: is_known && source > destination, is_response: is_known && source < destination }
    }

    /// That of the flow in the other direction.
    pub(super) fn back(self) -> Direction {
        Direction { is_request: self.is_response, is_response: self.is_request }
    }
}

/// A flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub ports: [u16; 2],
    pub protocol: u8,
    pub flags: u8,
    pub packets: u32,
    pub bytes: u64,
    pub direction: Direction,
}

impl Flow {
    fn is_of(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }
}

/// Sums over flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub flows: u32,
    pub packets: u32,
    pub bytes: u32,
    /// Flows with this flag.
    pub syn: u32,
    pub ack: u32,
}

/// What a host sent, or what it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub all: Counts,
    pub requests: Counts,
    pub responses: Counts,
    /// Packets of flows with SYN.
    pub syn_packets: u32,
    /// Different addresses at the other end: in all, and of requests.
    pub addresses: u16,
    pub request_addresses: u16,
}

/// SSH that a host sent, or that it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ssh {
    pub request_packets: u16,
    pub response_packets: u16,
    /// Flows with SYN.
    pub request_syn: u16,
    pub response_syn: u16,
    pub addresses: u16,
}

/// One host. Places in pairs are those of [`Way`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Times at which the record began and changed, Unix seconds.
    pub first: u32,
    pub last: u32,
    pub sides: [Side; 2],
    pub ssh: Option<Box<[Ssh; 2]>>,
    /// Large responses of DNS; none without any DNS.
    pub dns: Option<[u32; 2]>,
}

/// Which side of a host a flow is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
}

/// What is counted beside the general.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Services {
    pub ssh: bool,
    pub dns: bool,
}

impl Host {
    /// A record that begins.
    pub(super) fn new(now: u32) -> Host {
        Host { first: now, last: now, ..Host::default() }
    }

    /// Counts a flow of this host; `pair` is that of its addresses in `seen`.
    pub(super) fn add(&mut self, flow: &Flow, pair: u64, way: Way, now: u32, services: Services, seen: &mut Seen) {
        self.last = now;
        let key = seen.key(pair, self.first, way == Way::In);
        let side = &mut self.sides[way as usize];
        side.all.add(flow);
        count_if(&mut side.addresses, !seen.insert(&key, Flows::All));
        if flow.flags & SYN != 0 {
            side.syn_packets = side.syn_packets.saturating_add(flow.packets);
        }
        if flow.direction.is_request {
            side.requests.add(flow);
            count_if(&mut side.request_addresses, !seen.insert(&key, Flows::Requests));
        } else if flow.direction.is_response {
            side.responses.add(flow);
        }
        if services.ssh && flow.protocol == TCP && flow.is_of(SSH) {
            let ssh = &mut self.ssh.get_or_insert_default()[way as usize];
            count_if(&mut ssh.addresses, !seen.insert(&key, Flows::Ssh));
            ssh.add(flow);
        }
        if services.dns && matches!(flow.protocol, TCP | UDP) && flow.is_of(DNS) {
            let large = &mut self.dns.get_or_insert_default()[way as usize];
            if flow.direction.is_response && flow.bytes / u64::from(flow.packets.max(1)) >= LARGE {
                *large = large.saturating_add(1);
            }
        }
    }

    pub(super) fn side(&self, way: Way) -> &Side {
        &self.sides[way as usize]
    }
}

impl Counts {
    fn add(&mut self, flow: &Flow) {
        let flag = |flag: u8| u32::from(flow.flags & flag != 0);
        self.flows = self.flows.saturating_add(1);
        self.packets = self.packets.saturating_add(flow.packets);
        self.bytes = self.bytes.saturating_add(u32::try_from(flow.bytes).unwrap_or(u32::MAX));
        self.syn = self.syn.saturating_add(flag(SYN));
        self.ack = self.ack.saturating_add(flag(ACK));
    }
}

impl Ssh {
    fn add(&mut self, flow: &Flow) {
        let (packets, syn) = if flow.direction.is_request {
            (&mut self.request_packets, &mut self.request_syn)
        } else if flow.direction.is_response {
            (&mut self.response_packets, &mut self.response_syn)
        } else {
            return;
        };
        *packets = packets.saturating_add(u16::try_from(flow.packets).unwrap_or(u16::MAX));
        count_if(syn, flow.flags & SYN != 0);
    }
}

fn count_if(counter: &mut u16, is_so: bool) {
    *counter = counter.saturating_add(is_so.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Services = Services { ssh: true, dns: true };

    pub(super) fn flow(ports: [u16; 2], packets: u32, bytes: u64) -> Flow {
        let [source, destination] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let direction = Direction::of_ports(ports[0], ports[1]);
        Flow { source, destination, ports, protocol: TCP, flags: SYN, packets, bytes, direction }
    }

    #[test]
    fn the_smaller_port_is_the_servers() {
        let guess = |source, destination| {
            let Direction { is_request, is_response } = Direction::of_ports(source, destination);
            (is_request, is_response)
        };
        assert_eq!((guess(50_000, 80), guess(80, 50_000)), ((true, false), (false, true)));
        assert_eq!((guess(10_000, 9_999), guess(9_998, 9_999)), ((true, false), (false, true)));
        for ports in [(10_000, 10_001), (80, 80), (0, 0)] {
            assert_eq!(guess(ports.0, ports.1), (false, false), "{ports:?}");
        }
    }

    #[test]
    fn counters_stay_at_their_limits() {
        let (mut host, mut seen) = (Host::new(5), Seen::new(100));
        let much = flow([50_000, 22], u32::MAX, u64::MAX);
        for now in 6..9 {
            host.add(&much, 1, Way::Out, now, BOTH, &mut seen);
        }
        let counts = Counts { flows: 3, packets: u32::MAX, bytes: u32::MAX, syn: 3, ack: 0 };
        let side = host.side(Way::Out);
        assert_eq!((side.all, side.requests, side.responses), (counts, counts, Counts::default()));
        assert_eq!((side.syn_packets, side.addresses, side.request_addresses), (u32::MAX, 1, 1));
        let ssh = Ssh { request_packets: u16::MAX, request_syn: 3, addresses: 1, ..Ssh::default() };
        assert_eq!(host.ssh.as_deref(), Some(&[ssh, Ssh::default()]));
        assert_eq!((host.first, host.last, host.sides[1], host.dns), (5, 8, Side::default(), None));
    }

    #[test]
    fn large_responses_of_dns() {
        let (mut host, mut seen) = (Host::new(0), Seen::new(100));
        for (ports, packets, bytes) in
            [([53, 40_000], 2, 2_000), ([53, 40_000], 2, 1_999), ([40_000, 53], 1, 5_000), ([53, 40_000], 0, 1_000)]
        {
            host.add(&flow(ports, packets, bytes), 1, Way::In, 0, BOTH, &mut seen);
        }
        assert_eq!(host.dns, Some([0, 2]));
        let mut other = Host::new(0);
        let none = Services { ssh: false, dns: false };
        other.add(&flow([53, 22], 1, 5_000), 1, Way::In, 0, none, &mut seen);
        assert_eq!((other.dns, other.ssh), (None, None));
    }
}
