//! Collectors of the tests: they take what the exporter sends and hand it over as messages.
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

/// A UDP collector on a free port of the loopback.
pub(crate) struct Udp {
    to: SocketAddr,
    reader: JoinHandle<Vec<Vec<u8>>>,
}

impl Udp {
    pub(crate) fn start() -> Udp {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        // What comes while a busy machine keeps the reader waiting must have room; only root may have so much.
        let _not_root = setsockopt(&socket, sockopt::RcvBufForce, &(32 << 20));
        let to = socket.local_addr().expect("bound");
        let reader = std::thread::spawn(move || {
            let (mut messages, mut buffer) = (Vec::new(), vec![0; 65_536]);
            loop {
                match socket.recv(&mut buffer).expect("datagrams") {
                    0 => return messages,
                    n => messages.push(buffer[..n].to_vec()),
                }
            }
        });
        Udp { to, reader }
    }

    pub(crate) fn port(&self) -> u16 {
        self.to.port()
    }

    /// What came. The loopback keeps the order, so an empty datagram of ours says that the exporter's are all there.
    pub(crate) fn finish(self) -> Vec<Vec<u8>> {
        UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(&[], self.to)).expect("the loopback is up");
        self.reader.join().expect("the reader reads on")
    }
}

/// How a session ends, from the collector's side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Close {
    /// Closed in order after this many bytes.
    After(usize),
    /// Broken off by a reset after this many bytes: some of what came is left unread.
    ResetAfter(usize),
}

/// A session of our own that says that no other will come; no IPFIX message is that short.
const OVER: &[u8] = &[0];

/// A TCP collector on a free port of the loopback.
pub(crate) struct Tcp {
    to: SocketAddr,
    reader: JoinHandle<Vec<Vec<u8>>>,
    /// Says the number of each session that the collector closed.
    pub(crate) closed: Receiver<usize>,
}

impl Tcp {
    pub(crate) fn start() -> Tcp {
        Tcp::closing(&[])
    }

    /// Closes the first sessions as told, reads the others to their end.
    pub(crate) fn closing(closes: &[Close]) -> Tcp {
        Tcp::listening(TcpListener::bind("127.0.0.1:0").expect("a free port"), closes)
    }

    /// Where it was bound.
    pub(crate) fn on(listener: TcpListener) -> Tcp {
        Tcp::listening(listener, &[])
    }

    fn listening(listener: TcpListener, closes: &[Close]) -> Tcp {
        let to = listener.local_addr().expect("bound");
        let (say, closed) = channel();
        let closes = closes.to_vec();
        let reader = std::thread::spawn(move || {
            let mut sessions = Vec::new();
            loop {
                let (stream, _) = listener.accept().expect("sessions");
                let close = closes.get(sessions.len());
                let bytes = session(stream, close);
                if bytes == OVER {
                    return sessions;
                }
                sessions.push(bytes);
                if close.is_some() {
                    let _ = say.send(sessions.len() - 1);
                }
            }
        });
        Tcp { to, reader, closed }
    }

    pub(crate) fn port(&self) -> u16 {
        self.to.port()
    }

    /// The bytes of each session. Call it when the exporter is gone: its sessions wait in front of this one.
    pub(crate) fn finish(self) -> Vec<Vec<u8>> {
        TcpStream::connect(self.to).and_then(|mut s| s.write_all(OVER)).expect("the collector listens");
        self.reader.join().expect("the reader reads on")
    }
}

fn session(mut stream: TcpStream, close: Option<&Close>) -> Vec<u8> {
    let mut got = Vec::new();
    match close {
        None => {
            stream.read_to_end(&mut got).expect("the exporter closes in order");
        }
        Some(Close::After(bytes)) => {
            (&mut stream).take(*bytes as u64).read_to_end(&mut got).expect("bytes");
            // Whatever else is there is read too: bytes left unread would make it a reset.
            stream.set_nonblocking(true).expect("sockets can");
            let _ = stream.read_to_end(&mut got);
        }
        Some(Close::ResetAfter(bytes)) => {
            (&mut stream).take(*bytes as u64).read_to_end(&mut got).expect("bytes");
            // Wait for one byte more and leave it: closing with unread data resets the connection.
            stream.peek(&mut [0]).expect("more bytes");
        }
    }
    got
}
