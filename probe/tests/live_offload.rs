//! Flow offload and rules at run time, by the real binary on veth with native XDP: what is exported is what was sent, and every packet is in
//! one book.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
mod traffic;

use benches::Frame;
use benches::frame::{Ipv4, Ipv6, Tcp, flags};
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{self, LinkType};
use netns::{HERE, Netns, Running};
use record::Time;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Folder, Run, assert_same, flows, json_lines, mixture, outcome, sonda};
use traffic::{sendable, timeless};

/// A conversation: its packets are made one by one, in either direction.
#[derive(Clone, Copy)]
struct Flow {
    number: u8,
    udp: bool,
    v6: bool,
    vlan: u16,
}

/// TCP and UDP, IPv4 and IPv6, with a tag and without.
const ELEPHANTS: [Flow; 6] = [
    Flow { number: 1, udp: false, v6: false, vlan: 0 },
    Flow { number: 2, udp: false, v6: false, vlan: 0 },
    Flow { number: 3, udp: true, v6: false, vlan: 0 },
    Flow { number: 4, udp: false, v6: true, vlan: 0 },
    Flow { number: 5, udp: true, v6: true, vlan: 0 },
    Flow { number: 6, udp: false, v6: false, vlan: 77 },
];

impl Flow {
    /// A packet from the client, or to it, with these flags and so many bytes that are no protocol's.
    fn packet(self, to_client: bool, control: u8, len: usize) -> Vec<u8> {
        let (client, server) = ([10, 0, 0, self.number], [10, 9, 0, 200 - self.number]);
        let (from, to, ports) =
            if to_client { (server, client, (7_000, 40_000)) } else { (client, server, (40_000, 7_000)) };
        let mut frame = Frame::new();
        frame.ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        if self.vlan != 0 {
            frame.vlan(0x8100, self.vlan);
        }
        if self.v6 {
            let long = |[a, b, c, d]: [u8; 4]| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d].into();
            frame.ipv6(&Ipv6::new(long(from), long(to)));
        } else {
            frame.ipv4(&Ipv4::new(from.into(), to.into()));
        }
        if self.udp {
            frame.udp(ports.0, ports.1);
        } else {
            frame.tcp(&Tcp::new(ports.0, ports.1, control));
        }
        frame.payload(&vec![0xfe; len]);
        frame.finish().to_vec()
    }

    fn begin(self) -> Vec<Vec<u8>> {
        let hello = [(false, flags::SYN), (true, flags::SYN | flags::ACK), (false, flags::ACK)];
        hello.into_iter().filter(|_| !self.udp).map(|(back, control)| self.packet(back, control, 0)).collect()
    }

    fn end(self) -> Vec<Vec<u8>> {
        let fin = flags::FIN | flags::ACK;
        let bye = [(true, fin), (false, fin), (true, flags::ACK)];
        bye.into_iter().filter(|_| !self.udp).map(|(back, control)| self.packet(back, control, 0)).collect()
    }

    /// Packet `n` of those in between.
    fn middle(self, n: usize) -> Vec<u8> {
        self.packet(n.is_multiple_of(3), flags::ACK, 10 + (n * 7 + usize::from(self.number)) % 200)
    }
}

/// Packets of all elephants in turn.
fn middles(of: &[Flow], count: usize) -> Vec<Vec<u8>> {
    (0..count).flat_map(|n| of.iter().map(move |flow| flow.middle(n))).collect()
}

/// Flows of a few packets, each number once.
fn mice(numbers: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    let each = numbers.map(|number| Flow { number: 7 + number, udp: number % 2 == 0, v6: false, vlan: 0 });
    each.flat_map(|mouse| [mouse.begin(), middles(&[mouse], 5), mouse.end()].concat()).collect()
}

/// A capture of these frames, a microsecond apart.
fn write(folder: &Folder, name: &str, frames: &[Vec<u8>]) -> std::path::PathBuf {
    let mut out = PcapWriter::new(Vec::new(), LinkType::Ethernet, true).expect("memory");
    for (n, bytes) in frames.iter().enumerate() {
        let at = Time(1_700_000_000_000_000_000 + n as u64 * 1_000);
        let frame = capture::Frame {
            bytes,
            wire_len: bytes.len() as u32,
            at,
            link: LinkType::Ethernet,
            ..capture::Frame::default()
        };
        out.frame(&frame).expect("memory");
    }
    folder.write(name, out.finish().expect("memory"))
}

/// A run on our end, its page in the folder.
fn started(ns: &Netns, pages: &Folder, args: &[&str]) -> Running {
    let mut all = vec!["probe", "-i", HERE, "--name", "edge", "--json", "-"];
    all.extend(args);
    let running = Running::start(ns.sonda(all).env("SONDA_RUN_DIR", pages.path("")));
    running.wait_for(": af_xdp, native XDP, copy, ");
    running
}

/// Waits until a counter of the page is at least so much.
#[track_caller]
fn wait_until(pages: &Folder, column: &str, least: u64) {
    let end = Instant::now() + Duration::from_secs(60);
    while total(pages, column).is_none_or(|n| n < least) {
        assert!(Instant::now() < end, "{column} is {:?} and did not become {least}", total(pages, column));
    }
}

/// What the page says now, if there is one.
fn total(pages: &Folder, column: &str) -> Option<u64> {
    let run = outcome(sonda(["top", "edge", "--once", "--json"]).env("SONDA_RUN_DIR", pages.path("")));
    serde_json::from_str::<Value>(&run.stdout).ok()?["total"][column].as_u64()
}

/// Sets the flag when it goes, also when a test panics.
struct Sets<'a>(&'a AtomicBool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The numbers of the line on the capture: what was offered, and each part of it by its word.
fn books(run: &Run) -> (u64, BTreeMap<String, u64>) {
    assert!(!run.stderr.contains(" is not "), "{}", run.stderr);
    let line = run.stderr.lines().find_map(|l| l.strip_prefix("  capture ")).expect("a line on the capture");
    let (offered, rest) = line.split_once(" = ").expect("a book");
    let term = |text: &str| {
        let (n, word) = text.split_once(' ').expect("a number and a word");
        (word.to_string(), n.parse::<u64>().expect("a number"))
    };
    let terms: BTreeMap<String, u64> = rest.split(" + ").map(term).collect();
    let offered = offered.parse().expect("a number");
    assert_eq!(offered, terms.values().sum::<u64>(), "{line}");
    (offered, terms)
}

#[test]
fn elephants_are_counted_in_the_kernel_and_their_records_are_those_of_the_file() {
    let (ns, folder, pages) = (Netns::new(1), Folder::new(), Folder::new());
    let first = ELEPHANTS[0];
    let heads: Vec<_> = ELEPHANTS.iter().flat_map(|flow| flow.begin()).collect();
    // The first one ends and begins again while it is offloaded.
    let again = [first.end(), first.begin(), middles(&[first], 100)].concat();
    let tails: Vec<_> = ELEPHANTS.iter().flat_map(|flow| flow.end()).collect();
    let parts = [
        [heads, middles(&ELEPHANTS, 100), mice(0..40)].concat(),
        [middles(&ELEPHANTS, 10_000), mice(40..80)].concat(),
        again,
        [middles(&ELEPHANTS, 10_000), tails].concat(),
    ];
    let sent = parts.iter().map(Vec::len).sum::<usize>() as u64;
    let expected = timeless(flows(&write(&folder, "all.pcap", &parts.concat()), &[]));
    let parts: Vec<_> = parts.iter().zip(["a", "b", "c", "d"]).map(|(part, name)| write(&folder, name, part)).collect();
    let running = started(&ns, &pages, &["--prefilter", "offload after 40"]);
    ns.send(&parts[0], 10_000);
    wait_until(&pages, "offload.flows", 6);
    ns.send(&parts[1], 20_000);
    ns.send(&parts[2], 20_000);
    wait_until(&pages, "offload.lent", 7);
    ns.send(&parts[3], 20_000);
    let run = running.interrupt().must(130);
    let (offered, terms) = books(&run);
    println!("{sent} sent\n{}", run.stderr);
    assert_eq!((offered, terms["taken"] + terms["offloaded"]), (sent, sent), "{}", run.stderr);
    assert_same("offloaded", &timeless(json_lines(&run.stdout)), &expected);
    assert!(terms["taken"] * 10 <= sent, "{} of {sent} reached user space\n{}", terms["taken"], run.stderr);
}

/// Packets and bytes of both directions, summed over all records of two addresses.
fn sums(records: &[Value]) -> BTreeMap<String, [u64; 4]> {
    let mut sums: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for record in records {
        let number = |name: &str| record[name].as_u64().unwrap_or_else(|| panic!("{name} in {record}"));
        let (src, dst) = (record["src_ip"].to_string(), record["dst_ip"].to_string());
        let ways = if src < dst { [0, 1, 2, 3] } else { [1, 0, 3, 2] };
        let sum = sums.entry(format!("{} {}", (&src).min(&dst), (&src).max(&dst))).or_default();
        let names = ["packets", "packets_rev", "bytes", "bytes_rev"];
        ways.into_iter().zip(names).for_each(|(way, name)| sum[way] += number(name));
    }
    sums
}

#[test]
fn flows_that_are_cut_or_have_no_room_keep_their_sums() {
    let (ns, folder, pages) = (Netns::new(2), Folder::new(), Folder::new());
    let many: Vec<Flow> = (1..100).map(|number| Flow { number, udp: true, v6: false, vlan: 0 }).collect();
    // In the first run each elephant is longer than the active timeout, and two lanes have their queues as the kernel spreads them; in the
    // second a table of 16 flows has far more.
    let cases: [(&[Flow], usize, &[&str]); 2] =
        [(&ELEPHANTS, 10_000, &["--active", "2", "--lanes", "2"]), (&many, 400, &["--flows", "16"])];
    for (of, count, args) in cases {
        let frames = middles(of, count);
        let sent = frames.len() as u64;
        let capture = write(&folder, "long.pcap", &frames);
        let expected = sums(&flows(&capture, &[]));
        let lanes: &[&str] = &["--prefilter", "offload after 10", "--l7", "none"];
        let running = started(&ns, &pages, &[lanes, args].concat());
        ns.send(&capture, 8_000);
        let run = running.interrupt().must(130);
        let (offered, terms) = books(&run);
        println!("{sent} sent\n{}", run.stderr);
        assert_eq!((offered, terms["taken"] + terms["offloaded"]), (sent, sent), "{}", run.stderr);
        let records = json_lines(&run.stdout);
        assert_eq!(sums(&records), expected);
        assert!(records.len() >= 2 * of.len(), "{} records of {} flows\n{}", records.len(), of.len(), run.stderr);
    }
}

#[test]
fn rules_of_a_file_change_at_sighup_and_every_packet_is_in_one_counter() {
    let (ns, folder, pages) = (Netns::new(2), Folder::new(), Folder::new());
    let (bytes, sent) = sendable([mixture(30_000, 4_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    let rules = folder.write("edge.rules", "# nothing yet\n");
    let put = |text: &str| std::fs::write(&rules, text).expect("a file");
    let running = started(&ns, &pages, &["--prefilter", &format!("@{}", rules.display())]);
    // Sent again and again until the last of the changes: each set of rules has some of the traffic.
    let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                ns.send(&capture, 15_000);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _over = Sets(&over);
        for changes in 0..16 {
            let texts = [
                "drop proto udp\n",
                "sample 10\n# half; of it\n",
                "",
                "sample 4 flow\ndrop port 443\n",
                "pass net 0.0.0.0/0; drop other\n",
                "offload after 5\ndrop net 128.0.0.0/1; keep net ::/0\n",
                "offload after 2\n",
            ];
            let text = texts[changes % texts.len()];
            put(text);
            running.signal("HUP");
            running.wait_for("edge.rules are in force");
            if changes % 5 == 4 {
                put("keep port 53\n\nkeep prot 53\n");
                running.signal("HUP");
                running.wait_for("edge.rules:3: 'keep prot 53' is no rule");
            }
            let columns = if text.contains("offload") {
                &["captured.offloaded"][..]
            } else {
                &["captured.offered", "captured.passed"]
            };
            let seen = || columns.iter().map(|name| total(&pages, name).unwrap_or(0)).sum();
            let (before, end): (u64, _) = (seen(), Instant::now() + Duration::from_secs(60));
            while seen() < before + 500 {
                assert!(Instant::now() < end, "no more packets after {before} by {text:?}");
            }
        }
    });
    let sent = sent * rounds.load(Ordering::Relaxed);
    let run = running.interrupt().must(130);
    let (offered, terms) = books(&run);
    println!("{sent} sent\n{}", run.stderr);
    let passed = run.stderr.lines().find_map(|l| l.strip_prefix("  passed  ")).expect("a line on what was passed");
    let passed: u64 = passed.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert_eq!(offered + passed, sent, "{}", run.stderr);
    for word in ["taken", "offloaded", "xdp_dropped", "sampled"] {
        assert!(terms.contains_key(word), "no {word}: {}", run.stderr);
    }
    let (packets, _) = totals(&json_lines(&run.stdout));
    assert!(packets <= terms["taken"] + terms["offloaded"]);
}

fn totals(records: &[Value]) -> (u64, u64) {
    let sums = sums(records);
    sums.values().fold((0, 0), |(p, b), s| (p + s[0] + s[1], b + s[2] + s[3]))
}

#[test]
fn what_cannot_be_is_said() {
    let (ns, folder) = (Netns::new(1), Folder::new());
    let probe = |args: &[&str]| outcome(&mut ns.sonda([&["probe", "-i", HERE, "--duration", "1"], args].concat()));
    let with = |rules: &str, args: &[&str]| probe(&[&["--prefilter", rules], args].concat());
    with("offload", &["--uniflow"]).must(1).says(&["--uniflow", "leave one of them out"]);
    with("offload", &["--filter", "tcp"]).must(1).says(&["--filter cannot see packets"]);
    for tunnels in ["inner", "both"] {
        with("offload", &["--tunnels", tunnels]).must(1).says(&["--tunnels cannot see packets"]);
    }
    with("offload", &["--backend", "af_packet"]).must(1).says(&["--prefilter is for --backend af_xdp"]);
    let wrong = folder.write("wrong.rules", "drop port 1\n# comment; with more\noffload after all\n");
    let at = format!("@{}", wrong.display());
    with(&at, &[]).must(2).says(&["wrong.rules:3: count 'all' is none"]);
    with("@/no/such.rules", &[]).must(2).says(&["/no/such.rules: ", "name a file of rules"]);
    // Left alone, because this machine talks through it: rules cannot be had then.
    ns.must("ip", &["address", "add", "192.0.2.1/24", "dev", HERE]);
    with("drop port 1", &[]).must(1).says(&["--prefilter does not work on", "say --backend af_xdp"]);
}
