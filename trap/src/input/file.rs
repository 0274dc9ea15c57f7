//! File source: the words after `f:` expanded and read one after another (trap.md section 9.3).
//!
//! Each file begins with its own HELLO, so a later file may bring another format.

use std::fs::File;
use std::io::{self, Read};

use super::Filled;
use crate::deframer::Deframer;
use crate::error::TrapError;
use crate::expand;
use crate::log;
use crate::place::{Place, Stop};

#[derive(Debug)]
pub(super) struct FileSource {
    paths: Vec<String>,
    /// Position in `paths` of the file to open next.
    next: usize,
    file: Option<File>,
    /// True between the end of the bytes and the service of a short last block.
    is_at_end: bool,
    is_fresh: bool,
    stop: Stop,
}

impl FileSource {
    /// Opens the first file, which must exist.
    pub(super) fn open(words: &str, place: &Place) -> Result<Self, TrapError> {
        let paths = expand::expand(words);
        let first = paths.first().cloned().unwrap_or_default();
        let file =
            File::open(&first).map_err(|source| TrapError::InputFile { index: place.index, path: first, source })?;
        Ok(Self { paths, next: 1, file: Some(file), is_at_end: false, is_fresh: true, stop: place.stop.clone() })
    }

    pub(super) fn fill(&mut self, deframer: &mut Deframer) -> Result<Filled, TrapError> {
        if self.stop.is_set() {
            return Ok(Filled::Terminated);
        }
        let Some(file) = &mut self.file else { return self.open_next(deframer) };
        if self.is_fresh {
            self.is_fresh = false;
            return Ok(Filled::Fresh);
        }
        if self.is_at_end {
            self.skip();
            return Ok(Filled::Ended);
        }
        match file.read(deframer.spare()) {
            Ok(0) => self.end_of_file(deframer),
            Ok(count) => {
                deframer.filled(count);
                Ok(Filled::Bytes(count))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Filled::Ended),
            Err(error) => {
                let what = format!("cannot read file \"{}\"", self.id());
                self.skip();
                deframer.reset();
                Err(TrapError::io(what, error))
            }
        }
    }

    /// Leaves the current file; the next call of `fill` opens the next one.
    pub(super) fn skip(&mut self) {
        (self.file, self.is_at_end) = (None, false);
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn id(&self) -> String {
        self.paths.get(self.next.saturating_sub(1)).cloned().unwrap_or_default()
    }

    fn open_next(&mut self, deframer: &mut Deframer) -> Result<Filled, TrapError> {
        let Some(path) = self.paths.get(self.next) else { return Ok(Filled::Exhausted) };
        self.next += 1;
        deframer.reset();
        let file = File::open(path).map_err(|error| TrapError::io(format!("cannot open file \"{path}\""), error))?;
        (self.file, self.is_fresh) = (Some(file), true);
        Ok(Filled::Ended)
    }

    fn end_of_file(&mut self, deframer: &mut Deframer) -> Result<Filled, TrapError> {
        let (was_hello, path) = (deframer.expects_hello(), self.id());
        if was_hello {
            self.skip();
            deframer.reset();
            return Err(TrapError::NegotiationFailed(format!("file \"{path}\" is empty or ends within its header")));
        }
        if deframer.end_of_bytes() {
            log::error!("file \"{path}\" ends within a block; what is complete is used");
        }
        self.is_at_end = true;
        Ok(Filled::Ended)
    }
}
