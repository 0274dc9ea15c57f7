//! Detectors of our own (docs/detectors.md), from CSV to IDEA messages: what must be found, what must not, flows of one direction and of both.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, PLAIN};
use detect::report::validate::faults;
use serde_json::{Value, json};
use std::fmt::Write;

const ONE_WAY: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS";
const BOTH_WAYS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint32 PACKETS_REV,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TCP_FLAGS_REV";

/// A time of the second.
fn at(secs: u64) -> String {
    format!("2023-01-{:02}T{:02}:{:02}:{:02}", 2 + secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60)
}

/// A conversation between a client and a server.
struct Talk {
    client: (&'static str, u16),
    server: (&'static str, u16),
    protocol: u8,
    /// Bytes and packets of the client, and of the server.
    sizes: [(u64, u32); 2],
    at: u64,
}

impl Talk {
    /// As records: two of one direction each, or one of both.
    fn records(&self, is_biflow: bool) -> String {
        let Talk { client: (client, from), server: (server, to), protocol, sizes: [there, back], .. } = self;
        let (first, last) = (at(self.at), at(self.at + 1));
        let flags = if *protocol == 6 { 0x1b } else { 0 };
        if is_biflow {
            return format!(
                "{server},{client},{},{},{first},{last},{},{},{to},{from},{protocol},{flags},{flags}\n",
                there.0, back.0, there.1, back.1
            );
        }
        let mut csv = String::new();
        if there.1 > 0 {
            writeln!(csv, "{server},{client},{},{first},{last},{},{to},{from},{protocol},{flags}", there.0, there.1)
                .unwrap();
        }
        if back.1 > 0 {
            writeln!(csv, "{client},{server},{},{first},{last},{},{from},{to},{protocol},{flags}", back.0, back.1)
                .unwrap();
        }
        csv
    }
}

/// What a detector and its reporter make of these, in both forms of flows, which must be the same but for the side on which the last flow was.
fn found(detector: &str, args: &[&str], reporter: &str, talks: &[Talk]) -> Vec<Value> {
    let forms = [(false, ONE_WAY), (true, BOTH_WAYS)].map(|(is_biflow, header)| {
        let folder = Folder::new();
        let records: String = talks.iter().map(|talk| talk.records(is_biflow)).collect();
        folder.replay("flows", &format!("{header}\n{records}"));
        assert_eq!(folder.pass(detector, "flows", "in", args), 0);
        folder.report(reporter, PLAIN, &[])
    });
    let [one_way, both_ways] = forms;
    assert_eq!(one_way.len(), both_ways.len(), "{one_way:?}\n{both_ways:?}");
    for message in one_way.iter().chain(&both_ways) {
        assert_eq!(faults(message), Vec::<String>::new(), "{message}");
    }
    one_way
}

fn talk(client: (&'static str, u16), server: (&'static str, u16), sizes: [(u64, u32); 2], at: u64) -> Talk {
    Talk { client, server, protocol: 6, sizes, at }
}

#[test]
fn generated_domains() {
    let folder = Folder::new();
    let ask = |label: &str, n: u64| {
        let (question, answer) = (at(n), at(n));
        format!(
            "192.0.2.53,10.0.0.5,60,{question},{question},1,53,4000,17,0,0,\"{label}.example\"\n\
             10.0.0.5,192.0.2.53,120,{answer},{answer},1,4000,53,17,0,3,\"{label}.example\"\n"
        )
    };
    let header = format!("{ONE_WAY},uint8 DNS_RCODE,string DNS_NAME\n");
    let names: String =
        (0..60_u8).map(|n| ask(&format!("lake-{}{}", char::from(b'a' + n % 26), n / 26), n.into())).collect();
    folder.replay("flows", &(header.clone() + &names));
    assert_eq!(folder.pass("dga_detector", "flows", "in", &[]), 0);
    let messages = folder.report("dgadetection2idea", PLAIN, &[]);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["Category"], &messages[0]["Source"][0]["IP4"]),
        (&json!(["Intrusion.Botnet"]), &json!(["10.0.0.5"]))
    );
    assert_eq!(messages[0]["Source"][1]["Hostname"], json!(["lake-n1.example"]));
    let row = folder.log("in");
    assert!(row.lines().nth(1).unwrap().contains(",40,0,40,1,"), "{row}");
    // Fewer of them, or as many below one domain.
    let few: String =
        (0..38_u8).map(|n| ask(&format!("lake-{}{}", char::from(b'a' + n % 26), n / 26), n.into())).collect();
    let below: String = (0..200_u64).map(|n| ask(&format!("h{n}.corp"), n)).collect();
    folder.replay("flows", &(header + &few + &below));
    assert_eq!(folder.pass("dga_detector", "flows", "none", &[]), 0);
    assert_eq!(folder.log("none").lines().count(), 1);
    assert_eq!(folder.pass("dga_detector", "flows", "none", &["-w", "1"]), 1, "out of bounds");
}

#[test]
fn a_beacon() {
    let call = |n: u64, every: u64| {
        talk(("10.0.0.5", 40_000 + n as u16), ("192.0.2.7", 8443), [(900, 6), (700, 5)], every * n + n * 5 % 7)
    };
    let calls: Vec<_> = (0..40).map(|n| call(n, 300)).collect();
    let messages = found("beacon_detector", &[], "beacon2idea", &calls);
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(message["Source"], json!([{"IP4": ["10.0.0.5"], "Proto": ["tcp"]}]));
    assert_eq!(message["Target"], json!([{"IP4": ["192.0.2.7"], "Port": [8443], "Proto": ["tcp"]}]));
    assert!(message["Note"].as_str().unwrap().contains("16 contacts, every 298.0 s"), "{message}");
    let fast: Vec<_> = (0..40).map(|n| call(n, 3)).collect();
    assert!(found("beacon_detector", &["-t", "1"], "beacon2idea", &fast).is_empty());
}

#[test]
fn an_exfiltration() {
    let visit = |hour: u64, sent: u64| {
        talk(("10.0.0.5", 40_000), ("192.0.2.9", 443), [(sent, 1_000), (2_000_000, 2_000)], 3_600 * hour + 60)
    };
    let mut talks: Vec<_> = (0..30).map(|hour| visit(hour, 3_000_000)).collect();
    assert!(found("exfiltration_detector", &[], "exfiltration2idea", &talks).is_empty());
    talks.push(visit(30, 700_000_000));
    let messages = found("exfiltration_detector", &[], "exfiltration2idea", &talks);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["ByteCount"], &messages[0]["Target"][0]["IP4"]),
        (&json!(700_000_000), &json!(["192.0.2.9"]))
    );
    assert!(messages[0]["Note"].as_str().unwrap().contains("where 3000000 sent are usual"), "{}", messages[0]);
    // Among ourselves, and to others' networks.
    assert!(found("exfiltration_detector", &["-n", "10.0.0.0/8,192.0.2.0/24"], "exfiltration2idea", &talks).is_empty());
    assert!(found("exfiltration_detector", &["-x", "192.0.2.9"], "exfiltration2idea", &talks).is_empty());
}

#[test]
fn a_new_service() {
    let visit = |n: u16, port: u16, day: u64| {
        talk(("192.0.2.1", 50_000 + n), ("10.0.0.80", port), [(500, 5), (5_000, 7)], 86_400 * day + u64::from(n) * 20)
    };
    let mut talks: Vec<_> = (0..4).map(|n| visit(n, 443, 0)).collect();
    talks.extend((0..4).map(|n| visit(n, 443, 2)));
    // Probes that nobody answers, and the server as a client.
    talks.extend((1..50).map(|port| Talk { sizes: [(40, 1), (0, 0)], ..visit(port, port, 2) }));
    talks.extend((0..50).map(|n| talk(("10.0.0.80", 40_000 + n), ("192.0.2.9", 80), [(500, 5), (900, 5)], 86_400 * 2)));
    assert!(found("new_service_detector", &[], "new_service2idea", &talks).is_empty());
    talks.extend((0..4).map(|n| visit(n, 4444, 2)));
    let messages = found("new_service_detector", &[], "new_service2idea", &talks);
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["Source"], json!([{"IP4": ["10.0.0.80"], "Port": [4444], "Proto": ["tcp"]}]));
    assert_eq!(
        messages[0]["Note"],
        "10.0.0.80 answers on port 4444/tcp for the first time; 1 of its services were known"
    );
}

#[test]
fn a_restart_tells_no_service_again() {
    let folder = Folder::new();
    let state = folder.path("state");
    let args = ["-l", "0", "-s", &state];
    let visit =
        |n: u16| talk(("192.0.2.1", 50_000 + n), ("10.0.0.80", 22), [(500, 5), (5_000, 7)], u64::from(n)).records(true);
    let records: String = (0..4).map(visit).collect();
    folder.replay("flows", &format!("{BOTH_WAYS}\n{records}"));
    for alerts in [1, 0] {
        assert_eq!(folder.pass("new_service_detector", "flows", "out", &args), 0);
        assert_eq!(folder.log("out").lines().count(), 1 + alerts);
    }
    folder.write("state", "something else");
    assert_eq!(folder.pass("new_service_detector", "flows", "out", &args), 1);
}

#[test]
fn reflection_and_an_abused_server() {
    let udp = |client, server, sizes, at| Talk { client: (client, 40_000), server, protocol: 17, sizes, at };
    let servers =
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8"];
    let answers: Vec<_> =
        (0..24).map(|n| udp("10.0.0.9", (servers[n % 8], 11_211), [(0, 0), (200_000, 150)], n as u64 / 2)).collect();
    assert!(found("reflection_detector", &[], "reflection2idea", &answers).is_empty(), "8 servers");
    let messages = found("reflection_detector", &["-s", "8"], "reflection2idea", &answers);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["Description"], &messages[0]["Target"][0]["IP4"]),
        (&json!("Memcached reflection"), &json!(["10.0.0.9"]))
    );
    assert_eq!((&messages[0]["Source"][0]["Count"], &messages[0]["Source"][0]["Port"]), (&json!(8), &json!([11_211])));
    let abused: Vec<_> =
        (0..40).map(|n| udp("198.51.100.1", ("10.0.0.123", 123), [(90, 1), (44_000, 100)], n)).collect();
    let messages = found("reflection_detector", &["-n", "10.0.0.0/8"], "reflection2idea", &abused);
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["Description"], &messages[0]["Source"][0]["IP4"]),
        (&json!("NTP amplification"), &json!(["10.0.0.123"]))
    );
    assert_eq!(messages[0]["Note"], "The server answers with 488.9 times the bytes of the requests");
}
