//! Against bytes of the real libtrap 1.18.2. The folder is `$SONDA_SHARED`, by default `shared` beside the worktrees;
//! without it (a plain checkout) the tests say so and pass, unless the variable is set.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use trap::deframer::Layout;
use trap::{Event, Format, Input, Place, Sent, TrapError};

fn trapcaps(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            trapcaps(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "trapcap") {
            found.push(path);
        }
    }
}

#[test]
fn every_file_is_read_and_written_again_identically() {
    let Some(fixtures) = fixtures() else { return };
    let mut files = Vec::new();
    trapcaps(&fixtures, &mut files);
    assert!(files.iter().filter(|path| path.parent() == Some(&fixtures.join("trapcap"))).count() >= 26);
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut buffered_files, mut compared) = (0, 0);
    for path in &files {
        let original = fs::read(path).expect("read");
        if original.is_empty() {
            continue;
        }
        let recorded = parse(Layout::File, &original);
        // Our input agrees with the parser.
        let mut input = input(&format!("f:{}", path.display()), &place_in(dir.path()));
        input.require(match &recorded.format {
            Format::Json(_) => Format::Json(String::new()),
            Format::UniRec(_) => unirec(""),
            other => other.clone(),
        });
        for message in recorded.messages.iter().filter(|message| message.len() > 1) {
            let event = loop {
                match input.recv().expect("recv") {
                    Event::EndOfStream => {}
                    other => break other,
                }
            };
            let (Event::Message(read) | Event::FormatChanged { first: read, .. }) = event else { panic!("{event:?}") };
            assert!(read == message, "{}", path.display());
        }
        // One message per block everywhere was buffer=off.
        let is_unbuffered = recorded.containers.len() == recorded.messages.len();
        buffered_files += usize::from(!is_unbuffered);
        let copy = dir.path().join("copy");
        let buffer = if is_unbuffered { "off" } else { "on" };
        let mut out = output(&format!("f:{}:buffer={buffer}", copy.display()), &place_in(dir.path()));
        out.set_format(recorded.format).expect("format");
        for message in &recorded.messages {
            must_send(&mut out, message);
        }
        out.finish().expect("finish");
        let written = fs::read(&copy).expect("read");
        assert!(written == original, "{} differs: {} and {} bytes", path.display(), original.len(), written.len());
        compared += 1;
    }
    eprintln!("{compared} files identical, {buffered_files} of them with several messages per block");
}

/// Serves the recorded connections one after another, then refuses; each byte stream is cut into small writes.
fn fake_sender(place: &Place, name: &str, connections: Vec<Vec<u8>>) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(place.socket_path(name)).expect("bind");
    thread::spawn(move || {
        let mut listener = Some(listener);
        let last = connections.len() - 1;
        for (n, bytes) in connections.into_iter().enumerate() {
            let (mut stream, _) = listener.as_ref().expect("one more").accept().expect("accept");
            if n == last {
                // Before the client can come again: an attempt that is taken and never answered would be a failure.
                listener = None;
            }
            for chunk in bytes.chunks(1013) {
                if stream.write_all(chunk).is_err() {
                    break;
                }
            }
        }
    })
}

fn session(fixtures: &Path, name: &str) -> Vec<Vec<u8>> {
    let file = |suffix: &str| fs::read(fixtures.join(format!("trapwire/{name}.s2c{suffix}.bin")));
    let mut connections = vec![file("").expect("session")];
    connections.extend(file(".1"));
    connections
}

/// An input that is served the session, with the requirement `required`.
fn replay(fixtures: &Path, name: &str, required: Format) -> (Input, thread::JoinHandle<()>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let server = fake_sender(&place, "x", session(fixtures, name));
    let mut input = input("u:x:timeout=60000000", &place);
    input.require(required);
    (input, server, dir)
}

/// Names of the first `count` fields of the specifier.
fn first_fields(format: &Format, count: usize) -> String {
    format.spec().split(',').take(count).collect::<Vec<_>>().join(",")
}

#[test]
fn sessions_with_end_of_stream_are_received() {
    let Some(fixtures) = fixtures() else { return };
    let names = [
        "unix_buffer_on",
        "unix_buffer_off",
        "unix_big_multicontainer",
        "tcp_buffer_on",
        "subset_required",
        "raw",
        "json",
        "vportscan_missing_fields",
        "autoflush_default",
        "autoflush_off",
        "autoflush_2s",
    ];
    for name in names {
        let recorded = parse(Layout::Wire, &session(&fixtures, name)[0]);
        let required = match (&recorded.format, name) {
            (Format::UniRec(_), "subset_required") => unirec(&first_fields(&recorded.format, 3)),
            (Format::Json(_), _) => Format::Json("my-json-spec".into()),
            (other, _) => other.clone(),
        };
        let (mut input, server, _dir) = replay(&fixtures, name, required);
        let mut messages: Vec<Vec<u8>> = Vec::new();
        let mut changes = 0;
        loop {
            match input.recv().unwrap_or_else(|error| panic!("{name}: {error}")) {
                Event::Message(message) => messages.push(message.to_vec()),
                Event::FormatChanged { format, first } => {
                    assert_eq!(*format, recorded.format);
                    changes += 1;
                    messages.push(first.to_vec());
                }
                Event::EndOfStream => break,
                other => panic!("{name}: {other:?}"),
            }
        }
        messages.push(vec![0]);
        assert!(messages == recorded.messages, "{name}");
        assert_eq!(changes, u32::from(name == "subset_required"), "{name}");
        assert_eq!(input.stats().missed, 0, "{name}");
        assert_eq!(input.stats().containers, recorded.containers.len() as u64, "{name}");
        server.join().expect("server");
    }
}

/// The relay of the recording accepted once more and closed: the real client printed the negotiation error.
#[test]
fn session_without_end_reconnects() {
    let Some(fixtures) = fixtures() else { return };
    let bytes = session(&fixtures, "noeof").remove(0);
    let recorded = parse(Layout::Wire, &bytes);
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let server = fake_sender(&place, "x", vec![bytes, Vec::new()]);
    let mut input = input("u:x", &place);
    input.require(recorded.format.clone());
    for message in &recorded.messages {
        assert_eq!(input.recv().expect("recv"), Event::Message(message));
    }
    let error = input.recv().expect_err("closed without HELLO");
    assert_eq!(error.code(), 25);
    let printed = fs::read_to_string(fixtures.join("trapwire/noeof.client.err")).expect("recorded");
    assert_eq!(error.recv_text(), printed.trim_end());
    assert_eq!(input.stats().connects, 2);
    server.join().expect("server");
}

#[test]
fn template_change_session() {
    let Some(fixtures) = fixtures() else { return };
    let connections = session(&fixtures, "template_change");
    let recorded: Vec<Recorded> = connections.iter().map(|bytes| parse(Layout::Wire, bytes)).collect();
    let required = first_fields(&recorded[0].format, 2);
    let (mut input, server, _dir) = replay(&fixtures, "template_change", unirec(&required));
    let mut seen = Vec::new();
    let mut changes = Vec::new();
    loop {
        match input.recv().expect("recv") {
            Event::Message(message) => seen.push(message.to_vec()),
            Event::FormatChanged { format, first } => {
                changes.push((seen.len(), format.clone()));
                seen.push(first.to_vec());
            }
            Event::EndOfStream => break,
            other => panic!("{other:?}"),
        }
    }
    seen.push(vec![0]);
    let expected: Vec<_> = recorded.iter().flat_map(|part| part.messages.clone()).collect();
    assert_eq!(seen, expected);
    assert_eq!(changes, [(0, recorded[0].format.clone()), (3, recorded[1].format.clone())]);
    server.join().expect("server");
}

#[test]
fn mismatch_sessions() {
    let Some(fixtures) = fixtures() else { return };
    let cases = [
        ("mismatch_missing_field", unirec("ipaddr SRC_IP,uint32 NOT_THERE")),
        ("mismatch_field_type", unirec("ipaddr SRC_IP,uint32 BYTES")),
        ("mismatch_fmt_json_vs_unirec", Format::Json("zzz".into())),
        ("mismatch_json_spec", Format::Json("other-spec".into())),
    ];
    for (name, required) in cases {
        let (mut input, server, _dir) = replay(&fixtures, name, required);
        let error = input.recv().expect_err(name);
        assert!(matches!(error, TrapError::FormatMismatch(_)), "{name}: {error}");
        assert!(!input.is_connected(), "{name}");
        // What the real client printed, without the prefix.
        if let Ok(printed) = fs::read_to_string(fixtures.join(format!("trapwire/{name}.client.err"))) {
            assert_eq!(format!("ERROR: {error}\n"), printed, "{name}");
        }
        server.join().expect("server");
    }
}

#[test]
fn unknown_format_is_tried_again_after_a_second() {
    let Some(fixtures) = fixtures() else { return };
    let (mut input, server, dir) = replay(&fixtures, "unknown_format_server", Format::Raw);
    let begin = Instant::now();
    let reader = thread::spawn(move || {
        let is_message = matches!(input.recv().expect("recv"), Event::Message(b"at last"));
        (is_message, begin.elapsed())
    });
    // Two recorded refusals, then a sender that knows its format takes the name.
    server.join().expect("server");
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    let mut out = output("u:x", &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    must_send(&mut out, b"at last");
    out.finish().expect("finish");
    let (is_message, elapsed) = reader.join().expect("reader");
    assert!(is_message && elapsed >= Duration::from_millis(1900), "{elapsed:?}");
}

/// Sends the recorded messages through our output and answers the bytes that a client gets.
fn rewrite(recorded: &Recorded, is_tcp: bool, options: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let port = free_port();
    let end = if is_tcp { format!("t:{port}") } else { "u:x".into() };
    // What the originals sent did not wait for their clock, whatever ours does.
    let mut out = output(&format!("{end}:timeout=WAIT:autoflush=off{options}"), &place);
    out.set_format(recorded.format.clone()).expect("format");
    let mut client: Box<dyn Read + Send> =
        if is_tcp { Box::new(tcp_client(port)) } else { Box::new(raw_client(&place, "x")) };
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("read");
        bytes
    });
    for message in &recorded.messages {
        if *message == [0] {
            assert_eq!(out.send_eof(), Sent::Sent);
        } else {
            must_send(&mut out, message);
        }
    }
    out.finish().expect("finish");
    reader.join().expect("reader")
}

const UNFLUSHED: [(&str, &str); 8] = [
    ("unix_buffer_on", ""),
    ("unix_buffer_off", ":buffer=off"),
    ("unix_big_multicontainer", ""),
    ("tcp_buffer_on", ""),
    ("subset_required", ""),
    ("noeof", ""),
    ("vportscan_missing_fields", ""),
    ("autoflush_off", ""),
];

#[test]
fn sessions_are_sent_again_identically() {
    let Some(fixtures) = fixtures() else { return };
    for (name, options) in UNFLUSHED {
        let original = &session(&fixtures, name)[0];
        let recorded = parse(Layout::Wire, original);
        let written = rewrite(&recorded, name.starts_with("tcp"), options);
        assert!(written == *original, "{name} differs: {} and {} bytes", original.len(), written.len());
    }
}

const FLUSHED: [&str; 9] = [
    "raw",
    "json",
    "template_change",
    "autoflush_default",
    "autoflush_2s",
    "mismatch_missing_field",
    "mismatch_field_type",
    "mismatch_fmt_json_vs_unirec",
    "mismatch_json_spec",
];

/// Raw, JSON and template change were flushed by their sender between messages; with the same flushes the bytes agree.
#[test]
fn flushed_sessions_are_sent_again_identically() {
    let Some(fixtures) = fixtures() else { return };
    for name in FLUSHED {
        let dir = tempfile::tempdir().expect("tempdir");
        let place = place_in(dir.path());
        let mut out = output("u:x:autoflush=off", &place);
        let connections = session(&fixtures, name);
        let mut readers = Vec::new();
        for original in connections {
            let recorded = parse(Layout::Wire, &original);
            out.set_format(recorded.format).expect("format");
            wait_for_clients(&out, 0);
            let mut client = raw_client(&place, "x");
            wait_for_clients(&out, 1);
            readers.push(thread::spawn(move || {
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).expect("read");
                assert!(bytes == original, "{name} differs");
            }));
            let mut messages = recorded.messages.iter();
            for container in &recorded.containers {
                for message in messages.by_ref().take(usize::from(container.count)) {
                    must_send(&mut out, message);
                }
                out.flush().expect("flush");
            }
        }
        out.finish().expect("finish");
        for reader in readers {
            reader.join().expect("reader");
        }
    }
}

/// A sender that does not know its format yet answers each connection as the recorded one did.
#[test]
fn unknown_format_is_answered_identically() {
    let Some(fixtures) = fixtures() else { return };
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let _out = output("u:x", &place);
    for original in session(&fixtures, UNKNOWN) {
        let mut bytes = Vec::new();
        raw_client(&place, "x").read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes, original);
    }
}

const UNKNOWN: &str = "unknown_format_server";

#[test]
fn no_recorded_session_is_left_out() {
    let Some(fixtures) = fixtures() else { return };
    let ours: Vec<&str> = UNFLUSHED.iter().map(|(name, _)| *name).chain(FLUSHED).chain([UNKNOWN]).collect();
    for entry in fs::read_dir(fixtures.join("trapwire")).expect("folder") {
        let name = entry.expect("entry").file_name().into_string().expect("text");
        let Some(session) = name.strip_suffix(".s2c.bin") else { continue };
        assert!(ours.contains(&session), "{session} is compared with nothing");
    }
}
