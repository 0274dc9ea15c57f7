//! What stands at the other end, and on the way: `openssl s_server`, a collector over UDP, a relay; and what they got.
use super::certificates::Site;
use benches::pcap::{Format, PcapWriter, link};
use record::ipfix::{Decoder, Event, Framer, Limits};
use std::collections::HashMap;
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For what must happen, on a machine that may stall.
const PATIENCE: Duration = Duration::from_secs(120);

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// `openssl s_server`, which writes what it is told into a file.
pub(crate) struct Server {
    pub(crate) port: u16,
    child: Child,
    file: PathBuf,
    /// Open: the end of it would be the end of the association.
    _stdin: ChildStdin,
    /// Keeps others off the port.
    _held: Option<UdpSocket>,
}

impl Server {
    pub(crate) fn start(site: &Site, args: &[&str]) -> Server {
        let held = UdpSocket::bind("127.0.0.2:0").expect("a free port");
        let port = held.local_addr().expect("bound").port();
        let mut server = Server::again(site, port, args);
        server._held = Some(held);
        server
    }

    /// At the port of one that went.
    pub(crate) fn again(site: &Site, port: u16, args: &[&str]) -> Server {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let file = site.path(&format!("received{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut command = Command::new("openssl");
        command.args(["s_server", "-dtls1_2", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        command.args(
            "-cert server.crt -key server.key -cert_chain below.crt -CAfile ca.crt -verify_return_error".split(' '),
        );
        command.args(args).current_dir(site.folder()).stdin(Stdio::piped()).stderr(Stdio::null());
        command.stdout(File::create(&file).expect("a file"));
        let mut child = command.spawn().expect("openssl (Debian package `openssl`)");
        let _stdin = child.stdin.take().expect("piped");
        let row = format!("0100007F:{port:04X} 00000000:0000 07");
        wait_for("s_server", || std::fs::read_to_string("/proc/net/udp").expect("proc is mounted").contains(&row));
        Server { port, child, file, _stdin, _held: None }
    }

    /// What it has written, up to the last whole message.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let mut bytes = std::fs::read(&self.file).expect("its file");
        let mut end = 0;
        while let Some([high, low]) = bytes.get(end + 2..end + 4)
            && let length = usize::from(u16::from_be_bytes([*high, *low]))
            && end + length <= bytes.len()
        {
            end += length;
        }
        bytes.truncate(end);
        bytes
    }

    /// What it had when the farewell came; it was started with `-naccept 1`.
    pub(crate) fn ended(mut self) -> Vec<u8> {
        wait_for("the farewell", || self.child.try_wait().expect("our child").is_some());
        self.whole()
    }

    /// What it had when it was killed, once it has so many records.
    pub(crate) fn killed(self, records_wanted: u64) -> Vec<u8> {
        wait_for("all records", || records(&self.whole()).len() as u64 >= records_wanted);
        self.whole()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A collector that takes datagrams as they are.
pub(crate) struct UdpCollector {
    pub(crate) port: u16,
    socket: UdpSocket,
    got: Vec<u8>,
}

impl UdpCollector {
    pub(crate) fn start() -> UdpCollector {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        UdpCollector { port: socket.local_addr().expect("bound").port(), socket, got: Vec::new() }
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.got.extend_from_slice(&buffer[..length]);
        }
    }

    /// What came.
    pub(crate) fn ended(mut self) -> Vec<u8> {
        self.read();
        self.got
    }
}

/// Passes datagrams on, both ways; each sender has a socket of its own at the other end.
pub(crate) struct Relay {
    pub(crate) port: u16,
    silent: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    passed: Arc<Mutex<Passed>>,
    thread: Option<JoinHandle<()>>,
}

/// Datagrams, and whether they went to the collector.
pub(crate) type Passed = Vec<(bool, Vec<u8>)>;

/// What is lost: by direction (to the collector first), the numbers of datagrams.
pub(crate) type Lost = [&'static [usize]; 2];

impl Relay {
    pub(crate) fn to(port: u16) -> Relay {
        Relay::with(port, [&[], &[]], false)
    }

    /// One that loses these datagrams; with `noise` all that comes from the collector comes twice, and nonsense behind it.
    pub(crate) fn with(port: u16, lost: Lost, noise: bool) -> Relay {
        let front = UdpSocket::bind("127.0.0.1:0").expect("a port");
        front.set_nonblocking(true).expect("a socket");
        let own = front.local_addr().expect("bound").port();
        let (silent, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let passed = Arc::new(Mutex::new(Passed::new()));
        let (is_silent, is_over, keeps) = (Arc::clone(&silent), Arc::clone(&over), Arc::clone(&passed));
        let thread = std::thread::spawn(move || {
            let (mut backs, mut buffer, mut numbers) =
                (HashMap::<SocketAddr, UdpSocket>::new(), vec![0; 1 << 16], [0; 2]);
            let mut is_lost = |way: usize| {
                numbers[way] += 1;
                is_silent.load(Ordering::SeqCst) || lost[way].contains(&(numbers[way] - 1))
            };
            while !is_over.load(Ordering::SeqCst) {
                while let Ok((length, from)) = front.recv_from(&mut buffer) {
                    let back = backs.entry(from).or_insert_with(|| {
                        let back = UdpSocket::bind("127.0.0.1:0").expect("a port");
                        back.connect(("127.0.0.1", port)).expect("loopback");
                        back.set_nonblocking(true).expect("a socket");
                        back
                    });
                    if !is_lost(0) {
                        let _nobody_there = back.send(&buffer[..length]);
                        keeps.lock().expect("one at a time").push((true, buffer[..length].to_vec()));
                    }
                }
                for (from, back) in &backs {
                    while let Ok(length) = back.recv(&mut buffer) {
                        if is_lost(1) {
                            continue;
                        }
                        keeps.lock().expect("one at a time").push((false, buffer[..length].to_vec()));
                        for _ in 0..1 + usize::from(noise) {
                            let _gone = front.send_to(&buffer[..length], from);
                        }
                        if noise {
                            let nonsense: Vec<u8> = (0..length).map(|at| (at * 7 + length) as u8).collect();
                            let _gone = front.send_to(&nonsense, from);
                            let _gone = front.send_to(&[], from);
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Relay { port: own, silent, over, passed, thread: Some(thread) }
    }

    /// Whether nothing passes any more, without a word to anybody.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    pub(crate) fn passed(&self) -> Passed {
        self.passed.lock().expect("one at a time").clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The data records of messages of one session after the other, sorted.
pub(crate) fn records(messages: &[u8]) -> Vec<String> {
    let (mut decoder, mut records) = (Decoder::new(Limits::default()), Vec::new());
    each(messages, &mut |message| {
        let read = decoder.decode(message, &mut |event| match event {
            Event::Record(record) => records.push(
                record.fields().map(|f| format!("{}.{}={:02x?} ", f.spec.pen, f.spec.id, f.bytes)).collect::<String>(),
            ),
            Event::Skipped(why) => panic!("skipped: {why}"),
            Event::Template(_) | Event::Withdrawn(_) => {}
        });
        read.expect("our message decodes");
    });
    records.sort();
    records
}

/// How many sessions there were: sequence numbers begin at 0 in each, and count its records.
pub(crate) fn sessions(messages: &[u8]) -> usize {
    let (mut decoder, mut next, mut sessions) = (Decoder::new(Limits::default()), u32::MAX, 0);
    each(messages, &mut |message| {
        let summary = decoder.decode(message, &mut |_| {}).expect("our message decodes");
        if summary.header.sequence != next {
            assert_eq!(summary.header.sequence, 0, "{next} records before");
            sessions += 1;
        }
        next = summary.header.sequence + summary.records;
    });
    sessions
}

/// How often the first template was told.
pub(crate) fn templates(messages: &[u8]) -> usize {
    let (mut decoder, mut first, mut told) = (Decoder::new(Limits::default()), None, 0);
    each(messages, &mut |message| {
        let read = decoder.decode(message, &mut |event| {
            if let Event::Template(template) = event
                && !template.is_options()
            {
                told += usize::from(*first.get_or_insert(template.id()) == template.id());
            }
        });
        read.expect("our message decodes");
    });
    told
}

/// The records of flows.
pub(crate) fn flows(messages: &[u8]) -> usize {
    let (mut decoder, mut flows) = (Decoder::new(Limits::default()), 0);
    each(messages, &mut |message| {
        let read = decoder.decode(message, &mut |event| {
            flows += usize::from(matches!(event, Event::Record(record) if !record.template.is_options()));
        });
        read.expect("our message decodes");
    });
    flows
}

fn each(messages: &[u8], show: &mut dyn FnMut(&[u8])) {
    let mut framer = Framer::new();
    framer.push(messages, &mut |message| show(message)).expect("whole messages");
    framer.finish().expect("no half message at the end");
}

/// As a capture of raw IPv4, with the collector at port 4740.
pub(crate) fn as_capture(passed: &Passed) -> Vec<u8> {
    let mut out = PcapWriter::new(Vec::new(), Format { link: link::RAW, ..Format::default() }).expect("a Vec");
    for (number, (there, datagram)) in passed.iter().enumerate() {
        let length = datagram.len() as u16;
        let ports = if *there { [40_000, 4740] } else { [4740, 40_000] };
        let mut packet = vec![0x45, 0];
        packet.extend((length + 28).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend([ports[0], ports[1], length + 8, 0].iter().flat_map(|n: &u16| n.to_be_bytes()));
        packet.extend(datagram);
        out.packet(benches::EPOCH + number as u64 * 1000, &packet).expect("a Vec");
    }
    out.finish().expect("a Vec")
}

/// What tshark says of a field of the packets that a filter takes.
pub(crate) fn tshark(capture: &Path, filter: &str, field: &str) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-d", "udp.port==4740,dtls", "-Y", filter, "-T", "fields", "-e", field]);
    let ran = command.output().expect("tshark (Debian package `tshark`)");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).lines().map(String::from).collect()
}
