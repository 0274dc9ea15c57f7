//! A chain of the real programs: probe -> unirecfilter -> merger -> logger, fed with flows of one packet, and its books.
//!
//! The filter parts the records in two streams, the merger joins them, and the rows that the logger prints are counted. What each process
//! says of its interfaces (`-v`) must fit together: what one sent is what the next received, for each client. Beside the chain there may
//! be others who listen: some that are killed again and again, or some that are stopped so that they miss records.
mod books;
mod ends;
mod member;
mod others;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use books::{Books, Client, Probe, Received, Served};
use ends::Ends;
pub use ends::{Hop, Transport};
use member::{Members, Said};
use others::Others;

/// Packets that are fed before everybody must be connected: enough for records to come out of the probe's table.
const FIRST: u64 = 20_000;
/// Slots of the probe's table: few, so that records come soon.
const TABLE: &str = "4096";
/// The probe's basic flows. The merger is told, because without a template it waits for the first record of one input after the other, while
/// the filter, whose outputs wait too, may have the first record for the other one.
const TEMPLATE: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 BYTES_REV,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,\
                        macaddr DST_MAC,macaddr SRC_MAC,uint32 PACKETS,uint32 PACKETS_REV,uint16 DST_PORT,uint16 SRC_PORT,\
                        uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TCP_FLAGS_REV";
/// How long a step may take on a machine that is busy otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'p> {
    /// The program `sonda`.
    pub sonda: &'p Path,
    pub transport: Transport,
    /// Records at least; it goes on until the others are done.
    pub records: u64,
    pub others: Beside,
}

/// Who listens beside the chain, and how patient outputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Nobody; outputs wait.
    Nobody,
    /// One client at each output, killed and started anew so many times, a second or more apart; outputs wait.
    Killed(u32),
    /// One client at each output but the probe's that is stopped until records were skipped; outputs do not wait.
    Stopped,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Packets fed, each a flow of its own.
    pub fed: u64,
    pub books: Books,
    pub rows: Rows,
    /// From the first row to the end of the last process.
    pub time: Duration,
    /// Memory of each process of the chain: its name, and bytes in the first and in the last quarter of the run.
    pub memory: Vec<(&'static str, u64, u64)>,
    /// Clients killed.
    pub kills: u64,
}

/// Rows that were printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub count: u64,
    /// Of all rows, in whatever order: a row that is lost and another that came twice show here.
    pub checksum: u64,
}

impl Report {
    /// What does not hold; empty for a good run.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.books.faults(self.fed);
        let received = self.books.logger.records();
        if self.rows.count != received {
            faults.push(format!("logger received {received} records and printed {} rows", self.rows.count));
        }
        faults
    }
}

/// Runs the chain to its end.
pub fn run(plan: &Plan<'_>) -> Result<Report, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let waits = plan.others != Beside::Stopped;
    let ends = Ends::new(plan.transport, folder.path(), waits)?;
    let filters = folder.path().join("filters");
    std::fs::write(&filters, ":DST_PORT <= 100;\n:DST_PORT > 100;\n")
        .map_err(|e| format!("cannot write filters: {e}"))?;
    let mut members = Members::new(plan.sonda, folder.path());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let flows = ends.output(Hop::Flows);
    members.start("probe", words(&["-", "--l7", "none", "--flows", TABLE, "--unirec", &flows]))?;
    let specs = [ends.input(Hop::Flows), ends.output(Hop::Low), ends.output(Hop::High)].join(",");
    members.start("unirecfilter", words(&["-v", "-i", &specs, "-f", &filters.display().to_string()]))?;
    let specs = [ends.input(Hop::Low), ends.input(Hop::High), ends.output(Hop::All)].join(",");
    members.start("merger", words(&["-v", "-i", &specs, "-u", TEMPLATE]))?;
    members.start("logger", words(&["-v", "-i", &ends.input(Hop::All)]))?;
    let rows = count_rows(members.stdout()?);
    let others = Others::new(plan, &ends, folder.path());
    feed(plan, members, others, rows, &ends)
}

/// Feeds the probe, with the others beside, and waits for the end.
fn feed(
    plan: &Plan<'_>,
    mut members: Members,
    mut others: Others,
    rows: JoinHandle<Rows>,
    ends: &Ends,
) -> Result<Report, String> {
    let mut stdin = members.stdin()?;
    let mut begun = None;
    let mut stuck = None;
    let written = benches::write_syn_while(
        1,
        |fed| {
            if fed < FIRST {
                return true;
            }
            if begun.is_none() {
                match members.until_connected() {
                    Ok(()) => begun = Some(Instant::now()),
                    Err(why) => stuck = Some(why),
                }
                members.watch_memory();
                others.begin(&members);
            }
            stuck.is_none() && (fed < plan.records || !others.are_done())
        },
        &mut stdin,
    );
    members.end_of_memory();
    // A process that ended early closes the pipe; it says why.
    let fed =
        written.map_err(|e| format!("cannot feed the probe: {e}; {}", members.last_words())).and_then(|totals| {
            let told = stuck.map_or(Ok(()), Err);
            told.map(|()| totals.packets)
        })?;
    let (kills, clients) = others.go_on()?;
    drop(stdin);
    let memory = members.memory();
    let said = members.finish()?;
    let time = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
    let rows = rows.join().map_err(|_| "the counter of rows panicked".to_owned())?;
    let books = Books::read(&said, others::finish(clients, ends)?, ends, plan.others)?;
    Ok(Report { fed, books, rows, time, memory, kills })
}

/// The rows of so many records without a chain: probe to a file, logger from it.
pub fn direct(sonda: &Path, records: u64) -> Result<Rows, String> {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let file: PathBuf = folder.path().join("flows");
    let spec = format!("f:{}", file.display());
    let mut members = Members::new(sonda, folder.path());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    members.start("probe", words(&["-", "--l7", "none", "--flows", TABLE, "--unirec", &spec]))?;
    let mut stdin = members.stdin()?;
    benches::write_syn_while(1, |fed| fed < records, &mut stdin).map_err(|e| format!("cannot feed the probe: {e}"))?;
    drop(stdin);
    let _: Vec<Said> = members.finish()?;
    let mut members = Members::new(sonda, folder.path());
    members.start("logger", words(&["-i", &spec]))?;
    let rows = count_rows(members.stdout()?);
    let _: Vec<Said> = members.finish()?;
    rows.join().map_err(|_| "the counter of rows panicked".to_owned())
}

fn count_rows(from: impl Read + Send + 'static) -> JoinHandle<Rows> {
    thread::spawn(move || {
        let mut from = BufReader::with_capacity(256 * 1024, from);
        let (mut rows, mut line) = (Rows::default(), Vec::new());
        while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            rows.count += 1;
            rows.checksum = rows.checksum.wrapping_add(hash(&line));
            line.clear();
        }
        rows
    })
}

/// Eight bytes at a time, multiplied and folded: quick, and no two rows of a test share it but by bad luck.
fn hash(line: &[u8]) -> u64 {
    line.chunks(8).fold(line.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mixed = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    })
}

/// Sends a signal to a process that was started here.
fn signal(pid: u32, name: &str) {
    // One that is gone needs none.
    let _gone = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).output();
}
