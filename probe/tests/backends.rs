//! All backends against each other: one capture, sent over a veth pair or read from its file, gives the same records whoever takes the
//! packets. With feature `dpdk` DPDK's net_pcap is one of them; `.ci/run` builds and runs this suite both ways.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
#[path = "live/queues.rs"]
mod queues;
mod support;
#[path = "live/traffic.rs"]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use netns::{HERE, Netns, Running};
use queues::two_parts;
use std::path::PathBuf;
use support::{Folder, Run, Summary, assert_same, bytes_of, flows, json_lines, mixture};
use traffic::{sendable, timeless};
use xdp::{books, send_by_queue};

/// All protocols and statistics there are.
const ALL: [&str; 4] = ["--l7", "all", "--stats", "all"];
/// Beside dialogs, VLAN and IPv6 of the mixture: what a decoder or a flow cache can get wrong. No tunnels: their inner addresses are
/// another case's outer ones, and lanes are told apart by the outer ones.
const CASES: [&str; 9] =
    ["vlan", "qinq", "fragments", "fragments_reordered", "mpls", "pppoe", "ipv6", "ipv6_ext", "icmp"];

/// The capture, whole and in two parts with each conversation in one of them.
struct Traffic {
    _folder: Folder,
    whole: PathBuf,
    parts: [PathBuf; 2],
    packets: u64,
    expected: Vec<String>,
}

impl Traffic {
    fn new() -> Traffic {
        let folder = Folder::new();
        let cases = CASES.iter().map(|case| bytes_of(case));
        let (bytes, packets) = sendable(std::iter::once(mixture(20_000, 1_500)).chain(cases));
        let whole = folder.write("all.pcap", bytes);
        let parts = two_parts(&folder, &whole);
        let expected = timeless(flows(&whole, &ALL));
        Traffic { _folder: folder, whole, parts, packets, expected }
    }

    /// The run had all packets and its records are those of the file.
    #[track_caller]
    fn is_in(&self, backend: &str, run: &Run) {
        assert_eq!(Summary::of(&run.stderr).packets, self.packets, "{backend}\n{}", run.stderr);
        assert_same(backend, &timeless(json_lines(&run.stdout)), &self.expected);
    }
}

/// Captures by a backend of the kernel's while `send` sends; nothing is lost.
fn live(ns: &Netns, backend: &str, lanes: &str, traffic: &Traffic, send: impl FnOnce()) {
    let args = ["probe", "-i", HERE, "--backend", backend, "--lanes", lanes, "--json", "-"];
    let running = Running::start(&mut ns.sonda(args.into_iter().chain(ALL)));
    running.wait_for(&format!(": {backend}, "));
    send();
    let run = running.interrupt().must(130);
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (traffic.packets, traffic.packets, 0), "{backend}\n{}", run.stderr);
    traffic.is_in(&format!("{backend}, {lanes} lanes"), &run);
}

#[test]
fn the_same_capture_gives_the_same_records_by_every_backend() {
    let traffic = Traffic::new();
    let text = traffic.expected.concat();
    for part in ["http", "dns", "passivedns", "tls", "sip", "smtp", "icmp", "basicplus", "vlan"] {
        assert!(text.contains(&format!("\"{part}\":")), "no {part} in the capture: it shows too little");
    }
    // The file, by two lanes as well.
    let mut args = vec!["probe", traffic.whole.to_str().expect("plain path"), "--lanes", "2", "--json", "-"];
    args.extend(ALL);
    traffic.is_in("pcap, 2 lanes", &support::run(args).must(0));
    for lanes in ["1", "2"] {
        // AF_PACKET spreads by its own hash; AF_XDP's lanes have queues, in which veth puts what each processor sends.
        let ns = Netns::new(2);
        live(&ns, "af_packet", lanes, &traffic, || ns.send(&traffic.whole, 20_000));
        live(&ns, "af_xdp", lanes, &traffic, || send_by_queue(&ns, &traffic.parts));
    }
    let ns = Netns::new(1);
    live(&ns, "af_xdp", "1", &traffic, || ns.send(&traffic.whole, 20_000));
    #[cfg(feature = "dpdk")]
    dpdk(&traffic);
}

/// DPDK reads the file itself; two queues, which are two lanes, have a part each.
#[cfg(feature = "dpdk")]
fn dpdk(traffic: &Traffic) {
    let rx = |file: &PathBuf| format!(",rx_pcap={}", file.display());
    let whole = rx(&traffic.whole);
    let parts: String = traffic.parts.iter().map(rx).collect();
    for (lanes, files) in [("1", whole), ("2", parts)] {
        let eal = format!("--no-huge --no-pci --vdev=net_pcap0{files}");
        let mut args = vec!["probe", "-i", "0", "--backend", "dpdk", "--dpdk-eal", &eal, "--lanes", lanes];
        args.extend(["--duration", "3", "--json", "-"]);
        args.extend(ALL);
        traffic.is_in(&format!("net_pcap, {lanes} lanes"), &support::run(args).must(0));
    }
}
