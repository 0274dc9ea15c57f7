//! Connecting without waiting: a collector that does not answer, or whose name nobody knows, costs the output nothing but its messages'
//! time on disk.
use super::dtls::DtlsClient;
use super::link::{Link, Stream};
use super::tls::TlsClient;
use super::wire::Transport;
use crate::export::Peer;
use crate::export::peer::Lookup;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Patience with the resolver, with each of a name's addresses, and with a handshake of TLS.
const STEP_MAX: Duration = Duration::from_secs(5);
/// Patience with a handshake of DTLS: its first datagram is sent again after 1, 3 and 7 s (RFC 6347 section 4.2.4.1).
const DTLS_MAX: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 16;

/// A collector that is dialed, and how.
pub(super) struct Far {
    pub(super) peer: Peer,
    pub(super) transport: Transport,
    lookup: Lookup,
    way: Way,
    lz4: Option<u32>,
}

/// How messages get to a collector.
#[derive(Clone)]
pub(super) enum Way {
    Tcp,
    Tls(TlsClient),
    Dtls(DtlsClient),
}

/// An attempt to reach a collector.
pub(super) struct Dialing {
    addresses: VecDeque<SocketAddr>,
    step: Step,
    since: Instant,
    last: io::Error,
}

enum Step {
    Names,
    Next,
    Socket(Socket),
    Handshake(Link),
}

pub(super) enum Progress {
    NotYet,
    Connected(Link),
    Failed(io::Error),
}

impl Far {
    pub(super) fn new(peer: Peer, way: Way, lz4: Option<u32>) -> Far {
        let transport = match way {
            Way::Tcp => Transport::Tcp,
            Way::Tls(_) => Transport::Tls,
            Way::Dtls(_) => Transport::Dtls,
        };
        Far { lookup: Lookup::new(peer.clone()), peer, transport, way, lz4 }
    }

    /// Begins to connect.
    fn socket(&self, address: SocketAddr) -> io::Result<Socket> {
        let (kind, protocol) = match self.way {
            Way::Tcp | Way::Tls(_) => (Type::STREAM, Protocol::TCP),
            Way::Dtls(_) => (Type::DGRAM, Protocol::UDP),
        };
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
            _ => Ok(socket),
        }
    }

    fn link(&self, socket: Socket) -> io::Result<Link> {
        let tls = match &self.way {
            Way::Dtls(dtls) => return Ok(Link::Datagrams(Box::new(dtls.begin(&self.peer, socket.into())?))),
            Way::Tls(tls) => Some(tls.begin(&self.peer)?),
            Way::Tcp => None,
        };
        Stream::new(socket.into(), self.lz4, tls).map(Link::Stream)
    }

    /// Whether nobody says what arrives.
    pub(super) fn is_unreliable(&self) -> bool {
        self.transport == Transport::Dtls
    }

    /// Patience with one step.
    fn step_max(&self) -> Duration {
        if self.is_unreliable() { DTLS_MAX } else { STEP_MAX }
    }
}

impl Dialing {
    pub(super) fn new() -> Dialing {
        let last = io::Error::other("the name has no address");
        Dialing { addresses: VecDeque::new(), step: Step::Names, since: Instant::now(), last }
    }

    /// How far it is. Each turn of the loop takes a step or gives one address up.
    pub(super) fn look(&mut self, far: &mut Far) -> Progress {
        loop {
            let before = std::mem::discriminant(&self.step);
            match self.step(far) {
                Ok(Some(link)) => return Progress::Connected(link),
                Ok(None) if matches!(self.step, Step::Next) => {}
                Ok(None) if std::mem::discriminant(&self.step) != before => continue,
                Ok(None) if self.since.elapsed() < far.step_max() => return Progress::NotYet,
                Ok(None) => self.give_up(io::ErrorKind::TimedOut.into()),
                Err(why) => self.give_up(why),
            }
            if matches!(self.step, Step::Next) {
                let Some(address) = self.addresses.pop_front() else {
                    return Progress::Failed(std::mem::replace(&mut self.last, io::ErrorKind::NotConnected.into()));
                };
                match far.socket(address) {
                    Ok(socket) => self.go_on(Step::Socket(socket)),
                    Err(why) => self.give_up(why),
                }
            }
        }
    }

    /// Looks at what is under way.
    fn step(&mut self, far: &mut Far) -> io::Result<Option<Link>> {
        match std::mem::replace(&mut self.step, Step::Next) {
            Step::Next => {}
            Step::Names => match far.lookup.look(Duration::ZERO) {
                Some(found) => self.addresses = found?.into_iter().take(ADDRESSES_MAX).collect(),
                None => self.step = Step::Names,
            },
            Step::Socket(socket) => match socket.take_error()? {
                Some(why) => return Err(why),
                None if socket.peer_addr().is_ok() => self.go_on(Step::Handshake(far.link(socket)?)),
                None => self.step = Step::Socket(socket),
            },
            Step::Handshake(mut link) => {
                if link.shake_hands()? {
                    return Ok(Some(link));
                }
                self.step = Step::Handshake(link);
            }
        }
        Ok(None)
    }

    fn go_on(&mut self, step: Step) {
        (self.step, self.since) = (step, Instant::now());
    }

    /// On to the next address.
    fn give_up(&mut self, why: io::Error) {
        self.last = why;
        self.go_on(Step::Next);
    }
}
