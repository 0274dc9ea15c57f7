//! Where the flows go: a sink that counts bytes, and a collector that reads IPFIX over TCP and adds up.
use nix::sys::socket::{SetSockOpt, sockopt};
use record::ipfix::{Decoder, Event, Framer, Limits};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Receive buffer asked for, bytes; the system may give less.
const RECEIVE: usize = 16 << 20;

/// Counts the bytes of UDP datagrams until it is dropped.
///
/// What it costs to receive is not the sender's, as if it were on another machine, though on one machine much of it runs in the sender's system
/// calls. So it takes datagrams together that were sent together (UDP_GRO, udp(7)): for one that does not, the kernel takes them apart, which
/// to a network card it leaves.
/// It never sleeps: to wake a receiver on another processor costs the sender some microseconds in a virtual machine, for a collector that is on
/// another machine nothing, and how often it happens would be chance. On a machine with one processor it sleeps.
pub(crate) struct Sink {
    pub(crate) port: u16,
    bytes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Sink {
    pub(crate) fn start() -> io::Result<Sink> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_recv_buffer_size(RECEIVE)?;
        sockopt::UdpGroSegment.set(&socket, &true)?;
        socket.set_nonblocking(thread::available_parallelism()?.get() > 1)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let socket = UdpSocket::from(socket);
        let port = socket.local_addr()?.port();
        let sink = Sink { port, bytes: Arc::default(), is_over: Arc::default() };
        let (count, is_over) = (Arc::clone(&sink.bytes), Arc::clone(&sink.is_over));
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while !is_over.load(Ordering::Relaxed) {
                match socket.recv(&mut buffer) {
                    Ok(len) => drop(count.fetch_add(len as u64, Ordering::Relaxed)),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::hint::spin_loop(),
                    Err(_) => break,
                }
            }
        });
        Ok(sink)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) flows: u64,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// Reads one IPFIX session over TCP.
pub(crate) struct Collector {
    pub(crate) port: u16,
    session: JoinHandle<Result<Sums, String>>,
}

impl Collector {
    pub(crate) fn start() -> io::Result<Collector> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok(Collector { port, session: thread::spawn(move || session(&listener)) })
    }

    /// Waits for the end of the session. Call it when the exporter has ended.
    pub(crate) fn sums(self) -> Result<Sums, String> {
        self.session.join().map_err(|_| "the collector panicked".to_owned())?
    }
}

fn session(listener: &TcpListener) -> Result<Sums, String> {
    let (mut stream, _) = listener.accept().map_err(|e| e.to_string())?;
    let (mut framer, mut decoder) = (Framer::new(), Decoder::new(Limits::default()));
    let (mut sums, mut trouble) = (Sums::default(), None);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = stream.read(&mut buffer).map_err(|e| e.to_string())?;
        if count == 0 {
            break;
        }
        let pushed = framer.push(&buffer[..count], &mut |message| {
            if let Err(error) = decoder.decode(message, &mut |event| add(&mut sums, &mut trouble, &event)) {
                trouble = Some(error.to_string());
            }
        });
        pushed.map_err(|e| e.to_string())?;
    }
    trouble.map_or(Ok(sums), Err)
}

/// Adds a record's counters, those of both directions.
fn add(sums: &mut Sums, trouble: &mut Option<String>, event: &Event<'_>) {
    match event {
        Event::Record(record) if record.template.is_options() => {}
        Event::Record(record) => {
            sums.flows += 1;
            for field in record.fields() {
                let element = field.spec;
                if element.pen != 0 && element.pen != REVERSE {
                    continue;
                }
                match element.id {
                    OCTETS => sums.octets += field.uint().unwrap_or(0),
                    PACKETS => sums.packets += field.uint().unwrap_or(0),
                    _ => {}
                }
            }
        }
        Event::Skipped(error) => *trouble = Some(error.to_string()),
        Event::Template(_) | Event::Withdrawn(_) => {}
    }
}

/// octetDeltaCount and packetDeltaCount (IANA), and the enterprise number of reverse elements (RFC 5103).
const OCTETS: u16 = 1;
const PACKETS: u16 = 2;
const REVERSE: u32 = 29_305;
