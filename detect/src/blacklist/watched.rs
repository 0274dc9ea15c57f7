//! A list that follows its file: read anew when the file was written, while the old one goes on to serve (spec/detectors.md section 8.4).
//!
//! Contract: a record is held against the newest list that could be read; one that cannot is told and changes nothing. The file is looked
//! at, not subscribed to, so that it may be replaced, vanish for a while, and lie on any file system. It is read when it stayed the same
//! from one look to the next: whoever writes it may take his time. Reading happens in a thread of its own.
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    current: T,
    /// None if the file is not watched.
    fresh: Option<Arc<Fresh<T>>>,
}

#[derive(Debug)]
struct Fresh<T> {
    /// Lets a record ask without the lock.
    is_there: AtomicBool,
    list: Mutex<Option<T>>,
}

/// What changes when a file is written: device, node, length, times of data and node.
type Stamp = (u64, u64, u64, [i64; 4]);

impl<T: Default + Send + 'static> Watched<T> {
    /// Reads the list, and begins to watch its file if it shall. An error is why the list could not be read, and is empty; it is watched
    /// all the same.
    ///
    /// # Errors
    /// No thread can be made.
    pub(crate) fn open(
        path: &Path,
        is_watched: bool,
        load: fn(&Path) -> io::Result<T>,
    ) -> io::Result<(Watched<T>, Option<io::Error>)> {
        // Before it is read, so that no change is missed.
        let known = stamp(path);
        let (current, why) = match load(path) {
            Ok(list) => (list, None),
            Err(why) => (T::default(), Some(why)),
        };
        let mut fresh = None;
        if is_watched {
            let shared = Arc::new(Fresh { is_there: AtomicBool::new(false), list: Mutex::new(None) });
            fresh = Some(Arc::clone(&shared));
            let weak = Arc::downgrade(&shared);
            drop(shared);
            let watch = Watch { path: path.to_owned(), known, seen: known };
            thread::Builder::new().name("watch".into()).spawn(move || watch.run(load, || weak.upgrade()))?;
        }
        Ok((Watched { current, fresh }, why))
    }

    /// The newest list.
    #[inline]
    pub(crate) fn current(&mut self) -> &T {
        if let Some(fresh) = &self.fresh
            && fresh.is_there.load(Ordering::Relaxed)
        {
            let mut list = fresh.list.lock().unwrap_or_else(PoisonError::into_inner);
            fresh.is_there.store(false, Ordering::Relaxed);
            if let Some(list) = list.take() {
                self.current = list;
            }
        }
        &self.current
    }
}

struct Watch {
    path: PathBuf,
    /// Of the file that was read.
    known: Option<Stamp>,
    /// At the last look.
    seen: Option<Stamp>,
}

impl Watch {
    /// Looks at the file until nobody wants its list.
    fn run<T>(mut self, load: fn(&Path) -> io::Result<T>, wanted: impl Fn() -> Option<Arc<Fresh<T>>>) {
        loop {
            thread::sleep(LOOK);
            let Some(fresh) = wanted() else { return };
            if !self.is_to_read() {
                continue;
            }
            match load(&self.path) {
                Ok(list) => {
                    *fresh.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
                    fresh.is_there.store(true, Ordering::Relaxed);
                }
                Err(why) => {
                    eprintln!(
                        "WARNING: cannot read '{}' again ({why}); the old list stays in use",
                        self.path.display()
                    );
                }
            }
        }
    }

    /// Whether the file is there, is another one than was read, and stayed the same for one look.
    fn is_to_read(&mut self) -> bool {
        let now = stamp(&self.path);
        let is_settled = now == self.seen;
        self.seen = now;
        let is_new = now.is_some() && now != self.known && is_settled;
        if is_new {
            self.known = now;
        }
        is_new
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.len(), [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tempfile::TempDir;

    /// Long enough for a machine that stalls.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn text(path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }

    fn wait_for(list: &mut Watched<String>, expected: &str) {
        let end = Instant::now() + PATIENCE;
        while list.current() != expected {
            assert!(Instant::now() < end, "waited for {expected} in vain: {}", list.current());
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn written_replaced_and_gone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        let (mut list, why) = Watched::open(&path, true, text).unwrap();
        assert!(why.is_some() && list.current().is_empty());
        fs::write(&path, "one").unwrap();
        wait_for(&mut list, "one");
        fs::write(folder.path().join("new"), "two").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        wait_for(&mut list, "two");
        // What cannot be read, because it is no UTF-8 here, changes nothing; what comes then does.
        fs::write(&path, [0xff]).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "three").unwrap();
        wait_for(&mut list, "three");
    }

    #[test]
    fn a_change_counts_when_it_settled() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        let mut watch = Watch { path: path.clone(), known: None, seen: None };
        assert!(!watch.is_to_read());
        fs::write(&path, "1").unwrap();
        assert_eq!([watch.is_to_read(), watch.is_to_read(), watch.is_to_read()], [false, true, false]);
        fs::write(&path, "12").unwrap();
        assert!(!watch.is_to_read());
        fs::remove_file(&path).unwrap();
        assert!(!watch.is_to_read() && !watch.is_to_read());
    }

    #[test]
    fn a_list_that_is_not_watched_stays() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, "one").unwrap();
        let (mut list, why) = Watched::open(&path, false, text).unwrap();
        assert!(why.is_none() && list.fresh.is_none());
        fs::write(&path, "two").unwrap();
        assert_eq!(list.current(), "one");
    }
}
