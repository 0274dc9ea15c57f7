//! The control API of a supervisor with real modules: `sonda ctl`, roles by who connects, events, logs, the audit log.
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;

use serde_json::Value;
use site::{CHAIN, Site, kill, said};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

/// Users and groups that no one is.
const STRANGER: &str = "65533";

/// `sonda ctl WORDS`, which must succeed.
#[track_caller]
fn ctl(site: &Site, words: &[&str]) -> String {
    let run = asked(site, words);
    assert!(run.status.success(), "{words:?}: {}", said(&run));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

fn asked(site: &Site, words: &[&str]) -> Output {
    site.client(&[&["ctl"], words].concat())
}

fn json(site: &Site, path: &str) -> Value {
    serde_json::from_str(&ctl(site, &["get", path])).expect("JSON")
}

fn module(site: &Site, name: &str) -> Value {
    json(site, &format!("/v1/modules/{name}"))
}

#[test]
fn an_operator_does_it_all_from_the_shell() {
    let mut site = Site::native(CHAIN);
    site.start();
    let rep = site.runs("rep", None);
    site.runs("lg1", None);
    // Counters come with the next look at the modules.
    site.until("rep answers", || module(&site, "rep")["answers"] == true);
    let table = ctl(&site, &["status"]);
    assert!(table.contains("2 of 2 modules run") && table.contains("s.toml"), "{table}");
    let row = table.lines().find(|line| line.starts_with("rep ")).expect("a row");
    assert_eq!(row.split_whitespace().take(4).collect::<Vec<_>>(), ["rep", "P", "running", &rep.to_string()]);
    assert_eq!(module(&site, "rep")["inputs"][0]["id"], "supx_a");
    assert_eq!(json(&site, "/v1/health")["healthy"], true);

    assert_eq!(ctl(&site, &["restart", "rep"]), "");
    let rep = site.runs("rep", Some(rep));
    ctl(&site, &["disable", "rep"]);
    site.until("rep ends", || module(&site, "rep")["running"] == false);
    assert!(ctl(&site, &["status"]).lines().any(|line| line.starts_with("rep ") && line.contains(" disabled ")));
    let run = asked(&site, &["restart", "rep"]);
    assert!(run.status.code() == Some(1) && said(&run).contains("does not run; enable it"), "{}", said(&run));
    ctl(&site, &["enable", "rep"]);
    site.runs("rep", Some(rep));
    let run = asked(&site, &["disable", "P"]);
    assert!(
        run.status.code() == Some(1) && said(&run).contains("there is no module 'P'; there are rep, lg1"),
        "{}",
        said(&run)
    );
    ctl(&site, &["disable", "--profile", "P"]);
    site.until("both end", || json(&site, "/v1/status")["running"] == 0);
    assert_eq!(json(&site, "/v1/profiles")[0]["enabled"], false);
    ctl(&site, &["enable", "--profile", "P"]);
    site.runs("rep", None);

    assert!(ctl(&site, &["log", "rep", "--stdout"]).contains("executed command: "));
    assert!(ctl(&site, &["log", "modules_events", "--bytes", "1000000"]).contains("[START] Starting module rep."));
    assert!(!asked(&site, &["log", "../supervisor_log"]).status.success());
    let plan: Value = serde_json::from_str(&ctl(&site, &["plan", "--json"])).expect("JSON");
    assert_eq!(json(&site, "/v1/configuration/plan"), plan);

    // The books of processes: I16.
    let status = json(&site, "/v1/status");
    let books = |key: &str| status["processes"][key].as_u64().expect("a number");
    assert_eq!(
        books("started") + books("adopted"),
        status["running"].as_u64().expect("a number") + books("ended") + books("killed") + books("gone")
    );
    let metrics = ctl(&site, &["get", "/metrics"]);
    assert!(metrics.contains("sonda_supervised_running{module=\"lg1\",profile=\"P\"}"), "{metrics}");
    assert!(metrics.contains("sonda_module_output_clients{module=\"rep\""), "{metrics}");

    ctl(&site, &["stop"]);
    site.until("the supervisor ends", || asked(&site, &["status"]).status.code() == Some(1));
    assert!(!site.path("run/s-api.sock").exists());
    let audit = site.read("logs/control_audit");
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let done =
        |what: &str| lines.iter().any(|line| line["what"] == what && line["status"] == 200 && line["role"] == "admin");
    assert!(done("POST /v1/modules/rep/restart") && done("POST /v1/supervisor/stop"), "{audit}");
    assert_eq!(fs::metadata(site.path("logs/control_audit")).expect("it is there").permissions().mode() & 0o777, 0o600);
}

/// `sonda ctl WORDS` as another user, of the groups.
fn asked_as(site: &Site, gid: &str, words: &[&str]) -> Output {
    let socket = site.text("run/s.sock");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", STRANGER, "--regid", gid, "--clear-groups", env!("CARGO_BIN_EXE_sonda"), "ctl"]);
    command.args(words).args(["-s", &socket]).stdin(Stdio::null()).output().expect("setpriv is installed")
}

#[test]
fn the_kernel_says_who_may_what() {
    let mut site = Site::native(CHAIN);
    site.start();
    site.runs("rep", None);
    // Strangers come as far as the socket only if somebody opens the way.
    let api = site.path("run/s-api.sock");
    assert_eq!(fs::metadata(&api).expect("it is there").permissions().mode() & 0o777, 0o660);
    for folder in ["", "run"] {
        fs::set_permissions(site.path(folder), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let run = asked_as(&site, STRANGER, &["status"]);
    assert!(run.status.code() == Some(1) && said(&run).contains("Permission denied"), "{}", said(&run));
    fs::set_permissions(&api, fs::Permissions::from_mode(0o666)).expect("ours");

    let run = asked_as(&site, STRANGER, &["status"]);
    assert!(run.status.success() && said(&run).contains("rep"), "{}", said(&run));
    for refused in [&["restart", "rep"][..], &["log", "rep"], &["stop"]] {
        let run = asked_as(&site, STRANGER, refused);
        assert!(run.status.code() == Some(1) && said(&run).contains("you are viewer"), "{refused:?}: {}", said(&run));
    }
    // The socket's group is root's here.
    let run = asked_as(&site, "0", &["restart", "rep"]);
    assert!(run.status.success(), "{}", said(&run));
    let run = asked_as(&site, "0", &["stop"]);
    assert!(
        run.status.code() == Some(1) && said(&run).contains("needs the role admin, and you are operator"),
        "{}",
        said(&run)
    );
    assert!(site.read("logs/control_audit").contains("\"uid\":65533"));
}

#[test]
fn a_watcher_sees_a_module_die_and_come_back() {
    let mut site = Site::native(CHAIN);
    site.start();
    let rep = site.runs("rep", None);
    let mut watcher = site.tool(&["ctl", "events", "-s", &site.text("run/s.sock")]);
    let mut watcher = watcher.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(watcher.stdout.take().expect("piped")).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"));
    let mut next = |pid: Option<u32>, known: &[Option<u32>]| {
        events.find(|event| {
            let data = &event["data"];
            let now = data["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            data["name"] == "rep" && if known.is_empty() { now == pid } else { !known.contains(&now) }
        })
    };
    assert!(next(Some(rep), &[]).is_some());
    kill(rep, "KILL");
    assert!(next(None, &[]).is_some(), "it is told that it is down");
    assert!(next(None, &[None, Some(rep)]).is_some(), "and that it runs again");
    // It may have ended.
    let _gone = watcher.kill().and_then(|()| watcher.wait());
}

/// Peers that do not behave cost nobody else anything (RELIABILITY.md rows 10 and 36).
#[test]
fn silent_and_hostile_peers_are_bounded() {
    let mut site = Site::native(CHAIN);
    site.start();
    site.runs("rep", None);
    let connect = || UnixStream::connect(site.path("run/s-api.sock")).expect("it listens");
    let silent: Vec<UnixStream> = (0..60).map(|_| connect()).collect();
    assert!(ctl(&site, &["status"]).contains("rep"));
    drop(silent);
    let hostile: [&[u8]; 5] = [
        b"\x00\xff\xfe garbage\r\n\r\n",
        b"GET /v1/modules/..%2f..%2fetc%2fpasswd/log HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/logs/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v1/configuration/apply HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/modules/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ];
    for request in hostile {
        let mut stream = connect();
        stream.set_read_timeout(Some(site::PATIENCE)).expect("not zero");
        // It may have been closed already.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("root:") && !answer.starts_with("HTTP/1.1 5"), "{answer}");
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let mut stream = connect();
    let _ = stream.write_all(long.as_bytes());
    drop(stream);
    assert!(ctl(&site, &["status"]).contains("rep"));
}
