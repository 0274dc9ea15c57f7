//! scalar_agg: one value for each rule and interval of flow time, summed or counted over the records (spec/modules.md section 27).
use super::start;
use crate::argparse::atoi;
use crate::options::{self, flag, value};
use crate::stream::ReadError;
use crate::stream::deliver;
use record::unirec::SpecError;
use trap::TrapError;
use trap::module::{Count, Module, ModuleInfo, Param};

pub mod rule;
mod stage;
pub mod windows;

use rule::{Rule, RuleError};
pub use stage::{Notes, run};
use windows::Timing;

/// Outputs, at the most; and rules of one output.
pub const OUTPUTS_MAX: usize = 32;
pub const RULES_MAX: usize = 32;

/// Windows of all rules together, at the most: about 64 bytes each, without what they hold of distinct values.
pub const WINDOWS_MAX: u64 = 1 << 19;

/// What the user asked for: the rules of each output.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub outputs: Vec<Vec<Rule>>,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Passed illogical value to parameter -{0}: {1}.")]
    Number(char, i32),
    #[error("{0}")]
    Rule(#[from] RuleError),
    #[error("Error: more than {RULES_MAX} rules for one output: use -R and another output interface.")]
    ManyRules,
    #[error("Error: more than {OUTPUTS_MAX} output interfaces.")]
    ManyOutputs,
    #[error(
        "Error: the rules need {0} windows (-d divided by -t, and two more, for each rule), more than {WINDOWS_MAX}: make -t longer."
    )]
    ManyWindows(u64),
    #[error(
        "Error: Number of TRAP interfaces doesn't match number defined by rules.\n TRAP output interfaces: {trap}\n Configured outputs \
         by rules: {rules}"
    )]
    Interfaces { trap: usize, rules: usize },
}

/// Why aggregation ended early; exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum ScalarError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}")]
    Input(SpecError),
    #[error("Error: Defining template fields failed.\ntpl_string: {spec}\n{why}")]
    Output { spec: String, why: SpecError },
    #[error("Error: {0}")]
    Send(TrapError),
    /// Told where it was found, with the text of the filter.
    #[error("the filter cannot be used")]
    Filter,
    #[error(
        "Fatal error: Aggregation argument is not present in UniRec template.\n Aggregation argument: {0}\n{SAVING}"
    )]
    NoField(String),
    #[error(
        "Error: Only COUNT_UNIQ make sense with IP, MAC, TIME, STRING or BYTES.\n Aggregation rule name: {0}\n{SAVING}"
    )]
    OnlyUniq(String),
    #[error(
        "Error: Unsupported type of aggregation argument.\n Aggregation rule name: {rule}\n Aggregation argument name: {field}\n{SAVING}"
    )]
    Kind { rule: String, field: String },
}

const SAVING: &str = "Error: Saving aggregation data failed.";

/// One line for lists of modules.
pub const ABOUT: &str = "Computes one value for each rule and interval: sums, counts, averages, rates.";

const INFO: ModuleInfo = ModuleInfo {
    name: "scalar_agg",
    description: "Module can be used to filter and aggregate flows to gather useful statistics. Each rule (-r) makes one value of each \
                  interval (-t): SUM, COUNT, AVG, RATE or COUNT_UNIQ of a field, over the records that its filter accepts. The time is \
                  that of the flows, whose values are spread evenly between TIME_FIRST and TIME_LAST.",
    inputs: Count::Exactly(1),
    outputs: Count::Variable,
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('t', "output_interval", "int32", "Seconds between values, for the rules that follow. Default: 60."),
    value(
        'd',
        "delay_interval",
        "int32",
        "Seconds by which output is delayed: the longest flow, that is the active timeout, and 30 more, or flows are missed. For the \
         rules that follow. Default: 420.",
    ),
    value(
        'I',
        "inactive_timeout",
        "int32",
        "A flow that begins this many seconds after the oldest window starts its rule anew. For the rules that follow. Default: 900.",
    ),
    value(
        'r',
        "rule",
        "string",
        "NAME:FUNCTION(FIELD)[:FILTER], e.g. \"DNS:SUM(BYTES):DST_PORT == 53\". Can be used multiple times. A colon in the filter is \
         written \\:.",
    ),
    flag('R', "next_interface", "The rules that follow are for the next output interface."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, mut outputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let settings = match Settings::parse(&args[1..], outputs.len()) {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("{why}");
            return 1;
        }
    };
    let mut notes = Notes::default();
    let ran = run(&mut inputs[0], &mut outputs, settings, &mut notes);
    notes.tell();
    let mut code = 0;
    if let Err(why) = ran {
        if !matches!(why, ScalarError::Filter) {
            eprintln!("{why}");
        }
        code = 1;
    }
    for output in &mut outputs {
        if !deliver(output) {
            code = 1;
        }
    }
    code
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone, for this many output interfaces.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String], interfaces: usize) -> Result<Settings, UsageError> {
        let mut timing = Timing::default();
        let mut outputs = vec![Vec::new()];
        for given in options::parse(args, PARAMS)? {
            let seconds = || match atoi(&given.value) {
                seconds @ 1.. => Ok(seconds.into()),
                number => Err(UsageError::Number(given.short, number)),
            };
            match given.short {
                't' => timing.step = seconds()?,
                'd' => timing.delay = seconds()?,
                'I' => timing.inactive = seconds()?,
                'R' if outputs.len() == OUTPUTS_MAX => return Err(UsageError::ManyOutputs),
                'R' => outputs.push(Vec::new()),
                _ => {
                    let rule = Rule::parse(&given.value, timing)?;
                    match outputs.last_mut() {
                        Some(rules) if rules.len() < RULES_MAX => rules.push(rule),
                        _ => return Err(UsageError::ManyRules),
                    }
                }
            }
        }
        let windows = outputs.iter().flatten().map(|rule| rule.timing.windows()).sum();
        if windows > WINDOWS_MAX {
            return Err(UsageError::ManyWindows(windows));
        }
        if outputs.len() != interfaces {
            return Err(UsageError::Interfaces { trap: interfaces, rules: outputs.len() });
        }
        Ok(Settings { outputs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, interfaces: usize) -> Result<Settings, String> {
        let args: Vec<_> = line.split_whitespace().map(String::from).collect();
        Settings::parse(&args, interfaces).map_err(|why| why.to_string())
    }

    #[test]
    fn options_hold_for_the_rules_behind_them() {
        let settings = parse("-r A:SUM(B) -t 10 -d 20x -I 30 -r C:count(D) -R -r E:AVG(F)", 2).unwrap();
        let timings: Vec<Vec<_>> = settings
            .outputs
            .iter()
            .map(|rules| rules.iter().map(|r| (r.timing.step, r.timing.delay, r.timing.inactive)).collect())
            .collect();
        assert_eq!(timings, [vec![(60, 420, 900), (10, 20, 30)], vec![(10, 20, 30)]]);
        assert_eq!(parse("", 1).unwrap().outputs, [vec![]]);
    }

    #[test]
    fn refusals() {
        let many = format!("-r A:SUM(B) {}", "-r A:SUM(B) ".repeat(RULES_MAX));
        let wide = format!("-t 1 -d 2147483647 {}", "-r A:SUM(B) ".repeat(2));
        for (line, said) in [
            ("-t 0", "Error: Passed illogical value to parameter -t: 0."),
            ("-d x", "Error: Passed illogical value to parameter -d: 0."),
            ("-I -5", "Error: Passed illogical value to parameter -I: -5."),
            ("-x", "Error: Invalid arguments.\nunknown option -x: see the help (-h)"),
            (&many, "Error: more than 32 rules for one output: use -R and another output interface."),
            (&"-R ".repeat(32), "Error: more than 32 output interfaces."),
            (
                &wide,
                "Error: the rules need 4294967298 windows (-d divided by -t, and two more, for each rule), more than 524288: make -t \
                 longer.",
            ),
            (
                "-R",
                "Error: Number of TRAP interfaces doesn't match number defined by rules.\n TRAP output interfaces: 1\n Configured \
                 outputs by rules: 2",
            ),
        ] {
            assert_eq!(parse(line, 1).unwrap_err(), said, "{line}");
        }
    }
}
