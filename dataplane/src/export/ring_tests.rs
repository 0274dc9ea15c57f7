//! Full queues, slow, failing and absent outputs; what comes out of the pool goes back.
use super::*;
use crate::batch::BATCH;
use crate::flow::{Flow, FlowKey};
use crate::registry::Plugins;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An output that counts, and does as it is told.
struct Probe {
    books: Books,
    /// First source port of each batch, as it came.
    seen: Arc<Mutex<Vec<u16>>>,
    ticks: Arc<AtomicUsize>,
    each: Box<dyn FnMut(usize) + Send>,
}

impl Exporter for Probe {
    fn name(&self) -> String {
        "probe".into()
    }
    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        let mut seen = self.seen.lock().expect("no panic holds it");
        seen.push(batch.flows()[0].basic().src_port);
        let count = seen.len();
        drop(seen);
        (self.each)(count);
        self.books.records.keep(batch.flows().len() as u64);
    }
    fn tick(&mut self, _now_secs: u64) {
        self.ticks.fetch_add(1, Ordering::SeqCst);
    }
    fn finish(&mut self, _now_secs: u64) {}
    fn books(&self) -> &Books {
        &self.books
    }
}

struct Seen {
    batches: Arc<Mutex<Vec<u16>>>,
    ticks: Arc<AtomicUsize>,
}

fn probe(each: impl FnMut(usize) + Send + 'static) -> (Output, Seen) {
    let seen = Seen { batches: Arc::default(), ticks: Arc::default() };
    let (batches, ticks) = (Arc::clone(&seen.batches), Arc::clone(&seen.ticks));
    let exporter = Probe { books: Books::default(), seen: batches, ticks, each: Box::new(each) };
    (Output { exporter: Box::new(exporter), cpu: None, watch: None }, seen)
}

fn config(overflow: Overflow) -> RingConfig {
    RingConfig { overflow, processors: Some(2), ..RingConfig::default() }
}

/// A full batch whose flows have this source port.
fn fill(batch: &mut Batch, port: u16) {
    let (key, _) = FlowKey::v4([10, 0, 0, 1], [10, 0, 0, 2], port, 53, 17, 0, true);
    let mut plugins = Plugins::default();
    let flow = Flow { packets: [2, 1], bytes: [100, 50], ..Flow::of(key) };
    (0..BATCH).for_each(|_| batch.push(&flow, 1, true, &mut plugins));
}

fn give(end: &mut LaneEnd, batches: u16) {
    let mut batch = Batch::default();
    for port in 1..=batches {
        fill(&mut batch, port);
        end.give(&mut batch);
        assert!(batch.is_empty());
    }
}

fn flows(batches: usize) -> u64 {
    (batches * BATCH) as u64
}

#[test]
fn a_slow_output_slows_the_lane_and_loses_nothing() {
    let (slow, seen) = probe(|_| std::thread::sleep(Duration::from_millis(2)));
    let (fast, also) = probe(|_| {});
    let (threads, mut ends) = start(vec![slow, fast], 1, &config(Overflow::Wait)).expect("threads");
    give(&mut ends[0], 50);
    assert!(ends[0].made() <= ends[0].made_max());
    let (finished, out) = threads.finish(ends);
    for output in &finished {
        let b = &output.books;
        assert_eq!((b.records.taken, b.records.kept, b.flows), (flows(50), flows(50), flows(50)));
        assert_eq!((b.packets, b.bytes), (3 * flows(50), 150 * flows(50)));
    }
    let order: Vec<u16> = (1..=50).collect();
    assert_eq!((seen.batches.lock().expect("done").clone(), out), (order.clone(), 0));
    assert_eq!(*also.batches.lock().expect("done"), order);
}

#[test]
fn a_lane_is_told_before_an_output_holds_it_up() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (output, _) = probe(move |_| {
        // Whoever could release it is gone at the end.
        let _released = held.recv();
    });
    let (threads, mut ends) = start(vec![output], 1, &config(Overflow::Wait)).expect("threads");
    let mut batch = Batch::default();
    let mut told_at = Vec::new();
    for port in 1..=QUEUE as u16 + 3 {
        fill(&mut batch, port);
        ends[0].give_or_wait(&mut batch, &mut || {
            told_at.push(port);
            release.send(()).expect("it waits for this");
        });
    }
    drop(release);
    // One that the output holds and those of its queue need no waiting; whether the first had been taken yet nobody knows.
    assert!(told_at.len() >= 2 && told_at.iter().all(|port| *port > QUEUE as u16), "{told_at:?}");
    let (finished, out) = threads.finish(ends);
    assert_eq!((finished[0].books.records.kept, out), (flows(QUEUE + 3), 0));
}

#[test]
fn where_packets_do_not_wait_a_full_queue_is_a_counted_drop_of_that_output_alone() {
    let (go, gate) = bounded::<()>(0);
    let (stuck, seen) = probe(move |_| {
        let _ = gate.recv();
    });
    let (free, also) = probe(|_| {});
    let (threads, mut ends) = start(vec![stuck, free], 1, &config(Overflow::Drop)).expect("threads");
    let mut batch = Batch::default();
    for port in 1..=100 {
        fill(&mut batch, port);
        ends[0].give(&mut batch);
        // The free output keeps up, so that what it gets does not depend on the scheduler.
        while also.batches.lock().expect("no panic").len() < usize::from(port) {
            std::thread::yield_now();
        }
    }
    assert!(ends[0].made() <= ends[0].made_max());
    drop(go);
    let (finished, out) = threads.finish(ends);
    let (stuck, free) = (&finished[0].books, &finished[1].books);
    let dropped = stuck.records.dropped(RecordDrop::QueueFull);
    // The queue, the one in hand, and perhaps one that it took while the first was given.
    let kept = seen.batches.lock().expect("done").len();
    assert!((QUEUE..=QUEUE + 1).contains(&kept), "{kept}");
    assert_eq!((stuck.records.kept, dropped, stuck.records.imbalance()), (flows(kept), flows(100 - kept), 0));
    assert_eq!((stuck.flows, stuck.lost()), (flows(100), dropped), "offered and lost");
    assert_eq!((free.records.kept, free.lost(), out), (flows(100), 0, 0));
}

#[test]
fn an_output_that_panics_is_told_and_the_others_go_on() {
    for processors in [1, 2] {
        let (bad, _) = probe(|count| assert!(count < 3, "the third batch breaks it"));
        let (good, _) = probe(|_| {});
        let config = RingConfig { processors: Some(processors), ..RingConfig::default() };
        let (threads, mut ends) = start(vec![bad, good], 1, &config).expect("threads");
        give(&mut ends[0], 20);
        let (finished, out) = threads.finish(ends);
        let (bad, good) = (&finished[0], &finished[1]);
        assert_eq!(bad.books.records.kept, flows(2));
        assert_eq!(bad.books.records.dropped(RecordDrop::OutputFailed), flows(18));
        assert_eq!((bad.books.records.imbalance(), bad.books.flows), (0, flows(20)));
        assert!(bad.failed.as_deref().is_some_and(|why| why.contains("the third batch breaks it")), "{bad:?}");
        assert!(bad.books.trouble.as_deref().is_some_and(|why| why.contains("please report")), "{bad:?}");
        assert_eq!((good.books.records.kept, good.failed.is_none(), out), (flows(20), true, 0));
    }
}

#[test]
fn one_processor_needs_no_threads() {
    let (output, seen) = probe(|_| {});
    let config = RingConfig { processors: Some(1), ..RingConfig::default() };
    let (threads, mut ends) = start(vec![output], 1, &config).expect("no thread");
    give(&mut ends[0], 5);
    assert_eq!(*seen.batches.lock().expect("nobody else"), [1, 2, 3, 4, 5], "each is taken at once");
    assert_eq!((ends[0].made(), ends[0].in_use(), threads.handles.len()), (0, 0, 0));
    ends[0].look(Instant::now() + TICK, &mut || ());
    assert_eq!(seen.ticks.load(Ordering::SeqCst), 1);
    let (finished, out) = threads.finish(ends);
    assert_eq!((finished[0].books.records.kept, out), (flows(5), 0));
    // Packets that may not wait, and several lanes, have threads all the same.
    for (overflow, lanes) in [(Overflow::Drop, 1), (Overflow::Wait, 2)] {
        let (threads, ends) =
            start(vec![probe(|_| {}).0], lanes, &RingConfig { overflow, ..config.clone() }).expect("a thread");
        assert_eq!((threads.handles.len(), ends.len()), (1, lanes));
        threads.finish(ends);
    }
}

#[test]
fn lanes_share_their_outputs() {
    let (output, seen) = probe(|_| {});
    let (threads, mut ends) = start(vec![output], 3, &config(Overflow::Wait)).expect("threads");
    std::thread::scope(|scope| ends.iter_mut().for_each(|end| drop(scope.spawn(|| give(end, 40)))));
    let (finished, out) = threads.finish(ends);
    assert_eq!((finished.len(), finished[0].books.records.kept, out), (1, flows(120), 0));
    assert_eq!(seen.batches.lock().expect("done").len(), 120);
}

#[test]
fn ticks_come_while_the_lane_is_silent() {
    let (output, seen) = probe(|_| {});
    let (threads, ends) = start(vec![output], 1, &config(Overflow::Wait)).expect("threads");
    let began = Instant::now();
    while seen.ticks.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < 30 * TICK, "no tick came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() >= TICK - Duration::from_millis(50));
    threads.finish(ends);
}

#[test]
fn a_pace_is_kept_and_ends_with_the_program() {
    let paced = |stop: Stop, flows_per_sec| {
        let (output, _) = probe(|_| {});
        let config = RingConfig { flows_per_sec, stop, ..config(Overflow::Wait) };
        let (threads, mut ends) = start(vec![output], 1, &config).expect("threads");
        let began = Instant::now();
        give(&mut ends[0], 10);
        threads.finish(ends);
        began.elapsed()
    };
    // The tenth batch leaves when nine have: 2304 flows at 10,000 a second.
    assert!(paced(Stop::default(), 10_000) >= Duration::from_millis(230));
    let stop = Stop::default();
    stop.request();
    assert!(paced(stop, 1) < Duration::from_secs(1_000));
}

#[test]
fn batches_are_used_again() {
    let (output, _) = probe(|_| {});
    let (threads, mut ends) = start(vec![output], 1, &config(Overflow::Wait)).expect("threads");
    give(&mut ends[0], 1000);
    assert!(ends[0].made() <= QUEUE + 2, "{} batches for one output", ends[0].made());
    let (_, out) = threads.finish(ends);
    assert_eq!(out, 0);
}
