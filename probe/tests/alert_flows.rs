//! From an alert to the flows that caused it: a probe exports to nfcapd, and what `sonda alerts flows` finds in its files is what nfdump
//! finds there by the filter that Sonda says.
//!
//! Needs the Debian package `nfdump`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use detect::store::{Cause, Retention, Store};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use support::tools::{self, Nfcapd, tool};
use support::{Folder, Run, flows, run, sonda};

const FLOWS: u64 = 3_000;

/// Columns of nfdump that say what a line of ours says.
const COLUMNS: &str = "fmt:%ts %te %pr %sa %sp %da %dp %pkt %byt %flg";

/// Flows of a capture in files of nfcapd, and an alert store beside them.
struct Scene {
    folder: Folder,
    files: Folder,
    flows: Vec<Value>,
}

impl Scene {
    fn new() -> Scene {
        let (folder, files) = (Folder::new(), Folder::new());
        let capture = folder.path("mix.pcap");
        let mut file = std::fs::File::create(&capture).expect("a file");
        benches::write_capture(benches::Profile::Realistic, 20_000, FLOWS, 7, &mut file).expect("written");
        let flows = flows(&capture, &[]);
        let nfcapd = Nfcapd::start(&files.path("."));
        let target = format!("v9://127.0.0.1:{}", nfcapd.port());
        run(["probe", capture.to_str().expect("plain path"), "--netflow", &target, "--fps", "2000"]).must(0);
        nfcapd.ended();
        Store::create(&folder.path("alerts.db"), Retention::default()).expect("a store");
        Scene { folder, files, flows }
    }

    fn raise(&self, alert: &Value) {
        let mut store = Store::open(&self.folder.path("alerts.db")).expect("the store");
        store.add(&alert.to_string()).expect("room");
    }

    /// `sonda alerts flows NUMBER`.
    fn found(&self, args: &[&str]) -> Run {
        let store = self.folder.path("alerts.db");
        let files = self.files.path(".");
        let text = |path: &'_ Path| path.to_str().expect("plain path").to_owned();
        let (store, files) = (text(&store), text(&files));
        let all = [&["alerts", "--store", &store, "flows", "--folder", &files, "--limit", "100000"], args].concat();
        support::outcome(sonda(all).env("TZ", "UTC"))
    }

    fn nfdump(&self, filter: &str) -> Vec<String> {
        let mut command = Command::new("nfdump");
        command.env("TZ", "UTC").args(["-N", "-6", "-q", "-o", COLUMNS, "-R"]).arg(self.files.path(".")).arg(filter);
        let mut lines: Vec<_> =
            tool("nfdump", &mut command).lines().filter(|line| line.starts_with("20")).map(plain).collect();
        lines.sort();
        lines
    }
}

fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A flow of ours as nfdump prints it in [`COLUMNS`].
fn as_nfdump(line: &str) -> String {
    let flow: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    let time = |name: &str| {
        let time: jiff::Timestamp = flow[name].as_str().expect("a time").parse().expect("a time");
        time.strftime("%F %T.%3f").to_string()
    };
    let text = |name: &str| flow[name].as_str().map_or_else(|| flow[name].to_string(), String::from);
    let port = flow["destination_port"].as_u64().expect("a port");
    let is_icmp = flow["protocol"] == 1 || flow["protocol"] == 58;
    let port = if is_icmp { format!("{}.{}", port >> 8, port & 255) } else { port.to_string() };
    plain(&format!(
        "{} {} {} {} {} {} {port} {} {} {}",
        time("first"),
        time("last"),
        text("protocol"),
        text("source"),
        text("source_port"),
        text("destination"),
        text("packets"),
        text("bytes"),
        text("tcp_flags")
    ))
}

/// The address that most flows begin at, of one family.
fn busiest(flows: &[Value], version: u8) -> String {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for flow in flows.iter().filter(|flow| flow["ip_version"] == version) {
        *counts.entry(flow["src_ip"].as_str().expect("an address")).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(ip, count)| (*count, *ip));
    most.expect("flows of the family").0.to_owned()
}

fn edge(flows: &[Value], key: &str, last: bool) -> jiff::Timestamp {
    let times =
        flows.iter().map(|flow| flow[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time"));
    if last { times.max() } else { times.min() }.expect("flows")
}

#[test]
fn what_an_alert_leads_to_is_what_nfdump_finds() {
    if tools::skipped() {
        return;
    }
    let scene = Scene::new();
    let [first, last] = [edge(&scene.flows, "time_first", false), edge(&scene.flows, "time_last", true)];
    let [v4, v6] = [4, 6].map(|version| busiest(&scene.flows, version));
    let sources = [
        json!([{"IP4": [v4], "Proto": ["tcp"]}]),
        json!([{"IP6": [v6]}]),
        json!([{"IP4": [v4], "IP6": [v6]}, {"IP4": ["192.0.2.0-192.0.2.6"]}]),
        json!([{"IP4": [format!("{}/8", v4)]}]),
    ];
    let targets = [json!([{"Port": [53, 443, 80]}]), json!([]), json!([{"Port": [53], "Proto": ["udp", "dns"]}])];
    let mut number = 0;
    for source in &sources {
        for target in &targets {
            number += 1;
            let alert = json!({
                "ID": format!("00000000-0000-4000-8000-{number:012}"), "DetectTime": last.to_string(),
                "EventTime": first.to_string(), "CeaseTime": last.to_string(), "Source": source, "Target": target,
            });
            scene.raise(&alert);
            for answers in [false, true] {
                let filter = Cause::of(&alert, answers).expect("an address").filter;
                let name = number.to_string();
                let mut args = vec![name.as_str(), "--json"];
                args.extend(answers.then_some("--answers"));
                let mut ours: Vec<_> = scene.found(&args).must(0).stdout.lines().map(as_nfdump).collect();
                ours.sort();
                assert_eq!(ours, scene.nfdump(&filter), "{filter}");
                if number == 2 || number == 5 {
                    assert!(!ours.is_empty(), "{filter}: the busiest address has flows");
                }
            }
        }
    }
    // Flows that had begun by some time, for which nfdump has no word; so the records tell. Of a biflow both directions are stored.
    let of_source =
        |flow: &&Value| flow["src_ip"] == v6.as_str() || flow["dst_ip"] == v6.as_str() && flow["packets_rev"] != 0;
    let mut begins: Vec<_> = scene.flows.iter().filter(of_source).map(|flow| millis(flow, "time_first")).collect();
    begins.sort_unstable();
    let early = begins[begins.len() / 3];
    let until = jiff::Timestamp::from_millisecond(early).expect("a time").to_string();
    let found = scene.found(&["5", "--json", "--until", &until]).must(0).stdout.lines().count();
    assert_eq!(found, begins.iter().filter(|begin| **begin <= early).count());
    assert!(found < begins.len(), "{found}: some, not all");
}

fn millis(flow: &Value, name: &str) -> i64 {
    let time: jiff::Timestamp = flow[name].as_str().expect("a time").parse().expect("a time");
    time.as_millisecond()
}

#[test]
fn what_cannot_be_found_is_told() {
    let folder = Folder::new();
    let store = folder.path("alerts.db");
    let mut alerts = Store::create(&store, Retention::default()).expect("a store");
    let id = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    for alert in [
        json!({"ID": id(1), "DetectTime": "2026-11-22T10:00:00Z", "Source": [{"Hostname": ["a.example"]}]}),
        json!({"ID": id(2), "DetectTime": "2026-11-22T10:00:00Z", "Source": [{"IP4": ["192.0.2.1"]}]}),
    ] {
        alerts.add(&alert.to_string()).expect("room");
    }
    let store = store.to_str().expect("plain path");
    let said = |args: &[&str], code| run([&["alerts", "--store", store, "flows"], args].concat()).must(code).stderr;
    let files = folder.path("files");
    let files = files.to_str().expect("plain path");
    assert!(said(&["9", "--folder", files], 3).contains("there is no alert 9"));
    assert!(said(&["1", "--folder", files], 1).contains("alert 1 names no address and no port"));
    let none = said(&["2", "--folder", files], 1);
    assert!(none.contains("there is no such folder") && none.contains("nfcapd -w FOLDER"), "{none}");
    std::fs::create_dir(files).expect("made");
    assert_eq!(said(&["2", "--folder", files], 0), "");
    std::fs::write(format!("{files}/nfcapd.202611221000"), "nonsense").expect("written");
    let broken = said(&["2", "--folder", files], 1);
    assert!(
        broken.contains("nfcapd.202611221000: it is damaged") && broken.contains("1 files could not be read"),
        "{broken}"
    );
}
