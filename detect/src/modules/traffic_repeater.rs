//! traffic_repeater: every message of the input, sent on as it is (spec/modules.md section 3).
use super::start;
use crate::options::flag;
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{DropReason, Event, Format, Input, Output, Sent, SentBatch, TrapError, log};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages received, the end-of-stream message among them.
    pub received: u64,
    /// Messages that the output took, likewise.
    pub sent: u64,
    /// Messages that the output did not take, and receives in vain.
    pub timeouts: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends every message of its input on as it is.";

const INFO: ModuleInfo = ModuleInfo {
    name: "traffic_repeater",
    description: "Receives data from an input interface and sends it to an output interface as it is.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[flag('n', "no-eof", "Do not forward the message that ends the stream.")];

/// Runs the module; see [`super::Module::run`]. Like the original it ends with 0 whatever ended it, and ignores unknown options.
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, mut outputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let forwards_eof = !args[1..].iter().take_while(|a| *a != "--").any(|a| is_no_eof(a));
    let begun = Instant::now();
    let (totals, ended) = run(&mut inputs[0], &mut outputs[0], forwards_eof);
    if let Err(why) = ended {
        eprintln!("{}", why.recv_text());
    }
    report(&totals, begun.elapsed());
    if let Err(why) = outputs[0].finish() {
        eprintln!("Error: {why}");
    }
    0
}

/// Repeats until the stream ends, the stop flag is set or the input fails.
pub fn run(input: &mut Input, output: &mut Output, forwards_eof: bool) -> (Totals, Result<(), TrapError>) {
    input.require(Format::UniRec(String::new()));
    let mut totals = Totals::default();
    let ended = repeat(input, output, forwards_eof, &mut totals);
    let ended = ended.and(output.flush());
    (totals, ended)
}

fn repeat(input: &mut Input, output: &mut Output, forwards_eof: bool, totals: &mut Totals) -> Result<(), TrapError> {
    loop {
        let event = match input.recv_now()? {
            Event::Timeout => {
                // Nothing waits: what was gathered goes out before the wait.
                output.flush()?;
                input.recv()?
            }
            event => event,
        };
        let message = match event {
            Event::Message(message) => message,
            Event::FormatChanged { format, first } => {
                output.set_format(Format::UniRec(format.spec().to_owned()))?;
                first
            }
            Event::Timeout => {
                totals.timeouts += 1;
                println!("trap_recv timeout");
                continue;
            }
            Event::EndOfStream => {
                totals.received += 1;
                if log::level() >= 0 {
                    eprintln!("Info: Final record received, terminating repeater...");
                }
                if forwards_eof {
                    // A stream without records told its format all the same.
                    if *output.format() == Format::Unknown && *input.format() != Format::Unknown {
                        output.set_format(input.format().clone())?;
                    }
                    count(output.send_eof(), totals);
                }
                return Ok(());
            }
            Event::Terminated => return Ok(()),
        };
        totals.received += 1;
        if !count(output.send(message), totals) {
            return Ok(());
        }
        // The rest of its container goes on as it lies there.
        while let Some(batch) = input.batch() {
            let SentBatch { sent, dropped, is_over } = output.send_batch(&batch);
            totals.received += sent + dropped;
            totals.sent += sent;
            totals.timeouts += dropped;
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Counts a message; false when nothing can be sent any more.
fn count(sent: Sent, totals: &mut Totals) -> bool {
    match sent {
        Sent::Sent => totals.sent += 1,
        Sent::Dropped(_) => totals.timeouts += 1,
    }
    !matches!(sent, Sent::Dropped(DropReason::Terminated | DropReason::Finished))
}

/// The lines of the original, which takes one message off for the end of the stream, also when none came.
fn report(totals: &Totals, elapsed: Duration) {
    eprintln!("Info: Flows received:  {:16}", totals.received.saturating_sub(1));
    eprintln!("Info: Flows sent:      {:16}", totals.sent.saturating_sub(1));
    eprintln!("Info: Timeouts:        {:16}", totals.timeouts);
    eprintln!("Info: Time elapsed:    {:12}.{:03}s", elapsed.as_secs(), elapsed.subsec_millis());
}

/// `-n`, also among joined letters, or the long name shortened; everything else is ignored.
fn is_no_eof(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(long) => !long.is_empty() && "no-eof".starts_with(long),
        None => word.strip_prefix('-').is_some_and(|letters| letters.contains('n')),
    }
}
