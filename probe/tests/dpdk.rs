//! Capture by DPDK, on virtual devices: what comes out is what reading the file gives. Feature `dpdk`; as root, because of huge pages, a
//! mount and a network namespace.
#![cfg(feature = "dpdk")]

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "the other live suite uses the rest")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
#[allow(dead_code, reason = "the other live suites use the rest")]
mod traffic;

use netns::{HERE, Netns, Running};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use support::{Folder, Run, Summary, assert_same, flows, json_lines, mixture, outcome, run, sonda};
use traffic::{sendable_within, timeless};

/// Keeps away from other DPDK programs, and from huge pages.
const PLAIN: &str = "--no-huge --no-pci";

/// Flows of what DPDK's device brings.
#[track_caller]
fn captured(device: &str, vdev: &str, args: &[&str]) -> (Vec<Value>, Summary) {
    let eal = format!("{PLAIN} --vdev={vdev}");
    let mut all = vec!["probe", "-i", device, "--backend", "dpdk", "--dpdk-eal", &eal, "--json", "-"];
    all.extend(args);
    let run = run(all).must(0);
    (json_lines(&run.stdout), Summary::of(&run.stderr))
}

/// Without what only the time of arrival decides, the reason for a flow's end among it: the file's own times are those of the capture.
fn without_ends(flows: &[Value]) -> Vec<String> {
    let strip = |flow: &Value| {
        let mut flow = flow.clone();
        if let Some(fields) = flow.as_object_mut() {
            fields.retain(|name, _| !["first", "last", "start", "end", "duration"].iter().any(|t| name.contains(t)));
        }
        flow.to_string()
    };
    let mut all: Vec<String> = flows.iter().map(strip).collect();
    all.sort();
    all
}

#[test]
fn a_file_through_net_pcap_gives_the_records_of_the_file() {
    let folder = Folder::new();
    let file = folder.write("mix.pcap", mixture(40_000, 2_000));
    let expected = flows(&file, &[]);
    let (got, books) = captured("net_pcap0", &format!("net_pcap0,rx_pcap={}", file.display()), &["--duration", "2"]);
    assert!(expected.len() > 1000 && books.packets >= 40_000, "{books:?}");
    assert_same("net_pcap", &without_ends(&got), &without_ends(&expected));
}

#[test]
fn two_queues_are_two_lanes() {
    let folder = Folder::new();
    let (one, two) = (folder.write("a.pcap", mixture(5_000, 300)), folder.capture("basic_tcp"));
    let vdev = format!("net_pcap0,rx_pcap={},rx_pcap={}", one.display(), two.display());
    let (got, _) = captured("0", &vdev, &["--duration", "1", "--lanes", "2"]);
    let expected: Vec<String> = [without_ends(&flows(&one, &[])), without_ends(&flows(&two, &[]))].concat();
    assert_same("two queues", &without_ends(&got), &expected);
}

#[test]
fn the_drop_in_reads_ports_and_queues() {
    let folder = Folder::new();
    let file = folder.write("mix.pcap", mixture(5_000, 300));
    let file = file.to_str().expect("plain path");
    let text = |name: &str, inputs: &[&str], count: u64| {
        let out = folder.text(name);
        let (count, output) = (count.to_string(), format!("text;file={out}"));
        let mut args = vec!["ipfixprobe", "-c", &count, "-o", &output];
        inputs.iter().for_each(|input| args.extend(["-i", input]));
        let run = run(args).must(0);
        let text = std::fs::read_to_string(&out).expect("it was written");
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        (lines, run)
    };
    let (expected, _) = text("file", &[&format!("pcap;file={file}")], 4_000);
    let first = format!("dpdk;p=0;q=1;b=32;m=4096;M=1500;eal={PLAIN} --no-shconf --vdev=net_pcap0,rx_pcap={file}");
    let (got, _) = text("one", &[&first], 4_000);
    assert_same("dpdk", &got, &expected);
    // Each further bare `dpdk` is the next queue, of all ports in turn.
    let first = format!(
        "dpdk;p=0,net_pcap1;q=2;eal={PLAIN} --no-shconf --vdev=net_pcap0,rx_pcap={file},rx_pcap={file} \
         --vdev=net_pcap1,rx_pcap={file},rx_pcap={file}"
    );
    let (got, run) = text("two", &[&first, "dpdk"], 4_000);
    assert!(got.len() > expected.len(), "{}", run.stdout);
    let third = run_of(&["ipfixprobe", "-i", &first, "-i", "dpdk", "-i", "dpdk", "-o", "text"]);
    third.must(1).says(&["there are 2 queues and one more -i dpdk"]);
}

fn run_of(args: &[&str]) -> Run {
    run(args.iter().copied())
}

#[test]
fn a_device_without_end_ends_by_count_and_books_balance() {
    let eal = format!("{PLAIN} --vdev=net_null0,size=64");
    for (count, args) in [(1_u64, &["--duration", "1"][..]), (0, &["--duration", "1"])] {
        let mut all = vec!["probe", "-i", "0", "--backend", "dpdk", "--dpdk-eal", &eal, "--l7", "none"];
        let count = count.to_string();
        all.extend(["--count", &count]);
        all.extend(args);
        // 64 zero bytes are no packet: nothing is counted as decoded, and all is accounted for.
        let run = run(all).must(0);
        assert!(run.stderr.contains("not_ip"), "{}", run.stderr);
    }
    // Frames of a file again and again, as many as were asked for.
    let folder = Folder::new();
    let file = folder.capture("basic_tcp");
    let eal = format!("{PLAIN} --vdev=net_pcap0,rx_pcap={},infinite_rx=1", file.display());
    let run =
        run(["probe", "-i", "0", "--backend", "dpdk", "--dpdk-eal", &eal, "--count", "100001", "--json", "-"]).must(0);
    assert_eq!(Summary::of(&run.stderr).decoded, 100_001);
}

#[test]
fn what_does_not_work_is_said() {
    let eal = |text: &str| format!("{PLAIN} {text}");
    let start = |args: &[&str]| run_of(&[&["probe", "--backend", "dpdk"], args].concat()).must(1);
    start(&["-i", "7", "--dpdk-eal", &eal("--vdev=net_null0")]).says(&["port 7: not there; DPDK has 1 ports"]);
    start(&["-i", "0,0", "--dpdk-eal", &eal("--vdev=net_null0")]).says(&["is already an input"]);
    start(&["-i", "0", "--dpdk-eal", "--help"]).says(&["not an argument for this program"]);
    start(&["-i", "0", "--dpdk-eal", &eal("--no-such-option")]).says(&["rte_eal_init"]);
    start(&["-i", "0", "--filter", "tcp", "--dpdk-eal", PLAIN]).says(&["--filter is not for --backend dpdk"]);
    // More than any machine has: the message counts pages and names the sysctl.
    let run = run_of(&[
        "ipfixprobe",
        "-i",
        "dpdk;p=0;q=1024;m=4194304;M=65535;e=--no-pci --in-memory --vdev=net_null0",
        "-o",
        "text",
    ]);
    run.must(1).says(&["huge pages of", "sysctl -w vm.nr_hugepages="]);
    run_of(&["ipfixprobe", "-i", &format!("dpdk-ring;r=none;e={PLAIN} --no-shconf --proc-type=primary"), "-o", "text"])
        .must(1)
        .says(&["ring none: not there"]);
}

/// Runs a program that must succeed.
#[track_caller]
fn must(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{program} {args:?} (these tests need root): {}", text(&out.stderr));
    text(&out.stdout)
}

#[test]
fn frames_of_a_veth_arrive_through_net_af_packet() {
    let folder = Folder::new();
    let file = folder.write("mix.pcap", mixture(2_000, 100));
    let net = Netns::new(1);
    let eal = format!("{PLAIN} --vdev=net_af_packet0,iface={HERE}");
    let args = ["probe", "-i", "0", "--backend", "dpdk", "--dpdk-eal", &eal, "--duration", "4", "--json", "-"];
    let running = Running::start(&mut net.sonda(args));
    running.wait_for("0: dpdk net_af_packet");
    net.send(&file, 2_000);
    let run = running.end().must(0);
    let _ = Summary::of(&run.stderr);
    assert!(!run.stderr.contains(" nic_"), "{}", run.stderr);
    assert_same("net_af_packet", &without_ends(&json_lines(&run.stdout)), &without_ends(&flows(&file, &[])));
}

/// The kernel chooses the queue of what is sent on a tap, and does not keep flows whole when it does: the probe says so, and with two lanes
/// only the packets are compared.
#[test]
fn frames_that_the_kernel_sends_on_a_tap_arrive_by_one_lane_and_two() {
    let folder = Folder::new();
    let (bytes, sent) = sendable_within([mixture(5_000, 400)], 1514);
    let file = folder.write("mix.pcap", bytes);
    let net = Netns::new(1);
    for lanes in ["1", "2"] {
        let eal = format!("{PLAIN} --vdev=net_tap0,iface=tap0");
        let args =
            ["probe", "-i", "net_tap0", "--backend", "dpdk", "--dpdk-eal", &eal, "--lanes", lanes, "--json", "-"];
        let running = Running::start(&mut net.sonda(args));
        running.wait_for(if lanes == "1" { "net_tap0: dpdk net_tap" } else { "how to spread packets" });
        net.send_on("tap0", &file, 2_000);
        let run = running.interrupt().must(130);
        assert_eq!(Summary::of(&run.stderr).packets, sent, "{}", run.stderr);
        assert!(!run.stderr.contains(" nic_"), "{}", run.stderr);
        if lanes == "1" {
            assert_same("net_tap", &timeless(json_lines(&run.stdout)), &timeless(flows(&file, &[])));
        } else {
            assert!(!run.stderr.contains(" 0 packets, 0 flows"), "both lanes have work\n{}", run.stderr);
        }
    }
}

/// Huge pages and a place to share them, given back afterwards. The machine has one number of them, so one test at a time has this.
struct Pages {
    _alone: MutexGuard<'static, ()>,
    before: u64,
    folder: String,
}

const PAGES: &str = "/proc/sys/vm/nr_hugepages";

impl Pages {
    fn new(folder: &Path) -> Pages {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before: u64 = std::fs::read_to_string(PAGES).expect("Linux has it").trim().parse().expect("a number");
        std::fs::write(PAGES, (before + 64).to_string()).expect("root may reserve huge pages");
        let folder = folder.to_str().expect("plain path").to_string();
        must("mount", &["-t", "hugetlbfs", "none", &folder]);
        Pages { _alone: alone, before, folder }
    }

    /// Takes back those that nobody uses yet.
    fn take_free_ones(&self) {
        std::fs::write(PAGES, self.before.to_string()).expect("root may");
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.folder]).status();
        let _ = std::fs::write(PAGES, self.before.to_string());
    }
}

/// Fault matrix, row 29: memory is taken at the start, so it does not matter that none is left afterwards.
#[test]
fn huge_pages_that_are_taken_later_change_nothing() {
    let folder = Folder::new();
    let (bytes, sent) = sendable_within([mixture(2_000, 200)], 1514);
    let file = folder.write("mix.pcap", bytes);
    let shared = folder.path("huge");
    std::fs::create_dir(&shared).expect("a folder");
    let pages = Pages::new(&shared);
    let net = Netns::new(1);
    let eal = "--no-pci --in-memory --vdev=net_tap0,iface=tap0";
    let args = ["probe", "-i", "0", "--backend", "dpdk", "--dpdk-eal", eal, "--json", "-"];
    let running = Running::start(&mut net.sonda(args));
    running.wait_for("0: dpdk net_tap");
    pages.take_free_ones();
    net.send_on("tap0", &file, 2_000);
    let run = running.interrupt().must(130);
    assert_eq!(Summary::of(&run.stderr).packets, sent, "{}", run.stderr);
    assert_same("after", &timeless(json_lines(&run.stdout)), &timeless(flows(&file, &[])));
}

/// This process fills a ring as another program would, the probe attaches as its second process.
#[test]
fn a_ring_of_another_process_is_read_and_its_buffers_come_back() {
    use dataplane::capture::dpdk::{Dpdk, Start};
    use dataplane::capture::{CaptureSource, OpenOptions, Poll, open};
    let folder = Folder::new();
    let file = folder.write("mix.pcap", mixture(5_000, 300));
    let shared = folder.path("huge");
    std::fs::create_dir(&shared).expect("a folder");
    let pages = Pages::new(&shared);
    let prefix = format!("sonda-test-{}", std::process::id());
    let eal = format!("--no-pci --file-prefix={prefix} --huge-dir={} --log-level=critical -m 64", pages.folder);
    let dpdk = Dpdk::start(&eal, Start::AsTold, 64 << 20).expect("it starts");
    let mut sender = dpdk.test_ring("cable", 1024, 2048, 10_000).expect("a ring");
    let mut expected = sonda(["ipfixprobe", "-i", &format!("pcap;file={}", file.display()), "-o"]);
    let (theirs, ours) = (folder.text("file.txt"), folder.text("ring.txt"));
    let expected = outcome(expected.arg(format!("text;file={theirs}"))).must(0);
    let packets = total(&expected.stdout);

    let mut command = sonda(["ipfixprobe", "-c", &packets.to_string(), "-o", &format!("text;file={ours}"), "-i"]);
    command.arg(format!("dpdk-ring;r=cable;b=32;e=--no-pci --file-prefix={prefix}"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut source = open(&file, OpenOptions::default()).expect("our capture");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let mut send = |bytes: &[u8]| {
        while !sender.send(bytes, 10_000) && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    };
    while source.burst(|frames| frames.iter().for_each(|f| send(f.bytes))).expect("our capture") != Poll::End {}
    let mut said = String::new();
    let status = child.wait().expect("it ends");
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(status.success(), "{status} {said}");
    assert_eq!(sender.in_use(), 0, "each buffer came back: {said}");
    let read = |path: &str| std::fs::read_to_string(path).expect("written").lines().count();
    assert_eq!(read(&ours), read(&theirs));
}

/// Packets in the input table of the drop-in.
fn total(table: &str) -> u64 {
    let row =
        table.lines().find(|line| line.split_whitespace().next() == Some("0")).unwrap_or_else(|| panic!("{table}"));
    row.split_whitespace().nth(2).and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{table}"))
}
