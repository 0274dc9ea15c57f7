//! smtp_spam_detector: hosts that send mail as those of spammers do (spec/detectors.md section 12).
//!
//! Of each address that sends or receives mail flows are counted and scored. When flows have gone on for an interval, every address
//! is looked at; what looks like a spammer is reported as an IDEA message.
mod entity;
mod report;

use crate::argparse::{self, ArgError, long_value};
use crate::bounded::Bounded;
use crate::modules;
use crate::options::value;
use crate::pytrap;
use crate::sdk::{self, Failure, GO_ON, Handler, IpAddr, Reader, Step, Str, Time, View};
use entity::{Entity, Flow, PORTS, Smtp};
use record::fields;
use report::Log;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Format, Input, Output, Timeout};

/// Addresses at a time, at the most; some 300 bytes each, and their destinations.
const ENTITIES_MAX: usize = 131_072;
/// Destinations of all addresses together, at the most; some 40 bytes each.
const DESTINATIONS_MAX: usize = 1 << 20;
/// From this confidence on a host is one of a spammer.
const CONFIDENCE: f64 = 0.9;
/// The clock is looked at this often, and then whether flows have gone on for long enough.
const POLL: Duration = Duration::from_secs(10);
const WAKE_US: u64 = 500_000;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub log: PathBuf,
    pub is_debug: bool,
    /// Seconds of flow time between looks, and between cleanings; with 0 it is cleaned after each look.
    pub interval: i64,
    pub clean: i64,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("smtp_spam_detector: error: {0}")]
    Option(#[from] ArgError),
    #[error("smtp_spam_detector: error: argument --{0}: invalid int value: '{1}'")]
    Number(&'static str, String),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects hosts that send spam.";

const INFO: ModuleInfo = ModuleInfo {
    name: "smtp_spam_detector",
    description: "Looks for hosts that send mail as spammers do, from basic flows (input 0) and flows of SMTP (input 1). Reports are \
                  IDEA messages in JSON. Ends when both inputs have ended.\nAt most 131072 addresses with 1048576 destinations are \
                  remembered (about 100 MB); the one without a flow for longest makes room, which is counted and told at the end.",
    inputs: Count::Exactly(2),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('L', "log", "string", "Path of the log (/var/log/smtp_spam_detector.log)."),
    long_value("debug", "string", "True: also log each address that is looked at."),
    value('t', "interval", "int", "Seconds of flow time between looks at all addresses (300)."),
    value(
        'c',
        "clean",
        "int",
        "Seconds after which addresses are forgotten before a look; 0: after each look (default).",
    ),
];

fields! {
    struct Basic {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        _link: u64 = "LINK_BIT_FIELD",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        _direction: u8 = "DIR_BIT_FIELD",
        _protocol: u8 = "PROTOCOL",
        flags: u8 = "TCP_FLAGS",
        _tos: u8 = "TOS",
        _ttl: u8 = "TTL",
    }
}

fields! {
    struct Mail {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        _link: u64 = "LINK_BIT_FIELD",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        _good: u32 = "SMTP_2XX_STAT_CODE_COUNT",
        _more: u32 = "SMTP_3XX_STAT_CODE_COUNT",
        _later: u32 = "SMTP_4XX_STAT_CODE_COUNT",
        _bad: u32 = "SMTP_5XX_STAT_CODE_COUNT",
        _commands: u32 = "SMTP_COMMAND_FLAGS",
        _mails: u32 = "SMTP_MAIL_CMD_COUNT",
        _recipients: u32 = "SMTP_RCPT_CMD_COUNT",
        codes: u32 = "SMTP_STAT_CODE_FLAGS",
        port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        _direction: u8 = "DIR_BIT_FIELD",
        _protocol: u8 = "PROTOCOL",
        flags: u8 = "TCP_FLAGS",
        _tos: u8 = "TOS",
        _ttl: u8 = "TTL",
        domain: Str = "SMTP_DOMAIN",
        recipient: Str = "SMTP_FIRST_RECIPIENT",
        sender: Str = "SMTP_FIRST_SENDER",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let begun = modules::begin(&INFO, &argparse::plain_ifcspec(args), Settings::parse, |_| 2);
    let (settings, Module { mut inputs, mut outputs, .. }) = match begun {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut code = 0;
    // Declared with two and one.
    if let ([basic, mail], [output]) = (inputs.as_mut_slice(), outputs.as_mut_slice()) {
        for why in run(basic, mail, output, settings) {
            eprintln!("{why}");
            code = 1;
        }
    }
    code.max(sdk::finish(&mut outputs))
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let log = "/var/log/smtp_spam_detector.log".into();
        let mut settings = Settings { log, is_debug: false, interval: 300, clean: 0 };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            let number = || value.trim().parse().map_err(|_| UsageError::Number(name, value.clone()));
            match name {
                "log" => settings.log = value.into(),
                "debug" => settings.is_debug = value == "True",
                "interval" => settings.interval = number()?,
                _ => settings.clean = number()?,
            }
        }
        Ok(settings)
    }
}

/// Both inputs are read at the same time. Answers what they failed of.
fn run(basic: &mut Input, mail: &mut Input, output: &mut Output, settings: Settings) -> Vec<Failure> {
    let log = match Log::open(&settings.log, settings.is_debug) {
        Ok(log) => log,
        Err(why) => return vec![failed_log(&settings, &why)],
    };
    if let Err(why) = output.set_format(Format::Json("smtp_alert".into())) {
        return vec![Failure::Send(why)];
    }
    for input in [&mut *basic, &mut *mail] {
        input.set_timeout(Timeout::Micros(WAKE_US));
    }
    let detector = Mutex::new(Detector::new(settings, log, output));
    let failures = std::thread::scope(|scope| {
        let basic = scope.spawn(|| Reader::new(basic).run(&mut BasicFlows(&detector)));
        let mail = scope.spawn(|| Reader::new(mail).run(&mut MailFlows(&detector)));
        // A thread that panicked has said why.
        [basic, mail].map(|thread| thread.join().ok().and_then(Result::err))
    });
    let mut detector = detector.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Nothing follows that could be broken off.
    let _: Step = detector.look_if_due();
    detector.tell();
    failures.into_iter().flatten().collect()
}

fn failed_log(settings: &Settings, why: &io::Error) -> Failure {
    Failure::Other(format!("the log {} cannot be opened: {why}", settings.log.display()))
}

/// Input 0. What comes over either input waits for the other one's turn.
struct BasicFlows<'d, 'o>(&'d Mutex<Detector<'o>>);

/// Input 1.
struct MailFlows<'d, 'o>(&'d Mutex<Detector<'o>>);

impl Handler<Basic> for BasicFlows<'_, '_> {
    fn record(&mut self, fields: &Basic, record: &View<'_>) -> Step {
        let port = fields.port(record);
        let is_mail = PORTS.contains(&port);
        let flow = is_mail.then(|| Flow {
            source: fields.source(record),
            destination: fields.destination(record),
            port,
            flags: fields.flags(record),
            packets: fields.packets(record),
            bytes: fields.bytes(record),
            first: fields.first(record),
            last: fields.last(record),
            smtp: None,
        });
        flow.map_or(GO_ON, |flow| turn(self.0, |detector| detector.add(&flow)))
    }

    fn idle(&mut self) -> Step {
        turn(self.0, Detector::poll)
    }
}

impl Handler<Mail> for MailFlows<'_, '_> {
    fn record(&mut self, fields: &Mail, record: &View<'_>) -> Step {
        let texts = [fields.domain(record), fields.recipient(record), fields.sender(record)].map(str::from_utf8);
        let [Ok(domain), Ok(recipient), Ok(sender)] = texts else {
            return turn(self.0, |detector| {
                detector.undecodable += 1;
                GO_ON
            });
        };
        let flow = Flow {
            source: fields.source(record),
            destination: fields.destination(record),
            port: fields.port(record),
            flags: fields.flags(record),
            packets: fields.packets(record),
            bytes: fields.bytes(record),
            first: fields.first(record),
            last: fields.last(record),
            smtp: Some(Smtp { codes: fields.codes(record), domain, recipient, sender }),
        };
        turn(self.0, |detector| detector.add(&flow))
    }

    fn idle(&mut self) -> Step {
        turn(self.0, Detector::poll)
    }
}

fn turn<'o>(detector: &Mutex<Detector<'o>>, what: impl FnOnce(&mut Detector<'o>) -> Step) -> Step {
    what(&mut detector.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Detector<'o> {
    settings: Settings,
    log: Log,
    output: &'o mut Output,
    entities: Bounded<IpAddr, Entity>,
    /// Destinations that all of them have together.
    destinations: usize,
    /// Largest end of a flow.
    now: Time,
    /// That of the last look, and the wall time of the last cleaning; seconds.
    looked: f64,
    cleaned: f64,
    polled: Instant,
    /// Flows of SMTP whose texts are none, and destinations that found no room.
    undecodable: u64,
    unstored: u64,
}

impl<'o> Detector<'o> {
    fn new(settings: Settings, mut log: Log, output: &'o mut Output) -> Detector<'o> {
        log.info(format_args!(
            "Parameters set to probe interval : {}, clean interval : {}",
            settings.interval, settings.clean
        ));
        Detector {
            settings,
            log,
            output,
            entities: Bounded::new(ENTITIES_MAX),
            destinations: 0,
            now: Time::default(),
            looked: 0.0,
            cleaned: 0.0,
            polled: Instant::now(),
            undecodable: 0,
            unstored: 0,
        }
    }

    /// Counts a flow for its source, and for its destination if the source is known.
    fn add(&mut self, flow: &Flow<'_>) -> Step {
        let mut is_known = true;
        let (entity, evicted) = self.entities.entry(flow.source, || {
            is_known = false;
            Entity::sender(flow)
        });
        if is_known {
            entity.add(flow);
        }
        if !entity.destinations.contains(&flow.destination) {
            if self.destinations < DESTINATIONS_MAX {
                entity.destinations.insert(flow.destination);
                self.destinations += 1;
            } else {
                self.unstored += 1;
            }
        }
        self.forget(evicted);
        if is_known {
            self.receive(flow);
        }
        self.now = self.now.max(flow.last);
        self.poll()
    }

    fn receive(&mut self, flow: &Flow<'_>) {
        let mut is_new = false;
        let (entity, evicted) = self.entities.entry(flow.destination, || {
            is_new = true;
            Entity::receiver(flow.last)
        });
        entity.incoming += u64::from(!is_new);
        self.forget(evicted);
    }

    fn forget(&mut self, evicted: Option<(IpAddr, Entity)>) {
        self.destinations -= evicted.map_or(0, |(_, entity)| entity.destinations.len());
    }

    /// Looks at the clock.
    fn poll(&mut self) -> Step {
        if self.polled.elapsed() < POLL {
            return GO_ON;
        }
        self.polled = Instant::now();
        self.look_if_due()
    }

    /// Looks at all addresses if flows have gone on for the interval, and reports spammers.
    fn look_if_due(&mut self) -> Step {
        let now = pytrap::seconds(self.now);
        if self.looked + self.settings.interval as f64 >= now {
            return GO_ON;
        }
        self.looked = now;
        // The original does so in the other thread, which comes first.
        if self.settings.clean != 0 {
            self.clean(now);
        }
        let step = self.look();
        if self.settings.clean == 0 {
            self.clean(now);
        }
        step
    }

    fn look(&mut self) -> Step {
        self.log.info(format_args!("Started probing entity database"));
        let mut addresses: Vec<_> = self.entities.iter().map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        let mut reports = Vec::new();
        let mut spammers = 0_u64;
        for address in addresses {
            let Some(entity) = self.entities.get_mut(&address) else { continue };
            let verdict = entity.judge();
            self.log.debug(format_args!("Evaluated entity:{address}: {verdict:?}"));
            if verdict.confidence > CONFIDENCE {
                spammers += 1;
                // A spammer without a sign ends the reports of the original.
                if !verdict.tags.is_empty() {
                    reports.push(report::idea(address, entity, &verdict, self.now));
                }
            }
        }
        let all = self.entities.len();
        let share = if all == 0 { 0.0 } else { spammers as f64 / all as f64 * 100.0 };
        self.log.info(format_args!("Found {spammers} potential spammers in {all} [{share:.5}%]"));
        for report in &reports {
            if sdk::step(self.output.send(report.as_bytes()))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.log.info(format_args!("Sent {0} / {0} reports", reports.len()));
        GO_ON
    }

    /// Forgets everything unless that was done of late: wall time against flow time, as in the original.
    fn clean(&mut self, now: f64) {
        if self.cleaned + self.settings.clean as f64 >= now {
            return;
        }
        let count = self.entities.len();
        self.entities.clear();
        self.destinations = 0;
        self.cleaned = crate::clock::unix_secs() as f64;
        self.log.info(format_args!("Database dropped. Cleared {count} records of entities."));
    }

    fn tell(&self) {
        self.entities.tell("addresses");
        for (count, what) in [
            (self.undecodable, "flows with texts that are none were"),
            (self.unstored, "destinations found no room and were"),
        ] {
            if count > 0 {
                eprintln!("Warning: {count} {what} skipped.");
            }
        }
    }
}
