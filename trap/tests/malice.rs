//! Peers that mean harm: each is left or passed over in time, and those beside it notice nothing.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::*;
use trap::{Event, Format, Stop, Timeout};

/// Beside clients that never read, read a byte now and then, talk, or hang half open, a good one gets every message, no send waits, and
/// what was published to each is at every moment sent, skipped or queued.
#[test]
fn bad_clients_cost_a_good_one_nothing() {
    let port = free_port();
    let mut out = output(&format!("t:{port}:timeout=NO_WAIT:buffer_count=4"), &place_in(Path::new("/nonexistent")));
    out.set_format(Format::Raw).expect("format");
    let mut good = tcp_client(port);
    read_hello(&mut good);
    wait_for_clients(&out, 1);
    let silent: Vec<TcpStream> = (0..20).map(|_| tcp_client(port)).collect();
    let half_open: Vec<TcpStream> = (0..5).map(|_| tcp_client(port)).collect();
    half_open.iter().for_each(|stream| stream.shutdown(Shutdown::Read).expect("shutdown"));
    let stop = Stop::default();
    let trickle_stop = stop.clone();
    let mut slow = tcp_client(port);
    let trickle = thread::spawn(move || {
        while !trickle_stop.is_set() && slow.read_exact(&mut [0; 1]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    wait_for_clients(&out, 27);
    let mut talkers: Vec<TcpStream> = (0..10).map(|_| tcp_client(port)).collect();
    for (n, talker) in talkers.iter_mut().enumerate() {
        talker.write_all(&vec![0xff; 1 << n]).expect("write");
    }
    let reader = thread::spawn(move || {
        let (mut expected, mut got) = (0, 0);
        while let Some((seq, count, _)) = read_container(&mut good) {
            assert_eq!(seq, expected, "the good client lost something");
            expected += u64::from(count);
            got += u64::from(count);
        }
        got
    });
    // A send that waited for those who do not read would wait for ever.
    for n in 0..99u32 * 300 {
        must_send(&mut out, &[&n.to_le_bytes()[..], &[7; 996]].concat());
        if n % 99 == 0 {
            for client in out.clients() {
                let booked = client.sent_messages + client.skipped_messages + client.queued_messages;
                assert_eq!(client.published, booked, "{client:?}");
            }
            // The good one came first; its pace is the sender's.
            wait_until("the good client is served", || out.clients()[0].queued_messages == 0);
        }
    }
    wait_until("talkers are removed", || out.stats().clients <= 27);
    assert!(out.clients().iter().any(|client| client.skipped_messages > 0));
    assert_eq!(out.clients()[0].skipped_messages, 0);
    stop.request();
    let stats = out.finish().expect("finish");
    assert_eq!(reader.join().expect("reader"), stats.sent);
    trickle.join().expect("trickle");
    drop((silent, half_open));
}

/// Serves one connection: each piece, then what `pause` does.
fn server(pieces: Vec<Vec<u8>>, pause: impl Fn() + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        for piece in pieces {
            if stream.write_all(&piece).is_err() {
                return;
            }
            pause();
        }
        let _end = stream.read(&mut [0; 1]);
    });
    port
}

fn bytewise(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.iter().map(|byte| vec![*byte]).collect()
}

const HELLO: [u8; 8] = [1, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn a_hello_that_trickles_is_not_waited_for() {
    let port = server(bytewise(&HELLO), || thread::sleep(Duration::from_secs(10)));
    let mut input = input(&format!("t:127.0.0.1:{port}"), &place_in(Path::new("/nonexistent")));
    input.require(Format::Raw);
    assert_eq!(input.recv().expect_err("too slow").code(), 25);
    assert!(!input.is_connected());
}

#[test]
fn a_container_that_trickles_holds_up_no_timeout_and_no_stop() {
    let container = [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 8, 9];
    // The next byte comes only when the timeout has: an input that waited for the whole container would never see it.
    let (next, told) = mpsc::channel();
    let port = server([vec![HELLO.to_vec()], bytewise(&container)].concat(), move || _ = told.recv());
    let place = place_in(Path::new("/nonexistent"));
    let mut input = input(&format!("t:127.0.0.1:{port}"), &place);
    input.require(Format::Raw);
    input.set_timeout(Timeout::Micros(100_000));
    let mut timeouts = 0;
    loop {
        match input.recv().expect("recv") {
            Event::Timeout => {
                timeouts += 1;
                let _all_was_sent = next.send(());
            }
            Event::Message(message) => {
                assert_eq!(message, [8, 9]);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(timeouts >= container.len(), "{timeouts}");
    input.set_timeout(Timeout::Wait);
    let stop = place.stop.clone();
    let stopper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        stop.request();
    });
    assert_eq!(input.recv().expect("recv"), Event::Terminated);
    stopper.join().expect("stopper");
}

/// Announced lengths cost nothing until the bytes come, and impossible ones end the connection.
#[test]
fn huge_lengths_are_refused_at_once() {
    let header = |len: u32| [&HELLO[..], &len.to_be_bytes(), &[0; 10]].concat();
    let spec = |len: u32| [&[2, 0, 0, 0][..], &len.to_be_bytes()].concat();
    for (bytes, code) in [
        (header(800_001), 14),
        (header(u32::MAX), 14),
        (spec((1 << 20) + 1), 25),
        (spec(u32::MAX), 25),
        (vec![9; 8], 25),
    ] {
        let port = server(vec![bytes.clone()], || {});
        let mut input = input(&format!("t:127.0.0.1:{port}"), &place_in(Path::new("/nonexistent")));
        input.require(Format::Raw);
        let refused = input.recv().expect_err("refused");
        assert_eq!(refused.code(), code, "{bytes:?}");
        assert!(!refused.to_string().contains("no HELLO within"), "it waited: {refused}");
    }
}

#[test]
fn sixty_four_clients_get_everything_and_one_more_is_turned_away() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut out = output("u:many:timeout=HALF_WAIT:buffer_count=10", &place);
    out.set_format(Format::Raw).expect("format");
    let readers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = raw_client(&place, "many");
            thread::spawn(move || {
                read_hello(&mut client);
                std::iter::from_fn(|| read_container(&mut client)).map(|(_, count, _)| u64::from(count)).sum::<u64>()
            })
        })
        .collect();
    wait_for_clients(&out, 64);
    let mut bytes = Vec::new();
    raw_client(&place, "many").read_to_end(&mut bytes).expect("closed");
    assert!(bytes.is_empty(), "no HELLO for one too many");
    for n in 0..99u32 * 40 {
        must_send(&mut out, &[&n.to_le_bytes()[..], &[7; 996]].concat());
    }
    let clients = out.clients();
    let books = |sum: fn(&trap::ClientStats) -> u64| clients.iter().map(sum).sum::<u64>();
    assert_eq!(books(|c| c.published), books(|c| c.sent_messages + c.skipped_messages + c.queued_messages));
    let stats = out.finish().expect("finish");
    for reader in readers {
        assert_eq!(reader.join().expect("reader"), stats.sent);
    }
    assert_eq!((stats.clients_accepted, stats.clients_refused, stats.skipped, stats.abandoned), (64, 1, 0, 0));
}
