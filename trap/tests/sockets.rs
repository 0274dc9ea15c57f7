//! Real unix and loopback TCP sockets: delivery, slow and dead clients, formats, HELLO, end of stream.

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use trap::{DropReason, Event, Format, Input, Sent, Stop, Timeout, TrapError};

fn message(n: u32, len: usize) -> Vec<u8> {
    let mut msg = vec![0xab; len.max(4)];
    msg[..4].copy_from_slice(&n.to_le_bytes());
    msg
}

#[test]
fn several_clients_get_everything() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:many", &place);
    out.set_format(unirec("uint32 A")).expect("format");
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut input = input("u:many", &place);
            input.require(unirec("uint32 A"));
            thread::spawn(move || (read_to_eof(&mut input), input.stats()))
        })
        .collect();
    wait_for_clients(&out, 4);
    let sent: Vec<_> = (0..20_000).map(|n| message(n, 100)).collect();
    for msg in &sent {
        must_send(&mut out, msg);
    }
    assert_eq!(out.send_eof(), Sent::Sent);
    for reader in readers {
        let (messages, stats) = reader.join().expect("reader");
        assert!(messages == sent);
        assert_eq!(stats.missed, 0);
    }
    let stats = out.finish().expect("finish");
    assert_eq!((stats.sent, stats.skipped, stats.abandoned, stats.unheard), (20_001, 0, 0, 0));
    assert!(!place.socket_path("many").exists());
}

#[test]
fn tcp_delivers_and_reports_the_end() {
    let place = place_in(std::path::Path::new("/nonexistent"));
    let port = free_port();
    let mut out = output(&format!("t:{port}"), &place);
    out.set_format(Format::Json(String::new())).expect("format");
    let mut input = input(&format!("t:127.0.0.1:{port}"), &place);
    input.require(Format::Json(String::new()));
    let reader = thread::spawn(move || read_to_eof(&mut input));
    must_send(&mut out, b"{\"a\":1}");
    assert_eq!(out.send_eof(), Sent::Sent);
    out.finish().expect("finish");
    assert_eq!(reader.join().expect("reader"), [b"{\"a\":1}"]);
}

#[test]
fn waiting_output_blocks_until_somebody_listens() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let stop = place.stop.clone();
    let mut out = output("u:w", &place);
    out.set_format(Format::Raw).expect("format");
    let sender = thread::spawn(move || {
        let first = out.send(b"first");
        let second = out.send_eof();
        (first, second, out.finish().expect("finish"))
    });
    // However long it is, it does not end.
    thread::sleep(Duration::from_millis(150));
    assert!(!sender.is_finished());
    let mut input = input("u:w", &place_in(dir.path()));
    input.require(Format::Raw);
    assert_eq!(input.recv().expect("recv"), Event::Message(b"first"));
    assert_eq!(input.recv().expect("recv"), Event::EndOfStream);
    let (first, second, stats) = sender.join().expect("sender");
    assert_eq!((first, second, stats.abandoned), (Sent::Sent, Sent::Sent, 0));

    // Without anybody, only the stop request ends the wait.
    let mut out = output("u:w2", &place);
    out.set_format(Format::Raw).expect("format");
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.request();
    });
    assert_eq!(out.send(b"nobody"), Sent::Dropped(DropReason::Terminated));
    stopper.join().expect("stopper");
    assert_eq!(out.stats().terminated, 1);
}

#[test]
fn half_waiting_output_never_waits_for_a_first_client() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output("u:h:timeout=HALF_WAIT:buffer_count=2", &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    for n in 0..1000 {
        must_send(&mut out, &message(n, 1000));
    }
    let stats = out.finish().expect("finish");
    assert_eq!((stats.sent, stats.unheard, stats.skipped), (1000, 1000, 0));
}

/// I12 with a client that does not read: the fast one gets all, the slow one skips, and its numbers add up.
#[test]
fn slow_lossy_client_skips_and_harms_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:l:timeout=NO_WAIT:buffer_count=4", &place);
    out.set_format(Format::Raw).expect("format");
    let mut slow = raw_client(&place, "l");
    assert_eq!(read_hello(&mut slow), (1, String::new()));
    wait_for_clients(&out, 1);
    // Nobody reads: an output that waited would wait for ever.
    for n in 0..99 * 40 {
        must_send(&mut out, &message(n, 1000));
    }
    let client = out.clients()[0];
    assert_eq!(client.published, client.sent_messages + client.skipped_messages + client.queued_messages);
    // Now the slow one reads: what it gets has gaps that the sequence numbers show, and they equal the skipped ones.
    let reader = thread::spawn(move || {
        let (mut expected, mut missed, mut got) = (None, 0, 0);
        while let Some((seq, count, _)) = read_container(&mut slow) {
            missed += seq - expected.unwrap_or(0);
            expected = Some(seq + u64::from(count));
            got += u64::from(count);
        }
        (missed, got)
    });
    wait_until("queue drained", || out.clients()[0].queued_messages == 0);
    for n in 0..99 * 3 {
        must_send(&mut out, &message(n, 1000));
        if n % 99 == 0 {
            wait_until("queue drained", || out.clients()[0].queued_messages == 0);
        }
    }
    let skipped = out.clients()[0].skipped_messages;
    let stats = out.finish().expect("finish");
    let (missed, got) = reader.join().expect("reader");
    assert!(skipped > 0);
    assert_eq!((missed, missed + got), (stats.skipped, stats.sent));
}

#[test]
fn idle_reliable_client_blocks_until_it_is_gone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:r:buffer_count=4", &place);
    out.set_format(Format::Raw).expect("format");
    let mut idle = raw_client(&place, "r");
    read_hello(&mut idle);
    wait_for_clients(&out, 1);
    let mut fast = input("u:r", &place);
    fast.require(Format::Raw);
    let reader = thread::spawn(move || read_to_eof(&mut fast).len());
    wait_for_clients(&out, 2);
    let sender = thread::spawn(move || {
        for n in 0..5000 {
            must_send(&mut out, &message(n, 1000));
        }
        assert_eq!(out.send_eof(), Sent::Sent);
        out.finish().expect("finish")
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!sender.is_finished(), "the idle client was passed over");
    drop(idle);
    assert_eq!(reader.join().expect("reader"), 5000);
    let stats = sender.join().expect("sender");
    assert_eq!(stats.skipped, 0);
    assert!(stats.abandoned > 0);
}

#[test]
fn finish_is_bounded_by_a_client_that_does_not_read() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:b:timeout=HALF_WAIT:buffer_count=30", &place);
    out.set_format(Format::Raw).expect("format");
    let mut idle = raw_client(&place, "b");
    read_hello(&mut idle);
    wait_for_clients(&out, 1);
    for n in 0..99 * 20 {
        must_send(&mut out, &message(n, 1000));
    }
    place.stop.request();
    let stats = out.finish().expect("finish");
    assert!(stats.abandoned > 0);
    assert!(!place.socket_path("b").exists());
}

#[test]
fn killed_client_leaves_and_a_new_one_goes_on() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:k:buffer=off", &place);
    out.set_format(Format::Raw).expect("format");
    let mut first = raw_client(&place, "k");
    read_hello(&mut first);
    wait_for_clients(&out, 1);
    must_send(&mut out, b"one");
    assert_eq!(read_container(&mut first).expect("container").2, b"\0\x03one");
    drop(first);
    wait_for_clients(&out, 0);
    let mut second = raw_client(&place, "k");
    read_hello(&mut second);
    wait_for_clients(&out, 1);
    must_send(&mut out, b"two");
    assert_eq!(read_container(&mut second).expect("container"), (0, 1, b"\0\x03two".to_vec()));
    assert_eq!(out.stats().clients_accepted, 2);
}

#[test]
fn client_that_speaks_is_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:s", &place);
    out.set_format(Format::Raw).expect("format");
    let mut client = raw_client(&place, "s");
    read_hello(&mut client);
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.0\r\n\r\n").expect("write");
    wait_until("removed", || out.stats().clients_accepted == 1 && out.stats().clients == 0);
}

#[test]
fn input_reconnects_to_a_restarted_sender() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut input = input("u:again:timeout=60000000", &place);
    input.require(unirec("uint32 A"));
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match input.recv().expect("recv") {
                Event::Message(msg) => seen.push(msg.to_vec()),
                other => panic!("unexpected {other:?}"),
            }
        }
        (seen, input.stats().connects)
    });
    for n in 0..2 {
        let mut out = output("u:again", &place);
        out.set_format(unirec("uint32 A")).expect("format");
        must_send(&mut out, &message(n, 4));
        out.finish().expect("finish");
    }
    let (seen, connects) = reader.join().expect("reader");
    assert_eq!(seen, [message(0, 4), message(1, 4)]);
    // A third connection is possible: to the first sender while it was closing.
    assert!((2..=3).contains(&connects), "{connects} connections");
}

#[test]
fn template_change_never_mixes_layouts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:c", &place);
    out.set_format(unirec("uint16 A")).expect("format");
    let mut input = input("u:c", &place);
    input.require(unirec(""));
    let reader = thread::spawn(move || {
        let mut seen = Vec::new();
        loop {
            match input.recv().expect("recv") {
                Event::Message(msg) => seen.push(format!("{}", msg.len())),
                Event::FormatChanged { format, first } => seen.push(format!("{} {}", format.spec(), first.len())),
                Event::EndOfStream => return seen,
                other => panic!("unexpected {other:?}"),
            }
        }
    });
    must_send(&mut out, &[1, 0]);
    must_send(&mut out, &[2, 0]);
    out.set_format(unirec("uint32 B")).expect("format");
    must_send(&mut out, &[3, 0, 0, 0]);
    out.set_format(unirec("uint32 B")).expect("the same format changes nothing");
    assert_eq!(out.send_eof(), Sent::Sent);
    out.finish().expect("finish");
    assert_eq!(reader.join().expect("reader"), ["uint16 A 2", "2", "uint32 B 4"]);
}

#[test]
fn mismatch_and_unknown_format() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:m", &place);
    // Not known yet: type 0, then closed; a numeric input times out.
    let mut early = raw_client(&place, "m");
    let mut bytes = Vec::new();
    early.read_to_end(&mut bytes).expect("closed");
    assert_eq!(bytes, [0; 8]);
    let mut patient = input("u:m:timeout=300000", &place);
    patient.require(unirec("uint16 A"));
    let begin = Instant::now();
    assert_eq!(patient.recv().expect("recv"), Event::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!(out.send(b"x"), Sent::Dropped(DropReason::NoFormat));

    out.set_format(unirec("uint16 A")).expect("format");
    let mut wrong = input("u:m", &place);
    wrong.require(unirec("uint32 A"));
    assert!(matches!(wrong.recv(), Err(TrapError::FormatMismatch(text)) if text.contains("`uint32 A` not offered")));
    assert!(!wrong.is_connected());
    let mut unset = input("u:m", &place);
    assert_eq!(unset.recv().expect_err("no requirement").code(), 24);
    assert!(out.set_format(unirec("")).is_err());
}

#[test]
fn hello_comes_under_load_and_beside_silent_clients() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let stop = Stop::default();
    let mut out = output("u:f:timeout=NO_WAIT", &place);
    out.set_format(unirec("uint32 A,string S")).expect("format");
    // Load: a sender at full speed, a reader, and peers that connect but never read.
    let load_stop = stop.clone();
    let load = thread::spawn(move || {
        let msg = message(1, 600);
        while !load_stop.is_set() {
            must_send(&mut out, &msg);
        }
        out.finish().expect("finish");
    });
    let silent: Vec<_> = (0..8).map(|_| raw_client(&place, "f")).collect();
    for _ in 0..30 {
        let mut client = raw_client(&place, "f");
        // One write: the first read brings all of it (and perhaps more).
        let mut buffer = [0; 8 + 17];
        let count = client.read(&mut buffer).expect("hello");
        assert_eq!(&buffer[..count], b"\x02\0\0\0\0\0\0\x11uint32 A,string S");
    }
    stop.request();
    drop(silent);
    load.join().expect("load");
}

#[test]
fn too_many_clients_are_closed_without_hello() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:x:max_clients=1", &place);
    out.set_format(Format::Raw).expect("format");
    let mut first = raw_client(&place, "x");
    read_hello(&mut first);
    wait_for_clients(&out, 1);
    let mut bytes = Vec::new();
    raw_client(&place, "x").read_to_end(&mut bytes).expect("closed");
    assert!(bytes.is_empty());
    assert_eq!(out.stats().clients_refused, 1);
    let mut refused = input("u:x", &place);
    refused.require(Format::Raw);
    assert_eq!(refused.recv().expect_err("refused").code(), 25);
}

#[test]
fn autoflush_and_manual_flush() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:a:autoflush=100000", &place);
    out.set_format(Format::Raw).expect("format");
    let mut client = raw_client(&place, "a");
    read_hello(&mut client);
    wait_for_clients(&out, 1);
    let begin = Instant::now();
    must_send(&mut out, b"auto");
    assert_eq!(read_container(&mut client).expect("container"), (0, 1, b"\0\x04auto".to_vec()));
    assert!(begin.elapsed() >= Duration::from_millis(100), "{:?}", begin.elapsed());
    must_send(&mut out, b"by hand");
    out.flush().expect("flush");
    assert_eq!(read_container(&mut client).expect("container").0, 1);
    out.flush().expect("nothing to flush");
    let stats = out.stats();
    assert_eq!((stats.autoflushes, stats.buffers), (2, 2));
}

#[test]
fn oversize_is_dropped_and_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut out = output("u:o:timeout=HALF_WAIT:buffer_size=1000", &place_in(dir.path()));
    out.set_format(Format::Raw).expect("format");
    assert_eq!(out.send(&[1; 985]), Sent::Dropped(DropReason::TooLarge));
    assert_eq!(out.send(&[1; 984]), Sent::Sent);
    assert_eq!((out.stats().too_large, out.stats().sent), (1, 1));
}

#[test]
fn input_timeouts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut absent = input("u:absent:timeout=300000", &place);
    let begin = Instant::now();
    assert_eq!(absent.recv().expect("recv"), Event::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert!(!absent.set_timeout(Timeout::Wait), "the specifier fixed it");

    let mut impatient = input("u:late", &place);
    assert!(impatient.set_timeout(Timeout::NoWait));
    impatient.require(Format::Raw);
    assert_eq!(impatient.recv().expect("recv"), Event::Timeout);
    let mut out = output("u:late:timeout=HALF_WAIT:buffer=off", &place);
    out.set_format(Format::Raw).expect("format");
    // A second passes between failed attempts.
    wait_until("connected", || {
        assert_eq!(impatient.recv().expect("recv"), Event::Timeout);
        impatient.is_connected()
    });
    wait_for_clients(&out, 1);
    must_send(&mut out, b"now");
    wait_until("message", || matches!(impatient.recv().expect("recv"), Event::Message(b"now")));

    let stop = place.stop.clone();
    let mut waiting = input("u:absent", &place);
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.request();
    });
    assert_eq!(waiting.recv().expect("recv"), Event::Terminated);
    stopper.join().expect("stopper");
}

/// Serves one connection with these bytes and keeps it open until the input closed it.
fn fake_sender(bytes: Vec<u8>) -> (u16, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    let server = thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().expect("accept");
        std::io::Write::write_all(&mut stream, &bytes).expect("write");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.read(&mut [0; 1]).unwrap_or(0)
    });
    (port, server)
}

#[test]
fn garbage_closes_the_connection() {
    let hello = [1, 0, 0, 0, 0, 0, 0, 0];
    let cases: [(&[u8], u8); 5] = [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", 25),
        (&[2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], 25),
        (&[&hello[..], &[0xff; 14]].concat(), 14),
        (&[&hello[..], &[0; 14]].concat(), 14),
        (&[&hello[..], &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9, 9]].concat(), 14),
    ];
    for (bytes, code) in cases {
        let (port, server) = fake_sender(bytes.to_vec());
        let mut input = input(&format!("t:127.0.0.1:{port}"), &place_in(std::path::Path::new("/nonexistent")));
        input.require(Format::Raw);
        assert_eq!(input.recv().expect_err("garbage").code(), code, "{bytes:?}");
        assert!(!input.is_connected());
        assert_eq!(server.join().expect("server"), 0, "the input must close and never send");
    }
}

#[test]
fn late_hello_fails_the_negotiation() {
    let (port, server) = fake_sender(vec![1, 0, 0]);
    let mut input: Input = input(&format!("t:127.0.0.1:{port}"), &place_in(std::path::Path::new("/nonexistent")));
    input.require(Format::Raw);
    let begin = Instant::now();
    assert_eq!(input.recv().expect_err("no hello").code(), 25);
    assert!(
        begin.elapsed() >= Duration::from_millis(200),
        "a sender on a busy machine is waited for: {:?}",
        begin.elapsed()
    );
    server.join().expect("server");
}

#[test]
fn a_name_taken_over_is_not_unlinked() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut first = output("u:n", &place);
    let mut second = output("u:n", &place);
    first.finish().expect("finish");
    assert!(place.socket_path("n").exists());
    second.finish().expect("finish");
    assert!(!place.socket_path("n").exists());
}

#[test]
fn socket_is_open_to_all_users_and_needs_its_directory() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let _out = output("u:p", &place);
    let mode = std::fs::metadata(place.socket_path("p")).expect("socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    let spec = trap::Spec::parse("u:p").expect("specifier");
    let nowhere = place_in(&dir.path().join("none"));
    let error = trap::Output::open_at(&spec[0], trap::OutputDefaults::default(), &nowhere).expect_err("no directory");
    assert!(error.to_string().contains("does the directory exist"), "{error}");
}

/// Joins and leaves at any moment leave nothing behind.
#[test]
fn clients_join_and_leave() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:j:timeout=HALF_WAIT:buffer_count=3", &place);
    out.set_format(Format::Raw).expect("format");
    let stop = Stop::default();
    let rounds = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|which: usize| {
            let (place, stop, rounds) = (place.clone(), stop.clone(), Arc::clone(&rounds));
            thread::spawn(move || {
                for round in (0..7).cycle() {
                    if stop.is_set() {
                        return;
                    }
                    let mut client = raw_client(&place, "j");
                    let mut buffer = vec![0; 1 << (which * 5)];
                    for _ in 0..round {
                        let _may_be_closed = client.read(&mut buffer);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut n = 0;
    while rounds.load(Ordering::Relaxed) < 100 {
        must_send(&mut out, &message(n, 3000));
        n += 1;
        for client in out.clients() {
            assert_eq!(client.published, client.sent_messages + client.skipped_messages + client.queued_messages);
        }
    }
    stop.request();
    let sender = thread::spawn(move || {
        // Readers that still wait for bytes get some.
        wait_until("all left", || {
            let _sent = out.send(&[1; 3000]);
            out.client_count() == 0
        });
        out.finish().expect("finish")
    });
    clients.into_iter().for_each(|client| client.join().expect("client"));
    let stats = sender.join().expect("sender");
    assert!(stats.clients_accepted > 0);
    assert_eq!(stats.skipped, 0);
}
