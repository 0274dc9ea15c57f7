//! sni_dataset_saver: flows of TLS whose server name is in a list, sampled by how common their tag is (spec/modules.md section 34).
mod domains;
mod sampler;

use super::begin;
use crate::options::{self, value};
use crate::pyjson::{Json, Text};
use crate::reading::{NO_FIELD, Next, ReadError, Reader};
use domains::Domains;
pub use domains::{DomainError, fuzz_domains};
use jiff::{Timestamp, tz::TimeZone};
use record::unirec::{Builder, Template};
use record::{Time, Value};
use sampler::Sampler;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Format, Input, Output, Sent, Timeout, TrapError};

/// Minutes between statistics.
const WINDOW_MINUTES: i64 = 5;
/// Attempts to send a record.
const SEND_MAX: usize = 3;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub domains: PathBuf,
    /// A tag that was idle for longer is not sampled.
    pub timeout_secs: u64,
    /// Statistics to begin with.
    pub stats: Option<PathBuf>,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("Domains filename argument is not set.")]
    NoDomains,
    #[error("{0}")]
    Domains(#[from] DomainError),
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum SaverError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: records do not have the field {0}")]
    NoField(&'static str),
    #[error("Error: {0}")]
    Send(#[from] TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Saves TLS flows of listed server names, sampled.";

const INFO: ModuleInfo = ModuleInfo {
    name: "tls_sni_capture",
    description: "Forwards flows of TLS whose server name is in a list, sampled by how common their tag is; every five minutes \
                  the second output tells how many flows each tag had.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(2),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('f', "filename", "string", "CSV file with the columns Tag and Merged Domains. Mandatory."),
    value('t', "timeout", "int", "Do not sample tags that were idle for this many seconds (default 300)."),
    value(
        's',
        "stats_file",
        "string",
        "File with statistics of the second output to begin with, as logger writes them.",
    ),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let ((settings, mut domains), Module { mut inputs, outputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 1)
    {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    if let Some(why) = settings.stats.as_deref().and_then(|path| domains.load_counts(path).err()) {
        eprintln!("{why}");
    }
    let Ok([flows, stats]) = <[Output; 2]>::try_from(outputs) else { return 1 };
    match run(&mut inputs[0], flows, stats, &settings, domains, SystemTime::now) {
        Ok(totals) => {
            if totals.not_sent > 0 {
                eprintln!("Cannot send record due to error or timeout. ({} of them)", totals.not_sent);
            }
            0
        }
        Err(SaverError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone, and the list of domains. Options that are not understood
    /// are skipped with a message, as in the original.
    pub fn parse(args: &[String]) -> Result<(Settings, Domains), UsageError> {
        let mut settings = Settings { domains: PathBuf::new(), timeout_secs: sampler::TIMEOUT_SECS, stats: None };
        let given = options::parse(args, PARAMS).unwrap_or_else(|why| {
            eprintln!("Invalid argument: {why}, options skipped...");
            Vec::new()
        });
        for given in given {
            match given.short {
                'f' => settings.domains = given.value.into(),
                't' => settings.timeout_secs = seconds(&given.value),
                _ => settings.stats = Some(given.value.into()),
            }
        }
        if settings.domains.as_os_str().is_empty() {
            return Err(UsageError::NoDomains);
        }
        let domains = Domains::load(&settings.domains)?;
        Ok((settings, domains))
    }
}

/// `strtoul` with a base told by the prefix; 0 for what is no number.
fn seconds(text: &str) -> u64 {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap_or(0),
        None if text.starts_with('0') => u64::from_str_radix(text, 8).unwrap_or(0),
        None => text.parse().unwrap_or(0),
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub matched: u64,
    pub forwarded: u64,
    pub not_sent: u64,
}

/// Forwards until the stream ends or the stop flag is set. `now` tells the time to the statistics.
pub fn run(
    input: &mut Input,
    mut flows: Output,
    stats: Output,
    settings: &Settings,
    domains: Domains,
    now: impl Fn() -> SystemTime + Send + 'static,
) -> Result<Totals, SaverError> {
    let samplers = domains.tags().iter().map(|tag| Sampler::new(tag.count)).collect::<Vec<_>>();
    let samplers = Arc::new(Mutex::new(samplers));
    let (end, is_ended) = mpsc::channel::<()>();
    let telling = {
        let samplers = Arc::clone(&samplers);
        let tags: Vec<_> = domains.tags().iter().map(|tag| tag.name.clone()).collect();
        thread::spawn(move || tell(stats, &tags, &samplers, &is_ended, now))
    };
    flows.set_timeout(Timeout::HalfWait);
    let mut totals = Totals::default();
    let forwarded = forward(input, &mut flows, settings, &domains, &samplers, &mut totals);
    drop(end);
    // It can only have panicked, which was printed.
    let told = telling.join().unwrap_or(Ok(()));
    flows.finish()?;
    forwarded?;
    told?;
    Ok(totals)
}

fn forward(
    input: &mut Input,
    flows: &mut Output,
    settings: &Settings,
    domains: &Domains,
    samplers: &Mutex<Vec<Sampler>>,
    totals: &mut Totals,
) -> Result<(), SaverError> {
    input.set_timeout(Timeout::Micros(1_000_000));
    let mut reader = Reader::new(input, "")?;
    let (mut sni, mut first, mut last) = (NO_FIELD, NO_FIELD, NO_FIELD);
    loop {
        let view = match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    let field = |name| view.template().index_of(name).ok_or(SaverError::NoField(name));
                    (sni, first, last) = (field("TLS_SNI")?, field("TIME_FIRST")?, field("TIME_LAST")?);
                    flows.set_format(Format::UniRec(view.template().spec()))?;
                }
                view
            }
            Next::Nothing | Next::Damaged => continue,
            Next::Eof | Next::Stopped => return Ok(flows.flush()?),
        };
        let Some(tag) = view.bytes(sni).and_then(|name| domains.find(name)) else { continue };
        totals.matched += 1;
        let secs = |field| view.time(field).map_or(0, |time| time.secs());
        let passes = {
            // Counters are whole at any moment, so a panic elsewhere leaves them usable.
            let mut samplers = samplers.lock().unwrap_or_else(PoisonError::into_inner);
            samplers[tag].passes(secs(first), secs(last), settings.timeout_secs)
        };
        if !passes {
            continue;
        }
        match (0..SEND_MAX).any(|_| flows.send(view.as_bytes()) == Sent::Sent) {
            true => totals.forwarded += 1,
            false => totals.not_sent += 1,
        }
    }
}

/// Sends the statistics at each full five minutes.
fn tell(
    mut output: Output,
    tags: &[String],
    samplers: &Mutex<Vec<Sampler>>,
    is_ended: &mpsc::Receiver<()>,
    now: impl Fn() -> SystemTime,
) -> Result<(), TrapError> {
    let template = Template::parse("time TIME_FIRST,time TIME_LAST,string TLS_SNI_STATS")
        .map_err(|why| TrapError::BadFormat(why.to_string()))?;
    output.set_format(Format::UniRec(template.spec()))?;
    output.set_timeout(Timeout::HalfWait);
    let mut message = Vec::new();
    while is_ended.recv_timeout(until_window(now())) == Err(mpsc::RecvTimeoutError::Timeout) {
        let text = {
            let mut samplers = samplers.lock().unwrap_or_else(PoisonError::into_inner);
            sampler::set_rates(&mut samplers);
            stats_text(tags, &samplers)
        };
        let minute = Timestamp::try_from(now()).map_or(0, |at| at.as_second()).div_euclid(60) * 60;
        let time = |secs: i64| Value::Time(Time(secs.max(0) as u64 * 1_000_000_000));
        let mut record = Builder::new(&template);
        let values = [
            ("TIME_FIRST", time(minute - WINDOW_MINUTES * 60)),
            ("TIME_LAST", time(minute)),
            ("TLS_SNI_STATS", Value::Text(text.as_bytes())),
        ];
        let is_written = values
            .into_iter()
            .all(|(name, value)| template.index_of(name).is_some_and(|at| record.set(at, value).is_ok()));
        let is_sent = is_written && record.finish(&mut message).is_ok() && output.send(&message) == Sent::Sent;
        if !is_sent {
            eprintln!("Cannot send record due to error or timeout. ({} bytes of statistics)", text.len());
        }
        output.flush()?;
    }
    output.finish().map(|_| ())
}

/// Counts by tag, sorted by tag.
fn stats_text(tags: &[String], samplers: &[Sampler]) -> String {
    let mut members: Vec<_> = tags.iter().zip(samplers).map(|(tag, sampler)| (tag, sampler.count())).collect();
    members.sort();
    let members = members.into_iter().map(|(tag, count)| (Text::new(tag), Json::int(count)));
    let mut text = String::new();
    Json::Object(members.collect()).dump(&mut text);
    // The original's library prints no blanks between members; tags keep theirs.
    compact(&text)
}

/// Takes the blanks out of JSON, outside of texts.
fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let keep = is_text || *c != ' ';
            match c {
                '"' if !is_escaped => is_text = !is_text,
                _ => {}
            }
            is_escaped = is_text && *c == '\\' && !is_escaped;
            keep
        })
        .collect()
}

/// Until the next full five minutes of local time.
fn until_window(now: SystemTime) -> Duration {
    let Ok(at) = Timestamp::try_from(now) else { return Duration::from_secs(60) };
    let local = at.to_zoned(TimeZone::system());
    let into = i64::from(local.minute()) % WINDOW_MINUTES * 60 + i64::from(local.second());
    let left = WINDOW_MINUTES * 60 - into;
    let nanos = u64::try_from(local.subsec_nanosecond()).unwrap_or(0);
    Duration::from_secs(left.max(1) as u64).saturating_sub(Duration::from_nanos(nanos))
}

/// Where settings are read from, for other programs.
pub fn load_domains(path: &Path) -> Result<Domains, DomainError> {
    Domains::load(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_base() {
        assert_eq!(["300", "0x10", "010", "x", " 5"].map(seconds), [300, 16, 8, 0, 5]);
    }

    #[test]
    fn statistics_as_json_without_blanks() {
        let samplers = [Sampler::new(3), Sampler::new(0)];
        let tags = ["b \"q\" ".to_owned(), "a".to_owned()];
        assert_eq!(stats_text(&tags, &samplers), r#"{"a":0,"b \"q\" ":3}"#);
    }

    #[test]
    fn windows_end_at_full_five_minutes() {
        let at =
            |secs: u64, millis: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_millis(millis);
        assert_eq!(until_window(at(1_577_836_800, 0)), Duration::from_secs(300));
        assert_eq!(until_window(at(1_577_836_800 + 299, 500)), Duration::from_millis(500));
    }
}
