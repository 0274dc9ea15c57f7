//! The command line of reporters (spec/idea.md section 1), read as argparse reads it.
use super::log;
use crate::argparse::{self, ArgError};
use crate::options::{flag, value};
use std::path::PathBuf;
use std::time::Duration;
use trap::module::{Argument, Param};

/// What a reporter is.
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    /// The command.
    pub name: &'static str,
    /// The module as `Node[0].Name` names it, behind the namespace.
    pub module: &'static str,
    /// One line.
    pub about: &'static str,
    /// [`with`] the options of its own.
    pub params: &'static [Param],
}

/// Options of all reporters.
const COMMON: [Param; 9] = [
    value('i', "ifcspec", "string", "Interfaces: one input, and one output with --trap."),
    flag('T', "trap", "Send messages that the action trap takes to the output (JSON, format id IDEA)."),
    value('c', "config", "string", "YAML configuration of rules and actions (default ./config.yaml)."),
    value(
        'a',
        "autoreload",
        "int32",
        "Look at the configuration every so many seconds and read it again (default 0: never).",
    ),
    flag('d', "dry", "Read and print the configuration, do nothing else."),
    value('W', "warden", "string", "Configuration of the Warden client (JSON); the action warden needs it."),
    value('n', "name", "string", "Name of the node, in place of NAMESPACE.MODULE."),
    value('v', "verbose", "int32", "What is said: 1 everything, 3 warnings (default), 5 next to nothing."),
    flag('D', "dontvalidate", "Do not check that times lie within the day before CreateTime."),
];

/// The options of all reporters and those of one.
pub const fn with<const OWN: usize, const ALL: usize>(own: [Param; OWN]) -> [Param; ALL] {
    assert!(ALL == OWN + COMMON.len());
    let mut all = [COMMON[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < COMMON.len() { COMMON[at] } else { own[at - COMMON.len()] };
        at += 1;
    }
    all
}

/// Why a command line is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("{0}: error: {1}")]
    Option(&'static str, ArgError),
    #[error("{0}: error: argument {1}: invalid int value: '{2}'")]
    Number(&'static str, &'static str, String),
    #[error("{0}: error: unrecognized arguments: {1}")]
    Word(&'static str, String),
    #[error("error: the following arguments are required: -i")]
    NoInterface,
}

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub(super) ifc_spec: Option<String>,
    pub(super) has_trap: bool,
    pub(super) config: PathBuf,
    /// Between looks at the configuration; none is no looks.
    pub(super) autoreload: Option<Duration>,
    pub(super) is_dry: bool,
    pub(super) warden: Option<PathBuf>,
    pub(super) name: Option<String>,
    pub(super) checks_times: bool,
    /// Long names and values of the reporter's own options.
    own: Vec<(&'static str, String)>,
}

impl Given {
    /// Reads the arguments behind the name.
    pub(super) fn parse(reporter: &Reporter, args: &[String]) -> Result<Given, UsageError> {
        let line = argparse::parse(args, reporter.params).map_err(|why| UsageError::Option(reporter.name, why))?;
        if let Some(word) = line.words.into_iter().next() {
            return Err(UsageError::Word(reporter.name, word));
        }
        let number = |option: &'static str, text: &str| {
            text.trim().parse::<u32>().map_err(|_| UsageError::Number(reporter.name, option, text.to_owned()))
        };
        let mut given = Given { config: "./config.yaml".into(), checks_times: true, ..Given::default() };
        for (name, value) in line.options {
            match name {
                "ifcspec" => given.ifc_spec = Some(value),
                "trap" => given.has_trap = true,
                "config" => given.config = value.into(),
                "autoreload" => {
                    let seconds = number("-a/--autoreload", &value)?;
                    given.autoreload = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                }
                "dry" => given.is_dry = true,
                "warden" => given.warden = Some(value.into()),
                "name" => given.name = Some(value),
                "verbose" => log::set_level(number("-v/--verbose", &value)?.min(6) as u8),
                "dontvalidate" => given.checks_times = false,
                _ => given.own.push((name, value)),
            }
        }
        if given.ifc_spec.is_none() && !given.is_dry {
            return Err(UsageError::NoInterface);
        }
        Ok(given)
    }

    /// The value of an option of the reporter's own; the last one counts.
    pub fn own(&self, long: &str) -> Option<&str> {
        self.own.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }
}

/// The line that is printed when the interface is missing.
pub(super) fn usage(reporter: &Reporter) -> String {
    let mut line = format!("usage: {} [-h]", reporter.name);
    for param in reporter.params {
        let name = param.short.map_or_else(|| format!("--{}", param.long), |short| format!("-{short}"));
        let value =
            if param.argument == Argument::No { String::new() } else { format!(" {}", param.long.to_uppercase()) };
        let word = format!("{name}{value}");
        line.push_str(&if param.short == Some('i') { format!(" {word}") } else { format!(" [{word}]") });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: [Param; 10] = with([crate::argparse::long_value("aggrwin", "string", "")]);
    const REPORTER: Reporter = Reporter { name: "x2idea", module: "x", about: "", params: &PARAMS };

    fn read(line: &str) -> Result<Given, UsageError> {
        Given::parse(&REPORTER, &line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let given = read("-i f:x -DT --conf c -n node -a 5 --aggrwin 00:01:00").unwrap();
        assert!(given.has_trap && !given.checks_times && !given.is_dry);
        assert_eq!((given.name.as_deref(), given.own("aggrwin")), (Some("node"), Some("00:01:00")));
        assert_eq!(given.autoreload, Some(Duration::from_secs(5)));
        assert_eq!(read("-c x").unwrap_err().to_string(), "error: the following arguments are required: -i");
        assert!(read("-d").unwrap().is_dry);
        assert!(read("-i f:x -v z").is_err() && read("-i f:x word").is_err() && read("-i f:x --nosuch").is_err());
        assert!(usage(&REPORTER).contains(" -i IFCSPEC ") && usage(&REPORTER).ends_with("[--aggrwin AGGRWIN]"));
    }
}
