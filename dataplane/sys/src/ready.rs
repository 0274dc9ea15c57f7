//! Waiting for input without being stuck in it.
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Descriptors that [`any_readable`] waits for at the most.
pub const WAITED_MAX: usize = 128;

/// Opens a file for reading and never waits for that: a FIFO opens without a writer, and is not [`readable`] until one has come
/// (fifo(7)). Reads of it answer `WouldBlock` instead of waiting. For regular files there is no difference.
pub fn open_at_once(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Waits at most `limit` (rounded to milliseconds, at the most 24 days) until a read of `fd` would not block: data, its end or an
/// error is there. False when the time passed or a signal came; unlike read(2), poll(2) is ended by every signal that has a handler,
/// SA_RESTART or not (signal(7)).
pub fn readable(fd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    any_readable([fd], limit)
}

/// [`readable`] for whichever of several comes first; the first [`WAITED_MAX`] of them are waited for.
pub fn any_readable<'f>(fds: impl IntoIterator<Item = BorrowedFd<'f>>, limit: Duration) -> io::Result<bool> {
    let mut all = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; WAITED_MAX];
    let mut count = 0;
    for (one, fd) in all.iter_mut().zip(fds) {
        one.fd = fd.as_raw_fd();
        count += 1;
    }
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `all` holds at least `count` initialised pollfds and outlives the call.
    match unsafe { libc::poll(all.as_mut_ptr(), count, limit_ms) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            cause if cause.kind() == io::ErrorKind::Interrupted => Ok(false),
            cause => Err(cause),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn data_and_the_end_are_readable_and_silence_is_not() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert!(!readable(reader.as_fd(), Duration::from_millis(5)).unwrap());
        writer.write_all(b"x").unwrap();
        assert!(readable(reader.as_fd(), Duration::from_secs(5)).unwrap());
        drop(writer);
        assert!(readable(reader.as_fd(), Duration::from_secs(5)).unwrap());
    }
}
