//! Lookups on threads of their own, and what they found, for as long as it counts.
//!
//! Contract: nothing here waits for a server but [`Pool::wait`], which says how long; questions, answers and threads have bounds.
use super::dns::{Found, Question};
use super::lookup::{Failure, Outcome, Sources};
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Questions that are asked at the same time.
const THREADS: usize = 32;
/// Questions that wait for a thread, at the most.
const WAITING_MAX: usize = 8_192;
/// Answers of a generation; there are two, each with names of at most 253 bytes.
const ANSWERS_MAX: usize = 65_536;
/// Lookups in a row without a word from any server; then nobody is asked for a while.
const SILENT_MAX: u32 = 32;
/// That while.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks and remembers.
#[derive(Debug)]
pub(super) struct Pool {
    questions: SyncSender<Question>,
    answers: Receiver<(Question, Outcome)>,
    asked: HashSet<Question>,
    cache: Cache,
    /// Questions that found no room.
    pub(super) refused: u64,
}

impl Pool {
    /// Starts the threads, which end with the pool; each lookup may take as long as `limit`.
    pub(super) fn new(sources: Sources, limit: Duration) -> Pool {
        let (questions, waiting) = sync_channel::<Question>(WAITING_MAX);
        let (ended, answers) = channel();
        let (sources, waiting) = (Arc::new(sources), Arc::new(Mutex::new(waiting)));
        let silence = Arc::new(Mutex::new(Silence::default()));
        for _ in 0..THREADS {
            let (sources, waiting, silence) = (Arc::clone(&sources), Arc::clone(&waiting), Arc::clone(&silence));
            let ended = ended.clone();
            let run = move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(question) = next else { return };
                    let outcome = ask(&sources, &question, limit, &silence);
                    if ended.send((question, outcome)).is_err() {
                        return;
                    }
                }
            };
            // A system that has no room for all of them: the others do the work, and without any each record waits its time.
            let _ = thread::Builder::new().name("lookup".into()).spawn(run);
        }
        Pool { questions, answers, asked: HashSet::new(), cache: Cache::default(), refused: 0 }
    }

    /// What is known; nothing if it is asked now, or was before.
    pub(super) fn get(&mut self, question: &Question) -> Option<Result<Found, Failure>> {
        if let Some(result) = self.cache.get(question, Instant::now()) {
            return Some(result);
        }
        if self.asked.contains(question) {
            return None;
        }
        match self.questions.try_send(question.clone()) {
            Ok(()) => {
                self.asked.insert(question.clone());
                None
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.refused += 1;
                Some(Err(Failure::Passing))
            }
        }
    }

    /// Takes the answers that came; waits for the first as long as `limit`.
    pub(super) fn wait(&mut self, limit: Duration) {
        let mut next = match limit {
            Duration::ZERO => self.answers.try_recv().ok(),
            _ => self.answers.recv_timeout(limit).ok(),
        };
        // No more than were asked.
        while let Some((question, outcome)) = next {
            self.asked.remove(&question);
            self.cache.put(question, outcome);
            next = self.answers.try_recv().ok();
        }
    }
}

/// How long the servers have been silent.
#[derive(Debug, Default)]
struct Silence {
    lookups: u32,
    until: Option<Instant>,
    pauses: u64,
}

fn ask(sources: &Sources, question: &Question, limit: Duration, silence: &Mutex<Silence>) -> Outcome {
    let now = Instant::now();
    let is_pause = silence.lock().unwrap_or_else(PoisonError::into_inner).until.is_some_and(|until| now < until);
    if is_pause {
        return Outcome { result: Err(Failure::Passing), ttl: Duration::from_secs(1), is_silent: true };
    }
    let outcome = sources.resolve(question, now + limit);
    let mut silence = silence.lock().unwrap_or_else(PoisonError::into_inner);
    if !outcome.is_silent {
        silence.lookups = 0;
        silence.until = None;
        return outcome;
    }
    silence.lookups = silence.lookups.saturating_add(1);
    let now = Instant::now();
    if silence.lookups >= SILENT_MAX && silence.until.is_none_or(|until| until <= now) {
        silence.until = Some(now + PAUSE);
        silence.pauses += 1;
        if silence.pauses.is_power_of_two() {
            let seconds = PAUSE.as_secs();
            eprintln!("Warning: no name server answers ({:?}); nothing is asked for {seconds} s.", sources.servers);
        }
    }
    outcome
}

/// Outcomes; when the young generation is full it becomes the old one, and the old one is forgotten.
#[derive(Debug, Default)]
struct Cache {
    young: HashMap<Question, Entry>,
    old: HashMap<Question, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    result: Result<Found, Failure>,
    until: Instant,
}

impl Cache {
    fn get(&mut self, question: &Question, now: Instant) -> Option<Result<Found, Failure>> {
        if let Some(entry) = self.young.get(question) {
            return (now < entry.until).then(|| entry.result.clone());
        }
        let entry = self.old.remove(question).filter(|entry| now < entry.until)?;
        let result = entry.result.clone();
        self.insert(question.clone(), entry);
        Some(result)
    }

    fn put(&mut self, question: Question, outcome: Outcome) {
        self.insert(question, Entry { result: outcome.result, until: Instant::now() + outcome.ttl });
    }

    fn insert(&mut self, question: Question, entry: Entry) {
        if self.young.len() >= ANSWERS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_keeps_what_is_used_and_forgets_in_time() {
        let (mut cache, question) = (Cache::default(), |n: u32| Question::Ptr(n.to_be_bytes().into()));
        let outcome = |ttl| Outcome { result: Err(Failure::NoName), ttl, is_silent: false };
        let hour = Duration::from_secs(3_600);
        for n in 0..3 * ANSWERS_MAX as u32 {
            cache.put(question(n), outcome(hour));
            assert!(cache.get(&question(0), Instant::now()).is_some());
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * ANSWERS_MAX);
        assert!(cache.get(&question(1), Instant::now()).is_none());
        assert!(cache.get(&question(0), Instant::now() + hour).is_none());
    }
}
