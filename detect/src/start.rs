//! From the command line to open interfaces: what every module does first (spec/trap.md section 1, spec/modules.md section 0).
//!
//! Stands in for `trap::module` until that is there; modules know only [`start`], [`Started::input`] and [`Started::output`].
use crate::options::Opt;
use std::ffi::OsString;
use trap::{IfcSpec, Input, InputDefaults, Output, OutputDefaults, Place, Spec, Stop, TrapError, log};

/// What a module is.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) options: &'static [Opt],
    /// Exit code when an interface cannot be opened; differs among the originals.
    pub(crate) init_failure: u8,
}

/// A module whose command line was understood.
#[derive(Debug)]
pub(crate) struct Started {
    info: &'static Info,
    interfaces: Vec<IfcSpec>,
    /// What `-i`, `-v` and `-h` left over.
    pub(crate) args: Vec<OsString>,
    /// Carries the stop flag, which SIGINT and SIGTERM set.
    pub(crate) place: Place,
}

/// Takes `-h`, `-i` and `-v` out of the arguments. An error is the exit code; everything was said.
pub(crate) fn start(info: &'static Info, args: &[OsString]) -> Result<Started, u8> {
    let mut args = args.to_vec();
    if args.iter().any(|a| a == "-h" || a == "--help") {
        print!("{}", help(info));
        return Err(0);
    }
    let refused = |why: &str| {
        eprintln!("ERROR in parsing of parameters for TRAP: {why}");
        1
    };
    let spec = match args.iter().position(|a| a == "-i") {
        Some(at) if at + 1 < args.len() => args.drain(at..at + 2).nth(1),
        _ => None,
    };
    let spec = spec.ok_or_else(|| refused("Interface specifier (option -i) not found."))?;
    for (level, word) in ["-v", "-vv", "-vvv"].iter().enumerate() {
        if let Some(at) = args.iter().position(|a| a == word) {
            args.remove(at);
            log::set_level(level as i8);
            break;
        }
    }
    let interfaces = Spec::parse(&spec.to_string_lossy()).map_err(|why| refused(&why.to_string()))?;
    let started = Started { info, interfaces, args, place: Place { stop: Stop::default(), ..Place::default() } };
    if started.interfaces.len() != info.inputs + info.outputs {
        let (inputs, outputs) = (info.inputs.to_string(), info.outputs.to_string());
        return Err(started.failed(&TrapError::BadCount { got: started.interfaces.len(), inputs, outputs }));
    }
    if let Err(why) = started.place.stop.on_signals() {
        eprintln!("Error: signals cannot be handled: {why}");
        return Err(1);
    }
    Ok(started)
}

impl Started {
    /// Opens an input; an error is the exit code.
    pub(crate) fn input(&self, at: usize) -> Result<Input, u8> {
        let place = Place { index: at, ..self.place.clone() };
        Input::open_at(&self.interfaces[at], &InputDefaults::default(), &place).map_err(|why| self.failed(&why))
    }

    /// Opens an output; an error is the exit code.
    pub(crate) fn output(&self, at: usize) -> Result<Output, u8> {
        let place = Place { index: at, ..self.place.clone() };
        let spec = &self.interfaces[self.info.inputs + at];
        Output::open_at(spec, OutputDefaults::default(), &place).map_err(|why| self.failed(&why))
    }

    pub(crate) fn is_verbose(&self) -> bool {
        log::level() >= 0
    }

    fn failed(&self, why: &TrapError) -> u8 {
        eprintln!("ERROR: {why}\nERROR in TRAP initialization: {}", why.summary());
        self.info.init_failure
    }
}

fn help(info: &Info) -> String {
    let mut text = format!(
        "Name: {}\nInputs: {}\nOutputs: {}\nDescription:\n  {}\n\nUsage:  {} -i IFC_SPEC [-v|-vv|-vvv] [OPTIONS]...\n\n",
        info.name, info.inputs, info.outputs, info.about, info.name
    );
    text.push_str("Parameters of module [OPTIONS]:\n-------------------------------\n");
    for opt in info.options {
        let value = if opt.value.is_empty() { String::new() } else { format!(" <{}>", opt.value) };
        let names = format!("-{}  --{}{value}", char::from(opt.short), opt.long);
        text.push_str(&format!("  {names:32} {}\n\n", opt.help));
    }
    text
}
