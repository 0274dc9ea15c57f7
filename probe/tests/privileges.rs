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
fn threads(process: u32) -> Vec<(String, Status)> {
    let folder = format!("/proc/{process}/task");
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
fn all_without(process: u32, uid: &str) -> Vec<String> {
    let all = threads(process);
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
        assert_eq!(status["Seccomp"], "2", "{name} has a filter of system calls");
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

/// As few packets as fit into the smallest ring here, so that none is lost however busy the machine is.
fn few(folder: &Folder) -> (PathBuf, u64, Vec<String>) {
    let (bytes, sent) = sendable([mixture(300, 60)]);
    let capture = folder.write("few.pcap", bytes);
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
        let names = all_without(running.id(), "0");
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
        all_without(running.id(), NOBODY);
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
    all_without(running.id(), NOBODY);
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
    assert!(threads(running.id()).iter().all(|(_, status)| status["CapEff"] != NONE));
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
    let (capture, sent, expected) = few(&folder);
    let caps: Vec<String> = of_the_unit().iter().map(|name| format!("+{name}")).collect();
    let (inherited, ambient) = (format!("--inh-caps={}", caps.join(",")), format!("--ambient-caps={}", caps.join(",")));
    let bounding = format!("--bounding-set=-all,{}", caps.join(","));
    // A user of this test's own, because locked memory is counted for each; the unit sets no limit to it, which setpriv cannot.
    let user = ["--reuid=61234", "--regid=61234", "--clear-groups", &inherited, &ambient, &bounding];
    let sonda = [env!("CARGO_BIN_EXE_sonda"), "probe", "-i", HERE, "--backend", "af_xdp", "--ring", "6", "--json", "-"];
    let running = Running::start(&mut ns.command("setpriv", [&user[..], &sonda].concat()));
    running.wait_for("runs as user 61234, without capabilities");
    ns.send(&capture, 2_000);
    none_has_any(threads(running.id()), "61234");
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

/// The process that another one has started.
fn child(parent: u32) -> u32 {
    let mut all =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let started = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.contains(&format!("PPid:\t{parent}\n"))
    };
    all.find(started).expect("the process that reads")
}

/// Two processes, of which the second reads.
fn isolated(ns: &Netns) -> (Running, u32) {
    let args = ["probe", "-i", HERE, "--backend", "af_xdp", "--isolate", "--ring", "2", "--lanes", "1", "--json", "-"];
    let running = Running::start(&mut ns.sonda(args));
    running.wait_for(": af_xdp, native XDP, copy, ");
    running.wait_for("runs as user 65534, without capabilities");
    let reader = child(running.id());
    (running, reader)
}

#[test]
fn a_process_that_never_had_a_privilege_reads_what_another_has_opened() {
    let ns = Netns::new(1);
    // Smaller frames, so that more of them fit into the memory that may be locked.
    for link in [HERE, netns::THERE] {
        ns.must("ip", &["link", "set", link, "mtu", "1700"]);
    }
    let folder = Folder::new();
    let (capture, sent, expected) = few(&folder);
    // The kernel takes a link off some time after its last descriptor is closed.
    let no_program = || {
        let patience = Instant::now() + Duration::from_secs(60);
        while ns.must("ip", &["link", "show", HERE]).contains("xdp") {
            assert!(Instant::now() < patience, "the program is off");
        }
    };
    let (running, reader) = isolated(&ns);
    ns.send(&capture, 2_000);
    all_without(reader, NOBODY);
    assert!(threads(running.id()).iter().all(|(_, status)| status["CapEff"] != NONE));
    let run = running.interrupt().must(130);
    takes_all(&run, sent);
    assert_same("two processes", &timeless(json_lines(&run.stdout)), &expected);
    no_program();
    // The one that opened is killed: the other exports what it has.
    let (running, _) = isolated(&ns);
    ns.send(&capture, 2_000);
    running.signal("KILL");
    let run = running.end().must(137);
    takes_all(&run, sent);
    assert_same("after the opener's death", &timeless(json_lines(&run.stdout)), &expected);
    no_program();
    // The one that reads is killed: the other ends and says so.
    let (running, reader) = isolated(&ns);
    ns.must("kill", &["-KILL", &reader.to_string()]);
    let run = running.end().must(137);
    assert!(run.stderr.contains("was ended by signal 9"), "{}", run.stderr);
    no_program();
}

#[test]
fn two_processes_say_what_keeps_them_from_starting() {
    let ns = Netns::new(1);
    let isolate = |args: &[&str]| {
        let all = [&["probe", "--isolate", "--duration", "1"], args].concat();
        outcome(&mut ns.sonda(all)).must(1).stderr
    };
    let said = isolate(&["-i", HERE]);
    assert!(said.contains("--isolate is for --backend af_xdp"), "{said}");
    let said = isolate(&["-i", HERE, "--backend", "af_xdp", "--user", "no-such-user"]);
    assert!(said.contains("there is no user no-such-user"), "{said}");
    let said = isolate(&["-i", "none9", "--backend", "af_xdp"]);
    assert!(said.contains("there is no interface none9"), "{said}");
    // More memory than anybody may lock who is not root.
    let all =
        ["--memlock=1048576", env!("CARGO_BIN_EXE_sonda"), "probe", "--isolate", "-i", HERE, "--backend", "af_xdp"];
    let said = outcome(&mut ns.command("prlimit", all)).must(1).stderr;
    assert!(said.contains("locked memory is limited to 1048576 bytes") && said.contains("`LimitMEMLOCK="), "{said}");
}
