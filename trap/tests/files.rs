//! Files in both directions: bytes, names, rotation, several inputs, damage.

mod common;

use std::fs;
use std::path::Path;

use common::*;
use trap::{DropReason, Event, Format, Sent, TrapError};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("directory")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn write(dir: &Path, name: &str, format: Format, messages: &[&[u8]]) {
    let mut out = output(&format!("f:{}/{name}", dir.display()), &place_in(dir));
    out.set_format(format).expect("format");
    for msg in messages {
        must_send(&mut out, msg);
    }
    out.finish().expect("finish");
}

#[test]
fn bytes_are_those_of_the_original() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), "b", unirec("uint32 B"), &[&[1, 0], &[2, 0], &[3, 0, 0, 0]]);
    let expected = b"\x02\0\0\0\0\0\0\x08uint32 B\0\0\0\x0e\0\x02\x01\0\0\x02\x02\0\0\x04\x03\0\0\0";
    assert_eq!(fs::read(dir.path().join("b")).expect("read"), expected);

    let mut unbuffered = output(&format!("f:{}/u:buffer=off", dir.path().display()), &place_in(dir.path()));
    unbuffered.set_format(Format::Raw).expect("format");
    must_send(&mut unbuffered, b"xy");
    must_send(&mut unbuffered, b"z");
    let expected = b"\x01\0\0\0\0\0\0\0\0\0\0\x04\0\x02xy\0\0\0\x03\0\x01z";
    assert_eq!(fs::read(dir.path().join("u")).expect("read"), expected);
}

#[test]
fn missing_directories_are_created_and_an_unused_file_is_empty() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output(&format!("f:{}/a/b/c", dir.path().display()), &place_in(dir.path()));
    assert_eq!(out.send(b"no format"), Sent::Dropped(DropReason::NoFormat));
    out.set_format(Format::Raw).expect("format");
    out.finish().expect("finish");
    assert_eq!(fs::metadata(dir.path().join("a/b/c")).expect("exists").len(), 0);
    let mut empty = input(&format!("f:{}/a/b/c", dir.path().display()), &place_in(dir.path()));
    assert_eq!(empty.recv().expect_err("empty").code(), 25);
    assert_eq!(empty.recv().expect("recv"), Event::EndOfStream);
}

#[test]
fn blocks_hold_100000_bytes_and_size_rotates_late() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output(&format!("f:{}/s:size=1", dir.path().display()), &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    // 100 messages fill a block exactly: 100 * (998 + 2).
    for _ in 0..1150 {
        must_send(&mut out, &[7; 998]);
    }
    out.finish().expect("finish");
    assert_eq!(names(dir.path()), ["s.00000", "s.00001"]);
    let bytes = fs::read(dir.path().join("s.00000")).expect("read");
    assert_eq!(bytes[8..12], 100_000u32.to_be_bytes());
    // Ten blocks leave it below the limit, the eleventh goes beyond it.
    assert_eq!(bytes.len(), 8 + 11 * 100_004);
    assert_eq!(fs::read(dir.path().join("s.00001")).expect("read").len(), 8 + 4 + 50_000);
    let mut all = input(&format!("f:{}/s.*", dir.path().display()), &place_in(dir.path()));
    all.require(Format::Raw);
    assert_eq!(read_to_eof(&mut all).len(), 1150);
    assert_eq!(all.stats().connects, 2);
}

#[test]
fn append_numbers_and_never_overwrites() {
    let dir = tempfile::tempdir().expect("tempdir");
    for _ in 0..2 {
        write(dir.path(), "a:a", Format::Raw, &[b"xx"]);
    }
    assert_eq!(names(dir.path()), ["a.00000", "a.00001"]);
}

#[test]
fn time_suffix_is_the_rounded_local_time() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), "t:time=5", Format::Raw, &[b"xx"]);
    let name = names(dir.path()).remove(0);
    let stamp = name.strip_prefix("t.").expect("suffix");
    assert_eq!(stamp.len(), 12);
    assert_eq!(stamp[11..].parse::<u8>().expect("minute") % 5, 0);
}

#[test]
fn format_change_takes_the_next_name() {
    let dir = tempfile::tempdir().expect("tempdir");
    let change = |name: &str| {
        let mut out = output(&format!("f:{}/{name}", dir.path().display()), &place_in(dir.path()));
        out.set_format(unirec("uint16 A")).expect("format");
        must_send(&mut out, &[1, 0]);
        out.set_format(unirec("uint32 B")).expect("format");
        must_send(&mut out, &[2, 0, 0, 0]);
        out.finish().expect("finish")
    };
    assert_eq!(change("x:a").overwritten, 0);
    let mut both = input(&format!("f:{}/x.*", dir.path().display()), &place_in(dir.path()));
    both.require(unirec(""));
    let first = |event: Event<'_>| match event {
        Event::FormatChanged { format, first } => (format.spec().to_owned(), first.to_vec()),
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(first(both.recv().expect("recv")), ("uint16 A".into(), vec![1, 0]));
    assert_eq!(first(both.recv().expect("recv")), ("uint32 B".into(), vec![2, 0, 0, 0]));
    assert_eq!(both.recv().expect("recv"), Event::EndOfStream);

    // Mode w writes over the same file, as the original; we count what is gone and mix no layouts.
    assert_eq!(change("w").overwritten, 1);
    let bytes = fs::read(dir.path().join("w")).expect("read");
    assert_eq!(bytes, b"\x02\0\0\0\0\0\0\x08uint32 B\0\0\0\x06\0\x04\x02\0\0\0");
}

#[test]
fn later_files_may_mismatch_or_be_broken() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), "1", unirec("uint16 A"), &[&[1, 0]]);
    write(dir.path(), "2", unirec("uint32 B"), &[&[2, 0, 0, 0]]);
    fs::write(dir.path().join("3"), b"not a trap file").expect("write");
    let mut short = fs::read(dir.path().join("1")).expect("read");
    short.extend_from_slice(&[0, 0, 0, 8, 0, 2, 3, 0, 0, 2]);
    fs::write(dir.path().join("4"), short).expect("write");
    write(dir.path(), "5", Format::Json("j".into()), &[b"{}"]);
    let mut input = input(&format!("f:{}/?", dir.path().display()), &place_in(dir.path()));
    input.require(unirec("uint16 A"));
    assert_eq!(input.recv().expect("first"), Event::Message(&[1, 0]));
    assert!(matches!(input.recv(), Err(TrapError::FormatMismatch(_))));
    assert!(matches!(input.recv(), Err(TrapError::NegotiationFailed(_))));
    assert_eq!(input.recv().expect("fourth"), Event::Message(&[1, 0]));
    assert_eq!(input.recv().expect("short block"), Event::Message(&[3, 0]));
    assert!(matches!(input.recv(), Err(TrapError::FormatMismatch(_))));
    assert_eq!(input.recv().expect("end"), Event::EndOfStream);
    assert_eq!(input.recv().expect("end again"), Event::EndOfStream);
}

#[test]
fn json_specifier_may_change_between_files() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), "1", Format::Json("a".into()), &[b"{}"]);
    write(dir.path(), "2", Format::Json("b".into()), &[b"[]"]);
    let mut input = input(&format!("f:{}/*", dir.path().display()), &place_in(dir.path()));
    input.require(Format::Json(String::new()));
    assert_eq!(input.recv().expect("first"), Event::Message(b"{}"));
    assert!(matches!(input.recv().expect("second"), Event::FormatChanged { first: b"[]", .. }));
}

#[test]
fn full_disk_is_counted() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output("f:/dev/full", &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    must_send(&mut out, b"xx");
    assert_eq!(out.flush().expect_err("full").code(), 14);
    assert_eq!(out.stats().lost_io, 1);
}

#[test]
fn blackhole_takes_everything() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output("b", &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    must_send(&mut out, &[0; 65535]);
    let stats = out.finish().expect("finish");
    assert_eq!((stats.sent, stats.clients), (1, 0));
    assert_eq!(out.send(b"x"), Sent::Dropped(DropReason::Finished));
}

#[test]
fn generator_repeats_its_message() {
    let place = place_in(std::path::Path::new("/nonexistent"));
    let mut input = input("g:5:hello", &place);
    for _ in 0..100_000 {
        assert_eq!(input.recv().expect("recv"), Event::Message(b"hello"));
    }
    assert!(input.is_connected() && input.id() == "none");
    place.stop.request();
    // What is in the buffer may come first.
    assert!((0..100_000).any(|_| input.recv().expect("recv") == Event::Terminated));
}
