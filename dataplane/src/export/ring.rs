//! From a lane to its outputs: batches over bounded queues to one thread for each output.
//!
//! A [`LaneEnd`] swaps the lane's full batch for an empty one of its pool and lends the full one to every output at once. An output
//! that is done with a batch lets go of it, and the lane finds it free again: nothing is copied, and nothing is allocated once the
//! pool has grown. The pool is bounded: an output holds at most [`QUEUE`] batches and the one in its hand.
//!
//! When there is one processor for everything, threads would only take turns: then the lane calls the outputs itself.
use crate::batch::Batch;
use crate::cpus;
use crate::export::rule::RuleBooks;
use crate::export::{Books, Exporter, RecordDrop};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use record::Ledger;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trap::Stop;

mod worker;
use worker::Worker;

/// Batches that wait for an output, at the most. A batch is some 30 KB; more of them would leave the cache before they are read.
pub const QUEUE: usize = 4;
/// Outputs are asked to send what waits after this long (spec/exporter.md section 11).
pub const TICK: Duration = Duration::from_secs(2);

/// What a lane does when an output's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Waits: a capture file loses nothing, it is read more slowly.
    #[default]
    Wait,
    /// Goes on, and counts the batch as dropped: packets that keep coming do not wait. The other outputs get it all the same.
    Drop,
}

/// An output and where it works.
pub struct Output {
    pub exporter: Box<dyn Exporter>,
    /// The processor of its thread, if that matters.
    pub cpu: Option<usize>,
    /// Is shown the books of records as they stand, after each batch and tick and at the end. Must not wait.
    pub watch: Option<Watch>,
}

/// Looks at the books of an output on the output's thread.
pub type Watch = Box<dyn FnMut(&Ledger<RecordDrop>, Option<&RuleBooks>) + Send>;

/// What the outputs are told at start.
#[derive(Clone, Debug, Default)]
pub struct RingConfig {
    pub overflow: Overflow,
    /// Flows per second for each output at the most, 0 = no limit.
    pub flows_per_sec: u32,
    /// Ends the waits for that pace.
    pub stop: Stop,
    /// Processors to reckon with; `None`: those that this process may run on.
    pub processors: Option<usize>,
}

/// Why the outputs cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error("cannot start a thread for {name}: {cause}; allow this user more processes (ulimit -u)")]
    Thread { name: String, cause: std::io::Error },
}

/// What became of an output.
#[derive(Debug)]
pub struct Finished {
    pub name: String,
    /// Final, the losses in front of the output included.
    pub books: Books,
    /// The output panicked: what it said. Records that it had taken may not have left.
    pub failed: Option<String>,
}

/// The threads of the outputs.
pub struct Threads {
    handles: Vec<(String, JoinHandle<Finished>)>,
}

/// One lane's end. Give batches, look now and then, and hand it to [`Threads::finish`] at the end.
pub struct LaneEnd {
    outputs: Outputs,
    /// All batches that were ever made; one that nobody else holds is free.
    pool: Vec<Arc<Batch>>,
    overflow: Overflow,
}

enum Outputs {
    Here(Vec<Worker>),
    Elsewhere(Vec<Port>),
}

/// The way to one output's thread.
struct Port {
    sender: Sender<Arc<Batch>>,
    /// What it was not given.
    refused: Books,
}

/// Starts the outputs, with an end for each of `lanes` lanes (at least one).
pub fn start(outputs: Vec<Output>, lanes: usize, config: &RingConfig) -> Result<(Threads, Vec<LaneEnd>), RingError> {
    let end = |outputs| LaneEnd { outputs, pool: Vec::new(), overflow: config.overflow };
    let processors = config.processors.unwrap_or_else(cpus::usable);
    if processors == 1 && lanes <= 1 && config.overflow == Overflow::Wait {
        let workers = outputs.into_iter().map(|o| Worker::new(o.exporter, o.watch, config)).collect();
        return Ok((Threads { handles: Vec::new() }, vec![end(Outputs::Here(workers))]));
    }
    let (mut handles, mut senders) = (Vec::new(), Vec::new());
    for output in outputs {
        // Lanes share the queue of an output: they meet there once in 256 flows.
        let (sender, batches) = bounded(QUEUE);
        let (name, worker) = (output.exporter.name(), Worker::new(output.exporter, output.watch, config));
        let work = move || {
            cpus::pin(output.cpu);
            serve(worker, &batches)
        };
        let thread = std::thread::Builder::new().name("export".into()).spawn(work);
        handles.push((name.clone(), thread.map_err(|cause| RingError::Thread { name, cause })?));
        senders.push(sender);
    }
    let port = |sender: &Sender<_>| Port { sender: sender.clone(), refused: Books::default() };
    let ends = (0..lanes.max(1)).map(|_| end(Outputs::Elsewhere(senders.iter().map(port).collect()))).collect();
    Ok((Threads { handles }, ends))
}

/// The life of an output's thread: batches until every lane has let go, and ticks in between.
fn serve(mut worker: Worker, batches: &Receiver<Arc<Batch>>) -> Finished {
    loop {
        match batches.recv_deadline(worker.next_tick()) {
            Ok(batch) => worker.take(&batch),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return worker.finish(),
        }
        worker.look(Instant::now());
    }
}

impl LaneEnd {
    /// Gives the batch to all outputs and leaves an empty one in its place. Waits for full queues, or counts what they cannot take
    /// as [`RecordDrop::QueueFull`].
    pub fn give(&mut self, batch: &mut Batch) {
        self.give_or_wait(batch, &mut || ());
    }

    /// As [`LaneEnd::give`]; `waits` is told before an output may hold the lane up, each time.
    pub fn give_or_wait(&mut self, batch: &mut Batch, waits: &mut dyn FnMut()) {
        if batch.is_empty() {
            return;
        }
        let ports = match &mut self.outputs {
            Outputs::Here(workers) => {
                waits();
                workers.iter_mut().for_each(|worker| worker.take(batch));
                return batch.clear();
            }
            Outputs::Elsewhere(ports) => ports,
        };
        let full = exchange(&mut self.pool, batch);
        for port in ports {
            let given = Arc::clone(full);
            let lost = match port.sender.try_send(given) {
                Ok(()) => None,
                Err(TrySendError::Full(given)) if self.overflow == Overflow::Wait => {
                    waits();
                    port.sender.send(given).err().map(|_| RecordDrop::OutputFailed)
                }
                Err(TrySendError::Full(_)) => Some(RecordDrop::QueueFull),
                Err(TrySendError::Disconnected(_)) => Some(RecordDrop::OutputFailed),
            };
            if let Some(why) = lost {
                port.refused.refuse(full, why);
            }
        }
        debug_assert!(self.made() <= self.made_max(), "{} batches were made", self.made());
    }

    /// To be called now and then: without threads of their own the outputs get their ticks here. `waits` as in [`LaneEnd::give_or_wait`].
    pub fn look(&mut self, now: Instant, waits: &mut dyn FnMut()) {
        if let Outputs::Here(workers) = &mut self.outputs {
            waits();
            workers.iter_mut().for_each(|worker| worker.look(now));
        }
    }

    /// Records that each output was not given by this lane, in the order of [`start`].
    pub fn refused(&self) -> impl Iterator<Item = &Ledger<RecordDrop>> {
        let ports = match &self.outputs {
            Outputs::Here(_) => &[][..],
            Outputs::Elsewhere(ports) => ports,
        };
        ports.iter().map(|port| &port.refused.records)
    }

    /// Batches made so far.
    pub fn made(&self) -> usize {
        self.pool.len()
    }

    /// Batches that an output still holds. Identity I15: none, once the outputs have finished.
    pub fn in_use(&self) -> usize {
        self.pool.iter().filter(|batch| Arc::strong_count(batch) > 1).count()
    }

    /// Batches that can be made: those that all outputs together can hold, and one that is on its way to them.
    pub fn made_max(&self) -> usize {
        match &self.outputs {
            Outputs::Here(_) => 0,
            Outputs::Elsewhere(ports) => ports.len() * (QUEUE + 1) + 1,
        }
    }
}

/// Swaps a full batch for a free one, which is made if there is none. The first free one: it was used last, so it is in the cache.
fn exchange<'p>(pool: &'p mut Vec<Arc<Batch>>, batch: &mut Batch) -> &'p Arc<Batch> {
    let free = pool.iter_mut().position(|slot| Arc::get_mut(slot).is_some());
    let at = free.unwrap_or_else(|| {
        pool.push(Arc::default());
        pool.len() - 1
    });
    // Nobody else can have got hold of it since: clones are made by this lane alone.
    if let Some(empty) = Arc::get_mut(&mut pool[at]) {
        empty.clear();
        std::mem::swap(empty, batch);
    }
    &pool[at]
}

impl Threads {
    /// Lets the outputs take what was given, send what waits and close; answers what became of each, in the order of [`start`], and how
    /// many batches were not given back (identity I15: none).
    pub fn finish(self, ends: Vec<LaneEnd>) -> (Vec<Finished>, usize) {
        let mut finished: Vec<Finished> = Vec::new();
        let mut refused = Vec::new();
        let mut pools = Vec::new();
        for end in ends {
            match end.outputs {
                Outputs::Here(workers) => finished.extend(workers.into_iter().map(Worker::finish)),
                // The senders end here, and with the last of them the threads.
                Outputs::Elsewhere(ports) => refused.push(ports.into_iter().map(|p| p.refused).collect::<Vec<_>>()),
            }
            pools.extend(end.pool);
        }
        for (name, handle) in self.handles {
            // What an output does is guarded: a panic of the thread itself is a mistake in `serve`.
            let lost = |_| Finished { name, books: Books::default(), failed: Some("its thread panicked".into()) };
            finished.push(handle.join().unwrap_or_else(lost));
        }
        for books in refused {
            finished.iter_mut().zip(books).for_each(|(output, books)| output.books.merge(&books));
        }
        (finished, pools.iter().filter(|batch| Arc::strong_count(batch) > 1).count())
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
