//! What the integration tests share.
#![allow(dead_code, reason = "each test file uses its part")]

mod panics;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trap::container::Header;
use trap::deframer::{Deframer, Item, Layout};
use trap::{Event, Format, Input, InputDefaults, Output, OutputDefaults, Place, Sent, Spec};

/// How long a test waits for what must come, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn output(text: &str, place: &Place) -> Output {
    panics::end_the_process();
    let spec = Spec::parse(text).expect("specifier");
    Output::open_at(&spec[0], OutputDefaults::default(), place).expect("output opens")
}

pub(crate) fn input(text: &str, place: &Place) -> Input {
    panics::end_the_process();
    let spec = Spec::parse(text).expect("specifier");
    Input::open_at(&spec[0], &InputDefaults::default(), place).expect("input opens")
}

pub(crate) fn unirec(spec: &str) -> Format {
    Format::UniRec(spec.into())
}

pub(crate) fn must_send(output: &mut Output, msg: &[u8]) {
    assert_eq!(output.send(msg), Sent::Sent);
}

/// A client that reads raw bytes; panics instead of waiting longer than [`PATIENCE`].
pub(crate) fn raw_client(place: &Place, name: &str) -> UnixStream {
    let stream = UnixStream::connect(place.socket_path(name)).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address").port()
}

/// As [`raw_client`], over TCP.
pub(crate) fn tcp_client(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream
}

pub(crate) fn read_hello(stream: &mut impl Read) -> (u8, String) {
    let mut header = [0; 8];
    stream.read_exact(&mut header).expect("hello header");
    let mut spec = vec![0; u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize];
    stream.read_exact(&mut spec).expect("hello spec");
    (header[0], String::from_utf8(spec).expect("text"))
}

/// One container: sequence, count, payload; none at the end.
pub(crate) fn read_container(stream: &mut impl Read) -> Option<(u64, u16, Vec<u8>)> {
    let mut header = [0; 14];
    match stream.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
        Err(error) => panic!("no container: {error}"),
    }
    let mut payload = vec![0; u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize];
    stream.read_exact(&mut payload).expect("payload");
    let seq = u64::from_le_bytes(header[4..12].try_into().expect("8 bytes"));
    Some((seq, u16::from_le_bytes([header[12], header[13]]), payload))
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn wait_for_clients(output: &Output, count: usize) {
    wait_until(&format!("{count} clients"), || output.stats().clients == count);
}

/// Messages until the end of the stream.
pub(crate) fn read_to_eof(input: &mut Input) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        match input.recv().expect("recv") {
            Event::Message(msg) | Event::FormatChanged { first: msg, .. } => messages.push(msg.to_vec()),
            Event::EndOfStream => return messages,
            other => panic!("unexpected {other:?}"),
        }
    }
}

pub(crate) fn place_in(dir: &Path) -> Place {
    Place::with_socket_dir(dir)
}

/// Folder of the fixtures, none when there is none to be expected.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let asked = std::env::var_os("SONDA_SHARED").map(PathBuf::from);
    let candidates = [manifest.join("../../shared"), manifest.join("../../../shared")];
    let folder = asked.clone().or_else(|| candidates.into_iter().find(|dir| dir.is_dir()));
    let Some(folder) = folder.map(|shared| shared.join("fixtures")) else {
        eprintln!("no shared fixtures");
        return None;
    };
    assert!(folder.is_dir() || asked.is_none(), "SONDA_SHARED has no fixtures: {}", folder.display());
    if !folder.is_dir() {
        eprintln!("no shared fixtures");
        return None;
    }
    Some(folder)
}

/// Format, messages and containers of recorded bytes.
pub(crate) struct Recorded {
    pub(crate) format: Format,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) containers: Vec<Header>,
}

pub(crate) fn parse(layout: Layout, bytes: &[u8]) -> Recorded {
    let mut deframer = Deframer::new(layout);
    deframer.feed(bytes);
    let mut recorded = Recorded { format: Format::Unknown, messages: Vec::new(), containers: Vec::new() };
    loop {
        match deframer.next_item().expect("recorded bytes are valid") {
            Item::NeedMore => break,
            Item::Hello(format) => recorded.format = format,
            Item::Container(header) => recorded.containers.push(header),
            Item::Message(range) => recorded.messages.push(deframer.bytes(range).to_vec()),
        }
    }
    assert_eq!(deframer.buffered(), 0, "bytes left over");
    recorded
}
