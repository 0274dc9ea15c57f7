//! Blacklist filters and miner_detector, from CSV to CSV over files, and over sockets while their lists change.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, fixtures, input, module, output, wait_for};
use record::unirec::{Builder, Template};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process;
use std::thread;
use trap::{Event, Format, Output, Place, Timeout};

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL";
const AT: &str = "2023-01-02T10:15:01.000000";

/// A flow of 5 packets and 500 bytes.
fn flow(from: &str, from_port: u16, to: &str, to_port: u16) -> String {
    format!("{to},{from},500,{AT},{AT},5,{to_port},{from_port},6\n")
}

/// Alerts without the header.
fn alerts(folder: &Folder, file: &str) -> Vec<String> {
    folder.log(file).lines().skip(1).map(str::to_owned).collect()
}

fn settings(folder: &Folder, name: &str, elements: &[(&str, &str)]) -> String {
    let elements: String =
        elements.iter().map(|(key, value)| format!("<element name=\"{key}\"> {value} </element>\n")).collect();
    folder.write(name, &format!("<configuration><struct name=\"main struct\">{elements}</struct></configuration>"))
}

#[test]
fn flows_of_listed_addresses() {
    let folder = Folder::new();
    let v4 = folder.write("4", "203.0.113.0/24,8\n198.51.100.5,9;1:80,443;4:25\n192.0.2.9,999,an-id\nnonsense\n");
    let v6 = folder.write("6", "2001:db8::/49,16\n");
    let config = settings(&folder, "conf", &[("ipv4_blacklist_file", "/nonexist/4"), ("ipv6_blacklist_file", &v6)]);
    let csv: String = [
        flow("10.0.0.1", 4000, "10.0.0.2", 80),
        flow("10.0.0.1", 4000, "203.0.113.7", 443),
        flow("203.0.113.7", 53, "10.0.0.1", 4000),
        flow("198.51.100.5", 80, "203.0.113.7", 443),
        // The port is none of the source's; the destination is not looked at then.
        flow("198.51.100.5", 22, "203.0.113.7", 443),
        flow("192.0.2.9", 22, "10.0.0.1", 443),
        flow("2001:db8:0:1::1", 22, "2001:db8::1", 443),
        flow("2001:db8:0:8000::1", 22, "2001:db9::1", 443),
    ]
    .concat();
    folder.replay("in", &format!("{FLOWS}\n{csv}"));
    assert_eq!(folder.pass("ipblacklistfilter", "in", "out", &["-c", &config, "-4", &v4]), 0);
    let expected = [
        format!("203.0.113.7,10.0.0.1,500,8,0,{AT},{AT},5,443,4000,6,\"\""),
        format!("203.0.113.7,198.51.100.5,500,0,1,{AT},{AT},5,443,80,6,\"\""),
        format!("10.0.0.1,192.0.2.9,500,0,999,{AT},{AT},5,443,22,6,\"an-id\""),
        format!("2001:db8::1,2001:db8:0:1::1,500,0,16,{AT},{AT},5,443,22,6,\"\""),
    ];
    assert_eq!(alerts(&folder, "out"), expected);
    // A list of IPv6 that is missing is told only.
    let args = ["-c", &config, "-4", &v4, "-6", "/nonexist/6", "-n"];
    assert_eq!(folder.pass("ipblacklistfilter", "in", "four", &args), 0);
    assert_eq!(alerts(&folder, "four"), expected[..3]);
    let no_list = settings(&folder, "none", &[("ipv4_blacklist_file", &v4)]);
    for args in [&["-c", &config][..], &["-c", "/nonexist/c", "-4", &v4], &["-c", &no_list, "-6", &v6], &["-x"]] {
        assert_eq!(folder.pass("ipblacklistfilter", "in", "x", args), 1, "{args:?}");
    }
}

#[test]
fn requests_for_listed_urls_and_names() {
    let folder = Folder::new();
    let list = folder.write("list", "bad.example.com\\1\nevil.example.org/malware/a.exe\\9\n");
    let config = settings(&folder, "conf", &[("blacklist_file", &list), ("watch_blacklists", "false")]);
    let row = |host: &str, url: &str| {
        format!("{},\"{host}\",\"r\",\"{url}\"\n", flow("10.0.0.1", 4000, "192.0.2.80", 80).trim())
    };
    let csv: String = [
        row("www.Evil.example.org", "/Malware/a.exe//"),
        row("bad.example.com", ""),
        row("bad.example.com", "/x"),
        row("", "/"),
    ]
    .concat();
    let header = format!("{FLOWS},string HTTP_REQUEST_HOST,string HTTP_REQUEST_REFERER,string HTTP_REQUEST_URL\n");
    folder.replay("http", &(header + &csv));
    assert_eq!(folder.pass("urlblacklistfilter", "http", "urls", &["-c", &config]), 0);
    let expected = [
        format!("192.0.2.80,10.0.0.1,9,500,{AT},{AT},5,80,4000,6,\"www.Evil.example.org\",\"r\",\"/Malware/a.exe//\""),
        format!("192.0.2.80,10.0.0.1,1,500,{AT},{AT},5,80,4000,6,\"bad.example.com\",\"r\",\"\""),
    ];
    assert_eq!(alerts(&folder, "urls"), expected);
    let fields = "uint32 DNS_RR_TTL,uint16 DNS_ANSWERS,uint16 DNS_CLASS,uint16 DNS_ID,uint16 DNS_PSIZE,uint16 DNS_QTYPE,\
        uint16 DNS_RLENGTH,uint8 DNS_DO,uint8 DNS_RCODE,string DNS_NAME,bytes DNS_RDATA";
    let row = |id: u16, name: &str| {
        format!("{},7,1,1,{id},512,1,4,0,3,\"{name}\",0a00\n", flow("10.0.0.1", 4000, "192.0.2.53", 53).trim())
    };
    let csv: String = ["WWW.bad.example.com", "www.BAD.example.com", "x.bad.example.com", ""]
        .iter()
        .zip(1..)
        .map(|(name, id)| row(id, name))
        .collect();
    folder.replay("dns", &format!("{FLOWS},{fields}\n{csv}"));
    assert_eq!(folder.pass("dnsblacklistfilter", "dns", "names", &["-c", &config]), 0);
    let expected =
        format!("192.0.2.53,10.0.0.1,1,500,{AT},{AT},7,5,1,1,2,512,1,4,53,4000,0,3,6,\"www.BAD.example.com\",0a00");
    assert_eq!(alerts(&folder, "names"), [expected]);
    for name in ["urlblacklistfilter", "dnsblacklistfilter"] {
        assert_eq!(folder.pass(name, "dns", "x", &["-c", &config, "-b", "/nonexist/list"]), 1);
        assert_eq!(module(name, &["-h"]), 0);
    }
}

#[test]
fn lists_follow_their_files() {
    let folder = Folder::new();
    let list = folder.write("list", "10.9.9.9,1\n");
    let lists =
        [("ipv4_blacklist_file", &list[..]), ("ipv6_blacklist_file", "/nonexist/6"), ("watch_blacklists", "true")];
    let config = settings(&folder, "conf", &lists);
    // The module looks for its sockets where all do.
    let (place, [from, to]) =
        (Place::default(), ["flows", "alerts"].map(|name| format!("u:sonda-{name}-{}", process::id())));
    let mut flows = output(&format!("{from}:buffer=off"), &place);
    let template = Template::parse(FLOWS).unwrap();
    flows.set_format(Format::UniRec(template.spec())).unwrap();
    let args = ["-i", &format!("{from},{to}:buffer=off"), "-c", &config].map(str::to_owned);
    let runs = thread::spawn(move || (detect::modules::find("ipblacklistfilter").unwrap().run)(&args));
    let mut heard = input(&to, &place);
    heard.require(Format::UniRec("uint64 DST_BLACKLIST".into()));
    heard.set_timeout(Timeout::Micros(20_000));
    let mut record = Builder::new(&template);
    record.set_text(template.index_of("SRC_IP").unwrap(), b"10.1.1.1").unwrap();
    record.set_text(template.index_of("DST_IP").unwrap(), b"10.9.9.9").unwrap();
    let mut bytes = Vec::new();
    record.finish(&mut bytes).unwrap();
    // DST_BLACKLIST of the next alert, which stands behind two addresses and a number.
    let mut bits = |flows: &mut Output| match (flows.send(&bytes), heard.recv().unwrap()) {
        (_, Event::Message(alert) | Event::FormatChanged { first: alert, .. }) => {
            u64::from_le_bytes(alert[40..48].try_into().unwrap())
        }
        _ => 0,
    };
    wait_for("the first list", || bits(&mut flows) == 1);
    fs::write(&list, "10.9.9.9,2\n").unwrap();
    wait_for("the second list", || bits(&mut flows) == 2);
    // A list that is gone stays in use.
    fs::remove_file(&list).unwrap();
    wait_for("the list that is gone", || bits(&mut flows) == 2);
    fs::write(folder.path("new"), "10.9.9.9,4\n").unwrap();
    fs::rename(folder.path("new"), &list).unwrap();
    wait_for("the third list", || bits(&mut flows) == 4);
    let _ = flows.send_eof();
    flows.finish().unwrap();
    assert_eq!(runs.join().unwrap(), 0);
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The example of the original's documentation, and both inputs into one output.
#[test]
fn alerts_about_one_listed_address_are_one_message() {
    let folder = Folder::new();
    let header = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 DST_BLACKLIST,uint64 SRC_BLACKLIST,time TIME_FIRST,time TIME_LAST,\
        uint32 COUNT,uint32 PACKETS,uint16 DST_PORT,uint8 PROTOCOL\n";
    let rows = [
        ("12.69.59.88", 120, "28.200", "30.203", 2),
        ("12.68.18.79", 240, "24.979", "31.997", 4),
        ("12.68.16.157", 240, "24.959", "31.975", 4),
    ];
    let day = "2018-10-27T09:49:";
    let rows = rows.map(|(to, bytes, first, last, packets)| {
        format!("{to},244.67.210.182,{bytes},0,8,{day}{first},{day}{last},1,{packets},22,6\n")
    });
    folder.replay("ips", &format!("{header}{}", rows.concat()));
    let header = format!(
        "{FLOWS},uint64 BLACKLIST,string HTTP_REQUEST_HOST,string HTTP_REQUEST_REFERER,string HTTP_REQUEST_URL\n"
    );
    let row = flow("73.167.62.100", 43698, "25.41.145.5", 80);
    folder.replay("urls", &format!("{header}{},48,\"www.zstresser.com\",\"\",\"/\"\n", row.trim()));
    let interfaces = ["ips", "urls", "out"].map(|name| folder.ifc(name)).join(",");
    assert_eq!(module("blacklist_aggregator", &["-i", &interfaces, "-t", "0.5"]), 0);
    let mut texts = texts(&folder, "out", "aggregated_blacklist");
    texts.sort();
    let url = |list: u8| {
        format!(
            r#"{{"type": "url", "source_ip": "25.41.145.5", "source_url": "zstresser.com", "referer": "", "targets": ["73.167.62.100"], "source_ports": [80], "ts_first": 1672654501.0, "ts_last": 1672654501.0, "protocol": 6, "tgt_sent_bytes": 500, "tgt_sent_flows": 1, "tgt_sent_packets": 5, "blacklist_id": {list}, "agg_win_minutes": 0.5, "is_only_fqdn": true}}"#
        )
    };
    let ip = r#"{"type": "ip", "ts_first": 1540633764.959, "ts_last": 1540633771.997, "protocol": 6, "source_ports": [], "source": "244.67.210.182", "targets": ["12.69.59.88", "12.68.18.79", "12.68.16.157"], "src_sent_bytes": 600, "src_sent_flows": 3, "src_sent_packets": 10, "tgt_sent_bytes": 0, "tgt_sent_flows": 0, "tgt_sent_packets": 0, "blacklist_id": 8, "agg_win_minutes": 0.5}"#;
    assert_eq!(texts, [ip.to_owned(), url(16), url(32)]);
    assert_eq!(module("blacklist_aggregator", &["-i", &interfaces, "-t", "x"]), 2);
}

#[test]
fn evidence_of_botnets_and_names() {
    let folder = Folder::new();
    let catalog = folder.write(
        "catalog",
        "<c><struct name=\"blacklist_array\"><array type=\"IP\"><struct><element name=\"id\">4</element>\
         <element name=\"category\">Intrusion.Botnet</element></struct></array></struct></c>",
    );
    let event = |list: u8, target: &str| {
        format!(r#"{{"type": "ip", "source": "192.0.2.7", "targets": ["{target}"], "blacklist_id": {list}}}"#)
    };
    let events = [event(8, "10.0.0.1"), event(16, "10.0.0.1"), event(8, "10.0.0.2"), "[]".into()];
    let mut messages = output(&format!("{}:w", folder.ifc("messages")), &Place::default());
    messages.set_format(Format::Json("aggregated_blacklist".into())).unwrap();
    for event in &events {
        let _ = messages.send(event.as_bytes());
    }
    let _ = messages.send_eof();
    messages.finish().unwrap();
    folder.replay("names", "uint16 DNS_ID,string DNS_NAME\n7,\"www.LOCALHOST\"\n");
    let interfaces = ["messages", "names", "reports", "evidence"].map(|name| folder.ifc(name)).join(",");
    let list = folder.path("adaptive");
    assert_eq!(module("adaptive_filter", &["-i", &interfaces, "-c", &catalog, "-a", &list, "-l", "40"]), 0);
    assert_eq!(texts(&folder, "reports", "aggregated_blacklist"), [&events[1][..], "[]"]);
    let evidence = texts(&folder, "evidence", "blacklist_evidence");
    let botnet = evidence.iter().find(|text| text.contains("BotnetDetection")).unwrap();
    assert!(botnet.contains(&format!(r#""grouped_events": [{}, {}], "grouped_events_cnt": 2"#, events[0], events[2])));
    let name = evidence.iter().find(|text| text.contains("DNSDetection")).unwrap();
    let report = r#""grouped_events": [{"DNS_ID": 7, "DNS_NAME": "www.LOCALHOST"}]"#;
    assert!(evidence.len() == 2 && name.contains(report) && name.contains(r#""key": "localhost""#), "{name}");
    assert_eq!(module("adaptive_filter", &["-i", &interfaces, "-c", "/nonexist/c"]), 1);
    assert_eq!(module("adaptive_filter", &["-i", &interfaces, "-x"]), 2);
}

/// Messages of a file.
fn texts(folder: &Folder, file: &str, format: &str) -> Vec<String> {
    let mut messages = input(&folder.ifc(file), &Place::default());
    messages.require(Format::Json(format.into()));
    let mut texts = Vec::new();
    while let Event::Message(text) | Event::FormatChanged { first: text, .. } = messages.recv().unwrap() {
        texts.push(String::from_utf8(text.to_vec()).unwrap());
    }
    texts
}

fn miner_settings<'a>(list: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut elements = vec![
        ("blacklist_file", list),
        ("conn_timeout", "30"),
        ("read_timeout", "30"),
        ("timeout_active", "3600"),
        ("timeout_inactive", "600"),
        ("check_period", "1"),
        ("stratum_check", "false"),
        ("score_treshold", "9"),
        ("suspect_db_size", "1024"),
        ("suspect_db_stash_size", "4"),
        ("blacklist_db_size", "1024"),
        ("blacklist_db_stash_size", "4"),
        ("whitelist_db_size", "1024"),
        ("whitelist_db_stash_size", "4"),
    ];
    elements.extend(more);
    elements
}

/// Ten flows of a host to this pool that look like mining; with `more`, fields of other names.
fn mining(pool: &str, port: u16, more: bool) -> String {
    let mut csv = format!("{FLOWS},uint8 TCP_FLAGS{}\n", if more { ",uint8 TTL" } else { "" });
    for n in 0..10 {
        let last = format!("2023-01-02T10:{:02}:{:02}.500000", 15 + n, n);
        csv.push_str(&format!(
            "{pool},10.0.0.9,106,{last},{last},2,{port},51000,6,24{}\n",
            if more { ",64" } else { "" }
        ));
    }
    csv
}

#[test]
fn miners_of_listed_pools() {
    let folder = Folder::new();
    let list = folder.write("pools", "198.51.100.33:3333\n");
    let stored = folder.path("stored");
    let config = settings(&folder, "conf", &miner_settings(&list, &[("store_blacklist_file", &stored)]));
    for more in [false, true] {
        folder.replay("in", &mining("198.51.100.33", 3333, more));
        assert_eq!(folder.pass("miner_detector", "in", "out", &["-u", &config]), 0);
        let alert = "198.51.100.33,10.0.0.9,2023-01-02T10:15:00.000000,2023-01-02T10:24:09.000000,20,3333";
        assert_eq!(alerts(&folder, "out"), [alert]);
    }
    assert_eq!(fs::read_to_string(stored).unwrap(), "198.51.100.33:3333\n");
    // Nobody is asked unless the settings say so.
    folder.replay("other", &mining("198.51.100.33", 3334, false));
    assert_eq!(folder.pass("miner_detector", "other", "none", &["-u", &config]), 0);
    assert!(alerts(&folder, "none").is_empty());
    let lacks = settings(&folder, "lacks", &[("blacklist_file", "-")]);
    let missing = settings(&folder, "missing", &miner_settings("/nonexist/pools", &[]));
    for (args, code) in [(&["-x"][..], 3), (&["-u", &lacks], 1), (&["-u", &missing], 1), (&["-u", "/nonexist/c"], 1)] {
        assert_eq!(folder.pass("miner_detector", "in", "x", args), code, "{args:?}");
    }
    folder.replay("short", "uint8 A\n1\n");
    assert_eq!(folder.pass("miner_detector", "short", "x", &["-u", &config]), 4);
}

#[test]
fn miners_of_a_pool_that_says_so() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let serves = thread::spawn(move || {
        let (mut client, _) = server.accept().unwrap();
        let mut question = String::new();
        BufReader::new(&client).read_line(&mut question).unwrap();
        client.write_all(b"{\"result\": [[\"mining.notify\", \"1\"]]}\n").unwrap();
        question
    });
    let folder = Folder::new();
    let config = settings(&folder, "conf", &miner_settings("-", &[("stratum_check", "true")]));
    folder.replay("in", &mining("127.0.0.1", port, false));
    assert_eq!(folder.pass("miner_detector", "in", "out", &["-u", &config]), 0);
    assert!(serves.join().unwrap().contains("mining.subscribe"));
    let alert = format!("127.0.0.1,10.0.0.9,2023-01-02T10:15:00.000000,2023-01-02T10:24:09.000000,20,{port}");
    assert_eq!(alerts(&folder, "out"), [alert]);
    // A server that is none, here one that is not there, is nobody's pool.
    folder.replay("in", &mining("127.0.0.1", free_port(), false));
    assert_eq!(folder.pass("miner_detector", "in", "none", &["-u", &config]), 0);
    assert!(alerts(&folder, "none").is_empty());
}

/// What the originals wrote for the golden scenarios that the acceptance script leaves out, or holds against a mistake.
#[test]
fn golden_scenarios_of_miners_and_ports() {
    let Some(base) = fixtures("../spec/scenarios") else { return };
    let folder = Folder::new();
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    let rows = |text: String| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    // Paths of lists are relative to the scenarios.
    let list = base.join("miner_blacklist.txt");
    let config = read(&base.join("miner_config.xml")).replace("miner_blacklist.txt", list.to_str().unwrap());
    let config = folder.write("miner.xml", &config);
    for (name, golden) in [("miner_pos", "miner_pos"), ("miner_neg", "miner_neg"), ("miner_superset", "miner_pos")] {
        folder.replay("in", &read(&base.join(format!("{name}.csv"))));
        assert_eq!(folder.pass("miner_detector", "in", "out", &["-u", &config]), 0);
        assert_eq!(alerts(&folder, "out"), rows(read(&base.join(format!("golden/{golden}.csv")))), "{name}");
    }
    folder.replay("in", &read(&base.join("ipblacklist_ports.csv")));
    let file = |name: &str| base.join(name).to_str().unwrap().to_owned();
    let (config, v4, v6) = (file("blacklist_ip_conf.xml"), file("blacklist_ip4.blist"), file("blacklist_ip6.blist"));
    assert_eq!(folder.pass("ipblacklistfilter", "in", "out", &["-c", &config, "-4", &v4, "-6", &v6]), 0);
    // The field of the other side is that of the alert before in the original.
    let golden: Vec<_> = rows(read(&base.join("golden/ipblacklist_ports_errno0.csv")))
        .into_iter()
        .map(|row| row.replace(",8,9,", ",0,9,"))
        .collect();
    assert_eq!(alerts(&folder, "out"), golden);
}
