//! unirecfilter: the records that a filter accepts, with the fields of a template, to up to 32 outputs (spec/modules.md section 4).
use super::start;
use crate::options::{self, flag, value};
use record::unirec::SpecError;
use signal_hook::consts::SIGUSR1;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use trap::module::{self, Count, Module, ModuleInfo, Param};
use trap::{Spec, TrapError};

pub mod entries;
mod outlet;
mod stage;

use entries::{Entry, EntryError, OutputError};
pub use stage::{Totals, run};

/// Outputs, at the most.
const OUTPUTS_MAX: usize = 32;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Template of the only output, with defaults; empty is the input's.
    pub unirec_out: Option<String>,
    pub filter: Option<String>,
    /// Templates and filters of all outputs; read again on SIGUSR1.
    pub file: Option<PathBuf>,
    /// Stop after this many records received, more than 0.
    pub cut: Option<u64>,
    /// Do not tell the receivers that the stream ends.
    pub no_eof: bool,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Parameter of -c option must be > 0.")]
    Cut,
    #[error("Error: You must specify at least one output interface.")]
    NoOutput,
    #[error("Error: For more than one output interface use parameter -f FILE.")]
    NoFile,
    #[error("Error: More than 32 interfaces is not allowed by TRAP library.")]
    ManyOutputs,
    #[error("Error: Invalid arguments - two filters.")]
    TwoFilters,
}

/// Why filtering ended early.
#[derive(Debug, thiserror::Error)]
pub enum FilterModuleError {
    #[error("Data format was not received on input interface")]
    NoFormat,
    #[error("Error: File {path} could not be opened: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Error: File {path} is longer than {max} bytes.", max = entries::FILE_MAX)]
    FileTooLong { path: PathBuf },
    #[error("{0}")]
    Entry(#[from] EntryError),
    #[error("Error: number of output filters specified in file ({found}) is lower than expected ({expected}).")]
    FewEntries { found: usize, expected: usize },
    #[error("Error: there is no file to read filters from again: start with -f.")]
    NoFile,
    #[error("{0}")]
    Output(#[from] OutputError),
    /// Told where it was found, with the text of the filter.
    #[error("the filter cannot be used")]
    Filter,
    /// The original ends with 0 here.
    #[error("{0}\nThe filters could not be read again, the module stops.")]
    Reload(Box<FilterModuleError>),
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(#[from] SpecError),
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have})")]
    WrongSize { need: usize, have: usize },
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
    #[error("Error: {0}")]
    Send(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Selects records with a filter and sends the fields of a template.";

const INFO: ModuleInfo = ModuleInfo {
    name: "unirecfilter",
    description: "Selects records according to a filter and sends the fields of an output template. The template is given with -O, \
                  the filter, made of comparisons (<=, ==, =~, in, &&, ...), with -F; or both for several outputs in a file, which is \
                  read again on SIGUSR1.",
    inputs: Count::Exactly(1),
    outputs: Count::Variable,
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'O',
        "unirec_out",
        "string",
        "Send these fields (example: \"uint32 FOO,string BAR=\\\"none\\\"\"); those that the input lacks have the default given.",
    ),
    value('F', "filter", "string", "Send records for which this is true."),
    flag('n', "no_eof", "Don't send the message that ends the stream."),
    value('f', "file", "string", "Read templates and filters from this file, TEMPLATE:FILTER; for each output."),
    value('c', "cut", "int32", "Quit after this many records are received."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let argv = || std::iter::once(INFO.name.to_owned()).chain(args.iter().cloned());
    let parsed = module::parse(argv()).ok().and_then(|line| Some((Spec::parse(&line.ifc_spec).ok()?, line)));
    let Some((specs, line)) = parsed else {
        // Help, or a mistake that the start tells.
        return start(&INFO, args, 1).err().unwrap_or(1);
    };
    let names: Vec<_> = specs.into_iter().skip(1).map(|spec| spec.params).collect();
    let settings = match Settings::parse(&line.args[1..]) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return why.exit_code();
        }
    };
    println!("Output interfaces: {}", names.len());
    if let Err(why) = settings.check(names.len()) {
        eprintln!("{why}");
        return why.exit_code();
    }
    let Module { mut inputs, mut outputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    if settings.file.is_some() && settings.unirec_out.is_some() {
        eprintln!("Warning: -O is ignored because -f is given.");
    }
    let reload = Arc::new(AtomicBool::new(false));
    if let Err(why) = signal_hook::flag::register(SIGUSR1, Arc::clone(&reload)) {
        eprintln!("Error: cannot watch SIGUSR1: {why}");
        return 1;
    }
    let ended = run(&mut inputs[0], &mut outputs, &names, &settings, &reload);
    let mut code = match ended {
        Ok(totals) => {
            totals.tell();
            0
        }
        Err(why) => {
            if !matches!(why, FilterModuleError::Filter) {
                eprintln!("{why}");
            }
            why.exit_code()
        }
    };
    for output in &mut outputs {
        if let Err(why) = output.finish() {
            eprintln!("Error: {why}");
            code = code.max(1);
        }
    }
    code
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'O' => settings.unirec_out = Some(given.value),
                'F' => settings.filter = Some(given.value),
                'f' => settings.file = Some(given.value.into()),
                'c' => {
                    let cut = options::number(&given.value).filter(|n| *n > 0);
                    settings.cut = Some(cut.ok_or(UsageError::Cut)?);
                }
                _ => settings.no_eof = true,
            }
        }
        Ok(settings)
    }

    /// What the original refuses before it opens anything.
    fn check(&self, outputs: usize) -> Result<(), UsageError> {
        if outputs < 1 {
            Err(UsageError::NoOutput)
        } else if self.file.is_none() && outputs > 1 {
            Err(UsageError::NoFile)
        } else if outputs > OUTPUTS_MAX {
            Err(UsageError::ManyOutputs)
        } else if self.file.is_some() && self.filter.is_some() {
            Err(UsageError::TwoFilters)
        } else {
            Ok(())
        }
    }

    /// The entries of `count` outputs.
    fn entries(&self, count: usize) -> Result<Vec<Entry>, FilterModuleError> {
        let Some(path) = &self.file else {
            let (template, filter) = (self.unirec_out.clone(), self.filter.clone());
            let entry =
                Entry { template: template.unwrap_or_default(), filter: filter.unwrap_or_default().into_bytes() };
            return Ok(vec![entry]);
        };
        let entries = entries::parse(&read(path)?, count)?;
        let found = entries.len();
        if found < count { Err(FilterModuleError::FewEntries { found, expected: count }) } else { Ok(entries) }
    }
}

impl UsageError {
    /// Exit code of the original.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, UsageError::TwoFilters) { 6 } else { 1 }
    }
}

impl FilterModuleError {
    /// Exit code of the original, which ends a run that had begun with 0.
    pub fn exit_code(&self) -> u8 {
        match self {
            FilterModuleError::NoFormat | FilterModuleError::Template(_) => 5,
            FilterModuleError::Open { .. } | FilterModuleError::FileTooLong { .. } | FilterModuleError::Entry(_) => 7,
            FilterModuleError::FewEntries { .. } => 8,
            // -2 of the original.
            FilterModuleError::Output(_) => 254,
            _ => 0,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FilterModuleError> {
    let open = |source| FilterModuleError::Open { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(open)?;
    file.take(entries::FILE_MAX + 1).read_to_end(&mut text).map_err(open)?;
    if text.len() as u64 > entries::FILE_MAX {
        return Err(FilterModuleError::FileTooLong { path: path.to_owned() });
    }
    Ok(text)
}
