//! What an exporter says about itself (RFC 7011 section 4, RFC 5610): options records as our decoder, tshark and nfcapd read them, over
//! UDP, over TCP in each session, and none in the ipfixprobe face.
//!
//! Needs the Debian packages `tshark`, `nfdump` and `iproute2`; SONDA_SKIP_TOOLS=1 does without the first two.

mod support;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::process::Command;
use support::collector::{Close, Tcp, Udp};
use support::messages::{Fields, Said};
use support::tools::{self, Nfcapd};
use support::{Folder, flows, messages, mixture, outcome, run};

/// Flows each second at the most: see `support/judge.rs`.
const PACE: &str = "2000";

/// The options records that have this field.
fn with<'s>(said: &'s Said, field: &str) -> Vec<&'s Fields> {
    said.options.iter().filter(|record| value(record, field).is_some()).collect()
}

/// A field's bytes in hexadecimal, the last of that name.
fn value<'r>(record: &'r Fields, field: &str) -> Option<&'r str> {
    record.iter().rev().find_map(|f| f.strip_prefix(field)?.strip_prefix('='))
}

fn number(record: &Fields, field: &str) -> u64 {
    u64::from_str_radix(value(record, field).expect("the field"), 16).expect("a number")
}

/// Private elements of templates, `PEN.ID`.
fn private(templates: &[Vec<String>]) -> BTreeSet<String> {
    let name = |field: &String| field.split(':').next().expect("a name").to_string();
    let fields = templates.iter().flatten().map(name);
    // Lists say what they hold in the records, and RFC 5103 says what reverse elements are.
    fields.filter(|field| !field.starts_with("0.") && !field.starts_with("29305.")).collect()
}

#[test]
fn sampling_types_and_numbers_are_told_over_udp() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 3000)).display().to_string();
    let collector = Udp::start();
    let target = format!("127.0.0.1:{}", collector.port());
    run(["probe", &capture, "--ipfix", &target, "--sampling", "10", "--stats", "pstats,basicplus", "--fps", PACE])
        .must(0);
    let sent = collector.finish();
    let said = messages::read(&sent);
    let sampling = with(&said, "samplingInterval");
    assert_eq!(sampling.len(), 1);
    let numbers = ["samplingInterval", "selectorAlgorithm", "samplingPacketInterval", "samplingPacketSpace"];
    assert_eq!(numbers.map(|n| number(sampling[0], n)), [10, 1, 1, 9]);
    let types = with(&said, "informationElementName");
    let told: BTreeSet<String> = types
        .iter()
        .map(|t| format!("{}.{}", number(t, "privateEnterpriseNumber"), number(t, "informationElementId")))
        .collect();
    assert_eq!(told.len(), types.len(), "each once");
    let named = private(&said.templates);
    assert!(named.len() > 20 && told.is_superset(&named), "{:?} are not told", named.difference(&told));
    let [exported] = with(&said, "exportedFlowRecordTotalCount")[..] else { panic!("one report, at the end") };
    assert_eq!(number(exported, "exportedFlowRecordTotalCount"), said.records.len() as u64);
    assert_eq!(number(exported, "exportedMessageTotalCount"), sent.len() as u64 - 1, "all but its own");
    let octets: usize = sent.iter().map(Vec::len).sum::<usize>() - sent.last().expect("messages").len();
    assert_eq!(number(exported, "exportedOctetTotalCount"), octets as u64);
    let [reliable] = with(&said, "notSentFlowTotalCount")[..] else { panic!("one report, at the end") };
    assert_eq!([number(reliable, "notSentFlowTotalCount"), number(reliable, "observationTimeSeconds")], [0, 0]);
    if tools::skipped() {
        return;
    }
    let shown = tools::tshark_flows(&folder.write("messages.pcap", messages::as_capture(&sent)));
    let is_flow = |fields: &&Vec<(String, String)>| fields.iter().any(|(name, _)| name == "cflow.protocol");
    let flows = shown.iter().filter(is_flow).count();
    assert_eq!((flows, shown.len() - flows), (said.records.len(), said.options.len()));
}

#[test]
fn nfdump_multiplies_by_the_sampling() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 3000));
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    let target = format!("127.0.0.1:{}", nfcapd.port());
    let text = capture.display().to_string();
    run(["probe", &text, "--ipfix", &target, "--sampling", "10", "--fps", PACE]).must(0);
    let theirs = nfcapd.finish_as(&files.path("."), "%pr %sa %sp %da %dp %ipkt %opkt");
    let ours = flows(&capture, &[]);
    let sum: u64 = theirs.iter().flat_map(|f| f.split(' ').rev().take(2)).map(|n| n.parse::<u64>().expect("n")).sum();
    let packets: u64 =
        ours.iter().flat_map(|f| [&f["packets"], &f["packets_rev"]]).map(|n| n.as_u64().expect("n")).sum();
    assert_eq!((theirs.len(), sum), (ours.len(), 10 * packets));
}

#[test]
fn each_session_over_tcp_is_told_anew() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 3000)).display().to_string();
    let collector = Tcp::closing(&[Close::After(20_000)]);
    let target = format!("tcp://127.0.0.1:{}", collector.port());
    run(["probe", &capture, "--ipfix", &target, "--sampling", "3", "--fps", PACE]).must(0);
    let sessions = collector.finish();
    assert_eq!(sessions.len(), 2);
    let second = messages::read(&messages::split(&sessions[1]));
    assert_eq!(with(&second, "samplingInterval").len(), 1);
    assert!(!with(&second, "informationElementName").is_empty());
}

/// An interface's name, out of a live run; nfcapd takes its record without complaint.
#[test]
fn interfaces_have_names() {
    let folder = Folder::new();
    let file = folder.text("live.ipfix");
    let script = r#"ip link set lo up && exec "$1" probe -i lo --backend af_packet --duration 1 --ipfix-file "$2""#;
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_sonda"), &file]);
    outcome(&mut command).must(0);
    let sent = messages::split(&std::fs::read(&file).expect("it was written"));
    let said = messages::read(&sent);
    let [interface] = with(&said, "interfaceName")[..] else { panic!("one interface: {:?}", said.options) };
    let padded = |length: usize| format!("{:0<1$}", "6c6f", 2 * length);
    assert_eq!(number(interface, "ingressInterface"), 1, "the kernel's number of a loopback");
    assert_eq!(value(interface, "interfaceName"), Some(&*padded(32)));
    assert_eq!(value(interface, "interfaceDescription"), Some(&*padded(64)));
    if tools::skipped() {
        return;
    }
    tools::tshark_flows(&folder.write("messages.pcap", messages::as_capture(&sent)));
    let files = Folder::new();
    let nfcapd = Nfcapd::start(&files.path("."));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for message in &sent {
        socket.send_to(message, ("127.0.0.1", nfcapd.port())).expect("the loopback is up");
    }
    let said = nfcapd.ended();
    assert!(said.iter().any(|line| line.contains("New ipfix exporter")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("error")), "{said:?}");
}

#[test]
fn the_drop_in_says_nothing_and_so_does_the_probe_when_asked() {
    let folder = Folder::new();
    let capture = folder.capture("basic_tcp").display().to_string();
    let (file, input) = (folder.text("f.ipfix"), format!("pcap;file={capture}"));
    let output = format!("ipfix;file={file}");
    let runs: [&[&str]; 3] = [
        &["ipfixprobe", "-i", &input, "-o", &output],
        &["probe", &capture, "--ipfix-file", &file, "--no-options"],
        &["probe", &capture, "--ipfix-file", &file, "--compat", "ipfixprobe"],
    ];
    for args in runs {
        run(args).must(0);
        let said = messages::read(&messages::split(&std::fs::read(&file).expect("it was written")));
        assert!(said.options.is_empty() && !said.records.is_empty(), "{args:?}");
    }
}
