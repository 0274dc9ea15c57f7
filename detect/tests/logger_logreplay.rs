//! logger and logreplay over files and unix sockets: with data of our own, and with what the originals sent and printed.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{PATIENCE, fixtures, input, module, output, path};
use detect::modules::{logger, logreplay};
use record::unirec::{Builder, Template};
use std::fs;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trap::{Format, Place, Sent, TrapError};

/// CSV to a TRAP file and back.
fn through_file(csv: &str, replay_args: &[&str], log_args: &[&str]) -> (u8, u8, String) {
    let folder = TempDir::new().unwrap();
    let (from, trap, to) =
        (path(&folder, "in.csv"), format!("f:{}", path(&folder, "x.trap")), path(&folder, "out.csv"));
    fs::write(&from, csv).unwrap();
    let replayed = module("logreplay", &[&["-i", &trap, "-f", &from], replay_args].concat());
    let logged = module("logger", &[&["-w", &to, "-i", &trap], log_args].concat());
    (replayed, logged, fs::read_to_string(&to).unwrap_or_default())
}

const CSV: &str = "ipaddr A,time T,float F,uint16 P,char C,bytes B,string S,int16* L\n\
    10.0.0.1,2018-06-27T16:52:54.123456,0.500000,443,x,00ff,\"a,\"\"b\\\",[-1|2]\n\
    2001:db8::1,1970-01-01T00:00:00.000000,-1.250000,0,y,,\"\",[]\n";

#[test]
fn what_is_replayed_is_what_is_logged() {
    assert_eq!(through_file(CSV, &["-d"], &["-t"]), (0, 0, CSV.into()));
    let rows = CSV.split_once('\n').unwrap().1;
    assert_eq!(through_file(CSV, &["-n"], &[]), (0, 0, rows.into()));
    // The last line without its newline is taken, and the order of the columns is free.
    let (_, _, text) = through_file("uint8 B,ipaddr A\n1,::\n2,::1", &[], &["-t", "-d", "\\t"]);
    assert_eq!(text, "ipaddr A\tuint8 B\n::\t1\n::1\t2\n");
}

#[test]
fn options_of_logger() {
    let first = CSV.lines().take(2).map(|l| format!("{l}\n")).collect::<String>();
    assert_eq!(through_file(CSV, &[], &["-t", "-c", "1"]), (0, 0, first));
    let header = format!("{}\n", CSV.lines().next().unwrap());
    assert_eq!(through_file(CSV, &[], &["-tc0", "-v"]), (0, 0, header.clone()));
    let (_, _, timed) = through_file(CSV, &[], &["-t", "-T", "--delimiter=;"]);
    let mut lines = timed.lines();
    assert_eq!(lines.next().unwrap(), format!("time,{}", header.trim_end().replace(',', ";")));
    let row = lines.next().unwrap();
    assert_eq!((&row[4..5], &row[10..11], &row[19..20], &row[20..29]), ("-", "T", ",", "10.0.0.1;"));

    let folder = TempDir::new().unwrap();
    let (out, trap) = (path(&folder, "out"), format!("f:{}", path(&folder, "t")));
    fs::write(path(&folder, "in"), CSV).unwrap();
    assert_eq!(module("logreplay", &["-i", &trap, "-f", &path(&folder, "in")]), 0);
    for _ in 0..2 {
        assert_eq!(module("logger", &["-i", &trap, "-a", &out, "-o", "uint8 A"]), 0);
    }
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
    for (code, args) in [
        (0, &["-h"][..]),
        (1, &[]),
        (1, &["-i"]),
        (1, &["-i", "q:x"]),
        (2, &["-i", "u:a,u:b"]),
        (2, &["-i", "f:/nonexist/x"]),
        (1, &["-i", &trap, "-w", &out, "-a", &out]),
        (1, &["-i", &trap, "-x"]),
        (1, &["-i", &trap, "-d", "ab"]),
        (1, &["-i", &trap, "-c", "4294967296"]),
        (2, &["-i", &trap, "-o", "uint9 A"]),
        (3, &["-i", &trap, "-w", "/nonexist/x"]),
        (1, &["-i", &trap, "-w", "/dev/full"]),
    ] {
        assert_eq!(module("logger", args), code, "{args:?}");
    }
}

#[test]
fn options_of_logreplay() {
    let (replayed, _, text) = through_file("uint16 A\n1\nx\n3\n4\n", &["-c", "2"], &[]);
    assert_eq!((replayed, text.as_str()), (0, "1\n3\n"));
    let folder = TempDir::new().unwrap();
    let (file, trap) = (path(&folder, "in"), format!("f:{}", path(&folder, "t")));
    for (code, header, args) in [
        (1, "uint8 A", &["-i", &trap][..]),
        (1, "uint8 A", &["-i", &trap, "-f", &file, "-c", "0"]),
        (1, "uint8 A", &["-i", &trap, "-f", &file, "-c", "x"]),
        (1, "uint9 A", &["-i", &trap, "-f", &file]),
        (1, "uint8 1A", &["-i", &trap, "-f", &file]),
        (1, "", &["-i", &trap, "-f", &file]),
        (4, "uint8 A", &["-i", &trap, "-f", "/nonexist/x"]),
        (0, "uint8 A", &["-i", &trap, "-f", &file]),
    ] {
        fs::write(&file, header).unwrap();
        assert_eq!(module("logreplay", args), code, "{header} {args:?}");
    }
}

#[test]
fn pauses_follow_the_time_column() {
    let csv = "time,uint16 A\n2020-01-01T00:00:00,1\n2020-01-01T00:00:01,2\n2019-01-01T00:00:00,3\nnonsense,4\n";
    let start = Instant::now();
    assert_eq!(through_file(csv, &[], &[]).2, "1\n2\n3\n4\n");
    // One pause of one second; what is before it and what is no time makes none.
    assert!(start.elapsed() >= Duration::from_secs(1));
    let place = Place::default();
    let long = "time,uint16 A\n2020-01-01T00:00:00,1\n2021-01-01T00:00:00,2\n";
    let mut sink = output("b:", &place);
    let settings = logreplay::Settings { disable_timing: true, ..Default::default() };
    let totals = logreplay::replay(Cursor::new(long), &settings, &mut sink, &place.stop).unwrap();
    assert_eq!((totals.rows, totals.sent), (2, 2));
    // A stop ends a year of waiting.
    let stop = place.stop.clone();
    let stopper = thread::spawn(move || (thread::sleep(Duration::from_millis(100)), stop.request()));
    let settings = logreplay::Settings::default();
    logreplay::replay(Cursor::new(long), &settings, &mut sink, &place.stop).unwrap();
    stopper.join().unwrap();
}

#[test]
fn rows_that_are_too_long_are_skipped() {
    let place = Place::default();
    let mut sink = output("b:", &place);
    let csv = format!("uint16 A,string S\n1,{}\n2,x\n", "y".repeat(5 << 20));
    let settings = logreplay::Settings::default();
    let totals = logreplay::replay(Cursor::new(csv), &settings, &mut sink, &place.stop).unwrap();
    assert_eq!((totals.rows, totals.sent, totals.skipped), (2, 1, 1));
}

/// One row of `uint32 N`.
fn row(template: &Template, n: u32) -> Vec<u8> {
    let (mut builder, mut out) = (Builder::new(template), Vec::new());
    builder.set_text(0, n.to_string().as_bytes()).unwrap();
    builder.finish(&mut out).unwrap();
    out
}

#[test]
fn rows_appear_while_the_sender_is_silent_and_a_stop_keeps_them() {
    for spec in ["u:x", "u:x:timeout=WAIT"] {
        let folder = TempDir::new().unwrap();
        let place = Place::with_socket_dir(folder.path());
        let (from_logger, to_test) = io::pipe().unwrap();
        let mut sender = output("u:x", &Place::with_socket_dir(folder.path()));
        let template = Template::parse("uint32 N").unwrap();
        sender.set_format(Format::UniRec(template.spec())).unwrap();
        let mut source = input(spec, &place);
        let logging = thread::spawn(move || logger::run(&mut source, &logger::Settings::default(), to_test));
        let mut lines = BufReader::new(from_logger).lines();
        for n in 0..3 {
            assert_eq!(sender.send(&row(&template, n)), Sent::Sent);
            sender.flush().unwrap();
            assert_eq!(lines.next().unwrap().unwrap(), n.to_string());
        }
        place.stop.request();
        let totals = logging.join().unwrap().unwrap();
        assert_eq!((totals.printed, totals.ended_by_sender), (3, false));
    }
}

#[test]
fn a_chain_over_a_socket_keeps_everything() {
    let folder = TempDir::new().unwrap();
    let mut csv = String::from("uint32 N,string S\n");
    (0..20_000).for_each(|n| csv.push_str(&format!("{n},\"text {n}\"\n")));
    let file = path(&folder, "in.csv");
    fs::write(&file, &csv).unwrap();
    let place = Place::with_socket_dir(folder.path());
    let mut sender = output("u:x", &place);
    let replaying = thread::spawn(move || {
        let settings = logreplay::Settings { file: file.into(), ..Default::default() };
        let totals = logreplay::run(&settings, &mut sender, &place.stop).unwrap();
        sender.finish().unwrap();
        totals
    });
    let mut source = input("u:x", &Place::with_socket_dir(folder.path()));
    let mut out = Vec::new();
    let settings = logger::Settings { title: true, ..Default::default() };
    let totals = logger::run(&mut source, &settings, &mut out).unwrap();
    assert!(out == csv.as_bytes());
    assert_eq!((totals.printed, totals.ended_by_sender), (20_000, true));
    assert_eq!(replaying.join().unwrap().sent, 20_000);
}

/// Takes `room` bytes, then fails.
struct Failing {
    room: usize,
    with: io::ErrorKind,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room < bytes.len() {
            return Err(self.with.into());
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_gone_reader_is_quiet_and_a_full_disk_is_not() {
    let folder = TempDir::new().unwrap();
    let (file, trap) = (path(&folder, "in"), format!("f:{}", path(&folder, "t")));
    fs::write(&file, "uint16 A\n1\n2\n3\n").unwrap();
    assert_eq!(module("logreplay", &["-i", &trap, "-f", &file]), 0);
    let settings = logger::Settings { each_row: true, ..Default::default() };
    let run = |with| logger::run(&mut input(&trap, &Place::default()), &settings, Failing { room: 2, with });
    assert!(matches!(run(io::ErrorKind::BrokenPipe), Err(logger::LoggerError::ReaderGone)));
    assert!(run(io::ErrorKind::StorageFull).unwrap_err().to_string().contains("cannot write rows"));
}

#[test]
fn a_damaged_field_is_printed_empty_and_a_short_record_ends_it() {
    let folder = TempDir::new().unwrap();
    let trap = format!("f:{}", path(&folder, "t"));
    let place = Place::default();
    let mut file = output(&trap, &place);
    file.set_format(Format::UniRec("string S".into())).unwrap();
    for message in [&[0, 0, 1, 0, b'a'][..], &[0, 0, 9, 0, b'b'], &[0, 0, 1, 0, b'c'], &[0, 0, 0], &[0, 0, 0, 0]] {
        assert_eq!(file.send(message), Sent::Sent);
    }
    file.finish().unwrap();
    let mut out = Vec::new();
    let error = logger::run(&mut input(&trap, &place), &logger::Settings::default(), &mut out).unwrap_err();
    assert!(error.to_string().contains("expected size: >= 4, received size: 3"), "{error}");
    assert_eq!(out, b"\"a\"\n\"\"\n\"c\"\n");
}

#[test]
fn files_of_the_original_exporter_print_as_the_original_logger_prints_them() {
    let Some(folder) = fixtures("trapcap") else { return };
    let out = TempDir::new().unwrap();
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "trapcap") {
            let to = path(&out, "out.csv");
            assert_eq!(module("logger", &["-i", &format!("f:{}", file.display()), "-t", "-w", &to]), 0);
            assert!(fs::read(to).unwrap() == fs::read(file.with_extension("csv")).unwrap(), "{}", file.display());
            files += 1;
        }
    }
    assert!(files >= 27, "only {files} files");
}

#[test]
fn files_for_the_original_logreplay_come_back() {
    let Some(folder) = fixtures("trapwire") else { return };
    for name in ["small.csv", "small2.csv", "big.csv"] {
        let csv = fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!(through_file(&csv, &["-d"], &["-t"]), (0, 0, csv.clone()), "{name}");
    }
}

/// Plays recorded bytes of servers, one connection each, to a logger.
fn logged_session(folder: &Path, sessions: &[&str]) -> String {
    let sockets = TempDir::new().unwrap();
    let place = Place::with_socket_dir(sockets.path());
    let listener = UnixListener::bind(place.socket_path("x")).unwrap();
    let recorded: Vec<_> = sessions.iter().map(|s| fs::read(folder.join(s)).unwrap()).collect();
    let stop = place.stop.clone();
    let server = thread::spawn(move || {
        for bytes in recorded {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(&bytes).unwrap();
            // It leaves when it has read all; a session without end of stream ends here.
            client.shutdown(Shutdown::Write).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let _reset = client.read(&mut [0]);
        }
        stop.request();
    });
    let mut out = Vec::new();
    let settings = logger::Settings { title: true, ..Default::default() };
    match logger::run(&mut input("u:x", &place), &settings, &mut out) {
        // A session that ends without a word is followed by an attempt to reconnect, which this server does not answer.
        Ok(_) | Err(logger::LoggerError::Receive(TrapError::NegotiationFailed(_))) => {}
        Err(why) => panic!("{why}"),
    }
    server.join().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn recorded_sessions_of_original_senders_are_logged() {
    let Some(folder) = fixtures("trapwire") else { return };
    let small = fs::read_to_string(folder.join("small.csv")).unwrap();
    for name in ["unix_buffer_on", "unix_buffer_off", "tcp_buffer_on"] {
        let printed = fs::read_to_string(folder.join(format!("{name}.client.out"))).unwrap();
        let logged = logged_session(&folder, &[&format!("{name}.s2c.bin")]);
        assert_eq!(logged, printed, "{name}");
        assert_eq!(logged, small, "{name}");
    }
    let big = fs::read_to_string(folder.join("big.csv")).unwrap();
    assert!(logged_session(&folder, &["unix_big_multicontainer.s2c.bin"]) == big);
    assert_eq!(logged_session(&folder, &["noeof.s2c.bin"]), small);
    let changed = logged_session(&folder, &["template_change.s2c.bin", "template_change.s2c.1.bin"]);
    // One header, three rows of each template.
    assert_eq!(changed.lines().count(), 7, "{changed}");
    let columns = |line: &str| line.matches(',').count();
    assert_ne!(columns(changed.lines().nth(1).unwrap()), columns(changed.lines().last().unwrap()), "{changed}");
}
