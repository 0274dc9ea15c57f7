//! hoststatsnemea, from CSV to CSV over files.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::Folder;
use std::fmt::Write;
use std::fs;

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS";
const RULES: &str = "rules-generic = 1\nrules-ssh = 1\nrules-dns = 1\nport-flowdir = 1\n";

/// A time so many seconds after a quarter past ten.
fn at(secs: u64) -> String {
    let secs = 15 * 60 + secs;
    format!("2023-01-02T{:02}:{:02}:{:02}.000000", 10 + secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Flows as text.
struct Flows(String);

impl Flows {
    fn new() -> Flows {
        Flows(format!("{FLOWS}\n"))
    }

    /// A flow that ends at a second: addresses, ports, protocol, flags, packets and bytes.
    fn add(
        &mut self,
        secs: u64,
        [from, to]: [&str; 2],
        [source, destination]: [u16; 2],
        kind: [u8; 2],
        size: [u32; 2],
    ) {
        let (time, [protocol, flags], [packets, bytes]) = (at(secs), kind, size);
        writeln!(self.0, "{to},{from},{bytes},1,{time},{time},{packets},{destination},{source},0,{protocol},{flags}")
            .unwrap();
    }

    fn scan(count: u64, secs_each: u64) -> Flows {
        let mut flows = Flows::new();
        for n in 0..count {
            let to = format!("198.18.{}.{}", n / 250, n % 250 + 1);
            flows.add(n * secs_each, ["203.0.113.66", &to], [50_000, 80], [6, 2], [1, 40]);
        }
        flows
    }

    /// Rows of what the module says about them.
    fn alerts(&self, config: &str, args: &[&str]) -> Vec<String> {
        let folder = Folder::new();
        folder.replay("in", &self.0);
        let config = folder.write("conf", config);
        assert_eq!(folder.pass("hoststatsnemea", "in", "out", &[&["-F", "-c", &config], args].concat()), 0);
        folder.log("out").lines().skip(1).map(str::to_owned).collect()
    }
}

#[test]
fn a_horizontal_scan() {
    let alerts = Flows::scan(210, 0).alerts(RULES, &[]);
    let time = at(0);
    assert_eq!(alerts, [format!("0.0.0.0,203.0.113.66,{time},{time},210,0,0,2,6,\"horizontal SYN scan\"")]);
    assert!(Flows::scan(200, 0).alerts(RULES, &[]).is_empty(), "200 is not more than 200");
    assert!(Flows::scan(210, 0).alerts("port-flowdir = 1\nrules-ssh = 1", &[]).is_empty(), "disabled");
    // Without directions four fifths are taken for requests, but no address is one that was asked.
    let unknown = Flows(Flows::scan(300, 0).0.replace(",80,50000,", ",20000,50000,"));
    assert!(unknown.alerts(RULES, &[]).is_empty());
}

#[test]
fn records_end_when_they_are_old() {
    let config = format!(
        "{RULES}timeout-active = 60\ntimeout-inactive = 15\ndet-start-time = 5\nsyn-scan-threshold = 20\nsyn-scan-ips = 20\n"
    );
    // The look at second 60 ends a record that began at 0, and one at 121, the next multiple of 5 behind it, that of 61.
    let times: Vec<_> = Flows::scan(150, 1)
        .alerts(&config, &[])
        .iter()
        .map(|row| row.split(',').skip(2).take(3).collect::<Vec<_>>().join(","))
        .collect();
    let expected = [(0, 60, 61), (61, 125, 65), (126, 149, 24)];
    assert_eq!(times, expected.map(|(first, last, scale)| format!("{},{},{scale}", at(first), at(last))));
    // A host that is silent for 15 seconds is looked at.
    let mut flows = Flows::scan(30, 0);
    flows.add(20, ["192.0.2.1", "192.0.2.2"], [1, 2], [17, 0], [1, 40]);
    flows.add(40, ["203.0.113.66", "192.0.2.2"], [1, 2], [17, 0], [1, 40]);
    let alerts = flows.alerts(&config, &[]);
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].contains(&format!("{},{},30,", at(0), at(0))), "{alerts:?}");
}

#[test]
fn a_flood_its_victim_and_its_attacker() {
    let config = format!("{RULES}dos-victim-connections-synflood = 100\ndos-attacker-connections-synflood = 100\n");
    let mut one = Flows::new();
    let mut many = Flows::new();
    for n in 0..150 {
        one.add(0, ["203.0.113.5", "192.0.2.80"], [40_000 + n, 80], [6, 2], [1, 40]);
        many.add(0, [&format!("100.64.0.{n}"), "192.0.2.80"], [40_000, 80], [6, 2], [1, 40]);
    }
    let times = format!("{},{}", at(0), at(0));
    let note = "150 flows, 150 packets";
    let attacker = format!(
        "0.0.0.0,203.0.113.5,{times},150,0,0,10,6,\"out: {note}; in: 0 flows, 0 packets; approx. 1 destination addresses; SYN flood\""
    );
    let victim = |sources, spoofed| {
        format!(
            "192.0.2.80,0.0.0.0,{times},150,0,0,10,6,\"in: {note}; out: 0 flows, 0 packets; approx. {sources} source addresses; SYN flood{spoofed}\""
        )
    };
    let mut alerts = one.alerts(&config, &[]);
    alerts.sort();
    assert_eq!(alerts, [attacker, victim(1, "")]);
    assert_eq!(many.alerts(&config, &[]), [victim(150, " (probably spoofed)")]);
    assert!(one.alerts(&config.replace("100", "151"), &[]).is_empty());
    // By packets, of any protocol.
    let config = format!(
        "{RULES}dos-detection-type = 1\ndos-victim-connections-others = 299\ndos-attacker-connections-others = 301\n"
    );
    let mut others = Flows::new();
    (0..150).for_each(|n| others.add(0, ["203.0.113.5", "192.0.2.80"], [40_000 + n, 80], [17, 0], [2, 198]));
    let note = "in: 150 flows, 300 packets; out: 0 flows, 0 packets; approx. 1 source addresses";
    assert_eq!(others.alerts(&config, &[]), [format!("192.0.2.80,0.0.0.0,{times},150,0,0,10,0,\"{note}\"")]);
    let large = Flows(others.0.replace(",198,1,", ",200,1,"));
    assert!(large.alerts(&config, &[]).is_empty(), "100 bytes a packet are no flood");
}

#[test]
fn guesses_over_ssh() {
    let mut flows = Flows::new();
    for n in 0..61 {
        let (client, server) = ("203.0.113.5", "192.0.2.22");
        flows.add(0, [client, server], [40_000 + n, 22], [6, 0x1b], [10, 2_000]);
        flows.add(0, [server, client], [22, 40_000 + n], [6, 0x1b], [12, 2_500]);
    }
    let times = format!("{},{}", at(0), at(0));
    let mut alerts = flows.alerts(RULES, &[]);
    alerts.sort();
    let attacker = format!("0.0.0.0,203.0.113.5,{times},61,22,0,30,6,\"attacker\"");
    assert_eq!(alerts, [attacker.clone(), format!("192.0.2.22,0.0.0.0,{times},61,22,0,30,6,\"victim\"")]);
    // At the edge of the sizes there is a victim, but no attacker.
    let edge = Flows(flows.0.replace(",10,22,", ",5,22,"));
    let alerts = edge.alerts(RULES, &[]);
    assert!(alerts.len() == 1 && alerts[0].ends_with("\"victim\""), "{alerts:?}");
    assert!(flows.alerts(&RULES.replace("rules-ssh = 1", "rules-ssh = 0"), &[]).is_empty());
}

#[test]
fn dns_amplification_and_its_log() {
    let mut flows = Flows::new();
    (0..12).for_each(|n| flows.add(0, ["192.0.2.53", "198.51.100.99"], [53, 40_000 + n], [17, 0], [2, 2_000]));
    let folder = Folder::new();
    let config = format!("{RULES}dns-amplif-threshold = 11\ndetection-log = {}\n", folder.0.path().display());
    let times = format!("{},{}", at(0), at(0));
    let mut alerts = flows.alerts(&config, &[]);
    alerts.sort();
    let server = format!("0.0.0.0,192.0.2.53,{times},12,0,53,15,0,\"DNS amplification - misused server\"");
    assert_eq!(alerts, [server, format!("198.51.100.99,0.0.0.0,{times},12,53,0,15,0,\"DNS amplification - victim\"")]);
    let log = fs::read_to_string(folder.path("20230102.log")).unwrap();
    let mut lines: Vec<_> = log.lines().collect();
    lines.sort_unstable();
    let server = "202301021015;202301021015;dnsamp;;192.0.2.53;;53;;12;DNS amplification - misused server";
    assert_eq!(lines, [server, "202301021015;202301021015;dnsamp;;;198.51.100.99;;53;12;DNS amplification - victim"]);
    assert!(flows.alerts(&config.replace("= 11", "= 12"), &[]).is_empty());
}

#[test]
fn directions_of_a_module_in_front() {
    let scan = Flows::scan(210, 0);
    let folder = Folder::new();
    folder.replay("without", &scan.0);
    let config = folder.write("conf", "rules-generic = 1\n");
    let args = ["-F", "-c", &config];
    assert_eq!(folder.pass("hoststatsnemea", "without", "out", &args), 1, "it has no DIRECTION_FLAGS");
    for (flags, found) in [(8, 1), (4, 0), (2, 0), (1, 0)] {
        let with: String = scan.0.lines().skip(1).map(|line| format!("{line},{flags}\n")).collect();
        let header = FLOWS.replace("uint8 DIR_BIT_FIELD,", "uint8 DIR_BIT_FIELD,uint8 DIRECTION_FLAGS,");
        // Columns in the order of the template.
        let with: String = with
            .lines()
            .map(|line| {
                let mut cells: Vec<_> = line.split(',').collect();
                let last = cells.pop().unwrap();
                cells.insert(10, last);
                cells.join(",") + "\n"
            })
            .collect();
        folder.replay("with", &format!("{header}\n{with}"));
        assert_eq!(folder.pass("hoststatsnemea", "with", "out", &args), 0);
        assert_eq!(folder.log("out").lines().count() - 1, found, "{flags}");
    }
}

#[test]
fn the_end_of_the_stream_and_refusals() {
    let folder = Folder::new();
    folder.replay("in", &Flows::scan(210, 0).0);
    let config = folder.write("conf", RULES);
    assert_eq!(folder.pass("hoststatsnemea", "in", "out", &["-c", "/nonexist/conf"]), 1);
    assert_eq!(folder.pass("hoststatsnemea", "in", "out", &["-x"]), 1);
    folder.replay("few", "uint16 DST_PORT\n1\n");
    assert_eq!(
        folder.pass("hoststatsnemea", "few", "out", &["-c", &config]),
        0,
        "a sender without the fields is no failure"
    );
    // By the clock of the machine everything is looked at when the stream ends, too.
    assert_eq!(folder.pass("hoststatsnemea", "in", "online", &["-c", &config]), 0);
    let log = folder.log("online");
    assert!(log.lines().count() == 2 && log.contains("horizontal SYN scan"), "{log}");
    for (args, is_end) in [(&[][..], true), (&["-n"][..], false)] {
        assert_eq!(folder.pass("hoststatsnemea", "in", "end", &[&["-F", "-c", &config], args].concat()), 0);
        let bytes = fs::read(folder.path("end")).unwrap();
        assert_eq!(bytes.ends_with(&[0, 1, 0]), is_end, "{args:?}");
    }
}
