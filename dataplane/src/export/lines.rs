//! Outputs made of lines of text, one for each flow: the sink that they share.
use crate::batch::{Batch, FlowRecord};
use crate::export::{Books, Exporter, OpenError, RecordDrop};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

/// How a flow is written as a line; everything else about such an output is the same.
pub trait Form: Send {
    /// The word in the output's name.
    const NAME: &'static str;
    /// What stands above the lines, empty or with its line end.
    fn header(&self) -> String;
    /// Appends the line of a flow without its end.
    fn line(&mut self, batch: &Batch, flow: &FlowRecord, out: &mut Vec<u8>);
}

/// Lines of one form, to standard output or a file.
pub struct LineExporter<F: Form> {
    form: F,
    out: Lines,
    line: Vec<u8>,
    books: Books,
}

impl<F: Form> LineExporter<F> {
    /// Writes the header at once. `None` or `-` is standard output.
    pub fn open_form(form: F, file: Option<PathBuf>) -> Result<LineExporter<F>, OpenError> {
        let mut out = Lines::open(file)?;
        out.add(form.header().as_bytes(), 0);
        Ok(LineExporter { form, out, line: Vec::new(), books: Books::default() })
    }
}

impl<F: Form> Exporter for LineExporter<F> {
    fn name(&self) -> String {
        format!("{} {}", F::NAME, self.out.name)
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            self.line.clear();
            self.form.line(batch, flow, &mut self.line);
            self.line.push(b'\n');
            self.books.records.keep(1);
            self.out.add(&self.line, 1);
        }
        self.out.settle(&mut self.books);
    }

    fn tick(&mut self, _now_secs: u64) {
        self.out.flush();
        self.out.settle(&mut self.books);
    }

    fn finish(&mut self, now_secs: u64) {
        self.tick(now_secs);
    }

    fn books(&self) -> &Books {
        &self.books
    }
}

/// Buffered lines that know how many records wait in them.
pub(in crate::export) struct Lines {
    out: Box<dyn Write + Send>,
    name: String,
    waiting: Vec<u8>,
    records: u64,
    lost: u64,
    trouble: Option<String>,
    /// Standard output, whose reader may have seen enough.
    standard: bool,
    /// The reader of a pipe has gone: the rest is dropped without further words.
    gone: bool,
}

/// Bytes gathered before a write.
const BUFFER: usize = 1 << 16;
const STANDARD: &str = "standard output";

impl Lines {
    /// `None` or `-` is standard output.
    pub(in crate::export) fn open(file: Option<PathBuf>) -> Result<Lines, OpenError> {
        let (out, name): (Box<dyn Write + Send>, String) = match file {
            Some(path) if path.as_os_str() != "-" => {
                let name = path.display().to_string();
                let file = File::create(&path).map_err(|cause| OpenError::Create { path: name.clone(), cause })?;
                (Box::new(file), name)
            }
            _ => (Box::new(io::stdout()), STANDARD.into()),
        };
        let standard = name == STANDARD;
        Ok(Lines {
            out,
            name,
            waiting: Vec::with_capacity(BUFFER * 2),
            records: 0,
            lost: 0,
            trouble: None,
            standard,
            gone: false,
        })
    }

    /// What it leads to.
    pub(in crate::export) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::export) fn add(&mut self, text: &[u8], records: u64) {
        self.waiting.extend_from_slice(text);
        self.records += records;
        if self.waiting.len() >= BUFFER {
            self.flush();
        }
    }

    pub(in crate::export) fn flush(&mut self) {
        let outcome = if self.gone {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            self.out.write_all(&self.waiting).and_then(|()| self.out.flush())
        };
        self.waiting.clear();
        let records = std::mem::take(&mut self.records);
        if let Err(e) = outcome {
            self.lost += records;
            if !self.gone {
                self.gone = e.kind() == io::ErrorKind::BrokenPipe;
                if !(self.gone && self.standard) {
                    self.trouble = Some(format!("{}: {e}", self.name));
                }
            }
        }
    }

    /// Moves losses to the books.
    pub(in crate::export) fn settle(&mut self, books: &mut Books) {
        let why = if self.gone && self.standard { RecordDrop::ReaderGone } else { RecordDrop::WriteFailed };
        books.records.give_up(why, std::mem::take(&mut self.lost));
        if let Some(trouble) = self.trouble.take() {
            books.trouble = Some(trouble);
        }
    }
}
