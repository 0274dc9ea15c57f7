//! backscatter_classifier from events to MISP, with a model that it trained itself, a name server and a MISP of the test's own.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;
#[allow(dead_code, reason = "each suite uses its part")]
mod web_server;

use common::{Folder, module};
use serde_json::{Value, json};
use std::fs;
use std::net::UdpSocket;
use std::thread;
use web_server::WebServer;

const HEADER: &str = "ipaddr SRC_IP,uint64 BYTES,uint64 FLOW_COUNT,uint64 MAX_FPM,uint64 PACKET_COUNT,uint64 UNIQUE_DST_24_SUBNETS,\
    uint64 UNIQUE_DST_IPS,uint64 UNIQUE_DST_PORTS,uint64 UNIQUE_SRC_PORTS,uint32 POSIX_END,uint32 POSIX_START,float BYTES_AVG,\
    float BYTES_STD,float PPF_AVG,float PPF_STD,uint16 SRC_PORT_1,uint8 PROTOCOL";

/// An event of a minute or so; attacks have many flows to as many addresses.
fn event(victim: &str, flows: u32, secs: u32, protocol: u8) -> String {
    let end = 1_600_000_000 + secs;
    let packets = 2 * flows;
    format!(
        "{victim},{},{flows},{flows},{packets},{flows},{flows},{flows},1,{end},1600000000,44.5,0.5,2,0.25,443,{protocol}",
        44 * packets
    )
}

/// A name server for names of addresses: those of 203.0.113.0/24 have none.
fn name_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut question) {
            let question = &question[..count];
            let is_known = !String::from_utf8_lossy(question).contains("\x03113\x010\x03203");
            let mut reply = question.to_vec();
            reply[2..8].copy_from_slice(&[0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, is_known.into()]);
            if is_known {
                reply.extend_from_slice(
                    b"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x0e\x10\x00\x11\x03www\x07example\x03org\x00",
                );
            }
            socket.send_to(&reply, from).unwrap();
        }
    });
    port
}

/// Trains a model in `model.json`.
fn train(folder: &Folder) -> String {
    let rows = (0..60_u32).map(|n| {
        let is_attack = n.is_multiple_of(2);
        let flows = if is_attack { 5_000 } else { 40 } + 7 * n;
        format!("{},{}\n", event("192.0.2.1", flows, 60, if n < 40 { 6 } else { 1 }), u8::from(is_attack))
    });
    let csv = folder.write("events.csv", &format!("{HEADER},uint8 LABEL\n{}", rows.collect::<String>()));
    let model = folder.path("model.json");
    assert_eq!(module("backscatter_classifier", &["--train", &csv, "--model", &model]), 0);
    model
}

#[test]
fn attacks_are_told_to_misp() {
    let folder = Folder::new();
    let model = train(&folder);
    let again = fs::read(&model).unwrap();
    assert_eq!(fs::read(train(&folder)).unwrap(), again, "the same rows make the same model");
    let events = [
        event("192.0.2.7", 5_000, 60, 6),
        // Few flows; too few, too short, too long; no name; of another protocol; ICMP.
        event("192.0.2.8", 50, 60, 6),
        event("192.0.2.9", 29, 60, 6),
        event("192.0.2.10", 5_000, 29, 6),
        event("192.0.2.11", 5_000, 7_201, 6),
        event("203.0.113.1", 5_000, 60, 6),
        event("192.0.2.12", 5_000, 60, 17),
        event("192.0.2.13", 5_000, 60, 1),
        event("2001:db8::1", 5_000, 60, 6),
    ];
    folder.replay("in", &format!("{HEADER}\n{}\n", events.join("\n")));
    // Busy once, then well.
    let mut is_busy = true;
    let server = WebServer::start(move |_| {
        let status = if std::mem::take(&mut is_busy) { 503 } else { 200 };
        (status, Vec::new(), "{}".into())
    });
    let (url, log) = (format!("http://127.0.0.1:{}/", server.port), folder.path("log"));
    let names = format!("127.0.0.1:{}", name_server());
    let ifc = folder.ifc("in");
    let args = ["-i", &ifc, "--model", &model, "--logfile", &log, "--server", &names, "--networks", "10.0.0.0/8"];
    let misp = [&args[..], &["--url", &url, "--key", "secret"]].concat();
    assert_eq!(module("backscatter_classifier", &misp), 0);
    let asked = server.asked();
    assert!(asked.iter().all(|one| one.method == "POST" && one.path == "/events/add"));
    assert!(asked.iter().all(|one| one.header("authorization") == Some("secret")));
    let bodies: Vec<Value> = asked.iter().map(|one| serde_json::from_str(&one.body).unwrap()).collect();
    assert_eq!(bodies.len(), 3, "one of two was tried twice");
    assert_eq!(bodies[0]["uuid"], bodies[1]["uuid"]);
    let value = |event: &Value, relation: &str| {
        let attributes = event["Object"][0]["Attribute"].as_array().unwrap();
        attributes.iter().find(|one| one["object_relation"] == relation).map(|one| one["value"].clone())
    };
    for (event, victim, protocol, port) in
        [(&bodies[1], "192.0.2.7", "TCP", Some(json!("443"))), (&bodies[2], "192.0.2.13", "ICMP", None)]
    {
        assert_eq!(value(event, "ip-dst"), Some(json!(victim)));
        assert_eq!(value(event, "domain-dst"), Some(json!("www.example.org")));
        assert_eq!((value(event, "protocol"), value(event, "dst-port")), (Some(json!(protocol)), port));
        // One address of 256 is watched.
        assert_eq!(value(event, "number-of-ddos-flows"), Some(json!("1280000")));
    }
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("203.0.113.1 is attacked") && log.contains("has no name"), "{log}");
    assert!(log.contains("8 events, 1 without a model, 3 attacks: 2 reported, 1 without a name, 0 lost"), "{log}");
}

#[test]
fn a_server_that_refuses_or_is_not_there_is_said() {
    let folder = Folder::new();
    let model = train(&folder);
    folder.replay("in", &format!("{HEADER}\n{}\n", event("192.0.2.7", 5_000, 60, 6)));
    let names = format!("127.0.0.1:{}", name_server());
    let run = |url: &str| {
        let log = folder.write("log", "");
        let ifc = folder.ifc("in");
        let args = ["-i", &ifc, "--model", &model, "--logfile", &log, "--server", &names, "--url", url, "--key", "k"];
        assert_eq!(module("backscatter_classifier", &args), 0);
        fs::read_to_string(log).unwrap()
    };
    let server = WebServer::start(|_| (403, Vec::new(), String::new()));
    let log = run(&format!("http://127.0.0.1:{}", server.port));
    assert!(
        log.contains("answers 403: look at --key") && log.contains("0 reported, 0 without a name, 1 lost"),
        "{log}"
    );
    let server = WebServer::start(|_| (502, Vec::new(), String::new()));
    let log = run(&format!("http://127.0.0.1:{}", server.port));
    assert!(log.contains("1 events wait") && log.contains("1 lost"), "{log}");
    for (args, code) in [
        (&["--model", "/nonexist/model", "--export_to", "print"][..], 3),
        (&["--model", &model, "--export_to", "c3isp"], 2),
        (&["--export_to", "print"], 2),
    ] {
        let ifc = folder.ifc("in");
        let args = [&["-i", &ifc], args].concat();
        assert_eq!(module("backscatter_classifier", &args), code, "{args:?}");
    }
    assert_eq!(module("backscatter_classifier", &["--train", "/nonexist/csv", "--model", &model]), 3);
}
