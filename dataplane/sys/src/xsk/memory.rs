//! Memory that is mapped for sockets: frames of our own, and the rings that the kernel shares.
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

/// Memory of its own, unmapped at the end.
pub(super) struct Mapping {
    pub(super) first: NonNull<u8>,
    pub(super) len: usize,
    /// A second view, in tests: not unmapped.
    #[cfg(test)]
    pub(super) borrowed: bool,
}

// SAFETY: the memory belongs to this value alone, and to the kernel as the protocol of the rings says.
unsafe impl Send for Mapping {}
// SAFETY: a shared mapping is only read (`slice`), and each frame by the one socket that the kernel gave it to.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory; huge pages by reservation, or small ones with the advice to make them huge.
    pub(super) fn anonymous(bytes: usize, huge: bool) -> io::Result<Mapping> {
        const HUGE: usize = 2 << 20;
        let len = bytes.next_multiple_of(if huge { HUGE } else { 4096 });
        let explicit = if huge { libc::MAP_HUGETLB | libc::MAP_HUGE_2MB } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | explicit;
        let mapping = Mapping::map(len, flags, -1, 0)?;
        if !huge {
            // SAFETY: the range is the mapping made above; advice changes no contents, and refusal only costs speed.
            unsafe { libc::madvise(mapping.first.as_ptr().cast(), len, libc::MADV_HUGEPAGE) };
        }
        Ok(mapping)
    }

    pub(super) fn of_socket(socket: &OwnedFd, len: usize, at: u64) -> io::Result<Mapping> {
        Mapping::map(len, libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd(), at as libc::off_t)
    }

    fn map(len: usize, flags: libc::c_int, fd: libc::c_int, at: libc::off_t) -> io::Result<Mapping> {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that exists.
        let first = unsafe { libc::mmap(std::ptr::null_mut(), len, rights, flags, fd, at) };
        if first == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(first.cast()).ok_or_else(|| io::Error::other("the kernel mapped address zero"))?;
        Ok(Mapping {
            first,
            len,
            #[cfg(test)]
            borrowed: false,
        })
    }

    /// Bytes that the caller holds: no descriptor of theirs is on the fill ring, so the kernel does not write them. Nothing outside.
    #[inline]
    pub(super) fn slice(&self, at: usize, len: usize) -> &[u8] {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return &[];
        }
        // SAFETY: inside the mapping, which lives as long as self. The frames were received and are not given back before the next call
        // with `&mut Xsk`, which ends this borrow; until then the kernel writes to frames of the fill ring only. Any bytes are u8.
        unsafe { std::slice::from_raw_parts(self.first.add(at).as_ptr(), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[cfg(test)]
        if self.borrowed {
            return;
        }
        // SAFETY: mapped with this length; whoever borrows from it borrows self.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.len) };
    }
}
