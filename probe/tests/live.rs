//! Live capture in network namespaces: what arrives is what was sent, and what is lost is counted.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
mod traffic;

use benches::cases::cases;
use netns::{HERE, Netns, Running, THERE};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Folder, Run, Summary, assert_same, bytes_of, flows, json_lines, json_so_far, mixture, outcome};
use traffic::{sendable, timeless};

/// What all runs here begin with.
const PROBE: [&str; 5] = ["probe", "-i", HERE, "--backend", "af_packet"];

/// Captures on our end while `traffic` is sent, until Ctrl-C.
fn captured(ns: &Netns, args: &[&str], traffic: impl FnOnce(&Running)) -> Run {
    let running = Running::start(&mut ns.sonda([&PROBE[..], &["--json", "-"], args].concat()));
    running.wait_for(": af_packet, ");
    traffic(&running);
    running.interrupt().must(130)
}

/// The numbers of the line `capture N = N taken + N reason`.
fn books(run: &Run) -> (u64, u64, u64) {
    let line = run.stderr.lines().find_map(|l| l.strip_prefix("  capture ")).expect("a line on the capture");
    let (offered, rest) = line.split_once(" = ").expect("a book");
    let number = |text: &str| -> u64 { text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number") };
    let ring = rest.split(" + ").find(|term| term.ends_with("kernel_ring")).map_or(0, number);
    let (offered, taken) = (number(offered), number(rest));
    assert_eq!(offered, taken + ring, "{line}");
    (offered, taken, ring)
}

/// The number of `N: NUMBER packets, NUMBER flows`.
fn packets(line: &str) -> u64 {
    line.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number of packets")
}

fn same_as_the_file(capture: &Path, sent: u64, options: &[&str], ns: &Netns) {
    let expected = timeless(flows(capture, options));
    for lanes in ["1", "2"] {
        let args = [options, &["--lanes", lanes]].concat();
        let run = captured(ns, &args, |_| ns.send(capture, 50_000));
        assert_eq!(books(&run), (sent, sent, 0), "lanes {lanes}: nothing is lost\n{}", run.stderr);
        assert_eq!(Summary::of(&run.stderr).packets, sent);
        let shares: Vec<u64> = run.stderr.lines().filter_map(|l| l.strip_prefix("  lane ")).map(packets).collect();
        if sent > 10_000 {
            assert!(shares.iter().all(|share| *share > sent / 4), "no lane has much less than its share: {shares:?}");
        }
        assert_same(&format!("{lanes} lanes, {options:?}"), &timeless(json_lines(&run.stdout)), &expected);
    }
}

#[test]
fn each_kind_of_packet_gives_the_flows_that_the_file_gives() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    // Cases by themselves: inner addresses of one's tunnels are another's plain ones, and lanes are told by the outer ones.
    let plain = ["vlan", "qinq", "fragments", "fragments_reordered", "mpls", "pppoe", "ipv6", "ipv6_ext", "icmp"];
    for group in [&plain[..], &["gre"], &["ipip"], &["sixinfour"]] {
        let (bytes, sent) = sendable(group.iter().map(|case| bytes_of(case)));
        same_as_the_file(&folder.write("group.pcap", bytes), sent, &["--stats", "all"], &ns);
    }
    let (bytes, sent) = sendable(cases().iter().map(|case| (case.build)()));
    let capture = folder.write("all.pcap", bytes);
    let expected = timeless(flows(&capture, &["--stats", "all"]));
    let run = captured(&ns, &["--stats", "all"], |_| ns.send(&capture, 50_000));
    assert_eq!(books(&run), (sent, sent, 0));
    assert_same("all cases", &timeless(json_lines(&run.stdout)), &expected);
}

#[test]
fn a_mixture_gives_the_flows_that_the_file_gives() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(60_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    same_as_the_file(&capture, sent, &[], &ns);
    same_as_the_file_filtered(&capture, sent, &ns);
}

fn same_as_the_file_filtered(capture: &Path, sent: u64, ns: &Netns) {
    let options = ["--filter", "udp", "--uniflow"];
    let expected = timeless(flows(capture, &options));
    let run = captured(ns, &options, |_| ns.send(capture, 100_000));
    assert_eq!(books(&run), (sent, sent, 0), "refused packets are taken");
    assert!(Summary::of(&run.stderr).dropped["filtered"] > 0);
    assert_same("filtered", &timeless(json_lines(&run.stdout)), &expected);
}

#[test]
fn what_a_full_ring_loses_is_counted() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(40_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    for lanes in ["1", "2"] {
        // While it is stopped the ring of 1 MiB fills, and the rest is lost.
        let run = captured(&ns, &["--ring", "1", "--lanes", lanes], |running| {
            running.signal("STOP");
            ns.send(&capture, 0);
            running.signal("CONT");
        });
        let (offered, taken, lost) = books(&run);
        let on_the_way = ns.counter(THERE, "tx_dropped");
        assert!(lost > 0 && taken > 0, "{}", run.stderr);
        assert_eq!(
            offered + on_the_way,
            sent,
            "each packet that was sent was taken or counted as lost\n{}",
            run.stderr
        );
        assert_eq!(Summary::of(&run.stderr).packets, taken);
    }
}

#[test]
fn quiet_flows_end_while_no_packets_come() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (bytes, _) = sendable([bytes_of("basic_udp")]);
    let capture = folder.write("udp.pcap", bytes);
    let (out, expected) = (folder.path("flows.json"), flows(&capture, &[]).len());
    let args = ["--inactive", "4", "--json", out.to_str().expect("plain path")];
    let running = Running::start(&mut ns.sonda([&PROBE[..], &args].concat()));
    running.wait_for(": af_packet, ");
    ns.send(&capture, 1_000);
    let end = Instant::now() + Duration::from_secs(60);
    while json_so_far(&out).len() < expected {
        assert!(Instant::now() < end, "no flow ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let run = running.interrupt().must(130);
    assert!(run.stderr.contains(" idle"), "{}{}", run.stderr, run.stdout);
    assert!(!run.stderr.contains(" forced"), "{}", run.stderr);
}

#[test]
fn a_limit_of_packets_leaves_the_rest_in_the_ring() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(5_000, 500)]);
    let capture = folder.write("mixture.pcap", bytes);
    let running = Running::start(&mut ns.sonda([&PROBE[..], &["--count", "1000", "--json", "-"]].concat()));
    running.wait_for(": af_packet, ");
    running.signal("STOP");
    ns.send(&capture, 20_000);
    running.signal("CONT");
    let run = running.end().must(0).says(&[" left in the ring"]);
    let summary = Summary::of(&run.stderr);
    assert_eq!(summary.decoded, 1000, "{}", run.stderr);
    assert!(summary.packets < sent);
}

#[test]
fn a_link_that_goes_down_comes_back_and_one_that_is_removed_ends_the_run() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(2_000, 200)]);
    let capture = folder.write("mixture.pcap", bytes);
    for lanes in ["1", "2"] {
        let run = captured(&ns, &["--lanes", lanes], |running| {
            ns.send(&capture, 20_000);
            ns.must("ip", &["link", "set", HERE, "down"]);
            running.wait_for("v0 is down");
            ns.must("ip", &["link", "set", HERE, "up"]);
            running.wait_for("v0 is up again");
            ns.send(&capture, 20_000);
        });
        assert_eq!(books(&run), (2 * sent, 2 * sent, 0), "{}", run.stderr);
    }
    let running = Running::start(&mut ns.sonda([&PROBE[..], &["--json", "-"]].concat()));
    running.wait_for(": af_packet, ");
    ns.send(&capture, 20_000);
    ns.must("ip", &["link", "del", HERE]);
    let run = running.end().must(3).says(&["v0 is not there any more"]);
    assert_eq!(books(&run), (sent, sent, 0), "{}", run.stderr);
    assert!(!run.stdout.is_empty(), "the flows so far were exported");
}

#[test]
fn an_interface_that_is_down_at_the_start_is_waited_for() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(2_000, 200)]);
    let capture = folder.write("mixture.pcap", bytes);
    for lanes in ["1", "2"] {
        ns.must("ip", &["link", "set", HERE, "down"]);
        let run = captured(&ns, &["--lanes", lanes], |running| {
            running.wait_for("v0 is down");
            ns.must("ip", &["link", "set", HERE, "up"]);
            running.wait_for("v0 is up again");
            ns.send(&capture, 20_000);
        });
        assert_eq!(books(&run), (sent, sent, 0), "{}", run.stderr);
    }
}

#[test]
fn loopback_packets_are_taken_once() {
    let ns = Netns::new(1);
    let running = Running::start(&mut ns.sonda([
        "probe",
        "-i",
        "lo",
        "--backend",
        "af_packet",
        "--filter",
        "udp",
        "--json",
        "-",
    ]));
    running.wait_for(": af_packet, ");
    ns.must("bash", &["-c", "for n in 1 2 3 4 5; do echo $n > /dev/udp/127.0.0.1/9; done || true"]);
    let run = running.interrupt().must(130);
    assert_eq!(Summary::of(&run.stderr).decoded, 5, "{}", run.stderr);
}

#[test]
fn what_cannot_be_opened_is_explained() {
    let ns = Netns::new(1);
    let none = outcome(&mut ns.sonda(["probe", "-i", "eth9"])).must(1);
    none.says(&["no interface eth9", "lo", HERE, THERE]);
    let binary = env!("CARGO_BIN_EXE_sonda");
    let powerless = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", binary];
    outcome(&mut ns.command("setpriv", [&powerless[..], &PROBE].concat())).must(1).says(&[
        "may not capture on v0",
        "cap_net_raw",
        "setcap",
    ]);
    for (args, says) in [
        (&["--filter", "tcp prot 80"][..], "syntax error"),
        (&["--lanes", "2", "--count", "5"], "--duration"),
        (&["--hardware-time"], "ethtool -T"),
    ] {
        outcome(&mut ns.sonda([&PROBE[..], args].concat())).must(1).says(&[says]);
    }
    outcome(&mut ns.sonda(["probe", "-i", HERE, "file.pcap"])).must(2);
}

#[test]
fn the_drop_in_reads_interfaces_too() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(20_000, 2_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    let text = |input: &str| ["ipfixprobe", "-i", input, "-o", "text"].map(String::from);
    let lines = |run: &Run| {
        let flows = run.stdout.lines().filter(|l| l.contains("->")).map(|l| l.to_string());
        let mut flows: Vec<String> = flows.collect();
        flows.sort();
        flows
    };
    let file = outcome(&mut support::sonda(text(&format!("pcap;file={}", capture.display())))).must(0);
    let inputs: [&[&str]; 4] = [
        &["raw;ifc=v0"],
        &["raw;ifc=v0;fanout=7;blocks=64;pkts=32", "raw;i=v0;f=7;b=64;p=32"],
        &["pcap;ifc=v0"],
        &["raw;ifc=v0;fanout", "raw;ifc=v0;fanout"],
    ];
    for inputs in inputs {
        let mut args = vec!["ipfixprobe", "-o", "text"];
        inputs.iter().for_each(|input| args.extend(["-i", input]));
        // It says nothing when it begins, like the original, but who it is from then on.
        let running = Running::start(ns.sonda(args).env("SONDA_USER", "nobody"));
        running.wait_for("runs as user nobody, without capabilities");
        ns.send(&capture, 50_000);
        let run = running.interrupt().must(0);
        let total = run.stdout.lines().find_map(|l| l.strip_prefix("SUM")).expect("the table of inputs");
        let numbers: Vec<u64> = total.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        assert_eq!((numbers[0], numbers[3]), (sent, 0), "{inputs:?}\n{}", run.stdout);
        assert_eq!(lines(&run).len(), lines(&file).len(), "{inputs:?}");
    }
    let list = outcome(&mut ns.sonda(["ipfixprobe", "-i", "raw;l"])).must(0);
    assert!(list.stdout.lines().any(|l| l == HERE), "{}", list.stdout);
    outcome(&mut ns.sonda(["ipfixprobe", "-i", "raw;ifc=v7", "-o", "text"]))
        .must(1)
        .says(&["raw: there is no interface v7"]);
    outcome(&mut ns.sonda(["ipfixprobe", "-i", "raw", "-o", "text"])).must(1).says(&["ifc=INTERFACE"]);
    let (blocks, no) = ("raw;ifc=v0;blocks=1;pkts=0", "invalid argument for option pkts");
    outcome(&mut ns.sonda(["ipfixprobe", "-i", blocks, "-o", "text"])).must(1).says(&[no]);
}

/// Packets that Linux itself puts into VXLAN: each is a flow of its inside, of its outside, or of both.
#[test]
fn vxlan_of_the_kernel_is_entered_as_wished() {
    let ns = Netns::new(1);
    let vxlan = "link add vx0 type vxlan id 77 local 10.9.0.1 remote 10.9.0.2 dstport 4789 dev";
    for line in [
        &format!("addr add 10.9.0.1/24 dev {THERE}"),
        // Nobody is there to ask.
        &format!("neigh add 10.9.0.2 lladdr 02:00:00:00:00:99 dev {THERE}"),
        &format!("{vxlan} {THERE}"),
        "addr add 10.8.0.1/24 dev vx0",
        "link set vx0 up",
        "neigh add 10.8.0.2 lladdr 02:00:00:00:00:98 dev vx0",
    ] {
        ns.must("ip", &line.split(' ').collect::<Vec<_>>());
    }
    for (tunnels, inside, outside) in [("inner", 3, 0), ("outer", 0, 3), ("both", 3, 3)] {
        let args = ["--l7", "none", "--stats", "tunnel", "--tunnels", tunnels];
        let run = captured(&ns, &args, |_| {
            (0..3).for_each(|_| drop(ns.must("bash", &["-c", "echo hello > /dev/udp/10.8.0.2/7000"])));
        });
        assert_eq!(books(&run), (3, 3, 0), "{}", run.stderr);
        let flows = json_lines(&run.stdout);
        let packets = |port: u64| -> u64 {
            let of_port = flows.iter().filter(|flow| flow["dst_port"] == port);
            of_port.map(|flow| flow["packets"].as_u64().expect("a number")).sum()
        };
        assert_eq!((packets(7000), packets(4789)), (inside, outside), "{tunnels}: {}", run.stdout);
        for flow in &flows {
            let ends = (flow["src_ip"].as_str(), flow["dst_ip"].as_str());
            if flow["dst_port"] == 4789 {
                assert_eq!(ends, (Some("10.9.0.1"), Some("10.9.0.2")));
                assert!(flow["tunnel"].is_null(), "{flow}");
            } else {
                let tunnel = &flow["tunnel"];
                assert_eq!(ends, (Some("10.8.0.1"), Some("10.8.0.2")));
                assert_eq!((tunnel["kind"].as_u64(), tunnel["id"].as_u64()), (Some(7), Some(77)), "{flow}");
                assert_eq!(
                    (tunnel["src_ip"].as_str(), tunnel["dst_ip"].as_str()),
                    (Some("10.9.0.1"), Some("10.9.0.2"))
                );
                assert_eq!(tunnel["dst_port"].as_u64(), Some(4789));
            }
        }
        let told = run.stderr.contains("  inside  3 = 3 decoded in tunnels");
        assert_eq!(told, tunnels == "both", "{}", run.stderr);
    }
}
