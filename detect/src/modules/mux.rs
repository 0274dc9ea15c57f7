//! mux: the messages of several inputs on one output, each with the number of its input (spec/modules.md section 16).
use super::start;
use crate::links;
use crate::muxed::{self, HEADER, Header, Meaning};
use record::unirec::RECORD_MAX;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use trap::module::{Count, Module, ModuleInfo};
use trap::{Event, Format, IfcType, Input, Output, Sent, Timeout, TrapError, log};

/// Bytes of messages that an input gathers before it asks for the output, also while more waits.
const BATCH: usize = 64 * 1024;

/// One line for lists of modules.
pub const ABOUT: &str = "Joins several inputs to one output, for demux.";

const INFO: ModuleInfo = ModuleInfo {
    name: "mux",
    description: "This module unites more input interfaces into one output interface. Each message carries the number of its input; \
                  demux takes them apart again.",
    inputs: Count::Variable,
    outputs: Count::Exactly(1),
    params: links::PARAMS,
};

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let links = match links::read(&INFO, "input", args) {
        Ok(links) => links,
        Err(code) => return code,
    };
    let info = ModuleInfo { inputs: Count::Exactly(links), ..INFO };
    let Module { inputs, mut outputs, .. } = match start(&info, args, 3) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let output = &mut outputs[0];
    output.set_timeout(Timeout::NoWait);
    let ran = run(inputs, output);
    let finished = output.finish().map(|stats| muxed::say_missed(&stats));
    for result in [ran, finished] {
        if let Err(why) = result {
            eprintln!("Error: {why}");
            return 1;
        }
    }
    0
}

/// Joins the inputs until the stop flag is set; inputs that read files end with these. The end of a stream is passed on and ends nothing.
///
/// # Errors
/// The output cannot be told its format.
pub fn run(inputs: Vec<Input>, output: &mut Output) -> Result<(), TrapError> {
    output.set_format(Format::Raw)?;
    let output = Mutex::new(output);
    thread::scope(|scope| {
        for (number, input) in (0..).zip(inputs) {
            let link = Link { number, output: &output, batch: Vec::with_capacity(2 * BATCH), ends: Vec::new() };
            scope.spawn(move || link.work(input));
        }
    });
    let output = output.into_inner().unwrap_or_else(PoisonError::into_inner);
    output.flush()
}

/// One input's way to the output. Messages are gathered, because a lock for each would make the inputs wait for each other.
struct Link<'o, 'm> {
    number: u16,
    output: &'o Mutex<&'m mut Output>,
    /// Messages one behind the other.
    batch: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Link<'_, '_> {
    fn work(mut self, mut input: Input) {
        input.require(Format::UniRec(String::new()));
        let is_file = input.kind() == IfcType::File;
        while self.step(&mut input, is_file) {}
        self.flush();
    }

    /// Takes one message; false at the end.
    fn step(&mut self, input: &mut Input, is_file: bool) -> bool {
        let event = match input.recv_now() {
            Ok(Event::Timeout) => {
                // Nothing waits: what was gathered goes out before the wait.
                self.flush();
                input.recv()
            }
            event => event,
        };
        match event {
            Ok(Event::Message(message)) => self.add(Meaning::Data, &[message]),
            Ok(Event::FormatChanged { format, first }) => {
                if log::level() >= 0 {
                    println!("Data format has been changed. Sending hello message");
                }
                let spec = format.spec().to_owned();
                self.add(Meaning::Hello, &[spec.as_bytes(), &[0]]);
                self.add(Meaning::Data, &[first]);
            }
            Ok(Event::EndOfStream) => {
                self.add(Meaning::Data, &[&[0]]);
                return !is_file;
            }
            Ok(Event::Timeout) => {}
            Ok(Event::Terminated) => return false,
            Err(why) => {
                // The input tries again a second later, or goes on with its next file.
                eprintln!("ERROR: Undefined option on input interface {}: {why}", self.number);
                self.add(Meaning::Failed, &[]);
            }
        }
        true
    }

    fn add(&mut self, meaning: Meaning, payload: &[&[u8]]) {
        // Only UniRec is required, so only UniRec comes.
        let format = Format::UniRec(String::new()).type_byte();
        let header = Header { meaning, interface: self.number, format };
        if self.batch.len() + HEADER + RECORD_MAX > self.batch.capacity() {
            self.flush();
        }
        self.batch.extend_from_slice(&header.to_bytes());
        payload.iter().for_each(|part| self.batch.extend_from_slice(part));
        self.ends.push(self.batch.len());
    }

    fn flush(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let mut output: MutexGuard<'_, _> = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        for end in self.ends.drain(..) {
            // What nobody takes in time is missed, as the option of the output says; what is too long is counted and said there.
            let _: Sent = output.send(&self.batch[start..end]);
            start = end;
        }
        self.batch.clear();
    }
}
