//! Modules that change records, count them or take them elsewhere, from CSV to CSV over files.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, fixtures, module};
use detect::modules::topn;
use detect::stream::Reader;
use std::fs;
use std::path::Path;
use std::process::Command;
use trap::{Input, InputDefaults, Place, Spec};

const SIP: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint16 SRC_PORT,string A,string SIP_CALL_ID,string SIP_VIA\n\
    10.0.0.1,2001:db8::1,443,\"10.0.0.1\",\"x@10.0.0.1:5060\",\"none\"\n\
    10.0.0.2,10.0.1.1,53,\"\",\"[2001:db8::1]\",\"SIP/2.0/UDP 999.1.1.1\"\n";

#[test]
fn addresses_become_pseudonyms_and_come_back() {
    for (args, changed) in [
        (&["-k", "abcdefghijklmnopqrstuvwxyz012345"][..], [true, true]),
        (&["--murmur"], [true, true]),
        (&["-D"], [false, true]),
        (&["-S", "-D", "-k", "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"], [false, false]),
    ] {
        let folder = Folder::new();
        folder.replay("in", SIP);
        assert_eq!(folder.pass("anonymizer", "in", "out", args), 0);
        let text = folder.log("out");
        let row: Vec<_> = text.lines().nth(1).unwrap().split(',').collect();
        assert_eq!([row[0] != "10.0.0.1", row[1] != "2001:db8::1"], changed, "{text}");
        // A field of another name is left alone, and a text changes around its address only.
        assert_eq!((row[2], row[3], row[5]), ("443", "\"10.0.0.1\"", "\"none\""));
        assert!(row[4].starts_with("\"x@") && row[4].ends_with(":5060\"") && row[4] != "\"x@10.0.0.1:5060\"", "{text}");
        assert!(text.contains("SIP/2.0/UDP 999.1.1.1"));
        assert_eq!(folder.pass("anonymizer", "out", "back", &[args, &["-d"]].concat()), 0);
        assert_eq!(folder.log("back"), SIP);
    }
    let folder = Folder::new();
    folder.replay("in", "uint16 PORT\n443\n");
    let key = folder.write("key", "too short");
    for (args, code) in
        [(&[][..], 0), (&["-x"], 1), (&["-k", "short"], 3), (&["-f", &key], 2), (&["-f", "/nonexist/x"], 2)]
    {
        assert_eq!(folder.pass("anonymizer", "in", "out", args), code, "{args:?}");
    }
}

#[test]
fn networks_are_tagged() {
    let csv = "ipaddr DST_IP,ipaddr SRC_IP,uint32 A,string S\n\
        10.0.0.1,192.0.2.1,1,\"x\"\n10.0.0.1,8.8.8.8,2,\"\"\n8.8.8.8,192.0.2.9,3,\"\"\n8.8.8.8,8.8.4.4,4,\"\"\n";
    let folder = Folder::new();
    folder.replay("in", csv);
    let config = folder.write("c", r#"[{"id": 7, "ip_prefix": "192.0.2.0/24"}, {"id": 9, "ip_prefix": "10.0.0.0/8"}]"#);
    for (args, rows) in [
        (&[][..], "1 7 0|2 9 0|3 7 0"),
        (&["-d"], "1 9 0|2 9 0"),
        (&["-s"], "1 7 0|3 7 0"),
        (&["-b"], "1 7 9|2 0 9|3 7 0"),
    ] {
        assert_eq!(folder.pass("prefix_tags", "in", "out", &[&["-c", &config], args].concat()), 0);
        let text = folder.log("out");
        let header = "ipaddr DST_IP,ipaddr SRC_IP,uint32 A,uint32 PREFIX_TAG,uint32 PREFIX_TAG_DST,string S";
        assert_eq!(text.lines().next(), Some(header));
        let tags = text.lines().skip(1).map(|row| row.split(',').skip(2).take(3).collect::<Vec<_>>().join(" "));
        assert_eq!(tags.collect::<Vec<_>>().join("|"), rows, "{args:?}");
    }
    let bad = folder.write("bad", "{}");
    for args in [&[][..], &["-c", &bad], &["-c", "/nonexist/x"], &["-x"]] {
        assert_eq!(folder.pass("prefix_tags", "in", "out", args), 255, "{args:?}");
    }
    folder.replay("without", "uint32 A\n1\n");
    assert_eq!(folder.pass("prefix_tags", "without", "out", &["-c", &config]), 254);
}

#[test]
fn byte_order_turned_twice_is_as_before() {
    let csv = "ipaddr I,double D,int64 L,time T,macaddr M,float F,uint32 U,uint16 P,uint8 B,char C,string S,bytes X,uint16* W\n\
        10.0.0.1,0.500000,-2,2018-06-27T16:52:54.123456,00:01:02:03:04:05,1.250000,16909060,258,7,x,\"text\",00ff,[1|2]\n";
    let folder = Folder::new();
    folder.replay("in", csv);
    assert_eq!(folder.pass("endiverter", "in", "out", &[]), 0);
    let turned = folder.log("out");
    assert!(turned.contains("10.0.0.1,") && turned.contains(",67305985,513,7,x,\"\",,[1|2]"), "{turned}");
    // The module itself takes no records whose texts lie outside, so a second one reads without texts.
    folder.replay("numbers", "uint32 U,int16 P\n16909060,258\n");
    assert_eq!(folder.pass("endiverter", "numbers", "once", &["-n"]), 0);
    assert_eq!(folder.pass("endiverter", "once", "twice", &["--no_eof"]), 0);
    assert_eq!(folder.log("twice"), "uint32 U,int16 P\n16909060,258\n");
    assert_eq!(folder.pass("endiverter", "numbers", "x", &["-q"]), 1);
}

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TOS,uint8 TTL\n\
    10.0.0.1,192.0.2.1,1000,1,2018-06-27T16:52:54.123000,2018-06-27T16:52:55.000000,10,443,50000,0,6,27,8,0\n\
    10.0.0.2,192.0.2.1,70,1,2018-06-27T16:52:54.500000,2018-06-27T16:52:54.500000,1,53,50001,0,17,0,0,0\n\
    2001:db8::2,2001:db8::1,500,1,2018-06-27T16:52:53.000000,2018-06-27T16:52:56.001000,5,443,50002,0,6,2,0,0\n";

#[test]
fn tables_of_the_top() {
    let folder = Folder::new();
    folder.replay("in", FLOWS);
    let spec = Spec::parse(&folder.ifc("in")).unwrap();
    let mut input = Input::open_at(&spec[0], &InputDefaults::default(), &Place::default()).unwrap();
    let args: Vec<_> = "-n 2 -l 60 -p 443 -m 16,32".split(' ').map(String::from).collect();
    let settings = topn::Settings::parse(&args).unwrap();
    let fields =
        "uint32 PACKETS,uint64 BYTES,ipaddr SRC_IP,ipaddr DST_IP,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL";
    let mut out = Vec::new();
    topn::run(&mut Reader::new(&mut input, fields).unwrap(), &settings, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (clock, tables) = text.split_once("\n\n").unwrap();
    assert!(clock.starts_with("\n===================\n2") && clock.ends_with("\n==================="), "{clock}");
    let mut expected = String::new();
    let mut table = |title: &str, head: &str, rows: &[&str]| {
        expected.push_str(&format!("Top {title}\n------------------------------------\n{head}\n"));
        rows.iter().zip(1..).for_each(|(row, n)| expected.push_str(&format!("{n}\t{row}\n")));
        expected.push('\n');
    };
    let flow = "N | Src ip | Dst ip | Src port | Dst port | Protocol |";
    let web = "192.0.2.1\t10.0.0.1\t50000\t443\t6";
    let web6 = "2001:db8::1\t2001:db8::2\t50002\t443\t6";
    for by in ["", " by port 443"] {
        let row = |count| [format!("{web}\t{}", 10 * count), format!("{web6}\t{}", 5 * count)];
        let [bytes, packets] = [row(100), row(1)];
        table(&format!("flows based on transferred bytes{by}"), &format!("{flow} Bytes"), &[&bytes[0], &bytes[1]]);
        table(
            &format!("flows based on transferred packets{by}"),
            &format!("{flow} Packets"),
            &[&packets[0], &packets[1]],
        );
    }
    table("ports based on transferred flows", "N\tPort\tFlows", &["443\t2", "53\t1"]);
    table("ports based on transferred packets", "N\tPort\tPackets", &["443\t15", "50000\t10"]);
    table("ports based on transferred bytes", "N\tPort\tBytes", &["443\t1500", "50000\t1000"]);
    let who = "who communicated the most with port 443";
    table(&format!("ports based on transferred flows {who}"), "N\tPort\tFlows", &["50000\t1", "50002\t1"]);
    table(&format!("ports based on transferred packets {who}"), "N\tPort\tPackets", &["50000\t10", "50002\t5"]);
    table(&format!("ports based on transferred bytes {who}"), "N\tPort\tBytes", &["50000\t1000", "50002\t500"]);
    table("IPs based on transferred flows", "N\tIP\t\tFlows", &["192.0.2.1\t2", "2001:db8::1\t1"]);
    assert!(tables.starts_with(&expected), "{tables}\n---\n{expected}");
    assert!(tables.contains("Top networks based on transferred bytes by port 443\n------------------------------------\nN\tIP\t\tBytes\n1\t192.0.0.0\t1000\n"));
    assert!(tables.contains("\n1\t2001:db8::\t500\n"));
    assert_eq!(module("topn", &["-i", &folder.ifc("in"), "-n", "1"]), 1);
    folder.replay("other", "uint16 A\n1\n");
    assert_eq!(module("topn", &["-i", &folder.ifc("other"), "-n", "1", "-l", "1"]), 0);
}

#[test]
fn flows_are_counted_and_told() {
    let folder = Folder::new();
    folder.replay("in", FLOWS);
    assert_eq!(module("flowcounter", &["-i", &folder.ifc("in"), "-p", "2"]), 0);
    let both = format!("{},{}", folder.ifc("in"), folder.ifc("out"));
    assert_eq!(module("flowcounter", &["-i", &both, "-o", "900", "-r"]), 0);
    assert_eq!(module("flowcounter", &["-i", &both]), 1);
    assert_eq!(module("flowcounter", &["-i", &folder.ifc("in"), "-o", "0"]), 1);
    assert_eq!(module("flowcounter", &["-i", &folder.ifc("in"), "-x"]), 3);
}

#[test]
fn what_mux_joins_demux_takes_apart() {
    let folder = Folder::new();
    folder.replay("a", FLOWS);
    folder.replay("b", SIP);
    let joined = format!("{},{},{}", folder.ifc("a"), folder.ifc("b"), folder.ifc("joined"));
    assert_eq!(module("mux", &["-i", &joined, "-n", "2"]), 0);
    let apart = format!("{},{},{}", folder.ifc("joined"), folder.ifc("x"), folder.ifc("y"));
    assert_eq!(module("demux", &["-i", &apart, "--link_count", "2"]), 0);
    assert_eq!((folder.log("x"), folder.log("y")), (FLOWS.into(), SIP.into()));
    for name in ["mux", "demux"] {
        for (args, code) in [
            (&["-i", &joined][..], 2),
            (&["-i", &joined, "-n", "3"], 2),
            (&["-i", &joined, "-n", "33"], 2),
            (&["-i", &joined, "-x"], 1),
            (&["-n", "2"], 1),
        ] {
            assert_eq!(module(name, args), code, "{name} {args:?}");
        }
    }
    assert_eq!(module("mux", &["-i", "f:/nonexist/x,f:/nonexist/y,b:", "-n", "2"]), 3);
    assert_eq!(module("demux", &["-i", "f:/nonexist/x,b:,b:", "-n", "2"]), 3);
}

/// What nfdump says of a file.
fn nfdump(args: &[&str]) -> String {
    let output = Command::new("nfdump").args(args).output().expect("nfdump is installed (deploy/setup.sh)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nfdump_reads_what_nfwriter_writes() {
    let folder = Folder::new();
    folder.replay("in", FLOWS);
    for compression in [&[][..], &["-l"], &["-b"]] {
        let file = folder.path("nfcapd");
        let _ = fs::remove_file(&file);
        for n in 1..=2 {
            let ifc = folder.ifc("in");
            assert_eq!(module("nfwriter", &[&["-i", &ifc, "-f", &file, "-a"], compression].concat()), 0);
            let sums = nfdump(&["-I", "-r", &file]);
            for (key, value) in [("Flows", 3), ("Packets", 16), ("Bytes", 1_570), ("Flows_tcp", 2), ("Bytes_udp", 70)] {
                assert!(sums.lines().any(|line| line == format!("{key}: {}", n * value)), "{compression:?}: {sums}");
            }
            assert!(sums.contains("First: 1530118373\n") && sums.contains("msec_last: 1\n"), "{sums}");
        }
        let rows = nfdump(&["-q", "-N", "-r", &file, "-o", "fmt:%sap %dap %pr %flg %tos %pkt %byt %eng %in"]);
        let row: Vec<_> = rows.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(row[..2], ["192.0.2.1:50000", "10.0.0.1:443"], "{rows}");
        assert_eq!(row[2], "6");
        assert_eq!(row[4..7], ["8", "10", "1000"], "{rows}");
        assert!(rows.contains("2001:db8::1.50002") && rows.contains("2001:db8::2.443"), "{rows}");
    }
    assert_eq!(module("nfwriter", &["-i", &folder.ifc("in")]), 1);
    assert_eq!(module("nfwriter", &["-i", &folder.ifc("in"), "-f", "/nonexist/x"]), 1);
    let other = folder.write("other", "text");
    assert_eq!(module("nfwriter", &["-i", &folder.ifc("in"), "-a", "-f", &other]), 1);
    assert!(Path::new(&other).exists());
}

#[test]
fn files_of_nfdump_become_records() {
    let folder = Folder::new();
    folder.replay("in", FLOWS);
    let file = folder.path("nfcapd");
    assert_eq!(module("nfwriter", &["-i", &folder.ifc("in"), "-f", &file, "-l"]), 0);
    // TOS is not read, as in the original; the rest is what was written.
    let without_tos = FLOWS.replace(",27,8,0\n", ",27,0,0\n");
    let read = |args: &[&str]| {
        let code = module("nfdump_reader", &[&["-i", &folder.ifc("out")], args].concat());
        (code, folder.log("out"))
    };
    assert_eq!(read(&[&file]), (0, without_tos.clone()));
    let rows = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let all = rows(&without_tos);
    assert_eq!(rows(&read(&["-c", "1", &file]).1), all[..1]);
    assert_eq!(rows(&read(&[&file, &file, "-c", "4", "-r", "100"]).1), [&all[..], &all[..1]].concat());
    assert_eq!(rows(&read(&["-f", "proto udp or inet6", &file, "-R"]).1), all[1..]);
    assert_eq!(rows(&read(&["-l", "c2", "-n", "-D", "-f", "proto udp", &file]).1)[0].split(',').nth(3), Some("194"));
    let now = read(&["-T", "-p", "1", "-f", "proto tcp and inet", &file]).1;
    let row = rows(&now).remove(0);
    let times: Vec<_> = row.split(',').skip(4).take(2).collect();
    assert!(times[0] > "2026" && times[0].ends_with(".123000") && times[1].ends_with(".000000"), "{row}");
    for (args, code) in [
        (&[][..], 2),
        (&["-c", "0", &file], 2),
        (&["-r", "99", &file], 2),
        (&["-r", "100", "-R", &file], 2),
        (&["-l", "xyz", &file], 2),
        (&["-x", &file], 2),
        (&["-f", "nonsense", &file], 3),
        (&["/nonexist/x"], 3),
        (&[&folder.path("in.csv")], 3),
    ] {
        assert_eq!(module("nfdump_reader", &[&["-i", "b:"], args].concat()), code, "{args:?}");
    }
    assert_eq!(module("nfdump_reader", &[&file]), 1);
    assert_eq!(module("nfdump_reader", &["-i", "f:/proc/nonexist/x", &file]), 4);
}

#[test]
fn flows_of_both_sides_of_a_router_are_paired() {
    let folder = Folder::new();
    let header =
        "ipaddr DST_IP,ipaddr SRC_IP,time TIME_FIRST,time TIME_LAST,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL";
    let at = "2020-01-01T00:00:0";
    folder
        .replay("lan", &format!("{header}\n8.8.8.8,192.168.0.5,{at}0,{at}1,443,50000,6\n::1,::2,{at}0,{at}0,1,2,6\n"));
    folder.replay("wan", &format!("{header}\n8.8.8.8,198.51.100.1,{at}0.001,{at}1.002,443,61000,6\n"));
    let ifcs = ["lan", "wan", "out"].map(|name| folder.ifc(name)).join(",");
    assert_eq!(module("natpair", &["-i", &ifcs, "-r", "198.51.100.1"]), 0);
    let header = "ipaddr LAN_IP,ipaddr RTR_IP,ipaddr WAN_IP,time TIME_FIRST,time TIME_LAST,uint16 LAN_PORT,uint16 RTR_PORT,\
                  uint16 WAN_PORT,uint8 DIRECTION,uint8 PROTOCOL";
    let row =
        "192.168.0.5,198.51.100.1,8.8.8.8,2020-01-01T00:00:00.000000,2020-01-01T00:00:01.002000,50000,61000,443,0,6";
    assert_eq!(folder.log("out"), format!("{header}\n{row}\n"));
    for args in [&[][..], &["-r", "::1"], &["-r", "1.2.3.4", "-c", "0"], &["-r", "1.2.3.4", "-s", "x"], &["-x"]] {
        assert_eq!(module("natpair", &[&["-i", &ifcs], args].concat()), 255, "{args:?}");
    }
}

#[test]
fn records_are_those_of_the_originals() {
    let Some(shared) = fixtures("modules") else { return };
    let config = shared.join("in/prefixes.json");
    let config = config.to_str().unwrap();
    let hex = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for (name, module, input, args) in [
        ("anon_01_default", "anonymizer", "small_split", &[][..]),
        ("anon_02_hexkey", "anonymizer", "small_split", &["-k", hex]),
        ("anon_04_murmur", "anonymizer", "small_split", &["-M"]),
        ("anon_05_sip", "anonymizer", "sip", &["-k", "abcdefghijklmnopqrstuvwxyz012345"]),
        ("anon_08_D", "anonymizer", "small_split", &["-D"]),
        ("prefix_default", "prefix_tags", "small_split", &["-c", config]),
        ("prefix_dst", "prefix_tags", "small_split", &["-c", config, "-d"]),
    ] {
        let folder = Folder::new();
        let ifcs = format!("f:{},{}", shared.join("in").join(format!("{input}.trapcap")).display(), folder.ifc("out"));
        assert_eq!(self::module(module, &[&["-i", &ifcs], args].concat()), 0);
        let expected = fs::read(shared.join("out").join(format!("{name}.csv"))).unwrap();
        assert!(folder.log("out").into_bytes() == expected, "{name}");
    }
}
