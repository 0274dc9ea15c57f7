//! The transport under an IPFIX session: UDP, TCP with reconnect, or a file.
use super::datagrams::Datagrams;
use crate::export::{OpenError, RecordDrop};
use record::ipfix::Fate;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

/// Where IPFIX messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Udp {
        host: String,
        port: u16,
    },
    Tcp {
        host: String,
        port: u16,
    },
    /// Messages back to back (RFC 5655 without its options records).
    File(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Udp { host, port } => write!(f, "udp {host}:{port}"),
            Target::Tcp { host, port } => write!(f, "tcp {host}:{port}"),
            Target::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A collector that does not read is given up after this long; its messages are then lost, counted.
const WRITE_BUDGET: Duration = Duration::from_secs(30);
const CONNECT_BUDGET: Duration = Duration::from_secs(5);

/// What was lost with a message.
pub(super) struct Loss {
    pub(super) reason: RecordDrop,
    pub(super) records: u64,
    /// In words, the first time.
    pub(super) trouble: Option<String>,
}

pub(super) enum Wire {
    Udp(Datagrams),
    Tcp(Session),
    File(Buffered),
}

/// A file with a buffer of its own, which knows how many records wait in it: a full disk loses a counted number.
pub(super) struct Buffered {
    file: File,
    path: PathBuf,
    waiting: Vec<u8>,
    records: u64,
}

/// Bytes gathered before a file is written.
const FILE_BUFFER: usize = 1 << 18;

/// One TCP session after the other.
pub(super) struct Session {
    host: String,
    port: u16,
    stream: Option<TcpStream>,
    retry_secs: u64,
    next_try_secs: u64,
    reconnects: u64,
    verbose: bool,
}

impl Wire {
    pub(super) fn open(target: &Target, retry_secs: u64, verbose: bool) -> Result<Wire, OpenError> {
        match target {
            Target::Udp { host, port } => {
                let socket = udp(host, *port)?;
                Ok(Wire::Udp(Datagrams::new(socket, target.to_string())))
            }
            Target::Tcp { host, port } => {
                let stream = tcp(host, *port)?;
                Ok(Wire::Tcp(Session {
                    host: host.clone(),
                    port: *port,
                    stream: Some(stream),
                    retry_secs,
                    next_try_secs: 0,
                    reconnects: 0,
                    verbose,
                }))
            }
            Target::File(path) => {
                let file = File::create(path)
                    .map_err(|cause| OpenError::Create { path: path.display().to_string(), cause })?;
                let waiting = Vec::with_capacity(FILE_BUFFER + usize::from(u16::MAX));
                Ok(Wire::File(Buffered { file, path: path.clone(), waiting, records: 0 }))
            }
        }
    }

    /// Hands one message with `records` data records to the transport.
    pub(super) fn send(&mut self, message: &[u8], records: u64, now_secs: u64) -> Result<Fate, Loss> {
        match self {
            Wire::Udp(datagrams) => {
                datagrams.send(message, records);
                Ok(Fate::Sent)
            }
            Wire::Tcp(session) => session.send(message, records, now_secs),
            Wire::File(file) => file.send(message, records),
        }
    }

    /// Writes out what is buffered and ends the session.
    pub(super) fn close(&mut self) -> Result<(), Loss> {
        match self {
            Wire::Udp(datagrams) => {
                datagrams.close();
                datagrams.loss().map_or(Ok(()), Err)
            }
            Wire::Tcp(session) => {
                if let Some(stream) = session.stream.take() {
                    let _ = stream.shutdown(std::net::Shutdown::Write);
                }
                Ok(())
            }
            Wire::File(file) => file.flush(),
        }
    }

    /// Sends what was gathered; a file keeps its buffer. Losses are told by [`Wire::late_loss`].
    pub(super) fn flush(&mut self) {
        if let Wire::Udp(datagrams) = self {
            datagrams.flush();
        }
    }

    /// Records of earlier messages that turned out to be lost.
    pub(super) fn late_loss(&mut self) -> Option<Loss> {
        if let Wire::Udp(datagrams) = self { datagrams.loss() } else { None }
    }

    /// Whether templates were lost, since the last time this was asked: send them again.
    pub(super) fn templates_lost(&mut self) -> bool {
        if let Wire::Udp(datagrams) = self { datagrams.templates_lost() } else { false }
    }

    pub(super) fn reconnects(&self) -> u64 {
        if let Wire::Tcp(session) = self { session.reconnects } else { 0 }
    }
}

impl Buffered {
    fn send(&mut self, message: &[u8], records: u64) -> Result<Fate, Loss> {
        self.waiting.extend_from_slice(message);
        self.records += records;
        if self.waiting.len() >= FILE_BUFFER {
            self.flush()?;
        }
        Ok(Fate::Sent)
    }

    fn flush(&mut self) -> Result<(), Loss> {
        let outcome = self.file.write_all(&self.waiting);
        self.waiting.clear();
        let records = std::mem::take(&mut self.records);
        outcome.map_err(|e| Loss {
            reason: RecordDrop::WriteFailed,
            records,
            trouble: Some(format!("{}: {e}; free space or choose another folder", self.path.display())),
        })
    }
}

impl Session {
    /// A broken session is opened again at once and the message repeated by the packer; a second failure loses it, and further
    /// attempts wait (spec/ipfix.md section 4).
    fn send(&mut self, message: &[u8], records: u64, now_secs: u64) -> Result<Fate, Loss> {
        let Some(stream) = &mut self.stream else {
            if now_secs >= self.next_try_secs && self.connect(now_secs).is_ok() {
                return Ok(Fate::Restarted);
            }
            return Err(Loss { reason: RecordDrop::Down, records, trouble: None });
        };
        let written = if closed(stream) { Err(io::ErrorKind::NotConnected.into()) } else { stream.write_all(message) };
        let Err(broken) = written else { return Ok(Fate::Sent) };
        self.stream = None;
        self.say(&format!("connection broke: {broken}"));
        let stalled = matches!(broken.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if !stalled && self.connect(now_secs).is_ok() {
            return Ok(Fate::Restarted);
        }
        self.next_try_secs = now_secs + self.retry_secs;
        let trouble = Some(format!("tcp {}:{}: {broken}", self.host, self.port));
        Err(Loss { reason: RecordDrop::SendFailed, records, trouble })
    }

    fn connect(&mut self, now_secs: u64) -> Result<(), OpenError> {
        self.next_try_secs = now_secs + self.retry_secs;
        let stream = tcp(&self.host, self.port).inspect_err(|e| self.say(&e.to_string()))?;
        self.stream = Some(stream);
        self.reconnects += 1;
        self.say("connected again, templates are sent anew");
        Ok(())
    }

    fn say(&self, what: &str) {
        if self.verbose {
            eprintln!("VERBOSE: ipfix {}:{}: {what}", self.host, self.port);
        }
    }
}

/// Whether the collector has closed its end. It never says anything, so there is nothing to read but the end; what is written after it
/// would be taken by the kernel and thrown away by the peer.
fn closed(stream: &TcpStream) -> bool {
    /// MSG_PEEK and MSG_DONTWAIT of recv(2) on Linux.
    const LOOK: i32 = 0x02 | 0x40;
    let mut byte = [std::mem::MaybeUninit::uninit()];
    matches!(socket2::SockRef::from(stream).recv_with_flags(&mut byte, LOOK), Ok(0))
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, OpenError> {
    let no_address = || io::Error::other("the name has no address");
    let fail = |cause| OpenError::Resolve { host: host.to_string(), cause };
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(fail)?.collect();
    if found.is_empty() { Err(fail(no_address())) } else { Ok(found) }
}

/// A connected socket, so that "port unreachable" comes back as an error and is counted.
fn udp(host: &str, port: u16) -> Result<UdpSocket, OpenError> {
    let mut last = io::Error::other("no address");
    for to in resolve(host, port)? {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        match UdpSocket::bind(any).and_then(|s| s.connect(to).map(|()| s)) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = e,
        }
    }
    Err(OpenError::Connect { host: host.to_string(), port, transport: "UDP", cause: last })
}

fn tcp(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let mut last = io::Error::other("no address");
    for to in resolve(host, port)? {
        match TcpStream::connect_timeout(&to, CONNECT_BUDGET) {
            Ok(stream) => {
                let _ = stream.set_write_timeout(Some(WRITE_BUDGET));
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(OpenError::Connect { host: host.to_string(), port, transport: "TCP", cause: last })
}
