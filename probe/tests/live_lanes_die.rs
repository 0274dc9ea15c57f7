//! A probe under a supervisor that is killed (RELIABILITY.md row 15): it runs again, and what was lost with it is told, to the packet, from the
//! page that it left. And one that stands still (row 16): it is ended with a core, and another one captures.

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

use site::{Site, kill, said};
use std::path::{Path, PathBuf};
use std::time::Instant;
use support::mixture;
use traffic::sendable;

/// Packets a second, much less than a lane can do.
const PER_SEC: u32 = 5_000;

/// A probe whose flows do not end by themselves, and who logs its records.
fn start() -> Site {
    let sonda = env!("CARGO_BIN_EXE_sonda");
    let mut site = Site::native(&format!(
        "[supervisor]\nrestarts = 30\nheartbeat_s = 120\n[[profile]]\nname = \"P\"\n[[module]]\nname = \"meter\"\nprofile = \"P\"\n\
         path = \"{sonda}\"\nparams = \"probe -i v0 --backend af_packet --lanes 2 --inactive 3000 --active 3000 --name meter --unirec u:dying\"\n\
         [[module]]\nname = \"records\"\nprofile = \"P\"\npath = \"{sonda}\"\nparams = \"logger -t -a @/records.csv\"\ninputs = [\"u:dying\"]\n"
    ));
    std::fs::create_dir(site.path("pages")).expect("made");
    let pages = site.text("pages");
    site.start_with(&[("SONDA_RUN_DIR", pages.as_str())]);
    captures(&site, 1);
    site.until("its reader is connected", || site.inventory()["records"]["inputs"][0]["is-conn"] == 1);
    site
}

/// Waits until the probe captures, for the so many-th time.
fn captures(site: &Site, times: usize) {
    let log = "logs/modules_logs/meter_stderr";
    site.until("the probe captures", || site.read(log).matches(": af_packet, ").count() == times);
}

fn capture(folder: &Path) -> (PathBuf, u64) {
    let (bytes, packets) = sendable([mixture(15_000, 1_500)]);
    let path = folder.join("mixture.pcap");
    std::fs::write(&path, bytes).expect("room");
    (path, packets)
}

/// The sum of the samples of a metric of pages.
fn metric(site: &Site, name: &str) -> f64 {
    let text = site.tool(&["metrics"]).env("SONDA_RUN_DIR", site.path("pages")).output().expect("it runs").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let samples = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Rows of the logger, and the packets in them.
fn logged(site: &Site) -> (u64, u64) {
    let text = site.read("records.csv");
    let first = text.lines().next().unwrap_or_default();
    // A logger whose sender said goodbye ends; the next one writes on behind its own title.
    let lines = text.lines().filter(|line| *line != first);
    let title: Vec<&str> = first.split(',').collect();
    // With or without the type in front.
    let column = |at: usize| title.get(at).and_then(|name| name.rsplit(' ').next());
    let is_count = |at: usize| column(at).is_some_and(|name| ["PACKETS", "PACKETS_REV"].contains(&name));
    let packets = |line: &str| -> u64 {
        let cells = line.split(',').enumerate().filter(|(at, _)| is_count(*at));
        cells.map(|(_, cell)| cell.parse::<u64>().expect("a number")).sum()
    };
    lines.fold((0, 0), |(rows, sum), line| (rows + 1, sum + packets(line)))
}

#[test]
fn a_probe_that_is_killed_runs_again_and_what_it_had_is_told_to_the_packet() {
    xdp::inside("a_probe_that_is_killed_runs_again_and_what_it_had_is_told_to_the_packet", 2, |folder| {
        let (capture, sent) = capture(folder);
        let site = start();
        xdp::replay(&capture, PER_SEC).join().expect("all frames are sent");
        site.until("all is taken", || metric(&site, "sonda_taken_packets_total") == sent as f64);
        let sum = |name| metric(&site, name);
        site.until("all that ended is logged", || {
            let ended = sum("sonda_flows_ended_total");
            ended > 0.0 && sum("sonda_output_sent_records_total") == ended && logged(&site).0 as f64 == ended
        });
        let (dropped, live) = (sum("sonda_dropped_packets_total"), sum("sonda_live_flows"));
        assert!(live > 0.0, "flows of the mixture that did not say that they end");
        let meter = site.pid("meter").expect("it runs");
        let at = Instant::now();
        kill(meter, "KILL");
        site.runs("meter", Some(meter));
        captures(&site, 2);
        println!("a probe captures again {:?} after kill -9", at.elapsed());
        let events = site.read("logs/modules_events");
        let line = events.lines().find(|line| line.contains("[LOST] Module meter (PID: ")).expect("it is told");
        let told = line.split("had ").nth(1).expect("numbers");
        let numbers: Vec<u64> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [flows, packets, records] = numbers[..] else { panic!("{line}") };
        assert_eq!((flows as f64, records), (live, 0), "{line}");
        assert_eq!(
            logged(&site).1 + packets + dropped as u64,
            sent,
            "each packet is in a row, was dropped, or is told as lost: {line}"
        );
        let metrics = said(&site.client(&["ctl", "get", "/metrics"]));
        let lost = format!("sonda_supervised_lost_total{{module=\"meter\",profile=\"P\",what=\"packets\"}} {packets}");
        assert!(metrics.lines().any(|there| there == lost), "{lost} is not in\n{metrics}");
        // The next one takes everything.
        xdp::replay(&capture, PER_SEC).join().expect("all frames are sent");
        site.until("all is taken again", || metric(&site, "sonda_taken_packets_total") == sent as f64);
    });
}

/// Row 16, and of row 35 that a machine which stands still is no probe that does.
#[test]
fn a_probe_that_stands_still_is_ended_with_a_core_and_replaced() {
    xdp::inside("a_probe_that_stands_still_is_ended_with_a_core_and_replaced", 2, |folder| {
        let (capture, sent) = capture(folder);
        let site = start();
        let meter = site.pid("meter").expect("it runs");
        // More looks than a lane may miss, if any happened: nobody is there to look.
        kill(site.daemon(), "STOP");
        kill(meter, "STOP");
        std::thread::sleep(std::time::Duration::from_secs(4));
        kill(meter, "CONT");
        kill(site.daemon(), "CONT");
        xdp::replay(&capture, PER_SEC).join().expect("all frames are sent");
        site.until("all is taken", || metric(&site, "sonda_taken_packets_total") == sent as f64);
        assert_eq!(metric(&site, "sonda_lane_beats"), 2.0);
        assert_eq!(site.pid("meter"), Some(meter), "{}", site.read("logs/modules_events"));

        let at = Instant::now();
        kill(meter, "STOP");
        site.runs("meter", Some(meter));
        captures(&site, 2);
        println!("a probe captures again {:?} after it stood still", at.elapsed());
        let events = site.read("logs/modules_events");
        for part in [
            "Stopping module meter... sending SIGABRT",
            &format!("\"meter\" (PID: {meter}) is not running! (was ended by signal 6)"),
        ] {
            assert_eq!(events.matches(part).count(), 1, "{part} in\n{events}");
        }
        xdp::replay(&capture, PER_SEC).join().expect("all frames are sent");
        site.until("all is taken again", || metric(&site, "sonda_taken_packets_total") == sent as f64);
    });
}
