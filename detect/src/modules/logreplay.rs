//! logreplay: the records of a CSV file that `logger -t` wrote, sent again (spec/modules.md section 2).
use super::begin;
use crate::lines::{LINE_MAX, Lines};
use crate::options::{self, flag, value};
use crate::stream::deliver;
use record::unirec::{SpecError, csv};
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{DropReason, Format, Output, Sent, Stop, TrapError};

/// A pause between rows looks at the stop flag this often.
const STOP_POLL: Duration = Duration::from_millis(50);

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub file: PathBuf,
    /// Stop after this many records, more than 0.
    pub cut: Option<u64>,
    /// Do not pause between rows as their times of reception say.
    pub disable_timing: bool,
    /// Do not tell the receivers that the stream ends.
    pub no_eof: bool,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Missing parameter -f with input file.")]
    NoFile,
    #[error("Error: Parameter of -c option must be a number greater than 0.")]
    Cut,
}

/// Why replaying ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("Error: Cannot open file.\n{path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Error: reading the file failed: {0}")]
    Read(io::Error),
    #[error("Error: the first line of the file is no header as logger -t writes it: {0}")]
    Header(SpecError),
    #[error("Error: {0}")]
    Send(TrapError),
}

/// What was done with the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Data rows read.
    pub rows: u64,
    pub sent: u64,
    /// Rows with a field that is no value of its type, or longer than a line or record may be.
    pub skipped: u64,
    /// Records that the output did not take.
    pub dropped: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends the records of a CSV file as logger -t writes it.";

const INFO: ModuleInfo = ModuleInfo {
    name: "logreplay",
    description: "Sends the records of a CSV file as logger -t writes it. If the file has a column of times of reception \
                  (logger -T), records follow each other as they came, to the second.",
    inputs: Count::Exactly(0),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('f', "file", "string", "Read this file. Mandatory."),
    value('c', "cut", "uint32", "Quit after this many records."),
    flag('d', "disable_timing", "Send at once, do not pause as the time column of the file says."),
    flag('n', "no_eof", "Do not send the message that ends the stream."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut outputs, stop, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let output = &mut outputs[0];
    let replayed = run(&settings, output, &stop);
    let mut code = 0;
    match &replayed {
        Ok(totals) if totals.dropped > 0 => eprintln!("Warning: {} records were not sent.", totals.dropped),
        Ok(_) => {}
        Err(why) => {
            eprintln!("{why}");
            code = why.exit_code();
        }
    }
    if deliver(output) { code } else { code.max(1) }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        let mut named = false;
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'f' => (settings.file, named) = (given.value.into(), true),
                'c' => {
                    let cut = options::number(&given.value).filter(|n| *n > 0);
                    settings.cut = Some(cut.ok_or(UsageError::Cut)?);
                }
                'd' => settings.disable_timing = true,
                _ => settings.no_eof = true,
            }
        }
        if named { Ok(settings) } else { Err(UsageError::NoFile) }
    }
}

impl ReplayError {
    /// Exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, ReplayError::Open { .. }) { 4 } else { 1 }
    }
}

/// Replays the file of `settings` and closes the stream, also if the file cannot be read.
pub fn run(settings: &Settings, output: &mut Output, stop: &Stop) -> Result<Totals, ReplayError> {
    let replayed = std::fs::File::open(&settings.file)
        .map_err(|source| ReplayError::Open { path: settings.file.clone(), source })
        .and_then(|file| replay(io::BufReader::with_capacity(256 * 1024, file), settings, output, stop));
    if !settings.no_eof {
        // Without a format, which a file that cannot be read does not give, there is nobody to tell.
        let _: Sent = output.send_eof();
    }
    output.flush().map_err(ReplayError::Send)?;
    replayed
}

/// Sends each row of `file` until it ends, the limit is reached or the stop flag is set.
pub fn replay(
    file: impl BufRead,
    settings: &Settings,
    output: &mut Output,
    stop: &Stop,
) -> Result<Totals, ReplayError> {
    let mut lines = Lines::new(file);
    let header = lines.next().map_err(ReplayError::Read)?.map(|(line, _)| String::from_utf8_lossy(line).into_owned());
    let columns = csv::Columns::parse(&header.unwrap_or_default()).map_err(ReplayError::Header)?;
    output.set_format(Format::UniRec(columns.template().spec())).map_err(ReplayError::Send)?;
    if columns.template().static_size() < 2 {
        eprintln!("Warning: receivers take a record of 1 byte for the end of the stream: add a field to the file.");
    }

    let mut rows = columns.rows();
    let mut totals = Totals::default();
    let mut record = Vec::with_capacity(record::unirec::RECORD_MAX);
    let mut pace = Pace { last: None };
    while !stop.is_set() && settings.cut.is_none_or(|cut| totals.sent < cut) {
        let Some((line, whole)) = lines.next().map_err(ReplayError::Read)? else { break };
        totals.rows += 1;
        let n = totals.rows;
        if !whole {
            eprintln!("Warning: line longer than {LINE_MAX} bytes, record {n} skipped.");
            totals.skipped += 1;
            continue;
        }
        let row = match rows.read(line, &mut record) {
            Ok(row) => row,
            Err(csv::RowError::Field { text, .. }) => {
                eprintln!("Warning: invalid field \"{text}\", record {n} skipped.");
                totals.skipped += 1;
                continue;
            }
            Err(why) => {
                eprintln!("Warning: {why}, record {n} skipped.");
                totals.skipped += 1;
                continue;
            }
        };
        for _ in 0..row.times_unreadable {
            eprintln!("Failed to parse time.");
        }
        if row.fields_cut > 0 {
            eprintln!("Warning: field longer than {} bytes cut in record {n}.", csv::TEXT_MAX);
        }
        if let (false, Some(received)) = (settings.disable_timing, row.received) {
            pace.wait(received, output, stop).map_err(ReplayError::Send)?;
        }
        match output.send(&record) {
            Sent::Sent => totals.sent += 1,
            Sent::Dropped(DropReason::Terminated | DropReason::Finished) => {
                totals.dropped += 1;
                break;
            }
            Sent::Dropped(_) => {
                eprintln!("Warning: record {n} of {} bytes does not fit the output's buffer, dropped.", record.len());
                totals.dropped += 1;
            }
        }
    }
    Ok(totals)
}

/// Pauses between rows, in whole seconds like the times of reception.
struct Pace {
    last: Option<u64>,
}

impl Pace {
    /// Sleeps as long as passed between the previous row and this one, or until the stop flag is set.
    fn wait(&mut self, received: u64, output: &mut Output, stop: &Stop) -> Result<(), TrapError> {
        let gap = self.last.map_or(0, |last| received.saturating_sub(last));
        self.last = Some(received);
        if gap == 0 {
            return Ok(());
        }
        // Rows of the past second must not wait in a buffer for those of the next.
        output.flush()?;
        let start = Instant::now();
        let gap = Duration::from_secs(gap);
        while !stop.is_set() {
            let left = gap.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            sleep(left.min(STOP_POLL));
        }
        Ok(())
    }
}
