//! A capture file as a memory map: the window is the part of the file that was loaded and not yet consumed, so nothing is copied.
use super::CaptureError;
use super::decode::{Filled, Input};
use std::fs::File;
use std::io;
use sys::FileMap;

/// The file is loaded by pieces of so many bytes, which begin at multiples of it, and taken out again when it is consumed: big enough to make
/// the system calls free, small enough to keep its page table entries in the cache and to stay out of the process's memory count. Measured over
/// 855 MB of 4 KiB pages, every line touched: 88 ms by 256 KiB to 1 MiB, 93 by 4 MiB. It is a huge page: where the page cache has such, none is
/// ever taken out by half, which would bring in the other half again by faults.
const STEP: usize = 2 << 20;

pub(super) struct Mapped {
    path: Box<str>,
    map: FileMap,
    /// Consumed up to here.
    done: usize,
    /// Loaded up to here.
    loaded: usize,
    /// Released up to here.
    released: usize,
}

impl Mapped {
    /// Maps `file`. An error means that it must be read as a stream.
    pub(super) fn new(path: &str, file: File) -> io::Result<Mapped> {
        Ok(Mapped { path: path.into(), map: FileMap::new(file)?, done: 0, loaded: 0, released: 0 })
    }
}

impl Input for Mapped {
    const IN_CACHE: bool = false;

    #[inline]
    fn window(&self) -> &[u8] {
        &self.map.bytes()[self.done..self.loaded]
    }

    #[inline]
    fn last(&self) -> bool {
        self.loaded == self.map.bytes().len()
    }

    #[inline]
    fn consume(&mut self, used: usize) {
        debug_assert!(used <= self.loaded - self.done);
        self.done += used;
    }

    fn fill(&mut self, need: usize) -> Result<Filled, CaptureError> {
        let over = self.done / STEP * STEP;
        self.map.release(self.released..over);
        self.released = over;
        let end =
            self.loaded.saturating_add(need.max(1)).div_ceil(STEP).saturating_mul(STEP).min(self.map.bytes().len());
        self.map.load(self.loaded..end).map_err(|cause| {
            let (path, offset) = (self.path.to_string(), self.loaded as u64);
            match cause.kind() {
                io::ErrorKind::UnexpectedEof => CaptureError::Shrunk { path, offset },
                _ => CaptureError::Read { path, offset, cause },
            }
        })?;
        self.loaded = end;
        Ok(Filled::Yes)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        Some((self.done as u64, self.map.bytes().len() as u64))
    }
}
