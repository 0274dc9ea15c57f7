//! login_bf_detector, fingerprint_detector, doh_tunnel_detector: records in files to alerts, and alerts to IDEA.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{module, path};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use tempfile::TempDir;

/// Runs a module over rows of CSV, and a reporter over its alerts; answers the exit code, the alerts as rows and the messages.
fn run(name: &str, csv: &str, options: &[&str], reporter: &str) -> (u8, Vec<String>, Vec<Value>) {
    let folder = TempDir::new().unwrap();
    let (from, to) = (format!("f:{}", path(&folder, "in")), format!("f:{}", path(&folder, "out")));
    fs::write(path(&folder, "csv"), csv).unwrap();
    assert_eq!(module("logreplay", &["-i", &format!("{from}:w"), "-f", &path(&folder, "csv")]), 0);
    let code = module(name, &[&["-i", &format!("{from},{to}:w")], options].concat());
    if !fs::metadata(path(&folder, "out")).is_ok_and(|out| out.len() > 0) {
        return (code, Vec::new(), Vec::new());
    }
    assert_eq!(module("logger", &["-i", &to, "-t", "-w", &path(&folder, "printed")]), 0);
    let rows = fs::read_to_string(path(&folder, "printed")).unwrap().lines().skip(1).map(str::to_owned).collect();
    let ideas = path(&folder, "ideas");
    let config = serde_json::json!({
        "namespace": "org.example",
        "custom_actions": [{ "id": "keep", "file": { "path": ideas } }],
        "rules": [{ "id": "all", "condition": true, "actions": ["keep"] }],
    });
    fs::write(path(&folder, "config"), config.to_string()).unwrap();
    assert_eq!(module(reporter, &["-i", &to, "-c", &path(&folder, "config"), "-D"]), 0);
    let told = fs::read_to_string(&ideas).unwrap_or_default();
    (code, rows, told.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// `2023-01-02T10:15:00` and so many seconds, less than an hour.
fn at(secs: u32) -> String {
    format!("2023-01-02T10:{:02}:{:02}.000000", 15 + secs / 60, secs % 60)
}

const SSH: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,time TIME_FIRST,time TIME_LAST,uint16 DST_PORT,\
                   uint16 SSH_AUTH_ANSWERS,uint8 SSH_AUTH\n";

/// SSH flows: second, last number of the client, `auth`, `answers`.
fn ssh(flows: impl IntoIterator<Item = (u32, u8, u8, u16)>) -> String {
    let mut csv = SSH.to_owned();
    for (secs, client, auth, answers) in flows {
        let time = at(secs);
        writeln!(csv, "198.51.100.22,192.0.2.{client},3000,3000,{time},{time},22,{answers},{auth}").unwrap();
    }
    csv
}

#[test]
fn guessed_passwords_and_the_right_one() {
    let guesses = (0..7).map(|n| (10 * n, 1, 1, 4)).chain([(80, 1, 2, 3)]);
    let (code, rows, ideas) = run("login_bf_detector", &ssh(guesses), &[], "loginbf2idea");
    assert_eq!((code, rows.len()), (0, 2), "{rows:?}");
    let expected =
        |secs, severity| format!("198.51.100.22,192.0.2.1,21,{},{},1,22,{severity},0,\"ssh\",\"\"", at(0), at(secs));
    assert_eq!(rows, [expected(60, 1), expected(80, 2)]);
    let said: Vec<_> = ideas.iter().map(|idea| idea["Description"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            "192.0.2.1 guesses passwords of ssh: 21 logins were refused.",
            "192.0.2.1 was admitted by ssh after 21 refused logins."
        ]
    );
    assert_eq!(ideas[0]["Category"], serde_json::json!(["Attempt.Login"]));
    assert_eq!(ideas[1]["Category"], serde_json::json!(["Attempt.Login", "Intrusion.UserCompromise"]));
    assert_eq!(ideas[0]["Source"][0]["IP4"], serde_json::json!(["192.0.2.1"]));
    assert_eq!(ideas[0]["Target"][0]["Port"], serde_json::json!([22]));
}

/// A day at work: agents with five keys, a forgotten password, a job with an old one each minute, short looks at the port.
#[test]
fn people_who_log_in_are_not_told() {
    let agents = (0..200).map(|n| (n, (n % 50) as u8, 2, 6));
    let forgotten = [(300, 60, 1, 4), (320, 60, 1, 4), (350, 60, 2, 1)];
    let job = (0..50).map(|n| (60 * n % 2_400, 61, 1, 2));
    let looks = (0..200).map(|n| (n, 62, 1, 0)).chain((0..200).map(|n| (n, 62, 0, 0)));
    let mut flows: Vec<_> = agents.chain(forgotten).chain(job).chain(looks).collect();
    flows.sort_unstable();
    assert_eq!(run("login_bf_detector", &ssh(flows), &[], "loginbf2idea"), (0, vec![], vec![]));
}

#[test]
fn every_service_by_its_own_fields() {
    let basic =
        "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,time TIME_FIRST,time TIME_LAST,uint16 DST_PORT";
    let start = |secs: u32, bytes: u32, port: u16| {
        let time = at(secs);
        format!("198.51.100.9,192.0.2.7,{bytes},{bytes},{time},{time},{port}")
    };
    for (service, fields, port, bytes, refused, admitted) in [
        ("rdp", "uint8 RDP_ANSWER,string RDP_COOKIE", 3389, 4_000, "2,\"bob\"", ""),
        ("smb", "uint16 SMB_LOGON_FAILURES,uint16 SMB_LOGONS,string SMB_USER", 445, 900, "1,0,\"bob\"", "0,1,\"bob\""),
        ("kerberos", "uint16 KRB_FAILURES,uint8 KRB_REPLY,string KRB_CNAME", 88, 300, "1,30,\"bob\"", "0,11,\"bob\""),
    ] {
        let mut csv = format!("{basic},{fields}\n");
        (0..20).for_each(|n| writeln!(csv, "{},{refused}", start(n, bytes, port)).unwrap());
        if !admitted.is_empty() {
            writeln!(csv, "{},{admitted}", start(30, bytes, port)).unwrap();
        }
        let (code, rows, ideas) = run("login_bf_detector", &csv, &[], "loginbf2idea");
        assert_eq!((code, rows.len()), (0, 1 + usize::from(!admitted.is_empty())), "{service}: {rows:?}");
        assert!(rows.iter().all(|row| row.contains(&format!("\"{service}\",\"bob\""))), "{service}: {rows:?}");
        assert_eq!(ideas[0]["Note"], "The last user that was tried: bob", "{service}");
        // Long sessions are work, refused negotiations no logins.
        if service == "rdp" {
            let other = csv.replace("4000,4000", "400000,400000");
            assert_eq!(run("login_bf_detector", &other, &[], "loginbf2idea").1.len(), 0);
            assert_eq!(
                run("login_bf_detector", &csv.replace(",2,\"bob\"", ",3,\"bob\""), &[], "loginbf2idea").1.len(),
                0
            );
        }
    }
    for bad in [["-t", "0"], ["-d", "65"], ["-w", "x"]] {
        assert_eq!(run("login_bf_detector", SSH, &bad, "loginbf2idea").0, 1, "{bad:?}");
    }
}

const TLS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint32 PACKETS_REV,\
                   uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL,string TLS_JA4,string TLS_SNI,bytes TLS_JA3\n";
const JA3: &str = "b386946a5a44d1ddcc843bc75336dfce";

/// A TLS flow: second, last number of the client, bytes up and down, packets each way, server name, JA3.
fn tls(secs: u32, client: u8, (up, down): (u32, u32), packets: u32, name: &str, ja3: &str) -> String {
    let time = at(secs);
    format!(
        "203.0.113.9,192.0.2.{client},{up},{down},{time},{time},{packets},{packets},443,40000,6,\"t13d\",\"{name}\",{ja3}\n"
    )
}

fn flow(client: u8, name: &str, ja3: &str) -> String {
    tls(0, client, (1_000, 2_000), 10, name, ja3)
}

#[test]
fn listed_fingerprints_and_names() {
    let folder = TempDir::new().unwrap();
    let (hashes, names) = (path(&folder, "ja3"), path(&folder, "names"));
    fs::write(&hashes, format!("# ja3_md5,Firstseen,Lastseen,Listingreason\n{JA3},2017-07-14,2019-07-27,Dridex\n"))
        .unwrap();
    fs::write(&names, "cc.example.org,botnet\n.evil.example\n").unwrap();
    let other = "00000000000000000000000000000000";
    let flows = [
        flow(1, "www.example.org", JA3),
        flow(1, "www.example.org", JA3),
        flow(2, "CC.example.org", other),
        flow(3, "a.b.evil.example", other),
        flow(4, "www.example.org", other),
        flow(5, "", ""),
    ];
    let csv = format!("{TLS}{}", flows.concat());
    let (code, rows, ideas) = run("fingerprint_detector", &csv, &["-j", &hashes, "-s", &names], "fingerprint2idea");
    assert_eq!((code, rows.len()), (0, 3), "{rows:?}");
    let said: Vec<_> = ideas.iter().map(|idea| idea["Description"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            format!("192.0.2.1 uses the listed ja3 {JA3} (Dridex).").as_str(),
            "192.0.2.2 uses the listed sni cc.example.org (botnet).",
            "192.0.2.3 uses the listed sni a.b.evil.example."
        ]
    );
    // Told again for each flow, with the number of those in between.
    assert_eq!(run("fingerprint_detector", &csv, &["-j", &hashes, "-r", "0"], "fingerprint2idea").1.len(), 2);
    assert_eq!(run("fingerprint_detector", &csv, &["-k", &hashes], "fingerprint2idea"), (0, vec![], vec![]));
    for bad in [&[][..], &["-j", "/nowhere/at/all"]] {
        assert_eq!(run("fingerprint_detector", &csv, bad, "fingerprint2idea").0, 1, "{bad:?}");
    }
}

#[test]
fn queries_that_are_too_much() {
    let many = |client, count, bytes, name: &str| -> String {
        (0..count).map(|n| tls(n, client, bytes, 400, name, "")).collect()
    };
    let resolver = "mozilla.cloudflare-dns.com";
    // A tunnel, an upload; a busy browser, an hour of it, a download from somewhere.
    let csv = [
        TLS.to_owned(),
        many(1, 20, (100_000, 150_000), resolver),
        many(2, 10, (40_000, 30_000), resolver),
        many(3, 10, (25_000, 60_000), resolver),
        many(4, 20, (100_000, 5_000_000), "www.example.org"),
        many(5, 20, (90_000, 150_000), "own.example.net"),
    ]
    .concat();
    let (code, rows, ideas) = run("doh_tunnel_detector", &csv, &[], "dohtunnel2idea");
    assert_eq!((code, rows.len()), (0, 3), "{rows:?}");
    let said: Vec<_> = ideas.iter().map(|idea| idea["Description"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            "192.0.2.1 sent 1500000 bytes to encrypted resolvers and got 2250000: more than DNS is.",
            "192.0.2.2 sent 320000 bytes to encrypted resolvers and got 240000: more up than down.",
            "192.0.2.5 sent 1530000 bytes to a server that behaves like an encrypted resolver and got 2550000: more than DNS is.",
        ]
    );
    let folder = TempDir::new().unwrap();
    let list = path(&folder, "list");
    fs::write(&list, "192.0.2.1\n192.0.2.2\n192.0.2.5\n").unwrap();
    assert_eq!(run("doh_tunnel_detector", &csv, &["-x", &list], "dohtunnel2idea").1.len(), 0);
    fs::write(&list, "www.example.org\n").unwrap();
    assert_eq!(run("doh_tunnel_detector", &csv, &["-l", &list], "dohtunnel2idea").1.len(), 4);
    assert_eq!(run("doh_tunnel_detector", &csv, &["-u", "0"], "dohtunnel2idea").0, 1);
}
