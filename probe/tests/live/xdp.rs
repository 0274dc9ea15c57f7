//! What the suites about AF_XDP share: a capture that runs, its books, packets sent into chosen queues, tests inside a namespace.
#![allow(dead_code, reason = "each suite uses its part")]
use crate::netns::{HERE, Netns, Running, THERE};
use crate::support::{Folder, Run, outcome};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn started(ns: &Netns, args: &[&str]) -> Running {
    let mut all = vec!["probe", "-i", HERE, "--backend", "af_xdp", "--json", "-"];
    all.extend(args);
    let running = Running::start(&mut ns.sonda(all));
    running.wait_for(": af_xdp, native XDP, copy, ");
    running
}

/// Captures on our end while `traffic` is sent, until Ctrl-C.
pub(crate) fn captured(ns: &Netns, args: &[&str], traffic: impl FnOnce(&Running)) -> Run {
    let running = started(ns, args);
    traffic(&running);
    let run = running.interrupt().must(130);
    // The books of the run itself: identity I3 is among them.
    assert!(!run.stderr.contains(" is not "), "{}", run.stderr);
    run
}

/// Sends each part into a queue of its own: what a processor sends leaves by its queue.
pub(crate) fn send_by_queue(ns: &Netns, parts: &[PathBuf; 2]) {
    for queue in 0..2 {
        let map = format!("echo {} > /sys/class/net/{THERE}/queues/tx-{queue}/xps_cpus", 1 << queue);
        ns.must("sh", &["-c", &map]);
    }
    std::thread::scope(|scope| {
        for (cpu, part) in parts.iter().enumerate() {
            scope.spawn(move || {
                let (cpu, part) = (cpu.to_string(), part.to_str().expect("plain"));
                ns.must("taskset", &["-c", &cpu, "tcpreplay", "-q", "-K", "--pps=25000", "-i", THERE, part]);
            });
        }
    });
}

/// The numbers of the line `capture N = N taken + N reason`: offered, taken, and the others by their word.
pub(crate) fn books(run: &Run) -> (u64, u64, HashMap<String, u64>) {
    let line = run.stderr.lines().find_map(|l| l.strip_prefix("  capture ")).expect("a line on the capture");
    let (offered, rest) = line.split_once(" = ").expect("a book");
    let term = |text: &str| -> (u64, String) {
        let (n, word) = text.split_once(' ').expect("a number and a word");
        (n.parse().expect("a number"), word.to_string())
    };
    let mut terms: HashMap<String, u64> = rest.split(" + ").map(term).map(|(n, word)| (word, n)).collect();
    let offered: u64 = offered.parse().expect("a number");
    assert_eq!(offered, terms.values().sum::<u64>(), "{line}");
    (offered, terms.remove("taken").expect("taken"), terms)
}

/// Runs the test again inside a namespace, where `inside` is what it does.
pub(crate) fn inside(test: &str, queues: u32, inside: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os("SONDA_INSIDE") {
        return inside(&PathBuf::from(folder));
    }
    let ns = Netns::new(queues);
    let folder = Folder::new();
    let own = std::env::current_exe().expect("a program");
    let mut command = ns.command(own.to_str().expect("plain"), ["--exact", test, "--nocapture"]);
    print!("{}", outcome(command.env("SONDA_INSIDE", folder.path("."))).must(0).stdout);
}

/// Sends a capture from inside; answers when all frames were sent.
pub(crate) fn replay(capture: &Path, per_sec: u32) -> std::thread::JoinHandle<()> {
    replay_first(u64::MAX, capture, per_sec)
}

/// Sends so many frames of a capture.
pub(crate) fn replay_first(frames: u64, capture: &Path, per_sec: u32) -> std::thread::JoinHandle<()> {
    let rate = format!("--pps={per_sec}");
    let mut args = vec!["-q".into(), "-K".into(), rate, "-i".into(), THERE.into()];
    if frames < u64::MAX {
        args.push(format!("--limit={frames}"));
    }
    // Words behind the first file are files.
    args.push(capture.display().to_string());
    std::thread::spawn(move || drop(outcome(Command::new("tcpreplay").args(args)).must(0)))
}
