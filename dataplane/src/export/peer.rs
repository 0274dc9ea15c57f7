//! A collector's address, and connected sockets to it.
use crate::export::OpenError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// A collector that does not read is given up after this long; its messages are then lost, counted.
const WRITE_BUDGET: Duration = Duration::from_secs(30);
const CONNECT_BUDGET: Duration = Duration::from_secs(5);

/// Where a collector listens. A name is looked up at each connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A connected socket, so that "port unreachable" comes back as an error and is counted.
pub(super) fn udp(peer: &Peer) -> Result<UdpSocket, OpenError> {
    first("UDP", peer, resolve(peer), |to| {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        UdpSocket::bind(any).and_then(|s| s.connect(to).map(|()| s))
    })
}

pub(super) fn tcp(peer: &Peer) -> Result<TcpStream, OpenError> {
    tcp_at(peer, resolve(peer))
}

/// To a peer whose name was looked up before.
pub(super) fn tcp_at(peer: &Peer, found: Addresses) -> Result<TcpStream, OpenError> {
    let stream = first("TCP", peer, found, |to| TcpStream::connect_timeout(to, CONNECT_BUDGET))?;
    let _ = stream.set_write_timeout(Some(WRITE_BUDGET));
    Ok(stream)
}

/// What a resolver says.
pub(super) type Addresses = io::Result<Vec<SocketAddr>>;

/// Asks the resolver, which may take its time.
fn resolve(peer: &Peer) -> Addresses {
    (peer.host.as_str(), peer.port).to_socket_addrs().map(Iterator::collect)
}

/// Looks a peer's name up on a thread of its own, one at a time, so that whoever wants to know can do something else: resolvers wait for
/// servers that are away, ten seconds and more.
pub(super) struct Lookup {
    peer: Peer,
    resolve: fn(&Peer) -> Addresses,
    asked: Option<Receiver<Addresses>>,
}

impl Lookup {
    pub(super) fn new(peer: Peer) -> Lookup {
        Lookup { peer, resolve, asked: None }
    }

    /// What is known after so long at the most; `None` if nothing is yet. An answer is given once, then the resolver is asked again.
    pub(super) fn look(&mut self, patience: Duration) -> Option<Addresses> {
        if let Ok(address) = self.peer.host.parse::<IpAddr>() {
            return Some(Ok(vec![SocketAddr::new(address, self.peer.port)]));
        }
        if self.asked.is_none() {
            let (say, asked) = sync_channel(1);
            let (resolve, peer) = (self.resolve, self.peer.clone());
            let thread = std::thread::Builder::new().name("lookup".into());
            let nobody_waits = move || drop(say.send(resolve(&peer)));
            if let Err(why) = thread.spawn(nobody_waits) {
                return Some(Err(why));
            }
            self.asked = Some(asked);
        }
        match self.asked.as_ref()?.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => None,
            answer => {
                self.asked = None;
                Some(answer.unwrap_or_else(|_| Err(io::Error::other("the resolver gave up"))))
            }
        }
    }
}

/// The first of the peer's addresses that answers.
fn first<S>(
    transport: &'static str,
    peer: &Peer,
    found: Addresses,
    connect: impl Fn(&SocketAddr) -> io::Result<S>,
) -> Result<S, OpenError> {
    let Peer { host, port } = peer;
    let unresolved = |cause| OpenError::Resolve { host: host.clone(), cause };
    let mut last = None;
    for to in found.map_err(unresolved)? {
        match connect(&to) {
            Ok(socket) => return Ok(socket),
            Err(e) => last = Some(e),
        }
    }
    Err(match last {
        Some(cause) => OpenError::Connect { host: host.clone(), port: *port, transport, cause },
        None => unresolved(io::Error::other("the name has no address")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, OnceLock};

    /// Says when a resolver that hangs may answer.
    static ANSWER: OnceLock<Mutex<Receiver<()>>> = OnceLock::new();
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    fn hangs(peer: &Peer) -> Addresses {
        ASKED.fetch_add(1, Ordering::SeqCst);
        let answer = ANSWER.get().expect("set by the test").lock().expect("one thread at a time");
        answer.recv().expect("the test says when");
        resolve(&Peer { host: "127.0.0.1".into(), port: peer.port })
    }

    #[test]
    fn a_resolver_that_hangs_is_asked_once_and_nobody_waits_for_it() {
        let (go, answer): (Sender<()>, _) = channel();
        assert!(ANSWER.set(Mutex::new(answer)).is_ok());
        let peer = Peer { host: "collector.example".into(), port: 4739 };
        let mut lookup = Lookup { resolve: hangs, ..Lookup::new(peer) };
        for _ in 0..1000 {
            assert!(lookup.look(Duration::ZERO).is_none());
        }
        go.send(()).expect("it waits");
        let found = lookup.look(Duration::from_secs(600)).expect("an answer").expect("an address");
        assert_eq!((found, ASKED.load(Ordering::SeqCst)), (vec![([127, 0, 0, 1], 4739).into()], 1));
        // The next one asks again.
        assert!(lookup.look(Duration::ZERO).is_none());
        go.send(()).expect("it waits");
        assert!(lookup.look(Duration::from_secs(600)).expect("an answer").is_ok());
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn an_address_needs_no_resolver() {
        let mut lookup = Lookup { resolve: |_| panic!("asked"), ..Lookup::new(Peer { host: "::1".into(), port: 1 }) };
        let found = lookup.look(Duration::ZERO).expect("at once").expect("an address");
        assert_eq!(found, [SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1))]);
    }
}
