//! Far more packets than a lane can take: each that was sent is taken or in a named counter, and the books behind it balance
//! (RELIABILITY.md, I1 to I5). And a burst at the same speed that the ring holds: nothing is lost.
//!
//! The kernel sends (live frames of BPF_PROG_TEST_RUN, millions a second) from the processor that the lane has to work on.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
mod support;
#[path = "live/xdp.rs"]
mod xdp;

use ebpf::Generator;
use netns::{HERE, Running, THERE};
use std::process::Command;
use support::{Run, Summary, json_lines, outcome};
use xdp::{books, inside};

const FLOWS: u32 = 5_000;
const FRAME_BYTES: u64 = 60;

fn ip(words: &str) {
    outcome(Command::new("ip").args(words.split(' '))).must(0);
}

/// Sends so many packets in one go to a capture with a ring of so many MiB; answers the run, and packets that veth refused on the way.
fn sent(backend: &str, ring_mib: &str, packets: u32) -> (Run, u64) {
    // Frames of 2 KiB hold an MTU of 1500; veth takes XDP frames if its receiving end polls, which GRO makes it do.
    [HERE, THERE].iter().for_each(|link| ip(&format!("link set {link} mtu 1500")));
    outcome(Command::new("ethtool").args(["-K", HERE, "gro", "on"])).must(0);
    let cpu = *sys::usable_cpus().expect("a processor").first().expect("a processor");
    let cpus = cpu.to_string();
    let args = ["probe", "-i", HERE, "--backend", backend, "--ring", ring_mib, "--cpus", &cpus, "--json", "-"];
    let running = Running::start(&mut support::sonda(args));
    running.wait_for(&format!(": {backend}, "));
    let before = refused();
    let to = sys::interface(THERE).expect("the other end").index;
    std::thread::spawn(move || {
        sys::run_on(&[cpu]).expect("this processor is usable");
        Generator::new(to, FLOWS).and_then(|mut generator| generator.send(packets)).expect("this test needs root");
    })
    .join()
    .expect("all were sent");
    (running.interrupt().must(130), refused() - before)
}

/// Frames that veth's sending end could not hand over, because the receiving end's ring was full.
fn refused() -> u64 {
    let text = outcome(Command::new("ethtool").args(["-S", THERE])).must(0).stdout;
    let errors = text.lines().filter(|line| line.contains("xdp_xmit_errors"));
    errors.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Packets and bytes are the same at each step, from the wire to the records. Answers what was lost, by reason.
fn balanced(run: &Run, sent: u64, refused: u64) -> std::collections::HashMap<String, u64> {
    println!("{}{refused} refused on the way", run.stderr);
    // sent = refused on the way + offered; offered = taken + sum of reasons.
    let (offered, taken, lost) = books(run);
    assert_eq!(offered + refused, sent, "I1, I2\n{}", run.stderr);
    // taken = decoded, in packets and bytes; decoded = in records.
    let summary = Summary::of(&run.stderr);
    assert_eq!((summary.packets, summary.decoded, summary.wire_bytes), (taken, taken, taken * FRAME_BYTES), "I4");
    let flows = json_lines(&run.stdout);
    let sum = |field: &str| flows.iter().map(|flow| flow[field].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(sum("packets") + sum("packets_rev"), taken, "I5");
    assert_eq!(sum("bytes") + sum("bytes_rev"), taken * (FRAME_BYTES - 14), "I5, bytes");
    assert_eq!(summary.records, (flows.len() as u64, flows.len() as u64));
    lost
}

fn lost_by(backend: &str, reason: &str) {
    let packets = 600_000;
    let (run, refused) = sent(backend, "1", packets);
    let lost = balanced(&run, packets.into(), refused);
    let (all, named) = (lost.values().sum::<u64>(), lost.get(reason).copied().unwrap_or(0));
    assert!(named > 10_000 && all == named, "{reason} alone, and much of it: {lost:?}");
}

fn not_lost(backend: &str) {
    // Fewer than the ring has room for, even if the lane does not work once.
    let packets = 30_000;
    let (run, refused) = sent(backend, "160", packets);
    let lost = balanced(&run, packets.into(), refused);
    // What veth refuses has not come to the interface.
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn af_xdp_loses_to_a_full_ring_and_counts_each() {
    inside("af_xdp_loses_to_a_full_ring_and_counts_each", 1, |_| lost_by("af_xdp", "rx_ring_full"));
}

#[test]
fn af_packet_loses_to_a_full_ring_and_counts_each() {
    inside("af_packet_loses_to_a_full_ring_and_counts_each", 1, |_| lost_by("af_packet", "kernel_ring"));
}

#[test]
fn what_the_rings_hold_is_not_lost() {
    inside("what_the_rings_hold_is_not_lost", 1, |_| ["af_xdp", "af_packet"].into_iter().for_each(not_lost));
}
