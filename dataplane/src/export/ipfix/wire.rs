//! The transport under an IPFIX session: UDP, TCP with reconnect, sessions that are kept, or a file.
use super::IpfixConfig;
use super::delivery::Delivery;
use super::dialing::{Far, Way};
use super::dtls::DtlsClient;
use super::link::closed;
use super::tls::TlsClient;
use crate::export::datagrams::Datagrams;
use crate::export::peer::{Lookup, Peer, tcp, tcp_at, udp};
use crate::export::spool::Spool;
use crate::export::{Books, Loss, OpenError, RecordDrop};
use record::ipfix::{Fate, Lz4Writer, Message};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where IPFIX messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Udp(Peer),
    Tcp(Peer),
    /// TLS over TCP.
    Tls(Peer),
    /// DTLS over UDP, in builds with the feature `dtls`.
    Dtls(Peer),
    /// The first of these that can be reached, then the next when that one goes.
    Failover {
        peers: Vec<Peer>,
        over: Transport,
    },
    /// Messages back to back (RFC 5655 without its options records).
    File(PathBuf),
}

/// What a session that is kept goes over: one whose end is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
    Dtls,
}

impl Transport {
    pub(super) fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Dtls => "DTLS",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_ascii_lowercase())
    }
}

impl Target {
    /// Whether it is reached by DTLS.
    pub(super) fn is_dtls(&self) -> bool {
        matches!(self, Target::Dtls(_) | Target::Failover { over: Transport::Dtls, .. })
    }
}

/// What a target with DTLS is told by builds without it.
pub(super) fn without_dtls() -> OpenError {
    OpenError::Config(
        "ipfix: this sonda was built without DTLS: install libssl-dev and build it with `cargo build --release --features dtls`"
            .into(),
    )
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Udp(peer) => write!(f, "udp {peer}"),
            Target::Tcp(peer) => write!(f, "tcp {peer}"),
            Target::Tls(peer) => write!(f, "tls {peer}"),
            Target::Dtls(peer) => write!(f, "dtls {peer}"),
            Target::Failover { peers, over } => {
                let peers: Vec<String> = peers.iter().map(Peer::to_string).collect();
                write!(f, "{over} {}", peers.join(" or "))
            }
            Target::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

pub(super) enum Wire {
    Udp(Datagrams),
    Tcp(Session),
    Kept(Box<Delivery>),
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

/// How long a message waits for the resolver when a session broke; then messages are lost until it answers.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(200);

/// One TCP session after the other.
pub(super) struct Session {
    peer: Peer,
    lookup: Lookup,
    stream: Option<TcpStream>,
    retry_secs: u64,
    next_try_secs: u64,
    reconnects: u64,
    /// With the block that goes next.
    lz4: Option<(Lz4Writer, Vec<u8>)>,
    verbose: bool,
}

impl Wire {
    pub(super) fn open(config: &IpfixConfig) -> Result<Wire, OpenError> {
        let IpfixConfig { target, retry_secs, verbose, .. } = config;
        let (retry_secs, verbose) = (*retry_secs, *verbose);
        if config.lz4.is_some() && (matches!(target, Target::Udp(_) | Target::File(_)) || target.is_dtls()) {
            return Err(OpenError::Config(format!("LZ4 is for collectors over TCP, not for {target}")));
        }
        let (peers, over) = match (target, &config.spool) {
            (Target::Tcp(peer), Some(_)) => (vec![peer.clone()], Transport::Tcp),
            (Target::Tls(peer), _) => (vec![peer.clone()], Transport::Tls),
            (Target::Dtls(peer), _) => (vec![peer.clone()], Transport::Dtls),
            (Target::Failover { peers, over }, _) => (peers.clone(), *over),
            (_, Some(_)) => {
                return Err(OpenError::Config(
                    "a spool is for collectors over TCP or DTLS: UDP never says that one is away".into(),
                ));
            }
            _ => (Vec::new(), Transport::Tcp),
        };
        if !peers.is_empty() {
            let way = match over {
                Transport::Tcp => Way::Tcp,
                Transport::Tls => Way::Tls(TlsClient::open(&config.tls)?),
                Transport::Dtls => {
                    let lifetime = Duration::from_secs(config.dtls_lifetime_secs.into());
                    Way::Dtls(DtlsClient::open(&config.tls, config.mtu, lifetime)?)
                }
            };
            let fars = peers.into_iter().map(|peer| Far::new(peer, way.clone(), config.lz4)).collect();
            // Two runs are never at the same nanosecond.
            let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
            let spool = config.spool.clone().map(|spool| Spool::open(spool, run)).transpose()?;
            let repeat = Duration::from_secs(config.template_refresh_secs.into());
            let repeat = Some(repeat).filter(|repeat| target.is_dtls() && !repeat.is_zero());
            let mut delivery = Delivery::new(fars, spool, run, repeat, verbose);
            if matches!(target, Target::Tls(_) | Target::Dtls(_)) && config.spool.is_none() {
                delivery.reach()?;
            }
            return Ok(Wire::Kept(Box::new(delivery)));
        }
        match target {
            Target::Udp(peer) => Ok(Wire::Udp(Datagrams::of_ipfix(udp(peer)?, target.to_string(), config.mtu))),
            Target::Tcp(peer) => {
                let stream = tcp(peer)?;
                Ok(Wire::Tcp(Session {
                    peer: peer.clone(),
                    lookup: Lookup::new(peer.clone()),
                    stream: Some(stream),
                    retry_secs,
                    next_try_secs: 0,
                    reconnects: 0,
                    lz4: config.lz4.map(|history| (Lz4Writer::new(history as usize), Vec::new())),
                    verbose,
                }))
            }
            Target::Tls(_) | Target::Dtls(_) | Target::Failover { .. } => {
                Err(OpenError::Config("no collector is named".into()))
            }
            Target::File(path) => {
                let file = File::create(path)
                    .map_err(|cause| OpenError::Create { path: path.display().to_string(), cause })?;
                let waiting = Vec::with_capacity(FILE_BUFFER + usize::from(u16::MAX));
                Ok(Wire::File(Buffered { file, path: path.clone(), waiting, records: 0 }))
            }
        }
    }

    /// Hands one message to the transport.
    pub(super) fn send(&mut self, message: &Message<'_>, now_secs: u64) -> Result<Fate, Loss> {
        let (bytes, records) = (message.bytes, u64::from(message.records));
        match self {
            Wire::Udp(datagrams) => {
                datagrams.send(bytes, records);
                Ok(Fate::Sent)
            }
            Wire::Tcp(session) => session.send(bytes, records, now_secs),
            Wire::Kept(delivery) => {
                delivery.send(message);
                Ok(Fate::Sent)
            }
            Wire::File(file) => file.send(bytes, records),
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
            Wire::Kept(delivery) => {
                delivery.close();
                Ok(())
            }
            Wire::File(file) => file.flush(),
        }
    }

    /// Sends what was gathered; a file keeps its buffer. Losses are told by [`Wire::late_loss`].
    pub(super) fn flush(&mut self) {
        match self {
            Wire::Udp(datagrams) => datagrams.flush(),
            Wire::Kept(delivery) => delivery.tick(),
            Wire::Tcp(_) | Wire::File(_) => {}
        }
    }

    /// Records of earlier messages that turned out to be lost: ask until there are none.
    pub(super) fn late_loss(&mut self) -> Option<Loss> {
        match self {
            Wire::Udp(datagrams) => datagrams.loss(),
            Wire::Kept(delivery) => delivery.loss(),
            Wire::Tcp(_) | Wire::File(_) => None,
        }
    }

    /// Whether templates were lost, since the last time this was asked: send them again.
    pub(super) fn templates_lost(&mut self) -> bool {
        if let Wire::Udp(datagrams) = self { datagrams.templates_lost() } else { false }
    }

    /// Writes what only the wire knows into the books.
    pub(super) fn tell(&self, books: &mut Books) {
        match self {
            Wire::Tcp(session) => books.reconnects = session.reconnects,
            Wire::Kept(delivery) => delivery.tell(books),
            Wire::Udp(_) | Wire::File(_) => {}
        }
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
        let written = if closed(stream).unwrap_or(false) {
            Err(io::ErrorKind::NotConnected.into())
        } else if let Some((lz4, block)) = &mut self.lz4 {
            block.clear();
            lz4.put(message, block);
            stream.write_all(block)
        } else {
            stream.write_all(message)
        };
        let Err(broken) = written else { return Ok(Fate::Sent) };
        self.stream = None;
        self.say(&format!("connection broke: {broken}"));
        let stalled = matches!(broken.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if stalled {
            self.next_try_secs = now_secs + self.retry_secs;
        } else if self.connect(now_secs).is_ok() {
            return Ok(Fate::Restarted);
        }
        let trouble = Some(format!("tcp {}: {broken}", self.peer));
        Err(Loss { reason: RecordDrop::SendFailed, records, trouble })
    }

    fn connect(&mut self, now_secs: u64) -> Result<(), OpenError> {
        let Some(found) = self.lookup.look(LOOKUP_PATIENCE) else {
            self.next_try_secs = now_secs + 1;
            let cause = io::Error::new(io::ErrorKind::TimedOut, "the resolver has not answered yet");
            return Err(OpenError::Resolve { host: self.peer.host.clone(), cause });
        };
        self.next_try_secs = now_secs + self.retry_secs;
        let stream = tcp_at(&self.peer, found).inspect_err(|e| self.say(&e.to_string()))?;
        self.stream = Some(stream);
        self.lz4.iter_mut().for_each(|(lz4, _)| lz4.restart());
        self.reconnects += 1;
        self.say("connected again, templates are sent anew");
        Ok(())
    }

    fn say(&self, what: &str) {
        if self.verbose {
            eprintln!("VERBOSE: ipfix {}: {what}", self.peer);
        }
    }
}
