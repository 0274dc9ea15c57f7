//! Whether a file is as it was when it was read.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file is replaced or written: inode, time of the last change in nanoseconds, length. `None`: there is no such file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, i64, i64, u64)>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let meta = fs::metadata(path).ok();
        Self(meta.map(|meta| (meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.len())))
    }
}
