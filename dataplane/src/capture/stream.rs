//! A capture that comes as a stream: a pipe, standard input, a packed file. The window is a buffer of fixed size.
use super::CaptureError;
use super::decode::{Filled, Input};
use super::pcapng::BLOCK_MAX;
use super::unpack::Unpack;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes asked for by one read: a part that stays in the L2 cache until its frames are decoded.
const READ: usize = 256 << 10;
/// Size of the buffer, bytes. The longest thing that must lie in it as a whole, and a read.
const BUFFER: usize = BLOCK_MAX + READ;
/// How long a burst waits for a silent pipe before it answers `Poll::Idle`.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) struct Stream {
    path: Box<str>,
    reader: Unpack,
    buffer: Box<[u8]>,
    /// The window within the buffer.
    start: usize,
    end: usize,
    last: bool,
    /// Bytes of the capture that were read.
    offset: u64,
    /// Bytes that were read below the unpacker.
    done: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Stream {
    /// From anything that can be read. `WouldBlock` and `Interrupted` are silence, not failure. `total` is its size in bytes if known.
    pub(super) fn new(path: &str, reader: impl Read + Send + 'static, total: Option<u64>) -> Stream {
        let done = Arc::new(AtomicU64::new(0));
        let counted = Counted { reader, done: Arc::clone(&done) };
        Stream {
            path: path.into(),
            reader: Unpack::new(counted),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            last: false,
            offset: 0,
            done,
            total,
        }
    }

    /// From an open file. What is not a regular file is waited for with patience: see [`Patient`].
    pub(super) fn of_file(path: &str, file: File) -> io::Result<Stream> {
        let meta = file.metadata()?;
        Ok(if meta.is_file() {
            Stream::new(path, file, Some(meta.len()))
        } else {
            Stream::new(path, Patient { file }, None)
        })
    }
}

impl Input for Stream {
    /// A read has just copied it there.
    const IN_CACHE: bool = true;

    #[inline]
    fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[inline]
    fn last(&self) -> bool {
        self.last
    }

    #[inline]
    fn consume(&mut self, used: usize) {
        debug_assert!(used <= self.end - self.start);
        self.start += used;
    }

    /// One read: what a live pipe has is decoded at once.
    fn fill(&mut self, need: usize) -> Result<Filled, CaptureError> {
        debug_assert!(need <= BLOCK_MAX);
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // The window is shorter than `need`, which is at most BLOCK_MAX, so there is room for a whole read.
        let room = self.end..(self.end + READ).min(BUFFER);
        match self.reader.read(&mut self.buffer[room]) {
            Ok(0) => self.last = true,
            Ok(count) => {
                self.end += count;
                self.offset += count as u64;
            }
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(Filled::Idle);
            }
            Err(cause) => {
                let (path, offset) = (self.path.to_string(), self.offset);
                return Err(match self.reader.tool() {
                    Some(tool) => CaptureError::Unpack { path, offset, tool, cause },
                    None => CaptureError::Read { path, offset, cause },
                });
            }
        }
        Ok(Filled::Yes)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        // Only a number to show: no order with other memory is needed.
        self.total.map(|total| (self.done.load(Ordering::Relaxed).min(total), total))
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    done: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(into)?;
        self.done.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A pipe, terminal or device. A read that blocks cannot be relied on to end at a signal: handlers are usually set with SA_RESTART,
/// and a signal just before the read is missed anyhow. So it waits in poll(2), and no longer than [`PATIENCE`]; then the
/// caller gets `Poll::Idle` and can look at its stop flag and at its timers.
struct Patient {
    file: File,
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !sys::readable(self.file.as_fd(), PATIENCE)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.read(into)
    }
}
