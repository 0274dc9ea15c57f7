//! Real unix and loopback TCP sockets: delivery, slow and dead clients, formats, HELLO, end of stream.

mod common;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use trap::{DropReason, Event, Format, Input, Sent, Stop, Timeout, TrapError};

fn message(n: u32, len: usize) -> Vec<u8> {
    let mut msg = vec![0xab; len.max(4)];
    msg[..4].copy_from_slice(&n.to_le_bytes());
    msg
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port()
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
