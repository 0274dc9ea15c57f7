//! The module runtime: takes TRAP's options out of the command line, opens the interfaces, watches the signals
//! (trap.md sections 1 and 10).
//!
//! A module declares a [`ModuleInfo`], calls [`start`] and gets back its own arguments, its interfaces and a stop flag:
//!
//! ```no_run
//! use trap::module::{self, Count, ModuleInfo};
//! const INFO: ModuleInfo = ModuleInfo {
//!     name: "repeater",
//!     description: "Sends what it receives.",
//!     inputs: Count::Exactly(1),
//!     outputs: Count::Exactly(1),
//!     params: &[],
//! };
//! let module = match module::start(&INFO, std::env::args()) {
//!     Ok(module) => module,
//!     Err(exit) => std::process::exit(exit.report(&INFO)),
//! };
//! ```

use std::fmt;

use thiserror::Error;

use crate::error::TrapError;
use crate::help;
use crate::input::{Input, InputDefaults};
use crate::log;
use crate::output::{Output, OutputDefaults};
use crate::place::{Place, Stop};
use crate::service::{self, ServiceName};
use crate::spec::{IfcSpec, Spec, SpecError};

/// What a module says about itself (trap.md section 10.1).
#[derive(Debug, Clone, Copy)]
pub struct ModuleInfo {
    /// Name as in `Name:` of the help.
    pub name: &'static str,
    /// One or more paragraphs, separated by `\n`.
    pub description: &'static str,
    /// Number of input interfaces.
    pub inputs: Count,
    /// Number of output interfaces.
    pub outputs: Count,
    /// The module's own options, for the help.
    pub params: &'static [Param],
}

/// How many interfaces a module has in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// This many.
    Exactly(u16),
    /// What remains of `-i`; possible in one direction only.
    Variable,
}

/// One option of a module, for the help and the JSON description.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Letter; `None` when there is only a long option, `Some('-')` for a positional argument.
    pub short: Option<char>,
    /// Long option without dashes; may be empty.
    pub long: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it takes an argument.
    pub argument: Argument,
    /// Type of the argument as shown, e.g. `string`; empty without argument.
    pub argument_type: &'static str,
}

/// Whether an option takes an argument; the numbers are those of getopt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Argument {
    /// Never.
    No = 0,
    /// Always.
    Required = 1,
    /// Optionally.
    Optional = 2,
}

/// A started module.
#[derive(Debug)]
pub struct Module {
    /// Program name and the arguments that TRAP did not take, in order.
    pub args: Vec<String>,
    /// Inputs in the order of `-i`.
    pub inputs: Vec<Input>,
    /// Outputs in the order of `-i`.
    pub outputs: Vec<Output>,
    /// Set by SIGINT and SIGTERM; ends blocking calls of the interfaces.
    pub stop: Stop,
}

/// What a module may set before its interfaces are opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Defaults of the inputs.
    pub inputs: InputDefaults,
    /// Defaults of the outputs.
    pub outputs: OutputDefaults,
    /// Surroundings; its stop flag is the module's.
    pub place: Place,
    /// Where the counters are told.
    pub service: ServiceName,
}

/// TRAP's part of a command line (trap.md section 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Value of `-i`.
    pub ifc_spec: String,
    /// 0, 1 or 2 for `-v`, `-vv`, `-vvv`.
    pub verbosity: Option<i8>,
    /// Program name and everything else.
    pub args: Vec<String>,
}

/// Why a module does not start.
#[derive(Debug, Error)]
pub enum Exit {
    /// `-h` was given: not a failure.
    #[error("help requested")]
    Help(HelpSection),
    /// `-i` is missing.
    #[error("Interface specifier (option -i) not found.")]
    NoSpecifier,
    /// `-i` names an unknown type.
    #[error(transparent)]
    Specifier(#[from] SpecError),
    /// The interfaces could not be opened; `interface` says which.
    #[error("{error}")]
    Init {
        /// E.g. `UNIX input interface no. 0`; none when the count is wrong.
        interface: Option<String>,
        /// Cause.
        error: TrapError,
    },
    /// The signal handlers could not be set.
    #[error("cannot watch SIGINT and SIGTERM: {0}")]
    Signals(std::io::Error),
}

/// Which help was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelpSection {
    /// `-h`: the module.
    Module,
    /// `-h trap` or `-h 1`: the interface specifier.
    Interfaces,
}

/// Starts a module with defaults.
///
/// # Errors
/// [`Exit`]: report it and end with the code that [`Exit::report`] answers.
pub fn start(info: &ModuleInfo, argv: impl IntoIterator<Item = String>) -> Result<Module, Exit> {
    start_with(info, argv, &Options::default())
}

/// Starts a module: parses `argv` (with the program name first), opens the interfaces, watches SIGINT and SIGTERM.
///
/// # Errors
/// [`Exit`]: report it and end with the code that [`Exit::report`] answers.
pub fn start_with(
    info: &ModuleInfo,
    argv: impl IntoIterator<Item = String>,
    options: &Options,
) -> Result<Module, Exit> {
    let line = parse(argv)?;
    if let Some(level) = line.verbosity {
        log::set_level(level);
    }
    let specs = Spec::parse(&line.ifc_spec)?;
    options.place.stop.on_signals().map_err(Exit::Signals)?;
    let inputs_count = split(info, specs.len()).map_err(|error| Exit::Init { interface: None, error })?;
    let (input_specs, output_specs) = specs.split_at(inputs_count);
    let place = |index| Place { index, ..options.place.clone() };
    let failed = |direction: &str, index: usize, spec: &IfcSpec, error| Exit::Init {
        interface: Some(format!("{} {direction} interface no. {index}", spec.kind.name())),
        error,
    };
    let mut inputs = Vec::new();
    for (index, spec) in input_specs.iter().enumerate() {
        let opened = Input::open_at(spec, &options.inputs, &place(index));
        inputs.push(opened.map_err(|error| failed("input", index, spec, error))?);
    }
    let mut outputs = Vec::new();
    for (index, spec) in output_specs.iter().enumerate() {
        let opened = Output::open_at(spec, options.outputs, &place(index));
        outputs.push(opened.map_err(|error| failed("output", index, spec, error))?);
    }
    service::start(&options.service, &options.place, &mut inputs, &mut outputs);
    Ok(Module { args: line.args, inputs, outputs, stop: options.place.stop.clone() })
}

/// Takes TRAP's options out of `argv`, whose first word is the program: help is looked for first, anywhere, even as the
/// value of another option; then the first `-i` that has a value; then the first `-v`, `-vv` or `-vvv`.
///
/// # Errors
/// [`Exit::Help`], [`Exit::NoSpecifier`].
pub fn parse(argv: impl IntoIterator<Item = String>) -> Result<CommandLine, Exit> {
    let mut args: Vec<String> = argv.into_iter().collect();
    let is_help = |arg: &String| arg == "-h" || arg == "--help";
    if let Some(at) = args.iter().skip(1).position(is_help) {
        let is_trap = args.get(at + 2).is_some_and(|section| section == "trap" || section == "1");
        return Err(Exit::Help(if is_trap { HelpSection::Interfaces } else { HelpSection::Module }));
    }
    let before_last = args.len().saturating_sub(1);
    let at = args.iter().take(before_last).skip(1).position(|arg| arg == "-i").ok_or(Exit::NoSpecifier)? + 1;
    args.remove(at);
    let ifc_spec = args.remove(at);
    let mut verbosity = None;
    if let Some(at) = args.iter().skip(1).position(|arg| verbosity_of(arg).is_some()) {
        verbosity = verbosity_of(&args.remove(at + 1));
    }
    Ok(CommandLine { ifc_spec, verbosity, args })
}

fn verbosity_of(arg: &str) -> Option<i8> {
    match arg {
        "-v" => Some(0),
        "-vv" => Some(1),
        "-vvv" => Some(2),
        _ => None,
    }
}

/// Number of inputs among `got` interfaces.
fn split(info: &ModuleInfo, got: usize) -> Result<usize, TrapError> {
    let wrong = || TrapError::BadCount { got, inputs: info.inputs.to_string(), outputs: info.outputs.to_string() };
    match (info.inputs, info.outputs) {
        (Count::Exactly(inputs), Count::Exactly(outputs)) => {
            let inputs = usize::from(inputs);
            if inputs + usize::from(outputs) == got { Ok(inputs) } else { Err(wrong()) }
        }
        (Count::Exactly(inputs), Count::Variable) => Some(usize::from(inputs)).filter(|n| *n <= got).ok_or_else(wrong),
        (Count::Variable, Count::Exactly(outputs)) => got.checked_sub(usize::from(outputs)).ok_or_else(wrong),
        (Count::Variable, Count::Variable) => Err(wrong()),
    }
}

impl Exit {
    /// Prints help to stdout or the failure to stderr, in the words of the original, and answers the exit code: 0 after
    /// help, else 1 (trap.md sections 1 and 1.1). Some modules, as logger, end with 2 when [`Exit::is_init`].
    #[must_use]
    pub fn report(&self, info: &ModuleInfo) -> i32 {
        if let Self::Help(section) = self {
            help::print(info, *section);
            return 0;
        }
        for line in self.lines() {
            eprintln!("{line}");
        }
        1
    }

    /// True when the specifier was readable but the interfaces could not be opened.
    #[must_use]
    pub fn is_init(&self) -> bool {
        matches!(self, Self::Init { .. } | Self::Signals(_))
    }

    /// Lines for stderr. The original prints `(null)` where we repeat the cause of an unknown type.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Help(_) => Vec::new(),
            Self::NoSpecifier => vec![format!("ERROR in parsing of parameters for TRAP: {self}")],
            Self::Specifier(error) => {
                vec![format!("ERROR: {error}"), format!("ERROR in parsing of parameters for TRAP: {error}")]
            }
            Self::Init { interface, error } => {
                let mut lines = vec![format!("ERROR: {error}")];
                lines.extend(interface.iter().map(|name| format!("ERROR: Initialization of {name} failed.")));
                lines.push(format!("ERROR in TRAP initialization: {}", error.summary()));
                lines
            }
            Self::Signals(_) => vec![format!("ERROR in TRAP initialization: {self}")],
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(count) => write!(f, "{count}"),
            Self::Variable => f.write_str("variable"),
        }
    }
}

#[cfg(test)]
#[path = "module_tests.rs"]
mod tests;
