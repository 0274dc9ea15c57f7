//! The Page: counters of a running process in memory that others may read, also after it died.
//!
//! A page is an array of 64-bit words in the machine's byte order: a header, the names of everything in it, and *cells*. A cell belongs to
//! one writer and holds two copies of its words beside the number of the newest: a writer fills the older copy and then says
//! that it is the newest, so a reader finds whole values at any time, and so it does when the writer was killed half-way. Readers
//! never hold a writer up. Names travel with the page, so a reader need not know the plugins and reasons of the version that wrote it.
//!
//! ```text
//! header   magic version words lanes columns outputs output_columns labels_at labels_len pid process_start started   (16 words)
//! cells    for each lane: counters, talkers; for each output: counters
//! cell     sequence, 2 x (time of the update, values), padded to whole cache lines
//! labels   UTF-8 lines: title, columns of lanes, columns of outputs, names of lanes, names of outputs
//! ```
use crate::Time;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering, fence};

pub mod columns;
pub mod fuzzing;

/// First word of a page.
const MAGIC: u64 = u64::from_ne_bytes(*b"SONDApag");
/// Changes whenever the place of a word does.
pub const VERSION: u64 = 1;
const HEADER_WORDS: usize = 16;
/// Words of a cache line: cells of two writers share none.
const LINE_WORDS: usize = 8;

/// Bounds of a page, for writers and against pages that were not written by us.
pub const LANES_MAX: usize = 1024;
pub const OUTPUTS_MAX: usize = 64;
pub const COLUMNS_MAX: usize = 512;
pub const LABELS_MAX: usize = 128 * 1024;
/// Top talkers that a lane tells of.
pub const TALKERS_MAX: usize = 64;
const TALKER_WORDS: usize = 8;
const TALKERS_WORDS: usize = 1 + TALKERS_MAX * TALKER_WORDS;

/// Attempts at a cell that its writer keeps writing. A writer publishes some ten times a second, a reader needs microseconds.
const ATTEMPTS: usize = 1000;

/// What a page is about, chosen once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// What runs, for people.
    pub title: String,
    pub lane_columns: Vec<String>,
    pub output_columns: Vec<String>,
    /// The input of each lane.
    pub lanes: Vec<String>,
    pub outputs: Vec<String>,
}

/// The process that writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    pub pid: u32,
    /// Start of the process in the kernel's ticks (field 22 of proc_pid_stat(5)): tells it from a later one of the same number.
    pub process_start: u64,
    pub started: Time,
}

/// Where a cell is: to be had from a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    at: usize,
    values: usize,
}

/// Who talks to whom, summed over flows that ended lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talker {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub protocol: u8,
    pub dst_port: u16,
    /// Both directions.
    pub bytes: u64,
    pub packets: u64,
    /// By how many bytes `bytes` may be too high, because the list is bounded.
    pub error: u64,
}

/// Why a page cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("it is no page of sonda")]
    NotAPage,
    #[error(
        "it is a page of version {0}, this sonda reads version {VERSION}: use the sonda that the probe was started from"
    )]
    Version(u64),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("its writer writes too fast to be read")]
    Busy,
    #[error("{what} are more than a page has room for ({max})")]
    TooMany { what: &'static str, max: usize },
}

impl Layout {
    /// Words of the whole page.
    pub fn words(&self) -> usize {
        self.labels_at() + self.labels().len().div_ceil(8)
    }

    /// Checks the bounds.
    pub fn check(&self) -> Result<(), PageError> {
        let bounds = [
            ("lanes", self.lanes.len(), LANES_MAX),
            ("outputs", self.outputs.len(), OUTPUTS_MAX),
            ("counters", self.lane_columns.len().max(self.output_columns.len()), COLUMNS_MAX),
            ("bytes of names", self.labels().len(), LABELS_MAX),
        ];
        match bounds.into_iter().find(|(_, count, max)| count > max) {
            Some((what, _, max)) => Err(PageError::TooMany { what, max }),
            None => Ok(()),
        }
    }

    pub fn lane(&self, lane: usize) -> Cell {
        Cell { at: HEADER_WORDS + lane * self.lane_words(), values: self.lane_columns.len() }
    }

    /// The top talkers of a lane.
    pub fn talkers(&self, lane: usize) -> Cell {
        Cell { at: self.lane(lane).at + cell_words(self.lane_columns.len()), values: TALKERS_WORDS }
    }

    pub fn output(&self, output: usize) -> Cell {
        let at = HEADER_WORDS + self.lanes.len() * self.lane_words() + output * cell_words(self.output_columns.len());
        Cell { at, values: self.output_columns.len() }
    }

    fn lane_words(&self) -> usize {
        cell_words(self.lane_columns.len()) + cell_words(TALKERS_WORDS)
    }

    fn labels_at(&self) -> usize {
        self.output(self.outputs.len()).at
    }

    fn labels(&self) -> Vec<u8> {
        let columns = self.lane_columns.iter().chain(&self.output_columns);
        let all = std::iter::once(&self.title).chain(columns).chain(&self.lanes).chain(&self.outputs);
        all.flat_map(|name| [plain(name), "\n".to_string()]).collect::<String>().into_bytes()
    }

    /// Writes all but the cells to `page`, which is all zeros; the page can be read from then on.
    pub fn begin(&self, page: &[AtomicU64], writer: Writer) {
        let labels = self.labels();
        for (word, bytes) in page.iter().skip(self.labels_at()).zip(labels.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        let numbers = [
            VERSION,
            self.words() as u64,
            self.lanes.len() as u64,
            self.lane_columns.len() as u64,
            self.outputs.len() as u64,
            self.output_columns.len() as u64,
            self.labels_at() as u64,
            labels.len() as u64,
            writer.pid.into(),
            writer.process_start,
            writer.started.0,
        ];
        page.iter().skip(1).zip(numbers).for_each(|(word, n)| word.store(n, Ordering::Relaxed));
        if let Some(magic) = page.first() {
            magic.store(MAGIC, Ordering::Release);
        }
    }
}

const fn cell_words(values: usize) -> usize {
    (1 + 2 * (1 + values)).next_multiple_of(LINE_WORDS)
}

impl Cell {
    /// Publishes values, of which there are as many as the cell has columns. One thread at a time; allocates nothing and never waits.
    pub fn publish(self, page: &[AtomicU64], now: Time, values: &[u64]) {
        let Some(words) = page.get(self.at..self.at + cell_words(self.values)) else { return };
        let next = words[0].load(Ordering::Relaxed).wrapping_add(1);
        let copy = &words[1 + (next & 1) as usize * (1 + self.values)..][..1 + self.values];
        // Stores of this update must not be seen before the number of the one before it (a reader would take this copy for whole).
        fence(Ordering::Release);
        copy[0].store(now.0, Ordering::Relaxed);
        copy[1..].iter().zip(values).for_each(|(word, value)| word.store(*value, Ordering::Relaxed));
        words[0].store(next, Ordering::Release);
    }

    /// Publishes top talkers, the first [`TALKERS_MAX`].
    pub fn publish_talkers(self, page: &[AtomicU64], now: Time, talkers: &[Talker]) {
        let mut values = [0; TALKERS_WORDS];
        values[0] = talkers.len().min(TALKERS_MAX) as u64;
        for (talker, words) in talkers.iter().zip(values[1..].chunks_exact_mut(TALKER_WORDS)) {
            words.copy_from_slice(&talker.to_words());
        }
        self.publish(page, now, &values);
    }

    fn read(self, page: &mut impl Source) -> Result<(Time, Vec<u64>), PageError> {
        let mut number = [0];
        let mut copy = vec![0; 1 + self.values];
        for _ in 0..ATTEMPTS {
            page.read(self.at, &mut number)?;
            let before = number[0];
            fence(Ordering::Acquire);
            page.read(self.at + 1 + (before & 1) as usize * copy.len(), &mut copy)?;
            fence(Ordering::Acquire);
            page.read(self.at, &mut number)?;
            if number[0] == before {
                return Ok((Time(copy[0]), copy.split_off(1)));
            }
        }
        Err(PageError::Busy)
    }
}

impl Talker {
    fn to_words(self) -> [u64; TALKER_WORDS] {
        let [src, dst] = [self.src, self.dst].map(halves);
        let version = if self.src.is_ipv4() { 4 } else { 6 };
        let what = version << 32 | u64::from(self.protocol) << 16 | u64::from(self.dst_port);
        [src[0], src[1], dst[0], dst[1], what, self.bytes, self.packets, self.error]
    }

    fn from_words(words: &[u64; TALKER_WORDS]) -> Talker {
        let [s0, s1, d0, d1, what, bytes, packets, error] = *words;
        let address = |halves: [u64; 2]| {
            let whole = Ipv6Addr::from(u128::from(halves[0]) << 64 | u128::from(halves[1]));
            match whole.to_ipv4_mapped() {
                Some(v4) if what >> 32 == 4 => IpAddr::V4(v4),
                _ => IpAddr::V6(whole),
            }
        };
        let (src, dst) = (address([s0, s1]), address([d0, d1]));
        Talker { src, dst, protocol: (what >> 16) as u8, dst_port: what as u16, bytes, packets, error }
    }
}

fn halves(address: IpAddr) -> [u64; 2] {
    let whole = u128::from(match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    });
    [(whole >> 64) as u64, whole as u64]
}

/// A name without what would break lines or move a terminal's cursor.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

/// Where a page is read from: a file, or memory.
pub trait Source {
    /// Fills `out` with the words from `at` on; a page that is shorter is [`PageError::Damaged`].
    fn read(&mut self, at: usize, out: &mut [u64]) -> Result<(), PageError>;
}

impl Source for &[u8] {
    fn read(&mut self, at: usize, out: &mut [u64]) -> Result<(), PageError> {
        let range = at.checked_mul(8).and_then(|from| from.checked_add(out.len() * 8).map(|to| from..to));
        let bytes = range.and_then(|range| self.get(range)).ok_or(PageError::Damaged("it is cut off"))?;
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(word, bytes)| *word = u64::from_ne_bytes(*bytes));
        Ok(())
    }
}

impl Source for &[AtomicU64] {
    fn read(&mut self, at: usize, out: &mut [u64]) -> Result<(), PageError> {
        let words = at.checked_add(out.len()).and_then(|to| self.get(at..to));
        let words = words.ok_or(PageError::Damaged("it is cut off"))?;
        out.iter_mut().zip(words).for_each(|(word, from)| *word = from.load(Ordering::Acquire));
        Ok(())
    }
}

/// A page as it was at a moment; each cell is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub writer: Writer,
    pub layout: Layout,
    pub lanes: Vec<LaneCounts>,
    pub outputs: Vec<Counts>,
}

/// A cell of counters, one for each column. All 0 with time 0 if nothing was published yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// When the writer's clock said so.
    pub at: Time,
    pub values: Vec<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    pub counts: Counts,
    pub talkers: Vec<Talker>,
}

impl Snapshot {
    /// Reads a page; any bytes are answered, never trusted.
    pub fn read(mut page: impl Source) -> Result<Snapshot, PageError> {
        let mut header = [0; HEADER_WORDS];
        page.read(0, &mut header).map_err(|_| PageError::NotAPage)?;
        let [
            magic,
            version,
            words,
            lanes,
            columns,
            outputs,
            output_columns,
            labels_at,
            labels_len,
            pid,
            start,
            began,
            ..,
        ] = header;
        if magic != MAGIC {
            return Err(PageError::NotAPage);
        }
        if version != VERSION {
            return Err(PageError::Version(version));
        }
        let bounded =
            |n: u64, max: usize, what| usize::try_from(n).ok().filter(|n| *n <= max).ok_or(PageError::Damaged(what));
        let lanes = bounded(lanes, LANES_MAX, "too many lanes")?;
        let outputs = bounded(outputs, OUTPUTS_MAX, "too many outputs")?;
        let columns = bounded(columns, COLUMNS_MAX, "too many counters")?;
        let output_columns = bounded(output_columns, COLUMNS_MAX, "too many counters")?;
        let labels_len = bounded(labels_len, LABELS_MAX, "too many names")?;
        let empty = |count| vec![String::new(); count];
        let mut layout = Layout {
            title: String::new(),
            lane_columns: empty(columns),
            output_columns: empty(output_columns),
            lanes: empty(lanes),
            outputs: empty(outputs),
        };
        let ends = layout.labels_at() + labels_len.div_ceil(8);
        if labels_at != layout.labels_at() as u64 || words != ends as u64 {
            return Err(PageError::Damaged("its parts do not fit together"));
        }
        let mut labels = vec![0; labels_len.div_ceil(8)];
        page.read(layout.labels_at(), &mut labels)?;
        let mut bytes: Vec<u8> = labels.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(labels_len);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let named =
            std::iter::once(&mut layout.title).chain(&mut layout.lane_columns).chain(&mut layout.output_columns);
        for name in named.chain(&mut layout.lanes).chain(&mut layout.outputs) {
            *name = plain(lines.next().ok_or(PageError::Damaged("a name is missing"))?);
        }
        let mut snapshot = Snapshot {
            writer: Writer { pid: pid as u32, process_start: start, started: Time(began) },
            layout,
            lanes: Vec::new(),
            outputs: Vec::new(),
        };
        for lane in 0..lanes {
            let (at, values) = snapshot.layout.lane(lane).read(&mut page)?;
            let (_, words) = snapshot.layout.talkers(lane).read(&mut page)?;
            let count = usize::try_from(words[0]).map_or(TALKERS_MAX, |count| count.min(TALKERS_MAX));
            let talkers = words[1..].as_chunks().0.iter().take(count).map(Talker::from_words).collect();
            snapshot.lanes.push(LaneCounts { counts: Counts { at, values }, talkers });
        }
        for output in 0..outputs {
            let (at, values) = snapshot.layout.output(output).read(&mut page)?;
            snapshot.outputs.push(Counts { at, values });
        }
        Ok(snapshot)
    }

    /// When any of its cells was written last.
    pub fn updated(&self) -> Time {
        let lanes = self.lanes.iter().map(|lane| lane.counts.at);
        lanes.chain(self.outputs.iter().map(|output| output.at)).max().unwrap_or_default()
    }

    /// The sum of a lane column over all lanes; 0 if there is no such column.
    pub fn sum(&self, column: &str) -> u64 {
        let at = self.layout.lane_columns.iter().position(|name| name == column);
        at.map_or(0, |at| self.lanes.iter().fold(0, |sum: u64, lane| sum.wrapping_add(lane.counts.values[at])))
    }

    /// Top talkers of all lanes together, the greatest first.
    pub fn talkers(&self) -> Vec<Talker> {
        let mut all: Vec<Talker> = Vec::new();
        for talker in self.lanes.iter().flat_map(|lane| &lane.talkers) {
            add_talker(&mut all, talker);
        }
        all.sort_by_key(|talker| std::cmp::Reverse(talker.bytes));
        all
    }
}

/// Adds to the talker of the same addresses, protocol and port, or as another one. Lists are short.
pub fn add_talker(all: &mut Vec<Talker>, talker: &Talker) {
    let key = |t: &Talker| (t.src, t.dst, t.protocol, t.dst_port);
    match all.iter_mut().find(|known| key(known) == key(talker)) {
        Some(known) => {
            known.bytes = known.bytes.wrapping_add(talker.bytes);
            known.packets = known.packets.wrapping_add(talker.packets);
            known.error = known.error.wrapping_add(talker.error);
        }
        None => all.push(*talker),
    }
}
