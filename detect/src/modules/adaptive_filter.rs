//! adaptive_filter: looks into suspicions before they are reported: it lists whose traffic is to be recorded, and gathers the evidence
//! (spec/detectors.md section 8.7).
//!
//! Three threads: one for each input, and one that each interval resolves names, ends suspicions and writes the list. Names are resolved
//! by the system's resolver, for one interval at the most.
mod cases;

use crate::argparse::{self, ArgError};
use crate::blacklist::catalog::{self, Catalog, Kind};
use crate::modules;
use crate::options::value;
use crate::pair;
use crate::pyjson::{self, Json, Text};
use crate::pytrap;
use crate::sdk::{self, Failure, GO_ON, Reader, Step, Str, View};
use crate::uuid;
use cases::{Cases, Scenario};
use record::fields;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, Output, log};

/// Bytes of all reports that are kept, at the most; the oldest suspicion ends early for more.
const WEIGHT_MAX: usize = 64 << 20;
/// The lists whose events begin a suspicion.
const BOTNET: &str = "Intrusion.Botnet";
/// Level of logging up to which progress is told, as in Python's `logging`.
const INFO_LEVEL: i32 = 20;

/// One line for lists of modules.
pub const ABOUT: &str = "Looks into events of botnets and listed names before they are reported.";

const INFO: ModuleInfo = ModuleInfo {
    name: "adaptive_filter",
    description: "The first input has the messages of blacklist_aggregator, the second the alerts of dnsblacklistfilter. Events of \
                  botnets and of names begin a suspicion: the addresses go into a list for a second ipblacklistfilter, which \
                  records their traffic, and when time is over the evidence goes to the second output. All other messages go to \
                  the first output.\nAt most 64 MiB of reports are kept; with more, the oldest suspicion ends early, which is \
                  counted and told at the end.",
    inputs: Count::Exactly(2),
    outputs: Count::Exactly(2),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'c',
        "blacklist-config",
        "string",
        "Catalog of blacklists (default: /etc/nemea/blacklistfilter/bl_downloader_config.xml).",
    ),
    value('e', "evidence-timeout", "int32", "Seconds after which the evidence is sent (default 600)."),
    value('p', "process-interval", "int32", "Seconds between looks at all suspicions (default 30)."),
    value('l', "log-level", "int32", "Tell progress up to level 20 (default 20)."),
    value(
        'a',
        "adaptive-blacklist",
        "string",
        "List of the addresses whose traffic is recorded (default: /tmp/blacklistfilter/adaptive.blist).",
    ),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    catalog: PathBuf,
    list: PathBuf,
    timeout: Duration,
    interval: Duration,
    level: i32,
}

fields! {
    struct Alert {
        name: Str = "DNS_NAME",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("adaptive_filter: error: {why}"));
    let (settings, Module { mut inputs, mut outputs, .. }) = match modules::begin(&INFO, &args, parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Declared with two of each.
    let ([messages, alerts], [reports, evidence]) = (&mut inputs[..], &mut outputs[..]) else { return 1 };
    let ended = run([messages, alerts], [reports, evidence], &settings, resolve);
    sdk::end(ended, &mut outputs)
}

impl Settings {
    fn parse(args: &[String]) -> Result<Settings, ArgError> {
        let mut settings = Settings {
            catalog: catalog::DEFAULT_PATH.into(),
            list: "/tmp/blacklistfilter/adaptive.blist".into(),
            timeout: Duration::from_secs(600),
            interval: Duration::from_secs(30),
            level: INFO_LEVEL,
        };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            let secs = || Duration::from_secs(argparse::atoi(&value).max(0) as u64);
            match name {
                "blacklist-config" => settings.catalog = value.into(),
                "evidence-timeout" => settings.timeout = secs(),
                "process-interval" => settings.interval = secs().max(Duration::from_secs(1)),
                "log-level" => settings.level = argparse::atoi(&value),
                _ => settings.list = value.into(),
            }
        }
        Ok(settings)
    }
}

/// What both threads of inputs and the one of time share.
struct Shared<'o> {
    cases: Cases,
    evidence: &'o mut Output,
    text: String,
}

/// Filters until both inputs ended; then all evidence is sent.
fn run(
    [messages, alerts]: [&mut Input; 2],
    [reports, evidence]: [&mut Output; 2],
    settings: &Settings,
    resolve: impl Fn(&str) -> Vec<Ipv4Addr>,
) -> Result<(), Failure> {
    let catalog = Catalog::load(&settings.catalog);
    let catalog = catalog.map_err(|why| Failure::Other(format!("{}: {why}", settings.catalog.display())))?;
    reports.set_format(Format::Json("aggregated_blacklist".into())).map_err(Failure::Send)?;
    evidence.set_format(Format::Json("blacklist_evidence".into())).map_err(Failure::Send)?;
    let cases = Cases::new(settings.timeout.as_secs_f64(), WEIGHT_MAX);
    let shared = &Mutex::new(Shared { cases, evidence, text: String::new() });
    let mut list = List { path: &settings.list, written: None };
    let catalog = &catalog;
    let ended = pair::read(
        || take_messages(messages, reports, catalog, shared),
        || take_alerts(alerts, shared),
        Instant::now() + settings.interval,
        || {
            let due = Instant::now() + settings.interval;
            refresh(shared, due, &resolve);
            let _: Step = lock(shared).end_cases(Some(now()));
            list.write(lock(shared).cases.list(), settings.level);
            due
        },
    );
    let mut shared = lock(shared);
    let _: Step = shared.end_cases(None);
    list.write(shared.cases.list(), settings.level);
    if shared.cases.early > 0 {
        eprintln!("Warning: {} suspicions ended early: {WEIGHT_MAX} bytes of reports are kept.", shared.cases.early);
    }
    ended
}

/// Takes the messages of the aggregator: those of botnets are reports, all others go on as they are.
fn take_messages(
    input: &mut Input,
    reports: &mut Output,
    catalog: &Catalog,
    shared: &Mutex<Shared<'_>>,
) -> Result<(), Failure> {
    input.require(Format::Json("aggregated_blacklist".into()));
    loop {
        let message = match input.recv().map_err(Failure::Receive)? {
            Event::Message(message) | Event::FormatChanged { first: message, .. } => message,
            Event::Timeout => continue,
            Event::EndOfStream | Event::Terminated => return Ok(()),
        };
        let step = match pyjson::parse(message).ok().and_then(|event| Some((botnet(&event, catalog)?, event))) {
            Some(((source, targets), event)) => {
                lock(shared).add((Scenario::Botnet, source), (event, message.len()), targets)
            }
            None => sdk::step(reports.send(message)),
        }?;
        if step.is_break() {
            return Ok(());
        }
    }
}

/// The botnet's server and whom it talked to, if the message is about one.
fn botnet(event: &Json, catalog: &Catalog) -> Option<(String, Vec<Ipv4Addr>)> {
    let text = |value: &Json| if let Json::Str(text) = value { Some(text.to_plain()) } else { None };
    let Json::Int(bit) = event.get("blacklist_id")? else { return None };
    let is_ip = event.get("type").and_then(text)? == "ip";
    let list = catalog.find(Kind::Ip, bit.parse().ok()?).filter(|_| is_ip)?;
    let Json::Array(targets) = event.get("targets")? else { return None };
    let source = event.get("source").and_then(text)?;
    let targets = targets.iter().filter_map(|target| text(target)?.parse().ok()).collect();
    (list.text("category") == Some(BOTNET)).then_some((source, targets))
}

/// Takes the alerts of names; all are reports.
fn take_alerts(input: &mut Input, shared: &Mutex<Shared<'_>>) -> Result<(), Failure> {
    let ended = Reader::new(input).for_each(|alert: &Alert, record: &View<'_>| {
        let name = String::from_utf8_lossy(alert.name(record));
        let name = name.trim_start_matches(['w', '.']).to_lowercase();
        let members = record.iter().map(|(field, datum)| (Text::new(&field.name), pytrap::json(datum)));
        let report = (Json::Object(members.collect()), record.as_bytes().len());
        lock(shared).add((Scenario::Dns, name), report, Vec::new())
    });
    ended.map(|_| ())
}

impl Shared<'_> {
    fn add(&mut self, key: (Scenario, String), report: (Json, usize), entities: Vec<Ipv4Addr>) -> Step {
        let now = now();
        self.cases.add(key, report, entities, now, uuid::random);
        // Only what must go for others: the rest ends with the interval.
        self.end_cases(Some(f64::NEG_INFINITY))
    }

    /// Sends the evidence of suspicions that are over, or of all.
    fn end_cases(&mut self, now: Option<f64>) -> Step {
        let Shared { cases, evidence, text } = self;
        let mut next = || match now {
            Some(now) => cases.next_over(now),
            None => cases.next_of_all(),
        };
        let mut is_sent = false;
        while let Some(case) = next() {
            is_sent = true;
            for part in case.evidence() {
                text.clear();
                part.dump(text);
                if sdk::step(evidence.send(text.as_bytes()))?.is_break() {
                    return Ok(std::ops::ControlFlow::Break(()));
                }
            }
        }
        if is_sent {
            evidence.flush().map_err(Failure::Send)?;
        }
        GO_ON
    }
}

/// Resolves the names of suspicions anew, until then at the most; the rest keep what they had.
fn refresh(shared: &Mutex<Shared<'_>>, until: Instant, resolve: impl Fn(&str) -> Vec<Ipv4Addr>) {
    let names = lock(shared).cases.names();
    for name in names.iter().take_while(|_| Instant::now() < until) {
        let addresses = resolve(name);
        lock(shared).cases.set_addresses(name, addresses);
    }
}

/// The addresses of a name now; none if it has none.
fn resolve(name: &str) -> Vec<Ipv4Addr> {
    let addresses = (name, 0).to_socket_addrs().into_iter().flatten();
    addresses.filter_map(|address| if let IpAddr::V4(ip) = address.ip() { Some(ip) } else { None }).collect()
}

/// The list of the second filter, written when it changes; in place, as the filter's watcher wants it.
struct List<'p> {
    path: &'p Path,
    written: Option<String>,
}

impl List<'_> {
    fn write(&mut self, text: String, level: i32) {
        if self.written.as_ref() == Some(&text) || (self.written.is_none() && text.is_empty()) {
            return;
        }
        let made = self.path.parent().map_or(Ok(()), std::fs::create_dir_all);
        match made.and_then(|()| std::fs::write(self.path, &text)) {
            Ok(()) => {
                if level <= INFO_LEVEL && log::level() >= 0 {
                    eprintln!("{}: {} addresses", self.path.display(), text.lines().count());
                }
                self.written = Some(text);
            }
            // Tried again with the next interval.
            Err(why) => eprintln!("WARNING: cannot write {}: {why}", self.path.display()),
        }
    }
}

/// Seconds of the machine's clock.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A thread that failed with the lock leaves suspicions that are whole.
fn lock<'a, 'o>(shared: &'a Mutex<Shared<'o>>) -> MutexGuard<'a, Shared<'o>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_botnets() {
        let catalog = include_str!("../blacklist/bl_downloader_config.xml");
        let catalog = Catalog::parse(catalog).unwrap();
        let event = |kind: &str, bit: u8| {
            let text = format!(
                r#"{{"type": "{kind}", "source": "192.0.2.7", "targets": ["10.0.0.1", "::1", "10.0.0.2"], "blacklist_id": {bit}}}"#
            );
            botnet(&pyjson::parse(text.as_bytes()).unwrap(), &catalog)
        };
        let targets = vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        assert_eq!(event("ip", 1), Some(("192.0.2.7".into(), targets)));
        assert_eq!((event("url", 1), event("ip", 2), event("ip", 4)), (None, None, None));
    }

    #[test]
    fn the_list_is_written_when_it_changes() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("new/adaptive.blist");
        let mut list = List { path: &path, written: None };
        list.write(String::new(), 40);
        assert!(!path.exists());
        list.write("10.0.0.1,999,id\n".into(), 40);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "10.0.0.1,999,id\n");
        std::fs::remove_file(&path).unwrap();
        list.write("10.0.0.1,999,id\n".into(), 40);
        assert!(!path.exists());
        list.write(String::new(), 40);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        assert_eq!(resolve("127.0.0.1"), [Ipv4Addr::LOCALHOST]);
    }

    #[test]
    fn command_lines() {
        let parse = |line: &str| Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let settings = parse("-c /c -e 300 -p 0 --adaptive-blacklist=/a").unwrap();
        assert_eq!((settings.timeout.as_secs(), settings.interval.as_secs()), (300, 1));
        assert_eq!((settings.catalog, settings.list), (PathBuf::from("/c"), PathBuf::from("/a")));
        assert!(parse("-x").is_err());
    }
}
