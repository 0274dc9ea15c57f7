//! voip_fraud_detection: callers that look for the prefix with which a PBX lets them out, told from INVITEs
//! (spec/detectors.md section 7).
//!
//! The second method of the original, calls to new countries, is not in the programs that are in use: its source does not compile, and
//! without the GeoIP library they know its options only to refuse them. It is the same here.
mod caller;
mod examination;
mod journal;
mod settings;
mod targets;

use crate::bounded::Bounded;
use crate::sdk::{
    self, Count, Failure, GO_ON, IpAddr, Module, ModuleInfo, Param, Reader, Str, Time, View, Writer, fields, flag,
    value,
};
use caller::{ADDRESS_MAX, AGENT_MAX, Alert, Caller, Reported, Statistics};
use examination::{Finding, examine};
use journal::{Journal, date};
use settings::Settings;
use std::collections::hash_map::RandomState;
use std::fs::OpenOptions;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};
use targets::Targets;

const VERSION: &str = "1.0.1";
/// Callers, as in the original.
const CALLERS_MAX: usize = 100_000;
/// Targets of all callers; some 300 bytes each.
const TARGETS_MAX: u64 = 524_288;
/// Flow time between looks for callers that are silent or have too many targets, seconds.
const TIDY_SECS: u64 = 60;
const CALL_MAX: usize = 80;
const CSEQ_MAX: usize = 80;
/// Type of an alert.
const PREFIX_EXAMINATION: u8 = 40;
/// Wall time between statistics.
const STATISTICS_EVERY: Duration = Duration::from_secs(2);

/// One line for lists of modules.
pub const ABOUT: &str = "Detects callers that try out prefixes of telephone numbers.";

const INFO: ModuleInfo = ModuleInfo {
    name: "voip_fraud_detection",
    description: "This module detecting fraud in VoIP telephony - in SIP communication. A second output gets statistics.\n\
                  At most 100000 callers and 524288 called parties are watched at a time; the caller that was silent for longest \
                  makes room, which is counted.",
    inputs: Count::Exactly(1),
    outputs: Count::Variable,
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('l', "log_file", "string", "Path to a log file."),
    value('e', "event_id_file", "string", "Event_ID file, or 'disabled' (/data/voip_fraud_detection/event_id.txt)."),
    value('c', "countries_file", "string", "Refused with a message: needs GeoIP."),
    value('m', "max_prefix_length", "uint32", "Maximum prefix length (10)."),
    value('d', "min_number_length", "uint32", "Minimum length of called number; of no effect, as in the original (9)."),
    value('s', "detection_interval", "uint32", "Detection interval in seconds (10)."),
    value('t', "prefix_exam_limit", "uint32", "Prefix examination detection threshold (10)."),
    flag('o', "countries_detection_mode", "Refused with a message: needs GeoIP."),
    value('a', "learn_countries_period", "uint32", "Refused with a message: needs GeoIP."),
    flag('w', "disable_country_save", "Refused with a message: needs GeoIP."),
    value('p', "pause", "uint32", "Detection pause after attack in seconds (30)."),
    value('q', "max_item_prefix_tree", "uint32", "Limit of called parties of one IP address (100000)."),
    value('x', "clear_time", "uint32", "Seconds of silence after which an address is forgotten (1209600)."),
    value('n', "prefix_stat_file", "string", "Path to prefix examination statistic file."),
];

fields! {
    /// What comes in.
    struct In {
        dst: IpAddr = "DST_IP",
        src: IpAddr = "SRC_IP",
        link: u64 = "LINK_BIT_FIELD",
        time: Time = "TIME_FIRST",
        kind: u16 = "SIP_MSG_TYPE",
        status: u16 = "SIP_STATUS_CODE",
        called: Str = "SIP_CALLED_PARTY",
        calling: Str = "SIP_CALLING_PARTY",
        call: Str = "SIP_CALL_ID",
        cseq: Str = "SIP_CSEQ",
        uri: Str = "SIP_REQUEST_URI",
        agent: Str = "SIP_USER_AGENT",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    sdk::main(&INFO, args, run)
}

fn run(module: &mut Module) -> Result<(), Failure> {
    if !(1..=2).contains(&module.outputs.len()) {
        return Err(Failure::Usage("one output for alerts is needed, and one more for statistics is possible".into()));
    }
    let settings = Settings::read(&module.options)?;
    let mut journal = Journal::open(settings.log.as_deref());
    settings.say(&mut journal);
    let mut outputs = module.outputs.iter_mut();
    let mut alerts = outputs.next().map(Writer::new).transpose()?;
    let mut statistics = outputs.next().map(Writer::new).transpose()?;
    let mut detector = Detector::new(settings, journal);
    let mut told: Option<Instant> = None;
    Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        let alert = detector.take(fields, record);
        if let (Some(alerts), Some(alert)) = (&mut alerts, &alert)
            && alerts.send(alert)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        match &mut statistics {
            Some(output) if told.is_none_or(|at| at.elapsed() >= STATISTICS_EVERY) => {
                told = Some(Instant::now());
                output.send(&detector.statistics)
            }
            _ => GO_ON,
        }
    })?;
    if let Some(output) = &mut statistics {
        // Nothing follows that could be broken off.
        let _: ControlFlow<()> = output.send(&detector.statistics)?;
    }
    detector.end();
    // The end of the stream is not passed on, as in the original.
    Ok(())
}

struct Detector {
    settings: Settings,
    journal: Journal,
    callers: Bounded<IpAddr, Caller>,
    /// Targets of all callers.
    targets: u64,
    /// Flow time of the last look for silent callers, Unix seconds.
    tidied: u64,
    last_event: u32,
    statistics: Statistics,
    alerts: u32,
    events: u32,
    /// INVITEs to what is no SIP address.
    invalid: u32,
    keys: RandomState,
}

impl Detector {
    fn new(settings: Settings, mut journal: Journal) -> Detector {
        let last_event = settings.event_file.as_deref().map_or(0, |file| read_event_id(file, &mut journal));
        Detector {
            settings,
            journal,
            callers: Bounded::new(CALLERS_MAX),
            targets: 0,
            tidied: 0,
            last_event,
            statistics: Statistics::default(),
            alerts: 0,
            events: 0,
            invalid: 0,
            keys: RandomState::new(),
        }
    }

    /// Takes a record and answers the alert that it brought.
    fn take(&mut self, fields: &In, record: &View<'_>) -> Option<Alert> {
        // The original tidies up with the time of the record before.
        self.tidy();
        self.journal.now = fields.time(record).secs();
        match (fields.kind(record), fields.status(record)) {
            (1, _) => self.take_invite(fields, record),
            (99, 200) => {
                self.take_ok(fields, record);
                None
            }
            _ => None,
        }
    }

    fn take_invite(&mut self, fields: &In, record: &View<'_>) -> Option<Alert> {
        let now = self.journal.now;
        let Some(target) = address(fields.uri(record)).or_else(|| address(fields.called(record))) else {
            self.invalid = self.invalid.saturating_add(1);
            return None;
        };
        self.statistics.invites += 1;
        let from = fields.src(record);
        let is_new = self.callers.get(&from).is_none();
        self.statistics.callers += u64::from(is_new);
        let fresh = || Caller { first: now, checked: now, last: now, ..Caller::default() };
        let (caller, evicted) = self.callers.entry(from, fresh);
        if let Some((_, evicted)) = evicted {
            self.targets -= u64::from(evicted.targets.len());
        }
        if caller.first == 0 {
            caller.first = now;
        }
        let alert = self.examine(from);
        let call = self.keys.hash_one(cut(fields.call(record), CALL_MAX));
        let caller = self.callers.get_mut(&from)?;
        let (target, is_new) = caller.targets.insert(target);
        target.add_call(call);
        target.invites = target.invites.saturating_add(1);
        let agent = cut(fields.agent(record), AGENT_MAX);
        if *target.agent != *agent {
            target.agent = agent.into();
        }
        caller.last = now;
        self.statistics.callees += u64::from(is_new);
        self.targets += u64::from(is_new);
        while self.targets > TARGETS_MAX {
            let Some((_, evicted)) = self.callers.evict_oldest() else { break };
            self.targets -= u64::from(evicted.targets.len());
        }
        alert
    }

    /// A call was taken.
    fn take_ok(&mut self, fields: &In, record: &View<'_>) {
        let cseq = cut(fields.cseq(record), CSEQ_MAX);
        if cseq.len() <= 2 || !cseq.windows(3).any(|word| word == b"INV") {
            return;
        }
        let Some(name) = address(fields.called(record)) else { return };
        let call = self.keys.hash_one(cut(fields.call(record), CALL_MAX));
        let Some(caller) = self.callers.get_mut(&fields.dst(record)) else { return };
        let Some(target) = caller.targets.find(name) else { return };
        target.oks = target.oks.saturating_add(u32::from(target.has_call(call)));
        caller.last = self.journal.now;
    }

    /// Looks for a prefix examination of a caller, if it is time to.
    fn examine(&mut self, from: IpAddr) -> Option<Alert> {
        let (now, settings) = (self.journal.now, &self.settings);
        let caller = self.callers.get_mut(&from)?;
        let is_due = now > caller.checked && now - caller.checked >= settings.interval;
        let is_paused = |reported: &Reported| now.saturating_sub(reported.at) < settings.pause;
        if !is_due || caller.reported.as_ref().is_some_and(is_paused) {
            return None;
        }
        caller.checked = now;
        let wants_prefixes = settings.prefix_file.is_some();
        let found = examine(&caller.targets, settings.threshold, settings.prefix_max, wants_prefixes)?;
        if let Some(path) = &settings.prefix_file
            && let Err(why) = write_prefixes(path, now, caller, &found)
        {
            eprintln!("Error open prefix statistic file: {}! {why}", path.display());
        }
        self.report(from, &found)
    }

    /// Takes a finding out of the tree, says it, and answers the alert.
    fn report(&mut self, from: IpAddr, found: &Finding) -> Option<Alert> {
        let now = self.journal.now;
        let caller = self.callers.get_mut(&from)?;
        let weight = &found.weight;
        let to = caller.targets.name(weight.example);
        let agent = caller.targets.target(weight.example).map(|target| target.agent.clone()).unwrap_or_default();
        self.targets -= u64::from(caller.targets.count(found.branch));
        caller.targets.remove(found.branch);
        let number = to.get(weight.prefix_length as usize..).unwrap_or_default().to_vec();
        let known = caller.reported.as_ref().filter(|reported| reported.event != 0 && reported.number == number);
        let (event, words) = match known {
            Some(known) => (known.event, " (continuation)"),
            None => {
                self.last_event = self.last_event.wrapping_add(1);
                self.events += 1;
                caller.events += 1;
                (self.last_event, "")
            }
        };
        self.alerts += 1;
        caller.alerts += 1;
        caller.reported = Some(Reported { event, at: now, number });
        let oks = if weight.oks > 0 { format!("count_detection_value_ok={}; ", weight.oks) } else { String::new() };
        self.journal.line(format_args!(
            "==> Detected Prefix Examination{words}!; event_id={event}; detection_time=\"{}\"; time_first=\"{}\"; SRC_IP={from}; \
             SIP_TO=\"{}\"; User-Agent=\"{}\"; prefix_length={}; prefix_examination_count={}; successful_call_count={}; \
             invite_count={}; IP_detection_event_count={}; IP_attack_detected_count={} <== # {oks}",
            date(now),
            date(caller.first),
            String::from_utf8_lossy(&to),
            String::from_utf8_lossy(&agent),
            weight.prefix_length,
            found.count,
            weight.taken,
            weight.invites,
            caller.alerts,
            caller.events,
        ));
        let mut alert = Alert {
            callee: Ipv6Addr::UNSPECIFIED.into(),
            caller: from,
            detected: time(now),
            first: time(caller.first),
            event,
            invites: weight.invites,
            prefixes: found.count,
            taken: weight.taken,
            prefix_length: u16::try_from(weight.prefix_length).unwrap_or(u16::MAX),
            kind: PREFIX_EXAMINATION,
            ..Alert::default()
        };
        alert.to.set(&to);
        alert.agent.set(&agent);
        if let Some(file) = &self.settings.event_file
            && let Err(why) = std::fs::write(file, format!("{}\n", self.last_event))
        {
            eprintln!("Error open event_id file for writing: \"{}\" {why}", file.display());
        }
        Some(alert)
    }

    /// Every minute of flow time, forgets callers that are silent and the targets of those that have too many.
    fn tidy(&mut self) {
        let (now, settings) = (self.journal.now, &self.settings);
        if now <= self.tidied || now - self.tidied <= TIDY_SECS {
            return;
        }
        self.tidied = now;
        let targets = &mut self.targets;
        self.callers.retain(|_, caller| {
            let count = caller.targets.len();
            let is_silent = now.saturating_sub(caller.last) > settings.silence;
            if is_silent || count > settings.targets_max {
                *targets -= u64::from(count);
                (caller.targets, caller.first) = (Targets::default(), 0);
            }
            !is_silent
        });
    }

    /// Says the totals.
    fn end(&mut self) {
        self.callers.tell("callers");
        let (alerts, events, invites, invalid) = (self.alerts, self.events, self.statistics.invites, self.invalid);
        for line in [
            "-----------------------------------------------------",
            "Total module statistics:",
            " # Prefix examination:",
            &format!("   - detection_event={alerts}"),
            &format!("   - attack_detected={events}"),
            " # Calling to different country:",
            "   - detection_event=0",
            "   - attack_detected=0",
            " # Total number of attacks:",
            &format!("   - detection_event={alerts}"),
            &format!("   - attack_detected={events}"),
            " # Other statistics:",
            &format!("   - received_invite_flow={invites}"),
            &format!("   - invalid_sip_identifier={invalid}"),
            &format!("... VoIP fraud detection module exit! (version:{VERSION})"),
            "-----------------------------------------------------",
        ] {
            self.journal.line(format_args!("{line}"));
        }
    }
}

/// A SIP address without its scheme and its parameters; none if it is empty.
fn address(text: &[u8]) -> Option<&[u8]> {
    let text = cut(text, ADDRESS_MAX);
    let rest = text.strip_prefix(b"sip:").or_else(|| text.strip_prefix(b"sips:"))?;
    let name = rest.split(|byte| matches!(byte, b';' | b'?' | 0)).next().unwrap_or_default();
    Some(name).filter(|name| !name.is_empty())
}

fn cut(text: &[u8], max: usize) -> &[u8] {
    &text[..text.len().min(max)]
}

fn time(secs: u64) -> Time {
    Time(secs.saturating_mul(1_000_000_000))
}

/// The last event id of the file; 0 without one.
fn read_event_id(file: &Path, journal: &mut Journal) -> u32 {
    let shown = file.display();
    let Ok(text) = std::fs::read_to_string(file) else {
        journal.line(format_args!("Warning: Can't open event_id file: \"{shown}\"! => last_event_id=0"));
        return 0;
    };
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_else(|| {
        journal.line(format_args!("Warning: Can't load event_id from file: \"{shown}\"! => last_event_id=0"));
        0
    })
}

/// Appends the prefixes of an examination to the statistics file: time, prefix, its length, whether the call was taken.
fn write_prefixes(path: &Path, now: u64, caller: &Caller, found: &Finding) -> io::Result<()> {
    let mut text = Vec::new();
    for (at, length, is_taken) in &found.weight.prefixes {
        let name = caller.targets.name(*at);
        let prefix = String::from_utf8_lossy(cut(&name, *length as usize)).into_owned();
        writeln!(text, "{};{prefix};{length};{};", date(now), u8::from(*is_taken))?;
    }
    OpenOptions::new().append(true).create(true).open(path)?.write_all(&text)
}
