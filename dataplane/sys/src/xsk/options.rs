//! An AF_XDP socket as a descriptor, and its options.
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; the answer is a descriptor or -1.
    let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

pub(super) fn set<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a value that is as long and outlives the call.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `T` is made of integers only: the kernel may write any bytes.
pub(super) fn get<T: Copy>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &mut T) -> io::Result<()> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: the kernel writes at most `len` bytes to a value that is as long, and how many to `len`; both outlive the call.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, std::ptr::from_mut(&mut len)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
