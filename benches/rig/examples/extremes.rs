//! What Sonda takes at its limits. `extremes memory [FLOWS [SIZE_EXP]]`: resident memory with that many live flows and five parsers on
//! (PERFORMANCE.md P8). `extremes hostile [PACKETS [ROUNDS]]`: traffic meant to hurt, against 64-byte packets of known flows (P10).
#![forbid(unsafe_code)]

use benches::{Profile, write_capture};
use dataplane::batch::Batch;
use dataplane::capture::{OpenOptions, Poll, open_reader};
use dataplane::flow::key::HashSeed;
use dataplane::flow::table::Shape;
use dataplane::flow::{CacheConfig, EndReason};
use dataplane::lane::{Lane, LaneConfig};
use dataplane::registry::PluginId;
use rig::encode::Ipfix;
use rig::{FIVE, Rig, frames, hostile, shape};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Packets of a flow, as the generator draws them when it is not told.
const PACKETS_PER_FLOW: u64 = 12;
/// Flows of the harmless traffic.
const FLOWS: u64 = 100_000;
/// Flows that are aimed at one bucket.
const COLLIDING: usize = 4_096;

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let numbers: Vec<u64> = args.map(|arg| arg.parse().expect("a number")).collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    match what.as_str() {
        "memory" => memory(number(0, 2_800_000), number(1, 21) as u32),
        "hostile" => against_hostile(number(0, 2_000_000), number(1, 5)),
        // What `memory` starts: the generator has memory of its own, which must not count.
        "generate" => {
            let flows = number(0, 0);
            write_capture(Profile::Realistic, flows * PACKETS_PER_FLOW, flows, 1, &mut std::io::stdout().lock())
                .expect("the lane reads on");
        }
        _ => panic!("memory or hostile?"),
    }
}

fn memory(flows: u64, size_exp: u32) {
    let program = std::env::current_exe().expect("a path of our own");
    let mut generator =
        Command::new(program).args(["generate", &flows.to_string()]).stdout(Stdio::piped()).spawn().expect("started");
    let before = resident_kib();
    let mut source = open_reader("generator", generator.stdout.take().expect("piped"), OpenOptions::default());
    // Nothing ends, so that all flows live at once, each with what its parsers keep of it.
    let never = 1 << 14;
    let config = LaneConfig {
        cache: CacheConfig {
            shape: Shape { size_exp, line_exp: 4 },
            active_secs: never,
            inactive_secs: never,
            ..CacheConfig::default()
        },
        plugins: FIVE.iter().filter_map(|name| PluginId::from_name(name)).map(|id| (id, Vec::new())).collect(),
        ..LaneConfig::default()
    };
    let mut lane = Lane::with_seed(&config, HashSeed::FILES).expect("memory for the table");
    let empty = resident_kib();
    while lane.step(&mut source).expect("a good capture") != Poll::End {
        if lane.batch().is_full() {
            lane.batch().clear();
        }
    }
    let full = resident_kib();
    generator.wait().expect("the generator ends");
    let report = lane.report(&source);
    let million = report.live as f64 / 1e6;
    let mb = |kib: u64| kib as f64 * 1024.0 / 1e6;
    let out = report.cache.ended[EndReason::LackOfResources as usize];
    println!("{} live flows in 2^{size_exp} slots with {} records of parsers", report.live, report.plugin_slots);
    // The dns parser exports a flow when its answer has come.
    let by_parsers = report.cache.ended_total() - out;
    println!("ended meanwhile: {by_parsers} exported by parsers, {out} pushed out; refused: {:?}", report.refused);
    println!("table and all else that is taken at start: {:.0} MB", mb(empty - before));
    println!("rows and records of parsers: {:.0} MB, {:.0} MB a million", mb(full - empty), mb(full - empty) / million);
    println!("resident for each million of live flows: {:.0} MB", mb(full - before) / million);
}

/// From /proc/self/status; this program measures on Linux only.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("kilobytes")
}

fn against_hostile(packets: u64, rounds: u64) {
    let colliding = hostile::collisions(packets, COLLIDING, shape(FLOWS));
    let sources = [
        ("64-byte packets, 100 k flows", frames::profile(Profile::Small64, packets, FLOWS)),
        ("each packet a new flow", frames::profile(Profile::Syn, packets, 0)),
        ("each packet a lone fragment", hostile::fragments(packets)),
        ("4096 flows aimed at one bucket", colliding),
    ];
    let mut rigs = sources.map(|(name, source)| (name, Rig::new(source, FLOWS, &[]), [Vec::new(), Vec::new()]));
    let mut ipfix = Ipfix::default();
    for round in 0..=rounds {
        for (_, rig, times) in &mut rigs {
            let mut takes: [&mut dyn FnMut(&Batch); 2] = [&mut |_| (), &mut |batch| ipfix.batch(batch)];
            for (take, times) in takes.iter_mut().zip(times) {
                let begun = Instant::now();
                rig.pass(take);
                // The first round fills table and caches.
                if round > 0 {
                    times.push(begun.elapsed().as_secs_f64() * 1e9 / packets as f64);
                }
            }
        }
    }
    println!("{:32} {:>12} {:>12} {:>8} {:>8}", "ns a packet, median", "lane", "and IPFIX", "cliff", "cliff");
    let mut base = None;
    for (name, rig, times) in &mut rigs {
        let [lane, with_ipfix] = times.each_mut().map(|times| median(times));
        let (b, c) = *base.get_or_insert((lane, with_ipfix));
        println!("{name:32} {lane:12.1} {with_ipfix:12.1} {:8.2} {:8.2}", lane / b, with_ipfix / c);
        rig.check();
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
