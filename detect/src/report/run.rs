//! The life of a reporter: start, loop, signals, end (spec/idea.md section 1).
use super::action::{Scene, Setup};
use super::config::Config;
use super::options::{self, Given, Reporter, UsageError};
use super::source::{Refused, Source};
use super::{check, idea, log, validate};
use crate::modules::json_replay::EOS;
use serde_json::Value;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use signal_hook::flag;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use trap::module::{self, Count, Module, ModuleInfo};
use trap::{Event, Format, Input, Output, Stop, Timeout, TrapError};

/// A silent input looks at signals and at what waits this often, microseconds. The original's receive timeout is 3 s.
const POLL_MICROS: u64 = 500_000;
/// Format of the output.
const FORMAT: &str = "IDEA";

/// Runs a reporter with the arguments behind its name; `source` is made once the command line is known.
pub fn main(
    reporter: &Reporter,
    args: &[String],
    source: impl FnOnce(&Given) -> Result<Box<dyn Source>, String>,
) -> u8 {
    let args = crate::argparse::plain_ifcspec(args);
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        return start(reporter, false, &["-h".into()]).map_or_else(|code| code, |_| 0);
    }
    let given = match Given::parse(reporter, &args) {
        Ok(given) => given,
        Err(why) => {
            eprintln!("{}\n{why}", options::usage(reporter));
            return if why == UsageError::NoInterface { 1 } else { 2 };
        }
    };
    match begin(reporter, &given, source) {
        Ok(code) | Err(code) => code,
    }
}

fn begin(
    reporter: &Reporter,
    given: &Given,
    source: impl FnOnce(&Given) -> Result<Box<dyn Source>, String>,
) -> Result<u8, u8> {
    let failed = |why: &dyn std::fmt::Display| {
        eprintln!("Error: {why}");
        1
    };
    let stop = Stop::default();
    if given.is_dry {
        print(&load(reporter, given, &stop).map_err(|why| failed(&why))?.show());
        return Ok(0);
    }
    let spec = given.ifc_spec.clone().unwrap_or_default();
    let Module { mut inputs, mut outputs, stop, .. } = start(reporter, given.has_trap, &["-i".into(), spec])?;
    let input = inputs.first_mut().ok_or(1)?;
    if let Some(output) = outputs.first_mut() {
        output.set_format(Format::Json(FORMAT.into())).map_err(|why| failed(&why))?;
    }
    let config = load(reporter, given, &stop).map_err(|why| failed(&why))?;
    let source = source(given).map_err(|why| failed(&why))?;
    let signals = [AtomicBool::new(false), AtomicBool::new(false)].map(Arc::new);
    for (signal, seen) in [SIGUSR1, SIGUSR2].into_iter().zip(&signals) {
        flag::register(signal, Arc::clone(seen)).map_err(|why| failed(&why))?;
    }
    let output = outputs.first_mut();
    let mut run = Run {
        reporter,
        given,
        stop,
        config,
        source,
        signals,
        output,
        totals: Totals::default(),
        seen: None,
        next_look: None,
    };
    run.watch();
    let ended = run.receive(input);
    run.finish();
    let mut code = 0;
    if let Err(why) = ended {
        eprintln!("{}", why.recv_text());
        // A sender whose format does not fit ends it in order, as the original.
        code = u8::from(!matches!(why.code(), 24 | 25));
    }
    Ok(code.max(crate::sdk::finish(&mut outputs)))
}

/// Opens the interfaces; an error is the exit code.
fn start(reporter: &Reporter, has_trap: bool, args: &[String]) -> Result<Module, u8> {
    let info = ModuleInfo {
        name: reporter.name,
        description: reporter.about,
        inputs: Count::Exactly(1),
        outputs: Count::Exactly(has_trap.into()),
        params: reporter.params,
    };
    let argv = std::iter::once(reporter.name.to_owned()).chain(args.iter().cloned());
    module::start(&info, argv).map_err(|exit| u8::try_from(exit.report(&info)).unwrap_or(1))
}

fn load(reporter: &Reporter, given: &Given, stop: &Stop) -> Result<Config, super::config::ConfigError> {
    let mut setup = Setup::new(reporter.module, stop);
    setup.name = given.name.as_deref();
    setup.has_trap = given.has_trap;
    setup.warden = given.warden.as_deref();
    Config::load(&given.config, &mut setup)
}

/// What was done with what came.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    refused: u64,
    /// Messages whose times cannot be true.
    insane: u64,
    /// Messages that are not quite IDEA; they are reported all the same.
    invalid: u64,
}

struct Run<'a> {
    reporter: &'a Reporter,
    given: &'a Given,
    stop: Stop,
    config: Config,
    source: Box<dyn Source>,
    /// SIGUSR1 and SIGUSR2 came.
    signals: [Arc<AtomicBool>; 2],
    output: Option<&'a mut Output>,
    totals: Totals,
    /// When the configuration was written that is used.
    seen: Option<SystemTime>,
    /// When it is looked at next.
    next_look: Option<Instant>,
}

impl Run<'_> {
    fn receive(&mut self, input: &mut Input) -> Result<(), TrapError> {
        input.require(self.source.format());
        input.set_timeout(Timeout::Micros(POLL_MICROS));
        loop {
            match input.recv()? {
                Event::Message(message) => self.report(message),
                Event::FormatChanged { format, first } => match self.source.begin(format) {
                    Ok(()) => self.report(first),
                    Err(why) => self.refuse(&Refused(why)),
                },
                Event::Timeout => {}
                Event::EndOfStream => {
                    if let Some(output) = &mut self.output {
                        // A drop is counted by the output.
                        let _ = output.send(EOS);
                    }
                    return Ok(());
                }
                Event::Terminated => return Ok(()),
            }
            self.config.idle();
            self.look_around();
        }
    }

    fn report(&mut self, bytes: &[u8]) {
        let mut message = match self.source.convert(bytes) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(why) => return self.refuse(&why),
        };
        match &self.given.name {
            Some(name) => idea::set_node(&mut message, name),
            None => idea::set_node(&mut message, &format!("{}.{}", self.config.namespace, self.reporter.module)),
        }
        if self.given.checks_times && !check::times_are_sane(&message) {
            self.totals.insane += 1;
            log::error!("Invalid timestamps in skipped message: {}", idea::dump(&message));
            return;
        }
        self.validate(&message);
        self.config.run(&message, &mut Scene { output: self.output.as_deref_mut() });
    }

    fn validate(&mut self, message: &Value) {
        if let Some(fault) = validate::faults(message).into_iter().next() {
            self.totals.invalid += 1;
            if self.totals.invalid.is_power_of_two() {
                log::warning!("{} messages are not quite IDEA0: {fault}", self.totals.invalid);
            }
        }
    }

    fn refuse(&mut self, why: &Refused) {
        self.totals.refused += 1;
        if self.totals.refused.is_power_of_two() {
            log::warning!("{} records were not reported: {why}", self.totals.refused);
        }
    }

    /// Signals and changes of the configuration.
    fn look_around(&mut self) {
        let is_due = self.next_look.is_some_and(|at| Instant::now() >= at);
        if self.signals[0].swap(false, Ordering::Relaxed) || is_due {
            let now = written(&self.given.config);
            if now != self.seen {
                self.reload();
            }
            self.watch();
        }
        if self.signals[1].swap(false, Ordering::Relaxed) {
            print(&self.config.show());
        }
    }

    /// Notes when the configuration was written, and when to look again.
    fn watch(&mut self) {
        self.seen = written(&self.given.config);
        self.next_look = self.given.autoreload.map(|pause| Instant::now() + pause.max(Duration::from_millis(1)));
    }

    /// Reads the configuration again; one that is refused changes nothing.
    fn reload(&mut self) {
        match load(self.reporter, self.given, &self.stop) {
            Ok(config) => {
                // The new one has found what waits in files.
                self.config.finish(false);
                self.config = config;
            }
            Err(why) => log::error!("the configuration stays as it was: {why}"),
        }
    }

    fn finish(&mut self) {
        self.config.finish(true);
        let Totals { refused, insane, invalid } = self.totals;
        for (count, what) in [
            (refused, "records were not reported"),
            (insane, "messages were skipped for times that cannot be true"),
            (invalid, "messages were not quite IDEA0"),
        ] {
            if count > 0 {
                eprintln!("Warning: {count} {what}.");
            }
        }
    }
}

/// A reader of standard output that is gone is of no interest.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// When a file was written last.
fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}
