//! IPFIX over TCP, compressed: `sonda ipfixprobe -o "ipfix;c"` and `sonda probe --lz4` before a collector that reads the form of ipfixprobe
//! (`record/tests/ipfix_lz4.rs` has liblz4 itself read it).

mod support;

use record::ipfix::Lz4Reader;
use std::net::TcpListener;
use std::path::Path;
use support::collector::{Close, Tcp};
use support::messages::Fields;
use support::{Folder, assert_same, messages, mixture, run};

/// The messages of a session.
fn unpacked(session: &[u8]) -> Vec<Vec<u8>> {
    let (mut reader, mut all) = (Lz4Reader::default(), Vec::new());
    reader.push(session, &mut |message| all.push(message.to_vec())).expect("a compressed stream");
    reader.finish().expect("whole blocks");
    all
}

/// The records of all sessions, each a stream of its own.
fn records(sessions: &[Vec<u8>]) -> Vec<Fields> {
    sessions.iter().flat_map(|session| messages::read(&unpacked(session)).records).collect()
}

fn of_file(path: &str) -> Vec<Fields> {
    messages::read(&messages::split(&std::fs::read(Path::new(path)).expect("it was written"))).records
}

#[test]
fn the_drop_in_compresses_and_a_broken_connection_begins_anew() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 3000));
    let collector = Tcp::closing(&[Close::After(20_000)]);
    let (input, file) = (format!("pcap;file={}", capture.display()), folder.text("all.ipfix"));
    let output = format!("ipfix;p={};c;s=20000", collector.port());
    run(["ipfixprobe", "-i", &input, "-p", "http", "-p", "dns", "-o", &output, "-o", &format!("ipfix;file={file}")])
        .must(0);
    let sessions = collector.finish();
    assert_eq!(sessions.len(), 2);
    // What the first session took stands at its front; a collector that closes may have left some of it.
    let (_, all) = (&sessions[0], of_file(&file));
    let got = records(&sessions[1..]);
    assert!(!got.is_empty() && got.iter().all(|record| all.contains(record)));
    let whole = Tcp::start();
    let output = format!("ipfix;p={};c", whole.port());
    run(["ipfixprobe", "-i", &input, "-p", "http", "-p", "dns", "-o", &output]).must(0);
    let sessions = whole.finish();
    assert_same("the collector", &records(&sessions), &all);
    let plain: usize = unpacked(&sessions[0]).iter().map(Vec::len).sum();
    assert!(sessions[0].len() * 4 < plain * 3, "{} of {plain} bytes", sessions[0].len());
}

#[test]
fn what_waited_on_disk_is_compressed_when_it_leaves() {
    let folder = Folder::new();
    let nobody = TcpListener::bind("127.0.0.2:0").expect("a free port");
    let port = nobody.local_addr().expect("bound").port();
    let capture = folder.write("mix.pcap", mixture(4000, 800));
    let (spool, file, capture) = (folder.text("spool"), folder.text("all.ipfix"), capture.display().to_string());
    let target = format!("tcp://127.0.0.1:{port}");
    let args = ["probe", &capture, "--ipfix", &target, "--spool", &spool];
    run(args.iter().chain(&["--ipfix-file", file.as_str()])).must(0).says(&["spooled"]);
    let collector = Tcp::on(TcpListener::bind(("127.0.0.1", port)).expect("a port that is held"));
    run(args.iter().chain(&["--lz4"])).must(0);
    let (sessions, all) = (collector.finish(), of_file(&file));
    // One for each run's templates, and the second run sends the flows again.
    assert_eq!(sessions.len(), 2);
    assert_same("what waited", &records(&sessions[..1]), &all);
    assert_same("what came then", &records(&sessions[1..]), &all);
}

#[test]
fn compression_is_for_tcp() {
    let folder = Folder::new();
    let capture = folder.capture("basic_tcp").display().to_string();
    run(["probe", &capture, "--ipfix", "127.0.0.1:9", "--lz4"]).must(1).says(&["LZ4 is for collectors over TCP"]);
    run(["ipfixprobe", "-i", &format!("pcap;file={capture}"), "-o", "ipfix;u;c"])
        .must(1)
        .says(&["Compression (c) is not supported with udp (u)"]);
}
