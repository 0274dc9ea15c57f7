//! `sonda alerts` on a store: what it lists, shows, follows, changes and exports, and its exit statuses.

mod support;

use detect::store::{Retention, Store};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Folder, Run, outcome, run, sonda};

fn alert(number: u32, category: &str, source: &str) -> Value {
    json!({
        "Format": "IDEA0", "ID": format!("00000000-0000-4000-8000-00000000000{number}"), "CreateTime": "2026-11-22T10:00:05Z",
        "DetectTime": format!("2026-11-22T10:00:0{number}Z"), "EventTime": "2026-11-22T09:50:00Z",
        "Category": [category], "Description": "It knocks, \"loudly\"", "Note": "because it does", "FlowCount": 42,
        "Node": [{"Name": "cz.example.detector", "SW": ["Nemea", "a_detector"]}],
        "Source": [{"IP4": [source], "Proto": ["tcp"]}], "Target": [{"IP4": ["198.51.100.7"], "Port": [22], "Proto": ["tcp", "ssh"]}],
    })
}

fn store(path: &Path) -> Store {
    Store::create(path, Retention::default()).expect("a store")
}

/// `sonda alerts --store DB ARGS`, in UTC.
fn alerts(folder: &Folder, args: &[&str]) -> Command {
    let mut command =
        sonda([&["alerts", "--store", folder.path("alerts.db").to_str().expect("plain path")], args].concat());
    command.env("TZ", "UTC").env("USER", "tester").env_remove("SUDO_USER");
    command
}

fn said(folder: &Folder, args: &[&str]) -> Run {
    outcome(&mut alerts(folder, args))
}

/// Lines as JSON, in their order.
fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A folder with a store of three alerts.
fn three() -> Folder {
    let folder = Folder::new();
    let mut store = store(&folder.path("alerts.db"));
    for (number, category, source) in
        [(1, "Recon.Scanning", "192.0.2.1"), (2, "Attempt.Login", "192.0.2.2"), (3, "Recon.Scanning", "203.0.113.9")]
    {
        store.add(&alert(number, category, source).to_string()).expect("room");
    }
    folder
}

#[test]
fn a_list_in_a_pipe_is_plain_and_whole() {
    let folder = three();
    let list = said(&folder, &["list"]).must(0).stdout;
    let lines: Vec<Vec<&str>> =
        list.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[0], ["ALERT", "DETECTED", "STATE", "CATEGORY", "SOURCE", "TARGET", "DESCRIPTION"]);
    assert_eq!(
        lines[1],
        [
            "3",
            "2026-11-22 10:00:03",
            "new",
            "Recon.Scanning",
            "203.0.113.9",
            "198.51.100.7:22",
            "It knocks, \"loudly\""
        ]
    );
    assert_eq!(lines.len(), 4);
    assert!(!list.contains('\x1b'));
    let numbers = |args: &[&str]| {
        let out = said(&folder, &[&["list", "--json"], args].concat()).must(0).stdout;
        json_lines(&out).iter().map(|line| line["number"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&["--category", "recon", "--oldest"]), [1, 3]);
    assert_eq!(numbers(&["--address", "192.0.2.0/24"]), [2, 1]);
    assert_eq!(numbers(&["--source", "192.0.2.1", "--source", "203.0.113.0-203.0.113.255"]), [3, 1]);
    assert_eq!(numbers(&["--from", "2026-11-22T10:00:02", "--until", "2026-11-22T10:00:03Z"]), [2]);
    assert_eq!(numbers(&["--node", "EXAMPLE", "--limit", "1"]), [3]);
    assert_eq!(numbers(&["--target", "192.0.2.1"]), [0i64; 0]);
    assert_eq!(said(&folder, &["list", "--until", "2000-01-01"]).must(0).stdout, "");
}

#[test]
fn one_alert_is_shown_with_why_and_notes() {
    let folder = three();
    said(&folder, &["note", "2", "our own scanner"]).must(0);
    said(&folder, &["ack", "2", "--by", "someone"]).must(0);
    let text = said(&folder, &["show", "00000000-0000-4000-8000-000000000002"]).must(0).stdout;
    for part in [
        "alert 2  Attempt.Login",
        "why          because it does",
        "target       198.51.100.7 port 22 (tcp, ssh)",
        "by someone",
        "tester: our own scanner",
        "\"FlowCount\": 42",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let shown = json_lines(&said(&folder, &["show", "--json", "1", "#2"]).must(0).stdout);
    assert_eq!((&shown[0]["state"], &shown[1]["state"]), (&json!("new"), &json!("acknowledged")));
    assert_eq!(
        (&shown[1]["notes"][0]["text"], &shown[1]["changed"]["by"]),
        (&json!("our own scanner"), &json!("someone"))
    );
    assert_eq!(shown[1]["alert"], alert(2, "Attempt.Login", "192.0.2.2"));
}

#[test]
fn alerts_are_acknowledged_by_number_and_by_filter() {
    let folder = three();
    let new = || json_lines(&said(&folder, &["list", "--json", "--state", "new"]).must(0).stdout).len();
    assert_eq!(said(&folder, &["ack", "1", "2"]).must(0).stdout, "2 alerts acknowledged\n");
    assert_eq!(new(), 1);
    assert_eq!(said(&folder, &["ack", "-c", "Recon"]).must(0).stdout, "1 alert acknowledged, 1 were so before\n");
    assert_eq!(said(&folder, &["ack", "--undo", "--from", "1970-01-01"]).must(0).stdout, "3 alerts new again\n");
    assert_eq!(new(), 3);
    let status = json_lines(&said(&folder, &["status", "--json"]).must(0).stdout);
    assert_eq!((&status[0]["alerts"], &status[0]["new"], &status[0]["refused"]), (&json!(3), &json!(3), &json!(0)));
}

#[test]
fn exports_are_what_other_programs_read() {
    let folder = three();
    let lines = json_lines(&said(&folder, &["export"]).must(0).stdout);
    assert_eq!(lines[0], alert(1, "Recon.Scanning", "192.0.2.1"));
    assert_eq!(lines.len(), 3);
    let to = folder.path("out.csv");
    said(&folder, &["export", "-f", "csv", "-o", to.to_str().expect("plain"), "-c", "Attempt"]).must(0);
    let csv = std::fs::read_to_string(&to).expect("written");
    let row = "2,00000000-0000-4000-8000-000000000002,2026-11-22T10:00:02.000Z,Attempt.Login,192.0.2.2,,198.51.100.7,22,tcp ssh,\
               \"It knocks, \"\"loudly\"\"\",cz.example.detector,42,,,new,0\r\n";
    assert!(csv.starts_with("number,id,detected,") && csv.ends_with(row), "{csv}");
    let bundle: Value =
        serde_json::from_str(&said(&folder, &["export", "--format", "stix"]).must(0).stdout).expect("JSON");
    let objects = bundle["objects"].as_array().expect("objects");
    let of = |kind: &str| objects.iter().filter(|object| object["type"] == kind).count();
    // The node and the target are shared by all three.
    assert_eq!(
        [of("identity"), of("ipv4-addr"), of("indicator"), of("sighting"), of("observed-data")],
        [1, 4, 3, 3, 3]
    );
    let ids: Vec<&str> = objects.iter().filter_map(|object| object["id"].as_str()).collect();
    for object in objects {
        for (key, value) in object.as_object().expect("an object") {
            let named = if key.ends_with("_ref") {
                vec![value]
            } else if key.ends_with("_refs") {
                value.as_array().expect("a list").iter().collect()
            } else {
                vec![]
            };
            assert!(named.iter().all(|id| ids.contains(&id.as_str().expect("an id"))), "{key} of {object}");
        }
    }
}

#[test]
fn new_alerts_are_followed_until_it_is_interrupted() {
    let folder = three();
    let mut command = alerts(&folder, &["follow", "--json", "--last", "1", "--category", "Recon"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || {
        serde_json::from_str::<Value>(&lines.next().expect("a line").expect("text")).expect("JSON")["number"].clone()
    };
    assert_eq!(next(), 3);
    let mut store = store(&folder.path("alerts.db"));
    for (number, category) in [(4, "Attempt.Login"), (5, "Recon.Scanning")] {
        store.add(&alert(number, category, "192.0.2.1").to_string()).expect("room");
    }
    assert_eq!(next(), 5);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    assert_eq!(child.wait().expect("our child").code(), Some(0));
}

#[test]
fn statuses_and_messages_say_what_is_wrong() {
    let folder = Folder::new();
    said(&folder, &["list"]).must(1).says(&["there is no alert store", "--store PATH"]);
    let folder = three();
    said(&folder, &["show", "99"]).must(3).says(&["there is no alert 99"]);
    said(&folder, &["ack", "1", "99"]).must(3);
    said(&folder, &["note", "99", "x"]).must(3);
    said(&folder, &["ack"]).must(2).says(&["conditions such as --category"]);
    said(&folder, &["note", "1", " "]).must(2);
    said(&folder, &["ack", "1", "--category", "Recon"]).must(2);
    said(&folder, &["list", "--address", "host"]).must(2).says(&["give an address, a network"]);
    said(&folder, &["list", "--from", "soon"]).must(2).says(&["how long ago"]);
    said(&folder, &["list", "--limit", "0"]).must(2);
    said(&folder, &[]).must(2);
    said(&folder, &["export", "-o", "/nonexist/x"]).must(1).says(&["cannot write /nonexist/x"]);
    folder.write("text", "no store\n".repeat(200));
    let other = folder.path("text");
    outcome(&mut sonda(["alerts", "--store", other.to_str().expect("plain"), "list"]))
        .must(1)
        .says(&["is no alert store of Sonda"]);
    assert!(outcome(&mut sonda(["alerts", "-h"])).must(0).stdout.contains("sonda alerts export"));
    assert!(outcome(&mut sonda(["completions", "bash"])).must(0).stdout.contains("sonda__subcmd__alerts"));
}

#[test]
fn an_alert_travels_from_a_detector_s_record_through_a_reporter_to_the_list() {
    let folder = Folder::new();
    let text = |name: &str| folder.path(name).to_str().expect("plain path").to_owned();
    let fields = "ipaddr DST_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint64 EVENT_ID";
    let rows = "192.0.2.7,5000000,2026-11-22T10:00:00.0,2026-11-22T10:05:00.0,7\n192.0.2.8,1,2026-11-22T10:00:00.0,2026-11-22T10:06:00.0,8\n";
    folder.write("records.csv", format!("{fields}\n{rows}"));
    let records = format!("f:{}", text("records.trapcap"));
    run(["logreplay", "-i", &records, "-f", &text("records.csv")]).must(0);
    folder.write(
        "config.yaml",
        format!(
            "namespace: com.example\ncustom_actions:\n  - id: keep\n    store:\n      path: {}\n      days: 30\n      alerts: 1000\n\
             rules:\n  - id: 1\n    condition: ByteCount > 1000\n    actions: [keep]\n",
            text("alerts.db")
        ),
    );
    run(["ddos_detector2idea", "-D", "-i", &records, "-c", &text("config.yaml")]).must(0);
    let listed = json_lines(
        &said(&folder, &["list", "--json", "--target", "192.0.2.0/28", "-c", "Availability"]).must(0).stdout,
    );
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["number"], &listed[0]["state"]), (&json!(1), &json!("new")));
    assert_eq!(listed[0]["alert"]["ByteCount"], 5_000_000);
    assert_eq!(listed[0]["alert"]["Node"][0]["Name"], "com.example.ddos_detector");
    assert_eq!(listed[0]["alert"]["DetectTime"], "2026-11-22T10:05:00Z");
    assert_eq!(json_lines(&said(&folder, &["export"]).must(0).stdout)[0], listed[0]["alert"]);
}
