//! Memory that other processes may read: a file of 64-bit words, written as atomics.
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;

/// A file mapped for writing as words. Its blocks are taken at once, so that a full file system is an error here and no signal later.
///
/// **Hazard**: whoever may write to the file may also cut it, and touching a word past the new end then raises SIGBUS. Create it so that
/// nobody else may write.
pub struct SharedWords {
    map: memmap2::MmapRaw,
    words: usize,
}

impl SharedWords {
    /// Makes the file `words` long, all zero if it was empty, and maps it.
    pub fn new(file: &File, words: usize) -> io::Result<SharedWords> {
        let bytes = words.checked_mul(size_of::<u64>()).ok_or(io::ErrorKind::FileTooLarge)?;
        let len = libc::off_t::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: the descriptor is open for the whole call, which touches no memory of ours.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
            0 => {}
            cause => return Err(io::Error::from_raw_os_error(cause)),
        }
        let map = memmap2::MmapOptions::new().len(bytes).map_raw(file)?;
        Ok(SharedWords { map, words })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the map begins on a page boundary and is `words` long; it lives as long as self. Every bit pattern is an AtomicU64, and
        // memory shared with other processes is only touched through atomics, so their reads and writes are no data races here.
        unsafe { std::slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering;

    #[test]
    fn words_are_the_bytes_of_the_file() {
        let file = tempfile::tempfile().unwrap();
        let words = SharedWords::new(&file, 1000).unwrap();
        assert_eq!(words.len(), 1000);
        words[999].store(0x0102_0304_0506_0708, Ordering::Relaxed);
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 999 * 8).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 0x0102_0304_0506_0708);
        assert_eq!(words[0].load(Ordering::Relaxed), 0);
    }
}
