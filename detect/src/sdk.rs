//! What a module is written with: one file that says what the module is, which options it has, which records come and go, and what it does.
//!
//! ```no_run
//! use detect::sdk::{self, Count, Failure, Module, ModuleInfo, Reader, Writer, fields, record};
//!
//! const INFO: ModuleInfo = ModuleInfo {
//!     name: "double",
//!     description: "Sends each number twice as large.",
//!     inputs: Count::Exactly(1),
//!     outputs: Count::Exactly(1),
//!     params: &[],
//! };
//! fields! { /// What comes in.
//!     struct In { number: u32 = "N" } }
//! record! { /// What goes out.
//!     struct Out = "double" { /// Twice the number.
//!         twice: u64, unirec "N"; } }
//!
//! fn run(module: &mut Module) -> Result<(), Failure> {
//!     let mut out = Writer::new(&mut module.outputs[0])?;
//!     let ended = Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
//!         out.send(&Out { twice: 2 * u64::from(fields.number(record)) })
//!     })?;
//!     out.end(ended)
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     sdk::exit(&INFO, run)
//! }
//! ```
//!
//! The runtime does the rest: `-i`, `-h`, `-v`, signals, opening, the negotiation (a sender without the declared fields is refused),
//! templates that change, damaged records (skipped and counted), the end of the stream, delivery of what is left, and one line on losses.
//!
//! [`fields!`](record::fields) reads without a look-up for each record; [`record!`](record::record!) writes at places known before the
//! first one. A module that sends on what it received uses [`Forward`], which copies nothing.

mod output;
mod reader;

pub use crate::options::{flag, value};
pub(crate) use output::step;
pub use output::{Forward, Writer};
pub use reader::{Ended, Handler, Reader, Totals};
pub use record::unirec::{Array, Char, Fields, Octets, RawList, Str, Template, View};
pub use record::{Blob, List, Mac, Record, Text, Time, fields, record};
pub use std::net::IpAddr;
pub use std::ops::ControlFlow;
pub use trap::module::{Argument, Count, ModuleInfo, Param};
pub use trap::{Input, Output, Stop};

use crate::options::{self, Given};
use record::unirec::{MissingField, SpecError};
use std::process::ExitCode;
use std::str::FromStr;
use trap::TrapError;

/// A started module.
#[derive(Debug)]
pub struct Module {
    /// Its own options, as given.
    pub options: Options,
    /// Inputs in the order of `-i`.
    pub inputs: Vec<Input>,
    /// Outputs in the order of `-i`.
    pub outputs: Vec<Output>,
    /// Set by SIGINT and SIGTERM.
    pub stop: Stop,
}

/// Whether to go on after a record: `Ok(ControlFlow::Break(()))` ends the loop in order.
pub type Step = Result<ControlFlow<()>, Failure>;

/// The step that goes on.
pub const GO_ON: Step = Ok(ControlFlow::Continue(()));

/// Why a module ends early. All end it with exit status 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("Error: {0}")]
    Usage(String),
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
    #[error("Error: {0}")]
    Send(TrapError),
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(SpecError),
    #[error("Error: {0}")]
    Missing(MissingField),
    /// The sender uses another template than it says (the text is that of the original modules).
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have}).")]
    WrongSize { need: usize, have: usize },
    /// Anything else that a module fails of.
    #[error("Error: {0}")]
    Other(String),
}

/// Options of a command line.
#[derive(Clone, Debug, Default)]
pub struct Options(Vec<Given>);

impl Options {
    /// Options that were read elsewhere.
    pub(crate) fn new(given: Vec<Given>) -> Options {
        Options(given)
    }

    /// Whether the option with this letter was given.
    pub fn has(&self, letter: char) -> bool {
        self.all(letter).next().is_some()
    }

    /// The value of the option; of the last one if it was repeated.
    pub fn text(&self, letter: char) -> Option<&str> {
        self.all(letter).last()
    }

    /// The values of an option that may be repeated, in order.
    pub fn all(&self, letter: char) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |given| given.short == letter).map(|given| given.value.as_str())
    }

    /// The value read as a number or any other type that can be read from text.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the text is no such value.
    pub fn value<T: FromStr>(&self, letter: char) -> Result<Option<T>, Failure> {
        let read = |text: &str| text.trim().parse::<T>().map_err(|_| wrong_value(letter, text));
        self.text(letter).map(read).transpose()
    }
}

fn wrong_value(letter: char, text: &str) -> Failure {
    Failure::Usage(format!("\"{text}\" is no value for option -{letter}; the help (-h) says what it takes"))
}

/// Runs a module as a program of its own, with the arguments of the process.
pub fn exit(info: &ModuleInfo, run: impl FnOnce(&mut Module) -> Result<(), Failure>) -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    ExitCode::from(main(info, &args, run))
}

/// Runs a module with the arguments behind its name and answers the exit status: 0, also after help and after a signal; 1 when it cannot
/// start or `run` fails. Every output delivers what it has before this returns.
pub fn main(info: &ModuleInfo, args: &[String], run: impl FnOnce(&mut Module) -> Result<(), Failure>) -> u8 {
    let argv = std::iter::once(info.name.to_owned()).chain(args.iter().cloned());
    let started = match trap::module::start(info, argv) {
        Ok(started) => started,
        // Always 0 or 1.
        Err(exit) => return u8::try_from(exit.report(info)).unwrap_or(1),
    };
    let given = match options::parse(started.args.get(1..).unwrap_or_default(), info.params) {
        Ok(given) => given,
        Err(why) => {
            eprintln!("Error: Invalid arguments.\n{why}");
            return 1;
        }
    };
    let mut module =
        Module { options: Options(given), inputs: started.inputs, outputs: started.outputs, stop: started.stop };
    let ended = run(&mut module);
    end(ended, &mut module.outputs)
}

/// Says what ended a module that did not end in order, and [finishes](finish) its outputs. Answers its exit status.
pub(crate) fn end(ended: Result<(), impl std::fmt::Display>, outputs: &mut [Output]) -> u8 {
    let mut code = 0;
    if let Err(why) = ended {
        eprintln!("{why}");
        code = 1;
    }
    code.max(finish(outputs))
}

/// Closes all outputs and says what was lost. What was done is said by the interfaces themselves, with `-v`.
pub(crate) fn finish(outputs: &mut [Output]) -> u8 {
    let mut code = 0;
    for (at, output) in outputs.iter_mut().enumerate() {
        match output.finish() {
            Ok(stats) => {
                let refused = stats.too_large + stats.no_format;
                if refused > 0 {
                    eprintln!("Warning: {refused} records did not fit the buffer of output {at} and were not sent.");
                }
                if stats.abandoned > 0 {
                    eprintln!("Warning: {} records of output {at} did not reach their receivers.", stats.abandoned);
                }
            }
            Err(why) => {
                eprintln!("Error: {why}");
                code = 1;
            }
        }
    }
    code
}
