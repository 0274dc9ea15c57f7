//! The interface of a flow and its direction: the kernel's number and the packet's type of live ones, what a pcapng file says of its own;
//! in IPFIX with the interfaces' names, in NetFlow, and nothing new in the drop-in. tshark and nfdump judge.
//!
//! Live tests need root; the Debian packages `iproute2`, `tcpreplay`, `tcpdump`, `tshark` and `nfdump` are used; SONDA_SKIP_TOOLS=1 does without the
//! last two.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
mod support;

use netns::{HERE, Netns, Running, THERE};
use std::collections::BTreeMap;
use std::path::Path;
use support::messages::{self, Fields};
use support::tools::{self, Nfcapd};
use support::{Folder, Run, run};

/// What a record says: (ingressInterface, flowDirection), by the destination's port.
type Seen = BTreeMap<u16, (u32, Option<u8>)>;

const INGRESS: Option<u8> = Some(0);
const EGRESS: Option<u8> = Some(1);

/// An Ethernet frame with a datagram from port 1000 to `port`.
fn datagram(port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([1000, port, 12, 0].iter().flat_map(|n: &u16| n.to_be_bytes()));
    frame.extend(*b"abcd");
    frame.resize(60, 0);
    frame
}

/// A capture with a datagram to each port.
fn capture(ports: &[u16]) -> Vec<u8> {
    use benches::pcap::{Format, PcapWriter};
    let mut out = PcapWriter::new(Vec::new(), Format::default()).expect("a Vec");
    for (number, port) in (0..).zip(ports) {
        out.packet(benches::EPOCH + number * 1000, &datagram(*port)).expect("a Vec");
    }
    out.finish().expect("a Vec")
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

/// A pcapng file with so many interfaces and a datagram for each (port, interface, epb_flags).
fn pcapng(interfaces: u32, packets: &[(u16, u32, Option<u32>)]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    (0..interfaces).for_each(|_| file.extend(block(1, &words(&[1, 0]))));
    for (number, (port, interface, flags)) in (0..).zip(packets) {
        let frame = datagram(*port);
        let micros: u64 = benches::EPOCH / 1000 + number;
        let length = frame.len() as u32;
        let mut body = words(&[*interface, (micros >> 32) as u32, micros as u32, length, length]);
        body.extend(&frame);
        // A comment before the flags, which are not the first option.
        flags.iter().for_each(|flags| {
            body.extend(words(&[3 << 16 | 1, u32::from_le_bytes(*b"abc\0"), 4 << 16 | 2, *flags, 0]))
        });
        file.extend(block(6, &body));
    }
    file
}

fn number(record: &Fields, name: &str) -> Option<u32> {
    let text = record.iter().find_map(|f| f.strip_prefix(name)?.strip_prefix('='))?;
    Some(u32::from_str_radix(text, 16).expect("a number"))
}

fn said(file: &str) -> messages::Said {
    messages::read(&messages::split(&std::fs::read(file).expect("it was written")))
}

fn seen(records: &[Fields]) -> Seen {
    let of = |record: &Fields| {
        let port = number(record, "destinationTransportPort").expect("a port") as u16;
        let interface = number(record, "ingressInterface").expect("an interface");
        (port, (interface, number(record, "flowDirection").map(|n| n as u8)))
    };
    records.iter().map(of).collect()
}

/// The same as tshark shows it.
fn shown(file: &str, folder: &Folder) -> Seen {
    let sent = messages::split(&std::fs::read(file).expect("it was written"));
    let capture = folder.write("messages.pcap", messages::as_capture(&sent));
    let flows = tools::tshark_flows(&capture);
    let value = |flow: &[(String, String)], name: &str| {
        let (_, text) = flow.iter().find(|(known, _)| known == name)?;
        Some(text.parse::<u32>().unwrap_or_else(|_| panic!("{name} is {text}")))
    };
    let of = |flow: &Vec<(String, String)>| {
        let port = value(flow, "cflow.dstport")? as u16;
        let direction = value(flow, "cflow.direction").map(|n| n as u8);
        Some((port, (value(flow, "cflow.inputint").expect("an interface"), direction)))
    };
    flows.iter().filter_map(of).collect()
}

/// Input and output interfaces as nfdump shows them, by port.
fn dumped(capture: &Path, version: &str, options: &[&str]) -> BTreeMap<u16, (u32, u32)> {
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    let target = format!("{version}127.0.0.1:{}", nfcapd.port());
    let option = if version.is_empty() { "--ipfix" } else { "--netflow" };
    run([&["probe", capture.to_str().expect("plain path"), option, &target], options].concat()).must(0);
    let rows = nfcapd.finish_as(&files.path("."), "%pr %sa %sp %da %dp %in %out");
    let of = |row: &String| {
        let columns: Vec<u32> = row.split(' ').skip(4).map(|n| n.parse().expect("a number")).collect();
        (columns[0] as u16, (columns[1], columns[2]))
    };
    rows.iter().map(of).collect()
}

fn index(ns: &Netns, name: &str) -> u32 {
    ns.must("cat", &[&format!("/sys/class/net/{name}/ifindex")]).trim().parse().expect("a number")
}

/// Index and name of all interfaces that were told.
fn named(options: &[Fields]) -> Vec<(u32, String)> {
    let of = |record: &Fields| {
        let hex = record.iter().find_map(|f| f.strip_prefix("interfaceName="))?;
        let bytes: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect();
        let name = String::from_utf8(bytes).expect("text").trim_end_matches('\0').to_string();
        Some((number(record, "ingressInterface").expect("its number"), name))
    };
    options.iter().filter_map(of).collect()
}

/// Two interfaces, datagrams in and out of both, and one that is renamed while it is captured from.
fn live(ns: &Netns, folder: &Folder, backend: &str, others: &[&str]) -> (String, Run) {
    let file = folder.text("live.ipfix");
    let inputs = ["probe", "-i", HERE, "-i", "w0", "--backend", backend, "--ipfix-file", &file];
    let running = Running::start(&mut ns.sonda([&inputs[..], others].concat()));
    (0..2).for_each(|_| running.wait_for(&format!(": {backend}, ")));
    let send = |interface: &str, port: u16| {
        ns.send_on(interface, &folder.write(&format!("{port}.pcap"), capture(&[port])), 1000);
    };
    send(THERE, 1);
    send("w1", 2);
    if backend == "af_packet" {
        send(HERE, 3);
        send("w0", 4);
        for words in [&["w0", "down"][..], &["w0", "name", "uplink"], &["uplink", "up"]] {
            ns.must("ip", &[&["link", "set"], words].concat());
        }
        // It says so when it has seen that it is up again.
        running.wait_for("w0 ");
        send("w1", 5);
        send("uplink", 6);
    }
    (file, running.interrupt().must(130))
}

#[test]
fn live_flows_have_the_numbers_that_the_kernel_gives() {
    let ns = Netns::new(1);
    ns.must("ip", &["link", "add", "w0", "type", "veth", "peer", "name", "w1"]);
    ["w0", "w1"].iter().for_each(|link| drop(ns.must("ip", &["link", "set", link, "up"])));
    let (first, second) = (index(&ns, HERE), index(&ns, "w0"));
    assert_ne!(first, second);
    let names = [(first, HERE.to_string()), (second, "w0".to_string())];
    let folder = Folder::new();
    for lanes in ["1", "2"] {
        let (file, _) = live(&ns, &folder, "af_packet", &["--lanes", lanes]);
        let expected = Seen::from([
            (1, (first, INGRESS)),
            (2, (second, INGRESS)),
            (3, (first, EGRESS)),
            (4, (second, EGRESS)),
            (5, (second, INGRESS)),
            (6, (second, EGRESS)),
        ]);
        assert_eq!(seen(&said(&file).records), expected);
        if !tools::skipped() {
            assert_eq!(shown(&file, &folder), expected);
        }
        assert_eq!(named(&said(&file).options), names);
        for words in [&["uplink", "down"][..], &["uplink", "name", "w0"], &["w0", "up"]] {
            ns.must("ip", &[&["link", "set"], words].concat());
        }
    }
    let (file, _) = live(&ns, &folder, "af_xdp", &[]);
    assert_eq!(seen(&said(&file).records), Seen::from([(1, (first, INGRESS)), (2, (second, INGRESS))]));
    assert_eq!(named(&said(&file).options), names);
}

const PACKETS: [(u16, u32, Option<u32>); 5] =
    [(1, 0, Some(1)), (2, 1, Some(2)), (3, 2, None), (4, 2, Some(0)), (5, 0, Some(0b1_0001))];

#[test]
fn a_pcapng_file_says_interfaces_and_directions() {
    let folder = Folder::new();
    let file = folder.write("three.pcapng", pcapng(3, &PACKETS));
    let (text, out) = (file.display().to_string(), folder.text("out.ipfix"));
    let expected = |base: u32| {
        Seen::from([
            (1, (base, INGRESS)),
            (2, (base + 1, EGRESS)),
            (3, (base + 2, None)),
            (4, (base + 2, None)),
            (5, (base, INGRESS)),
        ])
    };
    for (base, others) in [(0, &[][..]), (70_000, &["--interface-index", "70000", "--lanes", "2"])] {
        run([&["probe", &text, "--ipfix-file", &out], others].concat()).must(0);
        let said = said(&out);
        assert_eq!(seen(&said.records), expected(base));
        if !tools::skipped() {
            assert_eq!(shown(&out, &folder), expected(base));
        }
        assert_eq!(named(&said.options), []);
    }
    let plain = folder.write("plain.pcap", capture(&[9])).display().to_string();
    run(["probe", &plain, "--ipfix-file", &out, "--interface-index", "12"]).must(0);
    assert_eq!(seen(&said(&out).records), Seen::from([(9, (12, None))]));
}

#[test]
fn cooked_headers_say_which_way_a_packet_went() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let frame = folder.write("9.pcap", capture(&[9]));
    for (link, way, direction) in [
        ("LINUX_SLL", "in", INGRESS),
        ("LINUX_SLL", "out", EGRESS),
        ("LINUX_SLL2", "in", INGRESS),
        ("LINUX_SLL2", "out", EGRESS),
    ] {
        let (file, out) = (folder.text("any.pcap"), folder.text("out.ipfix"));
        let options = ["-i", "any", "-y", link, "-Q", way, "-U", "-Z", "root", "-c", "1", "-w", &file, "udp port 9"];
        let tcpdump = Running::start(&mut ns.command("tcpdump", options));
        tcpdump.wait_for("listening on any");
        ns.send(&frame, 1000);
        tcpdump.end().must(0);
        run(["probe", &file, "--ipfix-file", &out]).must(0);
        assert_eq!(seen(&said(&out).records), Seen::from([(9, (0, direction))]), "{link} {way}");
    }
}

#[test]
fn nfdump_shows_the_interfaces() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let file = folder.write("three.pcapng", pcapng(3, &PACKETS));
    let expected: BTreeMap<u16, (u32, u32)> =
        PACKETS.iter().map(|(port, interface, _)| (*port, (interface + 20, 0))).collect();
    for version in ["", "v9://", "v5://"] {
        assert_eq!(dumped(&file, version, &["--interface-index", "20"]), expected, "{version}");
    }
    let highest = dumped(&file, "v5://", &["--interface-index", "65535"]);
    assert!(highest.values().all(|interfaces| *interfaces == (65_535, 0)), "16 bits: {highest:?}");
}

#[test]
fn the_drop_in_says_what_its_option_says() {
    let folder = Folder::new();
    let file = folder.write("three.pcapng", pcapng(3, &PACKETS)).display().to_string();
    let out = folder.text("out.ipfix");
    let (input, output, dir) =
        (format!("pcap;file={file}"), format!("ipfix;file={out}"), format!("ipfix;file={out};dir=4"));
    let runs: [(&[&str], u32); 3] = [
        (&["ipfixprobe", "-i", &input, "-o", &output], 0),
        (&["ipfixprobe", "-i", &input, "-o", &dir], 4),
        (&["probe", &file, "--ipfix-file", &out, "--compat", "ipfixprobe"], 0),
    ];
    for (words, interface) in runs {
        run(words).must(0);
        let seen = seen(&said(&out).records);
        assert_eq!(seen, PACKETS.iter().map(|(port, ..)| (*port, (interface, None))).collect::<Seen>(), "{words:?}");
    }
}
