//! luamodule: a Lua script reads, changes and drops records on their way (spec/modules.md section 28).
//!
//! The script has up to three functions: `on_init` (at the start), `on_template_recv` (the sender's template changed; the output has its
//! fields and may get and lose some) and `on_record_recv` (a record came; the output's record begins as a copy of it). What they can call
//! is in `api`, how they are run and stopped in `script`.
use super::begin;
use crate::options::{self, flag, value};
use crate::recast::Recast;
use crate::stream::{End, ReadError, Reader, Sender, Step, assemble};
use record::unirec::{SpecError, View};
use std::io;
use std::path::{Path, PathBuf};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Stop, TrapError};

mod address;
mod api;
mod records;
mod script;
mod values;

use records::Phase;
use script::{Called, Script};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub script: PathBuf,
    /// Do not tell the receivers that the stream ends.
    pub no_eof: bool,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: invalid arguments\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: lua script path not specified")]
    NoScript,
}

/// Why the module ended early; exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum LuaError {
    #[error("Error: calling {path} script failed: {why}")]
    Read { path: PathBuf, why: io::Error },
    #[error("Error: calling {path} script failed: {text}")]
    Load { path: PathBuf, text: String },
    #[error("Error: lua script must to contain on_record_recv function")]
    NoFunction,
    #[error("Error: {function} failed: {text}")]
    Call { function: &'static str, text: String },
    #[error("Error: Lua cannot be started: {0}")]
    Start(String),
    #[error("Error: change of input and output template failed: {0}")]
    Template(records::TooManyNames),
    #[error(transparent)]
    Input(#[from] ReadError),
    #[error("Error: {0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Send(#[from] TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Lets a Lua script read, change and drop records.";

const INFO: ModuleInfo = ModuleInfo {
    name: "luamodule",
    description: "Manipulate with unirec record using LUA script. The script has a function on_record_recv, and may have on_init and \
                  on_template_recv. They can call ur_get, ur_set, ur_add, ur_del, ur_type, ur_id, ur_ip, ur_ip4, ur_ip6 and ur_drop.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] =
    &[flag('n', "no_eof", "Don't forward EOF message."), value('l', "lua", "string", "Path to lua script.")];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, mut outputs, stop, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut sender = Sender::new(&mut outputs[0]);
    let ran = run(&mut inputs[0], &mut sender, &settings, &stop);
    let code = ran.unwrap_or_else(|why| {
        eprintln!("{why}");
        1
    });
    if sender.finish() { code } else { code.max(1) }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut script, mut no_eof) = (String::new(), false);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'l' => script = given.value,
                _ => no_eof = true,
            }
        }
        if script.is_empty() {
            return Err(UsageError::NoScript);
        }
        Ok(Settings { script: script.into(), no_eof })
    }
}

/// Hands records to the script until the stream ends, `stop` is set or the script calls `os.exit`; answers the exit code.
///
/// # Errors
/// See [`LuaError`].
pub fn run(input: &mut Input, sender: &mut Sender<'_>, settings: &Settings, stop: &Stop) -> Result<u8, LuaError> {
    let mut script = match Script::load(Path::new(&settings.script), stop)? {
        (script, Called::Done) => script,
        (_, Called::Ended(code)) => return Ok(code),
    };
    let mut reader = Reader::new(input, "")?;
    let mut writer = Writer::default();
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    script.records_mut().set_input(view.template()).map_err(LuaError::Template)?;
                    if let Called::Ended(code) = script.call(Phase::Template)? {
                        return Ok(code);
                    }
                    let records = script.records();
                    // No record can be of an empty template, so nobody has to know it.
                    if !records.output().fields().is_empty() {
                        sender.set_template(records.output())?;
                    }
                    writer.recast = Recast::new(view.template(), records.output());
                }
                script.records_mut().set_record(&view);
                if let Called::Ended(code) = script.call(Phase::Record)? {
                    return Ok(code);
                }
                writer.write(&script.records(), &view, sender);
            }
            Step::Nothing => {}
            Step::End(end) => {
                if end == End::Sender && !settings.no_eof {
                    sender.send_eof();
                }
                return Ok(0);
            }
        }
    }
}

/// Sends what the script made of a record.
#[derive(Debug)]
struct Writer {
    /// For records that the script did not change.
    recast: Recast,
    record: Vec<u8>,
    /// A record too short to be one was told.
    has_told: bool,
}

impl Default for Writer {
    fn default() -> Self {
        let none = record::unirec::Template::default();
        Writer { recast: Recast::new(&none, &none), record: Vec::new(), has_told: false }
    }
}

impl Writer {
    fn write(&mut self, records: &records::Records, view: &View<'_>, sender: &mut Sender<'_>) {
        if records.is_dropped() {
            return;
        }
        let made = if records.has_changes() {
            assemble(records.output(), &mut self.record, |index| records.content(index, view))
                .map(|()| &self.record[..])
        } else {
            self.record.clear();
            self.recast.append(view, &mut self.record).map(|()| &self.record[..])
        };
        match made {
            // Receivers would take it for the end of the stream.
            Ok([] | [_]) => {
                sender.dropped += 1;
                if !self.has_told {
                    self.has_told = true;
                    eprintln!(
                        "Warning: records of less than 2 bytes cannot be sent: the script should leave more fields."
                    );
                }
            }
            Ok(record) => sender.send(record),
            Err(why) => sender.too_large(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map_err(|why| why.to_string())
        };
        assert_eq!(parse("-n --lua a.lua"), Ok(Settings { script: "a.lua".into(), no_eof: true }));
        assert_eq!(parse("-n").unwrap_err(), "Error: lua script path not specified");
        assert_eq!(parse("-x").unwrap_err(), "Error: invalid arguments\nunknown option -x: see the help (-h)");
    }
}
