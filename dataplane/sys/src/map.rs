//! A file in memory, read-only, to be read once from front to back.
use std::fs::File;
use std::io;
use std::ops::Range;

/// A read-only map of a whole file, of the size that it had when it was opened.
///
/// **Hazard**: when another process cuts the file while it is mapped, touching a page past the new end raises SIGBUS and ends this
/// process. [`FileMap::load`] keeps the window small: it reads the pages of a range in beforehand and answers with an error where the
/// file has become shorter, so that only a cut between `load` and the use of those pages is fatal. Bytes may also change
/// underneath: check a length and use it from the same read, never trust one that was checked earlier.
pub struct FileMap {
    map: memmap2::Mmap,
    file: File,
}

impl FileMap {
    /// Maps all of `file` and tells the kernel that it will be read sequentially. Files that cannot be mapped (pipes, some special
    /// file systems, empty ones on old kernels) are an error: read those as a stream.
    pub fn new(file: File) -> io::Result<FileMap> {
        let len = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: the map is read-only and lives no longer than `FileMap`. That nobody else writes to the file cannot be enforced
        // on Unix; readers of the bytes are told so above, and a value that changes between two reads of it can at worst make
        // a slice index panic, because no unsafe code depends on the content.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(&file)? };
        // Advice may be refused (a file system without read-ahead): then reading is merely slower.
        let _ = map.advise(memmap2::Advice::Sequential);
        Ok(FileMap { map, file })
    }

    /// The file. Touch only what [`FileMap::load`] has accepted.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Brings the pages of `range` (bytes) into this process in one system call; far cheaper than a fault for each few pages.
    /// Fails with `UnexpectedEof` where the file has become shorter than the range, and with the kernel's error where the
    /// medium cannot be read.
    pub fn load(&self, range: Range<usize>) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        if self.file.metadata()?.len() < range.end as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match self.map.advise_range(memmap2::Advice::PopulateRead, range.start, range.len()) {
            Ok(()) => Ok(()),
            // madvise(2): where touching a page would raise SIGBUS.
            Err(cause) if cause.raw_os_error() == Some(libc::EFAULT) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(cause) if cause.raw_os_error() == Some(libc::EIO) => Err(cause),
            // Linux before 5.14 does not know the advice: the pages come in by faults.
            Err(_) => Ok(()),
        }
    }

    /// Takes the whole pages within `range` (bytes) out of this process, so that a big file does not count as its memory. Reading
    /// them again is allowed, and reads the file again.
    pub fn release(&self, range: Range<usize>) {
        let page = 4096;
        let start = range.start.next_multiple_of(page);
        let end = range.end.min(self.map.len()) / page * page;
        if start < end {
            // SAFETY: the map is of a file and is never written through, so dropping pages loses nothing: the next read of such a
            // page takes it from the file again. References into the range stay valid for that reason.
            // Refusal is harmless: pages then stay until the map ends.
            let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> (tempfile::TempPath, File) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let open = File::open(file.path()).unwrap();
        (file.into_temp_path(), open)
    }

    #[test]
    fn released_pages_read_the_same() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let (_path, file) = file_of(&content);
        let map = FileMap::new(file).unwrap();
        map.load(0..content.len()).unwrap();
        assert_eq!(map.bytes(), content);
        map.release(1..99_999);
        map.release(0..usize::MAX);
        assert_eq!(map.bytes(), content);
    }

    #[test]
    fn a_file_cut_underneath_is_an_error_not_a_signal() {
        let (path, file) = file_of(&[7; 50_000]);
        let map = FileMap::new(file).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert_eq!(map.load(0..50_000).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        map.load(0..10).unwrap();
        assert_eq!(map.bytes()[9], 7);
    }
}
