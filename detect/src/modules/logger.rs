//! logger: every record of the input as one line of CSV (spec/modules.md section 1).
use super::start;
use crate::clock::unix_secs;
use crate::options::{self, flag, value};
use record::unirec::{SpecError, Template, View, ViewError, csv, repair};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, TrapError, log};

/// Bytes of rows that are gathered before they are written, also while more input waits.
const BATCH: usize = 64 * 1024;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub target: Target,
    /// Print the header, once.
    pub title: bool,
    /// First column: time of reception.
    pub time: bool,
    /// Stop after this many records; 0 stops when the format is known.
    pub cut: Option<u32>,
    /// `None` is the comma.
    pub delimiter: Option<u8>,
    /// Write each row at once.
    pub each_row: bool,
    /// `-o` was given, which does nothing.
    pub output_fields: bool,
}

/// Where rows go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Stdout,
    Write(PathBuf),
    Append(PathBuf),
}

/// Why the command line was refused; the texts are those of the original.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Only one output file may be specified.")]
    TwoFiles,
    #[error("Error: Parameter of -d option must contain 1 character or escape sequence.")]
    Delimiter,
    #[error("Error: Parameter of -c option must be a number from 0 to {max}.", max = u32::MAX)]
    Cut,
    #[error("Error: Parameter of -o option is no list of fields: {0}.")]
    OutputFields(SpecError),
}

/// Why logging ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoggerError {
    /// Nobody reads any more (`logger | head`): a normal end.
    #[error("output closed by its reader")]
    ReaderGone,
    #[error("Error: cannot write rows: {0}. Make room, or choose another file with -w.")]
    Write(io::Error),
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(SpecError),
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have}).")]
    WrongSize { need: usize, have: usize },
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Prints every UniRec record of its input as one line of CSV.";

const INFO: ModuleInfo = ModuleInfo {
    name: "logger",
    description: "Prints every UniRec record of its input as one line of CSV. Columns are the fields in the order of the \
                  record; when the sender changes its template, the columns change and no new title is printed.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('w', "write", "string", "Write rows to this file; what it holds is lost."),
    value('a', "append", "string", "Append rows to this file."),
    value('o', "output_fields", "string", "Accepted and ignored."),
    flag('t', "title", "Print the types and names of the fields on the first line."),
    flag('T', "time", "Add the time of reception (UTC) as the first column."),
    value('c', "cut", "uint32", "Quit after this many records; 0 prints just the title."),
    value(
        'd',
        "delimiter",
        "string",
        "Put this between fields: one character or \\f, \\n, \\r, \\t, \\v. Default is the comma.",
    ),
];

/// Runs the module; see [`super::Module::run`]. A sender whose format does not fit ends it with 0, as in the original.
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, .. } = match start(&INFO, args, 2) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let mut settings = match Settings::parse(&args[1..]) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return why.exit_code();
        }
    };
    if settings.output_fields {
        eprintln!("Warning: parameter -o is currently not supported and will be ignored.");
    }
    let out = match open(&mut settings) {
        Ok(out) => out,
        Err(why) => {
            eprintln!("Error: cannot open the output file: {why}");
            return 3;
        }
    };
    match run(&mut inputs[0], &settings, out) {
        Ok(totals) => {
            if totals.ended_by_sender && log::level() >= 0 {
                eprintln!("Received ending record, interface will be closed.");
            }
            if totals.damaged > 0 {
                eprintln!(
                    "Warning: {} damaged records were printed without the fields that were damaged.",
                    totals.damaged
                );
            }
            0
        }
        Err(LoggerError::ReaderGone) => 0,
        Err(why) => {
            eprintln!("{why}");
            u8::from(!matches!(&why, LoggerError::Receive(error) if matches!(error.code(), 24 | 25)))
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'w' | 'a' if settings.target != Target::Stdout => return Err(UsageError::TwoFiles),
                'w' => settings.target = Target::Write(given.value.into()),
                'a' => settings.target = Target::Append(given.value.into()),
                'o' => {
                    Template::parse(&given.value).map_err(UsageError::OutputFields)?;
                    settings.output_fields = true;
                }
                't' => settings.title = true,
                'T' => settings.time = true,
                'c' => {
                    let cut = options::number(&given.value).and_then(|n| u32::try_from(n).ok());
                    settings.cut = Some(cut.ok_or(UsageError::Cut)?);
                }
                _ => settings.delimiter = Some(delimiter(given.value.as_bytes())?),
            }
        }
        Ok(settings)
    }
}

impl UsageError {
    /// Exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, UsageError::OutputFields(_)) { 2 } else { 1 }
    }
}

/// Opens the target. A terminal gets each row at once.
pub fn open(settings: &mut Settings) -> io::Result<Box<dyn Write>> {
    match &settings.target {
        Target::Stdout => {
            let stdout = io::stdout().lock();
            settings.each_row = stdout.is_terminal();
            Ok(Box::new(stdout))
        }
        Target::Write(path) => Ok(Box::new(OpenOptions::new().write(true).create(true).truncate(true).open(path)?)),
        Target::Append(path) => Ok(Box::new(OpenOptions::new().append(true).create(true).open(path)?)),
    }
}

/// Logs until the stream ends, the stop flag is set or enough was printed. Whatever ends it, rows that were read are written.
pub fn run(input: &mut Input, settings: &Settings, out: impl Write) -> Result<Totals, LoggerError> {
    input.require(Format::UniRec(String::new()));
    let mut rows = Rows::new(settings, out);
    let ended = receive(input, &mut rows);
    let flushed = rows.flush();
    // The cause comes first: a failed write repeats itself in the flush.
    ended?;
    flushed?;
    Ok(rows.totals)
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub printed: u64,
    /// Records with fields that point outside of them; those fields are printed empty.
    pub damaged: u64,
    /// An end-of-stream message came (not a signal, not the limit).
    pub ended_by_sender: bool,
}

fn receive(input: &mut Input, rows: &mut Rows<'_, impl Write>) -> Result<(), LoggerError> {
    loop {
        let event = match input.recv_now().map_err(LoggerError::Receive)? {
            Event::Timeout => {
                // Nothing waits: what was gathered goes out before the wait.
                rows.flush()?;
                input.recv().map_err(LoggerError::Receive)?
            }
            event => event,
        };
        let record = match event {
            Event::Message(record) => record,
            Event::FormatChanged { format, first } => {
                if rows.format(format.spec())?.is_break() {
                    return Ok(());
                }
                first
            }
            Event::Timeout => continue,
            Event::EndOfStream => {
                rows.totals.ended_by_sender = true;
                // A sender without any record has a header all the same.
                if let Format::UniRec(spec) = input.format()
                    && rows.title_due
                    && !spec.is_empty()
                {
                    let _ = rows.format(spec)?;
                }
                return Ok(());
            }
            Event::Terminated => return Ok(()),
        };
        if rows.record(record)?.is_break() {
            return Ok(());
        }
    }
}

/// Rows on their way out.
struct Rows<'s, W: Write> {
    settings: &'s Settings,
    out: W,
    printer: csv::Printer,
    template: Template,
    title_due: bool,
    /// A damaged record without the fields that are damaged.
    repaired: Vec<u8>,
    /// Rows that are not yet written.
    batch: Vec<u8>,
    totals: Totals,
}

impl<'s, W: Write> Rows<'s, W> {
    fn new(settings: &'s Settings, out: W) -> Self {
        Rows {
            settings,
            out,
            printer: csv::Printer::new(settings.delimiter.unwrap_or(b',')),
            template: Template::default(),
            title_due: settings.title,
            repaired: Vec::new(),
            // Room for one more row behind a full batch.
            batch: Vec::with_capacity(2 * BATCH),
            totals: Totals::default(),
        }
    }

    /// Takes a new template. The header is printed for the first one only, as in the original: rows of a later one have other
    /// columns. Breaks if no record is wanted.
    fn format(&mut self, spec: &str) -> Result<ControlFlow<()>, LoggerError> {
        self.template = Template::parse(spec).map_err(LoggerError::Template)?;
        if std::mem::take(&mut self.title_due) {
            if self.settings.time {
                self.batch.extend_from_slice(b"time,");
            }
            self.printer.header(&self.template, &mut self.batch);
            self.flush()?;
        }
        Ok(self.continue_unless_cut())
    }

    /// Prints one record.
    fn record(&mut self, record: &[u8]) -> Result<ControlFlow<()>, LoggerError> {
        let view = match View::new(&self.template, record) {
            Ok(view) => view,
            Err(ViewError::Short { have, need }) => return Err(LoggerError::WrongSize { need, have }),
            Err(why) => {
                self.totals.damaged += 1;
                if self.totals.damaged == 1 {
                    eprintln!("Warning: {why}");
                }
                // Numbers and addresses can still be read.
                repair(&self.template, record, &mut self.repaired);
                match View::new(&self.template, &self.repaired) {
                    Ok(view) => view,
                    Err(_) => return Ok(ControlFlow::Continue(())),
                }
            }
        };
        if self.settings.time {
            let now = unix_secs();
            self.printer.received(now, &mut self.batch);
        }
        self.printer.row(&view, &mut self.batch);
        self.totals.printed += 1;
        if self.batch.len() >= BATCH || self.settings.each_row {
            self.flush()?;
        }
        Ok(self.continue_unless_cut())
    }

    fn continue_unless_cut(&self) -> ControlFlow<()> {
        match self.settings.cut {
            Some(cut) if self.totals.printed >= cut.into() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    /// Writes what was gathered.
    fn flush(&mut self) -> Result<(), LoggerError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.out.write_all(&self.batch).and_then(|()| self.out.flush());
        // Also after a failure, or the rows would be written twice.
        self.batch.clear();
        written.map_err(|why| match why.kind() {
            io::ErrorKind::BrokenPipe => LoggerError::ReaderGone,
            _ => LoggerError::Write(why),
        })
    }
}

/// One character, or a backslash and one of `f n r t v`.
fn delimiter(text: &[u8]) -> Result<u8, UsageError> {
    match text {
        [one] => Ok(*one),
        [b'\\', b'f'] => Ok(0x0c),
        [b'\\', b'n'] => Ok(b'\n'),
        [b'\\', b'r'] => Ok(b'\r'),
        [b'\\', b't'] => Ok(b'\t'),
        [b'\\', b'v'] => Ok(0x0b),
        _ => Err(UsageError::Delimiter),
    }
}
