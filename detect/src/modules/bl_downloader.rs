//! bl_downloader: fetches public blacklists and writes the files of the filters (spec/detectors.md section 8.5).
//!
//! Contract: a server is asked for a list when the list's interval has passed, and only for what changed (`ETag`, `Last-Modified`); it
//! cannot make us wait longer than [`TOTAL`] or take more than [`FILE_MAX`] bytes. A list that cannot be fetched stays as it was and is tried
//! again with the next round. The file of a filter is written anew when one of its lists changed.
pub(crate) mod extract;
mod settings;
mod store;

use crate::argparse::{self, ArgError, long_flag, long_value};
use crate::blacklist::catalog::{self, Catalog};
use crate::client::{Limits, Trust};
use crate::http::get::{self, Fetched, Version};
use crate::options::value;
use extract::Entries;
use settings::{Settings, Target};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use trap::Stop;
use trap::module::Param;

/// Bytes of a list, at the most.
const FILE_MAX: usize = 256 << 20;
/// For one list; a server that is silent for shorter times may go on so long.
const TOTAL: Duration = Duration::from_secs(300);
/// Longest single wait between rounds, then the stop flag is looked at.
const SLICE: Duration = Duration::from_millis(200);
/// Level of logging up to which progress is told, as in Python's `logging`.
const INFO_LEVEL: i32 = 20;

/// The catalog that comes with the program; booters are the list 4 of names.
const SHIPPED: &str = include_str!("../blacklist/bl_downloader_config.xml");

/// One line for lists of modules.
pub const ABOUT: &str = "Fetches public blacklists for the blacklist filters.";

const USAGE: &str = "Usage: bl_downloader [-c FILE] [-r FOLDER] [-l LEVEL] [--ca FILE] [--print-config]";

const PARAMS: &[Param] = &[
    value(
        'c',
        "config-file",
        "string",
        "Catalog of blacklists (default: /etc/nemea/blacklistfilter/bl_downloader_config.xml).",
    ),
    value('r', "repo-path", "string", "Keep the history of all lists in this git repository."),
    value('l', "log-level", "int32", "Tell progress up to level 20, warnings up to level 30 (default 20)."),
    long_value("ca", "string", "Trust the certificates of this PEM file in place of the system's."),
    long_flag("print-config", "Print the catalog that comes with the program, and exit."),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    config: PathBuf,
    repository: Option<PathBuf>,
    level: i32,
    trust: Trust,
    prints: bool,
}

/// Runs the module, which needs no interfaces; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        println!("{ABOUT}\n\n{USAGE}\n");
        for param in PARAMS {
            let letter = param.short.map_or_else(String::new, |letter| format!("-{letter}, "));
            println!("  {letter}--{}\n        {}", param.long, param.description);
        }
        return 0;
    }
    let line = match Line::parse(args) {
        Ok(line) => line,
        Err(why) => {
            eprintln!("{USAGE}\nbl_downloader: error: {why}");
            return 2;
        }
    };
    if line.prints {
        print!("{SHIPPED}");
        return 0;
    }
    let stop = Stop::default();
    if let Err(why) = stop.on_signals() {
        eprintln!("Error: cannot watch SIGINT and SIGTERM: {why}");
        return 1;
    }
    let catalog = Catalog::load(&line.config).map_err(settings::SettingsError::from);
    match catalog.and_then(|catalog| Settings::of(&catalog)) {
        Ok(settings) => {
            let lists = settings.sources.iter().map(|_| Known::default()).collect();
            let Line { repository, level, trust, .. } = line;
            Downloader { settings, repository, level, trust, lists }.run(&stop);
            0
        }
        Err(why) => {
            eprintln!("Error: {}: {why}", line.config.display());
            1
        }
    }
}

impl Line {
    fn parse(args: &[String]) -> Result<Line, ArgError> {
        let mut line = Line {
            config: catalog::DEFAULT_PATH.into(),
            repository: None,
            level: INFO_LEVEL,
            trust: Trust::System,
            prints: false,
        };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            match name {
                "config-file" => line.config = value.into(),
                "repo-path" => line.repository = Some(value.into()),
                "log-level" => line.level = argparse::atoi(&value),
                "ca" => line.trust = Trust::File(value.into()),
                _ => line.prints = true,
            }
        }
        Ok(line)
    }
}

/// All lists and what is known of them.
#[derive(Debug)]
struct Downloader {
    settings: Settings,
    repository: Option<PathBuf>,
    level: i32,
    trust: Trust,
    /// In the order of the sources.
    lists: Vec<Known>,
}

/// What is known of a list.
#[derive(Debug, Default)]
struct Known {
    /// When its server answered last.
    asked: Option<Instant>,
    version: Version,
    entries: Entries,
}

impl Downloader {
    /// Fetches what is due, again and again until it is to stop.
    fn run(&mut self, stop: &Stop) {
        while !stop.is_set() {
            self.round(Instant::now(), stop);
            let next = Instant::now() + self.settings.interval;
            while !stop.is_set() && Instant::now() < next {
                thread::sleep(SLICE.min(next.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// Fetches what is due now; writes the files of which a list changed.
    fn round(&mut self, now: Instant, stop: &Stop) {
        let mut changed = [false; Target::ALL.len()];
        for at in 0..self.lists.len() {
            if stop.is_set() {
                return;
            }
            for target in self.refresh(at, now, stop) {
                changed[target as usize] = true;
            }
        }
        for target in Target::ALL.into_iter().filter(|target| changed[*target as usize]) {
            self.write(target);
        }
    }

    /// Fetches a list if it is due; answers which files it changes.
    fn refresh(&mut self, at: usize, now: Instant, stop: &Stop) -> Vec<Target> {
        let (Some(source), Some(known)) = (self.settings.sources.get(at), self.lists.get_mut(at)) else {
            return Vec::new();
        };
        if known.asked.is_some_and(|asked| now.saturating_duration_since(asked) < source.interval) {
            return Vec::new();
        }
        let limits = Limits { idle: self.settings.patience, total: TOTAL };
        let (file, version) = match fetch(&source.place, &known.version, (limits, &self.trust), stop) {
            Ok(Fetched::File(file, version)) => (file, version),
            Ok(Fetched::Same) => {
                known.asked = Some(now);
                return Vec::new();
            }
            Err(why) => {
                self.warn(&format!("cannot fetch {}: {why}", source.name));
                return Vec::new();
            }
        };
        let entries = extract::entries(source, &file);
        let is_same = known.asked.is_some() && entries == known.entries;
        (known.asked, known.version) = (Some(now), version);
        if is_same {
            return Vec::new();
        }
        known.entries = entries;
        if self.level <= INFO_LEVEL {
            eprintln!("{}: {} entries", source.name, self.lists[at].entries.len());
        }
        source.targets.clone()
    }

    /// Writes the file of a filter, and the history.
    fn write(&self, target: Target) {
        let both = || self.settings.sources.iter().zip(&self.lists);
        let of_target = both().filter(|(source, _)| source.targets.contains(&target));
        let parts: Vec<_> = of_target.clone().map(|(source, known)| (source.id, &known.entries)).collect();
        let path = &self.settings.files[target as usize];
        match store::write(path, target, &parts) {
            Ok(()) if self.level <= INFO_LEVEL => eprintln!("{} was written", path.display()),
            Ok(()) => {}
            Err(why) => self.warn(&format!("cannot write {}: {why}", path.display())),
        }
        let Some(repository) = &self.repository else { return };
        let mut of_target = of_target;
        let keep = |(source, known): (&settings::Source, &Known)| {
            store::keep(repository, target, &source.name, &known.entries)
        };
        let kept = of_target.try_for_each(keep);
        if let Err(why) = kept.and_then(|()| store::commit(repository, target)) {
            self.warn(&format!("cannot keep the history in {}: {why}", repository.display()));
        }
    }

    fn warn(&self, what: &str) {
        if self.level <= 30 {
            eprintln!("WARNING: {what}");
        }
    }
}

/// A list from a server, or from a file here: `file:///PATH` or a path.
fn fetch(place: &str, known: &Version, terms: (Limits, &Trust), stop: &Stop) -> Result<Fetched, String> {
    if place.starts_with("http://") || place.starts_with("https://") {
        return get::get(place, known, terms, FILE_MAX, stop).map_err(|why| why.to_string());
    }
    read(Path::new(place.strip_prefix("file://").unwrap_or(place)), known).map_err(|why| why.to_string())
}

fn read(path: &Path, known: &Version) -> std::io::Result<Fetched> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let version = Version { tag: None, modified: Some(format!("{:?} {}", about.modified()?, about.len())) };
    if version == *known {
        return Ok(Fetched::Same);
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        return Err(std::io::Error::other(format!("longer than {FILE_MAX} bytes")));
    }
    Ok(Fetched::File(bytes, version))
}

#[cfg(test)]
#[path = "bl_downloader/rounds_tests.rs"]
mod tests;
