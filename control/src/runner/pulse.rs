//! Whether the lanes of probes move (fault row 16), by what they publish on their pages.
//!
//! Contract: [`Pulses::find`] is called now and then, [`Pulses::look`] at each look. A lane promises to publish ten times a second while its
//! counter `beats` is 1; one that did not since the look before stands still, unless a thread of its process waited for a processor all that
//! time: a machine that is too slow ends nobody (row 35). A page is believed if it is a file of the user that its process runs as.
use crate::pages::{self, Found};
use crate::process;
use record::Time;
use record::page::Snapshot;
use record::page::columns::BEATS;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is known of the lanes of running modules, by the number of the module's process.
#[derive(Debug, Default)]
pub(super) struct Pulses(HashMap<u32, Pulse>);

#[derive(Debug)]
struct Pulse {
    path: PathBuf,
    /// The one who writes the page: the module's process, or one that it started.
    writer: u32,
    /// When each lane published last, as it says.
    published: Vec<Time>,
    /// Threads that wanted a processor at the last look, and how long each had had one.
    waiting: HashMap<u32, u64>,
}

impl Pulses {
    /// Looks for pages of these processes, and forgets the others.
    pub(super) fn find(&mut self, running: &[u32]) {
        self.0.retain(|pid, _| running.contains(pid));
        if running.iter().all(|pid| self.0.contains_key(pid)) {
            return;
        }
        for found in pages::all().into_iter().filter(|found| found.alive && is_its_own(found)) {
            let writer = found.page.writer.pid;
            let module = process::stat(writer).map(|stat| stat.group).filter(|group| running.contains(group));
            if let Some(pid) = module.or_else(|| running.contains(&writer).then_some(writer)) {
                let pulse = Pulse { path: found.path, writer, published: Vec::new(), waiting: HashMap::new() };
                self.0.entry(pid).or_insert(pulse);
            }
        }
    }

    /// Whether a lane of this process stands still; `None` if nothing can be said of it.
    pub(super) fn look(&mut self, pid: u32) -> Option<bool> {
        let pulse = self.0.get_mut(&pid)?;
        let page = read(&pulse.path, pulse.writer)?;
        let published: Vec<Time> = page.lanes.iter().map(|lane| lane.counts.at).collect();
        let before = std::mem::replace(&mut pulse.published, published);
        if !stands_still(&page, &before) {
            pulse.waiting.clear();
            return Some(false);
        }
        let now: HashMap<u32, u64> = process::runnable_threads(pulse.writer).into_iter().collect();
        let before = std::mem::replace(&mut pulse.waiting, now);
        (!is_starved(&before, &pulse.waiting)).then_some(true)
    }
}

/// The page, if it is still this process's.
fn read(path: &Path, writer: u32) -> Option<Snapshot> {
    pages::read(path).ok().filter(|page| page.writer.pid == writer)
}

/// Others could say of a process what they like.
fn is_its_own(found: &Found) -> bool {
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|file| file.uid());
    let of_process = owner(Path::new(&format!("/proc/{}", found.page.writer.pid)));
    of_process.is_some() && owner(&found.path) == of_process
}

/// Whether a lane that promised to publish has not since `before`. The first look has none.
fn stands_still(page: &Snapshot, before: &[Time]) -> bool {
    let Some(beats) = page.layout.lane_columns.iter().position(|name| name == BEATS) else { return false };
    let promised = page.lanes.iter().map(|lane| lane.counts.values.get(beats) == Some(&1));
    let at = page.lanes.iter().map(|lane| lane.counts.at);
    promised.zip(at.zip(before)).any(|(promised, (now, before))| promised && now == *before)
}

/// Whether a thread that wanted a processor at both looks had none in between.
fn is_starved(before: &HashMap<u32, u64>, now: &HashMap<u32, u64>) -> bool {
    now.iter().any(|(thread, ran)| before.get(thread) == Some(ran))
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::page::{Counts, LaneCounts, Layout};

    fn page(lanes: &[(u64, u64)]) -> Snapshot {
        let lane = |(at, beats): &(u64, u64)| LaneCounts {
            counts: Counts { at: Time(*at), values: vec![9, *beats] },
            talkers: Vec::new(),
        };
        let layout = Layout { lane_columns: vec!["ended".into(), BEATS.into()], ..Layout::default() };
        Snapshot { layout, lanes: lanes.iter().map(lane).collect(), ..Snapshot::default() }
    }

    #[test]
    fn a_lane_stands_still_that_promised_to_publish_and_did_not() {
        let before = [Time(5), Time(7)];
        for (lanes, expected) in [
            ([(6, 1), (8, 1)], false),
            ([(6, 1), (7, 1)], true),
            // A clock that was set back says as well that it published.
            ([(2, 1), (3, 1)], false),
            // One that waits, reads a file or has ended promises nothing.
            ([(6, 1), (7, 0)], false),
        ] {
            assert_eq!(stands_still(&page(&lanes), &before), expected, "{lanes:?}");
        }
        assert!(!stands_still(&page(&[(5, 1)]), &[]), "the first look");
        let mut old = page(&[(5, 1)]);
        old.layout.lane_columns.pop();
        assert!(!stands_still(&old, &before), "a version that promises nothing");
    }

    #[test]
    fn who_waits_for_a_processor_is_starved_and_who_uses_it_or_sleeps_is_not() {
        let look = |threads: &[(u32, u64)]| threads.iter().copied().collect::<HashMap<u32, u64>>();
        let before = look(&[(1, 100), (2, 50)]);
        assert!(is_starved(&before, &look(&[(1, 100), (2, 60)])));
        assert!(!is_starved(&before, &look(&[(1, 101), (2, 60)])), "spins");
        assert!(!is_starved(&before, &look(&[])), "sleeps, or was stopped");
        assert!(!is_starved(&before, &look(&[(3, 100)])), "another thread, of which nothing is known yet");
    }
}
