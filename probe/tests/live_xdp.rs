//! AF_XDP on multi-queue veth with native XDP, in network namespaces: what arrives is what was sent, and every packet is in one book.
//!
//! What needs the source itself, not only the program, runs the test's own binary again inside the namespace.

#[path = "live/netns.rs"]
mod netns;
#[path = "live/queues.rs"]
mod queues;
mod support;
#[path = "live/traffic.rs"]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use benches::cases::cases;
use dataplane::capture::{CaptureDrop, CaptureSource, Frame, OpenOptions, Poll, XdpConfig, XdpSource, open};
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode};
use ebpf::{Ended, Policy, Tuple};
use netns::{HERE, Netns, THERE};
use queues::two_parts;
use serde_json::Value;
use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Folder, Summary, assert_same, bytes_of, flows, json_lines, mixture, outcome};
use traffic::{sendable, timeless};
use xdp::{books, captured, inside, replay, replay_first, send_by_queue, started};

#[test]
fn each_kind_of_packet_gives_the_flows_that_the_file_gives() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (bytes, sent) = sendable(cases().iter().map(|case| (case.build)()));
    let capture = folder.write("all.pcap", bytes);
    let expected = timeless(flows(&capture, &["--stats", "all"]));
    // In one queue: what veth's own hash puts into two comes in another order, which matters to fragments and directions.
    let run = captured(&ns, &["--stats", "all"], |_| ns.send(&capture, 20_000));
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (sent, sent, 0));
    assert_same("all cases", &timeless(json_lines(&run.stdout)), &expected);
}

#[test]
fn a_mixture_gives_the_flows_that_the_file_gives_by_one_lane_and_two() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(60_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    let expected = timeless(flows(&capture, &[]));
    let parts = two_parts(&folder, &capture);
    for lanes in ["1", "2"] {
        let run = captured(&ns, &["--lanes", lanes], |_| send_by_queue(&ns, &parts));
        let (offered, taken, lost) = books(&run);
        assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "lanes {lanes}: nothing is lost\n{}", run.stderr);
        assert_eq!(Summary::of(&run.stderr).packets, sent);
        assert_same(&format!("{lanes} lanes"), &timeless(json_lines(&run.stdout)), &expected);
        if lanes == "2" {
            assert!(!run.stderr.contains(" 0 packets, 0 flows"), "both lanes have work\n{}", run.stderr);
        }
    }
    // The prefilter leaves what the filter of the file leaves.
    let expected = timeless(flows(&capture, &["--filter", "tcp or (vlan and tcp)"]));
    let run = captured(&ns, &["--prefilter", "keep proto tcp; drop other"], |_| send_by_queue(&ns, &parts));
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken + lost["xdp_dropped"], lost.len()), (sent, sent, 1), "{}", run.stderr);
    assert_same("prefilter", &timeless(json_lines(&run.stdout)), &expected);
}

#[test]
fn what_a_full_ring_loses_is_counted() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(40_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    for lanes in ["1", "2"] {
        // While it is stopped the small rings fill, and the rest is lost.
        let run = captured(&ns, &["--ring", "4", "--lanes", lanes], |running| {
            running.signal("STOP");
            ns.send(&capture, 0);
            running.signal("CONT");
        });
        let (offered, taken, lost) = books(&run);
        assert!(lost["rx_ring_full"] > 0 && taken > 0, "{}", run.stderr);
        let on_the_way = ns.counter(THERE, "tx_dropped");
        assert_eq!(offered + on_the_way, sent, "each packet that was sent is in a book\n{}", run.stderr);
        assert_eq!(Summary::of(&run.stderr).packets, taken);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let ns = Netns::new(2);
    let probe = |args: &[&str]| {
        let mut all = vec!["probe", "-i", HERE, "--duration", "1"];
        all.extend(args);
        outcome(&mut ns.sonda(all))
    };
    let first = started(&ns, &[]);
    let second = probe(&["--backend", "af_xdp"]).must(1);
    assert!(second.stderr.contains("AF_XDP socket of another program"), "{}", second.stderr);
    let auto = probe(&[]).must(0);
    assert!(auto.stderr.contains("af_packet") && auto.stderr.contains("(not af_xdp: "), "{}", auto.stderr);
    first.interrupt().must(130);
    // An interface that this machine talks through is left to it.
    ns.must("ip", &["address", "add", "192.0.2.1/24", "dev", HERE]);
    let auto = probe(&[]).must(0);
    assert!(auto.stderr.contains("would take its packets from this machine"), "{}", auto.stderr);
    ns.must("ip", &["address", "flush", "dev", HERE]);
    let auto = probe(&[]).must(0);
    assert!(auto.stderr.contains("af_xdp, native XDP"), "{}", auto.stderr);
    // The memory that may be locked is less than the rings need, and the right to go beyond is missing (RELIABILITY.md, 42).
    let set = ["--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock", "prlimit", "--memlock=1048576"];
    let sonda = [env!("CARGO_BIN_EXE_sonda"), "probe", "-i", HERE, "--backend", "af_xdp", "--duration", "1"];
    let limited = outcome(&mut ns.command("setpriv", [&set[..], &sonda].concat())).must(1);
    for part in [" bytes were asked for", "`LimitMEMLOCK="] {
        assert!(limited.stderr.contains(part), "{}", limited.stderr);
    }
    assert!(!limited.stderr.contains("os error"), "{}", limited.stderr);
    assert!(limited.stderr.contains("locked memory is limited to 1048576 bytes"), "{}", limited.stderr);
}

#[test]
fn a_program_of_another_tool_is_named_and_one_taken_off_is_noticed() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    // Another tool's program, which takes no packets in parts.
    for link in [HERE, THERE] {
        ns.must("ip", &["link", "set", link, "mtu", "1500"]);
    }
    let source = folder.write(
        "other.c",
        "int other(void *ctx) __attribute__((section(\"xdp\")));\nint other(void *ctx) { (void)ctx; return 2; }\nchar L[] __attribute__((section(\"license\"))) = \"GPL\";\n",
    );
    let object = folder.path("other.o");
    let (source, object) = (source.to_str().expect("plain"), object.to_str().expect("plain"));
    ns.must("clang", &["-target", "bpf", "-O2", "-c", source, "-o", object]);
    ns.must("ip", &["link", "set", "dev", HERE, "xdp", "obj", object, "sec", "xdp"]);
    let run = outcome(&mut ns.sonda(["probe", "-i", HERE, "--backend", "af_xdp"])).must(1);
    assert!(run.stderr.contains("has another XDP program already: other (id "), "{}", run.stderr);
    ns.must("ip", &["link", "set", "dev", HERE, "xdp", "off"]);
    // Ours is taken off while it runs.
    let running = started(&ns, &[]);
    let shown: Value = serde_json::from_str(&ns.must("ip", &["-j", "link", "show", HERE])).expect("JSON");
    let program = &shown[0]["xdp"]["prog"]["id"];
    let links: Value = serde_json::from_str(&ns.must("bpftool", &["-j", "link", "list"])).expect("JSON");
    let ours = links.as_array().and_then(|links| links.iter().find(|link| link["prog_id"] == *program));
    let id = ours.map(|link| link["id"].to_string()).unwrap_or_else(|| panic!("no {program} in {links}"));
    ns.must("bpftool", &["link", "detach", "id", &id]);
    let run = running.end().must(3);
    assert!(run.stderr.contains("was taken off by another tool"), "{}", run.stderr);
}

#[test]
fn a_link_that_goes_down_comes_back_and_one_that_is_removed_is_the_end() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([bytes_of("basic_tcp")]);
    let capture = folder.write("tcp.pcap", bytes);
    let running = started(&ns, &[]);
    ns.send(&capture, 1_000);
    ns.must("ip", &["link", "set", HERE, "down"]);
    running.wait_for("is down");
    ns.must("ip", &["link", "set", HERE, "up"]);
    running.wait_for("is up again");
    ns.send(&capture, 1_000);
    ns.must("ip", &["link", "del", HERE]);
    let run = running.end().must(3);
    assert!(run.stderr.contains("is not there any more"), "{}", run.stderr);
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (2 * sent, 2 * sent, 0), "{}", run.stderr);
}

#[test]
fn rules_and_sampling_change_at_run_time_and_every_packet_stays_in_the_books() {
    inside("rules_and_sampling_change_at_run_time_and_every_packet_stays_in_the_books", 2, |folder| {
        let (bytes, sent) = sendable([mixture(100_000, 4_000)]);
        let capture = folder.join("mixture.pcap");
        std::fs::write(&capture, bytes).expect("a file");
        let mut source = XdpSource::open(HERE, &XdpConfig::default()).expect("this test needs root").remove(0);
        let control = source.control();
        let rules = [
            "drop proto udp",
            "sample 10",
            "",
            "sample 4 flow; drop port 443",
            "pass net 0.0.0.0/0; drop other",
            "drop net 128.0.0.0/1; keep net ::/0",
        ];
        let policies: Vec<Policy> = rules.iter().map(|text| text.parse().expect("rules")).collect();
        let (mut taken, mut changes, mut rounds) = (0, 0, 0);
        let mut changed = Instant::now();
        // Sent again for as long as a busy machine needs for that many changes.
        while changes <= 50 {
            rounds += 1;
            let sending = replay(&capture, 50_000);
            while !sending.is_finished() {
                source.burst(|frames| taken += frames.len() as u64).expect("packets");
                if changed.elapsed() > Duration::from_millis(7) {
                    changed = Instant::now();
                    changes += 1;
                    control.set(&policies[changes % policies.len()]).expect("a change");
                }
            }
            sending.join().expect("all was sent");
        }
        let sent = sent * rounds;
        source.close().expect("closed");
        while source.burst(|frames| taken += frames.len() as u64).expect("packets") != Poll::End {}
        let (stats, counts) = (source.stats(), control.counters().total().expect("counters"));
        println!("{changes} changes: {stats:?} {counts:?}");
        assert_eq!((counts.seen(), counts.imbalance()), (sent, None), "I2");
        assert_eq!(stats.packets, taken);
        assert_eq!(
            counts.of(Ended::Redirected),
            taken + stats.drops.of(CaptureDrop::RxRingFull) + stats.drops.of(CaptureDrop::RxDropped),
            "I3"
        );
        assert_eq!(stats.drops.of(CaptureDrop::RxRingFull) + stats.drops.of(CaptureDrop::RxDropped), 0);
        assert_eq!(counts.seen(), taken + counts.passed() + stats.drops.total());
        for ended in [
            Ended::Sampled,
            Ended::PassedByRule,
            Ended::DroppedProtocol,
            Ended::DroppedAddress,
            Ended::DroppedPort,
            Ended::DroppedOther,
        ] {
            assert!(counts.of(ended) > 0, "{ended:?}: {counts:?}");
        }
    });
}

/// Packets and IP bytes of each flow and direction.
type Sums = HashMap<Tuple, [[u64; 2]; 2]>;

fn add(sums: &mut Sums, frame: &Frame<'_>) -> Option<Tuple> {
    let mut packet = Packet::default();
    decode(frame, &DecodeConfig::default(), &mut packet).ok()?;
    let (a, b) = packet.key.endpoints();
    let (tuple, _) = Tuple::new((a.ip, a.port), (b.ip, b.port), packet.key.vlan(), packet.key.protocol());
    let sum = &mut sums.entry(tuple).or_default()[usize::from(packet.reversed)];
    *sum = [sum[0] + 1, sum[1] + u64::from(packet.ip_len)];
    (sum[0] == 1).then_some(tuple)
}

#[test]
fn offloaded_elephants_are_counted_exactly_and_reach_user_space_ten_times_less() {
    inside("offloaded_elephants_are_counted_exactly_and_reach_user_space_ten_times_less", 2, |folder| {
        let mut bytes = Vec::new();
        benches::write_capture(benches::Profile::Small64, 100_000, 40, 3, &mut bytes).expect("memory");
        let (bytes, mut sent) = sendable([bytes]);
        let capture = folder.join("elephants.pcap");
        std::fs::write(&capture, bytes).expect("a file");
        // All flows are known before the flood comes, however late this thread is woken: the first frames are sent before it. More of them
        // are sent after it, when no flow is taken back any more, in which time its packets reach user space.
        const WARM: u64 = 2_000;
        const CALM: u64 = 50_000;
        let mut expected = Sums::new();
        let mut file = open(&capture, OpenOptions::default()).expect("the capture");
        let mut read = 0;
        let mut expect = |frame: &Frame<'_>| {
            read += 1;
            (0..1 + u32::from(read <= WARM) + u32::from(read <= CALM)).for_each(|_| _ = add(&mut expected, frame));
        };
        while file.burst(|frames| frames.iter().for_each(&mut expect)).expect("frames") != Poll::End {}
        sent += WARM + CALM;
        let policy = "offload sample 100".parse().expect("rules");
        let config = XdpConfig { policy, ..XdpConfig::default() };
        let mut source = XdpSource::open(HERE, &config).expect("this test needs root").remove(0);
        let control = source.control();
        let mut offload = control.offload().expect("the first to ask");
        let parts: [&dyn Fn() -> _; 3] =
            [&|| replay_first(WARM, &capture, 10_000), &|| replay(&capture, 25_000), &|| {
                replay_first(CALM, &capture, 25_000)
            }];
        let (mut sums, mut flows, mut taken) = (Sums::new(), Vec::new(), 0);
        let (mut again, mut at) = (0, Instant::now());
        let mut taken_of = [0; 3];
        for (part, (send, taken_of)) in parts.iter().zip(&mut taken_of).enumerate() {
            let (before, sending) = (taken, send());
            let mut poll = Poll::More;
            while !sending.is_finished() || poll == Poll::More {
                poll = source
                    .burst(|frames| {
                        taken += frames.len() as u64;
                        for tuple in frames.iter().filter_map(|frame| add(&mut sums, frame)) {
                            offload.add(&tuple).expect("a slot");
                            flows.push(tuple);
                        }
                    })
                    .expect("packets");
                // Some are taken back in the middle of the traffic, and offloaded anew.
                if part == 1 && at.elapsed() > Duration::from_millis(100) && again < 15 {
                    at = Instant::now();
                    again += 1;
                    let some: Vec<Tuple> = flows.iter().copied().skip(again % 7).step_by(7).collect();
                    merge(&mut sums, &some, &offload.take(&some).expect("tallies"));
                    some.iter().for_each(|tuple| offload.add(tuple).expect("a slot"));
                }
            }
            sending.join().expect("all was sent");
            *taken_of = taken - before;
        }
        source.close().expect("closed");
        while source
            .burst(|frames| {
                taken += frames.len() as u64;
                frames.iter().for_each(|frame| _ = add(&mut sums, frame));
            })
            .expect("packets")
            != Poll::End
        {}
        merge(&mut sums, &flows, &offload.take(&flows).expect("tallies"));
        let counts = control.counters().total().expect("counters");
        println!("{sent} sent, {taken_of:?} to user space, {again} times taken back: {counts:?}");
        assert_eq!((counts.seen(), counts.imbalance()), (sent, None));
        assert_eq!(counts.of(Ended::Offloaded) + taken, sent);
        assert!(sums == expected, "packets and bytes of each flow and direction are exact");
        assert!(taken_of[2] * 10 < CALM, "{taken_of:?} of {sent} reached user space");
        assert!(again > 0);
        assert_eq!(offload.in_use(), 0);
    });
}

fn merge(sums: &mut Sums, flows: &[Tuple], tallies: &[ebpf::Tally]) {
    for (flow, tally) in flows.iter().zip(tallies) {
        for (at, sum) in sums.entry(*flow).or_default().iter_mut().enumerate() {
            *sum = [sum[0] + tally.packets[at], sum[1] + tally.bytes[at]];
        }
    }
}

/// Sends UDP packets of these lengths to an address, and answers how the interface's source has them.
fn echoed(interface: &str, to: &str, lengths: &[usize]) -> (ebpf::Mode, Vec<bool>) {
    let mut source = XdpSource::open(interface, &XdpConfig::default()).expect("this test needs root").remove(0);
    let payload: Vec<u8> = (0..65_507u32).map(|n| ((n * 7) >> 3) as u8).collect();
    let sender = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    for length in lengths {
        sender.send_to(&payload[..*length], to).expect("sent");
    }
    let mut whole = Vec::new();
    let patience = Instant::now() + Duration::from_secs(60);
    while whole.len() < lengths.len() && Instant::now() < patience {
        let mut look = |frame: &Frame<'_>| {
            let length = lengths[whole.len().min(lengths.len() - 1)];
            whole.push(frame.bytes.len() == 42 + length && frame.bytes[42..] == payload[..length]);
        };
        source.burst(|frames| frames.iter().for_each(&mut look)).expect("packets");
    }
    source.close().expect("closed");
    while source.burst(|_| panic!("one too many")).expect("packets") != Poll::End {}
    let (stats, counts) = (source.stats(), source.control().counters().total().expect("counters"));
    println!("{}: {stats:?} {counts:?}", source.control().how());
    assert_eq!((stats.packets + stats.drops.total(), counts.imbalance()), (counts.of(Ended::Redirected), None));
    (source.control().mode(), whole)
}

#[test]
fn long_packets_come_whole_in_the_driver_and_in_the_stack() {
    inside("long_packets_come_whole_in_the_driver_and_in_the_stack", 1, |_| {
        let ip = |words: &str| drop(outcome(Command::new("ip").args(words.split(' '))).must(0));
        ip(&format!("address add 192.0.2.1/24 dev {THERE}"));
        ip(&format!("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev {THERE}"));
        // One frame of memory holds 3,840 bytes.
        let lengths = [10, 3_700, 3_798, 3_799, 5_000, 8_900, 1, 8_972];
        let (mode, whole) = echoed(HERE, "192.0.2.2:9", &lengths);
        assert_eq!((mode, whole), (ebpf::Mode::Native, vec![true; lengths.len()]));
        let (mode, whole) = echoed("lo", "127.0.0.1:9", &[10, 1_000, 5_000, 20_000, 60_000, 3]);
        assert_eq!((mode, whole), (ebpf::Mode::Generic, vec![true; 6]));
    });
}
