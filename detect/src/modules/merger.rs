//! merger: the records of several inputs as one stream, in a template that has the fields of all (spec/modules.md section 5).
use super::start;
use crate::options::{self, flag, value};
use record::unirec::{SpecError, Template};
use std::time::Duration;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, Output, TrapError, log};

mod junction;
mod lane;

use junction::{Junction, Totals};

/// Inputs, at the most.
const INPUTS_MAX: usize = 32;

/// Until inputs whose template is not known are looked at again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Send these fields and do not wait for the inputs.
    pub unirec: Option<Template>,
    /// Do not tell the receivers that the stream ends.
    pub noeof: bool,
    /// A message that ends the stream of an input does not end that input.
    pub ignore_in_eof: bool,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error(
        "Error: output template format is not accurate: {0}.\nIt should be: \"type1 name1,type2 name2,...\".\nName of field may be any \
         string matching the regular expression [A-Za-z][A-Za-z0-9_]*\nAvailable types are: int8, int16, int32, int64, uint8, uint16, \
         uint32, uint64, char,float, double, ipaddr, time, string, bytes"
    )]
    Unirec(SpecError),
    #[error("Error: More than 32 interfaces is not allowed by TRAP library.")]
    ManyInputs,
}

/// Why merging ended early.
#[derive(Debug, thiserror::Error)]
pub enum MergerError {
    #[error("Failed to prepare output template: input {input}: {why}")]
    Template { input: usize, why: SpecError },
    #[error("input {input}: {why}", why = .why.recv_text())]
    Receive { input: usize, why: TrapError },
    #[error("Error: {0}")]
    Send(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Merges the records of several inputs into one stream.";

const INFO: ModuleInfo = ModuleInfo {
    name: "merger",
    description: "This module merges traffic from multiple input interfaces to one output stream (on one interface). Records have the \
                  fields of all inputs; those that an input lacks are zero or empty.",
    inputs: Count::Variable,
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'u',
        "unirec",
        "string",
        "User-defined UniRec template for output IFC. It enforces output template and skips waiting for input templates via input IFCs.",
    ),
    flag('n', "noeof", "Do not send termination message."),
    flag('I', "ignore-in-eof", "Do not terminate on incoming termination message."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, mut outputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let settings = Settings::parse(&args[1..])
        .and_then(|settings| if inputs.len() > INPUTS_MAX { Err(UsageError::ManyInputs) } else { Ok(settings) });
    let settings = match settings {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return why.exit_code();
        }
    };
    let mut code = 0;
    match run(&mut inputs, &mut outputs[0], &settings) {
        Ok(totals) => totals.tell(),
        Err(why) => {
            eprintln!("{why}");
            code = 1;
        }
    }
    if let Err(why) = outputs[0].finish() {
        eprintln!("Error: {why}");
        code = 1;
    }
    code
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'u' => settings.unirec = Some(Template::parse(&given.value).map_err(UsageError::Unirec)?),
                'n' => settings.noeof = true,
                _ => settings.ignore_in_eof = true,
            }
        }
        Ok(settings)
    }
}

impl UsageError {
    /// Exit code of the original: -1 and -2 where it says so.
    pub fn exit_code(&self) -> u8 {
        match self {
            UsageError::Option(_) => 1,
            UsageError::Unirec(_) => 254,
            UsageError::ManyInputs => 255,
        }
    }
}

/// Merges until every input has ended or the stop flag is set. Each input has a thread; records of one input keep their order.
pub fn run(inputs: &mut [Input], output: &mut Output, settings: &Settings) -> Result<Totals, MergerError> {
    for input in inputs.iter_mut() {
        input.require(Format::UniRec(String::new()));
        input.set_timeout(trap::Timeout::Wait);
    }
    let is_fixed = settings.unirec.is_some();
    let firsts = if is_fixed { Vec::new() } else { firsts(inputs)? };
    let mut template = settings.unirec.clone().unwrap_or_default();
    for first in &firsts {
        template = junction::union(&template, &first.template)
            .map_err(|why| MergerError::Template { input: first.input, why })?;
    }
    let junction = Junction::new(output, template, is_fixed).map_err(MergerError::Send)?;
    let mut lanes: Vec<_> =
        inputs.iter_mut().enumerate().map(|(at, input)| lane::Lane::new(at, input, settings)).collect();
    // With a user's template nothing was waited for, and there are none.
    for (lane, first) in lanes.iter_mut().zip(firsts) {
        match first.began {
            Began::Record(record) => lane.first(first.template, &record, &junction)?,
            Began::Told => {}
            Began::Ended => lane.end(),
        }
    }
    let ended = std::thread::scope(|scope| {
        let junction = &junction;
        let threads: Vec<_> = lanes.into_iter().map(|mut lane| scope.spawn(move || lane.run(junction))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    for failed in ended.into_iter().filter_map(|thread| thread.unwrap_or(Ok(())).err()) {
        eprintln!("{failed}");
    }
    junction.finish(!settings.noeof).map_err(MergerError::Send)
}

/// What an input began with.
struct First {
    input: usize,
    template: Template,
    began: Began,
}

enum Began {
    Record(Vec<u8>),
    /// The sender told its template and has no record yet.
    Told,
    /// The stream has no record.
    Ended,
}

/// Waits until the template of each input is known. All of them are looked at in turn, and a sender need not have a record: the original
/// waits for the first record of one after the other, for ever if all come from one sender that waits for us at another output.
fn firsts(inputs: &mut [Input]) -> Result<Vec<First>, MergerError> {
    let mut firsts: Vec<Option<First>> = inputs.iter().map(|_| None).collect();
    loop {
        let mut is_waiting = false;
        for (at, (input, first)) in inputs.iter_mut().zip(&mut firsts).enumerate() {
            if first.is_none() {
                *first = look(at, input)?;
                is_waiting |= first.is_none();
            }
        }
        if !is_waiting {
            return Ok(firsts.into_iter().flatten().collect());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// What an input began with; `None` if that is not known yet.
fn look(at: usize, input: &mut Input) -> Result<Option<First>, MergerError> {
    let began = match input.recv_now().map_err(|why| MergerError::Receive { input: at, why })? {
        Event::FormatChanged { first, .. } => Began::Record(first.to_vec()),
        Event::EndOfStream | Event::Terminated => Began::Ended,
        // A message without a format does not occur.
        Event::Timeout | Event::Message(_) => Began::Told,
    };
    if matches!(began, Began::Told) && input.format().spec().is_empty() {
        return Ok(None);
    }
    if matches!(began, Began::Ended) && log::level() >= 0 {
        eprintln!("Interface {at} received ending record, the interface will be closed.");
    }
    // Also a stream without records told its format; an empty file did not.
    let template = Template::parse(input.format().spec()).map_err(|why| MergerError::Template { input: at, why })?;
    Ok(Some(First { input: at, template, began }))
}
