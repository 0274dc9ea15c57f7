//! Many datagrams in one system call (sendmmsg(2)), and runs of them in one piece (UDP_SEGMENT, udp(7)); what of a TCP stream has arrived.
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Runs that one call sends at the most.
pub const SEND_MAX: usize = 32;
/// Datagrams in a run at the most: UDP_MAX_SEGMENTS of the kernels that have it (include/linux/udp.h; newer ones take 128).
pub const RUN_MAX: usize = 64;
/// Bytes of a run at the most: what the length field of an IP packet leaves for UDP, by the larger header, IPv6's.
pub const RUN_BYTES_MAX: usize = 65_535 - 40 - 8;

/// Datagrams to one peer that lie back to back: `each` bytes long, the last one maybe shorter. The kernel takes several of them
/// through its layers as one and cuts them at the end, on the card if that can; the peer gets the same datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Run<'m> {
    pub bytes: &'m [u8],
    /// Not above 65,535, and `bytes` has at most [`RUN_MAX`] of them. Several need a socket that [`cuts_runs`].
    pub each: usize,
}

/// Whether the kernel knows runs (Linux 4.18). One that does not would send them as one datagram, so ask first.
pub fn cuts_runs(socket: BorrowedFd<'_>) -> bool {
    let mut each: libc::c_int = 0;
    let mut length = size_of_val(&each) as libc::socklen_t;
    let (value, length) = (std::ptr::from_mut(&mut each), std::ptr::from_mut(&mut length));
    // SAFETY: the kernel writes at most `length` bytes to `value`, which is as long, and how many to `length`; both outlive the call.
    unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value.cast(), length) == 0 }
}

/// Whether an error of [`send_many`] about a run of several may mean that this socket's way takes single datagrams only: the card cannot
/// fill in their checksums, or they are longer than its MTU (udp_send_skb in net/ipv4/udp.c).
pub fn refuses_runs(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Bytes that a TCP peer has not acknowledged, of all that were written to the socket (SIOCOUTQ, tcp(7)); also of one that was reset.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes one int to the third argument (tcp_ioctl in net/ipv4/tcp.c), which outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, std::ptr::from_mut(&mut bytes)) };
    if done == 0 { Ok(u64::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// Sends the runs (the first [`SEND_MAX`] of them) on a connected socket, in order; answers how many the kernel took.
///
/// An error is about the first run, and nothing was sent. When a later run meets one, the answer is how many went before it,
/// **and the error is lost** if it was one that the kernel tells once (net/socket.c, `__sys_sendmmsg`): fewer than asked for means
/// that something was wrong.
pub fn send_many<'m>(socket: BorrowedFd<'_>, runs: impl IntoIterator<Item = Run<'m>>) -> io::Result<usize> {
    const NOTHING: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let mut parts = [NOTHING; SEND_MAX];
    let mut cuts = [Cut::EMPTY; SEND_MAX];
    // SAFETY: mmsghdr is made of integers and pointers; all zero is a message to the connected peer without parts and control data.
    let mut headers: [libc::mmsghdr; SEND_MAX] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    for (((header, part), cut), run) in headers.iter_mut().zip(&mut parts).zip(&mut cuts).zip(runs) {
        *part = libc::iovec { iov_base: run.bytes.as_ptr().cast_mut().cast(), iov_len: run.bytes.len() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        if run.bytes.len() > run.each {
            cut.each = run.each as u16;
            header.msg_hdr.msg_control = std::ptr::from_mut(cut).cast();
            header.msg_hdr.msg_controllen = size_of::<Cut>() as _;
        }
        count += 1;
    }
    // SAFETY: the first `count` headers point to one part and at most one control message each, and the parts to bytes that are borrowed
    // for the length of this call; the kernel only reads those. `headers`, `parts` and `cuts` outlive the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as libc::c_uint, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// A control message that says how long the datagrams of a run are (cmsg(3)), padded as CMSG_SPACE wants it.
#[repr(C)]
struct Cut {
    header: libc::cmsghdr,
    each: u16,
    padding: [u8; size_of::<usize>() - 2],
}

impl Cut {
    const EMPTY: Cut = Cut {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<u16>(),
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        },
        each: 0,
        padding: [0; size_of::<usize>() - 2],
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn pair() -> (UdpSocket, UdpSocket) {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        (here, there)
    }

    fn alone(bytes: &[u8]) -> Run<'_> {
        Run { bytes, each: bytes.len() }
    }

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (here, there) = pair();
        let messages: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        let sent = send_many(here.as_fd(), messages.iter().map(|m| alone(m))).unwrap();
        assert_eq!(sent, SEND_MAX);
        let mut buffer = [0; 100];
        for message in &messages[..sent] {
            let length = there.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], message);
        }
    }

    #[test]
    fn runs_arrive_as_their_datagrams() {
        let (here, there) = pair();
        assert!(cuts_runs(here.as_fd()));
        let bytes: Vec<u8> = (0..RUN_BYTES_MAX).map(|n| (n / 7) as u8).collect();
        let runs = [(40_000, 1_000), (999, 1_000), (2_500, 1_000), (64, 1), (RUN_BYTES_MAX, 1_200)];
        let mut buffer = [0; 2_000];
        for (length, each) in runs {
            let runs = [alone(b"before"), Run { bytes: &bytes[..length], each }, alone(b"after")];
            assert_eq!(send_many(here.as_fd(), runs).unwrap(), 3);
            for expected in [&b"before"[..]].into_iter().chain(bytes[..length].chunks(each)).chain([&b"after"[..]]) {
                let length = there.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], expected);
            }
        }
    }

    #[test]
    fn an_error_is_about_the_first() {
        let (here, _there) = pair();
        let large = vec![0; 70_000];
        assert!(send_many(here.as_fd(), [alone(&large), alone(b"small")]).is_err());
        assert_eq!(send_many(here.as_fd(), [alone(b"small"), alone(&large), alone(b"small")]).unwrap(), 1);
    }

    #[test]
    fn more_than_a_run_may_have_is_refused() {
        let (here, _there) = pair();
        let refused = send_many(here.as_fd(), [Run { bytes: &[0; 5_000], each: 1 }]).unwrap_err();
        assert!(refuses_runs(&refused), "{refused}");
    }
}
