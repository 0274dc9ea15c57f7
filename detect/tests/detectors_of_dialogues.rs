//! Detectors of what is said in SIP, DNS and HTTP, over files: alerts, repetition, files beside them, exit codes.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{module, path};
use std::fmt::Write;
use std::fs;
use tempfile::TempDir;

/// Runs a module over the rows of a CSV file; answers its exit code and the rows of its first output.
fn run(name: &str, csv: &str, options: &[&str]) -> (u8, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let (from, to) = (format!("f:{}", path(&folder, "in")), format!("f:{}", path(&folder, "out")));
    fs::write(path(&folder, "csv"), csv).unwrap();
    assert_eq!(module("logreplay", &["-i", &format!("{from}:w"), "-f", &path(&folder, "csv")]), 0);
    let code = module(name, &[&["-i", &format!("{from},{to}:w")], options].concat());
    let is_written = fs::metadata(path(&folder, "out")).is_ok_and(|out| out.len() > 0);
    if !is_written {
        return (code, Vec::new());
    }
    assert_eq!(module("logger", &["-i", &to, "-t", "-w", &path(&folder, "printed")]), 0);
    let printed = fs::read_to_string(path(&folder, "printed")).unwrap();
    (code, printed.lines().skip(1).map(str::to_owned).collect())
}

/// `2023-01-02T10:15:00` and so many seconds, less than an hour.
fn at(secs: u32) -> String {
    format!("2023-01-02T10:{:02}:{:02}.000000", 15 + secs / 60, secs % 60)
}

/// Answers to REGISTER: seconds, last number of the client, code, user.
fn register(answers: impl IntoIterator<Item = (u32, u8, u16, String)>) -> String {
    let mut csv = String::from(
        "ipaddr DST_IP,ipaddr SRC_IP,uint64 LINK_BIT_FIELD,time TIME_FIRST,uint16 DST_PORT,uint16 SIP_MSG_TYPE,\
         uint16 SIP_STATUS_CODE,uint16 SRC_PORT,uint8 PROTOCOL,string SIP_CALLING_PARTY,string SIP_CSEQ\n",
    );
    for (secs, client, code, user) in answers {
        let time = at(secs);
        writeln!(
            csv,
            "203.0.113.{client},192.0.2.60,257,{time},5066,99,{code},5060,17,\"sip:{user}@x.org;a=b\",\"1 REGISTER\""
        )
        .unwrap();
    }
    csv
}

#[test]
fn passwords_that_are_guessed() {
    let alice = |secs: u32, code| (secs, 1, code, "alice".to_owned());
    let many = register((0..50).map(|n| alice(2 * n, 401)));
    let plain = "203.0.113.1,192.0.2.60,1970-01-01T00:00:00.000000,2023-01-02T10:16:38.000000,202301021015000000,\
                 2023-01-02T10:15:00.000000,257,50,50,5060,5066,0,17,\"alice@x.org\"";
    assert_eq!(run("sip_bf_detector", &many, &[]), (0, vec![plain.into()]));
    assert_eq!(run("sip_bf_detector", &register((0..49).map(|n| alice(2 * n, 401))), &[]), (0, vec![]));
    // A login before the threshold ends it; one behind it is the breach.
    let login = (0..49).map(|n| alice(n, 401)).chain([alice(49, 200), alice(50, 401)]);
    assert_eq!(run("sip_bf_detector", &register(login), &[]).1.len(), 0);
    let breach = (0..3).map(|n| alice(n, 401)).chain([alice(3, 200), alice(4, 200)]);
    let rows = run("sip_bf_detector", &register(breach.clone()), &["-a", "3"]).1;
    assert!(
        rows[0].contains("10:15:03.000000,2023-01-02T10:15:04.000000,202301021015000000") && rows[0].contains(",4,4,"),
        "{rows:?}"
    );
    assert_eq!(run("sip_bf_detector", &register(breach), &["-a", "3", "-o", "1"]).1.len(), 0);
}

#[test]
fn many_clients_or_many_users() {
    let clients = register((0..30).map(|n| (n, (n % 6) as u8 + 1, 401, "carol".to_owned())));
    let rows = run("sip_bf_detector", &clients, &[]).1;
    // Five clients are watched, 25 attempts are theirs.
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].starts_with("203.0.113.1,192.0.2.60,1970") && rows[0].ends_with(",30,5,5060,0,1,17,\"carol@x.org\""),
        "{rows:?}"
    );
    let users = register((0..60).map(|n| (n, 9, 401, format!("u{}", n % 30))));
    let rows = run("sip_bf_detector", &users, &[]).1;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("203.0.113.9,") && rows[0].ends_with(",60,2,5060,5066,2,17,\"\""), "{rows:?}");
}

#[test]
fn events_end_when_they_are_silent() {
    let eve = |secs: u32| (secs, 1, 401, "eve".to_owned());
    let twice = register((0..3).chain(100..103).map(eve));
    let rows = run("sip_bf_detector", &twice, &["-a", "3", "-c", "10", "-f", "60"]).1;
    // The first message after the silence is taken before the look, so the first event goes on.
    assert_eq!(rows.len(), 1, "{rows:?}");
    let other = register((0..3).map(eve).chain([(90, 2, 401, "x".to_owned())]).chain((100..103).map(eve)));
    assert_eq!(run("sip_bf_detector", &other, &["-a", "3", "-c", "10", "-f", "60"]).1.len(), 2);
    for bad in [["-a", "0"], ["-s", "x"], ["-d", "-1"], ["-o", "4294967296"], ["-x", "1"]] {
        assert_eq!(run("sip_bf_detector", &other, &bad).0, 1, "{bad:?}");
    }
}

const DNS: &str =
    "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint16 DNS_QTYPE,uint16 DST_PORT,string DNS_NAME,bytes DNS_RDATA\n";

fn long_name(n: usize) -> String {
    format!("a{n:049}.b{n:044}.example.com")
}

fn requests(names: usize) -> String {
    let mut csv = String::from(DNS);
    for n in 1..=names {
        writeln!(csv, "192.0.2.53,198.51.100.20,120,1,53,\"{}\",", long_name(n)).unwrap();
    }
    csv
}

/// Without the times, which are those of the clock.
fn tunnels(csv: &str, options: &[&str]) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let events = path(&folder, "events");
    let (code, rows) = run("dnstunnel_detection", csv, &[&["-E", &events], options].concat());
    assert_eq!(code, 0);
    assert_eq!(fs::read_to_string(events).unwrap(), format!("{}\n", rows.len()));
    rows.iter().map(|row| [&row[..row.find(',').unwrap()], row.splitn(4, ',').last().unwrap()].join(",")).collect()
}

#[test]
fn names_with_payload() {
    let expected = format!("198.51.100.20,0,31,1.000000,0.968750,1,\"{}\"", long_name(31));
    assert_eq!(tunnels(&requests(31), &[]), [expected]);
    assert_eq!(tunnels(&requests(30), &[]).len(), 0);
    // Names that come again and again are none, nor are short ones.
    assert_eq!(tunnels(&format!("{}{}", requests(5), requests(5).replace(DNS, "").repeat(30)), &[]).len(), 0);
    assert_eq!(tunnels(&requests(31), &["-w", "109"]).len(), 0);
    let folder = TempDir::new().unwrap();
    let (domains, addresses, log) = (path(&folder, "domains"), path(&folder, "addresses"), path(&folder, "log"));
    fs::write(&domains, "example.org\nExample.com\n").unwrap();
    fs::write(&addresses, "::1;198.51.100.20\n").unwrap();
    assert_eq!(tunnels(&requests(31), &["-a", &domains]).len(), 0);
    assert_eq!(tunnels(&requests(31), &["-b", &addresses]).len(), 0);
    assert_eq!(tunnels(&requests(200), &["-d", &log]).len(), 1);
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.starts_with("\nSTART TIME: ")
            && log.contains("\n198.51.100.20\n0\tRequest tunnel found:\tDomains searched just once: 1.000000.\t")
    );
    assert!(log.ends_with(&format!("\t\t{}. 1\n", long_name(196))), "{log}");
}

#[test]
fn packets_of_a_file() {
    let folder = TempDir::new().unwrap();
    let [packets, events, log, results] = ["packets", "events", "log", "results"].map(|name| path(&folder, name));
    let mut text = String::from("no packet\n");
    for n in 1..=31 {
        let address = if n % 2 == 0 { "198.51.100.20,192.0.2.53;" } else { ";2001:db8::20,2001:db8::53" };
        writeln!(text, "{}.5;{address};0;120;{}", 1_672_654_500 + n, long_name(n)).unwrap();
    }
    // The session ends with this one; then there is only what came later.
    writeln!(text, "1672654600;192.0.2.53,198.51.100.20;;1;2000;short;192.0.2.1;;;;").unwrap();
    fs::write(&packets, &text).unwrap();
    let args = ["-f", &packets, "-n", "10000,10", "-w", "50", "-E", &events, "-d", &log];
    assert_eq!(module("dnstunnel_detection", &[&args[..], &["-s", &results]].concat()), 0);
    assert_eq!(fs::read_to_string(&events).unwrap(), "2\n");
    let read = |name: &str| fs::read_to_string(folder.path().join("results").join(name)).unwrap();
    let histogram = |name| read(name).lines().last().unwrap().split('\t').map(str::to_owned).collect::<Vec<_>>();
    let (requests, responses) = (histogram("summary_requests.dat"), histogram("summary_responses.dat"));
    assert_eq!((requests.len(), &requests[0][..], &requests[13][..], &requests[1][..]), (31, "all ", "31", "0"));
    assert_eq!((responses.len(), &responses[150][..]), (151, "1"));
    assert!(read("summary_requests.dat").starts_with("DNS requests histogram of communication\nip\t0-10\t10-20\t"));
    for (name, start) in [("requests.dat", "__EX="), ("responses.dat", "__EX="), ("request_letters_count.dat", "__EX=")]
    {
        let text = read(name);
        let addresses: Vec<_> = text.lines().skip(2).map(|line| line.split(start).next().unwrap()).collect();
        assert_eq!(addresses, ["198.51.100.20", "2001:db8::20"], "{name}");
    }
    let anomalies = read("founded_anomaly.txt");
    assert!(anomalies.contains("\n198.51.100.20\n0\tRequest tunnel found:"), "{anomalies}");
    assert_eq!(read("suspision_list.txt"), "IP in SUSPICION STATE\n");
    assert!(fs::read_to_string(&log).unwrap().contains("\n2001:db8::20\n1\tRequest tunnel found:"));
    // The folder is there now; so is no file.
    assert_eq!(module("dnstunnel_detection", &[&args[..], &["-s", &results]].concat()), 1);
    assert_eq!(module("dnstunnel_detection", &["-f", "/nonexistent", "-E", &events]), 1);
    // Measuring sends and counts nothing.
    assert_eq!(module("dnstunnel_detection", &["-c", &packets, "-E", &events]), 0);
    assert_eq!(fs::read_to_string(&events).unwrap(), "2\n");
}

/// 34 different characters.
fn letters() -> String {
    (b'A'..b'd').map(char::from).filter(|c| *c != '\\').collect()
}

#[test]
fn answers_with_payload() {
    let mut csv = String::from(DNS);
    for n in 0..60_u32 {
        let text = format!("{}{n:02}", letters());
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (kind, client) in [(16, 1), (5, 2), (15, 3), (2, 4), (1, 5)] {
            writeln!(csv, "198.51.100.{client},192.0.2.53,200,{kind},4000,\"q.example.net\",{hex}").unwrap();
        }
    }
    let rows = tunnels(&csv, &[]);
    let text = letters().to_ascii_lowercase() + "59";
    let row = |client, event, kind| format!("198.51.100.{client},{event},60,1.000000,1.000000,{kind},\"{text}\"");
    assert_eq!(rows, [row(1, 0, 5), row(2, 1, 6), row(3, 2, 7), row(4, 3, 8)]);
    // 60 is not more than 60.
    assert_eq!(tunnels(&csv, &["-o", "10000,60"]).len(), 0);
    for bad in [["-g", "1,2,3"], ["-n", "1"], ["-w", "x"], ["-a", "/nonexistent/file"], ["-q", "0.1,0.2,0.3"]] {
        assert_eq!(run("dnstunnel_detection", &csv, &bad).0, 1, "{bad:?}");
    }
}

/// INVITEs: seconds, number, and whether the call is taken at once.
fn invites(calls: impl IntoIterator<Item = (u32, String, bool)>) -> String {
    let mut csv = String::from(
        "ipaddr DST_IP,ipaddr SRC_IP,uint64 LINK_BIT_FIELD,time TIME_FIRST,uint16 SIP_MSG_TYPE,uint16 SIP_STATUS_CODE,\
         string SIP_CALLED_PARTY,string SIP_CALLING_PARTY,string SIP_CALL_ID,string SIP_CSEQ,string SIP_REQUEST_URI,\
         string SIP_USER_AGENT\n",
    );
    for (secs, number, is_taken) in calls {
        let (time, uri) = (at(secs), format!("sip:{number}@198.51.100.10"));
        let call = format!("\"sip:1@x\",\"{secs}\",\"1 INVITE\"");
        writeln!(csv, "198.51.100.10,203.0.113.40,1,{time},1,0,\"{uri}\",{call},\"{uri};x\",\"scan\"").unwrap();
        if is_taken {
            writeln!(csv, "203.0.113.40,198.51.100.10,1,{time},99,200,\"{uri}\",{call},\"\",\"\"").unwrap();
        }
    }
    csv
}

const NO_FILES: &[&str] = &["-e", "disabled", "-c", "disabled", "-o"];

#[test]
fn numbers_behind_prefixes() {
    let calls = |count: u32| {
        (0..count).map(|n| (n / 2, format!("{n}420123456789"), false)).chain([(10, "99420123456789".into(), false)])
    };
    let rows = run("voip_fraud_detection", &invites(calls(11)), NO_FILES);
    let expected = "::,203.0.113.40,2023-01-02T10:15:10.000000,2023-01-02T10:15:00.000000,1,11,11,0,2,40,\"\",\"\",\
                    \"10420123456789@198.51.100.10\",\"scan\"";
    assert_eq!(rows, (0, vec![expected.into()]));
    assert_eq!(run("voip_fraud_detection", &invites(calls(10)), NO_FILES), (0, vec![]));
    // Calls that are taken are none of it.
    let taken = calls(11).map(|(secs, number, _)| (secs, number, secs == 0));
    assert_eq!(run("voip_fraud_detection", &invites(taken), NO_FILES).1.len(), 0);
}

#[test]
fn examinations_go_on_and_are_written_down() {
    let folder = TempDir::new().unwrap();
    let (log, events, prefixes) = (path(&folder, "log"), path(&folder, "events"), path(&folder, "prefixes"));
    fs::write(&events, "41\n").unwrap();
    let calls = (0..60).map(|n| (n, format!("{n:02}420123456789"), n == 3));
    let options = ["-e", &events, "-l", &log, "-n", &prefixes, "-t", "4", "-s", "5", "-p", "20", "-m", "3"];
    let (code, rows) = run("voip_fraud_detection", &invites(calls), &options);
    assert_eq!((code, rows.len()), (0, 3), "{rows:?}");
    assert!(rows.iter().all(|row| row.contains(",42,")), "one event: {rows:?}");
    assert_eq!(fs::read_to_string(events).unwrap(), "42\n");
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("==>")).collect();
    assert!(lines[0].starts_with(
        "2023-01-02 10:15:10;==> Detected Prefix Examination!; event_id=42; detection_time=\"2023-01-02 10:15:10\""
    ));
    // After five seconds there are five targets, one of them called.
    assert!(
        lines[0].contains("prefix_examination_count=9; successful_call_count=1; ")
            && lines[0].ends_with("count_detection_value_ok=1; ")
    );
    assert!(
        lines[1].starts_with("2023-01-02 10:15:30;==> Detected Prefix Examination (continuation)!; event_id=42; "),
        "{log}"
    );
    assert!(log.ends_with("... VoIP fraud detection module exit! (version:1.0.1)\n2023-01-02 10:15:59;-----------------------------------------------------\n"));
    let prefixes = fs::read_to_string(prefixes).unwrap();
    assert!(prefixes.contains(";00;2;0;\n") && prefixes.contains(";03;2;1;\n"), "{prefixes}");
}

#[test]
fn requests_with_attacks() {
    let basic = "ipaddr DST_IP,ipaddr SRC_IP,time TIME_LAST,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL";
    let meter = format!(
        "{basic},uint16 HTTP_RESPONSE_CODE,string HTTP_METHOD,string HTTP_HOST,string HTTP_URL,string HTTP_USER_AGENT,string HTTP_REFERER\n"
    );
    let row = |port: u16, code: u16, agent: &str| {
        format!("192.0.2.80,203.0.113.8,{},{port},45001,6,{code},\"GET\",\"h\",\"/\",\"{agent}\",\"\"\n", at(1))
    };
    let csv =
        [&meter[..], &row(80, 0, "good"), &row(80, 0, "sqlmap/1"), &row(80, 200, "sqlmap/1"), &row(443, 0, "sqlmap/1")]
            .concat();
    let expected = "192.0.2.80,203.0.113.8,2023-01-02T10:15:01.000000,80,45001,6,\"HTTP_USER_AGENT\",\"sqlmap/1\",\"request_scanner_detection\"";
    let name = "waintrusion_detector";
    assert_eq!(run(name, &csv, &["-ursrc", "flow_meter"]), (0, vec![expected.into()]));
    assert_eq!(run(name, &csv, &["-ursrc", "flow_meter", "-nr", "request_scanner_detection"]).1.len(), 0);
    assert_eq!(run(name, &csv, &[]).0, 1, "these are not the names of ipfixcol");
    assert_eq!(run(name, &csv, &["-r", "no_such_rule"]).0, 2);
    // ipfixprobe: the answer's code is in the same record. ipfixcol: methods have numbers.
    let names =
        "string HTTP_REQUEST_HOST,string HTTP_REQUEST_URL,string HTTP_REQUEST_AGENT,string HTTP_REQUEST_REFERER";
    let probe = format!(
        "{basic},uint16 HTTP_RESPONSE_STATUS_CODE,string HTTP_REQUEST_METHOD,{names}\n{}{}",
        row(80, 200, "sqlmap/1"),
        row(80, 200, "sqlmap/1").replace("\"GET\"", "\"\"")
    );
    assert_eq!(run(name, &probe, &[]), (0, vec![expected.into()]));
    let collector = format!(
        "{basic},uint32 HTTP_RESPONSE_STATUS_CODE,uint32 HTTP_REQUEST_METHOD_ID,{names}\n{}{}{}",
        row(80, 0, "sqlmap/1").replace("\"GET\"", "2"),
        row(80, 0, "sqlmap/1").replace("\"GET\"", "11"),
        row(80, 404, "sqlmap/1").replace("\"GET\"", "1")
    );
    assert_eq!(run(name, &collector, &[]), (0, vec![expected.into()]));
}
