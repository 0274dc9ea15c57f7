//! A connected peer: bytes over a socket, plain or under TLS. Both sides use it alike.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;

use socket2::Socket;

use crate::net;
use crate::tls::TlsStream;

#[derive(Debug)]
pub(crate) enum Link {
    Plain(Arc<Socket>),
    Tls(Box<TlsStream>),
}

impl Link {
    /// The socket itself, to set its timeouts or to cut it off.
    pub(crate) fn socket(&self) -> &Arc<Socket> {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.socket,
        }
    }

    /// Reads what is there, or waits as long as the socket's timeout says; 0 is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => {
                let mut socket: &Socket = socket;
                socket.read(buf)
            }
            Self::Tls(stream) => stream.read(buf),
        }
    }

    /// See [`net::send_all`].
    pub(crate) fn send_all(&mut self, bytes: &[u8], go_on: impl FnMut(usize) -> bool) -> io::Result<()> {
        match self {
            Self::Plain(socket) => net::send_all(socket, bytes, go_on),
            Self::Tls(stream) => stream.send_all(bytes, go_on),
        }
    }

    /// See [`net::is_listening_peer`].
    pub(crate) fn is_listening_peer(&mut self) -> bool {
        match self {
            Self::Plain(socket) => net::is_listening_peer(socket),
            Self::Tls(stream) => stream.is_listening_peer(),
        }
    }

    /// Ends the connection for both sides.
    pub(crate) fn close(&mut self) {
        if let Self::Tls(stream) = self {
            stream.close();
        }
        let _already_closed = self.socket().shutdown(Shutdown::Both);
    }
}
