//! json_replay: JSON texts from files or standard input, one a line, sent as messages (spec/modules.md section 19).
use super::begin;
use crate::argparse::{self, ArgError, long_flag, positional};
use crate::lines::{LINE_MAX, Lines};
use crate::options::{flag, value};
use crate::pyjson;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{DropReason, Format, Output, Sent, Stop, Timeout, TrapError, log};

/// The message that ends a stream of JSON: the digit, as all Python modules of NEMEA send it.
pub(crate) const EOS: &[u8] = b"0";

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Read in sequence; none is standard input.
    pub files: Vec<String>,
    /// Specifier of the output's format.
    pub format: String,
    /// Do not tell the receivers that the stream ends.
    pub no_eos: bool,
    pub verbose: bool,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("json_replay: error: {0}")]
    Option(#[from] ArgError),
    #[error("json_replay: error: argument FILE: can't open '{path}': {source}")]
    Open { path: String, source: io::Error },
}

/// Why replaying ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("Error: reading '{name}' failed: {source}")]
    Read { name: String, source: io::Error },
    #[error("Error: {0}")]
    Send(TrapError),
}

/// What was done with the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub sent: u64,
    /// Lines that are no JSON.
    pub skipped: u64,
    /// Messages that the output did not take.
    pub dropped: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends JSON texts from files, one a line, as messages.";

const INFO: ModuleInfo = ModuleInfo {
    name: "json_replay",
    description: "Loads JSON from files or standard input, one text a line, and sends it. Several files are read in sequence.",
    inputs: Count::Exactly(0),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('f', "format", "string", "Specifier of the output's format; must be what the receiving module requires."),
    flag('n', "no-eos", "Do not send the message that ends the stream."),
    long_flag("verbose", "As -v: print messages."),
    positional("string", "FILE...: read these files; without any, standard input."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut outputs, stop, .. }) =
        match begin(&INFO, &argparse::plain_ifcspec(args), Settings::parse, |_| 2) {
            Ok(begun) => begun,
            Err(code) => return code,
        };
    let sources = match open(&settings) {
        Ok(sources) => sources,
        Err(why) => {
            eprintln!("{why}");
            return 2;
        }
    };
    let output = &mut outputs[0];
    let mut code = 0;
    match run(sources, &settings, output, &stop) {
        Ok(totals) if totals.dropped > 0 => eprintln!("Warning: {} messages were not sent.", totals.dropped),
        Ok(_) => {}
        Err(why) => {
            eprintln!("{why}");
            code = 1;
        }
    }
    if let Err(why) = output.finish() {
        eprintln!("Error: {why}");
        code = 1;
    }
    code
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let line = argparse::parse(args, PARAMS)?;
        let mut settings = Settings { files: line.words, verbose: log::level() >= 0, ..Settings::default() };
        for (name, value) in line.options {
            match name {
                "format" => settings.format = value,
                "no-eos" => settings.no_eos = true,
                _ => settings.verbose = true,
            }
        }
        Ok(settings)
    }
}

/// Something to read and its name for messages.
pub type Source = (String, Box<dyn BufRead>);

/// Opens all files before the first is read, as the original does. `-` is standard input.
pub fn open(settings: &Settings) -> Result<Vec<Source>, UsageError> {
    let stdin = || ("<stdin>".to_owned(), Box::new(BufReader::new(io::stdin())) as Box<dyn BufRead>);
    if settings.files.is_empty() {
        return Ok(vec![stdin()]);
    }
    let open = |path: &String| match path.as_str() {
        "-" => Ok(stdin()),
        _ => match File::open(path) {
            Ok(file) => Ok((path.clone(), Box::new(BufReader::new(file)) as Box<dyn BufRead>)),
            Err(source) => Err(UsageError::Open { path: path.clone(), source }),
        },
    };
    settings.files.iter().map(open).collect()
}

/// Sends each line of each source, then the end of the stream.
pub fn run(sources: Vec<Source>, settings: &Settings, output: &mut Output, stop: &Stop) -> Result<Totals, ReplayError> {
    output.set_format(Format::Json(settings.format.clone())).map_err(ReplayError::Send)?;
    output.set_timeout(Timeout::Wait);
    let mut totals = Totals::default();
    let replayed = sources.into_iter().try_for_each(|(name, source)| {
        replay(&name, source, settings, output, stop, &mut totals)
            .map_err(|source| ReplayError::Read { name: name.clone(), source })
    });
    if !settings.no_eos && output.send(EOS) != Sent::Sent {
        totals.dropped += 1;
    }
    output.flush().map_err(ReplayError::Send)?;
    replayed.map(|()| totals)
}

fn replay(
    name: &str,
    source: Box<dyn BufRead>,
    settings: &Settings,
    output: &mut Output,
    stop: &Stop,
    totals: &mut Totals,
) -> io::Result<()> {
    let mut lines = Lines::new(source);
    let mut message = String::new();
    let mut number = 0_u64;
    while !stop.is_set() {
        let Some((line, whole)) = lines.next()? else { break };
        number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let parsed = if whole { pyjson::parse(line).ok() } else { None };
        let Some(value) = parsed else {
            eprintln!("Error: Can't decode JSON record in '{name}' line {number}. The line is skipped.");
            if !whole {
                eprintln!("Error: It is longer than {LINE_MAX} bytes.");
            }
            totals.skipped += 1;
            continue;
        };
        message.clear();
        value.dump(&mut message);
        if settings.verbose {
            println!("{message}");
        }
        // A receiver takes a message of one byte for the end of the stream; blanks mean nothing in JSON.
        if message.len() == 1 {
            message.push(' ');
        }
        match output.send(message.as_bytes()) {
            Sent::Sent => totals.sent += 1,
            Sent::Dropped(DropReason::Terminated | DropReason::Finished) => {
                totals.dropped += 1;
                break;
            }
            Sent::Dropped(_) => {
                eprintln!("Error: message of {} bytes in '{name}' line {number} is too long.", message.len());
                totals.dropped += 1;
            }
        }
    }
    Ok(())
}
