//! agg: records with the same key as one, their other fields summed, averaged, ... (spec/modules.md section 14).
use super::begin;
use crate::options::{self, value};
use crate::stream::deliver;
use record::unirec::{SpecError, Template, View};
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, Output, Timeout, TrapError};

mod groups;
mod plan;
mod window;

use groups::Groups;
use plan::{Function, Plan, PlanError};
pub use window::{Kind as WindowKind, Window};

/// Fields that may be assigned, as in the original.
const FIELDS_MAX: usize = 64;

/// The clock is looked at this often while records flow, and a silent input is waited for so long.
const TICK: Duration = Duration::from_millis(500);
const RECORDS_PER_TICK: u32 = 1024;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Fields with what is made of them, in the order given.
    fields: Vec<(Function, String)>,
    pub window: Window,
}

/// Why aggregation ended early.
#[derive(Debug, thiserror::Error)]
pub enum AggError {
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(#[from] SpecError),
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
    #[error("Error: {0}")]
    Send(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Aggregates records with the same key.";

const INFO: ModuleInfo = ModuleInfo {
    name: "agg",
    description: "The module can aggregate UniRec records based on user-specified keys, aggregation functions and time interval. Only \
                  fields specified by the user are part of the output record, with TIME_FIRST, TIME_LAST and COUNT, the number of \
                  records that were made one. Without a key all records are.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('k', "key", "URFIELD", "This field is part of the key. Use it once for each field."),
    value(
        't',
        "time_window",
        "string",
        "Type of timeout and seconds before a record is sent: [G,A,P]:SECONDS or M:ACTIVE,PASSIVE. Default is A:10.",
    ),
    value('s', "sum", "URFIELD", "Sum of this field."),
    value('a', "avg", "URFIELD", "Average of this field."),
    value('m', "min", "URFIELD", "Least value of this field."),
    value('M', "max", "URFIELD", "Greatest value of this field."),
    value('f', "first", "URFIELD", "First value of this field."),
    value('F', "firstne", "URFIELD", "First value of this field that is not zero or empty."),
    value('l', "last", "URFIELD", "Last value of this field."),
    value('o', "or", "URFIELD", "Bitwise OR of this field."),
    value('n', "and", "URFIELD", "Bitwise AND of this field."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("Error: Invalid arguments.\n{why}"));
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut code = 0;
    if let Err(why) = run(&mut inputs[0], &mut outputs[0], &settings) {
        eprintln!("{why}");
        code = u8::from(!matches!(why, AggError::Receive(_)));
    }
    if deliver(&mut outputs[0]) { code } else { 1 }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone. A field that cannot be assigned is told and left out, as
    /// in the original.
    pub fn parse(args: &[String]) -> Result<Settings, options::OptError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match Function::of(given.short) {
                Some(function) => settings.assign(function, given.value),
                None => settings.window.set(&given.value),
            }
        }
        Ok(settings)
    }

    fn assign(&mut self, function: Function, field: String) {
        let is_own = matches!(field.as_str(), "TIME_FIRST" | "TIME_LAST" | "COUNT");
        if self.fields.len() >= FIELDS_MAX {
            eprintln!("Cannot register the field \"{field}\", maximum number of assigned fields reached.");
        } else if is_own || self.fields.iter().any(|(_, name)| *name == field) {
            eprintln!("Field \"{field}\" already used or cannot be assigned.");
        } else {
            self.fields.push((function, field));
        }
    }
}

/// Aggregates until the stream ends or the stop flag is set, sends what is left and ends the stream.
pub fn run(input: &mut Input, output: &mut Output, settings: &Settings) -> Result<(), AggError> {
    input.require(Format::UniRec(String::new()));
    input.set_timeout(Timeout::Micros(TICK.as_micros() as u64));
    // The original tries for 3 s and then drops; nobody there must not stop the input.
    output.set_timeout(Timeout::HalfWait);
    let mut groups = None;
    let ended = receive(input, output, settings, &mut groups);
    if let Some(groups) = &mut groups {
        groups.send_all(output);
        groups.tell();
    }
    if !matches!(ended, Err(AggError::Plan(_))) {
        // Without a format there is nobody to tell.
        let _: trap::Sent = output.send_eof();
    }
    output.flush().map_err(AggError::Send)?;
    ended
}

fn receive(
    input: &mut Input,
    output: &mut Output,
    settings: &Settings,
    groups: &mut Option<Groups>,
) -> Result<(), AggError> {
    let mut template = Template::default();
    let mut clock = window::Clock::new(settings.window, Instant::now());
    let mut until_tick = RECORDS_PER_TICK;
    loop {
        let event = input.recv().map_err(AggError::Receive)?;
        let record = match event {
            Event::Message(record) => record,
            Event::FormatChanged { format, first } => {
                template = Template::parse(format.spec())?;
                if let Some(old) = groups {
                    old.send_all(output);
                    old.tell();
                }
                let plan = Plan::new(&settings.fields, &template)?;
                output.set_format(Format::UniRec(plan.output.spec())).map_err(AggError::Send)?;
                if let Ok(view) = View::new(&template, first) {
                    clock.format_changed(plan.last_secs(&view));
                }
                *groups = Some(Groups::new(plan, settings.window));
                first
            }
            Event::Timeout => {
                tick(&mut clock, groups, output)?;
                continue;
            }
            Event::EndOfStream | Event::Terminated => return Ok(()),
        };
        // A format comes before the first message.
        let Some(present) = groups else { continue };
        match View::new(&template, record) {
            Ok(view) => present.add(&view, output),
            Err(_) => present.damaged += 1,
        }
        until_tick -= 1;
        if until_tick == 0 {
            until_tick = RECORDS_PER_TICK;
            tick(&mut clock, groups, output)?;
        }
    }
}

/// Sends what the wall clock says.
fn tick(clock: &mut window::Clock, groups: &mut Option<Groups>, output: &mut Output) -> Result<(), AggError> {
    if let (Some(due), Some(groups)) = (clock.due(Instant::now()), groups) {
        match due {
            window::Due::All => groups.send_all(output),
            window::Due::LastBefore(secs) => groups.send_silent(secs, output),
        }
    }
    output.flush().map_err(AggError::Send)
}
