//! File output: HELLO, then blocks (trap.md section 9). Each block is one write; HELLO goes out with the first block.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::naming::Naming;
use super::stats::OutputStats;
use super::{DropReason, Sent};
use crate::container::Builder;
use crate::error::TrapError;
use crate::format::Format;
use crate::hello;
use crate::log;

/// A file being written, and its successors.
#[derive(Debug)]
pub(super) struct FileOutput {
    naming: Naming,
    current: Current,
    active: Builder,
    buffered: bool,
    hello: Vec<u8>,
    /// The format changed after something was written: the next block begins the next file.
    needs_new_file: bool,
    blocks: u64,
    lost_io: u64,
    overwritten: u64,
    failures: u64,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    starts: i64,
    /// Bytes written since opening.
    len: u64,
    messages: u64,
    /// False for the standard output, whose earlier contents are not ours.
    is_own: bool,
}

impl FileOutput {
    /// Creates the first file at once, so that a wrong path is told at the start; it stays empty until the first block.
    pub(super) fn open(mut naming: Naming, buffered: bool) -> Result<Self, TrapError> {
        let current = Current::open(&mut naming)?;
        Ok(Self {
            naming,
            current,
            active: Builder::file(),
            buffered,
            hello: Vec::new(),
            needs_new_file: false,
            blocks: 0,
            lost_io: 0,
            overwritten: 0,
            failures: 0,
        })
    }

    pub(super) fn set_format(&mut self, format: &Format) -> Result<(), TrapError> {
        let outcome = self.flush();
        self.hello = hello::encode(format);
        self.needs_new_file = self.current.len > 0;
        outcome
    }

    pub(super) fn send(&mut self, msg: &[u8]) -> Sent {
        if self.active.is_oversize(msg.len()) {
            return Sent::Dropped(DropReason::TooLarge);
        }
        if !self.active.push(msg) {
            self.write_or_report();
            // Not oversize, so it fits the empty block.
            let _fits = self.active.push(msg);
        }
        if !self.buffered {
            self.write_or_report();
        }
        Sent::Sent
    }

    pub(super) fn flush(&mut self) -> Result<(), TrapError> {
        if self.active.is_empty() {
            return Ok(());
        }
        let outcome = self.write_block();
        if outcome.is_err() {
            self.lost_io += u64::from(self.active.count());
        }
        self.active.clear();
        outcome
    }

    pub(super) fn set_buffered(&mut self, buffered: bool) {
        if !buffered {
            self.write_or_report();
        }
        self.buffered = buffered;
    }

    /// Blocks written, and messages lost because a block could not be.
    pub(super) fn blocks_and_losses(&self) -> (u64, u64) {
        (self.blocks, self.lost_io)
    }

    pub(super) fn add_to(&self, stats: &mut OutputStats) {
        stats.buffers += self.blocks;
        stats.lost_io += self.lost_io;
        stats.overwritten += self.overwritten;
        stats.clients = 1;
    }

    fn write_or_report(&mut self) {
        if let Err(error) = self.flush() {
            self.failures += 1;
            if log::worth_a_line(self.failures) {
                log::error!("{error} ({} messages lost so far)", self.lost_io);
            }
        }
    }

    fn write_block(&mut self) -> Result<(), TrapError> {
        self.rotate()?;
        let block = self.active.seal(0);
        let written = if self.current.len == 0 {
            self.current.append(&[&self.hello, block].concat())
        } else {
            self.current.append(block)
        };
        written?;
        self.current.messages += u64::from(self.active.count());
        self.blocks += 1;
        Ok(())
    }

    /// Goes on to the next file when the format changed, the period is over or the size is reached.
    fn rotate(&mut self) -> Result<(), TrapError> {
        let is_over = self.naming.is_over(self.current.starts, Timestamp::now().as_second());
        let is_full = self.naming.bytes_max().is_some_and(|most| self.current.len >= most);
        if !(self.needs_new_file || is_over || is_full) {
            return Ok(());
        }
        if is_over {
            self.naming.restart_index();
        }
        if self.naming.is_stdout() {
            // One stream holds both formats; readers meet a second HELLO, as with the original.
            self.current.len = 0;
        } else {
            let before = std::mem::replace(&mut self.current, Current::open(&mut self.naming)?);
            if before.path == self.current.path && !self.naming.appends() {
                self.overwritten += before.messages;
                log::warning!(
                    "format change truncated {}: {} messages in the old format are gone; use mode 'a' or size= to keep them",
                    before.path.display(),
                    before.messages
                );
            }
        }
        self.needs_new_file = false;
        Ok(())
    }
}

impl Current {
    fn open(naming: &mut Naming) -> Result<Self, TrapError> {
        let name = naming.next_name(Timestamp::now())?;
        let failed = |error| TrapError::io(format!("cannot create file \"{}\"", name.path.display()), error);
        if let Some(parent) = name.path.parent().filter(|parent| *parent != Path::new("")) {
            DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        if naming.is_stdout() {
            // Opening anew would lose what was written before us when the output is redirected to a file.
            options.append(true);
        } else if naming.appends() {
            options.append(true).create(true);
        } else {
            options.write(true).truncate(true).create(true);
        }
        let file = options.open(&name.path).map_err(failed)?;
        Ok(Self { file, path: name.path, starts: name.starts, len: 0, messages: 0, is_own: !naming.is_stdout() })
    }

    /// Writes all bytes or takes back what was written of them, so that later blocks stay readable.
    fn append(&mut self, bytes: &[u8]) -> Result<(), TrapError> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                if self.is_own {
                    // On a pipe or device this fails, and there is nothing to take back.
                    let _no_file = self.file.set_len(self.len).and_then(|()| self.file.seek(std::io::SeekFrom::End(0)));
                }
                Err(TrapError::io(format!("cannot write to file \"{}\"", self.path.display()), error))
            }
        }
    }
}
