//! Many datagrams in one system call (sendmmsg(2)).
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams that one call sends at the most.
pub const SEND_MAX: usize = 32;

/// Sends the messages (the first [`SEND_MAX`] of them) on a connected socket, in order; answers how many the kernel took.
///
/// An error is about the first message, and nothing was sent. When a later message meets one, the answer is how many went before it,
/// **and the error is lost** if it was one that the kernel tells once (net/socket.c, `__sys_sendmmsg`): fewer than asked for means
/// that something was wrong.
pub fn send_many<'m>(socket: BorrowedFd<'_>, messages: impl IntoIterator<Item = &'m [u8]>) -> io::Result<usize> {
    const NOTHING: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut parts = [NOTHING; SEND_MAX];
    let mut count = 0;
    for (part, message) in parts.iter_mut().zip(messages) {
        *part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
        count += 1;
    }
    // SAFETY: mmsghdr is made of integers and pointers; all zero is a message to the connected peer without parts and control data.
    let mut headers: [libc::mmsghdr; SEND_MAX] = unsafe { std::mem::zeroed() };
    for (header, part) in headers.iter_mut().zip(&mut parts[..count]) {
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the first `count` headers point to one part each, and the parts to bytes that are borrowed for the length of this call;
    // the kernel only reads those bytes. `headers` and `parts` outlive the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        let messages: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        let sent = send_many(here.as_fd(), messages.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(sent, SEND_MAX);
        let mut buffer = [0; 100];
        for message in &messages[..sent] {
            let length = there.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], message);
        }
    }

    #[test]
    fn an_error_is_about_the_first() {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        let large = vec![0; 70_000];
        assert!(send_many(here.as_fd(), [&large[..], b"small"]).is_err());
        assert_eq!(send_many(here.as_fd(), [b"small", &large[..], b"small"]).unwrap(), 1);
    }
}
