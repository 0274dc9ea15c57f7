//! The files of a folder, as nfcapd leaves them there: the flows of a time that a filter takes.
//!
//! Which files may hold them is told by the sums at their ends, not by names: what they are called, and by which clock, is the collector's
//! choice. A file that is still written has no sums yet and its header counts no block; nfcapd calls it `nfcapd.current...`: its flows are
//! found once it is complete.
use super::filter::Filter;
use super::reader::Appendix;
use super::{Flow, NfError, Reader, Sums};
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where flows of this box are looked for, unless something else is said.
pub const FOLDER: &str = "/var/lib/sonda/flows";

/// Folders in folders, at the most: `nfcapd -S` makes three levels of them.
const DEPTH_MAX: u32 = 6;
/// Files of a folder, at the most: more than a year in steps of 5 minutes.
const FILES_MAX: usize = 200_000;
/// Flows between two looks at the clock.
const FLOWS_AT_ONCE: u64 = 4_096;
/// Faults that are told of.
const FAULTS_MAX: usize = 8;

/// Which flows.
#[derive(Clone, Debug)]
pub struct Search<'s> {
    /// Those that had begun by `until` and had not ended before `from`, in milliseconds since 1970.
    pub from: u64,
    pub until: u64,
    pub filter: &'s Filter,
    /// So many are kept, the earliest ones.
    pub limit: usize,
    /// When to stop, finished or not; `None`: when all is looked at.
    pub deadline: Option<Instant>,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In order of their beginning.
    pub flows: Vec<Flow>,
    /// All that match, also those behind the limit.
    pub matched: u64,
    /// Files that may hold flows of the time and were read, and the flows in them.
    pub files: u64,
    pub looked_at: u64,
    /// Files that could not be read, or not to their ends, with the reason; the first few of them.
    pub faults: Vec<String>,
    pub faulty: u64,
    /// Whether the time was too short, or there are too many files.
    pub is_cut: bool,
}

impl Search<'_> {
    /// Goes through the files of a folder and of those in it.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn run(&self, folder: &Path) -> io::Result<Found> {
        let mut found = Found::default();
        let files = files(folder, &mut found)?;
        let mut earliest = Earliest::new(self.limit);
        for path in files {
            if self.is_late() {
                found.is_cut = true;
                break;
            }
            if let Err(why) = self.look(&path, &mut found, &mut earliest) {
                found.fault(&path, &why);
            }
        }
        found.flows = earliest.into_flows();
        Ok(found)
    }

    fn look(&self, path: &Path, found: &mut Found, earliest: &mut Earliest) -> Result<(), NfError> {
        let mut file = File::open(path)?;
        let (header, Appendix { sums, .. }) = Appendix::of(&mut file)?;
        // Those of a file without an appendix say nothing.
        let is_elsewhere = sums != Sums::default() && (sums.last < self.from || sums.first > self.until);
        if header.blocks == 0 || is_elsewhere {
            return Ok(());
        }
        found.files += 1;
        let mut reader = Reader::open(path)?;
        let mut number = 0;
        while let Some(flow) = reader.next_flow()? {
            number += 1;
            found.looked_at += 1;
            if flow.last >= self.from && flow.first <= self.until && self.filter.matches(&flow, number) {
                found.matched += 1;
                earliest.add(flow);
            }
            if number.is_multiple_of(FLOWS_AT_ONCE) && self.is_late() {
                found.is_cut = true;
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Found {
    fn fault(&mut self, path: &Path, why: &NfError) {
        self.faulty += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(format!("{}: {why}", path.display()));
        }
    }
}

/// All files, those with the lowest names first, which are the oldest; a folder that cannot be read is told of.
fn files(root: &Path, found: &mut Found) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(why) if depth == 0 => return Err(why),
            Err(why) => {
                found.fault(&folder, &why.into());
                continue;
            }
        };
        for entry in entries {
            let entry = entry?;
            // Of the entry itself: a link to a folder is not followed, so there is no circle.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && is_complete(&entry.path()) {
                files.push(entry.path());
            }
            if files.len() + folders.len() > FILES_MAX {
                found.is_cut = true;
                files.sort();
                return Ok(files);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Neither a file that nfcapd still writes nor its book of the folder (`.nfstat`).
fn is_complete(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    !name.starts_with(b".") && !name.windows(9).any(|part| part == b".current.") && !name.ends_with(b".current")
}

/// The earliest flows that were added.
struct Earliest {
    limit: usize,
    /// With how many came before, so that those of one time stay in order; the latest on top.
    kept: BinaryHeap<Entry>,
    added: u64,
}

struct Entry {
    key: (u64, u64),
    flow: Flow,
}

impl Earliest {
    fn new(limit: usize) -> Earliest {
        Earliest { limit, kept: BinaryHeap::new(), added: 0 }
    }

    fn add(&mut self, flow: Flow) {
        self.added += 1;
        let key = (flow.first, self.added);
        if self.kept.len() < self.limit {
            self.kept.push(Entry { key, flow });
        } else if let Some(mut latest) = self.kept.peek_mut().filter(|latest| key < latest.key) {
            *latest = Entry { key, flow };
        }
    }

    fn into_flows(self) -> Vec<Flow> {
        self.kept.into_sorted_vec().into_iter().map(|entry| entry.flow).collect()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Writer, filter};
    use super::*;
    use tempfile::TempDir;

    fn write(path: &Path, times: &[(u64, u64)]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = Writer::create(path, Compression::Lz4).unwrap();
        for (first, last) in times {
            writer.add(&Flow { first: *first, last: *last, packets: 1, ..Flow::default() }).unwrap();
        }
        writer.finish().unwrap();
    }

    fn search(folder: &TempDir, from: u64, until: u64, limit: usize) -> Found {
        let filter = filter::parse("packets = 1").unwrap();
        Search { from, until, filter: &filter, limit, deadline: None }.run(folder.path()).unwrap()
    }

    fn firsts(found: &Found) -> Vec<u64> {
        found.flows.iter().map(|flow| flow.first).collect()
    }

    #[test]
    fn files_are_chosen_by_their_sums_and_flows_by_their_times() {
        let folder = TempDir::new().unwrap();
        write(&folder.path().join("2026/11/22/nfcapd.202611220005"), &[(300, 350), (290, 390)]);
        write(&folder.path().join("nfcapd.202611220000"), &[(100, 150), (190, 310), (120, 130)]);
        write(&folder.path().join("nfcapd.202611220010"), &[(400, 450)]);
        write(&folder.path().join("nfcapd.202611220015"), &[]);
        write(&folder.path().join("nfcapd.current.17"), &[(300, 300)]);
        let found = search(&folder, 200, 310, 10);
        assert_eq!((firsts(&found), found.matched, found.files, found.looked_at), (vec![190, 290, 300], 3, 2, 5));
        assert_eq!((found.faulty, found.is_cut), (0, false));
        let found = search(&folder, 0, 1_000, 2);
        assert_eq!((firsts(&found), found.matched), (vec![100, 120], 6), "the earliest are kept");
        assert_eq!(search(&folder, 460, 1_000, 9).files, 0);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_is_found() {
        let folder = TempDir::new().unwrap();
        write(&folder.path().join("b"), &[(1, 1)]);
        fs::write(folder.path().join("a"), "no file of nfdump, but one that is as long as a header").unwrap();
        for n in 0..10 {
            fs::write(folder.path().join(format!("c{n}")), "").unwrap();
        }
        fs::write(folder.path().join(".nfstat"), "").unwrap();
        let found = search(&folder, 0, 9, 9);
        assert_eq!((firsts(&found), found.faulty, found.faults.len()), (vec![1], 11, FAULTS_MAX));
        assert!(found.faults[0].ends_with("/a: it is no file of nfdump"), "{:?}", found.faults);
        let filter = Filter::Any;
        let late = Search { from: 0, until: 9, filter: &filter, limit: 9, deadline: Some(Instant::now()) };
        assert!(late.run(folder.path()).unwrap().is_cut, "the deadline holds");
        assert!(late.run(&folder.path().join("nothing")).is_err());
    }
}
