//! Small programs of fixed work, whose instructions `cargo xtask budget` counts.
//!
//! `budget` lists them, one to a line: its name, and if its cost is what it takes more than another, that one's name. `budget NAME PASSES`
//! does the work of one so many times over and prints the packets or records of one pass; what does not depend on PASSES is start-up.
#![forbid(unsafe_code)]

use benches::Profile;
use dataplane::capture::BURST;
use dataplane::capture::memory::MemorySource;
use dataplane::flow::key::HashSeed;
use dataplane::flow::table::Table;
use dataplane::flow::{Flow, FlowKey};
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode};
use rig::encode::{Ipfix, Json, UniRec};
use rig::frames::{Kind, profile};
use rig::{FIVE, Rig, all_plugins, dialogs, parsers, shape};
use std::hint::black_box;

/// Frames for the decoder, keys for the table.
const FEW: u64 = 2_048;
const DIALOGS: u64 = 100;
const PACKETS: u64 = 10_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else { return list() };
    let passes = args.next().and_then(|passes| passes.parse().ok()).expect("a number of passes");
    println!("{}", run(&name, passes));
}

fn list() {
    for (_, kind) in Kind::ALL {
        println!("decode-{kind}");
    }
    for case in ["hit", "miss", "evict"] {
        println!("table-{case}");
    }
    for parser in parsers() {
        println!("parser-{parser} dialogs-{parser}");
    }
    for encoder in ["ipfix-basic", "ipfix-tls", "ipfix-all", "unirec-tls", "json-tls"] {
        println!("{encoder}");
    }
    for lane in ["small64", "basic", "five", "all"] {
        println!("lane-{lane}");
    }
}

fn run(name: &str, passes: u64) -> u64 {
    let (group, what) = name.split_once('-').expect("a name from the list");
    match group {
        "decode" => {
            let kind = Kind::ALL.into_iter().find(|(_, kind)| *kind == what).expect("a name from the list").0;
            decode_all(kind.frames(FEW), passes)
        }
        "table" => table(what, passes),
        "parser" => lane(Rig::new(dialogs::of(what, DIALOGS), DIALOGS, &[what]), passes),
        "dialogs" => lane(Rig::new(dialogs::of(what, DIALOGS), DIALOGS, &[]), passes),
        "lane" if what == "small64" => lane(Rig::new(profile(Profile::Small64, PACKETS, FEW), FEW, &[]), passes),
        "lane" => lane(Rig::new(profile(Profile::Realistic, PACKETS, 0), PACKETS / 12, &plugins(what)), passes),
        _ => encode(group, &plugins(what), passes),
    }
}

/// What a program's name says of its plugins.
fn plugins(what: &str) -> Vec<&str> {
    match what {
        "basic" => Vec::new(),
        "five" => FIVE.to_vec(),
        "all" => all_plugins(),
        one => vec![one],
    }
}

fn decode_all(mut source: MemorySource, passes: u64) -> u64 {
    let config = black_box(DecodeConfig::default());
    let mut packets = [Packet::default(); BURST];
    for _ in 0..passes {
        rig::bursts(&mut source, |burst| {
            for (frame, packet) in burst.iter().zip(&mut packets) {
                decode(frame, &config, packet).expect("a good frame");
            }
            black_box(&packets);
        });
    }
    source.len() as u64
}

/// Finds flows that are there, does not find others, or puts a new flow in the place of the oldest of a full bucket.
fn table(what: &str, passes: u64) -> u64 {
    // A sixteenth of the slots that the flows to evict would need.
    let mut table = Table::new(shape(if what == "evict" { FEW / 16 } else { FEW })).expect("memory");
    let key = |n: u64| FlowKey::v4((n as u32).to_be_bytes(), [203, 0, 113, 1], 40_000, 443, 6, 0, false).0;
    let keys: Vec<(FlowKey, u64)> = (0..2 * FEW).map(|n| (key(n), key(n).hash(HashSeed::FILES))).collect();
    let (live, absent) = keys.split_at(FEW as usize);
    let put = |table: &mut Table, (key, hash): &(FlowKey, u64)| {
        let slot = table.room(*hash, 0).unwrap_or_else(|oldest| {
            table.remove(oldest);
            oldest
        });
        table.insert(slot, *hash, Flow::of(*key));
    };
    live.iter().for_each(|flow| put(&mut table, flow));
    for _ in 0..passes {
        match what {
            "evict" => live.iter().for_each(|flow| put(&mut table, flow)),
            _ => {
                for (key, hash) in if what == "hit" { live } else { absent } {
                    table.prefetch_tags(*hash);
                    let place = table.prefetch_flow(*hash, key.ip_version() != 4, || 7);
                    if table.at(place, *hash, key).is_none() {
                        black_box(table.find(*hash, key));
                    }
                }
            }
        }
    }
    FEW
}

fn lane(mut rig: Rig, passes: u64) -> u64 {
    for _ in 0..passes {
        rig.pass(|batch| {
            black_box(batch);
        });
    }
    rig.packets()
}

fn encode(encoder: &str, plugins: &[&str], passes: u64) -> u64 {
    let mut rig = Rig::new(dialogs::of("tls", 4 * DIALOGS), 4 * DIALOGS, plugins);
    rig.fill_batch();
    let (mut ipfix, mut unirec, mut json) = (Ipfix::default(), UniRec::new(plugins), Json::default());
    for _ in 0..passes {
        match encoder {
            "ipfix" => ipfix.batch(rig.lane.batch()),
            "unirec" => {
                black_box(unirec.batch(rig.lane.batch()));
            }
            "json" => {
                black_box(json.batch(rig.lane.batch()));
            }
            _ => panic!("{encoder} is not in the list"),
        }
    }
    rig.lane.batch().flows().len() as u64
}
