//! A TCP stream to a collector that never waits: what finds no room in the socket stays here, and every byte is counted.
use crate::export::ipfix::tls::Tls;
use record::ipfix::Lz4Writer;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Bytes that the kernel takes before it says that there is no room; it doubles what it is told (socket(7), SO_SNDBUF).
const SEND_BUFFER: usize = 256 << 10;

/// With TLS, how long a collector may take to read to the end once it was told that this is the end.
const FAREWELL: Duration = Duration::from_secs(2);

pub(in crate::export::ipfix) struct Stream {
    stream: TcpStream,
    /// What the kernel has not taken, from `from` on: at most one message and the templates before it.
    out: Vec<u8>,
    from: usize,
    /// Bytes of the stream so far, `out` included.
    length: u64,
    lz4: Option<Lz4Writer>,
    tls: Option<Tls>,
    /// Why nothing more can be put into the stream.
    broken: Option<io::Error>,
}

impl Stream {
    /// Of a connected stream, with LZ4 that looks so many bytes back if there is to be any, and with TLS that is about to begin.
    pub(in crate::export::ipfix) fn new(stream: TcpStream, lz4: Option<u32>, tls: Option<Tls>) -> io::Result<Stream> {
        stream.set_nonblocking(true)?;
        socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
        let lz4 = lz4.map(|history| Lz4Writer::new(history as usize));
        Ok(Stream { stream, out: Vec::new(), from: 0, length: 0, lz4, tls, broken: None })
    }

    /// Goes on with the handshake of TLS; whether messages may go.
    pub(in crate::export::ipfix) fn shake_hands(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        let before = self.out.len();
        // Our first word waits for nothing.
        let heard = tls.seal(&[], &mut self.out).and_then(|()| tls.hear(&self.stream, &mut self.out));
        let is_done = !tls.is_shaking_hands();
        self.length += (self.out.len() - before) as u64;
        self.flush().and(heard)?;
        Ok(is_done)
    }

    /// Appends a message; answers where in the stream it ends: nowhere if it could not be appended, which [`Stream::look`] tells.
    pub(in crate::export::ipfix) fn push(&mut self, message: &[u8]) -> u64 {
        let before = self.out.len();
        let sealed = match (&mut self.lz4, &mut self.tls) {
            (None, None) => {
                self.out.extend_from_slice(message);
                Ok(())
            }
            (Some(lz4), None) => {
                lz4.put(message, &mut self.out);
                Ok(())
            }
            (None, Some(tls)) => tls.seal(message, &mut self.out),
            (Some(lz4), Some(tls)) => {
                let mut block = Vec::new();
                lz4.put(message, &mut block);
                tls.seal(&block, &mut self.out)
            }
        };
        self.length += (self.out.len() - before) as u64;
        match sealed {
            Ok(()) => self.length,
            Err(why) => {
                self.broken = Some(why);
                u64::MAX
            }
        }
    }

    /// Hands to the kernel what it takes.
    pub(in crate::export::ipfix) fn flush(&mut self) -> io::Result<()> {
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
    pub(in crate::export::ipfix) fn is_clear(&self) -> bool {
        self.out.is_empty()
    }

    /// Up to where the collector's kernel has acknowledged the stream; also when the connection is broken.
    pub(in crate::export::ipfix) fn acknowledged(&self) -> u64 {
        let here = (self.out.len() - self.from) as u64;
        // What cannot be known counts as not arrived.
        let there = sys::unacknowledged(self.stream.as_fd()).unwrap_or(self.length);
        self.length.saturating_sub(here + there)
    }

    /// Whether the collector has ended the session: in order, or with an error.
    pub(in crate::export::ipfix) fn look(&mut self) -> io::Result<()> {
        if let Some(why) = self.broken.take() {
            return Err(why);
        }
        match &mut self.tls {
            None if closed(&self.stream)? => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Ok(()),
            Some(tls) => {
                let before = self.out.len();
                let heard = tls.hear(&self.stream, &mut self.out);
                self.length += (self.out.len() - before) as u64;
                heard
            }
        }
    }

    /// Ends the session in order.
    pub(in crate::export::ipfix) fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            // Tickets that nobody reads would make the end a reset, and what the collector has not read by then would be gone.
            let _gone_already = tls.farewell(&mut self.out).and_then(|()| self.flush());
        }
        let _gone_already = self.stream.shutdown(Shutdown::Write);
        let since = Instant::now();
        while self.tls.is_some() && self.look().is_ok() && since.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Leaves at once; what has not arrived will not.
    pub(in crate::export::ipfix) fn abandon(self) {
        let _closed_all_the_same = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Whether the collector has closed its end. It never says anything, so there is nothing to read but the end; what is written after it
/// would be taken by the kernel and thrown away by the peer.
pub(in crate::export::ipfix) fn closed(stream: &TcpStream) -> io::Result<bool> {
    /// MSG_PEEK and MSG_DONTWAIT of recv(2) on Linux.
    const LOOK: i32 = 0x02 | 0x40;
    match socket2::SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit()], LOOK) {
        Ok(count) => Ok(count == 0),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
        Err(e) => Err(e),
    }
}
