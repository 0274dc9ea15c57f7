//! The flow table against `hashbrown::HashTable`: the same flows, hashes, order of packets and work for each packet found.
//!
//! Ours is asked as a lane asks it (tags and flows of a burst fetched ahead), and one by one. hashbrown has no way to ask ahead, so its
//! bursts only put all hashing before all lookups; the processor may then overlap more of them by itself.
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use dataplane::capture::BURST;
use dataplane::flow::key::HashSeed;
use dataplane::flow::table::{Slot, Table};
use dataplane::flow::{Flow, FlowKey};
use dataplane::packet::Packet;
use hashbrown::HashTable;
use rig::shape;
use std::hint::black_box;

const FLOWS: [(&str, u64); 3] = [("100k", 100_000), ("1M", 1_000_000), ("8M", 8_000_000)];
/// Packets in one measured step.
const STEP: usize = 1 << 14;

pub(crate) fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    group.throughput(Throughput::Elements(STEP as u64));
    for (name, flows) in FLOWS {
        own(&mut group, name, flows);
        theirs(&mut group, name, flows);
    }
}

fn own(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, flows: u64) {
    // Taken only when a bench of it is asked for: millions of flows take seconds to insert.
    let mut table = None;
    for burst in [1, 16, 32, 64] {
        let mut order = Order::new(flows);
        group.bench_function(format!("{name}/own/{}", named(burst)), |b| {
            let table = table.get_or_insert_with(|| filled(flows));
            b.iter(|| order.steps(burst, |packets| own_burst(table, packets)));
        });
    }
}

fn theirs(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, flows: u64) {
    let mut table = None;
    for burst in [1, 32] {
        let mut order = Order::new(flows);
        group.bench_function(format!("{name}/hashbrown/{}", named(burst)), |b| {
            let table = table.get_or_insert_with(|| filled_hashbrown(flows));
            b.iter(|| {
                order.steps(burst, |packets| {
                    for p in packets {
                        if let Some(flow) = table.find_mut(p.hash, |flow| flow.is_of(&p.key)) {
                            count(flow);
                        }
                    }
                });
            });
        });
    }
}

fn own_burst(table: &mut Table, packets: &[Packet]) {
    if packets.len() > 1 {
        packets.iter().for_each(|p| table.prefetch_tags(p.hash));
    }
    let mut places = [Slot::default(); BURST];
    for (p, place) in packets.iter().zip(&mut places) {
        *place = table.prefetch_flow(p.hash, p.key.ip_version() != 4, || 7);
    }
    for (p, place) in packets.iter().zip(places) {
        if let Some((flow, seen)) = table.at(place, p.hash, &p.key) {
            count(flow);
            *seen = 7;
        }
    }
}

/// What a packet does to its flow.
fn count(flow: &mut Flow) {
    flow.bytes[0] += 64;
    flow.packets[0] += 1;
    flow.tcp_flags[0] |= 16;
    flow.last = record::Time(flow.last.0 + 1);
}

fn named(burst: usize) -> String {
    if burst == 1 { "single".to_owned() } else { format!("burst{burst}") }
}

fn key(number: u64) -> FlowKey {
    let client = (number as u32).wrapping_mul(0x9e37_79b1).to_be_bytes();
    FlowKey::v4(client, [203, 0, 113, 1], 40_000, 443, 6, 0, false).0
}

fn filled(flows: u64) -> Table {
    let mut table = Table::new(shape(flows)).expect("memory");
    for number in 0..flows {
        let key = key(number);
        let hash = key.hash(HashSeed::FILES);
        // A bucket that is full at half load is rare; its flow is then missing, which costs a packet less.
        if let Ok(slot) = table.room(hash, 0) {
            table.insert(slot, hash, Flow::of(key));
        }
    }
    assert!(table.live() as u64 > flows / 1000 * 999, "{} of {flows} flows", table.live());
    table
}

fn filled_hashbrown(flows: u64) -> HashTable<Flow> {
    let mut table = HashTable::with_capacity(flows as usize);
    for number in 0..flows {
        let flow = Flow::of(key(number));
        table.insert_unique(flow.key().hash(HashSeed::FILES), flow, |f| f.key().hash(HashSeed::FILES));
    }
    table
}

/// Packets of random flows, made burst by burst.
struct Order {
    rng: benches::Rng,
    flows: u64,
    packets: Vec<Packet>,
}

impl Order {
    fn new(flows: u64) -> Order {
        Order { rng: benches::Rng::new(1), flows, packets: vec![Packet::default(); 64] }
    }

    /// [`STEP`] packets in bursts. Making key and hash is part of the time, the same for all.
    fn steps(&mut self, burst: usize, mut each: impl FnMut(&[Packet])) {
        for _ in 0..STEP / burst {
            for packet in &mut self.packets[..burst] {
                packet.key = key(self.rng.below(self.flows));
                packet.hash = packet.key.hash(HashSeed::FILES);
            }
            each(black_box(&self.packets[..burst]));
        }
    }
}
