//! backscatter over files: a victim that answers nobody, one that is talked to, and the timeouts.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::module;
use std::fs;
use tempfile::TempDir;

/// Flows as rows, with times in seconds behind 2020-01-01T00:00:00; the answer is what logger prints of the events.
fn events(flows: &[(&str, &str, u64, u16, u16, u8, u8)], args: &[&str]) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut csv = String::from(
        "ipaddr SRC_IP,ipaddr DST_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS\n",
    );
    for (src, dst, at, src_port, dst_port, protocol, flags) in flows {
        let time = format!("2020-01-01T{:02}:{:02}:{:02}", at / 3_600, at / 60 % 60, at % 60);
        csv += &format!("{src},{dst},80,{time},{time},2,{src_port},{dst_port},{protocol},{flags}\n");
    }
    fs::write(path("csv"), csv).unwrap();
    assert_eq!(module("logreplay", &["-i", &format!("f:{}", path("in")), "-f", &path("csv")]), 0);
    let ifc = format!("f:{},f:{}", path("in"), path("out"));
    let own = ["-i", &ifc, "-r", "1000", "-R", "100", "-S", "100"];
    assert_eq!(module("backscatter", &[&own[..], args].concat()), 0);
    assert_eq!(module("logger", &["-i", &format!("f:{}", path("out")), "-t", "-w", &path("rows")]), 0);
    fs::read_to_string(path("rows")).unwrap().lines().map(String::from).collect()
}

const VICTIM: &str = "147.32.0.9";

/// A flow a second, from `VICTIM` to many.
fn answers(from: u64, count: u64) -> Vec<(&'static str, &'static str, u64, u16, u16, u8, u8)> {
    let targets = ["10.0.0.1", "10.0.0.2", "10.0.1.1"];
    (0..count).map(|n| (VICTIM, targets[n as usize % 3], from + n, 80, 5_000 + n as u16 % 7, 6, 0x12)).collect()
}

#[test]
fn a_victim_is_reported_once_its_history_is_known() {
    // The last flow only moves the time on, so that all answers are judged.
    let mut flows = answers(1_000, 40);
    flows.extend((0..20).map(|n| (VICTIM, "10.0.2.1", 1_040 + n, 443, 1, 6, 4)));
    for at in [1_080, 1_100] {
        flows.push(("147.32.0.1", "10.9.9.9", at, 1, 1, 17, 0));
    }
    let rows = events(&flows, &["-s", "20"]);
    assert_eq!(
        rows[0],
        "ipaddr SRC_IP,uint64 ACKSYN,uint64 BYTES,uint64 FLOW_COUNT,uint64 MAX_FPM,uint64 PACKET_COUNT,uint64 RST,\
         uint64 SRC_PORT_1_COUNT,uint64 SRC_PORT_2_COUNT,uint64 SRC_PORT_3_COUNT,uint64 UNIQUE_DST_24_SUBNETS,\
         uint64 UNIQUE_DST_IPS,uint64 UNIQUE_DST_PORTS,uint64 UNIQUE_SRC_PORTS,float BYTES_AVG,float BYTES_STD,\
         uint32 POSIX_END,uint32 POSIX_START,float PPF_AVG,float PPF_STD,uint16 SRC_PORT_1,uint16 SRC_PORT_2,\
         uint16 SRC_PORT_3,uint8 EXPORT,uint8 PROTOCOL"
    );
    let start = 1_577_836_800 + 1_000;
    assert_eq!(
        rows[1..],
        [format!(
            "{VICTIM},40,4800,60,60,120,20,40,20,0,3,4,8,2,40.000000,0.000000,{},{start},2.000000,0.000000,80,443,443,8,6",
            start + 59
        )]
    );
}

#[test]
fn a_host_that_is_talked_to_is_no_victim() {
    let mut flows = answers(1_000, 40);
    for (n, target) in ["10.0.0.1", "10.0.0.2", "10.0.1.1"].into_iter().enumerate() {
        flows.insert(n, (target, VICTIM, 1_000, 5_000, 80, 6, 2));
    }
    for at in [1_060, 1_080, 1_100] {
        flows.push(("147.32.0.1", "10.9.9.9", at, 1, 1, 17, 0));
    }
    // The header alone.
    assert_eq!(events(&flows, &["-s", "20"]).len(), 1);
    // Networks that are not watched are not looked at.
    let alone =
        answers(1_000, 40).into_iter().chain([("147.32.0.1", "10.9.9.9", 1_060, 1, 1, 17, 0)]).collect::<Vec<_>>();
    assert_eq!(events(&alone, &["-s", "20"]).len(), 2);
    assert_eq!(events(&alone, &["-s", "20", "-n", "192.0.2.0/24"]).len(), 1);
    assert_eq!(events(&alone, &["-s", "20", "-t", "41"]).len(), 1);
}

#[test]
fn silent_and_long_events_are_reported() {
    // 300 s of answers end after 100 s for the active timeout, then silence of more than 30 s for the passive one.
    let mut flows = answers(1_000, 300);
    flows.extend([1_320, 1_340, 1_360, 1_380, 1_400].map(|at| ("147.32.0.1", "10.9.9.9", at, 1, 1, 17, 0)));
    flows.extend([("147.32.0.2", "10.9.9.9", 1_420, 1, 0x0301, 1, 0), ("147.32.0.1", "10.9.9.9", 1_445, 1, 1, 17, 0)]);
    let rows = events(&flows, &["-s", "20", "-a", "100", "-p", "30"]);
    let exports: Vec<_> = rows[1..].iter().map(|row| row.split(',').nth(23).unwrap()).collect();
    assert_eq!(exports, ["4", "5", "3"], "{rows:?}");
    let flows_of: u64 = rows[1..].iter().map(|row| row.split(',').nth(3).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(flows_of, 300);
}

#[test]
fn flows_out_of_time_are_skipped_until_time_begins_anew() {
    let mut flows = answers(1_000, 30);
    flows.extend((0..30).map(|n| (VICTIM, "10.0.0.1", 5_000 + n, 80, 80, 6, 0x12)));
    flows.push(("147.32.0.1", "10.9.9.9", 1_055, 1, 1, 17, 0));
    let rows = events(&flows, &["-s", "20"]);
    assert_eq!(rows.len(), 2);
    assert!(rows[1].starts_with("147.32.0.9,30,"));
    // With a short memory (one second of 5 flows) the later ones win.
    let rows = events(&flows, &["-s", "1", "-r", "5", "-R", "100", "-P", "-t", "10"]);
    assert_eq!(rows.len(), 3, "{rows:?}");
    for (code, args) in [(255, &["-a", "x"][..]), (255, &["-n", "x"]), (255, &["-x"]), (1, &["-f", "2"])] {
        assert_eq!(module("backscatter", &[&["-i", "u:x,b:"], args].concat()), code, "{args:?}");
    }
}
