//! A TCP stream to a collector that never waits: what finds no room in the socket stays here, and every byte is counted.
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;

/// Bytes that the kernel takes before it says that there is no room; it doubles what it is told (socket(7), SO_SNDBUF).
const SEND_BUFFER: usize = 256 << 10;

pub(super) struct Link {
    stream: TcpStream,
    /// What the kernel has not taken, from `from` on: at most one message and the templates before it.
    out: Vec<u8>,
    from: usize,
    /// Bytes of the stream so far, `out` included.
    length: u64,
}

impl Link {
    /// Of a connected stream.
    pub(super) fn new(stream: TcpStream) -> io::Result<Link> {
        stream.set_nonblocking(true)?;
        socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
        Ok(Link { stream, out: Vec::new(), from: 0, length: 0 })
    }

    /// Appends a message; answers where in the stream it ends.
    pub(super) fn push(&mut self, message: &[u8]) -> u64 {
        self.out.extend_from_slice(message);
        self.length += message.len() as u64;
        self.length
    }

    /// Hands to the kernel what it takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.from < self.out.len() {
            match self.stream.write(&self.out[self.from..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.from += taken,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.from = 0;
        Ok(())
    }

    /// Whether the kernel has taken all.
    pub(super) fn is_clear(&self) -> bool {
        self.out.is_empty()
    }

    /// Up to where the collector's kernel has acknowledged the stream; also when the connection is broken.
    pub(super) fn acknowledged(&self) -> u64 {
        let here = (self.out.len() - self.from) as u64;
        // What cannot be known counts as not arrived.
        let there = sys::unacknowledged(self.stream.as_fd()).unwrap_or(self.length);
        self.length.saturating_sub(here + there)
    }

    /// Whether the collector has ended the session: in order, or with an error.
    pub(super) fn look(&self) -> io::Result<()> {
        if closed(&self.stream)? { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Ends the session in order.
    pub(super) fn close(self) {
        let _gone_already = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves at once; what has not arrived will not.
    pub(super) fn abandon(self) {
        let _closed_all_the_same = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// Whether the collector has closed its end. It never says anything, so there is nothing to read but the end; what is written after it
/// would be taken by the kernel and thrown away by the peer.
pub(super) fn closed(stream: &TcpStream) -> io::Result<bool> {
    /// MSG_PEEK and MSG_DONTWAIT of recv(2) on Linux.
    const LOOK: i32 = 0x02 | 0x40;
    match socket2::SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit()], LOOK) {
        Ok(count) => Ok(count == 0),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
        Err(e) => Err(e),
    }
}
