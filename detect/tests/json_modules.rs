//! json_dump, json_replay, unirec2json and debug_sender over files and sockets.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{PATIENCE, input, module, output, path, wait_for};
use detect::modules::{self, debug_sender, json_dump, json_replay, unirec2json};
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::net::TcpListener;
use std::thread;
use tempfile::TempDir;
use trap::{Event, Format, Place, Sent};

#[test]
fn what_is_replayed_is_dumped() {
    let folder = TempDir::new().unwrap();
    let (a, b, out) = (path(&folder, "a"), path(&folder, "b"), path(&folder, "out"));
    let trap = format!("f:{}", path(&folder, "trap"));
    fs::write(&a, "{\"a\":1,\"b\":[1.0,\"\u{e9}\"]}\n\nnot json\n7\r\n").unwrap();
    fs::write(&b, "[]").unwrap();
    assert_eq!(module("json_replay", &["-f", "x", "-i", &trap, &a, &b]), 0);
    assert_eq!(module("json_dump", &["--ifcspec", &trap, "-w", &out]), 0);
    let lines = "{\"a\": 1, \"b\": [1.0, \"\\u00e9\"]}\n7\n[]\n";
    assert_eq!(fs::read_to_string(&out).unwrap(), lines);
    assert_eq!(module("json_dump", &[&format!("-i{trap}"), "-a", &out, "--noflush", "--verbose"]), 0);
    assert_eq!(fs::read_to_string(&out).unwrap(), lines.repeat(2));
    assert_eq!(module("json_dump", &["-i", &trap, "-I", "1", "-w", &out]), 0);
    assert!(fs::read_to_string(&out).unwrap().starts_with("{\n \"a\": 1,\n \"b\": [\n  1.0,\n"));
    // Without the end of stream the file simply ends.
    assert_eq!(module("json_replay", &["-n", "-i", &trap, &b]), 0);
    assert_eq!(module("json_dump", &["-i", &trap, "-w", &out]), 0);
    assert_eq!(fs::read_to_string(&out).unwrap(), "[]\n");
}

#[test]
fn command_lines_that_are_refused() {
    let folder = TempDir::new().unwrap();
    let trap = format!("f:{}", path(&folder, "trap"));
    fs::write(path(&folder, "a"), "1\n").unwrap();
    assert_eq!(module("json_replay", &["-i", &trap, &path(&folder, "a")]), 0);
    for (code, name, args) in [
        (0, "json_dump", &["-h"][..]),
        (2, "json_dump", &[]),
        (2, "json_dump", &["-i", &trap, "-w", "x", "-a", "y"]),
        (2, "json_dump", &["-i", &trap, "word"]),
        (2, "json_dump", &["-i", &trap, "-I", "x"]),
        (1, "json_dump", &["-i", &trap, "-s", "host"]),
        (1, "json_dump", &["-i", &trap, "-s", "host:port"]),
        (1, "json_dump", &["-i", &trap, "-w", "/nonexist/x"]),
        (1, "json_dump", &["-i", &trap, "-w", "/dev/full"]),
        (2, "json_replay", &["-i", &trap, "/nonexist/x"]),
        (2, "json_replay", &["-i", &trap, "--no-such"]),
        (1, "json_replay", &["/nonexist/x"]),
        (2, "unirec2json", &["-i", &format!("{trap},b:"), "-x"]),
        (1, "unirec2json", &["-i", &format!("{trap},b:"), "-M", "/nonexist/x"]),
        (2, "debug_sender", &["-i", "b:"]),
        (2, "debug_sender", &["-i", "b:", "uint8 A", "uint8 B"]),
        (1, "debug_sender", &["-i", "b:", "uint9 A"]),
    ] {
        if name != "json_replay" {
            // A file for those that read it.
            module("json_replay", &["-i", &trap, &path(&folder, "a")]);
        }
        assert_eq!(module(name, args), code, "{name} {args:?}");
    }
}

#[test]
fn messages_go_over_tcp_and_survive_a_lost_connection() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stop = place.stop.clone();
    let dumping = {
        let place = place.clone();
        thread::spawn(move || {
            let target = json_dump::Target::Stream { host: "127.0.0.1".into(), port };
            let settings = json_dump::Settings { target, ..Default::default() };
            let mut sink = json_dump::Sink::open(&settings, &place.stop).unwrap().unwrap();
            json_dump::run(&mut input("u:x", &place), &settings, &mut sink).unwrap()
        })
    };
    let mut sender = output("u:x", &Place::with_socket_dir(folder.path()));
    sender.set_format(Format::Json(String::new())).unwrap();
    let mut send = |n: u32| {
        assert_eq!(sender.send(format!("[{n}]").as_bytes()), Sent::Sent);
        sender.flush().unwrap();
    };
    let (client, _) = listener.accept().unwrap();
    send(1);
    let mut line = String::new();
    BufReader::new(&client).read_line(&mut line).unwrap();
    assert_eq!(line, "[1]\n");
    drop(client);
    // The first writes after the loss may still be taken by the system.
    listener.set_nonblocking(true).unwrap();
    let mut again = None;
    wait_for("a second connection", || {
        send(2);
        again = listener.accept().ok();
        again.is_some()
    });
    send(9);
    let (client, _) = again.unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "[9]"));
    stop.request();
    assert_eq!(dumping.join().unwrap().invalid, 0);
}

#[test]
fn invalid_messages_are_skipped() {
    let folder = TempDir::new().unwrap();
    let trap = format!("f:{}", path(&folder, "trap"));
    let place = Place::default();
    let mut file = output(&trap, &place);
    file.set_format(Format::Json("id".into())).unwrap();
    for message in [&b"{}"[..], b"{x", b"\xff\xfe", b"[1,\n2]"] {
        assert_eq!(file.send(message), Sent::Sent);
    }
    file.finish().unwrap();
    let settings = json_dump::Settings::default();
    let out = path(&folder, "out");
    let mut sink = json_dump::Sink::to(fs::File::create(&out).unwrap());
    let totals = json_dump::run(&mut input(&trap, &place), &settings, &mut sink).unwrap();
    assert_eq!(totals, json_dump::Totals { printed: 2, invalid: 2 });
    drop(sink);
    assert_eq!(fs::read_to_string(out).unwrap(), "{}\n[1, 2]\n");
}

const CSV: &str = "ipaddr A,time T,float F,uint16 P,char C,bytes B,string S,int16* L,macaddr M,ipaddr* I\n\
    10.0.0.1,2018-06-27T16:52:54.123456,0.500000,443,x,00ff,\"a\u{e9}\",[-1|2],00:01:02:03:04:ff,[1.2.3.4]\n";

#[test]
fn records_become_objects() {
    let folder = TempDir::new().unwrap();
    let (csv, records, json, out) =
        (path(&folder, "csv"), path(&folder, "records"), path(&folder, "json"), path(&folder, "out"));
    fs::write(&csv, CSV).unwrap();
    assert_eq!(module("logreplay", &["-i", &format!("f:{records}"), "-f", &csv]), 0);
    let maps = path(&folder, "maps");
    fs::write(&maps, r#"{"match":[{"src":"P","dest":"N","mapping":{"443":"https"}}],"timify":["T"]}"#).unwrap();
    let fields = r#"{"A": "10.0.0.1", "T": TIME, "M": "UnirecMACAddr('00:01:02:03:04:ff')", "F": 0.5, "P": 443, "C": 120, "B": "bytearray(b'\\x00\\xff')", "S": "a\u00e9", "L": [-1, 2], "I": ["1.2.3.4"]MORE}"#;
    for (args, time, more) in [
        (&[][..], "1530118374.123", ""),
        (&["-M", &maps, "-f", "id"], "\"2018-06-27T16:52:54Z\"", ", \"N\": \"https\""),
    ] {
        let ifc = format!("f:{records},f:{json}");
        assert_eq!(module("unirec2json", &[&["-i", &ifc], args].concat()), 0);
        assert_eq!(module("json_dump", &["-i", &format!("f:{json}"), "-w", &out]), 0);
        let expected = format!("{}\n", fields.replace("TIME", time).replace("MORE", more));
        assert_eq!(fs::read_to_string(&out).unwrap(), expected);
    }
}

#[test]
fn the_end_of_a_stream_is_a_digit() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let mut receiver = input("u:x", &place);
    receiver.require(Format::Json("id".into()));
    let mut sender = output("u:x", &place);
    let sending = thread::spawn(move || {
        let settings = json_replay::Settings { format: "id".into(), ..Default::default() };
        let source = ("text".to_owned(), Box::new(Cursor::new("{}\n")) as Box<dyn BufRead>);
        let totals = json_replay::run(vec![source], &settings, &mut sender, &Place::default().stop).unwrap();
        sender.finish().unwrap();
        totals.sent
    });
    assert_eq!(receiver.recv().unwrap(), Event::Message(b"{}"));
    assert_eq!(receiver.recv().unwrap(), Event::EndOfStream);
    assert_eq!(sending.join().unwrap(), 1);
}

#[test]
fn a_conversion_in_a_chain_of_sockets() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let (csv, out) = (path(&folder, "csv"), path(&folder, "out"));
    fs::write(&csv, format!("uint32 N\n{}", (0..3_000).map(|n| format!("{n}\n")).collect::<String>())).unwrap();
    let replaying = {
        let place = place.clone();
        thread::spawn(move || {
            let settings = modules::logreplay::Settings { file: csv.into(), ..Default::default() };
            let mut sender = output("u:a", &place);
            modules::logreplay::run(&settings, &mut sender, &place.stop).unwrap();
            sender.finish().unwrap();
        })
    };
    let converting = {
        let place = place.clone();
        thread::spawn(move || {
            let (mut from, mut to) = (input("u:a", &place), output("u:b", &place));
            let totals =
                unirec2json::run(&mut from, &mut to, &Default::default(), &unirec2json::Maps::default()).unwrap();
            to.finish().unwrap();
            totals
        })
    };
    let mut sink = json_dump::Sink::to(fs::File::create(&out).unwrap());
    let totals = json_dump::run(&mut input("u:b", &place), &Default::default(), &mut sink).unwrap();
    replaying.join().unwrap();
    assert_eq!((totals.printed, converting.join().unwrap().sent), (3_000, 3_000));
    assert!(fs::read_to_string(out).unwrap().ends_with("{\"N\": 2999}\n"));
}

#[test]
fn records_are_written_by_hand() {
    let folder = TempDir::new().unwrap();
    let trap = format!("f:{}", path(&folder, "trap"));
    let mut file = output(&trap, &Place::default());
    let commands = "p\ns\ne\n7\nx\n+1.5\n!+2\nsend 2\n\nh\nhelp send\nfoo\ne\n\n\n\nt\n?foo\nq\nlater\n";
    let mut said = Vec::new();
    debug_sender::run("uint16 B,float F,string S", &mut file, Cursor::new(commands), &mut said).unwrap();
    file.finish().unwrap();
    let said = String::from_utf8(said).unwrap();
    for part in [
        "Current record:\nB = 0\nF = 0.0\nS = \"\"\n\nType help to get list of commands.\n> Current record:",
        "> Sending the record ... done\n> B [0]: F [0.0]: Unable to convert 'x' to float: it is no number\nF [0.0]: S [\"\"]: \n",
        "> Sending 2 records ... done\n> Sending 2 records ... done\n> This shows the list",
        "> 's'  Send the record",
        "> *** Unknown syntax: foo\n> B [7]: F [1.5]: S [\"2222\"] {!+2}: \n> done\n> *** No help on foo\n> ",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    assert!(!said.contains("later"));
    let out = path(&folder, "out");
    assert_eq!(module("logger", &["-i", &trap, "-t", "-w", &out]), 0);
    let rows = "float F,uint16 B,string S\n0.000000,0,\"\"\n1.500000,7,\"2\"\n1.500000,7,\"22\"\n1.500000,7,\"222\"\n1.500000,7,\"2222\"\n";
    assert_eq!(fs::read_to_string(out).unwrap(), rows);
    let mut nothing = String::new();
    Cursor::new("").read_to_string(&mut nothing).unwrap();
    debug_sender::run("uint16 B", &mut output("b:", &Place::default()), Cursor::new(nothing), Vec::new()).unwrap();
}
