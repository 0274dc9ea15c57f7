//! The Page of a run: where it lies, and what its lanes and outputs write there, some ten times a second and never for a packet.
use control::pages::{self, folders, is_alive, is_plain};
use control::process::Identity;
use dataplane::batch::Batch;
use dataplane::capture::{AnySource, CaptureDrop, CaptureSource};
use dataplane::export::RecordDrop;
use dataplane::export::ring::{LaneEnd, Output};
use dataplane::export::rule::RuleBooks;
use dataplane::lane::Lane;
use dataplane::packet::PacketDrop;
use dataplane::registry::PluginId;
use dataplane::services::{self, Services};
use dataplane::talkers::Talkers;
use record::page::columns::{self, Family};
use record::page::{Cell, Layout, PageError, Talker, Writer};
use record::{Reason, Time};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sys::SharedWords;
use sys::privileges::own_uid;

/// How often a lane publishes its counters, and its talkers.
const COUNTERS_EVERY: Duration = Duration::from_millis(100);
const TALKERS_EVERY: Duration = Duration::from_secs(1);
/// Pages of runs that died, named after their process, are kept so long.
const DEAD_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Words of the family `columns::ENDED`, by flowEndReason.
const END_REASONS: [&str; 6] = ["not_said", "idle", "active", "end_of_flow", "forced", "lack_of_resources"];
/// Why a lane did not give a record to an output.
const REFUSED: [RecordDrop; 2] = [RecordDrop::QueueFull, RecordDrop::OutputFailed];

/// Why a run has no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPage {
    #[error("a probe named {name} runs already (process {pid}): choose another --name, or stop it")]
    Taken { name: String, pid: u32 },
    #[error("{path} cannot be made: {cause}; set SONDA_RUN_DIR to a folder where it can, best in memory")]
    Create { path: String, cause: io::Error },
    #[error("the counters do not fit: {0}")]
    Layout(#[from] PageError),
}

/// Whether a run may be called so: it names a file, and digits alone are process numbers.
pub(crate) fn checked_name(name: &str) -> Result<String, String> {
    if !is_plain(name) {
        return Err(format!("use up to {} letters, digits, '.', '_' and '-', not '.' first", pages::NAME_MAX));
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err("digits alone would be a process number, add a letter".into());
    }
    Ok(name.to_string())
}

pub(crate) fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64))
}

/// The page of this run, mapped; its file goes when the run ends in order.
pub(crate) struct PageFile {
    words: SharedWords,
    layout: Layout,
    path: PathBuf,
}

impl PageFile {
    /// Makes the page in the first folder that takes it.
    pub(crate) fn create(
        name: Option<&str>,
        title: String,
        lanes: Vec<String>,
        outputs: &[Output],
    ) -> Result<PageFile, NoPage> {
        let outputs: Vec<String> = outputs.iter().map(|output| output.exporter.name()).collect();
        let layout = Layout {
            title,
            lane_columns: lane_columns(outputs.len()),
            output_columns: output_columns(),
            lanes,
            outputs,
        };
        layout.check()?;
        let pid = std::process::id();
        let file_name = format!("{}.page", name.map_or_else(|| pid.to_string(), String::from));
        let mut failed = None;
        for folder in folders() {
            let path = folder.join(&file_name);
            match open(&folder, &path).and_then(|file| SharedWords::new(&file, layout.words())) {
                Ok(words) => {
                    let process_start = Identity::of(pid).map_or(0, |own| own.start);
                    layout.begin(&words, Writer { pid, process_start, started: now() });
                    return Ok(PageFile { words, layout, path });
                }
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                    let pid = pages::read(&path).map_or(0, |page| page.writer.pid);
                    return Err(NoPage::Taken { name: name.unwrap_or_default().into(), pid });
                }
                Err(cause) => failed = Some(NoPage::Create { path: path.display().to_string(), cause }),
            }
        }
        Err(failed.unwrap_or(NoPage::Create { path: file_name, cause: io::ErrorKind::NotFound.into() }))
    }

    /// Lets the output write its books.
    pub(crate) fn watch(self: &Arc<Self>, index: usize, output: &mut Output) {
        let page = Arc::clone(self);
        let cell = self.layout.output(index);
        let mut values = vec![0; self.layout.output_columns.len()];
        output.watch = Some(Box::new(move |records, rule| {
            let drops = RecordDrop::ALL.iter().map(|why| records.dropped(*why));
            let rule = rule.copied().unwrap_or_default();
            let all = [records.taken, records.kept].into_iter().chain(drops).chain(rule.fates()).chain(rule.ends());
            values.iter_mut().zip(all).for_each(|(value, n)| *value = n);
            cell.publish(&page.words, now(), &values);
        }));
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A new file in a folder that is ours alone to write in. That of a process which has died is replaced.
fn open(folder: &Path, path: &Path) -> io::Result<File> {
    // Whatever is wrong with the folder, that the page exists it is not.
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(io::Error::other)?;
    let at = std::fs::symlink_metadata(folder)?;
    if !at.is_dir() || at.mode() & 0o022 != 0 && at.mode() & 0o1000 == 0 || at.uid() != own_uid() {
        return Err(io::Error::other("the folder is not this user's alone"));
    }
    remove_dead(folder);
    let create = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(path);
    match create() {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            match pages::read(path) {
                Ok(page) if is_alive(&page.writer) => return Err(e),
                _ => std::fs::remove_file(path)?,
            }
            create()
        }
        created => created,
    }
}

/// Removes old pages of processes that did not end in order.
fn remove_dead(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let pid = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".page")?.parse::<u32>().ok());
        let changed = std::fs::symlink_metadata(&path).and_then(|file| file.modified());
        let old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > DEAD_KEPT));
        if pid.is_some_and(|pid| Identity::of(pid).is_none()) && old {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn lane_columns(outputs: usize) -> Vec<String> {
    let word = |family: Family, word: &str| format!("{}.{word}", family.prefix);
    let mut names: Vec<String> = columns::LANE.iter().map(|column| column.name.to_string()).collect();
    names.extend(END_REASONS.iter().map(|why| word(columns::ENDED, why)));
    names.extend(CaptureDrop::ALL.iter().map(|why| word(columns::CAPTURE_DROPPED, why.label())));
    names.extend(PacketDrop::ALL.iter().map(|why| word(columns::PACKETS_DROPPED, why.label())));
    names.extend(PluginId::ALL.iter().map(|plugin| word(columns::RECORDS, plugin.name())));
    names.extend(services::names().map(|(protocol, port)| word(columns::SERVICES, &format!("{protocol}.{port}"))));
    names.extend(notes().map(|(plugin, what)| word(columns::NOTES, &format!("{}.{what}", plugin.name()))));
    names.extend((0..outputs).flat_map(|n| REFUSED.map(|why| word(columns::REFUSED, &format!("{n}.{}", why.label())))));
    names
}

/// What plugins count beside their records.
fn notes() -> impl Iterator<Item = (PluginId, &'static str)> {
    PluginId::ALL.iter().flat_map(|plugin| plugin.notes().iter().map(|what| (*plugin, *what)))
}

fn output_columns() -> Vec<String> {
    let dropped = RecordDrop::ALL.iter().map(|why| format!("{}.{}", columns::OUTPUT_DROPPED.prefix, why.label()));
    let fates = RuleBooks::FATES.iter().map(|fate| format!("{}.{fate}", columns::RULE_FLOWS.prefix));
    let ends = RuleBooks::ENDS.iter().map(|end| format!("{}.{end}", columns::RULE_ENDED.prefix));
    columns::OUTPUT.iter().map(|column| column.name.to_string()).chain(dropped).chain(fates).chain(ends).collect()
}

/// What one lane writes.
pub(crate) struct Meter {
    page: Arc<PageFile>,
    counters: Cell,
    talkers: Cell,
    values: Vec<u64>,
    records: [u64; PluginId::COUNT],
    services: Services,
    watched: Talkers,
    list: Vec<Talker>,
    /// Whether it reads an interface, and whether it may be silent now: together what it promises ([`columns::BEATS`]).
    live: bool,
    rests: bool,
    /// Where that promise is among the values.
    beats: usize,
    /// When the next publications are due.
    counters_due: Instant,
    talkers_due: Instant,
}

impl Meter {
    pub(crate) fn new(page: &Arc<PageFile>, lane: usize, now: Instant) -> Meter {
        Meter {
            counters: page.layout.lane(lane),
            talkers: page.layout.talkers(lane),
            values: vec![0; page.layout.lane_columns.len()],
            page: Arc::clone(page),
            records: [0; PluginId::COUNT],
            services: Services::default(),
            watched: Talkers::new(now),
            list: Talkers::room(),
            live: false,
            rests: false,
            beats: columns::LANE.iter().position(|column| column.name == columns::BEATS).unwrap_or_default(),
            counters_due: now,
            talkers_due: now,
        }
    }

    /// Notes flows that have ended, on their way to the outputs.
    pub(crate) fn watch(&mut self, batch: &Batch) {
        batch.plugins().for_each(|plugin| self.records[plugin as usize] += 1);
        self.services.watch(batch);
        self.watched.watch(batch);
    }

    /// Publishes what is due.
    pub(crate) fn look(&mut self, at: Instant, lane: &Lane, source: &AnySource, end: &LaneEnd) {
        if at >= self.counters_due {
            self.counters_due = at + COUNTERS_EVERY;
            self.counters(lane, source, end, false);
        }
        if at >= self.talkers_due {
            self.talkers_due = at + TALKERS_EVERY;
            self.talkers(at);
        }
    }

    pub(crate) fn rests(&self) -> bool {
        self.rests
    }

    /// Says that the lane may be silent from now on, or is not any more.
    pub(crate) fn rest(&mut self, rests: bool) {
        self.rests = rests;
        self.values[self.beats] = (self.live && !rests).into();
        self.counters.publish(&self.page.words, now(), &self.values);
    }

    /// Publishes everything for the last time.
    pub(crate) fn finish(&mut self, lane: &Lane, source: &AnySource, end: &LaneEnd) {
        self.counters(lane, source, end, true);
        self.talkers(Instant::now());
    }

    fn counters(&mut self, lane: &Lane, source: &AnySource, end: &LaneEnd, ended: bool) {
        let report = lane.report(source);
        let cache = &report.cache;
        // Of a file all lanes read the same.
        self.live = source.is_live();
        let taken = if self.live || lane.is_first() { source.stats() } else { Default::default() };
        let fixed: [u64; columns::LANE.len()] = [
            ended.into(),
            (self.live && !self.rests && !ended).into(),
            taken.packets,
            taken.bytes,
            taken.offered.unwrap_or(taken.packets + taken.drops.total()),
            taken.offloaded,
            taken.passed,
            report.packets.taken,
            report.packets.kept,
            report.decoded_bytes,
            report.live as u64,
            cache.opened,
            cache.continued,
            cache.packets,
            cache.bytes,
            cache.exported_packets,
            cache.exported_bytes,
            report.offload.out,
            report.offload.lent,
            report.offload.packets,
            report.offload.bytes,
            report.inside.kept,
            report.inside.dropped_total(),
        ];
        let refused = end.refused().flat_map(|books| REFUSED.map(|why| books.dropped(why)));
        let all = fixed.into_iter().chain(cache.ended);
        let all = all.chain(CaptureDrop::ALL.iter().map(|why| taken.drops.of(*why)));
        let all = all.chain(PacketDrop::ALL.iter().map(|why| report.packets.dropped(*why)));
        let count =
            |(id, what)| report.notes.iter().find(|note| (note.id, note.what) == (id, what)).map_or(0, |n| n.count);
        let all = all.chain(self.records).chain(self.services.bytes()).chain(notes().map(count)).chain(refused);
        self.values.iter_mut().zip(all).for_each(|(value, n)| *value = n);
        self.counters.publish(&self.page.words, now(), &self.values);
    }

    fn talkers(&mut self, at: Instant) {
        self.watched.list(at, &mut self.list);
        self.talkers.publish_talkers(&self.page.words, now(), &self.list);
    }
}
