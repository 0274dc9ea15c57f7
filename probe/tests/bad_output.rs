//! An output that cannot be opened stops the run before a packet is read; one that fails later is counted, reported, and told by the
//! exit status. Signals export what is live.

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::collector::{Close, Tcp};
use support::{Folder, Run, Summary, json_lines, messages, mixture, outcome, run, sonda, tools};

/// Starts it with pipes on all ends.
fn start(args: &[&str]) -> Child {
    sonda(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn end(child: Child) -> Run {
    Run::of("the child".into(), &child.wait_with_output().expect("it ends"))
}

#[test]
fn an_output_that_cannot_be_opened_stops_before_the_first_packet() {
    let refused = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port that is free again");
    let busy = TcpListener::bind("0.0.0.0:0").expect("a port");
    let (refused, busy) = (format!("tcp://{refused}"), format!("t:{}", busy.local_addr().expect("bound").port()));
    for (args, says) in [
        (&["--json", "/nonexistent/x.json"][..], &["cannot create /nonexistent/x.json", "check the folder"][..]),
        (&["--ipfix-file", "/nonexistent/x"], &["cannot create /nonexistent/x", "check the folder"]),
        (&["--ipfix-file", "/"], &["cannot create /: Is a directory"]),
        (&["--ipfix", &refused], &["cannot connect to collector", "refused", "start the collector"]),
        (
            &["--ipfix", "tcp://no-such-host.invalid"],
            &["cannot resolve collector no-such-host.invalid", "check the name"],
        ),
        (&["--ipfix", "udp://no-such-host.invalid"], &["cannot resolve collector no-such-host.invalid"]),
        (&["--unirec", &busy], &["unirec output t", "in use"]),
        (&["--unirec", "f:/proc/nonexistent/x"], &["unirec output f"]),
    ] {
        // Standard input stays open and silent: who waited for a packet would never end.
        let mut child = start(&[&["probe", "-"], args].concat());
        let stdin = child.stdin.take();
        let run = end(child).must(1).says(says);
        assert!(!run.stderr.contains("packets"), "{}", run.stderr);
        drop(stdin);
    }
    let folder = Folder::new();
    let input = format!("pcap;file={}", folder.capture("basic_udp").display());
    for (output, says) in [
        ("text;file=/nonexistent/x", "Error: text: cannot create"),
        ("unirec;ifc=f:/proc/nonexistent/x", "Error: unirec: "),
        ("ipfix;host=no-such-host.invalid", "Error: ipfix: cannot resolve"),
    ] {
        run(["ipfixprobe", "-i", &input, "-o", output]).must(1).says(&[says]);
    }
}

#[test]
fn a_full_disk_is_counted_and_told() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(5000, 500));
    let capture = capture.to_str().expect("plain path");
    for args in [["--json", "/dev/full"], ["--ipfix-file", "/dev/full"], ["--unirec", "f:/dev/full"]] {
        let run = run(["probe", capture].iter().chain(&args)).must(4).says(&["write_failed", "No space left"]);
        let summary = Summary::of(&run.stderr);
        assert_eq!((summary.records.0 > 500, summary.records.1), (true, 0), "{args:?}: {}", run.stderr);
    }
    let table = sonda(["probe", capture]).stdout(std::fs::File::create("/dev/full").expect("a device")).output();
    Run::of("table".into(), &table.expect("it runs")).must(4).says(&["write_failed", "No space left"]);
    let input = format!("pcap;file={capture}");
    for output in ["text;file=/dev/full", "unirec;ifc=f:/dev/full", "ipfix;file=/dev/full"] {
        let run = run(["ipfixprobe", "-i", &input, "-o", output]).must(1).says(&["records lost", "No space left"]);
        assert!(run.stdout.contains("error"), "the table says it: {}", run.stdout);
    }
}

/// A file system that fills up in the middle: what fits is there, the rest is counted. Needs the right to mount.
#[test]
fn a_disk_that_fills_up() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 4000));
    let script = format!(
        "mount -t tmpfs -o size=256k none {0} || exit 77; {1} probe {2} --json {0}/x.json; s=$?; wc -l < {0}/x.json; exit $s",
        folder.text("."),
        env!("CARGO_BIN_EXE_sonda"),
        "/proc/self/fd/3"
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("exec 3<{}; {script}", capture.display())]);
    let Ok(output) = command.output() else { return println!("NOT RUN: there is no unshare") };
    let run = Run::of("tmpfs".into(), &output);
    if run.status == 77 || run.status == 1 && run.stderr.contains("unshare") {
        return println!("NOT RUN: this user may not mount: {}", run.stderr);
    }
    let run = run.must(4).says(&["write_failed", "No space left"]);
    let records = Summary::of(&run.stderr).records;
    assert!(records.0 > records.1 && records.1 > 0, "{}", run.stderr);
    // Whole writes are told as sent, so what is there is at least that.
    assert!(run.stdout.trim().parse::<u64>().expect("wc") >= records.1, "{}{}", run.stdout, run.stderr);
}

#[test]
fn an_unreachable_udp_port_is_counted() {
    let closed = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a port that is free again");
    let folder = Folder::new();
    for capture in [folder.write("mix.pcap", mixture(5000, 1000)), folder.capture("basic_udp")] {
        let run = run(["probe", capture.to_str().expect("plain"), "--ipfix", &closed.to_string()]).must(4);
        let run = run.says(&["send_failed", "refused"]);
        let records = Summary::of(&run.stderr).records;
        assert_eq!(records.1, 0, "nobody was there, nothing was sent:\n{}", run.stderr);
    }
}

/// Feeds a capture in two halves, with the end of the collector's first session in between.
fn in_two_halves(close: Close) -> (Run, Vec<Vec<u8>>) {
    let collector = Tcp::closing(&[close]);
    let target = format!("tcp://127.0.0.1:{}", collector.port());
    // A table of 16 flows: flows leave as others come.
    let mut child = start(&["probe", "-", "--flows", "16", "--l7", "none", "--ipfix", &target]);
    let capture = mixture(20_000, 4000);
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&capture[..capture.len() / 2]).expect("it reads");
    collector.closed.recv().expect("the collector closes");
    stdin.write_all(&capture[capture.len() / 2..]).expect("it reads");
    drop(stdin);
    (end(child), collector.finish())
}

#[test]
fn a_collector_that_closes_in_order_loses_nothing_later() {
    let (run, sessions) = in_two_halves(Close::After(3000));
    reconnected(run, &sessions);
}

#[test]
fn a_collector_that_resets_the_session() {
    let (run, sessions) = in_two_halves(Close::ResetAfter(3000));
    reconnected(run, &sessions);
}

#[track_caller]
fn reconnected(run: Run, sessions: &[Vec<u8>]) {
    assert!([0, 4].contains(&run.status), "{}: {}", run.status, run.stderr);
    assert!(run.stderr.contains("1 reconnects"), "{}", run.stderr);
    assert_eq!(sessions.len(), 2);
    // The second session stands on its own: templates first, sequence numbers from 0. `read` checks both.
    let second = messages::read(&messages::split(&sessions[1]));
    assert_eq!(second.templates.len(), 2, "a template for each IP version");
    let first = whole(&sessions[0]);
    let first = messages::read(&first).records.len() as u64;
    let (offered, sent) = Summary::of(&run.stderr).records;
    let arrived = first + second.records.len() as u64;
    println!("offered {offered}, told as sent {sent}, arrived whole {arrived}");
    // What the kernel had taken when the session ended may be lost untold: at most a socket buffer of it (RELIABILITY.md 10.2).
    assert!(arrived <= offered && sent <= offered && sent - arrived.min(sent) < 3000);
    assert!(second.records.len() as u64 * 3 > offered, "the second half arrives: {arrived} of {offered}");
}

/// The whole messages at the front of a stream that was cut.
fn whole(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = stream;
    let mut all = Vec::new();
    while let Some(length) = rest.get(2..4).map(|l| usize::from(u16::from_be_bytes([l[0], l[1]])))
        && let Some(message) = rest.get(..length)
    {
        all.push(message.to_vec());
        rest = &rest[length..];
    }
    all
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 4000));
    for args in [&["--json", "-"][..], &[]] {
        let mut child = start(&[&["probe", capture.to_str().expect("plain"), "--quiet"], args].concat());
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line");
        drop(stdout);
        let run = end(child).must(0);
        assert_eq!(run.stderr, "", "{args:?}");
    }
}

/// Starts it on a standard input that stays open, feeds more than a pipe holds, and interrupts it.
fn interrupted(args: &[&str], signal: &str) -> Run {
    let mut child = start(args);
    let mut stdin = child.stdin.take().expect("piped");
    let capture = mixture(5000, 500);
    assert!(capture.len() > 500_000, "more than a pipe holds");
    stdin.write_all(&capture).expect("it reads");
    tools::signal(child.id(), signal);
    let run = end(child);
    drop(stdin);
    run
}

#[test]
fn signals_export_what_is_live() {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new();
        let json = folder.text("flows.json");
        let run = interrupted(&["probe", "-", "--json", &json], signal).must(130).says(&["interrupted: the "]);
        let summary = Summary::of(&run.stderr);
        let flows = json_lines(&std::fs::read_to_string(&json).expect("it was written"));
        let packets: u64 =
            flows.iter().map(|f| f["packets"].as_u64().expect("n") + f["packets_rev"].as_u64().expect("n")).sum();
        assert_eq!((flows.len() as u64, packets), (summary.records.1, summary.decoded));
        assert!(flows.len() > 50, "{}", run.stderr);
    }
    let folder = Folder::new();
    let args = ["ipfixprobe", "-i", "pcap;file=-", "-o", &format!("text;file={}", folder.text("out"))];
    let run = interrupted(&args, "INT").must(0).says(&["Interrupted: the "]);
    assert!(run.stdout.contains("Output stats:"), "{}", run.stdout);
    let mut text = String::new();
    std::fs::File::open(folder.path("out")).and_then(|mut f| f.read_to_string(&mut text)).expect("it was written");
    assert!(text.lines().count() > 50);
}

/// Where packets do not wait for outputs, a reader that takes its time costs it its own records, counted.
#[test]
fn what_an_output_is_too_slow_for_is_dropped_on_request() {
    let folder = Folder::new();
    let capture = folder.write("mix.pcap", mixture(20_000, 6000));
    let capture = capture.to_str().expect("plain path");
    let other = folder.text("all.ipfix");
    let args = ["probe", capture, "--json", "-", "--overflow", "drop", "--ipfix-file", &other, "--name", "slow"];
    let child = sonda(args).env("SONDA_RUN_DIR", folder.path("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the binary runs");
    // The pipe holds a tenth of the flows; nobody reads it until the lane has given them all.
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let top = outcome(sonda(["top", "slow", "--once", "--json"]).env("SONDA_RUN_DIR", folder.path("")));
        let page: Value = serde_json::from_str(&top.stdout).unwrap_or_default();
        if page["total"]["ended"] == 1 {
            break;
        }
        assert!(Instant::now() < patience, "it does not end: {page:#}{}", top.stderr);
    }
    let run = end(child).must(4).says(&[" queue_full"]);
    let records: Vec<&str> = run.stderr.lines().filter(|line| line.contains(": records ")).collect();
    let [ipfix, json] = records[..] else { panic!("{records:?}") };
    assert!(json.contains("queue_full"), "{records:?}");
    let arrived = json_lines(&run.stdout).len();
    assert!(json.contains(&format!("= {arrived} sent + ")), "{arrived} lines: {json}");
    // Whether a file on a busy disk is always fast enough is not for this test to say; its book balances.
    assert_eq!(offered(ipfix), offered(json));
    // By default everything arrives, however slow the reader is.
    let child = start(&["probe", capture, "--json", "-"]);
    std::thread::sleep(Duration::from_millis(500));
    let run = end(child).must(0);
    assert_eq!(json_lines(&run.stdout).len() as u64, Summary::of(&run.stderr).records.0);
}

/// The records offered, from a line such as `json standard output: records 5 = 5 sent`.
fn offered(line: &str) -> u64 {
    let rest = line.split(": records ").nth(1).expect("a book");
    rest.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}
