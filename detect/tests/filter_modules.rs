//! traffic_repeater, unirecfilter, merger, agg and biflow_aggregator over files and sockets, with data written here.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{input, module, output};
use detect::modules::{self, merger, unirecfilter};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;
use trap::{Event, Format, Input, Output, Place, Sent};

/// A folder with TRAP files.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn spec(&self, name: &str) -> String {
        format!("f:{}", self.path(name))
    }

    /// A TRAP file of these rows.
    fn input(&self, name: &str, csv: &str) -> String {
        let from = self.path("rows.csv");
        fs::write(&from, csv).unwrap();
        assert_eq!(module("logreplay", &["-i", &self.spec(name), "-f", &from, "-d"]), 0);
        self.spec(name)
    }

    /// What logger prints of a TRAP file; nothing if it is empty.
    fn rows(&self, name: &str) -> String {
        if fs::metadata(self.path(name)).is_ok_and(|file| file.len() == 0) {
            return String::new();
        }
        let to = self.path("printed.csv");
        module("logger", &["-i", &self.spec(name), "-t", "-w", &to]);
        fs::read_to_string(to).unwrap()
    }

    /// Runs a module on rows and answers its rows.
    fn run(&self, name: &str, csv: &str, args: &[&str]) -> (u8, String) {
        let interfaces = format!("{},{}", self.input("in", csv), self.spec("out"));
        let code = module(name, &[&["-i", &interfaces], args].concat());
        (code, self.rows("out"))
    }
}

fn run(name: &str, csv: &str, args: &[&str]) -> String {
    let (code, rows) = Bench::new().run(name, csv, args);
    assert_eq!(code, 0, "{name} {args:?}");
    rows
}

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL,string NAME\n\
    10.0.0.2,10.0.0.1,100,2020-01-01T00:00:00.000000,2020-01-01T00:00:02.000000,2,53,1000,17,\"a\"\n\
    10.0.0.1,10.0.0.2,300,2020-01-01T00:00:01.000000,2020-01-01T00:00:03.000000,3,1000,53,17,\"\"\n\
    2001:db8::1,10.0.0.1,70,2020-01-01T00:00:05.000000,2020-01-01T00:00:30.000000,1,443,2000,6,\"b\"\n";

#[test]
fn a_repeater_changes_nothing() {
    assert_eq!(run("traffic_repeater", FLOWS, &[]), FLOWS);
    assert_eq!(run("traffic_repeater", FLOWS, &["-n", "--unknown", "-x"]), FLOWS);
    assert_eq!(module("traffic_repeater", &["-i", "u:a"]), 1);
}

#[test]
fn a_filter_selects_and_reshapes() {
    let body =
        |rows: String| rows.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(body(run("unirecfilter", FLOWS, &["-F", "PROTOCOL == UDP && BYTES > 200"])), ["\"\""]);
    assert_eq!(run("unirecfilter", FLOWS, &["-F", ""]), FLOWS);
    assert_eq!(body(run("unirecfilter", FLOWS, &["-F", "port == 53", "-c", "1"])), ["\"a\""]);
    assert_eq!(body(run("unirecfilter", FLOWS, &["-n", "-F", "NOPE == 1 or NAME =~ '^b'"])), ["\"b\""]);
    let rows = run(
        "unirecfilter",
        FLOWS,
        &["-F", "host == 10.0.0.2", "-O", "uint16 X=7,string NAME,string T=\"x, y\",uint8 PROTOCOL"],
    );
    assert_eq!(rows, "uint16 X,uint8 PROTOCOL,string NAME,string T\n7,17,\"a\",\"x, y\"\n7,17,\"\",\"x, y\"\n");
}

#[test]
fn a_filter_cuts_long_values() {
    let csv = format!("uint8 A,string S\n1,\"{}\"\n", "x".repeat(2000));
    assert_eq!(run("unirecfilter", &csv, &[]).lines().nth(1).unwrap().len(), 1024 + 4);
}

#[test]
fn a_file_serves_several_outputs() {
    let bench = Bench::new();
    let (input, config) = (bench.input("in", FLOWS), bench.path("filters"));
    let spec = format!("{input},{},{}", bench.spec("a"), bench.spec("b"));
    fs::write(&config, "# two\nuint64 BYTES:PROTOCOL == 6;\n:\nBYTES < 200;").unwrap();
    assert_eq!(module("unirecfilter", &["-i", &spec, "-f", &config]), 0);
    assert_eq!(bench.rows("a"), "uint64 BYTES\n70\n");
    assert_eq!(bench.rows("b").lines().count(), 3);
    for (code, text, args) in [
        (8, ":;", &["-f", &config][..]),
        (7, ":A == 1", &["-f", &config]),
        (7, "", &["-f", "/nonexist/x"]),
        (254, "uint9 A:;:;", &["-f", &config]),
        (254, "uint8 BYTES:;:;", &["-f", &config]),
        (0, ":BYTES ==;:;", &["-f", &config]),
        (1, "", &[]),
        (6, "", &["-f", &config, "-F", "true"]),
        (1, "", &["-f", &config, "-c", "0"]),
        (1, "", &["-z"]),
    ] {
        fs::write(&config, text).unwrap();
        assert_eq!(module("unirecfilter", &[&["-i", &spec], args].concat()), code, "{text} {args:?}");
    }
    assert_eq!(module("unirecfilter", &["-i", &input]), 1);
    assert_eq!(module("unirecfilter", &["-h"]), 0);
}

#[test]
fn a_stream_without_records_ends_further_on() {
    for (name, args) in [("traffic_repeater", &[][..]), ("unirecfilter", &["-F", "A == 1"])] {
        // Printing it again shows that the file has a format and an end.
        let rows = run(name, "uint8 A,uint8 B\n", args);
        assert_eq!(rows, "uint8 A,uint8 B\n", "{name}");
        let bench = Bench::new();
        let interfaces = format!("{},{}", bench.input("in", "uint8 A,uint8 B\n"), bench.spec("out"));
        assert_eq!(module(name, &[&["-i", &interfaces], args].concat()), 0);
        assert!(fs::read(bench.path("out")).unwrap().windows(15).any(|w| w == b"uint8 A,uint8 B"), "{name}");
    }
}

fn send(sender: &mut Output, record: &[u8]) {
    assert_eq!(sender.send(record), Sent::Sent);
    sender.flush().unwrap();
}

/// The next record.
fn next(receiver: &mut Input) -> Vec<u8> {
    match receiver.recv().unwrap() {
        Event::Message(record) | Event::FormatChanged { first: record, .. } => record.to_vec(),
        other => panic!("no record but {other:?}"),
    }
}

#[test]
fn a_reload_takes_the_new_filter_and_a_bad_one_ends_it() {
    let bench = Bench::new();
    let config = bench.path("filters");
    fs::write(&config, ":A == 1;").unwrap();
    let place = Place::with_socket_dir(bench.folder.path());
    let mut sender = output("u:x", &place);
    sender.set_format(Format::UniRec("uint16 A".into())).unwrap();
    let mut receiver = input("u:y", &place);
    receiver.require(Format::UniRec(String::new()));
    let settings = unirecfilter::Settings { file: Some(config.clone().into()), ..Default::default() };
    let reload = Arc::new(AtomicBool::new(false));
    let filtering = {
        let (place, reload) = (place.clone(), Arc::clone(&reload));
        thread::spawn(move || {
            // A record goes out only when the module waits for the next one: who has it knows that a reload is yet to be seen.
            let (mut from, mut to) = (input("u:x", &place), vec![output("u:y:autoflush=off", &place)]);
            unirecfilter::run(&mut from, &mut to, &["x".into()], &settings, &reload).is_err()
        })
    };
    let mut pass = |values: &[u16]| {
        values.iter().for_each(|value| send(&mut sender, &value.to_le_bytes()));
        let passed = next(&mut receiver);
        u16::from_le_bytes([passed[0], passed[1]])
    };
    assert_eq!(pass(&[2, 1]), 1);
    fs::write(&config, ":A == 2;").unwrap();
    reload.store(true, Ordering::Relaxed);
    // This one still meets the old filter, as in the original: reading comes at the next record.
    assert_eq!(pass(&[1]), 1);
    assert_eq!(pass(&[1, 2]), 2);
    fs::write(&config, ":A == ;").unwrap();
    reload.store(true, Ordering::Relaxed);
    send(&mut sender, &[7, 0]);
    assert!(filtering.join().unwrap());
}

#[test]
fn a_merger_joins_templates() {
    let bench = Bench::new();
    let a = bench.input("a", "uint16 A,string S\n1,\"x\"\n2,\"y\"\n");
    let b = bench.input("b", "uint16 A,uint8 B\n3,4\n");
    // Without a record, but with a field of its own.
    let c = bench.input("c", "uint16 A,char C\n");
    let sorted = |rows: String| {
        let mut lines: Vec<_> = rows.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines.join(";")
    };
    let spec = format!("{a},{b},{c},{}", bench.spec("out"));
    assert_eq!(module("merger", &["-i", &spec]), 0);
    assert_eq!(sorted(bench.rows("out")), "uint16 A,uint8 B,char C,string S;1,0,\0,\"x\";2,0,\0,\"y\";3,4,\0,\"\"");
    assert_eq!(module("merger", &["-i", &spec, "-I", "-n", "-u", "uint8 B,int32 N"]), 0);
    assert_eq!(sorted(bench.rows("out")), "int32 N,uint8 B;0,0;0,0;0,4");
    for (code, args) in [(1, &["-x"][..]), (254, &["-u", "uint9 A"])] {
        assert_eq!(module("merger", &[&["-i", &spec], args].concat()), code);
    }
    let wrong = bench.input("d", "uint8 A,uint8 B\n1,2\n");
    assert_eq!(module("merger", &["-i", &format!("{a},{wrong},{}", bench.spec("out"))]), 1);
}

#[test]
fn a_merger_reads_a_sender_that_waits_at_one_output_while_the_other_has_nothing() {
    const RECORDS: u16 = 30_000;
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    // Far more than an output holds for a client that does not read.
    let sending = thread::spawn({
        let place = place.clone();
        move || {
            let mut outputs = ["u:one:timeout=WAIT", "u:two:timeout=WAIT"].map(|spec| output(spec, &place));
            for (output, spec) in outputs.iter_mut().zip(["uint16 A,string S", "uint16 A,uint8 B"]) {
                output.set_format(Format::UniRec(spec.into())).unwrap();
            }
            let text = [b'x'; 1000];
            for number in 0..RECORDS {
                let record = [&number.to_le_bytes()[..], &[0, 0, 0xe8, 3], &text].concat();
                assert_eq!(outputs[0].send(&record), Sent::Sent);
            }
            assert_eq!(outputs[1].send(&[7, 0, 1]), Sent::Sent);
            for output in &mut outputs {
                let _: Sent = output.send_eof();
                output.finish().unwrap();
            }
        }
    });
    let merging = thread::spawn({
        let place = place.clone();
        move || {
            let mut inputs = ["u:one", "u:two"].map(|spec| input(spec, &place));
            let mut out = output("u:out:timeout=WAIT", &place);
            let merged = merger::run(&mut inputs, &mut out, &merger::Settings::default()).unwrap();
            out.finish().unwrap();
            merged.sent
        }
    });
    let mut reader = input("u:out", &place);
    reader.require(Format::UniRec(String::new()));
    let (mut records, mut formats) = (0, Vec::new());
    loop {
        match reader.recv().unwrap() {
            Event::FormatChanged { format, .. } => {
                formats.push(format.spec().to_owned());
                records += 1;
            }
            Event::Message(_) => records += 1,
            Event::EndOfStream | Event::Terminated => break,
            Event::Timeout => {}
        }
    }
    assert_eq!((records, formats), (u32::from(RECORDS) + 1, vec!["uint16 A,uint8 B,string S".to_owned()]));
    sending.join().unwrap();
    assert_eq!(merging.join().unwrap(), u64::from(RECORDS) + 1);
}

#[test]
fn sums_and_extremes_of_groups() {
    let args = ["-k", "PROTOCOL", "-s", "BYTES", "-M", "PACKETS", "-F", "NAME", "-l", "SRC_PORT", "-t", "A:100"];
    let rows = run("agg", FLOWS, &args);
    let mut lines: Vec<_> = rows.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 COUNT,uint32 PACKETS,uint16 SRC_PORT,uint8 PROTOCOL,string NAME",
            "400,2020-01-01T00:00:00.000000,2020-01-01T00:00:03.000000,2,3,53,17,\"a\"",
            "70,2020-01-01T00:00:05.000000,2020-01-01T00:00:30.000000,1,1,2000,6,\"b\"",
        ]
    );
    let average = run("agg", FLOWS, &["-a", "BYTES", "-t", "100"]);
    assert!(average.lines().nth(1).unwrap().starts_with("156,2020-01-01T00:00:00.000000,2020-01-01T00:00:30.000000,3"));
    // The third record begins more than 2 s after the first one.
    assert_eq!(run("agg", FLOWS, &["-s", "BYTES", "-t", "A:2"]).lines().count(), 3);
    assert_eq!(Bench::new().run("agg", FLOWS, &["-s", "NOPE"]).0, 1);
    assert_eq!(Bench::new().run("agg", FLOWS, &["-s", "BYTES", "-s", "BYTES", "-m", "TIME_LAST"]).0, 0);
}

#[test]
fn silent_groups_go_out_by_the_wall_clock() {
    let bench = Bench::new();
    let place = Place::with_socket_dir(bench.folder.path());
    let mut sender = output("u:x", &place);
    let template = record::unirec::Template::parse("time TIME_FIRST,time TIME_LAST,uint8 A").unwrap();
    sender.set_format(Format::UniRec(template.spec())).unwrap();
    let settings = modules::agg::Settings::parse(&["-k", "A", "-t", "G:1"].map(String::from)).unwrap();
    let mut receiver = input("u:y", &place);
    receiver.require(Format::UniRec(String::new()));
    let running = thread::spawn(move || {
        let (mut from, mut to) = (input("u:x", &place), output("u:y", &place));
        modules::agg::run(&mut from, &mut to, &settings).unwrap();
    });
    for _ in 0..2 {
        // A group for each record, because it comes before the next one is sent.
        send(&mut sender, &[&[0; 16][..], &[1]].concat());
        assert_eq!(next(&mut receiver).last(), Some(&1));
    }
    let _: Sent = sender.send_eof();
    assert_eq!(receiver.recv().unwrap(), Event::EndOfStream);
    running.join().unwrap();
}

const XML: &str = "<aggregator><id name='sum'><field><name>PACKETS</name><type>SUM</type></field></id>\
    <id name='text'><field><name>S</name><type>APPEND</type><delimiter>:</delimiter><size>10</size></field>\
    <field><name>V</name><type>SORTED_MERGE</type><sort_key>K</sort_key><sort_type>ASCENDING</sort_type><size>10</size></field>\
    <field><name>U</name><type>UNIQUE_COUNT</type><size>10</size></field></id>\
    <id name='biflow'><field><name>SRC_IP</name><type>KEY</type><reverse_name>DST_IP</reverse_name></field>\
    <field><name>DST_IP</name><type>KEY</type><reverse_name>SRC_IP</reverse_name></field>\
    <field><name>SRC_PORT</name><type>KEY</type><reverse_name>DST_PORT</reverse_name></field>\
    <field><name>DST_PORT</name><type>KEY</type><reverse_name>SRC_PORT</reverse_name></field>\
    <field><name>PROTOCOL</name><type>KEY</type></field><field><name>PACKETS</name><type>SUM</type></field></id>\
    <id name='bad'><field><name>NAME</name><type>SUM</type></field></id>\
    <id name='nope'><field><name>NOPE</name><type>SUM</type></field></id></aggregator>";

fn biflow(csv: &str, section: &str, args: &[&str]) -> (u8, String) {
    let bench = Bench::new();
    let config = bench.path("config.xml");
    fs::write(&config, XML).unwrap();
    bench.run("biflow_aggregator", csv, &[&["-c", &config, "-n", section, "-e"], args].concat())
}

/// The vectors of the original's tests (spec/modules.md section 15): first and last second, packets.
fn seconds(rows: &[(u32, u32, u32)]) -> String {
    let row = |(first, last, packets): &(u32, u32, u32)| {
        format!("2016-10-28T17:00:{first:02}.000000,2016-10-28T17:00:{last:02}.000000,{packets}\n")
    };
    format!("time TIME_FIRST,time TIME_LAST,uint32 PACKETS\n{}", rows.iter().map(row).collect::<String>())
}

#[test]
fn timeouts_of_flows() {
    let two = [(1, 7, 1), (3, 11, 666)];
    let five = [(1, 7, 1), (3, 11, 666), (13, 17, 10), (21, 23, 17), (26, 51, 53)];
    let result = |input: &[(u32, u32, u32)], args: &[&str]| -> Vec<String> {
        let (code, rows) = biflow(&seconds(input), "sum", args);
        assert_eq!(code, 0);
        let short = |line: &str| line.replace("2016-10-28T17:00:", "").replace(".000000", "");
        rows.lines().skip(1).map(short).collect()
    };
    for args in [&["-g", "0"], &["-g", "5r"]] {
        assert_eq!(result(&two, args), ["01,11,2,667"]);
    }
    assert_eq!(result(&two, &["-g", "5a"]), ["01,07,1,1", "03,11,1,666"]);
    assert_eq!(result(&five, &[]), ["01,23,4,694", "26,51,1,53"]);
    assert_eq!(result(&five, &["-g", "5r"]), ["01,11,2,667", "13,17,1,10", "21,23,1,17", "26,51,1,53"]);
    assert_eq!(result(&five, &["-g", "5absolute"]).len(), 5);
}

#[test]
fn texts_sorted_arrays_and_distinct_values() {
    let csv = "time TIME_FIRST,time TIME_LAST,uint32 COUNT,uint16 U,string S,int8* K,uint8* V\n\
        2016-10-28T17:00:01,2016-10-28T17:00:02,2,7,\"test1\",[3|2|1],[1|2|3]\n\
        2016-10-28T17:00:01,2016-10-28T17:00:02,1,666,\"test2\",[8|7|6],[6|5|4]\n\
        2016-10-28T17:00:01,2016-10-28T17:00:02,1,666,\"\",[],[]\n";
    let (code, rows) = biflow(csv, "text", &[]);
    assert_eq!(code, 0);
    let line = rows.lines().nth(1).unwrap();
    assert_eq!(&line[54..], "4,2,\"test1::\",[3|2|1|4|5|6]");
}

#[test]
fn both_directions_are_one_flow() {
    let (code, rows) = biflow(FLOWS, "biflow", &[]);
    assert_eq!(code, 0);
    let mut lines: Vec<_> = rows.lines().skip(1).collect();
    lines.sort_unstable();
    assert_eq!(lines[0], "10.0.0.2,10.0.0.1,2020-01-01T00:00:00.000000,2020-01-01T00:00:03.000000,2,5,53,1000,17");
    assert_eq!(lines.len(), 2);
}

#[test]
fn what_biflow_aggregator_refuses() {
    for (code, section, args) in [
        (1, "missing", &[][..]),
        (1, "bad", &[]),
        (0, "nope", &[]),
        (1, "sum", &["-a", "5", "-p", "6"]),
        (1, "sum", &["-g", "5x"]),
        (1, "sum", &["-s", "40"]),
        (1, "sum", &["-n", ""]),
        (0, "sum", &["-s", "1", "-a", "5", "-p", "5"]),
    ] {
        assert_eq!(biflow(FLOWS, section, args).0, code, "{section} {args:?}");
    }
}

#[test]
fn a_full_cache_sends_others_and_loses_nothing() {
    let mut csv = String::from(
        "ipaddr DST_IP,ipaddr SRC_IP,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL\n",
    );
    for n in 0..2_000 {
        let end = n % 97;
        csv.push_str(&format!("10.0.0.{end},10.1.0.{end},2016-10-28T17:00:01,2016-10-28T17:00:02,1,1,2,6\n"));
    }
    let (code, rows) = biflow(&csv, "biflow", &["-s", "2"]);
    let packets = rows.lines().skip(1).map(|l| l.split(',').nth(5).unwrap().parse::<u32>().unwrap()).sum::<u32>();
    assert_eq!((code, packets), (0, 2_000));
}
