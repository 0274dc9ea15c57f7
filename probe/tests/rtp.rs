//! Quality of calls, beside tshark: its table of RTP streams and its fields of RTCP say what the plugin `rtp` says.
//!
//! Needs the Debian package `tshark`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use serde_json::Value;
use std::process::Command;
use support::tools::{self, tool, tshark_fields};
use support::{Folder, flows};

/// A stream: source port, SSRC, packets, lost, longest gap and largest jitter in microseconds.
type Stream = (u64, u64, u64, u64, u64, u64);

fn ours(flow: &Value) -> Vec<Stream> {
    let rtp = &flow["rtp"];
    let number = |name: &str| rtp[name].as_u64().expect("a number");
    let side = |port: &str, end: &str| {
        let [ssrc, packets, lost, gap, jitter] =
            ["ssrc", "packets", "lost", "gap_max", "jitter_max"].map(|name| number(&format!("{name}{end}")));
        (flow[port].as_u64().expect("a port"), ssrc, packets, lost, gap, jitter)
    };
    [side("src_port", ""), side("dst_port", "_rev")].into_iter().filter(|stream| stream.2 > 0).collect()
}

/// A line of tshark's table: times, address, port, address, port, SSRC, payload, packets, lost with a share, deltas and jitters.
fn theirs(line: &str) -> Option<Stream> {
    let words: Vec<_> = line.split_whitespace().collect();
    let ssrc = u64::from_str_radix(words.get(6)?.strip_prefix("0x")?, 16).ok()?;
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    let micros = |at: usize| (words[at].parse::<f64>().expect("milliseconds") * 1_000.0).round() as u64;
    Some((number(3), ssrc, number(8), number(9), micros(13), micros(16)))
}

#[test]
fn streams_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.capture("rtp");
    let mut command = Command::new("tshark");
    command.args(["-q", "-z", "rtp,streams", "-d", "udp.port==20000,rtp", "-r"]).arg(&capture);
    let mut theirs: Vec<_> = tool("tshark", &mut command).lines().filter_map(theirs).collect();
    let flows = flows(&capture, &["--stats", "none", "--l7", "rtp"]);
    let mut ours: Vec<_> = flows.iter().flat_map(ours).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ours.len(), 2);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // Jitter is an average with a remainder: theirs is a float, ours counts nanoseconds.
        assert_eq!((ours.0, ours.1, ours.2, ours.3, ours.4), (theirs.0, theirs.1, theirs.2, theirs.3, theirs.4));
        assert!(ours.5.abs_diff(theirs.5) <= 1, "{ours:?} {theirs:?}");
    }
}

#[test]
fn reports_are_those_of_tshark() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.capture("rtp");
    let names = ["udp.srcport", "rtcp.ssrc.fraction", "rtcp.ssrc.jitter", "rtcp.sdes.text"];
    let table = tshark_fields(&capture, &["-d", "udp.port==20001,rtcp", "-Y", "rtcp"], &names);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    let flows = flows(&capture, &["--stats", "none", "--l7", "rtp"]);
    let flow = flows.iter().find(|flow| flow["rtp"]["reports"] != 0).expect("a flow of reports");
    for (port, end) in [("src_port", ""), ("dst_port", "_rev")] {
        let port = flow[port].to_string();
        let rows: Vec<_> = rows.iter().filter(|row| row[0] == port).collect();
        let most = |at: usize| rows.iter().map(|row| row[at].parse::<u64>().expect("a number")).max();
        let field = |name: &str| &flow["rtp"][format!("{name}{end}")];
        assert_eq!(field("reports").as_u64(), Some(rows.len() as u64));
        assert_eq!((field("reported_loss").as_u64(), field("reported_jitter").as_u64()), (most(1), most(2)));
        assert!(rows.len() == 2 && rows.iter().all(|row| field("cname") == row[3]), "{rows:?}");
    }
}
