//! Connecting without waiting: a collector that does not answer, or whose name nobody knows, costs the output nothing but its messages'
//! time on disk.
use super::link::Link;
use super::tls::TlsClient;
use crate::export::Peer;
use crate::export::peer::Lookup;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Patience with the resolver, with each of a name's addresses, and with a handshake of TLS.
const STEP_MAX: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 16;

/// A collector that is dialed, and how.
pub(super) struct Far {
    pub(super) peer: Peer,
    lookup: Lookup,
    tls: Option<TlsClient>,
    lz4: Option<u32>,
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
    pub(super) fn new(peer: Peer, tls: Option<TlsClient>, lz4: Option<u32>) -> Far {
        Far { lookup: Lookup::new(peer.clone()), peer, tls, lz4 }
    }

    fn link(&self, socket: Socket) -> io::Result<Link> {
        let tls = self.tls.as_ref().map(|tls| tls.begin(&self.peer)).transpose()?;
        Link::new(socket.into(), self.lz4, tls)
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
                Ok(None) if self.since.elapsed() < STEP_MAX => return Progress::NotYet,
                Ok(None) => self.give_up(io::ErrorKind::TimedOut.into()),
                Err(why) => self.give_up(why),
            }
            if matches!(self.step, Step::Next) {
                let Some(address) = self.addresses.pop_front() else {
                    return Progress::Failed(std::mem::replace(&mut self.last, io::ErrorKind::NotConnected.into()));
                };
                match begin(address) {
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

fn begin(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(socket),
    }
}
