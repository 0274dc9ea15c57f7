//! `cargo xtask compare`: generated captures through softflowd, nfpcapd and sonda, pinned to one core, in turns.
//!
//! Times mean nothing where sums differ, so those come first: packets and IP octets as the generator wrote them, as the peers say, and as
//! the flow records say that sonda exports. Octets mean the same in all: the length fields of IP headers. Numbers of flows differ by
//! intention and are compared only where each packet is a flow: softflowd holds 8192 flows and forces older ones out, waits an hour for
//! a quiet TCP flow where sonda waits 30 seconds, and counts biflows as one where nfpcapd and the export have two records.
//! All read the same file, which lies in the page cache as one that came from the disk does.
mod collector;
mod peers;
mod timing;

use crate::{Outcome, shell, synth};
use benches::{Profile, Totals};
use clap::ValueEnum;
pub(crate) use collector::Sink;
use collector::{Collector, Sums};
pub(crate) use peers::ORIGINAL;
use peers::{Peers, Row};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use timing::{CORE, Runs, in_turns};

/// Compare throughput with softflowd and nfpcapd on generated captures
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum, default_value_t = Which::All)]
    profile: Which,
    /// Packets in each capture; without it as many as the captures had that the floors come from
    #[arg(long)]
    packets: Option<u64>,
    /// Runs of each program; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Floors, in times softflowd's speed by CPU time: basic on realistic, small64 and syn traffic
    #[arg(long, value_name = "TIMES", num_args = 3, default_values_t = FLOORS)]
    floors: Vec<f64>,
    /// Floor of http, dns, smtp, sip and tls on realistic traffic, in times softflowd's basic speed
    #[arg(long, default_value_t = FLOOR_FIVE)]
    floor_five: f64,
    /// Floor of all that the original has, and of all that there is, on realistic traffic, in times softflowd's basic speed
    #[arg(long, default_value_t = FLOOR_ALL)]
    floor_all: f64,
    /// This program in place of one that is built for release
    #[arg(long, value_name = "SONDA")]
    program: Option<PathBuf>,
    /// Fail below a floor
    #[arg(long)]
    strict: bool,
}

/// PERFORMANCE.md P1 and P2, as the issue states them against softflowd.
const FLOORS: [f64; 3] = [5.5, 29.0, 3.6];
const FLOOR_FIVE: f64 = 3.2;
/// P3, as issue 8 states it.
const FLOOR_ALL: f64 = 1.3;
/// Bytes of an Ethernet header. softflowd counts all that follows it in a short frame: the padding of the 44 bytes of a SYN to 46.
const ETHERNET: u64 = 14;
/// Flows of the small64 capture.
const SMALL64_FLOWS: u64 = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Realistic,
    Small64,
    Syn,
    All,
}

/// Each with the packets of PERFORMANCE.md's captures, *mixed*, *small64* and *syn*: what a program does once, at its start, weighs the more the
/// shorter a capture is.
const PROFILES: [(Which, Profile, &str, u64); 3] = [
    (Which::Realistic, Profile::Realistic, "realistic", 3_100_000),
    (Which::Small64, Profile::Small64, "small64", 10_000_000),
    (Which::Syn, Profile::Syn, "syn", 2_000_000),
];

pub(crate) fn run(args: &Args) -> Outcome {
    let peers = Peers::ready(args.program.as_deref())?;
    let mut below = Vec::new();
    for ((which, profile, name, packets), floor) in PROFILES.into_iter().zip(&args.floors) {
        if args.profile == which || args.profile == Which::All {
            let packets = args.packets.unwrap_or(packets);
            below.extend(compare(args, &peers, (profile, name, packets), *floor)?);
        }
    }
    if below.is_empty() || !args.strict {
        return Ok(());
    }
    Err(format!("below the floor: {}", below.join("; ")))
}

/// One capture. Answers the rows below their floor.
fn compare(
    args: &Args,
    peers: &Peers,
    (profile, name, packets): (Profile, &str, u64),
    floor: f64,
) -> Result<Vec<String>, String> {
    let (capture, totals) = capture(args.seed, profile, name, packets)?;
    settle(&capture)?;
    let peers = peers.over(&capture);
    println!("\n{}: {} bytes on the wire", capture.display(), totals.bytes);
    check_sums(&peers, &totals, profile)?;
    let sink = Sink::start().map_err(|e| format!("no socket for the flows: {e}"))?;
    let floors = (floor, args.floor_five, args.floor_all);
    let rows = peers.rows(sink.port, profile == Profile::Realistic, floors);
    let times = in_turns(&rows, args.runs.max(1))?;
    println!("\nmedian of {} runs in turns, core {CORE}; flows over UDP to a sink that counts", args.runs.max(1));
    println!("{:36} {:>8} {:>8} {:>10} {:>7} {:>7}", "", "wall s", "CPU s", "Mpkt/CPU s", "CPU x", "wall x");
    let mut below = Vec::new();
    for (row, time) in rows.iter().zip(&times) {
        let verdict = verdict(row, time.times_of(&times[0]).cpu);
        println!("{}{verdict}", line(row, time, &times[0], totals.packets));
        if verdict.starts_with("  BELOW") {
            below.push(format!("{}, {name}:{verdict}", row.name));
        }
    }
    println!("x: how many times as fast as the first row, median of the rounds; the sink took {} bytes", sink.bytes());
    Ok(below)
}

fn line(row: &Row, runs: &Runs, first: &Runs, packets: u64) -> String {
    let (time, times) = (runs.median(), runs.times_of(first));
    let speed = packets as f64 / 1e6 / time.cpu;
    format!("{:36} {:8.3} {:8.3} {:10.2} {:7.2} {:7.2}", row.name, time.wall, time.cpu, speed, times.cpu, times.wall)
}

fn verdict(row: &Row, times: f64) -> String {
    match row.floor {
        None => String::new(),
        Some(floor) if times >= floor => format!("  PASS (floor {floor})"),
        Some(floor) => format!("  BELOW (floor {floor})"),
    }
}

/// The capture of these arguments, made once, and what the generator wrote into it.
fn capture(seed: u64, profile: Profile, name: &str, packets: u64) -> Result<(PathBuf, Totals), String> {
    let folder = shell::target_dir().join("compare");
    let path = folder.join(format!("{name}-{packets}-{seed}.pcap"));
    let noted = path.with_extension("totals");
    if let Some(totals) = fs::read_to_string(&noted).ok().and_then(|text| parse(&text))
        && path.is_file()
    {
        return Ok((path, totals));
    }
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let flows = if profile == Profile::Small64 { SMALL64_FLOWS } else { 0 };
    let t = synth::write(profile, packets, flows, seed, &path)?;
    let text = format!("{} {} {} {}\n", t.packets, t.bytes, t.ip_bytes, t.flows);
    // Written last: a note without its whole capture cannot be.
    fs::write(&noted, text).map_err(|e| format!("{}: {e}", noted.display()))?;
    Ok((path, t))
}

/// Leaves the capture in the page cache as if it had come from the disk: what read-ahead brings lies in large folios, what a program wrote
/// lies in pieces as small as its writes. Over 855 MB mapping costs 1 ms in place of 32, reading by 256 KiB 81 in place of 113: a
/// difference for every program here, which nobody's capture has that was not written this minute.
fn settle(capture: &Path) -> Outcome {
    let told = |e: std::io::Error| format!("{}: {e}", capture.display());
    let mut file = fs::File::open(capture).map_err(told)?;
    file.sync_all().map_err(told)?;
    // Drops the file from the cache by posix_fadvise(2), as dd's manual says.
    let input = format!("if={}", capture.display());
    shell::read(Command::new("dd").args([&input, "iflag=nocache", "count=0", "status=none"]))?;
    std::io::copy(&mut file, &mut std::io::sink()).map_err(told)?;
    Ok(())
}

fn parse(text: &str) -> Option<Totals> {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[packets, bytes, ip_bytes, flows] = numbers.as_slice() else { return None };
    Some(Totals { packets, bytes, ip_bytes, flows })
}

fn check_sums(peers: &peers::Over<'_>, totals: &Totals, profile: Profile) -> Outcome {
    let sink = Sink::start().map_err(|e| format!("no socket for the flows: {e}"))?;
    let wrote = Sums { flows: totals.flows, packets: totals.packets, octets: totals.ip_bytes };
    let sonda = |native| {
        let collector = Collector::start().map_err(|e| format!("no socket for the flows: {e}"))?;
        peers.sonda_over_tcp(collector.port, native)?;
        collector.sums()
    };
    let all = [
        ("generator", wrote),
        ("softflowd -6, its statistics", peers.softflowd_sums(sink.port)?),
        ("nfpcapd, by nfdump", peers.nfpcapd_sums()?),
        ("sonda ipfixprobe, its IPFIX", sonda(false)?),
        ("sonda probe, its IPFIX", sonda(true)?),
    ];
    println!("{:36} {:>10} {:>12} {:>14}", "", "flows", "packets", "IP octets");
    for (name, sums) in all {
        println!("{name:36} {:>10} {:>12} {:>14}", sums.flows, sums.packets, sums.octets);
    }
    // Where each packet is a flow, all mean the same by it.
    let flows = |sums: Sums| if profile == Profile::Syn { sums.flows } else { 0 };
    let differs = all.iter().find(|(name, sums)| {
        let is_padded = profile == Profile::Syn && name.starts_with("softflowd");
        let octets = if is_padded { totals.bytes - ETHERNET * totals.packets } else { wrote.octets };
        (flows(*sums), sums.packets, sums.octets) != (flows(wrote), wrote.packets, octets)
    });
    let Some((name, _)) = differs else { return Ok(()) };
    Err(format!("{name}: flows, packets or octets differ; a comparison of times would mean nothing"))
}
