//! Rules of a probe before other people's programs: nfdump aggregates the same flows to the same sums, tshark and nfcapd read the records.
//!
//! Needs the Debian packages `tshark` and `nfdump`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::collector::Udp;
use support::tools::{self, Nfcapd};
use support::{Folder, Run, assert_same, flows, json_lines, messages, mixture, run};

/// Flows each second at the most: see `support/judge.rs`.
const PACE: &str = "2000";
const FLOWS: u64 = 2000;
/// Longer than the capture, so that each key is one aggregate.
const LONG: &str = "active = 100000\ninactive = 100000\n";

fn capture(folder: &Folder) -> PathBuf {
    folder.write("mix.pcap", mixture(15_000, FLOWS))
}

/// `sonda probe -c` with the capture as input.
fn probe(folder: &Folder, capture: &Path, rest: &str) -> Run {
    let file = folder.write("probe.toml", format!("[input]\nfiles = [\"{}\"]\n{rest}", capture.display()));
    let file = file.to_str().expect("plain path");
    run(["check", file]).must(0);
    run(["probe", "-c", file]).must(0)
}

fn records(path: &Path) -> Vec<Value> {
    json_lines(&std::fs::read_to_string(path).expect("written"))
}

fn text(record: &Value, key: &str) -> String {
    record[key].as_str().map_or_else(|| record[key].to_string(), String::from)
}

fn sum(records: &[Value], key: &str) -> u64 {
    records.iter().map(|record| record[key].as_u64().expect(key)).sum()
}

/// What nfdump makes of the files in a folder by its own aggregation.
fn nfdump(folder: &Path, aggregation: &str, columns: &str) -> Vec<String> {
    let mut command = Command::new("nfdump");
    command.args(["-N", "-6", "-q", "-A", aggregation, "-o", &format!("fmt:{columns}"), "-R"]).arg(folder).arg("inet");
    let shown = tools::tool("nfdump", &mut command);
    let lines = shown.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// nfcapd takes each direction of our flows as NetFlow, nfdump aggregates them; rules over the same flows say the same.
#[test]
fn nfdump_aggregates_the_same() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = capture(&folder);
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    let (nets, ports) = (folder.path("nets.json"), folder.path("ports.json"));
    let done = probe(
        &folder,
        &capture,
        &format!(
            "[output]\nnetflow = [\"v9://127.0.0.1:{}\"]\nfps = {PACE}\n\
             [[rule]]\nname = \"nets\"\ndirection = \"each\"\nkey = [\"sourceIPv4Address/24\"]\njson = \"{}\"\n{LONG}\
             [[rule]]\nname = \"ports\"\ndirection = \"each\"\nkey = [\"protocolIdentifier\", \"destinationTransportPort\"]\n\
             filter = \"SRC_IP == 0.0.0.0/0\"\njson = \"{}\"\n{LONG}",
            nfcapd.port(),
            nets.display(),
            ports.display()
        ),
    );
    nfcapd.ended();
    done.says(&["rule nets: json", "other family", "rule ports: json", "filtered"]);
    let ours: Vec<String> = records(&nets)
        .iter()
        .map(|r| ["src_ip", "packets", "bytes", "flows"].map(|key| text(r, key)).join(" "))
        .collect();
    assert_same("nets", &ours, &nfdump(&files.path("."), "srcip4/24", "%sa %pkt %byt %fl"));
    // nfdump shows the port of ICMP as type and code: only what has ports.
    let has_ports = |line: &&String| line.starts_with("6 ") || line.starts_with("17 ");
    let ours: Vec<String> = records(&ports)
        .iter()
        .map(|r| ["protocol", "dst_port", "packets", "bytes", "flows"].map(|key| text(r, key)).join(" "))
        .filter(|line| has_ports(&line))
        .collect();
    let theirs = nfdump(&files.path("."), "proto,dstport", "%pr %dp %pkt %byt %fl");
    let theirs: Vec<String> = theirs.iter().filter(has_ports).cloned().collect();
    assert!(ours.len() > 10);
    assert_same("ports", &ours, &theirs);
}

/// tshark decodes the chosen fields under the chosen template, which is the same in a second run; the sums are those of the flows.
#[test]
fn tshark_decodes_chosen_templates() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = capture(&folder);
    let all = flows(&capture, &[]);
    for _ in 0..2 {
        let collector = Udp::start();
        let done = probe(
            &folder,
            &capture,
            &format!(
                "[output]\nno_options = true\n[[rule]]\nname = \"r\"\ntemplate = 300\nkey = [\"SRC_IP/16/32\", \"DST_PORT:class\"]\n\
                 ipfix = [\"udp://127.0.0.1:{}\"]\n{LONG}",
                collector.port()
            ),
        );
        let sent = collector.finish();
        // Sets of templates and of the two ids, nothing else.
        let mut ids: Vec<u16> = sent.iter().map(|message| u16::from_be_bytes([message[16], message[17]])).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids, [2, 300, 301].into_iter().filter(|id| ids.contains(id)).collect::<Vec<_>>());
        let shown = tools::tshark_flows(&folder.write("sent.pcap", messages::as_capture(&sent)));
        let values = |name: &str| {
            let of = shown.iter().flatten().filter(|(n, _)| n == name).map(|(_, v)| v.clone());
            of.collect::<Vec<String>>()
        };
        let total = |name: &str| values(name).iter().map(|n| n.parse::<u64>().expect("a number")).sum::<u64>();
        assert_eq!(total("cflow.packets"), sum(&all, "packets") + sum(&all, "packets_rev"));
        assert_eq!(total("cflow.octets"), sum(&all, "bytes") + sum(&all, "bytes_rev"));
        assert!(values("cflow.dstport").iter().all(|port| ["0", "1024", "49152"].contains(&port.as_str())));
        assert!(values("cflow.srcaddr").iter().all(|ip| ip.ends_with(".0.0")), "{:?}", values("cflow.srcaddr"));
        assert!(!values("cflow.srcaddrv6").is_empty(), "IPv6 is among them");
        assert!(values("cflow.protocol").is_empty(), "a field that was not chosen");
        done.says(&["rule r: ipfix udp"]);
    }
}

/// nfcapd takes what a rule sends: chosen fields of each flow, and the sums of aggregates.
#[test]
fn nfcapd_takes_records_of_rules() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = capture(&folder);
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    probe(
        &folder,
        &capture,
        &format!(
            "[output]\nfps = {PACE}\n[[rule]]\nname = \"flat\"\naggregate = false\ndirection = \"each\"\ntemplate = 400\n\
             fields = [\"SRC_IP\", \"DST_IP\", \"SRC_PORT\", \"DST_PORT\", \"PROTOCOL\", \"PACKETS\", \"BYTES\", \"TIME_FIRST\", \"TIME_LAST\"]\n\
             ipfix = [\"udp://127.0.0.1:{}\"]\n",
            nfcapd.port()
        ),
    );
    let theirs = nfcapd.finish_as(&files.path("."), "%pr %sa %sp %da %dp %pkt %byt");
    let mut ours = Vec::new();
    for flow in flows(&capture, &[]) {
        for (src, dst, rev) in [("src", "dst", ""), ("dst", "src", "_rev")] {
            let end =
                |side: &str| format!("{} {}", text(&flow, &format!("{side}_ip")), text(&flow, &format!("{side}_port")));
            let counts = ["packets", "bytes"].map(|key| text(&flow, &format!("{key}{rev}"))).join(" ");
            if !counts.starts_with("0 ") {
                ours.push(format!("{} {} {} {counts}", text(&flow, "protocol"), end(src), end(dst)));
            }
        }
    }
    assert_same("flat", &ours, &theirs);
}

/// Fields of plugins as keys and values, against a count over our own flows; the same with four lanes.
#[test]
fn plugins_fields_and_lanes() {
    let folder = Folder::new();
    let capture = capture(&folder);
    let expected = {
        let mut names: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for flow in flows(&capture, &[]).iter().filter(|flow| flow["protocol"] == 6) {
            let sni = flow["tls"]["sni"].as_str().unwrap_or_default();
            let of = names.entry(sni.into()).or_default();
            of.0 += 1;
            of.1 += flow["bytes"].as_u64().expect("bytes") + flow["bytes_rev"].as_u64().expect("bytes");
        }
        names
    };
    assert!(expected.len() > 5, "servers are named");
    let mut before = None;
    for lanes in [1, 4] {
        let out = folder.path("names.json");
        let rule = format!(
            "lanes = {lanes}\n[[rule]]\nname = \"names\"\nkey = [\"tls.sni\"]\nfilter = \"PROTOCOL == TCP\"\n\
             values = [\"flows\", \"bytes\", \"bytes_rev\", \"max(tls.version)\", \"time_first\", \"time_last\"]\njson = \"{}\"\n{LONG}",
            out.display()
        );
        probe(&folder, &capture, &rule);
        let records = records(&out);
        let of = |record: &Value| {
            let [flows, bytes, back] =
                ["flows", "bytes", "bytes_rev"].map(|key| sum(std::slice::from_ref(record), key));
            (flows, bytes + back)
        };
        let ours: BTreeMap<String, (u64, u64)> = records.iter().map(|r| (text(r, "tls_sni"), of(r))).collect();
        assert_eq!((records.len(), &ours), (expected.len(), &expected), "{lanes} lanes");
        assert_eq!(*before.get_or_insert_with(|| records.clone()), records, "{lanes} lanes");
    }
}

/// What cannot be written is lost with a reason, and the run says so.
#[test]
fn a_full_disk_is_counted() {
    let folder = Folder::new();
    let capture = capture(&folder);
    let rule = "name = \"r\", key = [\"SRC_IP\"], values = [\"flows\"], json = \"/dev/full\"";
    let capture = capture.to_str().expect("plain path");
    run(["probe", capture, "--rule", rule]).must(4).says(&[
        "write_failed",
        "rule r: json /dev/full",
        "matched; aggregates",
    ]);
    run(["probe", capture, "--rule", "name = \"r\""]).must(2).says(&["a rule needs a key"]);
    run(["probe", capture, "--rule", "name = \"r\", key = [\"SRC_IPP\"], json = \"-\""])
        .must(2)
        .says(&["Did you mean \"SRC_IP\""]);
}
