//! bloom_history: who was talked to, as Bloom filters sent to a service at intervals (spec/modules.md section 33).
use super::start;
use crate::argparse::atoi;
use crate::bloom::{Bloom, SizeError};
use crate::clock::unix_secs;
use crate::http;
use crate::options::{self, value};
use crate::pyjson::{self, Json, JsonError};
use crate::reading::{self, Next, ReadError, Reader};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use trap::Input;
use trap::module::{Count, Module, ModuleInfo, Param};

const FIELDS: &str = "ipaddr DST_IP,uint32 PREFIX_TAG";
/// Smallest filter that libbloom makes.
const ENTRIES_MIN: u32 = 1_000;
/// Between uploads, seconds.
const INTERVAL: u32 = 300;

/// What is kept of one PREFIX_TAG, and where it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    pub id: u32,
    pub entries: u32,
    pub error: f64,
    /// Without the times behind it.
    pub api_url: String,
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("Error: {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Error: parsing config: {0}")]
    Json(#[from] JsonError),
    #[error("Error: bad JSON format")]
    NoList,
    #[error(
        "Error: bad config format\nEach item has id and bloom_entries (integers, {ENTRIES_MIN} entries or more), \
         bloom_fp_error_rate (0.01 or the like) and api_url; item {0} has not."
    )]
    Item(usize),
    #[error("Error: id {0} is given twice")]
    Twice(u32),
    #[error("Error: at least one network prefix has to be specified in configuration file")]
    Empty,
    #[error("Error: {0}")]
    Size(#[from] SizeError),
}

/// Why the command line was refused; exit code 255.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Uload interval must be > 0")]
    Interval,
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub prefixes: Vec<Prefix>,
    pub interval: Duration,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends Bloom filters of addresses to a service.";

const INFO: ModuleInfo = ModuleInfo {
    name: "bloom_history",
    description: "Keeps the destination addresses of each prefix tag in a Bloom filter and sends the filters to a service at \
                  intervals.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('c', "config", "string", "JSON list of {\"id\", \"bloom_fp_error_rate\", \"bloom_entries\", \"api_url\"}."),
    value('t', "interval", "int32", "Seconds between uploads (default 300)."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut inputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let ended = Settings::parse(&args[1..]).map(|settings| run(&mut inputs[0], &settings));
    match ended {
        Ok(Ok(_)) => 0,
        Ok(Err(HistoryError::Read(why))) => {
            why.report();
            254
        }
        Ok(Err(why)) => {
            eprintln!("{why}");
            255
        }
        Err(why) => {
            eprintln!("{why}");
            255
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone, and the configuration.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings { prefixes: Vec::new(), interval: Duration::from_secs(INTERVAL.into()) };
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'c' => settings.prefixes = load(Path::new(&given.value))?,
                _ => {
                    let secs = u64::try_from(atoi(&given.value)).ok().filter(|secs| *secs > 0);
                    settings.interval = Duration::from_secs(secs.ok_or(UsageError::Interval)?);
                }
            }
        }
        Ok(settings)
    }
}

/// Reads a configuration file.
pub fn load(path: &Path) -> Result<Vec<Prefix>, ConfigError> {
    let text = std::fs::read(path).map_err(|source| ConfigError::Open { path: path.to_owned(), source })?;
    parse(&text)
}

/// Reads the text of a configuration.
pub fn parse(text: &[u8]) -> Result<Vec<Prefix>, ConfigError> {
    let Json::Array(items) = pyjson::parse(text)? else { return Err(ConfigError::NoList) };
    let mut prefixes: Vec<Prefix> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let prefix = prefix(item).ok_or(ConfigError::Item(at + 1))?;
        if prefixes.iter().any(|known| known.id == prefix.id) {
            return Err(ConfigError::Twice(prefix.id));
        }
        prefixes.push(prefix);
    }
    if prefixes.is_empty() { Err(ConfigError::Empty) } else { Ok(prefixes) }
}

fn prefix(item: &Json) -> Option<Prefix> {
    let int = |name| match item.get(name) {
        Some(Json::Int(digits)) => digits.parse::<u32>().ok(),
        _ => None,
    };
    let (Some(Json::Float(error)), Some(Json::Str(api_url))) = (item.get("bloom_fp_error_rate"), item.get("api_url"))
    else {
        return None;
    };
    let entries = int("bloom_entries").filter(|entries| *entries >= ENTRIES_MIN)?;
    Some(Prefix { id: int("id")?, entries, error: *error, api_url: api_url.to_plain() })
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub inserted: u64,
    /// Records with a tag that is not configured.
    pub unknown: u64,
    pub uploads: u64,
    /// Filters that the service did not take; they are lost, as in the original.
    pub failed: u64,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}")]
    Size(#[from] SizeError),
}

/// Collects until the stream ends or the stop flag is set; what was collected then is sent as well.
pub fn run(input: &mut Input, settings: &Settings) -> Result<Totals, HistoryError> {
    let fresh = |prefix: &Prefix| Bloom::new(prefix.entries, prefix.error);
    let filters = settings.prefixes.iter().map(fresh).collect::<Result<Vec<_>, _>>()?;
    let filters = Arc::new(Mutex::new(filters));
    let (end, is_ended) = mpsc::channel::<()>();
    let uploading = {
        let (settings, filters) = (settings.clone(), Arc::clone(&filters));
        thread::spawn(move || upload(&settings, &filters, &is_ended))
    };
    let mut totals = Totals::default();
    let collected = collect(input, settings, &filters, &mut totals);
    drop(end);
    // It can only have panicked, which was printed.
    let (uploads, failed) = uploading.join().unwrap_or_default();
    collected?;
    Ok(Totals { uploads, failed, ..totals })
}

fn collect(
    input: &mut Input,
    settings: &Settings,
    filters: &Mutex<Vec<Bloom>>,
    totals: &mut Totals,
) -> Result<(), ReadError> {
    let places: HashMap<u32, usize> =
        settings.prefixes.iter().enumerate().map(|(at, prefix)| (prefix.id, at)).collect();
    let mut reader = Reader::new(input, FIELDS)?;
    let (mut dst, mut tag) = (0, 0);
    loop {
        let view = match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    dst = reading::field(view.template(), "DST_IP");
                    tag = reading::field(view.template(), "PREFIX_TAG");
                }
                view
            }
            Next::Nothing | Next::Damaged => continue,
            Next::Eof | Next::Stopped => return Ok(()),
        };
        let tag = view.uint(tag).unwrap_or(0) as u32;
        let Some(at) = places.get(&tag) else {
            totals.unknown += 1;
            // The original says it for each record.
            if totals.unknown.is_power_of_two() {
                eprintln!("Error: Received unknown PREFIX_TAG: {tag} ({} of them so far)", totals.unknown);
            }
            continue;
        };
        // A filter is whole at any moment, so a panic elsewhere leaves it usable.
        let filter = &mut filters.lock().unwrap_or_else(PoisonError::into_inner)[*at];
        match view.ip(dst) {
            Some(IpAddr::V4(ip)) => filter.insert(&ip.octets()),
            Some(IpAddr::V6(ip)) => filter.insert(&ip.octets()),
            None => continue,
        };
        totals.inserted += 1;
    }
}

/// Sends all filters at each interval and once more at the end; answers how many went and how many did not.
fn upload(settings: &Settings, filters: &Mutex<Vec<Bloom>>, is_ended: &mpsc::Receiver<()>) -> (u64, u64) {
    let (mut sent, mut failed) = (0, 0);
    loop {
        let from = unix_secs();
        let is_last = is_ended.recv_timeout(settings.interval) != Err(mpsc::RecvTimeoutError::Timeout);
        for (at, prefix) in settings.prefixes.iter().enumerate() {
            // The size was good before.
            let Ok(fresh) = Bloom::new(prefix.entries, prefix.error) else { continue };
            let full = {
                let mut filters = filters.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut filters[at], fresh)
            };
            // One more, so that the time is never empty.
            let url = format!("{}/{from}/{}/", prefix.api_url, unix_secs() + 1);
            let failure = match http::post(&url, "application/octet-stream", &full.serialize()) {
                Ok(200) => {
                    sent += 1;
                    continue;
                }
                Ok(status) => format!("{url}: status {status}"),
                Err(why) => format!("{url}: {why}"),
            };
            failed += 1;
            eprintln!("Error(-9): sending filter\n{failure}");
        }
        if is_last {
            return (sent, failed);
        }
    }
}

/// Any bytes as a configuration.
pub fn fuzz_config(input: &[u8]) {
    let Ok(prefixes) = parse(input) else { return };
    assert!(!prefixes.is_empty() && prefixes.iter().all(|prefix| prefix.entries >= ENTRIES_MIN));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn configurations() {
        let item =
            r#"{"id": 7, "bloom_fp_error_rate": 0.01, "bloom_entries": 1000, "api_url": "http://a/1", "more": []}"#;
        let prefixes = parse(format!("[{item}]").as_bytes()).unwrap();
        assert_eq!(prefixes, [Prefix { id: 7, entries: 1_000, error: 0.01, api_url: "http://a/1".into() }]);
        let fails = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(
            fails("[]").contains("at least one") && fails("{}").contains("bad JSON") && fails("[").contains("parsing")
        );
        assert!(fails(&format!("[{item},{item}]")).contains("twice"));
        for (good, bad) in [("0.01", "1"), ("1000", "999"), ("7", "-7"), ("\"http://a/1\"", "1")] {
            assert!(fails(&format!("[{}]", item.replace(good, bad))).contains("bad config format"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text(input in "\\[(\\{\"id\":[0-9]{1,9},\"bloom_fp_error_rate\":0.[0-9],\"bloom_entries\":[0-9]{3,5},\"api_url\":\"[a-z]?\"\\},?){0,3}\\]") {
            fuzz_config(input.as_bytes());
        }
    }
}
