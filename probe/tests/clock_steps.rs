//! Steps of the machine's clock (RELIABILITY.md row 20) as a supervisor, its probe and its modules see them: an hour and ten years, forward and
//! back. No flow ends, nothing is restarted, tokens, sessions and history are as they were. libfaketime moves the time of day of these
//! processes alone, and leaves the monotonic clock; the machine's own is not touched.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod netns;
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
mod support;
#[path = "control_tcp/tls.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod tls;
#[path = "live/traffic.rs"]
#[allow(dead_code, reason = "each live suite uses its part")]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use serde_json::Value;
use site::{Site, said};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use support::certificates;
use support::mixture;
use tls::Client;
use traffic::sendable;

/// Debian's package libfaketime (deploy/setup.sh).
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];
/// Steps in seconds from the machine's clock; at the end it is right again.
const STEPS: [i64; 5] = [3_600, -3_600, 315_360_000, -315_360_000, 0];
/// What a clock may be off a step in this test: machines stall.
const NEAR_S: f64 = 900.0;

/// A supervisor with a probe whose flows do not end by themselves, and who logs its records, all with a time of day of their own.
fn start() -> Site {
    let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists()).expect("libfaketime is installed");
    let sonda = env!("CARGO_BIN_EXE_sonda");
    // A sandbox would keep modules from the file that says what time it is.
    let mut site = Site::native(&format!(
        "{}[supervisor]\nheartbeat_s = 120\n[[profile]]\nname = \"P\"\n[[module]]\nname = \"meter\"\nprofile = \"P\"\npath = \"{sonda}\"\n\
         params = \"probe -i v0 --backend af_packet --lanes 2 --inactive 3000 --active 3000 --name meter --unirec u:steps\"\n\
         [[module]]\nname = \"records\"\nprofile = \"P\"\npath = \"{sonda}\"\nparams = \"logger -t -a @/records.csv\"\ninputs = [\"u:steps\"]\n\
         sandbox = false\n",
        tls::API
    ));
    tls::authority(&site.path(""));
    std::fs::create_dir(site.path("pages")).expect("made");
    site.write("time", "+0");
    let (pages, time) = (site.text("pages"), site.text("time"));
    site.start_with(&[
        ("SONDA_RUN_DIR", &pages),
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &time),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DISABLE_SHM", "1"),
    ]);
    site.until("the probe captures", || site.read("logs/modules_logs/meter_stderr").contains(": af_packet, "));
    site.until("its reader is connected", || site.inventory()["records"]["inputs"][0]["is-conn"] == 1);
    site
}

fn machine_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

fn get(site: &Site, path: &str) -> String {
    said(&site.client(&["ctl", "get", path]))
}

/// The sum of the samples of a metric.
fn metric(site: &Site, name: &str) -> f64 {
    let text = get(site, "/metrics");
    let is_its = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(is_its).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Seconds by which the probe's page is ahead of the machine's clock.
fn page_ahead(site: &Site) -> f64 {
    metric(site, "sonda_probe_updated_time_seconds") - machine_s()
}

/// What the history says of the packets taken: when it begins, by the supervisor's clock, and all of them.
fn history(site: &Site) -> (f64, u64) {
    let told: Value = serde_json::from_str(&get(site, "/v1/history?step=20")).expect("JSON");
    let series = told["series"].as_array().into_iter().flatten().filter(|one| one["counter"] == "packets.taken");
    let values = series.flat_map(|one| one["values"].as_array().into_iter().flatten().filter_map(Value::as_u64));
    let slots = told["slots"].as_u64().unwrap_or(0) * told["step"].as_u64().unwrap_or(0);
    (told["from"].as_f64().unwrap_or(0.0) + slots as f64, values.sum())
}

#[test]
fn whoever_sets_the_clock_ends_no_flow_no_module_and_no_session() {
    xdp::inside("whoever_sets_the_clock_ends_no_flow_no_module_and_no_session", 2, |folder| {
        let (bytes, packets) = sendable([mixture(15_000, 1_500)]);
        let capture = folder.join("mixture.pcap");
        std::fs::write(&capture, bytes).expect("room");
        let site = start();
        let modules = || ["meter", "records"].map(|module| site.pid(module));
        let began = modules();
        let file = site.text("tokens.json");
        let add = ["ctl", "token", "add", "v", "--role", "viewer", "--days", "1", "--file", &file];
        let add = site.tool(&add).output().expect("it runs");
        let token = format!("Authorization: Bearer {}", String::from_utf8_lossy(&add.stdout).trim());
        let port = site.api_port();
        let ask = |method: &str, path: &str, line: &str| {
            Client::connect(&site, port, Ipv4Addr::LOCALHOST).expect("TLS").ask(method, path, &[line.to_owned()])
        };
        let login = ask("POST", "/v1/login", &token);
        let cookie = login.header("set-cookie").and_then(|set| set.split(';').next()).expect("a session");
        let cookie = format!("Cookie: {cookie}");

        xdp::replay(&capture, 5_000).join().expect("all frames are sent");
        site.until("all is taken", || metric(&site, "sonda_taken_packets_total") == packets as f64);
        site.until("flows that said so have ended", || {
            metric(&site, "sonda_output_sent_records_total") == metric(&site, "sonda_flows_ended_total")
        });
        let flows = ["sonda_live_flows", "sonda_flows_ended_total"].map(|name| metric(&site, name));
        assert!(flows[0] > 0.0, "flows of the mixture that did not say that they end");
        site.until("the history knows of packets", || history(&site).1 > 0);
        let mut known = history(&site).1;

        for step in STEPS {
            site.write("next", &format!("{step:+}"));
            std::fs::rename(site.path("next"), site.path("time")).expect("replaced whole");
            let is_near = |ahead: f64| (ahead - step as f64).abs() < NEAR_S;
            site.until("the probe has seen it", || is_near(page_ahead(&site)));
            site.until("the supervisor has seen it", || is_near(history(&site).0 - machine_s()));
            // A whole table is looked through once a second, modules ten times.
            let looks = |name: &str| metric(&site, name);
            let before = looks("sonda_probe_updated_time_seconds");
            site.until("lanes have looked again and again", || {
                looks("sonda_probe_updated_time_seconds") > before + 3.0
            });
            assert_eq!(modules(), began, "{step} s: {}", site.read("logs/modules_events"));
            assert_eq!(
                ["sonda_live_flows", "sonda_flows_ended_total"].map(|name| metric(&site, name)),
                flows,
                "{step} s"
            );
            for line in [&token, &cookie] {
                assert_eq!(ask("GET", "/v1/status", line).status(), 200, "{step} s: {line}");
            }
            let now = history(&site).1;
            assert!(now >= known, "{step} s: of {known} packets the history knows {now}");
            known = now;
        }
        assert_eq!(site.count("modules_events", "[RESTART]"), 0);
        assert_eq!(metric(&site, "sonda_ledger_imbalance"), 0.0);
    });
}
