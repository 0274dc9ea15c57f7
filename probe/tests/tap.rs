//! `sonda tap` on the UniRec of a running probe: it shows what was exported, and of that what the filter lets through.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod netns;
mod support;

use netns::Running;
use serde_json::Value;
use std::process::Command;
use support::{Folder, json_lines, mixture, outcome, run, sonda};

/// `sonda ARGS` whose sockets are in the folder.
fn in_folder(folder: &Folder, args: &[&str]) -> Command {
    let mut command = sonda(args);
    command.env("TRAP_SOCKET_DIR", folder.path(""));
    command
}

/// What tap shows of a mixture of flows, and the flows as the probe itself writes them.
fn tapped(args: &[&str]) -> (String, Vec<Value>) {
    let folder = Folder::new();
    let capture = folder.write("mixture.pcap", mixture(20_000, 1_500));
    let capture = capture.to_str().expect("plain path");
    let tap = Running::start(&mut in_folder(&folder, &[&["tap", "u:flows"], args].concat()));
    let unirec = "u:flows:timeout=WAIT";
    let probe = outcome(&mut in_folder(&folder, &["probe", capture, "--unirec", unirec, "--json", "-"])).must(0);
    (tap.end().must(0).stdout, json_lines(&probe.stdout))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn all_flows_of_a_probe_are_shown() {
    let (shown, flows) = tapped(&["--json"]);
    let shown = json_lines(&shown);
    assert_eq!(shown.len(), flows.len());
    let of = |name: &str| shown.iter().map(|flow| number(&flow[name])).sum::<u64>();
    let exported = |name: &str| flows.iter().map(|flow| number(&flow[name])).sum::<u64>();
    assert_eq!(of("BYTES") + of("BYTES_REV"), exported("bytes") + exported("bytes_rev"));
    assert_eq!(of("PACKETS") + of("PACKETS_REV"), exported("packets") + exported("packets_rev"));
}

#[test]
fn a_filter_lets_through_what_it_says() {
    let (shown, flows) = tapped(&["--filter", "proto udp and packets >= 2", "--filter", "not src_port 53"]);
    let wanted = flows.iter().filter(|flow| {
        let packets = number(&flow["packets"]) + number(&flow["packets_rev"]);
        flow["protocol"] == 17 && packets >= 2 && flow["src_port"] != 53
    });
    let (wanted, shown) = (wanted.count(), shown.lines().count());
    assert!(wanted > 0 && wanted < flows.len());
    assert_eq!(shown, wanted);
}

#[test]
fn lines_say_who_and_how_much() {
    let folder = Folder::new();
    let (capture, file) = (folder.capture("dns"), folder.text("flows.trapcap"));
    let capture = capture.to_str().expect("plain path");
    run(["probe", capture, "--quiet", "--unirec", &format!("dns=f:{file}")]).must(0);
    let shown = run(["tap", &format!("f:{file}"), "--count", "1"]).must(0).stdout;
    assert_eq!(shown.lines().count(), 1, "{shown}");
    for part in [" udp ", " > ", ":53 ", " packets ", "DNS_NAME=\""] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
}

#[test]
fn ctrl_c_ends_the_wait_for_a_sender() {
    let folder = Folder::new();
    let tap = Running::start(&mut in_folder(&folder, &["tap", "u:nobody"]));
    tap.wait_for("waiting for a sender at u:nobody");
    tap.interrupt().must(0);
}

#[test]
fn what_cannot_be_followed_is_named() {
    let folder = Folder::new();
    run(["tap", "u:x", "--filter", "host 1.2.3.4"]).must(2).says(&["no condition 'host'", "known: src, dst, ip"]);
    run(["tap", "u:x,u:y"]).must(1).says(&["not one interface"]);
    run(["tap", "x:y"]).must(1);
    run(["tap"]).must(2);
    let (capture, file) = (folder.capture("dns"), folder.text("flows.trapcap"));
    run(["tap", &format!("f:{file}")]).must(1).says(&["unable to open file"]);
    let capture = capture.to_str().expect("plain path");
    run(["probe", capture, "--quiet", "--unirec", &format!("f:{file}")]).must(0);
    run(["tap", &format!("f:{file}"), "--filter", "port 53"]).must(0);
}
