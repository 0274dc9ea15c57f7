//! link_traffic, proto_traffic and their Munin plugins, ipv6stats, pdns_exporter and flow_age_stats over files and unix sockets.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{PATIENCE, input, module, output, path, wait_for};
use detect::modules::munin::{Plugin, Source};
use detect::modules::{flow_age_stats, ipv6stats, link_traff2json, link_traffic, pdns_exporter, proto_traffic};
use flate2::read::GzDecoder;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use trap::{Format, Input, Place, Sent};

/// A TRAP file with the rows of a CSV text; answers its specifier.
fn trap_file(folder: &TempDir, csv: &str) -> String {
    let (text, trap) = (path(folder, "in.csv"), format!("f:{}", path(folder, "in.trap")));
    fs::write(&text, csv).unwrap();
    assert_eq!(module("logreplay", &["-i", &trap, "-f", &text]), 0);
    trap
}

/// Rows as messages.
fn records(csv: &str) -> (String, Vec<Vec<u8>>) {
    let (header, rows) = csv.split_once('\n').unwrap();
    let columns = record::unirec::csv::Columns::parse(header).unwrap();
    let mut reader = columns.rows();
    let messages = rows.lines().map(|line| {
        let mut out = Vec::new();
        reader.read(line.as_bytes(), &mut out).unwrap();
        out
    });
    (columns.template().spec(), messages.collect())
}

fn text_at(socket: &Path) -> Option<String> {
    let mut text = String::new();
    UnixStream::connect(socket).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Sends rows to a module in a thread, asks its socket until the text has `part`, then ends the stream.
fn counted(csv: &str, part: &str, run: impl FnOnce(&mut Input, &Path) + Send + 'static, look: impl FnOnce(&Path)) {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let socket = folder.path().join("munin");
    let counting = {
        let (place, socket) = (place.clone(), socket.clone());
        thread::spawn(move || run(&mut input("u:x", &place), &socket))
    };
    let (spec, messages) = records(csv);
    let mut sender = output("u:x", &place);
    sender.set_format(Format::UniRec(spec)).unwrap();
    for message in messages {
        assert_eq!(sender.send(&message), Sent::Sent);
    }
    sender.flush().unwrap();
    wait_for(part, || text_at(&socket).is_some_and(|text| text.contains(part)));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o666);
    // A client that reads nothing does not keep others from their text.
    let _silent = UnixStream::connect(&socket).unwrap();
    assert!(text_at(&socket).unwrap().contains(part));
    look(&socket);
    assert_eq!(sender.send_eof(), Sent::Sent);
    counting.join().unwrap();
    sender.finish().unwrap();
}

/// What the plugins ask, with a file that stays fresh for an hour.
fn source(socket: &Path) -> Source {
    Source { socket: socket.into(), cache: socket.with_extension("cache"), fresh: HOUR }
}

const HOUR: Duration = Duration::from_secs(3_600);

const LINKS: &str = "uint64 BYTES,uint64 LINK_BIT_FIELD,uint32 PACKETS,uint8 DIR_BIT_FIELD,uint8 MORE\n\
    100,1,10,0,0\n50,1,5,1,0\n7,4,4294967295,0,0\n7,4,3,0,0\n9,9,9,0,0\n9,1,9,2,0\n";

#[test]
fn links_are_counted_and_shown_to_munin() {
    let links = link_traffic::Links::parse("1,nix2,LINK_BIT_FIELD,99a0A9\n4,geant,LINK_BIT_FIELD,008000\n").unwrap();
    let known = links.clone();
    let look = move |socket: &Path| {
        let text = text_at(socket).unwrap();
        assert_eq!(
            text,
            "geant-in-bytes,geant-in-flows,geant-in-packets,geant-out-bytes,geant-out-flows,geant-out-packets,\
             nix2-in-bytes,nix2-in-flows,nix2-in-packets,nix2-out-bytes,nix2-out-flows,nix2-out-packets\n\
             14,2,2,0,0,0,100,1,10,50,1,5\n"
        );
        let source = source(socket);
        let answer = |kind, command| Plugin::LinkTraffic.answer(&source, kind, command).unwrap();
        assert_eq!(
            answer("bytes", ""),
            "geantin.value 14\ngeantout.value 0\nnix2in.value 100\nnix2out.value 50\nTotalin.value 114\nTotalout.value 50\n"
        );
        assert_eq!(fs::read_to_string(&source.cache).unwrap(), text);
        assert_eq!(
            (answer("x", "autoconf").as_str(), answer("x", "suggest").as_str()),
            ("yes\n", "packets\nflows\nbytes\n")
        );
        let config = answer("flows", "config");
        assert!(config.starts_with("graph_title Link traffic - flows\n"), "{config}");
        assert!(config.contains("graph_order geantin geantout nix2in nix2out Totalin Totalout\n"), "{config}");
        assert!(
            config.contains("nix2in.colour 99a0A9\n") && config.contains("geantout.negative geantin\n"),
            "{config}"
        );
        // The file answers while it is fresh, the socket when it is old.
        fs::write(&source.cache, "a-in-bytes\n5\n").unwrap();
        assert_eq!(answer("bytes", ""), "ain.value 5\nTotalin.value 5\nTotalout.value 0\n");
        let old = fs::File::options().write(true).open(&source.cache).unwrap();
        old.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
        assert!(answer("bytes", "").starts_with("geantin.value 14\n"));
        fs::write(&source.cache, text.replace("100,1,10", "90,0,10")).unwrap();
        let mut json = String::new();
        link_traff2json::json(&known, &source, SystemTime::now()).unwrap().dump(&mut json);
        let nix2 = r#""1": {"link": "1", "link name": "nix2", "bytes in": 10, "flows in": 1, "packets in": 0, "bytes out": 0,"#;
        assert!(json.contains(nix2) && json.contains("\"interval_sec\": 300"), "{json}");
        let unknown = link_traffic::Links::parse("1,other").unwrap();
        assert!(link_traff2json::json(&unknown, &source, SystemTime::now()).is_err());
    };
    counted(
        LINKS,
        "14,2,2,0,0,0,100,1,10,50",
        |input, socket| link_traffic::run(input, links, false, socket).unwrap(),
        look,
    );
}

#[test]
fn protocols_are_counted_and_shown_to_munin() {
    let csv = "uint64 BYTES,uint32 PACKETS,uint8 PROTOCOL\n10,1,6\n20,2,6\n30,3,1\n40,4,132\n50,5,99\n60,6,17\n70,7,50\n80,8,47\n90,9,58\n";
    let look = |socket: &Path| {
        let text = text_at(socket).unwrap();
        let (names, values) = text.split_once('\n').unwrap();
        assert!(names.starts_with(
            "icmp-flows,tcp-flows,udp-flows,icmp6-flows,esp-flows,gre-flows,sctp-flows,others-flows,icmp-bytes"
        ));
        assert_eq!(values, "1,2,1,1,1,1,1,1,30,30,60,90,70,80,40,50,3,3,6,9,7,8,4,5\n");
        let source = source(socket);
        let answer = |kind, command| Plugin::ProtoTraffic.answer(&source, kind, command).unwrap();
        assert_eq!(
            answer("packets", ""),
            "esp.value 7\ngre.value 8\nicmp.value 3\nicmp6.value 9\nothers.value 5\nsctp.value 4\ntcp.value 3\nudp.value 6\n"
        );
        assert!(answer("bytes", "config").contains("tcp.label TCP\ntcp.type DERIVE\ntcp.draw AREASTACK\ntcp.min 0\n"));
    };
    counted(csv, ",50,3,3,6,9,", |input, socket| proto_traffic::run(input, socket).unwrap(), look);
    let folder = TempDir::new().unwrap();
    let trap = trap_file(&folder, csv);
    let mut file = input(&trap, &Place::default());
    assert!(proto_traffic::run(&mut file, Path::new("/nonexist/x")).unwrap_err().to_string().contains("Bind failed"));
    for (code, args) in
        [(1, &["link_traffic"][..]), (1, &["other", "bytes"]), (0, &["-h"]), (0, &["link_traffic", "x", "suggest"])]
    {
        assert_eq!(module("munin", args), code, "{args:?}");
    }
}

fn basic_rows(rows: &[(&str, &str, u32, u32, u8)]) -> String {
    let mut csv = String::from(
        "ipaddr SRC_IP,ipaddr DST_IP,time TIME_LAST,uint32 PACKETS,uint64 BYTES,uint8 IPV6_TUN_TYPE,uint64 LINK_BIT_FIELD,time TIME_FIRST,uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TOS,uint8 TTL\n",
    );
    for (src, time, packets, bytes, tunnel) in rows {
        csv +=
            &format!("{src},::,2020-01-01T00:{time},{packets},{bytes},{tunnel},0,2020-01-01T00:00:00,0,0,0,0,0,0,0\n");
    }
    csv
}

#[test]
fn ipv6_is_counted_by_windows() {
    let folder = TempDir::new().unwrap();
    let trap = trap_file(
        &folder,
        &basic_rows(&[
            ("10.0.0.1", "00:01", 10, 1000, 0),
            ("10.0.0.1", "00:02", 10, 1000, 1),
            ("10.0.0.2", "00:03", 1, 1000, 4),
            ("2001:db8:0:1::1", "00:04", 4, 100, 0),
            ("2001:db8:0:1::2", "00:05", 4, 100, 0),
            ("2001:db8:0:2::1", "00:06", 4, 100, 0),
            ("10.0.0.3", "00:10", 2, 5, 0),
        ]),
    );
    let prefix = path(&folder, "out_");
    assert_eq!(module("ipv6stats", &["-i", &trap, "-d", &prefix, "-s", "10", "-L", "3", "-p", "2", "-n"]), 0);
    let read = |name: &str| fs::read_to_string(format!("{prefix}{name}")).unwrap();
    let body = |name: &str| read(name).split_once("updated ").unwrap().0.to_owned();
    assert_eq!(body("cnt_addr"), "ipv4 1\nipv6 3\nipv6_48 1\nipv6_64 2\n");
    assert_eq!(body("traffic"), "ipv4 2.100 2400.000 0.300\nipv6 1.200 240.000 0.300\n");
    assert_eq!(
        body("ipv6_tunnels"),
        "Native 1.200 240.000 0.300\nTeredo 1.000 800.000 0.100\nISATAP 0.000 0.000 0.000\n6to4 0.100 800.000 0.100\n\
         AYIYA 0.000 0.000 0.000\nProto41 0.000 0.000 0.000\n6over4 0.000 0.000 0.000\n"
    );
    assert!(!Path::new(&format!("{prefix}cnt_addr_L")).exists(), "the long window has not ended, and -n was given");
    assert_eq!(read("traffic").lines().last().unwrap().len(), "updated 2020-01-01.00:00:00".len());
    assert_eq!(module("ipv6stats", &["-i", &trap, "-d", &prefix, "-s", "10", "-l", "30"]), 0);
    assert_eq!(body("cnt_addr"), "ipv4 1\nipv6 0\nipv6_48 0\nipv6_64 0\n");
    assert_eq!(body("cnt_addr_L"), "ipv4 3\nipv6 3\nipv6_48 1\nipv6_64 2\n");
    for args in [&["-s", "0"][..], &["-l", "x"], &["-L", "-1"], &["-q"]] {
        assert_eq!(module("ipv6stats", &[&["-i", &trap], args].concat()), 1, "{args:?}");
    }
}

#[test]
fn silence_is_written_twice_and_then_waited_out() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let prefix = path(&folder, "out_");
    let fifo = format!("{prefix}cnt_addr");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (said, texts) = mpsc::channel();
    thread::spawn(move || while said.send(fs::read_to_string(&fifo).unwrap()).is_ok() {});
    let settings =
        ipv6stats::Settings { prefix, short_secs: 1, silence: Duration::from_millis(300), ..Default::default() };
    let counting = {
        let place = place.clone();
        thread::spawn(move || ipv6stats::run(&mut input("u:x", &place), &settings).unwrap())
    };
    let (spec, messages) = records(&basic_rows(&[("10.0.0.1", "00:01", 10, 1000, 0)]));
    let mut sender = output("u:x", &Place::with_socket_dir(folder.path()));
    sender.set_format(Format::UniRec(spec)).unwrap();
    assert_eq!(sender.send(&messages[0]), Sent::Sent);
    sender.flush().unwrap();
    // Each flush waits for its reader, so none is missed.
    let mut all = String::new();
    let inactive = |all: &str| all.split_once("ipv4 1\n").map_or(0, |(_, rest)| rest.matches("INACTIVE\n").count());
    while inactive(&all) < 2 {
        all += &texts.recv_timeout(PATIENCE).expect("a flush, and one of zeros");
    }
    assert!(all.ends_with("INACTIVE\n") && all.rsplit_once("ipv4 1\n").unwrap().1.contains("ipv4 0\n"), "{all}");
    place.stop.request();
    counting.join().unwrap();
    while all.ends_with("INACTIVE\n") {
        all += &texts.recv_timeout(PATIENCE).expect("the last flush");
    }
}

const DNS: &str = "ipaddr DST_IP,uint32 PACKETS,uint16 DNS_ANSWERS,uint16 SRC_PORT,uint8 DNS_RCODE,uint16 DNS_QTYPE,bytes DNS_RDATA,string DNS_NAME,uint32 DNS_RR_TTL,time TIME_FIRST,time TIME_LAST\n";

#[test]
fn answers_of_dns_become_files() {
    let folder = TempDir::new().unwrap();
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let row = |packets, answers, port, rcode, qtype, rdata: &str| {
        format!(
            "::,{packets},{answers},{port},{rcode},{qtype},{},\"a.example\",60,2020-01-01T00:00:01.5,2020-01-01T00:00:02\n",
            hex(rdata)
        )
    };
    let csv = [
        DNS.to_owned(),
        row(1, 1, 53, 0, 1, "192.0.2.1"),
        row(1, 2, 53, 0, 28, "2001:db8::1"),
        row(1, 1, 53, 0, 5, "b.example"),
        // None of these is an answer with an address or name.
        row(2, 1, 53, 0, 1, "192.0.2.1"),
        row(1, 0, 53, 0, 1, "192.0.2.1"),
        row(1, 1, 5353, 0, 1, "192.0.2.1"),
        row(1, 1, 53, 3, 1, "192.0.2.1"),
        row(1, 1, 53, 0, 16, "text"),
        row(1, 1, 53, 0, 1, "no address"),
    ]
    .concat();
    let trap = trap_file(&folder, &csv);
    let (out, tmp) = (path(&folder, "out"), path(&folder, "tmp"));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&tmp).unwrap();
    assert_eq!(module("pdns_exporter", &["-i", &trap, "-t", "2", "-d", &out, "--tmp-dir", &tmp]), 0);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    let mut texts: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(name.starts_with("pdns_data_20") && name.ends_with(".json.gz"), "{name}");
            let mut text = String::new();
            GzDecoder::new(fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
            text
        })
        .collect();
    texts.sort();
    let object = |response: &str, kind: u8| {
        format!(
            "{{\"response\": \"{response}\", \"query\": \"a.example\", \"ttl\": 60, \"type\": {kind}, \
             \"time_first\": \"2020-01-01T00:00:01.500000\", \"time_last\": \"2020-01-01T00:00:02\"}}"
        )
    };
    let two = format!("[{}, {}]", object("192.0.2.1", 1), object("2001:db8::1", 28));
    assert_eq!(texts, [two, format!("[{}]", object("b.example", 5))]);
    for (code, args) in [
        (1, &["-t", "x"][..]),
        (1, &["-d", "/nonexist"]),
        (1, &["--tmp-dir", "/nonexist"]),
        (2, &["--tmp"]),
        (2, &["-x"]),
    ] {
        assert_eq!(module("pdns_exporter", &[&["-i", &trap], args].concat()), code, "{args:?}");
    }
    let settings = pdns_exporter::Settings { destination: "/nonexist".into(), tmp_dir: tmp.into(), threshold: 10 };
    let failed = pdns_exporter::run(&mut input(&trap, &Place::default()), &settings).unwrap_err().to_string();
    assert!(failed.contains("cannot store"), "{failed}");
    let trap = trap_file(&folder, "uint32 PACKETS\n1\n");
    let lacking = pdns_exporter::run(&mut input(&trap, &Place::default()), &pdns_exporter::Settings::default());
    assert!(lacking.unwrap_err().to_string().contains("DNS_ANSWERS"));
}

#[test]
fn ages_of_flows() {
    let folder = TempDir::new().unwrap();
    let trap = trap_file(
        &folder,
        "time TIME_FIRST,time TIME_LAST,uint8 X\n2020-01-01T00:00:00,2020-01-01T00:00:59,1\n2020-01-01T00:00:30,2020-01-01T00:01:01.5,1\n",
    );
    let mut stats = flow_age_stats::Stats::default();
    flow_age_stats::run(&mut input(&trap, &Place::default()), || 1_577_836_860, &mut stats).unwrap();
    let summary = stats.summary(0);
    for line in [
        "Number of flows processed: 2\n \n",
        "Minimal age of time_first: 30.00 s\nMaximal age of time_first: 60.00 s\nAverage age of time_first: 45.00 s\n",
        "Minimal age of time_last: 1.00 s\nMaximal age of time_last: 1.50 s\nAverage age of time_last: 1.25 s\n",
    ] {
        assert!(summary.contains(line), "{summary}");
    }
    stats.write_tables(folder.path()).unwrap();
    let first = fs::read_to_string(folder.path().join("time_first.txt")).unwrap();
    assert!(first.contains("\n30\t50.00%\t1\n") && first.contains("\n60\t50.00%\t1\n"), "{first}");
    assert!(fs::read_to_string(folder.path().join("time_last.txt")).unwrap().starts_with("1\t100.00%\t2\n"));
    assert_eq!(module("flow_age_stats", &["-i", &trap]), 0);
    assert_eq!(module("flow_age_stats", &["-i", &trap, "-x"]), 255);
}
