//! demux: what mux joined, each message on the output of its number (spec/modules.md section 16).
use super::start;
use crate::links;
use crate::muxed::{self, Header, Meaning, Payload};
use record::unirec::Template;
use trap::module::{Count, Module, ModuleInfo};
use trap::{Event, Format, Input, Output, Sent, Timeout, TrapError, log};

/// One line for lists of modules.
pub const ABOUT: &str = "Takes apart what mux joined.";

const INFO: ModuleInfo = ModuleInfo {
    name: "demux",
    description: "This module splits united input to more outputs: each message goes to the output whose number mux gave it.",
    inputs: Count::Exactly(1),
    outputs: Count::Variable,
    params: links::PARAMS,
};

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let links = match links::read(&INFO, "output", args) {
        Ok(links) => links,
        Err(code) => return code,
    };
    let info = ModuleInfo { outputs: Count::Exactly(links), ..INFO };
    let Module { mut inputs, mut outputs, .. } = match start(&info, args, 3) {
        Ok(module) => module,
        Err(code) => return code,
    };
    for output in &mut outputs {
        output.set_timeout(Timeout::NoWait);
    }
    let ran = run(&mut inputs[0], &mut outputs);
    if let Ok(totals) = &ran
        && totals.invalid > 0
    {
        eprintln!("Warning: {} messages were not valid.", totals.invalid);
    }
    let mut code = 0;
    let finished = outputs.iter_mut().map(|output| output.finish().map(|stats| muxed::say_missed(&stats)));
    for result in std::iter::once(ran.map(|_| ())).chain(finished) {
        if let Err(why) = result {
            eprintln!("Error: {why}");
            code = 1;
        }
    }
    code
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub forwarded: u64,
    /// Not taken by their output: not told its format yet, or too long.
    pub dropped: u64,
    /// No message of mux, or of a link that is not there.
    pub invalid: u64,
}

/// Takes the input apart until it ends or the stop flag is set. The end of one link's stream is passed on and ends nothing.
///
/// # Errors
/// The input sends another format, or breaks.
pub fn run(input: &mut Input, outputs: &mut [Output]) -> Result<Totals, TrapError> {
    input.require(Format::Raw);
    let mut totals = Totals::default();
    let mut templates: Vec<Option<Template>> = vec![None; outputs.len()];
    loop {
        let message = match input.recv()? {
            Event::Message(message) | Event::FormatChanged { first: message, .. } => message,
            Event::Timeout => continue,
            Event::EndOfStream | Event::Terminated => return Ok(totals),
        };
        if !forward(message, outputs, &mut templates, &mut totals) {
            totals.invalid += 1;
            if totals.invalid.is_power_of_two() {
                eprintln!("ERROR: Received message is not valid!");
            }
        }
    }
}

/// Passes one message on; false if it means nothing.
fn forward(message: &[u8], outputs: &mut [Output], templates: &mut [Option<Template>], totals: &mut Totals) -> bool {
    let Some((header, payload)) = Header::split(message) else { return false };
    let number = usize::from(header.interface);
    let (Some(output), Some(template)) = (outputs.get_mut(number), templates.get_mut(number)) else { return false };
    match header.meaning {
        Meaning::Failed => return false,
        Meaning::Hello => {
            if log::level() >= 0 {
                println!(
                    "Hello message has been received. Setting data format for the output interface with index {number}"
                );
            }
            let Some(format) = muxed::format_of(header.format, payload) else { return false };
            *template = match &format {
                Format::UniRec(spec) => Template::parse(spec).ok(),
                _ => None,
            };
            return output.set_format(format).is_ok();
        }
        Meaning::Data => {
            let sent = match muxed::payload_of(template.as_ref(), payload) {
                Payload::Record(record) => output.send(record),
                Payload::EndOfStream => output.send_eof(),
            };
            match sent {
                Sent::Sent => totals.forwarded += 1,
                Sent::Dropped(_) => totals.dropped += 1,
            }
        }
    }
    true
}
