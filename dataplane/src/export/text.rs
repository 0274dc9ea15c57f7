//! The original's `text` output: one line for each flow (spec/exporter.md section 6, "text").
use crate::batch::Batch;
use crate::export::{Books, Exporter, OpenError, RecordDrop};
use crate::flow::Basic;
use jiff::tz::TimeZone;
use record::{Mac, Time};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

/// Lines go to standard output or to a file.
pub struct TextExporter {
    out: Lines,
    hide_mac: bool,
    zone: TimeZone,
    line: String,
    books: Books,
}

impl TextExporter {
    /// Writes the header at once. Times are local, as in the original.
    pub fn open(file: Option<PathBuf>, hide_mac: bool) -> Result<TextExporter, OpenError> {
        let mut out = Lines::open(file)?;
        let mac = if hide_mac { "" } else { "mac " };
        out.add(format!("{mac}conversation packets bytes tcp-flags time extensions\n").as_bytes(), 0);
        Ok(TextExporter { out, hide_mac, zone: TimeZone::system(), line: String::new(), books: Books::default() })
    }

    fn basic(&mut self, b: &Basic) {
        if !self.hide_mac {
            let (src, dst) = (MacText(b.src_mac), MacText(b.dst_mac));
            let _ = write!(self.line, "{src}->{dst} ");
        }
        let (src, dst) = (IpText(b.src_ip), IpText(b.dst_ip));
        let _ = write!(
            self.line,
            "{:2}@{src}:{}->{dst}:{} {}->{} {}->{} {}->{} ",
            b.protocol,
            b.src_port,
            b.dst_port,
            b.packets,
            b.packets_rev,
            b.bytes,
            b.bytes_rev,
            b.tcp_flags,
            b.tcp_flags_rev
        );
        self.time(b.time_first);
        self.line.push_str("->");
        self.time(b.time_last);
    }

    fn time(&mut self, t: Time) {
        let at = jiff::Timestamp::from_nanosecond(t.0 as i128).unwrap_or_default().to_zoned(self.zone.clone());
        let _ = write!(self.line, "{}.{:06}", at.strftime("%FT%T"), t.subsec_nanos() / 1000);
    }
}

impl Exporter for TextExporter {
    fn name(&self) -> String {
        format!("text {}", self.out.name)
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            self.line.clear();
            self.basic(&flow.basic);
            for link in batch.links(flow) {
                self.line.push(' ');
                batch.text(*link, &mut self.line);
            }
            self.line.push('\n');
            self.out.add(self.line.as_bytes(), 1);
            self.books.records.keep(1);
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

/// Buffered lines that know how many records wait in them, for the outputs made of text.
pub(super) struct Lines {
    out: Box<dyn Write>,
    pub(super) name: String,
    waiting: Vec<u8>,
    records: u64,
    lost: u64,
    trouble: Option<String>,
    /// The reader of a pipe has gone: the rest is dropped without further words.
    gone: bool,
}

/// Bytes gathered before a write.
const BUFFER: usize = 1 << 16;

impl Lines {
    /// `None` or `-` is standard output.
    pub(super) fn open(file: Option<PathBuf>) -> Result<Lines, OpenError> {
        let (out, name): (Box<dyn Write>, String) = match file {
            Some(path) if path.as_os_str() != "-" => {
                let name = path.display().to_string();
                let file = File::create(&path).map_err(|cause| OpenError::Create { path: name.clone(), cause })?;
                (Box::new(file), name)
            }
            _ => (Box::new(io::stdout()), "standard output".into()),
        };
        Ok(Lines {
            out,
            name,
            waiting: Vec::with_capacity(BUFFER * 2),
            records: 0,
            lost: 0,
            trouble: None,
            gone: false,
        })
    }

    pub(super) fn add(&mut self, text: &[u8], records: u64) {
        self.waiting.extend_from_slice(text);
        self.records += records;
        if self.waiting.len() >= BUFFER {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
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
                self.trouble = Some(format!("{}: {e}", self.name));
            }
        }
    }

    /// Moves losses to the books.
    pub(super) fn settle(&mut self, books: &mut Books) {
        books.records.give_up(RecordDrop::WriteFailed, std::mem::take(&mut self.lost));
        if let Some(trouble) = self.trouble.take() {
            books.trouble = Some(trouble);
        }
    }
}

struct MacText(Mac);
impl std::fmt::Display for MacText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

struct IpText(IpAddr);
impl std::fmt::Display for IpText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}
