//! One output at work, on a thread of its own or on the lane's: its pace, its ticks, and a wall around its panics.
use super::{Finished, RingConfig, TICK, Watch};
use crate::batch::Batch;
use crate::export::{Books, Exporter, RecordDrop};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trap::Stop;

pub(super) struct Worker {
    exporter: Box<dyn Exporter>,
    watch: Option<Watch>,
    pace: Pace,
    stop: Stop,
    next_tick: Instant,
    /// What it was not given, because it had panicked.
    refused: Books,
    failed: Option<String>,
}

impl Worker {
    pub(super) fn new(exporter: Box<dyn Exporter>, watch: Option<Watch>, config: &RingConfig) -> Worker {
        Worker {
            exporter,
            watch,
            pace: Pace { limit: config.flows_per_sec, sent: 0, began: None },
            stop: config.stop.clone(),
            next_tick: Instant::now() + TICK,
            refused: Books::default(),
            failed: None,
        }
    }

    pub(super) fn take(&mut self, batch: &Batch) {
        if self.failed.is_some() {
            self.refused.refuse(batch, RecordDrop::OutputFailed);
            return self.show();
        }
        self.pace.wait(batch.flows().len() as u64, &self.stop);
        let before = self.exporter.books().records.taken;
        self.guard(|exporter| exporter.export(batch));
        if self.failed.is_some() {
            let booked = self.exporter.books().records.taken - before;
            let rest = (batch.flows().len() as u64).saturating_sub(booked);
            self.refused.records.drop(RecordDrop::OutputFailed, rest);
        }
        self.show();
    }

    /// Shows the books to whoever watches.
    fn show(&mut self) {
        if let Some(watch) = &mut self.watch {
            let mut records = self.exporter.books().records.clone();
            records.merge(&self.refused.records);
            watch(&records, self.exporter.books().rule.as_ref());
        }
    }

    /// When the exporter wants to be [looked](Worker::look) at again.
    pub(super) fn next_tick(&self) -> Instant {
        self.next_tick
    }

    /// Ticks the exporter if it is time.
    pub(super) fn look(&mut self, now: Instant) {
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            if self.failed.is_none() {
                self.guard(|exporter| exporter.tick(unix_secs()));
            }
            self.show();
        }
    }

    /// An exporter that panicked is asked to send what waits all the same: it may still be able to.
    pub(super) fn finish(mut self) -> Finished {
        self.guard(|exporter| exporter.finish(unix_secs()));
        self.show();
        let mut books = self.exporter.books().clone();
        books.merge(&self.refused);
        if let Some(why) = &self.failed {
            books.trouble = Some(format!("the output failed by a mistake in the program: {why}; please report this"));
        }
        Finished { name: self.exporter.name(), books, failed: self.failed }
    }

    /// A panic ends the output, not the program: the other outputs go on, and the books say what was lost.
    fn guard(&mut self, work: impl FnOnce(&mut dyn Exporter)) {
        let exporter = &mut *self.exporter;
        // Unwind safety: after a panic the exporter is only asked for its books and to finish, under guard again.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(exporter))) {
            self.failed.get_or_insert_with(|| message(&*panic));
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}

/// Keeps the rate of exported flows below a limit: the n-th flow leaves no earlier than n / limit seconds after the first.
struct Pace {
    limit: u32,
    sent: u64,
    began: Option<Instant>,
}

impl Pace {
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

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
