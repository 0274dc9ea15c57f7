//! Sampling by the probe itself: what is left out is counted, the same whatever reads the capture, and told to collectors so that they
//! multiply rightly, together with what was left out before the probe.
//!
//! The live test needs root; the Debian packages `iproute2`, `tcpreplay`, `tshark` and `nfdump` are used; SONDA_SKIP_TOOLS=1 does without the last two.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod traffic;

use netns::{HERE, Netns, Running};
use serde_json::Value;
use std::path::Path;
use support::collector::Udp;
use support::messages::{self, Fields};
use support::tools::{self, Nfcapd};
use support::{Folder, Run, Summary, assert_same, flows, json_lines, mixture, run};

/// Flows each second at the most: see `support/judge.rs`.
const PACE: &str = "2000";

fn plain(path: &Path) -> &str {
    path.to_str().expect("plain path")
}

fn text(flows: &[Value]) -> Vec<String> {
    flows.iter().map(Value::to_string).collect()
}

/// Packets of all flows, both directions.
fn packets(flows: &[Value]) -> u64 {
    flows.iter().flat_map(|f| [&f["packets"], &f["packets_rev"]]).map(|n| n.as_u64().expect("a number")).sum()
}

/// Checks the books of a run: taken = decoded + dropped, and each decoded packet is in a record. Answers (decoded, sampled).
fn books(run: &Run) -> (u64, u64) {
    let summary = Summary::of(&run.stderr);
    let dropped: u64 = summary.dropped.values().sum();
    assert_eq!(summary.packets, summary.decoded + dropped, "{}", run.stderr);
    assert_eq!(packets(&json_lines(&run.stdout)), summary.decoded, "{}", run.stderr);
    (summary.decoded, summary.dropped["sampled"])
}

#[test]
fn what_is_left_out_is_counted_whatever_reads_the_capture() {
    let folder = Folder::new();
    let path = folder.write("mix.pcap", mixture(20_000, 3000));
    let whole = Summary::of(&run(["probe", plain(&path), "--json", "-"]).must(0).stderr);
    for how in ["10", "10:systematic", "10:random", "4:flow"] {
        let probe = |more: &[&str]| {
            run([&["probe", plain(&path), "--stats", "all", "--json", "-", "--sample", how], more].concat()).must(0)
        };
        let one = probe(&[]);
        let (decoded, sampled) = books(&one);
        let share = if how == "4:flow" { 4 } else { 10 };
        // Elephants weigh in a sample of flows.
        let near = if how == "4:flow" { whole.packets / share } else { whole.packets / share / 5 };
        assert!(
            decoded.abs_diff(whole.packets / share) <= near && decoded > 0,
            "{how}: {decoded} of {}",
            whole.packets
        );
        if how.len() < 5 || how.ends_with("systematic") {
            assert_eq!(sampled, whole.packets - whole.packets.div_ceil(10), "{how}");
        }
        for more in [&["--lanes", "2"][..], &["--lanes", "4"]] {
            let many = probe(more);
            assert_eq!(books(&many), (decoded, sampled), "{how} {more:?}");
            assert_same(how, &text(&json_lines(&many.stdout)), &text(&json_lines(&one.stdout)));
        }
    }
    // A flow is there with all its packets or not at all.
    let all = text(&flows(&path, &["--l7", "none"]));
    let some = text(&flows(&path, &["--l7", "none", "--sample", "4:flow"]));
    assert!(some.iter().all(|flow| all.contains(flow)), "each is as it was");
    assert!((all.len() / 8..all.len() / 2).contains(&some.len()), "{} of {}", some.len(), all.len());
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = Folder::new();
    let path = folder.capture("basic_tcp");
    let probe = |more: &[&str]| run([&["probe", plain(&path)], more].concat());
    probe(&["--sample", "1"]).must(2).says(&["2 to 1000000"]);
    probe(&["--sample", "9:each"]).must(2).says(&["systematic, random, flow"]);
    probe(&["--sample", "9", "--dedup", "1000"]).must(1).says(&["--dedup has to see all packets"]);
    probe(&["--sample", "9:flow", "--lanes", "2", "--count", "9"]).must(1).says(&["leave out --lanes"]);
    probe(&["--sample", "1000000", "--sampling", "16000"]).must(1).says(&["cannot be told"]);
    probe(&["--sample", "16384", "--netflow", "v5://127.0.0.1:9"]).must(1).says(&["cannot be told"]);
    probe(&["--sample", "9:flow", "--dedup", "1000"]).must(0);
}

fn value<'r>(record: &'r Fields, name: &str) -> Option<&'r str> {
    record.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='))
}

/// The one record about sampling out of an IPFIX file, which tshark reads too: each element with its value.
fn told(more: &[&str]) -> Vec<(String, String)> {
    let folder = Folder::new();
    let (path, out) = (folder.capture("basic_tcp"), folder.text("out.ipfix"));
    run([&["probe", plain(&path), "--ipfix-file", &out], more].concat()).must(0);
    let sent = messages::split(&std::fs::read(&out).expect("it was written"));
    if !tools::skipped() {
        tools::tshark_flows(&folder.write("messages.pcap", messages::as_capture(&sent)));
    }
    let said = messages::read(&sent);
    let [record] = said.options.iter().filter(|r| value(r, "samplingInterval").is_some()).collect::<Vec<_>>()[..]
    else {
        panic!("one record: {:?}", said.options)
    };
    let read = |field: &String| {
        let (name, hex) = field.split_once('=').expect("a field");
        let bits = u64::from_str_radix(hex, 16).expect("hex");
        let is_share = name == "samplingProbability";
        (name.to_string(), if is_share { f64::from_bits(bits).to_string() } else { bits.to_string() })
    };
    record.iter().map(read).filter(|(name, _)| name != "observationDomainId").collect()
}

#[test]
fn ipfix_says_how_packets_were_chosen() {
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<Vec<_>>();
    let every_nth = |interval: &str, space: &str| {
        pairs(&[
            ("samplingInterval", interval),
            ("selectorAlgorithm", "1"),
            ("samplingPacketInterval", "1"),
            ("samplingPacketSpace", space),
        ])
    };
    assert_eq!(told(&["--sample", "10"]), every_nth("10", "9"));
    assert_eq!(told(&["--sample", "10", "--sampling", "3"]), every_nth("30", "29"));
    let random = |interval, share| {
        pairs(&[("samplingInterval", interval), ("selectorAlgorithm", "4"), ("samplingProbability", share)])
    };
    assert_eq!(told(&["--sample", "2:random"]), random("2", "0.5"));
    assert_eq!(told(&["--sample", "2:random", "--sampling", "4"]), random("8", "0.125"));
    let flow = |interval| {
        pairs(&[("samplingInterval", interval), ("flowSelectorAlgorithm", "4"), ("samplingProbability", "0.25")])
    };
    assert_eq!(told(&["--sample", "4:flow"]), flow("4"));
    assert_eq!(told(&["--sample", "4:flow", "--sampling", "5"]), flow("20"));
}

#[test]
fn nfdump_multiplies() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let path = folder.write("mix.pcap", mixture(20_000, 3000));
    for (version, sample) in [("", "10"), ("", "10:random"), ("", "10:flow"), ("v5://", "10"), ("v5://", "10:flow")] {
        let files = Folder::new();
        let nfcapd = Nfcapd::start(&files.path("."));
        let target = format!("{version}127.0.0.1:{}", nfcapd.port());
        let option = if version.is_empty() { "--ipfix" } else { "--netflow" };
        let filter = if version == "v5://" { "ip" } else { "ip or ip6 or vlan or mpls" };
        let sampled = ["--sample", sample, "--sampling", "3", "--filter", filter, "--l7", "none"];
        run([&["probe", plain(&path), option, &target, "--fps", PACE], &sampled[..]].concat()).must(0);
        let rows = nfcapd.finish_as(&files.path("."), "%pr %sa %sp %da %dp %ipkt %opkt");
        let theirs: u64 =
            rows.iter().flat_map(|row| row.split(' ').skip(5)).map(|n| n.parse::<u64>().expect("a number")).sum();
        let ours = packets(&flows(&path, &sampled));
        assert_eq!(theirs, 30 * ours, "{version} {sample}");
    }
}

/// Version 9 of NetFlow, whose sampling nfdump 1.7.1 does not multiply by, and the mode in the header of version 5, as tshark reads them.
#[test]
fn netflow_says_how_packets_were_chosen() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let path = folder.write("mix.pcap", mixture(2_000, 200));
    for (sample, algorithm) in [("10", "1"), ("10:random", "2"), ("2:flow", "2")] {
        let said = |version: &str, names: [&str; 2]| {
            let collector = Udp::start();
            let target = format!("{version}127.0.0.1:{}", collector.port());
            run(["probe", plain(&path), "--netflow", &target, "--sample", sample, "--sampling", "3", "--fps", PACE])
                .must(0);
            let packets = folder.write("packets.pcap", messages::as_capture(&collector.finish()));
            tools::tshark_fields(&packets, &["-d", "udp.port==4739,cflow"], &names)
        };
        let interval = 3 * sample.split(':').next().and_then(|n| n.parse::<u32>().ok()).expect("a number");
        let expected = format!("{interval}\t{algorithm}");
        for (version, names) in [
            ("v9://", ["cflow.sampling_interval", "cflow.sampling_algorithm"]),
            ("v5://", ["cflow.samplerate", "cflow.samplingmode"]),
        ] {
            let lines = said(version, names);
            let lines: Vec<&str> = lines.lines().filter(|line| !line.trim().is_empty()).collect();
            assert!(!lines.is_empty() && lines.iter().all(|line| *line == expected), "{version} {sample}: {lines:?}");
        }
    }
}

#[test]
fn a_live_capture_is_sampled_too() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (bytes, sent) = traffic::sendable([mixture(20_000, 3000)]);
    let path = folder.write("mix.pcap", bytes);
    for (lanes, sample) in [("1", "8"), ("2", "8:random"), ("2", "8:flow")] {
        let words =
            ["probe", "-i", HERE, "--backend", "af_packet", "--json", "-", "--lanes", lanes, "--sample", sample];
        let running = Running::start(&mut ns.sonda(words));
        running.wait_for(": af_packet, ");
        ns.send(&path, 50_000);
        let run = running.interrupt().must(130);
        let (decoded, sampled) = books(&run);
        assert_eq!(Summary::of(&run.stderr).packets, sent, "{}", run.stderr);
        assert!(decoded > 0 && sampled > sent / 2, "{decoded} + {sampled} of {sent}");
        if sample == "8" {
            assert_eq!(sampled, sent - sent.div_ceil(8));
        }
    }
}
