//! `sonda top` beside a running probe: what the page says is what the summary says.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod netns;
mod support;

use netns::{HERE, Netns, Running};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Folder, Run, Summary, mixture, outcome, sonda};

/// `sonda top ARGS` which looks for pages in the folder.
fn top(pages: &Path, args: &[&str]) -> Run {
    outcome(sonda(["top"].iter().chain(args)).env("SONDA_RUN_DIR", pages))
}

fn json(pages: &Path, name: &str) -> Value {
    let run = top(pages, &[name, "--once", "--json"]).must(0);
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stdout))
}

/// Looks until the page says so.
#[track_caller]
fn wait_until(pages: &Path, name: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let run = top(pages, &[name, "--once", "--json"]);
        if let Ok(page) = serde_json::from_str::<Value>(&run.stdout) {
            if so(&page) {
                return page;
            }
            assert!(Instant::now() < end, "{what} did not come to be: {page:#}");
        }
        assert!(Instant::now() < end, "{what}: {}", run.stderr);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The sum of the columns of that beginning.
fn sum(total: &Value, beginning: &str) -> u64 {
    let columns = total.as_object().expect("an object").iter().filter(|(name, _)| name.starts_with(beginning));
    columns.map(|(_, n)| number(n)).sum()
}

#[test]
fn the_page_of_a_live_run_says_what_its_summary_says() {
    let ns = Netns::new(2);
    let (folder, pages) = (Folder::new(), Folder::new());
    let capture = folder.write("mixture.pcap", mixture(30_000, 2_000));
    let flows = folder.text("flows.json");
    for lanes in ["1", "2"] {
        let args =
            ["probe", "-i", HERE, "--backend", "af_packet", "--lanes", lanes, "--name", "edge", "--json", &flows];
        let running = Running::start(ns.sonda(args).env("SONDA_RUN_DIR", pages.path("")));
        running.wait_for(": af_packet, ");
        let page = wait_until(&pages.path(""), "edge", "a page", |page| page["alive"] == true);
        assert_eq!(page["lanes"].as_array().map(Vec::len), lanes.parse().ok());
        ns.send(&capture, 50_000);
        let sent = 30_000;
        // Flows are counted when they go to the outputs: those of a batch that fills up, a little after they ended.
        let page = wait_until(&pages.path(""), "edge", "each flow that ended to be of one service", |page| {
            number(&page["total"]["packets.taken"]) >= sent
                && sum(&page["total"], "services.") == number(&page["total"]["exported.bytes"])
        });
        let total = &page["total"];
        assert_eq!(number(&total["captured.packets"]), number(&total["packets.taken"]));
        assert_eq!(
            number(&total["captured.offered"]),
            number(&total["captured.packets"]) + sum(total, "capture.dropped.")
        );
        let (opened, ended) = (sum(total, "flows.opened") + sum(total, "flows.continued"), sum(total, "flows.ended."));
        assert_eq!(opened, number(&total["flows.live"]) + ended);
        assert!(sum(total, "records.") > 0, "the mixture has protocols");
        assert!(number(&total["services.tcp.80"]) > 0 && number(&total["services.udp.53"]) > 0, "{total}");
        let table = top(&pages.path(""), &["--once"]).must(0).stdout;
        assert!(table.contains("sonda probe edge, process") && table.contains(HERE), "{table}");

        let run = running.interrupt().must(130);
        let summary = Summary::of(&run.stderr);
        assert_eq!(summary.packets, number(&total["packets.taken"]), "{}", run.stderr);
        assert_eq!(summary.decoded, number(&total["packets.decoded"]));
        for (why, n) in &summary.dropped {
            assert_eq!(*n, number(&total[format!("packets.dropped.{why}")]), "{why}");
        }
        assert!(!pages.path("edge.page").exists(), "a page goes with its run");
        top(&pages.path(""), &["--once"]).must(1).says(&["no probe runs", "sonda probe -i eth0"]);
    }
}

/// A capture on standard input that goes on: it is read while `top` looks, and killed.
#[test]
fn a_page_is_there_after_its_writer_was_killed() {
    let (folder, pages) = (Folder::new(), Folder::new());
    let flows = folder.text("flows.json");
    let start = |name: &str| {
        let mut command = sonda(["probe", "-", "--name", name, "--json", &flows]);
        command.env("SONDA_RUN_DIR", pages.path("")).stdin(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = start("pipe").spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    let capture = mixture(60_000, 4_000);
    // The last packets are held back.
    stdin.write_all(&capture[..capture.len() - 1000]).expect("it reads");
    let page = wait_until(&pages.path(""), "pipe", "packets", |page| number(&page["total"]["packets.taken"]) > 10_000);
    assert!(number(&page["total"]["flows.live"]) > 0);
    assert_eq!(page["tool"], "probe");

    let second = outcome(&mut start("pipe")).must(1);
    second.says(&["a probe named pipe runs already", "--name"]);

    child.kill().expect("it runs");
    child.wait().expect("it is ours");
    let dead = json(&pages.path(""), "pipe");
    assert_eq!((&dead["alive"], dead["total"]["packets.taken"].as_u64() > Some(10_000)), (&Value::Bool(false), true));
    top(&pages.path(""), &["--once"]).must(1).says(&["pipe was left behind", "sonda top pipe"]);
    top(&pages.path(""), &["no_such", "--once"]).must(1).says(&["no probe 'no_such'", "pipe (process"]);

    // Its name is free again.
    drop(stdin);
    let mut child = start("pipe").spawn().expect("it starts");
    wait_until(&pages.path(""), "pipe", "a new page", |page| page["alive"] == true);
    child.stdin.take().expect("piped").write_all(&capture).expect("it reads");
    let run = child.wait_with_output().expect("it ends");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(!pages.path("pipe.page").exists());
}

#[test]
fn what_is_no_page_is_refused_by_name() {
    let pages = Folder::new();
    pages.write("bad.page", b"hello");
    let path = pages.text("bad.page");
    top(&pages.path(""), &[&path, "--once"]).must(1).says(&["bad.page", "no page of sonda"]);
    assert_eq!(Command::new("mkfifo").arg(pages.path("pipe.page")).status().map(|s| s.success()).ok(), Some(true));
    top(&pages.path(""), &[&pages.text("pipe.page"), "--once"]).must(1).says(&["no page of sonda"]);
    top(&pages.path(""), &["--once"]).must(1).says(&["no probe runs"]);
    top(&pages.path(""), &["--json"]).must(2);
    top(&pages.path(""), &["--interval", "0"]).must(2).says(&["use 0.1 to 3600"]);
}

#[test]
fn a_run_without_a_folder_for_its_page_runs_all_the_same() {
    let folder = Folder::new();
    let (capture, file) = (folder.capture("basic_udp"), folder.write("file", b""));
    let capture = capture.to_str().expect("plain path");
    outcome(sonda(["probe", capture]).env("SONDA_RUN_DIR", &file)).must(0);
    let named = outcome(sonda(["probe", capture, "--name", "x"]).env("SONDA_RUN_DIR", &file)).must(1);
    named.says(&["cannot be made", "SONDA_RUN_DIR"]);
    outcome(&mut sonda(["probe", capture, "--name", "../x"])).must(2).says(&["letters, digits"]);
}
