//! What modules may use (RELIABILITY.md rows 12 and 34): a leak is ended by the kernel, a spinning module has its share, one that forks without an
//! end is refused, and their neighbour notices nothing. Needs root. A limit that this machine cannot keep is named, not passed over.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;

use serde_json::Value;
use site::{REPEATER, Site, said};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// What stands behind the repeater.
const BOUND: &str = r#"# Reads a line that has no end.
[[module]]
name = "leak"
profile = "P"
path = "/usr/bin/tail"
params = "/dev/zero"
restarts = 1
memory_mib = 32
[[module]]
name = "spin"
profile = "P"
path = "/bin/sh"
params = "-c 'while :; do :; done'"
cpu_percent = 20
[[module]]
name = "forks"
profile = "P"
path = "/usr/bin/python3"
params = "@/forks.py"
processes = 10
[[module]]
name = "bound"
profile = "P"
path = "/bin/sleep"
params = "3600"
cores = [0]
user = "nobody"
nice = 7
open_files = 64
core_mib = 0
"#;

fn toml() -> String {
    REPEATER.to_owned() + BOUND
}

/// Waits after each refusal, so that it is refused all the time and yet costs nothing.
const FORKS: &str = "import os, time\nwhile True:\n    try:\n        if os.fork() == 0:\n            time.sleep(3600)\n            os._exit(0)\n    \
                     except OSError:\n        time.sleep(0.05)\n";

/// Clock ticks a second of /proc (USER_HZ).
const TICKS: f64 = 100.0;

/// The words of /proc/PID/stat behind the name; the first is the state, the third field of the manual.
fn stat(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.rsplit(')').next().unwrap_or_default().split_whitespace().map(String::from).collect()
}

/// Processor time that a process has had.
fn used(pid: u32) -> f64 {
    stat(pid)[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS
}

/// Processes of a module: of its group, whose leader it is.
fn members(pid: u32) -> usize {
    let all = fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|one: &u32| stat(*one).get(2) == Some(&pid.to_string())).count()
}

/// The sum of a metric's samples with this label.
fn metric(site: &Site, name: &str, label: &str) -> f64 {
    let text = said(&site.client(&["ctl", "get", "/metrics"]));
    let samples = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Folders of the supervisor's groups, wherever they are.
fn groups(site: &Site) -> usize {
    let name = format!("*{}", site.text("run/s.sock").replace('/', "-"));
    let found = Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", "8", "-type", "d", "-name", &name]).output();
    said(&found.expect("find runs")).lines().count()
}

#[test]
fn a_leak_a_spin_and_a_fork_bomb_are_held_and_their_neighbour_notices_nothing() {
    let mut site = Site::native(&toml());
    site.write("forks.py", FORKS);
    site.start();
    let rep = site.runs("rep", None);
    // What the machine cannot do is said for each kind, and counted.
    let missing = |key: &str| {
        site.read("logs/supervisor_log").contains(&format!("[WARNING] {key} has no effect on this machine ("))
    };
    let kinds = ["memory_mib", "cpu_percent", "processes"];
    let kept = kinds.map(|key| !missing(key));
    assert_eq!(metric(&site, "sonda_supervisor_limits_missing", ""), kept.iter().filter(|kept| !**kept).count() as f64);
    let checked = said(&site.tool(&["ctl", "check", &site.text("s.toml")]).output().expect("it runs"));
    assert!(checked.contains("5 modules, 0 that cannot run"), "{checked}");
    let is_kept = |at: usize| {
        if !kept[at] {
            println!("NOT SHOWN: {}; this machine keeps no such limit", kinds[at]);
        }
        kept[at]
    };
    if is_kept(0) {
        let told = "[LIMIT] Module leak needed more than memory_mib = 32: the kernel killed 1 of its processes.";
        site.until("the leak is ended, restarted, and given up", || {
            site.count("modules_events", told) == 2
                && site.count("modules_events", "Module: leak was restarted 1 times") == 1
        });
        assert_eq!(
            metric(&site, "sonda_supervised_limited_total", "module=\"leak\",profile=\"P\",limit=\"memory_mib\""),
            2.0
        );
    }
    if is_kept(1) {
        let spin = site.runs("spin", None);
        let label = "module=\"spin\",profile=\"P\",limit=\"cpu_percent\"";
        site.until("it waits for its share", || metric(&site, "sonda_supervised_limited_total", label) > 0.0);
        let (began, before) = (Instant::now(), used(spin));
        site.until("some seconds", || began.elapsed() > Duration::from_secs(4));
        let share = (used(spin) - before) / began.elapsed().as_secs_f64();
        println!("a module that spins with cpu_percent = 20 has {:.1} % of a processor", 100.0 * share);
        assert!(share < 0.3, "{share}");
    }
    if is_kept(2) {
        let forks = site.runs("forks", None);
        site.until("it is refused", || {
            site.count("modules_events", "[LIMIT] Module forks wanted more than processes = 10; it was refused.") == 1
        });
        assert_eq!(members(forks), 10);
    }
    assert_eq!(site.pid("rep"), Some(rep), "the neighbour goes on");
    site.until("and answers", || site.inventory()["rep"]["outputs"].as_array().is_some_and(|all| !all.is_empty()));
    if kept.contains(&true) {
        assert!(groups(&site) > 0);
    }
    assert!(site.signal("TERM"));
}

#[test]
fn a_module_has_the_processors_priority_files_and_user_of_its_configuration() {
    let mut site = Site::native(&toml());
    site.write("forks.py", FORKS);
    site.start();
    let bound = site.runs("bound", None);
    site.until("it has become the program", || {
        fs::read_link(format!("/proc/{bound}/exe")).is_ok_and(|exe| !exe.ends_with("sonda"))
    });
    let status = fs::read_to_string(format!("/proc/{bound}/status")).expect("it runs");
    let line = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        found.unwrap_or_else(|| panic!("{name} is not in {status}")).to_owned()
    };
    assert_eq!(line("Cpus_allowed_list"), "0");
    for ids in ["Uid", "Gid"] {
        assert_eq!(line(ids), "65534\t65534\t65534\t65534");
    }
    assert_eq!(line("Groups").trim(), "65534");
    assert_eq!(stat(bound)[16], "7", "nice");
    let limits = fs::read_to_string(format!("/proc/{bound}/limits")).expect("it runs");
    let row = |name: &str| {
        let found = limits.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((row("Max open files").as_str(), row("Max core file size").as_str()), ("64 64", "0 0"));
    // A limit that changes makes a restart, and the plan says so.
    site.write("s.toml", &toml().replace("nice = 7", "nice = 8"));
    let plan: Value = serde_json::from_str(&said(&site.client(&["ctl", "plan", "--json"]))).expect("JSON");
    let step =
        plan["steps"].as_array().and_then(|all| all.iter().find(|step| step["module"] == "bound")).expect("a step");
    assert_eq!((&step["action"], &step["why"][0]), (&"restart".into(), &"nice: \"7\" -> \"8\"".into()));
    // What this machine has not refuses the file.
    site.write("s.toml", &toml().replace("\"nobody\"", "\"no-such-user\"").replace("[0]", "[0, 1000]"));
    let refused = site.client(&["ctl", "apply"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("[ERROR] module \"bound\": there is no user no-such-user on this machine"),
        "{}",
        said(&refused)
    );
    assert_eq!(site.pid("bound"), Some(bound));
}
