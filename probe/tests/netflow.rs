//! NetFlow 9 and 5 before other people's collectors: nfcapd takes them and nfdump shows the flows; tshark decodes each packet.
//!
//! Needs the Debian packages `tshark` and `nfdump`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use support::collector::Udp;
use support::tools::{self, Nfcapd};
use support::{Folder, Run, assert_same, flows, messages, run};

/// Flows each second at the most: see `support/judge.rs`.
const PACE: &str = "2000";
/// Both directions, both families, many packets.
const FLOWS: u64 = 3000;

fn mixture(folder: &Folder) -> PathBuf {
    let capture = folder.path("mix.pcap");
    let mut file = std::fs::File::create(&capture).expect("a file");
    benches::write_capture(benches::Profile::Realistic, 20_000, FLOWS, 7, &mut file).expect("written");
    capture
}

/// A time of our JSON as nfdump prints it, in milliseconds.
fn millis(flow: &Value, name: &str) -> String {
    let time: jiff::Timestamp = flow[name].as_str().expect("a time").parse().expect("a time");
    time.strftime("%F %T.%3f").to_string()
}

/// The records that our flows should be: one for each direction that had packets.
fn expected(flows: &[Value], v4_only: bool) -> Vec<String> {
    let mut records = Vec::new();
    for flow in flows.iter().filter(|f| !v4_only || f["ip_version"] == 4) {
        let text = |name: &str| flow[name].as_str().map_or_else(|| flow[name].to_string(), String::from);
        let times = [millis(flow, "time_first"), millis(flow, "time_last")].join(" ");
        for (src, dst, rev) in [("src", "dst", ""), ("dst", "src", "_rev")] {
            let counter = |name: &str| text(&format!("{name}{rev}"));
            if counter("packets") != "0" {
                let end = |side: &str| format!("{} {}", text(&format!("{side}_ip")), text(&format!("{side}_port")));
                let counts = format!("{} {}", counter("packets"), counter("bytes"));
                records.push(format!("{} {} {} {counts} {times}", text("protocol"), end(src), end(dst)));
            }
        }
    }
    records
}

/// The books of a NetFlow output: offered, sent, not IPv4.
fn books(run: &Run) -> (u64, u64, u64) {
    let line = run.stderr.lines().find(|l| l.starts_with("netflow ")).expect("its books");
    let words: Vec<&str> = line.split_once("records ").expect("books").1.split_whitespace().collect();
    let number = |word: &str| word.parse().expect("a number");
    let v6 = words.iter().position(|w| *w == "not_ipv4").map_or(0, |at| number(words[at - 1]));
    (number(words[0]), number(words[2]), v6)
}

fn export(capture: &Path, version: &str, port: u16, args: &[&str]) -> Run {
    let target = format!("{version}://127.0.0.1:{port}");
    let all = ["probe", capture.to_str().expect("plain path"), "--netflow", &target, "--fps", PACE];
    run(all.iter().chain(args)).must(0)
}

/// nfdump shows the same records with the same counters and milliseconds, and the books say as many.
fn seen_by_nfdump(version: &str, args: &[&str]) {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = mixture(&folder);
    let flows = flows(&capture, &[]);
    assert!(flows.iter().any(|f| f["ip_version"] == 6), "IPv6 is among them");
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    let done = export(&capture, version, nfcapd.port(), args);
    let theirs = nfcapd.finish_as(&files.path("."), "%pr %sa %sp %da %dp %pkt %byt %ts %te");
    let ours = expected(&flows, version == "v5");
    assert_same(version, &theirs, &ours);
    let (offered, sent, v6) = books(&done);
    assert_eq!((sent, offered, v6), (ours.len() as u64, sent + v6, expected(&flows, false).len() as u64 - sent));
    assert_eq!(v6 > 0, version == "v5");
}

#[test]
fn nfdump_sees_the_flows_by_version_9() {
    seen_by_nfdump("v9", &[]);
}

#[test]
fn nfdump_sees_the_flows_by_version_9_with_all_that_it_can_carry() {
    // Not icmp: nfdump takes its element for the port.
    seen_by_nfdump("v9", &["--stats", "basicplus,vlan,flowhash,mpls"]);
}

#[test]
fn nfdump_sees_the_flows_by_version_5() {
    seen_by_nfdump("v5", &[]);
}

/// What tshark makes of packets to a collector of ours: fields of each record.
fn seen_by_tshark(version: &str, args: &[&str]) -> Vec<Vec<(String, String)>> {
    let folder = Folder::new();
    let capture = mixture(&folder);
    let flows = flows(&capture, &[]);
    let collector = Udp::start();
    export(&capture, version, collector.port(), args);
    let packets = collector.finish();
    let shown = tools::tshark_flows(&folder.write("packets.pcap", messages::as_capture(&packets)));
    let sum = |name: &str| -> u64 { values(&shown, name).map(|n| n.parse::<u64>().expect("a number")).sum() };
    let total = |name: &str| -> u64 {
        let ours = flows.iter().filter(|f| version != "v5" || f["ip_version"] == 4);
        ours.map(|f| f[name].as_u64().expect("n") + f[format!("{name}_rev")].as_u64().expect("n")).sum()
    };
    assert_eq!((sum("cflow.packets"), sum("cflow.octets")), (total("packets"), total("bytes")));
    sequence(version, &packets);
    shown
}

fn values<'s>(shown: &'s [Vec<(String, String)>], name: &'s str) -> impl Iterator<Item = &'s str> {
    shown.iter().flatten().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// Sequence numbers count packets in version 9 and records in version 5.
fn sequence(version: &str, packets: &[Vec<u8>]) {
    let word = |packet: &[u8], at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().expect("four bytes"));
    let mut expected = 0;
    for packet in packets {
        let records = u32::from(u16::from_be_bytes([packet[2], packet[3]]));
        let (at, counts) = if version == "v9" { (12, 1) } else { (16, records) };
        assert_eq!(word(packet, at), expected);
        expected += counts;
    }
}

#[test]
fn tshark_decodes_version_9_and_the_sampling() {
    if tools::skipped() {
        return;
    }
    let shown = seen_by_tshark("v9", &["--sampling", "100", "--stats", "all"]);
    assert!(values(&shown, "cflow.sampling_interval").all(|n| n == "100"));
    assert!(values(&shown, "cflow.sampling_interval").next().is_some(), "{:?}", shown.first());
}

#[test]
fn tshark_decodes_version_5() {
    if tools::skipped() {
        return;
    }
    seen_by_tshark("v5", &[]);
}

/// The drop-in takes the output too, in its own syntax.
#[test]
fn the_drop_in_has_it_as_an_output() {
    let folder = Folder::new();
    let capture = mixture(&folder);
    let collector = Udp::start();
    let (input, output) =
        (format!("pcap;file={}", capture.display()), format!("netflow;v=5;h=127.0.0.1;p={};s=8;I=3", collector.port()));
    run(["ipfixprobe", "-i", &input, "-o", &output, "-f", PACE]).must(0);
    let packets = collector.finish();
    // Version, engine id, and "one in every 8".
    assert!(packets.iter().all(|p| (p[1], p[21], &p[22..24]) == (5, 3, &[0x40, 8][..])));
    let records: usize = packets.iter().map(|p| usize::from(p[3])).sum();
    assert_eq!(records, expected(&flows(&capture, &["--compat", "ipfixprobe", "--l7", "none"]), true).len());
    run(["ipfixprobe", "-i", &input, "-o", "netflow;v=7"]).must(1).says(&["netflow: invalid argument for option v"]);
}
