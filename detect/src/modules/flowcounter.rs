//! flowcounter: how many flows, packets and bytes came (spec/modules.md section 25).
use super::start;
use crate::clock::unix_secs;
use crate::options::{self, flag, value};
use crate::progress::Progress;
use crate::stream::{ReadError, Reader, Step};
use record::Kind;
use record::unirec::SpecError;
use reporter::Reporter;
use signal_hook::consts::SIGUSR1;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use trap::TrapError;
use trap::module::{Count, Module, ModuleInfo, Param};

mod reporter;

/// Seconds between records with counters, below this.
const SECONDS_END: i64 = 1_000;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Print a mark for every so many flows; 0 prints none.
    pub print: u64,
    /// The mark; `None` is the dot.
    pub mark: Option<char>,
    /// Send a record with the counters so often.
    pub send_each: Option<Duration>,
    /// Records tell what came since the last one.
    pub relative: bool,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: 'progress' argument has to be greater than zero.")]
    Progress,
    #[error("-o: bad argument")]
    NoSeconds,
    #[error("-o: bad interval range")]
    Seconds,
}

/// Why counting ended.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: Invalid UniRec specifier.\n{0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Output(#[from] TrapError),
    #[error("Error: cannot watch SIGUSR1: {0}")]
    Signal(io::Error),
    #[error("Error: cannot print the counters: {0}")]
    Write(#[from] io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Counts flows, packets and bytes.";

const INFO: ModuleInfo = ModuleInfo {
    name: "flowcounter",
    description: "Counts incoming flow records, their packets and bytes, and prints the sums at the end and at SIGUSR1. With -o it \
                  has an output interface that tells the counters every SEC seconds.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('p', "print", "int32", "Show progress - print a dot every N flows."),
    value('P', "print_c", "string", "When showing progress, print CHAR instead of dot."),
    value(
        'o',
        "send_time",
        "int32",
        "Send record with current counters of FLOWS, BYTES, PACKETS every SEC second(s), below 1000.",
    ),
    flag('r', "relative", "Send relative stats to output interface when -o parameter is used."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let refuse = |why: UsageError| {
        eprintln!("{why}");
        why.exit_code()
    };
    // Whether there is an output has to be known before interfaces are opened.
    let sends = match has_output(args) {
        Ok(sends) => sends,
        Err(why) => return refuse(why),
    };
    let info = ModuleInfo { outputs: Count::Exactly(sends.into()), ..INFO };
    let Module { args, mut inputs, outputs, .. } = match start(&info, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let settings = match Settings::parse(&args[1..]) {
        Ok(settings) => settings,
        Err(why) => return refuse(why),
    };
    let totals = Arc::new(Totals::default());
    let reporter = match (outputs.into_iter().next(), settings.send_each) {
        (Some(output), Some(each)) => match Reporter::start(output, each, settings.relative, &totals) {
            Ok(reporter) => Some(reporter),
            Err(why) => {
                eprintln!("Error: {why}");
                return 4;
            }
        },
        _ => None,
    };
    let ran = Reader::new(&mut inputs[0], "uint32 PACKETS,uint64 BYTES")
        .map_err(CountError::Spec)
        .and_then(|mut reader| run(&mut reader, &settings, &totals));
    let finished = reporter.is_none_or(Reporter::finish);
    match ran {
        Ok(()) => u8::from(!finished),
        Err(CountError::Write(why)) if why.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(why) => {
            eprintln!("{why}");
            if let CountError::Read(why) = why { why.exit_code() } else { 1 }
        }
    }
}

/// Looks for `-o` on the whole command line; anything wrong but its value is left to those who read it later.
fn has_output(args: &[String]) -> Result<bool, UsageError> {
    let others = [value('i', "", "", ""), flag('v', "", ""), flag('h', "help", "")];
    let known: Vec<Param> = PARAMS.iter().copied().chain(others).collect();
    let given = options::parse(args, &known).unwrap_or_default();
    let seconds = given.iter().filter(|g| g.short == 'o').map(|g| read_seconds(&g.value)).next_back();
    seconds.transpose().map(|seconds| seconds.is_some())
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'p' => {
                    let print = options::number(&given.value).filter(|n| *n > 0);
                    settings.print = print.ok_or(UsageError::Progress)?;
                }
                'P' => settings.mark = given.value.chars().next(),
                'o' => settings.send_each = Some(read_seconds(&given.value)?),
                _ => settings.relative = true,
            }
        }
        Ok(settings)
    }
}

impl UsageError {
    /// Exit code of the original.
    fn exit_code(&self) -> u8 {
        if matches!(self, UsageError::Option(_)) { 3 } else { 1 }
    }
}

/// Seconds as strtol reads them: decimal, hexadecimal behind `0x`, octal behind `0`.
fn read_seconds(text: &str) -> Result<Duration, UsageError> {
    let text = text.trim_start();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let seconds = match (digits.strip_prefix("0x").or(digits.strip_prefix("0X")), digits.strip_prefix('0')) {
        (Some(hex), _) => i64::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    let seconds = seconds.map_err(|_| UsageError::NoSeconds)?;
    if (1..SECONDS_END).contains(&seconds) { Ok(Duration::from_secs(seconds as u64)) } else { Err(UsageError::Seconds) }
}

/// What came. The reporter's thread reads while records are counted, so the three may be one record apart there.
#[derive(Debug, Default)]
pub struct Totals {
    pub flows: AtomicU64,
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
}

impl Totals {
    /// Adds a record. One thread counts, so no step needs to be one with the others.
    fn add(&self, packets: u64, bytes: u64) {
        for (total, more) in [(&self.flows, 1), (&self.packets, packets), (&self.bytes, bytes)] {
            total.store(total.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
        }
    }

    /// Flows, packets and bytes.
    fn read(&self) -> [u64; 3] {
        [&self.flows, &self.packets, &self.bytes].map(|total| total.load(Ordering::Relaxed))
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let [flows, packets, bytes] = self.read();
        write!(out, "Flows:   {flows:20}\nPackets: {packets:20}\nBytes:   {bytes:20}\n")?;
        out.flush()
    }
}

/// Counts until the stream ends. Whatever ends it, the sums are printed.
///
/// # Errors
/// See [`CountError`].
pub fn run(reader: &mut Reader<'_>, settings: &Settings, totals: &Totals) -> Result<(), CountError> {
    let asked = Arc::new(AtomicBool::new(false));
    let signal = signal_hook::flag::register(SIGUSR1, Arc::clone(&asked)).map_err(CountError::Signal)?;
    let mut progress = Progress::new(settings.print, settings.mark.unwrap_or('.'));
    let counted = count(reader, &mut progress, totals, &asked);
    signal_hook::low_level::unregister(signal);
    progress.end();
    totals.print(&mut io::stdout().lock())?;
    counted
}

fn count(
    reader: &mut Reader<'_>,
    progress: &mut Progress,
    totals: &Totals,
    asked: &AtomicBool,
) -> Result<(), CountError> {
    let mut fields = [usize::MAX; 2];
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    let index = |name, kind| view.template().find(name, kind).unwrap_or(usize::MAX);
                    fields = [index("PACKETS", Kind::U32), index("BYTES", Kind::U64)];
                }
                progress.count();
                let [packets, bytes] = fields.map(|index| view.uint(index).unwrap_or(0));
                totals.add(packets, bytes);
                if asked.load(Ordering::Relaxed) && asked.swap(false, Ordering::Relaxed) {
                    let mut out = io::stdout().lock();
                    let now = unix_secs();
                    writeln!(out, "Time: {now}")?;
                    totals.print(&mut out)?;
                }
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn options_and_their_refusals() {
        let all = Settings::parse(&words("-P # -p 10 -o 5 -r")).unwrap();
        let seconds = Some(Duration::from_secs(5));
        assert_eq!(all, Settings { print: 10, mark: Some('#'), send_each: seconds, relative: true });
        for (line, said, code) in [
            ("-p 0", "Error: 'progress' argument has to be greater than zero.", 1),
            ("-o x", "-o: bad argument", 1),
            ("-o 5x", "-o: bad argument", 1),
            ("-o 0", "-o: bad interval range", 1),
            ("-o -1", "-o: bad interval range", 1),
            ("-o 1000", "-o: bad interval range", 1),
            ("-x", "Invalid arguments.\nunknown option -x: see the help (-h)", 3),
        ] {
            let why = Settings::parse(&words(line)).unwrap_err();
            assert_eq!((why.to_string().as_str(), why.exit_code()), (said, code), "{line}");
        }
        for (text, seconds) in [("0x10", 16), ("010", 8), (" +7", 7)] {
            assert_eq!(read_seconds(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn the_output_is_known_beforehand() {
        for (line, sends) in
            [("-i f:x,b: -o 5", true), ("-i f:-o -v", false), ("-vv -i f:x -ro3", true), ("-i f:x -x", false)]
        {
            assert_eq!(has_output(&words(line)), Ok(sends), "{line}");
        }
        assert_eq!(has_output(&words("-i f:x -o 0")), Err(UsageError::Seconds));
    }
}
