//! What the control API shows of other programs: alerts, blacklists, books, records as they leave a probe; and rules of a probe.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
mod support;

use detect::store::{Retention, Store};
use serde_json::{Value, json};
use site::{Site, said};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use support::mixture;

const TOML: &str = r#"
[api]
alerts = "@/alerts.db"
flows = "@/flows"
[[profile]]
name = "P"
[[module]]
name = "probe"
profile = "P"
path = "@/sonda"
params = "probe '@/mixture.pcap' --unirec u:flows:timeout=WAIT"
restarts = 0
[[module]]
name = "ruled"
profile = "P"
path = "@/ruled"
params = "--prefilter @@/rules"
[[module]]
name = "worded"
profile = "P"
enabled = false
path = "/bin/true"
params = "--prefilter 'drop port 22'"
[[module]]
name = "lists"
profile = "P"
enabled = false
path = "@/bl_downloader"
params = "-c '@/catalog.xml'"
"#;

/// Stands for a probe with the privileges for XDP: it says what `sonda probe` says (probe/src/prefilter.rs), and refuses to offload.
const RULED: &str = r#"#!/bin/sh
trap 'if grep -q offload "@/rules"; then echo "no offload; the rules stay as they were" >&2
      else echo "rules of @/rules are in force" >&2; fi' HUP
echo ready >&2
while :; do sleep 0.1; done
"#;

const CATALOG: &str = r#"<configuration>
<struct name="general"><element name="download_interval">10</element></struct>
<struct name="detector_files"><element name="IP4">@/ip4.blist</element><element name="URL">@/none.blist</element></struct>
<struct name="blacklist_array"><array type="IP"><struct><element name="id">3</element><element name="name">Bad ones</element>
<element name="category">Intrusion.Botnet</element></struct></array></struct></configuration>"#;

fn alert(id: &str, category: &str, source: &str) -> String {
    json!({"Format": "IDEA0", "ID": id, "DetectTime": "2026-11-22T10:00:00Z", "Category": [category],
        "Source": [{"IP4": [source]}], "Node": [{"Name": "cz.example.sonda"}]})
    .to_string()
}

fn started() -> Site {
    let mut site = Site::native(TOML);
    // `Site::write` would take the sign of a file of rules for the folder, so it is written as it is.
    let toml =
        TOML.replace("@@", "\u{1}").replace('@', &site.text("")).replace('\u{1}', &format!("@{}", site.text("")));
    fs::write(site.path("s.toml"), toml).expect("ours");
    for name in ["sonda", "bl_downloader"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sonda"), site.path(name)).expect("linked");
    }
    fs::write(site.path("mixture.pcap"), mixture(4_000, 300)).expect("ours");
    site.write("ruled", RULED);
    fs::set_permissions(site.path("ruled"), fs::Permissions::from_mode(0o755)).expect("ours");
    site.write("rules", "keep other\n");
    site.write("catalog.xml", CATALOG);
    site.write("ip4.blist", "192.0.2.1,4\n192.0.2.9,4\n");
    let mut store = Store::create(&site.path("alerts.db"), Retention::default()).expect("a store");
    for (id, category, source) in [
        ("a-1", "Recon.Scanning", "192.0.2.1"),
        ("a-2", "Attempt.Login", "198.51.100.7"),
        ("a-3", "Recon.Searching", "198.51.100.8"),
    ] {
        store.add(&alert(id, category, source)).expect("room");
    }
    site.start();
    site
}

/// A request at the unix socket; its status and its answer.
fn ask(site: &Site, method: &str, path: &str, body: &str) -> (u16, Value) {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    say(
        site,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn say(site: &Site, request: &str) -> (u16, Value) {
    let mut api = UnixStream::connect(site.path("run/s-api.sock")).expect("it listens");
    api.set_read_timeout(Some(site::PATIENCE)).expect("not zero");
    api.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    api.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn get(site: &Site, path: &str) -> Value {
    let (status, answer) = ask(site, "GET", path, "");
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[test]
fn alerts_are_found_seen_and_noted() {
    let site = started();
    let ids = |query: &str| -> Vec<String> {
        let answer = get(&site, &format!("/v1/alerts?order=stored&{query}"));
        let alerts = answer["alerts"].as_array().expect("a list").clone();
        alerts.iter().map(|alert| alert["id"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(ids(""), ["a-1", "a-2", "a-3"]);
    assert_eq!(ids("category=Recon"), ["a-1", "a-3"]);
    assert_eq!(ids("category=Recon.Scanning,Attempt"), ["a-1", "a-2"]);
    assert_eq!(ids("address=198.51.100.0/24&state=new"), ["a-2", "a-3"]);
    assert_eq!(ids("target=192.0.2.1"), Vec::<String>::new());
    assert_eq!(ids("node=EXAMPLE&limit=1&after=1"), ["a-2"]);
    assert_eq!(ids("until=2026-11-22T10:00:00Z"), Vec::<String>::new());
    assert_eq!(ids("from=2026-11-22T10:00:00Z").len(), 3);
    for wrong in ["limit=0", "limit=1001", "state=old", "address=x", "from=soon", "order=up", "limit=x", "colour=red"] {
        let (status, answer) = ask(&site, "GET", &format!("/v1/alerts?{wrong}"), "");
        assert!(status == 400 && answer["error"].is_string(), "{wrong}: {status} {answer}");
    }
    assert_eq!(get(&site, "/v1/alerts/a-2")["alert"]["document"]["Category"][0], "Attempt.Login");
    assert_eq!(ask(&site, "GET", "/v1/alerts/b", "").0, 404);

    let flows = get(&site, "/v1/alerts/a-2/flows");
    assert!(flows["stored"] == false && flows["folder"].as_str().is_some_and(|f| f.ends_with("/flows")), "{flows}");
    std::fs::create_dir(site.path("flows")).expect("made");
    std::fs::write(site.path("flows/nfcapd.1"), "nonsense").expect("written");
    let flows = get(&site, "/v1/alerts/a-2/flows?answers=true&from=2026-11-22");
    assert!(flows["stored"] == true && flows["complete"] == true && flows["faulty"] == 1, "{flows}");
    assert!(
        flows["from"] == "2026-11-22T00:00:00Z" && flows["filter"].as_str().is_some_and(|f| f.contains(" or ")),
        "{flows}"
    );
    for wrong in ["limit=0", "limit=1001", "from=soon", "answers=2", "colour=red"] {
        assert_eq!(ask(&site, "GET", &format!("/v1/alerts/a-2/flows?{wrong}"), "").0, 400, "{wrong}");
    }
    assert_eq!(ask(&site, "GET", "/v1/alerts/b/flows", "").0, 404);

    assert_eq!(ask(&site, "POST", "/v1/alerts/2/acknowledge", "").0, 200);
    assert_eq!(ids("state=acknowledged"), ["a-2"]);
    assert_eq!(get(&site, "/v1/alerts/counts")["unread"], 2);
    assert_eq!(ask(&site, "POST", "/v1/alerts/2/notes", r#"{"text": "our own scanner"}"#).0, 200);
    let noted = get(&site, "/v1/alerts/2");
    assert!(noted["notes"][0]["text"] == "our own scanner" && noted["alert"]["state"] == "acknowledged", "{noted}");
    assert_eq!(noted["notes"][0]["by"], noted["alert"]["changed_by"]);
    assert_eq!(ask(&site, "POST", "/v1/alerts/2/reopen", "").0, 200);
    assert_eq!(ids("state=acknowledged"), Vec::<String>::new());
    // What `sonda alerts` shows is the same.
    let shown = site.tool(&["alerts", "--store", &site.text("alerts.db"), "show", "2"]).output().expect("it runs");
    assert!(said(&shown).contains("our own scanner"), "{}", said(&shown));
    for (body, status) in [(r#"{"text": " "}"#, 400), ("{", 400), (r#"{"txt": "x"}"#, 400), ("", 415)] {
        assert_eq!(ask(&site, "POST", "/v1/alerts/2/notes", body).0, status, "{body}");
    }
    let huge = "Host: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n";
    assert_eq!(say(&site, &format!("POST /v1/alerts/2/notes HTTP/1.1\r\n{huge}")).0, 413);
    assert_eq!(ask(&site, "POST", "/v1/alerts/2/notes", &"[".repeat(1 << 19)).0, 400, "depth");
}

#[test]
fn lists_and_books_are_told() {
    let site = started();
    let lists = get(&site, "/v1/blacklists");
    assert_eq!(lists.as_array().map(Vec::len), Some(1), "{lists}");
    let of = &lists[0];
    assert!(of["module"] == "lists" && of["running"] == false && of["error"].is_null(), "{of}");
    assert_eq!(of["lists"][0]["name"], "Bad ones");
    assert!(of["files"][0]["entries"] == 2 && of["files"][0]["age_s"].is_u64(), "{of}");
    assert!(of["files"][1]["exists"] == false && of["files"][1]["entries"].is_null(), "{of}");
    fs::remove_file(site.path("catalog.xml")).expect("ours");
    assert!(get(&site, "/v1/blacklists")[0]["error"].is_string());
    site.until("the books of processes balance", || {
        let ledgers = get(&site, "/v1/ledgers");
        let own = ledgers.as_array().and_then(|all| all.iter().find(|one| one["of"] == "supervisor")).expect("its own");
        own["ledger"] == "processes" && own["came"]["started"].as_u64() >= Some(2) && own["imbalance"] == 0
    });
}

#[test]
fn records_of_a_probe_are_followed() {
    let site = started();
    for wrong in ["interface=f:/etc/passwd", "interface=t:example.org:1", "interface=u:../x", "filter=x"] {
        assert_eq!(ask(&site, "GET", &format!("/v1/flows?{wrong}"), "").0, 400, "{wrong}");
    }
    let follow = |query: &str| {
        let mut api = UnixStream::connect(site.path("run/s-api.sock")).expect("it listens");
        api.set_read_timeout(Some(site::PATIENCE)).expect("not zero");
        api.write_all(format!("GET /v1/flows?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
        BufReader::new(api).lines().map(|line| line.expect("in time"))
    };
    // The probe waits for somebody to read, so nothing is missed.
    let mut events = follow("interface=u:flows&filter=proto%20tcp");
    assert!(events.any(|line| line == "event: flow"), "a flow comes");
    let data = events.next().expect("its data");
    let flow: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
    assert!(flow["PROTOCOL"] == 6 && flow["SRC_IP"].is_string(), "{flow}");
    let mut events = follow("interface=u:flows&filter=bytes%20of%20bread");
    assert!(events.any(|line| line == "event: error"), "why there are none");
    assert!(events.next().is_some_and(|line| line.contains("bread")));
}

#[test]
fn rules_of_a_probe_change_while_it_runs() {
    let site = started();
    let path = "/v1/modules/ruled/prefilter";
    site.until("it is ready", || site.read("logs/modules_logs/ruled_stderr").contains("ready"));
    assert_eq!(get(&site, path)["rules"], "keep other\n");
    let rules = |text: &str| json!({ "rules": text }).to_string();
    let (status, answer) = ask(&site, "POST", path, &rules("drop port 22\nsample 10 flow\n"));
    assert!(status == 200 && answer["text"].as_str().is_some_and(|text| text.contains("are in force")), "{answer}");
    assert_eq!(site.read("rules"), "drop port 22\nsample 10 flow\n");
    let (status, answer) = ask(&site, "POST", path, &rules("drop port 22\ndrop prot 7\n"));
    assert!(status == 400 && answer["error"].as_str().is_some_and(|why| why.starts_with("line 2: ")), "{answer}");
    let (status, answer) = ask(&site, "POST", path, &rules("offload\n"));
    assert!(status == 409 && answer["error"].as_str().is_some_and(|why| why.contains("no offload")), "{answer}");
    assert_eq!(get(&site, path)["rules"], "drop port 22\nsample 10 flow\n", "as it was");
    let words = "/v1/modules/worded/prefilter";
    assert_eq!(get(&site, words)["rules"], "drop port 22");
    assert_eq!(ask(&site, "POST", words, &rules("keep other")).0, 409);
    assert_eq!(ask(&site, "GET", "/v1/modules/lists/prefilter", "").0, 404);
}
