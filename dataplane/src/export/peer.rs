//! A collector's address, and connected sockets to it.
use crate::export::OpenError;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// A collector that does not read is given up after this long; its messages are then lost, counted.
const WRITE_BUDGET: Duration = Duration::from_secs(30);
const CONNECT_BUDGET: Duration = Duration::from_secs(5);

/// Where a collector listens. A name is resolved at each connect.
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
    first("UDP", peer, |to| {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        UdpSocket::bind(any).and_then(|s| s.connect(to).map(|()| s))
    })
}

pub(super) fn tcp(peer: &Peer) -> Result<TcpStream, OpenError> {
    let stream = first("TCP", peer, |to| TcpStream::connect_timeout(to, CONNECT_BUDGET))?;
    let _ = stream.set_write_timeout(Some(WRITE_BUDGET));
    Ok(stream)
}

/// The first of the peer's addresses that answers.
fn first<S>(
    transport: &'static str,
    peer: &Peer,
    connect: impl Fn(&SocketAddr) -> io::Result<S>,
) -> Result<S, OpenError> {
    let Peer { host, port } = peer;
    let unresolved = |cause| OpenError::Resolve { host: host.clone(), cause };
    let mut last = None;
    for to in (host.as_str(), *port).to_socket_addrs().map_err(unresolved)? {
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
