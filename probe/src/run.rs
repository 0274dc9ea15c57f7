//! The work that both faces of the exporter share: sources through lanes into outputs, until the end or Ctrl-C.
mod outcome;
pub(crate) use outcome::{Input, Outcome};

use crate::page::{Meter, NoPage, PageFile};
use crate::privileges::{Kept, Privileges};
use dataplane::batch::Batch;
use dataplane::capture::live::IDLE;
use dataplane::capture::{AnySource, CaptureError, CaptureSource, CaptureStats, Poll};
use dataplane::cpus;
use dataplane::export::ring::{self, LaneEnd, Output, Overflow, RingConfig, RingError, TICK};
use dataplane::flow::CacheConfig;
use dataplane::flow::key::HashSeed;
use dataplane::flow::offload::Lending;
use dataplane::lane::{Lane, LaneConfig, LaneError, LaneReport, Share};
use indicatif::{ProgressBar, ProgressStyle};
use record::Time;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trap::Stop;

/// Bursts between two looks at the clock. A burst from a live source may have waited for its packets.
const BURSTS_PER_LOOK: u32 = 256;
const LIVE_BURSTS_PER_LOOK: u32 = 8;
/// In how long the whole flow table of a live lane is looked through for quiet flows, however few packets come.
const ROUND: Duration = Duration::from_secs(1);
/// How long a live source that was closed may be silent before its end.
const CLOSING: Duration = Duration::from_secs(2);
/// A run shorter than this shows no progress bar.
const PROGRESS_AFTER: Duration = Duration::from_millis(500);

/// What is to be done.
pub(crate) struct Job {
    pub(crate) lane: LaneConfig,
    pub(crate) inputs: Vec<Source>,
    pub(crate) outputs: Vec<Output>,
    /// All inputs at a time, each with lanes of its own; otherwise one after the other.
    pub(crate) side_by_side: bool,
    pub(crate) overflow: Overflow,
    /// Flows per second at the most, 0 = no limit.
    pub(crate) flows_per_sec: u32,
    pub(crate) progress: bool,
    /// Live inputs end after this time.
    pub(crate) duration: Option<Duration>,
    pub(crate) stop: Stop,
    /// The name of its page (`sonda top`); without one the page is named after the process.
    pub(crate) name: Option<String>,
    /// What runs, for the title of the page.
    pub(crate) tool: &'static str,
    /// Threads beside the lanes, by name; they begin when all is open and are not waited for.
    pub(crate) beside: Vec<(&'static str, Work)>,
    /// What is done with the privileges of a live run before its first packet.
    pub(crate) privileges: Privileges,
}

impl Job {
    fn is_live(&self) -> bool {
        self.inputs.iter().flat_map(|input| &input.readers).any(|reader| reader.source.is_live())
    }

    fn title(&self) -> String {
        let kept = if self.is_live() && self.privileges.keep { " (privileges kept)" } else { "" };
        format!("{}{kept}", self.tool)
    }
}

/// What a thread does.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// An input as its lanes read it.
pub(crate) struct Source {
    pub(crate) name: String,
    /// Number of its interface in flow records; of a file, of the first one, from which the others count on.
    pub(crate) interface: u32,
    /// One for each lane. Of a file each reads all and keeps its share of the packets (ARCHITECTURE.md, "Many lanes"); a live one has
    /// packets of its own, which are all for its lane.
    pub(crate) readers: Vec<Reader>,
}

pub(crate) struct Reader {
    pub(crate) source: AnySource,
    /// The processor of the lane's thread, if that matters.
    pub(crate) cpu: Option<usize>,
    /// Its part in offloading flows, if there is any.
    pub(crate) lending: Option<Lending>,
}

impl Reader {
    pub(crate) fn new(source: AnySource, cpu: Option<usize>) -> Reader {
        Reader { source, cpu, lending: None }
    }
}

/// Why a job cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Outputs(#[from] RingError),
    #[error(transparent)]
    Page(#[from] NoPage),
    #[error("no thread for the {name}: {cause}")]
    Thread { name: &'static str, cause: std::io::Error },
    #[error(transparent)]
    Privileges(#[from] Kept),
}

/// Runs the inputs, each with flow caches of its own, into all outputs.
pub(crate) fn run(mut job: Job) -> Result<Outcome, RunError> {
    let notice = job.privileges.give_up(&job.inputs)?;
    if let Some(notice) = notice.filter(|_| job.progress || job.privileges.keep) {
        eprintln!("sonda {}: {notice}", job.tool);
    }
    let page = page(&mut job)?;
    let privileges_kept = job.is_live() && job.privileges.keep;
    for (name, work) in job.beside {
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(work).map_err(|cause| RunError::Thread { name, cause })?;
    }
    let groups: Vec<Vec<Source>> =
        if job.side_by_side { vec![job.inputs] } else { job.inputs.into_iter().map(|input| vec![input]).collect() };
    let lanes = groups.iter().map(|group| group.iter().map(|input| input.readers.len()).sum()).max().unwrap_or(1);
    let config = RingConfig {
        overflow: job.overflow,
        flows_per_sec: job.flows_per_sec,
        stop: job.stop.clone(),
        ..RingConfig::default()
    };
    let (threads, mut ends) = ring::start(job.outputs, lanes, &config)?;
    let mut inputs = Vec::new();
    let mut live = 0;
    let mut failed = None;
    // Lanes that had their turn: the next input's have the places behind theirs in the page.
    let mut lanes_done = 0;
    for group in groups {
        let meter = |lane: usize| page.as_ref().map(|page| Meter::new(page, lanes_done + lane, Instant::now()));
        let lanes = group.iter().map(|input| input.readers.len()).sum::<usize>();
        let end = End { stop: &job.stop, after: job.duration };
        let done = together(group, &mut ends, &job.lane, job.progress, end, meter);
        lanes_done += lanes;
        match done {
            Ok(done) => done.into_iter().for_each(|(input, left)| {
                inputs.push(input);
                live += left;
            }),
            Err(e) => failed = Some(e),
        }
        if failed.is_some() || job.stop.is_set() {
            break;
        }
    }
    let interrupted = job.stop.is_set().then_some(live);
    let (outputs, batches_out) = threads.finish(ends);
    match failed {
        Some(e) => Err(e.into()),
        None => Ok(Outcome { inputs, outputs, batches_out, privileges_kept, interrupted }),
    }
}

/// The page of a run. One that cannot be had is missed only where its name was asked for.
fn page(job: &mut Job) -> Result<Option<Arc<PageFile>>, NoPage> {
    let lanes = job.inputs.iter().flat_map(|input| input.readers.iter().map(|_| input.name.clone())).collect();
    let page = match PageFile::create(job.name.as_deref(), job.title(), lanes, &job.outputs) {
        Ok(page) => Arc::new(page),
        Err(why) if job.name.is_some() => return Err(why),
        Err(why) => {
            if job.progress && job.is_live() {
                eprintln!("sonda top will not see this run: {why}");
            }
            return Ok(None);
        }
    };
    job.outputs.iter_mut().enumerate().for_each(|(index, output)| page.watch(index, output));
    Ok(Some(page))
}

/// When live lanes stop.
#[derive(Clone, Copy)]
struct End<'s> {
    stop: &'s Stop,
    after: Option<Duration>,
}

/// One lane at work.
struct Task<'e> {
    lane: Lane,
    source: AnySource,
    way: Way<'e>,
    bar: Option<ProgressBar>,
}

/// Where a lane's flows go when they end.
struct Way<'e> {
    end: &'e mut LaneEnd,
    meter: Option<Meter>,
}

impl Way<'_> {
    fn give(&mut self, batch: &mut Batch) {
        if let Some(meter) = &mut self.meter {
            meter.watch(batch);
        }
        self.waiting(|end, waits| end.give_or_wait(batch, waits));
    }

    fn look(&mut self, now: Instant) {
        self.waiting(|end, waits| end.look(now, waits));
    }

    /// What may have to wait for an output: the lane is no stuck one then.
    fn waiting(&mut self, work: impl FnOnce(&mut LaneEnd, &mut dyn FnMut())) {
        let Some(meter) = &mut self.meter else { return work(self.end, &mut || ()) };
        let rested = meter.rests();
        work(self.end, &mut || meter.rest(true));
        if meter.rests() != rested {
            meter.rest(rested);
        }
    }

    /// Nothing more is published until the end.
    fn rest(&mut self) {
        self.meter.iter_mut().for_each(|meter| meter.rest(true));
    }
}

/// What a lane's work came to.
struct Done {
    live_source: bool,
    cut: bool,
    /// Its counters are read when all lanes of the input have ended: until then the program counts other lanes' flows on its queues.
    source: AnySource,
    report: LaneReport,
    error: Option<CaptureError>,
    time: Duration,
    /// Flows that were live when it was stopped.
    live: usize,
}

/// Runs the lanes of some inputs at a time; answers the inputs, each with the flows that were live when a signal stopped it.
fn together(
    inputs: Vec<Source>,
    ends: &mut [LaneEnd],
    config: &LaneConfig,
    progress: bool,
    until: End<'_>,
    meter: impl Fn(usize) -> Option<Meter>,
) -> Result<Vec<(Input, usize)>, LaneError> {
    let alone = inputs.len() == 1;
    let mut counts = Vec::new();
    let mut readers = Vec::new();
    for input in inputs {
        let of = input.readers.len() as u32;
        for (index, reader) in (0..of).zip(input.readers) {
            let share = if reader.source.is_live() { Share::WHOLE } else { Share::new(index, of).unwrap_or_default() };
            let bar = if progress && alone && index == 0 { bar(&reader.source, &input.name) } else { None };
            let cache = CacheConfig { interface: input.interface, ..config.cache };
            let config = LaneConfig { share, cache, ..config.clone() };
            readers.push((reader.cpu, (config, reader.source, reader.lending, bar)));
        }
        counts.push((input.name, of as usize));
    }
    // A lane takes its table on the processor that it will work on: the kernel gives pages of the NUMA node that touches them first
    // (numa(7)). Only when all lanes have theirs does one of them read.
    let made = on_cpus(readers, |cpu, (config, source, lending, bar)| {
        // Nobody can choose packets against a seed that was drawn for this run; of a file, runs are the same.
        let seed = if source.is_live() { HashSeed::random() } else { HashSeed::FILES };
        let mut lane = Lane::with_seed(&config, seed)?;
        lending.into_iter().for_each(|lending| lane.lend(lending));
        Ok((cpu, (lane, source, bar)))
    });
    let made: Vec<_> = made.into_iter().collect::<Result<_, LaneError>>()?;
    let ways = ends.iter_mut().enumerate().map(|(index, end)| Way { end, meter: meter(index) });
    let tasks = made.into_iter().zip(ways);
    let tasks = tasks.map(|((cpu, (lane, source, bar)), way)| (cpu, Task { lane, source, way, bar })).collect();
    let mut done = on_cpus(tasks, |_, task| task.run(until)).into_iter();
    let inputs =
        counts.into_iter().map(|(name, lanes)| sum(name, done.by_ref().take(lanes).collect(), until.stop.is_set()));
    Ok(inputs.collect())
}

/// Does the same to all items, each on a thread of its own on its processor; a single one that may run anywhere stays on this thread.
fn on_cpus<T: Send, R: Send>(
    mut items: Vec<(Option<usize>, T)>,
    work: impl Fn(Option<usize>, T) -> R + Sync,
) -> Vec<R> {
    if let [(None, _)] = items[..]
        && let Some((cpu, item)) = items.pop()
    {
        return vec![work(cpu, item)];
    }
    std::thread::scope(|scope| {
        let start = |(cpu, item)| {
            let work = &work;
            scope.spawn(move || {
                cpus::pin(cpu);
                work(cpu, item)
            })
        };
        let threads: Vec<_> = items.into_iter().map(start).collect();
        // A lane's panic is the program's, as it would be without threads.
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// The lanes of an input taken together. Of a file all have read the same, unless a signal stopped each at a place of its own.
fn sum(name: String, lanes: Vec<Done>, stopped: bool) -> (Input, usize) {
    let mut input = Input {
        name,
        live: false,
        cut: false,
        taken: CaptureStats::default(),
        report: LaneReport::default(),
        lanes: Vec::new(),
        error: None,
        time: Duration::ZERO,
    };
    let mut live = 0;
    for (index, lane) in lanes.into_iter().enumerate() {
        input.live |= lane.live_source;
        input.cut |= lane.cut;
        if index == 0 || lane.live_source {
            input.taken.merge(&lane.source.stats());
        }
        input.report.merge(&lane.report);
        input.time = input.time.max(lane.time);
        input.error = input.error.or(lane.error);
        input.lanes.push(lane.report);
        live += lane.live;
    }
    if stopped && input.lanes.len() > 1 && !input.live {
        input.taken.packets = input.report.packets.taken;
    }
    (input, live)
}

impl Task<'_> {
    fn run(mut self, until: End<'_>) -> Done {
        let started = Instant::now();
        let live_source = self.source.is_live();
        let mut looks = Looks::new(started, live_source);
        let over = until.after.filter(|_| live_source).map(|after| started + after);
        let mut cut = false;
        let mut error = loop {
            if until.stop.is_set() || over.is_some_and(|over| looks.at >= over) {
                break self.close().err();
            }
            match self.lane.step(&mut self.source) {
                Ok(Poll::More) => {}
                // A silent source has waited a little already; what it said so far need not wait for more.
                Ok(Poll::Idle) => {
                    self.way.give(self.lane.batch());
                    looks.bursts = BURSTS_PER_LOOK;
                }
                Ok(Poll::End) => {
                    cut = live_source;
                    break None;
                }
                Err(e) => break Some(e),
            }
            if self.lane.batch().is_full() {
                self.way.give(self.lane.batch());
            }
            looks.look(&mut self);
        };
        // A source that failed may still have packets that it took in before.
        if live_source && error.is_some() {
            error = self.close().err().or(error);
        }
        self.way.rest();
        let live = if until.stop.is_set() { self.lane.report(&self.source).live } else { 0 };
        self.lane.finish(|batch| self.way.give(batch));
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let report = self.lane.report(&self.source);
        if let Some(meter) = &mut self.way.meter {
            meter.finish(&self.lane, &self.source, self.way.end);
        }
        Done { live_source, cut, source: self.source, report, error, time: started.elapsed(), live }
    }

    /// Lets a live source in no more, and takes what it has.
    fn close(&mut self) -> Result<(), CaptureError> {
        if !self.source.is_live() {
            return Ok(());
        }
        self.way.rest();
        self.source.close()?;
        let mut silence = Duration::ZERO;
        while silence < CLOSING {
            let began = Instant::now();
            match self.lane.step(&mut self.source)? {
                Poll::End => break,
                // Nothing more is let in, so this ends.
                Poll::More => silence = Duration::ZERO,
                // A machine that stalls is not silence: a source waits no longer than this.
                Poll::Idle => silence += began.elapsed().min(IDLE),
            }
            if self.lane.batch().is_full() {
                self.way.give(self.lane.batch());
            }
        }
        Ok(())
    }
}

/// What is done now and then: hand over what waits, end the quiet flows of a live input, move the progress bar.
struct Looks {
    bursts: u32,
    per_look: u32,
    ticked: Instant,
    started: Instant,
    /// When the last look was.
    at: Instant,
    /// When a look first saw the newest packet, and that packet's time: live time goes on from there.
    newest: (Instant, Time),
}

impl Looks {
    fn new(started: Instant, live: bool) -> Looks {
        let per_look = if live { LIVE_BURSTS_PER_LOOK } else { BURSTS_PER_LOOK };
        Looks { bursts: 0, per_look, ticked: started, started, at: started, newest: (started, Time(0)) }
    }

    /// A batch that fills slowly goes out half full after [`TICK`].
    fn look(&mut self, task: &mut Task<'_>) {
        self.bursts += 1;
        if self.bursts < self.per_look {
            return;
        }
        self.bursts = 0;
        let now = Instant::now();
        if task.source.is_live() {
            self.live(now, task);
        }
        self.at = now;
        if now - self.ticked >= TICK {
            self.ticked = now;
            task.way.give(task.lane.batch());
        }
        task.way.look(now);
        if let Some(meter) = &mut task.way.meter {
            meter.look(now, &task.lane, &task.source, task.way.end);
        }
        if let (Some(bar), Some((done, _))) = (&task.bar, task.source.progress())
            && now - self.started >= PROGRESS_AFTER
        {
            bar.set_position(done);
        }
    }

    /// Ends quiet flows: the packets' time has gone on by as much as the clock since the newest of them, so that a step of the system's
    /// clock ends nothing. As much of the table as the time since the last look is of a [`ROUND`].
    fn live(&mut self, now: Instant, task: &mut Task<'_>) {
        if let Some(text) = task.source.notice() {
            eprintln!("{text}");
        }
        let newest = task.lane.now();
        if newest != self.newest.1 {
            self.newest = (now, newest);
        }
        if newest == Time(0) {
            return;
        }
        let time = Time(newest.0.saturating_add((now - self.newest.0).as_nanos() as u64));
        let lines = task.lane.lines() as u128 * (now - self.at).as_nanos() / ROUND.as_nanos();
        // One more than its share, so that rounding leaves none out.
        task.lane.rest(lines as usize + 1, time, |batch| task.way.give(batch));
    }
}

/// A bar on standard error, if that is a terminal and the size of the input is known.
fn bar(source: &AnySource, name: &str) -> Option<ProgressBar> {
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
