//! What every capture must stand, generated or recorded: totals of capinfos, books that balance, tshark and nfdump that agree.
use super::collector::Udp;
use super::tools::{self, Nfcapd, told};
use super::{Folder, Summary, assert_same, json_lines, messages, run};
use serde_json::Value;
use std::path::Path;

/// A run of `sonda probe` into all that the judges read.
pub(crate) struct Exported {
    pub(crate) summary: Summary,
    pub(crate) flows: Vec<Value>,
    /// The messages of the file and those that came over UDP.
    pub(crate) file: Vec<Vec<u8>>,
    pub(crate) udp: Vec<Vec<u8>>,
}

/// Flows each second at the most: 0.2 MB/s, so that the 200 KB of a socket hold what comes while a loaded machine keeps its reader waiting.
const PACE: &str = "2000";

#[track_caller]
pub(crate) fn export(folder: &Folder, capture: &Path, args: &[&str]) -> Exported {
    let collector = Udp::start();
    let (json, ipfix) = (folder.text("flows.json"), folder.text("flows.ipfix"));
    let target = format!("127.0.0.1:{}", collector.port());
    let capture = capture.to_str().expect("plain path");
    let all = ["probe", capture, "--json", &json, "--ipfix-file", &ipfix, "--ipfix", &target, "--fps", PACE];
    let done = run(all.iter().chain(args)).must(0);
    let read = |path: &str| std::fs::read(path).expect("it was written");
    Exported {
        summary: Summary::of(&done.stderr),
        flows: json_lines(&String::from_utf8(read(&json)).expect("UTF-8")),
        file: messages::split(&read(&ipfix)),
        udp: collector.finish(),
    }
}

/// capinfos counts the packets and bytes that we took.
#[track_caller]
pub(crate) fn totals(capture: &Path, exported: &Exported) {
    let (packets, bytes) = tools::capinfos(capture);
    assert_eq!((exported.summary.packets, exported.summary.wire_bytes), (packets, bytes), "{}", capture.display());
    let counted: u64 =
        exported.flows.iter().map(|f| f["packets"].as_u64().expect("n") + f["packets_rev"].as_u64().expect("n")).sum();
    assert_eq!(counted, exported.summary.decoded, "{}: packets of all flows", capture.display());
    assert_eq!(exported.summary.records, (exported.flows.len() as u64, exported.flows.len() as u64));
}

/// tshark decodes the messages that came over UDP, finds nothing wrong, and sees the flows of our JSON; the file holds the same records.
#[track_caller]
pub(crate) fn wireshark(folder: &Folder, exported: &Exported) {
    let ours: Vec<String> = exported.flows.iter().map(|f| told(f, true)).collect();
    let (file, udp) = (messages::read(&exported.file), messages::read(&exported.udp));
    assert_same("file and UDP", &file.records, &udp.records);
    assert_eq!(file.templates, udp.templates);
    if !ours.is_empty() {
        let capture = folder.write("messages.pcap", messages::as_capture(&exported.udp));
        assert_same("tshark", &tools::tshark(&capture), &ours);
    }
}

/// nfcapd takes the flows over UDP, and nfdump shows each with its packets and bytes both ways. nfdump keeps a biflow as one record
/// with `in` and `out` counters, so records must be equal one for one, and with them all sums.
#[track_caller]
pub(crate) fn nfdump(capture: &Path, args: &[&str], flows: &[Value]) {
    let folder = Folder::new();
    let nfcapd = Nfcapd::start(folder.path(".").as_path());
    let target = format!("127.0.0.1:{}", nfcapd.port());
    let all = ["probe", capture.to_str().expect("plain path"), "--ipfix", &target, "--fps", PACE];
    run(all.iter().chain(args)).must(0);
    let theirs = nfcapd.finish(folder.path(".").as_path());
    let ours: Vec<String> = flows.iter().map(|f| told(f, false)).collect();
    assert_same("nfdump", &theirs, &ours);
}
