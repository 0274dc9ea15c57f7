//! Connecting without waiting: a collector that does not answer costs the output nothing but its messages' time on disk.
use crate::export::Peer;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Patience with each of a name's addresses.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 16;

/// An attempt to reach a collector.
pub(super) struct Dialing {
    addresses: VecDeque<SocketAddr>,
    socket: Option<(Socket, Instant)>,
    last: io::Error,
}

pub(super) enum Progress {
    NotYet,
    Connected(TcpStream),
    Failed(io::Error),
}

impl Dialing {
    /// Looks the name up, which waits for the resolver.
    pub(super) fn new(peer: &Peer) -> Dialing {
        let found = (peer.host.as_str(), peer.port).to_socket_addrs();
        let (addresses, last) = match found {
            Ok(found) => (found.take(ADDRESSES_MAX).collect(), io::Error::other("the name has no address")),
            Err(e) => (VecDeque::new(), e),
        };
        Dialing { addresses, socket: None, last }
    }

    /// How far it is. Each turn of the loop gives one address up.
    pub(super) fn look(&mut self) -> Progress {
        loop {
            let Some((socket, since)) = self.socket.take() else {
                let Some(address) = self.addresses.pop_front() else {
                    return Progress::Failed(std::mem::replace(&mut self.last, io::ErrorKind::NotConnected.into()));
                };
                match begin(address) {
                    Ok(socket) => self.socket = Some((socket, Instant::now())),
                    Err(e) => self.last = e,
                }
                continue;
            };
            match socket.take_error() {
                Ok(Some(e)) | Err(e) => self.last = e,
                Ok(None) if socket.peer_addr().is_ok() => return Progress::Connected(socket.into()),
                Ok(None) if since.elapsed() < CONNECT_MAX => {
                    self.socket = Some((socket, since));
                    return Progress::NotYet;
                }
                Ok(None) => self.last = io::ErrorKind::TimedOut.into(),
            }
        }
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
