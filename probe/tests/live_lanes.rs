//! Several lanes on one queue: AF_XDP sockets that share its memory, and packets spread over them by their addresses. Each flow is one
//! lane's, both directions and all fragments, and every packet is in one book.

#[path = "live/netns.rs"]
mod netns;
mod support;
#[path = "live/traffic.rs"]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use benches::cases::cases;
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, Spread, XdpConfig, XdpSource, open};
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode};
use ebpf::{Ended, Tuple};
use netns::{HERE, Netns, THERE};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Folder, Summary, assert_same, flows, json_lines, mixture, outcome};
use traffic::{sendable, timeless};
use xdp::{books, captured, inside};

#[test]
fn lanes_on_one_queue_give_the_flows_that_the_file_gives() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    // The cases repeat a few flows, inside of tunnels too: there the outer addresses decide, so a flow would be one lane's here and
    // another's there.
    let direct = cases().iter().filter(|case| !["gre", "ipip", "sixinfour"].contains(&case.name));
    let each_kind = sendable(direct.map(|case| (case.build)()));
    for (name, (bytes, sent)) in [("cases", each_kind), ("mixture", sendable([mixture(60_000, 4_000)]))] {
        let capture = folder.write(&format!("{name}.pcap"), bytes);
        let expected = timeless(flows(&capture, &["--stats", "all"]));
        for lanes in ["2", "3", "4"] {
            let run = captured(&ns, &["--lanes", lanes, "--stats", "all"], |_| ns.send(&capture, 20_000));
            let (offered, taken, lost) = books(&run);
            assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "{name}, {lanes} lanes\n{}", run.stderr);
            assert_same(&format!("{name}, {lanes} lanes"), &timeless(json_lines(&run.stdout)), &expected);
            let idle = name == "mixture" && run.stderr.contains(" 0 packets, 0 flows");
            assert!(!idle, "each lane has work\n{}", run.stderr);
        }
    }
}

#[test]
fn what_full_rings_of_a_shared_queue_lose_is_counted() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(40_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    let run = captured(&ns, &["--ring", "4", "--lanes", "3"], |running| {
        running.signal("STOP");
        ns.send(&capture, 0);
        running.signal("CONT");
    });
    let (offered, taken, lost) = books(&run);
    assert!(lost["rx_ring_full"] > 0 && taken > 0, "{}", run.stderr);
    assert!(!lost.contains_key("rx_dropped"), "the frames of a lane suffice for its ring\n{}", run.stderr);
    assert_eq!(
        offered + ns.counter(THERE, "tx_dropped"),
        sent,
        "each packet that was sent is in a book\n{}",
        run.stderr
    );
    assert_eq!(Summary::of(&run.stderr).packets, taken);
}

/// The flow of a frame, whatever its direction.
fn tuple(frame: &Frame<'_>) -> Option<(Tuple, bool)> {
    let mut packet = Packet::default();
    decode(frame, &DecodeConfig::default(), &mut packet).ok()?;
    let (a, b) = packet.key.endpoints();
    let (tuple, _) = Tuple::new((a.ip, a.port), (b.ip, b.port), packet.key.vlan(), packet.key.protocol());
    Some((tuple, packet.reversed))
}

/// The two directions of the flows of a capture, in two files.
fn two_directions(folder: &Path, capture: &Path) -> [std::path::PathBuf; 2] {
    let mut parts = [(), ()].map(|()| PcapWriter::new(Vec::new(), LinkType::Ethernet, true).expect("memory"));
    let mut source = open(capture, OpenOptions::default()).expect("the capture");
    let mut put = |frame: &Frame<'_>| {
        let reversed = tuple(frame).is_some_and(|(_, reversed)| reversed);
        parts[usize::from(reversed)].frame(frame).expect("memory");
    };
    while source.burst(|frames| frames.iter().for_each(&mut put)).expect("frames") != Poll::End {}
    let mut names = ["there.pcap", "back.pcap"].map(|name| folder.join(name)).into_iter();
    parts.map(|part| {
        let path = names.next().expect("two");
        std::fs::write(&path, part.finish().expect("memory")).expect("a file");
        path
    })
}

/// What a lane took: packets and directions of each flow.
type Taken = HashMap<Tuple, [u64; 2]>;

/// Each lane reads on a thread of its own while both directions are sent, each into a queue of its own where there are two.
fn taken_by_lanes(lanes: Vec<XdpSource>, parts: &[std::path::PathBuf; 2], queues: usize) -> Vec<(XdpSource, Taken)> {
    let sent = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = |mut lane: XdpSource| {
            let mut taken = Taken::new();
            let mut closed = false;
            loop {
                let mut add = |frame: &Frame<'_>| {
                    let (tuple, reversed) = tuple(frame).expect("what was sent decodes");
                    taken.entry(tuple).or_default()[usize::from(reversed)] += 1;
                };
                if lane.burst(|frames| frames.iter().for_each(&mut add)).expect("packets") == Poll::End {
                    return (lane, taken);
                }
                if !closed && sent.load(Ordering::Acquire) {
                    lane.close().expect("closed");
                    closed = true;
                }
            }
        };
        let lanes: Vec<_> = lanes.into_iter().map(|lane| scope.spawn(move || read(lane))).collect();
        let senders: Vec<_> = (0..2)
            .map(|n| {
                let cpu = (n % queues).to_string();
                let mut tcpreplay = Command::new("taskset");
                tcpreplay.args(["-c", &cpu, "tcpreplay", "-q", "-K", "--pps=20000", "-i", THERE]).arg(&parts[n]);
                scope.spawn(move || drop(outcome(&mut tcpreplay).must(0)))
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().expect("sent"));
        sent.store(true, Ordering::Release);
        lanes.into_iter().map(|lane| lane.join().expect("a lane")).collect()
    })
}

/// Both directions of each flow come on one lane, though they come on two queues where there are two.
fn flows_stay_together(folder: &Path, queues: usize, lanes: u32, spread: Spread) {
    let (bytes, sent) = sendable([mixture(40_000, 3_000)]);
    let capture = folder.join("mixture.pcap");
    std::fs::write(&capture, bytes).expect("a file");
    let parts = two_directions(folder, &capture);
    // An interface with one queue has no such file.
    for queue in (0..queues).filter(|_| queues > 1) {
        let map = format!("/sys/class/net/{THERE}/queues/tx-{queue}/xps_cpus");
        std::fs::write(map, (1 << queue).to_string()).expect("where packets leave");
    }
    let config = XdpConfig { lanes, spread, ..XdpConfig::default() };
    let sources = XdpSource::open(HERE, &config).expect("this test needs root");
    let control = sources[0].control();
    println!("{}", control.how());
    let lanes = taken_by_lanes(sources, &parts, queues);
    let mut both = 0;
    for (at, (source, taken)) in lanes.iter().enumerate() {
        let stats = source.stats();
        let packets: u64 = taken.values().flatten().sum();
        println!("lane {at}: {} flows, {stats:?}", taken.len());
        // I3 of the lane: what was redirected to its sockets it took, and nothing was lost.
        assert_eq!((stats.offered, stats.packets, stats.drops.total()), (Some(packets), packets, 0));
        assert!(packets > 0, "each lane has work");
        both += taken.values().filter(|n| n[0] > 0 && n[1] > 0).count();
        let elsewhere = lanes[at + 1..].iter().flat_map(|(_, taken)| taken.keys());
        for flow in elsewhere {
            assert!(!taken.contains_key(flow), "{flow:?} is on two lanes");
        }
    }
    assert!(both > 500, "{both} flows with two directions");
    let counts = control.counters().total().expect("counters");
    assert_eq!((counts.seen(), counts.of(Ended::Redirected), counts.imbalance()), (sent, sent, None), "I2");
}

#[test]
fn a_queue_for_three_lanes_keeps_flows_together() {
    inside("a_queue_for_three_lanes_keeps_flows_together", 1, |folder| {
        flows_stay_together(folder, 1, 3, Spread::Queues);
    });
}

#[test]
fn every_lane_on_every_queue_keeps_flows_together_that_come_on_two() {
    inside("every_lane_on_every_queue_keeps_flows_together_that_come_on_two", 2, |folder| {
        flows_stay_together(folder, 2, 3, Spread::Flows);
    });
}
