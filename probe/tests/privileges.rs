//! Live capture without privileges: every thread has lost them before the first packet is read, and everything still works to the end.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "the other live suites use the rest")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
mod traffic;

use netns::{HERE, Netns, Running};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Folder, Run, assert_same, flows, json_lines, mixture, outcome};
use traffic::{sendable, timeless};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/sonda-probe@.service");
const NONE: &str = "0000000000000000";
const NOBODY: &str = "65534";

/// What /proc says of a thread.
type Status = BTreeMap<String, String>;

/// The state of each thread of a run, by the thread's name.
fn threads(running: &Running) -> Vec<(String, Status)> {
    let folder = format!("/proc/{}/task", running.id());
    let mut all = Vec::new();
    for thread in std::fs::read_dir(folder).expect("it runs") {
        // Threads of a finished start may end while they are looked at.
        let Ok(text) = std::fs::read_to_string(thread.expect("a thread").path().join("status")) else { continue };
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let status: Status = lines.map(|(name, value)| (name.to_string(), value.trim().to_string())).collect();
        all.push((status["Name"].clone(), status));
    }
    all
}

/// No thread has a capability, or can get one.
#[track_caller]
fn all_without(running: &Running, uid: &str) -> Vec<String> {
    let all = threads(running);
    for (name, status) in &all {
        assert_eq!(status["CapBnd"], NONE, "bounding set of {name}");
    }
    none_has_any(all, uid)
}

/// The same of threads whose bounding set could not be emptied, which without new privileges bounds nothing.
#[track_caller]
fn none_has_any(all: Vec<(String, Status)>, uid: &str) -> Vec<String> {
    for (name, status) in &all {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status[set], NONE, "{set} of {name}");
        }
        assert_eq!(status["NoNewPrivs"], "1", "{name}");
        for ids in ["Uid", "Gid"] {
            assert!(status[ids].split_whitespace().all(|id| id == uid), "{ids} of {name}: {}", status[ids]);
        }
        assert!(uid == "0" || status["Groups"].split_whitespace().all(|id| id == uid), "{name}: {}", status["Groups"]);
    }
    all.into_iter().map(|(name, _)| name).collect()
}

/// A capture and what its file gives.
fn traffic(folder: &Folder) -> (PathBuf, u64, Vec<String>) {
    let (bytes, sent) = sendable([mixture(20_000, 2_000)]);
    let capture = folder.write("mixture.pcap", bytes);
    let expected = timeless(flows(&capture, &[]));
    (capture, sent, expected)
}

#[track_caller]
fn takes_all(run: &Run, sent: u64) {
    let books = format!("  capture {sent} = {sent} taken\n");
    assert!(run.stderr.contains(&books), "{books} is not in\n{}", run.stderr);
}

#[test]
fn no_thread_keeps_a_capability_and_everything_works_to_the_end() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (capture, sent, expected) = traffic(&folder);
    for backend in ["af_packet", "af_xdp"] {
        // The socket output has threads before privileges go, the exporters' come after.
        let args = ["probe", "-i", HERE, "--backend", backend, "--json", "-", "--unirec", "u:flows"];
        let running = Running::start(ns.sonda(args).env("TRAP_SOCKET_DIR", folder.path(".")));
        running.wait_for("runs without capabilities, but as root");
        ns.send(&capture, 20_000);
        let names = all_without(&running, "0");
        assert!(names.iter().any(|name| name == "trap-accept") && names.len() >= 4, "{names:?}");
        let run = running.interrupt().must(130);
        takes_all(&run, sent);
        assert_same(backend, &timeless(json_lines(&run.stdout)), &expected);
        assert!(!folder.path("trap-flows.sock").exists(), "its socket is gone");
        // The next one finds no program, no socket and no promiscuous mode left over.
        assert!(!ns.must("ip", &["-d", "link", "show", HERE]).contains("promiscuity 1 "), "{backend}");
    }
}

#[test]
fn it_becomes_another_user_once_everything_is_open() {
    let ns = Netns::new(2);
    let folder = Folder::new();
    let (capture, sent, _) = traffic(&folder);
    for backend in ["af_packet", "af_xdp"] {
        // A file where only root may write.
        let json = folder.text("flows.json");
        let args = ["probe", "-i", HERE, "--backend", backend, "--user", "nobody", "--lanes", "2", "--json", &json];
        let running = Running::start(&mut ns.sonda(args));
        running.wait_for("runs as user nobody, without capabilities");
        ns.send(&capture, 20_000);
        all_without(&running, NOBODY);
        let page = PathBuf::from(format!("/dev/shm/sonda-{NOBODY}/{}.page", running.id()));
        let run = running.interrupt().must(130);
        takes_all(&run, sent);
        assert!(std::fs::read_to_string(&json).expect("it was opened").lines().count() > 1000, "{}", run.stderr);
        assert!(!page.exists(), "its page is gone");
    }
}

#[test]
fn the_drop_in_gives_them_up_too() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (capture, sent, _) = traffic(&folder);
    let text = format!("text;file={}", folder.text("flows.txt"));
    let input = format!("raw;ifc={HERE}");
    let mut command = ns.sonda(["ipfixprobe", "-i", &input, "-o", &text]);
    let running = Running::start(command.env("SONDA_USER", "nobody"));
    running.wait_for("runs as user nobody, without capabilities");
    ns.send(&capture, 20_000);
    all_without(&running, NOBODY);
    let run = running.interrupt().must(0);
    assert!(run.stdout.contains(&sent.to_string()), "{}", run.stdout);
}

#[test]
fn who_keeps_them_is_told_so() {
    let ns = Netns::new(1);
    let args = ["probe", "-i", HERE, "--backend", "af_packet", "--keep-privileges", "--name", "kept", "--json", "-"];
    let folder = Folder::new();
    let running = Running::start(ns.sonda(args).env("SONDA_RUN_DIR", folder.path("run")));
    running.wait_for("runs with all the privileges that it was started with");
    // Its lanes and outputs run when it has a page.
    let mut top = ns.sonda(["top", "kept", "--once"]);
    top.env("SONDA_RUN_DIR", folder.path("run"));
    let patience = Instant::now() + Duration::from_secs(60);
    let shown = loop {
        let shown = outcome(&mut top);
        if shown.status == 0 || Instant::now() > patience {
            break shown.must(0).stdout;
        }
    };
    assert!(shown.contains("probe (privileges kept)"), "{shown}");
    assert!(threads(&running).iter().all(|(_, status)| status["CapEff"] != NONE));
    let run = running.interrupt().must(130);
    assert!(run.stderr.contains("privileges: kept, as was asked"), "{}", run.stderr);
}

#[test]
fn what_is_missing_is_named() {
    let ns = Netns::new(1);
    let sonda = env!("CARGO_BIN_EXE_sonda");
    let probe = |set: &[&str], args: &[&str]| {
        let all = [set, &[sonda, "probe", "-i", HERE, "--duration", "1"], args].concat();
        outcome(&mut ns.command("setpriv", all)).must(1).stderr
    };
    let nothing = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = probe(&nothing, &["--backend", "af_packet"]);
    assert!(said.contains("this process lacks cap_net_raw"), "{said}");
    let said = probe(&nothing, &["--backend", "af_xdp"]);
    assert!(said.contains("this process lacks cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw"), "{said}");
    let said = probe(&["--inh-caps=-all"], &["--backend", "af_packet", "--user", "no-such-user"]);
    assert!(said.contains("there is no user no-such-user"), "{said}");
    let net = ["--ambient-caps=-all", "--inh-caps=-setuid", "--bounding-set=-setuid"];
    let said = probe(&net, &["--backend", "af_packet", "--user", "nobody"]);
    assert!(said.contains("cap_setuid,cap_setgid"), "{said}");
}

/// The capabilities of the unit in deploy/, as setpriv names them.
fn of_the_unit() -> Vec<String> {
    let unit = std::fs::read_to_string(UNIT).expect("the unit");
    let line = unit.lines().find_map(|line| line.strip_prefix("AmbientCapabilities=")).expect("its capabilities");
    line.split_whitespace().map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect()
}

#[test]
fn what_the_unit_gives_is_enough_and_no_part_of_it_is_kept() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (capture, sent, expected) = traffic(&folder);
    let caps: Vec<String> = of_the_unit().iter().map(|name| format!("+{name}")).collect();
    let (inherited, ambient) = (format!("--inh-caps={}", caps.join(",")), format!("--ambient-caps={}", caps.join(",")));
    let bounding = format!("--bounding-set=-all,{}", caps.join(","));
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", &inherited, &ambient, &bounding];
    // The unit sets no limit to locked memory, which setpriv cannot: small rings.
    let sonda = [env!("CARGO_BIN_EXE_sonda"), "probe", "-i", HERE, "--backend", "af_xdp", "--ring", "4", "--json", "-"];
    let running = Running::start(&mut ns.command("setpriv", [&user[..], &sonda].concat()));
    running.wait_for("runs as user 65534, without capabilities");
    ns.send(&capture, 5_000);
    none_has_any(threads(&running), NOBODY);
    let run = running.interrupt().must(130);
    takes_all(&run, sent);
    assert_same("the unit", &timeless(json_lines(&run.stdout)), &expected);
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_leaves_little_open() {
    let checked = outcome(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=22", UNIT]));
    let score = checked.stdout.lines().last().unwrap_or_default().to_string();
    // Ten times the level. What is above the 2.0 of RELIABILITY.md is what a probe is for: AF_PACKET, AF_XDP and bpf(2).
    checked.must(0);
    assert!(score.contains("OK"), "{score}");
}
