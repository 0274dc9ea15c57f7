//! Delivery to a far end that may be down: what it does not take now waits, and is tried again (ours; the original loses it).
//!
//! Alerts wait in their order, as files in `<spool path>/<module>/<action>` if the configuration has a `spool`, so that they outlive the
//! reporter, else in memory. How many there may be is bounded ([`ALERTS_MAX`], `spool: {alerts: N}`); one that finds no room is lost,
//! said and counted. So is one that the far end refuses for good.
use super::{Act, Flow, Scene, Setup};
use crate::report::{idea, log};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Alerts that wait in files, at the most, if the configuration does not say.
const ALERTS_MAX: u64 = 100_000;
/// Alerts that wait in memory, at the most.
const MEMORY_MAX: u64 = 10_000;
/// Between attempts if the configuration does not say, seconds.
const RETRY: u64 = 30;
/// Alerts that are tried in a row before new ones are looked at.
const BATCH: usize = 100;
/// Bytes of a file that waits, at the most: others are none of ours.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// A far end.
pub(super) trait Deliver {
    /// Delivers one alert, within a bounded time.
    ///
    /// # Errors
    /// It did not take the alert.
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered>;
}

/// Why an alert was not delivered.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) why: String,
    /// The same may succeed later.
    pub(super) is_passing: bool,
}

impl Undelivered {
    pub(super) fn passing(why: impl ToString) -> Undelivered {
        Undelivered { why: why.to_string(), is_passing: true }
    }

    pub(super) fn refused(why: impl ToString) -> Undelivered {
        Undelivered { why: why.to_string(), is_passing: false }
    }
}

/// An action that delivers.
struct Delivery<D> {
    far: D,
    waiting: VecDeque<Waiting>,
    /// Where files wait.
    folder: Option<PathBuf>,
    alerts_max: u64,
    retry: Duration,
    /// When what waits is tried again.
    next: Option<Instant>,
    /// Makes names of files that sort as they came.
    sequence: u64,
    refused: u64,
    /// Alerts that still waited in memory at the end.
    gone: u64,
}

enum Waiting {
    Memory(Box<Value>),
    File(PathBuf),
}

/// Makes an action of a far end; what waits from before is found.
pub(super) fn delivery<D: Deliver + 'static>(far: D, setup: &Setup<'_>) -> Result<Box<dyn Act>, String> {
    let mut made = Delivery {
        far,
        waiting: VecDeque::new(),
        folder: None,
        alerts_max: MEMORY_MAX,
        retry: Duration::from_secs(RETRY),
        next: None,
        sequence: 0,
        refused: 0,
        gone: 0,
    };
    if let Some(spool) = &setup.spool {
        let plain = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_', "_");
        let folder = PathBuf::from(spool.need("path")?).join(plain(setup.module)).join(plain(&setup.id));
        made.alerts_max = spool.number("alerts", 100_000_000)?.unwrap_or(ALERTS_MAX);
        made.retry = Duration::from_secs(spool.number("retry", 86_400)?.unwrap_or(RETRY));
        made.waiting = found(&folder).map_err(|why| format!("cannot use the spool {}: {why}", folder.display()))?;
        made.folder = Some(folder);
    }
    Ok(Box::new(made))
}

/// What waits in a folder, which is made if it is not there.
fn found(folder: &Path) -> io::Result<VecDeque<Waiting>> {
    fs::create_dir_all(folder)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.into_iter().map(Waiting::File).collect())
}

impl<D: Deliver> Act for Delivery<D> {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        self.idle();
        if self.waiting.is_empty() {
            match self.far.deliver(message) {
                Ok(()) => return Ok(Flow::GoOn),
                Err(Undelivered { why, is_passing: false }) => return Err(why),
                Err(Undelivered { why, .. }) => {
                    log::error!("an alert waits, and is tried again in {} s: {why}", self.retry.as_secs());
                    self.next = Some(Instant::now() + self.retry);
                }
            }
        }
        self.put(message)?;
        Ok(Flow::GoOn)
    }

    fn idle(&mut self) {
        if !self.waiting.is_empty() && self.next.is_none_or(|next| Instant::now() >= next) {
            self.try_waiting();
        }
    }

    fn finish(&mut self, tries: bool) {
        let is_memory = self.folder.is_none();
        if tries || is_memory {
            self.next = None;
            while !self.waiting.is_empty() && self.next.is_none() {
                self.try_waiting();
            }
        }
        if is_memory {
            self.gone += self.waiting.len() as u64;
            self.waiting.clear();
        }
    }

    fn tell(&self) -> Option<String> {
        let place = self.folder.as_ref().map_or("in memory".into(), |folder| format!("in {}", folder.display()));
        let waiting = (!self.waiting.is_empty()).then(|| format!("{} alerts wait {place}", self.waiting.len()));
        let refused =
            (self.refused > 0).then(|| format!("{} alerts that waited were refused and are lost", self.refused));
        let gone = (self.gone > 0)
            .then(|| format!("{} alerts that waited in memory are lost: a `spool` keeps them", self.gone));
        let told: Vec<_> = waiting.into_iter().chain(refused).chain(gone).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

impl<D: Deliver> Delivery<D> {
    /// Lets an alert wait.
    fn put(&mut self, message: &Value) -> Result<(), String> {
        if self.waiting.len() as u64 >= self.alerts_max {
            return Err(format!("{} alerts wait already, this one is lost", self.alerts_max));
        }
        let waiting = match &self.folder {
            None => Waiting::Memory(Box::new(message.clone())),
            Some(folder) => {
                self.sequence += 1;
                let name = format!("{:020}-{:010}", jiff::Timestamp::now().as_microsecond(), self.sequence);
                let path = folder.join(format!("{name}.json"));
                let written = write(&folder.join(format!("{name}.tmp")), &path, &idea::dump(message));
                written.map_err(|why| format!("an alert cannot wait in {} and is lost: {why}", folder.display()))?;
                Waiting::File(path)
            }
        };
        self.waiting.push_back(waiting);
        Ok(())
    }

    /// Delivers what waits, the oldest first, until the far end does not take it.
    fn try_waiting(&mut self) {
        for _ in 0..BATCH {
            let message = match self.waiting.front() {
                None => return,
                Some(Waiting::Memory(message)) => Some((**message).clone()),
                Some(Waiting::File(path)) => read(path),
            };
            match message.map(|message| self.far.deliver(&message)) {
                Some(Err(Undelivered { why, is_passing: true })) => {
                    log::error!("{} alerts wait: {why}", self.waiting.len());
                    self.next = Some(Instant::now() + self.retry);
                    return;
                }
                Some(Err(Undelivered { why, .. })) => {
                    self.refused += 1;
                    log::error!("an alert that waited is lost: {why}");
                }
                None => {
                    self.refused += 1;
                    log::error!("a file of the spool is no alert, or cannot be read; it is left out.");
                }
                Some(Ok(())) => {}
            }
            if let Some(Waiting::File(path)) = self.waiting.pop_front() {
                // One that stays is delivered again by the next reporter: better twice than never.
                let _ = fs::remove_file(path);
            }
        }
        self.next = None;
    }
}

/// The file is whole or not there.
fn write(temporary: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(temporary, path)
}

fn read(path: &Path) -> Option<Value> {
    let is_ours = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX);
    is_ours.then(|| fs::read(path).ok()).flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::config::Section;
    use serde_json::json;
    use std::cell::RefCell;
    use std::rc::Rc;
    use trap::Stop;

    /// Takes alerts when it is up, and never `bad`.
    #[derive(Clone, Default)]
    struct Far {
        is_up: Rc<RefCell<bool>>,
        got: Rc<RefCell<Vec<u64>>>,
    }

    impl Deliver for Far {
        fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
            match (message["n"].as_u64(), *self.is_up.borrow()) {
                (_, false) => Err(Undelivered::passing("down")),
                (None, true) => Err(Undelivered::refused("bad")),
                (Some(n), true) => {
                    self.got.borrow_mut().push(n);
                    Ok(())
                }
            }
        }
    }

    fn made(far: &Far, spool: Option<Value>) -> Box<dyn Act> {
        let stop = Stop::default();
        let mut setup = Setup::new("m", &stop);
        setup.spool = spool.map(|spool| Section::new("spool", spool));
        setup.id = "a/b".into();
        delivery(far.clone(), &setup).unwrap()
    }

    fn run(act: &mut dyn Act, message: Value) -> Result<Flow, String> {
        act.run(&mut message.clone(), &mut Scene::default())
    }

    #[test]
    fn what_waits_in_files_outlives_the_reporter_and_keeps_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let spool = json!({"path": folder.path().to_str(), "alerts": 4, "retry": 0});
        let far = Far::default();
        let mut act = made(&far, Some(spool.clone()));
        for n in 0..3 {
            assert_eq!(run(&mut *act, json!({"n": n})), Ok(Flow::GoOn));
        }
        assert_eq!(run(&mut *act, json!({"n": "bad"})), Ok(Flow::GoOn));
        assert!(run(&mut *act, json!({"n": 9})).is_err_and(|why| why.contains("lost")));
        assert!(act.tell().unwrap().starts_with("4 alerts wait in"));
        drop(act);
        let mut act = made(&far, Some(spool));
        *far.is_up.borrow_mut() = true;
        assert_eq!(run(&mut *act, json!({"n": 4})), Ok(Flow::GoOn));
        assert_eq!(*far.got.borrow(), [0, 1, 2, 4]);
        assert_eq!(act.tell().unwrap(), "1 alerts that waited were refused and are lost");
        assert_eq!(fs::read_dir(folder.path().join("m/a_b")).unwrap().count(), 0);
        assert!(run(&mut *act, json!({})).is_err());
    }

    #[test]
    fn without_a_spool_memory_keeps_it_for_a_while() {
        let far = Far::default();
        let mut act = made(&far, None);
        assert_eq!(run(&mut *act, json!({"n": 1})), Ok(Flow::GoOn));
        *far.is_up.borrow_mut() = true;
        act.idle();
        assert!(far.got.borrow().is_empty(), "it is not time yet");
        act.finish(true);
        assert_eq!((far.got.borrow().as_slice(), act.tell()), (&[1][..], None));
        *far.is_up.borrow_mut() = false;
        assert_eq!(run(&mut *act, json!({"n": 2})), Ok(Flow::GoOn));
        act.finish(true);
        assert!(act.tell().unwrap().starts_with("1 alerts that waited in memory are lost"));
    }
}
