//! Actions of reporters against far ends of the test's own: mail, system log, Warden's filer, webhook, files, and what waits for them.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;
#[allow(dead_code, reason = "each suite uses its part")]
mod mail_server;
#[allow(dead_code, reason = "each suite uses its part")]
mod web_server;

use common::{Folder, PATIENCE, module};
use mail_server::{Behaviour, MailServer};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use web_server::WebServer;

fn alert(n: u32) -> Value {
    json!({
        "Format": "IDEA0", "ID": format!("id-{n}"), "DetectTime": "2023-01-02T10:15:00Z", "Category": ["Recon.Scanning"],
        "Description": "Scan", "FlowCount": n, "Source": [{"IP4": ["192.0.2.1"]}],
    })
}

#[test]
fn mails() {
    let folder = Folder::new();
    let server = MailServer::start(Behaviour::default());
    let template =
        folder.write("body", "Hello\n{% for s in idea.Source %}{{ s.IP4[0] }}{% endfor %}: {{ idea.Nothing }}.\n");
    let config = format!(
        "smtp_connections: [{{id: c, server: 127.0.0.1, port: {}}}]\ncustom_actions: [{{id: a, email: {{to: 'x@y.example,z@y.example', \
         subject: '{{{{ category }}}} from {{{{ src_ip }}}} {{{{ idea.ID }}}}', smtp_connection: c, template: {template}}}}}]",
        server.port
    );
    let mut message = alert(1);
    message["ID"] = "1\r\nBcc: all@y.example".into();
    assert_eq!(folder.act([message], &config, &[]), 0);
    let mails = server.mails();
    assert_eq!((mails.len(), mails[0].to.len()), (1, 2));
    assert!(mails[0].from.contains("nemea@localhost"));
    let text = &mails[0].text;
    assert!(text.contains("\r\nSubject: Recon.Scanning from 192.0.2.1 1  Bcc: all@y.example\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nHello\r\n192.0.2.1: .\r\n"), "{text}");
}

#[test]
fn the_system_log() {
    let folder = Folder::new();
    let path = folder.path("log");
    let log = UnixDatagram::bind(&path).unwrap();
    log.set_read_timeout(Some(PATIENCE)).unwrap();
    let config = format!(
        "custom_actions: [{{id: a, syslog: {{identifier: me, facility: LOG_LOCAL0, priority: LOG_INFO, logoption: LOG_PID|LOG_NDELAY, socket: {path}}}}}]"
    );
    assert_eq!(folder.act([alert(1)], &config, &[]), 0);
    let mut buffer = [0; 65_536];
    let count = log.recv(&mut buffer).unwrap();
    let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
    assert!(
        line.starts_with("<134>") && line.contains(&format!(" me[{}]: {{\"Format\": \"IDEA0\"", std::process::id())),
        "{line}"
    );
    for bad in ["facility: LOG_KERN", "priority: LOG_EMERG", "logoption: LOG_PID|X", "facility: LOG_USER|LOG_MAIL"] {
        assert_eq!(folder.act([], &format!("custom_actions: [{{id: a, syslog: {{{bad}}}}}]"), &[]), 1, "{bad}");
    }
}

#[test]
fn wardens_filer() {
    let folder = Folder::new();
    let filer = folder.path("filer");
    let warden = folder
        .write("warden.cfg", &format!("# the client\n{{\"url\": \"https://w.example\", \"filer\": \"{filer}\"}}"));
    let config = "custom_actions: [{id: a, warden: {}}]";
    assert_eq!(folder.act([alert(1)], config, &[]), 1, "without --warden");
    assert_eq!(folder.act([alert(1)], config, &["--warden", &warden]), 0);
    let text = fs::read_to_string(folder.path("filer/incoming/id-1.idea")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["Node"][0]["Name"], "n.idea2idea");
    assert_eq!(fs::read_dir(folder.path("filer/tmp")).unwrap().count(), 0);
}

#[test]
fn a_webhook_that_is_down_loses_nothing() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = |retry: u32| {
        format!(
            "spool: {{path: {}, retry: {retry}}}\ncustom_actions: [{{id: a, webhook: {{url: 'http://127.0.0.1:{port}/x'}}}}]",
            folder.path("spool")
        )
    };
    assert_eq!(folder.act([alert(1), alert(2)], &config(1_000), &[]), 0);
    let waiting = folder.path("spool/idea2idea/a");
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 2);
    // Up again: first what waited. A server that is busy is asked again, one that refuses for good is not.
    let mut statuses = [200, 503, 200, 400, 200].into_iter();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = WebServer::on(listener, None, move |_| (statuses.next().unwrap(), Vec::new(), String::new()));
    assert_eq!(folder.act([alert(3), alert(4)], &config(0), &[]), 0);
    let id = |body: &str| serde_json::from_str::<Value>(body).unwrap()["ID"].as_str().unwrap().to_owned();
    let ids: Vec<_> = server.asked().iter().map(|asked| id(&asked.body)).collect();
    assert_eq!(ids, ["id-1", "id-2", "id-2", "id-3", "id-4"]);
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
}

#[test]
fn files_for_others() {
    let folder = Folder::new();
    let config = format!("custom_actions: [{{id: a, stix: {{path: {}}}}}]", folder.path("stix"));
    assert_eq!(folder.act([alert(1), alert(2)], &config, &[]), 0);
    let text = fs::read_to_string(folder.path("stix")).unwrap();
    let bundles: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (bundles.len(), &bundles[0]["type"], bundles[1]["objects"].as_array().unwrap().len()),
        (2, &json!("bundle"), 5)
    );
    let config = format!("custom_actions: [{{id: a, mongo: {{file: {}}}}}]", folder.path("mongo"));
    assert_eq!(folder.act([alert(1)], &config, &[]), 0);
    let document: Value = serde_json::from_str(&fs::read_to_string(folder.path("mongo")).unwrap()).unwrap();
    assert_eq!(document["DetectTime"], json!({"$date": {"$numberLong": "1672654500000"}}));
}

#[test]
fn repetitions_and_floods_are_held_back() {
    let folder = Folder::new();
    let out = folder.path("out");
    let config = |action: &str| {
        let _ = fs::remove_file(&out);
        format!("custom_actions: [{{id: a, {action}}}, {{id: out, file: {{path: {out}}}}}]\n#")
    };
    let run = |action: &str| {
        let text = format!("{}\n", config(action)).replace("\n#", "");
        let rules = "rules: [{id: 1, condition: null, actions: [a, out]}, {id: 2, condition: null, actions: []}]";
        let lines: String = (1..=5).map(|n| format!("{}\n", alert(n))).collect();
        let from = folder.write("in.json", &lines);
        assert_eq!(module("json_replay", &["-i", &folder.ifc("in"), "-f", "IDEA", &from]), 0);
        let config = folder.write("config.yaml", &format!("namespace: n\n{text}{rules}\n"));
        assert_eq!(module("idea2idea", &["-D", "-i", &folder.ifc("in"), "-c", &config]), 0);
        fs::read_to_string(&out).unwrap_or_default().lines().count()
    };
    assert_eq!(run("dedup: {window: 60}"), 1);
    assert_eq!(run("dedup: {by: [FlowCount]}"), 5);
    assert_eq!(run("rate_limit: {alerts: 2, seconds: 3600}"), 2);
    assert_eq!(run("rate_limit: {alerts: 0}"), 0);
}
