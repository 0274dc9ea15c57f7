//! How detectors run: start, settings, exit codes, a clock for what the originals do by the clock of the machine.
use crate::modules;
use crate::sdk::{self, ControlFlow, Failure, Reader, Record, View, Writer};
use record::unirec::Fields;
use std::fmt::Display;
use std::time::{Duration, Instant};
use trap::module::{Module, ModuleInfo};
use trap::{Input, Output, Timeout};

/// Runs a detector with one input and one output and answers its exit code: `usage_code` of the error for a command line that is
/// refused, 0 for a sender whose format does not fit, as in the originals, and 1 for any other failure.
pub(crate) fn run<S, E: Display>(
    info: &ModuleInfo,
    args: &[String],
    parse: impl FnOnce(&[String]) -> Result<S, E>,
    usage_code: impl FnOnce(&E) -> u8,
    detect: impl FnOnce(&mut Input, &mut Output, S) -> Result<(), Failure>,
) -> u8 {
    let (settings, Module { mut inputs, mut outputs, .. }) = match modules::begin(info, args, parse, usage_code) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Declared with one of each.
    let (Some(input), Some(output)) = (inputs.first_mut(), outputs.first_mut()) else { return 1 };
    let mut code = 0;
    if let Err(why) = detect(input, output, settings) {
        eprintln!("{why}");
        code = u8::from(!matches!(&why, Failure::Receive(error) if matches!(error.code(), 24 | 25)));
    }
    code.max(sdk::finish(&mut outputs))
}

/// What the originals see of a text: at most `max` bytes, up to a NUL.
pub(crate) fn c_text(bytes: &[u8], max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(max)];
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Seconds that passed since the detector started, for what the originals do by the clock of the machine. Steps of the
/// system's clock do not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Whole seconds.
    pub(crate) fn secs(&self) -> u64 {
        self.0.elapsed().as_secs()
    }
}

/// An interval of the machine's clock after which an aggregator sends what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    interval: Duration,
    began: Instant,
}

/// A silent input looks at the clock this often, at the latest.
const POLL: Duration = Duration::from_millis(500);

impl Window {
    /// Begins the first interval, and lets the input wake up to see its end.
    pub(crate) fn open(input: &mut Input, interval: Duration) -> Window {
        let poll = interval.clamp(Duration::from_millis(10), POLL);
        input.set_timeout(Timeout::Micros(poll.as_micros() as u64));
        Window::begin(interval)
    }

    /// Begins the first interval of a detector that looks at the clock with each record.
    pub(crate) fn begin(interval: Duration) -> Window {
        Window { interval, began: Instant::now() }
    }

    /// Whether the interval is over; the next one begins then.
    pub(crate) fn is_over(&mut self) -> bool {
        let is_over = self.began.elapsed() >= self.interval;
        if is_over {
            self.began = Instant::now();
        }
        is_over
    }
}

/// A detector of ours: it takes flows one by one and says what it found. Its time is that of the flows.
pub(crate) trait Watch {
    /// What it reads.
    type Flow: Fields;
    /// What it says.
    type Alert: Record;
    /// Takes a flow; alerts are appended.
    fn take(&mut self, flow: &Self::Flow, record: &View<'_>, alerts: &mut Vec<Self::Alert>);
    /// Says what was left out for want of room, when no more flows come.
    ///
    /// # Errors
    /// What was to be kept could not be.
    fn close(&mut self) -> Result<(), Failure>;
}

/// Runs a detector of ours with one input and one output. Receivers hear of the end if the sender said it.
pub(crate) fn watch<W: Watch, E: Display>(
    info: &ModuleInfo,
    args: &[String],
    parse: impl FnOnce(&[String]) -> Result<W, E>,
) -> u8 {
    run(
        info,
        args,
        parse,
        |_| 1,
        |input, output, mut watch| {
            let mut writer = Writer::new(output)?;
            let mut alerts = Vec::new();
            let ended = Reader::new(input).for_each(|flow: &W::Flow, record| {
                watch.take(flow, record, &mut alerts);
                alerts.drain(..).try_fold(ControlFlow::Continue(()), |step, alert| match step {
                    ControlFlow::Continue(()) => writer.send(&alert),
                    broken => Ok(broken),
                })
            });
            let closed = watch.close();
            writer.end(ended?)?;
            closed
        },
    )
}
