//! Detectors of scans, amplification, brute force and floods, and aggregators of their alerts, from CSV to CSV over files.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, input, module};
use std::fmt::Write;
use trap::{Event, Format, Place};

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS";

/// A time of a second, with milliseconds, after a quarter past ten.
fn at(ms: u64) -> String {
    let (secs, ms) = (15 * 60 + ms / 1_000, ms % 1_000);
    format!("2023-01-02T{:02}:{:02}:{:02}.{ms:03}000", 10 + secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Probes of this many ports (`ports`), or of this many hosts.
fn probes(folder: &Folder, file: &str, count: u64, ports: bool) {
    let mut csv = format!("{FLOWS}\n");
    for n in 0..count {
        let (host, port) = if ports { (7, 1_000 + n) } else { (1 + n, 22) };
        let (first, last) = (at(n * 100), at(n * 100 + 50));
        writeln!(csv, "198.51.100.{host},203.0.113.66,44,{first},{last},1,{port},{},6,2", 40_000 + n).unwrap();
    }
    folder.replay(file, &csv);
}

/// Alerts without the header.
fn alerts(folder: &Folder, file: &str) -> Vec<String> {
    folder.log(file).lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_vertical_scan_and_its_aggregate() {
    let folder = Folder::new();
    probes(&folder, "few", 49, true);
    assert_eq!(folder.pass("vportscan_detector", "few", "none", &[]), 0);
    assert!(alerts(&folder, "none").is_empty());
    probes(&folder, "in", 150, true);
    assert_eq!(folder.pass("vportscan_detector", "in", "scans", &[]), 0);
    let scans = alerts(&folder, "scans");
    let first = format!("198.51.100.7,203.0.113.66,{},{},50,1049,40049,1,6", at(0), at(4_950));
    assert_eq!((scans.len(), &scans[0]), (3, &first));
    assert_eq!(folder.pass("vportscan_aggregator", "scans", "sum", &["-t", "10"]), 0);
    let mut messages = input(&folder.ifc("sum"), &Place::default());
    messages.require(Format::Json("aggregated_portscan".into()));
    let mut texts = Vec::new();
    loop {
        match messages.recv().unwrap() {
            Event::Message(text) | Event::FormatChanged { first: text, .. } => {
                texts.push(String::from_utf8(text.to_vec()).unwrap());
            }
            Event::EndOfStream => break,
            other => panic!("{other:?}"),
        }
    }
    let sum = r#"{"src_ip": "203.0.113.66", "dst_ips": {"198.51.100.7": 150}, "ts_first": 1672654500.0, "ts_last": 1672654514.95, "protocol": 6}"#;
    assert_eq!(texts, [sum]);
    for (name, code) in [("vportscan_detector", 1), ("vportscan_aggregator", 2), ("haddrscan_aggregator", 2)] {
        assert_eq!(folder.pass(name, "scans", "x", &["-z"]), code, "{name}");
    }
}

#[test]
fn a_horizontal_scan_and_its_aggregate() {
    let folder = Folder::new();
    probes(&folder, "in", 150, false);
    assert_eq!(folder.pass("haddrscan_detector", "in", "scans", &["-n", "50"]), 0);
    let scans = alerts(&folder, "scans");
    let first = format!(
        "198.51.100.1,198.51.100.2,198.51.100.3,198.51.100.4,203.0.113.66,{},{},50,50,22,1,6",
        at(0),
        at(4_950)
    );
    assert_eq!((scans.len(), &scans[0]), (3, &first));
    assert_eq!(folder.pass("haddrscan_aggregator", "scans", "sum", &[]), 0);
    let hosts = "198.51.100.1,198.51.100.2,198.51.100.103,198.51.100.104,::,::,::,::,198.51.100.3,198.51.100.4,198.51.100.51,\
        198.51.100.52,198.51.100.53,198.51.100.54,198.51.100.101,198.51.100.102";
    assert_eq!(alerts(&folder, "sum"), [format!("{hosts},203.0.113.66,{},{},150,50,22,1,6", at(0), at(14_950))]);
    assert_eq!(folder.pass("haddrscan_detector", "in", "x", &["-n", "1"]), 255);
    folder.replay("without", "uint16 DST_PORT\n1\n");
    assert_eq!(folder.pass("haddrscan_detector", "without", "x", &[]), 0, "a sender without the fields is no failure");
}

#[test]
fn an_amplification_attack() {
    let folder = Folder::new();
    let header = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
        uint16 SRC_PORT,uint8 PROTOCOL";
    let (server, victim) = ("192.0.2.53", "198.51.100.99");
    for (answers, found) in [(310_u64, true), (299, false)] {
        let mut csv = format!("{header}\n");
        for n in 0..310 {
            let [query, answer] = [at(n * 300), at(n * 300 + 100)];
            writeln!(csv, "{server},{victim},60,{query},{query},1,53,40000,17").unwrap();
            if n < answers {
                writeln!(csv, "{victim},{server},3000,{answer},{answer},2,40000,53,17").unwrap();
            }
        }
        let last = at(901_000);
        writeln!(csv, "{victim},{server},3000,{last},{last},2,40000,53,17").unwrap();
        folder.replay("in", &csv);
        // The original ends with 1.
        assert_eq!(folder.pass("amplification_detection", "in", "out", &[]), 1);
        let text = folder.log("out");
        let alert = format!("{victim},{server},18600,933000,{},{last},1,310,310,311,622,53", at(0));
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(rows, if found { vec![alert.as_str()] } else { vec![] });
        assert!(
            text.starts_with("ipaddr DST_IP,ipaddr SRC_IP,uint64 REQ_BYTES"),
            "a header without records, too: {text}"
        );
    }
    let csv = format!("{header},string NOTE\n{server},{victim},60,{},{},1,53,4,17,\"x\"\n", at(0), at(0));
    folder.replay("texts", &csv);
    assert_eq!(folder.pass("amplification_detection", "texts", "out", &[]), 1);
    assert_eq!(folder.pass("amplification_detection", "texts", "out", &["-S", "5"]), 255);
}

#[test]
fn passwords_are_tried() {
    let folder = Folder::new();
    let mut csv = format!("{FLOWS}\n");
    for n in 0..30 {
        let [first, last] = [at(n * 1_000), at(n * 1_000 + 500)];
        writeln!(csv, "192.0.2.{},203.0.113.5,2000,{first},{last},15,22,{},6,27", 22 + n % 2, 40_000 + n).unwrap();
    }
    folder.replay("in", &csv);
    assert_eq!(folder.pass("brute_force_detector", "in", "out", &["-S"]), 0);
    let note = "\"I:192.0.2.22,192.0.2.23,O:\"";
    assert_eq!(alerts(&folder, "out"), [format!("203.0.113.5,{},30,22,6,2,{note}", at(29_500))]);
    let config = folder.write("config", "SSH_LIST_THRESHOLD = 12\n");
    let whitelist = folder.write("whitelist", "dst 192.0.2.23/32/22\n");
    assert_eq!(folder.pass("brute_force_detector", "in", "out", &["-SW", "-c", &config, "-w", &whitelist]), 0);
    assert_eq!(alerts(&folder, "out"), [format!("203.0.113.5,{},12,22,6,2,\"I:192.0.2.22,O:\"", at(22_500))]);
    for (args, code) in
        [(&[][..], 3), (&["-x"], 3), (&["-S", "-c", "/nonexist/c"], 5), (&["-S", "-w", "/nonexist/w"], 5)]
    {
        assert_eq!(folder.pass("brute_force_detector", "in", "x", args), code, "{args:?}");
    }
}

#[test]
fn a_flood() {
    let folder = Folder::new();
    let mut csv = String::from("ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST\n");
    let mut flow = |to: &str, from: u64, bytes: u64, at: String| {
        writeln!(csv, "{to},10.0.{from}.1,{bytes},{at},{at}").unwrap();
    };
    flow("203.0.113.1", 0, 600_000, at(0));
    for minute in [1, 2] {
        (0..10).for_each(|n| flow("203.0.113.1", n, 1_000_000, at(minute * 60_000 + n * 1_000)));
    }
    flow("203.0.113.9", 0, 100, at(180_000));
    folder.replay("in", &csv);
    assert_eq!(folder.pass("ddos_detector", "in", "out", &[]), 0);
    let floods = alerts(&folder, "out");
    let cells: Vec<_> = floods[0].split(',').collect();
    assert_eq!(cells[4].parse::<u64>().unwrap() as u32, 0xcb00_7101);
    let rest: Vec<_> = cells.iter().enumerate().filter(|(n, _)| *n != 4).map(|(_, cell)| *cell).collect();
    let expected = format!("203.0.113.1,49047,10000,18800000,{},{},3,1,0", at(60_000), at(240_000));
    assert_eq!((floods.len(), rest.join(",")), (1, expected));
    assert_eq!(folder.pass("ddos_detector", "in", "x", &["-d", "33"]), 255);
    assert_eq!(module("ddos_detector", &["-h"]), 0);
}
