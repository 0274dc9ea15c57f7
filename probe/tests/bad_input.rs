//! What is wrong with an input is said, what could be read of it is processed, and the exit status tells (probe/src/probe.rs, `exit`).

mod support;

use std::io::Write;
use std::process::Stdio;
use support::{Folder, Run, Summary, bytes_of, json_lines, mixture, outcome, run, sonda};

/// A good capture of 35 packets, a record header of 16 bytes before each.
fn good() -> Vec<u8> {
    bytes_of("basic_tcp")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).expect("a Vec takes every write");
    out.finish().expect("a Vec takes every write")
}

/// Runs both faces on a capture of these bytes.
fn both(bytes: &[u8]) -> (Run, Run) {
    let folder = Folder::new();
    let path = folder.write("bad.pcap", bytes);
    let path = path.to_str().expect("plain path");
    let out = folder.text("out.ipfix");
    let ours = run(["probe", path, "--json", "-"]);
    (ours, run(["ipfixprobe", "-i", &format!("pcap;file={path}"), "-o", &format!("ipfix;file={out}")]))
}

#[test]
fn a_file_that_is_no_capture_does_not_start() {
    let mut modified = good();
    modified[..4].copy_from_slice(&0xa1b2_cd34_u32.to_le_bytes());
    let mut version = good();
    version[4] = 9;
    let mut link = good();
    link[20..24].copy_from_slice(&147_u32.to_le_bytes());
    for (bytes, says) in [
        (&b""[..], &["is empty", "check that the capture was started"][..]),
        (b"#!/bin/sh\necho this is not a capture\n", &["is not a capture", "give a pcap or pcapng file"]),
        (&[0; 4096], &["is not a capture"]),
        (&good()[..3], &["is not a capture"]),
        (&good()[..20], &["is cut off"]),
        (&modified, &["editcap"]),
        (&version, &["version 9"]),
        (&link, &["link type 147", "supported are"]),
        (&gzip(b"nothing of the kind"), &["is not a capture"]),
    ] {
        let (ours, theirs) = both(bytes);
        let ours = ours.must(1).says(says);
        assert_eq!(ours.stdout, "", "{}", ours.what);
        theirs.must(1).says(says).says(&["Error: pcap: "]);
    }
}

#[test]
fn files_that_cannot_be_opened() {
    let folder = Folder::new();
    let missing = folder.text("missing.pcap");
    run(["probe", &missing]).must(1).says(&["cannot open", &missing, "No such file"]);
    run(["probe", &folder.text(".")]).must(1).says(&["is a directory", "name a capture file in it"]);
    run(["ipfixprobe", "-i", &format!("pcap;file={missing}")]).must(1).says(&["Error: pcap: cannot open"]);
    // One of several is enough, and then none is read.
    let fine = folder.capture("basic_udp");
    let both = run(["probe", fine.to_str().expect("plain"), &missing, "--json", "-"]).must(1);
    assert_eq!(both.stdout, "");
}

#[test]
fn what_stands_before_the_fault_is_processed() {
    let good = good();
    let records = good.len() - 24;
    let mut absurd = good.clone();
    absurd.extend([0xff; 16]);
    absurd.extend([0x5a; 300]);
    let whole = Summary::of(&both(&good).0.must(0).stderr);
    for (what, bytes, packets, says) in [
        ("cut in the last packet", good[..good.len() - 5].to_vec(), 34, "is cut off inside"),
        ("cut in a record header", [&good[..], &good[24..34]].concat(), 35, "is cut off inside"),
        ("random bytes behind", absurd, 35, "is broken in"),
        ("cut and packed", gzip(&good[..good.len() - 5]), 34, "is cut off inside"),
    ] {
        let (ours, theirs) = both(&bytes);
        let ours = ours.must(3).says(&[says, "all before it was read", "input broken"]);
        let summary = Summary::of(&ours.stderr);
        assert_eq!(summary.packets, packets, "{what}");
        let counted: u64 = json_lines(&ours.stdout)
            .iter()
            .map(|f| f["packets"].as_u64().expect("n") + f["packets_rev"].as_u64().expect("n"))
            .sum();
        assert_eq!(counted, packets, "{what}");
        let theirs = theirs.must(1).says(&[says, "Error: one of the plugins exitted unexpectedly"]);
        assert!(theirs.stdout.contains("error"), "the table says it: {}", theirs.stdout);
    }
    assert_eq!((whole.packets, records > 35 * 16), (35, true));
    // A packed file that ends early.
    let packed = gzip(&mixture(2000, 100));
    let (ours, _) = both(&packed[..packed.len() / 2]);
    let ours = ours.must(3).says(&["cannot unpack", "gzip -t"]);
    assert!(Summary::of(&ours.stderr).packets > 100, "{}", ours.stderr);
}

#[test]
fn a_capture_without_packets_is_fine() {
    let (ours, theirs) = both(&good()[..24]);
    assert_eq!(ours.must(0).stdout, "");
    theirs.must(0);
}

#[test]
fn standard_input_tells_the_same() {
    let feed = |bytes: &[u8]| {
        let mut child = sonda(["probe", "-", "--json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // The child may stop reading before the end.
        let _ = child.stdin.take().expect("piped").write_all(bytes);
        Run::of("probe -".into(), &child.wait_with_output().expect("it ends"))
    };
    let good = good();
    feed(&good).must(0);
    feed(&good[..good.len() - 1]).must(3).says(&["standard input is cut off"]);
    feed(b"").must(3).says(&["standard input is empty"]);
    feed(b"no capture at all").must(3).says(&["standard input is not a capture"]);
    feed(&gzip(&good)).must(0);
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    let capture = folder.capture("basic_udp");
    let capture = capture.to_str().expect("plain path");
    for args in
        [&["probe"][..], &["probe", capture, "--frobnicate"], &["probe", capture, "--ipfix", "h:0"], &["nonsense"]]
    {
        run(args).must(2);
    }
    // What only a live capture has would be passed over.
    for live in [&["--snaplen", "100"][..], &["--duration", "1"], &["--backend", "af_xdp"], &["--hardware-time"]] {
        run(["probe", capture].iter().chain(live)).must(2).says(&[live[0], "cannot be used with"]);
    }
    for (args, says) in [
        (&["--filter", "no such word"][..], &["filter `no such word`", "pcap-filter(7)"][..]),
        (&["--l7", "gopher"], &["--l7: there is no 'gopher'", "known: ", "dns"]),
        (&["--flows", "0"], &["--flows 0 is out of range"]),
        (&["--unirec", "x:y"], &["--unirec x:y"]),
        (&["--unirec", "gopher=f:x"], &["there is no plugin 'gopher'"]),
        (&["--ipfix", "127.0.0.1:9", "--mtu", "20"], &["mtu 20 is too small"]),
        (
            &["--compat", "ipfixprobe", "--tunnels", "both"],
            &["the tunnels that ipfixprobe enters: leave out --tunnels"],
        ),
    ] {
        run(["probe", capture].iter().chain(args)).must(1).says(says);
    }
    for (args, says) in [
        (&["-x"][..], "invalid option -x"),
        (&["-i"], "missing argument for option "),
        (&[], "specify at least one input plugin"),
        (&["-i", "pcap"], "pcap: specify a file"),
        (&["-i", "tape;file=x"], "invalid input plugin tape"),
        (&["-i", "pcap;file=x", "-s", "cache;s=99"], "cache: "),
        (&["-i", "pcap;file=x", "-p", "gopher"], "invalid process plugin gopher"),
        (&["-i", "pcap;file=x", "-p", "dns", "-p", "dns"], "dns plugin was specified multiple times"),
        (&["-i", "pcap;file=x", "-q", "0"], "input queue size must be at least 1 record"),
    ] {
        run(["ipfixprobe"].iter().chain(args)).must(1).says(&["Error: ", says]);
    }
    let no_map =
        ["ipfixprobe", "-i", &format!("pcap;file={capture}"), "-o", "unirec;ifc=b:", "-p", "dns", "-p", "http"];
    run(no_map).must(1).says(&["specify plugin-interface mapping"]);
}

#[test]
fn broken_csv_and_unirec_files() {
    let folder = Folder::new();
    let csv = folder.write("in.csv", "uint16 A,string B\n1,x\nnot a number,y\n3\n4,z\n");
    let trap = format!("f:{}", folder.text("t"));
    // Without the end-of-stream record, behind which nobody reads.
    let replayed = run(["logreplay", "-n", "-i", &trap, "-f", csv.to_str().expect("plain")]).must(0);
    assert!(!replayed.stderr.is_empty(), "the bad lines are told");
    run(["logger", "-t", "-i", &trap]).must(0);
    let header = folder.write("bad.csv", "uint9 A\n1\n");
    run(["logreplay", "-i", "b:", "-f", header.to_str().expect("plain")]).must(1);
    // A UniRec file cut in a record, one of noise, one with a block longer than the file.
    let whole = std::fs::read(folder.path("t")).expect("written above");
    for bytes in [&whole[..whole.len() - 3], &[0xa5; 500], &[&whole[..], &[0x7f; 40]].concat()] {
        let bad = folder.write("bad", bytes);
        let logged = outcome(&mut sonda(["logger", "-t", "-i", &format!("f:{}", bad.display())]));
        assert!(!logged.stderr.contains("panicked") && logged.status < 100, "{}: {}", logged.status, logged.stderr);
        assert!(!logged.stderr.is_empty(), "{:?} is told", logged.stdout);
    }
    for spec in ["", "q:x", "f:", "t:", "f:x:time=0"] {
        let logged = run(["logger", "-i", spec]);
        assert!(
            (1..100).contains(&logged.status) && !logged.stderr.is_empty(),
            "{spec}: {} {}",
            logged.status,
            logged.stderr
        );
    }
}
