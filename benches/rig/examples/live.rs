//! What a packet from AF_XDP costs the lane that takes it (PERFORMANCE.md P5): `live [PACKETS [FLOWS]]`, as root, on two processors or more.
//!
//! In a network namespace of its own, the kernel sends 60-byte packets on one end of a veth pair with native XDP, which copies them into
//! the socket on the other end; a lane without plugins counts them into flows. Its cost is the processor time of its thread, by the
//! scheduler's account (/proc/thread-self/schedstat), system calls included, divided by its packets. Twice: while packets are sent, and over
//! packets that wait in the ring already.
#![forbid(unsafe_code)]

use dataplane::batch::Batch;
use dataplane::capture::{CaptureSource, HugePages, Poll, XdpConfig, XdpSource};
use dataplane::cpus;
use dataplane::flow::key::HashSeed;
use ebpf::Generator;
use std::process::Command;
use std::time::Instant;

const HERE: &str = "v0";
const THERE: &str = "v1";

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>().expect("a number"));
    let (packets, flows) = (args.next().unwrap_or(4_000_000), args.next().unwrap_or(60_000));
    if std::env::var_os("SONDA_INSIDE").is_none() {
        return in_a_namespace(packets, flows);
    }
    // 64 ms of two million packets a second: another process may have our processor for a while.
    let config = XdpConfig { ring_bytes: Some(512 << 20), huge: HugePages::Try, ..XdpConfig::default() };
    let mut source = XdpSource::open(HERE, &config).unwrap_or_else(|e| panic!("{e}")).remove(0);
    println!("{}", source.control().how());
    let there = sys::interface(THERE).expect("the other end").index;
    let mut lane = rig::lane(flows.into(), &[], HashSeed::FILES);
    let mut take = |source: &mut XdpSource| {
        let poll = lane.step(source).expect("packets");
        if lane.batch().is_full() {
            Batch::clear(lane.batch());
        }
        poll
    };
    cpus::pin(Some(1));

    let sending = std::thread::spawn(move || {
        cpus::pin(Some(0));
        let mut generator = Generator::new(there, flows).expect("a generator");
        let started = Instant::now();
        generator.send(packets).expect("sent");
        started.elapsed()
    });
    let before = busy_nanos();
    while !sending.is_finished() {
        take(&mut source);
    }
    while take(&mut source) == Poll::More {}
    let busy = busy_nanos() - before;
    let took = sending.join().expect("sent");
    let stats = source.stats();
    let counts = source.control().counters().total().expect("counters");
    println!(
        "while sent: {} packets in {:.2} s ({:.2} Mpps), {} lost in the ring, {} before XDP; {:.1} ns of the lane each",
        stats.packets,
        took.as_secs_f64(),
        f64::from(packets) / took.as_secs_f64() / 1e6,
        stats.drops.total(),
        u64::from(packets) - counts.seen(),
        busy as f64 / stats.packets as f64
    );

    // Rounds over a ring that was filled before.
    let mut costs = Vec::new();
    for _ in 0..10 {
        let sending = std::thread::spawn(move || {
            cpus::pin(Some(0));
            Generator::new(there, flows).and_then(|mut generator| generator.send(100_000)).expect("sent");
        });
        sending.join().expect("sent");
        let (packets, before) = (source.stats().packets, busy_nanos());
        while take(&mut source) == Poll::More {}
        costs.push((busy_nanos() - before) as f64 / (source.stats().packets - packets) as f64);
    }
    costs.sort_by(f64::total_cmp);
    println!(
        "from a full ring: {:.1} ns of the lane each (least {:.1}, most {:.1})",
        costs[costs.len() / 2],
        costs[0],
        costs[costs.len() - 1]
    );
    source.close().expect("closed");
    while take(&mut source) != Poll::End {}
    let (stats, counts) = (source.stats(), source.control().counters().total().expect("counters"));
    assert_eq!(counts.imbalance(), None, "I2");
    assert_eq!(counts.seen(), counts.passed() + stats.packets + stats.drops.total(), "I3");
    lane.finish(Batch::clear);
    assert_eq!(lane.report(&source).imbalance(), Vec::<String>::new());
}

/// Runs this program again in a namespace with a veth pair of one queue, and takes that away again.
fn in_a_namespace(packets: u32, flows: u32) {
    let name = format!("sonda-live-{}", std::process::id());
    let ip = |words: &str| Command::new("ip").args(words.split(' ')).status().is_ok_and(|s| s.success());
    assert!(ip(&format!("netns add {name}")), "this needs root");
    let own = std::env::current_exe().expect("a program");
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &name, own.to_str().expect("plain"), &packets.to_string(), &flows.to_string()]);
    let made = ip(&format!("-n {name} link add {HERE} type veth peer name {THERE}"))
        && Command::new("ip")
            .args(["netns", "exec", &name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
            .status()
            .is_ok()
        && ip(&format!("-n {name} link set {HERE} up"))
        && ip(&format!("-n {name} link set {THERE} up"));
    let ran = made && inside.env("SONDA_INSIDE", "1").status().is_ok_and(|status| status.success());
    ip(&format!("netns del {name}"));
    assert!(ran, "it failed inside the namespace");
}

/// Processor time of this thread, nanoseconds.
fn busy_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel with CONFIG_SCHED_INFO");
    text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}
