//! Programs of others judge what we make of generated captures: capinfos counts packets, tshark and nfdump read our IPFIX.
//!
//! Needs the Debian packages `tshark`, `wireshark-common` and `nfdump`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use support::{Folder, bytes_of, judge, tools};

/// One case through all judges.
#[track_caller]
fn judged(case: &str, args: &[&str]) {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.write(&format!("{case}.pcap"), bytes_of(case));
    let exported = judge::export(&folder, &capture, args);
    judge::totals(&capture, &exported);
    judge::wireshark(&folder, &exported);
    judge::nfdump(&capture, args, &exported.flows);
}

macro_rules! cases {
    ($($test:ident: $case:literal $(, $arg:literal)*;)+) => {$(
        #[test]
        fn $test() {
            judged($case, &[$($arg),*]);
        }
    )+};
}

cases! {
    basic_tcp: "basic_tcp";
    uniflows: "basic_tcp", "--uniflow";
    udp: "basic_udp";
    ipv6: "ipv6";
    vlan: "vlan", "--stats", "all";
    mpls: "mpls";
    pppoe: "pppoe";
    gre: "gre";
    tunnels: "sixinfour";
    fragments: "fragments";
    http: "http_keepalive", "--stats", "all";
    dns: "dns", "--stats", "all";
    smtp: "smtp";
    sip: "sip";
    tls: "tls13";
    active_timeout: "active_timeout";
    cooked: "sll2";
    raw_ip: "raw_ip";
    nanoseconds: "nanoseconds";
    snaplen: "snaplen";
    pcapng: "pcapng_two_interfaces";
    malformed: "malformed";
}

/// A realistic mixture of many flows, which fills many messages.
#[test]
fn a_mixture() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.path("mix.pcap");
    let mut file = std::fs::File::create(&capture).expect("a file");
    let totals = benches::write_capture(benches::Profile::Realistic, 20_000, 3000, 7, &mut file).expect("written");
    let exported = judge::export(&folder, &capture, &[]);
    assert_eq!(exported.summary.packets, totals.packets);
    judge::totals(&capture, &exported);
    judge::wireshark(&folder, &exported);
    judge::nfdump(&capture, &[], &exported.flows);
}

/// Values of one protocol: what tshark's fields say, joined by commas, and what is in our records by their JSON names.
#[track_caller]
fn agrees(case: &str, filter: &str, fields: &[&str], args: &[&str], ours: &dyn Fn(&serde_json::Value) -> Vec<String>) {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.write(&format!("{case}.pcap"), bytes_of(case));
    let theirs = tools::tshark_fields(&capture, &["-Y", filter], fields);
    let mut theirs: Vec<String> = theirs.lines().map(String::from).collect();
    let mut ours: Vec<String> = support::flows(&capture, args).iter().flat_map(ours).collect();
    for rows in [&mut theirs, &mut ours] {
        rows.sort();
        rows.dedup();
    }
    assert!(!ours.is_empty(), "nothing of {case}");
    assert_eq!(ours, theirs, "{case}");
}

/// Fields of a record as tshark prints them: tabs between them. Nothing if the flow has no such record.
fn row(record: &serde_json::Value, names: &[&str]) -> Vec<String> {
    let text = |name: &&str| record[name].as_str().map_or_else(|| record[name].to_string(), String::from);
    if record.is_null() { Vec::new() } else { vec![names.iter().map(text).collect::<Vec<_>>().join("\t")] }
}

#[test]
fn ntp_as_tshark_reads_it() {
    let fields = ["ntp.flags.mode", "ntp.stratum", "ntp.ppoll"];
    agrees("ntp", "ntp", &fields, &["--l7", "ntp"], &|flow| row(&flow["ntp"], &["mode", "stratum", "poll"]));
}

#[test]
fn rtsp_as_tshark_reads_it() {
    agrees("rtsp", "rtsp.request", &["rtsp.method", "rtsp.url"], &["--l7", "rtsp"], &|flow| {
        row(&flow["rtsp"], &["method", "uri"])
    });
    agrees("rtsp", "rtsp.response", &["rtsp.status"], &["--l7", "rtsp"], &|flow| row(&flow["rtsp"], &["status"]));
}

#[test]
fn mqtt_as_tshark_reads_it() {
    let fields = ["mqtt.ver", "mqtt.kalive"];
    agrees("mqtt", "mqtt.msgtype == 1", &fields, &["--l7", "mqtt"], &|flow| {
        row(&flow["mqtt"], &["version", "keep_alive"])
    });
    let topics = |flow: &serde_json::Value| {
        // What follows DISCONNECT is a flow without a session.
        let list = flow["mqtt"]["topics"].as_str();
        list.map(|list| list.trim_end_matches('#').replace('#', ",")).into_iter().collect()
    };
    agrees("mqtt", "mqtt.msgtype == 3", &["mqtt.topic"], &["--l7", "mqtt;topiccount=9"], &topics);
}

#[test]
fn server_names_of_quic_as_tshark_reads_them() {
    let filter = "tls.handshake.extensions_server_name";
    agrees("quic_hello", filter, &[filter], &["--l7", "quic"], &|flow| row(&flow["quic"], &["sni"]));
}

#[test]
fn printers_as_tshark_reads_them() {
    let named = |flow: &serde_json::Value| {
        let entry = flow["dnssd"]["responses"].as_str().unwrap_or_default().to_string();
        let parts: Vec<&str> = entry.split(';').collect();
        vec![[parts[1], parts[2]].join("\t")]
    };
    agrees("dnssd", "dns.srv.port", &["dns.srv.port", "dns.srv.target"], &["--l7", "dnssd"], &named);
}
