//! json_dump: every JSON message of the input as a line on standard output, in a file or on a TCP stream (spec/modules.md section 18).
use super::begin;
use crate::argparse::{self, ArgError, long_flag};
use crate::options::value;
use crate::pyjson;
use jiff::Zoned;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, Stop, TrapError, log};

/// Between attempts to connect.
const RETRY: Duration = Duration::from_secs(5);
/// A wait looks at the stop flag this often.
const STOP_POLL: Duration = Duration::from_millis(50);
/// Text that is gathered before it is written, bytes, also while more input waits.
const BATCH: usize = 64 * 1024;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub target: Target,
    /// Blanks per level; `None` is one line for each message.
    pub indent: Option<i64>,
    /// Write full buffers only.
    pub no_flush: bool,
    pub verbose: bool,
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    #[default]
    Stdout,
    Write(PathBuf),
    Append(PathBuf),
    Stream {
        host: String,
        port: u16,
    },
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("json_dump: error: {0}")]
    Option(#[from] ArgError),
    #[error("json_dump: error: the following arguments are required: -i/--ifcspec")]
    NoInterface,
    #[error("json_dump: error: argument {0}: not allowed with another of -w, -a, -s")]
    TwoTargets(&'static str),
    #[error("json_dump: error: argument -I/--indent: invalid int value: {0:?}")]
    Indent(String),
    #[error("Error: malformed argument of -s host:port")]
    Address,
}

/// Why dumping ended early.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Nobody reads any more (`json_dump | head`): a normal end.
    #[error("output closed by its reader")]
    ReaderGone,
    #[error("Error: cannot write: {0}. Make room, or choose another file with -w.")]
    Write(io::Error),
    #[error("Error: output and input interfaces data type or format mismatch")]
    Mismatch,
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Prints JSON messages, one a line, or sends them over TCP.";

const INFO: ModuleInfo = ModuleInfo {
    name: "json_dump",
    description: "Prints received JSON messages to standard output, a file or a TCP stream, one a line.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('w', "write", "string", "Write to this file instead of standard output; what it holds is lost."),
    value('a', "append", "string", "Append to this file instead of standard output."),
    value('s', "send", "string", "Send over TCP to HOST:PORT; connects again every 5 s."),
    value('I', "indent", "int32", "Break lines, with this many blanks per level (json_replay cannot read that)."),
    long_flag("noflush", "Do not write out each message at once."),
    long_flag("verbose", "As -v: print messages and what happens."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    if !args.iter().any(|a| matches!(a.as_str(), "-i" | "-h" | "--help")) {
        eprintln!("{}", UsageError::NoInterface);
        return 2;
    }
    let (settings, Module { mut inputs, stop, .. }) = match begin(&INFO, &args, Settings::parse, UsageError::exit_code)
    {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut sink = match Sink::open(&settings, &stop) {
        Ok(Some(sink)) => sink,
        Ok(None) => return 0,
        Err(why) => {
            eprintln!("Error: cannot open the output file: {why}");
            return 1;
        }
    };
    match run(&mut inputs[0], &settings, &mut sink) {
        Ok(_) | Err(DumpError::ReaderGone) => 0,
        Err(why) => {
            eprintln!("{why}");
            u8::from(!matches!(why, DumpError::Mismatch))
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings { verbose: log::level() >= 0, ..Settings::default() };
        let line = argparse::parse(args, PARAMS)?;
        if let Some(word) = line.words.into_iter().next() {
            return Err(ArgError::Unknown(word).into());
        }
        for (name, value) in line.options {
            match name {
                "write" | "append" | "send" if settings.target != Target::Stdout => {
                    return Err(UsageError::TwoTargets(name));
                }
                "write" => settings.target = Target::Write(value.into()),
                "append" => settings.target = Target::Append(value.into()),
                "send" => {
                    let (host, port) = value.split_once(':').ok_or(UsageError::Address)?;
                    let port = port.trim().parse().map_err(|_| UsageError::Address)?;
                    settings.target = Target::Stream { host: host.to_owned(), port };
                }
                "indent" => {
                    let indent: i64 = value.trim().parse().map_err(|_| UsageError::Indent(value.clone()))?;
                    settings.indent = Some(indent.min(1_000));
                }
                "noflush" => settings.no_flush = true,
                _ => settings.verbose = true,
            }
        }
        Ok(settings)
    }
}

impl UsageError {
    /// Exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, UsageError::Address) { 1 } else { 2 }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub printed: u64,
    /// Messages that were no JSON.
    pub invalid: u64,
}

/// Prints until the stream ends or the stop flag is set. Whatever ends it, what was read is written.
pub fn run(input: &mut Input, settings: &Settings, sink: &mut Sink) -> Result<Totals, DumpError> {
    input.require(Format::Json(String::new()));
    let mut totals = Totals::default();
    let ended = receive(input, settings, sink, &mut totals);
    let flushed = sink.write(true);
    // The cause comes first: a failed write repeats itself in the flush.
    ended?;
    flushed?;
    Ok(totals)
}

fn receive(input: &mut Input, settings: &Settings, sink: &mut Sink, totals: &mut Totals) -> Result<(), DumpError> {
    let failed = |why: TrapError| if why.code() == 24 { DumpError::Mismatch } else { DumpError::Receive(why) };
    loop {
        let event = match input.recv_now().map_err(failed)? {
            Event::Timeout => {
                // Nothing waits: what was gathered goes out before the wait.
                sink.write(!settings.no_flush)?;
                input.recv().map_err(failed)?
            }
            event => event,
        };
        let message = match event {
            Event::Message(message) => message,
            Event::FormatChanged { format, first } => {
                if settings.verbose {
                    println!("(3, '{}')", format.spec());
                }
                first
            }
            Event::Timeout => continue,
            Event::EndOfStream => {
                if settings.verbose {
                    println!("Received \"end-of-stream\" message, going to quit.");
                }
                return Ok(());
            }
            Event::Terminated => return Ok(()),
        };
        match pyjson::parse(message) {
            Ok(value) => {
                if settings.verbose {
                    let mut line = String::new();
                    value.dump(&mut line);
                    println!("Message: {line}");
                }
                value.dump_indented(&mut sink.batch, settings.indent);
                sink.batch.push('\n');
                totals.printed += 1;
                if sink.batch.len() >= BATCH {
                    sink.write(false)?;
                }
            }
            Err(why) => {
                totals.invalid += 1;
                eprintln!("ERROR: Received invalid JSON (message skipped): {why}");
            }
        }
    }
}

/// Where lines go, opened, and the lines that are not yet written.
pub struct Sink {
    out: Box<dyn Write>,
    batch: String,
    /// Where to connect again, and what ends the attempts.
    stream: Option<(String, u16, Stop)>,
}

impl Sink {
    /// Opens the target; `None` if the stop flag ended the attempts to connect.
    pub fn open(settings: &Settings, stop: &Stop) -> io::Result<Option<Sink>> {
        let file = |file: File| Box::new(BufWriter::new(file)) as Box<dyn Write>;
        let mut stream = None;
        let out = match &settings.target {
            Target::Stdout => Box::new(BufWriter::new(io::stdout())),
            Target::Write(path) => file(File::create(path)?),
            Target::Append(path) => file(OpenOptions::new().append(true).create(true).open(path)?),
            Target::Stream { host, port } => {
                let Some(connected) = connect(host, *port, stop) else { return Ok(None) };
                stream = Some((host.clone(), *port, stop.clone()));
                Box::new(connected)
            }
        };
        Ok(Some(Sink { out, batch: String::with_capacity(2 * BATCH), stream }))
    }

    /// A sink for tests and other programs.
    pub fn to(out: impl Write + 'static) -> Sink {
        Sink { out: Box::new(out), batch: String::new(), stream: None }
    }

    /// Writes what was gathered. A stream that broke is connected again, and gets the batch from its beginning.
    fn write(&mut self, is_flush: bool) -> Result<(), DumpError> {
        loop {
            let written = self.out.write_all(self.batch.as_bytes());
            match written.and_then(|()| if is_flush { self.out.flush() } else { Ok(()) }) {
                Ok(()) => {
                    self.batch.clear();
                    return Ok(());
                }
                Err(why) => match &self.stream {
                    Some((host, port, stop)) => {
                        eprintln!("{} Connection error: {why}", now());
                        match connect(host, *port, stop) {
                            Some(stream) => self.out = Box::new(stream),
                            // Stopped: what was not sent is lost, as in the original.
                            None => {
                                self.batch.clear();
                                return Ok(());
                            }
                        }
                    }
                    None => {
                        // Also after a failure, or it would be written twice.
                        self.batch.clear();
                        return Err(match why.kind() {
                            io::ErrorKind::BrokenPipe => DumpError::ReaderGone,
                            _ => DumpError::Write(why),
                        });
                    }
                },
            }
        }
    }
}

/// Tries until it succeeds or the stop flag is set; each new cause of a failure is said once.
fn connect(host: &str, port: u16, stop: &Stop) -> Option<TcpStream> {
    eprintln!("{} Connecting to {host}:{port} ...", now());
    let mut said = String::new();
    while !stop.is_set() {
        match TcpStream::connect((host, port)) {
            Ok(stream) => {
                eprintln!("{} Connection established.", now());
                return Some(stream);
            }
            Err(why) => {
                let why = why.to_string();
                if why != said {
                    eprintln!("{} Connection failed ({why}), retrying every {} seconds ...", now(), RETRY.as_secs());
                    said = why;
                }
            }
        }
        let until = Instant::now() + RETRY;
        while !stop.is_set() && Instant::now() < until {
            std::thread::sleep(STOP_POLL);
        }
    }
    None
}

fn now() -> String {
    Zoned::now().strftime("%F-%T").to_string()
}
