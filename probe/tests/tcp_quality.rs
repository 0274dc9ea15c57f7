//! How well TCP connections went, by us and by tshark's analysis: the same counts in each direction of each pair of ports, in all golden captures.
//!
//! A difference is allowed if it stands in [`EXPLAINED`] with its reason, and as long as it is exactly that. Needs the Debian package `tshark`;
//! SONDA_SKIP_TOOLS=1 does without.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use support::{Folder, flows, tools};

/// Our count, tshark's field of a frame that counts. The other direction's field has `_rev` behind its name.
const COUNTS: &[(&str, &str)] = &[
    ("retransmitted", "tcp.analysis.retransmission"),
    ("out_of_order", "tcp.analysis.out_of_order"),
    ("gaps", "tcp.analysis.lost_segment"),
    ("zero_windows", "tcp.analysis.zero_window"),
    ("duplicate_acks", "tcp.analysis.duplicate_ack"),
];

/// Capture, count, ports from and to, what we have, what tshark has, why.
const EXPLAINED: &[(&str, &str, &str, u64, u64, &str)] = &[
    ("tcp_quality", "retransmitted", "8001>40011", 1, 0, IN_A_STREAM),
    ("tcp_quality", "out_of_order", "8001>40011", 0, 1, IN_A_STREAM),
    ("shared/smtp", "retransmitted", "1470>25", 5, 4, SEEN_BEFORE),
    ("shared/smtp", "out_of_order", "1470>25", 0, 1, SEEN_BEFORE),
    ("shared/rtsp", "retransmitted", "554>3925", 0, 1, WITHIN_A_ROUND_TRIP),
    ("shared/rtsp", "out_of_order", "554>3925", 1, 0, WITHIN_A_ROUND_TRIP),
    ("shared/ovpn", "retransmitted", "10103>54113", 3, 2, SEEN_BEFORE),
    ("shared/ovpn", "out_of_order", "10103>54113", 0, 1, SEEN_BEFORE),
    ("shared/ovpn", "duplicate_acks", "10103>54113", 3, 4, NOTHING_ON_ITS_WAY),
    ("shared/ovpn", "duplicate_acks", "54113>10103", 0, 2, NOTHING_ON_ITS_WAY),
];
const IN_A_STREAM: &str = "tshark counts the round trip from the newest segment, which is always near in a stream; we from the gap's beginning";
const SEEN_BEFORE: &str = "bytes of it had come before, so it was sent again; tshark looks for them in one segment that is not acknowledged yet";
const WITHIN_A_ROUND_TRIP: &str = "it came 92 ms behind the gap, and the handshake took 1.65 s; tshark takes what ends where the stream has come to for sent again";
const NOTHING_ON_ITS_WAY: &str =
    "no byte was on its way that could be asked for (RFC 5681 section 2 a); tshark does not look";

/// Counts by name and ports.
type Counted = BTreeMap<(&'static str, String), u64>;

#[test]
fn counts_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in benches::cases().iter().filter(|case| case.clean) {
        compared += judge(case.name, &folder.write(case.name, (case.build)()), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 12, "{compared} counts are too few");
}

/// The second suite: recordings of real networks.
#[test]
fn counts_of_recordings_are_those_of_tshark() {
    let Some(folder) = support::recorded("fixtures/pcap") else { return };
    if tools::skipped() {
        return;
    }
    let (mut compared, mut wrong) = (0, Vec::new());
    for name in ["tls", "smtp", "rtsp", "ovpn", "http", "mixed"] {
        compared += judge(&format!("shared/{name}"), &folder.join(format!("{name}.pcap")), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared >= 12, "{compared} counts are too few");
}

/// How many counts tshark has of a capture; what differs goes to `wrong`.
fn judge(name: &str, capture: &Path, wrong: &mut Vec<String>) -> usize {
    let ours = told(capture);
    if ours.is_empty() {
        return 0;
    }
    let theirs = read(capture);
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let of = |counted: &Counted| counted.get(key).copied().unwrap_or_default();
        let (we, they) = (of(&ours), of(&theirs));
        let explained = EXPLAINED.iter().find(|line| (line.0, line.1, line.2) == (name, key.0, key.1.as_str()));
        if (we, they) != explained.map_or((they, they), |line| (line.3, line.4)) {
            wrong.push(format!("{name} {} {}: we have {we}, tshark has {they}", key.0, key.1));
        }
    }
    theirs.len()
}

/// Both halves of the handshake, and their sum.
#[test]
fn round_trips_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let mut compared = 0;
    for case in ["basic_tcp", "ipv6", "tcp_quality", "http", "smtp"] {
        let capture = folder.capture(case);
        let fields = ["tcp.srcport", "tcp.flags.syn", "tcp.analysis.ack_rtt", "tcp.analysis.initial_rtt"];
        let of_ports = table(&capture, "tcp.analysis.initial_rtt || tcp.flags.syn == 1", &fields);
        for flow in flows(&capture, &["--l7", "none", "--stats", "tcpquality"]) {
            let number = |name: &str| flow["tcpquality"][name].as_u64().unwrap_or_default();
            let (server, client) = (number("rtt_server"), number("rtt_client"));
            if server == 0 || client == 0 {
                continue;
            }
            let port = |side: &str| flow[side].to_string();
            let micros = |seconds: &str| (seconds.parse::<f64>().expect("seconds") * 1e6).round() as u64;
            let of = |ports: &str, syn: &str, column: usize| {
                let row = of_ports.iter().find(|row| row[0] == ports && row[1] == syn && !row[column].is_empty());
                micros(&row.unwrap_or_else(|| panic!("{case}: tshark has none of {flow}"))[column])
            };
            assert_eq!(server, of(&port("dst_port"), "1", 2), "{case}: {flow}");
            assert_eq!(client, of(&port("src_port"), "0", 2), "{case}: {flow}");
            assert_eq!(server + client, of(&port("src_port"), "0", 3), "{case}: {flow}");
            compared += 1;
        }
    }
    assert!(compared >= 15, "{compared} handshakes are too few");
}

/// The capture has lost two segments that the client has, and another capture's were lost on the way.
#[test]
fn losses_are_told_apart() {
    let folder = Folder::new();
    let flows = flows(&folder.capture("tcp_quality"), &["--l7", "none", "--stats", "tcpquality"]);
    let of = |port: u64| {
        let flow = flows.iter().find(|flow| flow["src_port"] == port).expect("a flow of the port");
        let number = |name: &str| flow["tcpquality"][name].as_u64().unwrap_or_default();
        ["retransmitted_rev", "missing_bytes_rev", "unseen_bytes_rev", "retransmitted_bytes_rev"].map(number)
    };
    assert_eq!(of(40_001), [0, 0, 0, 0], "nothing was lost");
    assert_eq!(of(40_002), [1, 0, 0, 1000], "lost behind us");
    assert_eq!(of(40_003), [1, 0, 0, 1000], "lost before us");
    assert_eq!(of(40_005), [0, 0, 2000, 0], "lost by the capture");
    assert_eq!(of(40_010), [0, 2000, 0, 0], "never arrived");
}

fn told(capture: &Path) -> Counted {
    let mut counted = Counted::new();
    for flow in flows(capture, &["--l7", "none", "--stats", "tcpquality"]).iter().filter(|flow| flow["protocol"] == 6) {
        let number = |name: &str| flow["tcpquality"][name].as_u64().unwrap_or_default();
        let ports = |from: &str, to: &str| format!("{}>{}", flow[from], flow[to]);
        for (name, _) in COUNTS {
            *counted.entry((*name, ports("src_port", "dst_port"))).or_default() += number(name);
            *counted.entry((*name, ports("dst_port", "src_port"))).or_default() += number(&format!("{name}_rev"));
        }
    }
    counted
}

fn read(capture: &Path) -> Counted {
    let fields: Vec<&str> = ["tcp.srcport", "tcp.dstport"].into_iter().chain(COUNTS.iter().map(|(_, f)| *f)).collect();
    let mut counted = Counted::new();
    for row in table(capture, "tcp.analysis.flags", &fields) {
        for ((name, _), shown) in COUNTS.iter().zip(&row[2..]).filter(|(_, shown)| !shown.is_empty()) {
            assert!(shown.starts_with('1'), "a flag is shown as 1: {row:?}");
            *counted.entry((*name, format!("{}>{}", row[0], row[1]))).or_default() += 1;
        }
    }
    counted
}

/// The frames that pass tshark's filter, with these fields of them.
fn table(capture: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let text = tools::tshark_fields(capture, &["-Y", filter, "-E", "occurrence=l"], fields);
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}
