//! The flow cache with timeouts by protocol and state against a model that knows no table, no bursts and no sweep.
use crate::batch::Batch;
use crate::flow::cache::{Cache, CacheConfig};
use crate::flow::key::HashSeed;
use crate::flow::table::Shape;
use crate::flow::{EndReason, FlowKey, TimeoutRules};
use crate::packet::{Packet, PacketView, protocol, tcp};
use crate::registry::Plugins;
use record::Time;
use std::collections::BTreeMap;

const SEED: HashSeed = HashSeed::fixed([3, 5, 7, 11]);
/// Waits that a step chooses from, in milliseconds: around the timeouts below. Time does not go back, so it does not matter when a sweep comes by.
const WAITS_MS: [u64; 8] = [0, 400, 1_000, 1_999, 3_000, 5_500, 11_000, 31_000];

/// So that all flows have room: 4 protocols, 8 ports.
const SHAPE: Shape = Shape { size_exp: 9, line_exp: 4 };

const RULES: [&str; 4] = [
    "tcp=12/40,tcp-syn=3,tcp-closed=2,udp=5,dns=1/2,icmp=4,other=6",
    "tcp-closed=1",
    "tcp=4,tcp-syn=32,dns=60",
    "udp=2/3",
];

/// Inactive and active timeouts of the rules above, written out: tcp, tcp-syn, tcp-closed, udp, dns, icmp, other.
const SECS: [[(u64, u64); 7]; 4] = [
    [(12, 40), (3, 40), (2, 40), (5, 300), (1, 2), (4, 300), (6, 300)],
    [(30, 300), (30, 300), (1, 300), (30, 300), (30, 300), (30, 300), (30, 300)],
    [(4, 300), (32, 300), (4, 300), (30, 300), (60, 300), (30, 300), (30, 300)],
    [(30, 300), (30, 300), (30, 300), (2, 3), (2, 3), (30, 300), (30, 300)],
];

/// A record as far as timeouts decide it: protocol, client port, first and last time, packets, reason.
type Told = (u8, u16, u64, u64, [u32; 2], u8);

/// A flow of the model.
struct Model {
    first_ms: u64,
    last_ms: u64,
    packets: [u32; 2],
    flags: [u8; 2],
    /// Whether its source is the client.
    from_client: bool,
}

/// Steps of three bytes: which flow and direction, TCP flags, wait and sweep.
pub(super) fn fuzz_timeouts(data: &[u8]) {
    let Some((choice, steps)) = data.split_first() else { return };
    let rules = usize::from(choice & 3);
    let timeouts = RULES[rules].parse::<TimeoutRules>().expect("rules").over(30, 300);
    let config = CacheConfig { shape: SHAPE, timeouts: Some(timeouts), ..CacheConfig::default() };
    let mut cache = Cache::new(config, Plugins::default()).expect("512 flows fit");
    let (mut batch, mut got, mut told) = (Batch::default(), Vec::new(), Vec::new());
    let mut flows: BTreeMap<(u8, u16), Model> = BTreeMap::new();
    let mut at_ms = 1_600_000_000_000u64;
    for step in steps.chunks_exact(3) {
        let &[which, flags, wait] = step else { break };
        at_ms += WAITS_MS[usize::from(wait & 7)];
        let at = Time(at_ms * 1_000_000);
        let packet = packet(which, flags, at);
        model(&mut flows, &packet, which & 1 == 0, at_ms, &SECS[rules], &mut told);
        cache.packet(PacketView { packet: &packet, bytes: &[] }, &mut batch);
        match wait >> 3 & 3 {
            0 => {}
            1 => cache.sweep_all(at, &mut batch),
            _ => cache.sweep(at, &mut batch),
        }
        take(&mut batch, &mut got);
    }
    cache.flush(Time(at_ms * 1_000_000), &mut batch, |batch| take(batch, &mut got));
    take(&mut batch, &mut got);
    for (key, flow) in flows {
        let quiet = secs(at_ms) - secs(flow.last_ms) >= times(key, &flow, &SECS[rules]).0;
        told.push(tell(key, &flow, if quiet { of_quiet(&flow) } else { EndReason::Forced }));
    }
    got.sort_unstable();
    told.sort_unstable();
    assert_eq!(got, told);
}

/// What a packet does to the flows that there are.
fn model(
    flows: &mut BTreeMap<(u8, u16), Model>,
    packet: &Packet,
    from_client: bool,
    at_ms: u64,
    all: &[(u64, u64); 7],
    told: &mut Vec<Told>,
) {
    let port = if from_client { packet.src_port } else { packet.dst_port };
    let key = (packet.protocol, port);
    if let Some(flow) = flows.get(&key) {
        let (inactive, active) = times(key, flow, all);
        let direction = usize::from(flow.from_client != from_client);
        let closed = flow.flags[direction] & (tcp::FIN | tcp::RST) != 0;
        let over = if packet.tcp_flags & tcp::SYN != 0 && closed {
            Some(EndReason::EndOfFlow)
        } else if secs(at_ms) - secs(flow.last_ms) >= inactive {
            Some(of_quiet(flow))
        } else {
            (secs(at_ms) - secs(flow.first_ms) >= active).then_some(EndReason::Active)
        };
        if let Some(reason) = over {
            told.push(tell(key, flow, reason));
            flows.remove(&key);
        }
    }
    let new = Model { first_ms: at_ms, last_ms: at_ms, packets: [0; 2], flags: [0; 2], from_client };
    let flow = flows.entry(key).or_insert(new);
    let direction = usize::from(flow.from_client != from_client);
    flow.last_ms = at_ms;
    flow.packets[direction] += 1;
    flow.flags[direction] |= packet.tcp_flags;
}

/// Timeouts of a flow as it stands: (inactive, active).
fn times((proto, port): (u8, u16), flow: &Model, all: &[(u64, u64); 7]) -> (u64, u64) {
    let has = |side: usize, flag: u8| flow.flags[side] & flag != 0;
    let reset = has(0, tcp::RST) || has(1, tcp::RST);
    let one_sided = flow.packets[1] == 0;
    let place = match proto {
        protocol::TCP if reset || has(0, tcp::FIN) && (has(1, tcp::FIN) || one_sided) => 2,
        protocol::TCP if has(0, tcp::SYN) && !has(0, tcp::ACK) => 1,
        protocol::TCP => 0,
        protocol::UDP if port == 53 => 4,
        protocol::UDP => 3,
        protocol::ICMP => 5,
        _ => 6,
    };
    all[place]
}

fn of_quiet(flow: &Model) -> EndReason {
    let closed = (flow.flags[0] | flow.flags[1]) & (tcp::FIN | tcp::RST) != 0;
    if closed { EndReason::EndOfFlow } else { EndReason::Idle }
}

fn tell((proto, port): (u8, u16), flow: &Model, reason: EndReason) -> Told {
    (proto, port, flow.first_ms, flow.last_ms, flow.packets, reason as u8)
}

fn secs(ms: u64) -> u64 {
    ms / 1000
}

/// From a client at a port of 50 to 57, or to it.
fn packet(which: u8, flags: u8, at: Time) -> Packet {
    let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let proto = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::GRE][usize::from(which >> 6)];
    let port = 50 + u16::from(which >> 1 & 7);
    let back = which & 1 != 0;
    let (src, dst, src_port, dst_port) =
        if back { (server, client, 1_000, port) } else { (client, server, port, 1_000) };
    let (key, reversed) = FlowKey::v4(src, dst, src_port, dst_port, proto, 0, false);
    let tcp_flags = if proto == protocol::TCP { flags & 0x17 } else { 0 };
    let hash = key.hash(SEED);
    Packet {
        key,
        reversed,
        hash,
        at,
        ip_len: 40,
        src_port,
        dst_port,
        protocol: proto,
        ip_version: 4,
        tcp_flags,
        ..Packet::default()
    }
}

fn take(batch: &mut Batch, got: &mut Vec<Told>) {
    for flow in batch.flows() {
        let b = flow.basic();
        let port = if b.dst_port == 1_000 { b.src_port } else { b.dst_port };
        let ms = |time: Time| time.0 / 1_000_000;
        got.push((b.protocol, port, ms(b.time_first), ms(b.time_last), [b.packets, b.packets_rev], b.end_reason));
    }
    batch.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn flows_end_as_the_model_says(data in prop::collection::vec(any::<u8>(), 0..3_000)) {
            fuzz_timeouts(&data);
        }

        /// Few flows, long lives: each class comes to its timeouts.
        #[test]
        fn few_flows_end_as_the_model_says(
            choice: u8,
            steps in prop::collection::vec((0..4u8, any::<u8>(), any::<u8>(), any::<u8>()), 0..800),
        ) {
            let step = |(proto, which, flags, wait): (u8, u8, u8, u8)| [proto << 6 | which & 0b1111, flags, wait & !5];
            let data: Vec<u8> = std::iter::once(choice).chain(steps.into_iter().flat_map(step)).collect();
            fuzz_timeouts(&data);
        }
    }
}
