//! Lines of a file, each in the same memory, none longer than a bound.
use std::io::{self, BufRead, Read};

/// Bytes of one line, at the most: several times what the longest record needs. The rest of a longer line is skipped.
pub(crate) const LINE_MAX: usize = 4 * 1024 * 1024;

/// Reads lines one by one.
pub(crate) struct Lines<R> {
    file: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(file: R) -> Lines<R> {
        Lines { file, line: Vec::new() }
    }

    /// The line that [`Lines::next`] answered last.
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The next line without its newline, and whether that is all of it. The last line needs no newline.
    pub(crate) fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        self.line.clear();
        let limit = LINE_MAX as u64 + 1;
        if self.file.by_ref().take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        let whole = self.line.len() <= LINE_MAX || self.line.ends_with(b"\n");
        if self.line.ends_with(b"\n") {
            self.line.pop();
        } else if !whole {
            self.file.skip_until(b'\n')?;
        }
        Ok(Some((&self.line, whole)))
    }
}
