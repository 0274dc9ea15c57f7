//! The work that both faces of the exporter share: sources through a lane into outputs, until the end or Ctrl-C.
use dataplane::batch::Batch;
use dataplane::capture::{CaptureError, CaptureSource, CaptureStats, FileSource, Poll};
use dataplane::export::Exporter;
use dataplane::flow::key::HashSeed;
use dataplane::lane::{Lane, LaneConfig, LaneError, LaneReport};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trap::Stop;

/// Outputs are asked to send what waits after this long (spec/exporter.md section 11).
const TICK: Duration = Duration::from_secs(2);
/// Bursts between two looks at the clock.
const BURSTS_PER_LOOK: u32 = 256;
/// A run shorter than this shows no progress bar.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);

/// What is to be done.
pub(crate) struct Job {
    pub(crate) lane: LaneConfig,
    pub(crate) inputs: Vec<(String, FileSource)>,
    pub(crate) outputs: Vec<Box<dyn Exporter>>,
    /// Flows per second at the most, 0 = no limit.
    pub(crate) flows_per_sec: u32,
    pub(crate) progress: bool,
    pub(crate) stop: Stop,
}

/// What became of one input.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) taken: CaptureStats,
    pub(crate) report: LaneReport,
    pub(crate) error: Option<CaptureError>,
    /// Time spent on its packets.
    pub(crate) time: Duration,
}

/// What became of the job.
pub(crate) struct Outcome {
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Box<dyn Exporter>>,
    /// Stopped by a signal; with how many flows that were still live and exported then.
    pub(crate) interrupted: Option<usize>,
    pub(crate) time: Duration,
}

impl Outcome {
    /// Records that were lost on the way out.
    pub(crate) fn lost(&self) -> u64 {
        self.outputs.iter().map(|o| o.books().lost()).sum()
    }
    pub(crate) fn broken_input(&self) -> bool {
        self.inputs.iter().any(|i| i.error.is_some())
    }
}

/// Runs the inputs one after the other, each with a flow cache of its own, into all outputs.
pub(crate) fn run(job: Job) -> Result<Outcome, LaneError> {
    let started = Instant::now();
    let mut sinks = Sinks { outputs: job.outputs, pace: Pace::new(job.flows_per_sec), stop: job.stop.clone() };
    let mut outcome = Outcome { inputs: Vec::new(), outputs: Vec::new(), interrupted: None, time: Duration::ZERO };
    for (name, source) in job.inputs {
        let mut lane = Lane::with_seed(&job.lane, HashSeed::FILES)?;
        let bar = if job.progress { bar(&source, &name) } else { None };
        let input = one(name, source, &mut lane, &mut sinks, bar, &job.stop, &mut outcome.interrupted);
        outcome.inputs.push(input);
        if job.stop.is_set() {
            break;
        }
    }
    for output in &mut sinks.outputs {
        output.finish(unix_secs());
    }
    outcome.outputs = sinks.outputs;
    outcome.time = started.elapsed();
    Ok(outcome)
}

fn one(
    name: String,
    mut source: FileSource,
    lane: &mut Lane,
    sinks: &mut Sinks,
    bar: Option<ProgressBar>,
    stop: &Stop,
    interrupted: &mut Option<usize>,
) -> Input {
    let started = Instant::now();
    let mut looks = Looks { bursts: 0, ticked: started, started };
    let error = loop {
        if stop.is_set() {
            break None;
        }
        match lane.step(&mut source) {
            // A silent source has waited a little already.
            Ok(Poll::More | Poll::Idle) => {}
            Ok(Poll::End) => break None,
            Err(e) => break Some(e),
        }
        if lane.batch().is_full() {
            sinks.take(lane.batch());
        }
        looks.look(sinks, &source, bar.as_ref());
    };
    if stop.is_set() {
        *interrupted = Some(lane.report(&source).live);
    }
    lane.finish(|batch| sinks.take(batch));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Input { name, taken: source.stats(), report: lane.report(&source), error, time: started.elapsed() }
}

/// All outputs behind one pace.
struct Sinks {
    outputs: Vec<Box<dyn Exporter>>,
    pace: Pace,
    stop: Stop,
}

impl Sinks {
    fn take(&mut self, batch: &mut Batch) {
        self.pace.wait(batch.flows().len() as u64, &self.stop);
        for output in &mut self.outputs {
            output.export(batch);
        }
        batch.clear();
    }
}

/// Keeps the rate of exported flows below a limit: the n-th flow leaves no earlier than n / limit seconds after the first.
struct Pace {
    limit: u32,
    sent: u64,
    began: Option<Instant>,
}

impl Pace {
    fn new(limit: u32) -> Pace {
        Pace { limit, sent: 0, began: None }
    }

    fn wait(&mut self, flows: u64, stop: &Stop) {
        if self.limit == 0 {
            return;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        let due = Duration::from_secs_f64(self.sent as f64 / self.limit as f64);
        while let Some(left) = due.checked_sub(began.elapsed())
            && !left.is_zero()
            && !stop.is_set()
        {
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        self.sent += flows;
    }
}

/// What is done now and then: flush the outputs, move the progress bar.
struct Looks {
    bursts: u32,
    ticked: Instant,
    started: Instant,
}

impl Looks {
    fn look(&mut self, sinks: &mut Sinks, source: &FileSource, bar: Option<&ProgressBar>) {
        self.bursts += 1;
        if self.bursts < BURSTS_PER_LOOK {
            return;
        }
        self.bursts = 0;
        let now = Instant::now();
        if now - self.ticked >= TICK {
            self.ticked = now;
            for output in &mut sinks.outputs {
                output.tick(unix_secs());
            }
        }
        if let (Some(bar), Some((done, _))) = (bar, source.progress())
            && now - self.started >= PROGRESS_AFTER
        {
            bar.set_position(done);
        }
    }
}

/// A bar on standard error, if that is a terminal and the size of the input is known.
fn bar(source: &FileSource, name: &str) -> Option<ProgressBar> {
    let (_, total) = source.progress()?;
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}").ok()?;
    Some(ProgressBar::new(total).with_style(style).with_message(name.to_string()))
}

pub(crate) fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
