//! One alert reaches everybody: packets -> probe -> detector -> reporter, processes over TRAP's unix sockets, to a mailbox, Warden's filer, the
//! system's log, a webhook, MongoDB's file and the store at once; and ends that are down lose none.
#[allow(dead_code, reason = "each suite uses its part")]
#[path = "../../detect/tests/mail_server/mod.rs"]
mod mail_server;
mod support;
#[allow(dead_code, reason = "each suite uses its part")]
#[path = "../../detect/tests/web_server/mod.rs"]
mod web_server;

use benches::attacks::{Attack, write_attacks};
use mail_server::{Behaviour, MailServer};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Child;
use support::tools::terminate;
use support::{Folder, PATIENCE, json_lines, outcome, run, sonda, wait_for};
use web_server::{Answer, WebServer};

/// Who attacks.
const CULPRIT: &str = "192.0.2.13";

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(folder: &Folder, args: &[&str]) -> Process {
        Process(sonda(args).env("TRAP_SOCKET_DIR", folder.text("sockets")).spawn().expect("the binary runs"))
    }

    /// As [`Process::ends_well`], after SIGTERM: the detector does not pass on the end of the stream, as the original.
    #[track_caller]
    fn ends_well_when_told(self) {
        terminate(self.0.id());
        self.ends_well();
    }

    #[track_caller]
    fn ends_well(mut self) {
        let mut status = None;
        wait_for("the end of a process", || {
            status = self.0.try_wait().expect("our child");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// An address that refuses who connects: its port is held elsewhere, so that nobody else gets it.
struct Closed(TcpListener);

impl Closed {
    /// What connects goes here.
    const HOST: &str = "127.0.0.2";

    fn new() -> Closed {
        Closed(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("its address").port()
    }

    fn open(&self) -> TcpListener {
        TcpListener::bind((Closed::HOST, self.port())).expect("a port that is held")
    }
}

fn fine(_: &web_server::Asked) -> Answer {
    (200, Vec::new(), String::new())
}

/// A capture of one attack, among others' traffic.
fn capture(folder: &Folder, name: &str, seed: u64) -> String {
    let attack: Attack = "sip_guessing".parse().expect("an attack");
    assert_eq!(attack.culprit.to_string(), CULPRIT);
    let mut bytes = Vec::new();
    write_attacks(&[attack], 200, seed, &mut bytes).expect("a Vec takes every write");
    folder.write(name, bytes);
    folder.text(name)
}

/// What the reporter is to do with each alert.
fn everybody(folder: &Folder, host: &str, mail: u16, web: u16) -> Value {
    fs::create_dir(folder.path("sockets")).expect("a new folder");
    folder.write("warden.cfg", json!({"filer": folder.text("filer")}).to_string());
    json!({
        "namespace": "org.example.probe",
        "spool": {"path": folder.text("spool"), "retry": 1},
        "smtp_connections": [{"id": "local", "server": host, "port": mail}],
        "custom_actions": [
            {"id": "mail", "email": {"to": "soc@example.org", "subject": "{{ category }} {{ src_ip }} {{ idea.ID }}", "smtp_connection": "local"}},
            {"id": "warden", "warden": {}},
            {"id": "log", "syslog": {"socket": folder.text("log"), "priority": "LOG_WARNING"}},
            {"id": "dashboard", "mongo": {"file": folder.text("mongo.json")}},
            {"id": "keep", "store": {"path": folder.text("store/alerts.db")}},
            {"id": "hook", "webhook": {"url": format!("http://{host}:{web}/alerts")}},
        ],
        "rules": [{"id": 1, "condition": "Category == 'Attempt.Login'", "actions": ["mail", "warden", "log", "dashboard", "keep", "hook"]}],
    })
}

/// Detector and reporter, each a process, from the socket `flows` on.
fn chain(folder: &Folder, config: &Value) -> [Process; 2] {
    folder.write("reporter.yaml", config.to_string());
    let (config, warden) = (folder.text("reporter.yaml"), folder.text("warden.cfg"));
    // -D: the attack is one of 2020.
    let reporter = ["sipbf2idea", "-i", "u:alerts", "-c", &config, "-W", &warden, "-D"];
    let detector = ["sip_bf_detector", "-i", "u:flows,u:alerts:timeout=WAIT:buffer=off"];
    [Process::start(folder, &reporter), Process::start(folder, &detector)]
}

/// Reads a capture into the socket `flows`.
fn probe(folder: &Folder, capture: &str) {
    let input = format!("pcap;file={capture}");
    let output = "unirec;ifc=u:flows:timeout=WAIT:buffer=off;id=0;eof";
    let mut probe = sonda(["ipfixprobe", "-i", &input, "-s", "cache;split;size=12", "-p", "sip", "-o", output]);
    outcome(probe.env("TRAP_SOCKET_DIR", folder.text("sockets"))).must(0);
}

/// IDs of the alerts that `sonda alerts` lists about the attacker.
fn stored(folder: &Folder) -> Vec<String> {
    let path = folder.text("store/alerts.db");
    let list = run(["alerts", "--store", &path, "list", "--json", "--address", CULPRIT, "--category", "Attempt.Login"]);
    json_lines(&list.must(0).stdout).iter().map(|line| text(&line["alert"], "ID")).collect()
}

fn text(message: &Value, key: &str) -> String {
    message[key].as_str().unwrap_or_else(|| panic!("no {key} in {message}")).to_owned()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let listed = fs::read_dir(folder).map(|entries| entries.map(|entry| entry.expect("readable").path()));
    listed.map_or_else(|_| Vec::new(), Iterator::collect)
}

#[test]
fn one_alert_goes_from_packets_to_all_far_ends() {
    let folder = Folder::new();
    let (mail, web) = (MailServer::start(Behaviour::default()), WebServer::start(fine));
    let log = UnixDatagram::bind(folder.path("log")).expect("a free path");
    log.set_read_timeout(Some(PATIENCE)).expect("a socket");
    fs::create_dir(folder.path("store")).expect("a new folder");
    let [reporter, detector] = chain(&folder, &everybody(&folder, "127.0.0.1", mail.port, web.port));
    probe(&folder, &capture(&folder, "attack.pcap", 1));
    detector.ends_well();
    wait_for("the last of the actions", || !web.asked().is_empty());
    reporter.ends_well_when_told();

    let ids = stored(&folder);
    let [id] = ids.as_slice() else { panic!("one alert, not {ids:?}") };
    let list = run(["alerts", "--store", &folder.text("store/alerts.db"), "list"]).must(0).stdout;
    assert!(list.contains("Attempt.Login") && list.contains(CULPRIT), "{list}");
    let mails = mail.mails();
    assert_eq!((mails.len(), mails[0].to.as_slice()), (1, &["<soc@example.org>".to_owned()][..]));
    assert!(mails[0].text.contains(&format!("Subject: Attempt.Login {CULPRIT} {id}\r\n")), "{}", mails[0].text);
    // The others got the same message.
    let asked = web.asked();
    assert_eq!((asked.len(), asked[0].method.as_str(), asked[0].path.as_str()), (1, "POST", "/alerts"));
    let message: Value = serde_json::from_str(&asked[0].body).expect("JSON");
    assert_eq!(message["Source"][0]["IP4"], json!([CULPRIT]));
    assert_eq!(
        (text(&message, "ID"), &message["Node"][0]["Name"]),
        (id.clone(), &json!("org.example.probe.sipbruteforce"))
    );
    let filed = files(&folder.path("filer/incoming"));
    assert_eq!((filed.len(), json_of(&filed[0])), (1, message.clone()));
    let mut line = [0; 65_536];
    let count = log.recv(&mut line).expect("a line of the log");
    let line = String::from_utf8_lossy(&line[..count]).into_owned();
    assert!(line.starts_with("<28>"), "daemon and warning: {line}");
    assert_eq!(serde_json::from_str::<Value>(&line[line.find('{').expect("JSON")..]).expect("JSON"), message);
    let document = json_of(&folder.path("mongo.json"));
    assert_eq!((&document["ID"], document["DetectTime"].is_object()), (&message["ID"], true));
    assert_eq!(files(&folder.path("spool/sipbruteforce")).iter().map(|folder| files(folder).len()).sum::<usize>(), 0);
}

#[test]
fn ends_that_are_down_lose_no_alert() {
    let folder = Folder::new();
    let (mail, web) = (Closed::new(), Closed::new());
    let config = everybody(&folder, Closed::HOST, mail.port(), web.port());
    // Neither the mailbox, nor the hook, nor the log, nor the folder of the store is there.
    let [mut reporter, detector] = chain(&folder, &config);
    probe(&folder, &capture(&folder, "first.pcap", 1));
    detector.ends_well();
    let waiting = |end: &str| files(&folder.path(&format!("spool/sipbruteforce/{end}"))).len();
    let down = ["mail", "hook", "log", "keep"];
    wait_for("an alert that waits for each end", || down.iter().all(|end| waiting(end) == 1));
    // A crash takes nothing with it.
    reporter.0.kill().expect("our child");
    drop(reporter);
    assert_eq!(files(&folder.path("filer/incoming")).len(), 1, "who is up has it");

    let log = UnixDatagram::bind(folder.path("log")).expect("a free path");
    fs::create_dir(folder.path("store")).expect("a new folder");
    let mailbox = MailServer::on(mail.open(), Behaviour::default());
    let hook = WebServer::on(web.open(), None, fine);
    let [reporter, detector] = chain(&folder, &config);
    probe(&folder, &capture(&folder, "second.pcap", 2));
    detector.ends_well();
    wait_for("both alerts", || hook.asked().len() == 2 && down.map(waiting) == [0; 4]);
    reporter.ends_well_when_told();
    let mut ids = stored(&folder);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "the alert that waited and a new one");
    log.set_nonblocking(true).expect("a socket");
    let mut line = [0; 65_536];
    let lines = std::iter::from_fn(|| log.recv(&mut line).ok()).count();
    let hooked = hook.asked().into_iter().map(|asked| text(&serde_json::from_str(&asked.body).expect("JSON"), "ID"));
    let mut hooked: Vec<_> = hooked.collect();
    hooked.sort();
    assert_eq!((mailbox.mails().len(), lines, hooked), (2, 2, ids));
    assert_eq!(files(&folder.path("filer/incoming")).len(), 2);
}
