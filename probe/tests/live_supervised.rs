//! Faults under load (issue 7, RELIABILITY.md rows 11, 14 and 18): a supervisor with a probe and ten modules in a network namespace, packets all
//! the while, and a detector, a reporter and the supervisor itself are killed. No lane loses a packet, no record is lost by who lives, and what
//! the probe counted is what was sent.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
mod support;
#[path = "live/traffic.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use benches::Attack;
use site::{Site, kill};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::{Run, Summary, mixture, outcome};
use traffic::sendable;

/// Packets a second: much less than a lane can do, so that a loss is none of the machine's.
const PER_SEC: u32 = 5_000;
/// Reloads of row 18, and the time in which they are asked for.
const RELOADS: u32 = 100;
const STORM: Duration = Duration::from_secs(10);

/// The modules beside the probe: name, tool with its options, input, output.
const MODULES: [(&str, &str, &str, &str); 10] = [
    ("records", "logger -v -a @/records.csv", "flows", ""),
    ("copy", "traffic_repeater", "flows", "copy"),
    ("ports", "vportscan_detector", "copy", "ports"),
    ("ports_gathered", "vportscan_aggregator", "ports", "ports_gathered"),
    ("ports_told", "vportscan2idea -D -c @/told.yaml", "ports_gathered", ""),
    ("hosts", "haddrscan_detector", "copy", "hosts"),
    ("logins", "brute_force_detector -S", "copy", "logins"),
    ("logins_told", "bruteforce2idea -D -c @/told.yaml", "logins", ""),
    ("floods", "ddos_detector", "copy", "floods"),
    ("count", "flowcounter", "copy", ""),
];

/// The configuration; `restarts` is what reloads change.
fn configuration(restarts: u32) -> String {
    let sonda = env!("CARGO_BIN_EXE_sonda");
    // The probe delivers what it has before it ends, however busy the machine is; a module that is held up is not one that hangs.
    let mut text = format!(
        "[supervisor]\nrestarts = {restarts}\nstop_grace_ms = 120000\nheartbeat_s = 120\n[[profile]]\nname = \"P\"\n\
         [[module]]\nname = \"meter\"\nprofile = \"P\"\npath = \"{sonda}\"\nparams = \"probe -i v0 --backend af_packet --lanes 2 \
         --inactive 2 --active 4 --name meter --unirec u:flows\"\n"
    );
    for (name, params, input, output) in MODULES {
        let list = |name: &str| if name.is_empty() { String::new() } else { format!("\"u:{name}\"") };
        let _ = write!(
            text,
            "[[module]]\nname = \"{name}\"\nprofile = \"P\"\npath = \"{sonda}\"\nparams = \"{params}\"\ninputs = [{}]\noutputs = [{}]\n",
            list(input),
            list(output)
        );
    }
    text
}

/// Sends captures until it is told to end.
struct Traffic {
    sent: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Traffic {
    fn start(captures: Vec<(PathBuf, u64)>) -> Traffic {
        let (sent, ends) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, is_over) = (sent.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            for (capture, packets) in captures.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                xdp::replay(capture, PER_SEC).join().expect("all frames of it are sent");
                counted.fetch_add(*packets, Ordering::Relaxed);
            }
        });
        Traffic { sent, ends, thread }
    }

    /// Ends between two captures; answers how many packets were sent.
    fn end(self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("every capture was sent");
        self.sent.load(Ordering::Relaxed)
    }
}

/// Messages that came to a module's input since it was started.
fn received(site: &Site, module: &str) -> u64 {
    site.inventory()[module]["inputs"][0]["messages"].as_u64().unwrap_or(0)
}

fn pids(site: &Site) -> Vec<(String, Option<u32>)> {
    let table = site.menu(&["4"]).remove(0);
    let rows = table.lines().filter_map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, _, _, pid, ..] = columns[..] else { return None };
        Some((name.to_owned(), pid.parse().ok().filter(|pid| *pid != 0)))
    });
    rows.filter(|(name, _)| name != "name").collect()
}

/// The sum of the samples of a metric; a page that cannot be read has none.
fn metric(site: &Site, name: &str) -> f64 {
    let text = site.tool(&["metrics"]).env("SONDA_RUN_DIR", site.path("pages")).output().expect("it runs").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn whoever_is_killed_under_load_no_packet_and_no_record_of_the_others_is_lost() {
    xdp::inside("whoever_is_killed_under_load_no_packet_and_no_record_of_the_others_is_lost", 2, |folder| {
        let guesses: Attack = "ssh_guessing".parse().expect("the generator tells it");
        let mut attack = Vec::new();
        benches::write_attacks(&[guesses], 0, 1, &mut attack).expect("memory");
        let captures = [("attack.pcap", attack), ("mixture.pcap", mixture(15_000, 1_500))];
        let captures = captures.map(|(name, bytes)| {
            let (bytes, packets) = sendable([bytes]);
            let path = folder.join(name);
            std::fs::write(&path, bytes).expect("room");
            (path, packets)
        });
        load(captures.to_vec());
    });
}

fn load(captures: Vec<(PathBuf, u64)>) {
    let mut site = Site::native(&configuration(3));
    site.write(
        "told.yaml",
        "namespace: org.example\ncustom_actions:\n  - id: file\n    file:\n      path: @/alerts.json\nrules:\n  - id: all\n    \
         condition: true\n    actions: [file]\n",
    );
    std::fs::create_dir(site.path("pages")).expect("made");
    let pages = site.text("pages");
    let surroundings = [("SONDA_RUN_DIR", pages.as_str())];
    site.start_with(&surroundings);
    site.until("the probe captures", || site.read("logs/modules_logs/meter_stderr").contains(": af_packet, "));
    // The others have no format to agree on before the first record.
    let is_connected = |module: &str| site.inventory()[module]["inputs"][0]["is-conn"] == 1;
    site.until("its readers are connected", || is_connected("records") && is_connected("copy"));
    let began = pids(&site);
    assert!(began.len() == 11 && began.iter().all(|(_, pid)| pid.is_some()), "{began:?}");

    let traffic = Traffic::start(captures);
    let alerts = || site.read("alerts.json").lines().count();
    site.until("the guesses are told", || alerts() > 0);
    let told = alerts();
    let works = |module: &str| if module == "logins" { received(&site, module) > 0 } else { is_connected(module) };
    for module in ["logins_told", "logins"] {
        let before = site.pid(module).expect("it runs");
        let at = Instant::now();
        kill(before, "KILL");
        site.runs(module, Some(before));
        let running = at.elapsed();
        site.until("it works again", || works(module));
        println!("{module}: runs again after {running:?}, works after {:?}", at.elapsed());
    }
    // The detector forgot whom it has told of.
    site.until("alerts come again", || alerts() > told);
    let before = pids(&site);
    let changed: Vec<&str> =
        began.iter().zip(&before).filter(|(was, is)| was != is).map(|(was, _)| was.0.as_str()).collect();
    assert_eq!(changed, ["logins", "logins_told"], "nobody else was restarted");

    let taken = metric(&site, "sonda_taken_packets_total");
    assert!(!site.signal("KILL"));
    site.until("the lanes go on alone", || metric(&site, "sonda_taken_packets_total") > taken + f64::from(PER_SEC));
    let at = Instant::now();
    site.start_with(&surroundings);
    println!("supervisor: answers after {:?}", at.elapsed());
    assert_eq!(pids(&site), before, "the next one goes on with the same processes");

    storm(&site);
    assert_eq!(pids(&site), before);
    assert_eq!(metric(&site, "sonda_ledger_imbalance"), 0.0);
    let sent = traffic.end();
    books(&site, sent);
}

/// Row 18: every reload changes something, the last one wins, nobody is restarted.
fn storm(site: &Site) {
    let done = || site.count("supervisor_log", "[RELOAD] Result:");
    let (at, before) = (Instant::now(), done());
    let refused: usize = std::thread::scope(|scope| {
        let asked = (0..RELOADS).map(|number| {
            std::thread::sleep((at + STORM / RELOADS * number).saturating_duration_since(Instant::now()));
            site.write("next", &configuration(number % 30 + 1));
            std::fs::rename(site.path("next"), site.path("s.toml")).expect("replaced whole");
            scope.spawn(move || site.asked("115599"))
        });
        let asked: Vec<_> = asked.collect();
        let answers = asked.into_iter().map(|one| one.join().expect("an answer"));
        // One that was a client too many got nothing.
        answers.filter(|text| !text.is_empty() && !text.contains("successfully finished")).count()
    });
    println!("{RELOADS} reloads asked for within {:?}: {} done", at.elapsed(), done() - before);
    assert!((1..=RELOADS as usize).contains(&(done() - before)));
    assert_eq!(refused, 0);
    // A plan that changes nothing: the last file is in force.
    let kept = "keep     meter\n";
    site.until("the last one is in force", || outcome(&mut ctl(site, &["plan"])).must(0).stdout.starts_with(kept));
}

fn ctl(site: &Site, words: &[&str]) -> std::process::Command {
    let mut command = site.tool(&["ctl"]);
    command.args(words).args(["-s", &site.text("run/s.sock")]);
    command
}

/// The probe ends first, and everybody gets what it has. Then its summary is held against what was sent.
fn books(site: &Site, sent: u64) {
    outcome(&mut ctl(site, &["disable", "meter"])).must(0);
    let log = || site.read("logs/modules_logs/meter_stderr");
    site.until("the probe has ended", || site.pid("meter").is_none());
    let run = Run { what: "meter".into(), status: 0, stdout: String::new(), stderr: log() }.must(0);
    let (offered, taken, lost) = xdp::books(&run);
    assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "no lane lost a packet\n{}", run.stderr);
    // It checks that each book balances, too.
    let summary = Summary::of(&run.stderr);
    let (records, handed_on) = summary.records;
    assert_eq!((summary.packets, records), (sent, handed_on), "{}", run.stderr);
    let rows = || site.read("records.csv").lines().count() as u64;
    site.until("all records are logged", || rows() >= handed_on);
    assert_eq!(rows(), handed_on, "who was not killed got every record once");
    println!("{sent} packets sent and taken, {records} records, {} alerts", site.read("alerts.json").lines().count());
}
