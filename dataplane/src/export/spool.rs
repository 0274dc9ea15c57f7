//! Messages that wait on disk for a collector that is away: first in, first out, in a bounded number of bytes.
//!
//! A spool is a folder of segments, files of at most an eighth of its bytes. Messages are appended to the newest; the oldest is read whole,
//! message by message, and removed when the last of them has arrived. When there is no room the oldest segment that is not being read
//! makes it (`expired`). Each segment begins with all templates of the run that wrote it, so it can be read when others are gone.
//!
//! Identity I13, in records: found + written = arrived + expired + corrupt + waiting. Nothing is flushed to the disk by force: after a
//! power cut the tail may be torn, which the checksums find. A crash between arrival and removal of a segment sends it twice.
use crate::export::OpenError;
pub(super) use segment::Block;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

mod segment;
pub(crate) use segment::fuzz_segment;

/// Smallest spool, bytes.
pub const SPOOL_BYTES_MIN: u64 = 1 << 20;
/// Largest segment, bytes: so much is read into memory at a time.
const SEGMENT_MAX: u64 = 4 << 20;
const SUFFIX: &str = "spool";
/// Of the segments, so that some can be put in front.
const FIRST_NUMBER: u64 = 1 << 32;

/// What a spool is told at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    pub folder: PathBuf,
    /// Bytes at the most, at least [`SPOOL_BYTES_MIN`].
    pub bytes_max: u64,
}

/// Records that went through a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolBooks {
    /// Left behind by earlier runs.
    pub found: u64,
    pub written: u64,
    /// The collector has acknowledged them.
    pub arrived: u64,
    /// Made room for newer ones, of earlier runs (or could not be read any more) and of this one.
    pub expired_earlier: u64,
    pub expired: u64,
    /// Written by this run and not readable any more.
    pub corrupt: u64,
    /// Segments that had a broken or cut block.
    pub torn: u64,
    /// Still on disk: of earlier runs, and of this one.
    pub waiting_earlier: u64,
    pub waiting: u64,
}

impl SpoolBooks {
    /// Zero when they balance.
    pub fn imbalance(&self) -> i64 {
        let there = self.found + self.written;
        let gone = self.arrived + self.expired_earlier + self.expired + self.corrupt;
        there as i64 - (gone + self.waiting + self.waiting_earlier) as i64
    }
}

pub(super) struct Spool {
    config: SpoolConfig,
    /// The number of this run: its segments bear it.
    run: u64,
    /// Oldest first; the last may still be written to.
    segments: VecDeque<Segment>,
    /// The file of the last segment, while it is written to.
    tail: Option<File>,
    /// The first segment, while it is read.
    reading: Option<Reading>,
    books: SpoolBooks,
    /// Expired and corrupt records of this run that were [told](Spool::lost).
    told: (u64, u64),
    /// Held for as long as the folder is ours.
    _lock: File,
}

struct Segment {
    number: u64,
    run: u64,
    bytes: u64,
    /// Records that have not arrived.
    records: u64,
    /// Bytes at its front whose messages have arrived.
    arrived: usize,
}

struct Reading {
    bytes: Vec<u8>,
    /// Where the next block is.
    at: usize,
}

/// Where a message from the spool ends: it has [arrived](Spool::arrived) up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    segment: u64,
    end: usize,
}

/// A message that was read.
pub(super) struct Taken {
    pub(super) message: Vec<u8>,
    pub(super) records: u32,
    pub(super) mark: Mark,
}

impl Spool {
    /// Opens the folder, which is made if it is not there, and finds what earlier runs left.
    pub(super) fn open(config: SpoolConfig, run: u64) -> Result<Spool, OpenError> {
        let fail = |path: &Path| {
            let path = path.display().to_string();
            move |cause| OpenError::Create { path, cause }
        };
        let folder = &config.folder;
        if config.bytes_max < SPOOL_BYTES_MIN {
            return Err(OpenError::Config(format!("spool: the least are {SPOOL_BYTES_MIN} bytes")));
        }
        fs::create_dir_all(folder).map_err(fail(folder))?;
        let lock = File::create(folder.join("lock")).map_err(fail(folder))?;
        if lock.try_lock().is_err() {
            let folder = folder.display();
            return Err(OpenError::Config(format!("spool {folder} is used by another output; give each a folder")));
        }
        let mut numbers: Vec<u64> =
            fs::read_dir(folder).map_err(fail(folder))?.flatten().filter_map(number_of).collect();
        numbers.sort_unstable();
        let mut spool = Spool {
            config,
            run,
            segments: VecDeque::new(),
            tail: None,
            reading: None,
            books: SpoolBooks::default(),
            told: (0, 0),
            _lock: lock,
        };
        numbers.into_iter().for_each(|number| spool.find(number));
        Ok(spool)
    }

    /// Appends a message; `templates` are all that were told so far, for a new segment. An error is the disk's: the message is not there.
    pub(super) fn append(&mut self, block: Block<'_>, templates: &[Vec<u8>]) -> io::Result<()> {
        let bytes = segment::block_bytes(block.message);
        let full = self.segments.back().is_some_and(|last| last.bytes + bytes > self.segment_max());
        if full || self.tail.is_none() {
            self.begin(templates)?;
        }
        self.make_room(bytes);
        let mut spelled = Vec::with_capacity(bytes as usize);
        segment::put(&mut spelled, block);
        self.write(&spelled)?;
        if let Some(last) = self.segments.back_mut() {
            last.records += u64::from(block.records);
            self.books.written += u64::from(block.records);
            self.books.waiting += u64::from(block.records);
        }
        Ok(())
    }

    /// Puts messages in front of all others: they were taken past an empty spool and have to be sent again. An error as by [`Spool::append`].
    pub(super) fn prepend(&mut self, blocks: &[Block<'_>], templates: &[Vec<u8>]) -> io::Result<()> {
        self.reading = None;
        let mut bytes = segment::header(self.run).to_vec();
        templates.iter().for_each(|message| segment::put(&mut bytes, Block { message, records: 0 }));
        blocks.iter().for_each(|block| segment::put(&mut bytes, *block));
        let length = bytes.len() as u64;
        self.make_room(length);
        let number = self.segments.front().map_or(FIRST_NUMBER, |first| first.number - 1);
        let path = self.path(number);
        fs::write(&path, &bytes).inspect_err(|_| {
            let _not_even_that = fs::remove_file(&path);
        })?;
        let records = blocks.iter().map(|block| u64::from(block.records)).sum();
        self.segments.push_front(Segment { number, run: self.run, bytes: length, records, arrived: 0 });
        self.books.written += records;
        self.books.waiting += records;
        Ok(())
    }

    /// Records of this run that expired or turned out to be corrupt since this was asked last.
    pub(super) fn lost(&mut self) -> (u64, u64) {
        let before = std::mem::replace(&mut self.told, (self.books.expired, self.books.corrupt));
        (self.told.0 - before.0, self.told.1 - before.1)
    }

    /// The run whose message is next, if there is one.
    pub(super) fn next_run(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.run)
    }

    /// Takes the next message if it is of this run; the segment that is written to ends with this. `None` also where something else has
    /// to arrive first.
    pub(super) fn next(&mut self, run: u64) -> Option<Taken> {
        loop {
            let first = self.segments.front().filter(|first| first.run == run)?;
            let number = first.number;
            if self.reading.is_none() {
                if self.segments.len() == 1 {
                    self.tail = None;
                }
                // One that cannot be read is as one without blocks.
                let bytes = fs::read(self.path(number)).unwrap_or_default();
                self.reading = Some(Reading { at: self.segments.front()?.arrived.max(segment::HEADER), bytes });
            }
            let reading = self.reading.as_mut()?;
            let rest = reading.bytes.get(reading.at..).unwrap_or_default();
            if let Some((block, after)) = segment::split(rest) {
                let (message, records) = (block.message.to_vec(), block.records);
                reading.at = reading.bytes.len() - after.len();
                return Some(Taken { message, records, mark: Mark { segment: number, end: reading.at } });
            }
            // The rest of a segment waits until what was read of it has arrived.
            if self.segments.front()?.arrived < reading.at && reading.at > segment::HEADER {
                return None;
            }
            self.books.torn += u64::from(!rest.is_empty() || reading.bytes.len() < segment::HEADER);
            self.remove_first(
                |books, own, records| if own { books.corrupt += records } else { books.expired_earlier += records },
            );
        }
    }

    /// A message and all before it have arrived.
    pub(super) fn arrived(&mut self, mark: Mark, records: u64) {
        let own = self.run;
        let Some(first) = self.segments.front_mut().filter(|first| first.number == mark.segment) else { return };
        first.arrived = mark.end;
        first.records -= records;
        let waiting = if first.run == own { &mut self.books.waiting } else { &mut self.books.waiting_earlier };
        *waiting -= records;
        self.books.arrived += records;
    }

    /// What was taken and has not arrived will be taken again.
    pub(super) fn rewind(&mut self) {
        self.reading = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn books(&self) -> SpoolBooks {
        self.books
    }

    /// Leaves only what has not arrived, for a later run.
    pub(super) fn close(&mut self) {
        self.tail = None;
        self.reading = None;
        let Some(first) = self.segments.front() else { return };
        let (number, arrived) = (first.number, first.arrived);
        if arrived <= segment::HEADER {
            return;
        }
        if first.records == 0 {
            return self.remove_first(|_, _, _| {});
        }
        // Templates stay, whether they have arrived or not.
        let bytes = fs::read(self.path(number)).unwrap_or_default();
        let Some(run) = segment::run_of(&bytes) else { return };
        let mut left = segment::header(run).to_vec();
        let mut at = segment::HEADER;
        while let Some((block, after)) = segment::split(&bytes[at..]) {
            if block.records == 0 || at >= arrived {
                segment::put(&mut left, block);
            }
            at = bytes.len() - after.len();
        }
        // If the disk refuses, the whole segment stays: a later run sends some of it again.
        let shorter = self.config.folder.join("shorter");
        let _as_it_was = fs::write(&shorter, &left).and_then(|()| fs::rename(&shorter, self.path(number)));
    }

    fn find(&mut self, number: u64) {
        let bytes = fs::read(self.path(number)).unwrap_or_default();
        let run = segment::run_of(&bytes);
        let (mut records, mut rest) = (0, bytes.get(segment::HEADER..).unwrap_or_default());
        while let Some((block, after)) = segment::split(rest) {
            records += u64::from(block.records);
            rest = after;
        }
        self.books.found += records;
        self.books.waiting_earlier += records;
        let length = bytes.len() as u64;
        // What is no segment is passed over when its turn comes.
        self.segments.push_back(Segment { number, run: run.unwrap_or(0), bytes: length, records, arrived: 0 });
    }

    /// Begins a new segment.
    fn begin(&mut self, templates: &[Vec<u8>]) -> io::Result<()> {
        let number = self.segments.back().map_or(FIRST_NUMBER, |last| last.number + 1);
        let mut start = segment::header(self.run).to_vec();
        templates.iter().for_each(|message| segment::put(&mut start, Block { message, records: 0 }));
        self.make_room(start.len() as u64);
        self.tail = None;
        let path = self.path(number);
        let mut file = File::create(&path)?;
        if let Err(e) = file.write_all(&start) {
            let _not_even_that = fs::remove_file(&path);
            return Err(e);
        }
        self.tail = Some(file);
        let bytes = start.len() as u64;
        self.segments.push_back(Segment { number, run: self.run, bytes, records: 0, arrived: 0 });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (Some(file), Some(last)) = (&mut self.tail, self.segments.back_mut()) else { return Ok(()) };
        let written = file.write_all(bytes);
        match written {
            Ok(()) => last.bytes += bytes.len() as u64,
            Err(_) => {
                // Half a block at the end would hide what comes behind it.
                if file.set_len(last.bytes).and_then(|()| io::Seek::seek(file, io::SeekFrom::End(0))).is_err() {
                    self.tail = None;
                }
            }
        }
        written
    }

    fn make_room(&mut self, bytes: u64) {
        while self.segments.iter().map(|segment| segment.bytes).sum::<u64>() + bytes > self.config.bytes_max {
            // The one that is read stays, and the one that is written to.
            let at = usize::from(self.reading.is_some());
            if at + usize::from(self.tail.is_some()) >= self.segments.len() {
                return;
            }
            self.remove(
                at,
                |books, own, records| if own { books.expired += records } else { books.expired_earlier += records },
            );
        }
    }

    fn remove_first(&mut self, book: impl FnOnce(&mut SpoolBooks, bool, u64)) {
        self.reading = None;
        self.remove(0, book);
    }

    fn remove(&mut self, at: usize, book: impl FnOnce(&mut SpoolBooks, bool, u64)) {
        let Some(segment) = self.segments.remove(at) else { return };
        if self.segments.is_empty() {
            self.tail = None;
        }
        let own = segment.run == self.run;
        *(if own { &mut self.books.waiting } else { &mut self.books.waiting_earlier }) -= segment.records;
        book(&mut self.books, own, segment.records);
        let _gone_already = fs::remove_file(self.path(segment.number));
    }

    fn segment_max(&self) -> u64 {
        (self.config.bytes_max / 8).min(SEGMENT_MAX)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.config.folder.join(format!("{number:012}.{SUFFIX}"))
    }
}

fn number_of(entry: fs::DirEntry) -> Option<u64> {
    let path = entry.path();
    (path.extension()? == SUFFIX).then(|| path.file_stem()?.to_str()?.parse().ok())?
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
