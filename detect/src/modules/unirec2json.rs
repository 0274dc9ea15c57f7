//! unirec2json: every UniRec record as a JSON object, with mappings of values (spec/modules.md section 20).
//!
//! Values are spelled as [`crate::pytrap`] says.
mod maps;

use super::begin;
use super::json_replay::EOS;
use crate::argparse::{self, ArgError, long_flag};
use crate::options::{flag, value};
use crate::pyjson::{Json, Text};
use crate::reading::{Next, ReadError, Reader};
use maps::{Cell, MapError};
pub use maps::{Maps, fuzz_maps};
use record::unirec::View;
use std::path::PathBuf;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{DropReason, Format, Input, Output, Sent, TrapError, log};

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Do not tell the receivers that the stream ends.
    pub no_eos: bool,
    pub maps: Option<PathBuf>,
    /// Specifier of the output's format.
    pub format: String,
    pub verbose: bool,
}

/// Why converting ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Map(#[from] MapError),
    #[error("Error: {0}")]
    Send(TrapError),
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub sent: u64,
    /// Objects that the output did not take.
    pub dropped: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends UniRec records as JSON objects.";

const INFO: ModuleInfo = ModuleInfo {
    name: "unirec2json",
    description: "Converts UniRec records to JSON objects with the names of the fields as keys.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    flag('n', "no-eos", "Do not send the message that ends the stream."),
    value('M', "maps", "string", "Load mappings from this JSON file and apply them: match, regex, timify."),
    value('f', "format", "string", "Specifier of the output's format; must be what the receiving module requires."),
    long_flag("verbose", "As -v: print messages."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("unirec2json: error: {why}"));
    let args = argparse::plain_ifcspec(args);
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, &args, parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let maps = match settings.maps.as_deref().map(Maps::load).transpose() {
        Ok(maps) => maps.unwrap_or_default(),
        Err(why) => {
            eprintln!("{why}");
            return 1;
        }
    };
    let mut code = 0;
    match run(&mut inputs[0], &mut outputs[0], &settings, &maps) {
        Ok(totals) if totals.dropped > 0 => eprintln!("Warning: {} messages were not sent.", totals.dropped),
        Ok(_) => {}
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
    pub fn parse(args: &[String]) -> Result<Settings, ArgError> {
        let mut settings = Settings { verbose: log::level() >= 0, ..Settings::default() };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            match name {
                "no-eos" => settings.no_eos = true,
                "maps" => settings.maps = Some(value.into()),
                "format" => settings.format = value,
                _ => settings.verbose = true,
            }
        }
        Ok(settings)
    }
}

/// Converts until the stream ends or the stop flag is set.
pub fn run(input: &mut Input, output: &mut Output, settings: &Settings, maps: &Maps) -> Result<Totals, ConvertError> {
    output.set_format(Format::Json(settings.format.clone())).map_err(ConvertError::Send)?;
    let mut reader = Reader::new(input, "")?;
    let mut totals = Totals::default();
    let mut text = String::new();
    loop {
        let view = match reader.read()? {
            Next::Record { view, .. } => view,
            Next::Nothing | Next::Damaged => continue,
            Next::Stopped => break,
            Next::Eof => {
                if !settings.no_eos && output.send(EOS) != Sent::Sent {
                    totals.dropped += 1;
                }
                break;
            }
        };
        text.clear();
        object(&view, maps)?.dump(&mut text);
        if settings.verbose {
            println!("{text}");
        }
        match output.send(text.as_bytes()) {
            Sent::Sent => totals.sent += 1,
            Sent::Dropped(DropReason::Terminated | DropReason::Finished) => {
                totals.dropped += 1;
                break;
            }
            // A JSON text may be longer than its record.
            Sent::Dropped(_) => totals.dropped += 1,
        }
    }
    output.flush().map_err(ConvertError::Send)?;
    Ok(totals)
}

/// The record as an object, in template order, mapped values behind it.
fn object(view: &View<'_>, maps: &Maps) -> Result<Json, MapError> {
    let mut cells: Vec<_> = view.iter().map(|(field, datum)| (field.name.as_str(), Cell::Field(datum))).collect();
    maps.apply(&mut cells)?;
    let members = cells.into_iter().map(|(name, cell)| (Text::new(name), cell.into_json()));
    Ok(Json::Object(members.collect()))
}
